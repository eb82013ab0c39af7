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

// Lines about refusals, each second: one answer may name thousands.
#define REFUSAL_LINES 20

bool ctl_peer_send(struct ctl_peer *peer, json_t *message) {
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

// --- states ------------------------------------------------------------------------------------

// Where it is asked for something: what does not come is not waited for.
#define WAIT_MS 30000
// ACK or NACK: some ten thousand refusals.
#define ANSWER_BYTES_MAX (8u << 20)

static const struct {
    size_t message_bytes_max;
    int64_t wait_ms;
    const char *late;
} states[] = {
    [CTL_PEER_NEW] = {CTL_PEER_HELLO_BYTES_MAX, WAIT_MS, "no hello came in time"},
    [CTL_PEER_HELD] = {CTL_PEER_HELLO_BYTES_MAX, 0, NULL},
    [CTL_PEER_COMPARING] = {GW_IR_MESSAGE_BYTES_MAX, WAIT_MS,
                            "it was not said in time what is there"},
    [CTL_PEER_LIVE] = {ANSWER_BYTES_MAX, 0, NULL},
};

// A peer is believed little: how much it may say goes by what it was asked.
static void enter(struct ctl_peer *peer, enum ctl_peer_state state) {
    struct gw_loop *loop = peer->publish->opts.loop;
    peer->state = state;
    gw_h2link_peer_set_max(peer->link, states[state].message_bytes_max);
    if (states[state].wait_ms)
        gw_timer_set(loop, &peer->wait, states[state].wait_ms);
    else
        gw_timer_cancel(loop, &peer->wait);
}

static void on_wait(struct gw_timer *t) {
    struct ctl_peer *peer = GW_CONTAINER_OF(t, struct ctl_peer, wait);
    gw_h2link_peer_close(peer->link, states[peer->state].late);
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
    d->ok = d->ok && ctl_peer_send(d->peer, message);
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

static void add_change(void *arg, const char *name, const struct ctl_view_entry *e) {
    if (e)
        add_set(arg, e->resource);
    else
        add_remove(arg, name);
}

// What the log says has changed since the peer's last delta.
static void push_log(struct ctl_peer *peer) {
    struct delta d;
    begin(&d, peer);
    ctl_view_changes(peer->view, peer->sent, add_change, &d);
    end(&d);
}

void ctl_peer_push(struct ctl_peer *peer) {
    struct ctl_view *v = peer->view;
    if (peer->state != CTL_PEER_LIVE || peer->sent > peer->acked || peer->sent == v->serial) return;
    if (peer->sent < v->log_begin) {
        enter(peer, CTL_PEER_COMPARING);
        ctl_peer_send(peer, gw_ir_resync());
        return;
    }
    push_log(peer);
}

// --- messages of the peer ----------------------------------------------------------------------

void ctl_peer_send_away(const struct ctl_peer *peer, const char *why) {
    GW_WARN("publish", "data plane refused", GW_KS("node", peer->node),
            GW_KS("peer", gw_h2link_peer_address(peer->link)), GW_KS("err", why));
    gw_h2link_peer_close(peer->link, why);
}

void ctl_peer_greet(struct ctl_peer *peer) {
    struct gw_err err;
    if (ctl_gate_exists(peer, peer->view->gateway, &err) != GW_OK) {
        ctl_peer_send_away(peer, err.text);
        return;
    }
    enter(peer, CTL_PEER_LIVE);
    peer->is_due = true;
    if (strcmp(peer->root, peer->view->root) == 0) {
        peer->sent = peer->acked = peer->view->serial;
        snprintf(peer->sent_root, sizeof(peer->sent_root), "%s", peer->view->root);
        ctl_publish_note_programmed(peer->publish);
    } else if (!*peer->root) {
        push_difference(peer, NULL);
    } else {
        enter(peer, CTL_PEER_COMPARING);
        ctl_peer_send(peer, gw_ir_resync());
    }
}

static enum gw_rc on_hello(struct ctl_peer *peer, const json_t *body, struct gw_err *err) {
    const char *root = json_string_value(json_object_get(body, "root"));
    if (peer->state != CTL_PEER_NEW) return gw_err_set(err, GW_ERR_INPUT, 0, "a second hello");
    const char *gateway = json_string_value(json_object_get(body, "gateway"));
    const char *address = json_string_value(json_object_get(body, "address"));
    GW_TRY(ctl_gate_names(peer, gateway ? gateway : "", err));
    // Before anything is made for it: a view costs a walk over all resources.
    if (peer->publish->has_snapshot) GW_TRY(ctl_gate_exists(peer, gateway, err));
    peer->node = gw_strdup(json_string_value(json_object_get(body, "node")));
    peer->address = gw_strdup(address ? address : "");
    peer->view = ctl_view_of(peer->publish, gateway ? gateway : "");
    peer->root = gw_strdup(root ? root : "");
    enter(peer, CTL_PEER_HELD);
    ctl_replica_forget_ghost(peer->publish, peer->node, peer->view->gateway);
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
    enter(peer, CTL_PEER_LIVE);
    peer->acked = peer->sent;
    push_difference(peer, body);
    return GW_OK;
}

static void refusal_free(void *value) {
    struct ctl_refusal *f = value;
    if (!f) return;
    free(f->reason);
    free(f);
}

void ctl_peer_note_refusal(struct ctl_peer *peer, struct gw_str name, const char *version,
                           const char *reason) {
    struct ctl_refusal *f = gw_alloc(sizeof(*f));
    f->reason = gw_strdup(reason);
    snprintf(f->version, sizeof(f->version), "%s", version);
    refusal_free(gw_map_put(&peer->refusals, name, f));
    ctl_publish_add_news(peer->publish, name);
}

// Each answer names all that stand refused, so the last one's are forgotten.
void ctl_peer_forget_refusals(struct ctl_peer *peer) {
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&peer->refusals, &it, &name, &value))
        ctl_publish_add_news(peer->publish, name);
    gw_map_fini(&peer->refusals, refusal_free);
}

