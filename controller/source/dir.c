// SPDX-License-Identifier: Apache-2.0
// The folder source's life: inotify events gather until the folder is quiet, then one sync. Events
// only say that something happened and who is still writing; what is true is read from the folder.
#include "controller/source/dir_impl.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define EVENTS                                                                                     \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE |            \
     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
// Reads of the inotify descriptor in one turn; the rest waits for the next.
#define READS_PER_TURN 16

static struct gw_str wd_key(const int *wd) {
    return (struct gw_str){(const char *)wd, sizeof(*wd)};
}

static void watch_free(void *arg) {
    struct dir_watch *w = arg;
    free(w->path);
    free(w);
}

void dir_watch_folder(struct ctl_dir *d, const char *path, bool foreign) {
    int wd = inotify_add_watch(d->io.fd, path, EVENTS);
    if (wd < 0) {
        if (errno == ENOENT || errno == ENOTDIR) return; // the walk itself tells
        struct gw_err err;
        gw_err_set(&err, GW_ERR_LIMIT, 0, "%s: cannot be watched (%s): looked at every second",
                   path, strerror(errno));
        struct ctl_source_event e = {.file = ".", .ok = false, .text = err.text};
        if (!d->watch_failed) d->on_event(d->arg, &e);
        d->watch_failed = true;
        return;
    }
    struct dir_watch *w = gw_map_get(&d->watches, wd_key(&wd));
    if (!w) {
        w = gw_alloc(sizeof(*w));
        w->wd = wd;
        w->foreign = true;
        gw_map_put(&d->watches, wd_key(&wd), w);
    }
    free(w->path);
    w->path = gw_strdup(path);
    // A folder of the tree may hold a link's target too.
    w->foreign = foreign && (w->foreign || !w->seen);
    w->seen = true;
}

// The folder's own name may be a link that is turned: its parent is watched for that name.
static void watch_parent(struct ctl_dir *d) {
    char *copy = gw_strdup(d->root);
    char *parent = realpath(dirname(copy), NULL);
    if (parent) dir_watch_folder(d, parent, true);
    free(parent);
    free(copy);
}

// --- events --------------------------------------------------------------------------------------

static void arm(struct ctl_dir *d, int64_t delay_ms) {
    gw_timer_set(d->loop, &d->timer, delay_ms);
}

static void something_happened(struct ctl_dir *d) {
    int64_t now = gw_loop_now_ms(d->loop);
    if (!d->first_event_ms) d->first_event_ms = now;
    int64_t left = d->first_event_ms + CTL_DIR_SETTLE_MAX_MS - now;
    int64_t delay = left < CTL_DIR_SETTLE_MS ? left : CTL_DIR_SETTLE_MS;
    arm(d, delay > 0 ? delay : 0);
}

static void note_writer(struct ctl_dir *d, const char *path, uint32_t mask) {
    struct gw_str key = gw_str_of(path);
    gw_map_put(&d->touched, key, d);
    if (mask & IN_MODIFY) {
        int64_t *until = gw_alloc(sizeof(*until));
        *until = gw_loop_now_ms(d->loop) + CTL_DIR_WRITING_MAX_MS;
        free(gw_map_put(&d->writing, key, until));
    } else if (mask & (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) {
        free(gw_map_del(&d->writing, key));
    }
}

static bool is_root_name(const struct ctl_dir *d, const char *name) {
    char *copy = gw_strdup(d->root);
    bool yes = strcmp(basename(copy), name) == 0;
    free(copy);
    return yes;
}

static void on_inotify_event(struct ctl_dir *d, const struct inotify_event *e) {
    if (e->mask & IN_Q_OVERFLOW) {
        something_happened(d);
        return;
    }
    struct dir_watch *w = gw_map_get(&d->watches, wd_key(&e->wd));
    if (!w) return;
    if (e->mask & IN_IGNORED) {
        gw_map_del(&d->watches, wd_key(&e->wd));
        watch_free(w);
        something_happened(d);
        return;
    }
    const char *name = e->len ? e->name : "";
    bool manifest = dir_is_manifest(name);
    bool content = e->mask & (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB);
    if (*name && !manifest && (content || (w->foreign && !is_root_name(d, name)))) return;
    if (manifest) {
        struct gw_text path = {0};
        gw_text_addf(&path, "%s/%s", w->path, name);
        note_writer(d, path.ptr, e->mask);
        gw_text_fini(&path);
    }
    something_happened(d);
}

static void on_readable(struct gw_io *io, uint32_t epoll_events) {
    (void)epoll_events;
    struct ctl_dir *d = GW_CONTAINER_OF(io, struct ctl_dir, io);
    // Aligned as the kernel's records are.
    char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = read(io->fd, buf, sizeof(buf));
        if (n <= 0) return;
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(buf + at);
            on_inotify_event(d, e);
            at += (ssize_t)(sizeof(*e) + e->len);
        }
    }
}

