// SPDX-License-Identifier: Apache-2.0
// Field tables of the resources of a snapshot, and their versions. docs/architecture.md shows each
// kind by example.
#include "shared/ir.h"

#include "shared/schema.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define RULE_LIST_MAX 512 // matches, filters, backends of one rule

#define P_HEADER_NAME "[a-z0-9!#$%&'*+.^_`|~-]+"
#define P_HOST_NAME "[a-z0-9._-]+"
#define SAYS_HEADER_NAME "is no header name in lower case"

static const struct gw_field text_elem = {.type = GW_F_STRING, .min = 1, .max = GW_IR_NAME_MAX};
static const struct gw_field value_elem = {.type = GW_F_STRING, .min = 1, .max = 512};
static const struct gw_field hostname_elem = {
    .type = GW_F_STRING,
    .min = 1,
    .max = 253,
    .pattern = "(\\*\\.)?" P_HOST_NAME,
    .pattern_says = "is no host name in lower case",
};

static const struct gw_field listener_tls_fields[] = {
    {.name = "certificates",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = 64,
     .elem = &text_elem},
    {0},
};

static const struct gw_field listener_fields[] = {
    {.name = "gateway", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 3, .max = 317},
    {.name = "name", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 253},
    {.name = "port", .type = GW_F_INT, .flags = GW_F_REQUIRED, .min = 1, .max = 65535},
    {.name = "protocol",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .values = (const char *const[]){"HTTP", "HTTPS", NULL}},
    {.name = "tls", .type = GW_F_OBJECT, .fields = listener_tls_fields},
    {.name = "hostname",
     .type = GW_F_STRING,
     .min = 1,
     .max = 253,
     .pattern = "(\\*\\.)?" P_HOST_NAME,
     .pattern_says = "is no host name in lower case"},
    {0},
};

static const struct gw_field pair_fields[] = {
    {.name = "name", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 256},
    {.name = "value", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 4096},
    {0},
};
static const struct gw_field pair_elem = {.type = GW_F_OBJECT, .fields = pair_fields};
static const struct gw_field header_fields[] = {
    {.name = "name",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .min = 1,
     .max = 256,
     .pattern = P_HEADER_NAME,
     .pattern_says = SAYS_HEADER_NAME},
    {.name = "value", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 4096},
    {0},
};
static const struct gw_field header_elem = {.type = GW_F_OBJECT, .fields = header_fields};
static const struct gw_field header_name_elem = {.type = GW_F_STRING,
                                                 .min = 1,
                                                 .max = 256,
                                                 .pattern = P_HEADER_NAME,
                                                 .pattern_says = SAYS_HEADER_NAME};

static const struct gw_field path_fields[] = {
    {.name = "type",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .values = (const char *const[]){"Exact", "PathPrefix", NULL}},
    {.name = "value",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .min = 1,
     .max = 1024,
     .pattern = "/.*",
     .pattern_says = "must begin with /"},
    {0},
};
static const struct gw_field match_fields[] = {
    {.name = "path", .type = GW_F_OBJECT, .flags = GW_F_REQUIRED, .fields = path_fields},
    {.name = "method", .type = GW_F_STRING, .min = 1, .max = 32},
    {.name = "headers", .type = GW_F_LIST, .max = 64, .elem = &header_elem, .unique = "name"},
    {.name = "query", .type = GW_F_LIST, .max = 64, .elem = &pair_elem, .unique = "name"},
    {0},
};
static const struct gw_field match_elem = {.type = GW_F_OBJECT, .fields = match_fields};

// "prefix" of a path change: what ReplacePrefixMatch takes away (the rule's only match has it).
static const struct gw_field path_change_fields[] = {
    {.name = "type",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .values = (const char *const[]){"ReplaceFullPath", "ReplacePrefixMatch", NULL}},
    {.name = "value", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 1024},
    {.name = "prefix", .type = GW_F_STRING, .min = 1, .max = 1024},
    {0},
};

