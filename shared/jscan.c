// SPDX-License-Identifier: Apache-2.0
// The scanner of json.h: one pass, resumable at any byte, no allocation, no recursion. What no
// watch can reach is only checked for being JSON.
#include "shared/jscan_bytes.h"
#include "shared/json.h"

#include <stdio.h>

enum state {
    S_VALUE,       // a value must come
    S_FIRST_VALUE, // after '[': a value or ']'
    S_FIRST_KEY,   // after '{': a key or '}'
    S_KEY,         // after ',' in an object
    S_COLON,
    S_AFTER_VALUE, // ',' or the end of the container
    S_STRING,
    S_ESCAPE,
    S_HEX,
    S_LITERAL,
    S_MINUS, // parts of a number (RFC 8259 6)
    S_ZERO,
    S_INT,
    S_POINT,
    S_FRACTION,
    S_E,
    S_E_SIGN,
    S_EXPONENT,
    S_DONE,
    S_ERROR,
};

#define LEVELS (GW_JSCAN_PATH_MAX + 1)
// Every character of a key may be written as \uXXXX.
#define KEY_RAW_MAX (GW_JSCAN_KEY_MAX * 6)

struct priv {
    uint8_t state, lit_pos, lit_len, hex_left, utf8_left, utf8_low, utf8_high;
    bool is_key, key_escaped, key_long;
    uint16_t depth, key_len;
    const char *literal;
    uint64_t is_object[GW_JSCAN_DEPTH_MAX / 64];
    uint16_t live[LEVELS + 1]; // by depth of the container: watches that may match a member in it
    uint16_t open[LEVELS + 1]; // by depth of the container: watches whose value it is
    uint16_t pending;          // watches whose path the next value continues or meets
    uint16_t scalar;           // watches whose value is the scalar under way
    uint16_t capturing;        // watches that want bytes of what is under way
    // By depth of the container: bits of the first bytes (modulo 32) of the parts that live watches
    // wait for, so that most keys are passed by at once.
    uint32_t first[LEVELS + 1];
    // By depth of the container: where a live watch's path goes on. Paths are read as far as the
    // text follows them, so that to begin costs next to nothing.
    uint16_t part[LEVELS + 1][GW_JSCAN_WATCH_MAX];
    char key[KEY_RAW_MAX]; // of a key in several pieces
};
_Static_assert(sizeof(struct priv) <= sizeof(((struct gw_jscan *)0)->priv), "priv is too small");

static struct priv *priv_of(struct gw_jscan *s) {
    return (struct priv *)s->priv;
}

static const struct priv *priv_of_const(const struct gw_jscan *s) {
    return (const struct priv *)s->priv;
}

static uint32_t first_bit(char ch) {
    return 1u << ((unsigned char)ch & 31);
}

void gw_jscan_init(struct gw_jscan *s, const struct gw_jwatch *watch, struct gw_jfound *found,
                   unsigned watch_n, unsigned depth_max) {
    GW_ASSERT(watch_n <= GW_JSCAN_WATCH_MAX);
    s->watch = watch;
    s->found = found;
    s->watch_n = watch_n;
    s->depth_max = depth_max && depth_max < GW_JSCAN_DEPTH_MAX ? depth_max : GW_JSCAN_DEPTH_MAX;
    gw_jscan_reset(s);
}

void gw_jscan_reset(struct gw_jscan *s) {
    struct priv *v = priv_of(s);
    s->offset = s->top_end = s->top_children = 0;
    s->top_is_object = false;
    memset(v, 0, offsetof(struct priv, part[2])); // deeper parts are written before they are read
    v->state = S_VALUE;
    v->live[1] = (uint16_t)((1u << s->watch_n) - 1);
    for (unsigned w = 0; w < s->watch_n; w++) {
        struct gw_jfound *f = &s->found[w];
        v->first[1] |= first_bit(s->watch[w].path[0]);
        *f = (struct gw_jfound){.capture = f->capture, .capture_cap = f->capture_cap};
    }
}

