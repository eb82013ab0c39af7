// SPDX-License-Identifier: Apache-2.0
// See writer.h. One slot for each object that has a wanted status:
//
//   clean     what is there is what is wanted; or the writer is stopped
//   waiting   something is to be written; the timer says when it may go
//   ready     it may go, and others are under way
//   writing   a PATCH, or a GET after a conflict, is under way
//
// Wanted statuses that come meanwhile are looked at when the answer is there.
#include "controller/status/writer.h"

#include "controller/status/merge.h"
#include "controller/status/throttle.h"
#include "shared/log.h"
#include "shared/map.h"
#include "shared/metric.h"

#include <stdlib.h>

static const struct gw_metric_family writes = {
    .name = "controller_status_writes_total",
    .help = "Statuses sent to the API server, by what became of them.",
    .type = GW_METRIC_COUNTER,
    .labels = {"result"},
};

struct slot {
    struct ctl_status_writer *writer;
    const struct ctl_res_kind *kind;
    char *ns, *name;
    json_t *wanted;  // owned; NULL: nothing, and forgotten as soon as nothing of ours is there
    bool is_pending; // data planes will answer soon
    bool is_gone;    // 404: wait until it is seen again
    bool is_stuck;   // the server does not take this form: wait for another
    // What an answer said of the object; the source may know better. NULL: nothing yet.
    json_t *status;
    char *version;
    struct ctl_write_times times;
    unsigned failures;
    struct gw_timer timer;
    struct slot *next_ready;
    bool is_ready;
    struct ctl_kube_call *call;
    json_t *before, *sent; // of the PATCH under way
    int64_t sent_ms;
};

struct ctl_status_writer {
    struct ctl_status_writer_opts o;
    struct gw_map slots; // "Kind/ns/name" -> struct slot *
    struct slot *ready, **ready_end;
    unsigned in_flight;
    bool is_on, is_freeing;
    struct gw_map forbidden; // kinds that were logged: name -> this map
};

static void evaluate(struct slot *s);
static void pump(struct ctl_status_writer *w);

static void count(const char *result) {
    struct gw_str label = gw_str_of(result);
    gw_metric_add(gw_metric_series(&writes, &label), 1);
}

// --- slots -------------------------------------------------------------------------------------

static void key_of(struct gw_text *key, const struct ctl_res_kind *kind, struct gw_str ns,
                   struct gw_str name) {
    gw_text_addf(key, "%s/" GW_STR_FMT "/" GW_STR_FMT, kind->name, GW_STR_ARG(ns),
                 GW_STR_ARG(name));
}

static struct slot *find(const struct ctl_status_writer *w, const struct ctl_res_kind *kind,
                         struct gw_str ns, struct gw_str name) {
    GW_CLEANUP(gw_text_fini) struct gw_text key = {0};
    key_of(&key, kind, ns, name);
    return gw_map_get(&w->slots, gw_text_str(&key));
}

static void on_timer(struct gw_timer *t) {
    struct slot *s = GW_CONTAINER_OF(t, struct slot, timer);
    struct ctl_status_writer *w = s->writer;
    evaluate(s);
    pump(w);
}

static struct slot *need(struct ctl_status_writer *w, const struct ctl_res_kind *kind,
                         struct gw_str ns, struct gw_str name) {
    struct slot *s = find(w, kind, ns, name);
    if (s) return s;
    GW_CLEANUP(gw_text_fini) struct gw_text key = {0};
    key_of(&key, kind, ns, name);
    s = gw_alloc(sizeof(*s));
    s->writer = w;
    s->kind = kind;
    s->ns = gw_strndup(ns.ptr ? ns.ptr : "", ns.len);
    s->name = gw_strndup(name.ptr, name.len);
    gw_timer_init(&s->timer, on_timer);
    gw_map_put(&w->slots, gw_text_str(&key), s);
    return s;
}

static void leave_ready(struct slot *s) {
    struct ctl_status_writer *w = s->writer;
    if (!s->is_ready) return;
    for (struct slot **at = &w->ready; *at; at = &(*at)->next_ready) {
        if (*at != s) continue;
        *at = s->next_ready;
        if (!*at) w->ready_end = at;
        break;
    }
    s->is_ready = false;
}

