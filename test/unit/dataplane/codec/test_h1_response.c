// SPDX-License-Identifier: Apache-2.0
// Decoding answers: refusals are all the upstream's fault (502); bodies by each framing; interim
// answers; what a closed connection means.
#include "test/unit/dataplane/codec/h1_transcript.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_codec_h1_response;

#define OK200 "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK200 "Transfer-Encoding: chunked\r\n\r\n"

static void transcript(const char *input, bool answers_head, size_t cut, struct gw_text *out) {
    struct h1_stream s = {
        .role = DP_H1_RESPONSES, .answers_head = answers_head, .bytes = gw_str_of(input)};
    h1_transcript(&s, cut, out);
}

static void refuse_stream(const struct h1_stream *s, const char *why) {
    const size_t cuts[] = {H1_WHOLE, H1_BYTEWISE};
    const char *input = s->bytes.ptr;
    for (size_t i = 0; i < GW_ARRAY_LEN(cuts); i++) {
        struct gw_text got = {0};
        h1_transcript(s, cuts[i], &got);
        const char *error = strstr(got.ptr, "error upstream 502 ");
        if (!error || !strstr(error, why)) {
            CU_FAIL("not refused in that way");
            printf("\n%.300s\nwanted %s, got\n%.600s\n", input, why, got.ptr);
        }
        gw_text_fini(&got);
    }
}

static void refuse(const char *input, const char *why) {
    refuse_stream(&(struct h1_stream){.role = DP_H1_RESPONSES, .bytes = gw_str_of(input)}, why);
}

static void refuses_status_lines(void) {
    refuse("hello world\r\n\r\n", "does not begin with a status line");
    refuse("220 mail ESMTP\r\n\r\n", "bad HTTP version");
    refuse("HTTP/1.1\r\n\r\n", "does not begin with a status line");
    refuse("HTTP/1.1 20\r\n\r\n", "does not begin with a status line");
    refuse("HTTP/1.1  200 OK\r\n\r\n", "not in 100..599");
    refuse("HTTP/1.1 2 0 OK\r\n\r\n", "not in 100..599");
    refuse("HTTP/1.1 +20 OK\r\n\r\n", "not in 100..599");
    refuse("HTTP/1.1 099 OK\r\n\r\n", "not in 100..599");
    refuse("HTTP/1.1 600 OK\r\n\r\n", "not in 100..599");
    refuse("HTTP/1.1 2000 OK\r\n\r\n", "not three digits");
    refuse("HTTP/1.1 200OK\r\n\r\n", "not three digits");
    refuse("HTTP/2.0 200 OK\r\n\r\n", "HTTP/2.0 is not supported");
    refuse("HTTP/0.9 200 OK\r\n\r\n", "HTTP/0.9 is not supported");
    refuse("http/1.1 200 OK\r\n\r\n", "bad HTTP version");
    refuse("\r\nHTTP/1.1 200 OK\r\n\r\n", "an empty line");
    refuse("HTTP/1.1 200 O\x01K\r\n\r\n", "control byte");
}

static void refuses_fields(void) {
    refuse(OK200 " X: 1\r\n\r\n", "a folded line");
    refuse(OK200 "X : 1\r\n\r\n", "a blank before the colon");
    refuse(OK200 "X\r\n\r\n", "no colon");
    refuse(OK200 "X: 1\nY: 2\r\n\r\n", "LF without CR");
    refuse(OK200 "X: 1\rY: 2\r\n\r\n", "CR without LF");
}

