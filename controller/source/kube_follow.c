// SPDX-License-Identifier: Apache-2.0
// List and watch of one path: a list in pages, kept aside until it is whole; then a watch from its
// resource version, resumed after every end, until the server says that the version is too old. Any
// failure waits before the next try, longer each time, and by chance, so that many do not come
// back together.
#include "controller/source/kube_impl.h"
#include "shared/metric.h"

#include <stdio.h>
#include <stdlib.h>

#define LIST_TIMEOUT_MS 60000
// A watch that lived so long is no failure, whatever ended it.
#define WATCH_LIVED_MS 5000
// The server ends a watch after this time, and a part of it by chance.
#define WATCH_S 300
// Watches that were answered with an error in a row; then the version itself is doubted.
#define WATCH_FAILURES_MAX 3
#define RV_MAX 128 // "opaque", in truth a number
#define CONTINUE_MAX 65536
#define RETRY_AFTER_MAX_S 60

static const struct gw_metric_family watches = {
    .name = "controller_kube_watches_connected",
    .help = "Watches of the API server that are under way.",
    .type = GW_METRIC_GAUGE,
};

static uint32_t chance(uint32_t below) {
    uint32_t v;
    gw_random(&v, sizeof(v));
    return below ? v % below : 0;
}

static void start_list(struct kube_follow *f);
static void start_watch(struct kube_follow *f);

// --- tries ---------------------------------------------------------------------------------------

static void set_watching(struct kube_follow *f, bool is_watching) {
    if (f->is_watching != is_watching)
        gw_metric_add(gw_metric_series(&watches, NULL), is_watching ? 1 : -1);
    f->is_watching = is_watching;
}

static void drop_objects(struct kube_follow *f) {
    for (size_t i = 0; i < f->objects.len; i++)
        json_decref(f->objects.ptr[i]);
    GW_VEC_FINI(&f->objects);
    free(f->next_page);
    f->next_page = NULL;
    f->pages = 0;
}

static void on_timer(struct gw_timer *t) {
    struct kube_follow *f = GW_CONTAINER_OF(t, struct kube_follow, timer);
    if (f->relist || !f->rv)
        start_list(f);
    else
        start_watch(f);
}

static int64_t backoff_ms(struct kube_follow *f) {
    unsigned shift = f->failures < 16 ? f->failures : 16;
    int64_t ms = (int64_t)CTL_KUBE_BACKOFF_MS << shift;
    if (ms > CTL_KUBE_BACKOFF_MAX_MS) ms = CTL_KUBE_BACKOFF_MAX_MS;
    f->failures++;
    return ms / 2 + chance((uint32_t)(ms / 2));
}

static void fail(struct kube_follow *f, const struct ctl_kube_reply *r) {
    drop_objects(f);
    int64_t ms = backoff_ms(f);
    int64_t wanted = f->ops->failed(f->arg, r);
    if (wanted < 0) return;
    if (wanted > 0) ms = wanted / 2 + chance((uint32_t)(wanted / 2));
    int64_t after = r->retry_after_s < RETRY_AFTER_MAX_S ? r->retry_after_s : RETRY_AFTER_MAX_S;
    if (ms < after * 1000) ms = after * 1000;
    gw_timer_set(f->loop, &f->timer, ms);
}

static void fail_text(struct kube_follow *f, enum gw_rc rc, const char *text) {
    struct ctl_kube_reply r = {.rc = rc, .reason = GW_STR("")};
    gw_err_set(&r.err, rc, 0, "%s: %s", f->path, text);
    fail(f, &r);
}

// A query's value: everything but unreserved characters is escaped.
static void add_escaped(struct gw_text *t, struct gw_str s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '~';
        if (plain)
            gw_text_add(t, &c, 1);
        else
            gw_text_addf(t, "%%%02X", c);
    }
}

static bool set_rv(struct kube_follow *f, const json_t *metadata) {
    struct gw_str rv = gw_json_str(metadata, "resourceVersion");
    if (rv.len == 0 || rv.len > RV_MAX) return false;
    free(f->rv);
    f->rv = gw_strndup(rv.ptr, rv.len);
    return true;
}

// --- list ----------------------------------------------------------------------------------------

