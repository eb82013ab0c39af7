// SPDX-License-Identifier: Apache-2.0
// Rules: filters, weighted backends, matches, and the series that requests are counted in.
#include "dataplane/conf/compile.h"
#include "dataplane/obs/metrics.h"

#include <pthread.h>
#include <stdio.h>

#define CACHE_LINE_BYTES 64
// Of a rule there are seven series; who goes beyond what the registry takes shares its last ones.
#define KNOWN_RULES_MAX (GW_METRIC_SERIES_MAX / 7)
#define NOT_COMPILED "BackendNotFound"

// --- filters ------------------------------------------------------------------------------------

static enum gw_rc compile_policy(struct dp_compile *c, const json_t *spec, struct dp_policy *ret,
                                 struct gw_err *err) {
    struct gw_str type = gw_json_str(spec, "type");
    ret->type = dp_policy_find(type);
    ret->conf = NULL;
    if (!ret->type)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "type '" GW_STR_FMT "' is not known to this data plane",
                          GW_STR_ARG(type));
    return ret->type->compile(spec, c->arena, &ret->conf, err);
}

// A copy of a model request would carry the provider's key, and its answer costs money.
static enum gw_rc compile_mirror(struct dp_compile *c, const json_t *spec, bool is_llm,
                                 struct dp_mirror_to *ret, bool *ret_is_there, struct gw_err *err) {
    struct gw_str name = gw_json_str(spec, "backend");
    *ret = (struct dp_mirror_to){
        .backend = name.ptr ? gw_map_get(&c->backends, name) : NULL,
        .numerator = (uint32_t)gw_json_int(spec, "numerator", 1),
        .denominator = (uint32_t)gw_json_int(spec, "denominator", 1),
    };
    *ret_is_there = ret->backend != NULL;
    if (is_llm || (ret->backend && ret->backend->llm))
        return gw_err_set(err, GW_ERR_INPUT, 0, "model requests are not mirrored");
    return GW_OK;
}

// Those that answer preflights come first.
static void put_first(struct dp_policy *list, unsigned n) {
    unsigned first = 0;
    for (unsigned i = 0; i < n; i++) {
        struct dp_policy p = list[i];
        if (!p.type->answers_preflights) continue;
        memmove(&list[first + 1], &list[first], (i - first) * sizeof(*list));
        list[first++] = p;
    }
}

static bool answers_preflights(const struct dp_filters *f) {
    return f->len && f->ptr[0].type->answers_preflights;
}

static enum gw_rc compile_filters(struct dp_compile *c, const json_t *list, bool is_llm,
                                  struct dp_filters *ret, struct gw_err *err) {
    size_t n = json_array_size(list);
    struct dp_policy *policies = gw_arena_alloc(c->arena, (n + 1) * sizeof(*policies));
    struct dp_mirror_to *mirrors = gw_arena_alloc(c->arena, (n + 1) * sizeof(*mirrors));
    *ret = (struct dp_filters){.ptr = policies, .mirrors = mirrors};
    for (size_t i = 0; i < n; i++) {
        const json_t *spec = json_array_get(list, i);
        enum gw_rc rc;
        bool is_there = true;
        if (gw_str_eq(gw_json_str(spec, "type"), GW_STR("RequestMirror"))) {
            rc = compile_mirror(c, spec, is_llm, &mirrors[ret->mirrors_n], &is_there, err);
            ret->mirrors_n += is_there;
        } else {
            rc = compile_policy(c, spec, &policies[ret->len++], err);
        }
        if (rc != GW_OK) return gw_err_wrap(err, "filters[%zu]", i);
    }
    put_first(policies, ret->len);
    return GW_OK;
}

// --- backends -----------------------------------------------------------------------------------

