// SPDX-License-Identifier: Apache-2.0
// Brings the store up to date with the folder. A file counts as a whole: where one of its manifests
// is bad, all its objects keep their last good form. An object belongs to one file: the one that
// has it keeps it, among new ones the first by path gets it, and the other file is refused.
#include "controller/source/dir_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void dir_file_free(void *arg) {
    struct dir_file *f = arg;
    dir_objects_fini(&f->objects);
    dir_objects_fini(&f->next);
    free(f->refusal);
    free(f->rel);
    free(f);
}

// --- telling -------------------------------------------------------------------------------------

static void tell_refused(struct ctl_dir *d, struct dir_file *f, enum dir_state state,
                         const char *text) {
    bool repeated = f->state != DIR_GOOD && f->refusal && strcmp(f->refusal, text) == 0;
    f->state = state;
    if (repeated) return;
    free(f->refusal);
    f->refusal = gw_strdup(text);
    struct ctl_source_event e = {.file = f->rel, .ok = false, .text = text};
    d->on_event(d->arg, &e);
}

static void tell_applied(struct ctl_dir *d, const struct dir_file *f) {
    char text[96];
    snprintf(text, sizeof(text), "%u added, %u changed, %u removed", f->added, f->changed,
             f->removed);
    struct ctl_source_event e = {.file = f->rel,
                                 .ok = true,
                                 .text = text,
                                 .added = f->added,
                                 .changed = f->changed,
                                 .removed = f->removed};
    d->on_event(d->arg, &e);
}

// --- reading what changed ------------------------------------------------------------------------

