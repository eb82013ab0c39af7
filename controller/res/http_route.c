// SPDX-License-Identifier: Apache-2.0
// Kind HTTPRoute: which requests of which listeners go to which backends. What the Gateway API
// knows and this program does not serve is refused by name, fields and values alike.
#include "controller/res/fields.h"

static const char *const path_types[] = {"Exact", "PathPrefix", "RegularExpression", NULL};
static const char *const match_types[] = {"Exact", "RegularExpression", NULL};
static const char *const methods[] = {"GET",     "HEAD",    "POST",  "PUT",   "DELETE",
                                      "CONNECT", "OPTIONS", "TRACE", "PATCH", NULL};
static const struct gw_field path_match[] = {
    CTL_F_ENUM("type", 0, path_types),
    CTL_F_TEXT("value", 0, 0, 1024),
    CTL_F_END,
};
static const struct gw_field header_match[] = {
    CTL_F_ENUM("type", 0, match_types),
    CTL_F_HEADER_NAME("name", GW_F_REQUIRED),
    CTL_F_HEADER_VALUE("value", GW_F_REQUIRED),
    CTL_F_END,
};
static const struct gw_field header_match_elem = CTL_F_OBJECT("", 0, header_match);
static const struct gw_field query_match[] = {
    CTL_F_ENUM("type", 0, match_types),
    CTL_F_HEADER_NAME("name", GW_F_REQUIRED),
    CTL_F_TEXT("value", GW_F_REQUIRED, 1, 1024),
    CTL_F_END,
};
static const struct gw_field query_match_elem = CTL_F_OBJECT("", 0, query_match);
static const struct gw_field match[] = {
    CTL_F_OBJECT("path", 0, path_match),
    CTL_F_UNIQUE_LIST("headers", 0, 0, 16, &header_match_elem, "name"),
    CTL_F_UNIQUE_LIST("queryParams", 0, 0, 16, &query_match_elem, "name"),
    CTL_F_ENUM("method", 0, methods),
    CTL_F_END,
};
static const struct gw_field match_elem = CTL_F_OBJECT("", 0, match);

static const struct gw_field filter_elem = CTL_F_OBJECT("", 0, ctl_res_http_filter);

static const struct gw_field backend_ref[] = {
    CTL_F_GROUP("group", 0),
    CTL_F_KIND("kind", 0),
    CTL_F_LABEL("namespace", 0),
    CTL_F_OBJECT_NAME("name", GW_F_REQUIRED),
    CTL_F_PORT("port", 0),
    CTL_F_INT("weight", 0, 0, 1000000),
    CTL_F_LIST("filters", 0, 0, 16, &filter_elem),
    CTL_F_END,
};
static const struct gw_field backend_ref_elem = CTL_F_OBJECT("", 0, backend_ref);

// What a snapshot takes; the API's own pattern ends far beyond.
#define TIMEOUT_MS_MAX 86400000
static const struct gw_field timeouts[] = {
    CTL_F_DURATION("request", 0, 0, TIMEOUT_MS_MAX),
    CTL_F_DURATION("backendRequest", 0, 0, TIMEOUT_MS_MAX),
    CTL_F_END,
};
static const struct gw_field rule[] = {
    CTL_F_SUBDOMAIN("name", 0),
    CTL_F_LIST("matches", 0, 0, 64, &match_elem),
    CTL_F_LIST("filters", 0, 0, 16, &filter_elem),
    CTL_F_LIST("backendRefs", 0, 0, 16, &backend_ref_elem),
    CTL_F_OBJECT("timeouts", 0, timeouts),
    CTL_F_UNBUILT("retry"),
    CTL_F_UNBUILT("sessionPersistence"),
    CTL_F_END,
};
static const struct gw_field rule_elem = CTL_F_OBJECT("", 0, rule);

static const struct gw_field parent_ref[] = {
    CTL_F_GROUP("group", 0),
    CTL_F_KIND("kind", 0),
    CTL_F_LABEL("namespace", 0),
    CTL_F_OBJECT_NAME("name", GW_F_REQUIRED),
    CTL_F_SUBDOMAIN("sectionName", 0),
    CTL_F_PORT("port", 0),
    CTL_F_END,
};
static const struct gw_field parent_ref_elem = CTL_F_OBJECT("", 0, parent_ref);
static const struct gw_field hostname_elem = CTL_F_HOSTNAME("", 0);

