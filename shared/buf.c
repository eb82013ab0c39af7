// SPDX-License-Identifier: Apache-2.0
// Slabs, slices and queues of slices. Slabs and queue nodes come from free lists of the thread, so
// that a body passes without malloc; counts are plain because no slab crosses a thread.
#include "shared/buf.h"

#include <stdlib.h>

// Nodes a thread keeps; 1024 of them are 40 KiB.
#define NODE_FREE_MAX 1024
// Copies up to this size share one slab of the thread: chunk framing and the like would else cost
// a slab each.
#define COPY_SHARED_MAX 1024

static __thread struct {
    struct gw_slab *slabs;
    struct gw_buf_node *nodes;
    unsigned slab_count, node_count;
    size_t in_use;
    struct gw_slab *shared; // where small copies go; one reference is the thread's own
} pool;

// --- slabs -------------------------------------------------------------------------------------

struct gw_slab *gw_slab_get(void) {
    struct gw_slab *s = pool.slabs;
    if (GW_LIKELY(s)) {
        pool.slabs = s->next_free;
        pool.slab_count--;
    } else {
        s = gw_realloc(NULL, sizeof(*s));
    }
    s->refs = 1;
    s->used = 0;
    s->next_free = NULL;
    pool.in_use++;
    return s;
}

struct gw_slab *gw_slab_ref(struct gw_slab *s) {
    s->refs++;
    return s;
}

void gw_slab_unref(struct gw_slab *s) {
    if (!s) return;
    GW_ASSERT(s->refs > 0);
    if (--s->refs) return;
    pool.in_use--;
    if (pool.slab_count >= GW_SLAB_FREE_MAX) {
        free(s);
        return;
    }
    s->next_free = pool.slabs;
    pool.slabs = s;
    pool.slab_count++;
}

void gw_slab_thread_fini(void) {
    gw_slab_unref(pool.shared);
    pool.shared = NULL;
    while (pool.slabs) {
        struct gw_slab *next = pool.slabs->next_free;
        free(pool.slabs);
        pool.slabs = next;
    }
    while (pool.nodes) {
        struct gw_buf_node *next = pool.nodes->next;
        free(pool.nodes);
        pool.nodes = next;
    }
    pool.slab_count = pool.node_count = 0;
}

size_t gw_slab_in_use(void) {
    bool idle = pool.shared && pool.shared->refs == 1;
    return pool.in_use - (idle ? 1 : 0);
}

// --- queue nodes -------------------------------------------------------------------------------

static struct gw_buf_node *node_get(void) {
    struct gw_buf_node *n = pool.nodes;
    if (GW_UNLIKELY(!n)) return gw_realloc(NULL, sizeof(*n));
    pool.nodes = n->next;
    pool.node_count--;
    return n;
}

static void node_put(struct gw_buf_node *n) {
    if (pool.node_count >= NODE_FREE_MAX) {
        free(n);
        return;
    }
    n->next = pool.nodes;
    pool.nodes = n;
    pool.node_count++;
}

static void append(struct gw_buf *b, struct gw_buf_node *n) {
    n->next = NULL;
    if (b->tail) {
        b->tail->next = n;
    } else {
        b->head = n;
    }
    b->tail = n;
    b->bytes += n->slice.len;
}

static struct gw_buf_node *take_head(struct gw_buf *b) {
    struct gw_buf_node *n = b->head;
    b->head = n->next;
    if (!b->head) b->tail = NULL;
    b->bytes -= n->slice.len;
    return n;
}

static void drop_head(struct gw_buf *b) {
    struct gw_buf_node *n = take_head(b);
    gw_slab_unref(n->slice.slab);
    node_put(n);
}

// --- queue -------------------------------------------------------------------------------------

void gw_buf_fini(struct gw_buf *b) {
    if (!b) return;
    while (b->head)
        drop_head(b);
}