static void refuses_framing(void) {
    refuse(OK200 "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "together with");
    refuse(OK200 "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "more than once");
    refuse(OK200 "Content-Length: 5, 5\r\n\r\n", "not a number");
    refuse(OK200 "Transfer-Encoding: gzip, chunked\r\n\r\n", "other than chunked");
    refuse(OK200 "Transfer-Encoding: gzip\r\n\r\n", "not chunked");
    refuse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "in HTTP/1.0");
    refuse("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", "status 204 with a body");
    refuse("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", "status 204 with a body");
    refuse("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", "status 100 with a body");
    refuse("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
           "status 101: nobody asked");
    refuse(CHUNKED "zz\r\n", "no hexadecimal digit");
    refuse(CHUNKED "1\r\nab\r\n", "longer than its size");
}

#define S101 "HTTP/1.1 101 Switching Protocols\r\n"
static void refuse_upgrade(const char *input, const char *why) {
    refuse_stream(&(struct h1_stream){.role = DP_H1_RESPONSES,
                                      .may_upgrade = true,
                                      .bytes = gw_str_of(input)},
                  why);
}

// A tunnel to anything that the client did not ask for would be a way past the rules of its route.
static void refuses_other_upgrades(void) {
    refuse_upgrade(S101 "\r\n", "not to a WebSocket");
    refuse_upgrade(S101 "Upgrade: websocket\r\n\r\n", "not to a WebSocket");
    refuse_upgrade(S101 "Connection: upgrade\r\n\r\n", "not to a WebSocket");
    refuse_upgrade(S101 "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", "not to a WebSocket");
    refuse_upgrade(S101 "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
                   "not to a WebSocket");
    refuse_upgrade("HTTP/1.0 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                   "not to a WebSocket");
    refuse_upgrade(S101 "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
                   "status 101 with a body");
}

static void bytes_follow_a_101(void) {
    static const char bytes[] = "HTTP/1.1 103 Early Hints\r\n\r\n" S101
                                "connection: Upgrade\r\nupgrade: WebSocket\r\nX: 1\r\n\r\n"
                                "HTTP/1.1 200 OK\r\n\x81\n\n";
    struct h1_stream s = {.role = DP_H1_RESPONSES, .may_upgrade = true, .bytes = gw_str_of(bytes)};
    const size_t cuts[] = {H1_WHOLE, H1_BYTEWISE, 60};
    for (size_t i = 0; i < GW_ARRAY_LEN(cuts); i++) {
        struct gw_text got = {0};
        h1_transcript(&s, cuts[i], &got);
        CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "\nhead"));
        CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, " keep=0 upgrade=1"));
        CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "\ndata HTTP/1.1 200 OK\r\n\x81\n\n\nend at"));
        gw_text_fini(&got);
    }
}