static void finish_list(struct kube_follow *f) {
    f->relist = false;
    f->watch_failures = 0;
    f->ops->replace(f->arg, f->objects.ptr, f->objects.len);
    drop_objects(f);
    if (!f->path) return; // stopped meanwhile
    start_watch(f);
}

// Takes a page; a text says why it is none.
static const char *take_page(struct kube_follow *f, const json_t *body) {
    json_t *items = json_object_get(body, "items");
    const json_t *metadata = gw_json_get(body, "metadata");
    struct gw_str next = gw_json_str(metadata, "continue");
    if (items && !json_is_null(items) && !json_is_array(items)) return "its items are no list";
    if (!gw_str_ends(gw_json_str(body, "kind"), GW_STR("List"))) return "the answer is no list";
    if (!set_rv(f, metadata)) return "the list has no resourceVersion";
    if (next.len > CONTINUE_MAX || ++f->pages > CTL_KUBE_PAGES_MAX) return "the list never ends";
    if (f->objects.len + json_array_size(items) > CTL_KUBE_OBJECTS_MAX)
        return "the list holds too many objects";
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *object = json_array_get(items, i);
        json_object_del(gw_json_get(object, "metadata"), "managedFields");
        GW_VEC_PUSH(&f->objects, json_incref(object));
    }
    free(f->next_page);
    f->next_page = next.len ? gw_strndup(next.ptr, next.len) : NULL;
    return NULL;
}

static void next_page(struct kube_follow *f);

static void on_page(void *arg, const struct ctl_kube_reply *r) {
    struct kube_follow *f = arg;
    f->call = NULL;
    if (r->rc == GW_ERR_LIMIT && f->limit > 1) {
        // Large objects: fewer at once.
        f->limit = f->limit / 4 ? f->limit / 4 : 1;
        start_list(f);
        return;
    }
    if (r->rc != GW_OK) {
        fail(f, r);
        return;
    }
    const char *why = take_page(f, r->body);
    if (why)
        fail_text(f, GW_ERR_UPSTREAM, why);
    else if (f->next_page)
        next_page(f);
    else
        finish_list(f);
}

static void next_page(struct kube_follow *f) {
    struct gw_err err;
    GW_CLEANUP(gw_text_fini) struct gw_text path = {0};
    gw_text_addf(&path, "%s?limit=%u%s", f->path, f->limit, f->selector);
    if (f->next_page) {
        gw_text_adds(&path, "&continue=");
        add_escaped(&path, gw_str_of(f->next_page));
    }
    f->call = ctl_kube_send(f->kube,
                            &(struct ctl_kube_request){.method = CTL_KUBE_GET,
                                                       .path = path.ptr,
                                                       .accept = f->accept_list,
                                                       .timeout_ms = LIST_TIMEOUT_MS,
                                                       .fn = on_page,
                                                       .arg = f},
                            &err);
    if (!f->call) fail_text(f, err.rc, err.text);
}

static void start_list(struct kube_follow *f) {
    drop_objects(f);
    f->relist = true;
    next_page(f);
}

// --- watch ---------------------------------------------------------------------------------------

static bool is_expired(int status, struct gw_str reason) {
    return status == 410 || gw_str_eq(reason, GW_STR("Expired")) ||
           gw_str_eq(reason, GW_STR("Gone"));
}

static void stop_call(struct kube_follow *f) {
    if (f->call) ctl_kube_cancel(f->call);
    f->call = NULL;
    set_watching(f, false);
}

// The stream goes on after an ERROR, but nothing of it can be believed.
static void on_error_event(struct kube_follow *f, const json_t *status) {
    int64_t code = gw_json_int(status, "code", 0);
    struct gw_str reason = gw_json_str(status, "reason"), message = gw_json_str(status, "message");
    stop_call(f);
    if (is_expired((int)code, reason)) {
        f->relist = true;
        gw_timer_set(f->loop, &f->timer, backoff_ms(f));
        return;
    }
    if (++f->watch_failures >= WATCH_FAILURES_MAX) f->relist = true;
    char text[256];
    snprintf(text, sizeof(text), "the watch failed: %lld " GW_STR_FMT ": %.*s", (long long)code,
             (int)(reason.len < 64 ? reason.len : 64), reason.ptr ? reason.ptr : "",
             (int)(message.len < 128 ? message.len : 128), message.ptr ? message.ptr : "");
    fail_text(f, GW_ERR_UPSTREAM, text);
}