// --- errors --------------------------------------------------------------------------------------

static enum gw_rc fail(struct gw_jscan *s, uint64_t at, struct gw_err *err, const char *what) {
    priv_of(s)->state = S_ERROR;
    return gw_err_set(err, GW_ERR_INPUT, 400, "%s at byte %llu", what, (unsigned long long)at);
}

// --- what is watched -----------------------------------------------------------------------------

static void capture(struct gw_jscan *s, unsigned w, const char *p, size_t n) {
    struct gw_jfound *f = &s->found[w];
    size_t room = f->capture_cap - f->capture_len;
    if (n > room) {
        f->truncated = true;
        n = room;
    }
    if (n) memcpy(f->capture + f->capture_len, p, n);
    f->capture_len += n;
}

// Bytes [from, to) of this feed belong to everything that is captured right now.
static void capture_all(struct gw_jscan *s, uint16_t mask, const char *from, const char *to) {
    for (; mask && to > from; mask &= (uint16_t)(mask - 1))
        capture(s, (unsigned)__builtin_ctz(mask), from, (size_t)(to - from));
}

// Whether the path of a watch that a value at this depth continued ends with that value.
static bool is_whole(const struct gw_jscan *s, unsigned w, unsigned depth) {
    return s->watch[w].path[priv_of_const(s)->part[depth + 1][w]] == 0;
}

// A value begins; *ret_targets are the watches that it is the value of.
static enum gw_rc begin_value(struct gw_jscan *s, enum gw_jtype type, uint64_t at,
                              uint16_t *ret_targets, struct gw_err *err) {
    struct priv *v = priv_of(s);
    unsigned d = v->depth;
    if (d == 1) s->top_children++;
    if (d <= LEVELS)
        for (uint16_t m = v->open[d]; m; m &= (uint16_t)(m - 1))
            s->found[__builtin_ctz(m)].children++;
    uint16_t targets = 0;
    for (uint16_t m = v->pending; m; m &= (uint16_t)(m - 1)) {
        unsigned w = (unsigned)__builtin_ctz(m);
        struct gw_jfound *f = &s->found[w];
        if (!is_whole(s, w, d)) continue;
        if (f->count && (s->watch[w].flags & GW_JWATCH_ONCE)) {
            char what[160];
            snprintf(what, sizeof(what), "'%s' occurs twice", s->watch[w].path);
            return fail(s, at, err, what);
        }
        f->type = type;
        f->done = false;
        f->begin = at;
        f->count++;
        f->children = 0;
        f->capture_len = 0;
        f->truncated = false;
        targets |= (uint16_t)(1u << w);
        if (f->capture) v->capturing |= (uint16_t)(1u << w);
    }
    *ret_targets = targets;
    return GW_OK;
}

static void end_value(struct gw_jscan *s, uint16_t targets, uint64_t end) {
    priv_of(s)->capturing &= (uint16_t)~targets;
    for (; targets; targets &= (uint16_t)(targets - 1)) {
        struct gw_jfound *f = &s->found[__builtin_ctz(targets)];
        f->end = end;
        f->bytes += end - f->begin;
        f->done = true;
    }
}

static bool in_object(const struct priv *v) {
    unsigned d = v->depth - 1u;
    return v->is_object[d / 64] >> (d % 64) & 1;
}

static bool is_part_end(char ch) {
    return ch == 0 || ch == '.' || ch == '[';
}

static bool is_name(const char *part, const char *key, size_t key_len) {
    size_t i = 0;
    while (i < key_len && part[i] == key[i] && !is_part_end(part[i]))
        i++;
    return i == key_len && i > 0 && is_part_end(part[i]);
}

