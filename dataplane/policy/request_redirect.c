// SPDX-License-Identifier: Apache-2.0
// Filter RequestRedirect: an answer whose Location is an absolute URL. What the filter does not
// give comes from the request's host and from the listener, for the wire carries no scheme.
#include "dataplane/codec/authority.h"
#include "dataplane/policy/path_change.h"
#include "dataplane/policy/types.h"

#include <stdio.h>

struct redirect {
    struct gw_str scheme, host; // empty: the listener's, the request's
    unsigned port;              // 0: see port_of
    int status;
    struct dp_path_change path;
};

static bool is_redirect(int64_t status) {
    return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

// host[:port] of a configured value; a port has a field of its own.
static enum gw_rc read_host(const json_t *spec, struct gw_arena *arena, struct gw_str *ret,
                            struct gw_err *err) {
    struct gw_str text = gw_arena_dup(arena, gw_json_str(spec, "hostname"));
    struct dp_authority parsed;
    *ret = (struct gw_str){NULL, 0};
    if (text.len == 0) return GW_OK;
    const char *wrong = dp_authority_parse(text, arena, &parsed);
    if (!wrong && parsed.port) wrong = "a port does not belong here";
    if (wrong) return gw_err_set(err, GW_ERR_INPUT, 0, "hostname: %s", wrong);
    *ret = parsed.host;
    return GW_OK;
}

static enum gw_rc compile(const json_t *spec, struct gw_arena *arena, const void **ret_conf,
                          struct gw_err *err) {
    struct redirect *f = gw_arena_zalloc(arena, sizeof(*f));
    int64_t status = gw_json_int(spec, "status", 302);
    struct gw_str scheme = gw_json_str(spec, "scheme");
    if (!f) return gw_err_set(err, GW_ERR_LIMIT, 0, "the configuration does not fit its memory");
    if (!is_redirect(status))
        return gw_err_set(err, GW_ERR_INPUT, 0, "status: %lld is none of 301, 302, 303, 307, 308",
                          (long long)status);
    if (scheme.len && !gw_str_eq(scheme, GW_STR("http")) && !gw_str_eq(scheme, GW_STR("https")))
        return gw_err_set(err, GW_ERR_INPUT, 0, "scheme: is none of http and https");
    f->status = (int)status;
    f->port = (unsigned)gw_json_int(spec, "port", 0);
    f->scheme = gw_arena_dup(arena, scheme);
    GW_TRY(read_host(spec, arena, &f->host, err));
    GW_TRY(dp_path_change_compile(gw_json_get(spec, "path"), arena, &f->path, err));
    *ret_conf = f;
    return GW_OK;
}

// HTTPRequestRedirectFilter.port: the filter's, else the well-known one of the filter's scheme,
// else the listener's. 0: not written, as it is the scheme's own.
static unsigned port_of(const struct redirect *f, const struct dp_policy_call *c,
                        struct gw_str scheme) {
    unsigned own = gw_str_eq(scheme, GW_STR("https")) ? 443 : 80;
    unsigned port = f->port ? f->port : f->scheme.len ? own : c->port;
    return port == own ? 0 : port;
}

static struct gw_str location(const struct redirect *f, struct dp_policy_call *c,
                              struct gw_str host) {
    const struct dp_head *h = c->head;
    struct gw_str scheme = f->scheme.len ? f->scheme : c->scheme;
    struct gw_str path = dp_path_change_apply(&f->path, h->path, c->arena);
    unsigned port = port_of(f, c, scheme);
    bool is_v6 = gw_str_find(host, ':') >= 0; // RFC 3986 3.2.2: it stands in brackets
    char port_text[12] = "";
    if (!path.ptr) return path;
    if (port) snprintf(port_text, sizeof(port_text), ":%u", port);
    if (path.len == 0 || path.ptr[0] != '/') path = GW_STR("/"); // "OPTIONS *"
    return gw_arena_printf(
        c->arena, GW_STR_FMT "://%s" GW_STR_FMT "%s%s" GW_STR_FMT "%s" GW_STR_FMT,
        GW_STR_ARG(scheme), is_v6 ? "[" : "", GW_STR_ARG(host), is_v6 ? "]" : "", port_text,
        GW_STR_ARG(path), h->query.ptr ? "?" : "", GW_STR_ARG(h->query));
}

static enum gw_rc request(const void *conf, struct dp_policy_call *c) {
    const struct redirect *f = conf;
    struct gw_str host = f->host.len ? f->host : c->head->host;
    if (host.len == 0)
        return gw_err_set(c->err, GW_ERR_INPUT, 400,
                          "this redirect keeps the host, and the request has none");
    struct gw_str url = location(f, c, host);
    if (!url.ptr || dp_fields_add(&c->own_fields, c->arena, GW_STR("location"), url) != GW_OK)
        return gw_err_set(c->err, GW_ERR_LIMIT, 431, "the head does not fit its memory");
    c->own_status = f->status;
    return GW_OK;
}

const struct dp_policy_type dp_policy_request_redirect = {
    .name = "RequestRedirect",
    .compile = compile,
    .request = request,
};
