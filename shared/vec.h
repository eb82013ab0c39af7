// SPDX-License-Identifier: Apache-2.0
// Growing arrays of any element type, as an anonymous struct plus macros:
//     GW_VEC(struct dp_rule *) rules = {0};
//     GW_VEC_PUSH(&rules, r);  for (size_t i = 0; i < rules.len; i++) use(rules.ptr[i]);
// Owned by caller; GW_VEC_FINI frees the array, not what elements point at.
#ifndef GW_SHARED_VEC_H
#define GW_SHARED_VEC_H

#include "shared/err.h"

#include <stdlib.h>
#include <string.h>

#define GW_VEC(type)                                                                               \
    struct {                                                                                       \
        type *ptr;                                                                                 \
        size_t len, cap;                                                                           \
    }

#define GW_VEC_RESERVE(v, n)                                                                       \
    do {                                                                                           \
        if ((n) > (v)->cap) {                                                                      \
            (v)->cap = (n) > 2 * (v)->cap ? (n) : 2 * (v)->cap;                                    \
            (v)->ptr = gw_realloc((v)->ptr, (v)->cap * sizeof(*(v)->ptr));                         \
        }                                                                                          \
    } while (0)
#define GW_VEC_PUSH(v, x)                                                                          \
    do {                                                                                           \
        GW_VEC_RESERVE(v, (v)->len + 1);                                                           \
        (v)->ptr[(v)->len++] = (x);                                                                \
    } while (0)
#define GW_VEC_POP(v) ((v)->ptr[--(v)->len])
// Ordered removal of element i.
#define GW_VEC_REMOVE(v, i)                                                                        \
    do {                                                                                           \
        memmove(&(v)->ptr[i], &(v)->ptr[(i) + 1], ((v)->len - (i)-1) * sizeof(*(v)->ptr));         \
        (v)->len--;                                                                                \
    } while (0)
#define GW_VEC_FINI(v)                                                                             \
    do {                                                                                           \
        free((v)->ptr);                                                                            \
        (v)->ptr = NULL;                                                                           \
        (v)->len = (v)->cap = 0;                                                                   \
    } while (0)

#endif
