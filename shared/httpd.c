// SPDX-License-Identifier: Apache-2.0
// libwebsockets does the HTTP; this file owns the listening socket (so that a port in use is an
// ordinary error), the thread, and the way an answer's text goes out in pieces.
#include "shared/httpd.h"

#include "shared/map.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Connections at once; also bounds the memory that idle ones hold.
#define FDS_MAX 256
// Of one address: probes and scrapes of others must find room.
#define PEER_FDS_MAX 64
#define BACKLOG 128
#define CHUNK_BYTES (16 * 1024)
#define HEAD_BYTES 1024
#define QUERY_BYTES_MAX 4096
#define KEEP_ALIVE_S 15

struct gw_httpd {
    const struct gw_httpd_route *routes;
    void *arg;
    struct lws_context *context;
    struct lws_vhost *vhost;
    pthread_t thread;
    bool is_running;
    atomic_bool is_stopping;
    uint16_t port;
    struct gw_map peers; // IP address -> struct peer *; of the thread alone
};

// An address and its connections, each of which points here.
struct peer {
    struct gw_map *peers;
    unsigned n;
    size_t ip_len;
    char ip[16];
};

// One connection's answer under way; lws zeroes it when the connection is made.
struct session {
    struct gw_text body;
    size_t sent;
    bool is_refused; // the request's own body is not read: the connection ends with the answer
};

static struct gw_httpd *httpd_of(struct lws *wsi) {
    return lws_context_user(lws_get_context(wsi));
}

static void peer_leave(struct peer *p);

// --- what is answered ---------------------------------------------------------------------------

static void answer_error(struct gw_httpd_answer *a, int status, const char *what,
                         struct gw_str path) {
    a->status = status;
    a->content_type = "application/json";
    gw_text_addf(&a->body, "{\"error\":\"%s", what);
    gw_text_add_json(&a->body, path);
    gw_text_adds(&a->body, "\"}\n");
}

static void answer_index(const struct gw_httpd *h, struct gw_httpd_answer *a) {
    int width = 0;
    a->status = 200;
    a->content_type = "text/plain";
    for (const struct gw_httpd_route *r = h->routes; r->path; r++)
        if ((int)strlen(r->path) > width) width = (int)strlen(r->path);
    for (const struct gw_httpd_route *r = h->routes; r->path; r++)
        gw_text_addf(&a->body, "%-*s  %s\n", width, r->path, r->help ? r->help : "");
}

static bool route_fits(const struct gw_httpd_route *r, struct gw_str path) {
    struct gw_str pattern = gw_str_of(r->path);
    if (!gw_str_ends(pattern, GW_STR("/*"))) return gw_str_eq(pattern, path);
    pattern.len--;
    return gw_str_starts(path, pattern);
}

static void answer(const struct gw_httpd *h, const struct gw_httpd_request *rq, bool is_read,
                   struct gw_httpd_answer *a) {
    if (!is_read) {
        answer_error(a, 405, "only GET and HEAD are answered here", GW_STR(""));
        return;
    }
    for (const struct gw_httpd_route *r = h->routes; r->path; r++) {
        if (!route_fits(r, rq->path)) continue;
        r->fn(h->arg, rq, a);
        return;
    }
    if (gw_str_eq(rq->path, GW_STR("/")))
        answer_index(h, a);
    else
        answer_error(a, 404, "there is no ", rq->path);
}

// --- one request --------------------------------------------------------------------------------

// lws keeps the query decoded and cut at '&'; what would be misread is escaped again.
static void read_query(struct lws *wsi, struct gw_text *out) {
    char part[QUERY_BYTES_MAX];
    for (int i = 0;; i++) {
        int n = lws_hdr_copy_fragment(wsi, part, sizeof(part), WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n < 0 || (n == 0 && i > 0)) break;
        if (i) gw_text_adds(out, "&");
        for (int k = 0; k < n; k++) {
            unsigned char c = (unsigned char)part[k];
            if (c <= ' ' || c == '%' || c == '&' || c >= 0x7f)
                gw_text_addf(out, "%%%02X", c);
            else
                gw_text_add(out, &c, 1);
        }
        if (n == 0) break;
    }
}

