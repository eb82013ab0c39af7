// SPDX-License-Identifier: Apache-2.0
// The compiled, immutable configuration that workers use, and how it comes to be: resources are
// compiled off the workers into a new dp_conf, which is swapped in by each worker between two
// turns of its loop. Requests keep the one they were routed with.
#ifndef DP_CONF_CONF_H
#define DP_CONF_CONF_H

#include "dataplane/policy/policy.h"
#include "dataplane/route/route.h"
#include "dataplane/upstream/endpoint.h"
#include "shared/ir.h"
#include "shared/map.h"
#include "shared/metric.h"
#include "shared/provider.h"
#include "shared/secret.h"
#include "shared/tls.h"

#define DP_ADDR_INVALID_REASON_MAX 64

struct dp_endpoints {
    struct gw_str name;
    struct dp_endpoint **ptr;
    unsigned len; // 0: 503
};

struct dp_llm_key {
    struct gw_secret *value;
    unsigned weight;
};
struct dp_llm_alias {
    struct gw_str from, to;
};
struct dp_llm_timeouts {
    int64_t connect_ms, first_token_ms, idle_ms, request_ms; // -1: not given; 0: none
};
struct dp_llm_dialect; // llm/dialect.h

struct dp_backend_llm {
    const struct gw_provider *provider;
    const struct dp_llm_dialect *dialect;
    struct dp_endpoint *endpoint;
    struct gw_str authority; // of base URL, for Host
    struct gw_str base_path; // "/v1", no trailing slash
    struct gw_str model_default;
    struct gw_str *allow; // globs
    unsigned allow_n;
    bool allow_given;
    struct dp_llm_alias *aliases;
    unsigned aliases_n;
    struct dp_llm_key *keys;
    unsigned keys_n;
    bool passthrough;
    struct dp_llm_timeouts timeouts;
};

// What its endpoints speak. A WebSocket ("ws") begins as HTTP/1.1.
enum dp_protocol { DP_PROTOCOL_HTTP1, DP_PROTOCOL_H2C };

struct dp_backend {
    struct gw_str name;                   // "backend/service/default/web/80"
    struct gw_str label;                  // "default/web:80", for logs and metrics
    const struct dp_endpoints *endpoints; // services
    const struct dp_backend_llm *llm;     // or this
    enum dp_protocol protocol;
};

#define DP_RULE_BACKENDS_MAX 64

// Who gets a copy of numerator of denominator requests.
struct dp_mirror_to {
    const struct dp_backend *backend; // of a Service
    uint32_t numerator, denominator;
};
// The filters of a rule or of one of its backends.
struct dp_filters {
    const struct dp_policy *ptr; // those that answer preflights, then the others as they were given
    unsigned len;
    const struct dp_mirror_to *mirrors; // what cannot be resolved is not among them
    unsigned mirrors_n;
};

// A rule's backendRef; backend NULL: invalid, answers 500 for its share.
struct dp_rule_backend {
    const struct dp_backend *backend;
    struct gw_str invalid; // reason
    unsigned weight;
    struct dp_filters filters;
};

// What a worker needs to know of a rule that is not const: smooth weighted round robin.
struct dp_rule_turns {
    int64_t *current; // one per backend
};

// tandem_requests_total by status class (index status/100; 0: no status was sent) and the latency
// histogram; registered once, so that the hot path only adds.
struct dp_rule_series {
    gw_metric_id requests[6];
    gw_metric_id latency;
};

struct dp_rule {
    struct gw_str name;  // "rule/default/web/0"
    struct gw_str route; // "default/web"
    unsigned index;
    struct dp_filters filters;
    bool answers_preflights;        // one of its filters or of its backends' does
    int64_t request_ms, backend_ms; // HTTPRouteTimeouts; -1: not given; 0: none
    const struct dp_rule_match *matches;
    unsigned matches_n;
    const struct dp_rule_backend *backends;
    unsigned backends_n;
    uint64_t weight_sum;
    bool is_llm;
    struct dp_rule_turns *turns; // one per worker
    struct dp_rule_series series;
};

// What a router finds: one match of a rule.
struct dp_rule_match {
    const struct dp_rule *rule;
    unsigned index; // in the rule
    struct dp_match match;
};

