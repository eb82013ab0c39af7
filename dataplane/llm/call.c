// SPDX-License-Identifier: Apache-2.0
// A model request on its way up: scan the body, choose a backend, splice, and make the head that
// the provider gets. The body is never parsed into a tree and printed again.
#include "dataplane/llm/call.h"
#include "dataplane/llm/inflate.h"

struct dp_llm_call *dp_llm_call_new(struct gw_arena *a, const struct dp_llm_dialect *dialect) {
    struct dp_llm_call *c = gw_arena_zalloc(a, sizeof(*c));
    GW_ASSERT(c != NULL); // an arena's cap is far above what comes before this
    c->arena = a;
    c->dialect = dialect;
    c->usage = (struct dp_llm_usage){-1, -1, -1, false};
    c->rq[DP_LLM_RQ_MODEL].capture = c->model_raw;
    c->rq[DP_LLM_RQ_MODEL].capture_cap = sizeof(c->model_raw);
    gw_jscan_init(&c->scan, dialect->request, c->rq, DP_LLM_RQ_N, DP_LLM_DEPTH_MAX);
    return c;
}

void dp_llm_call_fini(struct dp_llm_call *c) {
    if (!c) return;
    dp_sse_fini(&c->sse);
    dp_llm_inflate_free(c->inflate);
    gw_buf_fini(&c->held);
}

const struct dp_llm_dialect *dp_llm_call_dialect(const struct dp_llm_call *c) {
    return c->dialect;
}

enum gw_rc dp_llm_call_scan(struct dp_llm_call *c, struct gw_str bytes, struct gw_err *err) {
    c->request_bytes += bytes.len;
    return gw_jscan_feed(&c->scan, bytes.ptr, bytes.len, err);
}

static enum gw_rc wrong_type(struct gw_err *err, const char *path, const char *wanted) {
    return gw_err_set(err, GW_ERR_INPUT, 400, "'%s' must be %s", path, wanted);
}

static bool is_absent(const struct gw_jfound *f) {
    return f->type == GW_JT_NONE || f->type == GW_JT_NULL;
}
static bool is_bool(const struct gw_jfound *f) {
    return f->type == GW_JT_TRUE || f->type == GW_JT_FALSE;
}

// What the scan found, by type; a wrong type is refused here, with its path.
static enum gw_rc read_request(struct dp_llm_call *c, struct gw_err *err) {
    const struct gw_jfound *model = &c->rq[DP_LLM_RQ_MODEL], *stream = &c->rq[DP_LLM_RQ_STREAM];
    const struct gw_jfound *option = &c->rq[DP_LLM_RQ_OPTION],
                           *usage = &c->rq[DP_LLM_RQ_OPTION_USAGE];
    GW_TRY(gw_jscan_finish(&c->scan, err));
    if (!c->scan.top_is_object) return wrong_type(err, "body", "a JSON object");
    if (!is_absent(stream) && !is_bool(stream)) return wrong_type(err, "stream", "true or false");
    if (!is_absent(option) && option->type != GW_JT_OBJECT)
        return wrong_type(err, c->dialect->request[DP_LLM_RQ_OPTION].path, "an object");
    if (!is_absent(usage) && !is_bool(usage))
        return wrong_type(err, c->dialect->request[DP_LLM_RQ_OPTION_USAGE].path, "true or false");
    c->is_stream = stream->type == GW_JT_TRUE;
    c->wants_usage = usage->type == GW_JT_TRUE;
    if (is_absent(model)) return GW_OK;
    if (model->type != GW_JT_STRING) return wrong_type(err, "model", "a string");
    char *text = gw_arena_alloc(c->arena, model->capture_len + 1);
    size_t n = 0;
    struct gw_str raw = {model->capture, model->capture_len};
    if (model->truncated || !text || !gw_json_unescape(raw, text, model->capture_len + 1, &n) ||
        n > DP_LLM_MODEL_BYTES_MAX)
        return gw_err_set(err, GW_ERR_INPUT, 400, "'model' is longer than %d bytes",
                          DP_LLM_MODEL_BYTES_MAX);
    c->model = (struct gw_str){text, n};
    return GW_OK;
}

// --- which backend ------------------------------------------------------------------------------

struct candidate {
    const struct dp_rule_backend *b;
    struct gw_str upstream_model;
};

// Weighted pick; n > 0.
static const struct candidate *turn(const struct candidate *list, unsigned n, uint64_t random) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += list[i].b->weight;
    if (sum == 0) return NULL;
    uint64_t at = random % sum;
    for (unsigned i = 0; i < n; i++) {
        if (at < list[i].b->weight) return &list[i];
        at -= list[i].b->weight;
    }
    return NULL;
}

