// SPDX-License-Identifier: Apache-2.0
// The table of dialects. To add one: a file with its descriptor, and a line here.
#include "dataplane/llm/dialect.h"

extern const struct dp_llm_dialect dp_llm_dialect_chat;

const struct dp_llm_dialect *const dp_llm_dialects[] = {
    &dp_llm_dialect_chat,
    NULL,
};

const struct dp_llm_dialect *dp_llm_dialect_find(struct gw_str id) {
    for (const struct dp_llm_dialect *const *d = dp_llm_dialects; *d; d++)
        if (gw_str_eq(id, gw_str_of((*d)->id))) return *d;
    return NULL;
}

const struct dp_llm_dialect *dp_llm_dialect_of_path(struct gw_str path) {
    for (const struct dp_llm_dialect *const *d = dp_llm_dialects; *d; d++)
        if (gw_str_ends(path, gw_str_of((*d)->suffix))) return *d;
    return NULL;
}
