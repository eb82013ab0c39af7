// SPDX-License-Identifier: Apache-2.0
// Filter CORS (GEP-1767, Fetch standard 3.2): answers preflights by itself, before anything else
// sees them, and gives answers the access-control-* fields of the filter in place of the
// upstream's. Asterisks are answered by what was asked for, which is right with credentials too.
#include "dataplane/codec/authority.h"
#include "dataplane/codec/chars.h"
#include "dataplane/policy/types.h"

#define MAX_AGE_S 5 // HTTPCORSFilter.maxAge, where it is not given

struct origin {
    bool is_https, is_any_host, is_wildcard;
    struct gw_str host; // lower case; ".example.com" of a wildcard
    unsigned port;
};

struct cors {
    const struct origin *origins;
    unsigned origins_n;
    bool any_origin, any_method, any_header, any_exposed, credentials;
    struct gw_str methods, headers, expose, max_age; // as they are sent; empty: not sent
};

// --- origins -----------------------------------------------------------------------------------

static bool cut_scheme(struct gw_str *text, bool *ret_is_https) {
    ptrdiff_t colon = gw_str_find(*text, ':');
    if (colon < 0) return false;
    struct gw_str scheme = {text->ptr, (size_t)colon};
    *ret_is_https = gw_str_eq_nocase(scheme, GW_STR("https"));
    if (!*ret_is_https && !gw_str_eq_nocase(scheme, GW_STR("http"))) return false;
    *text = (struct gw_str){text->ptr + colon, text->len - (size_t)colon};
    if (!gw_str_starts(*text, GW_STR("://"))) return false;
    *text = (struct gw_str){text->ptr + 3, text->len - 3};
    return true;
}

// scheme://host[:port]; the host may be "*" or begin with "*." where may_be_wild. NULL: fine.
static const char *parse_origin(struct gw_str text, bool may_be_wild, struct gw_arena *arena,
                                struct origin *ret) {
    struct dp_authority a;
    *ret = (struct origin){0};
    if (!cut_scheme(&text, &ret->is_https)) return "it begins with neither http:// nor https://";
    if (may_be_wild && gw_str_starts(text, GW_STR("*"))) {
        text = (struct gw_str){text.ptr + 1, text.len - 1};
        ret->is_any_host = text.len == 0 || text.ptr[0] == ':';
        ret->is_wildcard = !ret->is_any_host;
        if (ret->is_wildcard && text.ptr[0] != '.') return "'*' stands for whole labels";
    }
    // What the parser calls a host begins with no dot, and is there.
    struct gw_str host = text;
    if (ret->is_wildcard) host = (struct gw_str){text.ptr + 1, text.len - 1};
    if (ret->is_any_host) host = gw_arena_printf(arena, "x" GW_STR_FMT, GW_STR_ARG(text));
    const char *wrong = dp_authority_parse(host, arena, &a);
    if (wrong) return wrong;
    ret->host = a.host;
    ret->port = a.port ? a.port : ret->is_https ? 443 : 80;
    return NULL;
}

// The asterisk is a match to the left that takes any number of labels, but not none.
static bool host_fits(const struct origin *want, struct gw_str host) {
    if (want->is_any_host) return true;
    if (!want->is_wildcard) return gw_str_eq(want->host, host);
    if (host.len < want->host.len + 2) return false;
    return gw_str_ends(host, want->host) && host.ptr[host.len - want->host.len - 1] == '.';
}

static bool is_allowed(const struct cors *f, struct gw_str text, struct gw_arena *arena) {
    struct origin o;
    if (text.len == 0) return false;
    if (f->any_origin) return true;
    if (f->origins_n == 0 || parse_origin(text, false, arena, &o) != NULL) return false;
    for (unsigned i = 0; i < f->origins_n; i++) {
        const struct origin *want = &f->origins[i];
        if (want->is_https == o.is_https && want->port == o.port && host_fits(want, o.host))
            return true;
    }
    return false;
}

