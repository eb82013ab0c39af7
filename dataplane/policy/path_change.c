// SPDX-License-Identifier: Apache-2.0
// Compiles and applies changes of a path.
#include "dataplane/policy/path_change.h"
#include "dataplane/codec/chars.h"

static enum gw_rc read_path(const json_t *spec, const char *key, struct gw_arena *arena,
                            struct gw_str *ret, struct gw_err *err) {
    struct gw_str text = gw_json_str(spec, key);
    if (text.len > DP_PATH_CHANGE_BYTES_MAX)
        return gw_err_set(err, GW_ERR_INPUT, 0, "path.%s: over %d bytes", key,
                          DP_PATH_CHANGE_BYTES_MAX);
    size_t good = dp_char_run(text.ptr, text.ptr + text.len, DP_CH_PATH);
    if (good < text.len)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "path.%s: byte %zu is none of a path (it may be written as %%%02X)", key,
                          good, (unsigned char)text.ptr[good]);
    bool is_bare = text.len && text.ptr[0] != '/';
    *ret = gw_arena_printf(arena, "%s" GW_STR_FMT, is_bare ? "/" : "", GW_STR_ARG(text));
    if (ret->ptr) return GW_OK;
    return gw_err_set(err, GW_ERR_LIMIT, 0, "the configuration does not fit its memory");
}

enum gw_rc dp_path_change_compile(const json_t *spec, struct gw_arena *arena,
                                  struct dp_path_change *ret, struct gw_err *err) {
    struct gw_str type = gw_json_str(spec, "type");
    *ret = (struct dp_path_change){0};
    if (!spec) return GW_OK;
    if (gw_str_eq(type, GW_STR("ReplaceFullPath")))
        ret->type = DP_PATH_CHANGE_FULL;
    else if (gw_str_eq(type, GW_STR("ReplacePrefixMatch")))
        ret->type = DP_PATH_CHANGE_PREFIX;
    else
        return gw_err_set(err, GW_ERR_INPUT, 0, "path.type: '" GW_STR_FMT "' is not known",
                          GW_STR_ARG(type));
    GW_TRY(read_path(spec, "value", arena, &ret->value, err));
    if (ret->type == DP_PATH_CHANGE_FULL) {
        if (ret->value.len == 0) ret->value = GW_STR("/");
        return GW_OK;
    }
    if (gw_json_str(spec, "prefix").len == 0)
        return gw_err_set(err, GW_ERR_INPUT, 0, "path.prefix: ReplacePrefixMatch needs it");
    GW_TRY(read_path(spec, "prefix", arena, &ret->prefix, err));
    if (gw_str_ends(ret->prefix, GW_STR("/"))) ret->prefix.len--;
    return GW_OK;
}

// What follows the prefix: empty, or begins with a slash.
static bool cut_prefix(struct gw_str path, struct gw_str prefix, struct gw_str *ret_rest) {
    if (!gw_str_starts(path, prefix)) return false;
    *ret_rest = (struct gw_str){path.ptr + prefix.len, path.len - prefix.len};
    return ret_rest->len == 0 || ret_rest->ptr[0] == '/';
}

// Two slashes at the front would be read as the begin of an authority (RFC 3986 4.2).
static struct gw_str one_slash(struct gw_str path) {
    while (path.len > 1 && path.ptr[0] == '/' && path.ptr[1] == '/')
        path = (struct gw_str){path.ptr + 1, path.len - 1};
    return path;
}

struct gw_str dp_path_change_apply(const struct dp_path_change *c, struct gw_str path,
                                   struct gw_arena *a) {
    struct gw_str rest, front = c->value;
    if (c->type == DP_PATH_CHANGE_NONE || path.len == 0 || path.ptr[0] != '/') return path;
    if (c->type == DP_PATH_CHANGE_FULL) return one_slash(c->value);
    if (!cut_prefix(path, c->prefix, &rest)) return path;
    if (rest.len == 0) return front.len ? one_slash(front) : GW_STR("/");
    if (gw_str_ends(front, GW_STR("/"))) front.len--;
    struct gw_str joined =
        gw_arena_printf(a, GW_STR_FMT GW_STR_FMT, GW_STR_ARG(front), GW_STR_ARG(rest));
    return joined.ptr ? one_slash(joined) : joined;
}
