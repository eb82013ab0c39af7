// SPDX-License-Identifier: Apache-2.0
// The whole pipeline in one process: files in, statuses and resources out of the admin port.
#include "controller/controller.h"
#include "test/unit/controller/ask.h"
#include "test/unit/controller/source/folder.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

struct site {
    struct folder folder; // its own loop; its source is not used
    struct ctl_options o;
    char source[128], state[128];
    struct ctl_controller *c;
};

static void site_init(struct site *s) {
    memset(s, 0, sizeof(*s));
    folder_init(&s->folder);
    folder_mkdir(&s->folder, "conf");
    snprintf(s->source, sizeof(s->source), "%s/conf", s->folder.path);
    snprintf(s->state, sizeof(s->state), "%s/state", s->folder.path);
    s->o = (struct ctl_options){.source_dir = s->source,
                                .state_dir = s->state,
                                .listen_host = "127.0.0.1",
                                .admin_host = "127.0.0.1"};
}

static void site_start(struct site *s) {
    struct gw_err err = {0};
    s->c = ctl_controller_new(s->folder.loop, &s->o, &err);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->c);
}

static void site_fini(struct site *s) {
    ctl_controller_free(s->c);
    gw_map_fini(&s->o.endpoints, free);
    folder_fini(&s->folder);
}

// Asks until the answer holds the text, for at most 5 s.
static bool comes(struct site *s, const char *path, const char *text) {
    char *answer = NULL;
    bool yes = false;
    int64_t until = gw_clock_us() + 5000000;
    while (!yes && gw_clock_us() < until) {
        free(answer);
        answer = ask_while_turning(s->folder.loop, ctl_controller_admin_port(s->c), path);
        yes = strstr(answer, text) != NULL;
    }
    if (!yes) fprintf(stderr, "\n%s never held %s:\n%s\n", path, text, answer);
    free(answer);
    return yes;
}

#define GATEWAY                                                                                    \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: tandem}\n"     \
    "spec: {controllerName: kgateway.dev/tandem}\n---\n"                                           \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\n"            \
    "spec: {gatewayClassName: tandem, listeners: [{name: http, port: 8080, protocol: HTTP}]}\n"
#define ROUTE(host)                                                                                \
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n---\n"     \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\n"           \
    "spec: {parentRefs: [{name: edge}], hostnames: [" host                                         \
    "], rules: [{backendRefs: [{name: web, "                                                       \
    "port: 80}]}]}\n"

static void ports_that_are_taken(void) {
    struct site s, other;
    struct gw_err err = {0};
    site_init(&s);
    site_start(&s);
    site_init(&other);
    other.o.admin_port = ctl_controller_admin_port(s.c);
    CU_ASSERT_PTR_NULL(ctl_controller_new(other.folder.loop, &other.o, &err));
    CU_ASSERT_PTR_EQUAL(strstr(err.text, "admin port: "), err.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "in use"));
    other.o.admin_port = 0;
    other.o.listen_port = ctl_controller_listen_port(s.c);
    CU_ASSERT_PTR_NULL(ctl_controller_new(other.folder.loop, &other.o, &err));
    CU_ASSERT_PTR_EQUAL(strstr(err.text, "push port: "), err.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "in use"));
    site_fini(&other);
    site_fini(&s);
}

static void a_source_that_is_missing(void) {
    struct site s;
    struct gw_err err = {0};
    site_init(&s);
    s.o.source_dir = "/nowhere/at/all";
    CU_ASSERT_PTR_NULL(ctl_controller_new(s.folder.loop, &s.o, &err));
    CU_ASSERT_STRING_EQUAL(err.text, "source: folder '/nowhere/at/all': No such file or directory");
    site_fini(&s);
}

static void the_first_answer_is_whole(void) {
    struct site s;
    site_init(&s);
    folder_write(&s.folder, "conf/a.yaml", GATEWAY);
    folder_write(&s.folder, "conf/b.yaml", ROUTE("a.example.com"));
    gw_map_put(&s.o.endpoints, GW_STR("default/web"), gw_strdup("127.0.0.1:9000"));
    site_start(&s);
    char *answer = ask_while_turning(s.folder.loop, ctl_controller_admin_port(s.c), "/snapshot");
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "listener/default/edge/http"));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "rule/default/web/0"));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "9000"));
    free(answer);
    CU_ASSERT(comes(&s, "/objects?kind=httproute", "\"Accepted\""));
    site_fini(&s);
}

static void edits_come_through(void) {
    struct site s;
    site_init(&s);
    site_start(&s);
    folder_write(&s.folder, "conf/a.yaml", GATEWAY);
    CU_ASSERT(comes(&s, "/snapshot", "listener/default/edge/http"));
    folder_write(&s.folder, "conf/b.yaml", ROUTE("a.example.com"));
    CU_ASSERT(comes(&s, "/snapshot", "a.example.com"));
    folder_write(&s.folder, "conf/b.yaml", ROUTE("b.example.com"));
    CU_ASSERT(comes(&s, "/snapshot", "b.example.com"));
    folder_write(&s.folder, "conf/b.yaml", ROUTE("B.example.com"));
    CU_ASSERT(comes(&s, "/events", "b.yaml:9: HTTPRoute default/web: spec.hostnames[0]: "));
    char *answer = ask_while_turning(s.folder.loop, ctl_controller_admin_port(s.c), "/snapshot");
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "b.example.com"));
    free(answer);
    folder_remove(&s.folder, "conf/b.yaml");
    CU_ASSERT(comes(&s, "/events", "0 added, 0 changed, 2 removed"));
    CU_ASSERT(comes(&s, "/metrics", "controller_source_events_total{result=\"refused\"} 1"));
    answer =
        ask_while_turning(s.folder.loop, ctl_controller_admin_port(s.c), "/objects?kind=httproute");
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"items\": []"));
    free(answer);
    site_fini(&s);
}

static CU_TestInfo tests[] = {
    {"ports that are taken", ports_that_are_taken},
    {"a source that is missing", a_source_that_is_missing},
    {"the first answer is whole", the_first_answer_is_whole},
    {"edits come through", edits_come_through},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_controller = {"controller", NULL, NULL, NULL, NULL, tests};
