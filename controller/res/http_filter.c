// SPDX-License-Identifier: Apache-2.0
// Filters of HTTPRoutes, of rules and of their backendRefs alike: one table, and the rules across
// its members. What a filter needs of the rest of its rule is checked in http_route.c.
#include "controller/res/fields.h"

static const char *const filter_types[] = {"RequestHeaderModifier",
                                           "ResponseHeaderModifier",
                                           "RequestMirror",
                                           "RequestRedirect",
                                           "URLRewrite",
                                           "ExtensionRef",
                                           "CORS",
                                           "ExternalAuth",
                                           NULL};

static enum gw_rc check_modifier(const json_t *f, const char *at, struct gw_schema_problem *ret);
static enum gw_rc check_redirect(const json_t *f, const char *at, struct gw_schema_problem *ret);
static enum gw_rc check_rewrite(const json_t *f, const char *at, struct gw_schema_problem *ret);
static enum gw_rc check_mirror(const json_t *f, const char *at, struct gw_schema_problem *ret);
static enum gw_rc check_cors(const json_t *f, const char *at, struct gw_schema_problem *ret);

// The filters that are served: type, the member that holds its settings, what is checked of those.
static const struct {
    const char *type, *member;
    enum gw_rc (*check)(const json_t *settings, const char *at, struct gw_schema_problem *ret);
    bool may_repeat;
} built_filters[] = {
    {"RequestHeaderModifier", "requestHeaderModifier", check_modifier, false},
    {"ResponseHeaderModifier", "responseHeaderModifier", check_modifier, false},
    {"RequestRedirect", "requestRedirect", check_redirect, false},
    {"URLRewrite", "urlRewrite", check_rewrite, false},
    {"RequestMirror", "requestMirror", check_mirror, true},
    {"CORS", "cors", check_cors, false},
};

// --- tables --------------------------------------------------------------------------------------

static const struct gw_field header[] = {
    CTL_F_HEADER_NAME("name", GW_F_REQUIRED),
    CTL_F_HEADER_VALUE("value", GW_F_REQUIRED),
    CTL_F_END,
};
static const struct gw_field header_elem = CTL_F_OBJECT("", 0, header);
// The Gateway API leaves removed names unchecked; one that is no header name is a mistake.
static const struct gw_field header_name_elem = CTL_F_HEADER_NAME("", 0);
static const struct gw_field header_modifier[] = {
    CTL_F_UNIQUE_LIST("set", 0, 0, 16, &header_elem, "name"),
    CTL_F_UNIQUE_LIST("add", 0, 0, 16, &header_elem, "name"),
    CTL_F_LIST("remove", 0, 0, 16, &header_name_elem),
    CTL_F_END,
};

static const char *const path_change_types[] = {"ReplaceFullPath", "ReplacePrefixMatch", NULL};
static const struct gw_field path_change[] = {
    CTL_F_ENUM("type", GW_F_REQUIRED, path_change_types),
    CTL_F_TEXT("replaceFullPath", 0, 0, 1024),
    CTL_F_TEXT("replacePrefixMatch", 0, 0, 1024),
    CTL_F_END,
};
static const char *const schemes[] = {"http", "https", NULL};
static const struct gw_field redirect[] = {
    CTL_F_ENUM("scheme", 0, schemes),     CTL_F_SUBDOMAIN("hostname", 0),
    CTL_F_OBJECT("path", 0, path_change), CTL_F_PORT("port", 0),
    CTL_F_INT("statusCode", 0, 301, 308), CTL_F_END,
};
static const struct gw_field rewrite[] = {
    CTL_F_SUBDOMAIN("hostname", 0),
    CTL_F_OBJECT("path", 0, path_change),
    CTL_F_END,
};

static const struct gw_field mirror_ref[] = {
    CTL_F_GROUP("group", 0),     CTL_F_KIND("kind", 0),
    CTL_F_LABEL("namespace", 0), CTL_F_OBJECT_NAME("name", GW_F_REQUIRED),
    CTL_F_PORT("port", 0),       CTL_F_END,
};
static const struct gw_field fraction[] = {
    CTL_F_INT("numerator", GW_F_REQUIRED, 0, INT32_MAX),
    CTL_F_INT("denominator", 0, 1, INT32_MAX),
    CTL_F_END,
};
static const struct gw_field mirror[] = {
    CTL_F_OBJECT("backendRef", GW_F_REQUIRED, mirror_ref),
    CTL_F_INT("percent", 0, 0, 100),
    CTL_F_OBJECT("fraction", 0, fraction),
    CTL_F_END,
};

#define P_ORIGIN "\\*|https?://((\\*\\.)?([a-zA-Z0-9-]+\\.)*[a-zA-Z0-9-]+|\\*)(:[0-9]{1,5})?"
static const char *const cors_methods[] = {"GET",     "HEAD",  "POST",  "PUT", "DELETE", "CONNECT",
                                           "OPTIONS", "TRACE", "PATCH", "*",   NULL};
