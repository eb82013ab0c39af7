// SPDX-License-Identifier: Apache-2.0
// Cases: read, and run in several ways.
#include "test/golden/golden.h"

#include <stdio.h>

// --- reading -----------------------------------------------------------------------------------

static void read_texts(json_t *from, struct gw_map *to) {
    const char *key;
    json_t *v;
    json_object_foreach(from, key, v) {
        free(gw_map_put(to, gw_str_of(key), gw_strdup(json_string_value(v))));
    }
}

static void read_step(json_t *doc, struct golden_step *ret) {
    ret->title = gw_json_str(doc, "step");
    const json_t *del = gw_json_get(doc, "delete");
    for (size_t i = 0; i < json_array_size(del); i++)
        GW_VEC_PUSH(&ret->del, gw_json_str_of(json_array_get(del, i)));
}

// A refused one is no object: that it is missing, and why, is part of what the case shows.
static void read_object(const struct gw_yaml_doc *doc, struct golden_object *ret,
                        struct gw_text *refusals) {
    struct gw_schema_problem problem;
    struct gw_err *err = &problem.err;
    ret->kind =
        ctl_res_find(gw_json_str(doc->root, "apiVersion"), gw_json_str(doc->root, "kind"), err);
    if (!ret->kind || ctl_res_check(ret->kind, doc->root, &problem) != GW_OK) {
        gw_text_addf(refusals, "# refused: " GW_STR_FMT " " GW_STR_FMT ": %s\n",
                     GW_STR_ARG(gw_json_str(doc->root, "kind")),
                     GW_STR_ARG(gw_json_str(gw_json_get(doc->root, "metadata"), "name")),
                     err->text);
        return;
    }
    ctl_res_settle(ret->kind, doc->root);
    ret->json = doc->root;
    struct gw_str created = gw_json_str(gw_json_get(doc->root, "metadata"), "creationTimestamp");
    snprintf(ret->age, sizeof(ret->age), GW_STR_FMT "%s%03u",
             (int)(created.len < 40 ? created.len : 40), created.ptr ? created.ptr : "",
             created.len ? " " : "", doc->index);
}

// The generation that the n-th version of an object gets.
static int64_t count_generation(const struct golden_case *c, const struct golden_object *o) {
    int64_t n = 1;
    struct gw_str name = gw_json_str_of(gw_json_path(o->json, "metadata.name"));
    struct gw_str ns = gw_json_str_of(gw_json_path(o->json, "metadata.namespace"));
    for (size_t s = 0; s < c->steps.len; s++) {
        for (size_t i = 0; i < c->steps.ptr[s].put.len; i++) {
            const struct golden_object *p = &c->steps.ptr[s].put.ptr[i];
            n += p->kind == o->kind &&
                 gw_str_eq(name, gw_json_str_of(gw_json_path(p->json, "metadata.name"))) &&
                 gw_str_eq(ns, gw_json_str_of(gw_json_path(p->json, "metadata.namespace")));
        }
    }
    return n;
}

enum gw_rc golden_case_read(struct gw_str text, const char *name, struct golden_case *ret,
                            struct gw_err *err) {
    GW_TRY(gw_yaml_parse(text, name, &ret->yaml, err));
    struct golden_step step = {0};
    GW_VEC_PUSH(&ret->steps, step);
    for (size_t i = 0; i < ret->yaml.len; i++) {
        const struct gw_yaml_doc *doc = &ret->yaml.docs[i];
        json_t *options = gw_json_get(doc->root, "options");
        struct golden_object o = {0};
        if (options) {
            read_texts(gw_json_get(options, "endpoints"), &ret->endpoints);
            read_texts(gw_json_get(options, "env"), &ret->env);
        } else if (gw_json_get(doc->root, "step")) {
            struct golden_step next = {0};
            read_step(doc->root, &next);
            GW_VEC_PUSH(&ret->steps, next);
        } else {
            read_object(doc, &o, &ret->refusals);
            if (!o.json) continue;
            o.generation = count_generation(ret, &o);
            GW_VEC_PUSH(&ret->steps.ptr[ret->steps.len - 1].put, o);
        }
    }
    return GW_OK;
}

