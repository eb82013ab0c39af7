// SPDX-License-Identifier: Apache-2.0
// libcurl's multi interface on the loop: its sockets and its timer become ours. Within libcurl's
// callbacks bytes are only put aside; nobody's functions are called from there.
#include "controller/kube/impl.h"
#include "controller/version.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// A peer that has gone without a word is noticed by the kernel within half a minute, long before a
// watch has been silent for too long.
#define KEEPALIVE_IDLE_S 15
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_PROBES 3
#define UNACKNOWLEDGED_MS 30000

// --- sockets and the timer -----------------------------------------------------------------------

static void on_socket_event(struct gw_io *io, uint32_t events);

static void unwatch(struct kube_socket *s) {
    int own = s->io.fd;
    if (own < 0) return;
    gw_io_del(s->kube->loop, &s->io);
    close(own);
}

static bool watch(struct kube_socket *s, uint32_t events) {
    struct gw_err err;
    int own = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    if (own >= 0 && gw_io_add(s->kube->loop, &s->io, own, events, on_socket_event, &err) == GW_OK)
        return true;
    if (own >= 0) close(own);
    s->io.fd = -1;
    return false;
}

static struct kube_socket *socket_of(const struct ctl_kube *k, curl_socket_t fd) {
    struct kube_socket *s = k->sockets;
    while (s && s->fd != fd)
        s = s->next;
    return s;
}

static void socket_free(void *arg) {
    free(arg);
}

static void socket_forget(struct ctl_kube *k, curl_socket_t fd) {
    for (struct kube_socket **at = &k->sockets; *at; at = &(*at)->next) {
        struct kube_socket *s = *at;
        if (s->fd != fd) continue;
        *at = s->next;
        unwatch(s);
        gw_loop_defer(k->loop, socket_free, s);
        return;
    }
}

static void on_socket_event(struct gw_io *io, uint32_t events) {
    struct kube_socket *s = GW_CONTAINER_OF(io, struct kube_socket, io);
    struct ctl_kube *k = s->kube;
    int mask = 0, running;
    if (events & (EPOLLIN | EPOLLHUP)) mask |= CURL_CSELECT_IN;
    if (events & EPOLLOUT) mask |= CURL_CSELECT_OUT;
    if (events & EPOLLERR) mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(k->multi, s->fd, mask, &running);
    if (k->in_flight && !gw_timer_armed(&k->whole_timer))
        gw_timer_set(k->loop, &k->whole_timer, KUBE_WHOLE_MS);
    kube_after_curl(k);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg) {
    (void)easy;
    (void)socket_arg;
    struct ctl_kube *k = arg;
    if (what == CURL_POLL_REMOVE) {
        socket_forget(k, fd);
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    struct kube_socket *s = socket_of(k, fd);
    if (s && s->io.fd >= 0) {
        gw_io_mod(k->loop, &s->io, events);
        return 0;
    }
    if (!s) {
        s = gw_alloc(sizeof(*s));
        s->kube = k;
        s->fd = fd;
        s->io.fd = -1;
        s->next = k->sockets;
        k->sockets = s;
    }
    return watch(s, events) ? 0 : -1;
}

static int on_socket_close(void *arg, curl_socket_t fd) {
    socket_forget(arg, fd);
    return close(fd);
}

static curl_socket_t on_socket_wanted(void *arg, curlsocktype purpose, struct curl_sockaddr *a) {
    (void)purpose;
    struct ctl_kube *k = arg;
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS},
    };
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd < 0) return CURL_SOCKET_BAD;
    for (size_t i = 0; i < GW_ARRAY_LEN(options); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
    // The number of one that was closed without a word: libcurl believes it is watched still.
    struct kube_socket *s = socket_of(k, fd);
    if (s) {
        uint32_t events = s->io.events;
        unwatch(s);
        if (!watch(s, events)) {
            close(fd);
            return CURL_SOCKET_BAD;
        }
    }
    return fd;
}

static int on_timer_wanted(CURLM *multi, long ms, void *arg) {
    (void)multi;
    struct ctl_kube *k = arg;
    if (ms < 0)
        gw_timer_cancel(k->loop, &k->curl_timer);
    else
        gw_timer_set(k->loop, &k->curl_timer, ms);
    return 0;
}

