// SPDX-License-Identifier: Apache-2.0
// See event.h. event_book.c decides what is worth a write; here it is written. An Event whose
// object is gone, or that the server forgot meanwhile, is no loss.
#include "controller/status/event.h"

#include "controller/status/event_book.h"
#include "controller/translate/translate.h"
#include "shared/log.h"
#include "shared/metric.h"
#include "shared/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Under way at once; what comes beyond is dropped: an event that is late tells nobody anything.
#define WRITES_MAX 32
#define COMPONENT "tandem-controller"

static const struct gw_metric_family written = {
    .name = "controller_events_total",
    .help = "Events on objects, by what became of them.",
    .type = GW_METRIC_COUNTER,
    .labels = {"result"},
};

struct call {
    struct call *next, **pprev;
    struct ctl_events *events;
    struct ctl_kube_call *call;
};

struct ctl_events {
    struct ctl_events_opts o;
    struct ctl_event_book book;
    struct call *calls;
    unsigned calls_n;
    bool is_on, is_forbidden_logged;
    char instance[128];
};

static void count(const char *result) {
    struct gw_str label = gw_str_of(result);
    gw_metric_add(gw_metric_series(&written, &label), 1);
}

struct ctl_events *ctl_events_new(const struct ctl_events_opts *o) {
    struct ctl_events *e = gw_alloc(sizeof(*e));
    e->o = *o;
    if (gethostname(e->instance, sizeof(e->instance) - 1) != 0)
        snprintf(e->instance, sizeof(e->instance), COMPONENT);
    return e;
}

static void call_free(struct call *c) {
    *c->pprev = c->next;
    if (c->next) c->next->pprev = c->pprev;
    c->events->calls_n--;
    free(c);
}

void ctl_events_start(struct ctl_events *e) {
    e->is_on = true;
}

void ctl_events_stop(struct ctl_events *e) {
    e->is_on = false;
    while (e->calls) {
        e->o.api.cancel(e->o.api.arg, e->calls->call);
        call_free(e->calls);
    }
}

void ctl_events_free(struct ctl_events *e) {
    if (!e) return;
    ctl_events_stop(e);
    ctl_event_book_fini(&e->book);
    free(e);
}

// --- writing -----------------------------------------------------------------------------------

static void on_answer(void *arg, const struct ctl_kube_reply *r) {
    struct call *c = arg;
    struct ctl_events *e = c->events;
    count(r->rc == GW_OK ? "written" : "failed");
    bool is_forbidden = r->status == 401 || r->status == 403;
    if (is_forbidden && !e->is_forbidden_logged)
        GW_WARN("status",
                "events may not be written: the ServiceAccount needs create and patch on "
                "events",
                GW_KS("err", r->err.text));
    e->is_forbidden_logged = e->is_forbidden_logged || is_forbidden;
    if (r->rc != GW_OK && !is_forbidden)
        GW_DEBUG("status", "an event was not written", GW_KS("err", r->err.text));
    call_free(c);
}

static void send(struct ctl_events *e, enum ctl_kube_method method, const char *path,
                 json_t *body) {
    struct call *c = gw_alloc(sizeof(*c));
    struct gw_err err;
    const struct ctl_kube_request rq = {
        .method = method,
        .path = path,
        .body = body,
        .content_type = method == CTL_KUBE_PATCH ? "application/merge-patch+json" : NULL,
        .fn = on_answer,
        .arg = c,
    };
    c->events = e;
    c->next = e->calls;
    c->pprev = &e->calls;
    if (c->next) c->next->pprev = &c->next;
    e->calls = c;
    e->calls_n++;
    c->call = e->o.api.send(e->o.api.arg, &rq, &err);
    if (c->call) return;
    count("dropped");
    call_free(c);
}

// A text that was cut may end within a character.
static json_t *note_json(const char *note) {
    size_t n = strnlen(note, CTL_EVENT_NOTE_MAX);
    json_t *v = json_stringn(note, n);
    while (!v && n > 0)
        v = json_stringn(note, --n);
    return v;
}

static void set_str(json_t *to, const char *key, struct gw_str value) {
    json_object_set_new(to, key, json_stringn(value.ptr ? value.ptr : "", value.len));
}

