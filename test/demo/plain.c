// SPDX-License-Identifier: Apache-2.0
// The plain backend: an echo, bodies of any length, and every kind of misbehaviour that a proxy
// must survive, each turned on by a knob of the query or of the x-demo header.
#include "test/demo/demo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DRIP_BYTES_MAX 100000u // each is an operation of its own
#define DEFAULT_INTERVAL_MS 100u
#define CUT_MORE_BYTES 1000u // how much more than it sends a cut answer promises

// Bytes, then a run of the pattern.
struct body {
    struct demo_slice bytes;
    uint64_t pattern_bytes;
};

struct reply {
    struct demo_server *server;
    const struct demo_request *req;
    struct demo_answer *ans;
    struct body body;
    const char *content_type;
    uint64_t status;
    bool is_chunked, closes;
};

// --- answers of the bench, put together once ---------------------------------------------------

static struct {
    const char *path;
    size_t body_bytes;
    struct demo_buf answer;
} ready[] = {{"/bytes/0", 0, {0}}, {"/bytes/1024", 1024, {0}}, {"/bytes/16384", 16384, {0}}};

void demo_plain_init(void) {
    for (size_t i = 0; i < sizeof ready / sizeof ready[0]; i++) {
        struct demo_buf *buf = &ready[i].answer;
        demo_buf_printf(buf,
                        "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"
                        "content-length: %zu\r\n\r\n",
                        ready[i].body_bytes);
        demo_buf_put(buf, demo_pattern, ready[i].body_bytes);
    }
}

static bool answer_ready(const struct demo_request *req, struct demo_answer *ans) {
    if (req->query.len || req->knobs.len || !req->keep_alive || !demo_is(req->method, "GET")) {
        return false;
    }
    for (size_t i = 0; i < sizeof ready / sizeof ready[0]; i++) {
        if (!demo_is(req->path, ready[i].path)) continue;
        demo_repeat(ans, (struct demo_slice){ready[i].answer.ptr, ready[i].answer.len}, 1);
        return true;
    }
    return false;
}

// --- bodies ------------------------------------------------------------------------------------

static uint64_t body_len(const struct body *body) {
    return body->bytes.len + body->pattern_bytes;
}

static struct body body_part(const struct body *body, uint64_t from, uint64_t len) {
    struct body part = {0};
    if (from < body->bytes.len) {
        part.bytes.ptr = body->bytes.ptr + from;
        part.bytes.len = body->bytes.len - from < len ? body->bytes.len - from : (size_t)len;
    }
    part.pattern_bytes = len - part.bytes.len;
    return part;
}

static void put_body(const struct reply *reply, struct body part) {
    struct demo_answer *ans = reply->ans;
    uint64_t whole = part.pattern_bytes / DEMO_PATTERN_BYTES;
    size_t rest = part.pattern_bytes % DEMO_PATTERN_BYTES;
    if (reply->is_chunked) {
        demo_put_chunk(ans, part.bytes.ptr, part.bytes.len);
        demo_repeat(ans, (struct demo_slice){demo_pattern_chunk, demo_pattern_chunk_len}, whole);
        demo_put_chunk(ans, demo_pattern, rest);
    } else {
        demo_put(ans, part.bytes.ptr, part.bytes.len);
        demo_repeat(ans, (struct demo_slice){demo_pattern, DEMO_PATTERN_BYTES}, whole);
        demo_put(ans, demo_pattern, rest);
    }
}

static void put_echo(struct demo_server *server, const struct demo_request *req,
                     struct demo_buf *buf) {
    const char *name = server->options->name;
    demo_buf_printf(buf, "{\"backend\":");
    demo_buf_json(buf, (struct demo_slice){name, strlen(name)});
    demo_buf_printf(buf, ",\"method\":");
    demo_buf_json(buf, req->method);
    demo_buf_printf(buf, ",\"path\":");
    demo_buf_json(buf, req->path);
    demo_buf_printf(buf, ",\"query\":");
    demo_buf_json(buf, req->query);
    demo_buf_printf(buf, ",\"headers\":");
    demo_http_headers_json(buf, req->lines);
    demo_buf_printf(buf, ",\"body_bytes\":%" PRIu64 "}\n", req->body_bytes);
}

