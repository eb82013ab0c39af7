// SPDX-License-Identifier: Apache-2.0
// Hash map from byte strings to void *, keyed with a random seed per process (keys come from
// peers). Keys are copied and owned by the map, values are the caller's. One thread at a time.
#ifndef GW_SHARED_MAP_H
#define GW_SHARED_MAP_H

#include "shared/str.h"

struct gw_map_slot;
struct gw_map {
    struct gw_map_slot *slots;
    size_t len, cap, used;
};

// Zero-initialised is a valid empty map.
void gw_map_fini(struct gw_map *m, void (*free_value)(void *)); // free_value may be NULL
void *gw_map_get(const struct gw_map *m, struct gw_str key);    // NULL: absent
// Returns the value that was replaced, NULL where there was none. value must not be NULL.
void *gw_map_put(struct gw_map *m, struct gw_str key, void *value);
void *gw_map_del(struct gw_map *m, struct gw_str key); // returns the value, NULL: absent
// Iteration in no particular order; *it starts at 0; the map must not change meanwhile, except
// that the current entry may be deleted.
bool gw_map_next(const struct gw_map *m, size_t *it, struct gw_str *ret_key, void **ret_value);
// Keys sorted bytewise; owned by caller (free the array alone), valid until the map changes.
struct gw_str *gw_map_sorted_keys(const struct gw_map *m);

#endif
