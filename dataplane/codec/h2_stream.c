// SPDX-License-Identifier: Apache-2.0
// A stream: what came and was not taken yet, what is to be sent, and its end. Bodies are slices of
// the slabs that they were read into, in both directions.
#include "dataplane/codec/h2_internal.h"

#include <stdlib.h>

// A smaller slice that waits is copied: it would pin a whole slab for its few bytes.
#define COPY_BELOW (GW_SLAB_BYTES / 4)
#define FRAME_HEAD_BYTES 9
// What a reader must take between two calls of dp_h2_reap; less is a peer that drips.
#define REAP_BYTES_MIN 1024

// --- life --------------------------------------------------------------------------------------

struct dp_h2_stream *dp_h2_stream_new(struct dp_h2 *h, int32_t id) {
    struct dp_h2_stream *s = h->free;
    if (s) {
        h->free = s->next;
        h->free_n--;
    } else {
        s = gw_realloc(NULL, sizeof(*s));
    }
    memset(s, 0, offsetof(struct dp_h2_stream, err));
    s->err.rc = GW_OK;
    gw_arena_init(&s->mem, s->inline_mem, sizeof(s->inline_mem), DP_H2_STREAM_ARENA_BYTES_MAX);
    s->h = h;
    s->id = id;
    s->length = -1;
    s->heads_tail = &s->heads;
    s->next = h->streams;
    s->pprev = &h->streams;
    if (s->next) s->next->pprev = &s->next;
    h->streams = s;
    h->streams_n++;
    h->open_n++;
    return s;
}

static void unready(struct dp_h2_stream *s) {
    struct dp_h2 *h = s->h;
    if (!s->is_ready) return;
    struct dp_h2_stream **at = &h->ready;
    while (*at != s)
        at = &(*at)->ready_next;
    *at = s->ready_next;
    if (h->ready_tail == &s->ready_next) h->ready_tail = at;
    s->is_ready = false;
}

static void drop_in(struct dp_h2_stream *s) {
    if (s->in.bytes) nghttp2_session_consume_connection(s->h->session, s->in.bytes);
    gw_buf_fini(&s->in);
}

static void drop_head(struct dp_h2_stream *s) {
    if (s->head) s->h->heads_n--;
    s->head = NULL;
}

void dp_h2_stream_free(struct dp_h2_stream *s) {
    struct dp_h2 *h = s->h;
    unready(s);
    drop_head(s);
    if (h->in_section == s) h->in_section = NULL;
    if (!s->is_closed) h->open_n--;
    gw_buf_fini(&s->in);
    gw_buf_fini(&s->out);
    gw_arena_fini(&s->mem);
    *s->pprev = s->next;
    if (s->next) s->next->pprev = s->pprev;
    h->streams_n--;
    if (h->free_n == DP_H2_STREAM_FREE_MAX) {
        free(s);
        return;
    }
    s->next = h->free;
    h->free = s;
    h->free_n++;
}

void dp_h2_mark_ready(struct dp_h2_stream *s) {
    struct dp_h2 *h = s->h;
    if (s->is_ready || s->is_released) return;
    s->is_ready = true;
    s->ready_next = NULL;
    *h->ready_tail = s;
    h->ready_tail = &s->ready_next;
}

struct dp_h2_stream *dp_h2_ready(struct dp_h2 *h) {
    struct dp_h2_stream *s = h->ready;
    if (!s) return NULL;
    h->ready = s->ready_next;
    if (!h->ready) h->ready_tail = &h->ready;
    s->is_ready = false;
    s->is_given = true;
    return s;
}

bool dp_h2_has_ready(const struct dp_h2 *h) {
    return h->ready != NULL;
}

void dp_h2_again(struct dp_h2_stream *s) {
    dp_h2_mark_ready(s);
}

struct dp_h2_stream *dp_h2_next_lost(struct dp_h2 *h) {
    for (struct dp_h2_stream *s = h->streams; s; s = s->next) {
        if (s->is_released || s->is_lost) continue;
        s->is_lost = s->is_given = true;
        return s;
    }
    return NULL;
}

static void submit_reset(struct dp_h2_stream *s, uint32_t code) {
    if (s->is_closed || s->is_reset) return;
    s->is_reset = true;
    nghttp2_submit_rst_stream(s->h->session, 0, s->id, code);
}

void dp_h2_fail(struct dp_h2_stream *s, uint32_t code, const struct gw_err *err) {
    bool is_due = s->h->conf.role == DP_H2_SERVER && err->code != 400 && !s->has_head;
    if (s->err.rc != GW_OK) return;
    s->err = *err;
    drop_in(s);
    dp_h2_mark_ready(s);
    if (is_due) return;
    drop_head(s);
    gw_buf_fini(&s->out);
    submit_reset(s, code);
}

