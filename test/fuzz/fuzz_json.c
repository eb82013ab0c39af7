// SPDX-License-Identifier: Apache-2.0
// The JSON scanner on any bytes: whole, cut in two and byte by byte it says the same; it accepts
// what jansson accepts, and what it tells of watched members is what jansson finds there.
#include "shared/json.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MAX 65536
#define BYTEWISE_BYTES_MAX 4096
#define CAPTURE_BYTES 24
#define DEPTH_MAX 64

static const struct gw_jwatch watches[] = {
    {"a", 0},
    {"b", GW_JWATCH_ONCE},
    {"a.b", 0},
    {"usage.prompt_tokens_details.cached_tokens", 0},
    {"choices[].delta.content", 0},
    {"choices[].finish_reason", 0},
    {"[]", 0},
    {"[][].a", 0},
};
#define WATCHES GW_ARRAY_LEN(watches)

// What one way of feeding told.
struct outcome {
    enum gw_rc rc;
    struct gw_err err;
    struct gw_jscan scan;
    struct gw_jfound found[WATCHES];
    char captured[WATCHES][CAPTURE_BYTES];
};

static void begin(struct outcome *o) {
    for (size_t w = 0; w < WATCHES; w++) {
        o->found[w].capture = o->captured[w];
        o->found[w].capture_cap = CAPTURE_BYTES;
    }
    gw_jscan_init(&o->scan, watches, o->found, WATCHES, DEPTH_MAX);
}

static void feed(struct outcome *o, struct gw_str piece) {
    char *copy = gw_alloc(piece.len ? piece.len : 1);
    if (piece.len) memcpy(copy, piece.ptr, piece.len);
    o->rc = gw_jscan_feed(&o->scan, copy, piece.len, &o->err);
    free(copy);
}

// step: bytes of each piece.
static void run(struct outcome *o, struct gw_str in, size_t step) {
    begin(o);
    o->rc = GW_OK;
    for (size_t at = 0; at < in.len && o->rc == GW_OK; at += step) {
        size_t n = in.len - at < step ? in.len - at : step;
        feed(o, (struct gw_str){in.ptr + at, n});
    }
    if (o->rc != GW_OK) {
        struct gw_err again;
        GW_ASSERT(gw_jscan_feed(&o->scan, " ", 1, &again) == GW_ERR_INPUT);
        GW_ASSERT(gw_jscan_finish(&o->scan, &again) == GW_ERR_INPUT);
        return;
    }
    o->rc = gw_jscan_finish(&o->scan, &o->err);
    GW_ASSERT(gw_jscan_complete(&o->scan) == (o->rc == GW_OK));
}

static bool is_same_found(const struct gw_jfound *a, const struct gw_jfound *b) {
    return a->type == b->type && a->done == b->done && a->begin == b->begin && a->end == b->end &&
           a->count == b->count && a->bytes == b->bytes && a->children == b->children &&
           a->capture_len == b->capture_len && a->truncated == b->truncated &&
           memcmp(a->capture, b->capture, a->capture_len) == 0;
}

static void compare(const struct outcome *whole, struct gw_str in, size_t step) {
    struct outcome *o = gw_alloc(sizeof(*o));
    run(o, in, step);
    GW_ASSERT(o->rc == whole->rc);
    if (o->rc != GW_OK) {
        GW_ASSERT(strcmp(o->err.text, whole->err.text) == 0);
    } else {
        GW_ASSERT(o->scan.top_end == whole->scan.top_end);
        GW_ASSERT(o->scan.top_children == whole->scan.top_children);
        GW_ASSERT(o->scan.top_is_object == whole->scan.top_is_object);
        for (size_t w = 0; w < WATCHES; w++)
            GW_ASSERT(is_same_found(&o->found[w], &whole->found[w]));
    }
    free(o);
}

// --- against jansson ----------------------------------------------------------------------------

// jansson has limits of its own that are none of JSON.
static bool has_own_limit(const json_error_t *error) {
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_stack_overflow ||
           code == json_error_null_character || code == json_error_null_byte_in_key ||
           strncmp(error->text, "invalid Unicode '", 17) == 0; // half a surrogate pair
}