static const struct gw_field origin_elem =
    CTL_F_PATTERN("", 0, 1, 253, P_ORIGIN,
                  "must be '*' or of the form https://host or https://*.domain, a port may follow");
static const struct gw_field cors_method_elem = CTL_F_ENUM("", 0, cors_methods);
static const struct gw_field cors[] = {
    CTL_F_LIST("allowOrigins", 0, 0, 64, &origin_elem),
    CTL_F_BOOL("allowCredentials", 0),
    CTL_F_LIST("allowMethods", 0, 0, 9, &cors_method_elem),
    CTL_F_LIST("allowHeaders", 0, 0, 64, &header_name_elem),
    CTL_F_LIST("exposeHeaders", 0, 0, 64, &header_name_elem),
    CTL_F_INT("maxAge", 0, 1, INT32_MAX),
    CTL_F_END,
};

const struct gw_field ctl_res_http_filter[] = {
    CTL_F_ENUM("type", GW_F_REQUIRED, filter_types),
    CTL_F_OBJECT("requestHeaderModifier", 0, header_modifier),
    CTL_F_OBJECT("responseHeaderModifier", 0, header_modifier),
    CTL_F_OBJECT("requestMirror", 0, mirror),
    CTL_F_OBJECT("requestRedirect", 0, redirect),
    CTL_F_OBJECT("urlRewrite", 0, rewrite),
    CTL_F_OBJECT("cors", 0, cors),
    CTL_F_UNBUILT("extensionRef"),
    CTL_F_UNBUILT("externalAuth"),
    CTL_F_END,
};

// --- settings ------------------------------------------------------------------------------------

// at: of the filter's settings; path: room for a member's.
#define PATH_MAX_BYTES 192

// The CRD's lists are sets, in which an asterisk stands alone.
static enum gw_rc check_set(const json_t *f, const char *member, bool has_asterisk, const char *at,
                            struct gw_schema_problem *ret) {
    char path[PATH_MAX_BYTES];
    const json_t *list = gw_json_get(f, member);
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        struct gw_str s = gw_json_str_of(json_array_get(list, i));
        snprintf(path, sizeof(path), "%s.%s[%zu]", at, member, i);
        if (has_asterisk && n > 1 && gw_str_eq(s, GW_STR("*")))
            return ctl_res_refuse(ret, path, "'*' must be the only entry");
        for (size_t k = 0; k < i; k++)
            if (gw_str_eq(s, gw_json_str_of(json_array_get(list, k))))
                return ctl_res_refuse(ret, path, "'" GW_STR_FMT "' is given twice", GW_STR_ARG(s));
    }
    return GW_OK;
}

static enum gw_rc check_modifier(const json_t *f, const char *at, struct gw_schema_problem *ret) {
    return check_set(f, "remove", false, at, ret);
}

static enum gw_rc check_path_change(const json_t *p, const char *at,
                                    struct gw_schema_problem *ret) {
    char path[PATH_MAX_BYTES];
    struct gw_str type = gw_json_str(p, "type");
    bool full = gw_str_eq(type, GW_STR("ReplaceFullPath"));
    const char *mine = full ? "replaceFullPath" : "replacePrefixMatch";
    const char *other = full ? "replacePrefixMatch" : "replaceFullPath";
    if (!p) return GW_OK;
    snprintf(path, sizeof(path), "%s.path.%s", at, mine);
    struct gw_str value = gw_json_str(p, mine);
    if (!value.ptr)
        return ctl_res_refuse(ret, path, "is missing (type is " GW_STR_FMT ")", GW_STR_ARG(type));
    if (value.len && !ctl_res_matches(value, CTL_P_PATH))
        return ctl_res_refuse(ret, path,
                              "'" GW_STR_FMT "' holds characters that a path may hold only as %%XX",
                              GW_STR_ARG(value));
    snprintf(path, sizeof(path), "%s.path.%s", at, other);
    if (gw_json_get(p, other))
        return ctl_res_refuse(ret, path, "does not belong to type " GW_STR_FMT, GW_STR_ARG(type));
    return GW_OK;
}

static enum gw_rc check_redirect(const json_t *f, const char *at, struct gw_schema_problem *ret) {
    char path[PATH_MAX_BYTES];
    int64_t status = gw_json_int(f, "statusCode", 302);
    snprintf(path, sizeof(path), "%s.statusCode", at);
    if (status > 303 && status < 307)
        return ctl_res_refuse(ret, path, "%lld is not one of 301, 302, 303, 307, 308",
                              (long long)status);
    return check_path_change(gw_json_get(f, "path"), at, ret);
}

static enum gw_rc check_rewrite(const json_t *f, const char *at, struct gw_schema_problem *ret) {
    return check_path_change(gw_json_get(f, "path"), at, ret);
}

