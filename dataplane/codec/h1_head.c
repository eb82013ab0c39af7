// SPDX-License-Identifier: Apache-2.0
// Field lines of heads and trailers, and what the fields together say: the host, the framing of the
// body, and whether the connection persists.
#include "dataplane/codec/h1_head.h"
#include "dataplane/codec/authority.h"
#include "dataplane/codec/chars.h"

// Fields a proxy adds (forwarding, request id, via) and a policy sets, without a second piece.
#define FIELDS_ROOM 8
// Names that Connection may list; more are a trick, not a need.
#define NAMED_MAX 16

struct fields {
    const struct dp_h1_section *s;
    struct dp_head *head;
    struct gw_str host;
    bool has_host, has_length, has_coding, has_websocket;
    bool option_close, option_keep_alive, option_upgrade;
    unsigned protocols_n;           // that Upgrade lists
    struct gw_str named[NAMED_MAX]; // by Connection
    unsigned named_n;
};

#define REFUSE(f, err, status, ...) DP_H1_REFUSE((f)->s->role, (err), (status), __VA_ARGS__)

// --- one line ----------------------------------------------------------------------------------

static enum gw_rc bad_name(const struct dp_h1_section *s, unsigned place, const char *begin,
                           const char *at, const char *end, struct gw_err *err) {
    const char *why = "bad byte in the name";
    if (at == begin && (*at == ' ' || *at == '\t')) {
        why = "a folded line (obs-fold)";
    } else if (at == end) {
        why = "no colon";
    } else if (*at == ' ' || *at == '\t') {
        why = "a blank before the colon";
    } else if (at == begin && *at == ':') {
        why = "the name is empty";
    }
    return DP_H1_REFUSE(s->role, err, 400, "field %u: %s", place, why);
}

// Line i of the section. place: its number among the fields, for people.
static inline enum gw_rc parse_field(const struct dp_h1_section *s, unsigned i, unsigned place,
                                     struct dp_field *ret, struct gw_err *err) {
    const char *begin = s->ptr + (i ? s->lines->cr[i - 1] + 2 : 0);
    const char *end = s->ptr + s->lines->cr[i];
    const char *colon = begin + dp_char_run(begin, end, DP_CH_TOKEN);
    if (GW_UNLIKELY(colon == begin || colon == end || *colon != ':')) {
        return bad_name(s, place, begin, colon, end, err);
    }
    ret->name = (struct gw_str){begin, (size_t)(colon - begin)};
    begin = colon + 1;
    while (begin < end && (*begin == ' ' || *begin == '\t'))
        begin++;
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    ret->value = (struct gw_str){begin, (size_t)(end - begin)};
    ret->id = dp_field_id_of(ret->name);
    return GW_OK;
}

// --- fields that have a meaning here -------------------------------------------------------------

static enum gw_rc on_host(struct fields *f, struct gw_str value, struct gw_err *err) {
    if (f->s->role == DP_H1_RESPONSES) return GW_OK;
    if (f->has_host) return REFUSE(f, err, 400, "Host: given more than once");
    f->has_host = true;
    f->host = value;
    return GW_OK;
}

static enum gw_rc on_length(struct fields *f, struct gw_str value, struct gw_err *err) {
    if (f->has_length) return REFUSE(f, err, 400, "Content-Length: given more than once");
    uint64_t n;
    if (gw_str_to_u64(value, INT64_MAX, &n) != GW_OK) {
        return REFUSE(f, err, 400, "Content-Length: not a number in 0..2^63-1");
    }
    f->has_length = true;
    f->head->content_length = (int64_t)n;
    return GW_OK;
}

// A well-formed list of codings that ends in chunked, such as "gzip, chunked".
static bool is_coding_list(struct gw_str value) {
    while (value.len) {
        struct gw_str coding = gw_str_trim(gw_str_cut(&value, ','));
        bool is_last = value.ptr == NULL;
        if (!dp_str_is_token(coding)) return false;
        if (gw_str_eq_nocase(coding, GW_STR("chunked")) != is_last) return false;
    }
    return value.ptr == NULL;
}

static enum gw_rc on_coding(struct fields *f, struct gw_str value, struct gw_err *err) {
    if (f->has_coding) return REFUSE(f, err, 400, "Transfer-Encoding: given more than once");
    f->has_coding = true;
    if (gw_str_eq_nocase(value, GW_STR("chunked"))) return GW_OK;
    if (is_coding_list(value)) {
        return REFUSE(f, err, 501, "Transfer-Encoding: a coding other than chunked");
    }
    return REFUSE(f, err, 400, "Transfer-Encoding: not chunked");
}