// The bytes at a watched member's offsets are a value, and of the type that was told.
static void check_found(struct gw_str in, const struct gw_jfound *f) {
    static const int types[] = {
        [GW_JT_OBJECT] = JSON_OBJECT, [GW_JT_ARRAY] = JSON_ARRAY, [GW_JT_STRING] = JSON_STRING,
        [GW_JT_TRUE] = JSON_TRUE,     [GW_JT_FALSE] = JSON_FALSE, [GW_JT_NULL] = JSON_NULL,
    };
    json_error_t error;
    if (!f->count) return;
    GW_ASSERT(f->done && f->begin < f->end && f->end <= in.len);
    GW_ASSERT(f->capture_len <= CAPTURE_BYTES && f->bytes >= f->end - f->begin);
    json_t *v =
        json_loadb(in.ptr + f->begin, f->end - f->begin, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!v) {
        GW_ASSERT(has_own_limit(&error));
        return;
    }
    if (f->type == GW_JT_NUMBER)
        GW_ASSERT(json_is_number(v));
    else
        GW_ASSERT((int)json_typeof(v) == types[f->type]);
    if (json_is_array(v)) GW_ASSERT(f->children == json_array_size(v));
    size_t quotes = f->type == GW_JT_STRING, raw = f->end - f->begin - 2 * quotes;
    GW_ASSERT(f->truncated == (raw > CAPTURE_BYTES));
    GW_ASSERT(f->capture_len == (f->truncated ? CAPTURE_BYTES : raw));
    GW_ASSERT(memcmp(f->capture, in.ptr + f->begin + quotes, f->capture_len) == 0);
    if (f->type == GW_JT_STRING) {
        char *plain = gw_alloc(raw + 1);
        size_t n;
        GW_ASSERT(gw_json_unescape((struct gw_str){in.ptr + f->begin + 1, raw}, plain, raw, &n));
        GW_ASSERT(gw_str_eq((struct gw_str){plain, n}, gw_json_str_of(v)));
        free(plain);
    }
    json_decref(v);
}

// A watch on a plain name tells of the last member of that name, as jansson keeps the last.
static void check_member(const json_t *root, const char *name, const struct gw_jfound *f) {
    const json_t *v = json_object_get(root, name);
    GW_ASSERT((v != NULL) == (f->count > 0));
    if (json_is_string(v)) GW_ASSERT(f->type == GW_JT_STRING);
}

static void against_jansson(struct gw_str in, const struct outcome *o) {
    json_error_t error;
    if (memchr(in.ptr, 0, in.len)) { // never JSON; jansson loses one that follows a number
        GW_ASSERT(o->rc != GW_OK);
        return;
    }
    json_t *root = json_loadb(in.ptr, in.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    bool is_own_refusal =
        strstr(o->err.text, "occurs twice") != NULL || strstr(o->err.text, "nested") != NULL;
    if (!root) {
        GW_ASSERT(o->rc != GW_OK || has_own_limit(&error));
    } else if (o->rc != GW_OK) {
        GW_ASSERT(is_own_refusal);
    } else if (json_is_object(root)) {
        GW_ASSERT(o->scan.top_is_object && in.ptr[o->scan.top_end] == '}');
        GW_ASSERT(o->scan.top_children >= json_object_size(root));
        check_member(root, "a", &o->found[0]);
        check_member(root, "b", &o->found[1]);
    } else if (json_is_array(root)) {
        GW_ASSERT(!o->scan.top_is_object && in.ptr[o->scan.top_end] == ']');
        GW_ASSERT(o->scan.top_children == json_array_size(root));
        GW_ASSERT(o->found[6].count == json_array_size(root));
    }
    json_decref(root);
}

// The readers of a captured text take any bytes.
static void read_as_captured(struct gw_str in) {
    char *plain = gw_alloc(in.len + 1);
    uint64_t number;
    size_t n;
    if (gw_json_unescape(in, plain, in.len, &n)) GW_ASSERT(n <= in.len);
    if (gw_json_number_u64(in, &number)) GW_ASSERT(number <= 1ull << 53);
    free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > BYTES_MAX) return 0;
    struct gw_str in = {(const char *)data, size};
    struct outcome *whole = gw_alloc(sizeof(*whole));
    run(whole, in, size);
    compare(whole, in, 1 + gw_hash(data, size, 1) % size);
    if (size <= BYTEWISE_BYTES_MAX) compare(whole, in, 1);
    against_jansson(in, whole);
    for (size_t w = 0; w < WATCHES && whole->rc == GW_OK; w++)
        check_found(in, &whole->found[w]);
    read_as_captured(in);
    struct gw_err err;
    json_decref(gw_json_load(in, BYTES_MAX, DEPTH_MAX, &err));
    free(whole);
    return 0;
}
