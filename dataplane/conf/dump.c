// SPDX-License-Identifier: Apache-2.0
// See dump.h. Whatever is in a secret resource is taken for a secret, so that a member that is new
// in it is not shown by mistake.
#include "dataplane/conf/dump.h"

#include <stdlib.h>

static json_t *resources(const struct dp_held *h) {
    json_t *shown = json_object();
    struct gw_str *names = gw_map_sorted_keys(&h->entries);
    for (size_t i = 0; i < h->entries.len; i++) {
        const struct dp_held_entry *e = gw_map_get(&h->entries, names[i]);
        if (!e->good) continue;
        json_object_setn_new(shown, names[i].ptr, names[i].len, gw_ir_shown(names[i], e->good));
    }
    free(names);
    return shown;
}

static json_t *refused(const struct dp_held *h) {
    json_t *shown = json_object(), *errors = dp_held_errors(h), *one;
    size_t i;
    json_array_foreach(errors, i, one) json_object_set(
        shown, json_string_value(json_object_get(one, "resource")), json_object_get(one, "reason"));
    json_decref(errors);
    return shown;
}

json_t *dp_conf_dump(const struct dp_held *h, const char *version, bool is_connected,
                     bool is_ready) {
    return json_pack("{s:s, s:b, s:b, s:o, s:o}", "version", version, "connected", is_connected,
                     "ready", is_ready, "resources", resources(h), "refused", refused(h));
}
