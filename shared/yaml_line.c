// SPDX-License-Identifier: Apache-2.0
// Where a member stands in a file: the text is parsed once more, only for a message.
#include "shared/yaml.h"
#include "shared/yaml_scalar.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#define PATH_MAX_CHARS 1024

struct level {
    bool is_map, has_key;
    unsigned index;  // of the next element
    size_t path_len; // of the container itself
};

struct finder {
    const char *want;
    unsigned doc, best_line;
    size_t best_len;
    bool found; // the first document line was noted
    struct level levels[GW_YAML_DEPTH_MAX + 1];
    unsigned depth;
    char path[PATH_MAX_CHARS];
};

// Whether the present path is the wanted one or leads to it: then it is the best so far.
static void consider(struct finder *f, size_t len, size_t line) {
    size_t want = strlen(f->want);
    bool leads = len <= want && memcmp(f->path, f->want, len) == 0 &&
                 (len == 0 || len == want || f->want[len] == '.' || f->want[len] == '[');
    if (!leads || (f->found && len <= f->best_len)) return;
    f->found = true;
    f->best_len = len;
    f->best_line = (unsigned)line + 1;
}

// Adds ".key", or "[i]" where key is NULL.
static size_t extend(struct finder *f, size_t len, const char *key, unsigned i) {
    size_t room = sizeof(f->path) - len;
    int n = key ? snprintf(f->path + len, room, "%s%s", len ? "." : "", key)
                : snprintf(f->path + len, room, "[%u]", i);
    return n > 0 && (size_t)n < room ? len + (size_t)n : len;
}

static void take_key(struct finder *f, struct level *l, const yaml_event_t *e) {
    struct gw_err err = {0};
    char key[512];
    struct gw_str s = {(const char *)e->data.scalar.value, e->data.scalar.length};
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    GW_JSON_AUTO v = plain ? gw_yaml_plain(s, &err) : json_stringn(s.ptr, s.len);
    if (!v || !gw_yaml_key(v, key, sizeof(key))) key[0] = 0;
    size_t len = extend(f, l->path_len, key, 0);
    f->path[len] = 0;
    l->has_key = true;
    consider(f, len, e->start_mark.line);
}

// A value begins below the innermost container; returns the length of its path.
static size_t begin_value(struct finder *f, size_t line) {
    if (f->depth == 0) {
        f->path[0] = 0;
        consider(f, 0, line);
        return 0;
    }
    struct level *l = &f->levels[f->depth - 1];
    if (l->is_map) {
        l->has_key = false;
        return strlen(f->path);
    }
    size_t len = extend(f, l->path_len, NULL, l->index++);
    f->path[len] = 0;
    consider(f, len, line);
    return len;
}

static void open_container(struct finder *f, bool is_map, size_t line) {
    size_t len = begin_value(f, line);
    if (f->depth < GW_YAML_DEPTH_MAX)
        f->levels[f->depth++] = (struct level){.is_map = is_map, .path_len = len};
}

static void on_event(struct finder *f, const yaml_event_t *e) {
    size_t line = e->start_mark.line;
    struct level *l = f->depth ? &f->levels[f->depth - 1] : NULL;
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        if (l && l->is_map && !l->has_key)
            take_key(f, l, e);
        else
            begin_value(f, line);
        break;
    case YAML_ALIAS_EVENT:
        begin_value(f, line);
        break;
    case YAML_MAPPING_START_EVENT:
        open_container(f, true, line);
        break;
    case YAML_SEQUENCE_START_EVENT:
        open_container(f, false, line);
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        if (f->depth) f->depth--;
        break;
    default:
        break;
    }
}

unsigned gw_yaml_line_of(struct gw_str text, unsigned doc_index, const char *path) {
    struct finder f = {.want = path};
    yaml_parser_t parser;
    unsigned doc = 0;
    bool more = true;
    if (text.len > GW_YAML_BYTES_MAX || !yaml_parser_initialize(&parser)) return 0;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    while (more) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) break;
        if (event.type == YAML_DOCUMENT_END_EVENT)
            doc++;
        else if (doc == doc_index)
            on_event(&f, &event);
        more = event.type != YAML_STREAM_END_EVENT && doc <= doc_index;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return f.best_line;
}
