// SPDX-License-Identifier: Apache-2.0
// The decoder's states: a head, a body by one of four framings, trailers. Heads and trailers are
// parsed in h1_head.c once they are complete.
//
//   START -> (head) -> NO_BODY | LENGTH | UNTIL_CLOSE | SIZE
//   SIZE -> EXT -> SIZE_LF -> CHUNK -> CHUNK_CR -> CHUNK_LF -> SIZE
//   SIZE_LF of chunk 0 -> TRAILERS -> ENDING
//   an interim head -> BETWEEN, which is START but for a peer that closes there
//   NO_BODY, LENGTH, ENDING -> DONE (END was given); any -> FAILED
//   a 101 head, and DONE by dp_h1_decoder_tunnel -> UNTIL_CLOSE
#include "dataplane/codec/chars.h"
#include "dataplane/codec/h1_head.h"

enum state {
    START,
    BETWEEN,
    NO_BODY,
    LENGTH,
    UNTIL_CLOSE,
    SIZE,
    EXT,
    SIZE_LF,
    CHUNK,
    CHUNK_CR,
    CHUNK_LF,
    TRAILERS,
    ENDING,
    DONE,
    FAILED,
};

// No chunk needs more digits; leading zeros count, so that they end somewhere.
#define SIZE_DIGITS_MAX 16

#define REFUSE(d, err, status, ...)                                                                \
    ((d)->state = FAILED, DP_H1_REFUSE((d)->role, (err), (status), __VA_ARGS__))

void dp_h1_decoder_init(struct dp_h1_decoder *d, enum dp_h1_role role) {
    *d = (struct dp_h1_decoder){.role = role, .state = DONE};
}

void dp_h1_decoder_fini(struct dp_h1_decoder *d) {
    if (d) gw_text_fini(&d->gathered);
}

void dp_h1_decoder_start(struct dp_h1_decoder *d, struct gw_arena *arena, bool answers_head) {
    gw_text_fini(&d->gathered);
    *d = (struct dp_h1_decoder){
        .role = d->role, .state = START, .no_body = answers_head, .arena = arena};
}

void dp_h1_decoder_allow_upgrade(struct dp_h1_decoder *d) {
    d->may_upgrade = true;
}

void dp_h1_decoder_tunnel(struct dp_h1_decoder *d) {
    GW_ASSERT(d->state == DONE);
    d->state = UNTIL_CLOSE;
}

bool dp_h1_decoder_idle(const struct dp_h1_decoder *d) {
    return (d->state == START || d->state == DONE) && d->gathered.len == 0;
}

// --- sections: heads and trailers --------------------------------------------------------------

static enum gw_rc refuse_scan(struct dp_h1_decoder *d, enum dp_h1_scan scan,
                              const struct dp_h1_lines *l, struct gw_err *err) {
    const char *section = d->state == TRAILERS ? "trailers" : "head";
    unsigned line = l->n + 1;
    switch (scan) {
    case DP_H1_SCAN_BARE_CR:
        return REFUSE(d, err, 400, "%s, line %u: CR without LF", section, line);
    case DP_H1_SCAN_BARE_LF:
        return REFUSE(d, err, 400, "%s, line %u: LF without CR", section, line);
    case DP_H1_SCAN_LINES:
        return REFUSE(d, err, 431, "%s: over %d fields", section, DP_H1_FIELDS_MAX);
    default:
        return REFUSE(d, err, 400, "%s, line %u: control byte", section, line);
    }
}

static enum gw_rc refuse_size(struct dp_h1_decoder *d, const struct dp_h1_lines *l, size_t max,
                              struct gw_err *err) {
    const char *section = d->state == TRAILERS ? "trailers" : "head";
    if (d->role == DP_H1_REQUESTS && d->state != TRAILERS && l->n == 0) {
        return REFUSE(d, err, 414, "request line: over %zu bytes", max);
    }
    return REFUSE(d, err, 431, "%s: over %zu bytes", section, max);
}