static void slot_free(void *value) {
    struct slot *s = value;
    struct ctl_status_writer *w = s->writer;
    gw_timer_cancel(w->o.loop, &s->timer);
    if (!w->is_freeing) leave_ready(s);
    if (s->call) w->o.api.cancel(w->o.api.arg, s->call);
    json_decref(s->wanted);
    json_decref(s->status);
    json_decref(s->before);
    json_decref(s->sent);
    free(s->version);
    free(s->ns);
    free(s->name);
    free(s);
}

static void forget(struct slot *s) {
    GW_CLEANUP(gw_text_fini) struct gw_text key = {0};
    struct ctl_status_writer *w = s->writer;
    key_of(&key, s->kind, gw_str_of(s->ns), gw_str_of(s->name));
    if (s->call) w->in_flight--;
    slot_free(gw_map_del(&w->slots, gw_text_str(&key)));
}

// --- what is there -----------------------------------------------------------------------------

// The newest that is known of the object: by the source, or by an answer. false: nothing is.
static bool newest(const struct slot *s, const json_t **ret_status, struct gw_str *ret_version) {
    const struct ctl_status_writer *w = s->writer;
    struct ctl_kube_seen seen = {0};
    bool is_seen = w->o.seen(w->o.seen_arg, s->kind, gw_str_of(s->ns), gw_str_of(s->name), &seen) &&
                   seen.resource_version.len > 0;
    *ret_status = s->status;
    *ret_version = gw_str_of(s->version);
    if (!is_seen || (s->version && !ctl_kube_is_newer(seen.resource_version, *ret_version)))
        return s->version != NULL;
    *ret_status = seen.status;
    *ret_version = seen.resource_version;
    return true;
}

static void learn(struct slot *s, const json_t *object) {
    struct gw_str version = gw_json_str_of(gw_json_path(object, "metadata.resourceVersion"));
    if (!version.len) return;
    json_decref(s->status);
    free(s->version);
    s->status = json_incref(gw_json_get(object, "status"));
    s->version = gw_strndup(version.ptr, version.len);
}

// NULL: there is nothing to say.
static json_t *merged(const struct slot *s, const json_t *before) {
    char now[32];
    gw_time_text(now, gw_clock_real_us() / 1000000);
    json_t *after =
        s->wanted ? ctl_status_merge(before, s->wanted, now) : ctl_status_without_ours(before);
    json_t *difference = ctl_status_difference(before, after);
    json_decref(difference);
    if (difference) return after;
    json_decref(after);
    return NULL;
}

// --- answers -----------------------------------------------------------------------------------

static void tell_of_programmed(const struct slot *s) {
    const struct gw_str type = GW_STR("Programmed"), yes = GW_STR("True");
    if (s->kind != &ctl_res_gateway || !s->writer->o.events) return;
    const json_t *old = ctl_status_condition(gw_json_get(s->before, "conditions"), type);
    const json_t *now = ctl_status_condition(gw_json_get(s->sent, "conditions"), type);
    if (!gw_str_eq(gw_json_str(now, "status"), yes) || gw_str_eq(gw_json_str(old, "status"), yes))
        return;
    const struct ctl_event ev = {.kind = s->kind,
                                 .ns = gw_str_of(s->ns),
                                 .name = gw_str_of(s->name),
                                 .reason = "Programmed",
                                 .note = gw_json_str(now, "message").ptr};
    ctl_events_add(s->writer->o.events, &ev);
}

static void log_forbidden(struct slot *s, const struct ctl_kube_reply *r) {
    struct gw_map *m = &s->writer->forbidden;
    if (gw_map_put(m, gw_str_of(s->kind->name), m)) return;
    GW_ERROR("status",
             "statuses of a kind may not be written: the ServiceAccount needs patch on it",
             GW_KS("kind", s->kind->name), GW_KS("err", r->err.text));
}

static void fail(struct slot *s, const struct ctl_kube_reply *r) {
    uint32_t random;
    gw_random(&random, sizeof(random));
    s->failures++;
    s->times.retry_ms = gw_loop_now_ms(s->writer->o.loop) +
                        ctl_kube_backoff_ms(s->failures, r->retry_after_s, random);
    if (r->rc == GW_CANCELLED) return; // nothing may be written now: it is stopped next
    count(r->status == 409 ? "conflict" : "failed");
    if (r->status == 401 || r->status == 403) log_forbidden(s, r);
    if (r->status == 400 || r->status == 422) {
        s->is_stuck = true;
        GW_ERROR("status", "the API server does not take a status", GW_KS("err", r->err.text));
    } else if (r->status != 409 && r->status != 403 && r->status != 401) {
        GW_WARN("status", "a status was not written; it is tried again", GW_KS("err", r->err.text),
                GW_KI("failures", s->failures));
    }
}

