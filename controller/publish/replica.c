// SPDX-License-Identifier: Apache-2.0
// The holder's end of a relay (shared/ir.h says what comes): data planes of other replicas, booked
// among our own. A replica counts once it has told all; when its link breaks, its data planes are
// still there for a while, as they were, but nothing waits for them any more.
#include "controller/publish/internal.h"
#include "controller/version.h"

#include <stdio.h>
#include <stdlib.h>

// A Deployment has two or three; more are none of ours.
#define REPLICAS_MAX 16
// Resources of all views of one replica: 10,000 routes with their backends, many times over.
#define ENTRIES_MAX 1000000
// So long a replica may be away before its data planes are. It dials again within two seconds.
#define GHOST_MS 5000
// What does not come is not waited for.
#define COMPLETE_MS 30000
// Of a message: many data planes, or one that refuses much.
#define MESSAGE_BYTES_MAX (16u << 20)

struct ctl_replica {
    struct ctl_replica *next;
    struct ctl_publish *publish;
    struct gw_h2link_peer *link; // NULL: a ghost
    char *identity, *version;    // NULL: it has not said
    bool is_complete;
    struct gw_map planes; // id -> struct ctl_peer *; among publish->peers once it is complete
    size_t views, entries;
    struct gw_timer timer; // until it must be complete; of a ghost, until it is gone
};

bool ctl_replica_counts(const struct ctl_remote_view *rv) {
    const struct ctl_replica *r = rv->replica;
    // Another version of the program may make other resources of the same objects. It is on its
    // way out or in; until then its data planes are counted, and not waited for.
    return r->link && r->is_complete && rv->planes > 0 && strcmp(r->version, CTL_VERSION) == 0;
}

const char *ctl_replica_identity(const struct ctl_remote_view *rv) {
    return rv->replica->identity;
}

// --- views -------------------------------------------------------------------------------------

static struct ctl_remote_view *find_view(const struct ctl_replica *r, const char *gateway) {
    for (struct ctl_view *v = r->publish->views; v; v = v->next)
        for (struct ctl_remote_view *rv = v->remotes; rv && strcmp(v->gateway, gateway) == 0;
             rv = rv->next)
            if (rv->replica == r) return rv;
    return NULL;
}

static struct ctl_remote_view *add_view(struct ctl_replica *r, const char *gateway) {
    struct ctl_remote_view *rv = gw_alloc(sizeof(*rv));
    rv->replica = r;
    rv->view = ctl_view_of(r->publish, gateway);
    rv->next = rv->view->remotes;
    rv->view->remotes = rv;
    r->views++;
    return rv;
}

static void forget_entries(struct ctl_remote_view *rv) {
    rv->replica->entries -= rv->entries.len;
    gw_map_fini(&rv->entries, free);
}

static void remove_view(struct ctl_remote_view *rv) {
    struct ctl_view *v = rv->view;
    for (struct ctl_remote_view **at = &v->remotes; *at; at = &(*at)->next) {
        if (*at != rv) continue;
        *at = rv->next;
        break;
    }
    forget_entries(rv);
    rv->replica->views--;
    struct ctl_publish *p = rv->replica->publish;
    free(rv);
    ctl_view_leave(p, v);
}

static enum gw_rc set_entry(struct ctl_remote_view *rv, const json_t *item, struct gw_err *err) {
    struct gw_str name = gw_json_str(item, "name");
    struct ctl_remote_entry *e = gw_map_get(&rv->entries, name);
    if (!e) {
        if (rv->replica->entries >= ENTRIES_MAX)
            return gw_err_set(err, GW_ERR_LIMIT, 0, "more than %d resources", ENTRIES_MAX);
        e = gw_alloc(sizeof(*e));
        gw_map_put(&rv->entries, name, e);
        rv->replica->entries++;
    }
    e->serial = (uint64_t)gw_json_int(item, "serial", 0);
    snprintf(e->version, sizeof(e->version), "%s", gw_json_str(item, "version").ptr);
    ctl_publish_add_news(rv->replica->publish, name);
    return GW_OK;
}

static void remove_entry(struct ctl_remote_view *rv, struct gw_str name) {
    void *e = gw_map_del(&rv->entries, name);
    if (!e) return;
    free(e);
    rv->replica->entries--;
    ctl_publish_add_news(rv->replica->publish, name);
}

