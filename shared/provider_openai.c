// SPDX-License-Identifier: Apache-2.0
// OpenAI: chat completions with a bearer key.
#include "shared/provider.h"

extern const struct gw_provider gw_provider_openai;
const struct gw_provider gw_provider_openai = {
    .id = "openai",
    .dialect = "chat",
    .base_url = "https://api.openai.com/v1",
    .auth_header = "authorization",
    .auth_prefix = "Bearer ",
};