// Of all types of filter; the data plane's descriptor of the type says which belong to it.
static const struct gw_field filter_fields[] = {
    {.name = "type", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 64},
    // RequestHeaderModifier, ResponseHeaderModifier
    {.name = "set", .type = GW_F_LIST, .max = 64, .elem = &header_elem},
    {.name = "add", .type = GW_F_LIST, .max = 64, .elem = &header_elem},
    {.name = "remove", .type = GW_F_LIST, .max = 64, .elem = &header_name_elem},
    // RequestRedirect, URLRewrite
    {.name = "scheme", .type = GW_F_STRING, .values = (const char *const[]){"http", "https", NULL}},
    {.name = "hostname", .type = GW_F_STRING, .min = 1, .max = 253},
    {.name = "port", .type = GW_F_INT, .min = 1, .max = 65535},
    {.name = "status", .type = GW_F_INT, .min = 301, .max = 308},
    {.name = "path", .type = GW_F_OBJECT, .fields = path_change_fields},
    // RequestMirror: one of backend and invalid; numerator of denominator requests are mirrored
    {.name = "backend", .type = GW_F_STRING, .min = 1, .max = GW_IR_NAME_MAX},
    {.name = "invalid", .type = GW_F_STRING, .min = 1, .max = 256},
    {.name = "numerator", .type = GW_F_INT, .min = 0, .max = INT32_MAX},
    {.name = "denominator", .type = GW_F_INT, .min = 1, .max = INT32_MAX},
    // CORS
    {.name = "origins", .type = GW_F_LIST, .max = 64, .elem = &value_elem},
    {.name = "methods", .type = GW_F_LIST, .max = 16, .elem = &value_elem},
    {.name = "headers", .type = GW_F_LIST, .max = 64, .elem = &value_elem},
    {.name = "expose", .type = GW_F_LIST, .max = 64, .elem = &value_elem},
    {.name = "credentials", .type = GW_F_BOOL},
    {.name = "max_age", .type = GW_F_INT, .min = 0, .max = INT32_MAX},
    {0},
};
static const struct gw_field filter_elem = {.type = GW_F_OBJECT, .fields = filter_fields};

static const struct gw_field attach_fields[] = {
    {.name = "listener",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .min = 1,
     .max = GW_IR_NAME_MAX},
    {.name = "hostnames",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = 64,
     .elem = &hostname_elem},
    {0},
};
static const struct gw_field attach_elem = {.type = GW_F_OBJECT, .fields = attach_fields};

static const struct gw_field rule_backend_fields[] = {
    {.name = "backend", .type = GW_F_STRING, .min = 1, .max = GW_IR_NAME_MAX},
    {.name = "invalid", .type = GW_F_STRING, .min = 1, .max = 256},
    {.name = "weight", .type = GW_F_INT, .flags = GW_F_REQUIRED, .min = 0, .max = 1000000},
    {.name = "filters", .type = GW_F_LIST, .max = RULE_LIST_MAX, .elem = &filter_elem},
    {0},
};
static const struct gw_field rule_backend_elem = {.type = GW_F_OBJECT,
                                                  .fields = rule_backend_fields};

#define TIMEOUT_MS_MAX 86400000 // a day
// 0: none. request_ms is the whole as the client sees it, backend_ms one attempt.
static const struct gw_field rule_timeout_fields[] = {
    {.name = "request_ms", .type = GW_F_INT, .max = TIMEOUT_MS_MAX},
    {.name = "backend_ms", .type = GW_F_INT, .max = TIMEOUT_MS_MAX},
    {0},
};
static const struct gw_field rule_fields[] = {
    {.name = "route", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 3, .max = 317},
    {.name = "index", .type = GW_F_INT, .flags = GW_F_REQUIRED, .min = 0, .max = 65535},
    {.name = "name", .type = GW_F_STRING, .min = 1, .max = 253},
    {.name = "age", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 8192},
    {.name = "attach",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = RULE_LIST_MAX,
     .elem = &attach_elem},
    {.name = "matches",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .min = 1,
     .max = RULE_LIST_MAX,
     .elem = &match_elem},
    {.name = "filters", .type = GW_F_LIST, .max = RULE_LIST_MAX, .elem = &filter_elem},
    {.name = "backends",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = 64,
     .elem = &rule_backend_elem},
    {.name = "llm", .type = GW_F_BOOL},
    {.name = "timeouts", .type = GW_F_OBJECT, .fields = rule_timeout_fields},
    {0},
};

