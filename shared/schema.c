// SPDX-License-Identifier: Apache-2.0
// See schema.h. Depth is bounded by the tables; data below a GW_F_ANY was bounded by its reader.
#include "shared/schema.h"

#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

// Compiled patterns by their text; tables are static, so there are few and they stay.
#define PATTERNS_MAX 256
static struct pattern {
    const char *text;
    regex_t re;
} patterns[PATTERNS_MAX];
static unsigned patterns_n;
static pthread_mutex_t patterns_lock = PTHREAD_MUTEX_INITIALIZER;

static bool matches(const char *pattern, const char *value) {
    regex_t *re = NULL;
    pthread_mutex_lock(&patterns_lock);
    for (unsigned i = 0; i < patterns_n && !re; i++)
        if (patterns[i].text == pattern) re = &patterns[i].re;
    if (!re) {
        char whole[2048];
        int n = snprintf(whole, sizeof(whole), "^(%s)$", pattern);
        GW_ASSERT(patterns_n < PATTERNS_MAX && n > 0 && (size_t)n < sizeof(whole));
        re = &patterns[patterns_n].re;
        GW_ASSERT(regcomp(re, whole, REG_EXTENDED | REG_NOSUB) == 0);
        patterns[patterns_n++].text = pattern;
    }
    pthread_mutex_unlock(&patterns_lock);
    return regexec(re, value, 0, NULL, 0) == 0; // a compiled pattern may be used by many threads
}

struct check {
    struct gw_schema_problem *out;
};

static enum gw_rc problem(struct check *c, const char *path, const char *fmt, ...) GW_PRINTF(3, 4);
static enum gw_rc problem(struct check *c, const char *path, const char *fmt, ...) {
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    snprintf(c->out->path, sizeof(c->out->path), "%s", path);
    return gw_err_set(&c->out->err, GW_ERR_INPUT, 400, "%s", text);
}

static enum gw_rc check_object(struct check *c, const json_t *obj, const struct gw_field *fields,
                               const char *path);
static enum gw_rc check_value(struct check *c, const json_t *v, const struct gw_field *f,
                              const char *path);

static const char *type_name(const json_t *v) {
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "a list",  [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a number", [JSON_TRUE] = "a boolean",
        [JSON_FALSE] = "a boolean",    [JSON_NULL] = "null",
    };
    return names[json_typeof(v)];
}

static enum gw_rc wrong_type(struct check *c, const json_t *v, const char *path,
                             const char *wanted) {
    return problem(c, path, "%s: must be %s, not %s", path, wanted, type_name(v));
}

// A value in a message: at most this much of it.
#define SHOWN_MAX 64

static enum gw_rc check_values(struct check *c, struct gw_str s, const struct gw_field *f,
                               const char *path) {
    char list[256] = "";
    size_t n = 0;
    for (const char *const *v = f->values; *v; v++) {
        if (gw_str_eq(s, gw_str_of(*v))) return GW_OK;
        int add = snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", *v);
        if (add > 0 && (size_t)add < sizeof(list) - n) n += (size_t)add;
    }
    return problem(c, path, "%s: '%.*s' is not one of %s", path,
                   (int)(s.len < SHOWN_MAX ? s.len : SHOWN_MAX), s.ptr, list);
}

static enum gw_rc check_string(struct check *c, const json_t *v, const struct gw_field *f,
                               const char *path) {
    if (!json_is_string(v)) return wrong_type(c, v, path, "a string");
    struct gw_str s = gw_json_str_of(v);
    int64_t max = f->max ? f->max : GW_F_STRING_MAX_DEFAULT;
    int shown = (int)(s.len < SHOWN_MAX ? s.len : SHOWN_MAX);
    if ((int64_t)s.len < f->min)
        return s.len == 0 ? problem(c, path, "%s: must not be empty", path)
                          : problem(c, path, "%s: '%.*s' is shorter than %lld characters", path,
                                    shown, s.ptr, (long long)f->min);
    if ((int64_t)s.len > max)
        return problem(c, path, "%s: is longer than %lld characters", path, (long long)max);
    if (strlen(s.ptr) != s.len) return problem(c, path, "%s: must not hold a NUL character", path);
    if (f->values) return check_values(c, s, f, path);
    if (f->pattern && !matches(f->pattern, s.ptr)) {
        if (f->pattern_says)
            return problem(c, path, "%s: '%.*s' %s", path, shown, s.ptr, f->pattern_says);
        return problem(c, path, "%s: '%.*s' does not match %s", path, shown, s.ptr, f->pattern);
    }
    return GW_OK;
}