static enum gw_rc on_view(struct ctl_replica *r, const json_t *item, struct gw_err *err) {
    const char *gateway = gw_json_str(item, "gateway").ptr;
    const json_t *set = gw_json_get(item, "set"), *gone = gw_json_get(item, "remove");
    struct ctl_remote_view *rv = find_view(r, gateway);
    if (!rv && r->views >= GW_IR_RELAY_VIEWS_MAX)
        return gw_err_set(err, GW_ERR_LIMIT, 0, "more than %d views", GW_IR_RELAY_VIEWS_MAX);
    if (!rv) rv = add_view(r, gateway);
    if (gw_json_bool(item, "reset", false)) forget_entries(rv);
    rv->serial = (uint64_t)gw_json_int(item, "serial", 0);
    snprintf(rv->root, sizeof(rv->root), "%s", gw_json_str(item, "root").ptr);
    for (size_t i = 0; i < json_array_size(set); i++)
        GW_TRY(set_entry(rv, json_array_get(set, i), err));
    for (size_t i = 0; i < json_array_size(gone); i++)
        remove_entry(rv, gw_json_str_of(json_array_get(gone, i)));
    return GW_OK;
}

// --- data planes -------------------------------------------------------------------------------

static struct gw_str key_of(const uint64_t *id) {
    return (struct gw_str){(const char *)id, sizeof(*id)};
}

static void enter(struct ctl_peer *peer) {
    struct ctl_publish *p = peer->publish;
    peer->next = p->peers;
    p->peers = peer;
    ctl_replica_forget_ghost(p, peer->node, peer->view->gateway);
    ctl_publish_all_news(p);
}

static void leave(struct ctl_peer *peer) {
    struct ctl_publish *p = peer->publish;
    struct ctl_remote_view *rv = peer->remote;
    ctl_peer_free(peer);
    if (--rv->planes == 0) remove_view(rv);
    ctl_publish_all_news(p);
}

// A new one, of a view that was told before; NULL: why not.
static struct ctl_peer *add_plane(struct ctl_replica *r, uint64_t id, const json_t *item,
                                  struct gw_err *err) {
    struct ctl_remote_view *rv = find_view(r, gw_json_str(item, "gateway").ptr);
    if (!rv) {
        gw_err_set(err, GW_ERR_INPUT, 0, "a data plane of a view that was not told");
        return NULL;
    }
    if (r->planes.len >= GW_IR_RELAY_PLANES_MAX) {
        gw_err_set(err, GW_ERR_LIMIT, 0, "more than %d data planes", GW_IR_RELAY_PLANES_MAX);
        return NULL;
    }
    struct ctl_peer *peer = gw_alloc(sizeof(*peer));
    peer->publish = r->publish;
    peer->state = CTL_PEER_LIVE;
    peer->id = id;
    peer->view = rv->view;
    peer->remote = rv;
    peer->node = gw_strdup(gw_json_str(item, "node").ptr);
    peer->address = gw_strdup(gw_json_str(item, "address").ptr);
    rv->planes++;
    gw_map_put(&r->planes, key_of(&id), peer);
    if (r->is_complete) enter(peer);
    return peer;
}

static void set_refusals(struct ctl_peer *peer, const json_t *errors) {
    ctl_peer_forget_refusals(peer);
    for (size_t i = 0; i < json_array_size(errors); i++) {
        const json_t *item = json_array_get(errors, i);
        ctl_peer_note_refusal(peer, gw_json_str(item, "resource"), gw_json_str(item, "version").ptr,
                              gw_json_str(item, "reason").ptr);
    }
}

static enum gw_rc on_plane(struct ctl_replica *r, const json_t *item, struct gw_err *err) {
    uint64_t id = (uint64_t)gw_json_int(item, "id", 0);
    uint64_t acked = (uint64_t)gw_json_int(item, "acked", 0);
    struct ctl_peer *peer = gw_map_get(&r->planes, key_of(&id));
    if (!peer) peer = add_plane(r, id, item, err);
    if (!peer) return err->rc;
    if (!gw_str_eq(gw_json_str(item, "gateway"), gw_str_of(peer->view->gateway)))
        return gw_err_set(err, GW_ERR_INPUT, 0, "a data plane that changes its Gateway");
    if (acked > peer->remote->serial)
        return gw_err_set(err, GW_ERR_INPUT, 0, "a data plane acknowledged what was not told");
    peer->acked = acked;
    set_refusals(peer, gw_json_get(item, "errors"));
    return GW_OK;
}

