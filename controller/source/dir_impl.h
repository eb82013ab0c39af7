// SPDX-License-Identifier: Apache-2.0
// What the files of the folder source share: dir.c (life, inotify, timers), dir_walk.c (which files
// there are), dir_read.c (a file's text to objects), dir_sync.c (which file an object belongs to,
// and into the store). Only for controller/source/.
#ifndef CTL_SOURCE_DIR_IMPL_H
#define CTL_SOURCE_DIR_IMPL_H

#include "controller/source/dir.h"
#include "shared/map.h"
#include "shared/vec.h"

#include <sys/stat.h>

// --- one file's objects --------------------------------------------------------------------------

struct dir_file;
struct dir_object {
    const struct ctl_res_kind *kind;
    struct dir_file *file;
    char *label; // "HTTPRoute default/web": names the object in messages and as a key
    char *ns, *name, *age, *origin;
    json_t *json; // NULL once the store has it
};
struct dir_objects {
    struct dir_object **ptr;
    size_t len, cap;
};
void dir_objects_fini(struct dir_objects *list);

// All objects of one file, checked and settled; all or nothing. rel names the file in messages and
// ages. The text of err begins with "rel:line: ".
enum gw_rc dir_parse(struct gw_str text, const char *rel, struct dir_objects *ret,
                     struct gw_err *err) GW_MUST_USE;
// GW_AGAIN: it changed while it was read.
enum gw_rc dir_read(const char *path, const char *rel, struct gw_text *ret, struct gw_err *err)
    GW_MUST_USE;

// --- which files there are -----------------------------------------------------------------------

// Tells a file that may have changed from one that has not.
struct dir_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};
struct dir_entry {
    char *rel, *path; // path: as opened
    char *real;       // the path of the file that is written to when this name is a link
    struct dir_stamp stamp;
    int error; // errno where the name leads nowhere
};
struct dir_listing {
    struct dir_entry *ptr; // sorted by rel
    size_t len, cap;
};
void dir_listing_fini(struct dir_listing *l);
// All files below d's folder, hidden names left out, each real file and folder once; watches
// every folder before it reads it.
enum gw_rc dir_walk(struct ctl_dir *d, struct dir_listing *ret, struct gw_err *err) GW_MUST_USE;
bool dir_is_manifest(const char *name); // by its ending; hidden names are none

// --- the source ----------------------------------------------------------------------------------

enum dir_state {
    DIR_GOOD,
    DIR_REFUSED,   // until its content changes
    DIR_DUPLICATE, // an object of it is in another file: tried again at each sync
};
struct dir_file {
    char *rel;
    struct dir_stamp stamp;
    uint64_t hash; // of the content that was read last
    enum dir_state state;
    char *refusal;              // the last message, so that none is repeated
    int64_t empty_since_ms;     // 0: not empty
    struct dir_objects objects; // in the store, from its last good form
    // For the length of one sync.
    bool seen, loaded;
    struct dir_objects next;
    unsigned added, changed, removed;
};

struct dir_watch {
    int wd;
    char *path;   // real path of the folder
    bool foreign; // not of the tree: holds the target of a link, or the folder itself
    bool seen;
};

struct ctl_dir {
    struct gw_loop *loop;
    struct ctl_store *store;
    char *root;
    void (*on_event)(void *arg, const struct ctl_source_event *e);
    void *arg;

    struct gw_io io; // inotify
    struct gw_timer timer;
    int64_t first_event_ms; // 0: nothing waits
    bool watch_failed, walk_failed;

    struct gw_map watches; // wd -> struct dir_watch
    struct gw_map touched; // real paths that an event named since the last sync -> d
    struct gw_map writing; // real paths -> int64_t, when to stop waiting for its writer
    struct gw_map files;   // rel -> struct dir_file
    struct gw_map owners;  // label -> struct dir_object of the file that it belongs to
};

void dir_watch_folder(struct ctl_dir *d, const char *path, bool foreign);
void dir_file_free(void *file);
// Reads what changed and brings the store up to date. Returns in how many milliseconds it wants to
// be called again without an event, -1: not at all.
int64_t dir_sync(struct ctl_dir *d);

#endif
