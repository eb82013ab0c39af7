// SPDX-License-Identifier: Apache-2.0
// Start lines: method, the four forms of a request target (RFC 9112 3.2), versions, statuses.
#include "dataplane/codec/authority.h"
#include "dataplane/codec/chars.h"
#include "dataplane/codec/h1_head.h"

#define VERSION_LEN 8 // "HTTP/1.1"

enum dp_method dp_h1_method_of(struct gw_str s) {
    static const struct {
        struct gw_str text;
        enum dp_method method;
    } known[] = {
        {{"GET", 3}, DP_METHOD_GET},         {{"POST", 4}, DP_METHOD_POST},
        {{"HEAD", 4}, DP_METHOD_HEAD},       {{"PUT", 3}, DP_METHOD_PUT},
        {{"DELETE", 6}, DP_METHOD_DELETE},   {{"OPTIONS", 7}, DP_METHOD_OPTIONS},
        {{"PATCH", 5}, DP_METHOD_PATCH},     {{"TRACE", 5}, DP_METHOD_TRACE},
        {{"CONNECT", 7}, DP_METHOD_CONNECT},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(known); i++) {
        if (gw_str_eq(known[i].text, s)) return known[i].method;
    }
    return DP_METHOD_OTHER;
}

// "HTTP/" digit "." digit; 1.0 and 1.1 alone are spoken.
static enum gw_rc parse_version(struct gw_str s, enum dp_h1_role role, unsigned *ret_minor,
                                struct gw_err *err) {
    if (s.len != VERSION_LEN || memcmp(s.ptr, "HTTP/", 5) != 0 || s.ptr[6] != '.' ||
        (unsigned char)(s.ptr[5] - '0') > 9 || (unsigned char)(s.ptr[7] - '0') > 9) {
        return DP_H1_REFUSE(role, err, 400, "start line: bad HTTP version");
    }
    if (s.ptr[5] != '1' || s.ptr[7] > '1') {
        return DP_H1_REFUSE(role, err, 505, "start line: HTTP/%c.%c is not supported", s.ptr[5],
                            s.ptr[7]);
    }
    *ret_minor = (unsigned)(s.ptr[7] - '0');
    return GW_OK;
}

// --- targets -----------------------------------------------------------------------------------

static enum gw_rc bad_target(struct gw_err *err, const char *why) {
    return DP_H1_REFUSE(DP_H1_REQUESTS, err, 400, "request target: %s", why);
}

// The byte at *at, which may be written as %XX.
static char take_byte(struct gw_str path, size_t *at) {
    char c = path.ptr[(*at)++];
    if (c != '%' || path.len - *at < 2) return c;
    int high = gw_hex_digit(path.ptr[*at]), low = gw_hex_digit(path.ptr[*at + 1]);
    if (high < 0 || low < 0) return c;
    *at += 2;
    return (char)(high << 4 | low);
}

// Has a segment "..", however servers may read one: written as %2e, with parameters behind it, or
// between what they take for slashes. Clients resolve it themselves (RFC 3986 5.2.4).
static bool climbs(struct gw_str path) {
    enum { OTHER = 3 };
    unsigned dots = 0; // of the segment, which is nothing else so far
    if (!memchr(path.ptr, '.', path.len) && !memchr(path.ptr, '%', path.len)) return false;
    for (size_t at = 0; at < path.len;) {
        char c = take_byte(path, &at);
        if (c == '/' || c == '\\' || c == ';') {
            if (dots == 2) return true;
            dots = c == ';' ? OTHER : 0;
        } else {
            dots = c == '.' && dots < 2 ? dots + 1 : OTHER;
        }
    }
    return dots == 2;
}

// Splits at '?'; target begins with '/'.
static enum gw_rc set_origin_form(struct gw_str target, struct dp_head *head, struct gw_err *err) {
    const char *end = target.ptr + target.len;
    size_t n = dp_char_run(target.ptr, end, DP_CH_PATH);
    head->target = target;
    head->path = (struct gw_str){target.ptr, n};
    // The route is chosen by the path as it stands, and the server might look at another one.
    if (GW_UNLIKELY(climbs(head->path))) return bad_target(err, "the path has a segment \"..\"");
    if (n == target.len) return GW_OK;
    if (target.ptr[n] == '#') return bad_target(err, "it has a fragment");
    if (target.ptr[n] != '?') return bad_target(err, "bad byte in the path");
    const char *query = target.ptr + n + 1;
    head->query = (struct gw_str){query, (size_t)(end - query)};
    n = dp_char_run(query, end, DP_CH_QUERY);
    if (n == head->query.len) return GW_OK;
    return bad_target(err, query[n] == '#' ? "it has a fragment" : "bad byte in the query");
}

static enum gw_rc set_authority(struct gw_str text, struct gw_arena *arena, struct dp_head *head,
                                unsigned *ret_port, struct gw_err *err) {
    struct dp_authority a;
    const char *wrong = dp_authority_parse(text, arena, &a);
    if (wrong)
        return DP_H1_REFUSE(DP_H1_REQUESTS, err, 400, "request target: authority: %s", wrong);
    head->authority = text;
    head->host = a.host;
    *ret_port = a.port;
    return GW_OK;
}

static bool has_prefix_nocase(struct gw_str s, struct gw_str prefix) {
    return s.len >= prefix.len && gw_str_eq_nocase((struct gw_str){s.ptr, prefix.len}, prefix);
}