// --- compile -----------------------------------------------------------------------------------

static enum gw_rc compile_origins(const json_t *list, struct gw_arena *arena, struct cors *f,
                                  struct gw_err *err) {
    struct origin *origins = gw_arena_alloc(arena, (json_array_size(list) + 1) * sizeof(*origins));
    if (!origins) return gw_err_set(err, GW_ERR_LIMIT, 0, "the configuration is too large");
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct gw_str text = gw_arena_dup(arena, gw_json_str_of(json_array_get(list, i)));
        if (gw_str_eq(text, GW_STR("*"))) {
            f->any_origin = true;
            continue;
        }
        const char *wrong = parse_origin(text, true, arena, &origins[f->origins_n]);
        if (wrong) return gw_err_set(err, GW_ERR_INPUT, 0, "origins[%zu]: %s", i, wrong);
        f->origins_n++;
    }
    f->origins = origins;
    return GW_OK;
}

// "a, b"; an asterisk stands alone.
static enum gw_rc compile_list(const json_t *spec, const char *key, struct gw_arena *arena,
                               struct gw_str *ret, bool *ret_any, struct gw_err *err) {
    const json_t *list = gw_json_get(spec, key);
    *ret = (struct gw_str){NULL, 0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct gw_str one = gw_json_str_of(json_array_get(list, i));
        if (!dp_str_is_token(one))
            return gw_err_set(err, GW_ERR_INPUT, 0, "%s[%zu]: is no name", key, i);
        if (gw_str_eq(one, GW_STR("*"))) *ret_any = true;
        *ret = gw_arena_printf(arena, GW_STR_FMT "%s" GW_STR_FMT, GW_STR_ARG(*ret),
                               ret->len ? ", " : "", GW_STR_ARG(one));
    }
    return GW_OK;
}

static enum gw_rc compile(const json_t *spec, struct gw_arena *arena, const void **ret_conf,
                          struct gw_err *err) {
    struct cors *f = gw_arena_zalloc(arena, sizeof(*f));
    if (!f) return gw_err_set(err, GW_ERR_LIMIT, 0, "the configuration is too large");
    GW_TRY(compile_origins(gw_json_get(spec, "origins"), arena, f, err));
    GW_TRY(compile_list(spec, "methods", arena, &f->methods, &f->any_method, err));
    GW_TRY(compile_list(spec, "headers", arena, &f->headers, &f->any_header, err));
    GW_TRY(compile_list(spec, "expose", arena, &f->expose, &f->any_exposed, err));
    f->credentials = gw_json_bool(spec, "credentials", false);
    f->max_age = gw_arena_printf(arena, "%lld", (long long)gw_json_int(spec, "max_age", MAX_AGE_S));
    *ret_conf = f;
    return GW_OK;
}

// --- fields ------------------------------------------------------------------------------------

static enum gw_rc add(struct dp_fields *to, struct gw_arena *arena, const char *name,
                      struct gw_str value) {
    return value.len ? dp_fields_add(to, arena, gw_str_of(name), value) : GW_OK;
}

static struct gw_str field_of(const struct dp_head *h, const char *name) {
    const struct dp_field *f = dp_fields_find_name(&h->fields, gw_str_of(name));
    return f ? f->value : (struct gw_str){NULL, 0};
}

// Of an asterisk with credentials, which browsers take for a name: what is there to be exposed.
static struct gw_str names_of(const struct dp_head *answer, struct gw_arena *arena) {
    size_t n = 0;
    for (unsigned i = 0; answer && i < answer->fields.len; i++)
        n += answer->fields.ptr[i].name.len + 2;
    char *at = n ? gw_arena_alloc(arena, n) : NULL;
    if (!at) return (struct gw_str){NULL, 0};
    struct gw_str names = {at, n - 2};
    for (unsigned i = 0; i < answer->fields.len; i++) {
        struct gw_str name = answer->fields.ptr[i].name;
        at = mempcpy(at, name.ptr, name.len);
        at = mempcpy(at, ", ", 2);
    }
    return names;
}

