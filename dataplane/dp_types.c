// SPDX-License-Identifier: Apache-2.0
// Names that the data plane knows and the field lists of heads. No protocol is decided here.
#include "dataplane/dp_types.h"

// Room that a list has at least once it grows, so that the fields a proxy adds cost one piece.
#define FIELDS_GROW_MIN 8

// --- ids ---------------------------------------------------------------------------------------

static const struct gw_str names[DP_F_COUNT] = {
    [DP_F_ACCEPT_ENCODING] = {"accept-encoding", 15},
    [DP_F_AUTHORIZATION] = {"authorization", 13},
    [DP_F_CONNECTION] = {"connection", 10},
    [DP_F_CONTENT_ENCODING] = {"content-encoding", 16},
    [DP_F_CONTENT_LENGTH] = {"content-length", 14},
    [DP_F_CONTENT_TYPE] = {"content-type", 12},
    [DP_F_DATE] = {"date", 4},
    [DP_F_EXPECT] = {"expect", 6},
    [DP_F_HOST] = {"host", 4},
    [DP_F_HTTP2_SETTINGS] = {"http2-settings", 14},
    [DP_F_KEEP_ALIVE] = {"keep-alive", 10},
    [DP_F_PROXY_AUTHENTICATE] = {"proxy-authenticate", 18},
    [DP_F_PROXY_AUTHORIZATION] = {"proxy-authorization", 19},
    [DP_F_PROXY_CONNECTION] = {"proxy-connection", 16},
    [DP_F_RETRY_AFTER] = {"retry-after", 11},
    [DP_F_TE] = {"te", 2},
    [DP_F_TRAILER] = {"trailer", 7},
    [DP_F_TRANSFER_ENCODING] = {"transfer-encoding", 17},
    [DP_F_UPGRADE] = {"upgrade", 7},
    [DP_F_USER_AGENT] = {"user-agent", 10},
    [DP_F_VIA] = {"via", 3},
    [DP_F_X_FORWARDED_FOR] = {"x-forwarded-for", 15},
    [DP_F_X_FORWARDED_HOST] = {"x-forwarded-host", 16},
    [DP_F_X_FORWARDED_PROTO] = {"x-forwarded-proto", 17},
    [DP_F_X_REQUEST_ID] = {"x-request-id", 12},
};

// Names of one length differ in their first letter, so at most one is compared.
#define NAME_BYTES_MAX 19
static const uint8_t by_length[NAME_BYTES_MAX + 1][3] = {
    [2] = {DP_F_TE},
    [3] = {DP_F_VIA},
    [4] = {DP_F_HOST, DP_F_DATE},
    [6] = {DP_F_EXPECT},
    [7] = {DP_F_UPGRADE, DP_F_TRAILER},
    [10] = {DP_F_USER_AGENT, DP_F_CONNECTION, DP_F_KEEP_ALIVE},
    [11] = {DP_F_RETRY_AFTER},
    [12] = {DP_F_CONTENT_TYPE, DP_F_X_REQUEST_ID},
    [13] = {DP_F_AUTHORIZATION},
    [14] = {DP_F_CONTENT_LENGTH, DP_F_HTTP2_SETTINGS},
    [15] = {DP_F_ACCEPT_ENCODING, DP_F_X_FORWARDED_FOR},
    [16] = {DP_F_CONTENT_ENCODING, DP_F_X_FORWARDED_HOST, DP_F_PROXY_CONNECTION},
    [17] = {DP_F_TRANSFER_ENCODING, DP_F_X_FORWARDED_PROTO},
    [18] = {DP_F_PROXY_AUTHENTICATE},
    [19] = {DP_F_PROXY_AUTHORIZATION},
};

static inline uint64_t word8(const char *p) {
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    return w;
}

static inline uint32_t word4(const char *p) {
    uint32_t w;
    memcpy(&w, p, sizeof(w));
    return w;
}

