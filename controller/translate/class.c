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

static bool is_ours(const struct ctl_object *o) {
    return o && gw_str_eq(gw_json_str(gw_json_get(o->json, "spec"), "controllerName"),
                          GW_STR(CTL_CONTROLLER_NAME));
}

static struct ctl_status_report *report_of(const struct ctl_object *o, struct tr_class *c) {
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
    struct ctl_status_report *report = c->ours ? report_of(o, c) : NULL;
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
