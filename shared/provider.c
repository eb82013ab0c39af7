// SPDX-License-Identifier: Apache-2.0
// The table of providers. To add one: a file with its descriptor, and a line here (and its id in
// crds/llmbackends.yaml, which a test compares).
#include "shared/provider.h"

#define PROVIDERS(X)                                                                               \
    X(openai, "openai")                                                                            \
    X(custom, "custom")

#define DECLARE(symbol, id) extern const struct gw_provider gw_provider_##symbol;
PROVIDERS(DECLARE)

#define ENTRY(symbol, id) &gw_provider_##symbol,
const struct gw_provider *const gw_providers[] = {PROVIDERS(ENTRY) NULL};

#define ID(symbol, id) id,
const char *const gw_provider_ids[] = {PROVIDERS(ID) NULL};

const struct gw_provider *gw_provider_find(struct gw_str id) {
    for (const struct gw_provider *const *p = gw_providers; *p; p++)
        if (gw_str_eq(id, gw_str_of((*p)->id))) return *p;
    return NULL;
}
