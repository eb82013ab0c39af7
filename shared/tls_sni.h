// SPDX-License-Identifier: Apache-2.0
// The server_name extension of a ClientHello (RFC 6066 3): what a client asks for before anybody
// has vouched for it, so every byte is checked.
#ifndef GW_SHARED_TLS_SNI_H
#define GW_SHARED_TLS_SNI_H

#include "shared/str.h"

#define GW_TLS_SNI_MAX 253 // a DNS name without its final dot

enum gw_tls_sni {
    GW_TLS_SNI_OK,
    GW_TLS_SNI_BAD_FRAME, // not the form of the extension: decode_error
    GW_TLS_SNI_BAD_NAME,  // an address, or no DNS name: unrecognized_name
};
// ext: the extension's data, whole. name[GW_TLS_SNI_MAX + 1] gets the name in lower case without a
// final dot, and a NUL; *ret_len its length. Both are untouched unless GW_TLS_SNI_OK.
enum gw_tls_sni gw_tls_sni_parse(struct gw_str ext, char *name, size_t *ret_len);

#endif
