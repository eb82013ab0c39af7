// SPDX-License-Identifier: Apache-2.0
// A connection: nghttp2's session, its callbacks, and its end. What a peer may do before it is sent
// away is decided in h2_feed.c. nghttp2 must not be entered (recv, send) from its callbacks; they
// only note what happened.
#include "dataplane/codec/h2_internal.h"

#include <stdlib.h>

// What nghttp2 takes for our limit of streams: it would end the connection of a peer that exceeds
// the one it knows of. Streams are counted here, and DP_H2_STREAMS_MAX is what the peer is told.
#define STREAMS_UNCOUNTED 0x7fffffff
// Of a head that we send: owners bound it, and this is more than any of theirs compresses to.
#define HEADER_BLOCK_BYTES_MAX (256 * 1024)
// Answers to PING and SETTINGS that wait for a peer that does not read; its budget ends before.
#define OUTBOUND_ACKS_MAX 500

static struct dp_h2_stream *stream_of(struct dp_h2 *h, int32_t id) {
    return id > 0 ? nghttp2_session_get_stream_user_data(h->session, id) : NULL;
}

// --- field sections ----------------------------------------------------------------------------

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    struct dp_h2 *h = user;
    struct dp_h2_stream *s = stream_of(h, frame->hd.stream_id);
    bool is_server = h->conf.role == DP_H2_SERVER;
    h->in_section = NULL;
    h->head.bytes = 0;
    if (frame->hd.type != NGHTTP2_HEADERS || h->why.rc != GW_OK) return 0;
    if (is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        bool is_surplus = h->open_n >= DP_H2_STREAMS_MAX;
        s = dp_h2_stream_new(h, frame->hd.stream_id);
        s->is_surplus = is_surplus;
        s->arena = &s->mem;
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
    }
    if (!s || s->is_released || s->err.rc != GW_OK) return 0;
    h->in_section = s;
    enum dp_h2_section section = is_server
                                     ? (s->has_head ? DP_H2_REQUEST_TRAILERS : DP_H2_REQUEST)
                                     : (s->has_head ? DP_H2_RESPONSE_TRAILERS : DP_H2_RESPONSE);
    dp_h2_head_begin(&h->head, section, s->arena);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user) {
    struct dp_h2 *h = user;
    (void)session, (void)frame, (void)flags;
    if (!h->in_section) {
        // Decoded for the table's sake only, and still bounded.
        h->head.bytes += name_len + value_len;
        if (h->head.bytes <= DP_H2_SECTION_BYTES_MAX) return 0;
    } else if (dp_h2_head_field(&h->head, (struct gw_str){(const char *)name, name_len},
                                (struct gw_str){(const char *)value, value_len})) {
        return 0;
    }
    dp_h2_end_connection(h, NGHTTP2_ENHANCE_YOUR_CALM, "a field section of more than 256 KiB");
    return NGHTTP2_ERR_PAUSE;
}

static void push_head(struct dp_h2_stream *s, struct dp_head *head) {
    struct dp_h2_head_node *n = gw_arena_alloc(s->arena, sizeof(*n));
    struct gw_err err;
    if (!n) {
        gw_err_set(&err, GW_ERR_LIMIT, 431, "the head does not fit its memory");
        dp_h2_fail(s, NGHTTP2_PROTOCOL_ERROR, &err);
        return;
    }
    *n = (struct dp_h2_head_node){NULL, head};
    *s->heads_tail = n;
    s->heads_tail = &n->next;
}

static enum gw_rc end_head(struct dp_h2 *h, struct dp_h2_stream *s, bool ends_stream,
                           struct gw_err *err) {
    struct dp_head *head;
    GW_TRY(dp_h2_head_end(&h->head, ends_stream, s->answers_head, &head, &s->length, err));
    if (head->status && head->status < 200) {
        if (++s->interims > DP_H1_INTERIM_MAX) {
            return gw_err_set(err, GW_ERR_UPSTREAM, 502, "more than %d interim answers",
                              DP_H1_INTERIM_MAX);
        }
    } else {
        s->has_head = true;
    }
    if (h->conf.role == DP_H2_SERVER) s->request = head;
    push_head(s, head);
    if (s->is_surplus) dp_h2_refuse_stream(s);
    return GW_OK;
}

