// SPDX-License-Identifier: Apache-2.0
// See refusal.h. A refused object is read with care: nothing of it has been checked.
#include "controller/status/refusal.h"

#include "controller/status/merge.h"
#include "shared/vec.h"

// Listener names of the API; more are not looked at.
#define LISTENERS_MAX 64

void ctl_refusals_add(struct ctl_refusals *l, const struct ctl_status_refused *r) {
    struct ctl_refused copy = {
        .kind = r->kind,
        .ns = gw_strndup(r->ns.ptr ? r->ns.ptr : "", r->ns.len),
        .name = gw_strndup(r->name.ptr, r->name.len),
        .reason = gw_strdup(r->reason),
        .generation = r->generation,
        .object = json_incref((json_t *)(uintptr_t)r->object),
    };
    GW_VEC_PUSH(l, copy);
}

void ctl_refusals_fini(struct ctl_refusals *l) {
    for (size_t i = 0; i < l->len; i++) {
        free(l->ptr[i].ns);
        free(l->ptr[i].name);
        free(l->ptr[i].reason);
        json_decref(l->ptr[i].object);
    }
    GW_VEC_FINI(l);
}

// --- reports -----------------------------------------------------------------------------------

static struct ctl_status_part *add_part(struct ctl_status_report *r) {
    r->parts = gw_realloc(r->parts, (r->parts_n + 1) * sizeof(*r->parts));
    r->parts[r->parts_n] = (struct ctl_status_part){0};
    return &r->parts[r->parts_n++];
}

static void add_condition(struct ctl_status_part *p, const char *reason, const char *message) {
    p->conditions[p->conditions_n++] =
        (struct ctl_condition){"Accepted", false, reason, gw_strdup(message)};
}

static bool is_or_absent(const json_t *obj, const char *member, struct gw_str want) {
    struct gw_str v = gw_json_str(obj, member);
    return !v.ptr || gw_str_eq(v, want);
}

static bool is_our_parent(const struct ctl_status *s, const struct ctl_refused *r,
                          const json_t *ref) {
    struct gw_str ns = gw_json_str(ref, "namespace");
    return is_or_absent(ref, "group", GW_STR("gateway.networking.k8s.io")) &&
           is_or_absent(ref, "kind", GW_STR("Gateway")) && gw_json_str(ref, "name").len &&
           ctl_status_has(s, &ctl_res_gateway, ns.ptr ? ns : gw_str_of(r->ns),
                          gw_json_str(ref, "name"));
}

static void report_route(const struct ctl_status *s, const struct ctl_refused *r,
                         struct ctl_status_report *ret) {
    const json_t *refs = gw_json_path(r->object, "spec.parentRefs");
    for (size_t i = 0; i < json_array_size(refs) && ret->parts_n < CTL_STATUS_PARENTS_MAX; i++) {
        json_t *ref = json_array_get(refs, i);
        if (!is_our_parent(s, r, ref)) continue;
        struct ctl_status_part *p = add_part(ret);
        p->parent = json_incref(ref);
        add_condition(p, "UnsupportedValue", r->reason);
    }
}

static void report_gateway(const struct ctl_status *s, const struct ctl_refused *r,
                           struct ctl_status_report *ret) {
    const json_t *listeners = gw_json_path(r->object, "spec.listeners");
    struct gw_str class_name = gw_json_str_of(gw_json_path(r->object, "spec.gatewayClassName"));
    if (!class_name.len || !ctl_status_has(s, &ctl_res_gateway_class, GW_STR(""), class_name))
        return;
    struct ctl_status_part *p = add_part(ret);
    add_condition(p, "Invalid", r->reason);
    p->wants_programmed = true;
    for (size_t i = 0; i < json_array_size(listeners) && i < LISTENERS_MAX; i++) {
        struct gw_str name = gw_json_str(json_array_get(listeners, i), "name");
        if (!name.len) continue;
        p = add_part(ret);
        p->listener = gw_strndup(name.ptr, name.len);
        add_condition(p, "Pending", "the Gateway is refused: see its own conditions");
        p->wants_programmed = true;
    }
}

void ctl_refusal_report(const struct ctl_status *s, const struct ctl_refused *r,
                        struct ctl_status_report *ret) {
    ret->kind = r->kind;
    ret->ns = gw_strdup(r->ns);
    ret->name = gw_strdup(r->name);
    ret->generation = r->generation;
    if (r->kind == &ctl_res_http_route) {
        report_route(s, r, ret);
    } else if (r->kind == &ctl_res_gateway) {
        report_gateway(s, r, ret);
    } else if (r->kind == &ctl_res_llm_backend) {
        struct ctl_status_part *p = add_part(ret);
        p->parent = json_pack("{ssssss}", "group", "", "kind", "Namespace", "name", r->ns);
        add_condition(p, "Invalid", r->reason);
    } else if (r->kind == &ctl_res_gateway_class) {
        struct gw_str controller = gw_json_str_of(gw_json_path(r->object, "spec.controllerName"));
        if (gw_str_eq(controller, GW_STR(CTL_CONTROLLER_NAME)))
            add_condition(add_part(ret), "Unsupported", r->reason);
    }
}
