// SPDX-License-Identifier: Apache-2.0
// Errors, assertions and the one allocation wrapper. Nothing here logs through log.c: an assertion
// or an allocation may fail inside of it.
#include "shared/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *gw_rc_name(enum gw_rc rc) {
    switch (rc) {
    case GW_OK:
        return "ok";
    case GW_AGAIN:
        return "again";
    case GW_EOF:
        return "eof";
    case GW_CANCELLED:
        return "cancelled";
    case GW_ERR_INPUT:
        return "input";
    case GW_ERR_AUTH:
        return "auth";
    case GW_ERR_LIMIT:
        return "limit";
    case GW_ERR_TIMEOUT:
        return "timeout";
    case GW_ERR_UPSTREAM:
        return "upstream";
    case GW_ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}

enum gw_rc gw_err_set(struct gw_err *err, enum gw_rc rc, int code, const char *fmt, ...) {
    if (!err) return rc;
    // By way of a second array, because the arguments may point into err->text.
    char text[sizeof(err->text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    err->rc = rc;
    err->code = code;
    err->retryable = false;
    memcpy(err->text, text, strlen(text) + 1);
    return rc;
}

enum gw_rc gw_err_wrap(struct gw_err *err, const char *fmt, ...) {
    if (!err) return GW_ERR_INTERNAL;
    char text[sizeof(err->text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t n = strlen(text);
    const char *const parts[] = {": ", err->text};
    for (size_t i = 0; i < GW_ARRAY_LEN(parts); i++) {
        size_t part = strnlen(parts[i], sizeof(text) - 1 - n);
        memcpy(text + n, parts[i], part);
        n += part;
    }
    memcpy(err->text, text, n);
    err->text[n] = '\0';
    return err->rc;
}

void gw_assert_failed(const char *cond, const char *file, int line) {
    dprintf(STDERR_FILENO, "%s:%d: assertion failed: %s\n", file, line, cond);
    abort();
}

static _Noreturn void out_of_memory(size_t bytes) {
    dprintf(STDERR_FILENO, "out of memory: %zu bytes were asked for\n", bytes);
    abort();
}

void *gw_alloc(size_t bytes) {
    void *p = calloc(1, bytes ? bytes : 1);
    if (GW_UNLIKELY(!p)) out_of_memory(bytes);
    return p;
}

void *gw_realloc(void *p, size_t bytes) {
    p = realloc(p, bytes ? bytes : 1);
    if (GW_UNLIKELY(!p)) out_of_memory(bytes);
    return p;
}

char *gw_strdup(const char *s) {
    return gw_strndup(s, strlen(s));
}

char *gw_strndup(const char *s, size_t n) {
    n = n ? strnlen(s, n) : 0;
    char *p = gw_realloc(NULL, n + 1);
    if (n) memcpy(p, s, n);
    p[n] = '\0';
    return p;
}