// A section that came in pieces, the last of which is in. Lines are looked for once more, because
// the places of earlier ones were not kept.
static enum gw_rc gather(struct dp_h1_decoder *d, struct gw_str in, size_t *ret_used, size_t max,
                         struct dp_h1_lines *l, struct gw_str *ret, struct gw_err *err) {
    size_t before = d->gathered.len, room = max - before;
    gw_text_add(&d->gathered, in.ptr, in.len < room ? in.len : room);
    l->at = d->scan;
    l->line = d->line;
    l->n = d->lines;
    enum dp_h1_scan scan = dp_h1_scan(d->gathered.ptr, d->gathered.len, l);
    if (scan == DP_H1_SCAN_MORE) {
        if (d->gathered.len == max) return refuse_size(d, l, max, err);
        d->scan = l->at;
        d->line = l->line;
        d->lines = l->n;
        *ret_used = in.len;
        return GW_AGAIN;
    }
    if (scan != DP_H1_SCAN_DONE) return refuse_scan(d, scan, l, err);
    *ret_used = l->end - before;
    *ret = gw_arena_dup(d->arena, (struct gw_str){d->gathered.ptr, l->end});
    l->at = l->line = l->n = 0;
    if (ret->ptr) (void)dp_h1_scan(ret->ptr, ret->len, l);
    gw_text_fini(&d->gathered);
    d->scan = d->line = d->lines = 0;
    return GW_OK;
}

// Brings a whole section into the arena. ret->ptr NULL: only an empty line.
static enum gw_rc take_section(struct dp_h1_decoder *d, struct gw_str in, size_t *ret_used,
                               struct dp_h1_lines *l, struct gw_str *ret, struct gw_err *err) {
    size_t max = d->state == TRAILERS ? DP_H1_TRAILER_BYTES_MAX : DP_H1_HEAD_BYTES_MAX;
    *ret = (struct gw_str){NULL, 0};
    l->at = l->line = l->n = 0;
    l->max = d->state == TRAILERS ? DP_H1_FIELDS_MAX : DP_H1_LINES_MAX;
    if (GW_UNLIKELY(d->gathered.len)) {
        GW_TRY(gather(d, in, ret_used, max, l, ret, err));
    } else {
        enum dp_h1_scan scan = dp_h1_scan(in.ptr, in.len < max ? in.len : max, l);
        if (scan == DP_H1_SCAN_MORE) {
            if (in.len >= max) return refuse_size(d, l, max, err);
            if (in.len) gw_text_add(&d->gathered, in.ptr, in.len);
            d->scan = l->at;
            d->line = l->line;
            d->lines = l->n;
            *ret_used = in.len;
            return GW_AGAIN;
        }
        if (scan != DP_H1_SCAN_DONE) return refuse_scan(d, scan, l, err);
        *ret_used = l->end;
        if (l->n) *ret = gw_arena_dup(d->arena, (struct gw_str){in.ptr, l->end});
    }
    if (l->n && !ret->ptr) return REFUSE(d, err, 431, "the head does not fit its memory");
    return GW_OK;
}

static enum gw_rc give_head(struct dp_h1_decoder *d, const struct dp_h1_section *s,
                            struct dp_ev *ret, struct gw_err *err) {
    bool no_body;
    enum gw_rc rc = dp_h1_parse_head(s, d->no_body, &d->head, &no_body, err);
    if (rc != GW_OK) {
        d->state = FAILED;
        return rc;
    }
    const struct dp_head *head = d->head;
    *ret = (struct dp_ev){.type = DP_EV_HEAD, .head = d->head};
    if (d->role == DP_H1_RESPONSES && head->status < 200 && !head->upgrade) {
        if (++d->interims > DP_H1_INTERIM_MAX) {
            return REFUSE(d, err, 502, "over %d interim answers", DP_H1_INTERIM_MAX);
        }
        d->state = BETWEEN;
        ret->type = DP_EV_INTERIM;
        return GW_OK;
    }
    d->body_started = true;
    if (d->role == DP_H1_RESPONSES && head->upgrade) {
        d->state = UNTIL_CLOSE;
    } else if (no_body) {
        d->state = NO_BODY;
    } else if (head->chunked) {
        d->state = SIZE;
    } else if (head->until_close) {
        d->state = UNTIL_CLOSE;
    } else {
        d->state = LENGTH;
        d->left = (uint64_t)head->content_length;
    }
    return GW_OK;
}

