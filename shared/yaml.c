// SPDX-License-Identifier: Apache-2.0
// See yaml.h. libyaml's events are put together without recursion; anchors are expanded as copies
// under one cap on nodes, so that a few lines cannot become gigabytes.
#include "shared/yaml.h"

#include "shared/map.h"
#include "shared/vec.h"
#include "shared/yaml_scalar.h"

#include <stdlib.h>
#include <yaml.h>

#define KEY_CHARS_MAX 1024

struct frame {
    json_t *container;     // owned until it is added to its parent
    json_t *merged;        // what "<<" brought, in order of precedence; NULL: nothing
    char *key;             // of the value that comes next; maps only
    bool is_merge;         // that key is "<<"
    bool has_merge;        // "<<" was there
    struct anchor *anchor; // NULL: none
    size_t nodes_before;
    unsigned height; // containers below this one, one inside the other
};

struct anchor {
    json_t *value;         // NULL while its container is open: it cannot contain itself
    size_t nodes;          // with everything below it expanded
    unsigned height;       // containers in it, one inside the other
    struct anchor *hidden; // an earlier one of this name; its container may still be open
};

struct builder {
    const char *name;
    struct gw_err *err;
    struct {
        struct frame ptr[GW_YAML_DEPTH_MAX];
        size_t len;
    } frames;
    struct gw_map anchors; // of this document, by name
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
    if (plain_merge ? f->has_merge : json_object_get(f->container, key) != NULL)
        return fail(b, line, "'%s' occurs twice", key);
    f->has_merge = f->has_merge || plain_merge;
    f->key = gw_strdup(key);
    return GW_OK;
}

