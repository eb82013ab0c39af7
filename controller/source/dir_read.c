// SPDX-License-Identifier: Apache-2.0
// One file's text to checked objects. Every message says file:line; the line is found by parsing
// the text once more, so that good files pay nothing for it.
#include "controller/source/dir_impl.h"
#include "shared/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void object_free(struct dir_object *o) {
    free(o->label);
    free(o->ns);
    free(o->name);
    free(o->age);
    free(o->origin);
    json_decref(o->json);
    free(o);
}

void dir_objects_fini(struct dir_objects *list) {
    for (size_t i = 0; i < list->len; i++)
        object_free(list->ptr[i]);
    GW_VEC_FINI(list);
}

// --- reading -------------------------------------------------------------------------------------

static enum gw_rc read_all(int fd, const char *rel, struct gw_text *ret, struct gw_err *err) {
    char chunk[65536];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            return gw_err_set(err, GW_ERR_INPUT, 0, "%s: cannot be read: %s", rel, strerror(errno));
        if (n == 0) return GW_OK;
        if (ret->len + (size_t)n > GW_YAML_BYTES_MAX)
            return gw_err_set(err, GW_ERR_LIMIT, 0, "%s: is larger than %u MiB", rel,
                              GW_YAML_BYTES_MAX >> 20);
        gw_text_add(ret, chunk, (size_t)n);
    }
}

enum gw_rc dir_read(const char *path, const char *rel, struct gw_text *ret, struct gw_err *err) {
    // Not blocking: the name may lead to a FIFO by now.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return gw_err_set(err, GW_ERR_INPUT, 0, "%s: cannot be read: %s", rel, strerror(errno));
    struct stat before, after;
    enum gw_rc rc;
    if (fstat(fd, &before) != 0 || !S_ISREG(before.st_mode))
        rc = gw_err_set(err, GW_ERR_INPUT, 0, "%s: is not a regular file", rel);
    else
        rc = read_all(fd, rel, ret, err);
    if (rc == GW_OK && (fstat(fd, &after) != 0 || (size_t)after.st_size != ret->len ||
                        after.st_mtim.tv_sec != before.st_mtim.tv_sec ||
                        after.st_mtim.tv_nsec != before.st_mtim.tv_nsec))
        rc = GW_AGAIN;
    close(fd);
    return rc;
}

// --- parsing -------------------------------------------------------------------------------------

// Where one manifest stands.
struct place {
    struct gw_str text;
    const char *rel;
    const struct gw_yaml_doc *doc;
    char prefix[32]; // "" or "items[3]."
    char age_item[24];
};

// "rel:line: " before what err says; the line is that of a member of the manifest.
static enum gw_rc at_line(const struct place *p, const char *member, struct gw_err *err) {
    char path[320];
    snprintf(path, sizeof(path), "%s%s", p->prefix, member);
    size_t n = strlen(path);
    if (n && path[n - 1] == '.') path[n - 1] = 0;
    unsigned line = *path ? gw_yaml_line_of(p->text, p->doc->index, path) : p->doc->line;
    gw_err_wrap(err, "%s:%u", p->rel, line ? line : p->doc->line);
    return GW_ERR_INPUT;
}

static char *printed(const char *fmt, ...) GW_PRINTF(1, 2);
static char *printed(const char *fmt, ...) {
    va_list ap;
    char *s = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    GW_ASSERT(n >= 0);
    return s;
}

static char *label_of(const struct ctl_res_kind *kind, const char *ns, const char *name) {
    return kind->namespaced ? printed("%s %s/%s", kind->name, ns, name)
                            : printed("%s %s", kind->name, name);
}

static enum gw_rc find_kind(const struct place *p, const json_t *manifest,
                            const struct ctl_res_kind **ret, struct gw_err *err) {
    if (!json_is_object(manifest)) {
        gw_err_set(err, GW_ERR_INPUT, 0, "a manifest must be a map of members such as kind");
        return at_line(p, "", err);
    }
    static const char *const members[] = {"apiVersion", "kind"};
    for (size_t i = 0; i < GW_ARRAY_LEN(members); i++) {
        if (gw_json_str(manifest, members[i]).len) continue;
        bool there = json_object_get(manifest, members[i]) != NULL;
        gw_err_set(err, GW_ERR_INPUT, 0, "%s %s", members[i],
                   there ? "must be text" : "is missing");
        return at_line(p, there ? members[i] : "", err);
    }
    *ret = ctl_res_find(gw_json_str(manifest, "apiVersion"), gw_json_str(manifest, "kind"), err);
    return *ret ? GW_OK : at_line(p, "kind", err);
}

