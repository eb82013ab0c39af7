// SPDX-License-Identifier: Apache-2.0
// Names of models as labels of metrics. A series stays for the life of the process, and where a
// backend takes any name, or a pattern, callers make names up.
#include "dataplane/llm/call.h"
#include "shared/map.h"

#include <pthread.h>

// Names that callers made up and a provider answered to, of all backends.
#define NAMES_MAX 1000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gw_map names; // name -> itself, as a set

struct gw_str dp_llm_label(const struct dp_llm_call *c, bool is_answered) {
    if (!c->is_callers_name) return c->upstream_model;
    pthread_mutex_lock(&lock);
    bool is_known = gw_map_get(&names, c->upstream_model) != NULL;
    if (!is_known && is_answered && names.len < NAMES_MAX) {
        gw_map_put(&names, c->upstream_model, &names);
        is_known = true;
    }
    pthread_mutex_unlock(&lock);
    return is_known ? c->upstream_model : GW_STR("other");
}
