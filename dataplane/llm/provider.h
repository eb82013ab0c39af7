// SPDX-License-Identifier: Apache-2.0
// Providers are data: one file = one const descriptor, one line in provider.c's table.
#ifndef DP_LLM_PROVIDER_H
#define DP_LLM_PROVIDER_H

#include "shared/str.h"

struct dp_llm_provider {
    const char *id;          // "openai"; "custom" takes dialect and baseURL from the LLMBackend
    const char *dialect;     // default dialect; NULL where the LLMBackend must name it
    const char *auth_header; // "authorization"
    const char *auth_prefix; // "Bearer "
};
extern const struct dp_llm_provider *const dp_llm_providers[]; // NULL-terminated
const struct dp_llm_provider *dp_llm_provider_find(struct gw_str id);

#endif
