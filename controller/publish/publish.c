// SPDX-License-Identifier: Apache-2.0
// See publish.h. The current snapshot, and what its data planes have said of it.
#include "controller/publish/internal.h"
#include "shared/log.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

#define PEERS_MAX 4096
#define NAMES_MAX 64 // of the server's certificate

static void on_tls(void *arg, struct gw_tls_ctx *tls) {
    struct ctl_publish *p = arg;
    gw_h2link_server_use(p->server, tls);
}

static enum gw_rc listen_on(struct ctl_publish *p, struct gw_err *err) {
    const struct gw_h2link_server_opts so = {
        .host = p->opts.host,
        .port = p->opts.port,
        .tls = p->tls,
        .message_bytes_max = CTL_PEER_HELLO_BYTES_MAX,
        .peers_max = PEERS_MAX,
        .authorize = ctl_gate_authorize,
        .on_refused = ctl_gate_refused,
        .on_open = ctl_peer_open,
        .on_message = ctl_peer_message,
        .on_close = ctl_peer_close,
        .arg = p,
    };
    p->server = gw_h2link_server_new(p->opts.loop, &so, err);
    return p->server ? GW_OK : err->rc;
}

static enum gw_rc start(struct ctl_publish *p, struct gw_err *err) {
    const struct ctl_publish_cluster *c = p->opts.cluster;
    const char *names[NAMES_MAX];
    char self[256] = "localhost";
    gethostname(self, sizeof(self) - 1);
    ctl_pki_names(p->opts.host, self, p->opts.names, names, NAMES_MAX);
    if (!c) GW_TRY(ctl_state_load(p->opts.state_dir, names, &p->tls, &p->token, err));
    GW_TRY(listen_on(p, err));
    if (!c) return GW_OK;
    p->identity = ctl_identity_new(p->opts.loop, &c->api, c->audience);
    p->pki = ctl_pki_new(&(struct ctl_pki_opts){.loop = p->opts.loop,
                                                .api = c->api,
                                                .ns = c->ns,
                                                .names = names,
                                                .on_tls = on_tls,
                                                .arg = p});
    return GW_OK;
}

struct ctl_publish *ctl_publish_new(const struct ctl_publish_opts *o, struct gw_err *err) {
    struct ctl_publish *p = gw_alloc(sizeof(*p));
    p->opts = *o;
    ctl_publish_count_init();
    ctl_view_of(p, "");
    enum gw_rc rc = start(p, err);
    p->opts.cluster = NULL; // lived for this call
    p->opts.names = NULL;
    if (rc == GW_OK) return p;
    ctl_publish_free(p);
    return NULL;
}

static void free_resource(void *value) {
    ctl_pub_resource_unref(value);
}

void ctl_publish_free(struct ctl_publish *p) {
    if (!p) return;
    ctl_pki_free(p->pki);
    ctl_identity_free(p->identity);
    if (p->server) gw_h2link_server_free(p->server);
    while (p->peers) {
        struct ctl_peer *next = p->peers->next;
        ctl_peer_free(p->peers);
        p->peers = next;
    }
    while (p->views) {
        struct ctl_view *next = p->views->next;
        ctl_view_free(p->views);
        p->views = next;
    }
    gw_map_fini(&p->resources, free_resource);
    gw_map_fini(&p->faults, free);
    gw_map_fini(&p->news, NULL);
    gw_tls_ctx_unref(p->tls);
    gw_secret_unref(p->token);
    free(p);
}

uint16_t ctl_publish_port(const struct ctl_publish *p) {
    return gw_h2link_server_port(p->server);
}

// --- the snapshot ------------------------------------------------------------------------------

// Lines about changes, each second: a burst makes fifty.
#define CHANGED_LINES 2

void ctl_publish_add_news(struct ctl_publish *p, struct gw_str name) {
    if (!p->is_all_news) gw_map_put(&p->news, name, p);
}

void ctl_publish_all_news(struct ctl_publish *p) {
    p->is_all_news = true;
    gw_map_fini(&p->news, NULL);
}

bool ctl_publish_take_news(struct ctl_publish *p, void (*fn)(void *arg, struct gw_str name),
                           void *arg) {
    bool is_all = p->is_all_news;
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&p->news, &it, &name, &value))
        fn(arg, name);
    gw_map_fini(&p->news, NULL);
    p->is_all_news = false;
    return is_all;
}

static bool apply_one(struct ctl_publish *p, const struct ctl_resource_change *c) {
    struct gw_str name = gw_str_of(c->name);
    struct ctl_pub_resource *old = gw_map_get(&p->resources, name);
    struct gw_err err;
    free(gw_map_del(&p->faults, name));
    ctl_publish_add_news(p, name);
    if (!c->body) {
        if (old) ctl_pub_resource_unref(gw_map_del(&p->resources, name));
        return old != NULL;
    }
    if (gw_ir_validate(name, c->body, &err) != GW_OK) {
        GW_ERROR("publish", "translation made a bad resource: its last good form is kept",
                 GW_KS("resource", c->name), GW_KS("err", err.text));
        gw_map_put(&p->faults, name, gw_strdup(err.text));
        return false;
    }
    struct ctl_pub_resource *r = gw_alloc(sizeof(*r));
    r->name = gw_strdup(c->name);
    r->body = json_incref(c->body);
    r->refs = 1;
    r->bytes = json_dumpb(r->body, NULL, 0, JSON_COMPACT);
    gw_ir_version(r->body, r->version);
    if (old && strcmp(old->version, r->version) == 0) {
        ctl_pub_resource_unref(r);
        return false;
    }
    gw_map_put(&p->resources, name, r);
    if (old) ctl_pub_resource_unref(old);
    return true;
}

