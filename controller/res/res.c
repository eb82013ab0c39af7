// SPDX-License-Identifier: Apache-2.0
// The list of kinds, what all of them share (metadata), and the way from a manifest to its kind.
#include "controller/res/fields.h"

#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const struct ctl_res_kind *const ctl_res_kinds[] = {
    &ctl_res_gateway_class, &ctl_res_gateway,
    &ctl_res_http_route,    &ctl_res_llm_backend,
    &ctl_res_service,       &ctl_res_endpoint_slice,
    &ctl_res_secret,        &ctl_res_reference_grant,
    &ctl_res_namespace,     NULL,
};

// Kinds that docs/ and the APIs name and that nothing here serves yet.
static const struct {
    const char *group, *kind;
} unbuilt_kinds[] = {
    {"gateway.networking.k8s.io", "ListenerSet"},
    {"gateway.networking.k8s.io", "GRPCRoute"},
    {"gateway.networking.k8s.io", "TLSRoute"},
    {"gateway.networking.k8s.io", "TCPRoute"},
    {"gateway.networking.k8s.io", "UDPRoute"},
    {"gateway.networking.k8s.io", "BackendTLSPolicy"},
    {"inference.networking.k8s.io", "InferencePool"},
    {"kgateway.dev", "SessionPolicy"},
    {"kgateway.dev", "SessionAuthPolicy"},
    {"kgateway.dev", "ToolPolicy"},
    {"kgateway.dev", "MCPFilter"},
    {"kgateway.dev", "MCPBackend"},
    {"kgateway.dev", "A2ABackend"},
    {"kgateway.dev", "CascadePolicy"},
    {"kgateway.dev", "CachePolicy"},
    {"kgateway.dev", "VirtualKey"},
    {"kgateway.dev", "GuardPolicy"},
    {"kgateway.dev", "TrafficPolicy"},
    {"kgateway.dev", "BackendPolicy"},
    {"kgateway.dev", "GatewayParameters"},
};

// --- metadata ------------------------------------------------------------------------------------

static const struct gw_field label_value = CTL_F_PATTERN(
    "", 0, 0, 63, "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", "must be a label's value");
static const struct gw_field annotation_value = CTL_F_TEXT("", 0, 0, 256 * 1024);

static const struct gw_field metadata[] = {
    CTL_F_SUBDOMAIN("name", GW_F_REQUIRED),
    CTL_F_LABEL("namespace", 0),
    CTL_F_MAP("labels", 0, 256, &label_value),
    CTL_F_MAP("annotations", 0, 256, &annotation_value),
    CTL_F_ANY("creationTimestamp"),
    CTL_F_ANY("deletionGracePeriodSeconds"),
    CTL_F_ANY("deletionTimestamp"),
    CTL_F_ANY("finalizers"),
    CTL_F_ANY("generateName"),
    CTL_F_ANY("generation"),
    CTL_F_ANY("managedFields"),
    CTL_F_ANY("ownerReferences"),
    CTL_F_ANY("resourceVersion"),
    CTL_F_ANY("selfLink"),
    CTL_F_ANY("uid"),
    CTL_F_END,
};

static const struct gw_field envelope[] = {
    CTL_F_TEXT("apiVersion", GW_F_REQUIRED, 1, 317),
    CTL_F_TEXT("kind", GW_F_REQUIRED, 1, 63),
    CTL_F_OBJECT("metadata", GW_F_REQUIRED, metadata),
    CTL_F_ANY("status"),
    CTL_F_END,
};

// --- shared by kinds -----------------------------------------------------------------------------

static const char *const selector_operators[] = {"In", "NotIn", "Exists", "DoesNotExist", NULL};
static const struct gw_field selector_values[] = {
    CTL_F_TEXT("key", GW_F_REQUIRED, 1, 317),
    CTL_F_ENUM("operator", GW_F_REQUIRED, selector_operators),
    CTL_F_LIST("values", 0, 0, 256, &label_value),
    CTL_F_END,
};
static const struct gw_field selector_elem = CTL_F_OBJECT("", 0, selector_values);
const struct gw_field ctl_res_label_selector[] = {
    CTL_F_MAP("matchLabels", 0, 256, &label_value),
    CTL_F_LIST("matchExpressions", 0, 0, 256, &selector_elem),
    CTL_F_END,
};