// The next answer on the connection was not asked to change anything.
static void may_upgrade_is_of_one_answer(void) {
    struct gw_arena arena;
    struct dp_h1_decoder d;
    struct dp_ev ev;
    struct gw_err err = {0};
    size_t used;
    gw_arena_init(&arena, NULL, 0, H1_ARENA_BYTES_MAX);
    dp_h1_decoder_init(&d, DP_H1_RESPONSES);
    dp_h1_decoder_start(&d, &arena, false);
    dp_h1_decoder_allow_upgrade(&d);
    dp_h1_decoder_start(&d, &arena, false);
    struct gw_str in = GW_STR(S101 "connection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    CU_ASSERT_EQUAL(dp_h1_decode(&d, in, &used, &ev, &err), GW_ERR_UPSTREAM);
    dp_h1_decoder_fini(&d);
    gw_arena_fini(&arena);
}

static void refuses_heads_over_the_limits(void) {
    struct gw_text t = {0};
    gw_text_adds(&t, OK200);
    for (unsigned i = 0; i <= DP_H1_FIELDS_MAX; i++)
        gw_text_adds(&t, "x: 1\r\n");
    refuse(t.ptr, "over 128 fields");
    gw_text_reset(&t);
    for (unsigned i = 0; i <= DP_H1_HEAD_BYTES_MAX; i++)
        gw_text_adds(&t, "x");
    refuse(t.ptr, "head: over 32768 bytes");
    gw_text_reset(&t);
    for (unsigned i = 0; i <= DP_H1_INTERIM_MAX; i++)
        gw_text_adds(&t, "HTTP/1.1 103 Early Hints\r\n\r\n");
    refuse(t.ptr, "over 32 interim answers");
    gw_text_fini(&t);
}

static void a_cut_answer_never_ends_well(void) {
    char text[1024] = OK200 "Content-Length: 2000\r\n\r\n";
    size_t n = strlen(text);
    memset(text + n, 'x', 812);
    text[n + 812] = '\0';
    refuse(text, "the answer was cut after 812 of 2000 bytes");
    refuse(CHUNKED "5\r\nhel", "the answer was cut before its last chunk");
    refuse(CHUNKED "5\r\nhello\r\n", "the answer was cut before its last chunk");
    refuse(CHUNKED "5\r\nhello\r\n0\r\n", "the answer was cut before its last chunk");
    refuse("HTTP/1.1 200 OK\r\nX: 1\r\n", "closed before the answer's head was complete");
    refuse("HTTP/1.1 100 Continue\r\n\r\n", "closed before the answer's head was complete");
}

static void a_close_before_the_first_byte_is_eof(void) {
    struct gw_text got = {0};
    transcript("", false, H1_WHOLE, &got);
    CU_ASSERT_STRING_EQUAL(got.ptr, "eof\n");
    gw_text_fini(&got);
}

// Events, in short: "interim 100", "200", "D:data", "T", "E", "eof", "error ...".
static void check(const char *input, bool answers_head, const char *want) {
    struct gw_text got = {0}, shape = {0};
    transcript(input, answers_head, H1_WHOLE, &got);
    for (char *line = strtok(got.ptr, "\n"); line; line = strtok(NULL, "\n")) {
        const char *status = strstr(line, " status=");
        if (strncmp(line, "head ", 5) == 0) gw_text_addf(&shape, "%.3s ", status + 8);
        if (strncmp(line, "interim ", 8) == 0) gw_text_addf(&shape, "interim %.3s ", status + 8);
        if (strncmp(line, "data ", 5) == 0) gw_text_addf(&shape, "D:%s ", line + 5);
        if (strncmp(line, "trailers", 8) == 0) gw_text_adds(&shape, "T ");
        if (strncmp(line, "end ", 4) == 0) gw_text_adds(&shape, "E ");
        if (strncmp(line, "eof", 3) == 0) gw_text_adds(&shape, "eof");
        if (strncmp(line, "error", 5) == 0) gw_text_adds(&shape, line);
    }
    CU_ASSERT_STRING_EQUAL(shape.ptr, want);
    gw_text_fini(&got);
    gw_text_fini(&shape);
}

static void bodies(void) {
    check(OK200 "Content-Length: 5\r\n\r\nhello", false, "200 D:hello E eof");
    check(OK200 "Content-Length: 0\r\n\r\n", false, "200 E eof");
    check(CHUNKED "5\r\nhello\r\n0\r\n\r\n", false, "200 D:hello E eof");
    check(CHUNKED "5\r\nhello\r\n0\r\nX: 1\r\n\r\n", false, "200 D:hello T E eof");
    check(OK200 "\r\nto the end", false, "200 D:to the end E ");
    check(OK200 "\r\n", false, "200 E ");
    check("HTTP/1.0 200 OK\r\n\r\nold", false, "200 D:old E ");
}

static void answers_without_a_body(void) {
    check("HTTP/1.1 204 No\r\n\r\n", false, "204 E eof");
    check("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", false, "204 E eof");
    check("HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n" OK200 "Content-Length: 0\r\n\r\n", false,
          "304 E 200 E eof");
    check("HTTP/1.1 304 Not\r\nTransfer-Encoding: chunked\r\n\r\n", false, "304 E eof");
    check(OK200 "Content-Length: 5\r\n\r\n", true, "200 E eof");
    check(CHUNKED, true, "200 E eof");
    check(OK200 "\r\n", true, "200 E eof");
}

static void interim_answers_come_first(void) {
    check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" OK200
          "Content-Length: 1\r\n\r\na",
          false, "interim 100 interim 103 200 D:a E eof");
    check("HTTP/1.1 100 Continue\r\n\r\n" OK200 "Content-Length: 5\r\n\r\n", true,
          "interim 100 200 E eof");
}

static struct dp_head *parse(const char *text, bool answers_head, struct gw_arena *arena) {
    struct dp_h1_decoder d;
    struct dp_ev ev = {0};
    struct gw_err err;
    size_t used;
    dp_h1_decoder_init(&d, DP_H1_RESPONSES);
    dp_h1_decoder_start(&d, arena, answers_head);
    CU_ASSERT_EQUAL(dp_h1_decode(&d, gw_str_of(text), &used, &ev, &err), GW_OK);
    dp_h1_decoder_fini(&d);
    return ev.head;
}