static const struct gw_field spec[] = {
    CTL_F_LIST("parentRefs", 0, 0, 32, &parent_ref_elem),
    CTL_F_LIST("hostnames", 0, 0, 16, &hostname_elem),
    CTL_F_LIST("rules", 0, 1, 16, &rule_elem),
    CTL_F_UNBUILT("useDefaultGateways"),
    CTL_F_END,
};

static const struct gw_field fields[] = {
    CTL_F_OBJECT("spec", GW_F_REQUIRED, spec),
    CTL_F_END,
};

// All matches of a route together; the lists alone would allow 16 times 64.
#define MATCHES_PER_ROUTE_MAX 128

static bool contains(struct gw_str s, struct gw_str part) {
    return s.len >= part.len && memmem(s.ptr, s.len, part.ptr, part.len) != NULL;
}

static enum gw_rc check_path(const json_t *p, const char *at, struct gw_schema_problem *ret) {
    struct gw_str type = gw_json_str(p, "type"), value = gw_json_str(p, "value");
    char path[128];
    if (gw_str_eq(type, GW_STR("RegularExpression"))) {
        snprintf(path, sizeof(path), "%s.type", at);
        return ctl_res_refuse(ret, path, "'RegularExpression' is not supported yet");
    }
    if (!value.ptr) return GW_OK;
    snprintf(path, sizeof(path), "%s.value", at);
    if (value.len == 0 || value.ptr[0] != '/')
        return ctl_res_refuse(ret, path, "'" GW_STR_FMT "' must begin with '/'", GW_STR_ARG(value));
    static const char *const never[] = {"//", "/./", "/../", "%2f", "%2F", "#", NULL};
    for (const char *const *n = never; *n; n++)
        if (contains(value, gw_str_of(*n)))
            return ctl_res_refuse(ret, path, "'" GW_STR_FMT "' must not contain '%s'",
                                  GW_STR_ARG(value), *n);
    static const char *const ends[] = {"/..", "/.", NULL};
    for (const char *const *n = ends; *n; n++)
        if (gw_str_ends(value, gw_str_of(*n)))
            return ctl_res_refuse(ret, path, "'" GW_STR_FMT "' must not end with '%s'",
                                  GW_STR_ARG(value), *n);
    if (!ctl_res_matches(value, CTL_P_PATH))
        return ctl_res_refuse(ret, path,
                              "'" GW_STR_FMT "' holds characters that a path may hold only as %%XX",
                              GW_STR_ARG(value));
    return GW_OK;
}

static enum gw_rc check_match_types(const json_t *list, const char *at, const char *member,
                                    struct gw_schema_problem *ret) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct gw_str type = gw_json_str(json_array_get(list, i), "type");
        if (!gw_str_eq(type, GW_STR("RegularExpression"))) continue;
        char path[128];
        snprintf(path, sizeof(path), "%s.%s[%zu].type", at, member, i);
        return ctl_res_refuse(ret, path, "'RegularExpression' is not supported yet");
    }
    return GW_OK;
}

static enum gw_rc check_match(const json_t *m, size_t rule_i, size_t i,
                              struct gw_schema_problem *ret) {
    char at[96], path[112];
    snprintf(at, sizeof(at), "spec.rules[%zu].matches[%zu]", rule_i, i);
    snprintf(path, sizeof(path), "%s.path", at);
    GW_TRY(check_path(gw_json_get(m, "path"), path, ret));
    GW_TRY(check_match_types(gw_json_get(m, "headers"), at, "headers", ret));
    return check_match_types(gw_json_get(m, "queryParams"), at, "queryParams", ret);
}

enum gw_rc ctl_res_check_backend_port(const json_t *ref, const char *path,
                                      struct gw_schema_problem *ret) {
    struct gw_str kind = gw_json_str(ref, "kind");
    bool service =
        gw_json_str(ref, "group").len == 0 && (!kind.ptr || gw_str_eq(kind, GW_STR("Service")));
    if (!service || gw_json_get(ref, "port")) return GW_OK;
    char at[160];
    snprintf(at, sizeof(at), "%s.port", path);
    return ctl_res_refuse(ret, at, "is missing (a Service needs one)");
}

