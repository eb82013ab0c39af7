// SPDX-License-Identifier: Apache-2.0
// Certificates, and which of them a listener may show.
#include "dataplane/conf/compile.h"

enum gw_rc dp_compile_tls(struct dp_compile *c, struct gw_str name, const json_t *body,
                          struct gw_err *err) {
    struct dp_cert *cert =
        dp_cert_intern(name, gw_json_str(body, "certificate"), gw_json_str(body, "key"), err);
    if (!cert) return err->rc;
    GW_VEC_PUSH(&c->owned->certs, cert);
    // The map has no const values; nothing is written through them.
    gw_map_put(&c->certs, name, (void *)(uintptr_t)dp_cert_tls(cert));
    return GW_OK;
}

void dp_compile_listener_tls(struct dp_compile *c, const json_t *body, struct dp_listener *l) {
    const json_t *list = gw_json_path(body, "tls.certificates");
    size_t n = json_array_size(list);
    const struct gw_tls_cert **certs = gw_arena_alloc(c->arena, (n + 1) * sizeof(*certs));
    for (size_t i = 0; i < n; i++) {
        certs[l->certs_n] = gw_map_get(&c->certs, gw_json_str_of(json_array_get(list, i)));
        if (certs[l->certs_n]) l->certs_n++;
    }
    l->certs = certs;
}
