// SPDX-License-Identifier: Apache-2.0
// Any other server that speaks one of our dialects: the LLMBackend names dialect and base URL.
#include "shared/provider.h"

extern const struct gw_provider gw_provider_custom;
const struct gw_provider gw_provider_custom = {
    .id = "custom",
    .auth_header = "authorization",
    .auth_prefix = "Bearer ",
};