static const struct gw_field url_fields[] = {
    {.name = "scheme",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .values = (const char *const[]){"http", "https", NULL}},
    {.name = "host", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 253},
    {.name = "port", .type = GW_F_INT, .flags = GW_F_REQUIRED, .min = 1, .max = 65535},
    {.name = "path", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 1024},
    {0},
};
static const struct gw_field models_fields[] = {
    {.name = "default", .type = GW_F_STRING, .min = 1, .max = 256},
    {.name = "allow", .type = GW_F_LIST, .max = 1024, .elem = &text_elem},
    {.name = "aliases", .type = GW_F_MAP, .max = 1024, .elem = &text_elem},
    {0},
};
static const struct gw_field key_fields[] = {
    {.name = "secret",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .min = 1,
     .max = GW_IR_NAME_MAX},
    {.name = "weight", .type = GW_F_INT, .flags = GW_F_REQUIRED, .min = 0, .max = 1000000},
    {0},
};
static const struct gw_field key_elem = {.type = GW_F_OBJECT, .fields = key_fields};

static const struct gw_field timeout_fields[] = {
    {.name = "connect_ms", .type = GW_F_INT, .max = TIMEOUT_MS_MAX},
    {.name = "first_token_ms", .type = GW_F_INT, .max = TIMEOUT_MS_MAX},
    {.name = "idle_ms", .type = GW_F_INT, .max = TIMEOUT_MS_MAX},
    {.name = "request_ms", .type = GW_F_INT, .max = TIMEOUT_MS_MAX},
    {0},
};

// Of both types of backend; check_backend tells them apart.
static const struct gw_field backend_fields[] = {
    {.name = "type",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .values = (const char *const[]){"service", "llm", NULL}},
    {.name = "endpoints", .type = GW_F_STRING, .min = 1, .max = GW_IR_NAME_MAX},
    // What a service speaks (its appProtocol); absent: HTTP/1.1.
    {.name = "protocol", .type = GW_F_STRING, .values = (const char *const[]){"h2c", "ws", NULL}},
    {.name = "provider", .type = GW_F_STRING, .min = 1, .max = 64},
    {.name = "dialect", .type = GW_F_STRING, .min = 1, .max = 64},
    {.name = "url", .type = GW_F_OBJECT, .fields = url_fields},
    {.name = "models", .type = GW_F_OBJECT, .fields = models_fields},
    {.name = "keys", .type = GW_F_LIST, .max = 64, .elem = &key_elem},
    {.name = "passthrough", .type = GW_F_BOOL},
    {.name = "timeouts", .type = GW_F_OBJECT, .fields = timeout_fields},
    {0},
};

static const struct gw_field address_fields[] = {
    {.name = "host", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 253},
    {.name = "port", .type = GW_F_INT, .flags = GW_F_REQUIRED, .min = 1, .max = 65535},
    {0},
};
static const struct gw_field address_elem = {.type = GW_F_OBJECT, .fields = address_fields};
static const struct gw_field endpoints_fields[] = {
    {.name = "addresses", .type = GW_F_LIST, .max = 10000, .elem = &address_elem},
    {.name = "dns", .type = GW_F_OBJECT, .fields = address_fields},
    {0},
};

static const struct gw_field secret_fields[] = {
    {.name = "value", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 65536},
    {0},
};

static const struct gw_field tls_fields[] = {
    {.name = "certificate", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 262144},
    {.name = "key", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 65536},
    {0},
};

static bool has(const json_t *obj, const char *key) {
    return gw_json_get(obj, key) != NULL;
}

// Begins with "<kind>/"; which resource it is is the reader's affair.
static bool names_a(struct gw_str name, const char *prefix) {
    struct gw_str p = gw_str_of(prefix);
    return name.len > p.len && gw_str_starts(name, p);
}

