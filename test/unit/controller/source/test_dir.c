// SPDX-License-Identifier: Apache-2.0
// The folder source, in folders of its own: what is read, what is refused with which words, and how
// changes arrive.
#include "test/unit/controller/source/folder.h"

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CM "apiVersion: v1\nkind: Namespace\nmetadata: {name: "

static void append(struct folder *f, const char *name, const char *a, const char *b) {
    struct gw_text t = {0};
    gw_text_adds(&t, a);
    gw_text_adds(&t, b);
    folder_write(f, name, t.ptr);
    gw_text_fini(&t);
}

// --- refusals ------------------------------------------------------------------------------------

static void a_folder_that_is_none(void) {
    struct folder f;
    struct gw_err err = {0};
    folder_init(&f);
    folder_write(&f, "file", "");
    struct ctl_dir_opts o = {.loop = f.loop, .store = f.store, .path = "/nowhere/at/all"};
    CU_ASSERT_PTR_NULL(ctl_dir_new(&o, &err));
    CU_ASSERT_STRING_EQUAL(err.text, "folder '/nowhere/at/all': No such file or directory");
    o.path = folder_path(&f, "file");
    CU_ASSERT_PTR_NULL(ctl_dir_new(&o, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is not a folder"));
    folder_fini(&f);
}

static void refusals_name_file_and_line(void) {
    static const struct {
        const char *yaml, *want;
    } cases[] = {
        {"- a\n", "a.yaml:1: a manifest must be a map of members such as kind"},
        {"# a remark\n\nkind: Service\n", "a.yaml:3: apiVersion is missing"},
        {"apiVersion: v1\n", "a.yaml:1: kind is missing"},
        {"apiVersion: v1\nkind: [a]\n", "a.yaml:2: kind must be text"},
        {"apiVersion: v1\nkind: Foo\n", "a.yaml:2: no kind 'Foo' in version 'v1'"},
        {"apiVersion: gateway.networking.k8s.io/v1\nkind: TLSRoute\n",
         "a.yaml:2: kind 'TLSRoute' is not supported yet"},
        {CM "a}\n---\n" CM "b}\nspce: {}\n", "a.yaml:8: Namespace b: unknown field spce"},
        {"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: "
         "web\nspec:\n "
         " rules:\n  - matches:\n    - path:\n        type: Foo\n        value: /\n",
         "a.yaml:9: HTTPRoute default/web: spec.rules[0].matches[0].path.type: 'Foo' is not one of "
         "Exact, PathPrefix, RegularExpression"},
        {"apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: a\nspec:\n  ports:\n "
         " - "
         "port: 0\n",
         "a.yaml:8: Service a/web: spec.ports[0].port: 0 is not in 1..65535"},
        {"apiVersion: v1\nkind: List\nitems: {}\n", "a.yaml:3: items must be a list"},
        {"apiVersion: v1\nkind: List\nitems:\n- {}\n", "a.yaml:4: apiVersion is missing"},
        {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Foo\n",
         "a.yaml:5: no kind 'Foo' in version 'v1'"},
        {CM "a}\n---\n" CM "b}\n---\n" CM "a}\n", "a.yaml:9: Namespace a is already at a.yaml:1"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct folder f;
        folder_init(&f);
        folder_write(&f, "a.yaml", cases[i].yaml);
        folder_follow(&f);
        folder_expect(&f, "a.yaml", cases[i].want);
        size_t n;
        const struct ctl_object **list = ctl_store_list(f.store, &ctl_res_namespace, &n);
        CU_ASSERT_EQUAL(n, 0);
        free(list);
        folder_fini(&f);
    }
}

static void what_is_not_yaml_is_refused_at_its_line(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "a.yaml", "kind: a\nb: [\n");
    folder_follow(&f);
    CU_ASSERT_EQUAL_FATAL(f.events.len, 1);
    CU_ASSERT_FALSE(f.events.ptr[0].ok);
    CU_ASSERT_PTR_EQUAL(strstr(f.events.ptr[0].text, "a.yaml:"), f.events.ptr[0].text);
    folder_fini(&f);
}

static void a_file_that_is_too_large(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "a.yaml", "");
    CU_ASSERT_EQUAL(truncate(folder_path(&f, "a.yaml"), (8 << 20) + 1), 0);
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "a.yaml: is larger than 8 MiB");
    folder_fini(&f);
}

