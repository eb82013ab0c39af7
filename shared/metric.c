// SPDX-License-Identifier: Apache-2.0
// Every series owns consecutive slots of 64 bits (a histogram: one per bucket, one for +Inf, one
// for the sum); its id is the first of them. Every thread has a shard: chunks of slots that only it
// writes, as relaxed atomics, so that a scrape can read them at any moment. Shards are never freed:
// when a thread ends, its shard waits for the next new thread, which goes on adding to it.
#include "shared/metric.h"

#include "shared/map.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CHUNK_SLOTS 1024
#define CHUNKS_MAX 512
#define SLOTS_MAX (CHUNK_SLOTS * CHUNKS_MAX)
// Kept for the "other" series of families, so that these find slots when all else is full.
#define SLOTS_RESERVED (16 * CHUNK_SLOTS)
#define BUCKETS_MAX 62
#define CACHE_LINE_BYTES 64
#define HOOKS_MAX 32
// Label values can come from peers: longer ones are cut.
#define LABEL_VALUE_BYTES_MAX 256

struct series {
    struct series *_Atomic next; // of the family, in order of registration
    gw_metric_id id;
    const struct gw_metric_family *family;
    size_t buckets;
    char labels[]; // a="x",b="y"
};

struct family {
    const struct gw_metric_family *desc;
    struct series *_Atomic first;
    struct series *last;
};

struct shard {
    struct shard *next;      // all shards; set once
    struct shard *next_idle; // those whose thread has ended
    atomic_uint_fast64_t *_Atomic chunks[CHUNKS_MAX];
};

struct hook {
    void (*fn)(void *);
    void *arg;
};

static struct {
    pthread_mutex_t lock;
    struct gw_map families;  // by name
    struct gw_map by_labels; // name{labels} to series
    size_t series_count;
    uint32_t slots_used; // slot 0 belongs to the id "none"
    struct shard *idle;
    struct hook hooks[HOOKS_MAX];
    size_t hook_count;
    struct gw_text key; // scratch
} reg = {.lock = PTHREAD_MUTEX_INITIALIZER, .slots_used = 1};

// Readers take no lock: what they reach from here never goes away.
static struct shard *_Atomic shards;
static struct series *_Atomic series_at[SLOTS_MAX];

static __thread struct shard *my_shard;
static pthread_key_t shard_key;
static pthread_once_t shard_key_once = PTHREAD_ONCE_INIT;

// --- shards ------------------------------------------------------------------------------------

static void shard_leave(void *arg) {
    struct shard *s = arg;
    my_shard = NULL;
    pthread_mutex_lock(&reg.lock);
    s->next_idle = reg.idle;
    reg.idle = s;
    pthread_mutex_unlock(&reg.lock);
}

static void shard_key_make(void) {
    int rc = pthread_key_create(&shard_key, shard_leave);
    GW_ASSERT(rc == 0);
}

static struct shard *shard_join(void) {
    pthread_once(&shard_key_once, shard_key_make);
    pthread_mutex_lock(&reg.lock);
    struct shard *s = reg.idle;
    if (s) {
        reg.idle = s->next_idle;
    } else {
        s = gw_alloc(sizeof(*s));
        s->next = atomic_load_explicit(&shards, memory_order_relaxed);
        atomic_store_explicit(&shards, s, memory_order_release);
    }
    pthread_mutex_unlock(&reg.lock);
    pthread_setspecific(shard_key, s);
    my_shard = s;
    return s;
}

static atomic_uint_fast64_t *chunk_make(struct shard *s, gw_metric_id id) {
    // Aligned, so that its ends share no cache line with another thread's memory.
    uintptr_t at = (uintptr_t)gw_alloc(CHUNK_SLOTS * sizeof(uint64_t) + CACHE_LINE_BYTES);
    at = (at + CACHE_LINE_BYTES - 1) & ~(uintptr_t)(CACHE_LINE_BYTES - 1);
    atomic_uint_fast64_t *c = (atomic_uint_fast64_t *)at;
    atomic_store_explicit(&s->chunks[id / CHUNK_SLOTS], c, memory_order_release);
    return c;
}

