// SPDX-License-Identifier: Apache-2.0
// JSON in two ways.
// 1. Readers over jansson trees, for control data (never on a fiber: a deep text overflows it).
// 2. struct gw_jscan: an iterative scanner over bytes that arrive in any pieces. It keeps no text
//    but what a caller watches, is resumable at any byte, capped in depth, never allocates, and
//    accepts exactly RFC 8259 (what jansson accepts with JSON_DECODE_ANY | JSON_REJECT_DUPLICATES
//    off, UTF-8 checked, but "\u0000", lone surrogates and any number size allowed).
#ifndef GW_SHARED_JSON_H
#define GW_SHARED_JSON_H

#include "shared/str.h"

#include <jansson.h>

// --- readers -----------------------------------------------------------------------------------

// Borrowed values; a missing member gives the default. Types were checked before (schema.h).
struct gw_str gw_json_str(const json_t *obj, const char *key); // {NULL,0} where absent
struct gw_str gw_json_str_of(const json_t *string);
int64_t gw_json_int(const json_t *obj, const char *key, int64_t otherwise);
bool gw_json_bool(const json_t *obj, const char *key, bool otherwise);
// NULL where absent, null or not an object.
json_t *gw_json_get(const json_t *obj, const char *key);
json_t *gw_json_path(const json_t *obj, const char *dotted); // "metadata.name"
// At most bytes_max long and depth_max deep (checked by the scanner before jansson sees it).
json_t *gw_json_load(struct gw_str text, size_t bytes_max, unsigned depth_max, struct gw_err *err);
// Sorted keys, no blanks, minimal escapes: equal trees give equal bytes. Owned by caller (free).
char *gw_json_canonical(const json_t *v, size_t *ret_len);
static inline void gw_json_decref(json_t **v) {
    json_decref(*v);
}
#define GW_JSON_AUTO GW_CLEANUP(gw_json_decref) json_t *

// --- scanner -----------------------------------------------------------------------------------

enum gw_jtype {
    GW_JT_NONE, // not seen (yet)
    GW_JT_OBJECT,
    GW_JT_ARRAY,
    GW_JT_STRING,
    GW_JT_NUMBER,
    GW_JT_TRUE,
    GW_JT_FALSE,
    GW_JT_NULL,
};

#define GW_JSCAN_DEPTH_MAX 256 // hard; an init may ask for less
#define GW_JSCAN_WATCH_MAX 16
#define GW_JSCAN_KEY_MAX 64 // longer keys cannot be watched and are only skipped
#define GW_JSCAN_PATH_MAX 6 // parts of a path

// What a caller wants to know of one member. path: member names joined by '.', "[]" stands for
// every element of an array: "model", "stream_options.include_usage", "choices[].delta.content".
// A member name itself has no '.' or '['. Paths are static const.
struct gw_jwatch {
    const char *path;
    unsigned flags;
};
// Twice at its level is GW_ERR_INPUT (keys compared unescaped). Not for paths with [].
#define GW_JWATCH_ONCE 1u

// Where and what a watched member is. Offsets count from the first byte of the text, are of the
// value's first byte and one past its last. With [] paths: first and count tell of the occurrences,
// the other members of the last one.
struct gw_jfound {
    enum gw_jtype type;
    bool done; // the value has ended
    uint64_t begin, end;
    uint64_t count;    // occurrences so far
    uint64_t bytes;    // sum of the occurrences' value bytes (raw, quotes included)
    uint64_t children; // elements or members of the value, for arrays and objects
    // The value's raw bytes as far as `capture` reaches (strings without quotes, still escaped).
    // truncated: the value was longer.
    char *capture; // caller's memory, set before the scan; NULL: not wanted
    size_t capture_cap, capture_len;
    bool truncated;
};

// Fixed size; the caller may put it anywhere. Members are private.
struct gw_jscan {
    const struct gw_jwatch *watch;
    struct gw_jfound *found;
    unsigned watch_n;
    unsigned depth_max;
    uint64_t offset;       // bytes taken so far
    uint64_t top_end;      // end of the top-level object's or array's last byte before its bracket
    uint64_t top_children; // members or elements of the top-level container
    bool top_is_object;
    uint64_t priv[200]; // state of the scanner: see jscan.c, which checks the size at compile time
};

// watch and found (watch_n each) are borrowed for the life of the scan; found is zeroed but for
// capture and capture_cap. depth_max 0: GW_JSCAN_DEPTH_MAX.
void gw_jscan_init(struct gw_jscan *s, const struct gw_jwatch *watch, struct gw_jfound *found,
                   unsigned watch_n, unsigned depth_max);
// A new text for a scanner that was initialised before, with the same watches, found and depth.
void gw_jscan_reset(struct gw_jscan *s);
// Takes all n bytes. GW_OK: fine so far. GW_ERR_INPUT: not JSON, or a watched member twice; the
// text says what, at which byte ("JSON is nested more than 64 deep at byte 812"; code 400). After
// an error the scan stays in error. Bytes after the top-level value other than blanks are an error.
enum gw_rc gw_jscan_feed(struct gw_jscan *s, const char *p, size_t n, struct gw_err *err);
// GW_OK where a whole value was seen, else GW_ERR_INPUT ("JSON ends too early at byte N").
enum gw_rc gw_jscan_finish(struct gw_jscan *s, struct gw_err *err);
// True once the top-level value is complete (more blanks may follow).
bool gw_jscan_complete(const struct gw_jscan *s);

// Unescapes a raw string body (as captured) into dst (cap >= raw.len is always enough); false on a
// bad escape. Lone surrogates become U+FFFD.
bool gw_json_unescape(struct gw_str raw, char *dst, size_t cap, size_t *ret_len);
// A captured number as an unsigned integer ("12", "12.0", "1.2e1"); false where it is none or over
// 2^53.
bool gw_json_number_u64(struct gw_str raw, uint64_t *ret);

#endif
