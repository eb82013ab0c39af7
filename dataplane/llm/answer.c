// SPDX-License-Identifier: Apache-2.0
// A model's answer on its way down: passed on byte for byte while it is read. A plain answer is
// scanned in place; of a stream, each event is looked at: usage that the client did not ask for is
// taken out, an error ends it, and nothing commits to a status before the first content.
#include "dataplane/llm/call.h"
#include "dataplane/llm/inflate.h"

static bool contains_nocase(struct gw_str s, struct gw_str word) {
    for (size_t i = 0; i + word.len <= s.len; i++)
        if (gw_str_eq_nocase((struct gw_str){s.ptr + i, word.len}, word)) return true;
    return false;
}

// What described the old body is gone with it.
static void bytes_will_change(struct dp_head *answer) {
    static const char *const stale[] = {"etag",        "digest",      "content-digest",
                                        "content-md5", "repr-digest", "accept-ranges"};
    answer->content_length = -1;
    for (size_t i = 0; i < GW_ARRAY_LEN(stale); i++)
        dp_fields_remove(&answer->fields, gw_str_of(stale[i]));
}

static enum gw_rc begin_inflate(struct dp_llm_call *c, struct dp_head *answer, struct gw_err *err) {
    struct dp_field *coding = dp_fields_find(&answer->fields, DP_F_CONTENT_ENCODING);
    if (!coding || gw_str_eq_nocase(coding->value, GW_STR("identity"))) return GW_OK;
    c->inflate = dp_llm_inflate_new(coding->value, err);
    if (!c->inflate) return GW_ERR_UPSTREAM;
    dp_fields_remove_id(&answer->fields, DP_F_CONTENT_ENCODING);
    bytes_will_change(answer);
    return GW_OK;
}

enum gw_rc dp_llm_answer_begin(struct dp_llm_call *c, struct dp_head *answer, const char **ret_code,
                               struct gw_err *err) {
    struct dp_field *type = dp_fields_find(&answer->fields, DP_F_CONTENT_TYPE);
    bool is_sse = type && contains_nocase(type->value, GW_STR("text/event-stream"));
    c->is_error = answer->status >= 400;
    *ret_code = "upstream_auth";
    // Passed on, it would tell the caller that its own key is bad.
    if ((answer->status == 401 || answer->status == 403) && !c->backend->llm->passthrough)
        return gw_err_set(err, GW_ERR_UPSTREAM, 502,
                          "the provider refused this gateway's credentials (status %d)",
                          answer->status);
    *ret_code = "upstream_encoding";
    GW_TRY(begin_inflate(c, answer, err));
    *ret_code = NULL;
    c->tap = is_sse && !c->is_error ? DP_LLM_TAP_SSE : DP_LLM_TAP_JSON;
    c->committed = c->tap == DP_LLM_TAP_JSON;
    if (c->tap == DP_LLM_TAP_SSE) bytes_will_change(answer);
    dp_llm_answer_scan_init(c);
    return GW_OK;
}

bool dp_llm_answer_is_committed(const struct dp_llm_call *c) {
    return c->committed;
}

// --- one event of a stream -----------------------------------------------------------------------

static void pass(struct gw_str raw, struct gw_slab *owner, struct gw_str in, struct gw_buf *out) {
    bool is_inside = owner && raw.ptr >= in.ptr && raw.ptr + raw.len <= in.ptr + in.len;
    if (is_inside)
        gw_buf_push(out, owner, raw.ptr, raw.len);
    else
        gw_buf_push_copy(out, raw.ptr, raw.len);
}

static void commit(struct dp_llm_call *c, struct gw_buf *out) {
    if (c->committed) return;
    c->committed = true;
    gw_buf_move(out, &c->held);
}

