// SPDX-License-Identifier: Apache-2.0
// The API server's client against answers of every kind: errors with their words, cut and silent
// ones, watches in any pieces, cancelling from everywhere.
#include "controller/kube/client.h"
#include "test/unit/controller/kube/fake_api.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

struct site {
    struct gw_loop *loop;
    struct fake_api api;
    struct ctl_kube *kube;
    // What the script says next.
    const char *status, *body;
    bool stream, hold, cut;
    struct fake_conn *held;
    char head[4096], sent[256];
    // What came.
    unsigned replies, events, cancels;
    enum gw_rc rc;
    int http, retry_after;
    char reason[64], text[512], types[256];
    bool has_body;
    struct ctl_kube_call *call, *victim;
    bool cancel_on_event;
};

static void on_request(void *arg, struct fake_conn *c, const char *head, struct gw_str body) {
    struct site *s = arg;
    snprintf(s->head, sizeof(s->head), "%s", head);
    snprintf(s->sent, sizeof(s->sent), GW_STR_FMT, GW_STR_ARG(body));
    s->held = c;
    if (s->hold) return;
    if (s->stream) {
        fake_stream(c);
        return;
    }
    if (s->cut) {
        fake_write(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":");
        fake_close(c);
        return;
    }
    fake_answer(c, s->status, s->body);
}

static void on_reply(void *arg, const struct ctl_kube_reply *r) {
    struct site *s = arg;
    s->replies++;
    s->rc = r->rc;
    s->http = r->status;
    s->has_body = r->body != NULL;
    s->retry_after = r->retry_after_s;
    snprintf(s->reason, sizeof(s->reason), GW_STR_FMT, GW_STR_ARG(r->reason));
    snprintf(s->text, sizeof(s->text), "%s", r->err.text);
    if (s->victim) {
        ctl_kube_cancel(s->victim);
        s->victim = NULL;
    }
}

static void on_event(void *arg, struct gw_str type, json_t *object) {
    struct site *s = arg;
    s->events++;
    CU_ASSERT(json_is_object(object));
    snprintf(s->types + strlen(s->types), sizeof(s->types) - strlen(s->types), GW_STR_FMT ",",
             GW_STR_ARG(type));
    if (s->cancel_on_event) ctl_kube_cancel(s->call);
}

static void site_init(struct site *s) {
    memset(s, 0, sizeof(*s));
    char url[64];
    struct gw_err err;
    s->loop = gw_loop_new(&err);
    fake_api_init(&s->api, s->loop);
    s->api.on_request = on_request;
    s->api.arg = s;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", s->api.port);
    struct ctl_kube_config c = {.server = url};
    s->kube = ctl_kube_new(s->loop, &c, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->kube);
}

static void site_fini(struct site *s) {
    ctl_kube_free(s->kube);
    fake_api_fini(&s->api);
    gw_loop_free(s->loop);
}

static void turn_until(struct site *s, const unsigned *counter, unsigned n) {
    int64_t until = gw_clock_us() + 5000000;
    while (*counter < n && gw_clock_us() < until)
        gw_loop_turn(s->loop, 10);
    CU_ASSERT(*counter >= n);
}

static void turn_ms(struct site *s, int ms) {
    int64_t until = gw_clock_us() + (int64_t)ms * 1000;
    while (gw_clock_us() < until)
        gw_loop_turn(s->loop, 5);
}

static struct ctl_kube_call *ask(struct site *s, enum ctl_kube_method method, json_t *body,
                                 unsigned timeout_ms) {
    struct gw_err err;
    return ctl_kube_send(s->kube,
                         &(struct ctl_kube_request){.method = method,
                                                    .path = "/api/v1/secrets?limit=500",
                                                    .body = body,
                                                    .timeout_ms = timeout_ms,
                                                    .fn = on_reply,
                                                    .arg = s},
                         &err);
}

static struct ctl_kube_call *watch(struct site *s, unsigned idle_ms) {
    struct gw_err err;
    return ctl_kube_watch(s->kube,
                          &(struct ctl_kube_watch_opts){.path = "/api/v1/services?watch=1",
                                                        .idle_ms = idle_ms,
                                                        .on_event = on_event,
                                                        .on_end = on_reply,
                                                        .arg = s},
                          &err);
}