// Each worker writes its own line.
static struct dp_rule_turns *make_turns(struct dp_compile *c, unsigned backends_n) {
    size_t bytes =
        (backends_n * sizeof(int64_t) + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
    struct dp_rule_turns *turns = gw_arena_alloc(c->arena, c->workers * sizeof(*turns));
    char *memory = gw_arena_zalloc(c->arena, c->workers * bytes + CACHE_LINE_BYTES);
    memory += (size_t)(-(uintptr_t)memory) % CACHE_LINE_BYTES;
    for (unsigned i = 0; i < c->workers; i++)
        turns[i].current = (int64_t *)(void *)(memory + i * bytes);
    return turns;
}

static enum gw_rc compile_rule_backend(struct dp_compile *c, const json_t *spec, bool is_llm,
                                       struct dp_rule_backend *b, struct gw_err *err) {
    struct gw_str name = gw_json_str(spec, "backend");
    b->weight = (unsigned)gw_json_int(spec, "weight", 1);
    b->backend = name.ptr ? gw_map_get(&c->backends, name) : NULL;
    b->invalid = (struct gw_str){NULL, 0};
    if (!b->backend)
        b->invalid =
            name.ptr ? GW_STR(NOT_COMPILED) : gw_arena_dup(c->arena, gw_json_str(spec, "invalid"));
    return compile_filters(c, gw_json_get(spec, "filters"), is_llm, &b->filters, err);
}

static enum gw_rc compile_backends(struct dp_compile *c, const json_t *list, struct dp_rule *r,
                                   struct gw_err *err) {
    size_t n = json_array_size(list), llm_n = 0, service_n = 0;
    if (n > DP_RULE_BACKENDS_MAX)
        return gw_err_set(err, GW_ERR_LIMIT, 0, "backends: over %d", DP_RULE_BACKENDS_MAX);
    struct dp_rule_backend *backends = gw_arena_alloc(c->arena, (n + 1) * sizeof(*backends));
    for (size_t i = 0; i < n; i++) {
        if (compile_rule_backend(c, json_array_get(list, i), r->is_llm, &backends[i], err) != GW_OK)
            return gw_err_wrap(err, "backends[%zu]", i);
        r->answers_preflights |= answers_preflights(&backends[i].filters);
        r->weight_sum += backends[i].weight;
        if (backends[i].backend && backends[i].backend->llm) llm_n++;
        if (backends[i].backend && backends[i].backend->endpoints) service_n++;
    }
    if (r->is_llm ? service_n : llm_n)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "backends: a rule of %s has a backend of the other type",
                          r->is_llm ? "LLMBackends" : "Services");
    r->backends = backends;
    r->backends_n = (unsigned)n;
    if (n > 1) r->turns = make_turns(c, r->backends_n);
    return GW_OK;
}

enum gw_rc dp_compile_rule(struct dp_compile *c, struct gw_str name, const json_t *body,
                           struct dp_rule_build *ret, struct gw_err *err) {
    struct dp_rule *r = gw_arena_zalloc(c->arena, sizeof(*r));
    const json_t *timeouts = gw_json_get(body, "timeouts");
    r->is_llm = gw_json_bool(body, "llm", false);
    r->name = gw_arena_dup(c->arena, name);
    r->route = gw_arena_dup(c->arena, gw_json_str(body, "route"));
    r->index = (unsigned)gw_json_int(body, "index", 0);
    r->request_ms = gw_json_int(timeouts, "request_ms", -1);
    r->backend_ms = gw_json_int(timeouts, "backend_ms", -1);
    GW_TRY(compile_filters(c, gw_json_get(body, "filters"), r->is_llm, &r->filters, err));
    r->answers_preflights = answers_preflights(&r->filters);
    GW_TRY(compile_backends(c, gw_json_get(body, "backends"), r, err));
    *ret = (struct dp_rule_build){r, gw_json_str(body, "age"), body};
    return GW_OK;
}

// --- matches ------------------------------------------------------------------------------------

static const struct dp_match_pair *compile_pairs(struct dp_compile *c, const json_t *list,
                                                 unsigned *ret_n) {
    size_t n = json_array_size(list);
    struct dp_match_pair *pairs = gw_arena_alloc(c->arena, (n + 1) * sizeof(*pairs));
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);
        pairs[i].name = gw_arena_dup(c->arena, gw_json_str(one, "name"));
        pairs[i].value = gw_arena_dup(c->arena, gw_json_str(one, "value"));
    }
    *ret_n = (unsigned)n;
    return pairs;
}