// The slot of this thread. The slots of one series are in one chunk.
static inline atomic_uint_fast64_t *slot_of(gw_metric_id id) {
    struct shard *s = my_shard;
    if (GW_UNLIKELY(!s)) s = shard_join();
    atomic_uint_fast64_t *c =
        atomic_load_explicit(&s->chunks[id / CHUNK_SLOTS], memory_order_relaxed);
    if (GW_UNLIKELY(!c)) c = chunk_make(s, id);
    return &c[id % CHUNK_SLOTS];
}

// Load and store instead of a read-modify-write: nobody else writes here.
static inline void slot_add(atomic_uint_fast64_t *slot, uint64_t n) {
    uint64_t sum = atomic_load_explicit(slot, memory_order_relaxed) + n;
    atomic_store_explicit(slot, sum, memory_order_relaxed);
}

static uint64_t slot_sum(gw_metric_id id) {
    uint64_t sum = 0;
    const struct shard *s = atomic_load_explicit(&shards, memory_order_acquire);
    for (; s; s = s->next) {
        atomic_uint_fast64_t *c =
            atomic_load_explicit(&s->chunks[id / CHUNK_SLOTS], memory_order_acquire);
        if (c) sum += atomic_load_explicit(&c[id % CHUNK_SLOTS], memory_order_relaxed);
    }
    return sum;
}

// --- values ------------------------------------------------------------------------------------

void gw_metric_add(gw_metric_id id, int64_t n) {
    if (id) slot_add(slot_of(id), (uint64_t)n);
}

void gw_metric_set(gw_metric_id id, int64_t value) {
    if (id) atomic_store_explicit(slot_of(id), (uint64_t)value, memory_order_relaxed);
}

void gw_metric_observe(gw_metric_id id, uint64_t value) {
    if (!id) return;
    const struct series *s = atomic_load_explicit(&series_at[id], memory_order_acquire);
    const uint64_t *bounds = s->family->buckets;
    size_t i = 0;
    while (i < s->buckets && value > bounds[i])
        i++;
    atomic_uint_fast64_t *slots = slot_of(id);
    slot_add(&slots[i], 1);
    slot_add(&slots[s->buckets + 1], value);
}

int64_t gw_metric_get(gw_metric_id id) {
    if (!id) return 0;
    const struct series *s = atomic_load_explicit(&series_at[id], memory_order_acquire);
    if (s->family->type != GW_METRIC_HISTOGRAM) return (int64_t)slot_sum(id);
    uint64_t count = 0;
    for (gw_metric_id i = 0; i <= s->buckets; i++)
        count += slot_sum(id + i);
    return (int64_t)count;
}

// --- registering -------------------------------------------------------------------------------

// Escaping of the text format: backslash and newline, in label values the quote too. Bytes that are
// not UTF-8 would make the whole scrape invalid.
static void add_escaped(struct gw_text *t, struct gw_str s, bool is_quoted) {
    while (s.len) {
        size_t plain = 0;
        while (plain < s.len && s.ptr[plain] >= ' ' && s.ptr[plain] < 0x7f &&
               s.ptr[plain] != '\\' && s.ptr[plain] != '"')
            plain++;
        gw_text_add(t, s.ptr, plain);
        s = (struct gw_str){s.ptr + plain, s.len - plain};
        if (!s.len) return;
        size_t n = gw_utf8_char(s), taken = n ? n : 1;
        if (!n) {
            gw_text_adds(t, "\xef\xbf\xbd");
        } else if (*s.ptr == '\n') {
            gw_text_adds(t, "\\n");
        } else if (*s.ptr == '\\' || (is_quoted && *s.ptr == '"')) {
            gw_text_addf(t, "\\%c", *s.ptr);
        } else {
            gw_text_add(t, s.ptr, n);
        }
        s = (struct gw_str){s.ptr + taken, s.len - taken};
    }
}

