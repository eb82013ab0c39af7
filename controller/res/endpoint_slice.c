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

// Where no endpoint can be, as API servers have it; NULL: nothing is wrong with the address.
static const char *range_v4(const unsigned char *a) {
    static const unsigned char any[4];
    if (memcmp(a, any, 4) == 0) return "is the unspecified address";
    if (a[0] == 169 && a[1] == 254) return "is link-local (169.254.0.0/16)";
    if (a[0] == 224 && a[1] == 0 && a[2] == 0) return "is a multicast address";
    return NULL;
}

static const char *range_v6(const unsigned char *a) {
    static const unsigned char any[16];
    if (memcmp(a, any, 16) == 0) return "is the unspecified address";
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) return "is link-local (fe80::/10)";
    if (a[0] == 0xff && (a[1] & 0x0f) == 0x02) return "is a multicast address";
    return NULL;
}

static enum gw_rc check_address(struct gw_str type, struct gw_str text, const char *path,
                                struct gw_schema_problem *ret) {
    char copy[254];
    unsigned char parsed[16];
    bool is_v4 = gw_str_eq(type, GW_STR("IPv4")), is_v6 = gw_str_eq(type, GW_STR("IPv6"));
    bool ok = text.len < sizeof(copy) && !memchr(text.ptr, 0, text.len);
    if (ok) {
        memcpy(copy, text.ptr, text.len);
        copy[text.len] = 0;
        ok = is_v4   ? inet_pton(AF_INET, copy, parsed) == 1
             : is_v6 ? inet_pton(AF_INET6, copy, parsed) == 1
                     : ctl_res_matches(text, CTL_P_SUBDOMAIN);
    }
    if (!ok)
        return ctl_res_refuse(ret, path, "'" GW_STR_FMT "' is not an address of type " GW_STR_FMT,
                              GW_STR_ARG(text), GW_STR_ARG(type));
    const char *why = is_v4 ? range_v4(parsed) : is_v6 ? range_v6(parsed) : NULL;
    return why ? ctl_res_refuse(ret, path, "'%s' %s: no endpoint can be there", copy, why) : GW_OK;
}

static enum gw_rc check_ports(const json_t *ports, struct gw_schema_problem *ret) {
    char path[64];
    for (size_t i = 0; i < json_array_size(ports); i++) {
        for (size_t k = 0; k < i; k++) {
            struct gw_str name = gw_json_str(json_array_get(ports, i), "name");
            if (!gw_str_eq(name, gw_json_str(json_array_get(ports, k), "name"))) continue;
            snprintf(path, sizeof(path), "ports[%zu].name", i);
            return ctl_res_refuse(ret, path, "'" GW_STR_FMT "' is the name of ports[%zu] too",
                                  GW_STR_ARG(name), k);
        }
    }
    return GW_OK;
}

static enum gw_rc check(const json_t *obj, struct gw_schema_problem *ret) {
    struct gw_str type = gw_json_str(obj, "addressType");
    const json_t *endpoints = gw_json_get(obj, "endpoints");
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const json_t *addresses = gw_json_get(json_array_get(endpoints, i), "addresses");
        for (size_t j = 0; j < json_array_size(addresses); j++) {
            char path[64];
            snprintf(path, sizeof(path), "endpoints[%zu].addresses[%zu]", i, j);
            GW_TRY(check_address(type, gw_json_str_of(json_array_get(addresses, j)), path, ret));
        }
    }
    return check_ports(gw_json_get(obj, "ports"), ret);
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