void golden_case_fini(struct golden_case *c) {
    for (size_t i = 0; i < c->steps.len; i++) {
        GW_VEC_FINI(&c->steps.ptr[i].put);
        GW_VEC_FINI(&c->steps.ptr[i].del);
    }
    GW_VEC_FINI(&c->steps);
    gw_map_fini(&c->endpoints, free);
    gw_map_fini(&c->env, free);
    gw_text_fini(&c->refusals);
    gw_yaml_fini(&c->yaml);
}

// --- running -----------------------------------------------------------------------------------

struct run {
    struct ctl_store *store;
    struct ctl_translator *translator;
    struct golden_state state;
    bool began;
};

static const char *env_of(void *arg, const char *name) {
    return gw_map_get(arg, gw_str_of(name));
}

static void run_init(struct run *r, const struct golden_case *c) {
    *r = (struct run){.store = ctl_store_new()};
    r->translator = ctl_translator_new(&(struct ctl_translate_opts){
        .endpoints = &c->endpoints,
        .getenv = env_of,
        .getenv_arg = (void *)(uintptr_t)&c->env,
    });
}

static void run_fini(struct run *r) {
    ctl_translator_free(r->translator);
    ctl_store_free(r->store);
    golden_state_fini(&r->state);
}

static enum gw_rc translate(struct run *r, struct gw_text *out, struct gw_err *err) {
    size_t n;
    struct ctl_ref *dirty = ctl_store_take_dirty(r->store, &n);
    struct ctl_translate_result result = {0};
    ctl_translate(r->translator, r->store, r->began ? dirty : NULL, r->began ? n : 0, !r->began,
                  &result);
    r->began = true;
    enum gw_rc rc = golden_state_apply(&r->state, &result, out, err);
    ctl_translate_result_fini(&result);
    ctl_refs_free(dirty, n);
    return rc;
}

static void put(struct run *r, const struct golden_object *o) {
    ctl_store_put(r->store, o->kind, o->json, o->generation, gw_str_of(o->age), GW_STR(""));
}

static enum gw_rc del(struct run *r, struct gw_str what, struct gw_err *err) {
    struct gw_str rest = what, kind = gw_str_cut(&rest, '/'), ns = {"", 0};
    const struct ctl_res_kind *k = ctl_res_by_word(kind);
    if (k && k->namespaced) ns = gw_str_cut(&rest, '/');
    if (!k || !ctl_store_del(r->store, k, ns, rest))
        return gw_err_set(err, GW_ERR_INPUT, 0, "there is no '" GW_STR_FMT "' to delete",
                          GW_STR_ARG(what));
    return GW_OK;
}

static enum gw_rc take_step(struct run *r, const struct golden_step *s, struct gw_err *err) {
    for (size_t i = 0; i < s->del.len; i++)
        GW_TRY(del(r, s->del.ptr[i], err));
    for (size_t i = 0; i < s->put.len; i++)
        put(r, &s->put.ptr[i]);
    return GW_OK;
}

static enum gw_rc run_steps(struct run *r, const struct golden_case *c, struct gw_text *out,
                            struct gw_err *err) {
    gw_text_adds(out, "# Written by golden --write; per step, what differs from the one before.\n");
    if (c->refusals.len) gw_text_adds(out, c->refusals.ptr);
    for (size_t i = 0; i < c->steps.len; i++) {
        const struct golden_step *s = &c->steps.ptr[i];
        if (s->title.ptr) gw_text_addf(out, "---\n# " GW_STR_FMT "\n", GW_STR_ARG(s->title));
        GW_TRY(take_step(r, s, err));
        GW_TRY(translate(r, out, err));
    }
    return GW_OK;
}

enum gw_rc golden_run(const struct golden_case *c, struct gw_text *out, struct gw_err *err) {
    struct run r;
    run_init(&r, c);
    enum gw_rc rc = run_steps(&r, c, out, err);
    run_fini(&r);
    return rc;
}

// --- other orders ------------------------------------------------------------------------------

// A permutation of n numbers that the seed decides.
static size_t *permutation(size_t n, unsigned seed) {
    size_t *order = gw_alloc((n + 1) * sizeof(*order));
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        seed = seed * 1103515245u + 12345u;
        size_t k = (seed >> 16) % i, kept = order[i - 1];
        order[i - 1] = order[k];
        order[k] = kept;
    }
    return order;
}

