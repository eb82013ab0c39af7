// SPDX-License-Identifier: Apache-2.0
// c-ares on a gw_loop. Its callbacks only store what came; waiters are told once c-ares has
// returned, so that they may ask again from their own callback.
#include "dataplane/upstream/dns.h"

#include "shared/map.h"

#include <ares.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>

#define TTL_MIN_MS 5000
#define TTL_MAX_MS 300000
#define FAILED_MS 1000
// Of one question to one server; DP_DNS_TIMEOUT_MS bounds search domains, servers and tries.
#define TRY_MS 1500
#define TRIES 2

struct dp_dns_query {
    struct dp_dns_query *next, **pprev;
    dp_dns_fn fn;
    void *arg;
};

struct name {
    struct dp_dns *dns;
    char *text;
    struct name *newer, *older; // by last use
    struct dp_dns_query *waiting;
    struct gw_timer deadline; // of the question
    bool is_asked;            // c-ares will call back
    bool is_told;             // waiters are being called: must not be freed
    bool is_news;             // in dns->news
    struct name *next_news;
    // The last good answer and what became of the last question.
    struct dp_dns_addr addrs[DP_DNS_ADDRS_MAX];
    unsigned addrs_n;
    int64_t fresh_until_ms, stale_until_ms, failed_until_ms;
    struct gw_err err;
};

struct socket {
    struct gw_io io;
    struct dp_dns *dns;
    struct socket *next;
};

struct dp_dns {
    struct gw_loop *loop;
    ares_channel channel;
    bool is_closing;
    struct gw_timer timer; // what c-ares waits for
    struct socket *sockets;
    struct gw_map names;
    struct name *newest, *oldest;
    struct name *news; // answered, waiters not told yet
    int64_t skew_ms;
};

static void tell_news(struct dp_dns *d);

static int64_t now_ms(const struct dp_dns *d) {
    return gw_loop_now_ms(d->loop) + d->skew_ms;
}

void dp_dns_skip_ms(struct dp_dns *d, int64_t ms) {
    d->skew_ms += ms;
}

// --- c-ares on the loop -------------------------------------------------------------------------

