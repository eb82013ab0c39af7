// SPDX-License-Identifier: Apache-2.0
// Field sections into heads: pseudo-header fields, the rules for every field, and what they say
// together. Targets, authorities and character classes are those of the HTTP/1.1 codec.
#include "dataplane/codec/h2_head.h"
#include "dataplane/codec/authority.h"
#include "dataplane/codec/chars.h"

// As the HTTP/1.1 decoder leaves room for what a proxy and its policies add.
#define FIELDS_ROOM 8
// Text is cut from pieces of this size: a usual head is one.
#define PIECE_BYTES 768
// ": " and CRLF: a field costs what it would cost as a line.
#define LINE_BYTES 4

static bool is_request(const struct dp_h2_head *h) {
    return h->section == DP_H2_REQUEST || h->section == DP_H2_REQUEST_TRAILERS;
}
static bool is_trailers(const struct dp_h2_head *h) {
    return h->section == DP_H2_REQUEST_TRAILERS || h->section == DP_H2_RESPONSE_TRAILERS;
}
static enum dp_h1_role role_of(const struct dp_h2_head *h) {
    return is_request(h) ? DP_H1_REQUESTS : DP_H1_RESPONSES;
}
#define REFUSE(h, status, ...) DP_H1_REFUSE(role_of(h), &(h)->err, (status), __VA_ARGS__)

void dp_h2_head_begin(struct dp_h2_head *h, enum dp_h2_section section, struct gw_arena *arena) {
    struct gw_text cookie = h->cookie;
    memset(h, 0, offsetof(struct dp_h2_head, err));
    h->err.rc = GW_OK;
    h->section = section;
    h->arena = arena;
    h->content_length = -1;
    h->bytes_max = is_trailers(h) ? DP_H1_TRAILER_BYTES_MAX : DP_H1_HEAD_BYTES_MAX;
    h->cookie = cookie;
    gw_text_reset(&h->cookie);
}

void dp_h2_head_fini(struct dp_h2_head *h) {
    gw_text_fini(&h->cookie);
}

// --- one field ---------------------------------------------------------------------------------

// "name: value\r\n": fields that lie so are copied at once by the HTTP/1.1 encoder.
static bool store(struct dp_h2_head *h, struct gw_str name, struct gw_str value,
                  struct dp_field *ret) {
    size_t n = name.len + value.len + LINE_BYTES;
    if ((size_t)(h->end - h->pos) < n) {
        size_t piece = n > PIECE_BYTES ? n : PIECE_BYTES;
        h->pos = gw_arena_alloc(h->arena, piece);
        h->end = h->pos ? h->pos + piece : NULL;
        if (!h->pos) {
            (void)REFUSE(h, 431, "the head does not fit its memory");
            return false;
        }
    }
    char *p = h->pos;
    h->pos += n;
    memcpy(p, name.ptr, name.len);
    memcpy(p + name.len, ": ", 2);
    char *v = p + name.len + 2;
    if (value.len) memcpy(v, value.ptr, value.len);
    memcpy(v + value.len, "\r\n", 2);
    *ret = (struct dp_field){{p, name.len}, {v, value.len}, DP_F_OTHER};
    return true;
}

