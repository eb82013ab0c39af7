// SPDX-License-Identifier: Apache-2.0
// Heads and trailers as name-value pairs for nghttp2: names in lower case, nothing of a single
// connection (RFC 9113 8.2.2), secrets never in a compression table (RFC 7541 7.1.3).
#include "dataplane/codec/h2_head.h"

#include <stdlib.h>

// Pairs that are not fields: four pseudo-header fields, Content-Length, TE.
#define OWN_PAIRS 6
// Digits of a status and of a length.
#define OWN_TEXT 32

#define SKIPPED (DP_H1_HOP_BY_HOP | (DP_H1_MEANING & ~DP_H1_BIT(DP_F_EXPECT)))

void dp_h2_nv_fini(struct dp_h2_nv *nv) {
    free(nv->ptr);
    free(nv->text);
    *nv = (struct dp_h2_nv){0};
}

static void begin(struct dp_h2_nv *nv, const struct dp_fields *f) {
    size_t text = OWN_TEXT;
    for (unsigned i = 0; i < f->len; i++)
        text += f->ptr[i].name.len;
    if (nv->cap < f->len + OWN_PAIRS) {
        nv->cap = f->len + OWN_PAIRS + 16;
        nv->ptr = gw_realloc(nv->ptr, nv->cap * sizeof(*nv->ptr));
    }
    if (nv->text_cap < text) {
        nv->text_cap = text + 512;
        nv->text = gw_realloc(nv->text, nv->text_cap);
    }
    nv->len = nv->text_used = 0;
}

static void put(struct dp_h2_nv *nv, struct gw_str name, struct gw_str value, uint8_t flags) {
    // nghttp2_nv has no const; it copies.
    nv->ptr[nv->len++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.ptr,
                                      .value = (uint8_t *)(uintptr_t)value.ptr,
                                      .namelen = name.len,
                                      .valuelen = value.len,
                                      .flags = flags};
}

static struct gw_str decimal(struct dp_h2_nv *nv, uint64_t n) {
    char digits[20];
    size_t len = 0;
    do {
        digits[sizeof(digits) - ++len] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    char *to = nv->text + nv->text_used;
    memcpy(to, digits + sizeof(digits) - len, len);
    nv->text_used += len;
    return (struct gw_str){to, len};
}

static struct gw_str lower(struct dp_h2_nv *nv, struct gw_str name) {
    bool upper = false;
    for (size_t i = 0; i < name.len; i++)
        upper |= name.ptr[i] >= 'A' && name.ptr[i] <= 'Z';
    if (!upper) return name;
    char *to = nv->text + nv->text_used;
    memcpy(to, name.ptr, name.len);
    gw_str_lower(to, name.len);
    nv->text_used += name.len;
    return (struct gw_str){to, name.len};
}

// An upstream connection carries many callers: what is in its table can be guessed at by sizes.
static bool is_secret(struct gw_str lower_name, enum dp_field_id id) {
    static const struct gw_str names[] = {
        {"cookie", 6}, {"set-cookie", 10}, {"x-api-key", 9}, {"api-key", 7}};
    if (id == DP_F_AUTHORIZATION) return true;
    if (id != DP_F_OTHER) return false;
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        if (gw_str_eq(names[i], lower_name)) return true;
    }
    return false;
}

static void put_fields(struct dp_h2_nv *nv, const struct dp_fields *f) {
    for (unsigned i = 0; i < f->len; i++) {
        const struct dp_field *field = &f->ptr[i];
        if (SKIPPED >> field->id & 1) continue;
        struct gw_str name = lower(nv, field->name);
        put(nv, name, field->value,
            is_secret(name, field->id) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE);
    }
}

void dp_h2_encode_request(const struct dp_head *head, bool is_https, struct dp_h2_nv *nv) {
    begin(nv, &head->fields);
    put(nv, GW_STR(":method"), head->method_text, 0);
    put(nv, GW_STR(":scheme"), is_https ? GW_STR("https") : GW_STR("http"), 0);
    put(nv, GW_STR(":authority"), head->authority, 0);
    put(nv, GW_STR(":path"), head->target, 0);
    put_fields(nv, &head->fields);
    if (head->te_trailers) put(nv, GW_STR("te"), GW_STR("trailers"), 0);
    if (head->content_length >= 0) {
        put(nv, GW_STR("content-length"), decimal(nv, (uint64_t)head->content_length), 0);
    }
}

void dp_h2_encode_response(const struct dp_head *head, struct dp_h2_nv *nv) {
    GW_ASSERT(head->status >= 100 && head->status <= 999);
    begin(nv, &head->fields);
    put(nv, GW_STR(":status"), decimal(nv, (uint64_t)head->status), 0);
    put_fields(nv, &head->fields);
    // RFC 9110 8.6: none in these.
    bool has_none = head->status < 200 || head->status == 204;
    if (!has_none && head->content_length >= 0) {
        put(nv, GW_STR("content-length"), decimal(nv, (uint64_t)head->content_length), 0);
    }
}

void dp_h2_encode_trailers(const struct dp_fields *trailers, struct dp_h2_nv *nv) {
    begin(nv, trailers);
    put_fields(nv, trailers);
}