// Which watches the next value concerns: by key in an object, by "[]" (key NULL) in an array.
static void match(struct gw_jscan *s, struct priv *v, const char *key, size_t key_len) {
    unsigned d = v->depth;
    v->pending = 0;
    if (d > GW_JSCAN_PATH_MAX) return;
    if (key && (key_len == 0 || !(v->first[d] & first_bit(key[0])))) return;
    for (uint16_t m = v->live[d]; m; m &= (uint16_t)(m - 1)) {
        unsigned w = (unsigned)__builtin_ctz(m);
        const char *path = s->watch[w].path;
        size_t at = v->part[d][w];
        if (key ? !is_name(path + at, key, key_len) : path[at] != '[') continue;
        at += key ? key_len : 2;
        v->part[d + 1][w] = (uint16_t)(path[at] == '.' ? at + 1 : at);
        v->pending |= (uint16_t)(1u << w);
    }
}

static void end_key(struct gw_jscan *s, struct priv *v, const char *key, size_t n) {
    char plain[KEY_RAW_MAX];
    v->pending = 0;
    if (v->depth > GW_JSCAN_PATH_MAX || !v->live[v->depth] || v->key_long) return;
    if (v->key_escaped) {
        if (!gw_json_unescape((struct gw_str){key, n}, plain, sizeof(plain), &n)) return;
        key = plain;
    }
    match(s, v, key, n);
}

// --- containers ----------------------------------------------------------------------------------

static enum gw_rc open_container(struct gw_jscan *s, bool object, uint64_t at, struct gw_err *err) {
    struct priv *v = priv_of(s);
    uint16_t targets;
    if (v->depth >= s->depth_max) {
        char what[80];
        snprintf(what, sizeof(what), "JSON is nested more than %u deep", s->depth_max);
        return fail(s, at, err, what);
    }
    GW_TRY(begin_value(s, object ? GW_JT_OBJECT : GW_JT_ARRAY, at, &targets, err));
    unsigned d = ++v->depth;
    uint64_t bit = 1ull << ((d - 1) % 64);
    if (object)
        v->is_object[(d - 1) / 64] |= bit;
    else
        v->is_object[(d - 1) / 64] &= ~bit;
    if (d == 1) {
        s->top_is_object = object;
    } else if (d <= LEVELS) {
        uint16_t live = 0;
        v->first[d] = 0;
        for (uint16_t m = v->pending; m; m &= (uint16_t)(m - 1)) {
            unsigned w = (unsigned)__builtin_ctz(m);
            if (is_whole(s, w, d - 1)) continue;
            live |= (uint16_t)(1u << w);
            v->first[d] |= first_bit(s->watch[w].path[v->part[d][w]]);
        }
        v->live[d] = live;
        v->open[d] = targets;
    }
    v->pending = 0;
    v->state = object ? S_FIRST_KEY : S_FIRST_VALUE;
    return GW_OK;
}

static void after_value(struct priv *v) {
    v->state = v->depth ? S_AFTER_VALUE : S_DONE;
}

static enum gw_rc close_container(struct gw_jscan *s, char ch, const char *p, const char **from,
                                  uint64_t at, struct gw_err *err) {
    struct priv *v = priv_of(s);
    if (v->depth == 0 || in_object(v) != (ch == '}'))
        return fail(s, at, err, "unexpected bracket in JSON");
    unsigned d = v->depth;
    if (d == 1) s->top_end = at;
    if (d <= LEVELS && v->open[d]) {
        capture_all(s, v->capturing, *from, p + 1);
        *from = p + 1;
        end_value(s, v->open[d], at + 1);
        v->open[d] = 0;
    }
    v->depth--;
    after_value(v);
    return GW_OK;
}

// --- strings -------------------------------------------------------------------------------------

static void add_key_bytes(struct priv *v, const char *p, size_t n) {
    if (v->depth > GW_JSCAN_PATH_MAX || !v->live[v->depth]) return;
    if (n > sizeof(v->key) - v->key_len) {
        v->key_long = true;
        return;
    }
    memcpy(v->key + v->key_len, p, n);
    v->key_len = (uint16_t)(v->key_len + n);
}

