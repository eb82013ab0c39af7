// SPDX-License-Identifier: Apache-2.0
#include "test/unit/controller/res/cases.h"

#include <CUnit/CUnit.h>

#define RUN(cases) res_run_cases(&ctl_res_http_route, cases, GW_ARRAY_LEN(cases))
#define MATCH(m) "spec: {rules: [{matches: [" m "]}]}"
#define PATH(p) MATCH("{path: {value: \"" p "\"}}")
#define AT "spec.rules[0].matches[0]"
#define FILTER(f) "spec: {rules: [{filters: [" f "]}]}"

static void paths_are_checked(void) {
    static const struct res_case cases[] = {
        {"relative", PATH("a"), AT ".path.value: 'a' must begin with '/'"},
        {"empty", PATH(""), AT ".path.value: '' must begin with '/'"},
        {"double slash", PATH("/a//b"), AT ".path.value: '/a//b' must not contain '//'"},
        {"dot", PATH("/a/./b"), AT ".path.value: '/a/./b' must not contain '/./'"},
        {"dots", PATH("/a/../b"), AT ".path.value: '/a/../b' must not contain '/../'"},
        {"escaped slash", PATH("/a%2fb"), AT ".path.value: '/a%2fb' must not contain '%2f'"},
        {"escaped slash, big", PATH("/a%2Fb"), AT ".path.value: '/a%2Fb' must not contain '%2F'"},
        {"fragment", PATH("/a#b"), AT ".path.value: '/a#b' must not contain '#'"},
        {"ends in dots", PATH("/a/.."), AT ".path.value: '/a/..' must not end with '/..'"},
        {"ends in dot", PATH("/a/."), AT ".path.value: '/a/.' must not end with '/.'"},
        {"blank", PATH("/a b"),
         AT ".path.value: '/a b' holds characters that a path may hold only as %XX"},
        {"bad escape", PATH("/a%2"),
         AT ".path.value: '/a%2' holds characters that a path may hold only as %XX"},
        {"query", PATH("/a?b"),
         AT ".path.value: '/a?b' holds characters that a path may hold only as %XX"},
        {"root", PATH("/"), NULL},
        {"escape", PATH("/a%20b"), NULL},
        {"all characters", PATH("/-._~!$&'()*+,;=:@"), NULL},
        {"exact", MATCH("{path: {type: Exact, value: /a}}"), NULL},
        {"no value", MATCH("{path: {type: PathPrefix}}"), NULL},
    };
    RUN(cases);
}

static void types_are_checked(void) {
    static const struct res_case cases[] = {
        {"path, unknown", MATCH("{path: {type: Prefix, value: /}}"),
         AT ".path.type: 'Prefix' is not one of Exact, PathPrefix, RegularExpression"},
        {"path, unbuilt", MATCH("{path: {type: RegularExpression, value: '^/a.*'}}"),
         AT ".path.type: 'RegularExpression' is not supported yet"},
        {"header, unbuilt", MATCH("{headers: [{type: RegularExpression, name: a, value: b}]}"),
         AT ".headers[0].type: 'RegularExpression' is not supported yet"},
        {"query, unbuilt", MATCH("{queryParams: [{type: RegularExpression, name: a, value: b}]}"),
         AT ".queryParams[0].type: 'RegularExpression' is not supported yet"},
        {"method", MATCH("{method: get}"),
         AT ".method: 'get' is not one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, "
            "PATCH"},
        {"all of one",
         MATCH("{method: GET, path: {value: /a}, headers: [{name: a, value: b}], "
               "queryParams: [{name: q, value: '1'}]}"),
         NULL},
    };
    RUN(cases);
}