// Empty lines before a request are skipped (RFC 9112 2.2), before an answer they are refused.
static enum gw_rc decode_head(struct dp_h1_decoder *d, struct gw_str in, size_t *ret_used,
                              struct dp_ev *ret, struct gw_err *err) {
    struct dp_h1_lines lines;
    struct gw_str text;
    size_t skipped = 0;
    for (;;) {
        size_t used = 0;
        enum gw_rc rc = take_section(d, (struct gw_str){in.ptr + skipped, in.len - skipped}, &used,
                                     &lines, &text, err);
        *ret_used = skipped + used;
        if (rc != GW_OK) return rc;
        if (GW_LIKELY(lines.n)) break;
        if (d->role == DP_H1_RESPONSES || ++d->empty_lines > DP_H1_EMPTY_LINES_MAX) {
            return REFUSE(d, err, 400, "an empty line in place of a start line");
        }
        skipped += used;
        if (skipped == in.len) return GW_AGAIN;
    }
    struct dp_h1_section s = {text.ptr, &lines, d->arena, d->role, d->may_upgrade};
    return give_head(d, &s, ret, err);
}

static enum gw_rc decode_trailers(struct dp_h1_decoder *d, struct gw_str in, size_t *ret_used,
                                  struct dp_ev *ret, struct gw_err *err) {
    struct dp_h1_lines lines;
    struct gw_str text;
    GW_TRY(take_section(d, in, ret_used, &lines, &text, err));
    struct dp_fields *trailers = NULL;
    if (lines.n) {
        struct dp_h1_section s = {text.ptr, &lines, d->arena, d->role, false};
        enum gw_rc rc = dp_h1_parse_trailers(&s, &trailers, err);
        if (rc != GW_OK) {
            d->state = FAILED;
            return rc;
        }
    }
    d->state = trailers ? ENDING : DONE;
    *ret = (struct dp_ev){.type = trailers ? DP_EV_TRAILERS : DP_EV_END, .trailers = trailers};
    return GW_OK;
}

// --- chunks ------------------------------------------------------------------------------------

static enum gw_rc on_size_byte(struct dp_h1_decoder *d, char c, struct gw_err *err) {
    int digit = gw_hex_digit(c);
    if (digit >= 0) {
        if (++d->digits > SIZE_DIGITS_MAX || d->size > (uint64_t)INT64_MAX >> 4) {
            return REFUSE(d, err, 400, "chunk size: too large");
        }
        d->size = d->size << 4 | (unsigned)digit;
        return GW_OK;
    }
    if (d->digits == 0) return REFUSE(d, err, 400, "chunk size: no hexadecimal digit");
    if (c == '\r') {
        d->state = SIZE_LF;
    } else if (c == ';') {
        d->state = EXT;
        d->ext_bytes = 1;
    } else {
        return REFUSE(d, err, 400, "chunk size: bad byte after the digits");
    }
    return GW_OK;
}

// Extensions mean nothing to us and are dropped, but a byte that ends a line for some parser must
// not be hidden in one.
static enum gw_rc on_ext_byte(struct dp_h1_decoder *d, char c, struct gw_err *err) {
    if (c == '\r') {
        d->state = SIZE_LF;
        return GW_OK;
    }
    if (!dp_char_is(c, DP_CH_VALUE)) return REFUSE(d, err, 400, "chunk extension: control byte");
    if (++d->ext_bytes > DP_H1_CHUNK_EXT_BYTES_MAX) {
        return REFUSE(d, err, 400, "chunk extension: over %d bytes", DP_H1_CHUNK_EXT_BYTES_MAX);
    }
    return GW_OK;
}

static enum gw_rc on_chunk_byte(struct dp_h1_decoder *d, char c, struct gw_err *err) {
    switch (d->state) {
    case SIZE:
        return on_size_byte(d, c, err);
    case EXT:
        return on_ext_byte(d, c, err);
    case SIZE_LF:
        if (c != '\n') return REFUSE(d, err, 400, "chunk size: CR without LF");
        d->state = d->size ? CHUNK : TRAILERS;
        d->left = d->size;
        return GW_OK;
    case CHUNK_CR:
        if (c != '\r') return REFUSE(d, err, 400, "chunk: longer than its size");
        d->state = CHUNK_LF;
        return GW_OK;
    default:
        if (c != '\n') return REFUSE(d, err, 400, "chunk: CR without LF");
        d->state = SIZE;
        d->size = d->digits = d->ext_bytes = 0;
        return GW_OK;
    }
}

