// SPDX-License-Identifier: Apache-2.0
// A rule's backendRefs: permitted, of a kind that is served, there. What is wrong keeps its share
// of the rule and answers 500 for it.
#include "controller/translate/tr.h"

#include <stdio.h>

#define MESSAGES_MAX 8 // of one route; how many more there are is said in a number

void tr_refs_fini(struct tr_refs *refs) {
    gw_text_fini(&refs->message);
    tr_names_fini(&refs->llms);
    GW_VEC_FINI(&refs->ports);
}

struct ref {
    const json_t *json;
    struct gw_str group, kind, ns, name;
    size_t rule;
    bool is_service, is_llm;
};

static json_t *wrong(struct tr_refs *refs, const struct ref *ref, const char *reason,
                     const char *fmt, ...) GW_PRINTF(4, 5);
static json_t *wrong(struct tr_refs *refs, const struct ref *ref, const char *reason,
                     const char *fmt, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (!refs->reason) refs->reason = reason;
    if (refs->wrong++ < MESSAGES_MAX)
        gw_text_addf(&refs->message, "%srule %zu: %s", refs->message.len ? "; " : "", ref->rule,
                     text);
    json_t *entry = json_object();
    tr_set(entry, "invalid", json_string_nocheck(reason));
    return entry;
}

static json_t *right(const char *fmt, ...) GW_PRINTF(1, 2);
static json_t *right(const char *fmt, ...) {
    char name[GW_IR_NAME_MAX + 1];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof(name), fmt, ap);
    va_end(ap);
    json_t *entry = json_object();
    tr_set(entry, "backend", json_string_nocheck(name));
    return entry;
}

// --- Services ----------------------------------------------------------------------------------

static const json_t *port_of(const struct ctl_object *service, int64_t port, bool *ret_other) {
    const json_t *ports = gw_json_path(service->json, "spec.ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *p = json_array_get(ports, i);
        if (gw_json_int(p, "port", 0) != port) continue;
        if (gw_str_eq(tr_str_or(p, "protocol", GW_STR("TCP")), GW_STR("TCP"))) return p;
        *ret_other = true;
    }
    return NULL;
}

static json_t *service_ref(struct ctl_translator *t, struct tr_route *r, const struct ref *ref,
                           struct tr_refs *refs) {
    int64_t number = gw_json_int(ref->json, "port", 0);
    bool other = false;
    const char *protocol;
    char key[TR_KEY_MAX];
    tr_key(key, ref->ns, ref->name);
    tr_refer(t, &r->node, "Service", ref->ns, ref->name);
    const struct ctl_object *o = ctl_store_get(t->store, &ctl_res_service, ref->ns, ref->name);
    if (!o)
        return wrong(refs, ref, "BackendNotFound", "Service %s %s", key,
                     tr_absence(t, &ctl_res_service));
    if (gw_str_eq(gw_json_str(gw_json_get(o->json, "spec"), "type"), GW_STR("ExternalName")))
        return wrong(refs, ref, "InvalidKind",
                     "Service %s is of type ExternalName, which is not supported", key);
    const json_t *port = port_of(o, number, &other);
    if (!port && other)
        return wrong(refs, ref, "UnsupportedProtocol", "port %lld of Service %s is not TCP",
                     (long long)number, key);
    if (!port)
        return wrong(refs, ref, "BackendNotFound", "Service %s has no port %lld", key,
                     (long long)number);
    struct gw_str app = gw_json_str(port, "appProtocol");
    if (!tr_app_protocol(app, &protocol))
        return wrong(refs, ref, "UnsupportedProtocol",
                     "port %lld of Service %s speaks '" GW_STR_FMT "', which is not supported yet",
                     (long long)number, key, GW_STR_ARG(app));
    GW_VEC_PUSH(&refs->ports, ((struct tr_use){ref->ns, ref->name, (uint16_t)number}));
    return right("backend/service/%s/%lld", key, (long long)number);
}

// --- LLMBackends -------------------------------------------------------------------------------

static json_t *llm_ref(struct ctl_translator *t, struct tr_route *r, const struct ref *ref,
                       struct tr_refs *refs) {
    char key[TR_KEY_MAX];
    tr_key(key, ref->ns, ref->name);
    tr_refer(t, &r->node, "LLMBackend", ref->ns, ref->name);
    struct tr_node *node = tr_node_get(t, TR_LLM, gw_str_of(key));
    const struct tr_llm *l = node ? GW_CONTAINER_OF(node, struct tr_llm, node) : NULL;
    if (!l || !l->exists)
        return wrong(refs, ref, "BackendNotFound",
                     "LLMBackend %s %s, or its own status says why it is refused", key,
                     tr_absence(t, &ctl_res_llm_backend));
    tr_names_add(&refs->llms, key); // also a broken one: it shows in its status whom it fails
    if (l->reason) return wrong(refs, ref, l->reason, "LLMBackend %s: %s", key, l->message);
    return right("backend/llm/%s", key);
}

// --- all ---------------------------------------------------------------------------------------

static struct ref read_ref(const struct ctl_object *route, const json_t *json, size_t rule) {
    struct ref ref = {
        .json = json,
        .group = tr_str_or(json, "group", GW_STR("")),
        .kind = tr_str_or(json, "kind", GW_STR("Service")),
        .ns = tr_str_or(json, "namespace", route->ns),
        .name = gw_json_str(json, "name"),
        .rule = rule,
    };
    ref.is_service = ref.group.len == 0 && gw_str_eq(ref.kind, GW_STR("Service"));
    ref.is_llm =
        gw_str_eq(ref.group, GW_STR(TR_LLM_GROUP)) && gw_str_eq(ref.kind, GW_STR("LLMBackend"));
    return ref;
}

