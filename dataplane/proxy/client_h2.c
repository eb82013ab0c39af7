// SPDX-License-Identifier: Apache-2.0
// A client's HTTP/2 connection: feeds the codec, begins a request for each new stream, tells
// requests of their news, writes, and ends: idle, drained, in error, or because the client left.
#include "dataplane/proxy/client_h2.h"
#include "dataplane/net/listener.h"
#include "dataplane/obs/metrics.h"

#include <stdlib.h>
#include <sys/socket.h>

// Slabs read in a row from one busy client before others get their turn: with what one holds of
// heads (DP_H2_STREAMS_MAX at most) this bounds how many requests begin in a turn.
#define READS_PER_TURN 2
#define BUSY_MS 60000 // where streams may stand still for ever
// A PING that is not answered by then does not hold up a drain.
#define DRAIN_PONG_MS 1000

static void run(struct dp_client_h2 *c);

static int64_t now_ms(const struct dp_client_h2 *c) {
    return gw_loop_now_ms(c->base.worker->loop);
}

// The request of a stream that is new to us.
static struct dp_req *new_req(struct dp_client_h2 *c, struct dp_h2_stream *s) {
    struct dp_req *r = dp_req_new(&c->base, &dp_down_h2);
    struct dp_down_h2_state *state = gw_arena_zalloc(&r->arena, sizeof(*state));
    state->stream = s;
    r->stream = state;
    dp_h2_set_owner(s, r);
    c->reqs_n++;
    return r;
}

// --- the end -----------------------------------------------------------------------------------

static void destroy(struct dp_client_h2 *c) {
    struct gw_loop *loop = c->base.worker->loop;
    GW_ASSERT(c->reqs_n == 0 && !c->is_over);
    c->is_over = true;
    dp_h2_free(c->h);
    if (dp_conn_is_flushed(&c->base.conn))
        dp_conn_close(&c->base.conn);
    else // a part of an answer must not look like a clean end
        dp_conn_abort(&c->base.conn);
    gw_timer_cancel(loop, &c->timer);
    dp_client_unlink(&c->base);
    gw_loop_free_later(loop, c);
}

static void wait_for(struct dp_client_h2 *c, enum dp_h2_wait what, int64_t ms) {
    c->wait = what;
    if (ms > 0)
        gw_timer_set(c->base.worker->loop, &c->timer, ms);
    else
        gw_timer_cancel(c->base.worker->loop, &c->timer);
}

// How often a connection that has something to do is looked at.
static int64_t busy_ms(const struct dp_client_h2 *c) {
    int64_t ms = c->base.worker->settings->stream_ms;
    return ms > 0 ? ms : BUSY_MS;
}

// Of a stream that comes to nothing there is a line in the log, and no request.
static void note(struct dp_req *r, struct dp_h2_stream *s, const struct gw_err *err) {
    r->head = dp_h2_request(s);
    r->err = *err;
    dp_req_identify(r);
    dp_req_finish(r, false);
}

// why: GW_CANCELLED.
static void cancel_all(struct dp_client_h2 *c, const struct gw_err *why) {
    for (struct dp_h2_stream *s; (s = dp_h2_next_lost(c->h));) {
        struct dp_req *r = dp_h2_owner(s);
        if (!r) {
            note(new_req(c, s), s, why);
        } else {
            if (!r->err.text[0]) r->err = *why;
            dp_req_cancel(r);
        }
    }
}

// The client closed its side or reset: nobody is there for any answer.
static void lose(struct dp_client_h2 *c) {
    struct gw_err why;
    if (c->is_lost) return;
    c->is_lost = true;
    dp_conn_set_reading(&c->base.conn, false);
    gw_err_set(&why, GW_CANCELLED, 0, "the client left");
    cancel_all(c, &why);
    dp_client_h2_later(c);
}

static void count_refused(const char *reason) {
    struct gw_str label = gw_str_of(reason);
    gw_metric_add(gw_metric_series(&dp_metric_refused, &label), 1);
}

