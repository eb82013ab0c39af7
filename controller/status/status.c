// SPDX-License-Identifier: Apache-2.0
// See status.h. A status is computed anew from the report and from what data planes said, compared
// with the one that is there, and replaced only where it differs.
#include "controller/status/status.h"

#include <stdio.h>
#include <stdlib.h>

struct entry {
    struct ctl_status_report report; // owned
    json_t *status;                  // NULL: none written yet
    bool is_new;                     // the report came after the status was computed
    uint64_t said;                   // what data planes said when it was (hash)
};

struct ctl_status {
    const struct ctl_publish *publish;
    struct gw_map entries; // "Kind/ns/name" -> struct entry *
};

// --- ownership of reports ----------------------------------------------------------------------

static void free_report(struct ctl_status_report *r) {
    for (size_t i = 0; i < r->parts_n; i++) {
        struct ctl_status_part *p = &r->parts[i];
        for (size_t k = 0; k < p->conditions_n; k++)
            free(p->conditions[k].message);
        for (size_t k = 0; k < p->resources_n; k++)
            free(p->resources[k]);
        free(p->resources);
        free(p->listener);
        json_decref(p->parent);
        json_decref(p->supported_kinds);
    }
    free(r->parts);
    free(r->ns);
    free(r->name);
    json_decref(r->extra);
}

static void free_entry(void *value) {
    struct entry *e = value;
    free_report(&e->report);
    json_decref(e->status);
    free(e);
}

struct ctl_status *ctl_status_new(const struct ctl_publish *p) {
    struct ctl_status *s = gw_alloc(sizeof(*s));
    s->publish = p;
    return s;
}

void ctl_status_free(struct ctl_status *s) {
    if (!s) return;
    gw_map_fini(&s->entries, free_entry);
    free(s);
}

static void key_of(struct gw_text *key, const struct ctl_res_kind *kind, struct gw_str ns,
                   struct gw_str name) {
    gw_text_addf(key, "%s/" GW_STR_FMT "/" GW_STR_FMT, kind->name, GW_STR_ARG(ns),
                 GW_STR_ARG(name));
}

void ctl_status_put(struct ctl_status *s, struct ctl_translate_result *r) {
    for (size_t i = 0; i < r->reports_n; i++) {
        GW_CLEANUP(gw_text_fini) struct gw_text key = {0};
        struct ctl_status_report *report = &r->reports[i];
        key_of(&key, report->kind, gw_str_of(report->ns), gw_str_of(report->name));
        struct entry *e = gw_map_get(&s->entries, gw_text_str(&key));
        if (report->parts_n == 0) {
            if (e) free_entry(gw_map_del(&s->entries, gw_text_str(&key)));
            free_report(report);
            continue;
        }
        if (!e) {
            e = gw_alloc(sizeof(*e));
            gw_map_put(&s->entries, gw_text_str(&key), e);
        }
        free_report(&e->report);
        e->report = *report;
        e->is_new = true;
    }
    free(r->reports);
    r->reports = NULL;
    r->reports_n = 0;
}

// --- the words of Programmed -------------------------------------------------------------------

static void words(struct ctl_programmed_words *w, bool status, const char *reason) {
    w->status = status;
    w->reason = reason;
}

void ctl_status_programmed_words(bool is_gateway, bool programmable, enum ctl_programmed p,
                                 const char *refusal, unsigned connected, unsigned acked,
                                 struct ctl_programmed_words *ret) {
    char *m = ret->message;
    size_t cap = sizeof(ret->message);
    m[0] = 0;
    if (!programmable) {
        words(ret, false, "Invalid");
        snprintf(m, cap, "not valid: see the other conditions");
        return;
    }
    switch (p) {
    case CTL_PROGRAMMED_REFUSED:
        words(ret, false, "Invalid");
        snprintf(m, cap, "refused by a data plane: %.400s", refusal ? refusal : "no reason given");
        return;
    case CTL_PROGRAMMED_NONE:
        words(ret, false, "Pending");
        snprintf(m, cap,
                 connected ? "waiting for data planes to acknowledge"
                           : "no data plane is connected");
        return;
    case CTL_PROGRAMMED_PENDING:
        words(ret, false, "Pending");
        if (is_gateway)
            snprintf(m, cap, "%u of %u data planes", acked, connected);
        else
            snprintf(m, cap, "waiting for data planes to acknowledge");
        return;
    case CTL_PROGRAMMED_YES:
        words(ret, true, "Programmed");
        if (is_gateway && connected == 0)
            snprintf(m, cap, "no data plane is connected now; the last ones had acknowledged it");
        else if (is_gateway)
            snprintf(m, cap, "%u of %u data planes", acked, connected);
        else
            snprintf(m, cap, "acknowledged by the data planes");
        return;
    }
}