// Backends that name the model; else those that take any.
static unsigned candidates(const struct dp_llm_call *c, const struct dp_rule *rule,
                           struct candidate *list) {
    unsigned n = 0;
    for (unsigned i = 0; i < rule->backends_n; i++) {
        const struct dp_rule_backend *b = &rule->backends[i];
        struct gw_str to;
        if (b->backend && dp_llm_backend_takes(b->backend->llm, c->model, &to))
            list[n++] = (struct candidate){b, to};
    }
    if (n) return n;
    for (unsigned i = 0; i < rule->backends_n; i++) {
        const struct dp_rule_backend *b = &rule->backends[i];
        if (b->backend && !b->backend->llm->allow_given)
            list[n++] = (struct candidate){b, c->model};
    }
    return n;
}

static unsigned with_default(const struct dp_rule *rule, struct candidate *list) {
    unsigned n = 0;
    for (unsigned i = 0; i < rule->backends_n; i++) {
        const struct dp_rule_backend *b = &rule->backends[i];
        if (b->backend && b->backend->llm->model_default.len)
            list[n++] = (struct candidate){b, b->backend->llm->model_default};
    }
    return n;
}

// The models of a backend that cannot be resolved are not offered; only where nothing else is left
// is the route itself broken.
static bool is_all_invalid(const struct dp_rule *rule) {
    for (unsigned i = 0; i < rule->backends_n; i++)
        if (rule->backends[i].backend) return false;
    return rule->backends_n > 0;
}

enum gw_rc dp_llm_call_plan(struct dp_llm_call *c, const struct dp_rule *rule, uint64_t random,
                            const struct dp_backend **ret_backend, const char **ret_code,
                            struct gw_err *err) {
    struct candidate list[DP_RULE_BACKENDS_MAX];
    *ret_code = "invalid_request";
    GW_TRY(read_request(c, err));
    unsigned n = c->model.len ? candidates(c, rule, list) : with_default(rule, list);
    if (is_all_invalid(rule)) {
        *ret_code = "invalid_backend";
        return gw_err_set(err, GW_ERR_INTERNAL, 500,
                          "no backend of this route can be resolved (" GW_STR_FMT ")",
                          GW_STR_ARG(rule->backends[0].invalid));
    }
    if (n == 0 && !c->model.len) return gw_err_set(err, GW_ERR_INPUT, 400, "'model' is missing");
    const struct candidate *pick = n ? turn(list, n, random) : NULL;
    if (!pick) {
        *ret_code = "model_not_found";
        return gw_err_set(err, GW_ERR_INPUT, 404, "the model '" GW_STR_FMT "' does not exist here",
                          GW_STR_ARG(c->model));
    }
    c->backend = pick->b->backend;
    c->upstream_model = pick->upstream_model;
    c->is_callers_name = c->model.len && c->model.ptr == c->upstream_model.ptr;
    if (!c->model.len) c->model = c->upstream_model;
    *ret_backend = c->backend;
    *ret_code = NULL;
    return GW_OK;
}

// --- splice -------------------------------------------------------------------------------------

// Replaces [begin, end) of body. Edits are made from the back to the front, so that offsets hold.
static void edit(struct gw_buf *body, uint64_t begin, uint64_t end, const struct gw_text *text) {
    struct gw_buf done = {0};
    gw_buf_move_n(&done, body, (size_t)begin);
    gw_buf_consume(body, (size_t)(end - begin));
    gw_buf_push_copy(&done, text->ptr, text->len);
    gw_buf_move(&done, body);
    *body = done;
}

static void add_member(struct gw_text *t, bool first, struct gw_str member) {
    if (!first) gw_text_adds(t, ",");
    gw_text_add(t, member.ptr, member.len);
}

// Usage is asked for in every stream: what the client did not ask for is taken out on the way back.
static void splice_usage(struct dp_llm_call *c, struct gw_buf *body, struct gw_text *tail) {
    const struct gw_jfound *option = &c->rq[DP_LLM_RQ_OPTION],
                           *usage = &c->rq[DP_LLM_RQ_OPTION_USAGE];
    GW_CLEANUP(gw_text_fini) struct gw_text t = {0};
    if (option->type == GW_JT_NONE) {
        add_member(tail, tail->len == 0 && c->scan.top_children == 0, c->dialect->usage_option);
    } else if (option->type == GW_JT_NULL) {
        gw_text_adds(&t, "{");
        add_member(&t, true, c->dialect->usage_option_inner);
        gw_text_adds(&t, "}");
        edit(body, option->begin, option->end, &t);
    } else if (usage->type != GW_JT_NONE) {
        gw_text_adds(&t, "true");
        edit(body, usage->begin, usage->end, &t);
    } else {
        add_member(&t, true, c->dialect->usage_option_inner);
        if (option->children) gw_text_adds(&t, ",");
        edit(body, option->begin + 1, option->begin + 1, &t);
    }
}

