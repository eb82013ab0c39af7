// SPDX-License-Identifier: Apache-2.0
// Kind Gateway: listeners, their certificates and which routes may attach to them. What concerns
// one listener or the Gateway's surroundings and is not served (a protocol, an option of TLS, a
// kind of address, parameters) is a matter of status, not of this table: the rest of the Gateway
// serves.
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
static const char *const tls_modes[] = {"Terminate", "Passthrough", NULL};
static const struct gw_field secret_ref[] = {
    CTL_F_GROUP("group", 0),
    CTL_F_KIND("kind", 0),
    CTL_F_OBJECT_NAME("name", GW_F_REQUIRED),
    CTL_F_LABEL("namespace", 0),
    CTL_F_END,
};
static const struct gw_field secret_ref_elem = CTL_F_OBJECT("", 0, secret_ref);
static const struct gw_field option_elem = CTL_F_TEXT("", 0, 0, 4096);
static const struct gw_field tls[] = {
    CTL_F_ENUM("mode", 0, tls_modes),
    CTL_F_LIST("certificateRefs", 0, 0, 64, &secret_ref_elem),
    CTL_F_MAP("options", 0, 16, &option_elem),
    CTL_F_END,
};
static const struct gw_field listener[] = {
    CTL_F_SUBDOMAIN("name", GW_F_REQUIRED),
    CTL_F_HOSTNAME("hostname", 0),
    CTL_F_PORT("port", GW_F_REQUIRED),
    CTL_F_PATTERN("protocol", GW_F_REQUIRED, 1, 255, P_PROTOCOL,
                  "must be a protocol such as HTTP, or a domain and a name"),
    CTL_F_OBJECT("allowedRoutes", 0, allowed_routes),
    CTL_F_OBJECT("tls", 0, tls),
    CTL_F_UNBUILT("filters"),
    CTL_F_END,
};
static const struct gw_field listener_elem = CTL_F_OBJECT("", 0, listener);

#define P_ADDRESS_TYPE                                                                             \
    "Hostname|IPAddress|NamedAddress|" CTL_P_SUBDOMAIN "/[A-Za-z0-9/._~%!$&'()*+,;=:-]+"
static const struct gw_field address[] = {
    CTL_F_PATTERN("type", 0, 1, 253, P_ADDRESS_TYPE,
                  "must be IPAddress, Hostname, or a domain and a name"),
    CTL_F_TEXT("value", 0, 0, 253),
    CTL_F_END,
};
static const struct gw_field address_elem = CTL_F_OBJECT("", 0, address);

static const struct gw_field label_elem = CTL_F_PATTERN(
    "", 0, 0, 63, "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", "must be a label's value");
static const struct gw_field annotation_elem = CTL_F_TEXT("", 0, 0, 4096);
static const struct gw_field parameters_ref[] = {
    CTL_F_GROUP("group", GW_F_REQUIRED),
    CTL_F_KIND("kind", GW_F_REQUIRED),
    CTL_F_OBJECT_NAME("name", GW_F_REQUIRED),
    CTL_F_END,
};
static const struct gw_field infrastructure[] = {
    CTL_F_MAP("labels", 0, 8, &label_elem),
    CTL_F_MAP("annotations", 0, 16, &annotation_elem),
    CTL_F_OBJECT("parametersRef", 0, parameters_ref),
    CTL_F_END,
};

