// SPDX-License-Identifier: Apache-2.0
// Command-line flags from one table. Not a general option library: long names, a few kinds, and
// messages that say what to do.
#include "shared/flags.h"

#include <stdlib.h>

enum gw_rc gw_hostport_parse(struct gw_str text, const char *host_default,
                             struct gw_flag_hostport *ret, struct gw_err *err) {
    struct gw_flag_hostport hp = {0};
    struct gw_str host, port;
    if (text.len && text.ptr[0] == '[') {
        ptrdiff_t end = gw_str_find(text, ']');
        if (end < 0 || (size_t)end + 1 >= text.len || text.ptr[end + 1] != ':')
            return gw_err_set(err, GW_ERR_INPUT, 0, "'" GW_STR_FMT "' is not [IPv6]:PORT",
                              GW_STR_ARG(text));
        host = (struct gw_str){text.ptr + 1, (size_t)end - 1};
        port = (struct gw_str){text.ptr + end + 2, text.len - (size_t)end - 2};
    } else {
        host = gw_str_cut(&text, ':');
        port = text;
        if (!port.ptr || gw_str_find(port, ':') >= 0)
            return gw_err_set(err, GW_ERR_INPUT, 0,
                              "'" GW_STR_FMT "%s" GW_STR_FMT "' is not HOST:PORT%s",
                              GW_STR_ARG(host), port.ptr ? ":" : "", GW_STR_ARG(port),
                              port.ptr ? " (an IPv6 address needs brackets)" : "");
    }
    if (host.len == 0 && host_default) host = gw_str_of(host_default);
    if (host.len == 0)
        return gw_err_set(err, GW_ERR_INPUT, 0, "the host is missing before the port");
    if (host.len >= sizeof(hp.host))
        return gw_err_set(err, GW_ERR_INPUT, 0, "the host is longer than %zu characters",
                          sizeof(hp.host) - 1);
    memcpy(hp.host, host.ptr, host.len);
    uint64_t n;
    if (gw_str_to_u64(port, 65535, &n) != GW_OK)
        return gw_err_set(err, GW_ERR_INPUT, 0, "port '" GW_STR_FMT "' is not in 0..65535",
                          GW_STR_ARG(port));
    hp.port = (uint16_t)n;
    *ret = hp;
    return GW_OK;
}

static enum gw_rc set_pair(const struct gw_flag *f, const char *value, struct gw_err *err) {
    struct gw_map *map = f->target;
    struct gw_str rest = gw_str_of(value);
    struct gw_str key = gw_str_cut(&rest, '=');
    if (key.len == 0 || rest.len == 0)
        return gw_err_set(err, GW_ERR_INPUT, 0, "'%s' is not %s", value, f->metavar);
    if (gw_map_get(map, key))
        return gw_err_set(err, GW_ERR_INPUT, 0, "'" GW_STR_FMT "' is given twice", GW_STR_ARG(key));
    gw_map_put(map, key, gw_strndup(rest.ptr, rest.len));
    return GW_OK;
}

static enum gw_rc set_uint(const struct gw_flag *f, const char *value, struct gw_err *err) {
    uint64_t max = f->max ? f->max : UINT64_MAX, n;
    if (gw_str_to_u64(gw_str_of(value), max, &n) != GW_OK || n < f->min)
        return gw_err_set(err, GW_ERR_INPUT, 0, "'%s' is not a whole number in %llu..%llu", value,
                          (unsigned long long)f->min, (unsigned long long)max);
    *(uint64_t *)f->target = n;
    return GW_OK;
}

static enum gw_rc set_list(struct gw_flag_list *l, const char *value, struct gw_err *err) {
    if (!*value) return gw_err_set(err, GW_ERR_INPUT, 0, "the value is empty");
    if (l->len == GW_FLAG_LIST_MAX)
        return gw_err_set(err, GW_ERR_INPUT, 0, "more than %d are not taken", GW_FLAG_LIST_MAX);
    l->ptr[l->len++] = value;
    l->ptr[l->len] = NULL;
    return GW_OK;
}