static void compile_matches(struct dp_compile *c, const json_t *list, struct dp_rule *r) {
    size_t n = json_array_size(list);
    struct dp_rule_match *matches = gw_arena_zalloc(c->arena, (n + 1) * sizeof(*matches));
    for (size_t i = 0; i < n; i++) {
        const json_t *spec = json_array_get(list, i), *path = gw_json_get(spec, "path");
        bool is_exact = gw_str_eq(gw_json_str(path, "type"), GW_STR("Exact"));
        struct dp_match *m = &matches[i].match;
        matches[i].rule = r;
        matches[i].index = (unsigned)i;
        m->path_type = is_exact ? DP_PATH_EXACT : DP_PATH_PREFIX;
        m->path = gw_arena_dup(c->arena, gw_json_str(path, "value"));
        m->method = gw_arena_dup(c->arena, gw_json_str(spec, "method"));
        m->headers = compile_pairs(c, gw_json_get(spec, "headers"), &m->headers_n);
        m->query = compile_pairs(c, gw_json_get(spec, "query"), &m->query_n);
    }
    r->matches = matches;
    r->matches_n = (unsigned)n;
}

// --- attaching ----------------------------------------------------------------------------------

static void register_series(struct dp_rule_series *s, struct gw_str gateway, struct gw_str route,
                            const char *index) {
    static const char *const codes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (size_t i = 0; i < GW_ARRAY_LEN(codes); i++) {
        const struct gw_str labels[] = {gateway, route, gw_str_of(index), gw_str_of(codes[i])};
        s->requests[i] = gw_metric_series(&dp_metric_requests, labels);
    }
    const struct gw_str labels[] = {route, gw_str_of(index)};
    s->latency = gw_metric_series(&dp_metric_request_seconds, labels);
}

// The series of a rule are the same ones for ever, so that one look-up finds all of them. (Rules
// are compiled again at every change of any resource.)
static struct dp_rule_series series_of(const struct dp_rule *r, struct gw_str gateway) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct gw_map known; // by lock; values struct dp_rule_series *, never freed
    struct dp_rule_series found, *s;
    struct gw_text key = {0};
    char index[12];
    snprintf(index, sizeof(index), "%u", r->index);
    gw_text_add(&key, gateway.ptr, gateway.len);
    gw_text_adds(&key, " ");
    gw_text_add(&key, r->route.ptr, r->route.len);
    gw_text_adds(&key, " ");
    gw_text_adds(&key, index);
    pthread_mutex_lock(&lock);
    s = gw_map_get(&known, gw_text_str(&key));
    if (s) {
        found = *s;
    } else {
        register_series(&found, gateway, r->route, index);
        if (known.len < KNOWN_RULES_MAX) {
            s = gw_alloc(sizeof(*s));
            *s = found;
            gw_map_put(&known, gw_text_str(&key), s);
        }
    }
    pthread_mutex_unlock(&lock);
    gw_text_fini(&key);
    return found;
}

static void add_to_router(struct dp_compile *c, const struct dp_listener_build *l,
                          const json_t *hostnames, const struct dp_rule *r) {
    size_t n = json_array_size(hostnames);
    for (size_t h = 0; h < (n ? n : 1); h++) {
        struct gw_str hostname = GW_STR("");
        if (n) hostname = gw_arena_dup(c->arena, gw_json_str_of(json_array_get(hostnames, h)));
        for (unsigned i = 0; i < r->matches_n; i++)
            dp_router_add(l->router, hostname, &r->matches[i].match, &r->matches[i]);
    }
}

void dp_compile_attach(struct dp_compile *c, const struct dp_rule_build *b) {
    const json_t *attach = gw_json_get(b->body, "attach");
    bool is_registered = false;
    compile_matches(c, gw_json_get(b->body, "matches"), b->rule);
    for (size_t i = 0; i < json_array_size(attach); i++) {
        const json_t *one = json_array_get(attach, i);
        // A listener that is gone takes the rule out of its traffic and is no mistake of the rule.
        const struct dp_listener_build *l = gw_map_get(&c->listeners, gw_json_str(one, "listener"));
        if (!l) continue;
        if (!is_registered) b->rule->series = series_of(b->rule, l->listener->gateway);
        is_registered = true;
        add_to_router(c, l, gw_json_get(one, "hostnames"), b->rule);
    }
}
