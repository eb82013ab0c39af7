// SPDX-License-Identifier: Apache-2.0
// See status.h. Of each object: its report, why a table refuses its newest form (which outweighs
// the report), and the status that follows. A status is shaped anew only where something of it
// changed.
#include "controller/status/status.h"

#include "controller/status/merge.h"
#include "controller/status/refusal.h"
#include "controller/status/users.h"
#include "shared/vec.h"

#include <stdio.h>
#include <stdlib.h>

struct entry {
    struct ctl_status_report report;  // owned; no parts: none
    struct ctl_status_report refusal; // owned; no parts: it is not refused
    char *refused_for;                // what was told of last
    json_t *wanted;                   // NULL: not shaped yet
    json_t *status;                   // with times; NULL: none yet
    struct ctl_user_names names;      // of resources that it speaks of, as they are listed
    bool is_new, is_pending;
    bool is_due;        // it is in the list of those that are looked at next
    bool is_marked;     // while refusals are gone through
    uint64_t said;      // what data planes said when it was shaped (hash)
    uint64_t blamed;    // the refusals of data planes that were told of (hash)
    unsigned connected; // a Gateway's data planes
};

struct ctl_status {
    struct ctl_status_opts o;
    struct gw_map entries;                // "Kind/ns/name" -> struct entry *
    struct ctl_users users;               // resource -> entries
    GW_VEC(struct entry *) due, gateways; // NULL in due: gone
    struct ctl_refusals refused;
    bool is_changed;  // reports came or went: what is refused is to be looked at again
    bool any_refused; // entries are, since the last look
};

// --- entries -----------------------------------------------------------------------------------

static void free_entry(void *value) {
    struct entry *e = value;
    ctl_status_report_fini(&e->report);
    ctl_status_report_fini(&e->refusal);
    ctl_user_names_fini(&e->names);
    free(e->refused_for);
    json_decref(e->wanted);
    json_decref(e->status);
    free(e);
}

struct ctl_status *ctl_status_new(const struct ctl_status_opts *o) {
    struct ctl_status *s = gw_alloc(sizeof(*s));
    s->o = *o;
    return s;
}

void ctl_status_free(struct ctl_status *s) {
    if (!s) return;
    gw_map_fini(&s->entries, free_entry);
    ctl_refusals_fini(&s->refused);
    ctl_users_fini(&s->users);
    GW_VEC_FINI(&s->due);
    GW_VEC_FINI(&s->gateways);
    free(s);
}

static void key_of(struct gw_text *key, const struct ctl_res_kind *kind, struct gw_str ns,
                   struct gw_str name) {
    gw_text_addf(key, "%s/" GW_STR_FMT "/" GW_STR_FMT, kind->name, GW_STR_ARG(ns),
                 GW_STR_ARG(name));
}

static struct entry *find(const struct ctl_status *s, const struct ctl_res_kind *kind,
                          struct gw_str ns, struct gw_str name) {
    GW_CLEANUP(gw_text_fini) struct gw_text key = {0};
    key_of(&key, kind, ns, name);
    return gw_map_get(&s->entries, gw_text_str(&key));
}

static void look_at(struct ctl_status *s, struct entry *e) {
    if (e->is_due) return;
    e->is_due = true;
    GW_VEC_PUSH(&s->due, e);
}

static void changed(struct ctl_status *s, struct entry *e) {
    e->is_new = true;
    look_at(s, e);
}

// The lists know it no more. What is dropped has just come in, mostly.
static void unlist(struct ctl_status *s, struct entry *e) {
    ctl_users_clear(&s->users, e, &e->names);
    for (size_t i = s->due.len; e->is_due && i-- > 0;) {
        if (s->due.ptr[i] != e) continue;
        s->due.ptr[i] = NULL;
        break;
    }
    for (size_t i = 0; i < s->gateways.len; i++) {
        if (s->gateways.ptr[i] != e) continue;
        GW_VEC_REMOVE(&s->gateways, i);
        break;
    }
}

static struct entry *need(struct ctl_status *s, const struct ctl_status_report *r) {
    GW_CLEANUP(gw_text_fini) struct gw_text key = {0};
    key_of(&key, r->kind, gw_str_of(r->ns), gw_str_of(r->name));
    struct entry *e = gw_map_get(&s->entries, gw_text_str(&key));
    if (e) return e;
    e = gw_alloc(sizeof(*e));
    gw_map_put(&s->entries, gw_text_str(&key), e);
    if (r->kind == &ctl_res_gateway) GW_VEC_PUSH(&s->gateways, e);
    return e;
}