static void nobody_listens(void) {
    struct site s;
    site_init(&s);
    ctl_kube_free(s.kube);
    struct gw_err err;
    struct ctl_kube_config c = {.server = (char[]){"http://127.0.0.1:1"}};
    s.kube = ctl_kube_new(s.loop, &c, &err);
    CU_ASSERT_PTR_NOT_NULL(ask(&s, CTL_KUBE_GET, NULL, 0));
    CU_ASSERT_EQUAL(s.replies, 0);
    turn_until(&s, &s.replies, 1);
    CU_ASSERT_EQUAL(s.rc, GW_ERR_UPSTREAM);
    CU_ASSERT_EQUAL(s.http, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(s.text, "GET /api/v1/secrets: "));
    site_fini(&s);
}

// The first of a name's addresses refuses, and its socket's number is used again at once.
static void a_name_with_several_addresses(void) {
    struct site s;
    site_init(&s);
    ctl_kube_free(s.kube);
    char url[64];
    struct gw_err err;
    snprintf(url, sizeof(url), "http://localhost:%u", s.api.port);
    struct ctl_kube_config c = {.server = url};
    s.kube = ctl_kube_new(s.loop, &c, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.kube);
    s.status = "200 OK";
    s.body = "{}";
    for (unsigned i = 1; i <= 20; i++) {
        s.status = i % 2 ? "200 OK\r\nConnection: close" : "200 OK";
        ask(&s, CTL_KUBE_GET, NULL, 0);
        turn_until(&s, &s.replies, i);
        CU_ASSERT_EQUAL(s.rc, GW_OK);
    }
    site_fini(&s);
}

static void answers(void) {
    static const struct {
        const char *name, *status, *body;
        enum gw_rc rc;
        const char *reason, *text;
        bool has_body;
    } cases[] = {
        {"conflict", "409 Conflict",
         "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"it changed\"}", GW_ERR_INPUT,
         "Conflict", "GET /api/v1/secrets: 409 Conflict: it changed", true},
        {"forbidden", "403 Forbidden",
         "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no\"}", GW_ERR_AUTH,
         "Forbidden", "GET /api/v1/secrets: 403 Forbidden: no", true},
        {"a token is wrong", "401 Unauthorized", "", GW_ERR_AUTH, "", "GET /api/v1/secrets: 401",
         false},
        {"no JSON with an error", "500 Internal Server Error", "<html>", GW_ERR_UPSTREAM, "",
         "GET /api/v1/secrets: 500", false},
        {"no JSON with success", "200 OK", "<html>", GW_ERR_UPSTREAM, "",
         "GET /api/v1/secrets: 200: the body is no JSON", false},
        {"JSON and more", "200 OK", "{} {}", GW_ERR_UPSTREAM, "", "no JSON", false},
        {"a list in place of a Status", "404 Not Found", "[1]", GW_ERR_INPUT, "", "404", true},
        {"a Status of wrong types", "404 Not Found",
         "{\"kind\":\"Status\",\"reason\":{},\"message\":3,\"details\":[]}", GW_ERR_INPUT, "",
         "404", true},
        {"a redirect", "302 Found", "{}", GW_ERR_UPSTREAM, "", "302", true},
        {"success", "200 OK", "{\"kind\":\"SecretList\"}", GW_OK, "", "", true},
        {"a NUL in a text", "200 OK", "{\"a\":\"\\u0000\"}", GW_OK, "", "", true},
        {"nothing, and success", "204 No Content", "", GW_OK, "", "", false},
    };
    struct site s;
    site_init(&s);
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        s.status = cases[i].status;
        s.body = cases[i].body;
        s.replies = 0;
        ask(&s, CTL_KUBE_GET, NULL, 0);
        turn_until(&s, &s.replies, 1);
        if (s.rc != cases[i].rc || !strstr(s.text, cases[i].text))
            fprintf(stderr, "\n%s: %s: %s\n", cases[i].name, gw_rc_name(s.rc), s.text);
        CU_ASSERT_EQUAL(s.rc, cases[i].rc);
        CU_ASSERT_STRING_EQUAL(s.reason, cases[i].reason);
        CU_ASSERT_PTR_NOT_NULL(strstr(s.text, cases[i].text));
        CU_ASSERT_EQUAL(s.has_body, cases[i].has_body);
    }
    CU_ASSERT_EQUAL(s.api.accepted, 1); // one connection is kept
    site_fini(&s);
}

