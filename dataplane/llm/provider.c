// SPDX-License-Identifier: Apache-2.0
// The table of providers. To add one: a file with its descriptor, and a line here (and its id in
// crds/llmbackends.yaml, which a test compares).
#include "dataplane/llm/provider.h"

extern const struct dp_llm_provider dp_llm_provider_openai, dp_llm_provider_custom;

const struct dp_llm_provider *const dp_llm_providers[] = {
    &dp_llm_provider_openai,
    &dp_llm_provider_custom,
    NULL,
};

const struct dp_llm_provider *dp_llm_provider_find(struct gw_str id) {
    for (const struct dp_llm_provider *const *p = dp_llm_providers; *p; p++)
        if (gw_str_eq(id, gw_str_of((*p)->id))) return *p;
    return NULL;
}