static enum gw_rc end_trailers(struct dp_h2 *h, struct dp_h2_stream *s, bool ends_stream,
                               struct gw_err *err) {
    if (!ends_stream) {
        enum dp_h1_role role = h->conf.role == DP_H2_SERVER ? DP_H1_REQUESTS : DP_H1_RESPONSES;
        return DP_H1_REFUSE(role, err, 400, "trailers that do not end the stream");
    }
    return dp_h2_head_end_trailers(&h->head, &s->trailers, err);
}

static void end_section(struct dp_h2 *h, int32_t id, bool ends_stream) {
    struct dp_h2_stream *s = h->in_section;
    struct gw_err err;
    h->in_section = NULL;
    if (s) {
        enum gw_rc rc =
            s->has_head ? end_trailers(h, s, ends_stream, &err) : end_head(h, s, ends_stream, &err);
        if (rc != GW_OK) dp_h2_fail(s, NGHTTP2_PROTOCOL_ERROR, &err);
        dp_h2_mark_ready(s);
    } else {
        s = stream_of(h, id); // one that is refused, or of no interest any more
    }
    if (s && ends_stream) dp_h2_on_end(s);
}

// --- other frames ------------------------------------------------------------------------------

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                    void *user) {
    struct dp_h2 *h = user;
    struct dp_h2_stream *s = stream_of(h, id);
    (void)flags;
    if (!s || s->is_released || s->err.rc != GW_OK) {
        nghttp2_session_consume_connection(session, n);
        return 0;
    }
    dp_h2_on_data(s, (struct gw_str){(const char *)p, n});
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    struct dp_h2 *h = user;
    struct dp_h2_stream *s;
    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        end_section(h, frame->hd.stream_id, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
        break;
    case NGHTTP2_DATA:
        s = stream_of(h, frame->hd.stream_id);
        if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) dp_h2_on_end(s);
        break;
    case NGHTTP2_RST_STREAM:
        s = stream_of(h, frame->hd.stream_id);
        if (s) s->by_peer = true;
        if (s && !s->sent_end) dp_h2_lose_stream(h, "too many streams that the peer reset");
        break;
    case NGHTTP2_SETTINGS:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            h->has_settings_ack = true;
        else
            h->has_settings = true;
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK) h->pongs++;
        break;
    case NGHTTP2_GOAWAY:
        h->is_peer_going = true;
        break;
    default:
        break;
    }
    return 0;
}

// Streams that nghttp2 refuses are not opened, and thus not closed.
static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int code, void *user) {
    struct dp_h2 *h = user;
    (void)session, (void)code;
    if (frame->hd.stream_id > 0) dp_h2_past_add(&h->past, (uint32_t)frame->hd.stream_id, true);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user) {
    struct dp_h2 *h = user;
    struct dp_h2_stream *s = stream_of(h, id);
    (void)session;
    bool is_theirs = s && (s->by_peer || (s->has_ended && s->sent_end));
    dp_h2_past_add(&h->past, (uint32_t)id, !is_theirs);
    if (s) dp_h2_on_close(s, code);
    return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    struct dp_h2 *h = user;
    (void)session;
    bool is_message = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR &&
        h->why.rc == GW_OK) // of nghttp2's own accord
        gw_err_set(&h->why, GW_ERR_INPUT, 0, "the peer broke the protocol: %s",
                   nghttp2_http2_strerror(frame->goaway.error_code));
    if (!is_message && frame->hd.type != NGHTTP2_RST_STREAM) return 0;
    struct dp_h2_stream *s = stream_of(h, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        // Nobody here wanted that: the peer had us do it.
        if (!s || !s->by_owner) dp_h2_lose_stream(h, "too many streams that the peer had reset");
        return 0;
    }
    if (!s || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    s->sent_end = true;
    if (s->is_released && !s->has_ended && h->conf.role == DP_H2_SERVER) {
        dp_h2_reset(s, NGHTTP2_NO_ERROR);
    }
    return 0;
}

