// SPDX-License-Identifier: Apache-2.0
// What the files of the compiler share. Everything lives in the config's arena, except what is on
// the lists of struct dp_conf_owned.
#ifndef DP_CONF_COMPILE_H
#define DP_CONF_COMPILE_H

#include "dataplane/conf/conf.h"
#include "shared/vec.h"

// Released with the config.
struct dp_conf_owned {
    GW_VEC(struct dp_endpoint *) endpoints;
    GW_VEC(struct gw_secret *) secrets;
    GW_VEC(struct dp_router *) routers;
    GW_VEC(struct dp_cert *) certs;
};

// A listener while rules are added to it.
struct dp_listener_build {
    struct dp_listener *listener; // in the arena
    uint16_t port;
    struct dp_router_builder *router;
};

struct dp_compile {
    struct dp_conf *conf;
    struct gw_arena *arena; // the config's
    struct dp_conf_owned *owned;
    struct dp_conf_refusals *refusals;
    unsigned workers;
    // By resource name: what could be compiled.
    struct gw_map secrets;   // struct gw_secret *, owned by the config
    struct gw_map endpoints; // struct dp_endpoints *
    struct gw_map backends;  // struct dp_backend *
    struct gw_map listeners; // struct dp_listener_build *
    struct gw_map certs;     // const struct gw_tls_cert *
};

typedef enum gw_rc (*dp_compile_fn)(struct dp_compile *c, struct gw_str name, const json_t *body,
                                    struct gw_err *err);

enum gw_rc dp_compile_secret(struct dp_compile *c, struct gw_str name, const json_t *body,
                             struct gw_err *err);
enum gw_rc dp_compile_endpoints(struct dp_compile *c, struct gw_str name, const json_t *body,
                                struct gw_err *err);
enum gw_rc dp_compile_backend(struct dp_compile *c, struct gw_str name, const json_t *body,
                              struct gw_err *err);
enum gw_rc dp_compile_listener(struct dp_compile *c, struct gw_str name, const json_t *body,
                               struct gw_err *err);

enum gw_rc dp_compile_tls(struct dp_compile *c, struct gw_str name, const json_t *body,
                          struct gw_err *err);
// Certificates that were refused are left out: their neighbours are unharmed.
void dp_compile_listener_tls(struct dp_compile *c, const json_t *body, struct dp_listener *l);

// certs.c: one object for equal bodies of a name, across configs, so that what did not change is
// not parsed again. Any thread.
struct dp_cert; // opaque, counted
struct dp_cert *dp_cert_intern(struct gw_str name, struct gw_str chain_pem, struct gw_str key_pem,
                               struct gw_err *err);
void dp_cert_unref(struct dp_cert *c);
const struct gw_tls_cert *dp_cert_tls(const struct dp_cert *c);

// A rule that is compiled, and what it takes to put rules in order and into routers.
struct dp_rule_build {
    struct dp_rule *rule;
    struct gw_str age; // borrowed from body
    const json_t *body;
};
enum gw_rc dp_compile_rule(struct dp_compile *c, struct gw_str name, const json_t *body,
                           struct dp_rule_build *ret, struct gw_err *err);
// Adds the rule to the routers of the listeners that it names, as far as they are there.
void dp_compile_attach(struct dp_compile *c, const struct dp_rule_build *b);

void dp_conf_refuse(struct dp_conf_refusals *r, struct gw_str resource, const char *reason);

#endif
