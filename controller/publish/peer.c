// SPDX-License-Identifier: Apache-2.0
// One connected data plane: hello, what it has, deltas, ACK and NACK. At most one delta is under
// way; what changes meanwhile goes into the next one, so that a slow peer costs no queue.
#include "controller/publish/internal.h"
#include "shared/log.h"
#include "shared/metric.h"

#include <stdio.h>
#include <stdlib.h>

static const struct gw_metric_family resources_sent = {
    .name = "push_resources_sent_total",
    .help = "Resources set or removed in deltas to data planes.",
    .type = GW_METRIC_COUNTER,
};
static const struct gw_metric_family bytes_sent = {
    .name = "push_bytes_sent_total",
    .help = "Bytes of messages to data planes.",
    .type = GW_METRIC_COUNTER,
};
static const struct gw_metric_family connected = {
    .name = "push_data_planes_connected",
    .help = "Data planes that follow the snapshot.",
    .type = GW_METRIC_GAUGE,
};
static const struct gw_metric_family answers = {
    .name = "push_answers_total",
    .help = "Answers of data planes.",
    .type = GW_METRIC_COUNTER,
    .labels = {"result"},
};
static gw_metric_id resources_sent_id, bytes_sent_id, connected_id, ack_id, nack_id;

void ctl_publish_count_init(void) {
    struct gw_str ack = GW_STR("ack"), nack = GW_STR("nack");
    resources_sent_id = gw_metric_series(&resources_sent, NULL);
    bytes_sent_id = gw_metric_series(&bytes_sent, NULL);
    connected_id = gw_metric_series(&connected, NULL);
    ack_id = gw_metric_series(&answers, &ack);
    nack_id = gw_metric_series(&answers, &nack);
}

static bool send_message(struct ctl_peer *peer, json_t *message) { // takes message
    struct gw_err err;
    size_t n;
    GW_JSON_AUTO owned = message;
    char *text = gw_ir_message_text(owned, &n);
    enum gw_rc rc = gw_h2link_peer_send(peer->link, (struct gw_str){text, n}, &err);
    free(text);
    if (rc == GW_OK)
        gw_metric_add(bytes_sent_id, (int64_t)n);
    else
        gw_h2link_peer_close(peer->link, err.text);
    return rc == GW_OK;
}

// --- deltas ------------------------------------------------------------------------------------

// One message stays far below GW_IR_MESSAGE_BYTES_MAX, whatever is in it.
#define MESSAGE_BYTES_WANTED (4u << 20)
#define MESSAGE_REMOVES_MAX 5000

struct delta {
    struct ctl_peer *peer;
    json_t *set, *remove;
    size_t bytes; // of bodies in set
    bool ok;
};

static void flush(struct delta *d, bool complete) {
    size_t n = json_array_size(d->set) + json_array_size(d->remove);
    json_t *message = gw_ir_delta(d->peer->view->root, d->set, d->remove, complete);
    gw_metric_add(resources_sent_id, (int64_t)n);
    d->ok = d->ok && send_message(d->peer, message);
    d->set = d->remove = NULL;
    d->bytes = 0;
    if (complete) return;
    d->set = json_array();
    d->remove = json_array();
}

static void add_set(struct delta *d, const struct ctl_pub_resource *r) {
    json_array_append_new(
        d->set, json_pack("{sssssO}", "name", r->name, "version", r->version, "body", r->body));
    d->bytes += r->bytes;
    if (json_array_size(d->set) >= GW_IR_DELTA_SET_MAX || d->bytes >= MESSAGE_BYTES_WANTED)
        flush(d, false);
}

static void add_remove(struct delta *d, const char *name) {
    json_array_append_new(d->remove, json_string(name));
    if (json_array_size(d->remove) >= MESSAGE_REMOVES_MAX) flush(d, false);
}

static void begin(struct delta *d, struct ctl_peer *peer) {
    *d = (struct delta){.peer = peer, .set = json_array(), .remove = json_array(), .ok = true};
}

static void end(struct delta *d) {
    struct ctl_peer *peer = d->peer;
    flush(d, true);
    peer->sent = peer->view->serial;
    snprintf(peer->sent_root, sizeof(peer->sent_root), "%s", peer->view->root);
}

// Everything that differs from what the peer says it has.
static void push_difference(struct ctl_peer *peer, const json_t *have) {
    struct delta d;
    const char *name;
    json_t *value;
    struct ctl_view *v = peer->view;
    struct gw_str *names = gw_map_sorted_keys(&v->entries);
    begin(&d, peer);
    for (size_t i = 0; i < v->entries.len; i++) {
        const struct ctl_view_entry *e = gw_map_get(&v->entries, names[i]);
        const char *version = json_string_value(json_object_get(have, e->resource->name));
        if (!version || strcmp(version, e->resource->version) != 0) add_set(&d, e->resource);
    }
    free(names);
    json_object_foreach((json_t *)(uintptr_t)have, name, value) {
        if (!gw_map_get(&v->entries, gw_str_of(name))) add_remove(&d, name);
    }
    end(&d);
}