static void an_object_in_two_files(void) {
    struct folder f;
    folder_init(&f);
    append(&f, "b.yaml", "# one\n", route_yaml("web", "b"));
    folder_follow(&f);
    folder_expect(&f, "b.yaml", "1 added, 0 changed, 0 removed");
    // The one that has it keeps it, whatever the names say.
    folder_write(&f, "a.yaml", route_yaml("web", "a"));
    folder_expect(&f, "a.yaml", "a.yaml:1: HTTPRoute default/web is already at b.yaml:2");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "web"), "b");
    folder_expect_quiet(&f, 300);
    // When it goes, the other one takes over without being touched.
    folder_remove(&f, "b.yaml");
    folder_expect(&f, "a.yaml", "0 added, 1 changed, 0 removed");
    folder_expect(&f, "b.yaml", "0 added, 0 changed, 0 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "web"), "a");
    folder_fini(&f);
}

static void among_new_files_the_first_by_path_wins(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "b.yaml", route_yaml("web", "b"));
    folder_write(&f, "a.yaml", route_yaml("web", "a"));
    folder_follow(&f);
    folder_expect(&f, "b.yaml", "b.yaml:1: HTTPRoute default/web is already at a.yaml:1");
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "web"), "a");
    folder_fini(&f);
}

// What a refused file would have taken is free again for a file that was refused because of it.
static void refusals_do_not_block_each_other(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "c.yaml", route_yaml("x", "c"));
    folder_follow(&f);
    folder_expect(&f, "c.yaml", "1 added, 0 changed, 0 removed");
    char ya[1024];
    snprintf(ya, sizeof(ya), "%s---\n", route_yaml("q", "a"));
    // In one turn: "a" wants q and x, but c has x; "b" wants q alone.
    append(&f, "a.yaml", ya, route_yaml("x", "a"));
    folder_write(&f, "b.yaml", route_yaml("q", "b"));
    folder_expect(&f, "a.yaml", "a.yaml:8: HTTPRoute default/x is already at c.yaml:1");
    folder_expect(&f, "b.yaml", "1 added, 0 changed, 0 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "x"), "c");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "q"), "b");
    folder_fini(&f);
}

// Two files that exchange their objects in one edit.
static void objects_change_places(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "a.yaml", route_yaml("x", "one"));
    folder_write(&f, "b.yaml", route_yaml("q", "one"));
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    folder_expect(&f, "b.yaml", "1 added, 0 changed, 0 removed");
    folder_rename(&f, "a.yaml", "c.yaml");
    folder_rename(&f, "b.yaml", "a.yaml");
    folder_rename(&f, "c.yaml", "b.yaml");
    folder_expect(&f, "a.yaml", "0 added, 0 changed, 0 removed");
    folder_expect(&f, "b.yaml", "0 added, 0 changed, 0 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "x"), "one");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "q"), "one");
    folder_fini(&f);
}

// --- what is read --------------------------------------------------------------------------------

static void folders_in_folders(void) {
    struct folder f;
    folder_init(&f);
    folder_mkdir(&f, "x");
    folder_mkdir(&f, "x/y");
    folder_mkdir(&f, ".hidden");
    folder_write(&f, "x/y/a.yml", route_yaml("a", "a"));
    folder_write(
        &f, "x/b.json",
        "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"n\"}}");
    folder_write(&f, "x/notes.txt", "not: [yaml");
    folder_write(&f, "x/.a.yaml", "not: [yaml");
    folder_write(&f, ".hidden/a.yaml", "not: [yaml");
    folder_follow(&f);
    folder_expect(&f, "x/b.json", "1 added, 0 changed, 0 removed");
    folder_expect(&f, "x/y/a.yml", "1 added, 0 changed, 0 removed");
    folder_expect_quiet(&f, 50);
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "a");
    // A folder that comes later is followed too.
    folder_mkdir(&f, "z");
    folder_write(&f, "z/c.yaml", route_yaml("c", "c"));
    folder_expect(&f, "z/c.yaml", "1 added, 0 changed, 0 removed");
    folder_write(&f, "z/c.yaml", route_yaml("c", "d"));
    folder_expect(&f, "z/c.yaml", "0 added, 1 changed, 0 removed");
    folder_remove(&f, "z");
    folder_expect(&f, "z/c.yaml", "0 added, 0 changed, 1 removed");
    folder_fini(&f);
}

static void links_that_lead_in_a_circle(void) {
    struct folder f;
    folder_init(&f);
    folder_mkdir(&f, "x");
    folder_write(&f, "x/a.yaml", route_yaml("a", "a"));
    folder_link(&f, "..", "x/up");
    folder_link(&f, "x", "again");
    folder_link(&f, "me.yaml", "me.yaml");
    folder_follow(&f);
    folder_expect(&f, "me.yaml", "me.yaml: cannot be read: Too many levels of symbolic links");
    folder_expect(&f, "again/a.yaml", "1 added, 0 changed, 0 removed");
    folder_expect_quiet(&f, 50);
    folder_fini(&f);
}

