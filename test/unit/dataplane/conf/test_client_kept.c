// SPDX-License-Identifier: Apache-2.0
// The snapshot that a client keeps, and what it starts with.
#include "test/unit/dataplane/conf/stage.h"

#include <sys/stat.h>

static void a_restart_serves_the_kept_snapshot(void) {
    struct gw_err err;
    struct stat st;
    connect_and_push_good();
    expect_nack(PUSH("rule/default/one/0", RULE_OF("one", "/new", BAD_FILTER)),
                NAMES("rule/default/one/0"), "'Nope'");
    json_t *before = dp_conf_client_dump(client);
    drop_client();
    CU_ASSERT_EQUAL(stat(controller.snapshot, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
    CU_ASSERT_EQUAL(stat(controller.state_dir, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0700);
    client = start_client(false, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    CU_ASSERT(dp_conf_client_is_ready(client));
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
    json_t *after = dp_conf_client_dump(client);
    CU_ASSERT(json_equal(gw_json_get(before, "resources"), gw_json_get(after, "resources")));
    CU_ASSERT_FALSE(gw_json_bool(after, "connected", true));
    json_decref(before);
    json_decref(after);
}

static void a_restart_with_its_controller_moves_nothing(void) {
    struct gw_err err;
    connect_and_push_good();
    drop_client();
    client = start_client(true, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    CU_ASSERT(dp_conf_client_is_ready(client));
    json_t *hello = controller_take(&controller, "hello");
    CU_ASSERT(gw_str_eq(gw_json_str(hello, "root"), gw_str_of(controller_root(&controller))));
    json_decref(hello);
}

static void the_snapshot_is_kept_while_running(void) {
    connect_and_push_good();
    for (int i = 0; i < 500 && access(controller.snapshot, F_OK) != 0; i++)
        usleep(10000);
    CU_ASSERT_EQUAL(access(controller.snapshot, F_OK), 0);
}

static struct gw_text read_file(const char *path) {
    struct gw_text text = {0};
    char piece[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        gw_text_add(&text, piece, n);
    fclose(f);
    return text;
}

// Replaces the first place of from by to, of the same length.
static struct gw_text damaged(const struct gw_text *whole, const char *from, const char *to) {
    struct gw_text t = {0};
    gw_text_add(&t, whole->ptr, whole->len);
    char *at = strstr(t.ptr, from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    memcpy(at, to, strlen(to));
    return t;
}

static void expect_set_aside(struct gw_str text) {
    struct gw_err err;
    char bad[96];
    snprintf(bad, sizeof(bad), "%s.bad", controller.snapshot);
    unlink(bad);
    write_file(controller.snapshot, text);
    unsigned applied = workers.applied;
    client = start_client(false, &err);
    CU_ASSERT_PTR_NULL(client);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "snapshot.json: "));
    CU_ASSERT_EQUAL(access(bad, F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(controller.snapshot, F_OK), 0);
    // With a controller the data plane starts from nothing.
    write_file(controller.snapshot, text);
    client = start_client(true, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    CU_ASSERT_FALSE(dp_conf_client_is_ready(client));
    CU_ASSERT_EQUAL(workers.applied, applied);
    drop_client();
}

static void a_damaged_snapshot_is_set_aside(void) {
    connect_and_push_good();
    drop_client();
    struct gw_text whole = read_file(controller.snapshot);
    struct gw_text body = damaged(&whole, "9001", "9002");
    struct gw_text name = damaged(&whole, "rule/default/one/0", "rule/default/0ne/0");
    struct gw_text root = damaged(&whole, controller_root(&controller), "00000000");
    struct gw_text member = damaged(&whole, "resources", "resourses");
    expect_set_aside(GW_STR(""));
    expect_set_aside(GW_STR("[]"));
    expect_set_aside(GW_STR("{\"resources\":{\"x\":1}}"));
    expect_set_aside((struct gw_str){whole.ptr, whole.len / 2});
    expect_set_aside((struct gw_str){whole.ptr, whole.len - 1});
    expect_set_aside(gw_text_str(&body));
    expect_set_aside(gw_text_str(&name));
    expect_set_aside(gw_text_str(&root));
    expect_set_aside(gw_text_str(&member));
    gw_text_fini(&whole);
    gw_text_fini(&body);
    gw_text_fini(&name);
    gw_text_fini(&root);
    gw_text_fini(&member);
}

static void without_controller_and_snapshot_there_is_nothing_to_serve(void) {
    struct gw_err err;
    client = start_client(false, &err);
    CU_ASSERT_PTR_NULL(client);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no snapshot is kept in '"));
}

static void a_state_folder_that_is_a_file_is_refused(void) {
    struct gw_err err;
    write_file(controller.state_dir, GW_STR("x"));
    client = start_client(true, &err);
    CU_ASSERT_PTR_NULL(client);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "Not a directory"));
    unlink(controller.state_dir);
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(a_restart_serves_the_kept_snapshot),
    T(a_restart_with_its_controller_moves_nothing),
    T(the_snapshot_is_kept_while_running),
    T(a_damaged_snapshot_is_set_aside),
    T(without_controller_and_snapshot_there_is_nothing_to_serve),
    T(a_state_folder_that_is_a_file_is_refused),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_conf_client_kept = {"client_kept", NULL,      NULL,
                                                 set_up,        tear_down, tests};