static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int code, void *user) {
    struct dp_h2 *h = user;
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    for (struct dp_h2_stream *s = h->streams; s; s = s->next) {
        if (s->id != frame->hd.stream_id || s->is_closed) continue;
        struct gw_err err;
        gw_err_set(&err, GW_ERR_UPSTREAM, 502, "a head was not sent: %s", nghttp2_strerror(code));
        err.retryable = h->conf.role == DP_H2_CLIENT;
        bool is_known = nghttp2_session_find_stream(session, s->id) != NULL;
        if (!is_known) s->is_closed = true, h->open_n--;
        dp_h2_fail(s, NGHTTP2_INTERNAL_ERROR, &err);
        if (s->is_closed && s->is_released) dp_h2_stream_free(s);
        break;
    }
    return 0;
}

// --- the session -------------------------------------------------------------------------------

static nghttp2_session_callbacks *callbacks_new(void) {
    nghttp2_session_callbacks *cbs;
    if (nghttp2_session_callbacks_new(&cbs) != 0) return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cbs, on_invalid);
    nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cbs, on_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cbs, on_not_sent);
    nghttp2_session_callbacks_set_send_data_callback(cbs, dp_h2_send_out);
    return cbs;
}

static nghttp2_option *option_new(void) {
    nghttp2_option *o;
    if (nghttp2_option_new(&o) != 0) return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_http_messaging(o, 1); // h2_head.c is stricter
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_send_header_block_length(o, HEADER_BLOCK_BYTES_MAX);
    nghttp2_option_set_max_outbound_ack(o, OUTBOUND_ACKS_MAX);
    return o;
}

static int submit_settings(struct dp_h2 *h) {
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, DP_H2_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, DP_H1_HEAD_BYTES_MAX},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
         h->conf.role == DP_H2_SERVER ? STREAMS_UNCOUNTED : 0},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, // last: a client's alone
    };
    size_t n = GW_ARRAY_LEN(settings) - (h->conf.role == DP_H2_SERVER ? 1 : 0);
    int rc = nghttp2_submit_settings(h->session, 0, settings, n);
    if (rc != 0) return rc;
    return nghttp2_session_set_local_window_size(h->session, 0, 0, DP_H2_CONN_WINDOW_BYTES);
}

struct dp_h2 *dp_h2_new(const struct dp_h2_conf *conf, int64_t now_ms) {
    struct dp_h2 *h = gw_alloc(sizeof(*h));
    h->conf = *conf;
    h->now_ms = h->settings_ms = now_ms;
    h->ready_tail = &h->ready;
    dp_h2_feed_init(h);
    nghttp2_session_callbacks *cbs = callbacks_new();
    nghttp2_option *o = option_new();
    int rc = !cbs || !o                   ? NGHTTP2_ERR_NOMEM
             : conf->role == DP_H2_SERVER ? nghttp2_session_server_new2(&h->session, cbs, h, o)
                                          : nghttp2_session_client_new2(&h->session, cbs, h, o);
    if (rc != 0 || submit_settings(h) != 0) abort(); // nothing but memory can be missing
    nghttp2_session_callbacks_del(cbs);
    nghttp2_option_del(o);
    return h;
}

void dp_h2_free(struct dp_h2 *h) {
    if (!h) return;
    nghttp2_session_del(h->session);
    while (h->streams) {
        GW_ASSERT(h->streams->is_released || !h->streams->is_given);
        dp_h2_stream_free(h->streams);
    }
    while (h->free) {
        struct dp_h2_stream *next = h->free->next;
        free(h->free);
        h->free = next;
    }
    dp_h2_head_fini(&h->head);
    dp_h2_nv_fini(&h->nv);
    free(h);
}

