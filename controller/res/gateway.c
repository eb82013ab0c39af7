// SPDX-License-Identifier: Apache-2.0
// Kind Gateway: listeners and which routes may attach to them. A protocol that is not served is a
// matter of status (UnsupportedProtocol), not of this table.
#include "controller/res/fields.h"

#define P_PROTOCOL "([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?|" CTL_P_SUBDOMAIN "/[A-Za-z0-9]+)"

static const char *const from_values[] = {"All", "Selector", "Same", NULL};

static const struct gw_field namespaces[] = {
    CTL_F_ENUM("from", 0, from_values),
    CTL_F_OBJECT("selector", 0, ctl_res_label_selector),
    CTL_F_END,
};
static const struct gw_field route_kind[] = {
    CTL_F_GROUP("group", 0),
    CTL_F_KIND("kind", GW_F_REQUIRED),
    CTL_F_END,
};
static const struct gw_field route_kind_elem = CTL_F_OBJECT("", 0, route_kind);
static const struct gw_field allowed_routes[] = {
    CTL_F_OBJECT("namespaces", 0, namespaces),
    CTL_F_LIST("kinds", 0, 0, 8, &route_kind_elem),
    CTL_F_END,
};
static const struct gw_field listener[] = {
    CTL_F_SUBDOMAIN("name", GW_F_REQUIRED),
    CTL_F_HOSTNAME("hostname", 0),
    CTL_F_PORT("port", GW_F_REQUIRED),
    CTL_F_PATTERN("protocol", GW_F_REQUIRED, 1, 255, P_PROTOCOL,
                  "must be a protocol such as HTTP, or a domain and a name"),
    CTL_F_OBJECT("allowedRoutes", 0, allowed_routes),
    CTL_F_UNBUILT("tls"),
    CTL_F_UNBUILT("filters"),
    CTL_F_END,
};
static const struct gw_field listener_elem = CTL_F_OBJECT("", 0, listener);

static const struct gw_field spec[] = {
    CTL_F_OBJECT_NAME("gatewayClassName", GW_F_REQUIRED),
    CTL_F_UNIQUE_LIST("listeners", GW_F_REQUIRED, 1, 64, &listener_elem, "name"),
    CTL_F_UNBUILT("addresses"),
    CTL_F_UNBUILT("infrastructure"),
    CTL_F_UNBUILT("allowedListeners"),
    CTL_F_UNBUILT("tls"),
    CTL_F_UNBUILT("defaultScope"),
    CTL_F_END,
};

static const struct gw_field fields[] = {
    CTL_F_OBJECT("spec", GW_F_REQUIRED, spec),
    CTL_F_END,
};

static bool same_place(const json_t *a, const json_t *b) {
    return gw_json_int(a, "port", 0) == gw_json_int(b, "port", 0) &&
           gw_str_eq(gw_json_str(a, "protocol"), gw_json_str(b, "protocol")) &&
           gw_str_eq(gw_json_str(a, "hostname"), gw_json_str(b, "hostname"));
}

static enum gw_rc check_listener(const json_t *listeners, size_t i, struct gw_schema_problem *ret) {
    const json_t *l = json_array_get(listeners, i);
    char path[128];
    struct gw_str protocol = gw_json_str(l, "protocol");
    if (gw_json_get(l, "hostname") &&
        (gw_str_eq(protocol, GW_STR("TCP")) || gw_str_eq(protocol, GW_STR("UDP")))) {
        snprintf(path, sizeof(path), "spec.listeners[%zu].hostname", i);
        return ctl_res_refuse(ret, path, "has no meaning for protocol " GW_STR_FMT,
                              GW_STR_ARG(protocol));
    }
    for (size_t j = 0; j < i; j++) {
        if (!same_place(l, json_array_get(listeners, j))) continue;
        snprintf(path, sizeof(path), "spec.listeners[%zu]", i);
        return ctl_res_refuse(ret, path,
                              "has the port, protocol and hostname of spec.listeners[%zu]", j);
    }
    snprintf(path, sizeof(path), "spec.listeners[%zu].allowedRoutes.namespaces.selector", i);
    return ctl_res_check_selector(gw_json_path(l, "allowedRoutes.namespaces.selector"), path, ret);
}

static enum gw_rc check(const json_t *obj, struct gw_schema_problem *ret) {
    const json_t *listeners = gw_json_path(obj, "spec.listeners");
    for (size_t i = 0; i < json_array_size(listeners); i++)
        GW_TRY(check_listener(listeners, i, ret));
    return GW_OK;
}

static const char *const versions[] = {"v1", "v1beta1", NULL};

const struct ctl_res_kind ctl_res_gateway = {
    .name = "Gateway",
    .group = "gateway.networking.k8s.io",
    .versions = versions,
    .plural = "gateways",
    .short_name = "gtw",
    .namespaced = true,
    .fields = fields,
    .check = check,
};