struct dp_listener {
    struct gw_str name;     // "listener/default/edge/http"
    struct gw_str gateway;  // "default/edge"
    struct gw_str section;  // "http"
    struct gw_str hostname; // "": any
    uint16_t port;          // as the Gateway names it
    bool is_tls;            // HTTPS
    // What may be shown to its clients; none: every handshake is refused.
    const struct gw_tls_cert *const *certs;
    unsigned certs_n;
    struct dp_router *router; // targets are const struct dp_rule_match *
    gw_metric_id requests_unrouted;
};
struct dp_port {
    uint16_t port;
    bool is_tls; // of all its listeners
    const struct dp_listener *const *listeners;
    unsigned len;
};

struct dp_conf {
    atomic_uint refs;
    char version[GW_IR_VERSION_CHARS + 1];
    struct dp_port *ports; // sorted by port
    unsigned ports_n;
    unsigned rules_n, backends_n;
    struct gw_arena arena;
    void *owned; // lists of what must be released with it (endpoints, secrets, routers):
                 // conf/compile.c
};
struct dp_conf *dp_conf_ref(struct dp_conf *c);
void dp_conf_unref(struct dp_conf *c); // any thread
// Best listener of a port for a host (dp_hostname_fit); NULL: none.
const struct dp_listener *dp_conf_listener(const struct dp_port *p, struct gw_str host);
// certs.c: what the listener of a port that serves name (lower case, "" none given) shows: of each
// type of key the certificate that covers the name best, or the first where none does. NULL:
// nobody serves this name, or without a certificate. Scope: the listener.
const struct dp_listener *dp_conf_certs(const struct dp_port *p, struct gw_str name,
                                        struct gw_tls_choice *ret);
const struct dp_port *dp_conf_port(const struct dp_conf *c, uint16_t port);

// --- compile: pure but for interning endpoints and registering metrics -------------------------

struct dp_conf_refusal {
    char *resource, *reason; // owned
};
// One resource: borrowed; its body was validated by gw_ir_validate.
struct dp_resource {
    struct gw_str name;
    const json_t *body;
};
// resources: n, in any order, each name once. One that cannot be compiled is listed in refusals and
// left out (a rule whose backend is left out answers 500 for its share); the rest is compiled.
// Never fails as a whole.
struct dp_conf_refusals {
    struct dp_conf_refusal *ptr;
    size_t len, cap;
    bool is_trial; // for apply: where something is refused, the workers keep what they have
};
struct dp_conf *dp_conf_compile(const struct dp_resource *resources, size_t n, const char *version,
                                unsigned workers, struct dp_conf_refusals *refusals);
void dp_conf_refusals_fini(struct dp_conf_refusals *r);

// --- client: receives snapshots on a thread of its own ------------------------------------------

struct dp_conf_client; // opaque
struct dp_conf_client_opts {
    const char *controller_host; // NULL: state folder only
    uint16_t controller_port;
    const char *ca_file;                  // push CA
    const char *token_file;               // read for each dial
    const char *node, *gateway, *address; // of the hello message; gateway "": all
    const char *state_dir;                // snapshot.json, the last good snapshot; NULL: not kept
    unsigned workers;
    // Called on the client's thread with a new config (takes the reference). Must bring it to every
    // worker, open and close listening sockets, and return when all have swapped. Resources that
    // failed on the way (a port in use) are added to refusals; in a trial nothing is swapped then.
    void (*apply)(void *arg, struct dp_conf *conf, struct dp_conf_refusals *refusals);
    void *arg;
};
// Loads the last good snapshot first and applies it before it returns, where there is one.
struct dp_conf_client *dp_conf_client_start(const struct dp_conf_client_opts *o,
                                            struct gw_err *err);
void dp_conf_client_stop(struct dp_conf_client *c);           // joins
bool dp_conf_client_is_ready(const struct dp_conf_client *c); // a complete snapshot is applied
// Of the snapshot that serves, "" where there is none. version[GW_IR_VERSION_CHARS + 1]; any
// thread.
void dp_conf_client_version(struct dp_conf_client *c, char *version);
// For /config: {"version", "connected", "ready", "resources": {name: body}, "refused": {name:
// reason}}: the forms that serve, with secrets redacted. Any thread.
json_t *dp_conf_client_dump(struct dp_conf_client *c);

#endif
