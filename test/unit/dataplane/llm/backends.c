// SPDX-License-Identifier: Apache-2.0
// See backends.h.
#include "test/unit/dataplane/llm/backends.h"

static const struct gw_provider provider = {
    .id = "test",
    .dialect = "chat",
    .auth_header = "authorization",
    .auth_prefix = "Bearer ",
};

static unsigned split_allow(const char *text, struct gw_str *to) {
    struct gw_str rest = gw_str_of(text);
    unsigned n = 0;
    while (rest.len && n < TEST_NAMES_MAX)
        to[n++] = gw_str_cut(&rest, ',');
    return n;
}

static unsigned split_aliases(const char *text, struct dp_llm_alias *to) {
    struct gw_str rest = gw_str_of(text);
    unsigned n = 0;
    while (rest.len && n < TEST_NAMES_MAX) {
        struct gw_str one = gw_str_cut(&rest, ',');
        to[n].from = gw_str_cut(&one, '=');
        to[n++].to = one;
    }
    return n;
}

void test_rule_make(struct test_rule *r, const struct test_backend *list, unsigned n) {
    *r = (struct test_rule){.rule = {.is_llm = true, .backends = r->refs}};
    for (unsigned i = 0; i < n; i++) {
        const struct test_backend *from = &list[i];
        if (!from->name && !from->weight) break;
        r->rule.backends_n++;
        r->rule.weight_sum += from->weight;
        r->refs[i].weight = from->weight;
        if (!from->name) {
            r->refs[i].invalid = GW_STR("it is missing");
            continue;
        }
        struct dp_backend_llm *l = &r->llm[i];
        l->provider = &provider;
        l->dialect = dp_llm_dialects[0];
        l->authority = GW_STR("api.example.com");
        l->base_path = GW_STR("/v1");
        l->model_default = gw_str_of(from->fallback);
        l->allow_given = from->allow != NULL;
        l->allow = r->allow[i];
        l->allow_n = split_allow(from->allow, r->allow[i]);
        l->aliases = r->aliases[i];
        l->aliases_n = split_aliases(from->aliases, r->aliases[i]);
        r->backends[i] = (struct dp_backend){
            .name = gw_str_of(from->name), .label = gw_str_of(from->name), .llm = l};
        r->refs[i].backend = &r->backends[i];
    }
}

void test_call_init(struct test_call *t) {
    *t = (struct test_call){0};
    t->call = dp_llm_call_new(&t->arena, dp_llm_dialects[0]);
}

void test_call_fini(struct test_call *t) {
    dp_llm_call_fini(t->call);
    gw_arena_fini(&t->arena);
}

enum gw_rc test_call_plan(struct test_call *t, const struct dp_rule *rule,
                          const struct gw_str *pieces, size_t n, uint64_t random) {
    t->code = "not planned";
    for (size_t i = 0; i < n; i++)
        GW_TRY(dp_llm_call_scan(t->call, pieces[i], &t->err));
    return dp_llm_call_plan(t->call, rule, random, &t->backend, &t->code, &t->err);
}

enum gw_rc test_call_ready(struct test_call *t, const struct dp_rule *rule, const char *body) {
    struct gw_str piece = gw_str_of(body);
    test_call_init(t);
    return test_call_plan(t, rule, &piece, 1, 0);
}

void test_buf_text(const struct gw_buf *b, struct gw_text *ret) {
    for (const struct gw_buf_node *n = b->head; n; n = n->next)
        gw_text_add(ret, n->slice.ptr, n->slice.len);
}