static void headers_are_checked(void) {
    static const struct res_case cases[] = {
        {"name", MATCH("{headers: [{name: 'a b', value: c}]}"),
         AT ".headers[0].name: 'a b' must be the name of an HTTP header"},
        {"no name", MATCH("{headers: [{value: c}]}"), AT ".headers[0].name is missing"},
        {"no value", MATCH("{headers: [{name: c}]}"), AT ".headers[0].value is missing"},
        {"value", MATCH("{headers: [{name: a, value: ' c'}]}"),
         AT
         ".headers[0].value: ' c' must be printable ASCII without blanks at its ends or two in a "
         "row"},
        {"twice", MATCH("{headers: [{name: a, value: b}, {name: a, value: c}]}"),
         AT ".headers[1]: 'a' occurs twice (also in " AT ".headers[0])"},
        {"query twice", MATCH("{queryParams: [{name: a, value: b}, {name: a, value: c}]}"),
         AT ".queryParams[1]: 'a' occurs twice (also in " AT ".queryParams[0])"},
        {"value with blanks", MATCH("{headers: [{name: a, value: b c d}]}"), NULL},
    };
    RUN(cases);
}

static void filters_are_checked(void) {
    static const struct res_case cases[] = {
        {"unknown type", FILTER("{type: Foo}"),
         "spec.rules[0].filters[0].type: 'Foo' is not one of RequestHeaderModifier, "
         "ResponseHeaderModifier, RequestMirror, RequestRedirect, URLRewrite, ExtensionRef, CORS, "
         "ExternalAuth"},
        {"unbuilt type", FILTER("{type: ExtensionRef}"),
         "spec.rules[0].filters[0].type: 'ExtensionRef' is not supported yet"},
        {"unbuilt member", FILTER("{type: ExternalAuth, externalAuth: {protocol: HTTP}}"),
         "spec.rules[0].filters[0].externalAuth is not supported yet"},
        {"no settings", FILTER("{type: RequestHeaderModifier}"),
         "spec.rules[0].filters[0].requestHeaderModifier: is missing (type is "
         "RequestHeaderModifier)"},
        {"foreign settings",
         FILTER("{type: RequestHeaderModifier, requestHeaderModifier: {}, responseHeaderModifier: "
                "{}}"),
         "spec.rules[0].filters[0].responseHeaderModifier: does not belong to type "
         "RequestHeaderModifier"},
        {"twice",
         FILTER("{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}, {type: "
                "RequestHeaderModifier, requestHeaderModifier: {remove: [b]}}"),
         "spec.rules[0].filters[1].type: 'RequestHeaderModifier' is given twice"},
        {"header twice",
         FILTER("{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}, "
                "{name: a, value: c}]}}"),
         "spec.rules[0].filters[0].requestHeaderModifier.set[1]: 'a' occurs twice (also in "
         "spec.rules[0].filters[0].requestHeaderModifier.set[0])"},
        {"removed twice",
         FILTER("{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a, b, a]}}"),
         "spec.rules[0].filters[0].requestHeaderModifier.remove[2]: 'a' is given twice"},
        {"removed is no name",
         FILTER("{type: RequestHeaderModifier, requestHeaderModifier: {remove: ['a:']}}"),
         "spec.rules[0].filters[0].requestHeaderModifier.remove[0]: 'a:' must be the name of an "
         "HTTP "
         "header"},
        {"both kinds",
         FILTER(
             "{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: a, value: b}]}}, "
             "{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [server]}}"),
         NULL},
    };
    RUN(cases);
}

static void backends_are_checked(void) {
    static const struct res_case cases[] = {
        {"no name", "spec: {rules: [{backendRefs: [{port: 80}]}]}",
         "spec.rules[0].backendRefs[0].name is missing"},
        {"no port", "spec: {rules: [{backendRefs: [{name: a}]}]}",
         "spec.rules[0].backendRefs[0].port: is missing (a Service needs one)"},
        {"port 0", "spec: {rules: [{backendRefs: [{name: a, port: 0}]}]}",
         "spec.rules[0].backendRefs[0].port: 0 is not in 1..65535"},
        {"port 65536", "spec: {rules: [{backendRefs: [{name: a, port: 65536}]}]}",
         "spec.rules[0].backendRefs[0].port: 65536 is not in 1..65535"},
        {"port as text", "spec: {rules: [{backendRefs: [{name: a, port: '80'}]}]}",
         "spec.rules[0].backendRefs[0].port: must be an integer, not a string"},
        {"weight", "spec: {rules: [{backendRefs: [{name: a, port: 80, weight: -1}]}]}",
         "spec.rules[0].backendRefs[0].weight: -1 is not in 0..1000000"},
        {"weight, big", "spec: {rules: [{backendRefs: [{name: a, port: 80, weight: 1000001}]}]}",
         "spec.rules[0].backendRefs[0].weight: 1000001 is not in 0..1000000"},
        {"namespace", "spec: {rules: [{backendRefs: [{name: a, namespace: A, port: 80}]}]}",
         "spec.rules[0].backendRefs[0].namespace: 'A' must be a DNS label (lower-case letters, "
         "digits and '-')"},
        {"weighted",
         "spec: {rules: [{backendRefs: [{name: a, port: 80, weight: 0}, {name: b, namespace: c, "
         "port: 8080, weight: 1000000}]}]}",
         NULL},
        {"LLMBackend",
         "spec: {rules: [{backendRefs: [{group: kgateway.dev, kind: LLMBackend, name: a}]}]}",
         NULL},
        {"a kind that is unknown is a matter of status",
         "spec: {rules: [{backendRefs: [{group: example.com, kind: Foo, name: a}]}]}", NULL},
    };
    RUN(cases);
}