static void on_gone(struct ctl_replica *r, const json_t *item) {
    uint64_t id = (uint64_t)json_integer_value(item);
    struct ctl_peer *peer = gw_map_del(&r->planes, key_of(&id));
    if (peer) leave(peer);
}

// What all data planes of each view have acknowledged.
static void count_acked(struct ctl_replica *r) {
    size_t it = 0;
    struct gw_str key;
    void *value;
    while (gw_map_next(&r->planes, &it, &key, &value))
        ((struct ctl_peer *)value)->remote->acked = UINT64_MAX;
    it = 0;
    while (gw_map_next(&r->planes, &it, &key, &value)) {
        const struct ctl_peer *peer = value;
        if (peer->acked < peer->remote->acked) peer->remote->acked = peer->acked;
    }
}

// --- replicas ----------------------------------------------------------------------------------

// All of it goes, its data planes too.
static void replica_free(struct ctl_replica *r) {
    struct ctl_publish *p = r->publish;
    size_t it = 0;
    struct gw_str key;
    void *value;
    for (struct ctl_replica **at = &p->replicas; *at; at = &(*at)->next) {
        if (*at != r) continue;
        *at = r->next;
        break;
    }
    gw_timer_cancel(p->opts.loop, &r->timer);
    while (gw_map_next(&r->planes, &it, &key, &value))
        leave(value);
    gw_map_fini(&r->planes, NULL);
    // Views that were told, and have no data planes.
    for (struct ctl_view *v = p->views, *next; v; v = next) {
        next = v->next;
        for (struct ctl_remote_view *rv = v->remotes; rv; rv = rv->next) {
            if (rv->replica != r) continue;
            remove_view(rv);
            break;
        }
    }
    free(r->identity);
    free(r->version);
    free(r);
}

// Nothing more is heard of it, and what it said is forgotten.
static void drop(struct ctl_replica *r, const char *why) {
    if (r->link) {
        gw_h2link_peer_set_user(r->link, NULL);
        gw_h2link_peer_close(r->link, why);
    }
    replica_free(r);
}

void ctl_replicas_free(struct ctl_publish *p) {
    while (p->replicas)
        drop(p->replicas, "this replica does not hold the Lease");
}

static void changed(struct ctl_publish *p) {
    ctl_publish_note_programmed(p);
    p->opts.on_change(p->opts.arg);
}

static void on_timer(struct gw_timer *t) {
    struct ctl_replica *r = GW_CONTAINER_OF(t, struct ctl_replica, timer);
    struct ctl_publish *p = r->publish;
    drop(r, "it was not told in time which data planes there are");
    changed(p);
}

void ctl_replica_forget_ghost(struct ctl_publish *p, const char *node, const char *gateway) {
    for (struct ctl_replica *r = p->replicas; r; r = r->next) {
        size_t it = 0;
        struct gw_str key;
        void *value;
        if (r->link || !r->is_complete) continue;
        while (gw_map_next(&r->planes, &it, &key, &value)) {
            struct ctl_peer *peer = value;
            if (strcmp(peer->node, node) != 0 || strcmp(peer->view->gateway, gateway) != 0)
                continue;
            gw_map_del(&r->planes, key);
            leave(peer);
            return; // one for one: nodes may have the same name
        }
    }
}

// From now on it counts, in the place of what it was before its link broke, noticed or not.
static void complete(struct ctl_replica *r) {
    struct ctl_publish *p = r->publish;
    size_t it = 0;
    struct gw_str key;
    void *value;
    if (r->is_complete) return;
    for (struct ctl_replica *old = p->replicas, *next; old; old = next) {
        next = old->next;
        if (old != r && old->identity && strcmp(old->identity, r->identity) == 0)
            drop(old, "the replica has connected anew");
    }
    r->is_complete = true;
    gw_timer_cancel(p->opts.loop, &r->timer);
    while (gw_map_next(&r->planes, &it, &key, &value))
        enter(value);
    GW_INFO("publish", "replica tells of its data planes", GW_KS("replica", r->identity),
            GW_KI("data_planes", r->planes.len), GW_KS("version", r->version));
}