static void note_refusals(struct ctl_peer *peer, const json_t *errors) {
    struct ctl_publish *p = peer->publish;
    for (size_t i = 0; i < json_array_size(errors); i++) {
        const json_t *item = json_array_get(errors, i);
        struct gw_str name = gw_json_str(item, "resource"), reason = gw_json_str(item, "reason");
        const struct ctl_view_entry *e = gw_map_get(&peer->view->entries, name);
        // Another form is on its way already: what is said of the old one is of no interest.
        if (!e || e->serial > peer->acked) continue;
        ctl_peer_note_refusal(peer, name, e->resource->version, reason.ptr);
        if (gw_log_allow(&p->refusal_lines, gw_loop_now_ms(p->opts.loop), REFUSAL_LINES))
            GW_WARN("publish", "a data plane refused a resource", GW_KS("node", peer->node),
                    GW_KSTR("resource", name), GW_KSTR("err", reason));
    }
}

// Each answer costs a look at all resources.
#define UNASKED_MAX 64

static bool may_say_more(struct ctl_peer *peer) {
    int64_t now_ms = gw_loop_now_ms(peer->publish->opts.loop);
    int64_t seconds = (now_ms - peer->unasked_ms) / 1000;
    if (seconds > 0) {
        peer->unasked = seconds < peer->unasked ? peer->unasked - (unsigned)seconds : 0;
        peer->unasked_ms = now_ms;
    }
    return peer->unasked++ < UNASKED_MAX;
}

static enum gw_rc on_answer(struct ctl_peer *peer, const struct gw_ir_message *m,
                            struct gw_err *err) {
    if (peer->state == CTL_PEER_NEW) return gw_err_set(err, GW_ERR_INPUT, 0, "no hello came");
    if (peer->state == CTL_PEER_HELD)
        return gw_err_set(err, GW_ERR_INPUT, 0, "an answer to nothing");
    bool is_newest = gw_str_eq(gw_json_str_of(m->body), gw_str_of(peer->sent_root));
    bool is_asked = is_newest && peer->sent != peer->acked;
    if (!is_asked && !may_say_more(peer))
        return gw_err_set(err, GW_ERR_LIMIT, 0, "too many answers to nothing");
    // Of an older delta: what counts is the newest. A second answer to that one is news, too, such
    // as a port that became free.
    if (!is_newest) return GW_OK;
    gw_metric_add(m->type == GW_IR_ACK ? ack_id : nack_id, 1);
    if (!is_asked && m->type == GW_IR_ACK && peer->refusals.len == 0) return GW_OK;
    peer->acked = peer->sent;
    ctl_peer_forget_refusals(peer);
    if (m->type == GW_IR_NACK) note_refusals(peer, json_object_get(m->root, "errors"));
    ctl_publish_note_programmed(peer->publish);
    ctl_peer_push(peer);
    return GW_OK;
}

