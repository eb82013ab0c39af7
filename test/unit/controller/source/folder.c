// SPDX-License-Identifier: Apache-2.0
#include "test/unit/controller/source/folder.h"

#include <CUnit/CUnit.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_event(void *arg, const struct ctl_source_event *e) {
    struct folder *f = arg;
    struct folder_event copy = {gw_strdup(e->file), gw_strdup(e->text), e->ok};
    GW_VEC_PUSH(&f->events, copy);
}

void folder_init(struct folder *f) {
    memset(f, 0, sizeof(*f));
    snprintf(f->path, sizeof(f->path), "/tmp/tandem-dir-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->path));
    struct gw_err err;
    f->loop = gw_loop_new(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f->loop);
    f->store = ctl_store_new();
}

void folder_follow(struct folder *f) {
    struct gw_err err = {0};
    f->dir = ctl_dir_new(
        &(struct ctl_dir_opts){
            .loop = f->loop, .store = f->store, .path = f->path, .on_event = on_event, .arg = f},
        &err);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f->dir);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void folder_fini(struct folder *f) {
    ctl_dir_free(f->dir);
    ctl_store_free(f->store);
    gw_loop_free(f->loop);
    for (size_t i = 0; i < f->events.len; i++) {
        free(f->events.ptr[i].file);
        free(f->events.ptr[i].text);
    }
    GW_VEC_FINI(&f->events);
    nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *folder_path(struct folder *f, const char *name) {
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    return path;
}

void folder_write(struct folder *f, const char *name, const char *text) {
    FILE *file = fopen(folder_path(f, name), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    CU_ASSERT_EQUAL(fclose(file), 0);
}

void folder_mkdir(struct folder *f, const char *name) {
    CU_ASSERT_EQUAL_FATAL(mkdir(folder_path(f, name), 0700), 0);
}

void folder_link(struct folder *f, const char *target, const char *name) {
    CU_ASSERT_EQUAL_FATAL(symlink(target, folder_path(f, name)), 0);
}

void folder_rename(struct folder *f, const char *from, const char *to) {
    char old[512];
    snprintf(old, sizeof(old), "%s", folder_path(f, from));
    CU_ASSERT_EQUAL_FATAL(rename(old, folder_path(f, to)), 0);
}

void folder_remove(struct folder *f, const char *name) {
    CU_ASSERT_EQUAL_FATAL(nftw(folder_path(f, name), remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void folder_expect(struct folder *f, const char *file, const char *text) {
    int64_t until = gw_clock_us() + 5000000;
    while (f->events.len == f->seen && gw_clock_us() < until)
        gw_loop_turn(f->loop, 20);
    bool there = f->events.len > f->seen;
    if (!there) fprintf(stderr, "\nno event; want %s: %s\n", file, text);
    CU_ASSERT_FATAL(there);
    const struct folder_event *e = &f->events.ptr[f->seen++];
    CU_ASSERT_STRING_EQUAL(e->file, file);
    CU_ASSERT_STRING_EQUAL(e->text, text);
    if (strcmp(e->text, text) != 0) fprintf(stderr, "\nwant %s\ngot  %s\n", text, e->text);
    CU_ASSERT_EQUAL(e->ok, strstr(text, " added, ") != NULL);
}

void folder_expect_quiet(struct folder *f, int ms) {
    int64_t until = gw_clock_us() + (int64_t)ms * 1000;
    while (gw_clock_us() < until)
        gw_loop_turn(f->loop, 20);
    CU_ASSERT_EQUAL(f->events.len, f->seen);
    for (; f->seen < f->events.len; f->seen++)
        fprintf(stderr, "\nunexpected: %s: %s\n", f->events.ptr[f->seen].file,
                f->events.ptr[f->seen].text);
}

const char *folder_route(struct folder *f, const char *ns, const char *name) {
    static char text[256];
    const struct ctl_object *o =
        ctl_store_get(f->store, &ctl_res_http_route, gw_str_of(ns), gw_str_of(name));
    if (!o) return "";
    const json_t *list = gw_json_path(o->json, "spec.hostnames");
    struct gw_str s = gw_json_str_of(json_array_get(list, 0));
    snprintf(text, sizeof(text), GW_STR_FMT, GW_STR_ARG(s.len ? s : GW_STR("-")));
    return text;
}

const char *route_yaml(const char *name, const char *hostname) {
    static char text[512];
    snprintf(text, sizeof(text),
             "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: "
             "%s\nspec:\n  hostnames: [%s]\n",
             name, hostname);
    return text;
}
