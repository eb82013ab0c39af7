// SPDX-License-Identifier: Apache-2.0
// Kind Namespace: read for its labels, which allowedRoutes selects.
#include "controller/res/fields.h"

static const struct gw_field fields[] = {
    CTL_F_ANY("spec"),
    CTL_F_END,
};

static const char *const versions[] = {"v1", NULL};

const struct ctl_res_kind ctl_res_namespace = {
    .name = "Namespace",
    .group = "",
    .versions = versions,
    .plural = "namespaces",
    .short_name = "ns",
    .namespaced = false,
    .builtin = true,
    .name_is_label = true,
    .fields = fields,
};
