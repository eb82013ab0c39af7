// SPDX-License-Identifier: Apache-2.0
// A folder of YAML files as the source of objects: read at start, then followed with inotify
// (editors that rename, symlinked folders as Kubernetes mounts ConfigMaps: names are watched, not
// inodes). A bad file is reported with file:line and only its objects keep their last good form.
#ifndef CTL_SOURCE_DIR_H
#define CTL_SOURCE_DIR_H

#include "controller/source/event.h"
#include "controller/store/store.h"
#include "shared/loop.h"

#define CTL_DIR_FILES_MAX 10000
#define CTL_DIR_SETTLE_MS 100 // quiet time after the last event before files are read
// Never later than this after the first one: a folder may never be quiet.
#define CTL_DIR_SETTLE_MAX_MS 1000
// A file that was written to and is not closed yet is half a file; one that stays open so long
// after its last change is read all the same.
#define CTL_DIR_WRITING_MAX_MS 5000
// An emptied file is about to be filled again; after this time it is believed to be empty.
#define CTL_DIR_EMPTY_MS 3000
// When the folder cannot be read or watched, it is looked at this often.
#define CTL_DIR_POLL_MS 1000
#define CTL_DIR_DEPTH_MAX 32 // folders in folders

struct ctl_dir; // opaque
struct ctl_dir_opts {
    struct gw_loop *loop;
    struct ctl_store *store;
    const char *path;
    void (*on_event)(void *arg, const struct ctl_source_event *e);
    void *arg;
};
// Reads everything once before it returns; a folder that does not exist is an error, bad files are
// events.
struct ctl_dir *ctl_dir_new(const struct ctl_dir_opts *o, struct gw_err *err);
void ctl_dir_free(struct ctl_dir *d);

#endif