// --- events ------------------------------------------------------------------------------------

static inline void give_data(struct dp_h1_decoder *d, struct gw_str in, size_t *used,
                             struct dp_ev *ret) {
    size_t n = in.len - *used;
    if (d->state != UNTIL_CLOSE) {
        if (n > d->left) n = (size_t)d->left;
        d->left -= n;
    }
    *ret = (struct dp_ev){.type = DP_EV_DATA, .data = {in.ptr + *used, n}};
    *used += n;
}

static enum gw_rc decode_chunked(struct dp_h1_decoder *d, struct gw_str in, size_t *ret_used,
                                 struct dp_ev *ret, struct gw_err *err) {
    size_t used = 0;
    while (used < in.len) {
        if (d->state == CHUNK) {
            give_data(d, in, &used, ret);
            if (d->left == 0) d->state = CHUNK_CR;
            *ret_used = used;
            return GW_OK;
        }
        if (d->state == TRAILERS) {
            size_t more = 0;
            enum gw_rc rc =
                decode_trailers(d, (struct gw_str){in.ptr + used, in.len - used}, &more, ret, err);
            *ret_used = used + more;
            return rc;
        }
        enum gw_rc rc = on_chunk_byte(d, in.ptr[used++], err);
        if (rc != GW_OK) {
            *ret_used = used;
            return rc;
        }
    }
    *ret_used = used;
    return GW_AGAIN;
}

static enum gw_rc give_end(struct dp_h1_decoder *d, struct dp_ev *ret) {
    d->state = DONE;
    *ret = (struct dp_ev){.type = DP_EV_END};
    return GW_OK;
}

enum gw_rc dp_h1_decode(struct dp_h1_decoder *d, struct gw_str in, size_t *ret_used,
                        struct dp_ev *ret, struct gw_err *err) {
    *ret_used = 0;
    switch ((enum state)d->state) {
    case START:
    case BETWEEN:
        if (in.len == 0) return GW_AGAIN;
        return decode_head(d, in, ret_used, ret, err);
    case NO_BODY:
    case ENDING:
        return give_end(d, ret);
    case LENGTH:
        if (d->left == 0) return give_end(d, ret);
        if (in.len == 0) return GW_AGAIN;
        give_data(d, in, ret_used, ret);
        return GW_OK;
    case UNTIL_CLOSE:
        if (in.len == 0) return GW_AGAIN;
        give_data(d, in, ret_used, ret);
        return GW_OK;
    case DONE:
        return gw_err_set(err, GW_ERR_INTERNAL, 500, "the decoder was fed between two messages");
    case FAILED:
        return gw_err_set(err, GW_ERR_INTERNAL, 500, "the decoder was fed after an error");
    default:
        return decode_chunked(d, in, ret_used, ret, err);
    }
}

enum gw_rc dp_h1_decode_eof(struct dp_h1_decoder *d, struct dp_ev *ret, struct gw_err *err) {
    const char *what = d->role == DP_H1_RESPONSES ? "answer" : "request";
    if (dp_h1_decoder_idle(d)) return GW_EOF;
    switch ((enum state)d->state) {
    case NO_BODY:
    case ENDING:
    case UNTIL_CLOSE:
        return give_end(d, ret);
    case START:
    case BETWEEN:
        return REFUSE(d, err, 400, "the connection was closed before the %s's head was complete",
                      what);
    case LENGTH: {
        if (d->left == 0) return give_end(d, ret);
        uint64_t length = (uint64_t)d->head->content_length;
        return REFUSE(d, err, 400, "the %s was cut after %llu of %llu bytes", what,
                      (unsigned long long)(length - d->left), (unsigned long long)length);
    }
    case DONE:
    case FAILED:
        return gw_err_set(err, GW_ERR_INTERNAL, 500, "the decoder was fed after an error");
    default:
        return REFUSE(d, err, 400, "the %s was cut before its last chunk", what);
    }
}
