// SPDX-License-Identifier: Apache-2.0
// What the files of translate share. Only for controller/translate/.
//
// Every object that yields something is a node: it remembers what it referred to (also what was not
// there), which resources it holds, and its last report. A changed object marks the nodes that
// referred to it; a run translates the marked ones in the order
//     classes > certificates > Gateways > LLMBackends > routes > ports of Services
//         > what those touched
// so that each sees the newest state of what it builds on.
#ifndef CTL_TRANSLATE_TR_H
#define CTL_TRANSLATE_TR_H

#include "controller/res/certificate.h"
#include "controller/translate/translate.h"
#include "shared/ir.h"
#include "shared/provider.h"
#include "shared/vec.h"

#define TR_GROUP "gateway.networking.k8s.io"
#define TR_LLM_GROUP "kgateway.dev"

// --- nodes -------------------------------------------------------------------------------------

enum tr_type { TR_TLS, TR_GATEWAY, TR_LLM, TR_ROUTE, TR_PORT, TR_TYPE_COUNT };

struct tr_target; // graph.c: one name that nodes refer to

// Resources that a node holds.
struct tr_names {
    char **ptr;
    size_t len, cap;
};

struct tr_node {
    enum tr_type type;
    char *ns, *name; // of the object; of the Service for TR_PORT
    bool dirty;      // is to be translated in this run
    bool touched;    // its report or what it holds is to be looked at, at the end of this run
    bool gone;       // its object was deleted: freed at the end of this run
    struct {
        struct tr_target **ptr;
        size_t len, cap;
    } targets;
    struct tr_names holds;
    struct ctl_status_report *report; // the last one; NULL: none
};
struct tr_nodes {
    struct tr_node **ptr;
    size_t len, cap;
};

struct tr_class {
    bool ours;
    bool accepted; // false: none of its Gateways is
    struct ctl_status_report *report;
};

// A Secret that listeners show as their certificate.
struct tr_tls {
    struct tr_node node;
    char *resource; // "tls/ns/name"
    unsigned users; // listeners that name it
    unsigned shown; // of those, the ones that are served: else its key goes nowhere
    bool exists;
    struct ctl_certificate read; // chain NULL: it cannot be served
    char *problem;               // why not, where it exists; owned
};

struct tr_listener {
    char *name;
    char *resource; // "listener/ns/gateway/name"
    char *hostname; // "": any
    int port;
    bool served;      // false: no resource, no route attaches
    const char *why;  // reason where it is not served
    bool takes_http;  // HTTPRoute is among its kinds
    char *from;       // All, Same, Selector
    json_t *selector; // owned, may be NULL
    char *protocol;
    bool is_https;
    struct {
        struct tr_tls **ptr; // permitted ones, in the order of certificateRefs, each once
        size_t len, cap;
    } certificates;
    unsigned usable; // of those
    // For its report alone; texts are owned.
    char *why_message;    // of Accepted, where why is its own and no conflict
    const char *conflict; // reason, NULL: none
    char *conflict_message;
    char *bad_kinds;         // NULL: none
    const char *refs_reason; // of its certificates; NULL: all are resolved
    struct gw_text refs_message;
    const char *overlap; // reason, NULL: none
    char *overlap_message;
};
enum tr_gateway_state {
    TR_GATEWAY_ABSENT,
    TR_GATEWAY_FOREIGN,
    TR_GATEWAY_CLASSLESS,
    TR_GATEWAY_OURS
};
struct tr_gateway {
    struct tr_node node;
    enum tr_gateway_state state;
    char *class_name;
    int64_t generation;
    const char *refusal; // reason why it is not accepted as a whole; NULL: it is
    char *refusal_message, *address_message; // owned; the latter: an address that cannot be given
    bool wants_infrastructure;               // has labels or annotations for objects of its own
    struct tr_listener *listeners;
    size_t listeners_n;
};

