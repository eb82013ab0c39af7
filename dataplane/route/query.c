// SPDX-License-Identifier: Apache-2.0
// Compares encoded parameters with plain ones byte by byte, decoding on the way.
#include "dataplane/route/query.h"

static bool decoded_eq(struct gw_str encoded, struct gw_str plain) {
    size_t at = 0;
    for (size_t i = 0; i < plain.len; i++, at++) {
        if (at >= encoded.len) return false;
        char c = encoded.ptr[at];
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && encoded.len - at > 2) {
            int high = gw_hex_digit(encoded.ptr[at + 1]), low = gw_hex_digit(encoded.ptr[at + 2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                at += 2;
            }
        }
        if (c != plain.ptr[i]) return false;
    }
    return at == encoded.len;
}

bool dp_query_has(struct gw_str query, struct gw_str name, struct gw_str value) {
    while (query.len) {
        struct gw_str parameter_value = gw_str_cut(&query, '&');
        struct gw_str parameter_name = gw_str_cut(&parameter_value, '=');
        // An empty piece ("a&&b") is no parameter, "=b" is one without a name.
        if (parameter_name.len == 0 && parameter_value.ptr == NULL) continue;
        if (decoded_eq(parameter_name, name)) return decoded_eq(parameter_value, value);
    }
    return false;
}