// What the log says has changed since the peer's last delta.
static void push_log(struct ctl_peer *peer) {
    struct delta d;
    struct ctl_view *v = peer->view;
    struct gw_map seen = {0};
    begin(&d, peer);
    for (size_t i = v->log.len; i-- > 0 && v->log.ptr[i].serial > peer->sent;) {
        struct gw_str name = gw_str_of(v->log.ptr[i].name);
        if (gw_map_put(&seen, name, peer)) continue;
        const struct ctl_view_entry *e = gw_map_get(&v->entries, name);
        if (e)
            add_set(&d, e->resource);
        else
            add_remove(&d, name.ptr);
    }
    gw_map_fini(&seen, NULL);
    end(&d);
}

void ctl_peer_push(struct ctl_peer *peer) {
    struct ctl_view *v = peer->view;
    if (peer->state != CTL_PEER_LIVE || peer->sent > peer->acked || peer->sent == v->serial) return;
    if (peer->sent < v->log_begin) {
        peer->state = CTL_PEER_COMPARING;
        send_message(peer, gw_ir_resync());
        return;
    }
    push_log(peer);
}

// --- messages of the peer ----------------------------------------------------------------------

void ctl_peer_greet(struct ctl_peer *peer) {
    struct gw_err err;
    if (ctl_gate_exists(peer, &err) != GW_OK) {
        GW_WARN("publish", "data plane refused", GW_KS("node", peer->node),
                GW_KS("peer", gw_h2link_peer_address(peer->link)), GW_KS("err", err.text));
        gw_h2link_peer_close(peer->link, err.text);
        return;
    }
    peer->state = CTL_PEER_LIVE;
    if (strcmp(peer->root, peer->view->root) == 0) {
        peer->sent = peer->acked = peer->view->serial;
        snprintf(peer->sent_root, sizeof(peer->sent_root), "%s", peer->view->root);
        ctl_publish_note_programmed(peer->publish);
    } else if (!*peer->root) {
        push_difference(peer, NULL);
    } else {
        peer->state = CTL_PEER_COMPARING;
        send_message(peer, gw_ir_resync());
    }
}

static enum gw_rc on_hello(struct ctl_peer *peer, const json_t *body, struct gw_err *err) {
    const char *root = json_string_value(json_object_get(body, "root"));
    if (peer->state != CTL_PEER_NEW) return gw_err_set(err, GW_ERR_INPUT, 0, "a second hello");
    const char *gateway = json_string_value(json_object_get(body, "gateway"));
    const char *address = json_string_value(json_object_get(body, "address"));
    GW_TRY(ctl_gate_names(peer, gateway ? gateway : "", err));
    peer->node = gw_strdup(json_string_value(json_object_get(body, "node")));
    peer->address = gw_strdup(address ? address : "");
    peer->view = ctl_view_of(peer->publish, gateway ? gateway : "");
    peer->root = gw_strdup(root ? root : "");
    peer->state = CTL_PEER_HELD;
    ctl_publish_all_news(peer->publish);
    gw_metric_add(connected_id, 1);
    GW_INFO("publish", "data plane connected", GW_KS("node", peer->node),
            GW_KS("gw", peer->view->gateway), GW_KS("peer", gw_h2link_peer_address(peer->link)));
    // An empty snapshot would take everything from a data plane that serves.
    if (peer->publish->has_snapshot) ctl_peer_greet(peer);
    return GW_OK;
}

static enum gw_rc on_have(struct ctl_peer *peer, const json_t *body, struct gw_err *err) {
    if (peer->state != CTL_PEER_COMPARING)
        return gw_err_set(err, GW_ERR_INPUT, 0, "nobody asked what it has");
    peer->state = CTL_PEER_LIVE;
    peer->acked = peer->sent;
    push_difference(peer, body);
    return GW_OK;
}

static void forget_refusal(struct ctl_peer *peer, size_t i) {
    ctl_publish_add_news(peer->publish, gw_str_of(peer->refusals.ptr[i].resource));
    free(peer->refusals.ptr[i].resource);
    free(peer->refusals.ptr[i].reason);
    GW_VEC_REMOVE(&peer->refusals, i);
}

// Each answer names all that stand refused, so the last one's are forgotten.
static void forget_refusals(struct ctl_peer *peer) {
    while (peer->refusals.len)
        forget_refusal(peer, peer->refusals.len - 1);
}

