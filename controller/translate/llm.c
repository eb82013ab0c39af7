// SPDX-License-Identifier: Apache-2.0
// LLMBackends: where a provider is, which models it takes, with which keys. A backend whose keys
// cannot be resolved is not offered; its own status and that of its routes say why. Resources are
// made only for backends that some Gateway reaches.
#include "controller/translate/tr.h"

#include <stdio.h>

#define ANCESTORS_MAX 16 // of a status, as Gateway API policies have it

// --- values of Secrets -------------------------------------------------------------------------

static int base64_digit(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

// Text that a kind's table checked; owned by caller.
static char *base64_text(struct gw_str s) {
    char *out = gw_alloc(s.len / 4 * 3 + 4);
    size_t n = 0;
    unsigned bits = 0, have = 0;
    for (size_t i = 0; i < s.len; i++) {
        int d = base64_digit(s.ptr[i]);
        if (d < 0) continue; // line ends and padding
        bits = bits << 6 | (unsigned)d;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        char c = (char)(bits >> have & 255);
        out[n++] = c ? c : '\1'; // a NUL would cut the text, any control byte is refused
    }
    out[n] = 0;
    return out;
}

// Blanks and line ends at the ends come from editors and `echo`; they are never part of a key.
static void trim(char *s) {
    size_t n = strlen(s), begin = strspn(s, " \t\r\n");
    while (n > begin && strchr(" \t\r\n", s[n - 1]))
        n--;
    memmove(s, s + begin, n - begin);
    s[n - begin] = 0;
}

static const char *unusable(const char *value) {
    if (!*value) return "is empty";
    if (strlen(value) > 65536) return "is longer than 65536 bytes";
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p > 126)
            return "holds characters that a header cannot carry";
    return NULL;
}

// The variable that the annotation names for a key; {NULL, 0}: none.
static struct gw_str variable_of(const struct ctl_object *secret, struct gw_str key) {
    struct gw_str list =
        gw_json_str(gw_json_path(secret->json, "metadata.annotations"), "kgateway.dev/from-env");
    while (list.ptr) {
        struct gw_str variable = gw_str_trim(gw_str_cut(&list, ','));
        if (gw_str_eq(gw_str_cut(&variable, '='), key)) return variable;
    }
    return (struct gw_str){NULL, 0};
}

static void fail(struct tr_llm *l, const char *reason, bool is_accepted, const char *fmt, ...)
    GW_PRINTF(4, 5);
static void fail(struct tr_llm *l, const char *reason, bool is_accepted, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    if (l->reason) return; // the first one is told
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    l->reason = reason;
    l->is_accepted = is_accepted;
    l->message = gw_strdup(text);
}

// Owned by caller; NULL where l was failed.
static char *read_value(const struct ctl_translator *t, struct tr_llm *l,
                        const struct ctl_object *secret, struct gw_str key) {
    const char *ns = l->node.ns;
    struct gw_str variable = variable_of(secret, key), name = secret->name;
    char *value = NULL;
    if (variable.ptr && t->o.getenv) {
        char *copy = gw_strndup(variable.ptr, variable.len);
        const char *set = t->o.getenv(t->o.getenv_arg, copy);
        if (set && *set) value = gw_strdup(set);
        free(copy);
        if (!value)
            fail(l, "InvalidSecretRef", true,
                 "Secret %s/" GW_STR_FMT " takes key '" GW_STR_FMT "' from the variable " GW_STR_FMT
                 " of the controller's environment, which is not set",
                 ns, GW_STR_ARG(name), GW_STR_ARG(key), GW_STR_ARG(variable));
    } else {
        char *k = gw_strndup(key.ptr, key.len);
        struct gw_str data = gw_json_str(gw_json_get(secret->json, "data"), k);
        free(k);
        if (data.ptr)
            value = base64_text(data);
        else
            fail(l, "InvalidSecretRef", true,
                 "Secret %s/" GW_STR_FMT " has no key '" GW_STR_FMT "'", ns, GW_STR_ARG(name),
                 GW_STR_ARG(key));
    }
    if (!value) return NULL;
    trim(value);
    const char *why = unusable(value);
    if (!why) return value;
    fail(l, "InvalidSecretRef", true,
         "the value of key '" GW_STR_FMT "' of Secret %s/" GW_STR_FMT " %s", GW_STR_ARG(key), ns,
         GW_STR_ARG(name), why);
    free(value);
    return NULL;
}

// --- the body ----------------------------------------------------------------------------------