struct tr_secret {
    char *resource; // "secret/ns/name/key"
    char *value;
};
struct tr_llm {
    struct tr_node node;
    int64_t generation;
    bool exists;
    // Why it cannot be used; reason NULL: it can.
    const char *reason;
    bool is_accepted; // false: reason belongs to Accepted, else to ResolvedRefs
    char *message;
    json_t *body;
    struct {
        struct tr_secret *ptr;
        size_t len, cap;
    } secrets;
    struct gw_map reached; // "ns/gateway" -> unsigned *, how many routes lead here from it
};

struct tr_port {
    struct tr_node node;
    uint16_t port;
    unsigned users; // routes
};

struct tr_route {
    struct tr_node node;
    struct tr_names listeners; // resources of the listeners it is attached to
    struct tr_names gateways;  // "ns/name" of those
    struct tr_names llms;      // "ns/name" of the LLMBackends it leads to
    struct tr_nodes ports;
};

struct ctl_translator {
    struct ctl_translate_opts o;
    const struct ctl_store *store;      // for the length of a run
    struct gw_map classes;              // name -> struct tr_class
    struct gw_map nodes[TR_TYPE_COUNT]; // "ns/name" ("ns/name/port") -> node
    struct gw_map targets;
    struct gw_map resources; // name -> struct tr_resource (graph.c)
    struct gw_map attached;  // listener's resource -> unsigned *, routes attached
    struct gw_map slices;    // "ns/slice" -> char *, name of its Service
    struct gw_map slices_of; // "ns/service" -> struct gw_map * of names of slices
    struct gw_map grants, grants_from, grants_to; // grant.c
    // For the length of a run.
    struct tr_nodes dirty[TR_TYPE_COUNT];
    struct tr_nodes touched;
    struct {
        struct tr_resource **ptr;
        size_t len, cap;
    } changed;
    struct {
        struct ctl_status_report *ptr;
        size_t len, cap;
    } reports;
    size_t rules_translated;
    unsigned unread_changes, crd_changes; // of the store, at the last run
};

// --- graph.c: who refers to what, who holds what -----------------------------------------------

// "ns/name" in dst.
#define TR_KEY_MAX 1024
struct gw_str tr_key(char dst[TR_KEY_MAX], struct gw_str ns, struct gw_str name);

struct tr_node *tr_node_get(const struct ctl_translator *t, enum tr_type type, struct gw_str key);
struct tr_node *tr_node_need(struct ctl_translator *t, enum tr_type type, size_t bytes,
                             struct gw_str ns, struct gw_str name, struct gw_str key);
void tr_node_free(struct ctl_translator *t, struct tr_node *n); // releases all it has
void tr_mark(struct ctl_translator *t, struct tr_node *n);      // dirty
void tr_touch(struct ctl_translator *t, struct tr_node *n);

// kind is a word of our own, such as "Gateway": marks node when tr_fire names the same.
void tr_refer(struct ctl_translator *t, struct tr_node *n, const char *kind, struct gw_str ns,
              struct gw_str name);
void tr_forget(struct ctl_translator *t, struct tr_node *n); // all that it refers to
void tr_fire(struct ctl_translator *t, const char *kind, struct gw_str ns, struct gw_str name);
// Whoever refers to something of that kind in a namespace: tr_refer and tr_fire with name "".

void tr_names_add(struct tr_names *list, const char *name); // copies, keeps each once
bool tr_names_have(const struct tr_names *list, const char *name);
void tr_names_fini(struct tr_names *list);

// Adds one holder of a resource; takes body.
void tr_emit(struct ctl_translator *t, struct tr_names *holds, const char *name, json_t *body);
void tr_release(struct ctl_translator *t, struct tr_names *holds);
// Replaces what a node holds by next, which becomes empty.
void tr_hold(struct ctl_translator *t, struct tr_node *n, struct tr_names *next);
void tr_resources_finish(struct ctl_translator *t, struct ctl_translate_result *ret);
void tr_graph_free(struct ctl_translator *t);

// --- report.c ----------------------------------------------------------------------------------

struct ctl_status_report *tr_report_new(const struct ctl_res_kind *kind, struct gw_str ns,
                                        struct gw_str name, int64_t generation);