// Nothing goes on: a peer that broke the protocol, or a budget, is told, and its requests end.
static void refuse(struct dp_client_h2 *c) {
    const struct gw_err *broken = dp_h2_why(c->h);
    struct gw_err why;
    gw_err_set(&why, GW_CANCELLED, 0, "the connection ended: %s",
               broken ? broken->text : "both sides said goodbye");
    if (broken && !c->is_refused) count_refused("h2_connection");
    c->is_refused = broken != NULL;
    cancel_all(c, &why);
}

// All that there is to say was said: our side ends, and the peer is given time to read it.
static void end_side(struct dp_client_h2 *c) {
    wait_for(c, DP_H2_WAIT_CLOSING, DP_H2_LINGER_MS);
    dp_conn_end(&c->base.conn);
    dp_conn_set_reading(&c->base.conn, true);
}

static void drop_read(struct dp_client_h2 *c) {
    struct gw_slab *slab = gw_slab_get();
    struct gw_err err;
    size_t n = 0;
    enum gw_rc rc = dp_conn_read(&c->base.conn, slab, &n, &err);
    gw_slab_unref(slab);
    c->lingered += n;
    if (rc == GW_AGAIN || (rc == GW_OK && c->lingered < DP_H2_LINGER_BYTES_MAX)) return;
    destroy(c);
}

// --- requests ----------------------------------------------------------------------------------

static void begin(struct dp_client_h2 *c, struct dp_h2_stream *s) {
    struct dp_req *r = new_req(c, s);
    struct dp_ev ev;
    struct gw_slab *owner;
    struct gw_err err;
    if (c->wait != DP_H2_WAIT_BUSY) wait_for(c, DP_H2_WAIT_BUSY, busy_ms(c));
    enum gw_rc rc = dp_h2_next_event(s, &ev, &owner, &err);
    r->head = dp_h2_request(s);
    if (rc == GW_OK) {
        r->keep_alive = true;
        dp_req_arm(r, DP_DEADLINE_WHOLE, 0);
        dp_req_identify(r);
        dp_req_begin(r);
    } else if (err.code == 0) { // reset by the peer, or refused: nobody is answered
        if (rc != GW_CANCELLED) count_refused("h2_stream");
        note(r, s, &err);
    } else { // of a malformed one the stream is reset already, and what is answered goes nowhere
        dp_answer_bad_head(r, &err);
    }
}

static void broken(struct dp_req *r, const struct gw_err *err) {
    if (!r->err.text[0]) r->err = *err;
    if (err->rc != GW_CANCELLED && r->fiber) { // malformed: decided as a refusal, and logged as one
        if (!r->code) r->code = "bad_request";
        dp_req_wake(r, DP_WAKE_FAILED);
    } else {
        dp_req_cancel(r);
    }
}

// r may be gone afterwards.
static void tell(struct dp_h2_stream *s, struct dp_req *r) {
    const struct gw_err *err = dp_h2_error(s);
    bool drained = dp_h2_has_drained(s);
    if (err) {
        broken(r, err);
    } else if (drained && r->stage == DP_STAGE_STREAM) {
        if (dp_body_is_wanted(r)) dp_h2_again(s); // its turn is the next one
        dp_answer_pump(r);
    } else if (dp_body_is_wanted(r)) {
        dp_body_pump(r);
    }
}

static void take_news(struct dp_client_h2 *c) {
    for (struct dp_h2_stream *s; !c->is_lost && (s = dp_h2_ready(c->h));) {
        struct dp_req *r = dp_h2_owner(s);
        if (r)
            tell(s, r);
        else
            begin(c, s);
    }
}

// --- writing -----------------------------------------------------------------------------------

// True where the socket may take more.
static bool write_some(struct dp_client_h2 *c) {
    struct dp_conn *conn = &c->base.conn;
    struct gw_err err;
    if (dp_conn_is_full(conn)) return false;
    dp_h2_pump(c->h, &conn->batch, DP_CONN_QUEUE_HIGH);
    c->pumped += conn->batch.bytes;
    if (dp_conn_flush(conn, &err) == GW_OK) return true;
    lose(c);
    return false;
}