static void on_event(void *arg, struct gw_str type, json_t *object) {
    struct kube_follow *f = arg;
    if (gw_str_eq(type, GW_STR("ERROR"))) {
        on_error_event(f, object);
        return;
    }
    bool is_put = gw_str_eq(type, GW_STR("ADDED")) || gw_str_eq(type, GW_STR("MODIFIED"));
    bool is_del = gw_str_eq(type, GW_STR("DELETED"));
    bool is_known = is_put || is_del || gw_str_eq(type, GW_STR("BOOKMARK"));
    if (!is_known || !set_rv(f, gw_json_get(object, "metadata"))) {
        stop_call(f);
        f->relist = true;
        fail_text(f, GW_ERR_UPSTREAM,
                  is_known ? "an event has no resourceVersion" : "an event of unknown type");
        return;
    }
    f->watch_failures = 0;
    if (is_put) f->ops->put(f->arg, object);
    if (is_del) f->ops->del(f->arg, object);
}

static void on_open(void *arg) {
    struct kube_follow *f = arg;
    set_watching(f, true);
    f->ops->live(f->arg);
}

static void on_watch_end(void *arg, const struct ctl_kube_reply *r) {
    struct kube_follow *f = arg;
    f->call = NULL;
    set_watching(f, false);
    bool lived = gw_loop_now_ms(f->loop) - f->watch_began_ms >= WATCH_LIVED_MS;
    if (lived) f->failures = 0;
    if (is_expired(r->status, r->reason)) {
        f->relist = true;
        gw_timer_set(f->loop, &f->timer, backoff_ms(f));
    } else if (r->rc == GW_EOF || r->status == 200) {
        // Cut or ended; what it said is true.
        gw_timer_set(f->loop, &f->timer, lived ? 1 + chance(100) : backoff_ms(f));
    } else {
        // Who may list and not watch lists again each time.
        if (r->status == 403) f->relist = true;
        if (r->status && ++f->watch_failures >= WATCH_FAILURES_MAX) f->relist = true;
        fail(f, r);
    }
}

static void start_watch(struct kube_follow *f) {
    struct gw_err err;
    GW_CLEANUP(gw_text_fini) struct gw_text path = {0};
    gw_text_addf(&path, "%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%u%s&resourceVersion=",
                 f->path, WATCH_S + chance(WATCH_S), f->selector);
    add_escaped(&path, gw_str_of(f->rv));
    f->watch_began_ms = gw_loop_now_ms(f->loop);
    f->call = ctl_kube_watch(f->kube,
                             &(struct ctl_kube_watch_opts){.path = path.ptr,
                                                           .accept = f->accept_watch,
                                                           .idle_ms = f->idle_ms,
                                                           .on_open = on_open,
                                                           .on_event = on_event,
                                                           .on_end = on_watch_end,
                                                           .arg = f},
                             &err);
    if (!f->call) fail_text(f, err.rc, err.text);
}

// --- life ----------------------------------------------------------------------------------------

void kube_follow_init(struct kube_follow *f) {
    gw_timer_init(&f->timer, on_timer);
    f->limit = CTL_KUBE_PAGE;
}

void kube_follow_stop(struct kube_follow *f) {
    stop_call(f);
    gw_timer_cancel(f->loop, &f->timer);
    free(f->path);
    free(f->rv);
    f->path = f->rv = NULL;
    // Those of a list that is just being handed over are dropped by who hands them over.
    if (f->relist) drop_objects(f);
}

void kube_follow_fini(struct kube_follow *f) {
    kube_follow_stop(f);
    drop_objects(f);
}

void kube_follow_start(struct kube_follow *f, char *path) {
    kube_follow_stop(f);
    f->path = path;
    f->failures = f->watch_failures = 0;
    start_list(f);
}

void kube_follow_retarget(struct kube_follow *f, char *path) {
    free(f->path);
    f->path = path;
    f->relist = true;
}

void kube_follow_hurry(struct kube_follow *f) {
    if (gw_timer_armed(&f->timer)) gw_timer_set(f->loop, &f->timer, 0);
}
