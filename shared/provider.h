// SPDX-License-Identifier: Apache-2.0
// The catalogue of model providers: facts that both programs need (the controller the base URL, the
// data plane the credentials' form). Data alone: one file = one const descriptor, one line in
// provider.c.
#ifndef GW_SHARED_PROVIDER_H
#define GW_SHARED_PROVIDER_H

#include "shared/str.h"

struct gw_provider {
    const char *id;          // "openai"; "custom" takes dialect and baseURL from the LLMBackend
    const char *dialect;     // NULL: the LLMBackend must name it
    const char *base_url;    // NULL: the LLMBackend must name it
    const char *auth_header; // "authorization"
    const char *auth_prefix; // "Bearer "
};
extern const struct gw_provider *const gw_providers[]; // NULL-terminated
extern const char *const gw_provider_ids[];            // the same by id, NULL-terminated
const struct gw_provider *gw_provider_find(struct gw_str id);

#endif
