// SPDX-License-Identifier: Apache-2.0
// The only contract between controller and data plane: a snapshot is a set of named resources, each
// a JSON object of one kind. docs/architecture.md ("The snapshot") shows every kind by example.
// Version of a resource: the first 32 hex digits of SHA-256 over its canonical bytes. Root of a
// snapshot: the same over the lines "name version\n" sorted by name.
#ifndef GW_SHARED_IR_H
#define GW_SHARED_IR_H

#include "shared/json.h"

#define GW_IR_VERSION_CHARS 32
#define GW_IR_NAME_MAX 640 // "listener/" and a namespace, a Gateway and a listener of full length
#define GW_IR_RESOURCE_BYTES_MAX (1u << 20)
#define GW_IR_RESOURCES_MAX 200000
#define GW_IR_MESSAGE_BYTES_MAX (64u << 20)

enum gw_ir_kind {
    GW_IR_LISTENER,
    GW_IR_RULE,
    GW_IR_BACKEND,
    GW_IR_ENDPOINTS,
    GW_IR_SECRET,
    GW_IR_TLS, // a certificate chain and its key
    GW_IR_KIND_COUNT,
};
const char *gw_ir_kind_name(enum gw_ir_kind k); // "listener", "rule", ...
// From a resource's name, which begins with "<kind>/".
enum gw_rc gw_ir_kind_of(struct gw_str name, enum gw_ir_kind *ret, struct gw_err *err) GW_MUST_USE;

// A body as people may see it: of secrets, and of kinds that are not known, each member reads
// "<redacted>". New reference.
json_t *gw_ir_shown(struct gw_str name, json_t *body);

// Checks one resource's name, and its body by its kind's field table and its own rules (body and
// name tell the same, a rule's backend is one or says why not, exactly one of addresses and dns,
// the size). Text names the path.
enum gw_rc gw_ir_validate(struct gw_str name, const json_t *body, struct gw_err *err) GW_MUST_USE;

// version[GW_IR_VERSION_CHARS + 1]
void gw_ir_version(const json_t *body, char *version);

// Incremental root: feed sorted by name.
struct gw_ir_root; // opaque
struct gw_ir_root *gw_ir_root_new(void);
void gw_ir_root_add(struct gw_ir_root *r, struct gw_str name, const char *version);
void gw_ir_root_finish(struct gw_ir_root *r, char *version); // frees r

// Messages of the push stream, both ends; each is one JSON object with one of these members.
//   data plane > controller
//     {"hello": {"node": "...", "gateway": "ns/name" or "", "address": "...", "root": "<version>"
//     or ""}}     root: of what is held, refused resources in their last good form
//     {"have": {"<resource>": "<version>", ...}}          (after "resync")
//     {"ack": "<root version>"}
//     {"nack": "<root version>", "errors": [{"resource": "...", "reason": "..."}]}
//       A NACK means: applied but for the named resources, which keep their last good form. It
//       names all that stand refused at that moment; an ACK says that there is none.
//     {"token": "..."}                                     (after "identify")
//   controller > data plane
//     {"identify": true}                                   (show the present token)
//     {"resync": true}                                     (root differs: tell what you have)
//     {"delta": {"version": "<root>", "set": [{"name": "...", "version": "...", "body": {...}}],
//                "remove": ["..."], "complete": true}}     (complete false: more of this version
//                follow)
#define GW_IR_DELTA_SET_MAX 500 // resources in one message, so that none grows without bound

// Between replicas of the controller (POST /relay/v1): one that does not write statuses tells the
// one that does of the data planes that are connected to it.
//   replica > holder of the Lease
//     {"replica": {"identity": "...", "version": "..."}}    first; version of the program
//     {"relay": {"views": [{"gateway": "ns/name" or "", "root": "<root>", "serial": 7,
//                           "reset": true,
//                           "set": [{"name": "...", "version": "...", "serial": 5}],
//                           "remove": ["..."]}],
//                "planes": [{"id": 1, "gateway": "...", "node": "...", "address": "...",
//                            "acked": 7,
//                            "errors": [{"resource": "...", "version": "...", "reason": "..."}]}],
//                "gone": [2], "complete": true}}
//       A view is what the replica's data planes of one Gateway get: serial counts its changes, and
//       each resource has the serial of its last one. A data plane has acknowledged every resource
//       whose serial is not above acked, but for those in errors; it is told whole each time.
//       reset: what was told of the view before does not hold. complete: all is told; at the start
//       nothing counts before that.
//   Nothing is answered.
#define GW_IR_RELAY_VIEWS_MAX 4096  // of one replica, as many as data planes
#define GW_IR_RELAY_PLANES_MAX 4096 // connections of a push server
#define GW_IR_RELAY_SET_MAX 5000    // resources of a view in one message
#define GW_IR_RELAY_ERRORS_MAX 1000 // of one data plane; one that refuses more has acked 0

#endif
