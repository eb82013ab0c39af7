// SPDX-License-Identifier: Apache-2.0
// See kube.h. Life, the moment at which every kind has settled, and what people and statuses see of
// it.
#include "controller/source/kube_impl.h"

#include <stdio.h>
#include <stdlib.h>

void kube_tell_trouble(struct ctl_kube_source *s, const char *what, const char *text) {
    struct ctl_source_event e = {.file = what, .is_trouble = true, .text = text};
    s->o.on_event(s->o.arg, &e);
}

void kube_tell_good(struct ctl_kube_source *s, const char *what, const char *text) {
    struct ctl_source_event e = {.file = what, .ok = true, .text = text};
    s->o.on_event(s->o.arg, &e);
}

void kube_check_synced(struct ctl_kube_source *s) {
    if (s->is_synced) return;
    for (size_t i = 0; i < s->kinds_n; i++)
        if (!s->kinds[i].is_settled) return;
    s->is_synced = true;
    s->o.on_synced(s->o.arg);
}

struct ctl_kube_source *ctl_kube_source_new(const struct ctl_kube_source_opts *o) {
    struct ctl_kube_source *s = gw_alloc(sizeof(*s));
    s->o = *o;
    if (!s->o.idle_ms) s->o.idle_ms = CTL_KUBE_IDLE_MS;
    while (ctl_res_kinds[s->kinds_n])
        s->kinds_n++;
    s->kinds = gw_alloc(s->kinds_n * sizeof(*s->kinds));
    for (size_t i = 0; i < s->kinds_n; i++)
        kube_kind_init(&s->kinds[i], s, ctl_res_kinds[i]);
    kube_crd_init(s);
    for (size_t i = 0; i < s->kinds_n; i++)
        kube_kind_consider(&s->kinds[i], false);
    return s;
}

void ctl_kube_source_free(struct ctl_kube_source *s) {
    if (!s) return;
    kube_crd_fini(s);
    for (size_t i = 0; i < s->kinds_n; i++)
        kube_kind_fini(&s->kinds[i]);
    free(s->kinds);
    free(s);
}

bool ctl_kube_source_is_synced(const struct ctl_kube_source *s) {
    return s->is_synced;
}

// --- refused objects -----------------------------------------------------------------------------

const struct ctl_refused **ctl_kube_source_refused(const struct ctl_kube_source *s, size_t *ret_n) {
    size_t n = 0;
    for (size_t i = 0; i < s->kinds_n; i++)
        n += s->kinds[i].refused.len;
    const struct ctl_refused **list = gw_alloc((n + 1) * sizeof(struct ctl_refused *));
    *ret_n = 0;
    for (size_t i = 0; i < s->kinds_n; i++) {
        const struct gw_map *map = &s->kinds[i].refused;
        if (!map->len) continue;
        struct gw_str *keys = gw_map_sorted_keys(map);
        for (size_t j = 0; j < map->len; j++)
            list[(*ret_n)++] = gw_map_get(map, keys[j]);
        free(keys);
    }
    return list;
}

const struct ctl_refused *ctl_kube_source_refused_get(const struct ctl_kube_source *s,
                                                      const struct ctl_res_kind *kind,
                                                      struct gw_str ns, struct gw_str name) {
    char bytes[KUBE_KEY_MAX];
    int n =
        snprintf(bytes, sizeof(bytes), GW_STR_FMT "/" GW_STR_FMT, GW_STR_ARG(ns), GW_STR_ARG(name));
    for (size_t i = 0; i < s->kinds_n; i++)
        if (s->kinds[i].kind == kind && n > 0 && (size_t)n < sizeof(bytes))
            return gw_map_get(&s->kinds[i].refused, (struct gw_str){bytes, (size_t)n});
    return NULL;
}

// --- for people ----------------------------------------------------------------------------------

static const char *state_name(enum kube_state state) {
    static const char *const names[] = {
        [KUBE_STARTING] = "starting",   [KUBE_SYNCED] = "followed", [KUBE_ABSENT] = "absent",
        [KUBE_FORBIDDEN] = "forbidden", [KUBE_FAILING] = "failing",
    };
    return names[state];
}

static json_t *text_or_null(const char *s) {
    json_t *v = s ? json_string(s) : NULL; // NULL, too, where it is not UTF-8
    return v ? v : json_null();
}

static json_t *dump_kind(const struct kube_kind *k) {
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:o}", "kind", k->kind->name, "group",
                     k->kind->group, "state", state_name(k->state), "version",
                     k->kind->versions[k->version], "resourceVersion", text_or_null(k->follow.rv),
                     "objects", (json_int_t)kube_object_count(k), "refused",
                     (json_int_t)k->refused.len, "problem", text_or_null(k->problem));
}

static json_t *dump_refused(const struct ctl_refused *r) {
    return json_pack("{s:s, s:s%, s:s%, s:I, s:o}", "kind", r->kind->name, "namespace", r->ns.ptr,
                     r->ns.len, "name", r->name.ptr, r->name.len, "generation",
                     (json_int_t)r->generation, "reason", text_or_null(r->reason));
}

json_t *ctl_kube_source_dump(const struct ctl_kube_source *s) {
    json_t *kinds = json_array(), *refused = json_array();
    size_t n;
    const struct ctl_refused **list = ctl_kube_source_refused(s, &n);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(refused, dump_refused(list[i]));
    free(list);
    for (size_t i = 0; i < s->kinds_n; i++)
        json_array_append_new(kinds, dump_kind(&s->kinds[i]));
    return json_pack("{s:b, s:o, s:o, s:o}", "synced", s->is_synced, "kinds", kinds, "refused",
                     refused, "crdProblem", text_or_null(s->crd_problem));
}

void ctl_kube_source_problems(const struct ctl_kube_source *s, struct gw_text *out) {
    for (size_t i = 0; i < s->kinds_n; i++) {
        const struct kube_kind *k = &s->kinds[i];
        if (k->problem)
            gw_text_addf(out, "%s: %s\n", k->kind->plural, k->problem);
        else if (!k->is_settled)
            gw_text_addf(out, "%s: not listed yet\n", k->kind->plural);
    }
    if (s->crd_problem) gw_text_addf(out, "customresourcedefinitions: %s\n", s->crd_problem);
}