static void a_list_is_expanded(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "a.yaml",
                 "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n"
                 "- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n"
                 "- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n---\n" CM "c}\n");
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "3 added, 0 changed, 0 removed");
    static const struct {
        const char *name, *age, *origin;
    } want[] = {
        {"a", "a.yaml 0000000.0000000", "a.yaml:1"},
        {"b", "a.yaml 0000000.0000001", "a.yaml:1"},
        {"c", "a.yaml 0000001", "a.yaml:8"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(want); i++) {
        const struct ctl_object *o =
            ctl_store_get(f.store, &ctl_res_namespace, GW_STR(""), gw_str_of(want[i].name));
        CU_ASSERT_PTR_NOT_NULL_FATAL(o);
        CU_ASSERT(gw_str_eq(o->age, gw_str_of(want[i].age)));
        CU_ASSERT(gw_str_eq(o->origin, gw_str_of(want[i].origin)));
    }
    folder_fini(&f);
}

static void objects_are_settled(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "a.yaml",
                 "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: "
                 "v}\nstatus: {}\n");
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    const struct ctl_object *o =
        ctl_store_get(f.store, &ctl_res_secret, GW_STR("default"), GW_STR("s"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT(gw_str_eq(gw_json_str_of(gw_json_path(o->json, "data.k")), GW_STR("dg==")));
    CU_ASSERT_PTR_NULL(gw_json_get(o->json, "status"));
    folder_fini(&f);
}

// --- changes -------------------------------------------------------------------------------------

static void a_bad_file_keeps_its_own_objects_only(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "a.yaml", route_yaml("a", "one"));
    folder_write(&f, "b.yaml", route_yaml("b", "one"));
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    folder_expect(&f, "b.yaml", "1 added, 0 changed, 0 removed");
    folder_write(&f, "a.yaml", "a: [\n");
    folder_write(&f, "b.yaml", route_yaml("b", "two"));
    for (int i = 0; i < 2; i++) {
        int64_t until = gw_clock_us() + 5000000;
        while (f.events.len < f.seen + 1 && gw_clock_us() < until)
            gw_loop_turn(f.loop, 20);
        CU_ASSERT_FATAL(f.events.len > f.seen);
        f.seen++;
    }
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "one");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "b"), "two");
    // One bad document of two: the good one is not applied either.
    append(&f, "a.yaml", route_yaml("a", "three"), "---\nkind: x\n");
    folder_expect(&f, "a.yaml", "a.yaml:8: apiVersion is missing");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "one");
    folder_write(&f, "a.yaml", route_yaml("a", "four"));
    folder_expect(&f, "a.yaml", "0 added, 1 changed, 0 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "four");
    // Back to what it was after a mistake is told too.
    folder_write(&f, "a.yaml", "kind: x\n");
    folder_expect(&f, "a.yaml", "a.yaml:1: apiVersion is missing");
    folder_write(&f, "a.yaml", route_yaml("a", "four"));
    folder_expect(&f, "a.yaml", "0 added, 0 changed, 0 removed");
    folder_fini(&f);
}