// --- receiving ---------------------------------------------------------------------------------

static void malformed(struct dp_h2_stream *s, const char *text) {
    struct gw_err err;
    bool is_server = s->h->conf.role == DP_H2_SERVER;
    gw_err_set(&err, is_server ? GW_ERR_INPUT : GW_ERR_UPSTREAM, is_server ? 400 : 502, "%s", text);
    dp_h2_fail(s, NGHTTP2_PROTOCOL_ERROR, &err);
}

// A waiting queue of many small pieces becomes few slabs of the stream's own.
static void keep(struct gw_buf *q, struct gw_slab *slab, struct gw_str data) {
    struct gw_slice *last = q->tail ? &q->tail->slice : NULL;
    if (!slab) { // the bytes are somebody's who may be gone when they are sent
        gw_buf_push_copy(q, data.ptr, data.len);
        return;
    }
    if (!last || data.len >= COPY_BELOW) {
        gw_buf_push(q, slab, data.ptr, data.len);
        return;
    }
    bool is_own = last->slab && last->slab->refs == 1 &&
                  last->ptr + last->len == last->slab->data + last->slab->used &&
                  GW_SLAB_BYTES - last->slab->used >= data.len;
    struct gw_slab *to = is_own ? gw_slab_ref(last->slab) : gw_slab_get();
    char *p = to->data + to->used;
    memcpy(p, data.ptr, data.len);
    to->used += (unsigned)data.len;
    gw_buf_push(q, to, p, data.len);
    gw_slab_unref(to);
}

void dp_h2_on_data(struct dp_h2_stream *s, struct gw_str data) {
    s->received += (int64_t)data.len;
    bool is_bad = !s->has_head || (s->length >= 0 && s->received > s->length);
    if (is_bad) {
        nghttp2_session_consume_connection(s->h->session, data.len);
        malformed(s, s->has_head ? "more DATA than Content-Length says" : "DATA before the head");
        return;
    }
    keep(&s->in, s->h->slab, data);
    dp_h2_mark_ready(s);
}

void dp_h2_on_end(struct dp_h2_stream *s) {
    if (s->err.rc == GW_OK && !s->has_head) {
        malformed(s, "the stream ended before the head");
    } else if (s->err.rc == GW_OK && s->length >= 0 && s->received != s->length) {
        malformed(s, "less DATA than Content-Length says");
    }
    s->has_ended = true;
    dp_h2_mark_ready(s);
}

static void note_reset(struct dp_h2_stream *s, uint32_t code) {
    struct gw_err err;
    bool is_server = s->h->conf.role == DP_H2_SERVER;
    enum gw_rc rc = is_server ? GW_CANCELLED : GW_ERR_UPSTREAM;
    gw_err_set(&err, rc, is_server ? 0 : 502, "%s: %s",
               s->by_peer ? "the peer reset the stream" : "the stream was reset",
               nghttp2_http2_strerror(code));
    err.retryable = !is_server && code == NGHTTP2_REFUSED_STREAM && !s->has_head;
    dp_h2_fail(s, code, &err);
}

// A whole answer may be followed by a reset that only says that no more of the request is wanted.
static bool is_whole(const struct dp_h2_stream *s, uint32_t code) {
    if (s->h->conf.role == DP_H2_SERVER) return s->has_ended && s->sent_end;
    return s->has_ended && (s->sent_end || code == NGHTTP2_NO_ERROR);
}

void dp_h2_on_close(struct dp_h2_stream *s, uint32_t code) {
    s->is_closed = true;
    s->h->open_n--;
    drop_head(s);
    gw_buf_fini(&s->out);
    if (s->is_released) {
        dp_h2_stream_free(s);
        return;
    }
    if (!is_whole(s, code) && !s->by_owner) note_reset(s, code);
    dp_h2_mark_ready(s);
}

static void take_slice(struct dp_h2_stream *s, struct dp_ev *ret, struct gw_slab **ret_owner) {
    struct gw_slice first = s->in.head->slice;
    *ret = (struct dp_ev){.type = DP_EV_DATA, .data = {first.ptr, first.len}};
    *ret_owner = gw_slab_ref(first.slab);
    gw_buf_consume(&s->in, first.len);
    nghttp2_session_consume(s->h->session, s->id, first.len);
}