static void note_refusals(struct ctl_peer *peer, const json_t *errors) {
    for (size_t i = 0; i < json_array_size(errors); i++) {
        const json_t *item = json_array_get(errors, i);
        struct gw_str name = gw_json_str(item, "resource"), reason = gw_json_str(item, "reason");
        const struct ctl_view_entry *e = gw_map_get(&peer->view->entries, name);
        // Another form is on its way already: what is said of the old one is of no interest.
        if (!e || e->serial > peer->acked) continue;
        struct ctl_refusal f = {.resource = gw_strdup(name.ptr), .reason = gw_strdup(reason.ptr)};
        snprintf(f.version, sizeof(f.version), "%s", e->resource->version);
        GW_VEC_PUSH(&peer->refusals, f);
        ctl_publish_add_news(peer->publish, name);
        GW_WARN("publish", "a data plane refused a resource", GW_KS("node", peer->node),
                GW_KSTR("resource", name), GW_KSTR("err", reason));
    }
}

static enum gw_rc on_answer(struct ctl_peer *peer, const struct gw_ir_message *m,
                            struct gw_err *err) {
    if (peer->state == CTL_PEER_NEW) return gw_err_set(err, GW_ERR_INPUT, 0, "no hello came");
    if (peer->state == CTL_PEER_HELD)
        return gw_err_set(err, GW_ERR_INPUT, 0, "an answer to nothing");
    // Of an older delta: what counts is the newest. A second answer to that one is news, too, such
    // as a port that became free.
    if (!gw_str_eq(gw_json_str_of(m->body), gw_str_of(peer->sent_root))) return GW_OK;
    gw_metric_add(m->type == GW_IR_ACK ? ack_id : nack_id, 1);
    peer->acked = peer->sent;
    forget_refusals(peer);
    if (m->type == GW_IR_NACK) note_refusals(peer, json_object_get(m->root, "errors"));
    ctl_publish_note_programmed(peer->publish);
    ctl_peer_push(peer);
    return GW_OK;
}

void ctl_peer_message(void *arg, struct gw_h2link_peer *link, struct gw_str bytes) {
    struct ctl_publish *p = arg;
    struct ctl_peer *peer = gw_h2link_peer_user(link);
    struct gw_ir_message m;
    struct gw_err err;
    enum gw_rc rc = gw_ir_message_parse(bytes, &m, &err);
    if (rc == GW_OK) {
        switch (m.type) {
        case GW_IR_HELLO:
            rc = on_hello(peer, m.body, &err);
            break;
        case GW_IR_HAVE:
            rc = on_have(peer, m.body, &err);
            break;
        case GW_IR_ACK:
        case GW_IR_NACK:
            rc = on_answer(peer, &m, &err);
            break;
        default:
            rc = gw_err_set(&err, GW_ERR_INPUT, 0, "not a message of a data plane");
        }
        gw_ir_message_fini(&m);
    }
    if (rc != GW_OK) {
        GW_WARN("publish", rc == GW_ERR_AUTH ? "data plane refused" : "bad message of a data plane",
                GW_KS("peer", gw_h2link_peer_address(link)), GW_KS("err", err.text));
        gw_h2link_peer_close(link, err.text);
        return;
    }
    p->opts.on_change(p->opts.arg);
}

void ctl_peer_open(void *arg, struct gw_h2link_peer *link) {
    struct ctl_publish *p = arg;
    struct ctl_peer *peer = gw_alloc(sizeof(*peer));
    peer->publish = p;
    peer->link = link;
    peer->ns = gw_h2link_peer_user(link);
    peer->next = p->peers;
    p->peers = peer;
    gw_h2link_peer_set_user(link, peer);
}

void ctl_peer_free(struct ctl_peer *peer) {
    forget_refusals(peer);
    GW_VEC_FINI(&peer->refusals);
    free(peer->ns);
    free(peer->node);
    free(peer->address);
    free(peer->root);
    free(peer);
}

void ctl_peer_close(void *arg, struct gw_h2link_peer *link, const struct gw_err *why) {
    struct ctl_publish *p = arg;
    struct ctl_peer *peer = gw_h2link_peer_user(link);
    for (struct ctl_peer **at = &p->peers; *at; at = &(*at)->next) {
        if (*at != peer) continue;
        *at = peer->next;
        break;
    }
    if (peer->state != CTL_PEER_NEW) {
        gw_metric_add(connected_id, -1);
        GW_INFO("publish", "data plane left", GW_KS("node", peer->node), GW_KS("why", why->text));
    }
    struct ctl_view *view = peer->view;
    ctl_peer_free(peer);
    if (view) ctl_view_leave(p, view);
    ctl_publish_all_news(p);
    ctl_publish_note_programmed(p);
    p->opts.on_change(p->opts.arg);
}
