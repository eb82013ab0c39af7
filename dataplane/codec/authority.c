// SPDX-License-Identifier: Apache-2.0
// Splits and checks host[:port].
#include "dataplane/codec/authority.h"
#include "dataplane/codec/chars.h"

#include <arpa/inet.h>

static const char *parse_port(struct gw_str s, unsigned *ret) {
    if (s.len == 0) return "the port is empty";
    uint64_t port;
    if (s.len > 5 || gw_str_to_u64(s, 65535, &port) != GW_OK || port == 0) {
        return "the port is not in 1..65535";
    }
    *ret = (unsigned)port;
    return NULL;
}

static bool is_ipv6(struct gw_str s) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    if (s.len == 0 || s.len >= sizeof(text)) return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    // A NUL in the middle would hide the rest.
    return strlen(text) == s.len && inet_pton(AF_INET6, text, &addr) == 1;
}

// Takes the host off the front of text; what is left is empty or begins with what follows it.
static const char *cut_bracketed(struct gw_str *text, struct gw_str *ret_host) {
    ptrdiff_t close = gw_str_find(*text, ']');
    if (close < 0) return "the bracket of an IPv6 address is not closed";
    *ret_host = (struct gw_str){text->ptr + 1, (size_t)close - 1};
    if (!is_ipv6(*ret_host)) return "what stands in brackets is no IPv6 address";
    *text = (struct gw_str){text->ptr + close + 1, text->len - (size_t)close - 1};
    return NULL;
}

static const char *cut_name(struct gw_str *text, struct gw_str *ret_host, bool *ret_has_upper) {
    static const char empty_label[] = "the host has an empty label";
    const char *p = text->ptr;
    size_t n = 0;
    unsigned upper = 0;
    for (char before = '.'; n < text->len && dp_char_is(p[n], DP_CH_HOST); before = p[n++]) {
        if (p[n] == '.' && before == '.') return empty_label;
        upper |= p[n] >= 'A' && p[n] <= 'Z';
    }
    if (n == 0) return *p == ':' ? "the host is empty" : "the host has a bad byte";
    if (n > DP_HOST_BYTES_MAX) return "the host is too long";
    *ret_host = (struct gw_str){p, p[n - 1] == '.' ? n - 1 : n};
    *ret_has_upper = upper;
    *text = (struct gw_str){p + n, text->len - n};
    return NULL;
}

const char *dp_authority_parse(struct gw_str text, struct gw_arena *arena,
                               struct dp_authority *ret) {
    if (text.len == 0) return "it is empty";
    struct gw_str host = {NULL, 0};
    unsigned port = 0;
    bool has_upper = true; // not looked for in an address
    const char *wrong =
        *text.ptr == '[' ? cut_bracketed(&text, &host) : cut_name(&text, &host, &has_upper);
    if (wrong) return wrong;
    if (text.len) {
        if (*text.ptr == '@') return "it has user information";
        if (*text.ptr != ':') return "the host has a bad byte";
        wrong = parse_port((struct gw_str){text.ptr + 1, text.len - 1}, &port);
        if (wrong) return wrong;
    }
    if (has_upper) {
        char *lower = gw_arena_alloc(arena, host.len);
        if (!lower) return "it does not fit the memory of a request";
        memcpy(lower, host.ptr, host.len);
        gw_str_lower(lower, host.len);
        host.ptr = lower;
    }
    *ret = (struct dp_authority){host, port};
    return NULL;
}