static bool is_lower_token(struct gw_str s) {
    bool upper = false;
    for (size_t i = 0; i < s.len; i++)
        upper |= s.ptr[i] >= 'A' && s.ptr[i] <= 'Z';
    return !upper && dp_str_is_token(s);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

// RFC 9113 8.2.1.
static const char *value_breach(struct gw_str v) {
    if (v.len && (is_blank(v.ptr[0]) || is_blank(v.ptr[v.len - 1]))) {
        return "a blank around the value";
    }
    return dp_str_is_value(v) ? NULL : "control byte in the value";
}

static enum gw_rc on_pseudo(struct dp_h2_head *h, struct gw_str name, struct gw_str value) {
    const struct {
        struct gw_str name;
        enum dp_h2_section section;
        struct gw_str *to;
    } known[] = {
        {GW_STR(":method"), DP_H2_REQUEST, &h->method},
        {GW_STR(":scheme"), DP_H2_REQUEST, &h->scheme},
        {GW_STR(":authority"), DP_H2_REQUEST, &h->authority},
        {GW_STR(":path"), DP_H2_REQUEST, &h->path},
        {GW_STR(":status"), DP_H2_RESPONSE, &h->status},
    };
    if (is_trailers(h)) return REFUSE(h, 400, "trailers: a pseudo-header field");
    if (h->has_regular) return REFUSE(h, 400, "a pseudo-header field behind other fields");
    for (size_t i = 0; i < GW_ARRAY_LEN(known); i++) {
        if (known[i].section != h->section || !gw_str_eq(known[i].name, name)) continue;
        if (known[i].to->ptr) {
            return REFUSE(h, 400, GW_STR_FMT ": given more than once", GW_STR_ARG(name));
        }
        struct dp_field stored;
        if (!store(h, name, value, &stored)) return h->err.rc;
        *known[i].to = stored.value;
        return GW_OK;
    }
    return REFUSE(h, 400, "an unknown pseudo-header field");
}

static enum gw_rc on_length(struct dp_h2_head *h, struct gw_str value) {
    uint64_t n;
    if (h->has_length) return REFUSE(h, 400, "Content-Length: given more than once");
    if (gw_str_to_u64(value, INT64_MAX, &n) != GW_OK) {
        return REFUSE(h, 400, "Content-Length: not a number in 0..2^63-1");
    }
    h->has_length = true;
    h->content_length = (int64_t)n;
    return GW_OK;
}

static enum gw_rc on_host(struct dp_h2_head *h, struct gw_str value) {
    struct dp_field stored;
    if (!is_request(h)) return GW_OK;
    if (h->has_host) return REFUSE(h, 400, "Host: given more than once");
    if (!store(h, GW_STR("host"), value, &stored)) return h->err.rc;
    h->has_host = true;
    h->host = stored.value;
    return GW_OK;
}

// RFC 9113 8.2.2. GW_AGAIN: an ordinary field.
static enum gw_rc on_meaning(struct dp_h2_head *h, enum dp_field_id id, struct gw_str value) {
    switch (id) {
    case DP_F_CONNECTION:
    case DP_F_KEEP_ALIVE:
    case DP_F_PROXY_CONNECTION:
    case DP_F_TRANSFER_ENCODING:
    case DP_F_UPGRADE:
        return REFUSE(h, 400, "a connection-specific field");
    case DP_F_TE:
        if (!gw_str_eq_nocase(value, GW_STR("trailers"))) {
            return REFUSE(h, 400, "TE: not \"trailers\"");
        }
        h->te_trailers = true;
        return GW_OK;
    case DP_F_HOST:
        return is_trailers(h) ? GW_OK : on_host(h, value);
    case DP_F_CONTENT_LENGTH:
        return is_trailers(h) ? GW_OK : on_length(h, value);
    case DP_F_EXPECT:
        if (h->section != DP_H2_REQUEST) return GW_OK;
        if (!gw_str_eq_nocase(value, GW_STR("100-continue"))) {
            return REFUSE(h, 417, "Expect: not 100-continue");
        }
        h->expect_continue = true;
        return GW_OK;
    default:
        return DP_H1_HOP_BY_HOP >> id & 1 ? GW_OK : GW_AGAIN;
    }
}

// RFC 9113 8.2.3: cut for compression's sake, one field to everybody else. Empty crumbs would leave
// a blank at its end.
static enum gw_rc on_cookie(struct dp_h2_head *h, struct gw_str value) {
    h->has_cookie = true;
    if (value.len == 0) return GW_OK;
    if (h->cookie.len) gw_text_adds(&h->cookie, "; ");
    gw_text_add(&h->cookie, value.ptr, value.len);
    return GW_OK;
}

static enum gw_rc keep(struct dp_h2_head *h, struct gw_str name, struct gw_str value,
                       enum dp_field_id id) {
    if (h->fields_n == DP_H1_FIELDS_MAX) {
        return REFUSE(h, 431, "more than %d fields", DP_H1_FIELDS_MAX);
    }
    struct dp_field *f = &h->fields[h->fields_n];
    if (!store(h, name, value, f)) return h->err.rc;
    f->id = id;
    h->fields_n++;
    return GW_OK;
}

static enum gw_rc on_field(struct dp_h2_head *h, struct gw_str name, struct gw_str value) {
    const char *wrong = value_breach(value);
    if (name.len && name.ptr[0] == ':') {
        if (wrong) return REFUSE(h, 400, "a pseudo-header field: %s", wrong);
        return on_pseudo(h, name, value);
    }
    h->has_regular = true;
    if (!is_lower_token(name)) return REFUSE(h, 400, "field %u: bad byte in the name", h->lines);
    if (wrong) return REFUSE(h, 400, "field %u: %s", h->lines, wrong);
    if (h->section == DP_H2_REQUEST && gw_str_eq(name, GW_STR("cookie"))) {
        return on_cookie(h, value);
    }
    enum dp_field_id id = dp_field_id_of(name);
    if (GW_UNLIKELY((DP_H1_MEANING | DP_H1_HOP_BY_HOP) >> id & 1)) {
        enum gw_rc rc = on_meaning(h, id, value);
        if (rc != GW_AGAIN) return rc;
    }
    if (is_trailers(h) && DP_H1_NO_TRAILER >> id & 1) return GW_OK;
    return keep(h, name, value, id);
}

bool dp_h2_head_field(struct dp_h2_head *h, struct gw_str name, struct gw_str value) {
    h->bytes += name.len + value.len + LINE_BYTES;
    h->lines++;
    if (h->bytes > DP_H2_SECTION_BYTES_MAX) return false;
    if (h->bytes > h->bytes_max && h->err.rc == GW_OK) {
        (void)REFUSE(h, 431, "the head is over %zu bytes", h->bytes_max);
    }
    if (h->err.rc == GW_OK) (void)on_field(h, name, value);
    return true;
}

// --- what the fields say together --------------------------------------------------------------

static enum gw_rc settle_scheme(struct dp_h2_head *h, unsigned *ret_port) {
    if (gw_str_eq_nocase(h->scheme, GW_STR("http"))) {
        *ret_port = 80;
    } else if (gw_str_eq_nocase(h->scheme, GW_STR("https"))) {
        *ret_port = 443;
    } else {
        return REFUSE(h, 400, ":scheme: neither http nor https");
    }
    return GW_OK;
}

static enum gw_rc settle_authority(struct dp_h2_head *h, unsigned scheme_port,
                                   struct dp_head *head) {
    struct dp_authority a, host;
    struct gw_str text = h->authority.ptr ? h->authority : h->host;
    if (!text.ptr) return REFUSE(h, 400, "neither :authority nor Host");
    const char *wrong = dp_authority_parse(text, h->arena, &a);
    if (wrong) return REFUSE(h, 400, "%s: %s", h->authority.ptr ? ":authority" : "Host", wrong);
    head->authority = text;
    head->host = a.host;
    if (!h->authority.ptr || !h->has_host) return GW_OK;
    wrong = dp_authority_parse(h->host, h->arena, &host);
    unsigned port = a.port ? a.port : scheme_port;
    unsigned host_port = host.port ? host.port : scheme_port;
    if (wrong || !gw_str_eq(a.host, host.host) || port != host_port) {
        return REFUSE(h, 400, "Host: not that of :authority");
    }
    return GW_OK;
}

static enum gw_rc settle_request(struct dp_h2_head *h, struct dp_head *head) {
    if (!dp_str_is_token(h->method)) return REFUSE(h, 400, ":method: missing or bad");
    if (h->method.len > DP_H1_METHOD_BYTES_MAX) {
        return REFUSE(h, 501, "the method is over %d bytes", DP_H1_METHOD_BYTES_MAX);
    }
    head->method_text = h->method;
    head->method = dp_h1_method_of(h->method);
    // Also the extended one of RFC 8441, whose :protocol is not announced and thus unknown.
    if (head->method == DP_METHOD_CONNECT) return REFUSE(h, 501, "CONNECT is not supported");
    unsigned port = 0, ignored;
    GW_TRY(settle_scheme(h, &port));
    if (h->path.len == 0) return REFUSE(h, 400, ":path: missing or empty");
    if (h->path.ptr[0] != '/' && h->path.ptr[0] != '*') {
        return REFUSE(h, 400, ":path: does not begin with '/'");
    }
    GW_TRY(dp_h1_parse_target(h->path, h->arena, head, &ignored, &h->err));
    GW_TRY(settle_authority(h, port, head));
    head->expect_continue = h->expect_continue;
    head->te_trailers = h->te_trailers;
    return GW_OK;
}

static enum gw_rc settle_status(struct dp_h2_head *h, struct dp_head *head) {
    uint64_t status;
    if (h->status.len != 3 || gw_str_to_u64(h->status, 599, &status) != GW_OK || status < 100) {
        return REFUSE(h, 502, ":status: missing or not in 100..599");
    }
    if (status == 101) return REFUSE(h, 502, "status 101: there is no such thing in HTTP/2");
    head->status = (int)status;
    return GW_OK;
}

static enum gw_rc settle_response_body(struct dp_h2_head *h, bool ends_stream, bool answers_head,
                                       struct dp_head *head, int64_t *ret_length) {
    bool is_interim = head->status < 200;
    bool is_bare = is_interim || head->status == 204;
    if (is_interim && ends_stream) return REFUSE(h, 502, "an interim answer ends the stream");
    if (is_bare && h->content_length > 0) {
        return REFUSE(h, 502, "status %d with a body", head->status);
    }
    if (is_bare) head->content_length = -1;
    bool has_no_body = (is_bare || answers_head || head->status == 304) && !is_interim;
    *ret_length = has_no_body ? 0 : h->content_length;
    head->chunked = !ends_stream && !has_no_body && !is_interim && h->content_length < 0;
    return GW_OK;
}

static enum gw_rc settle(struct dp_h2_head *h, bool ends_stream, bool answers_head,
                         struct dp_head *head, int64_t *ret_length) {
    if (h->err.rc != GW_OK) return h->err.rc;
    head->minor_version = 1;
    head->keep_alive = true;
    head->content_length = h->content_length;
    *ret_length = h->content_length;
    if (is_request(h)) {
        GW_TRY(settle_request(h, head));
        head->chunked = !ends_stream && h->content_length < 0;
        if (ends_stream || h->content_length == 0) head->expect_continue = false;
    } else {
        GW_TRY(settle_status(h, head));
        GW_TRY(settle_response_body(h, ends_stream, answers_head, head, ret_length));
    }
    if (ends_stream && *ret_length > 0) {
        return REFUSE(h, 400, "Content-Length: %lld, and no body follows", (long long)*ret_length);
    }
    return GW_OK;
}

static enum gw_rc give_fields(struct dp_h2_head *h, struct dp_fields *ret) {
    if (h->has_cookie) {
        GW_TRY(keep(h, GW_STR("cookie"), gw_text_str(&h->cookie), DP_F_OTHER));
    }
    unsigned cap = h->fields_n + FIELDS_ROOM;
    struct dp_field *ptr = gw_arena_alloc(h->arena, cap * sizeof(*ptr));
    if (!ptr) return REFUSE(h, 431, "the head does not fit its memory");
    memcpy(ptr, h->fields, h->fields_n * sizeof(*ptr));
    *ret = (struct dp_fields){ptr, h->fields_n, cap};
    return GW_OK;
}

static enum gw_rc give_error(const struct dp_h2_head *h, struct gw_err *ret) {
    *ret = h->err;
    return h->err.rc;
}

enum gw_rc dp_h2_head_end(struct dp_h2_head *h, bool ends_stream, bool answers_head,
                          struct dp_head **ret, int64_t *ret_length, struct gw_err *err) {
    struct dp_head *head = gw_arena_zalloc(h->arena, sizeof(*head));
    int64_t length = -1;
    if (!head) {
        if (h->err.rc == GW_OK) (void)REFUSE(h, 431, "the head does not fit its memory");
        return give_error(h, err);
    }
    enum gw_rc rc = settle(h, ends_stream, answers_head, head, &length);
    if (rc == GW_OK) rc = give_fields(h, &head->fields);
    if (rc != GW_OK) return give_error(h, err);
    *ret = head;
    *ret_length = length;
    return GW_OK;
}

enum gw_rc dp_h2_head_end_trailers(struct dp_h2_head *h, struct dp_fields **ret,
                                   struct gw_err *err) {
    struct dp_fields *fields = gw_arena_zalloc(h->arena, sizeof(*fields));
    if (!fields) {
        if (h->err.rc == GW_OK) (void)REFUSE(h, 431, "trailers do not fit the memory");
        return give_error(h, err);
    }
    enum gw_rc rc = h->err.rc == GW_OK ? give_fields(h, fields) : h->err.rc;
    if (rc != GW_OK) return give_error(h, err);
    *ret = fields->len ? fields : NULL;
    return GW_OK;
}