static void fields_of_later_are_refused_by_name(void) {
    static const struct res_case cases[] = {
        {"retry", "spec: {rules: [{retry: {attempts: 1}}]}",
         "spec.rules[0].retry is not supported yet"},
        {"sessionPersistence", "spec: {rules: [{sessionPersistence: {}}]}",
         "spec.rules[0].sessionPersistence is not supported yet"},
        {"useDefaultGateways", "spec: {useDefaultGateways: All}",
         "spec.useDefaultGateways is not supported yet"},
        {"unknown", "spec: {rulez: []}", "unknown field spec.rulez"},
        {"unknown, deep", "spec: {rules: [{matches: [{path: {vlaue: /}}]}]}",
         "unknown field " AT ".path.vlaue"},
        {"unknown, top", "spec: {}\nspecs: {}", "unknown field specs"},
    };
    RUN(cases);
}

static void parents_are_checked(void) {
    static const struct res_case cases[] = {
        {"no name", "spec: {parentRefs: [{sectionName: a}]}", "spec.parentRefs[0].name is missing"},
        {"same", "spec: {parentRefs: [{name: a}, {name: a}]}",
         "spec.parentRefs[1]: is the same as spec.parentRefs[0]"},
        {"same, defaults written out",
         "spec: {parentRefs: [{name: a}, {group: gateway.networking.k8s.io, kind: Gateway, name: "
         "a}]}",
         "spec.parentRefs[1]: is the same as spec.parentRefs[0]"},
        {"one with section", "spec: {parentRefs: [{name: a}, {name: a, sectionName: b}]}",
         "spec.parentRefs[1]: names the parent of spec.parentRefs[0]: both must set sectionName, "
         "or "
         "port, or both"},
        {"section name", "spec: {parentRefs: [{name: a, sectionName: A}]}",
         "spec.parentRefs[0].sectionName: 'A' must be a DNS name (lower-case letters, digits, '-' "
         "and '.')"},
        {"sections", "spec: {parentRefs: [{name: a, sectionName: b}, {name: a, sectionName: c}]}",
         NULL},
        {"namespaces", "spec: {parentRefs: [{name: a}, {name: a, namespace: b}]}", NULL},
    };
    RUN(cases);
}

static void hostnames_are_checked(void) {
    static const struct res_case cases[] = {
        {"upper case", "spec: {hostnames: [A.example.com]}",
         "spec.hostnames[0]: 'A.example.com' must be a DNS name in lower case, '*.' may lead it"},
        {"star inside", "spec: {hostnames: [a.*.com]}",
         "spec.hostnames[0]: 'a.*.com' must be a DNS name in lower case, '*.' may lead it"},
        {"star alone", "spec: {hostnames: ['*']}",
         "spec.hostnames[0]: '*' must be a DNS name in lower case, '*.' may lead it"},
        {"port", "spec: {hostnames: ['a:80']}",
         "spec.hostnames[0]: 'a:80' must be a DNS name in lower case, '*.' may lead it"},
        {"trailing dot", "spec: {hostnames: ['a.']}",
         "spec.hostnames[0]: 'a.' must be a DNS name in lower case, '*.' may lead it"},
        {"newline", "spec: {hostnames: [\"a\\nb\"]}",
         "spec.hostnames[0]: 'a\nb' must be a DNS name in lower case, '*.' may lead it"},
        {"good", "spec: {hostnames: [a, '*.b.example.com', xn--80ak6aa92e.com]}", NULL},
    };
    RUN(cases);
}

