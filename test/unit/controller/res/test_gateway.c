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

static void tls_is_checked(void) {
#define TLS(protocol, rest)                                                                        \
    "spec: {gatewayClassName: a, listeners: [{name: x, port: 443, protocol: " protocol rest "}]}"
    static const struct res_case cases[] = {
        {"on HTTP", TLS("HTTP", ", tls: {certificateRefs: [{name: a}]}"),
         AT ".tls: has no meaning for protocol HTTP (a listener that ends TLS has protocol HTTPS)"},
        {"on TCP", TLS("TCP", ", tls: {}"),
         AT ".tls: has no meaning for protocol TCP (a listener that ends TLS has protocol HTTPS)"},
        {"passthrough", TLS("HTTPS", ", tls: {mode: Passthrough}"),
         AT ".tls.mode: 'Passthrough' is for protocol TLS; one of protocol HTTPS is 'Terminate'"},
        {"unknown mode", TLS("HTTPS", ", tls: {mode: Reencrypt}"),
         AT ".tls.mode: 'Reencrypt' is not one of Terminate, Passthrough"},
        {"TLS without a mode", TLS("TLS", ""), AT ".tls.mode: is missing (protocol is TLS)"},
        {"no certificate", TLS("HTTPS", ", tls: {}"),
         AT ".tls.certificateRefs: is missing (mode Terminate needs a certificate)"},
        {"no certificate, empty", TLS("HTTPS", ", tls: {mode: Terminate, certificateRefs: []}"),
         AT ".tls.certificateRefs: is missing (mode Terminate needs a certificate)"},
        {"no name", TLS("HTTPS", ", tls: {certificateRefs: [{kind: Secret}]}"),
         AT ".tls.certificateRefs[0].name is missing"},
        {"unknown", TLS("HTTPS", ", tls: {certificateRefs: [{name: a}], minVersion: '1.3'}"),
         "unknown field " AT ".tls.minVersion"},
        {"of a client",
         TLS("HTTPS", ", tls: {certificateRefs: [{name: a}], frontendValidation: {}}"),
         "unknown field " AT ".tls.frontendValidation"},
        {"without", TLS("HTTPS", ""), NULL},
        {"good",
         TLS("HTTPS", ", tls: {mode: Terminate, certificateRefs: [{name: a}, {group: '', kind: "
                      "Secret, name: b, namespace: c}], options: {a/b: c}}"),
         NULL},
        {"passed through", TLS("TLS", ", tls: {mode: Passthrough}"), NULL},
    };
    RUN(cases);
}

static void addresses_and_infrastructure_are_checked(void) {
#define SPEC(rest)                                                                                 \
    "spec: {gatewayClassName: a, listeners: [{name: x, port: 80, protocol: HTTP}], " rest "}"
    static const struct res_case cases[] = {
        {"no IP", SPEC("addresses: [{value: edge.example.com}]"),
         "spec.addresses[0].value: 'edge.example.com' is not an IP address"},
        {"no host name", SPEC("addresses: [{type: Hostname, value: a_b}]"),
         "spec.addresses[0].value: 'a_b' must be a DNS name in lower case, '*.' may lead it"},
        {"twice", SPEC("addresses: [{value: 192.0.2.1}, {type: IPAddress, value: 192.0.2.1}]"),
         "spec.addresses[1].value: is the value of spec.addresses[0] too"},
        {"type", SPEC("addresses: [{type: Pool}]"),
         "spec.addresses[0].type: 'Pool' must be IPAddress, Hostname, or a domain and a name"},
        {"label", SPEC("infrastructure: {labels: {a: 'b c'}}"),
         "spec.infrastructure.labels.a: 'b c' must be a label's value"},
        {"parameters", SPEC("infrastructure: {parametersRef: {group: a, kind: B}}"),
         "spec.infrastructure.parametersRef.name is missing"},
        {"good",
         SPEC("addresses: [{}, {value: ''}, {value: '2001:db8::1'}, {type: example.com/pool, "
              "value: x}], infrastructure: {labels: {a: b}, annotations: {a: b c}, parametersRef: "
              "{group: a, kind: B, name: c}}"),
         NULL},
    };
    RUN(cases);
}

static void fields_of_later_are_refused_by_name(void) {
    static const struct res_case cases[] = {
        {"filters", LISTENER(", filters: {}"), AT ".filters is not supported yet"},
        {"client certificates", SPEC("tls: {frontend: {default: {}}}"),
         "spec.tls is not supported yet"},
        {"allowed listeners", SPEC("allowedListeners: {}"),
         "spec.allowedListeners is not supported yet"},
        {"default scope", SPEC("defaultScope: All"), "spec.defaultScope is not supported yet"},
        {"unknown", LISTENER(", portt: 1"), "unknown field " AT ".portt"},
    };
    RUN(cases);
}

static CU_TestInfo tests[] = {
    {"listeners are checked", listeners_are_checked},
    {"allowed routes are checked", allowed_routes_are_checked},
    {"TLS is checked", tls_is_checked},
    {"addresses and infrastructure are checked", addresses_and_infrastructure_are_checked},
    {"fields of later are refused by name", fields_of_later_are_refused_by_name},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_res_gateway = {"gateway", NULL, NULL, NULL, NULL, tests};