struct ctl_status_part *tr_report_part(struct ctl_status_report *r);
void tr_condition(struct ctl_status_part *p, const char *type, bool status, const char *reason,
                  const char *fmt, ...) GW_PRINTF(5, 6);
// Asks for Programmed by these resources (copied, sorted).
void tr_programmed(struct ctl_status_part *p, bool programmable, char *const *resources, size_t n);
// One more listener (by its resource) that carries the part: one of them must be acknowledged.
void tr_carried_by(struct ctl_status_part *p, const char *listener);
// Replaces *last by next (taken, may be NULL) and puts a copy into the result where they differ.
void tr_report_set(struct ctl_translator *t, struct ctl_status_report **last,
                   const struct ctl_res_kind *kind, struct gw_str ns, struct gw_str name,
                   struct ctl_status_report *next);
void tr_report_free(struct ctl_status_report *r);

// --- lookup.c: indexes over the store ----------------------------------------------------------

void tr_index(struct ctl_translator *t, const struct ctl_res_kind *kind, struct gw_str ns,
              struct gw_str name);
void tr_index_free(struct ctl_translator *t);
// What to say of an object that is not in the store ("does not exist", or that nobody may look),
// and behind "no ReferenceGrant ..." ("" where grants can be read).
const char *tr_absence(const struct ctl_translator *t, const struct ctl_res_kind *kind);
const char *tr_grants_unread(const struct ctl_translator *t);
// Maps of key -> set, which is a map of members; any is not NULL.
void tr_set_put(struct gw_map *sets, struct gw_str key, struct gw_str member, void *any);
void tr_set_del(struct gw_map *sets, struct gw_str key, struct gw_str member);
void tr_set_free(void *set);
// Sorted names; owned by caller (the array alone).
struct gw_str *tr_slices_of(const struct ctl_translator *t, struct gw_str ns, struct gw_str service,
                            size_t *ret_n);
bool tr_selects(const struct ctl_translator *t, const json_t *selector, struct gw_str ns);

// --- grant.c: permissions ----------------------------------------------------------------------

// o NULL: it is gone.
void tr_grant_index(struct ctl_translator *t, const struct ctl_object *o, struct gw_str ns,
                    struct gw_str name);
void tr_grants_free(struct ctl_translator *t);
// Whether a ReferenceGrant of namespace to_ns lets objects of from_kind (of the Gateway API's
// group) of from_ns refer to such an object.
bool tr_is_granted(const struct ctl_translator *t, struct gw_str from_kind, struct gw_str from_ns,
                   struct gw_str to_group, struct gw_str to_kind, struct gw_str to_ns,
                   struct gw_str to_name);

// --- one file each -----------------------------------------------------------------------------

void tr_class_translate(struct ctl_translator *t, struct gw_str name);
void tr_classes_free(struct ctl_translator *t);

void tr_tls_translate(struct ctl_translator *t, struct tr_tls *c);
void tr_tls_finish(struct ctl_translator *t, struct tr_tls *c); // resource
void tr_tls_fini(struct tr_tls *c);
// One user more, one user less. Whoever needs one refers to "Certificate" too, to learn of a
// change.
struct tr_tls *tr_tls_need(struct ctl_translator *t, struct gw_str ns, struct gw_str name);
void tr_tls_leave(struct ctl_translator *t, struct tr_tls *c);

// Owned by caller; each listener uses its certificates until tr_listeners_free (t NULL: all goes).
struct tr_listener *tr_listeners_read(struct ctl_translator *t, struct tr_gateway *g,
                                      const json_t *specs, size_t *ret_n);
void tr_listeners_free(struct ctl_translator *t, struct tr_listener *list, size_t n);
// Fills certificates, usable and what the report says of them.
void tr_listener_certificates(struct ctl_translator *t, struct tr_gateway *g, const json_t *tls,
                              struct tr_listener *l);
