// SPDX-License-Identifier: Apache-2.0
// Objects to resources and statuses. Pure: no clock, no I/O, no log, no globals; equal input gives
// equal bytes, whatever the order of arrival. Incremental: only what a dirty object can reach is
// translated again. A user's mistake is data: a condition on the object, an answer of 500 for that
// rule, and everything else still ships.
#ifndef CTL_TRANSLATE_TRANSLATE_H
#define CTL_TRANSLATE_TRANSLATE_H

#include "controller/store/store.h"
#include "shared/map.h"

#define CTL_CONTROLLER_NAME "kgateway.dev/tandem"

// Settings that are not objects.
struct ctl_translate_opts {
    // --endpoint ns/service=host:port, repeated: key "ns/service", value "host:port".
    const struct gw_map *endpoints;
    // Keys from the environment; NULL where unset. Folder sources only (NULL otherwise).
    const char *(*getenv)(void *arg, const char *name);
    void *getenv_arg;
    // Other controllers are there, too: nothing is said of a Gateway without a class, nor of a
    // route's parent that is not there. In a folder nobody else would say it.
    bool is_shared;
};

// One condition of an object, as translation knows it. "Programmed" is here only where it is false
// whatever is acknowledged (and then wants_programmed is not set): else publish adds it, from
// acknowledgements.
struct ctl_condition {
    const char *type; // "Accepted", "ResolvedRefs", static
    bool status;
    const char *reason; // static
    char *message;      // owned by the report
};

// Conditions of one object under one parent. Route: parent is the parentRef as written. Gateway:
// listener is NULL for the Gateway itself, else the listener's name.
struct ctl_status_part {
    json_t *parent;          // routes: the parentRef, owned by the report; else NULL
    char *listener;          // Gateway listeners
    int attached_routes;     // Gateway listeners
    json_t *supported_kinds; // Gateway listeners
    struct ctl_condition conditions[6];
    size_t conditions_n;
    // Whether Programmed is asked for on this part, and the resources whose acknowledgement makes
    // it true. Sorted names; empty with wants_programmed: nothing to serve.
    bool wants_programmed;
    bool programmable; // false: Programmed=False/Invalid whatever was acknowledged
    char **resources;
    size_t resources_n;
    // Routes: listeners that carry it under this parent, of which one must be acknowledged as well.
    // None: no such wish.
    char **carriers;
    size_t carriers_n;
};
struct ctl_status_report {
    const struct ctl_res_kind *kind;
    char *ns, *name;
    int64_t generation;
    struct ctl_status_part *parts;
    size_t parts_n;
    // Members of .status beside conditions and lists, {"supportedFeatures": [...]}; owned by the
    // report, NULL: none.
    json_t *extra;
};

void ctl_status_report_fini(struct ctl_status_report *r);

struct ctl_translator; // opaque: what is kept between runs (results per object, reverse references)

struct ctl_translator *ctl_translator_new(const struct ctl_translate_opts *o);
void ctl_translator_free(struct ctl_translator *t);

// One changed or removed resource.
struct ctl_resource_change {
    char *name;
    json_t *body; // NULL: removed
};
// The result of one run: only what differs from the run before. Owned by caller.
struct ctl_translate_result {
    struct ctl_resource_change *resources;
    size_t resources_n;
    struct ctl_status_report *reports; // objects whose report differs; kind set, parts_n 0: no
    size_t reports_n;                  // status of ours any more
    size_t rules_translated;           // work done, for tests of incrementality
};
// dirty: from ctl_store_take_dirty; dirty_n 0 with all true: everything (first run).
void ctl_translate(struct ctl_translator *t, const struct ctl_store *store,
                   const struct ctl_ref *dirty, size_t dirty_n, bool all,
                   struct ctl_translate_result *ret);
void ctl_translate_result_fini(struct ctl_translate_result *r);

#endif
