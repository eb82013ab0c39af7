// SPDX-License-Identifier: Apache-2.0
// Messages, slow and dead peers, reconnects and ends of the push stream, over loopback.
#include "test/unit/shared/h2link_ends.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>

// --- messages ---

static void test_messages_go_both_ways(void) {
    struct server v = {.echoes = true};
    struct client k = {0};
    server_plain(&v);
    connect_both(&v, &k, &(struct client_args){0});
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_h2link_client_send(k.c, GW_STR("hello"), &err), GW_OK);
    CU_ASSERT_TRUE(reaches_size(v.loop, k.loop, &k.messages, 1));
    CU_ASSERT_STRING_EQUAL(v.first, "hello");
    CU_ASSERT_STRING_EQUAL(k.first, "hello");
    CU_ASSERT_EQUAL(gw_h2link_client_send(k.c, (struct gw_str){NULL, 0}, &err), GW_OK);
    CU_ASSERT_TRUE(reaches_size(v.loop, k.loop, &k.messages, 2));
    for (int i = 0; i < 1000; i++)
        CU_ASSERT_EQUAL(gw_h2link_client_send(k.c, GW_STR("0123456789"), &err), GW_OK);
    CU_ASSERT_TRUE(reaches_size(v.loop, k.loop, &k.messages, 1002));
    CU_ASSERT_EQUAL(k.bytes, 10005);
    CU_ASSERT_EQUAL(strncmp(gw_h2link_peer_address(v.last), "127.0.0.1:", 10), 0);
    CU_ASSERT_PTR_NULL(gw_h2link_peer_user(v.last));
    gw_h2link_peer_set_user(v.last, &v);
    CU_ASSERT_PTR_EQUAL(gw_h2link_peer_user(v.last), &v);
    client_fini(&k);
    CU_ASSERT_TRUE(reaches(v.loop, NULL, &v.closed, 1));
    CU_ASSERT_EQUAL(v.why.rc, GW_EOF);
    server_fini(&v);
}

// Larger than flow control's windows, so that both ends must open them again.
static void test_large_messages_go_both_ways(void) {
    struct server v = {.echoes = true};
    struct client k = {0};
    server_plain(&v);
    connect_both(&v, &k, &(struct client_args){0});
    char *big = gw_alloc(MESSAGE_MAX);
    memset(big, 'b', MESSAGE_MAX);
    struct gw_err err;
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(gw_h2link_client_send(k.c, (struct gw_str){big, MESSAGE_MAX}, &err), GW_OK);
    CU_ASSERT_TRUE(reaches_size(v.loop, k.loop, &k.bytes, 2 * (size_t)MESSAGE_MAX));
    CU_ASSERT_EQUAL(k.messages, 2);
    free(big);
    client_fini(&k);
    server_fini(&v);
}

static void test_message_over_the_limit_closes(void) {
    struct server v = {0};
    struct client k = {0};
    server_plain(&v);
    connect_both(&v, &k, &(struct client_args){.message_bytes_max = 100});
    char text[101] = {0};
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_h2link_peer_send(v.last, (struct gw_str){text, 100}, &err), GW_OK);
    CU_ASSERT_TRUE(reaches_size(v.loop, k.loop, &k.messages, 1));
    CU_ASSERT_EQUAL(gw_h2link_peer_send(v.last, (struct gw_str){text, 101}, &err), GW_OK);
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.closed, 1));
    CU_ASSERT_EQUAL(k.why.rc, GW_ERR_LIMIT);
    CU_ASSERT_TRUE(has(&k.why, "101 bytes is over the limit of 100"));
    CU_ASSERT_EQUAL(k.messages, 1);
    client_fini(&k);
    server_fini(&v);
}