static enum gw_rc check_int(struct check *c, const json_t *v, const struct gw_field *f,
                            const char *path) {
    if (!json_is_integer(v)) return wrong_type(c, v, path, "an integer");
    long long n = json_integer_value(v);
    if (f->max == 0 && f->min && n < f->min)
        return problem(c, path, "%s: %lld is less than %lld", path, n, (long long)f->min);
    if (f->max && (n < f->min || n > f->max))
        return problem(c, path, "%s: %lld is not in %lld..%lld", path, n, (long long)f->min,
                       (long long)f->max);
    return GW_OK;
}

// In the largest unit that leaves no rest: "24h", "500ms".
static void duration_text(int64_t ms, char *dst, size_t cap) {
    const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (ms % units[i].ms)
        i++;
    snprintf(dst, cap, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
}

static enum gw_rc check_duration(struct check *c, const json_t *v, const struct gw_field *f,
                                 const char *path) {
    uint64_t ms;
    struct gw_err err;
    if (!json_is_string(v)) return wrong_type(c, v, path, "a duration such as 30s");
    if (gw_duration_ms(gw_json_str_of(v), &ms, &err) != GW_OK)
        return problem(c, path, "%s: %s", path, err.text);
    bool is_short = (int64_t)ms < f->min, is_long = f->max && (int64_t)ms > f->max;
    if (!is_short && !is_long) return GW_OK;
    char bound[32];
    duration_text(is_short ? f->min : f->max, bound, sizeof(bound));
    return problem(c, path, "%s: '%s' must be at %s %s", path, json_string_value(v),
                   is_short ? "least" : "most", bound);
}

// "name" or "name,port" of an element as one text.
static void unique_key(const json_t *elem, const char *members, struct gw_text *out) {
    struct gw_str rest = gw_str_of(members);
    gw_text_reset(out);
    while (rest.len) {
        char key[64];
        struct gw_str m = gw_str_cut(&rest, ',');
        snprintf(key, sizeof(key), "%.*s", (int)m.len, m.ptr);
        const json_t *v = gw_json_get(elem, key);
        if (out->len) gw_text_adds(out, "/");
        if (json_is_string(v))
            gw_text_adds(out, json_string_value(v));
        else if (json_is_integer(v))
            gw_text_addf(out, "%lld", (long long)json_integer_value(v));
    }
}

static enum gw_rc check_unique(struct check *c, const json_t *list, const char *members,
                               const char *path) {
    GW_CLEANUP(gw_text_fini) struct gw_text a = {0}, b = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        unique_key(json_array_get(list, i), members, &a);
        for (size_t k = 0; k < i; k++) {
            unique_key(json_array_get(list, k), members, &b);
            if (!gw_str_eq(gw_text_str(&a), gw_text_str(&b))) continue;
            char at[256];
            snprintf(at, sizeof(at), "%s[%zu]", path, i);
            return problem(c, at, "%s: '%s' occurs twice (also in %s[%zu])", at, a.ptr ? a.ptr : "",
                           path, k);
        }
    }
    return GW_OK;
}

static enum gw_rc check_count(struct check *c, size_t n, const struct gw_field *f,
                              const char *path) {
    int64_t max = f->max ? f->max : GW_F_LIST_MAX_DEFAULT;
    if ((int64_t)n < f->min)
        return problem(c, path, "%s: needs at least %lld entries", path, (long long)f->min);
    if ((int64_t)n > max)
        return problem(c, path, "%s: has %zu entries, at most %lld are allowed", path, n,
                       (long long)max);
    return GW_OK;
}