static bool send_head(struct lws *wsi, const struct gw_httpd_answer *a) {
    unsigned char head[LWS_PRE + HEAD_BYTES], *start = head + LWS_PRE, *p = start;
    unsigned char *end = head + sizeof(head) - 1;
    const char *type = a->content_type ? a->content_type : "text/plain";
    static const unsigned char allow[] = "GET, HEAD", cache[] = "no-store";
    if (lws_add_http_common_headers(wsi, (unsigned)a->status, type, a->body.len, &p, end) ||
        lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CACHE_CONTROL, cache, sizeof(cache) - 1,
                                     &p, end))
        return false;
    if (a->status == 405 &&
        lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_ALLOW, allow, sizeof(allow) - 1, &p, end))
        return false;
    return lws_finalize_write_http_header(wsi, start, &p, end) == 0;
}

// Nonzero closes the connection, as lws wants it.
static int end_answer(struct lws *wsi, struct session *s) {
    bool is_refused = s->is_refused;
    gw_text_fini(&s->body);
    *s = (struct session){0};
    return is_refused || lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int on_request(struct lws *wsi, struct session *s, struct gw_str path) {
    struct gw_httpd *h = httpd_of(wsi);
    bool is_head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    bool is_read = is_head || lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
    struct gw_text query = {0};
    struct gw_httpd_answer a = {.status = 500};
    read_query(wsi, &query);
    gw_text_fini(&s->body);
    s->sent = 0;
    s->is_refused = !is_read;
    answer(h, &(struct gw_httpd_request){path, gw_text_str(&query)}, is_read, &a);
    gw_text_fini(&query);
    s->body = a.body;
    if (!send_head(wsi, &a)) {
        s->is_refused = true;
        return end_answer(wsi, s);
    }
    if (is_head || s->body.len == 0) return end_answer(wsi, s);
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_writable(struct lws *wsi, struct session *s) {
    unsigned char chunk[LWS_PRE + CHUNK_BYTES];
    if (!s->body.ptr) return 0;
    size_t n = s->body.len - s->sent;
    bool is_last = n <= CHUNK_BYTES;
    if (!is_last) n = CHUNK_BYTES;
    memcpy(chunk + LWS_PRE, s->body.ptr + s->sent, n);
    int written =
        lws_write(wsi, chunk + LWS_PRE, n, is_last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);
    if (written < 0 || (size_t)written != n) {
        s->is_refused = true;
        return end_answer(wsi, s);
    }
    s->sent += n;
    if (is_last) return end_answer(wsi, s);
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t len) {
    struct session *s = user;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(wsi, s, (struct gw_str){in, len});
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_writable(wsi, s);
    case LWS_CALLBACK_HTTP_BODY:
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return 0; // refused already; the answer is under way
    case LWS_CALLBACK_CLOSED_HTTP:
        if (s) gw_text_fini(&s->body);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        peer_leave(lws_get_opaque_user_data(wsi));
        lws_set_opaque_user_data(wsi, NULL);
        return 0;
    case LWS_CALLBACK_FILTER_HTTP_CONNECTION:
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

// --- the listening socket -----------------------------------------------------------------------

// Out of descriptors: a listening socket that stays readable must not spin the thread.
static const struct timespec accept_pause = {.tv_nsec = 50 * 1000 * 1000};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static struct peer *peer_of(struct gw_httpd *h, const union address *a) {
    bool is_v6 = a->any.sa_family == AF_INET6;
    struct gw_str ip = {is_v6 ? (const char *)&a->v6.sin6_addr : (const char *)&a->v4.sin_addr,
                        is_v6 ? sizeof(a->v6.sin6_addr) : sizeof(a->v4.sin_addr)};
    struct peer *p = gw_map_get(&h->peers, ip);
    if (p) return p;
    p = gw_alloc(sizeof(*p));
    p->peers = &h->peers;
    p->ip_len = ip.len;
    memcpy(p->ip, ip.ptr, ip.len);
    gw_map_put(&h->peers, ip, p);
    return p;
}

static void peer_leave(struct peer *p) {
    if (!p || --p->n > 0) return;
    free(gw_map_del(p->peers, (struct gw_str){p->ip, p->ip_len}));
}

// Takes client.
static void adopt(struct gw_httpd *h, int client, const union address *from) {
    struct peer *p = peer_of(h, from);
    p->n++;
    struct lws *wsi = NULL;
    if (p->n <= PEER_FDS_MAX)
        wsi = lws_adopt_socket_vhost(h->vhost, client); // closes it where it finds no room
    else
        close(client);
    if (wsi)
        lws_set_opaque_user_data(wsi, p);
    else
        peer_leave(p);
}

static void accept_all(struct lws *wsi) {
    struct gw_httpd *h = httpd_of(wsi);
    int fd = lws_get_socket_fd(wsi);
    for (int i = 0; i < BACKLOG; i++) {
        union address from = {0};
        socklen_t len = sizeof(from);
        int client = accept4(fd, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) {
            bool is_short =
                errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
            if (is_short) nanosleep(&accept_pause, NULL);
            return;
        }
        adopt(h, client, &from);
    }
}

static int on_listen(struct lws *wsi, enum lws_callback_reasons reason, void *user GW_UNUSED,
                     void *in GW_UNUSED, size_t len GW_UNUSED) {
    if (reason == LWS_CALLBACK_RAW_RX_FILE) accept_all(wsi);
    return 0;
}

static int listen_at(const struct addrinfo *ai, struct gw_err *err) {
    int one = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "socket: %s", strerror(errno));
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
    if (errno == EADDRINUSE)
        gw_err_set(err, GW_ERR_LIMIT, 0, "the port is in use by another process");
    else
        gw_err_set(err, GW_ERR_INTERNAL, 0, "%s", strerror(errno));
    close(fd);
    return -1;
}

static int listen_on(const char *host, uint16_t port, uint16_t *ret_port, struct gw_err *err) {
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0) {
        gw_err_set(err, GW_ERR_INPUT, 0, "admin address '%s': %s", host, gai_strerror(rc));
        return -1;
    }
    int fd = listen_at(list, err);
    freeaddrinfo(list);
    if (fd < 0) {
        gw_err_wrap(err, "cannot listen on %s port %u", host, port);
        return -1;
    }
    // The port stands at the same place for both families (RFC 3493 3.3, and Linux's sockaddr_in).
    struct sockaddr_in6 addr = {0};
    socklen_t len = sizeof(addr);
    getsockname(fd, (struct sockaddr *)&addr, &len);
    *ret_port = ntohs(addr.sin6_port);
    return fd;
}

// --- life ---------------------------------------------------------------------------------------

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = on_http, .per_session_data_size = sizeof(struct session)},
    {.name = "listen", .callback = on_listen},
    {0},
};

