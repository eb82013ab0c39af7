// SPDX-License-Identifier: Apache-2.0
// Every way a byte parser may be fed: an input whole, cut in two at every position, and byte by
// byte. Each piece lies in memory of its own of exactly its size, so that a sanitizer sees a read
// beyond it.
#ifndef TEST_UNIT_SHARED_SPLIT_H
#define TEST_UNIT_SHARED_SPLIT_H

#include "shared/str.h"

#include <stdio.h>
#include <stdlib.h>

// Begins anew, feeds the n pieces in order, and returns true where the outcome is the wanted one.
typedef bool split_run_fn(void *arg, const struct gw_str *pieces, size_t n);

static inline struct gw_str split_copy(const char *p, size_t n) {
    char *copy = gw_alloc(n ? n : 1);
    if (n) memcpy(copy, p, n);
    return (struct gw_str){n ? copy : (free(copy), NULL), n};
}

static inline bool split_free(struct gw_str *pieces, size_t n, bool is_right) {
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)pieces[i].ptr);
    return is_right;
}

// False at the first way of feeding whose outcome is wrong; says which one.
static inline bool split_run(struct gw_str in, split_run_fn *run, void *arg) {
    struct gw_str one = split_copy(in.ptr, in.len);
    if (!split_free(&one, 1, run(arg, &one, 1))) {
        fprintf(stderr, "\nfed whole: wrong\n");
        return false;
    }
    for (size_t at = 0; at <= in.len; at++) {
        struct gw_str two[] = {split_copy(in.ptr, at), split_copy(in.ptr + at, in.len - at)};
        if (!split_free(two, 2, run(arg, two, 2))) {
            fprintf(stderr, "\ncut at %zu of %zu: wrong\n", at, in.len);
            return false;
        }
    }
    struct gw_str *bytes = gw_alloc((in.len + 1) * sizeof(*bytes));
    for (size_t i = 0; i < in.len; i++)
        bytes[i] = split_copy(in.ptr + i, 1);
    bool is_right = split_free(bytes, in.len, run(arg, bytes, in.len));
    free(bytes);
    if (!is_right) fprintf(stderr, "\nbyte by byte: wrong\n");
    return is_right;
}

// For parsers whose outcome is told as a text: run begins anew, feeds the pieces and writes it to
// out. True where every way of feeding gives the text of the whole input, which ret_whole (may be
// NULL; owned by caller) receives.
typedef void split_text_fn(void *arg, const struct gw_str *pieces, size_t n, struct gw_text *out);

struct split_text {
    split_text_fn *run;
    void *arg;
    struct gw_text whole, now;
    bool has_whole;
};

static inline bool split_compare(void *arg, const struct gw_str *pieces, size_t n) {
    struct split_text *t = arg;
    if (!t->has_whole) {
        t->run(t->arg, pieces, n, &t->whole);
        t->has_whole = true;
        return true;
    }
    gw_text_reset(&t->now);
    t->run(t->arg, pieces, n, &t->now);
    if (gw_str_eq(gw_text_str(&t->now), gw_text_str(&t->whole))) return true;
    fprintf(stderr, "\n--- whole\n" GW_STR_FMT "\n--- in pieces\n" GW_STR_FMT "\n",
            GW_STR_ARG(t->whole), GW_STR_ARG(t->now));
    return false;
}

static inline bool split_run_text(struct gw_str in, split_text_fn *run, void *arg,
                                  struct gw_text *ret_whole) {
    struct split_text t = {.run = run, .arg = arg};
    bool is_same = split_run(in, split_compare, &t);
    gw_text_fini(&t.now);
    if (ret_whole)
        *ret_whole = t.whole;
    else
        gw_text_fini(&t.whole);
    return is_same;
}

#endif
