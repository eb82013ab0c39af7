// SPDX-License-Identifier: Apache-2.0
// The resources that a data plane holds: of each the form that the controller wants, and the last
// form that could be used. Both are the same where all is well. One thread at a time.
#ifndef DP_CONF_HELD_H
#define DP_CONF_HELD_H

#include "dataplane/conf/conf.h"

struct dp_held_entry {
    json_t *wanted; // owned
    json_t *good;   // owned; NULL: no form could ever be used
    char wanted_version[GW_IR_VERSION_CHARS + 1], good_version[GW_IR_VERSION_CHARS + 1];
    char *invalid;  // why the wanted form is no resource at all; NULL: it is one
    char *reason;   // why the wanted form is not in use; NULL: it is
    json_t *in_use; // borrowed, while a config is made: wanted, good or NULL
};

struct dp_held {
    struct gw_map entries; // by resource name
};
void dp_held_fini(struct dp_held *h);

// Takes a reference of body and validates it. False where GW_IR_RESOURCES_MAX is reached.
bool dp_held_set(struct dp_held *h, struct gw_str name, const char *version, json_t *body);
void dp_held_remove(struct dp_held *h, struct gw_str name);
// Forgets what is wanted but not in use.
void dp_held_reset(struct dp_held *h);
// Root over what is good, and {name: version} of it (owned by caller).
void dp_held_root(const struct dp_held *h, char *version);
void dp_held_root_wanted(const struct dp_held *h, char *version); // over what is wanted
json_t *dp_held_versions(const struct dp_held *h);

// Compiles and applies what is wanted; a resource that is refused on the way falls back to its good
// form, alone. Afterwards every entry has a reason or is in use. Changes entries' reason and
// in_use, never wanted or good.
typedef void (*dp_held_apply_fn)(void *arg, struct dp_conf *conf,
                                 struct dp_conf_refusals *refusals);
struct dp_held_result {
    unsigned rules, ports, refused;
    bool may_pass_later; // apply refused something: that may be used without another form of it
};
void dp_held_apply(struct dp_held *h, const char *version, unsigned workers, dp_held_apply_fn apply,
                   void *arg, struct dp_held_result *ret);
// What is in use becomes the good form.
void dp_held_commit(struct dp_held *h);
// [{resource, reason}] of what is refused, sorted by name; owned by caller.
json_t *dp_held_errors(const struct dp_held *h);

// --- snapshot_file.c: the last good snapshot ----------------------------------------------------

#define DP_SNAPSHOT_FILE "snapshot.json"
// Far above GW_IR_RESOURCES_MAX resources of usual size.
#define DP_SNAPSHOT_BYTES_MAX ((size_t)512 << 20)

// Makes the folder (0700) where it is missing.
enum gw_rc dp_snapshot_folder(const char *dir, struct gw_err *err);
// Into an empty h, as wanted forms. GW_EOF: no snapshot is kept. GW_ERR_INPUT: the file is damaged;
// h stays empty.
enum gw_rc dp_snapshot_read(const char *dir, struct dp_held *h, struct gw_err *err);
// Moves a damaged file aside, to snapshot.json.bad.
void dp_snapshot_set_aside(const char *dir);
// Writes the good forms: a new file (0600), synced, in the place of the old one.
enum gw_rc dp_snapshot_write(const char *dir, const struct dp_held *h, struct gw_err *err);

#endif