static json_t *involved(const struct ctl_events *e, const struct ctl_event *ev) {
    struct ctl_kube_seen seen = {0};
    char version[128];
    snprintf(version, sizeof(version), "%s%s%s", ev->kind->group, *ev->kind->group ? "/" : "",
             ev->kind->versions[0]);
    json_t *ref = json_object();
    set_str(ref, "apiVersion", gw_str_of(version));
    set_str(ref, "kind", gw_str_of(ev->kind->name));
    set_str(ref, "name", ev->name);
    if (ev->ns.len) set_str(ref, "namespace", ev->ns);
    // kubectl describe looks for events by the object's uid.
    if (e->o.seen(e->o.seen_arg, ev->kind, ev->ns, ev->name, &seen) && seen.uid.len)
        set_str(ref, "uid", seen.uid);
    return ref;
}

static json_t *body_of(const struct ctl_events *e, const struct ctl_event *ev, struct gw_str ns,
                       const struct ctl_event_entry *entry) {
    char now[32];
    gw_time_text(now, entry->first_real_s);
    json_t *body = json_object(), *meta = json_object(), *source = json_object();
    set_str(meta, "name", gw_str_of(entry->name));
    set_str(meta, "namespace", ns);
    set_str(source, "component", GW_STR(COMPONENT));
    set_str(source, "host", gw_str_of(e->instance));
    set_str(body, "apiVersion", GW_STR("v1"));
    set_str(body, "kind", GW_STR("Event"));
    json_object_set_new(body, "metadata", meta);
    json_object_set_new(body, "involvedObject", involved(e, ev));
    set_str(body, "type", ev->is_warning ? GW_STR("Warning") : GW_STR("Normal"));
    set_str(body, "reason", gw_str_of(ev->reason));
    json_object_set_new(body, "message", note_json(ev->note));
    set_str(body, "firstTimestamp", gw_str_of(now));
    set_str(body, "lastTimestamp", gw_str_of(now));
    json_object_set_new(body, "count", json_integer(1));
    json_object_set_new(body, "source", source);
    set_str(body, "reportingComponent", GW_STR(CTL_CONTROLLER_NAME));
    set_str(body, "reportingInstance", gw_str_of(e->instance));
    return body;
}

// --- what came ---------------------------------------------------------------------------------

#define NAME_PART_MAX 60 // of the object's name in the Event's

static void name_it(const struct ctl_event *ev, struct ctl_event_entry *entry) {
    uint64_t random;
    int n = (int)(ev->name.len < NAME_PART_MAX ? ev->name.len : NAME_PART_MAX);
    gw_random(&random, sizeof(random));
    snprintf(entry->name, sizeof(entry->name), "%.*s.%016llx", n, ev->name.ptr,
             (unsigned long long)random);
    entry->first_real_s = gw_clock_real_us() / 1000000;
}

void ctl_events_add(struct ctl_events *e, const struct ctl_event *ev) {
    GW_CLEANUP(gw_text_fini) struct gw_text object = {0};
    GW_CLEANUP(gw_text_fini) struct gw_text key = {0};
    GW_CLEANUP(gw_text_fini) struct gw_text path = {0};
    struct ctl_event_entry *entry;
    if (!e->is_on) return;
    // Events of cluster-scoped objects live where kubectl looks for them.
    struct gw_str ns = ev->ns.len ? ev->ns : GW_STR("default");
    gw_text_addf(&object, "%s/" GW_STR_FMT "/" GW_STR_FMT, ev->kind->name, GW_STR_ARG(ev->ns),
                 GW_STR_ARG(ev->name));
    gw_text_addf(&key, "%s %s %s", object.ptr, ev->reason, ev->note);
    enum ctl_event_verdict verdict = ctl_event_book_note(
        &e->book, gw_text_str(&object), gw_text_str(&key), gw_loop_now_ms(e->o.loop), &entry);
    if (verdict == CTL_EVENT_SILENT) return;
    if (verdict == CTL_EVENT_DROP || e->calls_n >= WRITES_MAX) {
        count("dropped");
        return;
    }
    gw_text_addf(&path, "/api/v1/namespaces/" GW_STR_FMT "/events", GW_STR_ARG(ns));
    GW_JSON_AUTO body = NULL;
    if (verdict == CTL_EVENT_NEW) {
        name_it(ev, entry);
        body = body_of(e, ev, ns, entry);
        send(e, CTL_KUBE_POST, path.ptr, body);
        return;
    }
    char now[32];
    gw_time_text(now, gw_clock_real_us() / 1000000);
    gw_text_addf(&path, "/%s", entry->name);
    body = json_pack("{siss}", "count", (int)entry->count, "lastTimestamp", now);
    send(e, CTL_KUBE_PATCH, path.ptr, body);
}
