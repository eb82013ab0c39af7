// SPDX-License-Identifier: Apache-2.0
// Where requests can be sent: secrets, endpoint sets, and backends of both types.
#include "dataplane/conf/compile.h"
#include "dataplane/llm/dialect.h"

// --- secrets and endpoints ----------------------------------------------------------------------

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Secrets that come from files often end in a newline, which is no part of the key.
static struct gw_str trim_value(struct gw_str s) {
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    while (s.len && is_blank(s.ptr[0]))
        s = (struct gw_str){s.ptr + 1, s.len - 1};
    return s;
}

enum gw_rc dp_compile_secret(struct dp_compile *c, struct gw_str name, const json_t *body,
                             struct gw_err *err) {
    struct gw_str value = trim_value(gw_json_str(body, "value"));
    if (value.len == 0) return gw_err_set(err, GW_ERR_INPUT, 0, "the value is empty");
    // It goes into a header as it is.
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < 0x20 || value.ptr[i] == 0x7f)
            return gw_err_set(err, GW_ERR_INPUT, 0,
                              "the value has a control byte at %zu and cannot be sent in a header",
                              i);
    struct gw_secret *s = gw_secret_new(value);
    GW_VEC_PUSH(&c->owned->secrets, s);
    gw_map_put(&c->secrets, name, s);
    return GW_OK;
}

static struct dp_endpoint *intern(struct dp_compile *c, const json_t *address, bool tls) {
    uint16_t port = (uint16_t)gw_json_int(address, "port", 0);
    struct dp_endpoint *e = dp_endpoint_intern(gw_json_str(address, "host"), port, tls);
    GW_VEC_PUSH(&c->owned->endpoints, e);
    return e;
}

enum gw_rc dp_compile_endpoints(struct dp_compile *c, struct gw_str name, const json_t *body,
                                struct gw_err *err GW_UNUSED) {
    const json_t *list = gw_json_get(body, "addresses"), *dns = gw_json_get(body, "dns");
    size_t n = json_array_size(list);
    struct dp_endpoints *set = gw_arena_zalloc(c->arena, sizeof(*set));
    set->name = gw_arena_dup(c->arena, name);
    set->ptr = gw_arena_alloc(c->arena, (n + 1) * sizeof(struct dp_endpoint *));
    for (size_t i = 0; i < n; i++)
        set->ptr[set->len++] = intern(c, json_array_get(list, i), false);
    if (dns) set->ptr[set->len++] = intern(c, dns, false);
    gw_map_put(&c->endpoints, name, set);
    return GW_OK;
}

// --- model backends -----------------------------------------------------------------------------

static void compile_models(struct dp_compile *c, const json_t *models, struct dp_backend_llm *l) {
    json_t *allow = gw_json_get(models, "allow"), *aliases = gw_json_get(models, "aliases");
    l->model_default = gw_arena_dup(c->arena, gw_json_str(models, "default"));
    l->allow_given = allow != NULL;
    l->allow = gw_arena_alloc(c->arena, (json_array_size(allow) + 1) * sizeof(*l->allow));
    for (size_t i = 0; i < json_array_size(allow); i++)
        l->allow[l->allow_n++] = gw_arena_dup(c->arena, gw_json_str_of(json_array_get(allow, i)));
    l->aliases = gw_arena_alloc(c->arena, (json_object_size(aliases) + 1) * sizeof(*l->aliases));
    const char *from;
    json_t *to;
    json_object_foreach(aliases, from, to) {
        struct dp_llm_alias *a = &l->aliases[l->aliases_n++];
        a->from = gw_arena_dup(c->arena, gw_str_of(from));
        a->to = gw_arena_dup(c->arena, gw_json_str_of(to));
    }
}

static enum gw_rc compile_keys(struct dp_compile *c, const json_t *keys, struct dp_backend_llm *l,
                               struct gw_err *err) {
    size_t n = json_array_size(keys);
    l->keys = gw_arena_alloc(c->arena, (n + 1) * sizeof(*l->keys));
    for (size_t i = 0; i < n; i++) {
        const json_t *key = json_array_get(keys, i);
        struct gw_str name = gw_json_str(key, "secret");
        struct gw_secret *value = gw_map_get(&c->secrets, name);
        if (!value)
            return gw_err_set(err, GW_ERR_INPUT, 0,
                              "keys[%zu]: '" GW_STR_FMT "' is missing or was refused", i,
                              GW_STR_ARG(name));
        l->keys[l->keys_n++] = (struct dp_llm_key){value, (unsigned)gw_json_int(key, "weight", 1)};
    }
    return GW_OK;
}

