// SPDX-License-Identifier: Apache-2.0
// See yaml.h. libyaml's events are put together without recursion; anchors are expanded as copies
// under one cap on nodes, so that a few lines cannot become gigabytes.
#include "shared/yaml.h"

#include "shared/vec.h"
#include "shared/yaml_scalar.h"

#include <stdlib.h>
#include <yaml.h>

#define KEY_CHARS_MAX 1024
#define ANCHORS_MAX 1000

struct frame {
    json_t *container; // owned until it is added to its parent
    json_t *merged;    // what "<<" brought, in order of precedence; NULL: nothing
    char *key;         // of the value that comes next; maps only
    bool is_merge;     // that key is "<<"
    char *anchor;
    size_t nodes_before;
};

struct anchor {
    char *name;
    json_t *value;
    size_t nodes; // with everything below it expanded
};

struct builder {
    const char *name;
    struct gw_err *err;
    GW_VEC(struct frame) frames;
    GW_VEC(struct anchor) anchors;
    GW_VEC(struct gw_yaml_doc) docs;
    json_t *root;
    size_t nodes;
    unsigned index, root_line;
};

static enum gw_rc fail(struct builder *b, size_t line, const char *fmt, ...) GW_PRINTF(3, 4);
static enum gw_rc fail(struct builder *b, size_t line, const char *fmt, ...) {
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return gw_err_set(b->err, GW_ERR_INPUT, 0, "%s:%zu: %s", b->name, line + 1, text);
}

static enum gw_rc count(struct builder *b, size_t n, size_t line) {
    b->nodes += n;
    if (b->nodes > GW_YAML_NODES_MAX)
        return fail(b, line, "more than %d values (aliases expanded)", GW_YAML_NODES_MAX);
    return GW_OK;
}

// --- putting a finished value in its place (takes v) --------------------------------------------

static enum gw_rc merge(struct builder *b, struct frame *f, json_t *v, size_t line) {
    GW_JSON_AUTO value = v;
    if (!f->merged) f->merged = json_object();
    if (json_is_object(value)) {
        json_object_update_missing(f->merged, value);
        return GW_OK;
    }
    if (!json_is_array(value)) return fail(b, line, "'<<' needs a mapping");
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *one = json_array_get(value, i);
        if (!json_is_object(one)) return fail(b, line, "'<<' needs mappings");
        json_object_update_missing(f->merged, one);
    }
    return GW_OK;
}

static enum gw_rc take_key(struct builder *b, struct frame *f, json_t *v, bool plain_merge,
                           size_t line) {
    GW_JSON_AUTO value = v;
    char key[KEY_CHARS_MAX];
    if (!gw_yaml_key(value, key, sizeof(key)))
        return fail(b, line, "a member's name must be text, a number or a boolean");
    f->is_merge = plain_merge;
    if (!plain_merge && json_object_get(f->container, key))
        return fail(b, line, "'%s' occurs twice", key);
    f->key = gw_strdup(key);
    return GW_OK;
}

static enum gw_rc add(struct builder *b, json_t *v, bool plain_merge, size_t line) {
    if (!b->frames.len) {
        b->root = v;
        b->root_line = (unsigned)line + 1;
        return GW_OK;
    }
    struct frame *f = &b->frames.ptr[b->frames.len - 1];
    if (json_is_array(f->container)) {
        json_array_append_new(f->container, v);
        return GW_OK;
    }
    if (!f->key) return take_key(b, f, v, plain_merge, line);
    enum gw_rc rc = GW_OK;
    if (f->is_merge)
        rc = merge(b, f, v, line);
    else
        json_object_set_new(f->container, f->key, v);
    free(f->key);
    f->key = NULL;
    return rc;
}