// "http://host[:port][/path][?query]" becomes its origin form.
static enum gw_rc set_absolute_form(struct gw_str target, struct gw_arena *arena,
                                    struct dp_head *head, unsigned *ret_scheme_port,
                                    struct gw_err *err) {
    size_t skip;
    if (has_prefix_nocase(target, GW_STR("http://"))) {
        *ret_scheme_port = 80;
        skip = sizeof("http://") - 1;
    } else if (has_prefix_nocase(target, GW_STR("https://"))) {
        *ret_scheme_port = 443;
        skip = sizeof("https://") - 1;
    } else {
        return bad_target(err, "it begins neither with '/' nor with http:// or https://");
    }
    struct gw_str rest = {target.ptr + skip, target.len - skip};
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?' && rest.ptr[n] != '#')
        n++;
    unsigned port = 0;
    GW_TRY(set_authority((struct gw_str){rest.ptr, n}, arena, head, &port, err));
    rest = (struct gw_str){rest.ptr + n, rest.len - n};
    if (rest.len && rest.ptr[0] == '/') return set_origin_form(rest, head, err);
    if (rest.len == 0) {
        // RFC 9112 3.2.4: an absolute OPTIONS without a path asks of the server as a whole.
        rest = head->method == DP_METHOD_OPTIONS ? GW_STR("*") : GW_STR("/");
        head->target = head->path = rest;
        return GW_OK;
    }
    char *p = gw_arena_alloc(arena, rest.len + 1);
    if (!p) return DP_H1_REFUSE(DP_H1_REQUESTS, err, 431, "the head does not fit its memory");
    *p = '/';
    memcpy(p + 1, rest.ptr, rest.len);
    return set_origin_form((struct gw_str){p, rest.len + 1}, head, err);
}

enum gw_rc dp_h1_parse_target(struct gw_str target, struct gw_arena *arena, struct dp_head *head,
                              unsigned *ret_scheme_port, struct gw_err *err) {
    *ret_scheme_port = 0;
    if (target.len > DP_H1_TARGET_BYTES_MAX) {
        return DP_H1_REFUSE(DP_H1_REQUESTS, err, 414, "request target: over %d bytes",
                            DP_H1_TARGET_BYTES_MAX);
    }
    if (target.len == 0) return bad_target(err, "it is empty");
    if (head->method == DP_METHOD_CONNECT) {
        unsigned port = 0;
        GW_TRY(set_authority(target, arena, head, &port, err));
        head->target = target;
        return port ? GW_OK : bad_target(err, "CONNECT without a port");
    }
    if (target.ptr[0] == '/') return set_origin_form(target, head, err);
    if (target.len == 1 && target.ptr[0] == '*') {
        if (head->method != DP_METHOD_OPTIONS) return bad_target(err, "'*' is for OPTIONS alone");
        head->target = head->path = target;
        return GW_OK;
    }
    return set_absolute_form(target, arena, head, ret_scheme_port, err);
}

// --- start lines -------------------------------------------------------------------------------

enum gw_rc dp_h1_parse_request_line(const struct dp_h1_section *s, struct dp_head *head,
                                    unsigned *ret_scheme_port, struct gw_err *err) {
    const char *p = s->ptr, *end = p + s->lines->cr[0];
    size_t n = dp_char_run(p, end, DP_CH_TOKEN);
    if (n > DP_H1_METHOD_BYTES_MAX) {
        return DP_H1_REFUSE(s->role, err, 501, "request line: the method is over %d bytes",
                            DP_H1_METHOD_BYTES_MAX);
    }
    if (n == 0 || p + n == end || p[n] != ' ') {
        return DP_H1_REFUSE(s->role, err, 400, "request line: bad method");
    }
    head->method_text = (struct gw_str){p, n};
    head->method = dp_h1_method_of(head->method_text);
    p += n + 1;
    const char *blank = memchr(p, ' ', (size_t)(end - p));
    if (!blank) return DP_H1_REFUSE(s->role, err, 400, "request line: no HTTP version");
    // A second blank in the line is taken for a part of the version and refused there.
    GW_TRY(parse_version((struct gw_str){blank + 1, (size_t)(end - blank - 1)}, s->role,
                         &head->minor_version, err));
    return dp_h1_parse_target((struct gw_str){p, (size_t)(blank - p)}, s->arena, head,
                              ret_scheme_port, err);
}

// Servers that leave the blank before an empty reason out are many and do no harm.
enum gw_rc dp_h1_parse_status_line(const struct dp_h1_section *s, struct dp_head *head,
                                   struct gw_err *err) {
    const char *p = s->ptr;
    size_t n = s->lines->cr[0];
    if (n < VERSION_LEN + 4 || p[VERSION_LEN] != ' ') {
        return DP_H1_REFUSE(s->role, err, 502, "the answer does not begin with a status line");
    }
    GW_TRY(parse_version((struct gw_str){p, VERSION_LEN}, s->role, &head->minor_version, err));
    uint64_t status;
    if (gw_str_to_u64((struct gw_str){p + VERSION_LEN + 1, 3}, 599, &status) != GW_OK ||
        status < 100) {
        return DP_H1_REFUSE(s->role, err, 502, "status line: the status is not in 100..599");
    }
    size_t at = VERSION_LEN + 4;
    if (at < n && p[at] != ' ') {
        return DP_H1_REFUSE(s->role, err, 502, "status line: the status is not three digits");
    }
    if (at < n) at++;
    head->status = (int)status;
    head->reason = (struct gw_str){p + at, n - at};
    return GW_OK;
}