// What a manifest is called in a message, as far as it says: "HTTPRoute default/web".
static char *label_for_message(const struct ctl_res_kind *kind, const json_t *manifest) {
    struct gw_str name = gw_json_str(gw_json_get(manifest, "metadata"), "name");
    struct gw_str ns = gw_json_str(gw_json_get(manifest, "metadata"), "namespace");
    if (!name.len || name.len > 253 || ns.len > 63) return gw_strdup(kind->name);
    char ns_text[64] = "default", name_text[254] = "";
    if (ns.len) snprintf(ns_text, sizeof(ns_text), GW_STR_FMT, GW_STR_ARG(ns));
    snprintf(name_text, sizeof(name_text), GW_STR_FMT, GW_STR_ARG(name));
    return label_of(kind, ns_text, name_text);
}

static enum gw_rc add_manifest(const struct place *p, json_t *manifest, struct dir_objects *out,
                               struct gw_err *err) {
    const struct ctl_res_kind *kind;
    GW_TRY(find_kind(p, manifest, &kind, err));
    struct gw_schema_problem problem = {0};
    if (ctl_res_check(kind, manifest, &problem) != GW_OK) {
        char *label = label_for_message(kind, manifest);
        *err = problem.err;
        gw_err_wrap(err, "%s", label);
        free(label);
        return at_line(p, problem.path, err);
    }
    ctl_res_settle(kind, manifest);
    const json_t *meta = gw_json_get(manifest, "metadata");
    struct gw_str ns = gw_json_str(meta, "namespace"), name = gw_json_str(meta, "name");
    struct dir_object *o = gw_alloc(sizeof(*o));
    o->kind = kind;
    o->ns = kind->namespaced ? gw_strndup(ns.ptr, ns.len) : gw_strdup("");
    o->name = gw_strndup(name.ptr, name.len);
    o->label = label_of(kind, o->ns, o->name);
    o->age = printed("%s %07u%s", p->rel, p->doc->index, p->age_item);
    o->origin = printed("%s:%u", p->rel, p->doc->line);
    o->json = json_incref(manifest);
    GW_VEC_PUSH(out, o);
    return GW_OK;
}

static enum gw_rc add_list(struct place *p, json_t *list, struct dir_objects *out,
                           struct gw_err *err) {
    json_t *items = json_object_get(list, "items");
    if (items && !json_is_array(items) && !json_is_null(items)) {
        gw_err_set(err, GW_ERR_INPUT, 0, "items must be a list");
        return at_line(p, "items", err);
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        snprintf(p->prefix, sizeof(p->prefix), "items[%zu].", i);
        snprintf(p->age_item, sizeof(p->age_item), ".%07zu", i);
        GW_TRY(add_manifest(p, json_array_get(items, i), out, err));
    }
    return GW_OK;
}

static enum gw_rc add_doc(struct place *p, struct dir_objects *out, struct gw_err *err) {
    json_t *root = p->doc->root;
    if (gw_str_eq(gw_json_str(root, "kind"), GW_STR("List")) &&
        gw_str_eq(gw_json_str(root, "apiVersion"), GW_STR("v1")))
        return add_list(p, root, out, err);
    return add_manifest(p, root, out, err);
}

// The second of two equal names in the file is refused.
static enum gw_rc check_unique(const struct dir_objects *list, struct gw_err *err) {
    struct gw_map seen = {0};
    enum gw_rc rc = GW_OK;
    for (size_t i = 0; i < list->len && rc == GW_OK; i++) {
        struct dir_object *o = list->ptr[i];
        struct dir_object *first = gw_map_put(&seen, gw_str_of(o->label), o);
        if (first)
            rc = gw_err_set(err, GW_ERR_INPUT, 0, "%s: %s is already at %s", o->origin, o->label,
                            first->origin);
    }
    gw_map_fini(&seen, NULL);
    return rc;
}

enum gw_rc dir_parse(struct gw_str text, const char *rel, struct dir_objects *ret,
                     struct gw_err *err) {
    struct gw_yaml yaml = {0};
    GW_TRY(gw_yaml_parse(text, rel, &yaml, err));
    struct dir_objects list = {0};
    enum gw_rc rc = GW_OK;
    for (size_t i = 0; i < yaml.len && rc == GW_OK; i++) {
        struct place p = {.text = text, .rel = rel, .doc = &yaml.docs[i]};
        rc = add_doc(&p, &list, err);
    }
    if (rc == GW_OK) rc = check_unique(&list, err);
    gw_yaml_fini(&yaml);
    if (rc == GW_OK)
        *ret = list;
    else
        dir_objects_fini(&list);
    return rc;
}
