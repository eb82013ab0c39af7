// SPDX-License-Identifier: Apache-2.0
// What operators see of a config: the forms that serve, and what was refused.
#ifndef DP_CONF_DUMP_H
#define DP_CONF_DUMP_H

#include "dataplane/conf/held.h"

// {"version", "connected", "ready", "resources", "refused"}; values of secrets are replaced and
// nothing else is. Owned by caller; bodies are shared with h and must not be changed.
json_t *dp_conf_dump(const struct dp_held *h, const char *version, bool is_connected,
                     bool is_ready);

#endif