static void heads(void) {
    static const struct {
        const char *text;
        bool answers_head, chunked, until_close, keep_alive;
        int64_t length;
    } cases[] = {
        {OK200 "Content-Length: 5\r\n\r\n", false, false, false, true, 5},
        {OK200 "Content-Length: 5\r\n\r\n", true, false, false, true, 5},
        {CHUNKED, false, true, false, true, -1},
        {CHUNKED, true, false, false, true, -1},
        {OK200 "\r\n", false, false, true, false, -1},
        {OK200 "\r\n", true, false, false, true, -1},
        {OK200 "Connection: close\r\nContent-Length: 1\r\n\r\n", false, false, false, false, 1},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false, false, false, false, 1},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", false, false,
         false, true, 1},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false, false, true, false, -1},
        {"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", false, false, false, true, -1},
        {"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n", false, false, false, true, 9},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_arena arena = {0};
        struct dp_head *h = parse(cases[i].text, cases[i].answers_head, &arena);
        CU_ASSERT_PTR_NOT_NULL_FATAL(h);
        CU_ASSERT_EQUAL(h->chunked, cases[i].chunked);
        CU_ASSERT_EQUAL(h->until_close, cases[i].until_close);
        CU_ASSERT_EQUAL(h->keep_alive, cases[i].keep_alive);
        CU_ASSERT_EQUAL(h->content_length, cases[i].length);
        gw_arena_fini(&arena);
    }
}

static void reasons_are_optional(void) {
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\n\r\n", "Not Found"},
        {"HTTP/1.1 404 \r\n\r\n", ""},
        {"HTTP/1.1 404\r\n\r\n", ""},
        {"HTTP/1.1 404  two\r\n\r\n", " two"},
        {"HTTP/1.1 404 caf\xe9\r\n\r\n", "caf\xe9"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_arena arena = {0};
        struct dp_head *h = parse(cases[i].text, false, &arena);
        CU_ASSERT_PTR_NOT_NULL_FATAL(h);
        CU_ASSERT_EQUAL(h->status, 404);
        CU_ASSERT(gw_str_eq(h->reason, gw_str_of(cases[i].reason)));
        gw_arena_fini(&arena);
    }
}

static void set_cookie_keeps_number_and_order(void) {
    struct gw_arena arena = {0};
    struct dp_head *h = parse(OK200 "Set-Cookie: a=1\r\nX: 1\r\nset-cookie: b=2\r\nSet-Cookie: a=1"
                                    "\r\nConnection: x\r\n\r\n",
                              false, &arena);
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    CU_ASSERT_EQUAL_FATAL(h->fields.len, 3);
    CU_ASSERT(gw_str_eq(h->fields.ptr[0].value, GW_STR("a=1")));
    CU_ASSERT(gw_str_eq(h->fields.ptr[1].value, GW_STR("b=2")));
    CU_ASSERT(gw_str_eq(h->fields.ptr[2].value, GW_STR("a=1")));
    gw_arena_fini(&arena);
}

static CU_TestInfo tests[] = {
    {"refuses status lines", refuses_status_lines},
    {"refuses fields", refuses_fields},
    {"refuses framing", refuses_framing},
    {"refuses heads over the limits", refuses_heads_over_the_limits},
    {"refuses other upgrades", refuses_other_upgrades},
    {"bytes follow a 101", bytes_follow_a_101},
    {"may-upgrade is of one answer", may_upgrade_is_of_one_answer},
    {"a cut answer never ends well", a_cut_answer_never_ends_well},
    {"a close before the first byte is EOF", a_close_before_the_first_byte_is_eof},
    {"bodies", bodies},
    {"answers without a body", answers_without_a_body},
    {"interim answers come first", interim_answers_come_first},
    {"heads", heads},
    {"reasons are optional", reasons_are_optional},
    {"Set-Cookie keeps number and order", set_cookie_keeps_number_and_order},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h1_response = {"h1_response", NULL, NULL, NULL, NULL, tests};
