// SPDX-License-Identifier: Apache-2.0
// The current snapshot, its versions, and the data planes that follow it: deltas out, ACK and NACK
// in. Feeds acknowledgements back into status. One thread (the controller's loop).
#ifndef CTL_PUBLISH_PUBLISH_H
#define CTL_PUBLISH_PUBLISH_H

#include "controller/kube/api.h"
#include "controller/translate/translate.h"
#include "shared/h2link.h"

struct ctl_publish; // opaque

// A cluster: the CA is in a Secret (pki.h), and who a data plane is, is asked of the API server
// (identity.h).
struct ctl_publish_cluster {
    struct ctl_kube_api api;
    const char *ns;       // of the controller
    const char *audience; // of data planes' tokens; NULL: the API server's own
};
// One of several replicas of the controller, with an API server.
struct ctl_publish_replica {
    const char *identity;  // of this one
    const char *advertise; // host that others reach it at, also a name of its certificate; ""
    // The holder of the Lease, which was told of our data planes, is gone.
    void (*on_holder_gone)(void *arg);
};

struct ctl_publish_opts {
    struct gw_loop *loop;
    const char *state_dir; // ca.crt, ca.key, token are made here when missing (0700/0600)
    const struct ctl_publish_cluster *cluster; // NULL: a folder; else state_dir is not used
                                               // (borrowed for the call)
    const struct ctl_publish_replica *replica; // NULL: the only one (borrowed for the call)
    unsigned recheck_ms; // between two looks at the token of who is connected; 0: none
    // Whether "ns/name" is a Gateway of ours; asked in a cluster alone, with arg.
    bool (*has_gateway)(void *arg, const char *gateway);
    const char *host;         // push address
    uint16_t port;            // 0: any free one
    const char *const *names; // more names for the server's certificate, NULL-terminated; or NULL
    // Called after a connection, acknowledgement or refusal changed what ctl_publish_programmed
    // says.
    void (*on_change)(void *arg);
    void *arg;
};
struct ctl_publish *ctl_publish_new(const struct ctl_publish_opts *o, struct gw_err *err);
void ctl_publish_free(struct ctl_publish *p);
uint16_t ctl_publish_port(const struct ctl_publish *p);
// Why data planes cannot come, or cannot trust the certificate that they are shown; NULL: nothing.
const char *ctl_publish_problem(const struct ctl_publish *p);

// Applies changes (from ctl_translate) to the current snapshot and pushes deltas to connected data
// planes. Until the first call, with no changes perhaps, they are told nothing. Counts
// push_resources_sent_total. Bodies are validated by gw_ir_validate; one that does not pass is an
// internal fault: the last good form is kept and logged.
void ctl_publish_apply(struct ctl_publish *p, const struct ctl_resource_change *changes, size_t n);

// --- replicas ------------------------------------------------------------------------------------
// At first neither. What other replicas say of their data planes is taken from now on, as if they
// were connected here.
void ctl_publish_lead(struct ctl_publish *p);
// Another replica does that, at "HOST:PORT" (copied; "": nobody knows where): it is told of our
// data planes from now on, and again after the link to it broke.
void ctl_publish_follow(struct ctl_publish *p, const char *address);

// What the data planes say of a set of resources (sorted names).
enum ctl_programmed {
    CTL_PROGRAMMED_NONE,    // no data plane has ever acknowledged the present form
    CTL_PROGRAMMED_PENDING, // some connected ones have not answered yet
    CTL_PROGRAMMED_YES, // all that were connected acknowledged this form; sticky over disconnects
    CTL_PROGRAMMED_REFUSED, // one refused a resource; ret_reason (borrowed) says why
};
enum ctl_programmed ctl_publish_programmed(const struct ctl_publish *p, char *const *names,
                                           size_t n, const char **ret_reason);
// Calls fn with each resource of which ctl_publish_programmed may say something else than at the
// last call (name borrowed for the call). true: of any, because data planes came or went; fn is not
// called then. One reader: it is told once.
bool ctl_publish_take_news(struct ctl_publish *p, void (*fn)(void *arg, struct gw_str name),
                           void *arg);
// Data planes that serve a Gateway ("ns/name"; NULL: any), and how many of them are at the newest
// version.
void ctl_publish_counts(const struct ctl_publish *p, const char *gateway, unsigned *ret_connected,
                        unsigned *ret_acked);

// The same, where acknowledged means: these resources, in their present form.
void ctl_publish_counts_of(const struct ctl_publish *p, const char *gateway, char *const *names,
                           size_t n, unsigned *ret_connected, unsigned *ret_acked);

// Addresses that the data planes of a Gateway ("ns/name") say they are reached at: a list of
// {"type": "IPAddress" or "Hostname", "value"}, without repeats. New reference.
json_t *ctl_publish_addresses(const struct ctl_publish *p, const char *gateway);

// For the admin port: {"version": ..., "resources": {...}, "dataPlanes": [...]}, secrets redacted.
json_t *ctl_publish_dump(const struct ctl_publish *p);

#endif