// A field that the decoder knows is meant for every recipient or was taken out anyway: naming it
// must not make what an earlier hop said (a client's address, a credential) vanish.
static enum gw_rc on_option(struct fields *f, struct gw_str option, struct gw_err *err) {
    if (gw_str_eq_nocase(option, GW_STR("close"))) {
        f->option_close = true;
        return GW_OK;
    }
    if (!dp_str_is_token(option)) return REFUSE(f, err, 400, "Connection: not a list of names");
    switch (dp_field_id_of(option)) {
    case DP_F_KEEP_ALIVE:
        f->option_keep_alive = true;
        return GW_OK;
    case DP_F_UPGRADE:
        f->option_upgrade = true;
        return GW_OK;
    case DP_F_CONTENT_LENGTH:
    case DP_F_TRANSFER_ENCODING:
        return REFUSE(f, err, 400, "Connection: names a field that frames the body");
    case DP_F_OTHER:
        break;
    default:
        return GW_OK;
    }
    if (f->named_n == NAMED_MAX) {
        return REFUSE(f, err, 400, "Connection: names over %d fields", NAMED_MAX);
    }
    f->named[f->named_n++] = option;
    return GW_OK;
}

static enum gw_rc on_connection(struct fields *f, struct gw_str value, struct gw_err *err) {
    while (value.len) {
        struct gw_str option = gw_str_trim(gw_str_cut(&value, ','));
        if (option.len) GW_TRY(on_option(f, option, err));
    }
    return GW_OK;
}

static enum gw_rc on_expect(struct fields *f, struct gw_str value, struct gw_err *err) {
    if (!gw_str_eq_nocase(value, GW_STR("100-continue"))) {
        return REFUSE(f, err, 417, "Expect: not 100-continue");
    }
    f->head->expect_continue = true;
    return GW_OK;
}

// WebSocket is the one protocol that is passed on: another one (h2c) would let a client speak to
// the upstream past the rules of its route.
static void on_upgrade(struct fields *f, struct gw_str value) {
    while (value.len) {
        struct gw_str protocol = gw_str_trim(gw_str_cut(&value, ','));
        if (!protocol.len) continue;
        f->protocols_n++;
        if (gw_str_eq_nocase(protocol, GW_STR("websocket"))) f->has_websocket = true;
    }
}

static enum gw_rc on_meaning(struct fields *f, const struct dp_field *field, struct gw_err *err) {
    switch (field->id) {
    case DP_F_HOST:
        return on_host(f, field->value, err);
    case DP_F_CONTENT_LENGTH:
        return on_length(f, field->value, err);
    case DP_F_TRANSFER_ENCODING:
        return on_coding(f, field->value, err);
    case DP_F_CONNECTION:
        return on_connection(f, field->value, err);
    case DP_F_EXPECT:
        return f->s->role == DP_H1_REQUESTS ? on_expect(f, field->value, err) : GW_OK;
    default:
        on_upgrade(f, field->value);
        return GW_OK;
    }
}

static enum gw_rc parse_fields(struct fields *f, struct gw_err *err) {
    const struct dp_h1_lines *l = f->s->lines;
    struct dp_fields *fields = &f->head->fields;
    unsigned cap = l->n - 1 + FIELDS_ROOM;
    struct dp_field *ptr = gw_arena_alloc(f->s->arena, cap * sizeof(*ptr));
    if (!ptr) return REFUSE(f, err, 431, "the head does not fit its memory");
    unsigned len = 0;
    for (unsigned i = 1; i < l->n; i++) {
        struct dp_field *field = &ptr[len];
        GW_TRY(parse_field(f->s, i, i, field, err));
        if (GW_LIKELY(!((DP_H1_MEANING | DP_H1_HOP_BY_HOP) >> field->id & 1))) {
            len++;
        } else if (DP_H1_MEANING >> field->id & 1) {
            GW_TRY(on_meaning(f, field, err));
        }
    }
    *fields = (struct dp_fields){ptr, len, cap};
    for (unsigned i = 0; i < f->named_n; i++)
        dp_fields_remove(fields, f->named[i]);
    return GW_OK;
}

// --- what the fields say together --------------------------------------------------------------

static enum gw_rc settle_host(struct fields *f, unsigned scheme_port, struct gw_err *err) {
    struct dp_head *head = f->head;
    if (!f->has_host) {
        if (head->minor_version == 0) return GW_OK;
        return REFUSE(f, err, 400, "Host: missing");
    }
    struct dp_authority a, target;
    const char *wrong = dp_authority_parse(f->host, f->s->arena, &a);
    if (wrong) return REFUSE(f, err, 400, "Host: %s", wrong);
    if (!head->authority.ptr) {
        head->authority = f->host;
        head->host = a.host;
        return GW_OK;
    }
    // RFC 9112 3.2.2: the target's authority wins. The two are the same in any honest request;
    // where they differ, whoever is behind us might look at the other one.
    if (scheme_port == 0) return GW_OK;
    wrong = dp_authority_parse(head->authority, f->s->arena, &target);
    unsigned port = a.port ? a.port : scheme_port;
    unsigned target_port = target.port ? target.port : scheme_port;
    if (wrong || !gw_str_eq(a.host, target.host) || port != target_port) {
        return REFUSE(f, err, 400, "Host: not that of the request target");
    }
    return GW_OK;
}