static bool is_quiet(const struct dp_client_h2 *c) {
    return c->reqs_n == 0 && dp_h2_streams(c->h) == 0 && !dp_h2_wants_pump(c->h) &&
           dp_conn_is_flushed(&c->base.conn);
}

// Where the connection stands now that nothing is left to do.
static void settle(struct dp_client_h2 *c) {
    struct dp_conn *conn = &c->base.conn;
    if (c->is_lost) {
        if (c->reqs_n == 0) destroy(c);
        return;
    }
    bool is_ended = dp_h2_is_over(c->h) || c->drain == DP_H2_DRAIN_TOLD;
    if (dp_h2_is_over(c->h)) refuse(c);
    if (c->wait == DP_H2_WAIT_CLOSING) return;
    if (is_ended && c->reqs_n == 0 && dp_conn_is_flushed(conn) &&
        (dp_h2_is_over(c->h) || is_quiet(c))) {
        end_side(c);
        return;
    }
    // Who does not read what we say is not listened to either: its frames would pile up answers.
    if (dp_conn_is_full(conn))
        dp_conn_watch(conn);
    else
        dp_conn_set_reading(conn, !dp_h2_is_over(c->h));
    if (c->wait == DP_H2_WAIT_BUSY && is_quiet(c))
        wait_for(c, DP_H2_WAIT_IDLE, c->base.worker->settings->idle_ms);
}

// Until nobody has news and nothing is to be written, or the socket is full.
static void run(struct dp_client_h2 *c) {
    if (c->is_running || c->is_over) return;
    c->is_running = true;
    bool can_write = true;
    do {
        take_news(c);
        if (!c->is_lost) can_write = write_some(c);
    } while (!c->is_lost && can_write && (dp_h2_has_ready(c->h) || dp_h2_wants_pump(c->h)));
    c->is_running = false;
    settle(c);
}

static void on_due(void *arg) {
    struct dp_client_h2 *c = arg;
    c->is_due = false;
    run(c);
}

void dp_client_h2_later(struct dp_client_h2 *c) {
    if (c->is_due || c->is_over) return;
    c->is_due = true;
    gw_loop_defer(c->base.worker->loop, on_due, c);
}

// --- the socket --------------------------------------------------------------------------------

static void on_readable(struct dp_conn *conn) {
    struct dp_client_h2 *c = (struct dp_client_h2 *)conn;
    if (c->wait == DP_H2_WAIT_CLOSING) {
        drop_read(c);
        return;
    }
    bool more = true;
    for (int i = 0; i < READS_PER_TURN && more && !c->is_lost; i++) {
        struct gw_slab *slab = gw_slab_get();
        struct gw_err err;
        size_t n = 0;
        enum gw_rc rc = dp_conn_read(conn, slab, &n, &err);
        if (rc == GW_OK) {
            more = n == GW_SLAB_BYTES;
            struct gw_str bytes = {slab->data, n};
            if (dp_h2_feed(c->h, slab, bytes, now_ms(c), &err) != GW_OK) refuse(c);
            more = more && !dp_h2_is_over(c->h);
        }
        gw_slab_unref(slab);
        if (rc == GW_AGAIN) break;
        if (rc != GW_OK) lose(c);
    }
    run(c);
}

static void on_drained(struct dp_conn *conn) {
    struct dp_client_h2 *c = (struct dp_client_h2 *)conn;
    if (c->wait != DP_H2_WAIT_CLOSING) run(c);
}

static void on_error(struct dp_conn *conn) {
    struct dp_client_h2 *c = (struct dp_client_h2 *)conn;
    if (c->wait == DP_H2_WAIT_CLOSING) {
        destroy(c);
        return;
    }
    lose(c);
    run(c);
}
static const struct dp_conn_ops conn_ops = {on_readable, on_drained, on_error};

