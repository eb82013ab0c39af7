// SPDX-License-Identifier: Apache-2.0
// Bytes, numbers and JSON strings. Nothing here knows of HTTP.
#include "test/demo/demo.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

void demo_buf_reserve(struct demo_buf *buf, size_t more) {
    if (buf->cap - buf->len >= more) return;
    size_t cap = buf->cap ? buf->cap : 4096;
    while (cap - buf->len < more)
        cap *= 2;
    char *ptr = realloc(buf->ptr, cap);
    if (!ptr) abort();
    buf->ptr = ptr;
    buf->cap = cap;
}

void demo_buf_put(struct demo_buf *buf, const void *data, size_t len) {
    if (len == 0) return;
    demo_buf_reserve(buf, len);
    memcpy(buf->ptr + buf->len, data, len);
    buf->len += len;
}

void demo_buf_printf(struct demo_buf *buf, const char *format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof text) abort(); // long texts go through demo_buf_put
    demo_buf_put(buf, text, (size_t)len);
}

void demo_buf_fini(struct demo_buf *buf) {
    free(buf->ptr);
    *buf = (struct demo_buf){0};
}

static void json_string(struct demo_buf *buf, struct demo_slice text, bool lower) {
    demo_buf_put(buf, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (lower && c >= 'A' && c <= 'Z') c = (unsigned char)(c + 32);
        if (c == '"' || c == '\\') {
            char pair[2] = {'\\', (char)c};
            demo_buf_put(buf, pair, 2);
        } else if (c < 0x20 || c >= 0x7f) {
            demo_buf_printf(buf, "\\u%04x", c);
        } else {
            demo_buf_put(buf, &c, 1);
        }
    }
    demo_buf_put(buf, "\"", 1);
}

void demo_buf_json(struct demo_buf *buf, struct demo_slice text) {
    json_string(buf, text, false);
}

void demo_buf_json_lower(struct demo_buf *buf, struct demo_slice text) {
    json_string(buf, text, true);
}

bool demo_is(struct demo_slice a, const char *text) {
    size_t len = strlen(text);
    return a.len == len && memcmp(a.ptr, text, len) == 0;
}

bool demo_is_nocase(struct demo_slice a, const char *text) {
    size_t len = strlen(text);
    return a.len == len && strncasecmp(a.ptr, text, len) == 0;
}

bool demo_same_nocase(struct demo_slice a, struct demo_slice b) {
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

bool demo_starts(struct demo_slice a, const char *prefix) {
    size_t len = strlen(prefix);
    return a.len >= len && memcmp(a.ptr, prefix, len) == 0;
}

bool demo_ends(struct demo_slice a, const char *suffix) {
    size_t len = strlen(suffix);
    return a.len >= len && memcmp(a.ptr + a.len - len, suffix, len) == 0;
}

bool demo_number(struct demo_slice text, uint64_t *ret_value) {
    // 18 digits cannot overflow, and no length or pause needs more.
    if (text.len == 0 || text.len > 18) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret_value = value;
    return true;
}

uint64_t demo_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