static enum gw_rc provider_error(struct dp_llm_call *c, struct gw_err *err) {
    const struct gw_jfound *m = &c->an[DP_LLM_AN_ERROR_MESSAGE];
    char text[DP_LLM_MESSAGE_CHARS + 1];
    size_t n = 0;
    c->failed = true;
    if (m->type != GW_JT_STRING ||
        !gw_json_unescape((struct gw_str){m->capture, m->capture_len}, text, sizeof(text) - 1, &n))
        n = 0;
    text[n] = 0;
    return gw_err_set(err, GW_ERR_UPSTREAM, 502, "the provider reported an error in its stream%s%s",
                      n ? ": " : "", text);
}

static bool is_set(const struct gw_jfound *f) {
    return f->type != GW_JT_NONE && f->type != GW_JT_NULL;
}

// Looks at an event's data. *ret_drop: it is not for the client.
static enum gw_rc look(struct dp_llm_call *c, struct gw_str data, bool *ret_drop,
                       struct gw_err *err) {
    struct gw_err ignored;
    const struct gw_jfound *an = c->an;
    *ret_drop = false;
    if (gw_str_eq(gw_str_trim(data), c->dialect->stream_end)) {
        c->seen_end = true;
        return GW_OK;
    }
    dp_llm_answer_scan_init(c);
    if (gw_jscan_feed(&c->scan, data.ptr, data.len, &ignored) != GW_OK ||
        gw_jscan_finish(&c->scan, &ignored) != GW_OK)
        return GW_OK; // no JSON: not ours to judge
    dp_llm_usage_take(c);
    if (is_set(&an[DP_LLM_AN_ERROR])) return provider_error(c, err);
    uint64_t quotes = 2 * an[DP_LLM_AN_CONTENT].count;
    if (an[DP_LLM_AN_CONTENT].type == GW_JT_STRING && an[DP_LLM_AN_CONTENT].bytes > quotes) {
        c->content_events++;
        c->content_bytes += an[DP_LLM_AN_CONTENT].bytes - quotes;
    }
    if (an[DP_LLM_AN_FINISH].count && an[DP_LLM_AN_FINISH].type == GW_JT_STRING)
        c->seen_finish = true;
    *ret_drop = !c->wants_usage && is_set(&an[DP_LLM_AN_USAGE]) &&
                an[DP_LLM_AN_CHOICES].type == GW_JT_ARRAY && an[DP_LLM_AN_CHOICES].children == 0;
    return GW_OK;
}

static bool has_choices(const struct dp_llm_call *c) {
    return c->an[DP_LLM_AN_CHOICES].type == GW_JT_ARRAY && c->an[DP_LLM_AN_CHOICES].children > 0;
}

static enum gw_rc sse_event(struct dp_llm_call *c, const struct dp_sse_event *ev,
                            struct gw_slab *owner, struct gw_str in, struct gw_buf *out,
                            struct gw_err *err) {
    bool drop = false;
    enum gw_rc rc = GW_OK;
    if (ev->data.ptr) {
        c->an[DP_LLM_AN_CHOICES] = (struct gw_jfound){0};
        rc = look(c, ev->data, &drop, err);
        if (rc == GW_OK && (c->seen_end || has_choices(c))) commit(c, out);
    }
    if (rc != GW_OK && !c->committed) return rc; // it becomes a status
    // Where the LF of its last CRLF came late, it goes with the event that it belongs to.
    if (c->dropped && !ev->data.ptr && gw_str_eq(ev->raw, GW_STR("\n"))) drop = true;
    c->dropped = drop;
    // What is held is copied: a read that brought a few bytes would be held as a whole.
    if (!drop) pass(ev->raw, c->committed ? owner : NULL, in, c->committed ? out : &c->held);
    if (c->held.bytes > DP_LLM_HELD_BYTES_MAX) commit(c, out);
    c->told = rc != GW_OK;
    return rc;
}

static enum gw_rc sse_data(struct dp_llm_call *c, struct gw_slab *owner, struct gw_str in,
                           struct gw_buf *out, struct gw_err *err) {
    struct gw_str rest = in;
    while (rest.len) {
        struct dp_sse_event ev = {0};
        size_t used = 0;
        enum gw_rc rc = dp_sse_feed(&c->sse, rest, &used, &ev, err);
        if (rc == GW_AGAIN) return GW_OK;
        if (rc != GW_OK) {
            err->rc = GW_ERR_UPSTREAM;
            err->code = 502;
            c->failed = true;
            return GW_ERR_UPSTREAM;
        }
        GW_TRY(sse_event(c, &ev, owner, in, out, err));
        rest.ptr += used;
        rest.len -= used;
    }
    return GW_OK;
}