enum gw_rc ctl_res_check_selector(const json_t *selector, const char *path,
                                  struct gw_schema_problem *ret) {
    const json_t *list = gw_json_get(selector, "matchExpressions");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *e = json_array_get(list, i);
        struct gw_str op = gw_json_str(e, "operator");
        bool wants = gw_str_ends(op, GW_STR("In"));
        bool has = json_array_size(gw_json_get(e, "values")) > 0;
        if (wants == has) continue;
        char at[192];
        snprintf(at, sizeof(at), "%s.matchExpressions[%zu].values", path, i);
        return ctl_res_refuse(ret, at,
                              wants ? "is missing (operator is " GW_STR_FMT ")"
                                    : "must be empty (operator is " GW_STR_FMT ")",
                              GW_STR_ARG(op));
    }
    return GW_OK;
}

enum gw_rc ctl_res_refuse(struct gw_schema_problem *ret, const char *path, const char *fmt, ...) {
    char text[sizeof(ret->err.text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    snprintf(ret->path, sizeof(ret->path), "%s", path);
    return gw_err_set(&ret->err, GW_ERR_INPUT, 0, "%s: %s", ret->path, text);
}

bool ctl_res_matches(struct gw_str text, const char *pattern) {
    char copy[4097], whole[1024];
    if (text.len >= sizeof(copy) || (text.len && memchr(text.ptr, 0, text.len))) return false;
    if (text.len) memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    snprintf(whole, sizeof(whole), "^(%s)$", pattern);
    regex_t re;
    if (regcomp(&re, whole, REG_EXTENDED | REG_NOSUB) != 0) return false;
    bool yes = regexec(&re, copy, 0, NULL, 0) == 0;
    regfree(&re);
    return yes;
}

// --- from a manifest to its kind -----------------------------------------------------------------

static bool kind_serves(const struct ctl_res_kind *k, struct gw_str version) {
    for (const char *const *v = k->versions; *v; v++)
        if (gw_str_eq(version, gw_str_of(*v))) return true;
    return false;
}

const struct ctl_res_kind *ctl_res_find(struct gw_str api_version, struct gw_str kind,
                                        struct gw_err *err) {
    struct gw_str version = api_version, group = {"", 0};
    if (gw_str_find(api_version, '/') >= 0) group = gw_str_cut(&version, '/');
    for (const struct ctl_res_kind *const *k = ctl_res_kinds; *k; k++) {
        if (!gw_str_eq(group, gw_str_of((*k)->group)) || !gw_str_eq(kind, gw_str_of((*k)->name)))
            continue;
        if (kind_serves(*k, version)) return *k;
        gw_err_set(err, GW_ERR_INPUT, 0,
                   "no kind '%s' in version '" GW_STR_FMT "' (there is %s%s%s)", (*k)->name,
                   GW_STR_ARG(api_version), (*k)->group, *(*k)->group ? "/" : "",
                   (*k)->versions[0]);
        return NULL;
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(unbuilt_kinds); i++) {
        if (!gw_str_eq(group, gw_str_of(unbuilt_kinds[i].group)) ||
            !gw_str_eq(kind, gw_str_of(unbuilt_kinds[i].kind)))
            continue;
        gw_err_set(err, GW_ERR_INPUT, 0, "kind '%s' is not supported yet", unbuilt_kinds[i].kind);
        return NULL;
    }
    gw_err_set(err, GW_ERR_INPUT, 0, "no kind '" GW_STR_FMT "' in version '" GW_STR_FMT "'",
               GW_STR_ARG(kind), GW_STR_ARG(api_version));
    return NULL;
}

const struct ctl_res_kind *ctl_res_by_word(struct gw_str word) {
    for (const struct ctl_res_kind *const *k = ctl_res_kinds; *k; k++) {
        if (gw_str_eq_nocase(word, gw_str_of((*k)->name)) ||
            gw_str_eq_nocase(word, gw_str_of((*k)->plural)) ||
            ((*k)->short_name && gw_str_eq_nocase(word, gw_str_of((*k)->short_name))))
            return *k;
    }
    return NULL;
}

// --- checking ------------------------------------------------------------------------------------

// jansson's iterators take no const, although they change nothing.
static json_t *unconst(const json_t *v) {
    return (json_t *)(uintptr_t)v;
}

// Splits an object's members into those of the envelope and the kind's own; values are shared.
static void split(const json_t *obj, json_t *outer, json_t *own) {
    const char *key;
    json_t *v;
    json_object_foreach(unconst(obj), key, v) {
        const struct gw_field *f = envelope;
        while (f->name && strcmp(f->name, key) != 0)
            f++;
        json_object_set_nocheck(f->name ? outer : own, key, v);
    }
}

bool ctl_res_is_qualified(struct gw_str name) {
    struct gw_str prefix = {NULL, 0};
    if (gw_str_find(name, '/') >= 0) prefix = gw_str_cut(&name, '/');
    return name.len <= 63 && ctl_res_matches(name, "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]") &&
           (!prefix.ptr || (prefix.len <= 253 && ctl_res_matches(prefix, CTL_P_SUBDOMAIN)));
}

static enum gw_rc check_label_keys(const json_t *meta, struct gw_schema_problem *ret) {
    const char *key;
    json_t *v;
    json_object_foreach(gw_json_get(meta, "labels"), key, v) {
        if (!ctl_res_is_qualified(gw_str_of(key)))
            return ctl_res_refuse(ret, "metadata.labels", "'%.320s' is not the key of a label",
                                  key);
    }
    return GW_OK;
}

// As labels' keys, but without regard to case.
static enum gw_rc check_annotation_keys(const json_t *meta, struct gw_schema_problem *ret) {
    const char *key;
    json_t *v;
    json_object_foreach(gw_json_get(meta, "annotations"), key, v) {
        char lower[320];
        size_t n = strlen(key);
        for (size_t i = 0; i <= n && i < sizeof(lower); i++)
            lower[i] = key[i] >= 'A' && key[i] <= 'Z' ? (char)(key[i] | 0x20) : key[i];
        if (n >= sizeof(lower) || !ctl_res_is_qualified((struct gw_str){lower, n}))
            return ctl_res_refuse(ret, "metadata.annotations",
                                  "'%.320s' is not the key of an annotation", key);
    }
    return GW_OK;
}

static enum gw_rc check_metadata(const struct ctl_res_kind *kind, const json_t *meta,
                                 struct gw_schema_problem *ret) {
    struct gw_str name = gw_json_str(meta, "name");
    if (kind->name_is_label && name.len > 63)
        return ctl_res_refuse(ret, "metadata.name", "is longer than 63 characters");
    if (kind->name_is_label && !ctl_res_matches(name, CTL_P_LABEL))
        return ctl_res_refuse(ret, "metadata.name", "'" GW_STR_FMT "' " CTL_SAYS_LABEL,
                              GW_STR_ARG(name));
    if (!kind->namespaced && gw_json_str(meta, "namespace").len)
        return ctl_res_refuse(ret, "metadata.namespace", "kind %s has no namespace", kind->name);
    GW_TRY(check_label_keys(meta, ret));
    return check_annotation_keys(meta, ret);
}

enum gw_rc ctl_res_check(const struct ctl_res_kind *kind, const json_t *obj,
                         struct gw_schema_problem *ret) {
    if (!json_is_object(obj)) return ctl_res_refuse(ret, "", "a manifest must be a map");
    GW_JSON_AUTO outer = json_object();
    GW_JSON_AUTO own = json_object();
    split(obj, outer, own);
    GW_TRY(gw_schema_check(outer, envelope, "", ret));
    GW_TRY(check_metadata(kind, gw_json_get(obj, "metadata"), ret));
    GW_TRY(gw_schema_check(own, kind->fields, "", ret));
    return kind->check ? kind->check(obj, ret) : GW_OK;
}

// --- settling ------------------------------------------------------------------------------------

static void drop_nulls(json_t *v) {
    if (json_is_object(v)) {
        const char *key;
        json_t *member;
        void *tmp;
        json_object_foreach_safe(v, tmp, key, member) {
            if (json_is_null(member))
                json_object_del(v, key);
            else
                drop_nulls(member);
        }
    } else if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++)
            drop_nulls(json_array_get(v, i));
    }
}

void ctl_res_settle(const struct ctl_res_kind *kind, json_t *obj) {
    json_object_del(obj, "status");
    drop_nulls(obj);
    json_t *meta = gw_json_get(obj, "metadata");
    if (kind->namespaced && gw_json_str(meta, "namespace").len == 0)
        json_object_set_new_nocheck(meta, "namespace", json_string_nocheck("default"));
    if (kind->settle) kind->settle(obj);
}