static enum gw_rc settle_framing(struct fields *f, struct gw_err *err) {
    struct dp_head *head = f->head;
    if (f->has_coding && f->has_length) {
        return REFUSE(f, err, 400, "Content-Length together with Transfer-Encoding");
    }
    if (f->has_coding && head->minor_version == 0) {
        return REFUSE(f, err, 400, "Transfer-Encoding in HTTP/1.0");
    }
    head->chunked = f->has_coding;
    if (f->option_close) {
        head->keep_alive = false;
    } else {
        head->keep_alive = head->minor_version == 1 || f->option_keep_alive;
    }
    return GW_OK;
}

static enum gw_rc settle_request(struct fields *f, unsigned scheme_port, struct gw_err *err) {
    struct dp_head *head = f->head;
    GW_TRY(settle_host(f, scheme_port, err));
    GW_TRY(settle_framing(f, err));
    bool has_body = head->chunked || head->content_length > 0;
    if (has_body && head->method == DP_METHOD_CONNECT) {
        return REFUSE(f, err, 400, "CONNECT with a body");
    }
    // RFC 6455 4.1: a GET. With a body, the protocol could only change behind it (RFC 9110 7.8),
    // and a server may ignore the wish.
    head->upgrade = f->has_websocket && f->option_upgrade && head->minor_version == 1 &&
                    head->method == DP_METHOD_GET && !has_body;
    // RFC 9110 10.1.1: nothing to continue with, or a client that cannot mean it.
    if (!has_body || head->minor_version == 0) head->expect_continue = false;
    return GW_OK;
}

// RFC 9110 15.2.2: a 101 names the protocol that it changes to; it must be the one asked for.
static enum gw_rc settle_101(struct fields *f, struct gw_err *err) {
    if (!f->s->may_upgrade) {
        return REFUSE(f, err, 502, "status 101: nobody asked for another protocol");
    }
    bool is_websocket = f->has_websocket && f->protocols_n == 1 && f->option_upgrade;
    if (!is_websocket || f->head->minor_version == 0) {
        return REFUSE(f, err, 502, "status 101: not to a WebSocket");
    }
    f->head->upgrade = true;
    f->head->keep_alive = false;
    return GW_OK;
}

static enum gw_rc settle_response(struct fields *f, bool answers_head, bool *ret_no_body,
                                  struct gw_err *err) {
    struct dp_head *head = f->head;
    GW_TRY(settle_framing(f, err));
    if (head->status == 101) GW_TRY(settle_101(f, err));
    bool is_bare = head->status < 200 || head->status == 204;
    if (is_bare) {
        if (head->chunked || head->content_length > 0) {
            return REFUSE(f, err, 502, "status %d with a body", head->status);
        }
        head->content_length = -1;
    }
    *ret_no_body = is_bare || answers_head || head->status == 304;
    if (*ret_no_body) {
        head->chunked = false;
    } else if (!f->has_coding && !f->has_length) {
        head->until_close = true;
        head->keep_alive = false;
    }
    return GW_OK;
}

// --- sections ----------------------------------------------------------------------------------

enum gw_rc dp_h1_parse_head(const struct dp_h1_section *s, bool answers_head, struct dp_head **ret,
                            bool *ret_no_body, struct gw_err *err) {
    struct dp_head *head = gw_arena_zalloc(s->arena, sizeof(*head));
    if (!head) return DP_H1_REFUSE(s->role, err, 431, "the head does not fit its memory");
    head->content_length = -1;
    struct fields f;
    // named needs no zeroes.
    memset(&f, 0, offsetof(struct fields, named));
    f.named_n = 0;
    f.s = s;
    f.head = head;
    if (s->role == DP_H1_REQUESTS) {
        unsigned scheme_port;
        GW_TRY(dp_h1_parse_request_line(s, head, &scheme_port, err));
        GW_TRY(parse_fields(&f, err));
        GW_TRY(settle_request(&f, scheme_port, err));
        *ret_no_body = !head->chunked && head->content_length <= 0;
    } else {
        GW_TRY(dp_h1_parse_status_line(s, head, err));
        GW_TRY(parse_fields(&f, err));
        GW_TRY(settle_response(&f, answers_head, ret_no_body, err));
    }
    *ret = head;
    return GW_OK;
}

enum gw_rc dp_h1_parse_trailers(const struct dp_h1_section *s, struct dp_fields **ret,
                                struct gw_err *err) {
    const struct dp_h1_lines *l = s->lines;
    struct dp_fields *fields = gw_arena_zalloc(s->arena, sizeof(*fields));
    struct dp_field *ptr = gw_arena_alloc(s->arena, l->n * sizeof(*ptr));
    if (!fields || !ptr) return DP_H1_REFUSE(s->role, err, 431, "trailers do not fit the memory");
    unsigned len = 0;
    for (unsigned i = 0; i < l->n; i++) {
        enum gw_rc rc = parse_field(s, i, i + 1, &ptr[len], err);
        if (rc != GW_OK) {
            gw_err_wrap(err, "trailers");
            return rc;
        }
        if (!(DP_H1_NO_TRAILER >> ptr[len].id & 1)) len++;
    }
    *fields = (struct dp_fields){ptr, len, l->n};
    *ret = len ? fields : NULL;
    return GW_OK;
}
