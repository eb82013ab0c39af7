// SPDX-License-Identifier: Apache-2.0
// Results and errors of both programs. An error is made once (gw_err_set), wrapped on the way up
// (gw_err_wrap) and logged once at the top. struct gw_err needs no allocation and cannot fail.
#ifndef GW_SHARED_ERR_H
#define GW_SHARED_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define GW_MUST_USE __attribute__((warn_unused_result))
#define GW_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define GW_UNUSED __attribute__((unused))
#define GW_CLEANUP(fn) __attribute__((cleanup(fn)))
#define GW_LIKELY(x) __builtin_expect(!!(x), 1)
#define GW_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define GW_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define GW_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

// The class of a result. HTTP status, retry and log level are decided from it.
enum gw_rc {
    GW_OK = 0,
    GW_AGAIN,     // more input or a later call is needed; not an error
    GW_EOF,       // the peer or source ended cleanly
    GW_CANCELLED, // the one who asked has left
    GW_ERR_INPUT, // peer, user or file is wrong
    GW_ERR_AUTH,  // not allowed, not trusted
    GW_ERR_LIMIT, // a cap was reached
    GW_ERR_TIMEOUT,
    GW_ERR_UPSTREAM, // the other side failed
    GW_ERR_INTERNAL, // our own fault or the machine's
};

// text is a complete sentence fragment such as "listener[2]: port '99999' is not in 1..65535".
// code is a number that belongs to the class: an HTTP status where one fits, else 0.
struct gw_err {
    enum gw_rc rc;
    int code;
    bool retryable;
    char text[512];
};

const char *gw_rc_name(enum gw_rc rc);

// Fills err (may be NULL) and returns rc, so that `return gw_err_set(...)` reads well.
enum gw_rc gw_err_set(struct gw_err *err, enum gw_rc rc, int code, const char *fmt, ...)
    GW_PRINTF(4, 5);
// Puts "fmt: " before the text that is there; returns err->rc (GW_ERR_INTERNAL where err is NULL).
enum gw_rc gw_err_wrap(struct gw_err *err, const char *fmt, ...) GW_PRINTF(2, 3);

// The one macro that may hide a return.
#define GW_TRY(expr)                                                                               \
    do {                                                                                           \
        enum gw_rc gw_try_rc_ = (expr);                                                            \
        if (GW_UNLIKELY(gw_try_rc_ != GW_OK)) return gw_try_rc_;                                   \
    } while (0)

// Our own mistakes only: bytes from peers, files or the API server never reach it. Stays in
// release.
#define GW_ASSERT(cond)                                                                            \
    do {                                                                                           \
        if (GW_UNLIKELY(!(cond))) gw_assert_failed(#cond, __FILE__, __LINE__);                     \
    } while (0)
_Noreturn void gw_assert_failed(const char *cond, const char *file, int line);

// The one allocation wrapper: never returns NULL, aborts with a message where memory is out.
// gw_alloc zeroes. Free with free().
void *gw_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *gw_realloc(void *p, size_t bytes) __attribute__((returns_nonnull));
char *gw_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *gw_strndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));

#endif
