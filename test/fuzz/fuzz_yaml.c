// SPDX-License-Identifier: Apache-2.0
// The YAML reader on any bytes: what it accepts are trees that can be written as JSON and read
// again; a refusal names file and line; the line of any path is inside the file.
// The first line of an input is the path that is looked for, the rest is the file.
#include "shared/yaml.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MAX 16384
#define PATH_CHARS_MAX 200
#define TREE_BYTES_MAX (1u << 20) // an alias may make much of little; larger trees are not written

// Line breaks of YAML 1.1, counted generously.
static unsigned lines_of(struct gw_str text) {
    unsigned n = 1;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char ch = (unsigned char)text.ptr[i];
        n += ch == '\n' || ch == '\r' || ch == 0x85 || ch == 0xa8 || ch == 0xa9;
    }
    return n;
}

static size_t weight(const json_t *v) {
    size_t n = 8, i;
    const char *key;
    json_t *member, *mutable = (json_t *)(uintptr_t)v;
    if (json_is_string(v)) n += json_string_length(v);
    json_object_foreach(mutable, key, member) n += strlen(key) + weight(member);
    json_array_foreach(mutable, i, member) n += weight(member);
    return n;
}

static void check_tree(const json_t *root) {
    struct gw_err err;
    size_t n;
    GW_ASSERT(root && !json_is_null(root));
    if (weight(root) > TREE_BYTES_MAX) return;
    char *text = gw_json_canonical(root, &n);
    json_t *again = gw_json_load((struct gw_str){text, n}, SIZE_MAX, 0, &err);
    GW_ASSERT(again != NULL);
    size_t again_n;
    char *again_text = gw_json_canonical(again, &again_n);
    GW_ASSERT(gw_str_eq((struct gw_str){text, n}, (struct gw_str){again_text, again_n}));
    free(again_text);
    free(text);
    json_decref(again);
}

// "fuzz.yaml:LINE: ..."
static void check_refusal(const struct gw_err *err, unsigned lines) {
    unsigned line;
    GW_ASSERT(sscanf(err->text, "fuzz.yaml:%u: ", &line) == 1);
    GW_ASSERT(line >= 1 && line <= lines + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > BYTES_MAX) return 0;
    struct gw_str text = {(const char *)data, size};
    struct gw_str first = gw_str_cut(&text, '\n');
    char path[PATH_CHARS_MAX + 1];
    snprintf(path, sizeof(path), GW_STR_FMT, GW_STR_ARG(first));
    if (!text.ptr) text = GW_STR("");
    unsigned lines = lines_of(text);
    struct gw_yaml y;
    struct gw_err err = {0};
    if (gw_yaml_parse(text, "fuzz.yaml", &y, &err) != GW_OK) {
        check_refusal(&err, lines);
        GW_ASSERT(gw_yaml_line_of(text, 0, path) <= lines + 1);
        return 0;
    }
    for (size_t i = 0; i < y.len; i++) {
        check_tree(y.docs[i].root);
        GW_ASSERT(y.docs[i].line >= 1 && y.docs[i].line <= lines);
        GW_ASSERT(i == 0 || y.docs[i].index > y.docs[i - 1].index);
        unsigned line = gw_yaml_line_of(text, y.docs[i].index, path);
        GW_ASSERT(line >= 1 && line <= lines);
    }
    gw_yaml_fini(&y);
    return 0;
}