// A list of n equal parts in a text of the test's own.
static void check_count(const char *before, const char *part, size_t n, const char *after,
                        const char *want) {
    struct gw_text t = {0};
    gw_text_adds(&t, before);
    for (size_t i = 0; i < n; i++)
        gw_text_addf(&t, "%s%s", i ? ", " : "", part);
    gw_text_adds(&t, after);
    struct res_case one = {"count", t.ptr, want};
    res_run_cases(&ctl_res_http_route, &one, 1);
    gw_text_fini(&t);
}

static void counts_are_bounded(void) {
    check_count("spec: {rules: [", "{}", 0, "]}", "spec.rules: needs at least 1 entries");
    check_count("spec: {rules: [", "{}", 17, "]}",
                "spec.rules: has 17 entries, at most 16 are allowed");
    check_count("spec: {rules: [", "{}", 16, "]}", NULL);
    check_count("spec: {rules: [{matches: [", "{}", 65, "]}]}",
                "spec.rules[0].matches: has 65 entries, at most 64 are allowed");
    check_count("spec: {rules: [{matches: [", "{}", 64, "]}]}", NULL);
    check_count("spec: {hostnames: [", "a", 17, "]}",
                "spec.hostnames: has 17 entries, at most 16 are allowed");
    check_count("spec: {rules: [", "{matches: [{}, {}, {}, {}, {}, {}, {}, {}, {}]}", 15, "]}",
                "spec.rules: have 135 matches together, more than 128");
    check_count("spec: {rules: [", "{matches: [{}, {}, {}, {}, {}, {}, {}, {}]}", 16, "]}", NULL);
}

static void rule_names_are_unique(void) {
    static const struct res_case cases[] = {
        {"twice", "spec: {rules: [{name: a}, {name: b}, {name: a}]}",
         "spec.rules[2].name: 'a' is the name of spec.rules[0] too"},
        {"several without", "spec: {rules: [{}, {name: a}, {}]}", NULL},
    };
    RUN(cases);
}

#define F0 "spec.rules[0].filters[0]"
#define REDIRECT(r) FILTER("{type: RequestRedirect, requestRedirect: {" r "}}")
#define REWRITE(r) FILTER("{type: URLRewrite, urlRewrite: {" r "}}")
#define MIRROR(m) FILTER("{type: RequestMirror, requestMirror: {" m "}}")
#define CORS(c) FILTER("{type: CORS, cors: {" c "}}")

