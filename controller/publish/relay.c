// SPDX-License-Identifier: Apache-2.0
// The follower's end of a relay (shared/ir.h says what is sent): tells the holder of the Lease of
// the data planes that are connected here. What it knows is marked on views and peers, so that only
// what changed is told; a new link is told all.
#include "controller/publish/internal.h"
#include "controller/version.h"
#include "shared/flags.h"

#include <stdlib.h>

// Answers of a thousand data planes to one change go in few messages, and still within the time
// that a status waits for them.
#define EVERY_MS 20
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 2000
// Of one message; the receiver's cap is far above.
#define PLANES_OF_MESSAGE 200
#define BYTES_OF_MESSAGE (4u << 20)
#define ENTRY_BYTES 100 // of a resource in a view, but for its name

struct ctl_relay {
    struct ctl_publish *publish;
    struct gw_h2link_client *client;
    struct gw_timer timer;
    bool is_open;
    bool is_complete; // all was told once
    bool is_failing;  // and was logged
    json_t *gone;     // ids of data planes that were told and left
};

// --- messages ----------------------------------------------------------------------------------

struct telling {
    struct ctl_relay *relay;
    json_t *views, *planes, *gone;
    size_t bytes;
    bool ok;
};

static bool send_message(struct ctl_relay *r, json_t *message) { // takes message
    struct gw_err err;
    size_t n;
    GW_JSON_AUTO owned = message;
    char *text = gw_ir_message_text(owned, &n);
    enum gw_rc rc = gw_h2link_client_send(r->client, (struct gw_str){text, n}, &err);
    free(text);
    return rc == GW_OK;
}

static void begin(struct telling *t) {
    t->views = json_array();
    t->planes = json_array();
    t->gone = json_array();
    t->bytes = 0;
}

static void flush(struct telling *t, bool complete) {
    bool is_empty =
        json_array_size(t->views) + json_array_size(t->planes) + json_array_size(t->gone) == 0;
    json_t *message = gw_ir_relay(t->views, t->planes, t->gone, complete);
    if (is_empty && !complete)
        json_decref(message);
    else
        t->ok = send_message(t->relay, message) && t->ok;
    begin(t);
}

// --- views -------------------------------------------------------------------------------------

static json_t *new_part(struct telling *t, const struct ctl_view *v, bool is_reset) {
    json_t *part = json_pack("{ss ss sI sb s[] s[]}", "gateway", v->gateway, "root", v->root,
                             "serial", (json_int_t)v->serial, "reset", is_reset, "set", "remove");
    json_array_append_new(t->views, part);
    return part;
}

// One part more where this one is full. Borrowed.
static json_t *room_in(struct telling *t, const struct ctl_view *v, json_t *part) {
    if (t->bytes < BYTES_OF_MESSAGE &&
        json_array_size(gw_json_get(part, "set")) < GW_IR_RELAY_SET_MAX &&
        json_array_size(gw_json_get(part, "remove")) < GW_IR_RELAY_SET_MAX)
        return part;
    flush(t, false);
    return new_part(t, v, false);
}

static void add_entry(struct telling *t, json_t *part, const struct ctl_view_entry *e) {
    t->bytes += strlen(e->resource->name) + ENTRY_BYTES;
    json_array_append_new(gw_json_get(part, "set"),
                          json_pack("{sssssI}", "name", e->resource->name, "version",
                                    e->resource->version, "serial", (json_int_t)e->serial));
}

static void tell_all_of(struct telling *t, const struct ctl_view *v) {
    json_t *part = new_part(t, v, true);
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&v->entries, &it, &name, &value)) {
        part = room_in(t, v, part);
        add_entry(t, part, value);
    }
}

struct log_telling {
    struct telling *t;
    const struct ctl_view *v;
    json_t *part;
};

static void add_change(void *arg, const char *name, const struct ctl_view_entry *e) {
    struct log_telling *l = arg;
    l->part = room_in(l->t, l->v, l->part);
    if (e)
        add_entry(l->t, l->part, e);
    else
        json_array_append_new(gw_json_get(l->part, "remove"), json_string(name));
}

static void tell_log_of(struct telling *t, const struct ctl_view *v) {
    struct log_telling l = {t, v, new_part(t, v, false)};
    ctl_view_changes(v, v->told, add_change, &l);
}

static void tell_view(struct telling *t, struct ctl_view *v) {
    if (v->is_told && v->told == v->serial) return;
    if (v->is_told && v->told >= v->log_begin)
        tell_log_of(t, v);
    else
        tell_all_of(t, v);
    v->is_told = true;
    v->told = v->serial;
}

// --- data planes -------------------------------------------------------------------------------

static json_t *errors_of(const struct ctl_peer *peer, size_t *ret_bytes) {
    json_t *list = json_array();
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (json_array_size(list) < GW_IR_RELAY_ERRORS_MAX &&
           gw_map_next(&peer->refusals, &it, &name, &value)) {
        const struct ctl_refusal *f = value;
        json_array_append_new(list, json_pack("{ssssss}", "resource", name.ptr, "version",
                                              f->version, "reason", f->reason));
        *ret_bytes += name.len + strlen(f->reason);
    }
    return list;
}

