// SPDX-License-Identifier: Apache-2.0
// Filter URLRewrite: what the upstream is asked for. The route was chosen by what the client asked
// for, and the log keeps that; an upstream finds the client's host in x-forwarded-host.
#include "dataplane/codec/authority.h"
#include "dataplane/policy/path_change.h"
#include "dataplane/policy/types.h"

struct rewrite {
    struct gw_str authority; // ptr NULL: untouched
    struct dp_path_change path;
};

static enum gw_rc compile(const json_t *spec, struct gw_arena *arena, const void **ret_conf,
                          struct gw_err *err) {
    struct rewrite *f = gw_arena_zalloc(arena, sizeof(*f));
    struct gw_str hostname = gw_json_str(spec, "hostname");
    struct dp_authority parsed;
    if (!f) return gw_err_set(err, GW_ERR_LIMIT, 0, "the configuration does not fit its memory");
    if (hostname.len) {
        f->authority = gw_arena_dup(arena, hostname);
        const char *wrong = dp_authority_parse(f->authority, arena, &parsed);
        if (wrong) return gw_err_set(err, GW_ERR_INPUT, 0, "hostname: %s", wrong);
    }
    GW_TRY(dp_path_change_compile(gw_json_get(spec, "path"), arena, &f->path, err));
    *ret_conf = f;
    return GW_OK;
}

// What the client itself says of forwarding is not believed: upstreams build links from it.
static enum gw_rc set_host(const struct rewrite *f, struct dp_policy_call *c) {
    struct dp_head *h = c->head;
    struct gw_str original = h->authority;
    h->authority = f->authority;
    dp_fields_remove_id(&h->fields, DP_F_X_FORWARDED_HOST);
    if (original.len == 0) return GW_OK;
    return dp_fields_add(&h->fields, c->arena, GW_STR("x-forwarded-host"), original);
}

static enum gw_rc set_path(const struct rewrite *f, struct dp_policy_call *c) {
    struct dp_head *h = c->head;
    struct gw_str path = dp_path_change_apply(&f->path, h->path, c->arena), target = path;
    if (path.ptr == h->path.ptr && path.len == h->path.len) return GW_OK;
    if (path.ptr && h->query.ptr)
        target = gw_arena_printf(c->arena, GW_STR_FMT "?" GW_STR_FMT, GW_STR_ARG(path),
                                 GW_STR_ARG(h->query));
    if (!target.ptr) return GW_ERR_LIMIT;
    h->path = path;
    h->target = target;
    return GW_OK;
}

static enum gw_rc request(const void *conf, struct dp_policy_call *c) {
    const struct rewrite *f = conf;
    enum gw_rc rc = GW_OK;
    if (f->authority.ptr) rc = set_host(f, c);
    if (rc == GW_OK) rc = set_path(f, c);
    if (rc == GW_OK) return GW_OK;
    return gw_err_set(c->err, rc, 431, "the head does not fit its memory");
}

const struct dp_policy_type dp_policy_url_rewrite = {
    .name = "URLRewrite",
    .compile = compile,
    .request = request,
};