void gw_buf_push(struct gw_buf *b, struct gw_slab *slab, const char *ptr, size_t len) {
    if (len == 0) return;
    struct gw_slice *last = b->tail ? &b->tail->slice : NULL;
    if (slab && last && last->slab == slab && last->ptr + last->len == ptr) {
        last->len += len;
        b->bytes += len;
        return;
    }
    struct gw_buf_node *n = node_get();
    n->slice = (struct gw_slice){slab ? gw_slab_ref(slab) : NULL, ptr, len};
    append(b, n);
}

static inline size_t slab_room(const struct gw_slab *s) {
    return GW_SLAB_BYTES - s->used;
}

// A slab with room for some of the copy; with a reference of the caller. The slab of the last slice
// is gone on with where nobody else can hand out its bytes.
static struct gw_slab *slab_for_copy(struct gw_buf *b, size_t len) {
    const struct gw_slice *last = b->tail ? &b->tail->slice : NULL;
    struct gw_slab *s = last ? last->slab : NULL;
    if (s && (s->refs == 1 || s == pool.shared) && last->ptr + last->len == s->data + s->used &&
        slab_room(s) > 0) {
        return gw_slab_ref(s);
    }
    if (len > COPY_SHARED_MAX) return gw_slab_get();
    if (pool.shared && pool.shared->refs == 1) pool.shared->used = 0;
    if (!pool.shared || slab_room(pool.shared) < len) {
        gw_slab_unref(pool.shared);
        pool.shared = gw_slab_get();
    }
    return gw_slab_ref(pool.shared);
}

void gw_buf_push_copy(struct gw_buf *b, const void *ptr, size_t len) {
    const char *p = ptr;
    while (len) {
        struct gw_slab *s = slab_for_copy(b, len);
        size_t n = len < slab_room(s) ? len : slab_room(s);
        char *to = s->data + s->used;
        memcpy(to, p, n);
        s->used += (unsigned)n;
        gw_buf_push(b, s, to, n);
        gw_slab_unref(s);
        p += n;
        len -= n;
    }
}

void gw_buf_consume(struct gw_buf *b, size_t bytes) {
    GW_ASSERT(bytes <= b->bytes);
    while (bytes) {
        struct gw_slice *first = &b->head->slice;
        if (first->len > bytes) {
            first->ptr += bytes;
            first->len -= bytes;
            b->bytes -= bytes;
            return;
        }
        bytes -= first->len;
        drop_head(b);
    }
}

void gw_buf_move(struct gw_buf *dst, struct gw_buf *src) {
    if (!src->head || dst == src) return;
    if (dst->tail) {
        dst->tail->next = src->head;
    } else {
        dst->head = src->head;
    }
    dst->tail = src->tail;
    dst->bytes += src->bytes;
    *src = (struct gw_buf){0};
}

void gw_buf_move_n(struct gw_buf *dst, struct gw_buf *src, size_t bytes) {
    GW_ASSERT(dst != src && bytes <= src->bytes);
    while (bytes) {
        struct gw_slice *first = &src->head->slice;
        if (first->len > bytes) {
            gw_buf_push(dst, first->slab, first->ptr, bytes);
            first->ptr += bytes;
            first->len -= bytes;
            src->bytes -= bytes;
            return;
        }
        bytes -= first->len;
        append(dst, take_head(src));
    }
}

int gw_buf_iov(const struct gw_buf *b, struct iovec *iov, int max) {
    int n = 0;
    for (const struct gw_buf_node *node = b->head; node && n < max; node = node->next) {
        // iovec has no const; writev does not write.
        iov[n++] = (struct iovec){(void *)(uintptr_t)node->slice.ptr, node->slice.len};
    }
    return n;
}

size_t gw_buf_peek(const struct gw_buf *b, size_t off, void *dst, size_t n) {
    char *to = dst;
    size_t done = 0;
    for (const struct gw_buf_node *node = b->head; node && done < n; node = node->next) {
        const struct gw_slice *s = &node->slice;
        if (off >= s->len) {
            off -= s->len;
            continue;
        }
        size_t part = s->len - off < n - done ? s->len - off : n - done;
        memcpy(to + done, s->ptr + off, part);
        done += part;
        off = 0;
    }
    return done;
}