// What is most often meant by a kind of another group.
static const char *hint(const struct ref *ref) {
    if (gw_str_eq(ref->kind, GW_STR("LLMBackend"))) return "; its group is " TR_LLM_GROUP;
    return gw_str_eq(ref->kind, GW_STR("Service")) ? "; its group is ''" : "";
}

static json_t *resolve(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                       const struct ref *ref, struct tr_refs *refs) {
    if (!ref->is_service && !ref->is_llm)
        return wrong(refs, ref, "InvalidKind",
                     "kind " GW_STR_FMT "%s" GW_STR_FMT
                     " cannot be a backend (Service and LLMBackend." TR_LLM_GROUP " can%s)",
                     GW_STR_ARG(ref->kind), ref->group.len ? "." : "", GW_STR_ARG(ref->group),
                     hint(ref));
    if (!gw_str_eq(ref->ns, o->ns)) {
        tr_refer(t, &r->node, "Grants", ref->ns, GW_STR(""));
        // The same words whether the object exists or not.
        if (!tr_is_granted(t, GW_STR("HTTPRoute"), o->ns, ref->group, ref->kind, ref->ns,
                           ref->name))
            return wrong(refs, ref, "RefNotPermitted",
                         GW_STR_FMT " " GW_STR_FMT "/" GW_STR_FMT
                                    ": no ReferenceGrant of namespace '" GW_STR_FMT
                                    "' lets HTTPRoutes of namespace '" GW_STR_FMT "' refer to it%s",
                         GW_STR_ARG(ref->kind), GW_STR_ARG(ref->ns), GW_STR_ARG(ref->name),
                         GW_STR_ARG(ref->ns), GW_STR_ARG(o->ns), tr_grants_unread(t));
    }
    return ref->is_llm ? llm_ref(t, r, ref, refs) : service_ref(t, r, ref, refs);
}

json_t *tr_mirror_ref(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                      const json_t *json, size_t rule, struct tr_refs *refs) {
    struct ref ref = read_ref(o, json, rule);
    if (ref.is_llm)
        return wrong(refs, &ref, "InvalidKind",
                     "requests cannot be mirrored to an LLMBackend (to a Service they can)");
    return resolve(t, r, o, &ref, refs);
}

// --- rules -------------------------------------------------------------------------------------

struct ref_kinds {
    bool services, llms, mirrors; // mirrors: a filter, of the rule or of a backendRef
};

static bool has_mirror(const json_t *of) {
    const json_t *list = gw_json_get(of, "filters");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (gw_json_get(json_array_get(list, i), "requestMirror")) return true;
    return false;
}

static struct ref_kinds kinds_of(const struct ctl_object *o, const json_t *rule) {
    const json_t *list = gw_json_get(rule, "backendRefs");
    struct ref_kinds k = {.mirrors = has_mirror(rule)};
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct ref ref = read_ref(o, json_array_get(list, i), 0);
        k.services = k.services || ref.is_service;
        k.llms = k.llms || ref.is_llm;
        k.mirrors = k.mirrors || has_mirror(json_array_get(list, i));
    }
    return k;
}

// A copy of a model request would carry the provider's key, and its answer costs money.
static const char *why_not(struct ref_kinds k) {
    if (k.services && k.llms) return "Services and LLMBackends in one rule are not supported";
    if (k.llms && k.mirrors) return "requests to LLMBackends are not mirrored";
    return NULL;
}

static json_t *backends(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                        const json_t *rule, size_t index, bool is_served, struct tr_refs *refs) {
    const json_t *from = gw_json_get(rule, "backendRefs");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(from); i++) {
        const json_t *b = json_array_get(from, i);
        struct ref ref = read_ref(o, b, index);
        json_t *entry, *filters = NULL;
        if (is_served) {
            entry = resolve(t, r, o, &ref, refs);
            filters = tr_filters(t, r, o, rule, index, gw_json_get(b, "filters"), refs);
        } else {
            entry = json_object();
            tr_set(entry, "invalid", json_string_nocheck("UnsupportedValue"));
        }
        tr_set(entry, "weight", json_integer(gw_json_int(b, "weight", 1)));
        if (filters) tr_set(entry, "filters", filters);
        json_array_append_new(list, entry);
    }
    return list;
}

json_t *tr_rule_body(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                     const json_t *rule, size_t index, struct tr_refs *refs, const char **ret_why) {
    char route[TR_KEY_MAX];
    json_t *body = json_object();
    struct gw_str name = gw_json_str(rule, "name");
    struct ref_kinds kinds = kinds_of(o, rule);
    *ret_why = why_not(kinds);
    tr_key(route, o->ns, o->name);
    tr_set(body, "route", json_string_nocheck(route));
    tr_set(body, "index", json_integer((json_int_t)index));
    if (name.ptr) tr_set(body, "name", tr_string(name));
    tr_set(body, "age", tr_string(o->age));
    tr_set(body, "matches", tr_rule_matches(rule));
    json_t *filters = NULL, *timeouts = tr_rule_timeouts(rule);
    if (!*ret_why) filters = tr_filters(t, r, o, rule, index, gw_json_get(rule, "filters"), refs);
    if (filters) tr_set(body, "filters", filters);
    if (timeouts) tr_set(body, "timeouts", timeouts);
    if (kinds.llms && !*ret_why) tr_set(body, "llm", json_true());
    tr_set(body, "backends", backends(t, r, o, rule, index, !*ret_why, refs));
    t->rules_translated++;
    return body;
}