static void set_timer(struct dp_dns *d) {
    struct timeval tv;
    if (!ares_timeout(d->channel, NULL, &tv))
        gw_timer_cancel(d->loop, &d->timer);
    else
        gw_timer_set(d->loop, &d->timer, (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1);
}

static void process(struct dp_dns *d, ares_socket_t readable, ares_socket_t writable) {
    ares_process_fd(d->channel, readable, writable);
    set_timer(d);
    tell_news(d);
}

static void on_timer(struct gw_timer *t) {
    process(GW_CONTAINER_OF(t, struct dp_dns, timer), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void on_socket(struct gw_io *io, uint32_t events) {
    struct socket *s = GW_CONTAINER_OF(io, struct socket, io);
    int fd = io->fd;
    bool is_bad = events & (EPOLLERR | EPOLLHUP);
    process(s->dns, events & EPOLLIN || is_bad ? fd : ARES_SOCKET_BAD,
            events & EPOLLOUT || is_bad ? fd : ARES_SOCKET_BAD);
}

static struct socket **find_socket(struct dp_dns *d, int fd) {
    struct socket **at = &d->sockets;
    while (*at && (*at)->io.fd != fd)
        at = &(*at)->next;
    return at;
}

static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable) {
    struct dp_dns *d = arg;
    struct socket **at = find_socket(d, fd), *s = *at;
    uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
    if (s && !events) {
        *at = s->next;
        gw_io_del(d->loop, &s->io);
        gw_loop_free_later(d->loop, s);
    } else if (s) {
        gw_io_mod(d->loop, &s->io, events);
    } else if (events) {
        s = gw_alloc(sizeof(*s));
        s->dns = d;
        // Where the loop has no room, the question times out.
        if (gw_io_add(d->loop, &s->io, fd, events, on_socket, NULL) != GW_OK) {
            free(s);
            return;
        }
        s->next = d->sockets;
        d->sockets = s;
    }
}

// --- names --------------------------------------------------------------------------------------

static void unlink_name(struct dp_dns *d, struct name *n) {
    *(n->newer ? &n->newer->older : &d->newest) = n->older;
    *(n->older ? &n->older->newer : &d->oldest) = n->newer;
    n->newer = n->older = NULL;
}

static void link_newest(struct dp_dns *d, struct name *n) {
    n->older = d->newest;
    *(d->newest ? &d->newest->newer : &d->oldest) = n;
    d->newest = n;
}

static void free_name(struct name *n) {
    gw_timer_cancel(n->dns->loop, &n->deadline);
    unlink_name(n->dns, n);
    gw_map_del(&n->dns->names, gw_str_of(n->text));
    free(n->text);
    free(n);
}

static bool make_room(struct dp_dns *d) {
    if (d->names.len < DP_DNS_NAMES_MAX) return true;
    for (struct name *n = d->oldest; n; n = n->newer) {
        if (n->is_asked || n->is_told || n->is_news || n->waiting) continue;
        free_name(n);
        return true;
    }
    return false;
}

static void on_deadline(struct gw_timer *t);

static struct name *name_of(struct dp_dns *d, const char *host) {
    struct name *n = gw_map_get(&d->names, gw_str_of(host));
    if (n) {
        unlink_name(d, n);
    } else {
        if (!make_room(d)) return NULL;
        n = gw_alloc(sizeof(*n));
        n->dns = d;
        n->text = gw_strdup(host);
        gw_timer_init(&n->deadline, on_deadline);
        gw_map_put(&d->names, gw_str_of(host), n);
    }
    link_newest(d, n);
    return n;
}

// --- answers ------------------------------------------------------------------------------------

static void tell_closing(dp_dns_fn fn, void *arg) {
    struct gw_err err;
    gw_err_set(&err, GW_CANCELLED, 0, "the resolver is about to end");
    fn(arg, GW_CANCELLED, NULL, 0, &err);
}

static void call(const struct name *n, dp_dns_fn fn, void *arg) {
    if (n->dns->is_closing) {
        tell_closing(fn, arg);
    } else if (n->addrs_n && now_ms(n->dns) < n->stale_until_ms) {
        fn(arg, GW_OK, n->addrs, n->addrs_n, NULL);
    } else {
        fn(arg, n->err.rc, NULL, 0, &n->err);
    }
}

static void unlink_query(struct dp_dns_query *q) {
    *q->pprev = q->next;
    if (q->next) q->next->pprev = q->pprev;
}

static void tell(struct name *n) {
    gw_timer_cancel(n->dns->loop, &n->deadline);
    n->is_told = true;
    while (n->waiting) {
        struct dp_dns_query *q = n->waiting;
        dp_dns_fn fn = q->fn;
        void *arg = q->arg;
        unlink_query(q);
        free(q);
        call(n, fn, arg);
    }
    n->is_told = false;
}

static void tell_news(struct dp_dns *d) {
    while (d->news) {
        struct name *n = d->news;
        d->news = n->next_news;
        n->is_news = false;
        tell(n);
    }
}

static void fail(struct name *n, const char *why) {
    n->failed_until_ms = now_ms(n->dns) + FAILED_MS;
    gw_err_set(&n->err, GW_ERR_UPSTREAM, 503, "the upstream's name %s", why);
}

static void on_deadline(struct gw_timer *t) {
    struct name *n = GW_CONTAINER_OF(t, struct name, deadline);
    fail(n, "was not resolved in time");
    tell(n);
}

static unsigned take_addrs(const struct ares_addrinfo *info, struct dp_dns_addr *addrs,
                           int64_t *ret_ttl_ms) {
    unsigned n = 0;
    int64_t ttl_ms = TTL_MAX_MS;
    for (const struct ares_addrinfo_node *a = info->nodes; a && n < DP_DNS_ADDRS_MAX;
         a = a->ai_next) {
        if (a->ai_addrlen > sizeof(addrs[n].addr)) continue;
        memset(&addrs[n], 0, sizeof(addrs[n]));
        memcpy(&addrs[n].addr, a->ai_addr, a->ai_addrlen);
        addrs[n].len = a->ai_addrlen;
        n++;
        if ((int64_t)a->ai_ttl * 1000 < ttl_ms) ttl_ms = (int64_t)a->ai_ttl * 1000;
    }
    *ret_ttl_ms = ttl_ms < TTL_MIN_MS ? TTL_MIN_MS : ttl_ms;
    return n;
}

static void store(struct name *n, int status, const struct ares_addrinfo *info) {
    struct dp_dns_addr addrs[DP_DNS_ADDRS_MAX];
    int64_t ttl_ms = 0;
    unsigned found = status == ARES_SUCCESS && info ? take_addrs(info, addrs, &ttl_ms) : 0;
    if (found) {
        memcpy(n->addrs, addrs, found * sizeof(addrs[0]));
        n->addrs_n = found;
        n->fresh_until_ms = now_ms(n->dns) + ttl_ms;
        n->stale_until_ms = n->fresh_until_ms + DP_DNS_STALE_MS;
        n->failed_until_ms = 0;
    } else if (status == ARES_SUCCESS || status == ARES_ENOTFOUND || status == ARES_ENODATA) {
        fail(n, "has no address");
    } else {
        char why[128] = "was not resolved: ";
        strncat(why, ares_strerror(status), sizeof(why) - strlen(why) - 1);
        fail(n, why);
    }
}

static void on_answer(void *arg, int status, int timeouts GW_UNUSED, struct ares_addrinfo *info) {
    struct name *n = arg;
    n->is_asked = false;
    store(n, status, info);
    if (info) ares_freeaddrinfo(info);
    if (n->is_news) return;
    n->is_news = true;
    n->next_news = n->dns->news;
    n->dns->news = n;
}

// --- asking -------------------------------------------------------------------------------------

static void ask(struct name *n) {
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    n->is_asked = true;
    ares_getaddrinfo(n->dns->channel, n->text, NULL, &hints, on_answer, n);
    set_timer(n->dns);
}

struct dp_dns_query *dp_dns_resolve(struct dp_dns *d, const char *host, dp_dns_fn fn, void *arg) {
    struct gw_err err;
    if (d->is_closing) {
        tell_closing(fn, arg);
        return NULL;
    }
    struct name *n = name_of(d, host);
    if (!n) {
        gw_err_set(&err, GW_ERR_LIMIT, 503, "%d names are being resolved", DP_DNS_NAMES_MAX);
        fn(arg, GW_ERR_LIMIT, NULL, 0, &err);
        return NULL;
    }
    int64_t now = now_ms(d);
    bool is_known = now < n->failed_until_ms || (n->addrs_n && now < n->fresh_until_ms);
    if (is_known) {
        call(n, fn, arg);
        return NULL;
    }
    struct dp_dns_query *q = gw_alloc(sizeof(*q));
    *q = (struct dp_dns_query){.next = n->waiting, .pprev = &n->waiting, .fn = fn, .arg = arg};
    if (q->next) q->next->pprev = &q->next;
    n->waiting = q;
    if (!gw_timer_armed(&n->deadline)) gw_timer_set(d->loop, &n->deadline, DP_DNS_TIMEOUT_MS);
    if (!n->is_asked) ask(n);
    if (n->is_asked) return q;
    // Answered from a file: the answer is in the news, q is the only one that waits for it.
    tell_news(d);
    return NULL;
}

void dp_dns_cancel(struct dp_dns_query *q) {
    if (!q) return;
    unlink_query(q);
    free(q);
}

// --- life ---------------------------------------------------------------------------------------

static void init_library(void) {
    GW_ASSERT(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

struct dp_dns *dp_dns_new(struct gw_loop *l, struct gw_err *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_library);
    struct dp_dns *d = gw_alloc(sizeof(*d));
    d->loop = l;
    gw_timer_init(&d->timer, on_timer);
    char lookups[] = "fb"; // files, then DNS
    struct ares_options o = {
        .timeout = TRY_MS,
        .tries = TRIES,
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = d,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    int rc = ares_init_options(&d->channel, &o, mask);
    if (rc != ARES_SUCCESS) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "resolver: %s", ares_strerror(rc));
        free(d);
        return NULL;
    }
    return d;
}

enum gw_rc dp_dns_set_servers(struct dp_dns *d, const char *servers, struct gw_err *err) {
    int rc = ares_set_servers_ports_csv(d->channel, servers);
    if (rc == ARES_SUCCESS) return GW_OK;
    return gw_err_set(err, GW_ERR_INPUT, 0, "servers '%s': %s", servers, ares_strerror(rc));
}

void dp_dns_free(struct dp_dns *d) {
    if (!d) return;
    d->is_closing = true;
    ares_destroy(d->channel); // calls back for what is asked, and gives up every socket
    tell_news(d);
    while (d->oldest) {
        tell(d->oldest);
        free_name(d->oldest);
    }
    gw_timer_cancel(d->loop, &d->timer);
    gw_map_fini(&d->names, NULL);
    free(d);
}