static const struct gw_field spec[] = {
    CTL_F_OBJECT_NAME("gatewayClassName", GW_F_REQUIRED),
    CTL_F_UNIQUE_LIST("listeners", GW_F_REQUIRED, 1, 64, &listener_elem, "name"),
    CTL_F_LIST("addresses", 0, 0, 16, &address_elem),
    CTL_F_OBJECT("infrastructure", 0, infrastructure),
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

// Protocols that end TLS nowhere.
static bool is_plain(struct gw_str protocol) {
    return gw_str_eq(protocol, GW_STR("HTTP")) || gw_str_eq(protocol, GW_STR("TCP")) ||
           gw_str_eq(protocol, GW_STR("UDP"));
}

static enum gw_rc check_tls(const json_t *l, size_t i, struct gw_schema_problem *ret) {
    const json_t *t = gw_json_get(l, "tls");
    struct gw_str protocol = gw_json_str(l, "protocol"), mode = gw_json_str(t, "mode");
    bool https = gw_str_eq(protocol, GW_STR("HTTPS"));
    bool passes = gw_str_eq(mode, GW_STR("Passthrough"));
    char path[96];
    if (gw_str_eq(protocol, GW_STR("TLS")) && !mode.len) {
        snprintf(path, sizeof(path), "spec.listeners[%zu].tls.mode", i);
        return ctl_res_refuse(ret, path, "is missing (protocol is TLS)");
    }
    if (!t) return GW_OK;
    snprintf(path, sizeof(path), "spec.listeners[%zu].tls", i);
    if (is_plain(protocol))
        return ctl_res_refuse(ret, path,
                              "has no meaning for protocol " GW_STR_FMT
                              " (a listener that ends TLS has protocol HTTPS)",
                              GW_STR_ARG(protocol));
    if (https && passes) {
        snprintf(path, sizeof(path), "spec.listeners[%zu].tls.mode", i);
        return ctl_res_refuse(ret, path,
                              "'Passthrough' is for protocol TLS; one of protocol HTTPS is "
                              "'Terminate'");
    }
    if (!passes && json_array_size(gw_json_get(t, "certificateRefs")) == 0 &&
        json_object_size(gw_json_get(t, "options")) == 0) {
        snprintf(path, sizeof(path), "spec.listeners[%zu].tls.certificateRefs", i);
        return ctl_res_refuse(ret, path, "is missing (mode Terminate needs a certificate)");
    }
    return GW_OK;
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
    GW_TRY(check_tls(l, i, ret));
    for (size_t j = 0; j < i; j++) {
        if (!same_place(l, json_array_get(listeners, j))) continue;
        snprintf(path, sizeof(path), "spec.listeners[%zu]", i);
        return ctl_res_refuse(ret, path,
                              "has the port, protocol and hostname of spec.listeners[%zu]", j);
    }
    snprintf(path, sizeof(path), "spec.listeners[%zu].allowedRoutes.namespaces.selector", i);
    return ctl_res_check_selector(gw_json_path(l, "allowedRoutes.namespaces.selector"), path, ret);
}

static struct gw_str address_type(const json_t *a) {
    struct gw_str s = gw_json_str(a, "type");
    return s.ptr ? s : GW_STR("IPAddress");
}

static enum gw_rc check_address(const json_t *list, size_t i, struct gw_schema_problem *ret) {
    const json_t *a = json_array_get(list, i);
    struct gw_str type = address_type(a), value = gw_json_str(a, "value");
    char path[64];
    snprintf(path, sizeof(path), "spec.addresses[%zu].value", i);
    if (value.len == 0) return GW_OK;
    if (gw_str_eq(type, GW_STR("IPAddress")) && !gw_str_is_ip(value))
        return ctl_res_refuse(ret, path, "'" GW_STR_FMT "' is not an IP address",
                              GW_STR_ARG(value));
    if (gw_str_eq(type, GW_STR("Hostname")) && !ctl_res_matches(value, CTL_P_HOSTNAME))
        return ctl_res_refuse(ret, path, "'" GW_STR_FMT "' " CTL_SAYS_HOSTNAME, GW_STR_ARG(value));
    for (size_t j = 0; j < i; j++) {
        const json_t *b = json_array_get(list, j);
        if (gw_str_eq(type, address_type(b)) && gw_str_eq(value, gw_json_str(b, "value")))
            return ctl_res_refuse(ret, path, "is the value of spec.addresses[%zu] too", j);
    }
    return GW_OK;
}

static enum gw_rc check(const json_t *obj, struct gw_schema_problem *ret) {
    const json_t *listeners = gw_json_path(obj, "spec.listeners");
    const json_t *addresses = gw_json_path(obj, "spec.addresses");
    for (size_t i = 0; i < json_array_size(listeners); i++)
        GW_TRY(check_listener(listeners, i, ret));
    for (size_t i = 0; i < json_array_size(addresses); i++)
        GW_TRY(check_address(addresses, i, ret));
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