static enum gw_rc check_listener(struct gw_str name, const json_t *body, struct gw_err *err) {
    struct gw_str gateway = gw_json_str(body, "gateway"), section = gw_json_str(body, "name");
    char want[GW_IR_NAME_MAX + 1];
    int n = snprintf(want, sizeof(want), "listener/" GW_STR_FMT "/" GW_STR_FMT, GW_STR_ARG(gateway),
                     GW_STR_ARG(section));
    if (n < 0 || !gw_str_eq(name, gw_str_of(want)))
        return gw_err_set(err, GW_ERR_INPUT, 0, "gateway and name do not fit the resource's name");
    bool is_https = gw_str_eq(gw_json_str(body, "protocol"), GW_STR("HTTPS"));
    if (is_https != has(body, "tls"))
        return gw_err_set(err, GW_ERR_INPUT, 0, "tls: belongs to protocol HTTPS, which needs it");
    const json_t *list = gw_json_path(body, "tls.certificates");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!names_a(gw_json_str_of(json_array_get(list, i)), "tls/"))
            return gw_err_set(err, GW_ERR_INPUT, 0, "tls.certificates[%zu]: is no tls resource", i);
    return GW_OK;
}

static enum gw_rc check_matches(const json_t *matches, struct gw_err *err) {
    for (size_t i = 0; i < json_array_size(matches); i++) {
        const json_t *path = gw_json_get(json_array_get(matches, i), "path");
        struct gw_str value = gw_json_str(path, "value");
        bool prefix = gw_str_eq(gw_json_str(path, "type"), GW_STR("PathPrefix"));
        if (prefix && value.len > 1 && value.ptr[value.len - 1] == '/')
            return gw_err_set(err, GW_ERR_INPUT, 0,
                              "matches[%zu].path.value: a prefix ends with no slash", i);
    }
    return GW_OK;
}

// What is told apart by a filter's type is the data plane's affair; what refers is checked here.
static enum gw_rc check_filters(const json_t *filters, const char *at, struct gw_err *err) {
    for (size_t i = 0; i < json_array_size(filters); i++) {
        const json_t *f = json_array_get(filters, i);
        bool mirrors = gw_str_eq(gw_json_str(f, "type"), GW_STR("RequestMirror"));
        if (mirrors && has(f, "backend") == has(f, "invalid"))
            return gw_err_set(err, GW_ERR_INPUT, 0,
                              "%sfilters[%zu]: needs one of backend and invalid", at, i);
        if (has(f, "backend") && !names_a(gw_json_str(f, "backend"), "backend/"))
            return gw_err_set(err, GW_ERR_INPUT, 0, "%sfilters[%zu].backend: is no backend", at, i);
    }
    return GW_OK;
}

static enum gw_rc check_rule(struct gw_str name, const json_t *body, struct gw_err *err) {
    struct gw_str route = gw_json_str(body, "route");
    char want[GW_IR_NAME_MAX + 1];
    int n = snprintf(want, sizeof(want), "rule/" GW_STR_FMT "/%lld", GW_STR_ARG(route),
                     (long long)gw_json_int(body, "index", 0));
    if (n < 0 || !gw_str_eq(name, gw_str_of(want)))
        return gw_err_set(err, GW_ERR_INPUT, 0, "route and index do not fit the resource's name");
    const json_t *attach = gw_json_get(body, "attach");
    for (size_t i = 0; i < json_array_size(attach); i++)
        if (!names_a(gw_json_str(json_array_get(attach, i), "listener"), "listener/"))
            return gw_err_set(err, GW_ERR_INPUT, 0, "attach[%zu].listener: is no listener", i);
    GW_TRY(check_matches(gw_json_get(body, "matches"), err));
    const json_t *list = gw_json_get(body, "backends");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *b = json_array_get(list, i);
        if (has(b, "backend") == has(b, "invalid"))
            return gw_err_set(err, GW_ERR_INPUT, 0,
                              "backends[%zu]: needs one of backend and invalid", i);
        if (has(b, "backend") && !names_a(gw_json_str(b, "backend"), "backend/"))
            return gw_err_set(err, GW_ERR_INPUT, 0, "backends[%zu].backend: is no backend", i);
        char at[32];
        snprintf(at, sizeof(at), "backends[%zu].", i);
        GW_TRY(check_filters(gw_json_get(b, "filters"), at, err));
    }
    return check_filters(gw_json_get(body, "filters"), "", err);
}