static void model_text(const struct dp_llm_call *c, struct gw_text *t) {
    gw_text_adds(t, "\"");
    gw_text_add_json(t, c->upstream_model);
    gw_text_adds(t, "\"");
}

void dp_llm_call_splice(struct dp_llm_call *c, struct gw_buf *body) {
    const struct gw_jfound *model = &c->rq[DP_LLM_RQ_MODEL], *option = &c->rq[DP_LLM_RQ_OPTION];
    GW_CLEANUP(gw_text_fini) struct gw_text tail = {0}, name = {0};
    bool asks = c->is_stream && !c->wants_usage;
    // An empty name is none: c->model is the backend's default then, the body's is still empty.
    bool renames =
        !is_absent(model) && (model->capture_len == 0 || !gw_str_eq(c->model, c->upstream_model));
    model_text(c, &name);
    if (model->type == GW_JT_NONE) {
        add_member(&tail, c->scan.top_children == 0, GW_STR("\"model\":"));
        gw_text_add(&tail, name.ptr, name.len);
    }
    renames = renames || model->type == GW_JT_NULL;
    uint64_t top_end = c->scan.top_end;
    bool usage_first =
        asks && option->begin > model->begin; // the edit nearer to the end goes first
    if (asks && option->type == GW_JT_NONE) splice_usage(c, body, &tail);
    if (tail.len) edit(body, top_end, top_end, &tail);
    if (usage_first && option->type != GW_JT_NONE) splice_usage(c, body, &tail);
    if (renames) edit(body, model->begin, model->end, &name);
    if (asks && !usage_first && option->type != GW_JT_NONE) splice_usage(c, body, &tail);
}

// --- the head -----------------------------------------------------------------------------------

static const struct dp_llm_key *pick_key(const struct dp_backend_llm *b, uint64_t random) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->keys_n; i++)
        sum += b->keys[i].weight;
    if (sum == 0) return NULL;
    uint64_t at = random % sum;
    for (unsigned i = 0; i < b->keys_n; i++) {
        if (at < b->keys[i].weight) return &b->keys[i];
        at -= b->keys[i].weight;
    }
    return NULL;
}

// The caller's credentials are for us, unless the backend passes them through.
static const char *const credential_fields[] = {"x-api-key", "api-key", "x-goog-api-key", "cookie"};

static enum gw_rc set_credentials(struct dp_llm_call *c, struct dp_head *head, uint64_t random) {
    const struct dp_backend_llm *b = c->backend->llm;
    if (b->passthrough) return GW_OK;
    dp_fields_remove_id(&head->fields, DP_F_AUTHORIZATION);
    for (size_t i = 0; i < GW_ARRAY_LEN(credential_fields); i++)
        dp_fields_remove(&head->fields, gw_str_of(credential_fields[i]));
    const struct dp_llm_key *key = pick_key(b, random);
    if (!key) return GW_OK;
    struct gw_str value = gw_arena_printf(c->arena, "%s" GW_STR_FMT, b->provider->auth_prefix,
                                          GW_STR_ARG(gw_secret_reveal(key->value)));
    return value.ptr
               ? dp_fields_add(&head->fields, c->arena, gw_str_of(b->provider->auth_header), value)
               : GW_ERR_LIMIT;
}

enum gw_rc dp_llm_call_head(struct dp_llm_call *c, struct dp_head *head, uint64_t body_bytes,
                            uint64_t random, struct gw_err *err) {
    const struct dp_backend_llm *b = c->backend->llm;
    head->path =
        gw_arena_printf(c->arena, GW_STR_FMT "%s", GW_STR_ARG(b->base_path), b->dialect->suffix);
    head->target = head->query.len
                       ? gw_arena_printf(c->arena, GW_STR_FMT "?" GW_STR_FMT,
                                         GW_STR_ARG(head->path), GW_STR_ARG(head->query))
                       : head->path;
    head->authority = b->authority;
    head->content_length = (int64_t)body_bytes;
    head->chunked = false;
    dp_fields_remove_id(&head->fields, DP_F_ACCEPT_ENCODING);
    enum gw_rc rc =
        dp_fields_add(&head->fields, c->arena, GW_STR("accept-encoding"), GW_STR("identity"));
    if (rc == GW_OK) rc = set_credentials(c, head, random);
    if (rc != GW_OK || !head->target.ptr)
        return gw_err_set(err, GW_ERR_LIMIT, 431, "the head of the request is too large");
    return GW_OK;
}