static void tell_plane(struct telling *t, struct ctl_peer *peer) {
    // Until it was compared, what it acknowledged is not known; of one that refuses more than can
    // be told, neither.
    bool is_known = peer->state == CTL_PEER_LIVE && peer->refusals.len <= GW_IR_RELAY_ERRORS_MAX;
    json_t *errors = errors_of(peer, &t->bytes);
    json_array_append_new(
        t->planes, json_pack("{sI ss ss ss sI so}", "id", (json_int_t)peer->id, "gateway",
                             peer->view->gateway, "node", peer->node, "address", peer->address,
                             "acked", (json_int_t)(is_known ? peer->acked : 0), "errors", errors));
    peer->is_due = false;
    peer->is_told = true;
    if (json_array_size(t->planes) >= PLANES_OF_MESSAGE || t->bytes >= BYTES_OF_MESSAGE)
        flush(t, false);
}

static void tell(struct ctl_relay *r) {
    struct telling t = {.relay = r, .ok = true};
    begin(&t);
    json_decref(t.gone);
    t.gone = r->gone;
    r->gone = json_array();
    for (struct ctl_peer *peer = r->publish->peers; peer && t.ok; peer = peer->next) {
        if (peer->remote || !peer->view) continue;
        tell_view(&t, peer->view);
        if (peer->is_due || !peer->is_told) tell_plane(&t, peer);
    }
    flush(&t, !r->is_complete);
    r->is_complete = true;
    json_decref(t.views);
    json_decref(t.planes);
    json_decref(t.gone);
}

// --- the link ----------------------------------------------------------------------------------

static void on_timer(struct gw_timer *timer) {
    struct ctl_relay *r = GW_CONTAINER_OF(timer, struct ctl_relay, timer);
    if (r->is_open) tell(r);
}

static void on_open(void *arg) {
    struct ctl_relay *r = arg;
    struct ctl_publish *p = r->publish;
    GW_INFO("publish", "the holder of the Lease is told of data planes",
            GW_KS("holder", p->holder));
    r->is_open = true;
    r->is_complete = r->is_failing = false;
    json_array_clear(r->gone);
    for (struct ctl_peer *peer = p->peers; peer; peer = peer->next)
        peer->is_told = false;
    for (struct ctl_view *v = p->views; v; v = v->next)
        v->is_told = false;
    if (send_message(r, gw_ir_replica(p->identity_text, CTL_VERSION))) tell(r);
}

static void on_close(void *arg, const struct gw_err *why) {
    struct ctl_relay *r = arg;
    struct ctl_publish *p = r->publish;
    bool was_open = r->is_open;
    r->is_open = false;
    gw_timer_cancel(p->opts.loop, &r->timer);
    if (!r->is_failing)
        GW_WARN("publish",
                "the holder of the Lease cannot be told of data planes; it is tried again",
                GW_KS("holder", p->holder), GW_KS("err", why->text));
    r->is_failing = true;
    if (was_open && p->on_holder_gone) p->on_holder_gone(p->opts.arg); // last: it may be freed
}

void ctl_relay_due(struct ctl_publish *p) {
    struct ctl_relay *r = p->relay;
    if (r && r->is_open && !gw_timer_armed(&r->timer))
        gw_timer_set(p->opts.loop, &r->timer, EVERY_MS);
}

void ctl_relay_gone(struct ctl_publish *p, const struct ctl_peer *peer) {
    if (!p->relay || !p->relay->is_open || !peer->is_told) return;
    json_array_append_new(p->relay->gone, json_integer((json_int_t)peer->id));
    ctl_relay_due(p);
}

// --- life --------------------------------------------------------------------------------------

void ctl_relay_restart(struct ctl_publish *p) {
    struct gw_flag_hostport at;
    struct gw_err err;
    ctl_relay_free(p->relay);
    p->relay = NULL;
    if (!p->holder || !p->relay_token || !p->relay_tls || !p->identity_text) return;
    struct ctl_relay *r = gw_alloc(sizeof(*r));
    r->publish = p;
    r->gone = json_array();
    gw_timer_init(&r->timer, on_timer);
    if (gw_hostport_parse(gw_str_of(p->holder), NULL, &at, &err) == GW_OK)
        r->client = gw_h2link_client_new(
            p->opts.loop,
            &(struct gw_h2link_client_opts){.host = at.host,
                                            .port = at.port,
                                            .path = GW_H2LINK_RELAY,
                                            .tls = p->relay_tls,
                                            .token = p->relay_token,
                                            .message_bytes_max = GW_IR_MESSAGE_BYTES_MAX,
                                            .backoff_min_ms = BACKOFF_MIN_MS,
                                            .backoff_max_ms = BACKOFF_MAX_MS,
                                            .on_open = on_open,
                                            .on_close = on_close,
                                            .arg = r},
            &err);
    if (r->client) {
        p->relay = r;
        return;
    }
    GW_ERROR("publish", "the holder of the Lease says no address that can be used",
             GW_KS("holder", p->holder), GW_KS("err", err.text));
    ctl_relay_free(r);
}

void ctl_relay_free(struct ctl_relay *r) {
    if (!r) return;
    gw_h2link_client_free(r->client);
    gw_timer_cancel(r->publish->opts.loop, &r->timer);
    json_decref(r->gone);
    free(r);
}