// The call is over. May free s.
static void settle(struct slot *s) {
    json_decref(s->before);
    json_decref(s->sent);
    s->before = s->sent = NULL;
    evaluate(s);
}

static void on_read(void *arg, const struct ctl_kube_reply *r) {
    struct slot *s = arg;
    struct ctl_status_writer *w = s->writer;
    s->call = NULL;
    w->in_flight--;
    if (r->rc == GW_OK)
        learn(s, r->body);
    else if (r->status == 404)
        s->is_gone = true;
    else
        fail(s, r);
    settle(s);
    pump(w);
}

static enum gw_rc send(struct slot *s, enum ctl_kube_method method, const char *suffix,
                       json_t *body, ctl_kube_fn fn) {
    struct ctl_status_writer *w = s->writer;
    GW_CLEANUP(gw_text_fini) struct gw_text path = {0};
    struct gw_err err;
    ctl_kube_path(&path, s->kind, gw_str_of(s->ns), gw_str_of(s->name), suffix);
    const struct ctl_kube_request rq = {
        .method = method,
        .path = path.ptr,
        .body = body,
        .content_type = body ? "application/merge-patch+json" : NULL,
        .fn = fn,
        .arg = s,
    };
    s->call = w->o.api.send(w->o.api.arg, &rq, &err);
    if (s->call) {
        w->in_flight++;
        return GW_OK;
    }
    fail(s, &(struct ctl_kube_reply){.rc = err.rc, .err = err});
    return err.rc;
}

// May free s.
static void read_again(struct slot *s) {
    if (send(s, CTL_KUBE_GET, "", NULL, on_read) != GW_OK) settle(s);
}

// A server that changes what it is given would be written to for ever.
static void check_kept(struct slot *s) {
    json_t *rest = merged(s, s->status);
    if (rest && json_equal(rest, s->sent)) {
        s->is_stuck = true;
        GW_ERROR("status", "the API server does not keep a status as it was written",
                 GW_KS("kind", s->kind->name), GW_KS("ns", s->ns), GW_KS("name", s->name));
    }
    json_decref(rest);
}

static void on_written(void *arg, const struct ctl_kube_reply *r) {
    struct slot *s = arg;
    struct ctl_status_writer *w = s->writer;
    s->call = NULL;
    w->in_flight--;
    if (r->rc == GW_OK) {
        count("written");
        s->failures = 0;
        s->times = (struct ctl_write_times){.last_ms = s->sent_ms};
        learn(s, r->body);
        tell_of_programmed(s);
        check_kept(s);
    } else if (r->status == 404) {
        count("gone");
        s->is_gone = true;
    } else {
        fail(s, r);
    }
    if (r->status == 409)
        read_again(s);
    else
        settle(s);
    pump(w);
}

// --- writing -----------------------------------------------------------------------------------

// May free s.
static void write_now(struct slot *s) {
    const json_t *before;
    struct gw_str version;
    if (!newest(s, &before, &version)) {
        read_again(s);
        return;
    }
    json_t *after = merged(s, before);
    if (!after) {
        settle(s);
        return;
    }
    s->before = json_incref((json_t *)(uintptr_t)before);
    s->sent = after;
    s->sent_ms = gw_loop_now_ms(s->writer->o.loop);
    GW_JSON_AUTO body = json_pack("{s{so}so}", "metadata", "resourceVersion",
                                  json_stringn(version.ptr, version.len), "status",
                                  ctl_status_difference(before, after));
    if (send(s, CTL_KUBE_PATCH, "/status", body, on_written) != GW_OK) settle(s);
}

static void pump(struct ctl_status_writer *w) {
    while (w->ready && w->in_flight < CTL_STATUS_WRITES_MAX) {
        struct slot *s = w->ready;
        leave_ready(s);
        write_now(s);
    }
}