// Cut between characters, so that the cut itself makes no U+FFFD.
static struct gw_str cut_value(struct gw_str v) {
    if (v.len <= LABEL_VALUE_BYTES_MAX) return v;
    v.len = LABEL_VALUE_BYTES_MAX;
    for (size_t back = 0; back < 3 && (v.ptr[v.len] & 0xc0) == 0x80; back++)
        v.len--;
    return v;
}

static void add_labels(struct gw_text *t, const struct gw_metric_family *f,
                       const struct gw_str *values) {
    for (size_t i = 0; f->labels[i]; i++) {
        // No formats: every rule of a snapshot is looked up at each change of it.
        gw_text_adds(t, i ? "," : "");
        gw_text_adds(t, f->labels[i]);
        gw_text_adds(t, "=\"");
        add_escaped(t, values ? cut_value(values[i]) : GW_STR("other"), true);
        gw_text_adds(t, "\"");
    }
}

static size_t bucket_count(const struct gw_metric_family *f) {
    if (f->type != GW_METRIC_HISTOGRAM) return 0;
    size_t n = 0;
    while (f->buckets[n]) {
        GW_ASSERT(n < BUCKETS_MAX && (n == 0 || f->buckets[n] > f->buckets[n - 1]));
        n++;
    }
    return n;
}

static struct family *family_of(const struct gw_metric_family *f) {
    struct family *fam = gw_map_get(&reg.families, gw_str_of(f->name));
    if (!fam) {
        fam = gw_alloc(sizeof(*fam));
        fam->desc = f;
        gw_map_put(&reg.families, gw_str_of(f->name), fam);
    }
    GW_ASSERT(fam->desc->type == f->type);
    return fam;
}

// First of n slots within one chunk, 0 where the room is at its end.
static gw_metric_id take_slots(uint32_t n, uint32_t max) {
    uint32_t at = reg.slots_used;
    if (at % CHUNK_SLOTS + n > CHUNK_SLOTS) at += CHUNK_SLOTS - at % CHUNK_SLOTS;
    if (at + n > max) return 0;
    reg.slots_used = at + n;
    return at;
}

// The series of these values (NULL: "other"), made where it is new and there is room. Locked.
static gw_metric_id series_locked(const struct gw_metric_family *f, const struct gw_str *values) {
    struct gw_text *key = &reg.key;
    gw_text_reset(key);
    gw_text_adds(key, f->name);
    gw_text_adds(key, "{");
    size_t labels_at = key->len;
    add_labels(key, f, values);
    struct series *s = gw_map_get(&reg.by_labels, gw_text_str(key));
    if (s) return s->id;
    if (values && reg.series_count >= GW_METRIC_SERIES_MAX) return 0;
    size_t buckets = bucket_count(f);
    uint32_t slots = f->type == GW_METRIC_HISTOGRAM ? (uint32_t)buckets + 2 : 1;
    gw_metric_id id = take_slots(slots, values ? SLOTS_MAX - SLOTS_RESERVED : SLOTS_MAX);
    if (!id) return 0;

    size_t labels_bytes = key->len - labels_at + 1;
    s = gw_alloc(sizeof(*s) + labels_bytes);
    s->id = id;
    s->family = f;
    s->buckets = buckets;
    memcpy(s->labels, key->ptr + labels_at, labels_bytes);
    gw_map_put(&reg.by_labels, gw_text_str(key), s);
    reg.series_count++;
    atomic_store_explicit(&series_at[id], s, memory_order_release);
    struct family *fam = family_of(f);
    atomic_store_explicit(fam->last ? &fam->last->next : &fam->first, s, memory_order_release);
    fam->last = s;
    return id;
}