// height: containers in v, one inside the other.
static enum gw_rc add(struct builder *b, json_t *v, unsigned height, bool plain_merge,
                      size_t line) {
    if (!b->frames.len) {
        b->root = v;
        b->root_line = (unsigned)line + 1;
        return GW_OK;
    }
    struct frame *f = &b->frames.ptr[b->frames.len - 1];
    if (height > f->height) f->height = height;
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

// The newest of a name counts. The name may be used from now on, the value once it is whole.
static struct anchor *new_anchor(struct builder *b, const unsigned char *name) {
    if (!name) return NULL;
    struct anchor *a = gw_alloc(sizeof(*a));
    a->hidden = gw_map_put(&b->anchors, gw_str_of((const char *)name), a);
    return a;
}

static void fill_anchor(struct anchor *a, json_t *v, size_t nodes, unsigned height) {
    if (!a) return;
    a->value = json_incref(v);
    a->nodes = nodes;
    a->height = height;
}

// --- events -------------------------------------------------------------------------------------

#define TAG_PREFIX "tag:yaml.org,2002:"

// The name of a core tag ("str", "map", ...), NULL where there is no tag; "!" alone means text, or
// nothing at a container.
static enum gw_rc core_tag(struct builder *b, const unsigned char *tag, const char *otherwise,
                           const char *const *known, size_t line, const char **ret) {
    const char *t = (const char *)tag;
    *ret = NULL;
    if (!t) return GW_OK;
    if (strcmp(t, "!") == 0) {
        *ret = otherwise;
        return GW_OK;
    }
    if (!gw_str_starts(gw_str_of(t), GW_STR(TAG_PREFIX)))
        return fail(b, line, "the tag %s is not known", t);
    for (const char *const *k = known; *k && !*ret; k++)
        if (strcmp(*k, t + sizeof(TAG_PREFIX) - 1) == 0) *ret = *k;
    if (!*ret)
        return fail(b, line, "the tag !!%s is not supported here", t + sizeof(TAG_PREFIX) - 1);
    return GW_OK;
}

static enum gw_rc scalar_value(struct builder *b, const yaml_event_t *e, json_t **ret) {
    static const char *const known[] = {"str", "int", "bool", "float", "null", NULL};
    struct gw_str s = {(const char *)e->data.scalar.value, e->data.scalar.length};
    size_t line = e->start_mark.line;
    struct gw_err err = {0};
    const char *tag;
    GW_TRY(core_tag(b, e->data.scalar.tag, "str", known, line, &tag));
    if (!tag && e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) tag = "str";
    *ret = !tag                      ? gw_yaml_plain(s, &err)
           : strcmp(tag, "str") == 0 ? json_stringn(s.ptr, s.len)
                                     : gw_yaml_tagged(s, tag, &err);
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
    fill_anchor(new_anchor(b, e->data.scalar.anchor), v, 1, 0);
    return add(b, v, 0, plain_merge, line);
}

static enum gw_rc on_alias(struct builder *b, const yaml_event_t *e) {
    const char *name = (const char *)e->data.alias.anchor;
    size_t line = e->start_mark.line;
    const struct anchor *a = gw_map_get(&b->anchors, gw_str_of(name));
    if (!a) return fail(b, line, "the anchor '%s' is not known", name);
    if (!a->value) return fail(b, line, "the anchor '%s' contains itself", name);
    if (b->frames.len + a->height > GW_YAML_DEPTH_MAX)
        return fail(b, line, "nested more than %d deep", GW_YAML_DEPTH_MAX);
    GW_TRY(count(b, a->nodes, line));
    return add(b, json_deep_copy(a->value), a->height, false, line);
}

static enum gw_rc on_open(struct builder *b, const yaml_event_t *e) {
    static const char *const map_tags[] = {"map", NULL}, *const list_tags[] = {"seq", NULL};
    bool is_map = e->type == YAML_MAPPING_START_EVENT;
    size_t line = e->start_mark.line;
    const char *tag;
    if (!b->frames.len) b->root_line = (unsigned)line + 1;
    GW_TRY(core_tag(b, is_map ? e->data.mapping_start.tag : e->data.sequence_start.tag, NULL,
                    is_map ? map_tags : list_tags, line, &tag));
    if (b->frames.len >= GW_YAML_DEPTH_MAX)
        return fail(b, line, "nested more than %d deep", GW_YAML_DEPTH_MAX);
    const struct frame *parent = b->frames.len ? &b->frames.ptr[b->frames.len - 1] : NULL;
    if (parent && json_is_object(parent->container) && !parent->key)
        return fail(b, line, "a member's name must be text, a number or a boolean");
    struct frame f = {
        .container = is_map ? json_object() : json_array(),
        .anchor =
            new_anchor(b, is_map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor),
        .nodes_before = b->nodes,
    };
    b->frames.ptr[b->frames.len++] = f;
    return count(b, 1, line);
}

static enum gw_rc on_close(struct builder *b, size_t line) {
    GW_ASSERT(b->frames.len > 0);
    struct frame f = b->frames.ptr[--b->frames.len];
    if (f.merged) json_object_update_missing(f.container, f.merged);
    json_decref(f.merged);
    fill_anchor(f.anchor, f.container, b->nodes - f.nodes_before, f.height + 1);
    return add(b, f.container, f.height + 1, false, line);
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

static void free_anchor(void *anchor) {
    for (struct anchor *a = anchor, *next; a; a = next) {
        next = a->hidden;
        json_decref(a->value);
        free(a);
    }
}

static void forget_anchors(struct builder *b) {
    gw_map_fini(&b->anchors, free_anchor);
    b->anchors = (struct gw_map){0};
}

static enum gw_rc on_event(struct builder *b, const yaml_event_t *e) {
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e);
    case YAML_ALIAS_EVENT:
        return on_alias(b, e);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, e);
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

// Where the parser gave up. The reader, which checks characters, tells a byte instead of a line.
static size_t problem_line(const yaml_parser_t *parser, struct gw_str text) {
    if (parser->error != YAML_READER_ERROR) return parser->problem_mark.line;
    size_t line = 0;
    for (size_t i = 0; i < text.len && i < parser->problem_offset; i++)
        line += text.ptr[i] == '\n';
    return line;
}

static enum gw_rc run(struct builder *b, yaml_parser_t *parser, struct gw_str text) {
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return fail(b, problem_line(parser, text), "%s%s%s",
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
    }
    forget_anchors(b);
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
    enum gw_rc rc = run(&b, &parser, text);
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