// --- one condition -----------------------------------------------------------------------------

static const json_t *find_condition(const json_t *list, const char *type) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (gw_str_eq(gw_json_str(json_array_get(list, i), "type"), gw_str_of(type)))
            return json_array_get(list, i);
    return NULL;
}

// A text that was cut may end within a character.
static json_t *text_json(const char *s) {
    size_t n = strlen(s);
    json_t *v = json_stringn(s, n);
    while (!v && n > 0)
        v = json_stringn(s, --n);
    return v;
}

// lastTransitionTime moves only with the status (old: the same condition before; may be NULL).
static void add_condition(json_t *list, const json_t *old, const char *type, bool status,
                          const char *reason, const char *message, int64_t generation,
                          const char *now) {
    const char *text = status ? "True" : "False";
    const json_t *before = find_condition(old, type);
    const char *since = now;
    if (before && gw_str_eq(gw_json_str(before, "status"), gw_str_of(text)))
        since = json_string_value(json_object_get(before, "lastTransitionTime"));
    json_array_append_new(list, json_pack("{sssssssosIss}", "type", type, "status", text, "reason",
                                          reason, "message", text_json(message),
                                          "observedGeneration", (json_int_t)generation,
                                          "lastTransitionTime", since ? since : now));
}

static json_t *conditions_of(const struct ctl_status *s, const struct ctl_status_report *r,
                             const struct ctl_status_part *p, const json_t *old, const char *now) {
    json_t *list = json_array();
    for (size_t i = 0; i < p->conditions_n; i++) {
        const struct ctl_condition *c = &p->conditions[i];
        add_condition(list, old, c->type, c->status, c->reason, c->message ? c->message : "",
                      r->generation, now);
    }
    if (!p->wants_programmed) return list;
    struct ctl_programmed_words w;
    const char *refusal;
    unsigned connected, acked;
    char name[512];
    bool is_gateway = r->kind == &ctl_res_gateway && !p->listener;
    snprintf(name, sizeof(name), "%s/%s", r->ns, r->name);
    ctl_publish_counts(s->publish, is_gateway ? name : NULL, &connected, &acked);
    enum ctl_programmed state =
        ctl_publish_programmed(s->publish, p->resources, p->resources_n, &refusal);
    ctl_status_programmed_words(is_gateway, p->programmable, state, refusal, connected, acked, &w);
    add_condition(list, old, "Programmed", w.status, w.reason, w.message, r->generation, now);
    return list;
}

// --- the shape of a status, by kind ------------------------------------------------------------

static const json_t *old_listener(const json_t *old, const char *name) {
    const json_t *list = gw_json_get(old, "listeners");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *l = json_array_get(list, i);
        if (gw_str_eq(gw_json_str(l, "name"), gw_str_of(name))) return gw_json_get(l, "conditions");
    }
    return NULL;
}

static json_t *gateway_status(const struct ctl_status *s, const struct ctl_status_report *r,
                              const json_t *old, const char *now) {
    char name[512];
    json_t *status = json_object(), *listeners = json_array();
    snprintf(name, sizeof(name), "%s/%s", r->ns, r->name);
    json_object_set_new(status, "addresses", ctl_publish_addresses(s->publish, name));
    for (size_t i = 0; i < r->parts_n; i++) {
        const struct ctl_status_part *p = &r->parts[i];
        if (!p->listener) {
            json_object_set_new(status, "conditions",
                                conditions_of(s, r, p, gw_json_get(old, "conditions"), now));
            continue;
        }
        json_t *kinds = p->supported_kinds ? json_incref(p->supported_kinds) : json_array();
        json_t *conditions = conditions_of(s, r, p, old_listener(old, p->listener), now);
        json_array_append_new(listeners, json_pack("{sssosiso}", "name", p->listener,
                                                   "supportedKinds", kinds, "attachedRoutes",
                                                   p->attached_routes, "conditions", conditions));
    }
    json_object_set_new(status, "listeners", listeners);
    return status;
}

