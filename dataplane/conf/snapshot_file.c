// SPDX-License-Identifier: Apache-2.0
// The last good snapshot on disk: {"version": root, "resources": {name: {"version", "body"}}}. A
// file is used whole or not at all: every version is checked against its content.
#include "dataplane/conf/held.h"
#include "shared/ir_message.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// A resource is two levels down, and bodies are as deep as in a message.
#define DEPTH_MAX (GW_IR_MESSAGE_DEPTH_MAX + 4)

static enum gw_rc failed(struct gw_err *err, const char *what, const char *path) {
    return gw_err_set(err, GW_ERR_INTERNAL, 0, "%s '%s': %s", what, path, strerror(errno));
}

static void make_path(char *path, size_t cap, const char *dir, const char *suffix) {
    snprintf(path, cap, "%s/" DP_SNAPSHOT_FILE "%s", dir, suffix);
}

enum gw_rc dp_snapshot_folder(const char *dir, struct gw_err *err) {
    struct stat st;
    if (strlen(dir) > PATH_MAX - 64)
        return gw_err_set(err, GW_ERR_INPUT, 0, "the path of the state folder is too long");
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return failed(err, "cannot make state folder", dir);
    if (stat(dir, &st) < 0) return failed(err, "cannot use state folder", dir);
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return failed(err, "cannot use state folder", dir);
    }
    if (access(dir, W_OK | X_OK) < 0) return failed(err, "cannot write to state folder", dir);
    return GW_OK;
}

// --- reading ------------------------------------------------------------------------------------

static enum gw_rc read_file(const char *path, struct gw_text *out, struct gw_err *err) {
    FILE *f = fopen(path, "re");
    if (!f && errno == ENOENT) return GW_EOF;
    if (!f) return failed(err, "cannot open", path);
    char piece[64 * 1024];
    size_t n;
    out->cap_max = DP_SNAPSHOT_BYTES_MAX;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0 && !out->failed)
        gw_text_add(out, piece, n);
    bool is_broken = ferror(f) != 0;
    fclose(f);
    if (is_broken) return gw_err_set(err, GW_ERR_INTERNAL, 0, "cannot read '%s'", path);
    if (out->failed)
        return gw_err_set(err, GW_ERR_INPUT, 0, "is larger than %zu bytes", DP_SNAPSHOT_BYTES_MAX);
    return GW_OK;
}

static enum gw_rc read_resource(struct dp_held *h, const char *name, const json_t *one,
                                struct gw_err *err) {
    char version[GW_IR_VERSION_CHARS + 1];
    json_t *body = gw_json_get(one, "body");
    if (!body) return gw_err_set(err, GW_ERR_INPUT, 0, "resource '%.200s' has no body", name);
    gw_ir_version(body, version);
    if (!gw_str_eq(gw_json_str(one, "version"), gw_str_of(version)))
        return gw_err_set(err, GW_ERR_INPUT, 0, "the version of '%.200s' does not fit its body",
                          name);
    if (!dp_held_set(h, gw_str_of(name), version, body))
        return gw_err_set(err, GW_ERR_INPUT, 0, "more than %u resources", GW_IR_RESOURCES_MAX);
    return GW_OK;
}

static enum gw_rc read_snapshot(struct gw_str text, struct dp_held *h, struct gw_err *err) {
    char root[GW_IR_VERSION_CHARS + 1];
    GW_JSON_AUTO file = gw_json_load(text, DP_SNAPSHOT_BYTES_MAX, DEPTH_MAX, err);
    if (!file) return GW_ERR_INPUT;
    json_t *resources = gw_json_get(file, "resources"), *one;
    const char *name;
    if (!json_is_object(resources))
        return gw_err_set(err, GW_ERR_INPUT, 0, "has no member 'resources'");
    json_object_foreach(resources, name, one) GW_TRY(read_resource(h, name, one, err));
    dp_held_root_wanted(h, root);
    if (!gw_str_eq(gw_json_str(file, "version"), gw_str_of(root)))
        return gw_err_set(err, GW_ERR_INPUT, 0, "its version does not fit its resources");
    return GW_OK;
}

enum gw_rc dp_snapshot_read(const char *dir, struct dp_held *h, struct gw_err *err) {
    char path[PATH_MAX];
    struct gw_text text = {0};
    make_path(path, sizeof(path), dir, "");
    enum gw_rc rc = read_file(path, &text, err);
    if (rc == GW_OK) rc = read_snapshot(gw_text_str(&text), h, err);
    gw_text_fini(&text);
    if (rc != GW_OK) dp_held_fini(h);
    return rc;
}

void dp_snapshot_set_aside(const char *dir) {
    char from[PATH_MAX], to[PATH_MAX];
    make_path(from, sizeof(from), dir, "");
    make_path(to, sizeof(to), dir, ".bad");
    rename(from, to);
}

// --- writing ------------------------------------------------------------------------------------

static json_t *to_json(const struct dp_held *h) {
    char root[GW_IR_VERSION_CHARS + 1];
    json_t *resources = json_object();
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&h->entries, &it, &name, &value)) {
        const struct dp_held_entry *e = value;
        if (!e->good) continue;
        json_t *one = json_pack("{s:s, s:O}", "version", e->good_version, "body", e->good);
        json_object_setn_new(resources, name.ptr, name.len, one);
    }
    dp_held_root(h, root);
    return json_pack("{s:s, s:o}", "version", root, "resources", resources);
}

static bool write_json(int fd, const json_t *v) {
    FILE *f = fdopen(fd, "w");
    if (!f) {
        close(fd);
        return false;
    }
    bool is_written = json_dumpf(v, f, JSON_COMPACT) == 0 && fflush(f) == 0 && fsync(fd) == 0;
    return fclose(f) == 0 && is_written;
}

// The rename itself is durable only once the folder is.
static void sync_folder(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

enum gw_rc dp_snapshot_write(const char *dir, const struct dp_held *h, struct gw_err *err) {
    char path[PATH_MAX], part[PATH_MAX];
    make_path(path, sizeof(path), dir, "");
    make_path(part, sizeof(part), dir, ".part");
    // A left-over of a killed process may have any mode.
    if (unlink(part) < 0 && errno != ENOENT) return failed(err, "cannot remove", part);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return failed(err, "cannot make", part);
    GW_JSON_AUTO file = to_json(h);
    if (!write_json(fd, file) || rename(part, path) < 0) {
        enum gw_rc rc = failed(err, "cannot write", path);
        unlink(part);
        return rc;
    }
    sync_folder(dir);
    return GW_OK;
}