// What preflights and other answers have in common.
static enum gw_rc add_common(const struct cors *f, struct dp_policy_call *c, struct dp_fields *to) {
    struct gw_str expose = f->any_exposed ? GW_STR("*") : f->expose;
    if (f->any_exposed && f->credentials) expose = names_of(c->answer, c->arena);
    GW_TRY(add(to, c->arena, "access-control-allow-origin", c->origin));
    if (f->credentials)
        GW_TRY(add(to, c->arena, "access-control-allow-credentials", GW_STR("true")));
    return add(to, c->arena, "access-control-expose-headers", expose);
}

static enum gw_rc add_preflight(const struct cors *f, struct dp_policy_call *c) {
    struct dp_fields *to = &c->own_fields;
    struct gw_str method = dp_policy_preflight(c->head);
    struct gw_str headers = field_of(c->head, "access-control-request-headers");
    GW_TRY(add_common(f, c, to));
    GW_TRY(add(to, c->arena, "access-control-allow-methods", f->any_method ? method : f->methods));
    GW_TRY(add(to, c->arena, "access-control-allow-headers", f->any_header ? headers : f->headers));
    return add(to, c->arena, "access-control-max-age", f->max_age);
}

static enum gw_rc request(const void *conf, struct dp_policy_call *c) {
    const struct cors *f = conf;
    enum gw_rc rc = GW_OK;
    if (dp_policy_preflight(c->head).len == 0) return GW_OK;
    if (is_allowed(f, c->origin, c->arena)) rc = add_preflight(f, c);
    if (rc == GW_OK)
        rc = add(&c->own_fields, c->arena, "vary",
                 GW_STR("origin, access-control-request-method, access-control-request-headers"));
    if (rc != GW_OK)
        return gw_err_set(c->err, rc, 431, "the head of the answer does not fit its memory");
    c->own_status = 204;
    return GW_OK;
}

// Says already that it differs from origin to origin.
static bool varies(const struct dp_fields *fields) {
    for (unsigned i = 0; i < fields->len; i++) {
        struct gw_str list = fields->ptr[i].value;
        if (!gw_str_eq_nocase(fields->ptr[i].name, GW_STR("vary"))) continue;
        while (list.ptr) {
            struct gw_str one = gw_str_trim(gw_str_cut(&list, ','));
            if (gw_str_eq(one, GW_STR("*")) || gw_str_eq_nocase(one, GW_STR("origin"))) return true;
        }
    }
    return false;
}

static void remove_upstreams(struct dp_fields *fields) {
    static const struct gw_str begin = {"access-control-", 15};
    unsigned kept = 0;
    for (unsigned i = 0; i < fields->len; i++) {
        struct gw_str name = fields->ptr[i].name;
        if (name.len > begin.len && gw_str_eq_nocase((struct gw_str){name.ptr, begin.len}, begin))
            continue;
        fields->ptr[kept++] = fields->ptr[i];
    }
    fields->len = kept;
}

static enum gw_rc response(const void *conf, struct dp_policy_call *c) {
    const struct cors *f = conf;
    struct dp_fields *fields = &c->answer->fields;
    enum gw_rc rc = GW_OK;
    remove_upstreams(fields);
    if (is_allowed(f, c->origin, c->arena)) rc = add_common(f, c, fields);
    if (rc == GW_OK && !varies(fields)) rc = add(fields, c->arena, "vary", GW_STR("origin"));
    if (rc == GW_OK) return GW_OK;
    return gw_err_set(c->err, rc, 502, "the head of the answer does not fit its memory");
}

const struct dp_policy_type dp_policy_cors = {
    .name = "CORS",
    .compile = compile,
    .request = request,
    .response = response,
    .answers_preflights = true,
    .on_refusals = true,
};