static enum gw_rc tap_data(struct dp_llm_call *c, struct gw_slab *owner, struct gw_str bytes,
                           struct gw_buf *out, struct gw_err *err) {
    struct gw_err ignored;
    if (c->tap == DP_LLM_TAP_SSE) return sse_data(c, owner, bytes, out, err);
    c->content_bytes += bytes.len;
    if (!c->scan_off && gw_jscan_feed(&c->scan, bytes.ptr, bytes.len, &ignored) != GW_OK)
        c->scan_off = true;
    if (owner)
        gw_buf_push(out, owner, bytes.ptr, bytes.len);
    else
        gw_buf_push_copy(out, bytes.ptr, bytes.len);
    return GW_OK;
}

enum gw_rc dp_llm_answer_data(struct dp_llm_call *c, struct gw_slab *owner, struct gw_str bytes,
                              struct gw_buf *out, struct gw_err *err) {
    if (!c->inflate) return tap_data(c, owner, bytes, out, err);
    struct gw_buf plain = {0};
    enum gw_rc rc = dp_llm_inflate_feed(c->inflate, bytes, &plain, err);
    for (struct gw_buf_node *n = plain.head; n && rc == GW_OK; n = n->next)
        rc = tap_data(c, n->slice.slab, (struct gw_str){n->slice.ptr, n->slice.len}, out, err);
    gw_buf_fini(&plain);
    if (rc != GW_OK) c->failed = true;
    return rc;
}

// --- the end -------------------------------------------------------------------------------------

static void tell(struct dp_llm_call *c, struct gw_buf *out, const char *text) {
    GW_CLEANUP(gw_text_fini) struct gw_text t = {0};
    // An event that was cut in the middle must not run into ours.
    if (dp_sse_rest(&c->sse).len) gw_text_adds(&t, "\n\n");
    c->dialect->error_event(&t, 502, "upstream_cut", gw_str_of(text));
    gw_buf_push_copy(out, t.ptr, t.len);
    c->told = true;
}

static enum gw_rc end_stream(struct dp_llm_call *c, bool clean, struct gw_buf *out,
                             bool *ret_explicit, struct gw_err *err) {
    if (c->inflate && !dp_llm_inflate_is_done(c->inflate)) clean = false;
    bool whole = !c->failed && (c->seen_end || (clean && c->seen_finish));
    if (whole) {
        struct gw_str rest = dp_sse_rest(&c->sse);
        commit(c, out);
        if (rest.len) gw_buf_push_copy(out, rest.ptr, rest.len);
        return GW_OK;
    }
    if (!c->failed)
        gw_err_set(err, GW_ERR_UPSTREAM, 502, "the provider's stream broke off before its end");
    c->failed = true;
    if (!c->committed) return GW_ERR_UPSTREAM;
    if (!c->told) tell(c, out, "the provider's stream broke off before its end");
    *ret_explicit = true;
    return GW_ERR_UPSTREAM;
}

enum gw_rc dp_llm_answer_end(struct dp_llm_call *c, bool clean, struct gw_buf *out,
                             bool *ret_explicit, struct gw_err *err) {
    struct gw_err ignored;
    *ret_explicit = false;
    err->text[0] = 0;
    if (c->tap == DP_LLM_TAP_SSE) return end_stream(c, clean, out, ret_explicit, err);
    if (clean && c->inflate && !dp_llm_inflate_is_done(c->inflate)) clean = false;
    if (!clean) {
        c->failed = true;
        return gw_err_set(err, GW_ERR_UPSTREAM, 502, "the provider's answer was cut");
    }
    if (!c->scan_off && gw_jscan_finish(&c->scan, &ignored) == GW_OK) dp_llm_usage_take(c);
    return GW_OK;
}