static void what_is_sent(void) {
    struct site s;
    site_init(&s);
    s.status = "429 Too Many Requests\r\nRetry-After: 7";
    s.body = "{}";
    struct gw_err err;
    json_t *body = json_pack("{s:s}", "a", "b");
    ctl_kube_send(s.kube,
                  &(struct ctl_kube_request){.method = CTL_KUBE_PATCH,
                                             .path = "/x/status",
                                             .body = body,
                                             .content_type = "application/merge-patch+json",
                                             .accept = "application/json;as=Table",
                                             .fn = on_reply,
                                             .arg = &s},
                  &err);
    json_decref(body);
    turn_until(&s, &s.replies, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(s.head, "PATCH /x/status HTTP/1.1\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(s.head, "Content-Type: application/merge-patch+json\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(s.head, "Accept: application/json;as=Table\r\n"));
    CU_ASSERT_PTR_NULL(strstr(s.head, "Expect"));
    CU_ASSERT_STRING_EQUAL(s.sent, "{\"a\":\"b\"}");
    CU_ASSERT_EQUAL(s.retry_after, 7);
    site_fini(&s);
}

static void cut_and_silent_answers(void) {
    struct site s;
    site_init(&s);
    s.cut = true;
    ask(&s, CTL_KUBE_GET, NULL, 0);
    turn_until(&s, &s.replies, 1);
    CU_ASSERT_EQUAL(s.rc, GW_ERR_UPSTREAM);
    s.cut = false;
    s.hold = true;
    ask(&s, CTL_KUBE_GET, NULL, 50);
    turn_until(&s, &s.replies, 2);
    CU_ASSERT_EQUAL(s.rc, GW_ERR_TIMEOUT);
    site_fini(&s);
}

static void a_watch_in_pieces(void) {
    static const char text[] = "{\"type\":\"ADDED\",\"object\":{\"a\":\"\\n\"}}\n\n"
                               "{\"type\":\"BOOKMARK\",\"object\":{}}\r\n";
    struct site s;
    site_init(&s);
    s.stream = true;
    watch(&s, 5000);
    turn_until(&s, &s.api.requests, 1);
    for (const char *p = text; *p; p++) {
        fake_chunk(s.held, (char[]){*p, 0});
        gw_loop_turn(s.loop, 5);
    }
    turn_until(&s, &s.events, 2);
    fake_chunk(s.held, text);
    turn_until(&s, &s.events, 4);
    CU_ASSERT_STRING_EQUAL(s.types, "ADDED,BOOKMARK,ADDED,BOOKMARK,");
    CU_ASSERT_EQUAL(s.replies, 0);
    // Half an event at the end is none.
    fake_chunk(s.held, "{\"type\":\"ADDED\",");
    fake_write(s.held, "0\r\n\r\n");
    turn_until(&s, &s.replies, 1);
    CU_ASSERT_EQUAL(s.rc, GW_EOF);
    CU_ASSERT_EQUAL(s.events, 4);
    site_fini(&s);
}

static void a_watch_that_is_refused(void) {
    struct site s;
    site_init(&s);
    s.status = "410 Gone";
    s.body = "{\"kind\":\"Status\",\"reason\":\"Expired\",\"message\":\"too old\"}";
    watch(&s, 5000);
    turn_until(&s, &s.replies, 1);
    CU_ASSERT_EQUAL(s.rc, GW_ERR_INPUT);
    CU_ASSERT_EQUAL(s.http, 410);
    CU_ASSERT_STRING_EQUAL(s.reason, "Expired");
    CU_ASSERT_EQUAL(s.events, 0);
    site_fini(&s);
}

static void what_is_no_event(void) {
    static const char *const lines[] = {"hello\n",
                                        "{}\n",
                                        "[]\n",
                                        "{\"type\":\"ADDED\"}\n",
                                        "{\"type\":\"ADDED\",\"object\":[]}\n",
                                        "{\"type\":3,\"object\":{}}\n",
                                        "{\"type\":\"ADDED\",\"object\":{}} {}\n"};
    for (size_t i = 0; i < GW_ARRAY_LEN(lines); i++) {
        struct site s;
        site_init(&s);
        s.stream = true;
        watch(&s, 5000);
        turn_until(&s, &s.api.requests, 1);
        fake_chunk(s.held, lines[i]);
        turn_until(&s, &s.replies, 1);
        CU_ASSERT_EQUAL(s.rc, GW_ERR_UPSTREAM);
        CU_ASSERT_EQUAL(s.events, 0);
        site_fini(&s);
    }
}

// The end of an answer that is whole may be lost; of one that is not, only time decides.
static void an_answer_whose_end_is_lost(void) {
    struct site s;
    site_init(&s);
    s.hold = true;
    ask(&s, CTL_KUBE_GET, NULL, 0);
    turn_until(&s, &s.api.requests, 1);
    fake_write(s.held, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\":{}");
    turn_ms(&s, 80);
    CU_ASSERT_EQUAL(s.replies, 0);
    fake_write(s.held, "}\n");
    turn_until(&s, &s.replies, 1);
    CU_ASSERT_EQUAL(s.rc, GW_OK);
    CU_ASSERT_EQUAL(s.http, 200);
    CU_ASSERT(s.has_body);
    // An error is one as well.
    ask(&s, CTL_KUBE_GET, NULL, 0);
    turn_until(&s, &s.api.requests, 2);
    fake_write(s.held, "HTTP/1.1 410 Gone\r\nContent-Length: 100\r\n\r\n"
                       "{\"kind\":\"Status\",\"reason\":\"Expired\"}");
    turn_until(&s, &s.replies, 2);
    CU_ASSERT_EQUAL(s.http, 410);
    CU_ASSERT_STRING_EQUAL(s.reason, "Expired");
    site_fini(&s);
}

// http-silent: bytes keep a watch alive, silence ends it and all that shares the connection.
static void silence(void) {
    struct site s;
    site_init(&s);
    s.stream = true;
    watch(&s, 150);
    turn_until(&s, &s.api.requests, 1);
    for (int i = 0; i < 8; i++) {
        fake_chunk(s.held, "\n");
        turn_ms(&s, 50);
    }
    CU_ASSERT_EQUAL(s.replies, 0);
    s.hold = true;
    ask(&s, CTL_KUBE_GET, NULL, 60000);
    turn_until(&s, &s.replies, 2);
    CU_ASSERT_EQUAL(s.rc, GW_ERR_TIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(s.text, "the connection is silent"));
    unsigned before = s.api.accepted;
    s.hold = s.stream = false;
    s.status = "200 OK";
    s.body = "{}";
    ask(&s, CTL_KUBE_GET, NULL, 0);
    turn_until(&s, &s.replies, 3);
    CU_ASSERT_EQUAL(s.rc, GW_OK);
    CU_ASSERT_EQUAL(s.api.accepted, before + 1);
    site_fini(&s);
}

static void cancelling(void) {
    struct site s;
    site_init(&s);
    s.stream = s.cancel_on_event = true;
    s.call = watch(&s, 5000);
    turn_until(&s, &s.api.requests, 1);
    fake_chunk(s.held, "{\"type\":\"A\",\"object\":{}}\n{\"type\":\"B\",\"object\":{}}\n");
    turn_until(&s, &s.events, 1);
    turn_ms(&s, 30);
    CU_ASSERT_EQUAL(s.events, 1);
    CU_ASSERT_EQUAL(s.replies, 0);
    // Before it is sent, while it waits, and when another one ends together with it.
    ctl_kube_cancel(ask(&s, CTL_KUBE_GET, NULL, 0));
    s.stream = false;
    s.hold = true;
    struct ctl_kube_call *one = ask(&s, CTL_KUBE_GET, NULL, 60);
    s.victim = ask(&s, CTL_KUBE_GET, NULL, 60000);
    (void)one;
    turn_until(&s, &s.replies, 1);
    turn_ms(&s, 50);
    CU_ASSERT(s.replies <= 2);
    site_fini(&s);
}

static void many_calls(void) {
    struct site s;
    site_init(&s);
    s.status = "200 OK";
    s.body = "{}";
    for (unsigned i = 0; i < 300; i++)
        CU_ASSERT_PTR_NOT_NULL(ask(&s, CTL_KUBE_GET, NULL, 0));
    gw_loop_turn(s.loop, 0);
    turn_until(&s, &s.replies, 300);
    CU_ASSERT_EQUAL(s.rc, GW_OK);
    CU_ASSERT(s.api.accepted <= CTL_KUBE_IN_FLIGHT_MAX);
    // The cap, and freeing with all of them under way.
    s.hold = true;
    for (unsigned i = 0; i < CTL_KUBE_CALLS_MAX; i++)
        CU_ASSERT_PTR_NOT_NULL(ask(&s, CTL_KUBE_GET, NULL, 0));
    CU_ASSERT_PTR_NULL(ask(&s, CTL_KUBE_GET, NULL, 0));
    turn_ms(&s, 20);
    site_fini(&s);
}

static CU_TestInfo tests[] = {
    {"nobody listens", nobody_listens},
    {"a name with several addresses", a_name_with_several_addresses},
    {"answers", answers},
    {"what is sent", what_is_sent},
    {"cut and silent answers", cut_and_silent_answers},
    {"an answer whose end is lost", an_answer_whose_end_is_lost},
    {"a watch in pieces", a_watch_in_pieces},
    {"a watch that is refused", a_watch_that_is_refused},
    {"what is no event", what_is_no_event},
    {"silence", silence},
    {"cancelling", cancelling},
    {"many calls", many_calls},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_kube_client = {"client", NULL, NULL, NULL, NULL, tests};
