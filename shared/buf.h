// SPDX-License-Identifier: Apache-2.0
// Body bytes: slabs of fixed size from a per-thread free list, reference-counted slices of them,
// and a queue of slices (struct gw_buf) with a byte count. No slab crosses a thread. No copy is
// made unless the name says so.
#ifndef GW_SHARED_BUF_H
#define GW_SHARED_BUF_H

#include "shared/str.h"

#include <sys/uio.h>

// One read of a 16 KiB body with its head fits; small enough that 2,000 held ones are 40 MiB.
#define GW_SLAB_BYTES (20 * 1024 - 64)
// Free slabs a thread keeps before it gives memory back.
#define GW_SLAB_FREE_MAX 128

struct gw_slab {
    unsigned refs;
    unsigned used; // bytes handed out from the front of data
    struct gw_slab *next_free;
    char data[GW_SLAB_BYTES];
};

struct gw_slab *gw_slab_get(void); // refs 1, used 0; of this thread
struct gw_slab *gw_slab_ref(struct gw_slab *s);
void gw_slab_unref(struct gw_slab *s); // NULL is accepted
void gw_slab_thread_fini(void);        // frees this thread's free list
size_t gw_slab_in_use(void);           // slabs of this thread that somebody holds (tests, metrics)

struct gw_slice {
    struct gw_slab *slab; // NULL: the bytes are static (a literal)
    const char *ptr;
    size_t len;
};

struct gw_buf_node {
    struct gw_buf_node *next;
    struct gw_slice slice;
};

// A queue of slices. Zero-initialised is valid and empty.
struct gw_buf {
    struct gw_buf_node *head, *tail;
    size_t bytes;
};

void gw_buf_fini(struct gw_buf *b); // = drop everything; usable again
// Takes a reference of slab (borrows where slab is NULL: then ptr must be static).
void gw_buf_push(struct gw_buf *b, struct gw_slab *slab, const char *ptr, size_t len);
void gw_buf_push_copy(struct gw_buf *b, const void *ptr, size_t len); // copies into slabs
void gw_buf_consume(struct gw_buf *b, size_t bytes);
void gw_buf_move(struct gw_buf *dst, struct gw_buf *src); // appends all of src, empties it
// Moves the first `bytes` of src to the end of dst, splitting a slice where needed.
void gw_buf_move_n(struct gw_buf *dst, struct gw_buf *src, size_t bytes);
// Fills at most max entries from the front; returns how many.
int gw_buf_iov(const struct gw_buf *b, struct iovec *iov, int max);
// Copies bytes [off, off+n) to dst; returns how many there were.
size_t gw_buf_peek(const struct gw_buf *b, size_t off, void *dst, size_t n);

#endif
