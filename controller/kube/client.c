// SPDX-License-Identifier: Apache-2.0
// Calls to the API server: what waits its turn, what is under way, how each ends. A call's memory
// lives until the end of the loop's turn in which it ended, so that it may be cancelled from
// everywhere.
#include "controller/kube/impl.h"

#include <stdlib.h>

static char *copy_of(const char *s) {
    return s ? gw_strdup(s) : NULL;
}

// --- lists ---------------------------------------------------------------------------------------

static void unlink_call(struct ctl_kube_call *c) {
    struct ctl_kube *k = c->kube;
    if (!c->pprev) return;
    if (k->waiting_end == &c->next) k->waiting_end = c->pprev;
    *c->pprev = c->next;
    if (c->next) c->next->pprev = c->pprev;
    c->next = NULL;
    c->pprev = NULL;
}

static void link_waiting(struct ctl_kube_call *c) {
    struct ctl_kube *k = c->kube;
    c->pprev = k->waiting_end;
    *k->waiting_end = c;
    k->waiting_end = &c->next;
}

static void link_sent(struct ctl_kube_call *c) {
    struct ctl_kube *k = c->kube;
    c->next = k->sent;
    if (c->next) c->next->pprev = &c->next;
    c->pprev = &k->sent;
    k->sent = c;
}

// --- life of a call ------------------------------------------------------------------------------

static void call_free(void *arg) {
    struct ctl_kube_call *c = arg;
    if (c->body) explicit_bzero(c->body, c->body_len);
    free(c->path);
    free(c->body);
    free(c->content_type);
    free(c->accept);
    gw_text_fini(&c->in);
    free(c);
}

// Out of every list; the transfer is left for the reply to look at.
static void detach(struct ctl_kube_call *c) {
    struct ctl_kube *k = c->kube;
    unlink_call(c);
    gw_timer_cancel(k->loop, &c->timer);
    if (c->state == KUBE_SENT && !c->is_watch) k->in_flight--;
    c->state = KUBE_ENDED;
    k->calls--;
}

static void release(struct ctl_kube_call *c) {
    struct gw_loop *l = c->kube->loop;
    kube_transfer_stop(c);
    gw_loop_defer(l, call_free, c);
}

static void end(struct ctl_kube_call *c, enum gw_rc rc, const char *text) {
    detach(c);
    kube_reply(c, rc, text);
    release(c);
}

void ctl_kube_cancel(struct ctl_kube_call *c) {
    if (c->state == KUBE_ENDED) { // one of several that end together
        c->fn = NULL;
        return;
    }
    detach(c);
    release(c);
}

// A connection that says nothing to anybody is closed with all that waits on it; libcurl would
// put the next request on it otherwise.
static void end_all(struct ctl_kube *k) {
    struct gw_err err;
    struct ctl_kube_call *ended = NULL;
    while (k->sent) {
        struct ctl_kube_call *c = k->sent;
        detach(c);
        kube_transfer_stop(c);
        c->next = ended;
        ended = c;
    }
    kube_multi_free(k);
    if (kube_multi_new(k, &err) != GW_OK)
        gw_assert_failed("libcurl starts again", __FILE__, __LINE__);
    while (ended) {
        struct ctl_kube_call *c = ended;
        ended = c->next;
        c->next = NULL;
        kube_reply(c, GW_ERR_TIMEOUT, "the connection is silent");
        release(c);
    }
}

static void start_waiting(struct ctl_kube *k);

static void on_timer(struct gw_timer *t) {
    struct ctl_kube_call *c = GW_CONTAINER_OF(t, struct ctl_kube_call, timer);
    struct ctl_kube *k = c->kube;
    if (c->state == KUBE_SENT && k->last_byte_ms <= c->last_ms)
        end_all(k);
    else
        end(c, GW_ERR_TIMEOUT, c->is_watch ? "it is silent" : "no answer in time");
    start_waiting(k);
}

// --- sending -------------------------------------------------------------------------------------