static void an_editor_that_renames(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "a.yaml", route_yaml("a", "one"));
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    // Writes a new file and renames it over the old one.
    folder_write(&f, ".a.yaml.swp", route_yaml("a", "two"));
    folder_rename(&f, ".a.yaml.swp", "a.yaml");
    folder_expect(&f, "a.yaml", "0 added, 1 changed, 0 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "two");
    // Moves the old one away, as a back-up, and writes a new one.
    folder_rename(&f, "a.yaml", "a.yaml~");
    folder_write(&f, "a.yaml", route_yaml("a", "three"));
    folder_expect(&f, "a.yaml", "0 added, 1 changed, 0 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "three");
    folder_fini(&f);
}

static void an_object_that_moves_between_files(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "a.yaml", route_yaml("web", "one"));
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    folder_rename(&f, "a.yaml", "b.yaml");
    folder_expect(&f, "a.yaml", "0 added, 0 changed, 0 removed");
    folder_expect(&f, "b.yaml", "0 added, 0 changed, 0 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "web"), "one");
    const struct ctl_object *o =
        ctl_store_get(f.store, &ctl_res_http_route, GW_STR("default"), GW_STR("web"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT_EQUAL(o->generation, 1);
    CU_ASSERT(gw_str_eq(o->origin, GW_STR("b.yaml:1")));
    folder_fini(&f);
}

static void a_remark_changes_nothing(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "a.yaml", route_yaml("a", "one"));
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    append(&f, "a.yaml", "# remark\n", route_yaml("a", "one"));
    folder_expect(&f, "a.yaml", "0 added, 0 changed, 0 removed");
    // Written again without any change: nothing to tell.
    append(&f, "a.yaml", "# remark\n", route_yaml("a", "one"));
    folder_expect_quiet(&f, 300);
    folder_fini(&f);
}

static void an_object_that_is_taken_out(void) {
    struct folder f;
    folder_init(&f);
    char two[2048];
    snprintf(two, sizeof(two), "%s---\n", route_yaml("a", "one"));
    append(&f, "a.yaml", two, route_yaml("b", "one"));
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "2 added, 0 changed, 0 removed");
    folder_write(&f, "a.yaml", route_yaml("b", "one"));
    folder_expect(&f, "a.yaml", "0 added, 0 changed, 1 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "b"), "one");
    folder_fini(&f);
}

// --- half-written files --------------------------------------------------------------------------

// The rest of reload-04: what is not closed yet is not read, even where half of it is a good file.
static void reload_04_half_written_file(void) {
    struct folder f;
    folder_init(&f);
    char whole[2048];
    snprintf(whole, sizeof(whole), "%s---\n", route_yaml("a", "one"));
    append(&f, "a.yaml", whole, route_yaml("b", "one"));
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "2 added, 0 changed, 0 removed");
    int fd = open(folder_path(&f, "a.yaml"), O_WRONLY | O_TRUNC);
    CU_ASSERT_FATAL(fd >= 0);
    const char *first = route_yaml("a", "two");
    CU_ASSERT_EQUAL(write(fd, first, strlen(first)), (ssize_t)strlen(first));
    folder_expect_quiet(&f, 2000);
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "one");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "b"), "one");
    snprintf(whole, sizeof(whole), "---\n%s", route_yaml("b", "two"));
    CU_ASSERT_EQUAL(write(fd, whole, strlen(whole)), (ssize_t)strlen(whole));
    close(fd);
    folder_expect(&f, "a.yaml", "0 added, 2 changed, 0 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "b"), "two");
    folder_fini(&f);
}

static void an_emptied_file_is_not_believed_at_once(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, "a.yaml", route_yaml("a", "one"));
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    folder_write(&f, "a.yaml", "");
    folder_expect_quiet(&f, 1000);
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "one");
    folder_write(&f, "a.yaml", route_yaml("a", "two"));
    folder_expect(&f, "a.yaml", "0 added, 1 changed, 0 removed");
    folder_write(&f, "a.yaml", "");
    folder_expect(&f, "a.yaml", "0 added, 0 changed, 1 removed");
    folder_fini(&f);
}

static void a_name_that_leads_nowhere_keeps_its_objects(void) {
    struct folder f;
    folder_init(&f);
    folder_write(&f, ".real", route_yaml("a", "one"));
    folder_link(&f, ".real", "a.yaml");
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    folder_remove(&f, ".real");
    folder_expect(&f, "a.yaml", "a.yaml: cannot be read: No such file or directory");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "one");
    folder_write(&f, ".real", route_yaml("a", "two"));
    folder_expect(&f, "a.yaml", "0 added, 1 changed, 0 removed");
    folder_fini(&f);
}

// --- links ---------------------------------------------------------------------------------------

// The dance of a mounted ConfigMap: files are links through "..data", which is turned.
static void reload_04_configmap_volume(void) {
    struct folder f;
    folder_init(&f);
    folder_mkdir(&f, "..2026_1");
    folder_write(&f, "..2026_1/routes.yaml", route_yaml("a", "one"));
    folder_link(&f, "..2026_1", "..data");
    folder_link(&f, "..data/routes.yaml", "routes.yaml");
    folder_follow(&f);
    folder_expect(&f, "routes.yaml", "1 added, 0 changed, 0 removed");
    static const char *const versions[] = {"..2026_1", "..2026_2", "..2026_3", "..2026_4"};
    static const char *const hosts[] = {"one", "two", "three", "four"};
    for (size_t i = 1; i < GW_ARRAY_LEN(versions); i++) {
        char file[64];
        snprintf(file, sizeof(file), "%s/routes.yaml", versions[i]);
        folder_mkdir(&f, versions[i]);
        folder_write(&f, file, route_yaml("a", hosts[i]));
        folder_link(&f, versions[i], "..data_tmp");
        folder_rename(&f, "..data_tmp", "..data");
        folder_remove(&f, versions[i - 1]);
        int64_t began = gw_clock_us();
        folder_expect(&f, "routes.yaml", "0 added, 1 changed, 0 removed");
        CU_ASSERT(gw_clock_us() - began < 1000000);
        CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), hosts[i]);
    }
    folder_expect_quiet(&f, 300);
    folder_fini(&f);
}

