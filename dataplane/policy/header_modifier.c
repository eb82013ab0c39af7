// SPDX-License-Identifier: Apache-2.0
// Compiles and applies lists of header changes.
#include "dataplane/policy/header_modifier.h"
#include "dataplane/codec/authority.h"
#include "dataplane/codec/chars.h"

// --- compile -----------------------------------------------------------------------------------

// What a message's own codec writes, or what speaks of one connection alone.
static bool is_codecs(enum dp_field_id id) {
    switch (id) {
    case DP_F_CONNECTION:
    case DP_F_CONTENT_LENGTH:
    case DP_F_EXPECT:
    case DP_F_HTTP2_SETTINGS:
    case DP_F_KEEP_ALIVE:
    case DP_F_PROXY_CONNECTION:
    case DP_F_TE:
    case DP_F_TRANSFER_ENCODING:
    case DP_F_UPGRADE:
        return true;
    default:
        return false;
    }
}

// list[i] of the spec, for error texts.
struct place {
    const char *list;
    size_t i;
};

static enum gw_rc bad(struct gw_err *err, struct place at, const char *why) {
    return gw_err_set(err, GW_ERR_INPUT, 400, "%s[%zu]: %s", at.list, at.i, why);
}

static enum gw_rc check_name(struct gw_str name, struct place at, struct gw_err *err) {
    if (name.len > DP_HEADER_NAME_BYTES_MAX || !dp_str_is_token(name)) {
        return bad(err, at, "the name is not a header name of 1..256 bytes");
    }
    enum dp_field_id id = dp_field_id_of(name);
    if (is_codecs(id)) {
        return gw_err_set(err, GW_ERR_INPUT, 400,
                          "%s[%zu]: '" GW_STR_FMT "' frames the message or is of one connection "
                          "alone, and cannot be changed",
                          at.list, at.i, GW_STR_ARG(name));
    }
    return GW_OK;
}

static enum gw_rc read_pair(const json_t *item, struct place at, struct dp_field *ret,
                            struct gw_err *err) {
    if (!json_is_string(json_object_get(item, "name")) ||
        !json_is_string(json_object_get(item, "value"))) {
        return bad(err, at, "it needs a name and a value");
    }
    ret->name = gw_json_str(item, "name");
    ret->value = gw_str_trim(gw_json_str(item, "value"));
    GW_TRY(check_name(ret->name, at, err));
    if (ret->value.len > DP_HEADER_VALUE_BYTES_MAX || !dp_str_is_value(ret->value)) {
        return bad(err, at, "the value has a control byte or is over 4096 bytes");
    }
    ret->id = dp_field_id_of(ret->name);
    return GW_OK;
}

static enum gw_rc list_of(const json_t *spec, const char *name, const json_t **ret,
                          struct gw_err *err) {
    *ret = json_object_get(spec, name);
    if (json_is_null(*ret)) *ret = NULL;
    if (*ret && !json_is_array(*ret)) {
        return gw_err_set(err, GW_ERR_INPUT, 400, "%s: not a list", name);
    }
    if (json_array_size(*ret) > DP_HEADER_MODIFIER_ENTRIES_MAX) {
        return gw_err_set(err, GW_ERR_INPUT, 400, "%s: over %d entries", name,
                          DP_HEADER_MODIFIER_ENTRIES_MAX);
    }
    return GW_OK;
}

static bool is_listed(const struct dp_field *fields, unsigned n, struct gw_str name) {
    for (unsigned i = 0; i < n; i++) {
        if (gw_str_eq_nocase(fields[i].name, name)) return true;
    }
    return false;
}

static enum gw_rc no_memory(struct gw_err *err) {
    return gw_err_set(err, GW_ERR_LIMIT, 0, "the configuration does not fit its memory");
}

