// SPDX-License-Identifier: Apache-2.0
// Field tables: what a JSON object may hold. One table describes one object; the checker reads,
// bounds and refuses by itself. Used for Kubernetes kinds (controller/res/) and for the resources
// of a snapshot (ir.h).
#ifndef GW_SHARED_SCHEMA_H
#define GW_SHARED_SCHEMA_H

#include "shared/json.h"

enum gw_field_type {
    GW_F_STRING,
    GW_F_INT,
    GW_F_BOOL,
    GW_F_OBJECT,   // .fields
    GW_F_LIST,     // of .elem (its name is unused)
    GW_F_MAP,      // string keys, values of .elem
    GW_F_DURATION, // GEP-2257 text; min/max in milliseconds
    GW_F_ANY,      // taken as it is (metadata.annotations' neighbours, foreign specs)
    GW_F_INT_OR_STRING,
};

#define GW_F_REQUIRED 1u
// Known to the API but not built: its presence is refused by name
// ("spec.timeouts is not supported yet").
#define GW_F_UNBUILT 2u
// null counts as absent (Kubernetes drops null members). Always on for GW_F_* of Kubernetes kinds.

struct gw_field {
    const char *name; // NULL ends a table
    enum gw_field_type type;
    unsigned flags;
    // Strings: length in bytes. Ints: value. Lists and maps: entries. max 0: the defaults below.
    int64_t min, max;
    const char *pattern;       // PCRE-like subset checked by POSIX extended regex; whole text
    const char *pattern_says;  // what to say instead of the pattern: "must be a DNS name"
    const char *const *values; // allowed texts, NULL-terminated (enum)
    const struct gw_field *fields;
    const struct gw_field *elem;
    const char *unique; // lists of objects: this member (or "a,b": the pair) may not repeat
};
#define GW_F_STRING_MAX_DEFAULT 65536
#define GW_F_LIST_MAX_DEFAULT 4096

struct gw_schema_problem {
    char path[256]; // "spec.rules[0].matches[1].path.type"
    struct gw_err
        err; // "spec.rules[0].matches[1].path.type: 'Foo' is not one of Exact, PathPrefix"
};

// Checks obj against the table, depth first, and stops at the first problem.
// Unknown member: "unknown field spec.foo". GW_ERR_INPUT, ret_problem filled.
enum gw_rc gw_schema_check(const json_t *obj, const struct gw_field *fields, const char *path,
                           struct gw_schema_problem *ret_problem) GW_MUST_USE;

#endif