static enum gw_rc check_mirror(const json_t *f, const char *at, struct gw_schema_problem *ret) {
    char path[PATH_MAX_BYTES];
    const json_t *part = gw_json_get(f, "fraction");
    int64_t numerator = gw_json_int(part, "numerator", 0),
            denominator = gw_json_int(part, "denominator", 100);
    snprintf(path, sizeof(path), "%s.fraction", at);
    if (part && gw_json_get(f, "percent"))
        return ctl_res_refuse(ret, path, "cannot be given beside percent: leave out one of them");
    if (numerator > denominator)
        return ctl_res_refuse(ret, path, "numerator %lld is larger than denominator %lld",
                              (long long)numerator, (long long)denominator);
    snprintf(path, sizeof(path), "%s.backendRef", at);
    return ctl_res_check_backend_port(gw_json_get(f, "backendRef"), path, ret);
}

static enum gw_rc check_cors(const json_t *f, const char *at, struct gw_schema_problem *ret) {
    const json_t *origins = gw_json_get(f, "allowOrigins");
    GW_TRY(check_set(f, "allowOrigins", true, at, ret));
    GW_TRY(check_set(f, "allowMethods", true, at, ret));
    GW_TRY(check_set(f, "allowHeaders", true, at, ret));
    GW_TRY(check_set(f, "exposeHeaders", false, at, ret));
    for (size_t i = 0; i < json_array_size(origins); i++) {
        const char *text = json_string_value(json_array_get(origins, i));
        const char *colon = strrchr(text, ':');
        char path[PATH_MAX_BYTES];
        uint64_t port;
        if (!colon || colon[1] == '/') continue;
        if (gw_str_to_u64(gw_str_of(colon + 1), 65535, &port) == GW_OK && port > 0) continue;
        snprintf(path, sizeof(path), "%s.allowOrigins[%zu]", at, i);
        return ctl_res_refuse(ret, path, "'%s' has no port in 1..65535", text);
    }
    return GW_OK;
}

// --- a list --------------------------------------------------------------------------------------

// A filter's type and its members belong together.
static enum gw_rc check_members(const json_t *f, const char *at, struct gw_schema_problem *ret) {
    struct gw_str type = gw_json_str(f, "type");
    char path[PATH_MAX_BYTES];
    bool built = false;
    for (size_t k = 0; k < GW_ARRAY_LEN(built_filters); k++) {
        bool mine = gw_str_eq(type, gw_str_of(built_filters[k].type));
        const json_t *settings = gw_json_get(f, built_filters[k].member);
        built = built || mine;
        snprintf(path, sizeof(path), "%s.%s", at, built_filters[k].member);
        if (mine && !settings)
            return ctl_res_refuse(ret, path, "is missing (type is %s)", built_filters[k].type);
        if (!mine && settings)
            return ctl_res_refuse(ret, path, "does not belong to type " GW_STR_FMT,
                                  GW_STR_ARG(type));
        if (mine && built_filters[k].check) GW_TRY(built_filters[k].check(settings, path, ret));
    }
    snprintf(path, sizeof(path), "%s.type", at);
    if (built) return GW_OK;
    return ctl_res_refuse(ret, path, "'" GW_STR_FMT "' is not supported yet", GW_STR_ARG(type));
}

static bool may_repeat(struct gw_str type) {
    for (size_t k = 0; k < GW_ARRAY_LEN(built_filters); k++)
        if (gw_str_eq(type, gw_str_of(built_filters[k].type))) return built_filters[k].may_repeat;
    return false;
}

enum gw_rc ctl_res_check_filters(const json_t *filters, const char *at,
                                 struct gw_schema_problem *ret) {
    const json_t *redirects = ctl_res_filter_of(filters, "RequestRedirect");
    for (size_t i = 0; i < json_array_size(filters); i++) {
        char path[PATH_MAX_BYTES - 64], type_path[PATH_MAX_BYTES];
        const json_t *f = json_array_get(filters, i);
        struct gw_str type = gw_json_str(f, "type");
        snprintf(path, sizeof(path), "%s[%zu]", at, i);
        snprintf(type_path, sizeof(type_path), "%s.type", path);
        GW_TRY(check_members(f, path, ret));
        if (redirects && gw_str_eq(type, GW_STR("URLRewrite")))
            return ctl_res_refuse(ret, type_path,
                                  "'URLRewrite' cannot be used beside RequestRedirect, which has "
                                  "hostname and path of its own");
        for (size_t k = 0; k < i && !may_repeat(type); k++)
            if (gw_str_eq(type, gw_json_str(json_array_get(filters, k), "type")))
                return ctl_res_refuse(ret, type_path, "'" GW_STR_FMT "' is given twice",
                                      GW_STR_ARG(type));
    }
    return GW_OK;
}

const json_t *ctl_res_filter_of(const json_t *filters, const char *type) {
    for (size_t i = 0; i < json_array_size(filters); i++) {
        const json_t *f = json_array_get(filters, i);
        if (gw_str_eq(gw_json_str(f, "type"), gw_str_of(type))) return f;
    }
    return NULL;
}