// --- time and drain ----------------------------------------------------------------------------

static void go_away(struct dp_client_h2 *c) {
    c->drain = DP_H2_DRAIN_TOLD;
    dp_h2_goaway(c->h, DP_H2_NO_ERROR);
}

// Answers without a request any more, that the peer does not read.
static bool is_stuck(struct dp_client_h2 *c) {
    uint64_t sent = c->pumped - c->base.conn.out.bytes;
    bool is = c->reqs_n == 0 && c->base.conn.out.bytes && sent == c->sent;
    c->sent = sent;
    return is;
}

static void on_timer(struct gw_timer *t) {
    struct dp_client_h2 *c = GW_CONTAINER_OF(t, struct dp_client_h2, timer);
    struct gw_err err;
    switch (c->wait) {
    case DP_H2_WAIT_CLOSING:
        destroy(c);
        return;
    case DP_H2_WAIT_FIRST:
    case DP_H2_WAIT_IDLE:
        go_away(c);
        wait_for(c, DP_H2_WAIT_BUSY, busy_ms(c));
        break;
    case DP_H2_WAIT_BUSY:
        if (is_stuck(c)) {
            lose(c);
            break;
        }
        dp_h2_reap(c->h);
        if (dp_h2_tick(c->h, now_ms(c), &err) != GW_OK) refuse(c);
        wait_for(c, DP_H2_WAIT_BUSY, busy_ms(c));
        break;
    }
    run(c);
}

static void drain(struct dp_client *base, enum dp_drain how) {
    struct dp_client_h2 *c = (struct dp_client_h2 *)base;
    if (c->wait == DP_H2_WAIT_CLOSING) {
        if (how == DP_DRAIN_OVER) destroy(c);
        return;
    }
    if (how == DP_DRAIN_OVER) {
        struct gw_err why;
        gw_err_set(&why, GW_CANCELLED, 0, DP_DRAIN_OVER_TEXT);
        go_away(c);
        cancel_all(c, &why);
        (void)write_some(c);
        lose(c);
    } else if (c->drain == DP_H2_DRAIN_NONE) {
        if (how == DP_DRAIN_IDLE && c->wait == DP_H2_WAIT_FIRST) return;
        c->drain = DP_H2_DRAIN_ASKED;
        c->drain_ms = now_ms(c);
        dp_h2_drain(c->h);
        dp_h2_ping(c->h);
    } else if (c->drain == DP_H2_DRAIN_ASKED) {
        if (!dp_h2_pongs(c->h) && now_ms(c) - c->drain_ms < DRAIN_PONG_MS) return;
        go_away(c);
    }
    run(c);
}
static const struct dp_client_ops client_ops = {drain};

// --- the beginning -----------------------------------------------------------------------------

// What was read before it was known to be HTTP/2.
static void feed_first(struct dp_client_h2 *c, struct gw_buf *first) {
    struct gw_err err;
    while (first && first->head) {
        struct gw_slice *s = &first->head->slice;
        struct gw_str bytes = {s->ptr, s->len};
        if (dp_h2_feed(c->h, s->slab, bytes, now_ms(c), &err) != GW_OK) refuse(c);
        gw_buf_consume(first, bytes.len);
    }
}

void dp_client_h2_start(struct dp_worker *w, const struct dp_accepted *a) {
    struct dp_client_h2 *c = gw_alloc(sizeof(*c));
    if (!dp_client_init(&c->base, w, a, &conn_ops, &client_ops)) {
        if (a->first) gw_buf_fini(a->first);
        free(c);
        return;
    }
    gw_timer_init(&c->timer, on_timer);
    c->h = dp_h2_new(&(struct dp_h2_conf){.role = DP_H2_SERVER}, now_ms(c));
    wait_for(c, DP_H2_WAIT_FIRST, w->settings->head_ms);
    feed_first(c, a->first);
    dp_client_h2_later(c);
}
