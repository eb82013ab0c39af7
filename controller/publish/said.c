// SPDX-License-Identifier: Apache-2.0
// What data planes have said of resources: of those that are connected here their own answers, of
// those of other replicas what these tell. Resources have the same version on every replica; one
// that another has in another form, or not at all, is not acknowledged by its data planes.
#include "controller/publish/internal.h"

// The serial up to which all connected data planes of a view have acknowledged; false: none is
// connected.
static bool acked_by_all(const struct ctl_publish *p, const struct ctl_view *v, uint64_t *ret) {
    bool any = false;
    for (const struct ctl_peer *peer = p->peers; peer; peer = peer->next) {
        if (peer->view != v || peer->remote) continue;
        if (!any || peer->acked < *ret) *ret = peer->acked;
        any = true;
    }
    return any;
}

static const char *refusal_of(const struct ctl_publish *p, const struct ctl_pub_resource *r) {
    for (const struct ctl_peer *peer = p->peers; peer; peer = peer->next) {
        const struct ctl_refusal *f = gw_map_get(&peer->refusals, gw_str_of(r->name));
        if (f && strcmp(f->version, r->version) == 0) return f->reason;
    }
    return NULL;
}

static bool has_remote_form(const struct ctl_remote_view *rv, const struct ctl_pub_resource *r,
                            uint64_t acked) {
    const struct ctl_remote_entry *e = gw_map_get(&rv->entries, gw_str_of(r->name));
    return e && e->serial <= acked && strcmp(e->version, r->version) == 0;
}

static bool is_pending(const struct ctl_publish *p, const struct ctl_pub_resource *r) {
    for (const struct ctl_view *v = p->views; v; v = v->next) {
        uint64_t acked = 0;
        const struct ctl_view_entry *e = gw_map_get(&v->entries, gw_str_of(r->name));
        if (!e) continue;
        if (acked_by_all(p, v, &acked) && e->serial > acked) return true;
        for (const struct ctl_remote_view *rv = v->remotes; rv; rv = rv->next)
            if (ctl_replica_counts(rv) && !has_remote_form(rv, r, rv->acked)) return true;
    }
    return false;
}

static bool any_remote(const struct ctl_view *v) {
    for (const struct ctl_remote_view *rv = v->remotes; rv; rv = rv->next)
        if (ctl_replica_counts(rv)) return true;
    return false;
}

void ctl_publish_note_programmed(struct ctl_publish *p) {
    for (struct ctl_view *v = p->views; v; v = v->next) {
        uint64_t acked = 0;
        size_t it = 0;
        struct gw_str name;
        void *value;
        bool is_ours = acked_by_all(p, v, &acked);
        if (!is_ours && !any_remote(v)) continue;
        while (gw_map_next(&v->entries, &it, &name, &value)) {
            struct ctl_view_entry *e = value;
            if (e->resource->programmed || (is_ours && e->serial > acked)) continue;
            if (refusal_of(p, e->resource) || is_pending(p, e->resource)) continue;
            e->resource->programmed = true;
            ctl_publish_add_news(p, name);
        }
    }
}

enum ctl_programmed ctl_publish_programmed(const struct ctl_publish *p, char *const *names,
                                           size_t n, const char **ret_reason) {
    enum ctl_programmed worst = CTL_PROGRAMMED_YES;
    *ret_reason = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct ctl_pub_resource *r = gw_map_get(&p->resources, gw_str_of(names[i]));
        const char *refusal = gw_map_get(&p->faults, gw_str_of(names[i]));
        if (!refusal && r) refusal = refusal_of(p, r);
        if (refusal) {
            *ret_reason = refusal;
            return CTL_PROGRAMMED_REFUSED;
        }
        // Once acknowledged by all that were connected, it stays so; one that connects later is a
        // matter of the Gateway's count alone.
        if (r && r->programmed) continue;
        if (!r || !is_pending(p, r))
            worst = CTL_PROGRAMMED_NONE;
        else if (worst == CTL_PROGRAMMED_YES)
            worst = CTL_PROGRAMMED_PENDING;
    }
    return worst;
}

static bool serves(const struct ctl_peer *peer, const char *gateway) {
    return peer->view &&
           (!gateway || !*peer->view->gateway || strcmp(peer->view->gateway, gateway) == 0);
}

bool ctl_peer_is_current(const struct ctl_peer *peer) {
    const struct ctl_remote_view *rv = peer->remote;
    if (!rv) return peer->acked == peer->view->serial;
    return peer->acked == rv->serial && strcmp(rv->root, peer->view->root) == 0;
}

void ctl_publish_counts(const struct ctl_publish *p, const char *gateway, unsigned *ret_connected,
                        unsigned *ret_acked) {
    *ret_connected = *ret_acked = 0;
    for (const struct ctl_peer *peer = p->peers; peer; peer = peer->next) {
        if (!serves(peer, gateway)) continue;
        ++*ret_connected;
        *ret_acked +=
            peer->state == CTL_PEER_LIVE && ctl_peer_is_current(peer) && peer->refusals.len == 0;
    }
}

static bool has_acked(const struct ctl_peer *peer, const char *name) {
    const struct ctl_view_entry *e = gw_map_get(&peer->view->entries, gw_str_of(name));
    if (peer->state != CTL_PEER_LIVE || !e) return false;
    if (peer->remote ? !has_remote_form(peer->remote, e->resource, peer->acked)
                     : e->serial > peer->acked)
        return false;
    return !gw_map_get(&peer->refusals, gw_str_of(name));
}

void ctl_publish_counts_of(const struct ctl_publish *p, const char *gateway, char *const *names,
                           size_t n, unsigned *ret_connected, unsigned *ret_acked) {
    *ret_connected = *ret_acked = 0;
    for (const struct ctl_peer *peer = p->peers; peer; peer = peer->next) {
        bool all = true;
        if (!serves(peer, gateway)) continue;
        for (size_t i = 0; i < n && all; i++)
            all = has_acked(peer, names[i]);
        ++*ret_connected;
        *ret_acked += all;
    }
}

static bool is_listed(const json_t *list, const char *address) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (gw_str_eq(gw_json_str(json_array_get(list, i), "value"), gw_str_of(address)))
            return true;
    return false;
}

#define ADDRESSES_MAX 16 // GatewayStatus.addresses

json_t *ctl_publish_addresses(const struct ctl_publish *p, const char *gateway) {
    json_t *list = json_array();
    for (const struct ctl_peer *peer = p->peers; peer; peer = peer->next) {
        if (!serves(peer, gateway) || !*peer->address || is_listed(list, peer->address)) continue;
        if (json_array_size(list) >= ADDRESSES_MAX) break;
        bool is_ip = gw_str_is_ip(gw_str_of(peer->address));
        json_array_append_new(list, json_pack("{ssss}", "type", is_ip ? "IPAddress" : "Hostname",
                                              "value", peer->address));
    }
    return list;
}
