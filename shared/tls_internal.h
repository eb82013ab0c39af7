// SPDX-License-Identifier: Apache-2.0
// What the files of the TLS module share: tls.c (contexts, handshakes), tls_io.c (bytes in and
// out), tls_server.c (servers of many names).
#ifndef GW_SHARED_TLS_INTERNAL_H
#define GW_SHARED_TLS_INTERNAL_H

#include "shared/tls.h"
#include "shared/tls_ticket.h"

#include <stdatomic.h>

struct gw_tls_ctx {
    atomic_uint refs;
    SSL_CTX *ssl_ctx;
    bool is_server;
    unsigned char alpn[256]; // wire format: length, name, ...
    unsigned alpn_len;
    // Of a server of many names.
    gw_tls_choose_fn choose;
    struct gw_tls_tickets *tickets;
};

struct gw_tls {
    SSL *ssl;
    struct gw_tls_ctx *ctx;
    int fd;
    int io_errno; // of the last send or recv that failed for good
    bool is_eof, is_open, is_broken;

    // tls_io.c: reading. Bytes of the kernel that wait for SSL within one call of gw_tls_fill.
    bool is_fed;
    const char *ahead;
    size_t ahead_len;
    size_t held; // given to SSL since it last gave a record out: at least what it keeps
    // Writing: records that are sealed and not sent.
    bool is_corked;
    char *unsent; // owned; NULL: none
    size_t unsent_at, unsent_len;

    // tls_server.c
    void *choose_arg;
    char *sni; // owned; NULL before the ClientHello, "" where it names nobody
    bool is_unserved;
};

const char *gw_tls_openssl_reason(void); // the last one in OpenSSL's queue, which is emptied
// A context with the module's settings and no certificate.
struct gw_tls_ctx *gw_tls_ctx_make(bool is_server, struct gw_err *err);
// alpn: names in order of preference, separated by ','.
enum gw_rc gw_tls_ctx_set_alpn(struct gw_tls_ctx *c, struct gw_str alpn, struct gw_err *err);
// The leaf and the chain of a PEM text; owned by caller, NULL and an empty stack on errors.
enum gw_rc gw_tls_read_chain(struct gw_str pem, X509 **ret_leaf, STACK_OF(X509) * *ret_chain,
                             struct gw_err *err);
enum gw_rc gw_tls_read_key(const struct gw_secret *pem, EVP_PKEY **ret, struct gw_err *err);
// Turns the outcome of an SSL_* call into the module's terms.
enum gw_rc gw_tls_outcome(struct gw_tls *t, int ssl_rc, const char *what, enum gw_tls_want *want,
                          struct gw_err *err);
BIO *gw_tls_bio_new(struct gw_tls *t);

#endif