static void submit_heads(struct dp_h2 *h) {
    for (struct dp_h2_stream *s = h->streams, *next; h->heads_n && s; s = next) {
        next = s->next;
        if (s->head) dp_h2_submit_head(s);
    }
}

// A server's first frame, with the limit that is meant. It is whole: nghttp2 cuts DATA alone.
static void push_settings(struct dp_h2 *h, const uint8_t *p, size_t n) {
    enum { HEAD = 9, ENTRY = 6, VALUE = 2 }; // RFC 9113 4.1, 6.5.1
    uint8_t own[HEAD + ENTRY * 8];
    GW_ASSERT(n >= HEAD && n <= sizeof(own) && p[3] == NGHTTP2_SETTINGS);
    memcpy(own, p, n);
    for (size_t at = HEAD; at + ENTRY <= n; at += ENTRY) {
        if ((own[at] << 8 | own[at + 1]) != NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) continue;
        for (int i = 0; i < 4; i++)
            own[at + VALUE + i] = (uint8_t)(DP_H2_STREAMS_MAX >> (24 - 8 * i));
    }
    gw_buf_push_copy(h->out, own, n);
    h->has_begun = true;
}

void dp_h2_pump(struct dp_h2 *h, struct gw_buf *out, size_t high) {
    submit_heads(h);
    h->out = out;
    h->high = high;
    while (!h->is_dead && out->bytes < high) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(h->session, &p);
        if (n < 0) {
            h->is_dead = true;
            if (h->why.rc == GW_OK) {
                gw_err_set(&h->why, GW_ERR_INTERNAL, 0, "%s", nghttp2_strerror((int)n));
            }
        }
        if (n <= 0) break;
        if (h->conf.role == DP_H2_SERVER && !h->has_begun)
            push_settings(h, p, (size_t)n);
        else
            gw_buf_push_copy(out, p, (size_t)n);
    }
    h->out = NULL;
}

const struct gw_err *dp_h2_why(const struct dp_h2 *h) {
    return h->why.rc == GW_OK ? NULL : &h->why;
}

bool dp_h2_wants_pump(const struct dp_h2 *h) {
    return !h->is_dead && (h->heads_n || nghttp2_session_want_write(h->session));
}

bool dp_h2_is_over(const struct dp_h2 *h) {
    return h->is_dead ||
           (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session));
}

unsigned dp_h2_streams(const struct dp_h2 *h) {
    return h->streams_n;
}

void dp_h2_drain(struct dp_h2 *h) {
    if (h->conf.role == DP_H2_SERVER)
        nghttp2_submit_shutdown_notice(h->session);
    else
        dp_h2_goaway(h, NGHTTP2_NO_ERROR);
}

void dp_h2_goaway(struct dp_h2 *h, uint32_t code) {
    h->is_going = true;
    nghttp2_submit_goaway(h->session, 0, nghttp2_session_get_last_proc_stream_id(h->session), code,
                          NULL, 0);
}

bool dp_h2_peer_is_going(const struct dp_h2 *h) {
    return h->is_peer_going;
}

void dp_h2_ping(struct dp_h2 *h) {
    nghttp2_submit_ping(h->session, 0, NULL);
}

unsigned dp_h2_pongs(const struct dp_h2 *h) {
    return h->pongs;
}

bool dp_h2_has_settings(const struct dp_h2 *h) {
    return h->has_settings;
}

unsigned dp_h2_places(const struct dp_h2 *h) {
    uint32_t peers =
        nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return peers < DP_H2_STREAMS_MAX ? peers : DP_H2_STREAMS_MAX;
}

bool dp_h2_may_open(const struct dp_h2 *h) {
    return h->conf.role == DP_H2_CLIENT && !h->is_dead && !h->is_peer_going && h->why.rc == GW_OK &&
           h->open_n < dp_h2_places(h) && nghttp2_session_check_request_allowed(h->session);
}
