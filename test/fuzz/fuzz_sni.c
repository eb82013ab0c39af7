// SPDX-License-Identifier: Apache-2.0
// The server_name extension on any bytes: what is taken is a name that DNS could have, and is taken
// the same when it is asked for again.
#include "shared/tls_sni.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct gw_str name) {
    GW_ASSERT(name.len > 0 && name.len <= GW_TLS_SNI_MAX);
    GW_ASSERT(name.ptr[0] != '.' && name.ptr[name.len - 1] != '.');
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        GW_ASSERT((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  (c == '.' && name.ptr[i + 1] != '.'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char name[GW_TLS_SNI_MAX + 1], again[GW_TLS_SNI_MAX + 1];
    char ext[GW_TLS_SNI_MAX + 5];
    size_t len = 0, again_len = 0;
    if (gw_tls_sni_parse((struct gw_str){(const char *)data, size}, name, &len) != GW_TLS_SNI_OK)
        return 0;
    GW_ASSERT(name[len] == 0);
    check((struct gw_str){name, len});
    const char head[] = {(char)((len + 3) >> 8), (char)(len + 3), 0, (char)(len >> 8), (char)len};
    memcpy(ext, head, sizeof(head));
    memcpy(ext + sizeof(head), name, len);
    struct gw_str same = {ext, sizeof(head) + len};
    GW_ASSERT(gw_tls_sni_parse(same, again, &again_len) == GW_TLS_SNI_OK);
    GW_ASSERT(again_len == len && memcmp(name, again, len) == 0);
    return 0;
}
