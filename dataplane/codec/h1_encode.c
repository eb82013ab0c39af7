// SPDX-License-Identifier: Apache-2.0
// Heads and chunk framing as bytes. The size is summed up first, so that a head is one piece of the
// arena; runs of fields that lie in memory as the wire wants them are copied at once.
#include "dataplane/codec/h1.h"

// Of what stands around the fields: version, framing, connection, line ends.
#define FIXED_BYTES_MAX 128

// Written from the head's own members, never from the list.
#define OWN_FIELDS                                                                                 \
    (UINT64_C(1) << DP_F_HOST | UINT64_C(1) << DP_F_CONTENT_LENGTH |                               \
     UINT64_C(1) << DP_F_TRANSFER_ENCODING | UINT64_C(1) << DP_F_CONNECTION)

static inline bool is_own(const struct dp_field *f) {
    return OWN_FIELDS >> f->id & 1;
}

static inline char *put(char *at, const char *p, size_t n) {
    if (n) memcpy(at, p, n);
    return at + n;
}
#define PUT(at, lit) put((at), (lit), sizeof(lit) - 1)

static char *put_decimal(char *at, uint64_t n) {
    char digits[20];
    size_t len = 0;
    do {
        digits[sizeof(digits) - ++len] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    return put(at, digits + sizeof(digits) - len, len);
}

// --- fields ------------------------------------------------------------------------------------

static size_t fields_bytes(const struct dp_fields *f) {
    size_t n = 0;
    for (unsigned i = 0; i < f->len; i++)
        n += f->ptr[i].name.len + f->ptr[i].value.len + 4;
    return n;
}

// Whether two bytes, and these two, lie between what ends at p and what begins at next.
static inline bool is_joined(const char *p, const char *next, const char between[2]) {
    return next - p == 2 && p[0] == between[0] && p[1] == between[1];
}

static inline bool is_wire_form(const struct dp_field *f) {
    return f->value.len && is_joined(f->name.ptr + f->name.len, f->value.ptr, ": ");
}

static char *put_fields(char *at, const struct dp_fields *f) {
    for (unsigned i = 0; i < f->len; i++) {
        const struct dp_field *field = &f->ptr[i];
        if (is_own(field)) continue;
        if (!is_wire_form(field)) {
            at = put(at, field->name.ptr, field->name.len);
            at = PUT(at, ": ");
            at = put(at, field->value.ptr, field->value.len);
            at = PUT(at, "\r\n");
            continue;
        }
        // Decoded fields lie one after the other, until one was taken out or put in.
        const char *begin = field->name.ptr, *end = field->value.ptr + field->value.len;
        while (i + 1 < f->len) {
            const struct dp_field *next = &f->ptr[i + 1];
            if (!is_joined(end, next->name.ptr, "\r\n") || !is_wire_form(next) || is_own(next)) {
                break;
            }
            end = next->value.ptr + next->value.len;
            i++;
        }
        at = put(at, begin, (size_t)(end - begin));
        at = PUT(at, "\r\n");
    }
    return at;
}

// Exactly one framing, or none.
static char *put_framing(char *at, const struct dp_head *head) {
    if (head->chunked) return PUT(at, "Transfer-Encoding: chunked\r\n");
    if (head->content_length < 0) return at;
    at = PUT(at, "Content-Length: ");
    at = put_decimal(at, (uint64_t)head->content_length);
    return PUT(at, "\r\n");
}

// RFC 9110 7.8: Upgrade is hop-by-hop, so Connection names it.
#define WEBSOCKET "Connection: Upgrade\r\nUpgrade: websocket\r\n"

// --- heads -------------------------------------------------------------------------------------

struct gw_str dp_h1_encode_request(const struct dp_head *head, struct gw_arena *a) {
    size_t cap = head->method_text.len + head->target.len + head->authority.len +
                 fields_bytes(&head->fields) + FIXED_BYTES_MAX;
    char *begin = gw_arena_alloc(a, cap), *at = begin;
    if (!begin) return (struct gw_str){NULL, 0};
    at = put(at, head->method_text.ptr, head->method_text.len);
    *at++ = ' ';
    at = put(at, head->target.ptr, head->target.len);
    at = PUT(at, " HTTP/1.1\r\nHost: ");
    at = put(at, head->authority.ptr, head->authority.len);
    at = PUT(at, "\r\n");
    at = put_fields(at, &head->fields);
    at = put_framing(at, head);
    if (head->upgrade) {
        at = PUT(at, WEBSOCKET);
    } else if (!head->keep_alive) {
        at = PUT(at, "Connection: close\r\n");
    }
    at = PUT(at, "\r\n");
    GW_ASSERT((size_t)(at - begin) <= cap);
    return (struct gw_str){begin, (size_t)(at - begin)};
}

struct gw_str dp_h1_encode_response(const struct dp_head *head, unsigned client_minor_version,
                                    struct gw_arena *a) {
    GW_ASSERT(head->status >= 100 && head->status <= 999);
    struct gw_str reason = head->reason.len ? head->reason : gw_str_of(dp_h1_reason(head->status));
    size_t cap = reason.len + fields_bytes(&head->fields) + FIXED_BYTES_MAX;
    char *begin = gw_arena_alloc(a, cap), *at = begin;
    if (!begin) return (struct gw_str){NULL, 0};
    bool is_interim = head->status < 200;
    at = PUT(at, "HTTP/1.1 ");
    at = put_decimal(at, (uint64_t)head->status);
    *at++ = ' ';
    at = put(at, reason.ptr, reason.len);
    at = PUT(at, "\r\n");
    at = put_fields(at, &head->fields);
    // RFC 9112 6.1, RFC 9110 8.6: neither framing in these.
    if (!is_interim && head->status != 204) at = put_framing(at, head);
    if (head->upgrade) {
        at = PUT(at, WEBSOCKET);
    } else if (!is_interim && !head->keep_alive) {
        at = PUT(at, "Connection: close\r\n");
    } else if (!is_interim && client_minor_version == 0) {
        at = PUT(at, "Connection: keep-alive\r\n");
    }
    at = PUT(at, "\r\n");
    GW_ASSERT((size_t)(at - begin) <= cap);
    return (struct gw_str){begin, (size_t)(at - begin)};
}

// --- chunks ------------------------------------------------------------------------------------

size_t dp_h1_encode_chunk_head(char *dst, uint64_t n) {
    GW_ASSERT(n > 0);
    size_t digits = (size_t)(67 - __builtin_clzll(n)) / 4;
    for (size_t i = digits; i-- > 0; n >>= 4)
        dst[i] = "0123456789abcdef"[n & 15];
    dst[digits] = '\r';
    dst[digits + 1] = '\n';
    return digits + 2;
}

struct gw_str dp_h1_encode_last_chunk(const struct dp_fields *trailers, struct gw_arena *a) {
    if (!trailers || trailers->len == 0) return GW_STR("0\r\n\r\n");
    char *begin = gw_arena_alloc(a, fields_bytes(trailers) + FIXED_BYTES_MAX), *at = begin;
    if (!begin) return (struct gw_str){NULL, 0};
    at = PUT(at, "0\r\n");
    at = put_fields(at, trailers);
    at = PUT(at, "\r\n");
    return (struct gw_str){begin, (size_t)(at - begin)};
}

const char *dp_h1_reason(int status) {
    static const char *const reasons[] = {
        [100] = "Continue",
        [101] = "Switching Protocols",
        [102] = "Processing",
        [103] = "Early Hints",
        [200] = "OK",
        [201] = "Created",
        [202] = "Accepted",
        [203] = "Non-Authoritative Information",
        [204] = "No Content",
        [205] = "Reset Content",
        [206] = "Partial Content",
        [300] = "Multiple Choices",
        [301] = "Moved Permanently",
        [302] = "Found",
        [303] = "See Other",
        [304] = "Not Modified",
        [307] = "Temporary Redirect",
        [308] = "Permanent Redirect",
        [400] = "Bad Request",
        [401] = "Unauthorized",
        [402] = "Payment Required",
        [403] = "Forbidden",
        [404] = "Not Found",
        [405] = "Method Not Allowed",
        [406] = "Not Acceptable",
        [407] = "Proxy Authentication Required",
        [408] = "Request Timeout",
        [409] = "Conflict",
        [410] = "Gone",
        [411] = "Length Required",
        [412] = "Precondition Failed",
        [413] = "Content Too Large",
        [414] = "URI Too Long",
        [415] = "Unsupported Media Type",
        [416] = "Range Not Satisfiable",
        [417] = "Expectation Failed",
        [421] = "Misdirected Request",
        [422] = "Unprocessable Content",
        [425] = "Too Early",
        [426] = "Upgrade Required",
        [428] = "Precondition Required",
        [429] = "Too Many Requests",
        [431] = "Request Header Fields Too Large",
        [499] = "Client Closed Request",
        [500] = "Internal Server Error",
        [501] = "Not Implemented",
        [502] = "Bad Gateway",
        [503] = "Service Unavailable",
        [504] = "Gateway Timeout",
        [505] = "HTTP Version Not Supported",
        [507] = "Insufficient Storage",
        [511] = "Network Authentication Required",
        [529] = "Site Is Overloaded",
    };
    bool is_known = status >= 0 && (size_t)status < GW_ARRAY_LEN(reasons) && reasons[status];
    return is_known ? reasons[status] : "";
}
