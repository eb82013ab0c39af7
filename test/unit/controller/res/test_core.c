// SPDX-License-Identifier: Apache-2.0
// Kinds of Kubernetes itself, GatewayClass and ReferenceGrant.
#include "test/unit/controller/res/cases.h"

#include <CUnit/CUnit.h>

#define RUN(kind, cases) res_run_cases(&ctl_res_##kind, cases, GW_ARRAY_LEN(cases))

static void gateway_class(void) {
    static const struct res_case cases[] = {
        {"no controller", "spec: {}", "spec.controllerName is missing"},
        {"no path", "spec: {controllerName: kgateway.dev}",
         "spec.controllerName: 'kgateway.dev' must be a domain and a path, such as "
         "kgateway.dev/tandem"},
        {"parameters", "spec: {controllerName: kgateway.dev/tandem, parametersRef: {name: a}}",
         "spec.parametersRef.group is missing"},
        {"description",
         "spec: {controllerName: a/b, description: "
         "'12345678901234567890123456789012345678901234567890123456789012345'}",
         "spec.description: is longer than 64 characters"},
        {"good", "spec: {controllerName: kgateway.dev/tandem, description: ours}", NULL},
    };
    RUN(gateway_class, cases);
}

static void reference_grant(void) {
    static const struct res_case cases[] = {
        {"no to", "spec: {from: [{group: '', kind: A, namespace: b}]}", "spec.to is missing"},
        {"empty from", "spec: {from: [], to: [{group: '', kind: Service}]}",
         "spec.from: needs at least 1 entries"},
        {"no namespace", "spec: {from: [{group: '', kind: A}], to: [{group: '', kind: Service}]}",
         "spec.from[0].namespace is missing"},
        {"no group", "spec: {from: [{group: a, kind: A, namespace: b}], to: [{kind: Service}]}",
         "spec.to[0].group is missing"},
        {"good",
         "spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: a}], to: "
         "[{group: '', kind: Service, name: s}]}",
         NULL},
    };
    RUN(reference_grant, cases);
}

#define TARGET_PORT                                                                                \
    "spec.ports[0].targetPort: must be in 1..65535 (a number, without quotes) or the name of a "   \
    "port (lower-case letters, digits and '-', at most 15)"

static void service(void) {
    static const struct res_case cases[] = {
        {"no ports", "spec: {selector: {a: b}}", "spec.ports: is missing"},
        {"port", "spec: {ports: [{port: 0}]}", "spec.ports[0].port: 0 is not in 1..65535"},
        {"protocol", "spec: {ports: [{port: 80, protocol: HTTP}]}",
         "spec.ports[0].protocol: 'HTTP' is not one of TCP, UDP, SCTP"},
        {"target port", "spec: {ports: [{port: 80, targetPort: 0}]}", TARGET_PORT},
        {"target in quotes", "spec: {ports: [{port: 80, targetPort: '8080'}]}", TARGET_PORT},
        {"protocol of the application", "spec: {ports: [{port: 80, appProtocol: a b}]}",
         "spec.ports[0].appProtocol: 'a b' must be a name such as http or kubernetes.io/h2c"},
        {"clusterIP", "spec: {clusterIP: none, ports: [{port: 80}]}",
         "spec.clusterIP: 'none' must be None or an IP address"},
        {"target name", "spec: {ports: [{port: 80, targetPort: a_b}]}", TARGET_PORT},
        {"unnamed", "spec: {ports: [{name: a, port: 80}, {port: 81}]}",
         "spec.ports[1].name: is missing (each of several ports needs a name)"},
        {"name twice", "spec: {ports: [{name: a, port: 80}, {name: a, port: 81}]}",
         "spec.ports[1]: has the name of spec.ports[0]"},
        {"port twice", "spec: {ports: [{name: a, port: 80}, {name: b, port: 80, protocol: TCP}]}",
         "spec.ports[1]: has the port and protocol of spec.ports[0]"},
        {"external without name", "spec: {type: ExternalName}",
         "spec.externalName: is missing (type is ExternalName)"},
        {"unknown", "spec: {prots: []}", "unknown field spec.prots"},
        {"headless without ports", "spec: {clusterIP: None, selector: {a: b}}", NULL},
        {"as a cluster prints it",
         "spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], internalTrafficPolicy: Cluster, "
         "ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, ports: [{name: http, port: 80, "
         "protocol: "
         "TCP, targetPort: web, nodePort: 30080}], selector: {app: web}, sessionAffinity: None, "
         "type: NodePort}\nstatus: {loadBalancer: {}}",
         NULL},
    };
    RUN(service, cases);
}

