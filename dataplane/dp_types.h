// SPDX-License-Identifier: Apache-2.0
// What really is common in the data plane: heads, fields, events. After decode everything speaks
// struct dp_ev; protocols differ only in codec/.
#ifndef DP_TYPES_H
#define DP_TYPES_H

#include "shared/arena.h"
#include "shared/err.h"
#include "shared/str.h"

// Names that the data plane looks at itself. DP_F_OTHER: any other.
enum dp_field_id {
    DP_F_OTHER,
    DP_F_ACCEPT_ENCODING,
    DP_F_AUTHORIZATION,
    DP_F_CONNECTION,
    DP_F_CONTENT_ENCODING,
    DP_F_CONTENT_LENGTH,
    DP_F_CONTENT_TYPE,
    DP_F_DATE,
    DP_F_EXPECT,
    DP_F_HOST,
    DP_F_HTTP2_SETTINGS,
    DP_F_KEEP_ALIVE,
    DP_F_PROXY_AUTHENTICATE,
    DP_F_PROXY_AUTHORIZATION,
    DP_F_PROXY_CONNECTION,
    DP_F_RETRY_AFTER,
    DP_F_TE,
    DP_F_TRAILER,
    DP_F_TRANSFER_ENCODING,
    DP_F_UPGRADE,
    DP_F_USER_AGENT,
    DP_F_VIA,
    DP_F_X_FORWARDED_FOR,
    DP_F_X_FORWARDED_HOST,
    DP_F_X_FORWARDED_PROTO,
    DP_F_X_REQUEST_ID,
    DP_F_COUNT,
};
// By name, case-insensitively; a switch on length and one compare.
enum dp_field_id dp_field_id_of(struct gw_str name);

// One header field; name in the sender's spelling, value without surrounding blanks.
struct dp_field {
    struct gw_str name, value;
    enum dp_field_id id;
};
struct dp_fields {
    struct dp_field *ptr; // lives in the message's arena
    unsigned len, cap;
};
// First field of that id or name; NULL: absent.
struct dp_field *dp_fields_find(const struct dp_fields *f, enum dp_field_id id);
struct dp_field *dp_fields_find_name(const struct dp_fields *f, struct gw_str name);
// Appends; name and value are borrowed. GW_ERR_LIMIT where the arena's cap is reached.
enum gw_rc dp_fields_add(struct dp_fields *f, struct gw_arena *a, struct gw_str name,
                         struct gw_str value) GW_MUST_USE;
// Removes every field of that name (case-insensitive); returns how many.
unsigned dp_fields_remove(struct dp_fields *f, struct gw_str name);
unsigned dp_fields_remove_id(struct dp_fields *f, enum dp_field_id id);

enum dp_method {
    DP_METHOD_OTHER,
    DP_METHOD_GET,
    DP_METHOD_HEAD,
    DP_METHOD_POST,
    DP_METHOD_PUT,
    DP_METHOD_DELETE,
    DP_METHOD_OPTIONS,
    DP_METHOD_PATCH,
    DP_METHOD_TRACE,
    DP_METHOD_CONNECT,
};

// A request's or response's head. All strings live in the message's arena. fields holds end-to-end
// fields only: hop-by-hop ones (and those that Connection names) were taken out by the decoder, and
// so were Host (see host, authority), Content-Length and Transfer-Encoding (see below).
struct dp_head {
    // request
    enum dp_method method;
    struct gw_str method_text;
    struct gw_str target;    // origin-form as received, "/a?b=1"; "*" for OPTIONS *
    struct gw_str path;      // target up to '?', as received
    struct gw_str query;     // after '?', without it; ptr NULL where there is none
    struct gw_str authority; // "host:port" as received (from Host or an absolute target)
    struct gw_str host;      // lower case, no port; IPv6 without brackets
    bool expect_continue;
    bool te_trailers; // HTTP/2: the sender asked for trailers (gRPC does)
    // response
    int status;
    struct gw_str reason;
    // both
    unsigned minor_version; // HTTP/1.x
    struct dp_fields fields;
    // Framing of the body that follows: chunked, or a length, or (responses) until the connection
    // closes. content_length is also set on answers to HEAD and 304, where no body follows.
    bool chunked;
    bool until_close;
    int64_t content_length; // -1: none given
    bool keep_alive;        // the connection persists after this message, as far as its sender goes
    // A request that asks for a WebSocket (RFC 6455 4.1), the answer (101) that grants it. Upgrade
    // to anything else is dropped by the decoder.
    bool upgrade;
};

enum dp_ev_type {
    DP_EV_HEAD,     // .head; once, first (interim answers come before it, as DP_EV_INTERIM)
    DP_EV_INTERIM,  // .head of a 1xx answer other than 101
    DP_EV_DATA,     // .data borrows from the input
    DP_EV_TRAILERS, // .trailers, at most once, before END
    DP_EV_END,      // once, last
};
struct dp_ev {
    enum dp_ev_type type;
    struct dp_head *head; // lives in the message's arena
    struct gw_str data;
    struct dp_fields *trailers; // lives in the message's arena
};

#endif
