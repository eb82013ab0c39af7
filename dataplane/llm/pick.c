// SPDX-License-Identifier: Apache-2.0
// Which models a backend names, by alias or by glob.
#include "dataplane/llm/call.h"

bool dp_llm_backend_takes(const struct dp_backend_llm *b, struct gw_str model,
                          struct gw_str *ret_upstream_model) {
    for (unsigned i = 0; i < b->aliases_n; i++) {
        if (!gw_str_eq(b->aliases[i].from, model)) continue;
        *ret_upstream_model = b->aliases[i].to;
        return true;
    }
    for (unsigned i = 0; i < b->allow_n; i++) {
        if (!gw_str_glob(b->allow[i], model)) continue;
        *ret_upstream_model = gw_str_find(b->allow[i], '*') < 0 ? b->allow[i] : model;
        return true;
    }
    return false;
}