enum gw_rc dp_h2_next_event(struct dp_h2_stream *s, struct dp_ev *ret, struct gw_slab **ret_owner,
                            struct gw_err *err) {
    *ret_owner = NULL;
    if (s->err.rc != GW_OK) {
        if (err) *err = s->err;
        return s->err.rc;
    }
    if (s->heads) {
        struct dp_head *head = s->heads->head;
        s->heads = s->heads->next;
        if (!s->heads) s->heads_tail = &s->heads;
        bool is_interim = head->status && head->status < 200;
        *ret = (struct dp_ev){.type = is_interim ? DP_EV_INTERIM : DP_EV_HEAD, .head = head};
    } else if (s->in.bytes) {
        take_slice(s, ret, ret_owner);
    } else if (s->trailers) {
        *ret = (struct dp_ev){.type = DP_EV_TRAILERS, .trailers = s->trailers};
        s->trailers = NULL;
    } else if (s->has_ended && !s->gave_end) {
        s->gave_end = true;
        *ret = (struct dp_ev){.type = DP_EV_END};
    } else {
        return GW_AGAIN;
    }
    return GW_OK;
}

void *dp_h2_owner(const struct dp_h2_stream *s) {
    return s->owner;
}
void dp_h2_set_owner(struct dp_h2_stream *s, void *owner) {
    s->owner = owner;
}
uint32_t dp_h2_stream_id(const struct dp_h2_stream *s) {
    return s->id > 0 ? (uint32_t)s->id : 0;
}
const struct gw_err *dp_h2_error(const struct dp_h2_stream *s) {
    return s->err.rc == GW_OK ? NULL : &s->err;
}
struct dp_head *dp_h2_request(const struct dp_h2_stream *s) {
    return s->request;
}
bool dp_h2_is_closed(const struct dp_h2_stream *s) {
    return s->is_closed;
}

// --- sending: nghttp2's side -------------------------------------------------------------------

ssize_t dp_h2_read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t n,
                       uint32_t *flags, nghttp2_data_source *source, void *user) {
    struct dp_h2_stream *s = source->ptr;
    (void)buf, (void)user;
    size_t len = s->out.bytes < n ? s->out.bytes : n;
    if (s->is_reset || (len == 0 && !s->ends)) {
        s->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!s->ends || len < s->out.bytes) return (ssize_t)len;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->end_nv_len) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, id, s->end_nv, s->end_nv_len) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)len;
}

int dp_h2_send_out(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                   nghttp2_data_source *source, void *user) {
    struct dp_h2_stream *s = source->ptr;
    struct dp_h2 *h = user;
    (void)session, (void)frame;
    gw_buf_push_copy(h->out, head, FRAME_HEAD_BYTES);
    gw_buf_move_n(h->out, &s->out, n);
    s->moved += n;
    dp_h2_bucket_add(&h->idle_frames, DP_H2_IDLE_FRAMES_EARNED);
    if (s->was_full && s->out.bytes <= DP_H2_QUEUE_LOW) {
        s->was_full = false;
        s->has_drained = true;
        dp_h2_mark_ready(s);
    }
    return h->out->bytes >= h->high ? NGHTTP2_ERR_PAUSE : 0;
}

void dp_h2_submit_head(struct dp_h2_stream *s) {
    struct dp_h2 *h = s->h;
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = dp_h2_read_out};
    bool is_all = s->ends && s->out.bytes == 0 && s->end_nv_len == 0;
    const struct dp_head *head = s->head;
    drop_head(s);
    if (h->conf.role == DP_H2_SERVER) {
        dp_h2_encode_response(head, &h->nv);
        nghttp2_submit_response(h->session, s->id, h->nv.ptr, h->nv.len, is_all ? NULL : &body);
        return;
    }
    dp_h2_encode_request(head, h->conf.is_https, &h->nv);
    s->id =
        nghttp2_submit_request(h->session, NULL, h->nv.ptr, h->nv.len, is_all ? NULL : &body, s);
    if (s->id < 0) {
        struct gw_err err;
        gw_err_set(&err, GW_ERR_UPSTREAM, 502, "no stream: %s", nghttp2_strerror(s->id));
        err.retryable = true;
        s->is_closed = true;
        h->open_n--;
        dp_h2_fail(s, NGHTTP2_INTERNAL_ERROR, &err);
    }
}

// --- sending: the owner's side -----------------------------------------------------------------

static bool is_silent(const struct dp_h2_stream *s) {
    return s->is_closed || s->is_reset || s->ends;
}

static void resume(struct dp_h2_stream *s) {
    if (!s->is_deferred) return;
    s->is_deferred = false;
    nghttp2_session_resume_data(s->h->session, s->id);
}

enum gw_rc dp_h2_open(struct dp_h2 *h, const struct dp_head *head, struct gw_arena *arena,
                      struct dp_h2_stream **ret, struct gw_err *err) {
    if (!dp_h2_may_open(h)) {
        gw_err_set(err, GW_ERR_UPSTREAM, 503, "the connection takes no more streams");
        if (err) err->retryable = true;
        return GW_ERR_UPSTREAM;
    }
    struct dp_h2_stream *s = dp_h2_stream_new(h, -1);
    s->is_given = true;
    s->arena = arena;
    s->answers_head = head->method == DP_METHOD_HEAD;
    s->head = head;
    h->heads_n++;
    *ret = s;
    return GW_OK;
}

