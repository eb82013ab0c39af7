// SPDX-License-Identifier: Apache-2.0
// A JSON tree as YAML. Text that YAML could read as something else is written as a JSON string,
// which is YAML too.
#include "controller/cli/cli.h"

#include <stdlib.h>

static bool is_plain(struct gw_str s) {
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on",
                                        "off",  "y",     "n",    "~",   NULL};
    if (s.len == 0 || s.len > 120) return false;
    for (const char *const *w = words; *w; w++)
        if (gw_str_eq_nocase(s, gw_str_of(*w))) return false;
    char c = s.ptr[0];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/' || c == '_')) return false;
    for (size_t i = 0; i < s.len; i++) {
        c = s.ptr[i];
        bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    strchr("-_./+@", c) || (c == ' ' && i + 1 < s.len);
        if (!safe || c == 0) return false;
    }
    return true;
}

static void add_text(struct gw_str s, struct gw_text *out) {
    if (is_plain(s)) {
        gw_text_add(out, s.ptr, s.len);
        return;
    }
    gw_text_adds(out, "\"");
    gw_text_add_json(out, s);
    gw_text_adds(out, "\"");
}

static bool is_leaf(const json_t *v) {
    return !(json_is_object(v) && json_object_size(v)) && !(json_is_array(v) && json_array_size(v));
}

static void add_leaf(const json_t *v, struct gw_text *out) {
    if (json_is_string(v)) {
        add_text(gw_json_str_of(v), out);
        return;
    }
    char *text = json_dumps(v, JSON_ENCODE_ANY);
    gw_text_adds(out, text ? text : "null");
    free(text);
}

static void add_value(const json_t *v, unsigned indent, bool first_in_line, struct gw_text *out);

static void add_object(const json_t *v, unsigned indent, bool first_in_line, struct gw_text *out) {
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        if (!first_in_line) gw_text_addf(out, "%*s", (int)indent, "");
        first_in_line = false;
        add_text(gw_str_of(key), out);
        gw_text_adds(out, is_leaf(member) ? ": " : ":\n");
        // Lists stand below their key without further indent, as kubectl writes them.
        add_value(member, json_is_array(member) ? indent : indent + 2, false, out);
    }
}

static void add_value(const json_t *v, unsigned indent, bool first_in_line, struct gw_text *out) {
    if (is_leaf(v)) {
        add_leaf(v, out);
        gw_text_adds(out, "\n");
    } else if (json_is_object(v)) {
        add_object(v, indent, first_in_line, out);
    } else {
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i || !first_in_line) gw_text_addf(out, "%*s", (int)indent, "");
            gw_text_adds(out, "- ");
            add_value(json_array_get(v, i), indent + 2, true, out);
        }
    }
}

void cli_yaml(const json_t *v, unsigned indent, struct gw_text *out) {
    if (is_leaf(v)) gw_text_addf(out, "%*s", (int)indent, "");
    add_value(v, indent, false, out);
}
