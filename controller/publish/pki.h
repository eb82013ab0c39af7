// SPDX-License-Identifier: Apache-2.0
// The push CA of a cluster: Secret tandem-push-ca (ca.crt, ca.key) in the controller's namespace,
// made where it is missing (of two replicas the API server lets one win), and ConfigMap tandem-ca
// with ca.crt for data planes. Both are watched: what was deleted comes back, what was edited in
// the ConfigMap is put right, and a CA that an operator puts into the Secret is taken. One thread
// (the loop's).
#ifndef CTL_PUBLISH_PKI_H
#define CTL_PUBLISH_PKI_H

#include "controller/kube/api.h"
#include "shared/tls.h"

#define CTL_PKI_SECRET "tandem-push-ca"
#define CTL_PKI_CONFIG_MAP "tandem-ca"

struct ctl_pki; // opaque
struct ctl_pki_opts {
    struct gw_loop *loop;
    struct ctl_kube_api api;
    const char *ns;           // copied
    const char *const *names; // of the server's certificate, NULL-terminated; copied
    // The CA that holds now, and a server context with a certificate of it; all borrowed.
    void (*on_ca)(void *arg, struct gw_tls_ctx *server, struct gw_str ca_cert,
                  const struct gw_secret *ca_key);
    void *arg;
};
struct ctl_pki *ctl_pki_new(const struct ctl_pki_opts *o); // begins at once
void ctl_pki_free(struct ctl_pki *p);
// Why the CA is not kept as it should be, until it is; NULL: it is, or nothing was tried yet.
const char *ctl_pki_problem(const struct ctl_pki *p);

// A server context with a new certificate of the CA, for names (NULL-terminated, repeats allowed).
struct gw_tls_ctx *ctl_pki_server(struct gw_str ca_cert, const struct gw_secret *ca_key,
                                  const char *const *names, struct gw_err *err);
// What replicas show each other: derived from the CA's key, which nobody else has.
struct gw_secret *ctl_pki_relay_token(const struct gw_secret *ca_key);
// Names of a push server that listens at host, with more (NULL-terminated, may be NULL), into a
// list of at most n with its NULL. Borrows; self is the machine's name.
void ctl_pki_names(const char *host, const char *self, const char *const *more, const char **ret,
                   size_t n);

#endif