static void choose_body(struct reply *reply, struct demo_buf *scratch) {
    const struct demo_request *req = reply->req;
    struct demo_slice number = {req->path.ptr + 7, req->path.len - 7};
    uint64_t flood = 0;
    if (demo_knob_number(req, "flood_bytes", &flood)) {
        reply->body.pattern_bytes = flood;
        reply->content_type = "application/octet-stream";
        reply->is_chunked = true;
    } else if (demo_knob_is_on(req, "echo")) {
        reply->body.bytes = req->body;
        reply->content_type = "application/octet-stream";
    } else if (demo_starts(req->path, "/bytes/") &&
               demo_number(number, &reply->body.pattern_bytes)) {
        reply->content_type = "application/octet-stream";
    } else {
        put_echo(reply->server, req, scratch);
        reply->body.bytes = (struct demo_slice){scratch->ptr, scratch->len};
        reply->content_type = "application/json";
    }
}

// --- heads -------------------------------------------------------------------------------------

static bool is_bodiless(uint64_t status) {
    return status == 204 || status == 304;
}

static void put_head(const struct reply *reply, uint64_t length) {
    struct demo_answer *ans = reply->ans;
    demo_putf(ans, "HTTP/1.1 %" PRIu64 " %s\r\nx-demo-backend: %.200s\r\n", reply->status,
              demo_http_reason(reply->status), reply->server->options->name);
    if (!is_bodiless(reply->status)) {
        demo_putf(ans, "content-type: %s\r\n", reply->content_type);
        if (reply->is_chunked) {
            demo_putf(ans, "transfer-encoding: chunked\r\n");
        } else {
            demo_putf(ans, "content-length: %" PRIu64 "\r\n", length);
        }
    }
    struct demo_slice line;
    for (unsigned i = 0; i < 16 && demo_knob_nth(reply->req, "header", i, &line); i++) {
        struct demo_buf decoded = {0};
        demo_percent_decode(&decoded, line);
        demo_put(ans, decoded.ptr, decoded.len);
        demo_put(ans, "\r\n", 2);
        demo_buf_fini(&decoded);
    }
    if (demo_knob_is_on(reply->req, "trailers")) demo_putf(ans, "trailer: x-demo-trailer\r\n");
    if (reply->closes) demo_putf(ans, "connection: close\r\n");
    demo_putf(ans, "\r\n");
}

// --- the ways to answer ------------------------------------------------------------------------

static void finish(const struct reply *reply) {
    if (reply->is_chunked && demo_knob_is_on(reply->req, "trailers")) {
        demo_putf(reply->ans, "0\r\nx-demo-trailer: end\r\n\r\n");
    } else if (reply->is_chunked) {
        demo_put_last_chunk(reply->ans);
    }
}

static bool answer_broken(struct reply *reply) {
    uint64_t bytes = 0;
    enum demo_op_kind end = demo_knob_is_on(reply->req, "reset") ? DEMO_OP_RESET : DEMO_OP_CLOSE;
    if (demo_knob_number(reply->req, "cut", &bytes)) {
        reply->is_chunked = false;
        put_head(reply, bytes + CUT_MORE_BYTES);
        put_body(reply, (struct body){.pattern_bytes = bytes});
    } else if (demo_knob_is_on(reply->req, "cutchunk")) {
        reply->is_chunked = true;
        put_head(reply, 0);
        put_body(reply, reply->body);
    } else {
        return false;
    }
    // The bytes must be on the wire before an RST, which throws the rest away.
    if (end == DEMO_OP_RESET) demo_sleep(reply->ans, 20);
    demo_end(reply->ans, end);
    return true;
}

static void put_dripping(struct reply *reply, uint64_t bytes) {
    uint64_t interval_ms = DEFAULT_INTERVAL_MS;
    demo_knob_number(reply->req, "interval_ms", &interval_ms);
    if (bytes > DRIP_BYTES_MAX) bytes = DRIP_BYTES_MAX;
    put_head(reply, bytes);
    for (uint64_t i = 0; i < bytes; i++) {
        if (i) demo_sleep(reply->ans, interval_ms);
        put_body(reply, (struct body){.pattern_bytes = 1});
    }
}

static void put_held(struct reply *reply, uint64_t hold_ms) {
    uint64_t len = body_len(&reply->body), first = len / 2;
    put_head(reply, len);
    put_body(reply, body_part(&reply->body, 0, first));
    demo_sleep(reply->ans, hold_ms);
    put_body(reply, body_part(&reply->body, first, len - first));
}

static void answer_whole(struct reply *reply) {
    uint64_t number = 0;
    bool has_body = !reply->req->is_head && !is_bodiless(reply->status);
    if (!has_body) {
        put_head(reply, body_len(&reply->body));
    } else if (demo_knob_number(reply->req, "drip", &number)) {
        put_dripping(reply, number);
    } else if (demo_knob_number(reply->req, "hold_ms", &number)) {
        put_held(reply, number);
    } else {
        put_head(reply, body_len(&reply->body));
        put_body(reply, reply->body);
    }
    if (has_body) finish(reply);
    reply->ans->closes_on_next_request = demo_knob_is_on(reply->req, "reset_next");
    if (reply->closes) demo_end(reply->ans, DEMO_OP_CLOSE);
}