void ctl_publish_apply(struct ctl_publish *p, const struct ctl_resource_change *changes, size_t n) {
    size_t changed = 0;
    for (size_t i = 0; i < n; i++)
        changed += apply_one(p, &changes[i]);
    p->has_snapshot = true;
    if (changed)
        for (struct ctl_view *v = p->views; v; v = v->next)
            ctl_view_refresh(p, v, changes, n);
    for (struct ctl_peer *peer = p->peers; peer; peer = peer->next) {
        if (peer->state == CTL_PEER_HELD)
            ctl_peer_greet(peer);
        else if (peer->view)
            ctl_peer_push(peer);
    }
    if (!changed || !gw_log_allow(&p->changed_lines, gw_loop_now_ms(p->opts.loop), CHANGED_LINES))
        return;
    GW_INFO("publish", "snapshot changed", GW_KI("resources", changed),
            GW_KS("version", ctl_view_of(p, "")->root));
}

// --- what data planes said ---------------------------------------------------------------------

// The serial up to which all connected data planes of a view have acknowledged; false: none is
// connected.
static bool acked_by_all(const struct ctl_publish *p, const struct ctl_view *v, uint64_t *ret) {
    bool any = false;
    for (const struct ctl_peer *peer = p->peers; peer; peer = peer->next) {
        if (peer->view != v) continue;
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

static bool is_pending(const struct ctl_publish *p, const struct ctl_pub_resource *r) {
    for (const struct ctl_view *v = p->views; v; v = v->next) {
        uint64_t acked = 0;
        const struct ctl_view_entry *e = gw_map_get(&v->entries, gw_str_of(r->name));
        if (e && acked_by_all(p, v, &acked) && e->serial > acked) return true;
    }
    return false;
}

void ctl_publish_note_programmed(struct ctl_publish *p) {
    for (struct ctl_view *v = p->views; v; v = v->next) {
        uint64_t acked = 0;
        size_t it = 0;
        struct gw_str name;
        void *value;
        if (!acked_by_all(p, v, &acked)) continue;
        while (gw_map_next(&v->entries, &it, &name, &value)) {
            struct ctl_view_entry *e = value;
            if (e->resource->programmed || e->serial > acked) continue;
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

void ctl_publish_counts(const struct ctl_publish *p, const char *gateway, unsigned *ret_connected,
                        unsigned *ret_acked) {
    *ret_connected = *ret_acked = 0;
    for (const struct ctl_peer *peer = p->peers; peer; peer = peer->next) {
        if (!serves(peer, gateway)) continue;
        ++*ret_connected;
        *ret_acked += peer->state == CTL_PEER_LIVE && peer->acked == peer->view->serial &&
                      peer->refusals.len == 0;
    }
}

static bool has_acked(const struct ctl_peer *peer, const char *name) {
    const struct ctl_view_entry *e = gw_map_get(&peer->view->entries, gw_str_of(name));
    if (peer->state != CTL_PEER_LIVE || !e || e->serial > peer->acked) return false;
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
        unsigned char ip[16];
        if (!serves(peer, gateway) || !*peer->address || is_listed(list, peer->address)) continue;
        if (json_array_size(list) >= ADDRESSES_MAX) break;
        bool is_ip = inet_pton(AF_INET, peer->address, ip) == 1 ||
                     inet_pton(AF_INET6, peer->address, ip) == 1;
        json_array_append_new(list, json_pack("{ssss}", "type", is_ip ? "IPAddress" : "Hostname",
                                              "value", peer->address));
    }
    return list;
}

// --- for people --------------------------------------------------------------------------------

static json_t *dump_resource(const struct ctl_pub_resource *r) {
    return json_pack("{sssbso}", "version", r->version, "programmed", r->programmed, "body",
                     gw_ir_shown(gw_str_of(r->name), r->body));
}

static json_t *dump_peer(const struct ctl_peer *peer) {
    json_t *refused = json_object();
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&peer->refusals, &it, &name, &value))
        json_object_set_new(refused, name.ptr,
                            json_string(((const struct ctl_refusal *)value)->reason));
    return json_pack("{sssssssssbso}", "node", peer->node, "gateway", peer->view->gateway,
                     "address", peer->address, "peer", gw_h2link_peer_address(peer->link),
                     "current", peer->acked == peer->view->serial, "refused", refused);
}

json_t *ctl_publish_dump(const struct ctl_publish *p) {
    json_t *resources = json_object(), *planes = json_array();
    const char *version = "";
    struct gw_str *names = gw_map_sorted_keys(&p->resources);
    for (size_t i = 0; i < p->resources.len; i++) {
        const struct ctl_pub_resource *r = gw_map_get(&p->resources, names[i]);
        json_object_set_new(resources, r->name, dump_resource(r));
    }
    free(names);
    for (const struct ctl_peer *peer = p->peers; peer; peer = peer->next)
        if (peer->view) json_array_append_new(planes, dump_peer(peer));
    for (const struct ctl_view *v = p->views; v; v = v->next)
        if (!*v->gateway) version = v->root;
    return json_pack("{sssoso}", "version", version, "resources", resources, "dataPlanes", planes);
}