// The one that counts; no parts: the object is not ours.
static const struct ctl_status_report *report_of(const struct entry *e) {
    return e->refusal.parts_n ? &e->refusal : &e->report;
}

// Drops an entry of which nothing is left to say.
static void drop_if_empty(struct ctl_status *s, const struct ctl_res_kind *kind, struct gw_str ns,
                          struct gw_str name) {
    GW_CLEANUP(gw_text_fini) struct gw_text key = {0};
    key_of(&key, kind, ns, name);
    struct entry *e = gw_map_get(&s->entries, gw_text_str(&key));
    if (!e || report_of(e)->parts_n > 0) return;
    if (s->o.writer) ctl_status_writer_clear(s->o.writer, kind, ns, name);
    unlist(s, e);
    free_entry(gw_map_del(&s->entries, gw_text_str(&key)));
}

void ctl_status_put(struct ctl_status *s, struct ctl_translate_result *r) {
    s->is_changed = true;
    for (size_t i = 0; i < r->reports_n; i++) {
        struct ctl_status_report *report = &r->reports[i];
        struct entry *e = need(s, report);
        struct ctl_status_report old = e->report;
        e->report = *report;
        changed(s, e);
        drop_if_empty(s, report->kind, gw_str_of(report->ns), gw_str_of(report->name));
        ctl_status_report_fini(&old);
    }
    free(r->reports);
    r->reports = NULL;
    r->reports_n = 0;
}

// --- objects that are refused ------------------------------------------------------------------

void ctl_status_refuse(struct ctl_status *s, const struct ctl_status_refused *list, size_t n) {
    ctl_refusals_fini(&s->refused);
    for (size_t i = 0; i < n; i++)
        ctl_refusals_add(&s->refused, &list[i]);
    s->is_changed = true;
}

static void tell(const struct ctl_status *s, const struct ctl_status_report *r, bool is_warning,
                 const char *reason, const char *note) {
    if (s->o.events)
        ctl_events_add(s->o.events, &(struct ctl_event){.kind = r->kind,
                                                        .ns = gw_str_of(r->ns),
                                                        .name = gw_str_of(r->name),
                                                        .is_warning = is_warning,
                                                        .reason = reason,
                                                        .note = note});
}

static void refuse_one(struct ctl_status *s, const struct ctl_refused *r) {
    struct ctl_status_report report = {0};
    ctl_refusal_report(s, r, &report);
    if (report.parts_n == 0) { // not ours
        ctl_status_report_fini(&report);
        return;
    }
    struct entry *e = need(s, &report);
    ctl_status_report_fini(&e->refusal);
    e->refusal = report;
    e->is_marked = true;
    changed(s, e);
    if (e->refused_for && strcmp(e->refused_for, r->reason) == 0) return;
    free(e->refused_for);
    e->refused_for = gw_strdup(r->reason);
    tell(s, &e->refusal, true, "Refused", r->reason);
}

// Whether a refused object is ours follows from the others' reports, so all are gone through.
static void judge_refused(struct ctl_status *s) {
    size_t it = 0;
    struct gw_str key;
    void *value;
    for (size_t i = 0; i < s->refused.len; i++)
        refuse_one(s, &s->refused.ptr[i]);
    s->any_refused = s->refused.len > 0;
    while (gw_map_next(&s->entries, &it, &key, &value)) {
        struct entry *e = value;
        bool was_refused = e->refusal.parts_n > 0;
        if (e->is_marked || !was_refused) {
            e->is_marked = false;
            continue;
        }
        struct ctl_status_report old = e->refusal;
        e->refusal = (struct ctl_status_report){0};
        free(e->refused_for);
        e->refused_for = NULL;
        changed(s, e);
        drop_if_empty(s, old.kind, gw_str_of(old.ns), gw_str_of(old.name));
        ctl_status_report_fini(&old);
    }
}

// --- what data planes say ----------------------------------------------------------------------

// Of an entry's parts, as a hash: thousands of routes are not shaped anew to find that nothing
// changed.
static uint64_t said_of(const struct ctl_status *s, const struct ctl_status_report *r,
                        bool any_connected) {
    uint64_t hash = any_connected; // all that a route's words tell of the number
    for (size_t i = 0; i < r->parts_n; i++) {
        const char *refusal;
        bool blamed;
        if (!r->parts[i].wants_programmed) continue;
        enum ctl_programmed state =
            ctl_status_part_state(s->o.publish, &r->parts[i], &refusal, &blamed);
        hash = gw_hash(&state, sizeof(state), hash);
        if (refusal) hash = gw_hash(refusal, strlen(refusal), hash);
    }
    return hash;
}