static enum gw_rc check_llm(const json_t *body, struct gw_err *err) {
    if (!(has(body, "provider") && has(body, "dialect") && has(body, "url")))
        return gw_err_set(err, GW_ERR_INPUT, 0, "an llm backend needs provider, dialect and url");
    if (has(body, "endpoints"))
        return gw_err_set(err, GW_ERR_INPUT, 0, "endpoints: are those of a service");
    if (has(body, "protocol"))
        return gw_err_set(err, GW_ERR_INPUT, 0, "protocol: is that of a service");
    const json_t *keys = gw_json_get(body, "keys");
    for (size_t i = 0; i < json_array_size(keys); i++)
        if (!names_a(gw_json_str(json_array_get(keys, i), "secret"), "secret/"))
            return gw_err_set(err, GW_ERR_INPUT, 0, "keys[%zu].secret: is no secret", i);
    return GW_OK;
}

static enum gw_rc check_backend(struct gw_str name, const json_t *body, struct gw_err *err) {
    bool is_llm = gw_str_eq(gw_json_str(body, "type"), GW_STR("llm"));
    if (is_llm != names_a(name, "backend/llm/"))
        return gw_err_set(err, GW_ERR_INPUT, 0, "type: does not fit the resource's name");
    if (is_llm) return check_llm(body, err);
    if (!names_a(gw_json_str(body, "endpoints"), "endpoints/"))
        return gw_err_set(err, GW_ERR_INPUT, 0, "a service needs endpoints");
    static const char *const foreign[] = {"provider", "dialect",     "url",      "models",
                                          "keys",     "passthrough", "timeouts", NULL};
    for (const char *const *f = foreign; *f; f++)
        if (has(body, *f))
            return gw_err_set(err, GW_ERR_INPUT, 0, "%s: belongs to an llm backend", *f);
    return GW_OK;
}

static enum gw_rc check_endpoints(struct gw_str name, const json_t *body, struct gw_err *err) {
    (void)name;
    if (has(body, "addresses") == has(body, "dns"))
        return gw_err_set(err, GW_ERR_INPUT, 0, "needs one of addresses and dns");
    const json_t *list = gw_json_get(body, "addresses");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!gw_str_is_ip(gw_json_str(json_array_get(list, i), "host")))
            return gw_err_set(err, GW_ERR_INPUT, 0, "addresses[%zu].host: is no IP address", i);
    return GW_OK;
}

static const struct {
    const char *name;
    unsigned parts; // of the name, between slashes
    const struct gw_field *fields;
    enum gw_rc (*check)(struct gw_str name, const json_t *body, struct gw_err *err);
} kinds[GW_IR_KIND_COUNT] = {
    [GW_IR_LISTENER] = {"listener", 4, listener_fields, check_listener},
    [GW_IR_RULE] = {"rule", 4, rule_fields, check_rule},
    [GW_IR_BACKEND] = {"backend", 5, backend_fields, check_backend},
    [GW_IR_ENDPOINTS] = {"endpoints", 4, endpoints_fields, check_endpoints},
    [GW_IR_SECRET] = {"secret", 4, secret_fields, NULL},
    [GW_IR_TLS] = {"tls", 3, tls_fields, NULL},
};

const char *gw_ir_kind_name(enum gw_ir_kind k) {
    return kinds[k].name;
}

static enum gw_rc no_name(struct gw_str name, const char *what, struct gw_err *err) {
    return gw_err_set(err, GW_ERR_INPUT, 0, "'%.*s' is no %s",
                      (int)(name.len < 100 ? name.len : 100), name.ptr ? name.ptr : "", what);
}

enum gw_rc gw_ir_kind_of(struct gw_str name, enum gw_ir_kind *ret, struct gw_err *err) {
    struct gw_str rest = name;
    if (name.len > GW_IR_NAME_MAX) return no_name(name, "name of a resource", err);
    struct gw_str kind = gw_str_cut(&rest, '/');
    if (rest.len == 0) return no_name(name, "name of a resource", err);
    for (int k = 0; k < GW_IR_KIND_COUNT; k++) {
        if (!gw_str_eq(kind, gw_str_of(kinds[k].name))) continue;
        *ret = (enum gw_ir_kind)k;
        return GW_OK;
    }
    return no_name(kind, "kind of resource", err);
}