static void set_keys(struct ctl_translator *t, struct tr_llm *l, const json_t *refs) {
    struct gw_str ns = gw_str_of(l->node.ns);
    int64_t weights = 0;
    json_t *keys = json_array();
    for (size_t i = 0; i < json_array_size(refs); i++) {
        const json_t *ref = json_array_get(refs, i);
        struct gw_str name = gw_json_str(ref, "name");
        struct gw_str key = tr_str_or(ref, "key", GW_STR("api-key"));
        char resource[GW_IR_NAME_MAX + 1];
        tr_refer(t, &l->node, "Secret", ns, name);
        const struct ctl_object *secret = ctl_store_get(t->store, &ctl_res_secret, ns, name);
        if (!secret) {
            fail(l, "InvalidSecretRef", true, "Secret %s/" GW_STR_FMT " %s", l->node.ns,
                 GW_STR_ARG(name), tr_absence(t, &ctl_res_secret));
            continue;
        }
        char *value = read_value(t, l, secret, key);
        if (!value) continue;
        int n = snprintf(resource, sizeof(resource), "secret/%s/" GW_STR_FMT "/" GW_STR_FMT,
                         l->node.ns, GW_STR_ARG(name), GW_STR_ARG(key));
        GW_ASSERT(n > 0 && (size_t)n < sizeof(resource));
        json_t *entry = json_object();
        tr_set(entry, "secret", json_string_nocheck(resource));
        tr_set(entry, "weight", json_integer(gw_json_int(ref, "weight", 1)));
        json_array_append_new(keys, entry);
        weights += gw_json_int(ref, "weight", 1);
        GW_VEC_PUSH(&l->secrets, ((struct tr_secret){gw_strdup(resource), value}));
    }
    if (json_array_size(keys) && weights == 0)
        fail(l, "Invalid", false,
             "auth.secretRefs: all weights are 0, so that no key is ever used");
    tr_set(l->body, "keys", keys);
}

static void set_url(struct tr_llm *l, const json_t *spec) {
    struct ctl_base_url url;
    struct gw_err err;
    const struct gw_provider *provider = gw_provider_find(gw_json_str(spec, "provider"));
    struct gw_str text = tr_str_or(spec, "baseURL", gw_str_of(provider->base_url));
    if (ctl_res_base_url(text, &url, &err) != GW_OK) {
        fail(l, "Invalid", false, "baseURL: %s", err.text);
        return;
    }
    json_t *v = json_object();
    tr_set(v, "scheme", json_string_nocheck(url.https ? "https" : "http"));
    tr_set(v, "host", tr_string(url.host));
    tr_set(v, "port", json_integer(url.port));
    tr_set(v, "path", tr_string(url.path));
    tr_set(l->body, "url", v);
}

static void set_timeouts(struct tr_llm *l, const json_t *from) {
    static const struct {
        const char *member, *key;
    } names[] = {
        {"connect", "connect_ms"},
        {"firstToken", "first_token_ms"},
        {"idle", "idle_ms"},
        {"request", "request_ms"},
    };
    json_t *v = json_object();
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        uint64_t ms;
        struct gw_str text = gw_json_str(from, names[i].member);
        if (text.ptr && gw_duration_ms(text, &ms, NULL) == GW_OK)
            tr_set(v, names[i].key, json_integer((json_int_t)ms));
    }
    if (json_object_size(v))
        tr_set(l->body, "timeouts", v);
    else
        json_decref(v);
}

static void read_object(struct ctl_translator *t, struct tr_llm *l, const struct ctl_object *o) {
    const json_t *spec = gw_json_get(o->json, "spec");
    const json_t *auth = gw_json_get(spec, "auth");
    json_t *models = gw_json_get(spec, "models"), *refs = gw_json_get(auth, "secretRefs");
    l->body = json_object();
    tr_set(l->body, "type", json_string_nocheck("llm"));
    tr_set(l->body, "provider", tr_string(gw_json_str(spec, "provider")));
    const struct gw_provider *provider = gw_provider_find(gw_json_str(spec, "provider"));
    tr_set(l->body, "dialect", tr_string(tr_str_or(spec, "dialect", gw_str_of(provider->dialect))));
    set_url(l, spec);
    if (json_object_size(models)) tr_set(l->body, "models", json_incref(models));
    if (json_array_size(refs)) set_keys(t, l, refs);
    tr_set(l->body, "passthrough", json_boolean(gw_json_bool(auth, "passthrough", false)));
    set_timeouts(l, gw_json_get(spec, "timeouts"));
}

// --- translation -------------------------------------------------------------------------------

