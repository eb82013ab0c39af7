// SPDX-License-Identifier: Apache-2.0
// The life of a config, and the look-ups that begin each request.
#include "dataplane/conf/compile.h"

#include <stdlib.h>

struct dp_conf *dp_conf_ref(struct dp_conf *c) {
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

static void release_owned(struct dp_conf_owned *o) {
    for (size_t i = 0; i < o->routers.len; i++)
        dp_router_free(o->routers.ptr[i]);
    for (size_t i = 0; i < o->endpoints.len; i++)
        dp_endpoint_conf_unref(o->endpoints.ptr[i]);
    for (size_t i = 0; i < o->secrets.len; i++)
        gw_secret_unref(o->secrets.ptr[i]);
    for (size_t i = 0; i < o->certs.len; i++)
        dp_cert_unref(o->certs.ptr[i]);
    GW_VEC_FINI(&o->routers);
    GW_VEC_FINI(&o->endpoints);
    GW_VEC_FINI(&o->secrets);
    GW_VEC_FINI(&o->certs);
    free(o);
}

void dp_conf_unref(struct dp_conf *c) {
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) return;
    release_owned(c->owned);
    gw_arena_fini(&c->arena);
    free(c);
}

const struct dp_listener *dp_conf_listener(const struct dp_port *p, struct gw_str host) {
    const struct dp_listener *best = NULL;
    unsigned best_fit = 0;
    for (unsigned i = 0; i < p->len; i++) {
        unsigned fit = dp_hostname_fit(p->listeners[i]->hostname, host);
        if (fit <= best_fit) continue;
        best_fit = fit;
        best = p->listeners[i];
    }
    return best;
}

const struct dp_port *dp_conf_port(const struct dp_conf *c, uint16_t port) {
    unsigned low = 0, high = c->ports_n;
    while (low < high) {
        unsigned at = (low + high) / 2;
        if (c->ports[at].port < port)
            low = at + 1;
        else
            high = at;
    }
    return low < c->ports_n && c->ports[low].port == port ? &c->ports[low] : NULL;
}

void dp_conf_refuse(struct dp_conf_refusals *r, struct gw_str resource, const char *reason) {
    struct dp_conf_refusal one = {gw_strndup(resource.ptr, resource.len), gw_strdup(reason)};
    GW_VEC_PUSH(r, one);
}

void dp_conf_refusals_fini(struct dp_conf_refusals *r) {
    if (!r) return;
    for (size_t i = 0; i < r->len; i++) {
        free(r->ptr[i].resource);
        free(r->ptr[i].reason);
    }
    GW_VEC_FINI(r);
}