static bool same_stamp(const struct dir_stamp *a, const struct dir_stamp *b) {
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
           a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static void want(int64_t *again_ms, int64_t ms) {
    if (ms < 1) ms = 1;
    if (*again_ms < 0 || ms < *again_ms) *again_ms = ms;
}

// Whether somebody is in the middle of writing the file; then it is looked at again later.
static bool is_being_written(struct ctl_dir *d, const struct dir_entry *e, int64_t *again_ms) {
    const int64_t *until = gw_map_get(&d->writing, gw_str_of(e->real));
    if (!until) return false;
    int64_t now = gw_loop_now_ms(d->loop);
    if (*until <= now) {
        free(gw_map_del(&d->writing, gw_str_of(e->real)));
        return false;
    }
    want(again_ms, *until - now);
    return true;
}

// An empty file in place of one with objects is believed only after a while.
static bool is_just_emptied(struct ctl_dir *d, struct dir_file *f, struct gw_str text,
                            int64_t *again_ms) {
    if (text.len || f->objects.len == 0) {
        f->empty_since_ms = 0;
        return false;
    }
    int64_t now = gw_loop_now_ms(d->loop);
    if (!f->empty_since_ms) f->empty_since_ms = now ? now : 1;
    int64_t left = f->empty_since_ms + CTL_DIR_EMPTY_MS - now;
    if (left <= 0) return false;
    want(again_ms, left);
    return true;
}

static void load_text(struct ctl_dir *d, struct dir_file *f, const struct dir_entry *e,
                      struct gw_str text, int64_t *again_ms) {
    if (is_just_emptied(d, f, text, again_ms)) return;
    if (!text.ptr) text = GW_STR(""); // an empty file
    uint64_t hash = gw_hash(text.ptr, text.len, 0);
    bool same = f->hash == hash && f->stamp.ino && f->state != DIR_DUPLICATE;
    f->stamp = e->stamp;
    f->hash = hash;
    if (same) return;
    struct gw_err err;
    if (dir_parse(text, f->rel, &f->next, &err) != GW_OK) {
        tell_refused(d, f, DIR_REFUSED, err.text);
        return;
    }
    f->loaded = true;
    for (size_t i = 0; i < f->next.len; i++)
        f->next.ptr[i]->file = f;
}

static void load(struct ctl_dir *d, struct dir_file *f, const struct dir_entry *e,
                 int64_t *again_ms) {
    struct gw_err err;
    if (e->error) {
        gw_err_set(&err, GW_ERR_INPUT, 0, "%s: cannot be read: %s", f->rel, strerror(e->error));
        f->stamp = (struct dir_stamp){0};
        tell_refused(d, f, DIR_REFUSED, err.text);
        return;
    }
    bool touched = gw_map_get(&d->touched, gw_str_of(e->real)) != NULL;
    if (is_being_written(d, e, again_ms)) return;
    if (same_stamp(&f->stamp, &e->stamp) && !touched && f->state != DIR_DUPLICATE &&
        !f->empty_since_ms)
        return;
    struct gw_text text = {0};
    enum gw_rc rc = dir_read(e->path, f->rel, &text, &err);
    if (rc == GW_OK) {
        load_text(d, f, e, gw_text_str(&text), again_ms);
    } else if (rc == GW_AGAIN) {
        want(again_ms, CTL_DIR_SETTLE_MS);
    } else {
        f->stamp = e->stamp;
        f->hash = 0;
        tell_refused(d, f, DIR_REFUSED, err.text);
    }
    gw_text_fini(&text);
}

static struct dir_file *file_of(struct ctl_dir *d, const char *rel) {
    struct dir_file *f = gw_map_get(&d->files, gw_str_of(rel));
    if (!f) {
        f = gw_alloc(sizeof(*f));
        f->rel = gw_strdup(rel);
        gw_map_put(&d->files, gw_str_of(rel), f);
    }
    return f;
}

// --- whose an object is --------------------------------------------------------------------------

static void claim(struct gw_map *claims, struct dir_object *o) {
    gw_map_put(claims, gw_str_of(o->label), o);
}

static void claim_kept(struct ctl_dir *d, struct gw_map *claims, struct dir_file *f) {
    if (!f->seen) return;
    if (!f->loaded) {
        for (size_t i = 0; i < f->objects.len; i++)
            claim(claims, f->objects.ptr[i]);
        return;
    }
    for (size_t i = 0; i < f->next.len; i++) {
        const struct dir_object *owner = gw_map_get(&d->owners, gw_str_of(f->next.ptr[i]->label));
        if (owner && owner->file == f) claim(claims, f->next.ptr[i]);
    }
}

// Back to the file's last good form, but for objects that went to another file meanwhile.
static void revert(struct gw_map *claims, struct dir_file *f) {
    for (size_t i = 0; i < f->next.len; i++) {
        struct gw_str label = gw_str_of(f->next.ptr[i]->label);
        if (gw_map_get(claims, label) == f->next.ptr[i]) gw_map_del(claims, label);
    }
    dir_objects_fini(&f->next);
    f->loaded = false;
    struct dir_objects kept = {0}, lost = {0};
    for (size_t i = 0; i < f->objects.len; i++) {
        struct dir_object *o = f->objects.ptr[i];
        bool taken = gw_map_get(claims, gw_str_of(o->label)) != NULL;
        if (!taken) claim(claims, o);
        if (taken)
            GW_VEC_PUSH(&lost, o);
        else
            GW_VEC_PUSH(&kept, o);
    }
    // The old owners are still asked for what was removed, so lost ones live until the next sync.
    GW_VEC_FINI(&f->objects);
    f->objects = kept;
    f->next = lost;
}

static void claim_new(struct ctl_dir *d, struct gw_map *claims, struct dir_file *f) {
    if (!f->seen || !f->loaded) return;
    for (size_t i = 0; i < f->next.len; i++) {
        struct dir_object *o = f->next.ptr[i];
        const struct dir_object *other = gw_map_get(claims, gw_str_of(o->label));
        if (other == o) continue;
        if (!other) {
            claim(claims, o);
            continue;
        }
        struct gw_err err;
        gw_err_set(&err, GW_ERR_INPUT, 0, "%s: %s is already at %s", o->origin, o->label,
                   other->origin);
        revert(claims, f);
        tell_refused(d, f, DIR_DUPLICATE, err.text);
        return;
    }
}

// --- into the store ------------------------------------------------------------------------------

static void put_file(struct ctl_dir *d, struct dir_file *f) {
    for (size_t i = 0; i < f->next.len; i++) {
        struct dir_object *o = f->next.ptr[i];
        struct gw_str ns = gw_str_of(o->ns), name = gw_str_of(o->name);
        const struct ctl_object *old = ctl_store_get(d->store, o->kind, ns, name);
        const void *old_json = old ? old->json : NULL;
        ctl_store_put(d->store, o->kind, o->json, 0, gw_str_of(o->age), gw_str_of(o->origin));
        // Equal content keeps the old tree (store.c); a new age alone is no change to a person.
        if (!old)
            f->added++;
        else if (ctl_store_get(d->store, o->kind, ns, name)->json != old_json)
            f->changed++;
        json_decref(o->json);
        o->json = NULL;
    }
}

static void delete_unclaimed(struct ctl_dir *d, const struct gw_map *claims) {
    size_t it = 0;
    struct gw_str label;
    void *value;
    while (gw_map_next(&d->owners, &it, &label, &value)) {
        struct dir_object *o = value;
        if (gw_map_get(claims, label)) continue;
        if (ctl_store_del(d->store, o->kind, gw_str_of(o->ns), gw_str_of(o->name)))
            o->file->removed++;
    }
}

// Ends a file's part in this sync. Returns whether the store may have changed by it.
static bool finish_file(struct ctl_dir *d, struct dir_file *f) {
    bool moved = f->added || f->changed || f->removed;
    if (f->loaded) {
        dir_objects_fini(&f->objects);
        f->objects = f->next;
        f->next = (struct dir_objects){0};
        f->state = DIR_GOOD;
        tell_applied(d, f);
    } else {
        dir_objects_fini(&f->next);
        if (!f->seen && (f->removed || f->state == DIR_GOOD)) tell_applied(d, f);
    }
    f->added = f->changed = f->removed = 0;
    f->loaded = false;
    if (!f->seen) dir_file_free(gw_map_del(&d->files, gw_str_of(f->rel)));
    return moved;
}

static void settle_owners(struct ctl_dir *d, int64_t *again_ms) {
    struct gw_map claims = {0};
    size_t n = d->files.len;
    struct gw_str *paths = gw_map_sorted_keys(&d->files);
    struct dir_file **files = gw_alloc((n + 1) * sizeof(struct dir_file *));
    for (size_t i = 0; i < n; i++)
        files[i] = gw_map_get(&d->files, paths[i]);
    free(paths);
    for (size_t i = 0; i < n; i++)
        claim_kept(d, &claims, files[i]);
    for (size_t i = 0; i < n; i++)
        claim_new(d, &claims, files[i]);
    for (size_t i = 0; i < n; i++)
        if (files[i]->loaded) put_file(d, files[i]);
    delete_unclaimed(d, &claims);
    gw_map_fini(&d->owners, NULL);
    d->owners = claims;
    bool moved = false, duplicates = false;
    for (size_t i = 0; i < n; i++) {
        duplicates = duplicates || (files[i]->seen && files[i]->state == DIR_DUPLICATE);
        moved = finish_file(d, files[i]) || moved;
    }
    free(files);
    // What stood in a duplicate's way may just have gone.
    if (moved && duplicates) want(again_ms, 1);
}

int64_t dir_sync(struct ctl_dir *d) {
    int64_t again_ms = d->watch_failed ? CTL_DIR_POLL_MS : -1;
    struct dir_listing listing = {0};
    struct gw_err err;
    if (dir_walk(d, &listing, &err) != GW_OK) {
        // Nothing is removed because of a folder that cannot be read.
        struct ctl_source_event e = {.file = ".", .ok = false, .text = err.text};
        if (!d->walk_failed) d->on_event(d->arg, &e);
        d->walk_failed = true;
        dir_listing_fini(&listing);
        return CTL_DIR_POLL_MS;
    }
    d->walk_failed = false;
    size_t it = 0;
    void *value;
    struct gw_str key;
    while (gw_map_next(&d->files, &it, &key, &value))
        ((struct dir_file *)value)->seen = false;
    for (size_t i = 0; i < listing.len; i++)
        file_of(d, listing.ptr[i].rel)->seen = true;
    for (size_t i = 0; i < listing.len; i++)
        load(d, file_of(d, listing.ptr[i].rel), &listing.ptr[i], &again_ms);
    gw_map_fini(&d->touched, NULL);
    settle_owners(d, &again_ms);
    dir_listing_fini(&listing);
    return again_ms;
}