static enum gw_rc check_list(struct check *c, const json_t *v, const struct gw_field *f,
                             const char *path) {
    if (!json_is_array(v)) return wrong_type(c, v, path, "a list");
    GW_TRY(check_count(c, json_array_size(v), f, path));
    for (size_t i = 0; i < json_array_size(v); i++) {
        char at[256];
        snprintf(at, sizeof(at), "%s[%zu]", path, i);
        GW_TRY(check_value(c, json_array_get(v, i), f->elem, at));
    }
    return f->unique ? check_unique(c, v, f->unique, path) : GW_OK;
}

static enum gw_rc check_map(struct check *c, const json_t *v, const struct gw_field *f,
                            const char *path) {
    const char *key;
    json_t *elem;
    if (!json_is_object(v)) return wrong_type(c, v, path, "an object");
    GW_TRY(check_count(c, json_object_size(v), f, path));
    json_object_foreach((json_t *)(uintptr_t)v, key, elem) {
        char at[256];
        snprintf(at, sizeof(at), "%s.%s", path, key);
        GW_TRY(check_value(c, elem, f->elem, at));
    }
    return GW_OK;
}

static enum gw_rc check_value(struct check *c, const json_t *v, const struct gw_field *f,
                              const char *path) {
    switch (f->type) {
    case GW_F_STRING:
        return check_string(c, v, f, path);
    case GW_F_INT:
        return check_int(c, v, f, path);
    case GW_F_BOOL:
        return json_is_boolean(v) ? GW_OK : wrong_type(c, v, path, "true or false");
    case GW_F_OBJECT:
        return check_object(c, v, f->fields, path);
    case GW_F_LIST:
        return check_list(c, v, f, path);
    case GW_F_MAP:
        return check_map(c, v, f, path);
    case GW_F_DURATION:
        return check_duration(c, v, f, path);
    case GW_F_INT_OR_STRING:
        if (json_is_integer(v)) return check_int(c, v, f, path);
        if (json_is_string(v)) return GW_OK;
        return wrong_type(c, v, path, "an integer or a string");
    case GW_F_ANY:
        return GW_OK;
    }
    return GW_OK;
}

static const struct gw_field *field_of(const struct gw_field *fields, const char *name) {
    for (const struct gw_field *f = fields; f->name; f++)
        if (strcmp(f->name, name) == 0) return f;
    return NULL;
}

static enum gw_rc check_object(struct check *c, const json_t *obj, const struct gw_field *fields,
                               const char *path) {
    const char *key;
    json_t *v;
    char at[256];
    if (!json_is_object(obj)) return wrong_type(c, obj, *path ? path : "document", "an object");
    json_object_foreach((json_t *)(uintptr_t)obj, key, v) {
        const struct gw_field *f = field_of(fields, key);
        snprintf(at, sizeof(at), "%s%s%s", path, *path ? "." : "", key);
        if (!f) return problem(c, at, "unknown field %s", at);
        if (json_is_null(v)) continue; // Kubernetes drops null members
        if (f->flags & GW_F_UNBUILT) return problem(c, at, "%s is not supported yet", at);
        GW_TRY(check_value(c, v, f, at));
    }
    for (const struct gw_field *f = fields; f->name; f++) {
        v = json_object_get(obj, f->name);
        if (!(f->flags & GW_F_REQUIRED) || (v && !json_is_null(v))) continue;
        snprintf(at, sizeof(at), "%s%s%s", path, *path ? "." : "", f->name);
        return problem(c, path, "%s is missing", at);
    }
    return GW_OK;
}

enum gw_rc gw_schema_check(const json_t *obj, const struct gw_field *fields, const char *path,
                           struct gw_schema_problem *ret_problem) {
    struct check c = {ret_problem};
    return check_object(&c, obj, fields, path);
}