static void *run(void *arg) {
    struct gw_httpd *h = arg;
    while (!atomic_load(&h->is_stopping) && lws_service(h->context, 0) >= 0)
        continue;
    return NULL;
}

// Signals are for the threads that wait for them.
static bool start_thread(struct gw_httpd *h) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    h->is_running = pthread_create(&h->thread, NULL, run, h) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return h->is_running;
}

struct gw_httpd *gw_httpd_start(const char *host, uint16_t port,
                                const struct gw_httpd_route *routes, void *arg,
                                struct gw_err *err) {
    struct gw_httpd *h = gw_alloc(sizeof(*h));
    h->routes = routes;
    h->arg = arg;
    int fd = listen_on(host, port, &h->port, err);
    if (fd < 0) {
        free(h);
        return NULL;
    }
    lws_set_log_level(0, NULL);
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .user = h,
        .fd_limit_per_thread = FDS_MAX,
        .keepalive_timeout = KEEP_ALIVE_S,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .vhost_name = "admin",
    };
    h->context = lws_create_context(&info);
    h->vhost = h->context ? lws_create_vhost(h->context, &info) : NULL;
    // From here on lws owns fd.
    if (!h->vhost ||
        !lws_adopt_descriptor_vhost(h->vhost, LWS_ADOPT_RAW_FILE_DESC,
                                    (lws_sock_file_fd_type){.filefd = fd}, "listen", NULL)) {
        close(fd);
        gw_err_set(err, GW_ERR_INTERNAL, 0, "libwebsockets does not start");
        gw_httpd_stop(h);
        return NULL;
    }
    if (!start_thread(h)) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "cannot start the admin server's thread");
        gw_httpd_stop(h);
        return NULL;
    }
    return h;
}

uint16_t gw_httpd_port(const struct gw_httpd *h) {
    return h->port;
}

void gw_httpd_stop(struct gw_httpd *h) {
    if (!h) return;
    atomic_store(&h->is_stopping, true);
    if (h->is_running) {
        lws_cancel_service(h->context);
        pthread_join(h->thread, NULL);
    }
    if (h->context) lws_context_destroy(h->context);
    gw_map_fini(&h->peers, free);
    free(h);
}
