// SPDX-License-Identifier: Apache-2.0
// Inside of the HTTP/1.1 codec: finding the lines of a head or trailer section, and parsing them.
// Used by h1_decode.c, by tests of it, and by the HTTP/2 codec, which keeps to the same rules.
#ifndef DP_CODEC_H1_HEAD_H
#define DP_CODEC_H1_HEAD_H

#include "dataplane/codec/h1.h"

// The start line and every field.
#define DP_H1_LINES_MAX (DP_H1_FIELDS_MAX + 1)

enum dp_h1_scan {
    DP_H1_SCAN_MORE, // no empty line yet
    DP_H1_SCAN_DONE, // .end
    DP_H1_SCAN_BARE_CR,
    DP_H1_SCAN_BARE_LF,
    DP_H1_SCAN_CONTROL,
    DP_H1_SCAN_LINES, // more than .max
};

// Where the lines end. at, line and n carry a scan on where it stopped.
struct dp_h1_lines {
    size_t at;   // searched so far
    size_t line; // begin of the line that `at` is in
    size_t end;  // one past the empty line
    unsigned n, max;
    uint16_t cr[DP_H1_LINES_MAX]; // of line i: offset of its CR
};
// Looks at every byte once: what passes has no control byte but tab and the CRLF of line ends.
enum dp_h1_scan dp_h1_scan(const char *p, size_t n, struct dp_h1_lines *l);

// What all parsers below take. The section lives in arena; results borrow from it.
struct dp_h1_section {
    const char *ptr;
    const struct dp_h1_lines *lines;
    struct gw_arena *arena;
    enum dp_h1_role role;
    bool may_upgrade; // an answer may be a 101
};

// Class and code of a refusal: a response's is always the upstream's fault.
static inline enum gw_rc dp_h1_rc(enum dp_h1_role role, int status) {
    if (role == DP_H1_RESPONSES) return GW_ERR_UPSTREAM;
    return status == 414 || status == 431 ? GW_ERR_LIMIT : GW_ERR_INPUT;
}
#define DP_H1_REFUSE(role, err, status, ...)                                                       \
    gw_err_set((err), dp_h1_rc((role), (status)), (role) == DP_H1_RESPONSES ? 502 : (status),      \
               __VA_ARGS__)

#define DP_H1_BIT(id) (UINT64_C(1) << (id))
// Fields that the decoder looks at itself.
#define DP_H1_MEANING                                                                              \
    (DP_H1_BIT(DP_F_HOST) | DP_H1_BIT(DP_F_CONTENT_LENGTH) | DP_H1_BIT(DP_F_TRANSFER_ENCODING) |   \
     DP_H1_BIT(DP_F_CONNECTION) | DP_H1_BIT(DP_F_UPGRADE) | DP_H1_BIT(DP_F_EXPECT))
// Hop-by-hop by themselves (RFC 9110 7.6.1, 11.7), whether Connection names them or not.
#define DP_H1_HOP_BY_HOP                                                                           \
    (DP_H1_BIT(DP_F_KEEP_ALIVE) | DP_H1_BIT(DP_F_PROXY_CONNECTION) | DP_H1_BIT(DP_F_TE) |          \
     DP_H1_BIT(DP_F_HTTP2_SETTINGS) | DP_H1_BIT(DP_F_PROXY_AUTHENTICATE) |                         \
     DP_H1_BIT(DP_F_PROXY_AUTHORIZATION))
// May not come in trailers (RFC 9110 6.5.1): framing, routing, credentials, meaning of the content.
#define DP_H1_NO_TRAILER                                                                           \
    (DP_H1_MEANING | DP_H1_HOP_BY_HOP | DP_H1_BIT(DP_F_AUTHORIZATION) |                            \
     DP_H1_BIT(DP_F_CONTENT_ENCODING) | DP_H1_BIT(DP_F_CONTENT_TYPE) | DP_H1_BIT(DP_F_TRAILER) |   \
     DP_H1_BIT(DP_F_RETRY_AFTER) | DP_H1_BIT(DP_F_ACCEPT_ENCODING) |                               \
     DP_H1_BIT(DP_F_X_FORWARDED_FOR) | DP_H1_BIT(DP_F_X_FORWARDED_HOST) |                          \
     DP_H1_BIT(DP_F_X_FORWARDED_PROTO) | DP_H1_BIT(DP_F_X_REQUEST_ID))

enum dp_method dp_h1_method_of(struct gw_str s);
// Any of the four forms (RFC 9112 3.2) into head, whose method is set: target, path, query; and
// authority and host where the target has them. ret_scheme_port as below.
enum gw_rc dp_h1_parse_target(struct gw_str target, struct gw_arena *arena, struct dp_head *head,
                              unsigned *ret_scheme_port, struct gw_err *err) GW_MUST_USE;
// The start line into head (method, target, path, query; authority and host where the target has
// them; or status and reason; minor_version). ret_scheme_port: 80 or 443 for an absolute target,
// else 0.
enum gw_rc dp_h1_parse_request_line(const struct dp_h1_section *s, struct dp_head *head,
                                    unsigned *ret_scheme_port, struct gw_err *err) GW_MUST_USE;
enum gw_rc dp_h1_parse_status_line(const struct dp_h1_section *s, struct dp_head *head,
                                   struct gw_err *err) GW_MUST_USE;
// A whole head; *ret lives in the arena. answers_head and status decide no_body.
enum gw_rc dp_h1_parse_head(const struct dp_h1_section *s, bool answers_head, struct dp_head **ret,
                            bool *ret_no_body, struct gw_err *err) GW_MUST_USE;
// *ret is NULL where no field may be passed on.
enum gw_rc dp_h1_parse_trailers(const struct dp_h1_section *s, struct dp_fields **ret,
                                struct gw_err *err) GW_MUST_USE;

#endif