static enum gw_rc remember(struct builder *b, const char *name, const json_t *v, size_t nodes,
                           size_t line) {
    if (b->anchors.len >= ANCHORS_MAX) return fail(b, line, "more than %d anchors", ANCHORS_MAX);
    struct anchor a = {gw_strdup(name), json_deep_copy(v), nodes};
    GW_VEC_PUSH(&b->anchors, a);
    return GW_OK;
}

// --- events -------------------------------------------------------------------------------------

static enum gw_rc scalar_value(struct builder *b, const yaml_event_t *e, json_t **ret) {
    struct gw_str s = {(const char *)e->data.scalar.value, e->data.scalar.length};
    const char *tag = (const char *)e->data.scalar.tag;
    size_t line = e->start_mark.line;
    struct gw_err err = {0};
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (tag && strcmp(tag, "!") != 0) {
        if (strncmp(tag, "tag:yaml.org,2002:", 18) != 0)
            return fail(b, line, "the tag %s is not known", tag);
        const char *core = tag + 18;
        if (strcmp(core, "str") == 0)
            plain = false;
        else if (strcmp(core, "int") && strcmp(core, "bool") && strcmp(core, "float") &&
                 strcmp(core, "null"))
            return fail(b, line, "the tag !!%s is not supported", core);
        else
            plain = true;
    } else if (tag) {
        plain = false;
    }
    *ret = plain ? gw_yaml_plain(s, &err) : json_stringn(s.ptr, s.len);
    if (!*ret) return fail(b, line, "%s", err.text[0] ? err.text : "text is not UTF-8");
    return GW_OK;
}

static enum gw_rc on_scalar(struct builder *b, const yaml_event_t *e) {
    json_t *v;
    size_t line = e->start_mark.line;
    bool plain_merge = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !e->data.scalar.tag &&
                       e->data.scalar.length == 2 && memcmp(e->data.scalar.value, "<<", 2) == 0;
    GW_TRY(count(b, 1, line));
    GW_TRY(scalar_value(b, e, &v));
    if (e->data.scalar.anchor &&
        remember(b, (const char *)e->data.scalar.anchor, v, 1, line) != GW_OK) {
        json_decref(v);
        return GW_ERR_INPUT;
    }
    return add(b, v, plain_merge, line);
}

static enum gw_rc on_alias(struct builder *b, const yaml_event_t *e) {
    const char *name = (const char *)e->data.alias.anchor;
    size_t line = e->start_mark.line;
    for (size_t i = b->anchors.len; i-- > 0;) { // the newest of a name counts
        const struct anchor *a = &b->anchors.ptr[i];
        if (strcmp(a->name, name) != 0) continue;
        GW_TRY(count(b, a->nodes, line));
        return add(b, json_deep_copy(a->value), false, line);
    }
    return fail(b, line, "the anchor '%s' is not known", name);
}

static enum gw_rc on_open(struct builder *b, json_t *container, const char *anchor, size_t line) {
    struct frame f = {.container = container,
                      .anchor = anchor ? gw_strdup(anchor) : NULL,
                      .nodes_before = b->nodes};
    GW_VEC_PUSH(&b->frames, f);
    if (b->frames.len > GW_YAML_DEPTH_MAX)
        return fail(b, line, "nested more than %d deep", GW_YAML_DEPTH_MAX);
    if (b->frames.len > 1) {
        const struct frame *parent = &b->frames.ptr[b->frames.len - 2];
        if (json_is_object(parent->container) && !parent->key)
            return fail(b, line, "a member's name must be text, a number or a boolean");
    }
    return count(b, 1, line);
}

static enum gw_rc on_close(struct builder *b, size_t line) {
    struct frame f = GW_VEC_POP(&b->frames);
    enum gw_rc rc = GW_OK;
    if (f.merged) json_object_update_missing(f.container, f.merged);
    json_decref(f.merged);
    if (f.anchor) rc = remember(b, f.anchor, f.container, b->nodes - f.nodes_before, line);
    free(f.anchor);
    if (rc != GW_OK) {
        json_decref(f.container);
        return rc;
    }
    return add(b, f.container, false, line);
}

