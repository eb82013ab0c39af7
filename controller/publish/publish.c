// SPDX-License-Identifier: Apache-2.0
// See publish.h. The current snapshot, and what its data planes have said of it.
#include "controller/publish/internal.h"
#include "shared/log.h"

#include <stdlib.h>
#include <unistd.h>

#define PEERS_MAX 4096
#define NAMES_MAX 64 // of the server's certificate

// What replicas need of the CA to know each other.
static void take_ca(struct ctl_publish *p, struct gw_str cert, const struct gw_secret *key) {
    struct gw_err err;
    struct gw_tls_ctx *tls = gw_tls_client_ctx(cert, GW_STR("h2"), &err);
    if (!tls) GW_ERROR("publish", "other replicas cannot be told", GW_KS("err", err.text));
    gw_tls_ctx_unref(p->relay_tls);
    gw_secret_unref(p->relay_token);
    p->relay_tls = tls;
    p->relay_token = ctl_pki_relay_token(key);
    ctl_relay_restart(p);
}

static void on_ca(void *arg, struct gw_tls_ctx *server, struct gw_str cert,
                  const struct gw_secret *key) {
    struct ctl_publish *p = arg;
    gw_h2link_server_use(p->server, server);
    take_ca(p, cert, key);
}

static enum gw_rc listen_on(struct ctl_publish *p, struct gw_err *err) {
    const struct gw_h2link_server_opts so = {
        .host = p->opts.host,
        .port = p->opts.port,
        .tls = p->tls,
        .takes_relay = p->identity_text != NULL,
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

static void names_of(const struct ctl_publish *p, const char *self, const char **names) {
    const struct ctl_publish_replica *r = p->opts.replica;
    size_t n = 0;
    ctl_pki_names(p->opts.host, self, p->opts.names, names, NAMES_MAX - 1);
    while (names[n])
        n++;
    names[n] = r && *r->advertise ? r->advertise : NULL;
    names[n + 1] = NULL;
}

static enum gw_rc load_state(struct ctl_publish *p, const char *const *names, struct gw_err *err) {
    struct ctl_state s;
    GW_TRY(ctl_state_load(p->opts.state_dir, names, &s, err));
    p->tls = gw_tls_ctx_ref(s.tls);
    p->token = gw_secret_ref(s.token);
    take_ca(p, gw_secret_reveal(s.ca_cert), s.ca_key);
    ctl_state_fini(&s);
    return GW_OK;
}

static enum gw_rc start(struct ctl_publish *p, struct gw_err *err) {
    const struct ctl_publish_cluster *c = p->opts.cluster;
    const char *names[NAMES_MAX];
    char self[256] = "localhost";
    gethostname(self, sizeof(self) - 1);
    names_of(p, self, names);
    if (!c) GW_TRY(load_state(p, names, err));
    GW_TRY(listen_on(p, err));
    if (!c) return GW_OK;
    p->identity = ctl_identity_new(p->opts.loop, &c->api, c->audience);
    p->pki = ctl_pki_new(&(struct ctl_pki_opts){.loop = p->opts.loop,
                                                .api = c->api,
                                                .ns = c->ns,
                                                .names = names,
                                                .on_ca = on_ca,
                                                .arg = p});
    return GW_OK;
}

struct ctl_publish *ctl_publish_new(const struct ctl_publish_opts *o, struct gw_err *err) {
    struct ctl_publish *p = gw_alloc(sizeof(*p));
    p->opts = *o;
    if (o->replica) {
        p->identity_text = gw_strdup(o->replica->identity);
        p->on_holder_gone = o->replica->on_holder_gone;
    }
    ctl_publish_count_init();
    ctl_view_of(p, "");
    enum gw_rc rc = start(p, err);
    p->opts.cluster = NULL; // lived for this call
    p->opts.names = NULL;
    p->opts.replica = NULL;
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
    ctl_relay_free(p->relay);
    p->relay = NULL;
    ctl_replicas_free(p);
    if (p->server) gw_h2link_server_free(p->server);
    while (p->peers)
        ctl_peer_free(p->peers);
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
    gw_tls_ctx_unref(p->relay_tls);
    gw_secret_unref(p->relay_token);
    free(p->identity_text);
    free(p->holder);
    free(p);
}

void ctl_publish_lead(struct ctl_publish *p) {
    p->is_leader = true;
    free(p->holder);
    p->holder = NULL;
    ctl_relay_restart(p);
}

void ctl_publish_follow(struct ctl_publish *p, const char *address) {
    p->is_leader = false;
    ctl_replicas_free(p);
    p->opts.on_change(p->opts.arg);
    if (p->holder ? strcmp(p->holder, address) == 0 : !*address) return;
    free(p->holder);
    p->holder = *address ? gw_strdup(address) : NULL;
    ctl_relay_restart(p);
}

const char *ctl_publish_problem(const struct ctl_publish *p) {
    return p->pki ? ctl_pki_problem(p->pki) : NULL;
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
        else if (peer->view && !peer->remote)
            ctl_peer_push(peer);
    }
    ctl_relay_due(p);
    // A replica that is ahead has told of it already.
    if (changed && p->replicas) ctl_publish_note_programmed(p);
    if (!changed || !gw_log_allow(&p->changed_lines, gw_loop_now_ms(p->opts.loop), CHANGED_LINES))
        return;
    GW_INFO("publish", "snapshot changed", GW_KI("resources", changed),
            GW_KS("version", ctl_view_of(p, "")->root));
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
    return json_pack("{ssssss ss* ss* sbso}", "node", peer->node, "gateway", peer->view->gateway,
                     "address", peer->address, "peer",
                     peer->link ? gw_h2link_peer_address(peer->link) : NULL, "replica",
                     peer->remote ? ctl_replica_identity(peer->remote) : NULL, "current",
                     ctl_peer_is_current(peer), "refused", refused);
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