static enum gw_rc on_relay(struct ctl_replica *r, const json_t *body, struct gw_err *err) {
    const json_t *views = gw_json_get(body, "views"), *planes = gw_json_get(body, "planes");
    const json_t *gone = gw_json_get(body, "gone");
    if (!r->identity) return gw_err_set(err, GW_ERR_INPUT, 0, "the replica did not say who it is");
    for (size_t i = 0; i < json_array_size(gone); i++)
        on_gone(r, json_array_get(gone, i));
    for (size_t i = 0; i < json_array_size(views); i++)
        GW_TRY(on_view(r, json_array_get(views, i), err));
    for (size_t i = 0; i < json_array_size(planes); i++)
        GW_TRY(on_plane(r, json_array_get(planes, i), err));
    count_acked(r);
    if (gw_json_bool(body, "complete", false)) complete(r);
    if (r->is_complete) changed(r->publish);
    return GW_OK;
}

static enum gw_rc on_hello(struct ctl_replica *r, const json_t *body, struct gw_err *err) {
    if (r->identity) return gw_err_set(err, GW_ERR_INPUT, 0, "a second hello");
    if (gw_str_eq(gw_json_str(body, "identity"), gw_str_of(r->publish->identity_text)))
        return gw_err_set(err, GW_ERR_INPUT, 0, "the replica is this one");
    r->identity = gw_strdup(gw_json_str(body, "identity").ptr);
    r->version = gw_strdup(gw_json_str(body, "version").ptr);
    gw_h2link_peer_set_max(r->link, MESSAGE_BYTES_MAX);
    return GW_OK;
}

// --- links -------------------------------------------------------------------------------------

void ctl_replica_open(struct ctl_publish *p, struct gw_h2link_peer *link) {
    size_t n = 0;
    for (const struct ctl_replica *r = p->replicas; r; r = r->next)
        n++;
    if (n >= REPLICAS_MAX) {
        gw_h2link_peer_set_user(link, NULL);
        gw_h2link_peer_close(link, "the limit of replicas is reached");
        return;
    }
    struct ctl_replica *r = gw_alloc(sizeof(*r));
    r->publish = p;
    r->link = link;
    r->next = p->replicas;
    gw_timer_init(&r->timer, on_timer);
    gw_timer_set(p->opts.loop, &r->timer, COMPLETE_MS);
    p->replicas = r;
    gw_h2link_peer_set_user(link, r);
}

void ctl_replica_message(struct ctl_publish *p, struct gw_h2link_peer *link, struct gw_str bytes) {
    struct ctl_replica *r = gw_h2link_peer_user(link);
    struct gw_ir_message m;
    struct gw_err err;
    if (!r) return; // it is being closed
    enum gw_rc rc = ctl_peer_read(bytes, &m, &err);
    if (rc == GW_OK) {
        if (m.type == GW_IR_REPLICA)
            rc = on_hello(r, m.body, &err);
        else if (m.type == GW_IR_RELAY)
            rc = on_relay(r, m.body, &err);
        else
            rc = gw_err_set(&err, GW_ERR_INPUT, 0, "not a message of a replica");
        gw_ir_message_fini(&m);
    }
    if (rc == GW_OK) return;
    GW_WARN("publish", "bad message of a replica", GW_KS("peer", gw_h2link_peer_address(link)),
            GW_KS("err", err.text));
    // What it told so far is not to be trusted either.
    drop(r, err.text);
    changed(p);
}

void ctl_replica_close(struct ctl_publish *p, struct gw_h2link_peer *link,
                       const struct gw_err *why) {
    struct ctl_replica *r = gw_h2link_peer_user(link);
    if (!r) return;
    r->link = NULL;
    if (r->is_complete) {
        GW_WARN("publish", "replica left", GW_KS("replica", r->identity), GW_KS("why", why->text));
        gw_timer_set(p->opts.loop, &r->timer, GHOST_MS);
    } else {
        replica_free(r);
    }
    changed(p);
}
