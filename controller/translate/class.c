// SPDX-License-Identifier: Apache-2.0
// GatewayClasses: which are ours, and what of the Gateway API their Gateways can count on.
#include "controller/translate/tr.h"

// Features of the Gateway API (pkg/features there), as its conformance tests know them: what is
// built and seen to work, in ascending order.
static const char *const features[] = {
    "Gateway",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayPort8080",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendRequestRedirect",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "ReferenceGrant",
};

static json_t *supported_features(void) {
    json_t *list = json_array();
    for (size_t i = 0; i < GW_ARRAY_LEN(features); i++) {
        json_t *one = json_object();
        tr_set(one, "name", json_string_nocheck(features[i]));
        json_array_append_new(list, one);
    }
    json_t *extra = json_object();
    tr_set(extra, "supportedFeatures", list);
    return extra;
}

// Releases of the Gateway API whose CRDs are known to work, with whatever patch.
static const char *const releases[] = {"v1.6", "v1.7"};

static bool is_known(struct gw_str version) {
    for (size_t i = 0; i < GW_ARRAY_LEN(releases); i++) {
        struct gw_str release = gw_str_of(releases[i]);
        if (gw_str_starts(version, release) && version.len > release.len &&
            version.ptr[release.len] == '.')
            return true;
    }
    return false;
}

// Different ones, for the message: of an upgrade under way there are two.
#define VERSIONS_SHOWN_MAX 4

static void add_shown(const char **shown, size_t *n, const char *version) {
    for (size_t i = 0; i < *n; i++)
        if (strcmp(shown[i], version) == 0) return;
    if (*n < VERSIONS_SHOWN_MAX) shown[(*n)++] = version;
}

// As the API has it: one CRD of another version, or of none, is enough. What is there is served
// all the same, as far as it is understood.
static void add_version(const struct ctl_translator *t, struct ctl_status_part *p) {
    const json_t *versions = ctl_store_crd_versions(t->store);
    const char *name, *shown[VERSIONS_SHOWN_MAX];
    const json_t *v;
    size_t n = 0;
    GW_CLEANUP(gw_text_fini) struct gw_text text = {0};
    json_object_foreach((json_t *)(uintptr_t)versions, name, v) {
        struct gw_str version = gw_json_str_of(v);
        if (!is_known(version)) {
            tr_condition(p, "SupportedVersion", false, "UnsupportedVersion",
                         "CRD %s is of %s%.64s; v1.6 and v1.7 are known to work (annotation "
                         "gateway.networking.k8s.io/bundle-version)",
                         name, version.len ? "the Gateway API " : "no version", version.ptr);
            return;
        }
        add_shown(shown, &n, version.ptr);
    }
    for (size_t i = 0; i < n; i++)
        gw_text_addf(&text, "%s%.64s", i ? ", " : "", shown[i]);
    if (n)
        tr_condition(p, "SupportedVersion", true, "SupportedVersion",
                     "CRDs of the Gateway API %s are installed", text.ptr);
}

static bool is_ours(const struct ctl_object *o) {
    return o && gw_str_eq(gw_json_str(gw_json_get(o->json, "spec"), "controllerName"),
                          GW_STR(CTL_CONTROLLER_NAME));
}

static struct ctl_status_report *report_of(const struct ctl_translator *t,
                                           const struct ctl_object *o, struct tr_class *c) {
    const json_t *params = gw_json_path(o->json, "spec.parametersRef");
    struct ctl_status_report *r = tr_report_new(o->kind, o->ns, o->name, o->generation);
    struct ctl_status_part *p = tr_report_part(r);
    r->extra = supported_features();
    c->accepted = params == NULL;
    if (c->accepted)
        tr_condition(p, "Accepted", true, "Accepted", "Gateways of this class are served");
    else
        tr_condition(p, "Accepted", false, "InvalidParameters",
                     "spec.parametersRef: kind " GW_STR_FMT "." GW_STR_FMT
                     " holds no parameters that are supported",
                     GW_STR_ARG(gw_json_str(params, "kind")),
                     GW_STR_ARG(gw_json_str(params, "group")));
    add_version(t, p);
    return r;
}

void tr_class_translate(struct ctl_translator *t, struct gw_str name) {
    const struct ctl_object *o = ctl_store_get(t->store, &ctl_res_gateway_class, GW_STR(""), name);
    struct tr_class *c = gw_map_get(&t->classes, name);
    if (!c) {
        c = gw_alloc(sizeof(*c));
        gw_map_put(&t->classes, name, c);
    }
    c->ours = is_ours(o);
    c->accepted = false;
    struct ctl_status_report *report = c->ours ? report_of(t, o, c) : NULL;
    tr_report_set(t, &c->report, &ctl_res_gateway_class, GW_STR(""), name, report);
    tr_fire(t, "GatewayClass", GW_STR(""), name);
    if (!o) {
        gw_map_del(&t->classes, name);
        free(c);
    }
}

static void class_free(void *arg) {
    struct tr_class *c = arg;
    tr_report_free(c->report);
    free(c);
}

void tr_classes_free(struct ctl_translator *t) {
    gw_map_fini(&t->classes, class_free);
}