// --- syncing -------------------------------------------------------------------------------------

static void drop_old_watches(struct ctl_dir *d) {
    size_t it = 0;
    struct gw_str key;
    void *value;
    while (gw_map_next(&d->watches, &it, &key, &value)) {
        struct dir_watch *w = value;
        if (w->seen) continue;
        inotify_rm_watch(d->io.fd, w->wd);
        gw_map_del(&d->watches, key);
        watch_free(w);
    }
}

static void sync_now(struct ctl_dir *d) {
    d->first_event_ms = 0;
    d->watch_failed = false;
    size_t it = 0;
    struct gw_str key;
    void *value;
    while (gw_map_next(&d->watches, &it, &key, &value))
        ((struct dir_watch *)value)->seen = false;
    watch_parent(d);
    int64_t again_ms = dir_sync(d);
    if (!d->walk_failed) drop_old_watches(d);
    if (again_ms >= 0) arm(d, again_ms);
}

static void on_timer(struct gw_timer *t) {
    sync_now(GW_CONTAINER_OF(t, struct ctl_dir, timer));
}

static void no_event(void *arg, const struct ctl_source_event *e) {
    (void)arg;
    (void)e;
}

// "/a/b/" and "/a/b" are the same folder, and only the second has a name.
static char *without_slashes(const char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return gw_strndup(path, n);
}

struct ctl_dir *ctl_dir_new(const struct ctl_dir_opts *o, struct gw_err *err) {
    struct stat st;
    if (stat(o->path, &st) != 0) {
        gw_err_set(err, GW_ERR_INPUT, 0, "folder '%s': %s", o->path, strerror(errno));
        return NULL;
    }
    if (!S_ISDIR(st.st_mode)) {
        gw_err_set(err, GW_ERR_INPUT, 0, "'%s' is not a folder", o->path);
        return NULL;
    }
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "inotify: %s", strerror(errno));
        return NULL;
    }
    struct ctl_dir *d = gw_alloc(sizeof(*d));
    d->loop = o->loop;
    d->store = o->store;
    d->root = without_slashes(o->path);
    d->on_event = o->on_event ? o->on_event : no_event;
    d->arg = o->arg;
    gw_timer_init(&d->timer, on_timer);
    d->io.fd = -1;
    if (gw_io_add(d->loop, &d->io, fd, EPOLLIN, on_readable, err) != GW_OK) {
        close(fd);
        ctl_dir_free(d);
        return NULL;
    }
    sync_now(d);
    return d;
}

void ctl_dir_free(struct ctl_dir *d) {
    if (!d) return;
    gw_timer_cancel(d->loop, &d->timer);
    int fd = d->io.fd;
    if (fd >= 0) {
        gw_io_del(d->loop, &d->io);
        close(fd);
    }
    gw_map_fini(&d->owners, NULL);
    gw_map_fini(&d->files, dir_file_free);
    gw_map_fini(&d->touched, NULL);
    gw_map_fini(&d->writing, free);
    gw_map_fini(&d->watches, watch_free);
    free(d->root);
    free(d);
}