static void end_string(struct gw_jscan *s, struct priv *v, const char *p, const char **from,
                       uint64_t at) {
    if (v->scalar) {
        // The quotes belong to the value but not to what is captured of a string itself.
        capture_all(s, v->capturing & v->scalar, *from, p);
        capture_all(s, v->capturing & (uint16_t)~v->scalar, *from, p + 1);
        *from = p + 1;
        end_value(s, v->scalar, at + 1);
        v->scalar = 0;
    }
    after_value(v);
}

// The rest of a key that begins at begin in this piece; p: its quote.
static void end_key_string(struct gw_jscan *s, struct priv *v, const char *begin, const char *p) {
    v->state = S_COLON;
    if (v->key_len == 0) {
        end_key(s, v, begin, (size_t)(p - begin));
        return;
    }
    add_key_bytes(v, begin, (size_t)(p - begin));
    end_key(s, v, v->key, v->key_len);
}

// What skip_whole left: the beginning of an escape or character that the piece cuts, or a fault
// (NULL).
static const char *take_odd(struct gw_jscan *s, const char *p, const char **why) {
    struct priv *v = priv_of(s);
    unsigned char ch = (unsigned char)*p;
    if (ch == '\\') {
        v->key_escaped = true;
        v->state = S_ESCAPE;
        return p + 1;
    }
    *why = ch < 0x20 ? "control character in a JSON string" : "bad UTF-8 in JSON";
    v->utf8_left = (uint8_t)utf8_tail(ch, &v->utf8_low, &v->utf8_high);
    return v->utf8_left ? p + 1 : NULL;
}

static const char *take_utf8_rest(struct priv *v, const char *p) {
    unsigned char ch = (unsigned char)*p;
    if (ch < v->utf8_low || ch > v->utf8_high) return NULL;
    v->utf8_left--;
    v->utf8_low = 0x80;
    v->utf8_high = 0xbf;
    return p + 1;
}

// Inside a string. Returns where it stopped; the state tells why.
static const char *take_string(struct gw_jscan *s, const char *p, const char *end,
                               const char **from, const char *base, enum gw_rc *rc,
                               struct gw_err *err) {
    struct priv *v = priv_of(s);
    const char *begin = p, *why = "bad UTF-8 in JSON";
    while (p < end && v->state == S_STRING) {
        const char *next;
        if (v->utf8_left) {
            next = take_utf8_rest(v, p);
        } else {
            p = skip_plain(p, end);
            for (const char *q; p < end && (q = skip_whole(p, end)) > p; p = skip_plain(q, end))
                if (*p == '\\') v->key_escaped = true;
            if (p == end) break;
            if (*p == '"') {
                if (v->is_key)
                    end_key_string(s, v, begin, p);
                else
                    end_string(s, v, p, from, s->offset + (uint64_t)(p - base));
                return p + 1;
            }
            next = take_odd(s, p, &why);
        }
        if (!next) {
            *rc = fail(s, s->offset + (uint64_t)(p - base), err, why);
            return p;
        }
        p = next;
    }
    if (v->is_key) add_key_bytes(v, begin, (size_t)(p - begin));
    return p;
}

// --- scalars other than strings -----------------------------------------------------------------

static void end_scalar(struct gw_jscan *s, const char *p, const char **from, uint64_t at) {
    struct priv *v = priv_of(s);
    if (v->scalar) {
        capture_all(s, v->capturing, *from, p);
        *from = p;
        end_value(s, v->scalar, at);
        v->scalar = 0;
    }
    after_value(v);
}

// The state after ch of a number; S_ERROR: not a number; S_AFTER_VALUE: ch is behind it.
static enum state number_next(enum state st, char ch) {
    switch (st) {
    case S_MINUS:
        return ch == '0' ? S_ZERO : is_digit(ch) ? S_INT : S_ERROR;
    case S_INT:
        if (is_digit(ch)) return S_INT;
        // fallthrough
    case S_ZERO:
        return ch == '.' ? S_POINT : ch == 'e' || ch == 'E' ? S_E : S_AFTER_VALUE;
    case S_POINT:
        return is_digit(ch) ? S_FRACTION : S_ERROR;
    case S_FRACTION:
        return is_digit(ch) ? S_FRACTION : ch == 'e' || ch == 'E' ? S_E : S_AFTER_VALUE;
    case S_E:
        return ch == '+' || ch == '-' ? S_E_SIGN : is_digit(ch) ? S_EXPONENT : S_ERROR;
    case S_E_SIGN:
        return is_digit(ch) ? S_EXPONENT : S_ERROR;
    default:
        return is_digit(ch) ? S_EXPONENT : S_AFTER_VALUE;
    }
}