// A projected token is a link that is turned when the token is renewed.
static void refresh_token(struct ctl_kube *k) {
    struct stat st;
    struct gw_err err;
    int64_t now = gw_loop_now_ms(k->loop);
    if (!k->token_file || now - k->token_checked_ms < KUBE_TOKEN_CHECK_MS) return;
    k->token_checked_ms = now;
    if (stat(k->token_file, &st) != 0) return;
    if (st.st_ino == k->token_ino && st.st_mtim.tv_sec == k->token_mtime.tv_sec &&
        st.st_mtim.tv_nsec == k->token_mtime.tv_nsec)
        return;
    struct gw_secret *token = gw_secret_from_file(k->token_file, &err);
    if (token && !gw_secret_is_token(token)) {
        gw_secret_unref(token);
        token = NULL;
    }
    if (!token) return; // half written: the old one serves, and the file is looked at again
    gw_secret_unref(k->token);
    k->token = token;
    k->token_ino = st.st_ino;
    k->token_mtime = st.st_mtim;
}

// The failure of a start is told from the loop, as every other end.
static void on_failed_start(struct gw_timer *t) {
    struct ctl_kube_call *c = GW_CONTAINER_OF(t, struct ctl_kube_call, timer);
    end(c, GW_ERR_INTERNAL, "the request could not be started");
}

static void start(struct ctl_kube_call *c) {
    struct ctl_kube *k = c->kube;
    struct gw_err err;
    unlink_call(c);
    refresh_token(k);
    c->state = KUBE_SENT;
    link_sent(c);
    if (!c->is_watch) k->in_flight++;
    c->last_ms = gw_loop_now_ms(k->loop);
    if (c->is_watch) gw_timer_set(k->loop, &c->timer, c->idle_ms);
    if (kube_transfer_start(c, &err) == GW_OK) return;
    gw_timer_cancel(k->loop, &c->timer);
    gw_timer_init(&c->timer, on_failed_start);
    gw_timer_set(k->loop, &c->timer, 0);
}

static void start_waiting(struct ctl_kube *k) {
    while (k->waiting && k->in_flight < CTL_KUBE_IN_FLIGHT_MAX)
        start(k->waiting);
}

static struct ctl_kube_call *call_new(struct ctl_kube *k, const char *path, struct gw_err *err) {
    if (k->calls >= CTL_KUBE_CALLS_MAX) {
        gw_err_set(err, GW_ERR_LIMIT, 0, "more than %d calls to the API server are under way",
                   CTL_KUBE_CALLS_MAX);
        return NULL;
    }
    struct ctl_kube_call *c = gw_alloc(sizeof(*c));
    k->calls++;
    c->kube = k;
    c->path = gw_strdup(path);
    gw_timer_init(&c->timer, on_timer);
    return c;
}

struct ctl_kube_call *ctl_kube_send(struct ctl_kube *k, const struct ctl_kube_request *r,
                                    struct gw_err *err) {
    struct ctl_kube_call *c = call_new(k, r->path, err);
    if (!c) return NULL;
    c->method = r->method;
    c->fn = r->fn;
    c->arg = r->arg;
    c->content_type = copy_of(r->content_type);
    c->accept = copy_of(r->accept);
    if (r->body) {
        c->body = json_dumps(r->body, JSON_COMPACT);
        c->body_len = c->body ? strlen(c->body) : 0;
    }
    gw_timer_set(k->loop, &c->timer, r->timeout_ms ? r->timeout_ms : KUBE_TIMEOUT_MS);
    link_waiting(c);
    start_waiting(k);
    return c;
}

struct ctl_kube_call *ctl_kube_watch(struct ctl_kube *k, const struct ctl_kube_watch_opts *o,
                                     struct gw_err *err) {
    struct ctl_kube_call *c = call_new(k, o->path, err);
    if (!c) return NULL;
    c->is_watch = true;
    c->idle_ms = o->idle_ms;
    c->on_open = o->on_open;
    c->on_event = o->on_event;
    c->fn = o->on_end;
    c->arg = o->arg;
    c->accept = copy_of(o->accept);
    start(c);
    return c;
}

// --- after libcurl has worked --------------------------------------------------------------------

static struct ctl_kube_call *with_news(struct ctl_kube *k) {
    for (struct ctl_kube_call *c = k->sent; c; c = c->next)
        if (c->is_watch && c->has_news) return c;
    return NULL;
}

static bool is_stream(const struct ctl_kube_call *c) {
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    return status == 200;
}