static void endpoint_slice(void) {
    static const struct res_case cases[] = {
        {"no type", "endpoints: []", "addressType is missing"},
        {"type", "addressType: IP", "addressType: 'IP' is not one of IPv4, IPv6, FQDN"},
        {"no addresses", "addressType: IPv4\nendpoints: [{}]", "endpoints[0].addresses is missing"},
        {"address", "addressType: IPv4\nendpoints: [{addresses: [10.0.0.256]}]",
         "endpoints[0].addresses[0]: '10.0.0.256' is not an address of type IPv4"},
        {"other family", "addressType: IPv6\nendpoints: [{addresses: [10.0.0.1]}]",
         "endpoints[0].addresses[0]: '10.0.0.1' is not an address of type IPv6"},
        {"unspecified", "addressType: IPv4\nendpoints: [{addresses: [0.0.0.0]}]",
         "endpoints[0].addresses[0]: '0.0.0.0' is the unspecified address: no endpoint can be "
         "there"},
        {"link-local",
         "addressType: IPv6\nendpoints: [{addresses: [10::1]}, {addresses: [febf::1]}]",
         "endpoints[1].addresses[0]: 'febf::1' is link-local (fe80::/10): no endpoint can be "
         "there"},
        {"multicast", "addressType: IPv4\nendpoints: [{addresses: [224.0.0.251]}]",
         "endpoints[0].addresses[0]: '224.0.0.251' is a multicast address: no endpoint can be "
         "there"},
        {"ports of one name",
         "addressType: IPv4\nports: [{name: a, port: 1}, {name: b, port: 1}, {name: a, port: 2}]",
         "ports[2].name: 'a' is the name of ports[0] too"},
        {"ready", "addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], conditions: {ready: 1}}]",
         "endpoints[0].conditions.ready: must be true or false, not an integer"},
        {"unknown", "addressType: IPv4\nendpoint: []", "unknown field endpoint"},
        {"good",
         "addressType: IPv4\nendpoints: [{addresses: [127.0.0.1], conditions: {ready: true, "
         "serving: "
         "true, terminating: false}, nodeName: n, zone: z, targetRef: {kind: Pod}}]\nports: "
         "[{name: "
         "'', port: 80, protocol: TCP}]",
         NULL},
        {"null lists", "addressType: IPv4\nendpoints: null\nports: null", NULL},
        {"IPv6", "addressType: IPv6\nendpoints: [{addresses: ['::1']}]", NULL},
        {"FQDN", "addressType: FQDN\nendpoints: [{addresses: [a.example.com]}]", NULL},
    };
    RUN(endpoint_slice, cases);
}

static void namespace(void) {
    static const struct res_case cases[] = {
        {"unknown", "sepc: {}", "unknown field sepc"},
        {"good", "spec: {finalizers: [kubernetes]}\nstatus: {phase: Active}", NULL},
    };
    RUN(namespace, cases);
}

static CU_TestInfo tests[] = {
    {"GatewayClass", gateway_class},
    {"ReferenceGrant", reference_grant},
    {"Service", service},
    {"EndpointSlice", endpoint_slice},
    {"Namespace", namespace},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_res_core = {"core", NULL, NULL, NULL, NULL, tests};