// ret_authority NULL: Host may not be in this list.
static enum gw_rc compile_pairs(const json_t *spec, const char *name, struct gw_arena *arena,
                                const struct dp_field **ret, unsigned *ret_n,
                                struct gw_str *ret_authority, struct gw_err *err) {
    const json_t *list;
    GW_TRY(list_of(spec, name, &list, err));
    struct dp_field *fields = gw_arena_alloc(arena, json_array_size(list) * sizeof(*fields));
    if (!fields) return no_memory(err);
    unsigned n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct dp_field f = {0};
        struct place at = {name, i};
        GW_TRY(read_pair(json_array_get(list, i), at, &f, err));
        if (is_listed(fields, n, f.name)) continue;
        f.value = gw_arena_dup(arena, f.value);
        if (f.id == DP_F_HOST) {
            struct dp_authority parsed;
            if (!ret_authority) return bad(err, at, "Host can only be set, and only in requests");
            const char *wrong = dp_authority_parse(f.value, arena, &parsed);
            if (wrong)
                return gw_err_set(err, GW_ERR_INPUT, 400, "%s[%zu]: Host: %s", name, i, wrong);
            if (!ret_authority->ptr) *ret_authority = f.value;
            continue;
        }
        f.name = gw_arena_dup(arena, f.name);
        if (!f.name.ptr || !f.value.ptr) return no_memory(err);
        fields[n++] = f;
    }
    *ret = fields;
    *ret_n = n;
    return GW_OK;
}

static enum gw_rc compile_names(const json_t *spec, struct gw_arena *arena,
                                struct dp_header_modifier *m, struct gw_err *err) {
    const json_t *list;
    GW_TRY(list_of(spec, "remove", &list, err));
    struct gw_str *names = gw_arena_alloc(arena, json_array_size(list) * sizeof(*names));
    if (!names) return no_memory(err);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct place at = {"remove", i};
        const json_t *item = json_array_get(list, i);
        if (!json_is_string(item)) return bad(err, at, "not a header name");
        struct gw_str name = gw_json_str_of(item);
        GW_TRY(check_name(name, at, err));
        if (dp_field_id_of(name) == DP_F_HOST) return bad(err, at, "Host cannot be removed");
        names[i] = gw_arena_dup(arena, name);
        if (!names[i].ptr) return no_memory(err);
    }
    m->remove = names;
    m->remove_n = (unsigned)json_array_size(list);
    return GW_OK;
}

enum gw_rc dp_header_modifier_compile(const json_t *spec, bool may_set_host, struct gw_arena *arena,
                                      const void **ret_conf, struct gw_err *err) {
    struct dp_header_modifier *m = gw_arena_zalloc(arena, sizeof(*m));
    if (!m) return no_memory(err);
    struct gw_str *authority = may_set_host ? &m->authority : NULL;
    GW_TRY(compile_pairs(spec, "set", arena, &m->set, &m->set_n, authority, err));
    GW_TRY(compile_pairs(spec, "add", arena, &m->add, &m->add_n, NULL, err));
    GW_TRY(compile_names(spec, arena, m, err));
    *ret_conf = m;
    return GW_OK;
}

// --- apply -------------------------------------------------------------------------------------

static bool is_same(const struct dp_field *a, const struct dp_field *b) {
    return a->id == b->id && (a->id != DP_F_OTHER || gw_str_eq_nocase(a->name, b->name));
}

// The first one of that name gets the value, in its place; the others go.
static enum gw_rc set_field(struct dp_fields *fields, const struct dp_field *want,
                            struct gw_arena *a) {
    bool is_set = false;
    unsigned kept = 0;
    for (unsigned i = 0; i < fields->len; i++) {
        if (is_same(&fields->ptr[i], want)) {
            if (is_set) continue;
            is_set = true;
            fields->ptr[kept++] = *want;
            continue;
        }
        if (kept != i) fields->ptr[kept] = fields->ptr[i];
        kept++;
    }
    fields->len = kept;
    return is_set ? GW_OK : dp_fields_add(fields, a, want->name, want->value);
}

enum gw_rc dp_header_modifier_apply(const struct dp_header_modifier *m, struct dp_fields *fields,
                                    struct gw_arena *a, int limit_status, struct gw_err *err) {
    enum gw_rc rc = GW_OK;
    for (unsigned i = 0; i < m->set_n && rc == GW_OK; i++)
        rc = set_field(fields, &m->set[i], a);
    for (unsigned i = 0; i < m->add_n && rc == GW_OK; i++)
        rc = dp_fields_add(fields, a, m->add[i].name, m->add[i].value);
    if (rc != GW_OK) {
        return gw_err_set(err, rc, limit_status, "the head does not fit its memory");
    }
    for (unsigned i = 0; i < m->remove_n; i++)
        dp_fields_remove(fields, m->remove[i]);
    return GW_OK;
}
