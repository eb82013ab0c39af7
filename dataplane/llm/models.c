// SPDX-License-Identifier: Apache-2.0
// GET /v1/models: what the caller may name. Globs are no names, so a backend that takes anything
// lists its default and its aliases alone.
#include "dataplane/llm/call.h"

static void add_one(struct gw_text *out, struct gw_str id, const struct dp_backend *b) {
    gw_text_adds(out, "{\"id\":\"");
    gw_text_add_json(out, id);
    gw_text_adds(out, "\",\"object\":\"model\",\"created\":0,\"owned_by\":\"");
    gw_text_adds(out, b->llm->provider->id);
    gw_text_adds(out, "\"}");
}

typedef bool (*name_fn)(void *arg, struct gw_str id, const struct dp_backend *b);

// Calls fn for every name once; stops where it returns false.
static void each_name(const struct dp_rule *rule, name_fn fn, void *arg) {
    for (unsigned i = 0; i < rule->backends_n; i++) {
        const struct dp_backend *b = rule->backends[i].backend;
        if (!b || rule->backends[i].weight == 0) continue;
        const struct dp_backend_llm *l = b->llm;
        for (unsigned k = 0; k < l->allow_n; k++)
            if (gw_str_find(l->allow[k], '*') < 0 && !fn(arg, l->allow[k], b)) return;
        for (unsigned k = 0; k < l->aliases_n; k++)
            if (!fn(arg, l->aliases[k].from, b)) return;
        if (l->model_default.len && !fn(arg, l->model_default, b)) return;
    }
}

#define NAMES_MAX 1024 // listed at most

struct listing {
    struct gw_text *out;
    struct gw_str seen[NAMES_MAX];
    unsigned n;
};

static bool list_one(void *arg, struct gw_str id, const struct dp_backend *b) {
    struct listing *l = arg;
    for (unsigned i = 0; i < l->n; i++)
        if (gw_str_eq(l->seen[i], id)) return true;
    if (l->n) gw_text_adds(l->out, ",");
    l->seen[l->n++] = id;
    add_one(l->out, id, b);
    return l->n < NAMES_MAX;
}

struct search {
    struct gw_str id;
    const struct dp_backend *found;
};

static bool find_one(void *arg, struct gw_str id, const struct dp_backend *b) {
    struct search *s = arg;
    if (gw_str_eq(id, s->id)) s->found = b;
    return !s->found;
}

enum gw_rc dp_llm_models(const struct dp_rule *rule, struct gw_str id, struct gw_text *out,
                         struct gw_err *err) {
    if (id.len) {
        struct search s = {.id = id};
        each_name(rule, find_one, &s);
        if (!s.found)
            return gw_err_set(err, GW_ERR_INPUT, 404,
                              "the model '" GW_STR_FMT "' does not exist here",
                              (int)(id.len < 200 ? id.len : 200), id.ptr);
        add_one(out, id, s.found);
        return GW_OK;
    }
    struct listing l = {.out = out};
    gw_text_adds(out, "{\"object\":\"list\",\"data\":[");
    each_name(rule, list_one, &l);
    gw_text_adds(out, "]}");
    return GW_OK;
}
