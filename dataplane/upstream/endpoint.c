// SPDX-License-Identifier: Apache-2.0
// The table of endpoints. The last reference is dropped under the table's lock, so that an endpoint
// which is found there is never about to be freed.
#include "dataplane/upstream/endpoint.h"

#include "dataplane/obs/metrics.h"
#include "shared/map.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gw_map table; // by key, values struct dp_endpoint *

// The server name is the host, so host, port and tls say all. No format: every endpoint is looked
// up at every change of a config.
static void make_key(struct gw_text *key, const char *host, uint16_t port, bool tls) {
    const char rest[] = {'\0', (char)(port >> 8), (char)port, tls};
    gw_text_adds(key, host);
    gw_text_add(key, rest, sizeof(rest));
}

static void set_address(struct dp_endpoint *e) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)&e->addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&e->addr;
    if (inet_pton(AF_INET, e->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(e->port);
        e->addr_len = sizeof(*v4);
    } else if (inet_pton(AF_INET6, e->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(e->port);
        e->addr_len = sizeof(*v6);
    } else {
        e->named = true;
    }
}

static struct dp_endpoint *make(const char *host, uint16_t port, bool tls) {
    struct dp_endpoint *e = gw_alloc(sizeof(*e));
    struct gw_text label = {0};
    e->host = gw_strdup(host);
    e->port = port;
    e->tls = tls;
    set_address(e);
    bool is_v6 = !e->named && e->addr.ss_family == AF_INET6;
    gw_text_addf(&label, "%s%s%s:%u", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
    e->label = gw_text_str(&label);
    e->requests = gw_metric_series(&dp_metric_upstream_requests, &e->label);
    e->failures = gw_metric_series(&dp_metric_upstream_failures, &e->label);
    e->connects = gw_metric_series(&dp_metric_upstream_connects, &e->label);
    return e;
}

static void destroy(struct dp_endpoint *e) {
    free(e->host);
    free((void *)(uintptr_t)e->label.ptr);
    free(e);
}

struct dp_endpoint *dp_endpoint_intern(struct gw_str host, uint16_t port, bool tls) {
    struct gw_text key = {0};
    if (host.len > 1 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = (struct gw_str){host.ptr + 1, host.len - 2};
    char *name = gw_strndup(host.ptr, host.len);
    gw_str_lower(name, host.len);
    make_key(&key, name, port, tls);
    pthread_mutex_lock(&lock);
    struct dp_endpoint *e = gw_map_get(&table, gw_text_str(&key));
    if (!e) {
        e = make(name, port, tls);
        gw_map_put(&table, gw_text_str(&key), e);
    }
    atomic_fetch_add(&e->refs, 1);
    atomic_fetch_add(&e->conf_refs, 1);
    pthread_mutex_unlock(&lock);
    gw_text_fini(&key);
    free(name);
    return e;
}

struct dp_endpoint *dp_endpoint_ref(struct dp_endpoint *e) {
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

static void unref_last(struct dp_endpoint *e) {
    struct gw_text key = {0};
    make_key(&key, e->host, e->port, e->tls);
    pthread_mutex_lock(&lock);
    bool is_gone = atomic_fetch_sub(&e->refs, 1) == 1;
    if (is_gone) gw_map_del(&table, gw_text_str(&key));
    pthread_mutex_unlock(&lock);
    if (is_gone) destroy(e);
    gw_text_fini(&key);
}

void dp_endpoint_unref(struct dp_endpoint *e) {
    if (!e) return;
    unsigned refs = atomic_load_explicit(&e->refs, memory_order_relaxed);
    while (refs > 1) {
        if (atomic_compare_exchange_weak_explicit(&e->refs, &refs, refs - 1, memory_order_release,
                                                  memory_order_relaxed))
            return;
    }
    unref_last(e);
}

void dp_endpoint_conf_unref(struct dp_endpoint *e) {
    if (!e) return;
    atomic_fetch_sub(&e->conf_refs, 1);
    dp_endpoint_unref(e);
}
