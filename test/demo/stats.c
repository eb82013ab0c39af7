// SPDX-License-Identifier: Apache-2.0
// What tests and the bench ask a server: GET /__count, GET /__stats, POST /__reset. Asking leaves
// no trace in the numbers.
#include "test/demo/demo.h"

#include <inttypes.h>
#include <string.h>

static void keep(struct demo_buf *buf, struct demo_slice text, size_t max) {
    buf->len = 0;
    demo_buf_put(buf, text.ptr, text.len < max ? text.len : max);
}

void demo_stats_note(struct demo_server *server, const struct demo_request *req) {
    server->requests_seen++;
    keep(&server->last_head, req->head, DEMO_HEAD_BYTES_MAX);
    keep(&server->last_body, req->body, DEMO_BODY_STATS_MAX);
    server->last_body_bytes = req->body_bytes;
}

static void put_last_request(struct demo_server *server, struct demo_buf *buf) {
    struct demo_request last;
    struct demo_slice head = {server->last_head.ptr, server->last_head.len};
    if (head.len == 0 || demo_http_parse(head, &last) != NULL) {
        demo_buf_printf(buf, "null");
        return;
    }
    demo_buf_printf(buf, "{\"method\":");
    demo_buf_json(buf, last.method);
    demo_buf_printf(buf, ",\"target\":");
    demo_buf_json(buf, last.target);
    demo_buf_printf(buf, ",\"headers\":");
    demo_http_headers_json(buf, last.lines);
    // The exact lines too: spelling, order and repeats are what a proxy gets wrong.
    demo_buf_printf(buf, ",\"header_lines\":[");
    struct demo_slice rest = last.lines, name, value;
    for (bool is_first = true; demo_http_next(&rest, &name, &value); is_first = false) {
        demo_buf_printf(buf, is_first ? "[" : ",[");
        demo_buf_json(buf, name);
        demo_buf_printf(buf, ",");
        demo_buf_json(buf, value);
        demo_buf_printf(buf, "]");
    }
    demo_buf_printf(buf, "],\"body_bytes\":%" PRIu64 ",\"body\":", server->last_body_bytes);
    demo_buf_json(buf, (struct demo_slice){server->last_body.ptr, server->last_body.len});
    demo_buf_printf(buf, "}");
}

static void put_stats(struct demo_server *server, struct demo_buf *buf) {
    demo_buf_printf(buf, "{\"server\":\"%s\",\"requests\":%" PRIu64 ",\"requests_seen\":%" PRIu64,
                    server->kind, server->requests_answered, server->requests_seen);
    // The connection that asks is not one of the others.
    demo_buf_printf(buf,
                    ",\"open_connections\":%" PRIu64 ",\"connections_accepted\":%" PRIu64
                    ",\"client_closes_seen\":%" PRIu64 ",\"idle_closes_seen\":%" PRIu64
                    ",\"last_close_ms\":%" PRIu64 ",\"last_request\":",
                    server->connections_open - 1, server->connections_accepted,
                    server->client_closes_seen, server->idle_closes_seen, server->last_close_ms);
    put_last_request(server, buf);
    demo_buf_printf(buf, "}\n");
}

bool demo_stats_answer(struct demo_server *server, const struct demo_request *req,
                       struct demo_answer *ans) {
    if (!demo_starts(req->path, "/__")) return false;
    struct demo_buf buf = {0};
    const char *type = "text/plain";
    uint64_t status = 200;
    if (demo_is(req->path, "/__count")) {
        demo_buf_printf(&buf, "%" PRIu64 "\n", server->requests_answered);
    } else if (demo_is(req->path, "/__stats")) {
        type = "application/json";
        put_stats(server, &buf);
    } else if (demo_is(req->path, "/__reset") && demo_is(req->method, "POST")) {
        server->requests_seen = server->requests_answered = server->connections_accepted = 0;
        server->client_closes_seen = server->idle_closes_seen = server->last_close_ms = 0;
        server->last_head.len = server->last_body.len = 0;
        server->last_body_bytes = 0;
        demo_buf_printf(&buf, "ok\n");
    } else {
        status = 404;
        demo_buf_printf(&buf, "there are GET /__count, GET /__stats and POST /__reset\n");
    }
    demo_put_whole(ans, req, status, type, "", (struct demo_slice){buf.ptr, buf.len});
    demo_buf_fini(&buf);
    return true;
}