static void compile_url(struct dp_compile *c, const json_t *url, struct dp_backend_llm *l) {
    bool tls = gw_str_eq(gw_json_str(url, "scheme"), GW_STR("https"));
    l->endpoint = intern(c, url, tls);
    bool is_v6 = strchr(l->endpoint->host, ':') != NULL;
    const char *open = is_v6 ? "[" : "", *close = is_v6 ? "]" : "";
    unsigned port = l->endpoint->port;
    if (port == (tls ? 443 : 80))
        l->authority = gw_arena_printf(c->arena, "%s%s%s", open, l->endpoint->host, close);
    else
        l->authority = gw_arena_printf(c->arena, "%s%s%s:%u", open, l->endpoint->host, close, port);
    l->base_path = gw_arena_dup(c->arena, gw_json_str(url, "path"));
    while (gw_str_ends(l->base_path, GW_STR("/")))
        l->base_path.len--;
}

static enum gw_rc compile_llm(struct dp_compile *c, const json_t *body, struct dp_backend_llm *l,
                              struct gw_err *err) {
    struct gw_str provider = gw_json_str(body, "provider"), dialect = gw_json_str(body, "dialect");
    const json_t *timeouts = gw_json_get(body, "timeouts");
    l->provider = gw_provider_find(provider);
    if (!l->provider)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "provider: '" GW_STR_FMT "' is not known to this data plane",
                          GW_STR_ARG(provider));
    l->dialect = dp_llm_dialect_find(dialect);
    if (!l->dialect)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "dialect: '" GW_STR_FMT "' is not known to this data plane",
                          GW_STR_ARG(dialect));
    GW_TRY(compile_keys(c, gw_json_get(body, "keys"), l, err));
    compile_models(c, gw_json_get(body, "models"), l);
    compile_url(c, gw_json_get(body, "url"), l);
    l->passthrough = gw_json_bool(body, "passthrough", false);
    l->timeouts = (struct dp_llm_timeouts){
        .connect_ms = gw_json_int(timeouts, "connect_ms", -1),
        .first_token_ms = gw_json_int(timeouts, "first_token_ms", -1),
        .idle_ms = gw_json_int(timeouts, "idle_ms", -1),
        .request_ms = gw_json_int(timeouts, "request_ms", -1),
    };
    return GW_OK;
}

// --- backends -----------------------------------------------------------------------------------

// "backend/service/default/web/80" is "default/web:80", "backend/llm/default/gpt" "default/gpt".
static struct gw_str make_label(struct gw_arena *a, struct gw_str name) {
    struct gw_str rest = name;
    gw_str_cut(&rest, '/');
    gw_str_cut(&rest, '/');
    struct gw_str label = gw_arena_dup(a, rest);
    char *p = (char *)(uintptr_t)label.ptr;
    gw_str_cut(&rest, '/');
    gw_str_cut(&rest, '/');
    if (rest.len) p[label.len - rest.len - 1] = ':';
    return label;
}

enum gw_rc dp_compile_backend(struct dp_compile *c, struct gw_str name, const json_t *body,
                              struct gw_err *err) {
    struct dp_backend *b = gw_arena_zalloc(c->arena, sizeof(*b));
    b->name = gw_arena_dup(c->arena, name);
    b->label = make_label(c->arena, name);
    if (gw_str_eq(gw_json_str(body, "type"), GW_STR("llm"))) {
        struct dp_backend_llm *l = gw_arena_zalloc(c->arena, sizeof(*l));
        GW_TRY(compile_llm(c, body, l, err));
        b->llm = l;
    } else {
        struct gw_str set = gw_json_str(body, "endpoints");
        bool is_h2c = gw_str_eq(gw_json_str(body, "protocol"), GW_STR("h2c"));
        b->protocol = is_h2c ? DP_PROTOCOL_H2C : DP_PROTOCOL_HTTP1;
        b->endpoints = gw_map_get(&c->endpoints, set);
        if (!b->endpoints)
            return gw_err_set(err, GW_ERR_INPUT, 0,
                              "endpoints: '" GW_STR_FMT "' is missing or was refused",
                              GW_STR_ARG(set));
    }
    gw_map_put(&c->backends, name, b);
    return GW_OK;
}
