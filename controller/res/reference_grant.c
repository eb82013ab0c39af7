// SPDX-License-Identifier: Apache-2.0
// Kind ReferenceGrant: lets kinds of other namespaces refer to kinds of its own.
#include "controller/res/fields.h"

static const struct gw_field from[] = {
    CTL_F_GROUP("group", GW_F_REQUIRED),
    CTL_F_KIND("kind", GW_F_REQUIRED),
    CTL_F_LABEL("namespace", GW_F_REQUIRED),
    CTL_F_END,
};
static const struct gw_field from_elem = CTL_F_OBJECT("", 0, from);
static const struct gw_field to[] = {
    CTL_F_GROUP("group", GW_F_REQUIRED),
    CTL_F_KIND("kind", GW_F_REQUIRED),
    CTL_F_OBJECT_NAME("name", 0),
    CTL_F_END,
};
static const struct gw_field to_elem = CTL_F_OBJECT("", 0, to);

static const struct gw_field spec[] = {
    CTL_F_LIST("from", GW_F_REQUIRED, 1, 16, &from_elem),
    CTL_F_LIST("to", GW_F_REQUIRED, 1, 16, &to_elem),
    CTL_F_END,
};

static const struct gw_field fields[] = {
    CTL_F_OBJECT("spec", GW_F_REQUIRED, spec),
    CTL_F_END,
};

static const char *const versions[] = {"v1", "v1beta1", NULL};

const struct ctl_res_kind ctl_res_reference_grant = {
    .name = "ReferenceGrant",
    .group = "gateway.networking.k8s.io",
    .versions = versions,
    .plural = "referencegrants",
    .short_name = "refgrant",
    .namespaced = true,
    .fields = fields,
};