static void wipe(struct tr_llm *l) {
    for (size_t i = 0; i < l->secrets.len; i++) {
        free(l->secrets.ptr[i].resource);
        explicit_bzero(l->secrets.ptr[i].value, strlen(l->secrets.ptr[i].value));
        free(l->secrets.ptr[i].value);
    }
    GW_VEC_FINI(&l->secrets);
    json_decref(l->body);
    free(l->message);
    l->body = NULL;
    l->message = NULL;
    l->reason = NULL;
}

void tr_llm_fini(struct tr_llm *l) {
    wipe(l);
    gw_map_fini(&l->reached, free);
}

// Routes see whether it is there and why it cannot be used, not what is in it.
void tr_llm_translate(struct ctl_translator *t, struct tr_llm *l) {
    struct gw_str ns = gw_str_of(l->node.ns), name = gw_str_of(l->node.name);
    const struct ctl_object *o = ctl_store_get(t->store, &ctl_res_llm_backend, ns, name);
    bool existed = l->exists;
    const char *reason = l->reason;
    char *message = l->message;
    l->message = NULL;
    tr_forget(t, &l->node);
    wipe(l);
    l->exists = o != NULL;
    l->node.gone = o == NULL;
    l->generation = o ? o->generation : 0;
    if (o) read_object(t, l, o);
    bool same_reason = reason && l->reason
                           ? strcmp(reason, l->reason) == 0 && strcmp(message, l->message) == 0
                           : reason == l->reason;
    if (existed != l->exists || !same_reason) tr_fire(t, "LLMBackend", ns, name);
    free(message);
    tr_touch(t, &l->node);
}

static void emit(struct ctl_translator *t, struct tr_llm *l) {
    struct tr_names holds = {0};
    char name[GW_IR_NAME_MAX + 1];
    if (l->exists && !l->reason && l->reached.len > 0) {
        snprintf(name, sizeof(name), "backend/llm/%s/%s", l->node.ns, l->node.name);
        tr_emit(t, &holds, name, json_incref(l->body));
        for (size_t i = 0; i < l->secrets.len; i++) {
            json_t *body = json_object();
            tr_set(body, "value", json_string_nocheck(l->secrets.ptr[i].value));
            tr_emit(t, &holds, l->secrets.ptr[i].resource, body);
        }
    }
    tr_hold(t, &l->node, &holds);
}

static void report_part(const struct tr_llm *l, json_t *ancestor, bool reached,
                        struct ctl_status_part *p) {
    bool refs_fail = l->reason && l->is_accepted;
    p->parent = ancestor;
    if (l->reason && !l->is_accepted)
        tr_condition(p, "Accepted", false, l->reason, "%s", l->message);
    else
        tr_condition(p, "Accepted", true, "Accepted", "the backend is valid");
    if (refs_fail)
        tr_condition(p, "ResolvedRefs", false, l->reason, "%s", l->message);
    else
        tr_condition(p, "ResolvedRefs", true, "ResolvedRefs", "all references are resolved");
    if (reached) tr_programmed(p, !l->reason, l->node.holds.ptr, l->node.holds.len);
}

static json_t *gateway_ref(struct gw_str key) {
    struct gw_str name = key, ns = gw_str_cut(&name, '/');
    json_t *ref = json_object();
    tr_set(ref, "group", json_string_nocheck(TR_GROUP));
    tr_set(ref, "kind", json_string_nocheck("Gateway"));
    tr_set(ref, "namespace", tr_string(ns));
    tr_set(ref, "name", tr_string(name));
    return ref;
}

// Where no Gateway leads to it, its namespace stands for the ancestor, so that a missing key shows.
static json_t *namespace_ref(const char *ns) {
    json_t *ref = json_object();
    tr_set(ref, "group", json_string_nocheck(""));
    tr_set(ref, "kind", json_string_nocheck("Namespace"));
    tr_set(ref, "name", json_string_nocheck(ns));
    return ref;
}

void tr_llm_finish(struct ctl_translator *t, struct tr_llm *l) {
    struct gw_str ns = gw_str_of(l->node.ns), name = gw_str_of(l->node.name);
    struct ctl_status_report *r = NULL;
    emit(t, l);
    if (l->exists) {
        r = tr_report_new(&ctl_res_llm_backend, ns, name, l->generation);
        struct gw_str *keys = gw_map_sorted_keys(&l->reached);
        for (size_t i = 0; i < l->reached.len && i < ANCESTORS_MAX; i++)
            report_part(l, gateway_ref(keys[i]), true, tr_report_part(r));
        free(keys);
        if (l->reached.len == 0)
            report_part(l, namespace_ref(l->node.ns), false, tr_report_part(r));
    }
    tr_report_set(t, &l->node.report, &ctl_res_llm_backend, ns, name, r);
}