// A refusal is told of on the object at fault alone, and once.
static void tell_of_refusals(struct ctl_status *s, struct entry *e) {
    const struct ctl_status_report *r = report_of(e);
    const char *text = NULL;
    uint64_t hash = 0;
    for (size_t i = 0; i < r->parts_n && s->o.events; i++) {
        const char *refusal;
        bool blamed;
        if (!r->parts[i].wants_programmed || !r->parts[i].programmable) continue;
        ctl_status_part_state(s->o.publish, &r->parts[i], &refusal, &blamed);
        if (!blamed) continue;
        text = refusal;
        hash = gw_hash(refusal, strlen(refusal), hash + 1);
    }
    if (text && hash != e->blamed) tell(s, r, true, "RefusedByDataPlane", text);
    e->blamed = hash;
}

static void tell_of_lost_planes(struct ctl_status *s, struct entry *e) {
    const struct ctl_status_report *r = report_of(e);
    char name[512], note[128];
    unsigned connected, acked;
    if (r->kind != &ctl_res_gateway) return;
    snprintf(name, sizeof(name), "%s/%s", r->ns, r->name);
    ctl_publish_counts(s->o.publish, name, &connected, &acked);
    if (connected < e->connected) {
        snprintf(note, sizeof(note), "a data plane left: %u connected, %u before", connected,
                 e->connected);
        tell(s, r, true, "DataPlaneLost", note);
    }
    e->connected = connected;
}

// --- shaping -----------------------------------------------------------------------------------

static bool refresh_one(struct ctl_status *s, struct entry *e, bool any_connected,
                        const char *now) {
    const struct ctl_status_report *r = report_of(e);
    uint64_t said = said_of(s, r, any_connected);
    // A Gateway's status counts data planes and lists their addresses.
    if (e->wanted && !e->is_new && said == e->said && r->kind != &ctl_res_gateway) return false;
    if (e->is_new) ctl_users_set(&s->users, e, &e->names, r);
    e->said = said;
    e->is_new = false;
    tell_of_refusals(s, e);
    tell_of_lost_planes(s, e);
    bool was_pending = e->is_pending;
    json_t *wanted = ctl_status_shape(s->o.publish, r, &e->is_pending);
    if (e->wanted && e->is_pending == was_pending && json_equal(e->wanted, wanted)) {
        json_decref(wanted);
        return false;
    }
    json_decref(e->wanted);
    e->wanted = wanted;
    if (s->o.writer)
        ctl_status_writer_want(s->o.writer, r->kind, gw_str_of(r->ns), gw_str_of(r->name), wanted,
                               e->is_pending);
    json_t *status = ctl_status_merge(e->status, wanted, now);
    bool is_changed = !e->status || !json_equal(e->status, status);
    json_decref(e->status);
    e->status = status;
    return is_changed;
}

static void on_user(void *arg, void *user) {
    look_at(arg, user);
}

static void on_news(void *arg, struct gw_str resource) {
    struct ctl_status *s = arg;
    ctl_users_each(&s->users, resource, on_user, s);
}

static void look_at_all(struct ctl_status *s) {
    size_t it = 0;
    struct gw_str key;
    void *value;
    while (gw_map_next(&s->entries, &it, &key, &value))
        look_at(s, value);
}

size_t ctl_status_refresh(struct ctl_status *s, const char *now) {
    size_t changed_n = 0;
    unsigned connected, acked;
    if (s->is_changed && (s->refused.len > 0 || s->any_refused)) judge_refused(s);
    s->is_changed = false;
    if (ctl_publish_take_news(s->o.publish, on_news, s)) look_at_all(s);
    for (size_t i = 0; i < s->gateways.len; i++)
        look_at(s, s->gateways.ptr[i]);
    ctl_publish_counts(s->o.publish, NULL, &connected, &acked);
    for (size_t i = 0; i < s->due.len; i++) {
        if (!s->due.ptr[i]) continue;
        s->due.ptr[i]->is_due = false;
        changed_n += refresh_one(s, s->due.ptr[i], connected > 0, now);
    }
    s->due.len = 0;
    return changed_n;
}

const json_t *ctl_status_get(const struct ctl_status *s, const struct ctl_res_kind *kind,
                             struct gw_str ns, struct gw_str name) {
    const struct entry *e = find(s, kind, ns, name);
    return e ? e->status : NULL;
}

bool ctl_status_has(const struct ctl_status *s, const struct ctl_res_kind *kind, struct gw_str ns,
                    struct gw_str name) {
    return find(s, kind, ns, name) != NULL;
}