void tr_listeners_overlap(struct tr_listener *list, size_t n); // fills overlap
json_t *tr_listener_body(const struct tr_gateway *g, const struct tr_listener *l);
bool tr_listener_works(const struct tr_listener *l); // served, and not without a certificate

void tr_gateway_translate(struct ctl_translator *t, struct tr_gateway *g);
void tr_gateway_finish(struct ctl_translator *t, struct tr_gateway *g); // report
void tr_gateway_fini(struct tr_gateway *g);

void tr_llm_translate(struct ctl_translator *t, struct tr_llm *l);
void tr_llm_finish(struct ctl_translator *t, struct tr_llm *l); // resources and report
void tr_llm_fini(struct tr_llm *l);

void tr_route_translate(struct ctl_translator *t, struct tr_route *r);
void tr_route_detach(struct ctl_translator *t, struct tr_route *r);

void tr_port_translate(struct ctl_translator *t, struct tr_port *p);
struct tr_port *tr_port_need(struct ctl_translator *t, struct gw_str ns, struct gw_str service,
                             uint16_t port);
// What a port with that appProtocol speaks, as backend.protocol has it; NULL: HTTP/1.1, which is
// also meant by names that are not known. false: known, and not spoken here.
bool tr_app_protocol(struct gw_str app, const char **ret_protocol);
void tr_port_leave(struct ctl_translator *t, struct tr_port *p); // one user less

// What one parentRef comes to.
struct tr_attach {
    const struct tr_listener *listener;
    json_t *hostnames; // owned, sorted
};
struct tr_parent {
    const json_t *ref;
    const struct tr_gateway *gateway; // NULL: there is none
    bool accepted;
    const char *reason;
    char message[512];
    struct {
        struct tr_attach *ptr;
        size_t len, cap;
    } attach;
};
// false: the parent is not ours.
bool tr_parent_judge(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                     const json_t *ref, struct tr_parent *ret);
void tr_parent_fini(struct tr_parent *p);
// What a listener's hostname ("": any) and one of a route have in common (borrows); false: nothing.
bool tr_hostname_meet(struct gw_str listener, struct gw_str route, struct gw_str *ret);

// What a rule's backendRefs came to, over all rules of a route.
struct tr_refs {
    const char *reason; // of the first that is wrong; NULL: none is
    struct gw_text message;
    unsigned wrong;
    struct tr_names llms; // "ns/name"
    struct {
        struct tr_use {
            struct gw_str ns, service; // borrow the route's JSON
            uint16_t port;
        } * ptr;
        size_t len, cap;
    } ports;
};
void tr_refs_fini(struct tr_refs *refs);
// Body of one rule without "attach". *ret_why: why the rule cannot be served at all (static); it
// answers 500 then. NULL: it can.
json_t *tr_rule_body(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                     const json_t *rule, size_t index, struct tr_refs *refs, const char **ret_why);
json_t *tr_rule_matches(const json_t *rule);
json_t *tr_rule_timeouts(const json_t *rule); // NULL: none
json_t *tr_rule_prefix(const json_t *rule);   // of its one match, for ReplacePrefixMatch
// Of a rule's or a backendRef's "filters"; NULL: none. Mirrors add to refs.
json_t *tr_filters(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                   const json_t *rule, size_t index, const json_t *from, struct tr_refs *refs);
// {"backend"} or {"invalid"} of a mirror's backendRef.
json_t *tr_mirror_ref(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                      const json_t *json, size_t rule, struct tr_refs *refs);
json_t *tr_pairs(const json_t *from, bool lower); // [{name, value}], each name once
json_t *tr_header_names(const json_t *from);      // in lower case, each once

static inline json_t *tr_string(struct gw_str s) {
    return json_stringn_nocheck(s.ptr ? s.ptr : "", s.len);
}
static inline void tr_set(json_t *obj, const char *key, json_t *value) {
    json_object_set_new_nocheck(obj, key, value);
}
static inline struct gw_str tr_str_or(const json_t *obj, const char *key, struct gw_str otherwise) {
    struct gw_str s = gw_json_str(obj, key);
    return s.ptr ? s : otherwise;
}

#endif
