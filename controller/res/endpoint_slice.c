// SPDX-License-Identifier: Apache-2.0
// Kind EndpointSlice: addresses and ports of a Service's endpoints. Unlike an API server this table
// takes loopback addresses: in a folder they are the ordinary case.
#include "controller/res/fields.h"

#include <arpa/inet.h>

static const char *const address_types[] = {"IPv4", "IPv6", "FQDN", NULL};
static const char *const protocols[] = {"TCP", "UDP", "SCTP", NULL};

static const struct gw_field conditions[] = {
    CTL_F_BOOL("ready", 0),
    CTL_F_BOOL("serving", 0),
    CTL_F_BOOL("terminating", 0),
    CTL_F_END,
};
static const struct gw_field address_elem = CTL_F_TEXT("", 0, 1, 253);
static const struct gw_field endpoint[] = {
    CTL_F_LIST("addresses", GW_F_REQUIRED, 1, 100, &address_elem),
    CTL_F_OBJECT("conditions", 0, conditions),
    CTL_F_ANY("hostname"),
    CTL_F_ANY("targetRef"),
    CTL_F_ANY("nodeName"),
    CTL_F_ANY("zone"),
    CTL_F_ANY("hints"),
    CTL_F_ANY("deprecatedTopology"),
    CTL_F_END,
};
static const struct gw_field endpoint_elem = CTL_F_OBJECT("", 0, endpoint);
static const struct gw_field port[] = {
    CTL_F_PATTERN("name", 0, 0, 63, "(" CTL_P_LABEL ")?", CTL_SAYS_LABEL),
    CTL_F_ENUM("protocol", 0, protocols),
    CTL_F_PORT("port", 0),
    CTL_F_TEXT("appProtocol", 0, 1, 253),
    CTL_F_END,
};
static const struct gw_field port_elem = CTL_F_OBJECT("", 0, port);

static const struct gw_field fields[] = {
    CTL_F_ENUM("addressType", GW_F_REQUIRED, address_types),
    CTL_F_LIST("endpoints", 0, 0, 1000, &endpoint_elem),
    CTL_F_LIST("ports", 0, 0, 100, &port_elem),
    CTL_F_END,
};

static bool is_address(struct gw_str type, struct gw_str text) {
    char copy[254];
    unsigned char parsed[16];
    if (text.len >= sizeof(copy) || memchr(text.ptr, 0, text.len)) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    if (gw_str_eq(type, GW_STR("IPv4"))) return inet_pton(AF_INET, copy, parsed) == 1;
    if (gw_str_eq(type, GW_STR("IPv6"))) return inet_pton(AF_INET6, copy, parsed) == 1;
    return ctl_res_matches(text, CTL_P_SUBDOMAIN);
}

static enum gw_rc check(const json_t *obj, struct gw_schema_problem *ret) {
    struct gw_str type = gw_json_str(obj, "addressType");
    const json_t *endpoints = gw_json_get(obj, "endpoints");
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const json_t *addresses = gw_json_get(json_array_get(endpoints, i), "addresses");
        for (size_t j = 0; j < json_array_size(addresses); j++) {
            struct gw_str a = gw_json_str_of(json_array_get(addresses, j));
            if (is_address(type, a)) continue;
            char path[64];
            snprintf(path, sizeof(path), "endpoints[%zu].addresses[%zu]", i, j);
            return ctl_res_refuse(ret, path,
                                  "'" GW_STR_FMT "' is not an address of type " GW_STR_FMT,
                                  GW_STR_ARG(a), GW_STR_ARG(type));
        }
    }
    return GW_OK;
}

static const char *const versions[] = {"v1", NULL};

const struct ctl_res_kind ctl_res_endpoint_slice = {
    .name = "EndpointSlice",
    .group = "discovery.k8s.io",
    .versions = versions,
    .plural = "endpointslices",
    .short_name = NULL,
    .namespaced = true,
    .builtin = true,
    .fields = fields,
    .check = check,
};