static enum gw_rc set_value(const struct gw_flag *f, const char *value, struct gw_err *err) {
    switch (f->kind) {
    case GW_FLAG_BOOL:
        *(bool *)f->target = true;
        return GW_OK;
    case GW_FLAG_STRING:
        if (!*value) return gw_err_set(err, GW_ERR_INPUT, 0, "the value is empty");
        *(const char **)f->target = value;
        return GW_OK;
    case GW_FLAG_UINT:
        return set_uint(f, value, err);
    case GW_FLAG_HOSTPORT: {
        struct gw_flag_hostport *hp = f->target;
        char host[sizeof(hp->host)];
        memcpy(host, hp->host, sizeof(host));
        return gw_hostport_parse(gw_str_of(value), host, hp, err);
    }
    case GW_FLAG_LIST:
        return set_list(f->target, value, err);
    case GW_FLAG_PAIR:
        return set_pair(f, value, err);
    }
    return gw_err_set(err, GW_ERR_INTERNAL, 0, "the flag has no kind");
}

// The flag of one argument such as "--listen=:1" or "-n"; *ret_value is what follows '=', or NULL.
static const struct gw_flag *find(const struct gw_flag *flags, const char *arg,
                                  const char **ret_value) {
    *ret_value = NULL;
    if (arg[1] != '-') {
        for (const struct gw_flag *f = flags; f->name; f++)
            if (f->short_name && arg[1] == f->short_name && !arg[2]) return f;
        return NULL;
    }
    struct gw_str value = gw_str_of(arg + 2);
    struct gw_str name = gw_str_cut(&value, '=');
    *ret_value = value.ptr;
    for (const struct gw_flag *f = flags; f->name; f++)
        if (gw_str_eq(name, gw_str_of(f->name))) return f;
    return NULL;
}

// Which flags were seen, so that a second --listen is not silently the last one.
#define FLAGS_MAX 64

static enum gw_rc parse_flag(const struct gw_flag *flags, int argc, char *const *argv, int *i,
                             bool *seen, struct gw_err *err) {
    const char *value;
    const char *arg = argv[*i];
    const struct gw_flag *f = find(flags, arg, &value);
    if (!f) return gw_err_set(err, GW_ERR_INPUT, 0, "unknown flag %s (see --help)", arg);
    if (f->kind == GW_FLAG_BOOL && value)
        return gw_err_set(err, GW_ERR_INPUT, 0, "--%s takes no value", f->name);
    if (f->kind != GW_FLAG_BOOL && !value) {
        // A flag where a value should be is a forgotten value, not a value.
        if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
            return gw_err_set(err, GW_ERR_INPUT, 0, "--%s needs a value: --%s %s", f->name, f->name,
                              f->metavar);
        value = argv[++*i];
    }
    size_t at = (size_t)(f - flags);
    GW_ASSERT(at < FLAGS_MAX);
    bool may_repeat = f->kind == GW_FLAG_PAIR || f->kind == GW_FLAG_LIST || f->kind == GW_FLAG_BOOL;
    if (seen[at] && !may_repeat)
        return gw_err_set(err, GW_ERR_INPUT, 0, "--%s is given twice", f->name);
    seen[at] = true;
    if (set_value(f, value, err) != GW_OK) return gw_err_wrap(err, "--%s", f->name);
    return GW_OK;
}

enum gw_rc gw_flags_parse(const struct gw_flag *flags, int argc, char *const *argv,
                          const char **positional, size_t positional_max, size_t *ret_positional_n,
                          struct gw_err *err) {
    bool seen[FLAGS_MAX] = {false};
    size_t n = 0;
    bool only_positional = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!only_positional && strcmp(arg, "--") == 0) {
            only_positional = true;
        } else if (!only_positional && arg[0] == '-' && arg[1]) {
            GW_TRY(parse_flag(flags, argc, argv, &i, seen, err));
        } else if (n < positional_max) {
            positional[n++] = arg;
        } else {
            return gw_err_set(err, GW_ERR_INPUT, 0, "unexpected argument '%s' (see --help)", arg);
        }
    }
    if (ret_positional_n) *ret_positional_n = n;
    return GW_OK;
}

static int left_column(const struct gw_flag *f, char *dst, size_t cap) {
    char shorter[8] = "";
    if (f->short_name) snprintf(shorter, sizeof(shorter), "-%c, ", f->short_name);
    return snprintf(dst, cap, "%s--%s%s%s", shorter, f->name, f->metavar ? " " : "",
                    f->metavar ? f->metavar : "");
}

void gw_flags_help(const struct gw_flag *flags, const char *usage, FILE *out) {
    char left[128];
    int width = 0;
    for (const struct gw_flag *f = flags; f->name; f++) {
        int n = left_column(f, left, sizeof(left));
        if (n > width) width = n;
    }
    fprintf(out, "%s\n", usage);
    for (const struct gw_flag *f = flags; f->name; f++) {
        left_column(f, left, sizeof(left));
        fprintf(out, "  %-*s  %s\n", width, left, f->help);
    }
}