gw_metric_id gw_metric_series(const struct gw_metric_family *f, const struct gw_str *values) {
    // A family without labels has no values to give; its one series is not an "other".
    static const struct gw_str no_values[1];
    pthread_mutex_lock(&reg.lock);
    gw_metric_id id = series_locked(f, values ? values : no_values);
    if (!id) id = series_locked(f, NULL);
    pthread_mutex_unlock(&reg.lock);
    return id;
}

// --- output ------------------------------------------------------------------------------------

void gw_metric_on_scrape(void (*fn)(void *), void *arg) {
    pthread_mutex_lock(&reg.lock);
    GW_ASSERT(reg.hook_count < HOOKS_MAX);
    reg.hooks[reg.hook_count++] = (struct hook){fn, arg};
    pthread_mutex_unlock(&reg.lock);
}

// Without the lock, because hooks register series themselves.
static void run_hooks(void) {
    struct hook hooks[HOOKS_MAX];
    pthread_mutex_lock(&reg.lock);
    size_t n = reg.hook_count;
    memcpy(hooks, reg.hooks, sizeof(hooks));
    pthread_mutex_unlock(&reg.lock);
    for (size_t i = 0; i < n; i++)
        hooks[i].fn(hooks[i].arg);
}

static void add_sample_name(struct gw_text *t, const struct series *s, const char *suffix) {
    gw_text_addf(t, "%s%s", s->family->name, suffix);
    if (s->labels[0]) gw_text_addf(t, "{%s}", s->labels);
}

static void add_histogram(struct gw_text *t, const struct series *s) {
    double unit = s->family->unit > 0 ? s->family->unit : 1;
    const char *comma = s->labels[0] ? "," : "";
    uint64_t count = 0;
    for (gw_metric_id i = 0; i <= s->buckets; i++) {
        count += slot_sum(s->id + i);
        gw_text_addf(t, "%s_bucket{%s%sle=\"", s->family->name, s->labels, comma);
        if (i < s->buckets) {
            gw_text_addf(t, "%.15g", (double)s->family->buckets[i] / unit);
        } else {
            gw_text_adds(t, "+Inf");
        }
        gw_text_addf(t, "\"} %" PRIu64 "\n", count);
    }
    uint64_t sum = slot_sum(s->id + (gw_metric_id)s->buckets + 1);
    add_sample_name(t, s, "_sum");
    gw_text_addf(t, " %.15g\n", (double)sum / unit);
    add_sample_name(t, s, "_count");
    gw_text_addf(t, " %" PRIu64 "\n", count);
}

static void add_family(struct gw_text *t, const struct family *fam) {
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const struct gw_metric_family *f = fam->desc;
    gw_text_addf(t, "# HELP %s ", f->name);
    add_escaped(t, gw_str_of(f->help), false);
    gw_text_addf(t, "\n# TYPE %s %s\n", f->name, types[f->type]);
    const struct series *s = atomic_load_explicit(&fam->first, memory_order_acquire);
    for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire)) {
        if (f->type == GW_METRIC_HISTOGRAM) {
            add_histogram(t, s);
            continue;
        }
        add_sample_name(t, s, "");
        gw_text_addf(t, " %" PRId64 "\n", (int64_t)slot_sum(s->id));
    }
}

// Families sorted by name; the array is the caller's.
static const struct family **families_sorted(size_t *ret_count) {
    pthread_mutex_lock(&reg.lock);
    size_t n = reg.families.len;
    const struct family **list = gw_alloc(n * sizeof(struct family *));
    struct gw_str *names = gw_map_sorted_keys(&reg.families);
    for (size_t i = 0; i < n; i++)
        list[i] = gw_map_get(&reg.families, names[i]);
    free(names);
    pthread_mutex_unlock(&reg.lock);
    *ret_count = n;
    return list;
}

void gw_metric_text(struct gw_text *out) {
    run_hooks();
    size_t n = 0;
    const struct family **list = families_sorted(&n);
    for (size_t i = 0; i < n; i++)
        add_family(out, list[i]);
    free(list);
}
