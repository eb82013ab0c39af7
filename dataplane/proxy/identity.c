// SPDX-License-Identifier: Apache-2.0
// Who asks, and what upstreams are told of it: the request id and the x-forwarded-* fields.
#include "dataplane/proxy/req.h"

#define REQUEST_ID_BYTES_MAX 128
#define REQUEST_ID_CHARS 32

static bool is_sane_id(struct gw_str id) {
    if (id.len == 0 || id.len > REQUEST_ID_BYTES_MAX) return false;
    for (size_t i = 0; i < id.len; i++) {
        unsigned char ch = (unsigned char)id.ptr[i];
        if (ch <= ' ' || ch >= 0x7f || ch == '"' || ch == '\\' || ch == ',') return false;
    }
    return true;
}

static struct gw_str new_id(struct dp_req *r) {
    static const char hex[] = "0123456789abcdef";
    char *id = gw_arena_alloc(&r->arena, REQUEST_ID_CHARS);
    for (int half = 0; half < 2; half++) {
        uint64_t bits = dp_worker_random(r->worker);
        for (int i = 0; i < REQUEST_ID_CHARS / 2; i++, bits >>= 4)
            id[half * REQUEST_ID_CHARS / 2 + i] = hex[bits & 15];
    }
    return (struct gw_str){id, REQUEST_ID_CHARS};
}

void dp_req_identify(struct dp_req *r) {
    if (r->head) {
        struct dp_field *f = dp_fields_find(&r->head->fields, DP_F_X_REQUEST_ID);
        r->log_path = r->head->path;
        r->log_method = r->head->method_text;
        r->log_host = r->head->authority;
        if (f && is_sane_id(f->value)) r->request_id = f->value;
        dp_explain_ask(r);
    }
    if (!r->request_id.len) r->request_id = new_id(r);
}

// "a, b": what earlier proxies said is kept, the peer that we see is added.
static enum gw_rc add_forwarded_for(struct dp_req *r) {
    struct dp_fields *f = &r->head->fields;
    struct dp_field *old = NULL; // the last one: lines are read in their order
    struct gw_str peer = gw_str_of(r->client->peer);
    for (unsigned i = 0; i < f->len; i++)
        if (f->ptr[i].id == DP_F_X_FORWARDED_FOR) old = &f->ptr[i];
    if (!old) return dp_fields_add(f, &r->arena, GW_STR("x-forwarded-for"), peer);
    struct gw_str both = gw_arena_printf(&r->arena, GW_STR_FMT ", " GW_STR_FMT,
                                         GW_STR_ARG(old->value), GW_STR_ARG(peer));
    if (!both.ptr) return GW_ERR_LIMIT;
    old->value = both;
    return GW_OK;
}

// Who a provider's customer is, is none of its business: model requests go without the addresses.
static enum gw_rc set_forwarded(struct dp_req *r) {
    struct dp_fields *f = &r->head->fields;
    dp_fields_remove_id(f, DP_F_X_FORWARDED_PROTO);
    if (r->llm) {
        dp_fields_remove_id(f, DP_F_X_FORWARDED_FOR);
        dp_fields_remove_id(f, DP_F_X_FORWARDED_HOST);
        return GW_OK;
    }
    GW_TRY(add_forwarded_for(r));
    return dp_fields_add(f, &r->arena, GW_STR("x-forwarded-proto"),
                         r->listener->is_tls ? GW_STR("https") : GW_STR("http"));
}

enum gw_rc dp_req_forwarded(struct dp_req *r) {
    struct dp_fields *f = &r->head->fields;
    enum gw_rc rc = set_forwarded(r);
    dp_fields_remove_id(f, DP_F_X_REQUEST_ID);
    if (rc == GW_OK) rc = dp_fields_add(f, &r->arena, GW_STR("x-request-id"), r->request_id);
    if (rc != GW_OK)
        return dp_req_fail(r, rc, 431, "head_too_large", "the head of the request is too large");
    return GW_OK;
}