// What is to be done next for a slot. May free it.
static void evaluate(struct slot *s) {
    struct ctl_status_writer *w = s->writer;
    const json_t *before;
    struct gw_str version;
    if (!w->is_on || s->call || s->is_ready) return;
    gw_timer_cancel(w->o.loop, &s->timer);
    if (s->is_gone && !s->wanted) {
        forget(s);
        return;
    }
    if (s->is_gone || s->is_stuck) return;
    bool is_known = newest(s, &before, &version);
    json_t *after = is_known ? merged(s, before) : NULL;
    if (is_known && !after) {
        s->times.dirty_ms = 0;
        if (!s->wanted) forget(s);
        return;
    }
    int64_t now_ms = gw_loop_now_ms(w->o.loop);
    if (!s->times.dirty_ms) s->times.dirty_ms = now_ms;
    bool takes_back = after && ctl_status_takes_back(before, after);
    json_decref(after);
    int64_t due_ms = ctl_write_due(&s->times, s->is_pending, takes_back);
    if (due_ms > now_ms) {
        gw_timer_set(w->o.loop, &s->timer, due_ms - now_ms);
        return;
    }
    s->is_ready = true;
    s->next_ready = NULL;
    *w->ready_end = s;
    w->ready_end = &s->next_ready;
}

// --- the writer --------------------------------------------------------------------------------

struct ctl_status_writer *ctl_status_writer_new(const struct ctl_status_writer_opts *o) {
    struct ctl_status_writer *w = gw_alloc(sizeof(*w));
    w->o = *o;
    w->ready_end = &w->ready;
    return w;
}

void ctl_status_writer_free(struct ctl_status_writer *w) {
    if (!w) return;
    w->is_freeing = true;
    gw_map_fini(&w->slots, slot_free);
    gw_map_fini(&w->forbidden, NULL);
    free(w);
}

void ctl_status_writer_start(struct ctl_status_writer *w) {
    size_t it = 0;
    struct gw_str key;
    void *value;
    if (w->is_on) return;
    w->is_on = true;
    while (gw_map_next(&w->slots, &it, &key, &value))
        evaluate(value);
    pump(w);
}

// What a write that is given up did is seen by the source.
static void stop_slot(struct slot *s) {
    struct ctl_status_writer *w = s->writer;
    gw_timer_cancel(w->o.loop, &s->timer);
    if (s->call) w->o.api.cancel(w->o.api.arg, s->call);
    s->call = NULL;
    s->is_ready = s->is_stuck = false;
    json_decref(s->before);
    json_decref(s->sent);
    s->before = s->sent = NULL;
    s->failures = 0;
    s->times = (struct ctl_write_times){.last_ms = s->times.last_ms};
    if (!s->wanted) forget(s);
}

void ctl_status_writer_stop(struct ctl_status_writer *w) {
    size_t it = 0;
    struct gw_str key;
    void *value;
    if (!w->is_on) return;
    w->is_on = false;
    w->in_flight = 0;
    w->ready = NULL;
    w->ready_end = &w->ready;
    while (gw_map_next(&w->slots, &it, &key, &value))
        stop_slot(value);
}

static void want(struct slot *s, json_t *wanted, bool is_pending) {
    struct ctl_status_writer *w = s->writer;
    json_incref(wanted);
    json_decref(s->wanted);
    s->wanted = wanted;
    s->is_pending = is_pending;
    s->is_stuck = false;
    evaluate(s);
    pump(w);
}

void ctl_status_writer_want(struct ctl_status_writer *w, const struct ctl_res_kind *kind,
                            struct gw_str ns, struct gw_str name, json_t *wanted, bool is_pending) {
    struct slot *s = need(w, kind, ns, name);
    s->is_gone = false;
    want(s, wanted, is_pending);
}

void ctl_status_writer_clear(struct ctl_status_writer *w, const struct ctl_res_kind *kind,
                             struct gw_str ns, struct gw_str name) {
    struct ctl_kube_seen seen = {0};
    struct slot *s = find(w, kind, ns, name);
    if (!w->is_on) { // whoever starts looks for entries of ours that nobody wants
        if (s) forget(s);
        return;
    }
    bool is_there = w->o.seen(w->o.seen_arg, kind, ns, name, &seen);
    if (!s && !(is_there && ctl_status_has_ours(seen.status))) return;
    s = need(w, kind, ns, name);
    s->is_gone = !is_there;
    want(s, NULL, false);
}

void ctl_status_writer_look(struct ctl_status_writer *w, const struct ctl_res_kind *kind,
                            struct gw_str ns, struct gw_str name) {
    struct slot *s = find(w, kind, ns, name);
    if (!s) {
        ctl_status_writer_clear(w, kind, ns, name);
        return;
    }
    s->is_gone = false;
    evaluate(s);
    pump(w);
}