// An edit of a link's target outside of the folder.
static void a_linked_file_is_edited_where_it_stands(void) {
    struct folder f, other;
    folder_init(&f);
    folder_init(&other);
    folder_write(&other, "real.yaml", route_yaml("a", "one"));
    char target[128];
    snprintf(target, sizeof(target), "%s/real.yaml", other.path);
    folder_link(&f, target, "a.yaml");
    folder_follow(&f);
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    folder_write(&other, "real.yaml", route_yaml("a", "two"));
    folder_expect(&f, "a.yaml", "0 added, 1 changed, 0 removed");
    folder_fini(&f);
    folder_fini(&other);
}

// The folder itself is a link that is turned.
static void the_folder_is_a_link(void) {
    struct folder f;
    folder_init(&f);
    folder_mkdir(&f, "v1");
    folder_mkdir(&f, "v2");
    folder_write(&f, "v1/a.yaml", route_yaml("a", "one"));
    folder_write(&f, "v2/a.yaml", route_yaml("a", "two"));
    folder_link(&f, "v1", "conf");
    char parent[64];
    memcpy(parent, f.path, sizeof(parent));
    snprintf(f.path, sizeof(f.path), "%.50s/conf/", parent);
    folder_follow(&f);
    memcpy(f.path, parent, sizeof(parent));
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    folder_link(&f, "v2", "next");
    folder_rename(&f, "next", "conf");
    folder_expect(&f, "a.yaml", "0 added, 1 changed, 0 removed");
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "two");
    folder_fini(&f);
}

static void a_folder_that_goes_keeps_its_objects(void) {
    struct folder f;
    folder_init(&f);
    folder_mkdir(&f, "conf");
    folder_write(&f, "conf/a.yaml", route_yaml("a", "one"));
    char parent[64];
    memcpy(parent, f.path, sizeof(parent));
    snprintf(f.path, sizeof(f.path), "%.50s/conf", parent);
    folder_follow(&f);
    memcpy(f.path, parent, sizeof(parent));
    folder_expect(&f, "a.yaml", "1 added, 0 changed, 0 removed");
    folder_rename(&f, "conf", "away");
    char want[128];
    snprintf(want, sizeof(want), "%.50s/conf: cannot be read: No such file or directory", parent);
    folder_expect(&f, ".", want);
    CU_ASSERT_STRING_EQUAL(folder_route(&f, "default", "a"), "one");
    folder_mkdir(&f, "conf");
    folder_write(&f, "conf/a.yaml", route_yaml("a", "two"));
    folder_expect(&f, "a.yaml", "0 added, 1 changed, 0 removed");
    folder_fini(&f);
}

static CU_TestInfo tests[] = {
    {"a folder that is none", a_folder_that_is_none},
    {"refusals name file and line", refusals_name_file_and_line},
    {"what is not YAML is refused at its line", what_is_not_yaml_is_refused_at_its_line},
    {"a file that is too large", a_file_that_is_too_large},
    {"an object in two files", an_object_in_two_files},
    {"among new files the first by path wins", among_new_files_the_first_by_path_wins},
    {"refusals do not block each other", refusals_do_not_block_each_other},
    {"objects change places", objects_change_places},
    {"folders in folders", folders_in_folders},
    {"links that lead in a circle", links_that_lead_in_a_circle},
    {"a List is expanded", a_list_is_expanded},
    {"objects are settled", objects_are_settled},
    {"a bad file keeps its own objects only", a_bad_file_keeps_its_own_objects_only},
    {"an editor that renames", an_editor_that_renames},
    {"an object that moves between files", an_object_that_moves_between_files},
    {"a remark changes nothing", a_remark_changes_nothing},
    {"an object that is taken out", an_object_that_is_taken_out},
    {"reload-04: half-written file", reload_04_half_written_file},
    {"an emptied file is not believed at once", an_emptied_file_is_not_believed_at_once},
    {"a name that leads nowhere keeps its objects", a_name_that_leads_nowhere_keeps_its_objects},
    {"reload-04: ConfigMap volume", reload_04_configmap_volume},
    {"a linked file is edited where it stands", a_linked_file_is_edited_where_it_stands},
    {"the folder is a link", the_folder_is_a_link},
    {"a folder that goes keeps its objects", a_folder_that_goes_keeps_its_objects},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_source_dir = {"dir", NULL, NULL, NULL, NULL, tests};
