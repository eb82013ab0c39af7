// SPDX-License-Identifier: Apache-2.0
// A refusal in the words of gRPC: status 200 and a head that ends the stream ("Trailers-Only"). The
// codes are those that a gRPC client makes of HTTP's, so that a call fails alike with any proxy.
#include "dataplane/proxy/req.h"

#define DETAIL_BYTES_MAX 512 // of what is said, before it is encoded

// "application/grpc", "application/grpc+proto"; HTTP/1.1 has no gRPC.
bool dp_answer_is_grpc(const struct dp_req *r) {
    static const struct gw_str type = {"application/grpc", 16};
    if (!r->head || !r->down->has_grpc) return false;
    const struct dp_field *f = dp_fields_find(&r->head->fields, DP_F_CONTENT_TYPE);
    if (!f || f->value.len < type.len) return false;
    if (!gw_str_eq_nocase((struct gw_str){f->value.ptr, type.len}, type)) return false;
    return f->value.len == type.len || f->value.ptr[type.len] == '+' ||
           f->value.ptr[type.len] == ';' || f->value.ptr[type.len] == ' ';
}

// gRPC's doc/http-grpc-status-mapping.md.
static const char *status_of(int http) {
    switch (http) {
    case 400:
        return "13"; // INTERNAL
    case 401:
        return "16"; // UNAUTHENTICATED
    case 403:
        return "7"; // PERMISSION_DENIED
    case 404:
        return "12"; // UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504:
        return "14"; // UNAVAILABLE
    default:
        return "2"; // UNKNOWN
    }
}

// What is not printable, and '%', in percent-encoding.
static struct gw_str encode(struct gw_arena *a, struct gw_str text) {
    static const char hex[] = "0123456789ABCDEF";
    if (text.len > DETAIL_BYTES_MAX) text.len = DETAIL_BYTES_MAX;
    char *begin = gw_arena_alloc(a, 3 * text.len + 1), *at = begin;
    for (size_t i = 0; begin && i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= ' ' && c <= '~' && c != '%') {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return (struct gw_str){begin, (size_t)(at - begin)};
}

void dp_answer_grpc(struct dp_req *r) {
    r->grpc_status = status_of(r->status);
    r->status = 200;
    r->local_type = "application/grpc";
}

enum gw_rc dp_answer_grpc_fields(struct dp_req *r, struct dp_fields *f) {
    struct gw_str message = encode(&r->arena, gw_str_of(r->err.text));
    if (!message.ptr) return GW_ERR_LIMIT;
    GW_TRY(dp_fields_add(f, &r->arena, GW_STR("grpc-status"), gw_str_of(r->grpc_status)));
    return dp_fields_add(f, &r->arena, GW_STR("grpc-message"), message);
}
