// SPDX-License-Identifier: Apache-2.0
// Open addressing with linear probing. A deleted entry leaves a mark, so that iteration stays valid
// across deletion; marks go when the table is built anew.
#include "shared/map.h"

#include "shared/secret.h"

#include <pthread.h>
#include <stdlib.h>

#define CAP_MIN 8

// key NULL: free. key == deleted_mark: deleted.
struct gw_map_slot {
    uint64_t hash;
    char *key;
    size_t key_len;
    void *value;
};

static char deleted_mark[1];
static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_make(void) {
    gw_random(&seed, sizeof(seed));
}

static inline bool is_live(const struct gw_map_slot *s) {
    return s->key && s->key != deleted_mark;
}

void gw_map_fini(struct gw_map *m, void (*free_value)(void *)) {
    if (!m) return;
    for (size_t i = 0; i < m->cap; i++) {
        struct gw_map_slot *s = &m->slots[i];
        if (!is_live(s)) continue;
        if (free_value) free_value(s->value);
        free(s->key);
    }
    free(m->slots);
    *m = (struct gw_map){0};
}

// The slot of key, or NULL. A free slot always exists, so the walk ends.
static struct gw_map_slot *find(const struct gw_map *m, struct gw_str key, uint64_t hash) {
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct gw_map_slot *s = &m->slots[i];
        if (!s->key) return NULL;
        if (s->hash == hash && s->key != deleted_mark &&
            gw_str_eq((struct gw_str){s->key, s->key_len}, key)) {
            return s;
        }
    }
}

static struct gw_map_slot *first_free(const struct gw_map *m, uint64_t hash) {
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].key)
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

// At most half full afterwards; a table full of marks keeps its size.
static void rebuild(struct gw_map *m) {
    pthread_once(&seed_once, seed_make);
    size_t cap = CAP_MIN;
    while (cap < 2 * (m->len + 1))
        cap *= 2;
    struct gw_map bigger = {
        .slots = gw_alloc(cap * sizeof(struct gw_map_slot)),
        .cap = cap,
        .len = m->len,
        .used = m->len,
    };
    for (size_t i = 0; i < m->cap; i++) {
        if (is_live(&m->slots[i])) *first_free(&bigger, m->slots[i].hash) = m->slots[i];
    }
    free(m->slots);
    *m = bigger;
}

void *gw_map_get(const struct gw_map *m, struct gw_str key) {
    if (m->len == 0) return NULL;
    const struct gw_map_slot *s = find(m, key, gw_hash(key.ptr, key.len, seed));
    return s ? s->value : NULL;
}

void *gw_map_put(struct gw_map *m, struct gw_str key, void *value) {
    GW_ASSERT(value);
    if ((m->used + 1) * 4 > m->cap * 3) rebuild(m);
    uint64_t hash = gw_hash(key.ptr, key.len, seed);
    struct gw_map_slot *s = find(m, key, hash);
    if (s) {
        void *old = s->value;
        s->value = value;
        return old;
    }
    char *copy = gw_realloc(NULL, key.len + 1);
    if (key.len) memcpy(copy, key.ptr, key.len);
    copy[key.len] = '\0';
    *first_free(m, hash) = (struct gw_map_slot){hash, copy, key.len, value};
    m->len++;
    m->used++;
    return NULL;
}

void *gw_map_del(struct gw_map *m, struct gw_str key) {
    if (m->len == 0) return NULL;
    struct gw_map_slot *s = find(m, key, gw_hash(key.ptr, key.len, seed));
    if (!s) return NULL;
    void *value = s->value;
    free(s->key);
    *s = (struct gw_map_slot){.key = deleted_mark};
    m->len--;
    return value;
}

bool gw_map_next(const struct gw_map *m, size_t *it, struct gw_str *ret_key, void **ret_value) {
    for (; *it < m->cap; (*it)++) {
        const struct gw_map_slot *s = &m->slots[*it];
        if (!is_live(s)) continue;
        if (ret_key) *ret_key = (struct gw_str){s->key, s->key_len};
        if (ret_value) *ret_value = s->value;
        (*it)++;
        return true;
    }
    return false;
}

static int compare_keys(const void *a, const void *b) {
    return gw_str_cmp(*(const struct gw_str *)a, *(const struct gw_str *)b);
}

struct gw_str *gw_map_sorted_keys(const struct gw_map *m) {
    struct gw_str *keys = gw_alloc(m->len * sizeof(*keys));
    size_t it = 0, n = 0;
    while (gw_map_next(m, &it, &keys[n], NULL)) {
        if (++n == m->len) break;
    }
    if (n) qsort(keys, n, sizeof(*keys), compare_keys);
    return keys;
}