// Answers that need no head of ours. true when one was chosen.
static bool answer_special(const struct demo_request *req, struct demo_answer *ans) {
    struct demo_slice raw;
    if (demo_knob_is_on(req, "silence")) {
        demo_end(ans, DEMO_OP_HANG);
    } else if (demo_knob_is_on(req, "noreply_close")) {
        demo_end(ans, demo_knob_is_on(req, "reset") ? DEMO_OP_RESET : DEMO_OP_CLOSE);
    } else if (demo_knob(req, "raw", &raw)) {
        struct demo_buf decoded = {0};
        demo_percent_decode(&decoded, raw);
        demo_put(ans, decoded.ptr, decoded.len);
        demo_buf_fini(&decoded);
        if (demo_knob_is_on(req, "hold")) demo_end(ans, DEMO_OP_HANG);
        if (!demo_knob_is_on(req, "keep")) demo_end(ans, DEMO_OP_CLOSE);
    } else {
        return false;
    }
    return true;
}

size_t demo_plain_keep(const struct demo_request *req) {
    return demo_knob_is_on(req, "echo") ? DEMO_BODY_KEEP_MAX : DEMO_BODY_STATS_MAX;
}

void demo_plain_answer(struct demo_server *server, const struct demo_request *req,
                       struct demo_answer *ans) {
    if (answer_ready(req, ans)) return;
    uint64_t delay_ms = 0;
    if (demo_knob_number(req, "delay_ms", &delay_ms)) demo_sleep(ans, delay_ms);
    if (answer_special(req, ans)) return;
    struct reply reply = {.server = server, .req = req, .ans = ans, .status = 200};
    if (demo_knob_number(req, "status", &reply.status) &&
        (reply.status < 200 || reply.status > 999)) {
        reply.status = 200;
    }
    reply.closes = !req->keep_alive || demo_knob_is_on(req, "close");
    reply.is_chunked = demo_knob_is_on(req, "chunked") || demo_knob_is_on(req, "trailers");
    if (demo_knob_is_on(req, "early")) {
        demo_putf(ans, "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n");
        uint64_t early_ms = 0;
        if (demo_knob_number(req, "early_ms", &early_ms)) demo_sleep(ans, early_ms);
    }
    struct demo_buf scratch = {0};
    choose_body(&reply, &scratch);
    if (!answer_broken(&reply)) answer_whole(&reply);
    demo_buf_fini(&scratch);
}

void demo_plain_help(void) {
    fputs("Plain backend\n"
          "  any path         JSON: backend (--name), method, path, query, headers, body_bytes\n"
          "  /bytes/N         N bytes\n"
          "  knobs, in the query or in the header `x-demo: a=1&b=2`:\n"
          "  status=N         status of the answer\n"
          "  delay_ms=N       wait before the answer\n"
          "  chunked=1        chunked instead of Content-Length\n"
          "  trailers=1       chunked, with the trailer x-demo-trailer\n"
          "  header=LINE      one more header line, percent-encoded; up to 16 times\n"
          "  close=1          Connection: close, and close\n"
          "  early=1          a 103 first; early_ms=N waits after it\n"
          "  echo=1           the body of the request comes back (up to 64 MiB)\n"
          "  drip=N           N bytes one by one, interval_ms=N (100) apart\n"
          "  hold_ms=N        half the body, a pause, the other half\n"
          "  flood_bytes=N    N bytes chunked, as fast as they are read\n"
          "  cut=N            N bytes of a longer Content-Length, then close; reset=1: then RST\n"
          "  cutchunk=1       chunked without the last chunk, then close; reset=1: then RST\n"
          "  silence=1        no answer at all\n"
          "  noreply_close=1  close without an answer; reset=1: RST\n"
          "  reset_next=1     answers, and closes when the next request comes on the connection\n"
          "  raw=BYTES        percent-decoded bytes are the whole answer, then close;\n"
          "                   keep=1 keeps the connection, hold=1 keeps it and says no more\n"
          "  unread=1         answers before the request body is read, then closes\n"
          "  read_pause_ms=N  does not read the request body for N ms\n"
          "  nocontinue=1     no 100 for Expect: 100-continue\n"
          "  A connection may be pipelined; answers keep their order.\n\n",
          stdout);
}