static enum gw_rc take_step_shuffled(struct run *r, const struct golden_step *s, unsigned seed,
                                     bool one_by_one, struct gw_err *err) {
    size_t *order = permutation(s->put.len, seed);
    enum gw_rc rc = GW_OK;
    for (size_t i = 0; rc == GW_OK && i < s->del.len; i++) {
        rc = del(r, s->del.ptr[i], err);
        if (rc == GW_OK && one_by_one) rc = translate(r, NULL, err);
    }
    for (size_t i = 0; rc == GW_OK && i < s->put.len; i++) {
        put(r, &s->put.ptr[order[i]]);
        if (one_by_one) rc = translate(r, NULL, err);
    }
    free(order);
    return rc == GW_OK ? translate(r, NULL, err) : rc;
}

// A fresh translator, all at once, is what every other way is measured by.
static enum gw_rc compare_with_fresh(struct run *r, const struct golden_case *c, const char *how,
                                     struct gw_err *err) {
    struct run fresh;
    run_init(&fresh, c);
    ctl_store_free(fresh.store);
    fresh.store = r->store;
    GW_CLEANUP(gw_text_fini) struct gw_text want = {0};
    GW_CLEANUP(gw_text_fini) struct gw_text got = {0};
    enum gw_rc rc = translate(&fresh, NULL, err);
    golden_state_print(&fresh.state, &want);
    golden_state_print(&r->state, &got);
    fresh.store = NULL;
    run_fini(&fresh);
    GW_TRY(rc);
    if (gw_str_eq(gw_text_str(&want), gw_text_str(&got))) return GW_OK;
    size_t at = 0, line = 0;
    while (at < want.len && at < got.len && want.ptr[at] == got.ptr[at]) {
        if (want.ptr[at] == '\n') line = at + 1;
        at++;
    }
    return gw_err_set(err, GW_ERR_INTERNAL, 0, "%s yields\n  %.200s\n  instead of\n  %.200s", how,
                      line < got.len ? got.ptr + line : "(end)",
                      line < want.len ? want.ptr + line : "(end)");
}

// Everything that was made goes with the objects.
static enum gw_rc remove_all(struct run *r, const struct golden_case *c, unsigned seed,
                             struct gw_err *err) {
    for (size_t s = 0; s < c->steps.len; s++) {
        const struct golden_step *step = &c->steps.ptr[s];
        size_t *order = permutation(step->put.len, seed + 7);
        enum gw_rc rc = GW_OK;
        for (size_t i = 0; rc == GW_OK && i < step->put.len; i++) {
            const struct golden_object *o = &step->put.ptr[order[i]];
            ctl_store_del(r->store, o->kind,
                          gw_json_str_of(gw_json_path(o->json, "metadata.namespace")),
                          gw_json_str_of(gw_json_path(o->json, "metadata.name")));
            rc = translate(r, NULL, err);
            if (rc == GW_OK) rc = compare_with_fresh(r, c, "removing one by one", err);
        }
        free(order);
        GW_TRY(rc);
    }
    if (r->state.resources.len == 0 && r->state.reports.len == 0) return GW_OK;
    return gw_err_set(err, GW_ERR_INTERNAL, 0, "%zu resources and %zu reports stay without objects",
                      r->state.resources.len, r->state.reports.len);
}

enum gw_rc golden_run_shuffled(const struct golden_case *c, unsigned seed, bool one_by_one,
                               struct gw_err *err) {
    struct run r;
    run_init(&r, c);
    // The first run takes all; with an empty store it makes the later ones incremental.
    enum gw_rc rc = one_by_one ? translate(&r, NULL, err) : GW_OK;
    for (size_t i = 0; rc == GW_OK && i < c->steps.len; i++) {
        rc = take_step_shuffled(&r, &c->steps.ptr[i], seed, one_by_one, err);
        if (rc == GW_OK)
            rc = compare_with_fresh(&r, c, one_by_one ? "object by object" : "another order", err);
    }
    if (rc == GW_OK) rc = remove_all(&r, c, seed, err);
    run_fini(&r);
    return rc;
}
