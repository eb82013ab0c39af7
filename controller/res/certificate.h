// SPDX-License-Identifier: Apache-2.0
// The certificate and key of a Secret, checked together before anything of them is pushed: a data
// plane never meets a pair that its TLS library refuses. Pure: no clock, so whether a certificate
// is still valid is the reader's question; until when it is, is told.
#ifndef CTL_RES_CERTIFICATE_H
#define CTL_RES_CERTIFICATE_H

#include "shared/json.h"

#define CTL_CERTIFICATE_NAMES_MAX 100 // host names of one certificate; more are not looked at

// Normal forms: PEM without comments, of the first certificate and the rest of its chain in their
// order, and of the key (PKCS #8).
struct ctl_certificate {
    char *chain, *key;
    char **names;       // DNS names (and IP addresses) of the leaf, lower case, sorted, each once
    size_t names_n;     //
    char not_after[32]; // RFC 3339 UTC; empty where it cannot be told
};
// secret: a checked and settled object of kind Secret; of data "tls.crt" and "tls.key" are read,
// whatever its type. GW_ERR_INPUT with a text that begins with the key at fault and never shows a
// value: "tls.key: does not belong to the certificate in tls.crt".
enum gw_rc ctl_certificate_read(const json_t *secret, struct ctl_certificate *ret,
                                struct gw_err *err) GW_MUST_USE;
void ctl_certificate_fini(struct ctl_certificate *c); // the key is wiped

// Whether a name of the certificate is good for a listener's host: a wildcard stands for exactly
// one label (RFC 9525 section 6.3), and covers the same wildcard.
bool ctl_certificate_covers(const struct ctl_certificate *c, struct gw_str hostname);

#endif
