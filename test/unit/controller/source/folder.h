// SPDX-License-Identifier: Apache-2.0
// A folder of its own for each test, followed by the folder source, and what came of it.
#ifndef TEST_SOURCE_FOLDER_H
#define TEST_SOURCE_FOLDER_H

#include "controller/source/dir.h"
#include "shared/vec.h"

struct folder_event {
    char *file, *text;
    bool ok;
};
struct folder {
    char path[64];
    struct gw_loop *loop;
    struct ctl_store *store;
    struct ctl_dir *dir;
    GW_VEC(struct folder_event) events;
    size_t seen; // events that were looked at
};

void folder_init(struct folder *f);   // makes the folder only
void folder_follow(struct folder *f); // starts the source
void folder_fini(struct folder *f);   // removes the folder

// Whole files, names relative to the folder; parents must exist.
void folder_write(struct folder *f, const char *name, const char *text);
void folder_mkdir(struct folder *f, const char *name);
void folder_link(struct folder *f, const char *target, const char *name);
void folder_rename(struct folder *f, const char *from, const char *to);
void folder_remove(struct folder *f, const char *name); // file, link or whole folder
// "path of the folder/name" in a static buffer.
const char *folder_path(struct folder *f, const char *name);

// Turns the loop until there is a further event and checks its text; fails after 5 s.
void folder_expect(struct folder *f, const char *file, const char *text);
// Turns the loop for a while and checks that nothing is told.
void folder_expect_quiet(struct folder *f, int ms);
// The hostname of the route "ns/name" ("-": none), "" where there is no such route; static.
const char *folder_route(struct folder *f, const char *ns, const char *name);

// A manifest of an HTTPRoute with one hostname, in a static buffer.
const char *route_yaml(const char *name, const char *hostname);

#endif