// Whether the rule's matches say which prefix ReplacePrefixMatch takes away: the API's default is
// one match, of PathPrefix "/".
static bool has_one_prefix(const json_t *matches) {
    struct gw_str type = gw_json_str(gw_json_get(json_array_get(matches, 0), "path"), "type");
    if (json_array_size(matches) > 1) return false;
    return !type.ptr || gw_str_eq(type, GW_STR("PathPrefix"));
}

static enum gw_rc check_prefix(const json_t *filters, const json_t *matches, const char *at,
                               struct gw_schema_problem *ret) {
    for (size_t i = 0; i < json_array_size(filters); i++) {
        const json_t *f = json_array_get(filters, i);
        bool redirects = gw_json_get(f, "requestRedirect") != NULL;
        const char *member = redirects ? "requestRedirect" : "urlRewrite";
        struct gw_str type = gw_json_str(gw_json_get(gw_json_get(f, member), "path"), "type");
        if (!gw_str_eq(type, GW_STR("ReplacePrefixMatch")) || has_one_prefix(matches)) continue;
        char path[160];
        snprintf(path, sizeof(path), "%s[%zu].%s.path.type", at, i, member);
        return ctl_res_refuse(ret, path,
                              "'ReplacePrefixMatch' needs a rule with exactly one match, of path "
                              "type PathPrefix: split the rule, or use ReplaceFullPath");
    }
    return GW_OK;
}

static enum gw_rc check_rule_filters(const json_t *r, size_t rule_i,
                                     struct gw_schema_problem *ret) {
    const json_t *matches = gw_json_get(r, "matches"), *filters = gw_json_get(r, "filters");
    const json_t *backends = gw_json_get(r, "backendRefs");
    char path[96];
    snprintf(path, sizeof(path), "spec.rules[%zu].filters", rule_i);
    GW_TRY(ctl_res_check_filters(filters, path, ret));
    GW_TRY(check_prefix(filters, matches, path, ret));
    snprintf(path, sizeof(path), "spec.rules[%zu].backendRefs", rule_i);
    if (json_array_size(backends) && ctl_res_filter_of(filters, "RequestRedirect"))
        return ctl_res_refuse(ret, path,
                              "cannot be given beside a RequestRedirect filter, which answers by "
                              "itself: leave them out");
    for (size_t i = 0; i < json_array_size(backends); i++) {
        const json_t *b = json_array_get(backends, i);
        snprintf(path, sizeof(path), "spec.rules[%zu].backendRefs[%zu]", rule_i, i);
        GW_TRY(ctl_res_check_backend_port(b, path, ret));
        snprintf(path, sizeof(path), "spec.rules[%zu].backendRefs[%zu].filters", rule_i, i);
        GW_TRY(ctl_res_check_filters(gw_json_get(b, "filters"), path, ret));
        GW_TRY(check_prefix(gw_json_get(b, "filters"), matches, path, ret));
    }
    return GW_OK;
}

static enum gw_rc check_timeouts(const json_t *r, size_t rule_i, struct gw_schema_problem *ret) {
    const json_t *t = gw_json_get(r, "timeouts");
    struct gw_str whole = gw_json_str(t, "request"), one = gw_json_str(t, "backendRequest");
    uint64_t whole_ms, one_ms;
    char path[96];
    if (!whole.ptr || !one.ptr || gw_duration_ms(whole, &whole_ms, NULL) != GW_OK ||
        gw_duration_ms(one, &one_ms, NULL) != GW_OK || whole_ms == 0 || one_ms <= whole_ms)
        return GW_OK;
    snprintf(path, sizeof(path), "spec.rules[%zu].timeouts.backendRequest", rule_i);
    return ctl_res_refuse(ret, path, GW_STR_FMT " is longer than request, which is " GW_STR_FMT,
                          GW_STR_ARG(one), GW_STR_ARG(whole));
}

