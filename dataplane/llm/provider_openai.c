// SPDX-License-Identifier: Apache-2.0
// OpenAI: chat completions with a bearer key.
#include "dataplane/llm/provider.h"

extern const struct dp_llm_provider dp_llm_provider_openai;
const struct dp_llm_provider dp_llm_provider_openai = {
    .id = "openai",
    .dialect = "chat",
    .auth_header = "authorization",
    .auth_prefix = "Bearer ",
};
