// SPDX-License-Identifier: Apache-2.0
// Which manifests there are below the folder. Names beginning with "." are left out, which is also
// what makes a mounted ConfigMap right: its files are links into "..data", and the hidden folders
// behind them are not read a second time.
#include "controller/source/dir_impl.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void dir_listing_fini(struct dir_listing *l) {
    for (size_t i = 0; i < l->len; i++) {
        free(l->ptr[i].rel);
        free(l->ptr[i].path);
        free(l->ptr[i].real);
    }
    GW_VEC_FINI(l);
}

bool dir_is_manifest(const char *name) {
    struct gw_str s = gw_str_of(name);
    return s.len && s.ptr[0] != '.' &&
           (gw_str_ends(s, GW_STR(".yaml")) || gw_str_ends(s, GW_STR(".yml")) ||
            gw_str_ends(s, GW_STR(".json")));
}

struct walk {
    struct ctl_dir *d;
    struct dir_listing *out;
    // Files and folders by device and inode: a second name of one is not read again, and a link
    // that leads upwards ends here.
    struct gw_map seen;
    struct gw_err *err;
};

static bool seen_before(struct walk *w, const struct stat *st) {
    struct {
        dev_t dev;
        ino_t ino;
    } id;
    memset(&id, 0, sizeof(id));
    id.dev = st->st_dev;
    id.ino = st->st_ino;
    return gw_map_put(&w->seen, (struct gw_str){(const char *)&id, sizeof(id)}, w) != NULL;
}

static char *joined(const char *a, const char *b) {
    size_t n = strlen(a) + strlen(b) + 2;
    char *s = gw_alloc(n);
    snprintf(s, n, "%s%s%s", a, *a ? "/" : "", b);
    return s;
}

// The target of a link may be edited where it stands: its folder is watched too.
static char *real_of(struct walk *w, const char *path, const char *real_dir, const char *name,
                     bool is_link) {
    if (!is_link) return joined(real_dir, name);
    char *real = realpath(path, NULL);
    if (!real) return joined(real_dir, name);
    char *slash = strrchr(real, '/');
    if (slash && slash != real) {
        *slash = 0;
        dir_watch_folder(w->d, real, true);
        *slash = '/';
    }
    return real;
}

static void add_file(struct walk *w, const char *rel, const char *path, char *real,
                     const struct stat *st, int error) {
    struct dir_entry e = {
        .rel = gw_strdup(rel), .path = gw_strdup(path), .real = real, .error = error};
    if (st)
        e.stamp = (struct dir_stamp){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
    GW_VEC_PUSH(w->out, e);
}

static enum gw_rc walk_folder(struct walk *w, const char *rel, const char *path, unsigned depth);

static enum gw_rc walk_name(struct walk *w, const char *rel, const char *path, const char *real_dir,
                            const char *name, unsigned depth) {
    struct stat st, link;
    if (lstat(path, &link) != 0) return GW_OK; // gone since the folder was read
    bool is_link = S_ISLNK(link.st_mode);
    if (stat(path, &st) != 0) {
        // A link that leads nowhere, for a moment or by mistake: not the same as no file.
        if (dir_is_manifest(name)) add_file(w, rel, path, joined(real_dir, name), NULL, errno);
        return GW_OK;
    }
    if (S_ISDIR(st.st_mode))
        return seen_before(w, &st) ? GW_OK : walk_folder(w, rel, path, depth + 1);
    if (!S_ISREG(st.st_mode) || !dir_is_manifest(name) || seen_before(w, &st)) return GW_OK;
    if (w->out->len >= CTL_DIR_FILES_MAX)
        return gw_err_set(w->err, GW_ERR_LIMIT, 0, "%s: holds more than %d files", w->d->root,
                          CTL_DIR_FILES_MAX);
    add_file(w, rel, path, real_of(w, path, real_dir, name, is_link), &st, 0);
    return GW_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *e) {
    return e->d_name[0] != '.';
}

static enum gw_rc walk_folder(struct walk *w, const char *rel, const char *path, unsigned depth) {
    if (depth > CTL_DIR_DEPTH_MAX)
        return gw_err_set(w->err, GW_ERR_LIMIT, 0, "%s: folders are more than %d deep", path,
                          CTL_DIR_DEPTH_MAX);
    char *real = realpath(path, NULL);
    // Watched before it is read: what changes in between is an event.
    if (real) dir_watch_folder(w->d, real, false);
    struct dirent **names = NULL;
    int n = real ? scandir(path, &names, is_visible, by_name) : -1;
    if (n < 0) {
        enum gw_rc rc =
            gw_err_set(w->err, GW_ERR_INPUT, 0, "%s: cannot be read: %s", path, strerror(errno));
        free(real);
        return rc;
    }
    enum gw_rc rc = GW_OK;
    for (int i = 0; i < n; i++) {
        if (rc == GW_OK) {
            char *child = joined(path, names[i]->d_name),
                 *child_rel = joined(rel, names[i]->d_name);
            rc = walk_name(w, child_rel, child, real, names[i]->d_name, depth);
            free(child);
            free(child_rel);
        }
        free(names[i]);
    }
    free(names);
    free(real);
    return rc;
}

static int by_rel(const void *a, const void *b) {
    return strcmp(((const struct dir_entry *)a)->rel, ((const struct dir_entry *)b)->rel);
}

enum gw_rc dir_walk(struct ctl_dir *d, struct dir_listing *ret, struct gw_err *err) {
    struct walk w = {.d = d, .out = ret, .err = err};
    struct stat st;
    if (stat(d->root, &st) == 0) seen_before(&w, &st);
    enum gw_rc rc = walk_folder(&w, "", d->root, 0);
    gw_map_fini(&w.seen, NULL);
    if (ret->len) qsort(ret->ptr, ret->len, sizeof(*ret->ptr), by_rel);
    return rc;
}
