// SPDX-License-Identifier: Apache-2.0
// Kind GatewayClass: which controller serves the Gateways that name it.
#include "controller/res/fields.h"

#define P_CONTROLLER CTL_P_SUBDOMAIN "/[A-Za-z0-9/._~%!$&'()*+,;=:-]+"

// A reference to parameters is a matter of status (InvalidParameters).
static const struct gw_field parameters_ref[] = {
    CTL_F_GROUP("group", GW_F_REQUIRED),
    CTL_F_KIND("kind", GW_F_REQUIRED),
    CTL_F_OBJECT_NAME("name", GW_F_REQUIRED),
    CTL_F_LABEL("namespace", 0),
    CTL_F_END,
};
static const struct gw_field spec[] = {
    CTL_F_PATTERN("controllerName", GW_F_REQUIRED, 1, 253, P_CONTROLLER,
                  "must be a domain and a path, such as kgateway.dev/tandem"),
    CTL_F_TEXT("description", 0, 0, 64),
    CTL_F_OBJECT("parametersRef", 0, parameters_ref),
    CTL_F_END,
};

static const struct gw_field fields[] = {
    CTL_F_OBJECT("spec", GW_F_REQUIRED, spec),
    CTL_F_END,
};

static const char *const versions[] = {"v1", "v1beta1", NULL};

const struct ctl_res_kind ctl_res_gateway_class = {
    .name = "GatewayClass",
    .group = "gateway.networking.k8s.io",
    .versions = versions,
    .plural = "gatewayclasses",
    .short_name = "gc",
    .namespaced = false,
    .fields = fields,
};