json_t *gw_ir_shown(struct gw_str name, json_t *body) {
    enum gw_ir_kind k;
    bool is_known = gw_ir_kind_of(name, &k, NULL) == GW_OK;
    if (is_known && k != GW_IR_SECRET && k != GW_IR_TLS) return json_incref(body);
    json_t *shown = json_object(), *value;
    const char *key;
    json_object_foreach(body, key, value)
        json_object_set_new(shown, key, json_string("<redacted>"));
    return shown;
}

static enum gw_rc check_name(struct gw_str name, enum gw_ir_kind k, struct gw_err *err) {
    unsigned want = names_a(name, "backend/llm/") ? 4 : kinds[k].parts, parts = 0;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] <= ' ' || name.ptr[i] == 127)
            return no_name(name, "name of a resource", err);
    for (struct gw_str rest = name; rest.ptr; parts++)
        if (gw_str_cut(&rest, '/').len == 0) return no_name(name, "name of a resource", err);
    return parts == want ? GW_OK : no_name(name, "name of a resource", err);
}

// About what a body takes on the wire. Depth is bounded: the table was checked before.
static size_t body_bytes(const json_t *v) {
    size_t n = 8, i;
    const char *key;
    json_t *member, *mutable = (json_t *)(uintptr_t)v; // the iterators take no const
    if (json_is_string(v)) n += json_string_length(v);
    json_object_foreach(mutable, key, member) n += strlen(key) + body_bytes(member);
    json_array_foreach(mutable, i, member) n += body_bytes(member);
    return n;
}

enum gw_rc gw_ir_validate(struct gw_str name, const json_t *body, struct gw_err *err) {
    enum gw_ir_kind k = GW_IR_LISTENER;
    struct gw_schema_problem problem;
    GW_TRY(gw_ir_kind_of(name, &k, err));
    GW_TRY(check_name(name, k, err));
    if (gw_schema_check(body, kinds[k].fields, "", &problem) != GW_OK)
        return gw_err_set(err, GW_ERR_INPUT, 0, "%s", problem.err.text);
    if (body_bytes(body) > GW_IR_RESOURCE_BYTES_MAX)
        return gw_err_set(err, GW_ERR_INPUT, 0, "is larger than %u bytes",
                          GW_IR_RESOURCE_BYTES_MAX);
    return kinds[k].check ? kinds[k].check(name, body, err) : GW_OK;
}

// --- versions ------------------------------------------------------------------------------------

static void to_hex(const unsigned char *digest, char *version) {
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < GW_IR_VERSION_CHARS; i++)
        version[i] = hex[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
    version[GW_IR_VERSION_CHARS] = 0;
}

void gw_ir_version(const json_t *body, char *version) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t n;
    char *text = gw_json_canonical(body, &n);
    GW_ASSERT(EVP_Digest(text, n, digest, NULL, EVP_sha256(), NULL) == 1);
    free(text);
    to_hex(digest, version);
}

struct gw_ir_root {
    EVP_MD_CTX *md;
};

struct gw_ir_root *gw_ir_root_new(void) {
    struct gw_ir_root *r = gw_alloc(sizeof(*r));
    r->md = EVP_MD_CTX_new();
    GW_ASSERT(r->md && EVP_DigestInit_ex(r->md, EVP_sha256(), NULL) == 1);
    return r;
}

void gw_ir_root_add(struct gw_ir_root *r, struct gw_str name, const char *version) {
    EVP_DigestUpdate(r->md, name.ptr, name.len);
    EVP_DigestUpdate(r->md, " ", 1);
    EVP_DigestUpdate(r->md, version, strlen(version));
    EVP_DigestUpdate(r->md, "\n", 1);
}

void gw_ir_root_finish(struct gw_ir_root *r, char *version) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    GW_ASSERT(EVP_DigestFinal_ex(r->md, digest, NULL) == 1);
    EVP_MD_CTX_free(r->md);
    free(r);
    to_hex(digest, version);
}