// One client does not read: its queue ends at the limit, and the other one is served meanwhile.
static void test_slow_peer_is_cut_and_stalls_nobody(void) {
    struct server v = {0};
    struct client slow = {0}, good = {0};
    struct gw_h2link_server_opts o = server_opts(&v);
    o.queue_bytes_max = 4 << 20;
    server_start(&v, &o);
    connect_both(&v, &slow, &(struct client_args){0});
    struct gw_h2link_peer *slow_peer = v.last;
    client_start(&good, &(struct client_args){.port = gw_h2link_server_port(v.s)});
    CU_ASSERT_TRUE_FATAL(reaches(v.loop, good.loop, &good.opened, 1));
    struct gw_h2link_peer *good_peer = v.last;
    char *block = gw_alloc(256 << 10);
    struct gw_err err;
    enum gw_rc rc = GW_OK;
    size_t sent = 0;
    for (int i = 0; i < 400 && rc == GW_OK; i++) {
        rc = gw_h2link_peer_send(slow_peer, (struct gw_str){block, 256 << 10}, &err);
        if (rc != GW_OK) break;
        CU_ASSERT_EQUAL(gw_h2link_peer_send(good_peer, GW_STR("tick"), NULL), GW_OK);
        CU_ASSERT_TRUE_FATAL(reaches_size(v.loop, good.loop, &good.messages, ++sent));
    }
    CU_ASSERT_EQUAL(rc, GW_ERR_LIMIT);
    CU_ASSERT_TRUE(has(&err, "over the limit of 4194304"));
    CU_ASSERT_EQUAL(v.closed, 0); // follows later
    CU_ASSERT_TRUE(reaches(v.loop, NULL, &v.closed, 1));
    CU_ASSERT_EQUAL(v.why.rc, GW_ERR_LIMIT);
    CU_ASSERT_EQUAL(gw_h2link_peer_send(good_peer, GW_STR("last"), NULL), GW_OK);
    CU_ASSERT_TRUE(reaches_size(v.loop, good.loop, &good.messages, sent + 1));
    free(block);
    client_fini(&slow);
    client_fini(&good);
    server_fini(&v);
}

// --- the end and the way back ---

static void test_ping_finds_a_dead_client(void) {
    struct server v = {0};
    struct client k = {0};
    struct gw_h2link_server_opts o = server_opts(&v);
    o.ping_ms = 30;
    server_start(&v, &o);
    connect_both(&v, &k, &(struct client_args){0});
    turn_for(v.loop, k.loop, 150); // answered: stays
    CU_ASSERT_EQUAL(v.closed, 0);
    CU_ASSERT_TRUE(reaches(v.loop, NULL, &v.closed, 1)); // the client stands still
    CU_ASSERT_EQUAL(v.why.rc, GW_ERR_TIMEOUT);
    CU_ASSERT_TRUE(has(&v.why, "no answer to a PING within 30 ms"));
    client_fini(&k);
    server_fini(&v);
}

static void test_ping_finds_a_dead_server(void) {
    struct server v = {0};
    struct client k = {0};
    server_plain(&v);
    connect_both(&v, &k, &(struct client_args){.ping_ms = 30});
    turn_for(v.loop, k.loop, 150);
    CU_ASSERT_EQUAL(k.closed, 0);
    CU_ASSERT_TRUE(reaches(k.loop, NULL, &k.closed, 1));
    CU_ASSERT_EQUAL(k.why.rc, GW_ERR_TIMEOUT);
    client_fini(&k);
    server_fini(&v);
}

static void test_peer_close_tells_why(void) {
    struct server v = {0};
    struct client k = {0};
    server_plain(&v);
    connect_both(&v, &k, &(struct client_args){0});
    gw_h2link_peer_close(v.last, "its Gateway\nwas deleted");
    CU_ASSERT_EQUAL(v.closed, 0);
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_h2link_peer_send(v.last, GW_STR("x"), &err), GW_ERR_UPSTREAM);
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.closed, 1));
    CU_ASSERT_TRUE(has(&k.why, "its Gateway?was deleted"));
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &v.closed, 1));
    CU_ASSERT_EQUAL(v.why.rc, GW_CANCELLED);
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.opened, 2)); // and it comes back
    client_fini(&k);
    server_fini(&v);
}

static void test_client_finds_a_restarted_server(void) {
    struct server v = {0};
    struct client k = {0};
    server_plain(&v);
    uint16_t port = gw_h2link_server_port(v.s);
    connect_both(&v, &k, &(struct client_args){0});
    gw_h2link_server_free(v.s);
    v.s = NULL;
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.closed, 3)); // the end and two refused dials
    CU_ASSERT_EQUAL(v.closed, 0);                          // not during free
    struct gw_h2link_server_opts o = server_opts(&v);
    o.port = port;
    server_start(&v, &o);
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.opened, 2));
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_h2link_client_send(k.c, GW_STR("again"), &err), GW_OK);
    CU_ASSERT_TRUE(reaches_size(v.loop, k.loop, &v.messages, 1));
    CU_ASSERT_STRING_EQUAL(v.first, "again");
    client_fini(&k);
    server_fini(&v);
}

static void test_name_is_looked_up(void) {
    struct server v = {0};
    struct client k = {0};
    server_plain(&v);
    connect_both(&v, &k, &(struct client_args){.host = "localhost"});
    client_fini(&k);
    server_fini(&v);
}

