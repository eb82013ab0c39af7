// SPDX-License-Identifier: Apache-2.0
// OpenSSL contexts, handshakes and verification in one place: TLS 1.2 and 1.3 only, no
// compression, no renegotiation. Verification of name and chain is on unless a caller that owns
// both ends says otherwise. Never on a fiber.
#ifndef GW_SHARED_TLS_H
#define GW_SHARED_TLS_H

#include "shared/secret.h"

#include <openssl/ssl.h>
#include <sys/uio.h>

struct gw_tls_ctx; // opaque, reference-counted atomically, shareable between threads
struct gw_tls;     // opaque: one connection

// PEM text. Server: certificate chain and key are checked against each other.
struct gw_tls_ctx *gw_tls_server_ctx(struct gw_str cert_pem, const struct gw_secret *key_pem,
                                     struct gw_str alpn, struct gw_err *err);
// alpn, here and below: names in order of preference, separated by ',' ("h2,http/1.1"), or empty.
// A client of a server that has none of its names in common is refused (no_application_protocol).
// ca_pem empty: the system's trust store.
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

#define GW_TLS_RECORD_BYTES 16384 // the most text that a record has (RFC 8446 5.1)
#define GW_TLS_BATCH_BYTES (4 * GW_TLS_RECORD_BYTES)

// As gw_tls_read, but one call is one recv, and gives out all that this completes. Where n is at
// least GW_TLS_RECORD_BYTES, nothing that is complete stays inside, so that a level-triggered loop
// misses nothing.
enum gw_rc gw_tls_fill(struct gw_tls *t, void *p, size_t n, size_t *ret_n, enum gw_tls_want *want,
                       struct gw_err *err);
// Seals up to GW_TLS_BATCH_BYTES and offers the records to the kernel in one call. *ret_taken, set
// in any case, need not be given again: what the kernel did not take is kept in t, and GW_AGAIN
// asks for another call when the socket is writable (n may be 0 then). GW_OK: all that was taken
// is sent.
enum gw_rc gw_tls_writev(struct gw_tls *t, const struct iovec *iov, int n, size_t *ret_taken,
                         enum gw_tls_want *want, struct gw_err *err);
size_t gw_tls_unsent(const struct gw_tls *t); // bytes kept by gw_tls_writev
void gw_tls_shutdown(struct gw_tls *t);       // best effort close_notify
bool gw_tls_alpn_is(const struct gw_tls *t, struct gw_str proto);

// --- servers of many names (tls_server.c) --------------------------------------------------------

enum gw_tls_key_type { GW_TLS_KEY_EC, GW_TLS_KEY_RSA, GW_TLS_KEY_OTHER, GW_TLS_KEY_TYPES };

struct gw_tls_cert; // opaque, immutable: a chain and its key. Any thread
// PEM texts. Refused: what cannot be read, a key of another certificate, and what is too weak to
// be used (RSA below 2048 bits).
struct gw_tls_cert *gw_tls_cert_new(struct gw_str chain_pem, const struct gw_secret *key_pem,
                                    struct gw_err *err);
void gw_tls_cert_free(struct gw_tls_cert *c); // connections that use it go on
enum gw_tls_key_type gw_tls_cert_key_type(const struct gw_tls_cert *c);
// Whether its subject alternative names cover a host (lower case): 2 exactly, 1 by a wildcard,
// which stands for one label (RFC 6125 6.4.3), 0 no.
unsigned gw_tls_cert_fit(const struct gw_tls_cert *c, struct gw_str host);

// What a server shows to a client that asks for a name.
struct gw_tls_choice {
    const struct gw_tls_cert *certs[GW_TLS_KEY_TYPES]; // one of a type at most; NULL: none
    struct gw_str scope; // borrowed during the call: sessions are resumed within it alone
};
// name: lower case without a final dot; "" where the client names none. False: this name is not
// served; the handshake ends with the alert unrecognized_name. Called within gw_tls_handshake.
typedef bool (*gw_tls_choose_fn)(void *arg, struct gw_str name, struct gw_tls_choice *ret);
// A server context that asks choose in each handshake. Sessions are resumed by tickets alone, with
// the context's own keys; the scope and the name must be those of the first handshake.
struct gw_tls_ctx *gw_tls_names_ctx(gw_tls_choose_fn choose, struct gw_str alpn,
                                    struct gw_err *err);
// As gw_tls_new; arg is what choose gets, borrowed until the handshake is over.
struct gw_tls *gw_tls_accept(struct gw_tls_ctx *c, int fd, void *arg, struct gw_err *err);
struct gw_str gw_tls_server_name(const struct gw_tls *t); // what choose was asked; borrows from t
bool gw_tls_is_unserved(const struct gw_tls *t);          // choose said no, or the name is none
bool gw_tls_is_resumed(const struct gw_tls *t);

// --- making certificates (tls_make.c) ------------------------------------------------------------

// Whether a certificate can be made for it: a DNS name, with '*' perhaps at its beginning.
enum gw_rc gw_tls_check_name(const char *name, struct gw_err *err);
// A new P-256 CA, and a server certificate for names (NULL-terminated DNS names or IP addresses)
// signed by it; PEM in *ret_ (keys in secrets). days of validity.
enum gw_rc gw_tls_make_ca(const char *common_name, int days, struct gw_text *ret_cert,
                          struct gw_secret **ret_key, struct gw_err *err);
enum gw_rc gw_tls_make_cert(struct gw_str ca_cert, const struct gw_secret *ca_key,
                            const char *const *names, int days, struct gw_text *ret_cert,
                            struct gw_secret **ret_key, struct gw_err *err);

#endif