static enum gw_rc on_document_end(struct builder *b, size_t line) {
    json_t *root = b->root;
    b->root = NULL;
    unsigned index = b->index++;
    if (!root || json_is_null(root)) return GW_OK;
    if (b->docs.len >= GW_YAML_DOCS_MAX) {
        json_decref(root);
        return fail(b, line, "more than %d documents", GW_YAML_DOCS_MAX);
    }
    struct gw_yaml_doc doc = {root, b->root_line, index};
    GW_VEC_PUSH(&b->docs, doc);
    return GW_OK;
}

static void forget_anchors(struct builder *b) {
    for (size_t i = 0; i < b->anchors.len; i++) {
        free(b->anchors.ptr[i].name);
        json_decref(b->anchors.ptr[i].value);
    }
    b->anchors.len = 0;
}

static enum gw_rc on_event(struct builder *b, const yaml_event_t *e) {
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e);
    case YAML_ALIAS_EVENT:
        return on_alias(b, e);
    case YAML_MAPPING_START_EVENT:
        if (!b->frames.len) b->root_line = (unsigned)e->start_mark.line + 1;
        return on_open(b, json_object(), (const char *)e->data.mapping_start.anchor,
                       e->start_mark.line);
    case YAML_SEQUENCE_START_EVENT:
        if (!b->frames.len) b->root_line = (unsigned)e->start_mark.line + 1;
        return on_open(b, json_array(), (const char *)e->data.sequence_start.anchor,
                       e->start_mark.line);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: {
        unsigned line = b->root_line;
        GW_TRY(on_close(b, e->start_mark.line));
        b->root_line = line; // of the container's beginning, not of its end
        return GW_OK;
    }
    case YAML_DOCUMENT_END_EVENT:
        forget_anchors(b);
        return on_document_end(b, e->start_mark.line);
    default:
        return GW_OK;
    }
}

static enum gw_rc run(struct builder *b, yaml_parser_t *parser) {
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return fail(b, parser->problem_mark.line, "%s%s%s",
                        parser->problem ? parser->problem : "cannot be read as YAML",
                        parser->context ? ", " : "", parser->context ? parser->context : "");
        bool last = event.type == YAML_STREAM_END_EVENT;
        enum gw_rc rc = on_event(b, &event);
        yaml_event_delete(&event);
        if (rc != GW_OK || last) return rc;
    }
}

static void drop(struct builder *b) {
    for (size_t i = 0; i < b->frames.len; i++) {
        json_decref(b->frames.ptr[i].container);
        json_decref(b->frames.ptr[i].merged);
        free(b->frames.ptr[i].key);
        free(b->frames.ptr[i].anchor);
    }
    GW_VEC_FINI(&b->frames);
    forget_anchors(b);
    GW_VEC_FINI(&b->anchors);
    json_decref(b->root);
}

enum gw_rc gw_yaml_parse(struct gw_str text, const char *name, struct gw_yaml *ret,
                         struct gw_err *err) {
    struct builder b = {.name = name, .err = err};
    yaml_parser_t parser;
    if (text.len > GW_YAML_BYTES_MAX)
        return gw_err_set(err, GW_ERR_LIMIT, 0, "%s: is larger than %u bytes", name,
                          GW_YAML_BYTES_MAX);
    if (!yaml_parser_initialize(&parser)) abort();
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    enum gw_rc rc = run(&b, &parser);
    yaml_parser_delete(&parser);
    drop(&b);
    struct gw_yaml y = {b.docs.ptr, b.docs.len};
    if (rc == GW_OK)
        *ret = y;
    else
        gw_yaml_fini(&y);
    return rc;
}

void gw_yaml_fini(struct gw_yaml *y) {
    for (size_t i = 0; i < y->len; i++)
        json_decref(y->docs[i].root);
    free(y->docs);
    *y = (struct gw_yaml){0};
}