static void test_client_is_freed_during_a_look_up(void) {
    for (int turns = 0; turns < 4; turns++) {
        struct client k = {0};
        client_start(&k, &(struct client_args){.host = "localhost", .port = closed_port()});
        turn_for(k.loop, NULL, turns);
        client_fini(&k);
    }
}

static void test_client_is_freed_in_its_callbacks(void) {
    static const enum hook hooks[] = {HOOK_FREE_ON_OPEN, HOOK_FREE_ON_MESSAGE, HOOK_FREE_ON_CLOSE};
    for (size_t i = 0; i < GW_ARRAY_LEN(hooks); i++) {
        struct server v = {.echoes = true};
        struct client k = {.hook = hooks[i]};
        server_plain(&v);
        connect_both(&v, &k, &(struct client_args){0});
        struct gw_err err;
        if (hooks[i] == HOOK_FREE_ON_MESSAGE) {
            for (int n = 0; n < 3; n++)
                CU_ASSERT_EQUAL(gw_h2link_client_send(k.c, GW_STR("x"), &err), GW_OK);
        } else if (hooks[i] == HOOK_FREE_ON_CLOSE) {
            gw_h2link_peer_close(v.last, "test");
        }
        CU_ASSERT_TRUE(reaches(v.loop, k.loop, &v.closed, 1));
        CU_ASSERT_PTR_NULL(k.c);
        CU_ASSERT_TRUE(k.messages <= 1);
        client_fini(&k);
        server_fini(&v);
    }
}

static void test_server_is_freed_in_its_callbacks(void) {
    static const enum hook hooks[] = {HOOK_FREE_ON_OPEN, HOOK_FREE_ON_MESSAGE, HOOK_FREE_ON_CLOSE};
    for (size_t i = 0; i < GW_ARRAY_LEN(hooks); i++) {
        struct server v = {.hook = hooks[i]};
        struct client k = {0};
        server_plain(&v);
        uint16_t port = gw_h2link_server_port(v.s);
        client_start(&k, &(struct client_args){.port = port});
        CU_ASSERT_TRUE(reaches(v.loop, k.loop, &v.opened, 1));
        turn_for(v.loop, k.loop, 30);
        struct gw_err err;
        if (hooks[i] == HOOK_FREE_ON_MESSAGE)
            CU_ASSERT_EQUAL(gw_h2link_client_send(k.c, GW_STR("x"), &err), GW_OK);
        if (hooks[i] == HOOK_FREE_ON_CLOSE) gw_h2link_peer_close(v.last, "test");
        CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.closed, 1));
        turn_for(v.loop, k.loop, 30);
        CU_ASSERT_PTR_NULL(v.s);
        client_fini(&k);
        server_fini(&v);
    }
}

static void test_both_ends_on_one_loop(void) {
    struct server v = {.echoes = true};
    server_plain(&v);
    struct client k = {.loop = v.loop};
    client_start(&k, &(struct client_args){.port = gw_h2link_server_port(v.s)});
    CU_ASSERT_TRUE_FATAL(reaches(v.loop, NULL, &k.opened, 1));
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_h2link_client_send(k.c, GW_STR("hello"), &err), GW_OK);
    CU_ASSERT_TRUE(reaches_size(v.loop, v.loop, &k.messages, 1));
    gw_h2link_client_free(k.c);
    server_fini(&v);
}

static CU_TestInfo tests[] = {
    {"messages_go_both_ways", test_messages_go_both_ways},
    {"large_messages_go_both_ways", test_large_messages_go_both_ways},
    {"message_over_the_limit_closes", test_message_over_the_limit_closes},
    {"slow_peer_is_cut_and_stalls_nobody", test_slow_peer_is_cut_and_stalls_nobody},
    {"ping_finds_a_dead_client", test_ping_finds_a_dead_client},
    {"ping_finds_a_dead_server", test_ping_finds_a_dead_server},
    {"peer_close_tells_why", test_peer_close_tells_why},
    {"client_finds_a_restarted_server", test_client_finds_a_restarted_server},
    {"name_is_looked_up", test_name_is_looked_up},
    {"client_is_freed_during_a_look_up", test_client_is_freed_during_a_look_up},
    {"client_is_freed_in_its_callbacks", test_client_is_freed_in_its_callbacks},
    {"server_is_freed_in_its_callbacks", test_server_is_freed_in_its_callbacks},
    {"both_ends_on_one_loop", test_both_ends_on_one_loop},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_shared_h2link = {
    "shared_h2link", ends_set_up, ends_tear_down, NULL, NULL, tests};
