// SPDX-License-Identifier: Apache-2.0
// Kind Service: a gateway reads its ports; what concerns only a cluster's own proxies is taken as
// it is, because people paste whole manifests.
#include "controller/res/fields.h"

static const char *const protocols[] = {"TCP", "UDP", "SCTP", NULL};
static const char *const types[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName", NULL};

static const struct gw_field port[] = {
    CTL_F_LABEL("name", 0),
    CTL_F_ENUM("protocol", 0, protocols),
    CTL_F_TEXT("appProtocol", 0, 1, 253),
    CTL_F_PORT("port", GW_F_REQUIRED),
    {.name = "targetPort", .type = GW_F_INT_OR_STRING},
    CTL_F_ANY("nodePort"),
    CTL_F_END,
};
static const struct gw_field port_elem = CTL_F_OBJECT("", 0, port);

static const struct gw_field spec[] = {
    CTL_F_LIST("ports", 0, 0, 1024, &port_elem),
    CTL_F_ENUM("type", 0, types),
    CTL_F_TEXT("clusterIP", 0, 0, 64),
    CTL_F_PATTERN("externalName", 0, 1, 253, CTL_P_SUBDOMAIN, CTL_SAYS_SUBDOMAIN),
    CTL_F_ANY("selector"),
    CTL_F_ANY("clusterIPs"),
    CTL_F_ANY("externalIPs"),
    CTL_F_ANY("sessionAffinity"),
    CTL_F_ANY("sessionAffinityConfig"),
    CTL_F_ANY("loadBalancerIP"),
    CTL_F_ANY("loadBalancerSourceRanges"),
    CTL_F_ANY("loadBalancerClass"),
    CTL_F_ANY("allocateLoadBalancerNodePorts"),
    CTL_F_ANY("externalTrafficPolicy"),
    CTL_F_ANY("internalTrafficPolicy"),
    CTL_F_ANY("healthCheckNodePort"),
    CTL_F_ANY("publishNotReadyAddresses"),
    CTL_F_ANY("ipFamilies"),
    CTL_F_ANY("ipFamilyPolicy"),
    CTL_F_ANY("trafficDistribution"),
    CTL_F_END,
};

static const struct gw_field fields[] = {
    CTL_F_OBJECT("spec", GW_F_REQUIRED, spec),
    CTL_F_END,
};

static struct gw_str protocol_of(const json_t *p) {
    struct gw_str s = gw_json_str(p, "protocol");
    return s.ptr ? s : GW_STR("TCP");
}

// Whether a targetPort can be one: 1..65535, or the name of a container's port, which has a letter
// (RFC 6335 5.1), so that "8080" is a mistake and no name.
static bool is_target_port(const json_t *v) {
    if (!v || json_is_null(v)) return true;
    if (json_is_integer(v)) return json_integer_value(v) >= 1 && json_integer_value(v) <= 65535;
    struct gw_str s = gw_json_str_of(v);
    return s.len >= 1 && s.len <= 15 && ctl_res_matches(s, CTL_P_LABEL) &&
           ctl_res_matches(s, ".*[a-z].*");
}

static enum gw_rc check_port(const json_t *ports, size_t i, struct gw_schema_problem *ret) {
    const json_t *p = json_array_get(ports, i);
    char path[64];
    if (!is_target_port(json_object_get(p, "targetPort"))) {
        snprintf(path, sizeof(path), "spec.ports[%zu].targetPort", i);
        return ctl_res_refuse(ret, path,
                              "must be in 1..65535 (a number, without quotes) or the name of a "
                              "port (lower-case letters, digits and '-', at most 15)");
    }
    struct gw_str protocol = gw_json_str(p, "appProtocol");
    if (protocol.ptr && !ctl_res_is_qualified(protocol)) {
        snprintf(path, sizeof(path), "spec.ports[%zu].appProtocol", i);
        return ctl_res_refuse(ret, path,
                              "'" GW_STR_FMT "' must be a name such as http or kubernetes.io/h2c",
                              GW_STR_ARG(protocol));
    }
    struct gw_str name = gw_json_str(p, "name");
    if (!name.ptr && json_array_size(ports) > 1) {
        snprintf(path, sizeof(path), "spec.ports[%zu].name", i);
        return ctl_res_refuse(ret, path, "is missing (each of several ports needs a name)");
    }
    for (size_t j = 0; j < i; j++) {
        const json_t *q = json_array_get(ports, j);
        snprintf(path, sizeof(path), "spec.ports[%zu]", i);
        if (name.ptr && gw_str_eq(name, gw_json_str(q, "name")))
            return ctl_res_refuse(ret, path, "has the name of spec.ports[%zu]", j);
        if (gw_json_int(p, "port", 0) == gw_json_int(q, "port", 0) &&
            gw_str_eq(protocol_of(p), protocol_of(q)))
            return ctl_res_refuse(ret, path, "has the port and protocol of spec.ports[%zu]", j);
    }
    return GW_OK;
}

#define SHOWN_MAX 64 // of a text that is no address

static enum gw_rc check_cluster_ip(struct gw_str s, struct gw_schema_problem *ret) {
    if (s.len == 0 || gw_str_eq(s, GW_STR("None")) || gw_str_is_ip(s)) return GW_OK;
    if (s.len > SHOWN_MAX) s.len = SHOWN_MAX;
    return ctl_res_refuse(ret, "spec.clusterIP", "'" GW_STR_FMT "' must be None or an IP address",
                          GW_STR_ARG(s));
}

static enum gw_rc check(const json_t *obj, struct gw_schema_problem *ret) {
    const json_t *spec_of = gw_json_get(obj, "spec");
    const json_t *ports = gw_json_get(spec_of, "ports");
    for (size_t i = 0; i < json_array_size(ports); i++)
        GW_TRY(check_port(ports, i, ret));
    GW_TRY(check_cluster_ip(gw_json_str(spec_of, "clusterIP"), ret));
    struct gw_str type = gw_json_str(spec_of, "type");
    bool external = gw_str_eq(type, GW_STR("ExternalName"));
    if (external && !gw_json_get(spec_of, "externalName"))
        return ctl_res_refuse(ret, "spec.externalName", "is missing (type is ExternalName)");
    // A headless Service may have no ports; such a one cannot be a backendRef, which needs a port.
    if (!external && json_array_size(ports) == 0 &&
        !gw_str_eq(gw_json_str(spec_of, "clusterIP"), GW_STR("None")))
        return ctl_res_refuse(ret, "spec.ports", "is missing");
    return GW_OK;
}

static const char *const versions[] = {"v1", NULL};

const struct ctl_res_kind ctl_res_service = {
    .name = "Service",
    .group = "",
    .versions = versions,
    .plural = "services",
    .short_name = "svc",
    .namespaced = true,
    .builtin = true,
    .name_is_label = true,
    .fields = fields,
    .check = check,
};
