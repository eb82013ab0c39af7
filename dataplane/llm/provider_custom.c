// SPDX-License-Identifier: Apache-2.0
// Any other server that speaks one of our dialects: the LLMBackend names dialect and base URL.
#include "dataplane/llm/provider.h"

extern const struct dp_llm_provider dp_llm_provider_custom;
const struct dp_llm_provider dp_llm_provider_custom = {
    .id = "custom",
    .dialect = NULL,
    .auth_header = "authorization",
    .auth_prefix = "Bearer ",
};