// A value's first byte.
static enum gw_rc start_value(struct gw_jscan *s, char ch, const char *p, const char **from,
                              uint64_t at, struct gw_err *err) {
    struct priv *v = priv_of(s);
    static const struct {
        const char *text;
        enum gw_jtype type;
    } literals[] = {{"true", GW_JT_TRUE}, {"false", GW_JT_FALSE}, {"null", GW_JT_NULL}};
    if (v->depth && !in_object(v)) match(s, v, NULL, 0);
    uint16_t before = v->capturing;
    enum gw_rc rc = GW_OK;
    if (ch == '{' || ch == '[') {
        rc = open_container(s, ch == '{', at, err);
    } else if (ch == '"') {
        rc = begin_value(s, GW_JT_STRING, at, &v->scalar, err);
        v->state = rc == GW_OK ? S_STRING : S_ERROR;
        v->is_key = v->key_escaped = false;
    } else if (ch == '-' || is_digit(ch)) {
        rc = begin_value(s, GW_JT_NUMBER, at, &v->scalar, err);
        v->state = rc != GW_OK ? S_ERROR : ch == '-' ? S_MINUS : ch == '0' ? S_ZERO : S_INT;
    } else {
        size_t i = ch == 't' ? 0 : ch == 'f' ? 1 : ch == 'n' ? 2 : 3;
        if (i == 3) return fail(s, at, err, "unexpected character in JSON");
        rc = begin_value(s, literals[i].type, at, &v->scalar, err);
        v->literal = literals[i].text;
        v->lit_len = (uint8_t)strlen(literals[i].text);
        v->lit_pos = 1;
        v->state = rc == GW_OK ? S_LITERAL : S_ERROR;
    }
    if (v->capturing != before) { // those that capture already get what came before this value
        capture_all(s, before, *from, ch == '"' ? p + 1 : p);
        *from = ch == '"' ? p + 1 : p;
    }
    return rc;
}

// --- the machine ---------------------------------------------------------------------------------

// One byte between values.
static enum gw_rc take_structure(struct gw_jscan *s, const char *p, const char **from, uint64_t at,
                                 struct gw_err *err) {
    struct priv *v = priv_of(s);
    char ch = *p;
    switch (v->state) {
    case S_FIRST_VALUE:
        if (ch == ']') return close_container(s, ch, p, from, at, err);
        return start_value(s, ch, p, from, at, err);
    case S_VALUE:
        return start_value(s, ch, p, from, at, err);
    case S_FIRST_KEY:
        if (ch == '}') return close_container(s, ch, p, from, at, err);
        // fallthrough
    case S_KEY:
        if (ch != '"') return fail(s, at, err, "a member name is missing in JSON");
        v->state = S_STRING;
        v->is_key = true;
        v->key_escaped = v->key_long = false;
        v->key_len = 0;
        return GW_OK;
    case S_COLON:
        if (ch != ':') return fail(s, at, err, "a colon is missing in JSON");
        v->state = S_VALUE;
        return GW_OK;
    case S_AFTER_VALUE:
        if (ch == ',') {
            v->state = in_object(v) ? S_KEY : S_VALUE;
            return GW_OK;
        }
        if (ch == '}' || ch == ']') return close_container(s, ch, p, from, at, err);
        return fail(s, at, err, "a comma is missing in JSON");
    default:
        return fail(s, at, err, "something follows the JSON text");
    }
}