void kube_call_end_curl(struct ctl_kube_call *c, CURLcode result) {
    if (result == CURLE_OK)
        end(c, GW_OK, NULL);
    else if (c->too_large)
        end(c, GW_ERR_LIMIT, "the answer is larger than 64 MiB");
    else
        end(c, result == CURLE_OPERATION_TIMEDOUT ? GW_ERR_TIMEOUT : GW_ERR_UPSTREAM,
            *c->curl_text ? c->curl_text : curl_easy_strerror(result));
}

static void take_news(struct ctl_kube_call *c) {
    struct gw_err err;
    c->has_news = false;
    if (!is_stream(c)) return;
    if (!c->is_open && c->on_open) c->on_open(c->arg);
    c->is_open = true;
    if (c->state == KUBE_SENT && kube_deliver(c, &err) != GW_OK) end(c, GW_ERR_UPSTREAM, err.text);
}

void kube_after_curl(struct ctl_kube *k) {
    struct ctl_kube_call *c;
    while ((c = with_news(k)))
        take_news(c);
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(k->multi, &left))) {
        if (m->msg != CURLMSG_DONE) continue;
        CURLcode result = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        // The next request may have another token after a refusal.
        long status = 0;
        curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        if (status == 401) k->token_ino = 0;
        kube_call_end_curl(c, result);
    }
    start_waiting(k);
}

// --- answers whose end libcurl does not tell of --------------------------------------------------

// libcurl 7.88 sometimes loses the end of an HTTP/2 stream whose last bytes it read while it served
// another one: the answer is there and the request never ends, whatever the socket is told. So an
// answer that is whole and silent is taken for what it is.
static bool is_whole(struct ctl_kube_call *c, int64_t now_ms) {
    if (c->is_watch || c->in.len == c->scanned || now_ms - c->last_ms < KUBE_WHOLE_MS) return false;
    c->scanned = c->in.len;
    return kube_is_whole(gw_text_str(&c->in));
}

static struct ctl_kube_call *whole_call(struct ctl_kube *k, bool *ret_again) {
    *ret_again = false;
    for (struct ctl_kube_call *c = k->sent; c; c = c->next) {
        if (is_whole(c, gw_loop_now_ms(k->loop))) return c;
        if (!c->is_watch && c->in.len != c->scanned) *ret_again = true;
    }
    return NULL;
}

void kube_on_whole_timer(struct gw_timer *t) {
    struct ctl_kube *k = GW_CONTAINER_OF(t, struct ctl_kube, whole_timer);
    struct ctl_kube_call *c;
    bool again;
    while ((c = whole_call(k, &again)))
        end(c, GW_OK, NULL);
    if (again && !gw_timer_armed(t)) gw_timer_set(k->loop, t, KUBE_WHOLE_MS);
    kube_after_curl(k);
}

// --- life of the client --------------------------------------------------------------------------

struct ctl_kube *ctl_kube_new(struct gw_loop *l, const struct ctl_kube_config *o,
                              struct gw_err *err) {
    static bool is_started;
    if (!is_started && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "libcurl does not start");
        return NULL;
    }
    is_started = true;
    struct ctl_kube *k = gw_alloc(sizeof(*k));
    k->loop = l;
    k->waiting_end = &k->waiting;
    k->server = gw_strdup(o->server);
    k->ca_pem = copy_of(o->ca_pem);
    k->cert_pem = copy_of(o->cert_pem);
    k->token_file = copy_of(o->token_file);
    k->key_pem = o->key_pem ? gw_secret_ref(o->key_pem) : NULL;
    k->token = o->token ? gw_secret_ref(o->token) : NULL;
    k->insecure = o->insecure;
    if (kube_multi_new(k, err) == GW_OK) return k;
    ctl_kube_free(k);
    return NULL;
}

void ctl_kube_free(struct ctl_kube *k) {
    if (!k) return;
    while (k->waiting)
        ctl_kube_cancel(k->waiting);
    while (k->sent)
        ctl_kube_cancel(k->sent);
    if (k->multi) kube_multi_free(k);
    gw_secret_unref(k->key_pem);
    gw_secret_unref(k->token);
    free(k->server);
    free(k->ca_pem);
    free(k->cert_pem);
    free(k->token_file);
    free(k);
}
