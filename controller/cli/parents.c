// SPDX-License-Identifier: Apache-2.0
// Of parentRefs that no status speaks of: why nobody does. In a cluster the controller may write
// only about Gateways of its own, so a name that is mistyped has no condition anywhere.
#include "controller/cli/cli.h"

#include "controller/translate/translate.h"

// The object of that namespace and name; NULL: none.
static const json_t *find(const json_t *list, struct gw_str ns, struct gw_str name) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i), *meta = gw_json_get(o, "metadata");
        if (gw_str_eq(gw_json_str(meta, "name"), name) &&
            gw_str_eq(gw_json_str(meta, "namespace"), ns))
            return o;
    }
    return NULL;
}

static bool is_same(const json_t *a, const json_t *b) {
    static const char *const texts[] = {"namespace", "name", "sectionName"};
    for (size_t i = 0; i < GW_ARRAY_LEN(texts); i++)
        if (!gw_str_eq(gw_json_str(a, texts[i]), gw_json_str(b, texts[i]))) return false;
    return gw_json_int(a, "port", 0) == gw_json_int(b, "port", 0);
}

static bool has_entry(const json_t *route, const json_t *ref) {
    const json_t *list = gw_json_path(route, "status.parents");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        if (gw_str_eq(gw_json_str(p, "controllerName"), GW_STR(CTL_CONTROLLER_NAME)) &&
            is_same(gw_json_get(p, "parentRef"), ref))
            return true;
    }
    return false;
}

bool cli_parents_all_told(const json_t *route) {
    const json_t *refs = gw_json_path(route, "spec.parentRefs");
    for (size_t i = 0; i < json_array_size(refs); i++)
        if (!has_entry(route, json_array_get(refs, i))) return false;
    return json_array_size(refs) > 0;
}

static void explain_gateway(const json_t *gateway, const json_t *classes, struct gw_text *out) {
    struct gw_str class_name = gw_json_str_of(gw_json_path(gateway, "spec.gatewayClassName"));
    const json_t *class = find(classes, GW_STR(""), class_name);
    struct gw_str controller = gw_json_str_of(gw_json_path(class, "spec.controllerName"));
    if (!gateway)
        gw_text_adds(out, "does not exist (is parentRefs[].namespace missing?)");
    else if (!class)
        gw_text_addf(out, "its GatewayClass '" GW_STR_FMT "' does not exist",
                     GW_STR_ARG(class_name));
    else if (!gw_str_eq(controller, GW_STR(CTL_CONTROLLER_NAME)))
        gw_text_addf(out,
                     "its GatewayClass '" GW_STR_FMT "' is of another controller, '" GW_STR_FMT "'",
                     GW_STR_ARG(class_name), GW_STR_ARG(controller));
    else
        gw_text_adds(out, "nothing was told of the route yet");
}

void cli_parents(const json_t *route, const json_t *gateways, const json_t *classes,
                 struct gw_text *out) {
    const json_t *refs = gw_json_path(route, "spec.parentRefs");
    struct gw_str own = gw_json_str_of(gw_json_path(route, "metadata.namespace"));
    if (json_array_size(refs) == 0)
        gw_text_adds(out, "  no parentRefs: the route belongs to no Gateway\n");
    for (size_t i = 0; i < json_array_size(refs); i++) {
        const json_t *ref = json_array_get(refs, i);
        struct gw_str kind = gw_json_str(ref, "kind"), group = gw_json_str(ref, "group");
        struct gw_str ns = gw_json_str(ref, "namespace"), name = gw_json_str(ref, "name");
        bool is_gateway = (!kind.ptr || gw_str_eq(kind, GW_STR("Gateway"))) &&
                          (!group.ptr || gw_str_eq(group, GW_STR("gateway.networking.k8s.io")));
        if (has_entry(route, ref)) continue;
        ns = ns.len ? ns : own;
        gw_text_addf(out, "  " GW_STR_FMT " " GW_STR_FMT "/" GW_STR_FMT ": ",
                     GW_STR_ARG(kind.len ? kind : GW_STR("Gateway")), GW_STR_ARG(ns),
                     GW_STR_ARG(name));
        if (is_gateway)
            explain_gateway(find(gateways, ns, name), classes, out);
        else
            gw_text_adds(out, "only Gateways of gateway.networking.k8s.io can be parents here");
        gw_text_adds(out, "\n");
    }
}
