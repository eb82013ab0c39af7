// SPDX-License-Identifier: Apache-2.0
// Connections that sleep, in a binary heap by due time. A connection knows its place, so that it
// can leave before its time.
#include "test/demo/demo.h"

#include <stdlib.h>

static struct demo_conn **heap; // 1-based
static size_t heap_len, heap_cap;

static void place(struct demo_conn *conn, size_t slot) {
    heap[slot] = conn;
    conn->timer_slot = slot;
}

static void sift_up(struct demo_conn *conn, size_t slot) {
    while (slot > 1 && heap[slot / 2]->due_us > conn->due_us) {
        place(heap[slot / 2], slot);
        slot /= 2;
    }
    place(conn, slot);
}

static void sift_down(struct demo_conn *conn, size_t slot) {
    while (slot * 2 <= heap_len) {
        size_t child = slot * 2;
        if (child < heap_len && heap[child + 1]->due_us < heap[child]->due_us) child++;
        if (heap[child]->due_us >= conn->due_us) break;
        place(heap[child], slot);
        slot = child;
    }
    place(conn, slot);
}

void demo_timer_set(struct demo_conn *conn, uint64_t due_us) {
    demo_timer_clear(conn);
    if (heap_len + 2 > heap_cap) {
        heap_cap = heap_cap ? heap_cap * 2 : 64;
        heap = realloc(heap, heap_cap * sizeof(struct demo_conn *));
        if (!heap) abort();
    }
    conn->due_us = due_us;
    sift_up(conn, ++heap_len);
}

void demo_timer_clear(struct demo_conn *conn) {
    size_t slot = conn->timer_slot;
    if (!slot) return;
    conn->timer_slot = 0;
    struct demo_conn *last = heap[heap_len--];
    if (last == conn) return;
    sift_up(last, slot);
    sift_down(last, last->timer_slot);
}

struct demo_conn *demo_timer_due(uint64_t now_us) {
    if (heap_len == 0 || heap[1]->due_us > now_us) return NULL;
    struct demo_conn *conn = heap[1];
    demo_timer_clear(conn);
    return conn;
}

int demo_timer_wait_ms(uint64_t now_us) {
    if (heap_len == 0) return -1;
    if (heap[1]->due_us <= now_us) return 0;
    uint64_t ms = (heap[1]->due_us - now_us + 999) / 1000;
    return ms > 60000 ? 60000 : (int)ms;
}