void dp_h2_send_interim(struct dp_h2_stream *s, const struct dp_head *head) {
    if (is_silent(s)) return;
    dp_h2_encode_response(head, &s->h->nv);
    nghttp2_submit_headers(s->h->session, 0, s->id, NULL, s->h->nv.ptr, s->h->nv.len, NULL);
}

void dp_h2_send_head(struct dp_h2_stream *s, const struct dp_head *head) {
    if (is_silent(s)) return;
    GW_ASSERT(!s->head);
    s->head = head;
    s->h->heads_n++;
}

void dp_h2_send_data(struct dp_h2_stream *s, struct gw_buf *data) {
    if (!data->bytes) return;
    if (is_silent(s)) {
        gw_buf_fini(data);
        return;
    }
    for (const struct gw_buf_node *n = data->head; n; n = n->next)
        keep(&s->out, n->slice.slab, (struct gw_str){n->slice.ptr, n->slice.len});
    gw_buf_fini(data);
    if (s->head) dp_h2_submit_head(s);
    resume(s);
}

// The fields may be gone when their turn comes.
static void keep_trailers(struct dp_h2_stream *s, const struct dp_fields *trailers) {
    struct dp_h2_nv *nv = &s->h->nv;
    dp_h2_encode_trailers(trailers, nv);
    nghttp2_nv *copy = gw_arena_alloc(&s->mem, nv->len * sizeof(*copy));
    if (!copy) return;
    for (size_t i = 0; i < nv->len; i++) {
        copy[i] = nv->ptr[i];
        struct gw_str name = {(const char *)copy[i].name, copy[i].namelen};
        struct gw_str value = {(const char *)copy[i].value, copy[i].valuelen};
        name = gw_arena_dup(&s->mem, name);
        value = gw_arena_dup(&s->mem, value);
        if (!name.ptr || !value.ptr) return;
        copy[i].name = (uint8_t *)(uintptr_t)name.ptr;
        copy[i].value = (uint8_t *)(uintptr_t)value.ptr;
    }
    s->end_nv = copy;
    s->end_nv_len = nv->len;
}

void dp_h2_send_end(struct dp_h2_stream *s, const struct dp_fields *trailers) {
    if (is_silent(s)) return;
    s->ends = true;
    if (trailers && trailers->len) keep_trailers(s, trailers);
    if (s->head) dp_h2_submit_head(s);
    resume(s);
}

size_t dp_h2_queued(const struct dp_h2_stream *s) {
    return s->out.bytes;
}

bool dp_h2_is_full(struct dp_h2_stream *s) {
    if (s->out.bytes < DP_H2_QUEUE_HIGH) return false;
    s->was_full = true;
    return true;
}

bool dp_h2_has_drained(struct dp_h2_stream *s) {
    bool has = s->has_drained;
    s->has_drained = false;
    return has;
}

void dp_h2_reset(struct dp_h2_stream *s, uint32_t code) {
    if (s->is_closed || s->is_reset) return;
    s->by_owner = true;
    drop_head(s);
    drop_in(s);
    gw_buf_fini(&s->out);
    if (s->id > 0) {
        submit_reset(s, code);
    } else { // a client's that was never sent
        s->is_closed = true;
        s->h->open_n--;
    }
}

void dp_h2_release(struct dp_h2_stream *s) {
    bool is_server = s->h->conf.role == DP_H2_SERVER;
    if (s->head && s->ends && is_server) dp_h2_submit_head(s);
    unready(s);
    drop_in(s);
    // A section that is still coming was for memory that the owner takes back.
    if (s->h->in_section == s) s->h->in_section = NULL;
    s->owner = NULL;
    s->is_released = true;
    s->moved = REAP_BYTES_MIN; // it has its first turn before it
    if (!is_server || !s->ends)
        dp_h2_reset(s, NGHTTP2_CANCEL); // a client that has its answer, or wants none
    else if (s->sent_end && !s->has_ended)
        dp_h2_reset(s, NGHTTP2_NO_ERROR); // nobody takes what the peer still sends
    if (s->is_closed) dp_h2_stream_free(s);
}

void dp_h2_reap(struct dp_h2 *h) {
    for (struct dp_h2_stream *s = h->streams; s; s = s->next) {
        if (!s->is_released || s->is_reset) continue;
        if (s->moved < REAP_BYTES_MIN) dp_h2_reset(s, NGHTTP2_CANCEL);
        s->moved = 0;
    }
}
