// SPDX-License-Identifier: Apache-2.0
// Puts answers together as a list of operations that conn.c plays, and writes gzip by hand.
#include "test/demo/demo.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE_LINE "4000\r\n" // DEMO_PATTERN_BYTES in hexadecimal

char demo_pattern[DEMO_PATTERN_BYTES];
char demo_pattern_chunk[DEMO_PATTERN_BYTES + 8];
const size_t demo_pattern_chunk_len = DEMO_PATTERN_BYTES + 8;

void demo_answer_init_patterns(void) {
    memset(demo_pattern, 'x', sizeof demo_pattern);
    memcpy(demo_pattern_chunk, CHUNK_SIZE_LINE, 6);
    memset(demo_pattern_chunk + 6, 'x', DEMO_PATTERN_BYTES);
    memcpy(demo_pattern_chunk + 6 + DEMO_PATTERN_BYTES, "\r\n", 2);
}

void demo_answer_reset(struct demo_answer *ans) {
    ans->out.len = 0;
    ans->ops_len = ans->op_at = 0;
    ans->op_done = 0;
    ans->repeat_off = ans->out_off = 0;
    ans->is_armed = ans->closes_on_next_request = false;
    // One big answer must not keep its memory for as long as the connection lives.
    if (ans->out.cap > 256 * 1024) demo_buf_fini(&ans->out);
}

void demo_answer_fini(struct demo_answer *ans) {
    demo_buf_fini(&ans->out);
    free(ans->ops);
}

static struct demo_op *add_op(struct demo_answer *ans, enum demo_op_kind kind, uint64_t n) {
    if (ans->ops_len == ans->ops_cap) {
        ans->ops_cap = ans->ops_cap ? ans->ops_cap * 2 : 4;
        ans->ops = realloc(ans->ops, ans->ops_cap * sizeof ans->ops[0]);
        if (!ans->ops) abort();
    }
    struct demo_op *op = &ans->ops[ans->ops_len++];
    *op = (struct demo_op){.kind = kind, .n = n};
    return op;
}

void demo_put(struct demo_answer *ans, const void *data, size_t len) {
    if (len == 0) return;
    demo_buf_put(&ans->out, data, len);
    if (ans->ops_len && ans->ops[ans->ops_len - 1].kind == DEMO_OP_WRITE) {
        ans->ops[ans->ops_len - 1].n += len;
    } else {
        add_op(ans, DEMO_OP_WRITE, len);
    }
}

void demo_putf(struct demo_answer *ans, const char *format, ...) {
    char text[4096];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof text) abort(); // long texts go through demo_put
    demo_put(ans, text, (size_t)len);
}

void demo_put_chunk(struct demo_answer *ans, const void *data, size_t len) {
    if (len == 0) return;
    demo_putf(ans, "%zx\r\n", len);
    demo_put(ans, data, len);
    demo_put(ans, "\r\n", 2);
}

void demo_put_last_chunk(struct demo_answer *ans) {
    demo_put(ans, "0\r\n\r\n", 5);
}

void demo_repeat(struct demo_answer *ans, struct demo_slice pattern, uint64_t times) {
    if (times == 0 || pattern.len == 0) return;
    add_op(ans, DEMO_OP_REPEAT, times)->pattern = pattern;
}

void demo_sleep(struct demo_answer *ans, uint64_t ms) {
    if (ms) add_op(ans, DEMO_OP_SLEEP, ms);
}

void demo_end(struct demo_answer *ans, enum demo_op_kind kind) {
    add_op(ans, kind, 0);
}

void demo_put_whole(struct demo_answer *ans, const struct demo_request *req, uint64_t status,
                    const char *content_type, const char *more_headers, struct demo_slice body) {
    demo_putf(ans, "HTTP/1.1 %" PRIu64 " %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\n%s%s\r\n",
              status, demo_http_reason(status), content_type, body.len, more_headers,
              req->keep_alive ? "" : "connection: close\r\n");
    if (!req->is_head) demo_put(ans, body.ptr, body.len);
    if (!req->keep_alive) demo_end(ans, DEMO_OP_CLOSE);
}

// --- gzip (RFC 1952, RFC 1951 section 3.2.4) ---------------------------------------------------

#define STORED_BLOCK_MAX 65535u

static uint32_t crc32_add(uint32_t crc, const unsigned char *data, size_t len) {
    static uint32_t table[256];
    if (!table[1]) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int bit = 0; bit < 8; bit++)
                c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
            table[i] = c;
        }
    }
    crc = ~crc;
    for (size_t i = 0; i < len; i++)
        crc = table[(crc ^ data[i]) & 0xff] ^ (crc >> 8);
    return ~crc;
}

static void put_le(struct demo_buf *out, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)(value >> (8 * i));
        demo_buf_put(out, &byte, 1);
    }
}

static void put_block(struct demo_buf *out, bool is_last, const char *data, uint32_t len) {
    put_le(out, is_last ? 1 : 0, 1);
    put_le(out, len, 2);
    put_le(out, ~len & 0xffffu, 2);
    demo_buf_put(out, data, len);
}

void demo_gzip_begin(struct demo_gzip *gz, struct demo_buf *out) {
    *gz = (struct demo_gzip){0};
    demo_buf_put(out, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
}

void demo_gzip_put(struct demo_gzip *gz, struct demo_buf *out, const void *data, size_t len) {
    const char *at = data;
    gz->crc = crc32_add(gz->crc, data, len);
    gz->bytes += (uint32_t)len;
    while (len) {
        uint32_t part = len > STORED_BLOCK_MAX ? STORED_BLOCK_MAX : (uint32_t)len;
        put_block(out, false, at, part);
        at += part;
        len -= part;
    }
}

void demo_gzip_end(struct demo_gzip *gz, struct demo_buf *out) {
    put_block(out, true, "", 0);
    put_le(out, gz->crc, 4);
    put_le(out, gz->bytes, 4);
}