static void redirects_and_rewrites_are_checked(void) {
    static const struct res_case cases[] = {
        {"no settings", FILTER("{type: RequestRedirect}"),
         F0 ".requestRedirect: is missing (type is RequestRedirect)"},
        {"scheme", REDIRECT("scheme: ftp"),
         F0 ".requestRedirect.scheme: 'ftp' is not one of http, https"},
        {"wildcard", REDIRECT("hostname: '*.example.com'"),
         F0 ".requestRedirect.hostname: '*.example.com' must be a DNS name (lower-case letters, "
            "digits, '-' and '.')"},
        {"port", REDIRECT("port: 0"), F0 ".requestRedirect.port: 0 is not in 1..65535"},
        {"status", REDIRECT("statusCode: 200"),
         F0 ".requestRedirect.statusCode: 200 is not in 301..308"},
        {"status between", REDIRECT("statusCode: 304"),
         F0 ".requestRedirect.statusCode: 304 is not one of 301, 302, 303, 307, 308"},
        {"path type", REWRITE("path: {}"), F0 ".urlRewrite.path.type is missing"},
        {"path value", REWRITE("path: {type: ReplaceFullPath}"),
         F0 ".urlRewrite.path.replaceFullPath: is missing (type is ReplaceFullPath)"},
        {"other path value",
         REWRITE("path: {type: ReplaceFullPath, replaceFullPath: /a, replacePrefixMatch: /b}"),
         F0 ".urlRewrite.path.replacePrefixMatch: does not belong to type ReplaceFullPath"},
        {"line end in a path",
         REDIRECT("path: {type: ReplaceFullPath, replaceFullPath: \"/a\\r\"}"),
         F0 ".requestRedirect.path.replaceFullPath: '/a\r' holds characters that a path may hold "
            "only as %XX"},
        {"query in a path", REWRITE("path: {type: ReplaceFullPath, replaceFullPath: '/a?b'}"),
         F0 ".urlRewrite.path.replaceFullPath: '/a?b' holds characters that a path may hold only "
            "as %XX"},
        {"both",
         FILTER("{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, "
                "urlRewrite: {}}"),
         "spec.rules[0].filters[1].type: 'URLRewrite' cannot be used beside RequestRedirect, "
         "which has hostname and path of its own"},
        {"backends of a redirect",
         "spec: {rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: "
         "[{name: a, port: 80}]}]}",
         "spec.rules[0].backendRefs: cannot be given beside a RequestRedirect filter, which "
         "answers by itself: leave them out"},
        {"both, of a backend",
         "spec: {rules: [{backendRefs: [{name: a, port: 80, filters: [{type: URLRewrite, "
         "urlRewrite: {}}, {type: RequestRedirect, requestRedirect: {}}]}]}]}",
         "spec.rules[0].backendRefs[0].filters[0].type: 'URLRewrite' cannot be used beside "
         "RequestRedirect, which has hostname and path of its own"},
        {"prefix of a match",
         "spec: {rules: [{matches: [{path: {type: Exact, value: /a}}], filters: [{type: "
         "RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: "
         "/b}}}]}]}",
         F0 ".requestRedirect.path.type: 'ReplacePrefixMatch' needs a rule with exactly one "
            "match, of path type PathPrefix: split the rule, or use ReplaceFullPath"},
        {"prefix by default", REWRITE("path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}"),
         NULL},
        {"prefix of headers",
         "spec: {rules: [{matches: [{headers: [{name: a, value: b}]}], filters: [{type: "
         "URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: ''}}}]}]}",
         NULL},
        {"good",
         REDIRECT("scheme: https, hostname: a.example.com, port: 8443, statusCode: 307, path: "
                  "{type: ReplaceFullPath, replaceFullPath: '/a%20b'}"),
         NULL},
        {"empty", REDIRECT(""), NULL},
    };
    RUN(cases);
}

static void mirrors_are_checked(void) {
    static const struct res_case cases[] = {
        {"no backend", MIRROR("percent: 1"), F0 ".requestMirror.backendRef is missing"},
        {"no port", MIRROR("backendRef: {name: a}"),
         F0 ".requestMirror.backendRef.port: is missing (a Service needs one)"},
        {"weight", MIRROR("backendRef: {name: a, port: 80, weight: 1}"),
         "unknown field " F0 ".requestMirror.backendRef.weight"},
        {"percent", MIRROR("backendRef: {name: a, port: 80}, percent: 101"),
         F0 ".requestMirror.percent: 101 is not in 0..100"},
        {"both parts",
         MIRROR("backendRef: {name: a, port: 80}, percent: 1, fraction: {numerator: 1}"),
         F0 ".requestMirror.fraction: cannot be given beside percent: leave out one of them"},
        {"more than all",
         MIRROR("backendRef: {name: a, port: 80}, fraction: {numerator: 3, denominator: 2}"),
         F0 ".requestMirror.fraction: numerator 3 is larger than denominator 2"},
        {"more than a hundred",
         MIRROR("backendRef: {name: a, port: 80}, fraction: {numerator: 101}"),
         F0 ".requestMirror.fraction: numerator 101 is larger than denominator 100"},
        {"of nothing",
         MIRROR("backendRef: {name: a, port: 80}, fraction: {numerator: 0, denominator: 0}"),
         F0 ".requestMirror.fraction.denominator: 0 is not in 1..2147483647"},
        {"several",
         FILTER("{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}}}, {type: "
                "RequestMirror, requestMirror: {backendRef: {name: a, port: 80}, fraction: "
                "{numerator: 1, denominator: 3}}}"),
         NULL},
    };
    RUN(cases);
}

