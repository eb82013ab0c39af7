// SPDX-License-Identifier: Apache-2.0
// OpenSSL contexts, handshakes and verification in one place: TLS 1.2 and 1.3 only, no
// compression, no renegotiation. Verification of name and chain is on unless a caller that owns
// both ends says otherwise. Never on a fiber.
#ifndef GW_SHARED_TLS_H
#define GW_SHARED_TLS_H

#include "shared/secret.h"

#include <openssl/ssl.h>

struct gw_tls_ctx; // opaque, reference-counted atomically, shareable between threads
struct gw_tls;     // opaque: one connection

// PEM text. Server: certificate chain and key are checked against each other.
struct gw_tls_ctx *gw_tls_server_ctx(struct gw_str cert_pem, const struct gw_secret *key_pem,
                                     struct gw_str alpn, struct gw_err *err);
// ca_pem empty: the system's trust store. alpn: one protocol ("h2", "http/1.1") or empty.
struct gw_tls_ctx *gw_tls_client_ctx(struct gw_str ca_pem, struct gw_str alpn, struct gw_err *err);
struct gw_tls_ctx *gw_tls_ctx_ref(struct gw_tls_ctx *c);
void gw_tls_ctx_unref(struct gw_tls_ctx *c);

// fd must be non-blocking and stays the caller's. host: SNI and the name that the peer's
// certificate must carry (an IP address is verified as an address); NULL on a server.
struct gw_tls *gw_tls_new(struct gw_tls_ctx *c, int fd, const char *host, struct gw_err *err);
void gw_tls_free(struct gw_tls *t);

// What the caller must wait for after GW_AGAIN.
enum gw_tls_want { GW_TLS_WANT_NONE, GW_TLS_WANT_READ, GW_TLS_WANT_WRITE };
// GW_OK when the handshake is done; GW_AGAIN with *want; GW_ERR_UPSTREAM (client) or GW_ERR_INPUT
// (server) with the verification's reason in the text.
enum gw_rc gw_tls_handshake(struct gw_tls *t, enum gw_tls_want *want, struct gw_err *err);
// > 0 bytes moved with GW_OK; GW_AGAIN with *want; GW_EOF after close_notify (a bare TCP end is
// GW_ERR_UPSTREAM: a cut).
enum gw_rc gw_tls_read(struct gw_tls *t, void *p, size_t n, size_t *ret_n, enum gw_tls_want *want,
                       struct gw_err *err);
enum gw_rc gw_tls_write(struct gw_tls *t, const void *p, size_t n, size_t *ret_n,
                        enum gw_tls_want *want, struct gw_err *err);
void gw_tls_shutdown(struct gw_tls *t); // best effort close_notify
bool gw_tls_alpn_is(const struct gw_tls *t, struct gw_str proto);

// A new P-256 CA, and a server certificate for names (NULL-terminated DNS names or IP addresses)
// signed by it; PEM in *ret_ (keys in secrets). days of validity.
enum gw_rc gw_tls_make_ca(const char *common_name, int days, struct gw_text *ret_cert,
                          struct gw_secret **ret_key, struct gw_err *err);
enum gw_rc gw_tls_make_cert(struct gw_str ca_cert, const struct gw_secret *ca_key,
                            const char *const *names, int days, struct gw_text *ret_cert,
                            struct gw_secret **ret_key, struct gw_err *err);

#endif