static enum gw_rc check_rule(const json_t *rules, size_t i, size_t *matches_n,
                             struct gw_schema_problem *ret) {
    const json_t *r = json_array_get(rules, i);
    char path[64];
    struct gw_str name = gw_json_str(r, "name");
    for (size_t j = 0; name.ptr && j < i; j++) {
        if (!gw_str_eq(name, gw_json_str(json_array_get(rules, j), "name"))) continue;
        snprintf(path, sizeof(path), "spec.rules[%zu].name", i);
        return ctl_res_refuse(ret, path, "'" GW_STR_FMT "' is the name of spec.rules[%zu] too",
                              GW_STR_ARG(name), j);
    }
    const json_t *matches = gw_json_get(r, "matches");
    for (size_t k = 0; k < json_array_size(matches); k++)
        GW_TRY(check_match(json_array_get(matches, k), i, k, ret));
    GW_TRY(check_rule_filters(r, i, ret));
    GW_TRY(check_timeouts(r, i, ret));
    *matches_n += json_array_size(matches) ? json_array_size(matches) : 1;
    return GW_OK;
}

static struct gw_str or_else(const json_t *obj, const char *member, struct gw_str otherwise) {
    struct gw_str s = gw_json_str(obj, member);
    return s.ptr ? s : otherwise;
}

static bool same_parent(const json_t *a, const json_t *b) {
    struct gw_str group = GW_STR("gateway.networking.k8s.io"), kind = GW_STR("Gateway");
    return gw_str_eq(or_else(a, "group", group), or_else(b, "group", group)) &&
           gw_str_eq(or_else(a, "kind", kind), or_else(b, "kind", kind)) &&
           gw_str_eq(gw_json_str(a, "namespace"), gw_json_str(b, "namespace")) &&
           gw_str_eq(gw_json_str(a, "name"), gw_json_str(b, "name"));
}

// Entries that name the same parent must set the same ones of sectionName and port, to other
// values.
static enum gw_rc check_parent(const json_t *parents, size_t i, struct gw_schema_problem *ret) {
    const json_t *p = json_array_get(parents, i);
    char path[64];
    snprintf(path, sizeof(path), "spec.parentRefs[%zu]", i);
    for (size_t j = 0; j < i; j++) {
        const json_t *q = json_array_get(parents, j);
        if (!same_parent(p, q)) continue;
        struct gw_str ps = gw_json_str(p, "sectionName"), qs = gw_json_str(q, "sectionName");
        int64_t pp = gw_json_int(p, "port", 0), qp = gw_json_int(q, "port", 0);
        if ((ps.len == 0) != (qs.len == 0) || (pp == 0) != (qp == 0))
            return ctl_res_refuse(ret, path,
                                  "names the parent of spec.parentRefs[%zu]: both must set "
                                  "sectionName, or port, or both",
                                  j);
        if (gw_str_eq(ps, qs) && pp == qp)
            return ctl_res_refuse(ret, path, "is the same as spec.parentRefs[%zu]", j);
    }
    return GW_OK;
}

static enum gw_rc check(const json_t *obj, struct gw_schema_problem *ret) {
    const json_t *parents = gw_json_path(obj, "spec.parentRefs");
    const json_t *rules = gw_json_path(obj, "spec.rules");
    size_t matches_n = 0;
    for (size_t i = 0; i < json_array_size(parents); i++)
        GW_TRY(check_parent(parents, i, ret));
    for (size_t i = 0; i < json_array_size(rules); i++)
        GW_TRY(check_rule(rules, i, &matches_n, ret));
    if (matches_n > MATCHES_PER_ROUTE_MAX)
        return ctl_res_refuse(ret, "spec.rules", "have %zu matches together, more than %d",
                              matches_n, MATCHES_PER_ROUTE_MAX);
    return GW_OK;
}

static const char *const versions[] = {"v1", "v1beta1", NULL};

const struct ctl_res_kind ctl_res_http_route = {
    .name = "HTTPRoute",
    .group = "gateway.networking.k8s.io",
    .versions = versions,
    .plural = "httproutes",
    .short_name = NULL,
    .namespaced = true,
    .fields = fields,
    .check = check,
};