// Of a message: what one of all resources has. A tree takes about a hundred bytes for each, so that
// "[],[],[]" would become thirty times what it is.
#define VALUES_MAX (4 * GW_IR_RESOURCES_MAX)

// Whatever the text is, its tree has no more values than this and one.
static size_t count_values(struct gw_str text) {
    bool in_string = false;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char ch = text.ptr[i];
        if (ch == '"')
            in_string = !in_string;
        else if (in_string)
            i += ch == '\\';
        else
            n += ch == ',' || ch == '[' || ch == '{';
    }
    return n;
}

enum gw_rc ctl_peer_read(struct gw_str bytes, struct gw_ir_message *ret, struct gw_err *err) {
    if (count_values(bytes) > VALUES_MAX)
        return gw_err_set(err, GW_ERR_LIMIT, 413, "message: over %d values", VALUES_MAX);
    return gw_ir_message_parse(bytes, ret, err);
}

void ctl_peer_message(void *arg, struct gw_h2link_peer *link, struct gw_str bytes) {
    struct ctl_publish *p = arg;
    if (gw_h2link_peer_is_relay(link)) {
        ctl_replica_message(p, link, bytes);
        return;
    }
    struct ctl_peer *peer = gw_h2link_peer_user(link);
    struct gw_ir_message m;
    struct gw_err err;
    enum gw_rc rc = ctl_peer_read(bytes, &m, &err);
    bool is_news = true;
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
        case GW_IR_TOKEN:
            is_news = false;
            rc = ctl_recheck_token(peer, gw_json_str_of(m.body), &err);
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
    if (!is_news) return;
    peer->is_due = true;
    ctl_relay_due(p);
    p->opts.on_change(p->opts.arg);
}

void ctl_peer_open(void *arg, struct gw_h2link_peer *link) {
    struct ctl_publish *p = arg;
    if (gw_h2link_peer_is_relay(link)) {
        ctl_replica_open(p, link);
        return;
    }
    struct ctl_peer *peer = gw_alloc(sizeof(*peer));
    peer->publish = p;
    peer->link = link;
    peer->id = ++p->ids;
    peer->ns = gw_h2link_peer_user(link);
    peer->next = p->peers;
    p->peers = peer;
    gw_h2link_peer_set_user(link, peer);
    gw_timer_init(&peer->wait, on_wait);
    enter(peer, CTL_PEER_NEW);
    ctl_recheck_begin(peer);
    struct gw_err err;
    if (ctl_gate_enters(peer, &err) != GW_OK) gw_h2link_peer_close(link, err.text);
}

void ctl_peer_free(struct ctl_peer *peer) {
    for (struct ctl_peer **at = &peer->publish->peers; *at; at = &(*at)->next) {
        if (*at != peer) continue;
        *at = peer->next;
        break;
    }
    gw_timer_cancel(peer->publish->opts.loop, &peer->wait);
    gw_timer_cancel(peer->publish->opts.loop, &peer->recheck);
    ctl_peer_forget_refusals(peer);
    free(peer->ns);
    free(peer->node);
    free(peer->address);
    free(peer->root);
    free(peer);
}

void ctl_peer_close(void *arg, struct gw_h2link_peer *link, const struct gw_err *why) {
    struct ctl_publish *p = arg;
    if (gw_h2link_peer_is_relay(link)) {
        ctl_replica_close(p, link, why);
        return;
    }
    struct ctl_peer *peer = gw_h2link_peer_user(link);
    struct ctl_view *view = peer->view;
    if (view) {
        gw_metric_add(connected_id, -1);
        GW_INFO("publish", "data plane left", GW_KS("node", peer->node), GW_KS("why", why->text));
    }
    ctl_relay_gone(p, peer);
    ctl_recheck_end(peer);
    ctl_peer_free(peer);
    if (!view) return; // nobody has heard of it
    ctl_view_leave(p, view);
    ctl_publish_all_news(p);
    ctl_publish_note_programmed(p);
    p->opts.on_change(p->opts.arg);
}