static void on_curl_timer(struct gw_timer *t) {
    struct ctl_kube *k = GW_CONTAINER_OF(t, struct ctl_kube, curl_timer);
    int running;
    curl_multi_socket_action(k->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    kube_after_curl(k);
}

enum gw_rc kube_multi_new(struct ctl_kube *k, struct gw_err *err) {
    gw_timer_init(&k->curl_timer, on_curl_timer);
    gw_timer_init(&k->whole_timer, kube_on_whole_timer);
    k->multi = curl_multi_init();
    if (!k->multi) return gw_err_set(err, GW_ERR_INTERNAL, 0, "libcurl does not start");
    curl_multi_setopt(k->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(k->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(k->multi, CURLMOPT_SOCKETDATA, k);
    curl_multi_setopt(k->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(k->multi, CURLMOPT_TIMERDATA, k);
    return GW_OK;
}

void kube_multi_free(struct ctl_kube *k) {
    curl_multi_cleanup(k->multi);
    k->multi = NULL;
    gw_timer_cancel(k->loop, &k->curl_timer);
    gw_timer_cancel(k->loop, &k->whole_timer);
    while (k->sockets)
        socket_forget(k, k->sockets->fd);
}

// --- bytes of an answer --------------------------------------------------------------------------

static void note_life(struct ctl_kube_call *c) {
    c->last_ms = c->kube->last_byte_ms = gw_loop_now_ms(c->kube->loop);
    if (c->is_watch) gw_timer_set(c->kube->loop, &c->timer, c->idle_ms);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg) {
    (void)p;
    struct ctl_kube_call *c = arg;
    note_life(c);
    c->has_news = true;
    return size * n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg) {
    struct ctl_kube_call *c = arg;
    size_t bytes = size * n;
    note_life(c);
    c->has_news = true;
    // What came before the last end of a line is delivered soon and not part of a large event; but
    // libcurl hands out 16 KiB at a time, so the difference is small.
    if (c->in.len + bytes > CTL_KUBE_BODY_BYTES_MAX) {
        c->too_large = true;
        return 0;
    }
    gw_text_add(&c->in, p, bytes);
    return bytes;
}

// --- one transfer --------------------------------------------------------------------------------

static void add_header(struct ctl_kube_call *c, const char *name, const char *value) {
    struct gw_text line = {0};
    gw_text_addf(&line, "%s: %s", name, value);
    c->headers = curl_slist_append(c->headers, line.ptr);
    gw_text_fini(&line);
}

static void add_token(struct ctl_kube_call *c) {
    struct gw_text line = {0};
    struct gw_str token = gw_secret_reveal(c->kube->token);
    gw_text_addf(&line, "Authorization: Bearer " GW_STR_FMT, GW_STR_ARG(token));
    c->headers = curl_slist_append(c->headers, line.ptr);
    explicit_bzero(line.ptr, line.len);
    gw_text_fini(&line);
}

static void set_blob(CURL *easy, CURLoption option, struct gw_str bytes) {
    // The client outlives its transfers.
    struct curl_blob blob = {(void *)(uintptr_t)bytes.ptr, bytes.len, CURL_BLOB_NOCOPY};
    curl_easy_setopt(easy, option, &blob);
}

static void set_tls(CURL *easy, const struct ctl_kube *k) {
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, k->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, k->insecure ? 0L : 2L);
    if (k->ca_pem) set_blob(easy, CURLOPT_CAINFO_BLOB, gw_str_of(k->ca_pem));
    if (!k->cert_pem) return;
    set_blob(easy, CURLOPT_SSLCERT_BLOB, gw_str_of(k->cert_pem));
    set_blob(easy, CURLOPT_SSLKEY_BLOB, gw_secret_reveal(k->key_pem));
}

static void set_request(CURL *easy, struct ctl_kube_call *c) {
    add_header(c, "Accept", c->accept ? c->accept : "application/json");
    add_header(c, "User-Agent", "tandem-controller/" CTL_VERSION);
    if (c->kube->token) add_token(c);
    if (c->body) {
        add_header(c, "Content-Type", c->content_type ? c->content_type : "application/json");
        add_header(c, "Expect", "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, c->body);
    }
    if (c->method != CTL_KUBE_GET)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, kube_method_name(c->method));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, c->headers);
}

enum gw_rc kube_transfer_start(struct ctl_kube_call *c, struct gw_err *err) {
    struct ctl_kube *k = c->kube;
    struct gw_text url = {0};
    CURL *easy = c->easy = curl_easy_init();
    if (!easy) return gw_err_set(err, GW_ERR_INTERNAL, 0, "libcurl does not start a request");
    gw_text_addf(&url, "%s%s", k->server, c->path);
    curl_easy_setopt(easy, CURLOPT_URL, url.ptr);
    gw_text_fini(&url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->curl_text);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)KUBE_CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    // Wait for the connection that is being made, so that all share it.
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket_wanted);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, k);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_socket_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, k);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
    set_tls(easy, k);
    set_request(easy, c);
    CURLMcode code = curl_multi_add_handle(k->multi, easy);
    if (code == CURLM_OK) return GW_OK;
    return gw_err_set(err, GW_ERR_INTERNAL, 0, "libcurl: %s", curl_multi_strerror(code));
}

void kube_transfer_stop(struct ctl_kube_call *c) {
    if (c->easy) {
        curl_multi_remove_handle(c->kube->multi, c->easy);
        curl_easy_cleanup(c->easy);
        c->easy = NULL;
    }
    curl_slist_free_all(c->headers);
    c->headers = NULL;
}