// Lists of a status by parent or ancestor, which other controllers may share.
static json_t *listed_status(const struct ctl_status *s, const struct ctl_status_report *r,
                             const json_t *old, const char *now, const char *list_name,
                             const char *ref_name) {
    json_t *list = json_array();
    const json_t *old_list = gw_json_get(old, list_name);
    for (size_t i = 0; i < r->parts_n; i++) {
        const struct ctl_status_part *p = &r->parts[i];
        const json_t *before = NULL;
        for (size_t k = 0; k < json_array_size(old_list) && !before; k++) {
            const json_t *e = json_array_get(old_list, k);
            if (json_equal(gw_json_get(e, ref_name), p->parent))
                before = gw_json_get(e, "conditions");
        }
        json_t *conditions = conditions_of(s, r, p, before, now);
        json_array_append_new(list, json_pack("{sOssso}", ref_name, p->parent, "controllerName",
                                              CTL_CONTROLLER_NAME, "conditions", conditions));
    }
    json_t *status = json_object();
    json_object_set_new(status, list_name, list);
    return status;
}

static json_t *shape_of(const struct ctl_status *s, const struct entry *e, const char *now) {
    const struct ctl_status_report *r = &e->report;
    if (r->kind == &ctl_res_gateway) return gateway_status(s, r, e->status, now);
    if (r->kind == &ctl_res_http_route)
        return listed_status(s, r, e->status, now, "parents", "parentRef");
    if (r->parts[0].parent) return listed_status(s, r, e->status, now, "ancestors", "ancestorRef");
    return json_pack("{so}", "conditions",
                     conditions_of(s, r, &r->parts[0], gw_json_get(e->status, "conditions"), now));
}

static json_t *status_of(const struct ctl_status *s, const struct entry *e, const char *now) {
    json_t *status = shape_of(s, e, now);
    if (e->report.extra) json_object_update_missing(status, e->report.extra);
    return status;
}

// What data planes say of an entry's parts, as a hash: thousands of routes are not written out anew
// to find that nothing changed.
static uint64_t said_of(const struct ctl_status *s, const struct entry *e, bool any_connected) {
    uint64_t hash = any_connected; // all that a route's words tell of the number
    for (size_t i = 0; i < e->report.parts_n; i++) {
        const struct ctl_status_part *p = &e->report.parts[i];
        const char *refusal;
        if (!p->wants_programmed) continue;
        enum ctl_programmed state =
            ctl_publish_programmed(s->publish, p->resources, p->resources_n, &refusal);
        hash = gw_hash(&state, sizeof(state), hash);
        if (refusal) hash = gw_hash(refusal, strlen(refusal), hash);
    }
    return hash;
}

size_t ctl_status_refresh(struct ctl_status *s, const char *now) {
    size_t it = 0, written = 0;
    struct gw_str key;
    void *value;
    unsigned connected, acked;
    ctl_publish_counts(s->publish, NULL, &connected, &acked);
    while (gw_map_next(&s->entries, &it, &key, &value)) {
        struct entry *e = value;
        uint64_t said = said_of(s, e, connected > 0);
        // A Gateway's status counts data planes and lists their addresses.
        if (e->status && !e->is_new && said == e->said && e->report.kind != &ctl_res_gateway)
            continue;
        e->said = said;
        e->is_new = false;
        json_t *status = status_of(s, e, now);
        if (e->status && json_equal(e->status, status)) {
            json_decref(status);
            continue;
        }
        json_decref(e->status);
        e->status = status;
        written++;
    }
    return written;
}

const json_t *ctl_status_get(const struct ctl_status *s, const struct ctl_res_kind *kind,
                             struct gw_str ns, struct gw_str name) {
    GW_CLEANUP(gw_text_fini) struct gw_text key = {0};
    key_of(&key, kind, ns, name);
    const struct entry *e = gw_map_get(&s->entries, gw_text_str(&key));
    return e ? e->status : NULL;
}