static void cors_is_checked(void) {
    static const struct res_case cases[] = {
        {"origin", CORS("allowOrigins: [app.example.com]"),
         F0 ".cors.allowOrigins[0]: 'app.example.com' must be '*' or of the form https://host or "
            "https://*.domain, a port may follow"},
        {"path", CORS("allowOrigins: ['https://a.example.com/']"),
         F0 ".cors.allowOrigins[0]: 'https://a.example.com/' must be '*' or of the form "
            "https://host or https://*.domain, a port may follow"},
        {"port", CORS("allowOrigins: ['https://a.example.com:99999']"),
         F0 ".cors.allowOrigins[0]: 'https://a.example.com:99999' has no port in 1..65535"},
        {"any beside others", CORS("allowOrigins: ['https://a.example.com', '*']"),
         F0 ".cors.allowOrigins[1]: '*' must be the only entry"},
        {"any method beside others", CORS("allowMethods: ['*', GET]"),
         F0 ".cors.allowMethods[0]: '*' must be the only entry"},
        {"any header beside others", CORS("allowHeaders: ['*', a]"),
         F0 ".cors.allowHeaders[0]: '*' must be the only entry"},
        {"twice", CORS("exposeHeaders: [a, b, a]"),
         F0 ".cors.exposeHeaders[2]: 'a' is given twice"},
        {"method", CORS("allowMethods: [get]"),
         F0 ".cors.allowMethods[0]: 'get' is not one of GET, HEAD, POST, PUT, DELETE, CONNECT, "
            "OPTIONS, TRACE, PATCH, *"},
        {"header", CORS("allowHeaders: ['a b']"),
         F0 ".cors.allowHeaders[0]: 'a b' must be the name of an HTTP header"},
        {"age", CORS("maxAge: 0"), F0 ".cors.maxAge: 0 is not in 1..2147483647"},
        {"good",
         CORS("allowOrigins: ['https://*', 'http://*.example.com:8080', 'https://a'], "
              "allowCredentials: true, allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: "
              "['*', a], maxAge: 60"),
         NULL},
        {"empty", CORS(""), NULL},
    };
    RUN(cases);
}

static void timeouts_are_checked(void) {
#define TIMEOUTS(t) "spec: {rules: [{timeouts: {" t "}}]}"
    static const struct res_case cases[] = {
        {"no unit", TIMEOUTS("request: '10'"),
         "spec.rules[0].timeouts.request: '10' is not a "
         "duration such as 1h30m, 10s or 500ms (one to four whole numbers of at most five digits, "
         "each with the unit h, m, s or ms)"},
        {"a number", TIMEOUTS("request: 10"),
         "spec.rules[0].timeouts.request: must be a duration such as 30s, not an integer"},
        {"beyond a day", TIMEOUTS("request: 25h"),
         "spec.rules[0].timeouts.request: '25h' must be at most 24h"},
        {"longer than the whole", TIMEOUTS("request: 1s, backendRequest: 1001ms"),
         "spec.rules[0].timeouts.backendRequest: 1001ms is longer than request, which is 1s"},
        {"as long as the whole", TIMEOUTS("request: 1s, backendRequest: 1000ms"), NULL},
        {"of no whole", TIMEOUTS("request: 0s, backendRequest: 1m"), NULL},
        {"none", TIMEOUTS("request: 1s, backendRequest: 0s"), NULL},
    };
    RUN(cases);
}

static CU_TestInfo tests[] = {
    {"paths are checked", paths_are_checked},
    {"types are checked", types_are_checked},
    {"headers are checked", headers_are_checked},
    {"filters are checked", filters_are_checked},
    {"redirects and rewrites are checked", redirects_and_rewrites_are_checked},
    {"mirrors are checked", mirrors_are_checked},
    {"CORS is checked", cors_is_checked},
    {"timeouts are checked", timeouts_are_checked},
    {"backends are checked", backends_are_checked},
    {"fields of later are refused by name", fields_of_later_are_refused_by_name},
    {"parents are checked", parents_are_checked},
    {"hostnames are checked", hostnames_are_checked},
    {"counts are bounded", counts_are_bounded},
    {"rule names are unique", rule_names_are_unique},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_res_http_route = {"http_route", NULL, NULL, NULL, NULL, tests};
