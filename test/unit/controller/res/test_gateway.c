// SPDX-License-Identifier: Apache-2.0
#include "test/unit/controller/res/cases.h"

#include <CUnit/CUnit.h>

#define RUN(cases) res_run_cases(&ctl_res_gateway, cases, GW_ARRAY_LEN(cases))
#define LISTENERS(l) "spec: {gatewayClassName: tandem, listeners: [" l "]}"
#define LISTENER(more) LISTENERS("{name: http, port: 80, protocol: HTTP" more "}")
#define AT "spec.listeners[0]"

static void listeners_are_checked(void) {
    static const struct res_case cases[] = {
        {"none", "spec: {gatewayClassName: tandem}", "spec.listeners is missing"},
        {"empty", LISTENERS(""), "spec.listeners: needs at least 1 entries"},
        {"no class", "spec: {listeners: [{name: http, port: 80, protocol: HTTP}]}",
         "spec.gatewayClassName is missing"},
        {"no name", LISTENERS("{port: 80, protocol: HTTP}"), AT ".name is missing"},
        {"no port", LISTENERS("{name: a, protocol: HTTP}"), AT ".port is missing"},
        {"no protocol", LISTENERS("{name: a, port: 80}"), AT ".protocol is missing"},
        {"port 0", LISTENERS("{name: a, port: 0, protocol: HTTP}"),
         AT ".port: 0 is not in 1..65535"},
        {"port 99999", LISTENERS("{name: a, port: 99999, protocol: HTTP}"),
         AT ".port: 99999 is not in 1..65535"},
        {"name", LISTENERS("{name: A, port: 80, protocol: HTTP}"),
         AT ".name: 'A' must be a DNS name (lower-case letters, digits, '-' and '.')"},
        {"name twice",
         LISTENERS("{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}"),
         "spec.listeners[1]: 'a' occurs twice (also in spec.listeners[0])"},
        {"place twice",
         LISTENERS("{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}"),
         "spec.listeners[1]: has the port, protocol and hostname of spec.listeners[0]"},
        {"hostname", LISTENER(", hostname: 'a..b'"),
         AT ".hostname: 'a..b' must be a DNS name in lower case, '*.' may lead it"},
        {"hostname of TCP", LISTENERS("{name: a, port: 80, protocol: TCP, hostname: a}"),
         AT ".hostname: has no meaning for protocol TCP"},
        {"one", LISTENER(""), NULL},
        {"hostnames share a port",
         LISTENERS(
             "{name: a, port: 80, protocol: HTTP, hostname: a}, {name: b, port: 80, protocol: "
             "HTTP, hostname: '*.a'}"),
         NULL},
        {"a protocol that is not served is a matter of status",
         LISTENERS("{name: a, port: 80, protocol: example.com/Foo}"), NULL},
    };
    RUN(cases);
}

static void allowed_routes_are_checked(void) {
    static const struct res_case cases[] = {
        {"from", LISTENER(", allowedRoutes: {namespaces: {from: None}}"),
         AT ".allowedRoutes.namespaces.from: 'None' is not one of All, Selector, Same"},
        {"operator",
         LISTENER(", allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: "
                  "[{key: a, operator: Is}]}}}"),
         AT
         ".allowedRoutes.namespaces.selector.matchExpressions[0].operator: 'Is' is not one of In, "
         "NotIn, Exists, DoesNotExist"},
        {"values missing",
         LISTENER(", allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: "
                  "[{key: a, operator: In}]}}}"),
         AT
         ".allowedRoutes.namespaces.selector.matchExpressions[0].values: is missing (operator is "
         "In)"},
        {"values too many",
         LISTENER(", allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: "
                  "[{key: a, operator: Exists, values: [b]}]}}}"),
         AT
         ".allowedRoutes.namespaces.selector.matchExpressions[0].values: must be empty (operator "
         "is Exists)"},
        {"kind missing", LISTENER(", allowedRoutes: {kinds: [{group: a}]}"),
         AT ".allowedRoutes.kinds[0].kind is missing"},
        {"all of it",
         LISTENER(", allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}, "
                  "matchExpressions: [{key: a, operator: In, values: [b]}, {key: c, operator: "
                  "DoesNotExist}]}}, kinds: [{kind: HTTPRoute}]}"),
         NULL},
    };
    RUN(cases);
}

static void fields_of_later_are_refused_by_name(void) {
    static const struct res_case cases[] = {
        {"tls", LISTENER(", tls: {mode: Terminate}"), AT ".tls is not supported yet"},
        {"filters", LISTENER(", filters: {}"), AT ".filters is not supported yet"},
        {"addresses", LISTENER("") "\n", NULL},
        {"addresses", "spec: {gatewayClassName: a, addresses: [], listeners: []}",
         "spec.addresses is not supported yet"},
        {"infrastructure", "spec: {gatewayClassName: a, infrastructure: {}, listeners: []}",
         "spec.infrastructure is not supported yet"},
        {"unknown", LISTENER(", portt: 1"), "unknown field " AT ".portt"},
    };
    RUN(cases);
}

static CU_TestInfo tests[] = {
    {"listeners are checked", listeners_are_checked},
    {"allowed routes are checked", allowed_routes_are_checked},
    {"fields of later are refused by name", fields_of_later_are_refused_by_name},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_res_gateway = {"gateway", NULL, NULL, NULL, NULL, tests};
