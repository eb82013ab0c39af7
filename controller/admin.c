// SPDX-License-Identifier: Apache-2.0
// Answers of the admin port. All but /metrics are made on the controller's loop.
#include "controller/admin.h"

#include "shared/httpd.h"
#include "shared/metric.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef void (*answer_fn)(struct ctl_admin *a, struct gw_str query, struct gw_httpd_answer *ret);

// The one question that is under way (the server asks one at a time). It lies on the server
// thread's stack; whoever holds the mutex may use it.
struct question {
    answer_fn fn;
    struct gw_str query;
    struct gw_httpd_answer *answer;
    bool done;
};

struct ctl_admin {
    struct ctl_admin_opts o;
    struct gw_httpd *httpd;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct question *asked; // NULL: none, or given up
    unsigned posted;        // calls of run_question that the loop still owes
    bool closing;
    json_t *events[CTL_ADMIN_EVENTS_MAX]; // ring; loop's thread only
    size_t events_n;                      // ever
};

// --- from the server's thread to the loop and back -----------------------------------------------

static void run_question(void *arg) {
    struct ctl_admin *a = arg;
    pthread_mutex_lock(&a->mutex);
    a->posted--;
    // A question that was given up is gone; a later one may be answered by an earlier post.
    if (a->asked) {
        a->asked->fn(a, a->asked->query, a->asked->answer);
        a->asked->done = true;
        a->asked = NULL;
        pthread_cond_signal(&a->changed);
    }
    pthread_mutex_unlock(&a->mutex);
}