static enum gw_rc take_escape(struct gw_jscan *s, char ch, uint64_t at, struct gw_err *err) {
    struct priv *v = priv_of(s);
    if (v->state == S_ESCAPE && ch == 'u') {
        v->state = S_HEX;
        v->hex_left = 4;
    } else if (v->state == S_ESCAPE && simple_escapes[(unsigned char)ch]) {
        v->state = S_STRING;
    } else if (v->state == S_HEX && is_hex(ch)) {
        if (--v->hex_left == 0) v->state = S_STRING;
    } else {
        return fail(s, at, err, "bad escape in a JSON string");
    }
    if (v->is_key) add_key_bytes(v, &ch, 1);
    return GW_OK;
}

static const char *take_literal(struct gw_jscan *s, const char *p, const char *end,
                                const char **from, const char *base, enum gw_rc *rc,
                                struct gw_err *err) {
    struct priv *v = priv_of(s);
    for (; p < end; p++) {
        if (*p != v->literal[v->lit_pos]) {
            *rc = fail(s, s->offset + (uint64_t)(p - base), err, "unexpected character in JSON");
            return p;
        }
        if (++v->lit_pos < v->lit_len) continue;
        end_scalar(s, p + 1, from, s->offset + (uint64_t)(p + 1 - base));
        return p + 1;
    }
    return p;
}

static const char *take_number(struct gw_jscan *s, const char *p, const char *end,
                               const char **from, const char *base, enum gw_rc *rc,
                               struct gw_err *err) {
    struct priv *v = priv_of(s);
    enum state state = v->state;
    for (; p < end; p++) {
        state = number_next(state, *p);
        if (state == S_ERROR) {
            *rc = fail(s, s->offset + (uint64_t)(p - base), err, "bad number in JSON");
            return p;
        }
        if (state != S_AFTER_VALUE) continue;
        end_scalar(s, p, from, s->offset + (uint64_t)(p - base));
        return p;
    }
    v->state = (uint8_t)state;
    return p;
}

enum gw_rc gw_jscan_feed(struct gw_jscan *s, const char *base, size_t n, struct gw_err *err) {
    struct priv *v = priv_of(s);
    const char *p = base, *end = n ? base + n : base;
    const char *from = base; // bytes before it were captured where they are wanted
    enum gw_rc rc = GW_OK;
    if (v->state == S_ERROR) return gw_err_set(err, GW_ERR_INPUT, 400, "JSON was refused before");
    while (p < end && rc == GW_OK) {
        if (v->state == S_STRING) {
            p = take_string(s, p, end, &from, base, &rc, err);
        } else if (v->state < S_STRING || v->state == S_DONE) {
            if (!is_blank(*p))
                rc = take_structure(s, p, &from, s->offset + (uint64_t)(p - base), err);
            p++;
        } else if (v->state == S_LITERAL) {
            p = take_literal(s, p, end, &from, base, &rc, err);
        } else if (v->state == S_ESCAPE || v->state == S_HEX) {
            rc = take_escape(s, *p, s->offset + (uint64_t)(p - base), err);
            p++;
        } else {
            p = take_number(s, p, end, &from, base, &rc, err);
        }
    }
    if (rc != GW_OK) return rc;
    capture_all(s, v->capturing, from, end);
    s->offset += n;
    return GW_OK;
}

enum gw_rc gw_jscan_finish(struct gw_jscan *s, struct gw_err *err) {
    struct priv *v = priv_of(s);
    const char *none = "";
    const char *from = none;
    bool is_number_whole =
        v->state == S_ZERO || v->state == S_INT || v->state == S_FRACTION || v->state == S_EXPONENT;
    if (v->state == S_ERROR) return gw_err_set(err, GW_ERR_INPUT, 400, "JSON was refused before");
    if (v->depth == 0 && is_number_whole) end_scalar(s, none, &from, s->offset);
    if (v->state == S_DONE) return GW_OK;
    return gw_err_set(err, GW_ERR_INPUT, 400, "JSON ends too early at byte %llu",
                      (unsigned long long)s->offset);
}

bool gw_jscan_complete(const struct gw_jscan *s) {
    return priv_of_const(s)->state == S_DONE;
}
