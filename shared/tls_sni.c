// SPDX-License-Identifier: Apache-2.0
// See tls_sni.h. One name of type host_name is what the extension can hold; no other type exists.
#include "shared/tls_sni.h"

#define LABEL_BYTES_MAX 63
#define TYPE_HOST_NAME 0
#define FRAME_BYTES 5 // length of the list, type, length of the name

static unsigned u16(const char *p) {
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Letters, digits, '-' and '_': what hosts are called in practice (RFC 1123 2.1, and '_').
static bool is_label_byte(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

// Labels of 1 to 63 bytes; a last label of digits alone would be an IPv4 address.
static bool is_dns_name(struct gw_str s) {
    size_t label = 0;
    bool has_digits_only = true;
    if (s.len == 0 || s.len > GW_TLS_SNI_MAX) return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.') {
            if (label == 0) return false;
            label = 0;
            has_digits_only = true;
            continue;
        }
        if (!is_label_byte(s.ptr[i]) || ++label > LABEL_BYTES_MAX) return false;
        has_digits_only = has_digits_only && is_digit(s.ptr[i]);
    }
    return label > 0 && !has_digits_only;
}

enum gw_tls_sni gw_tls_sni_parse(struct gw_str ext, char *name, size_t *ret_len) {
    if (ext.len <= FRAME_BYTES || u16(ext.ptr) != ext.len - 2 || ext.ptr[2] != TYPE_HOST_NAME ||
        u16(ext.ptr + 3) != ext.len - FRAME_BYTES)
        return GW_TLS_SNI_BAD_FRAME;
    struct gw_str host = {ext.ptr + FRAME_BYTES, ext.len - FRAME_BYTES};
    if (host.ptr[host.len - 1] == '.') host.len--;
    if (!is_dns_name(host)) return GW_TLS_SNI_BAD_NAME;
    memcpy(name, host.ptr, host.len);
    gw_str_lower(name, host.len);
    name[host.len] = 0;
    *ret_len = host.len;
    return GW_TLS_SNI_OK;
}