static void set_json(struct gw_httpd_answer *ret, int status, json_t *v) {
    char *text = json_dumps(v, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(v);
    ret->status = status;
    ret->content_type = "application/json";
    gw_text_adds(&ret->body, text ? text : "{}");
    gw_text_adds(&ret->body, "\n");
    free(text);
}

static void set_error(struct gw_httpd_answer *ret, int status, const char *text) {
    set_json(ret, status, json_pack("{s:s}", "error", text));
}

static void set_text(struct gw_httpd_answer *ret, int status, const char *text) {
    ret->status = status;
    ret->content_type = "text/plain";
    gw_text_adds(&ret->body, text);
}

static void ask_loop(struct ctl_admin *a, answer_fn fn, struct gw_str query,
                     struct gw_httpd_answer *ret) {
    struct question q = {.fn = fn, .query = query, .answer = ret};
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CTL_ADMIN_WAIT_MS / 1000;
    pthread_mutex_lock(&a->mutex);
    int rc = 0;
    if (!a->closing) {
        a->asked = &q;
        a->posted++;
        gw_loop_post(a->o.loop, run_question, a);
    }
    while (!q.done && !a->closing && rc == 0)
        rc = pthread_cond_timedwait(&a->changed, &a->mutex, &until);
    a->asked = NULL;
    pthread_mutex_unlock(&a->mutex);
    if (!q.done) set_error(ret, 503, "the controller is busy or about to end");
}

// --- objects -------------------------------------------------------------------------------------

// Notes of others on a Secret may be copies of it, as kubectl's last-applied-configuration is.
static void drop_notes(json_t *annotations) {
    const char *key;
    json_t *v;
    void *tmp;
    json_object_foreach_safe(annotations, tmp, key, v) {
        if (!gw_str_starts(gw_str_of(key), GW_STR("kgateway.dev/")))
            json_object_del(annotations, key);
    }
}

static void redact(json_t *object) {
    json_t *data = json_object_get(object, "data");
    json_t *shown = json_object();
    const char *key;
    json_t *v;
    json_object_foreach(data, key, v) {
        struct gw_str s = gw_json_str_of(v);
        size_t pad = gw_str_ends(s, GW_STR("==")) ? 2 : gw_str_ends(s, GW_STR("=")) ? 1 : 0;
        char text[48];
        snprintf(text, sizeof(text), "<%zu bytes>", s.len / 4 * 3 - pad);
        json_object_set_new(shown, key, json_string(text));
    }
    if (data) json_object_set(object, "data", shown);
    json_decref(shown);
}

// A copy of a member that is an object, or a new one, put in the place of the old.
static json_t *own_member(json_t *object, const char *key) {
    json_t *old = json_object_get(object, key);
    json_t *copy = old ? json_copy(old) : json_object();
    json_object_set_new(object, key, copy);
    return copy;
}

json_t *ctl_admin_object(const struct ctl_object *o, const json_t *status) {
    json_t *shown = json_copy(o->json);
    json_t *meta = own_member(shown, "metadata");
    json_object_set_new(meta, "generation", json_integer(o->generation));
    if (o->origin.len)
        json_object_set_new(own_member(meta, "annotations"), "kgateway.dev/source",
                            json_stringn(o->origin.ptr, o->origin.len));
    if (o->kind->values_are_secret) {
        if (json_object_get(meta, "annotations")) drop_notes(own_member(meta, "annotations"));
        redact(shown);
    }
    if (status) json_object_set_new(shown, "status", json_deep_copy(status));
    return shown;
}

json_t *ctl_admin_refused(const struct ctl_refused *r, const json_t *status) {
    json_t *shown = json_copy(r->json);
    json_t *meta = own_member(shown, "metadata");
    if (r->kind->values_are_secret) {
        json_object_clear(shown);
        meta = json_pack("{s:s%, s:s%}", "namespace", r->ns.ptr, r->ns.len, "name", r->name.ptr,
                         r->name.len);
        json_object_set_new(shown, "kind", json_string(r->kind->name));
        json_object_set_new(shown, "metadata", meta);
    }
    json_t *reason = json_string(r->reason); // NULL where a peer's bytes are no UTF-8
    json_object_set_new(own_member(meta, "annotations"), "kgateway.dev/refused",
                        reason ? reason : json_string("refused"));
    if (status) json_object_set_new(shown, "status", json_deep_copy(status));
    return shown;
}

// The decoded value of a member of a query string into dst; false where it is absent or too long.
static bool query_get(struct gw_str query, struct gw_str name, char *dst, size_t cap) {
    while (query.ptr) {
        struct gw_str value = gw_str_cut(&query, '&');
        if (!gw_str_eq(gw_str_cut(&value, '='), name) || !value.ptr) continue;
        size_t n = 0;
        for (size_t i = 0; i < value.len; i++) {
            char c = value.ptr[i];
            if (c == '%' && i + 2 < value.len) {
                const char digits[3] = {value.ptr[i + 1], value.ptr[i + 2], 0};
                c = (char)strtoul(digits, NULL, 16);
                i += 2;
            }
            if (n + 1 >= cap) return false;
            dst[n++] = c;
        }
        dst[n] = 0;
        return true;
    }
    return false;
}

static bool is_asked_for(const struct ctl_res_kind *kind, struct gw_str ns, struct gw_str name,
                         const char *asked_ns, const char *asked_name) {
    return !(asked_ns && kind->namespaced && !gw_str_eq(ns, gw_str_of(asked_ns))) &&
           !(asked_name && !gw_str_eq(name, gw_str_of(asked_name)));
}

static void add_refused(struct ctl_admin *a, const struct ctl_res_kind *kind, const char *ns,
                        const char *name, bool is_follower, json_t *items) {
    size_t n = 0;
    const struct ctl_refused **list = a->o.refused ? a->o.refused(a->o.arg, &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        const struct ctl_refused *r = list[i];
        if (r->kind != kind || !is_asked_for(kind, r->ns, r->name, ns, name)) continue;
        const json_t *status =
            is_follower ? NULL : ctl_status_get(a->o.status, kind, r->ns, r->name);
        json_array_append_new(items, ctl_admin_refused(r, status));
    }
    free(list);
}

static void add_kind(struct ctl_admin *a, const struct ctl_res_kind *kind, const char *ns,
                     const char *name, json_t *items) {
    size_t n;
    bool is_follower = a->o.is_follower && a->o.is_follower(a->o.arg);
    const struct ctl_object **list = ctl_store_list(a->o.store, kind, &n);
    for (size_t i = 0; i < n; i++) {
        const struct ctl_object *o = list[i];
        if (!is_asked_for(kind, o->ns, o->name, ns, name)) continue;
        const json_t *status =
            is_follower ? NULL : ctl_status_get(a->o.status, kind, o->ns, o->name);
        json_array_append_new(items, ctl_admin_object(o, status));
    }
    free(list);
    add_refused(a, kind, ns, name, is_follower, items);
}

static void answer_objects(struct ctl_admin *a, struct gw_str query, struct gw_httpd_answer *ret) {
    char word[64], ns[64], name[256];
    bool has_kind = query_get(query, GW_STR("kind"), word, sizeof(word)) && *word;
    bool has_ns = query_get(query, GW_STR("namespace"), ns, sizeof(ns)) && *ns;
    bool has_name = query_get(query, GW_STR("name"), name, sizeof(name)) && *name;
    const struct ctl_res_kind *kind = has_kind ? ctl_res_by_word(gw_str_of(word)) : NULL;
    if (has_kind && !kind) {
        char text[128];
        snprintf(text, sizeof(text), "no kind '%s'", word);
        set_error(ret, 404, text);
        return;
    }
    json_t *items = json_array();
    for (const struct ctl_res_kind *const *k = ctl_res_kinds; *k; k++)
        if (!kind || kind == *k) add_kind(a, *k, has_ns ? ns : NULL, has_name ? name : NULL, items);
    set_json(ret, 200,
             json_pack("{s:s, s:s, s:o}", "apiVersion", "v1", "kind", "List", "items", items));
}

// --- the other paths -----------------------------------------------------------------------------

static void answer_healthz(struct ctl_admin *a, struct gw_str query, struct gw_httpd_answer *ret) {
    (void)a;
    (void)query;
    set_text(ret, 200, "ok\n");
}

// Problems of the source are told even where a snapshot is there: it may lack what they hide.
static void answer_ready(struct ctl_admin *a, struct gw_str query, struct gw_httpd_answer *ret) {
    (void)query;
    GW_CLEANUP(gw_text_fini) struct gw_text text = {0};
    bool is_ready = !a->o.is_ready || a->o.is_ready(a->o.arg, &text);
    set_text(ret, is_ready ? 200 : 503, is_ready ? "ready\n" : "not ready\n");
    if (text.len) gw_text_add(&ret->body, text.ptr, text.len);
}

static void answer_source(struct ctl_admin *a, struct gw_str query, struct gw_httpd_answer *ret) {
    (void)query;
    if (a->o.source)
        set_json(ret, 200, a->o.source(a->o.arg));
    else
        set_error(ret, 404, "the source is a folder: see /events");
}

static void answer_snapshot(struct ctl_admin *a, struct gw_str query, struct gw_httpd_answer *ret) {
    (void)query;
    set_json(ret, 200, ctl_publish_dump(a->o.publish));
}

void ctl_admin_event(struct ctl_admin *a, const char *now, const struct ctl_source_event *e) {
    json_t **slot = &a->events[a->events_n++ % CTL_ADMIN_EVENTS_MAX];
    json_decref(*slot);
    json_t *text = json_string(e->text); // NULL where a file's name is not UTF-8
    json_t *file = json_string(e->file);
    *slot = json_pack("{s:s, s:o, s:b, s:o}", "time", now, "file", file ? file : json_string("?"),
                      "ok", e->ok, "text", text ? text : json_string("(not UTF-8)"));
}

static void answer_events(struct ctl_admin *a, struct gw_str query, struct gw_httpd_answer *ret) {
    (void)query;
    json_t *list = json_array();
    size_t n = a->events_n < CTL_ADMIN_EVENTS_MAX ? a->events_n : CTL_ADMIN_EVENTS_MAX;
    for (size_t i = a->events_n - n; i < a->events_n; i++)
        json_array_append(list, a->events[i % CTL_ADMIN_EVENTS_MAX]);
    set_json(ret, 200, json_pack("{s:o}", "events", list));
}

#define ON_LOOP(name)                                                                              \
    static void serve_##name(void *arg, const struct gw_httpd_request *rq,                         \
                             struct gw_httpd_answer *ret) {                                        \
        ask_loop(arg, answer_##name, rq->query, ret);                                              \
    }
ON_LOOP(healthz)
ON_LOOP(ready)
ON_LOOP(objects)
ON_LOOP(snapshot)
ON_LOOP(events)
ON_LOOP(source)

static void serve_metrics(void *arg, const struct gw_httpd_request *rq,
                          struct gw_httpd_answer *ret) {
    (void)arg;
    (void)rq;
    ret->status = 200;
    ret->content_type = "text/plain; version=0.0.4";
    gw_metric_text(&ret->body);
}

static const struct gw_httpd_route routes[] = {
    {"/healthz", serve_healthz, "200 while the controller works"},
    {"/ready", serve_ready, "200 once a snapshot is there for data planes"},
    {"/metrics", serve_metrics, "metrics in Prometheus format"},
    {"/objects", serve_objects, "objects with their statuses; ?kind=&namespace=&name="},
    {"/snapshot", serve_snapshot, "the resources that data planes follow"},
    {"/events", serve_events, "what the last changes of files did"},
    {"/source", serve_source, "what is followed of the API server, and what is refused"},
    {NULL, NULL, NULL},
};

// --- life ----------------------------------------------------------------------------------------

struct ctl_admin *ctl_admin_new(const struct ctl_admin_opts *o, struct gw_err *err) {
    struct ctl_admin *a = gw_alloc(sizeof(*a));
    a->o = *o;
    pthread_mutex_init(&a->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->changed, &attr);
    pthread_condattr_destroy(&attr);
    a->httpd = gw_httpd_start(o->host, o->port, routes, a, err);
    if (!a->httpd) {
        ctl_admin_free(a);
        return NULL;
    }
    return a;
}

void ctl_admin_free(struct ctl_admin *a) {
    if (!a) return;
    pthread_mutex_lock(&a->mutex);
    a->closing = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->mutex);
    if (a->httpd) gw_httpd_stop(a->httpd);
    // The server's thread has ended; what it posted is still in the loop's queue and names a.
    while (a->posted)
        gw_loop_turn(a->o.loop, 0);
    for (size_t i = 0; i < CTL_ADMIN_EVENTS_MAX; i++)
        json_decref(a->events[i]);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->mutex);
    free(a);
}

uint16_t ctl_admin_port(const struct ctl_admin *a) {
    return gw_httpd_port(a->httpd);
}
