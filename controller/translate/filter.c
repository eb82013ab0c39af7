// SPDX-License-Identifier: Apache-2.0
// Filters of rules and of backendRefs, one function for each type; what is not given stays out of
// the snapshot where the data plane has the same default. Only mirrors need other objects.
#include "controller/translate/tr.h"

static void set_text(json_t *to, const char *key, const json_t *from, const char *member) {
    struct gw_str s = gw_json_str(from, member);
    if (s.ptr) tr_set(to, key, tr_string(s));
}

static void set_list(json_t *to, const char *key, const json_t *from, const char *member) {
    json_t *list = gw_json_get(from, member);
    if (json_array_size(list)) tr_set(to, key, json_incref(list));
}

static json_t *filter_new(const char *type) {
    json_t *v = json_object();
    tr_set(v, "type", json_string_nocheck(type));
    return v;
}

// --- one type each -----------------------------------------------------------------------------

struct context {
    struct ctl_translator *t;
    struct tr_route *r;
    const struct ctl_object *o;
    const json_t *rule;
    size_t index;
    struct tr_refs *refs;
};

static json_t *modifier(const char *type, const json_t *from) {
    json_t *v = filter_new(type);
    tr_set(v, "set", tr_pairs(gw_json_get(from, "set"), true));
    tr_set(v, "add", tr_pairs(gw_json_get(from, "add"), true));
    tr_set(v, "remove", tr_header_names(gw_json_get(from, "remove")));
    return v;
}

static json_t *request_headers(const struct context *c, const json_t *from) {
    (void)c;
    return modifier("RequestHeaderModifier", from);
}

static json_t *response_headers(const struct context *c, const json_t *from) {
    (void)c;
    return modifier("ResponseHeaderModifier", from);
}

static void set_path(const struct context *c, json_t *to, const json_t *from) {
    const json_t *path = gw_json_get(from, "path");
    struct gw_str type = gw_json_str(path, "type");
    if (!path) return;
    bool full = gw_str_eq(type, GW_STR("ReplaceFullPath"));
    json_t *v = json_object();
    tr_set(v, "type", tr_string(type));
    tr_set(v, "value",
           tr_string(gw_json_str(path, full ? "replaceFullPath" : "replacePrefixMatch")));
    if (!full) tr_set(v, "prefix", tr_rule_prefix(c->rule));
    tr_set(to, "path", v);
}

static json_t *redirect(const struct context *c, const json_t *from) {
    json_t *v = filter_new("RequestRedirect");
    int64_t port = gw_json_int(from, "port", 0);
    set_text(v, "scheme", from, "scheme");
    set_text(v, "hostname", from, "hostname");
    if (port) tr_set(v, "port", json_integer(port));
    tr_set(v, "status", json_integer(gw_json_int(from, "statusCode", 302)));
    set_path(c, v, from);
    return v;
}

static json_t *rewrite(const struct context *c, const json_t *from) {
    json_t *v = filter_new("URLRewrite");
    set_text(v, "hostname", from, "hostname");
    set_path(c, v, from);
    return v;
}

// One that leads nowhere stays with its reason: the request itself is served.
static json_t *mirror(const struct context *c, const json_t *from) {
    const json_t *fraction = gw_json_get(from, "fraction");
    json_t *v = tr_mirror_ref(c->t, c->r, c->o, gw_json_get(from, "backendRef"), c->index, c->refs);
    tr_set(v, "type", json_string_nocheck("RequestMirror"));
    tr_set(v, "numerator",
           json_integer(gw_json_int(fraction, "numerator", gw_json_int(from, "percent", 100))));
    tr_set(v, "denominator", json_integer(gw_json_int(fraction, "denominator", 100)));
    return v;
}

static json_t *cors(const struct context *c, const json_t *from) {
    (void)c;
    json_t *v = filter_new("CORS");
    set_list(v, "origins", from, "allowOrigins");
    set_list(v, "methods", from, "allowMethods");
    set_list(v, "headers", from, "allowHeaders");
    set_list(v, "expose", from, "exposeHeaders");
    tr_set(v, "credentials", json_boolean(gw_json_bool(from, "allowCredentials", false)));
    tr_set(v, "max_age", json_integer(gw_json_int(from, "maxAge", 5)));
    return v;
}

// --- all ---------------------------------------------------------------------------------------

static const struct {
    const char *type, *member;
    json_t *(*make)(const struct context *c, const json_t *settings);
} types[] = {
    {"RequestHeaderModifier", "requestHeaderModifier", request_headers},
    {"ResponseHeaderModifier", "responseHeaderModifier", response_headers},
    {"RequestRedirect", "requestRedirect", redirect},
    {"URLRewrite", "urlRewrite", rewrite},
    {"RequestMirror", "requestMirror", mirror},
    {"CORS", "cors", cors},
};

json_t *tr_filters(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                   const json_t *rule, size_t index, const json_t *from, struct tr_refs *refs) {
    const struct context c = {t, r, o, rule, index, refs};
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(from); i++) {
        const json_t *f = json_array_get(from, i);
        for (size_t k = 0; k < GW_ARRAY_LEN(types); k++)
            if (gw_str_eq(gw_json_str(f, "type"), gw_str_of(types[k].type)))
                json_array_append_new(list, types[k].make(&c, gw_json_get(f, types[k].member)));
    }
    if (json_array_size(list)) return list;
    json_decref(list);
    return NULL;
}