// Letters of `lower` (those bytes with bit 0x40) also match in upper case; all else exactly.
static inline bool same8(uint64_t w, uint64_t lower) {
    return (w | (lower & UINT64_C(0x4040404040404040)) >> 1) == lower;
}
static inline bool same4(uint32_t w, uint32_t lower) {
    return (w | (lower & UINT32_C(0x40404040)) >> 1) == lower;
}
static inline bool same1(char c, char lower) {
    return (c | (lower & 0x40) >> 1) == lower;
}

static inline bool same(const char *p, const char *lower, size_t n) {
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8) {
            if (!same8(word8(p + i), word8(lower + i))) return false;
        }
        return same8(word8(p + n - 8), word8(lower + n - 8));
    }
    if (n >= 4) {
        return same4(word4(p), word4(lower)) && same4(word4(p + n - 4), word4(lower + n - 4));
    }
    for (size_t i = 0; i < n; i++) {
        if (!same1(p[i], lower[i])) return false;
    }
    return true;
}

enum dp_field_id dp_field_id_of(struct gw_str name) {
    if (name.len > NAME_BYTES_MAX) return DP_F_OTHER;
    const uint8_t *ids = by_length[name.len];
    for (size_t i = 0; i < 3 && ids[i]; i++) {
        const char *want = names[ids[i]].ptr;
        if (!same1(name.ptr[0], want[0])) continue;
        return same(name.ptr, want, name.len) ? (enum dp_field_id)ids[i] : DP_F_OTHER;
    }
    return DP_F_OTHER;
}

// --- lists -------------------------------------------------------------------------------------

static inline bool is_named(const struct dp_field *f, enum dp_field_id id, struct gw_str name) {
    if (f->id != id) return false;
    return id != DP_F_OTHER || gw_str_eq_nocase(f->name, name);
}

struct dp_field *dp_fields_find(const struct dp_fields *f, enum dp_field_id id) {
    for (unsigned i = 0; i < f->len; i++) {
        if (f->ptr[i].id == id) return &f->ptr[i];
    }
    return NULL;
}

struct dp_field *dp_fields_find_name(const struct dp_fields *f, struct gw_str name) {
    enum dp_field_id id = dp_field_id_of(name);
    for (unsigned i = 0; i < f->len; i++) {
        if (is_named(&f->ptr[i], id, name)) return &f->ptr[i];
    }
    return NULL;
}

enum gw_rc dp_fields_add(struct dp_fields *f, struct gw_arena *a, struct gw_str name,
                         struct gw_str value) {
    if (f->len == f->cap) {
        unsigned cap = f->cap < FIELDS_GROW_MIN ? FIELDS_GROW_MIN : 2 * f->cap;
        struct dp_field *grown = gw_arena_alloc(a, cap * sizeof(*grown));
        if (!grown) return GW_ERR_LIMIT;
        if (f->len) memcpy(grown, f->ptr, f->len * sizeof(*grown));
        f->ptr = grown;
        f->cap = cap;
    }
    f->ptr[f->len++] = (struct dp_field){name, value, dp_field_id_of(name)};
    return GW_OK;
}

static unsigned remove_all(struct dp_fields *f, enum dp_field_id id, struct gw_str name) {
    unsigned kept = 0, before = f->len;
    for (unsigned i = 0; i < before; i++) {
        if (is_named(&f->ptr[i], id, name)) continue;
        if (kept != i) f->ptr[kept] = f->ptr[i];
        kept++;
    }
    f->len = kept;
    return before - kept;
}

unsigned dp_fields_remove(struct dp_fields *f, struct gw_str name) {
    return remove_all(f, dp_field_id_of(name), name);
}

unsigned dp_fields_remove_id(struct dp_fields *f, enum dp_field_id id) {
    GW_ASSERT(id != DP_F_OTHER);
    return remove_all(f, id, (struct gw_str){NULL, 0});
}
