// SPDX-License-Identifier: Apache-2.0
// Reports: built, compared with the last one, copied into the result where they differ.
#include "controller/translate/tr.h"

#include <stdio.h>

struct ctl_status_report *tr_report_new(const struct ctl_res_kind *kind, struct gw_str ns,
                                        struct gw_str name, int64_t generation) {
    struct ctl_status_report *r = gw_alloc(sizeof(*r));
    r->kind = kind;
    r->ns = gw_strndup(ns.ptr, ns.len);
    r->name = gw_strndup(name.ptr, name.len);
    r->generation = generation;
    return r;
}

struct ctl_status_part *tr_report_part(struct ctl_status_report *r) {
    r->parts = gw_realloc(r->parts, (r->parts_n + 1) * sizeof(*r->parts));
    r->parts[r->parts_n] = (struct ctl_status_part){0};
    return &r->parts[r->parts_n++];
}

void tr_condition(struct ctl_status_part *p, const char *type, bool status, const char *reason,
                  const char *fmt, ...) {
    GW_ASSERT(p->conditions_n < GW_ARRAY_LEN(p->conditions));
    va_list ap;
    char *message = NULL;
    va_start(ap, fmt);
    if (vasprintf(&message, fmt, ap) < 0) message = gw_strdup("");
    va_end(ap);
    p->conditions[p->conditions_n++] = (struct ctl_condition){type, status, reason, message};
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void tr_programmed(struct ctl_status_part *p, bool programmable, char *const *resources, size_t n) {
    p->wants_programmed = true;
    p->programmable = programmable;
    p->resources = gw_alloc((n + 1) * sizeof(*p->resources));
    p->resources_n = n;
    for (size_t i = 0; i < n; i++)
        p->resources[i] = gw_strdup(resources[i]);
    if (n) qsort(p->resources, n, sizeof(*p->resources), compare_names);
}

void tr_carried_by(struct ctl_status_part *p, const char *listener) {
    p->carriers = gw_realloc(p->carriers, (p->carriers_n + 1) * sizeof(*p->carriers));
    p->carriers[p->carriers_n++] = gw_strdup(listener);
    qsort(p->carriers, p->carriers_n, sizeof(*p->carriers), compare_names);
}

// --- end ---------------------------------------------------------------------------------------

static void names_free(char **names, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

static void part_fini(struct ctl_status_part *p) {
    json_decref(p->parent);
    json_decref(p->supported_kinds);
    free(p->listener);
    for (size_t i = 0; i < p->conditions_n; i++)
        free(p->conditions[i].message);
    names_free(p->resources, p->resources_n);
    names_free(p->carriers, p->carriers_n);
}

void ctl_status_report_fini(struct ctl_status_report *r) {
    for (size_t i = 0; i < r->parts_n; i++)
        part_fini(&r->parts[i]);
    free(r->parts);
    free(r->ns);
    free(r->name);
    json_decref(r->extra);
    *r = (struct ctl_status_report){0};
}

void tr_report_free(struct ctl_status_report *r) {
    if (!r) return;
    ctl_status_report_fini(r);
    free(r);
}

// --- comparing and copying ---------------------------------------------------------------------

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_json(const json_t *a, const json_t *b) {
    return a == b || json_equal(a, b);
}

static bool same_names(char *const *a, size_t a_n, char *const *b, size_t b_n) {
    if (a_n != b_n) return false;
    for (size_t i = 0; i < a_n; i++)
        if (!same_text(a[i], b[i])) return false;
    return true;
}

static bool same_part(const struct ctl_status_part *a, const struct ctl_status_part *b) {
    if (!same_json(a->parent, b->parent) || !same_text(a->listener, b->listener) ||
        a->attached_routes != b->attached_routes ||
        !same_json(a->supported_kinds, b->supported_kinds) || a->conditions_n != b->conditions_n ||
        a->wants_programmed != b->wants_programmed || a->programmable != b->programmable ||
        !same_names(a->resources, a->resources_n, b->resources, b->resources_n) ||
        !same_names(a->carriers, a->carriers_n, b->carriers, b->carriers_n))
        return false;
    for (size_t i = 0; i < a->conditions_n; i++) {
        const struct ctl_condition *x = &a->conditions[i], *y = &b->conditions[i];
        if (!same_text(x->type, y->type) || x->status != y->status ||
            !same_text(x->reason, y->reason) || !same_text(x->message, y->message))
            return false;
    }
    return true;
}

static bool same_report(const struct ctl_status_report *a, const struct ctl_status_report *b) {
    if (!a || !b) return a == b;
    if (a->generation != b->generation || a->parts_n != b->parts_n ||
        !same_json(a->extra, b->extra))
        return false;
    for (size_t i = 0; i < a->parts_n; i++)
        if (!same_part(&a->parts[i], &b->parts[i])) return false;
    return true;
}

static char **copy_names(char *const *names, size_t n) {
    char **copy = n ? gw_alloc(n * sizeof(*copy)) : NULL;
    for (size_t i = 0; i < n; i++)
        copy[i] = gw_strdup(names[i]);
    return copy;
}

static void copy_part(struct ctl_status_part *to, const struct ctl_status_part *from) {
    *to = *from;
    to->parent = json_incref(from->parent);
    to->supported_kinds = json_incref(from->supported_kinds);
    to->listener = from->listener ? gw_strdup(from->listener) : NULL;
    for (size_t i = 0; i < from->conditions_n; i++)
        to->conditions[i].message = gw_strdup(from->conditions[i].message);
    to->resources = copy_names(from->resources, from->resources_n);
    to->carriers = copy_names(from->carriers, from->carriers_n);
}

void tr_report_set(struct ctl_translator *t, struct ctl_status_report **last,
                   const struct ctl_res_kind *kind, struct gw_str ns, struct gw_str name,
                   struct ctl_status_report *next) {
    if (next && next->parts_n == 0) {
        tr_report_free(next);
        next = NULL;
    }
    if (same_report(*last, next)) {
        tr_report_free(next);
        return;
    }
    struct ctl_status_report copy = {
        .kind = kind,
        .ns = gw_strndup(ns.ptr, ns.len),
        .name = gw_strndup(name.ptr, name.len),
        .generation = next ? next->generation : 0,
        .parts_n = next ? next->parts_n : 0,
        .extra = next ? json_incref(next->extra) : NULL,
    };
    if (next) copy.parts = gw_alloc(next->parts_n * sizeof(*copy.parts));
    for (size_t i = 0; i < copy.parts_n; i++)
        copy_part(&copy.parts[i], &next->parts[i]);
    GW_VEC_PUSH(&t->reports, copy);
    tr_report_free(*last);
    *last = next;
}
