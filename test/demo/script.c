// SPDX-License-Identifier: Apache-2.0
// Answers whose bytes stand in a file, for streams that no behaviour of model.c covers. The file
// is read for every request, so a test can write it while the server runs.
#include "test/demo/demo.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_BYTES_MAX (16u * 1024 * 1024)

struct script {
    const struct demo_request *req;
    struct demo_answer *ans;
    struct demo_buf pending; // bytes since the last command
    uint64_t status;
    bool is_raw, is_stream, has_head, is_over;
};

// A model name comes from a client: only plain file names are looked for.
static bool is_file_name(struct demo_slice name) {
    if (name.len == 0 || name.len > 100 || name.ptr[0] == '.') return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        if (!is_plain) return false;
    }
    return true;
}

static bool read_file(const char *path, struct demo_buf *ret_bytes) {
    FILE *file = fopen(path, "re");
    if (!file) return false;
    char part[8192];
    size_t got;
    while ((got = fread(part, 1, sizeof part, file)) > 0 && ret_bytes->len < SCRIPT_BYTES_MAX)
        demo_buf_put(ret_bytes, part, got);
    fclose(file);
    return true;
}

static void put_head(struct script *script) {
    if (script->has_head || script->is_raw) return;
    script->has_head = true;
    demo_putf(script->ans, "HTTP/1.1 %" PRIu64 " %s\r\ncontent-type: %s\r\n", script->status,
              demo_http_reason(script->status),
              script->is_stream ? "text/event-stream" : "application/json");
    demo_putf(script->ans, "transfer-encoding: chunked\r\n%s\r\n",
              script->req->keep_alive ? "" : "connection: close\r\n");
}

static void flush(struct script *script) {
    put_head(script);
    if (script->is_raw) {
        demo_put(script->ans, script->pending.ptr, script->pending.len);
    } else {
        demo_put_chunk(script->ans, script->pending.ptr, script->pending.len);
    }
    script->pending.len = 0;
}

static void drop_line_end(struct demo_buf *pending) {
    if (pending->len && pending->ptr[pending->len - 1] == '\n') pending->len--;
    if (pending->len && pending->ptr[pending->len - 1] == '\r') pending->len--;
}

static bool number_behind(struct demo_slice line, const char *word, uint64_t *ret_number) {
    if (!demo_starts(line, word)) return false;
    size_t len = strlen(word);
    return demo_number((struct demo_slice){line.ptr + len, line.len - len}, ret_number);
}

// false when the line is no command.
static bool run_command(struct script *script, struct demo_slice line) {
    uint64_t number = 0;
    if (number_behind(line, "@sleep ", &number)) {
        flush(script);
        demo_sleep(script->ans, number);
    } else if (number_behind(line, "@split ", &number)) {
        drop_line_end(&script->pending);
        flush(script);
        demo_sleep(script->ans, number);
    } else if (number_behind(line, "@status ", &number)) {
        script->status = number;
    } else if (demo_is(line, "@close") || demo_is(line, "@hang") || demo_is(line, "@reset")) {
        flush(script);
        enum demo_op_kind kind = demo_is(line, "@close")  ? DEMO_OP_CLOSE
                                 : demo_is(line, "@hang") ? DEMO_OP_HANG
                                                          : DEMO_OP_RESET;
        demo_end(script->ans, kind);
        script->is_over = true;
    } else {
        return false;
    }
    return true;
}

static void run(struct script *script, struct demo_slice text) {
    while (text.len && !script->is_over) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len, whole = end ? len + 1 : len;
        struct demo_slice line = {text.ptr, len};
        if (line.len && line.ptr[line.len - 1] == '\r') line.len--;
        if (line.len == 0 || line.ptr[0] != '@' || !run_command(script, line)) {
            demo_buf_put(&script->pending, text.ptr, whole);
        }
        text.ptr += whole;
        text.len -= whole;
    }
    if (script->is_over) return;
    flush(script);
    if (!script->is_raw) demo_put_last_chunk(script->ans);
    if (script->is_raw || !script->req->keep_alive) demo_end(script->ans, DEMO_OP_CLOSE);
}

bool demo_script_answer(const struct demo_options *options, struct demo_slice model, bool is_stream,
                        const struct demo_request *req, struct demo_answer *ans) {
    char path[PATH_MAX];
    if (!options->scripts || !is_file_name(model)) return false;
    int len =
        snprintf(path, sizeof path, "%s/%.*s.txt", options->scripts, (int)model.len, model.ptr);
    if (len < 0 || (size_t)len >= sizeof path) return false;
    struct demo_buf bytes = {0};
    if (!read_file(path, &bytes)) return false;
    struct demo_slice text = {bytes.ptr, bytes.len};
    struct script script = {.req = req,
                            .ans = ans,
                            .status = 200,
                            .is_stream = is_stream,
                            .is_raw = demo_starts(text, "HTTP/1.")};
    run(&script, text);
    demo_buf_fini(&script.pending);
    demo_buf_fini(&bytes);
    return true;
}
