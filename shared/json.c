// SPDX-License-Identifier: Apache-2.0
// Readers over jansson trees, canonical bytes, and the small text functions of json.h.
#include "shared/json.h"

#include <math.h>
#include <stdlib.h>

#define EXACT_MAX (1ull << 53) // beyond it a double skips whole numbers

struct gw_str gw_json_str_of(const json_t *string) {
    if (!json_is_string(string)) return (struct gw_str){NULL, 0};
    return (struct gw_str){json_string_value(string), json_string_length(string)};
}

json_t *gw_json_get(const json_t *obj, const char *key) {
    json_t *v = json_object_get(obj, key);
    return json_is_null(v) ? NULL : v;
}

struct gw_str gw_json_str(const json_t *obj, const char *key) {
    return gw_json_str_of(gw_json_get(obj, key));
}

int64_t gw_json_int(const json_t *obj, const char *key, int64_t otherwise) {
    const json_t *v = gw_json_get(obj, key);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

bool gw_json_bool(const json_t *obj, const char *key, bool otherwise) {
    const json_t *v = gw_json_get(obj, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

json_t *gw_json_path(const json_t *obj, const char *dotted) {
    char key[256];
    json_t *at = NULL;
    struct gw_str rest = gw_str_of(dotted);
    while (rest.len) {
        struct gw_str part = gw_str_cut(&rest, '.');
        if (part.len >= sizeof(key)) return NULL;
        memcpy(key, part.ptr, part.len);
        key[part.len] = 0;
        at = gw_json_get(at ? at : obj, key);
        if (!at) return NULL;
    }
    return at;
}

static const char *what_of(const json_error_t *error) {
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return "a member occurs twice";
    case json_error_numeric_overflow:
        return "a number is too large";
    case json_error_null_byte_in_key:
        return "a member's name holds \\u0000";
    default:
        return "a string holds half of a surrogate pair";
    }
}

json_t *gw_json_load(struct gw_str text, size_t bytes_max, unsigned depth_max, struct gw_err *err) {
    struct gw_jscan scan;
    json_error_t error;
    if (text.len > bytes_max) {
        gw_err_set(err, GW_ERR_LIMIT, 413, "JSON of %zu bytes is larger than %zu", text.len,
                   bytes_max);
        return NULL;
    }
    // jansson recurses: depth is bounded before it sees the text.
    gw_jscan_init(&scan, NULL, NULL, 0, depth_max);
    if (gw_jscan_feed(&scan, text.ptr, text.len, err) != GW_OK ||
        gw_jscan_finish(&scan, err) != GW_OK)
        return NULL;
    json_t *v = json_loadb(text.ptr, text.len,
                           JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    // jansson's own text quotes the input, and that may be a secret.
    if (!v) gw_err_set(err, GW_ERR_INPUT, 400, "line %d: %s", error.line, what_of(&error));
    return v;
}

char *gw_json_canonical(const json_t *v, size_t *ret_len) {
    char *text = json_dumps(v, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    GW_ASSERT(text != NULL);
    *ret_len = strlen(text);
    return text;
}

// --- escapes -------------------------------------------------------------------------------------

static bool read_hex4(struct gw_str raw, size_t at, uint32_t *ret) {
    uint32_t code = 0;
    if (at + 4 > raw.len) return false;
    for (size_t i = at; i < at + 4; i++) {
        int digit = gw_hex_digit(raw.ptr[i]);
        if (digit < 0) return false;
        code = code << 4 | (uint32_t)digit;
    }
    *ret = code;
    return true;
}

static size_t put_utf8(char *dst, uint32_t code) {
    if (code < 0x80) {
        dst[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        dst[0] = (char)(0xc0 | code >> 6);
        dst[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        dst[0] = (char)(0xe0 | code >> 12);
        dst[1] = (char)(0x80 | (code >> 6 & 63));
        dst[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    dst[0] = (char)(0xf0 | code >> 18);
    dst[1] = (char)(0x80 | (code >> 12 & 63));
    dst[2] = (char)(0x80 | (code >> 6 & 63));
    dst[3] = (char)(0x80 | (code & 63));
    return 4;
}

// \uXXXX at raw[*at], and the second half of a pair where there is one. A half alone is U+FFFD.
static bool read_unicode(struct gw_str raw, size_t *at, uint32_t *ret) {
    uint32_t code, low;
    if (!read_hex4(raw, *at, &code)) return false;
    *at += 4;
    bool is_high = code >= 0xd800 && code < 0xdc00;
    if (is_high && *at + 6 <= raw.len && raw.ptr[*at] == '\\' && raw.ptr[*at + 1] == 'u' &&
        read_hex4(raw, *at + 2, &low) && low >= 0xdc00 && low < 0xe000) {
        *at += 6;
        *ret = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        return true;
    }
    *ret = code >= 0xd800 && code < 0xe000 ? 0xfffd : code;
    return true;
}

bool gw_json_unescape(struct gw_str raw, char *dst, size_t cap, size_t *ret_len) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t n = 0;
    for (size_t i = 0; i < raw.len;) {
        char out[4] = {raw.ptr[i]};
        size_t out_n = 1;
        if (raw.ptr[i++] == '\\') {
            if (i == raw.len) return false;
            char ch = raw.ptr[i++];
            const char *simple = ch ? strchr(from, ch) : NULL;
            uint32_t code;
            if (simple)
                out[0] = to[simple - from];
            else if (ch == 'u' && read_unicode(raw, &i, &code))
                out_n = put_utf8(out, code);
            else
                return false;
        }
        if (n + out_n > cap) return false;
        memcpy(dst + n, out, out_n);
        n += out_n;
    }
    *ret_len = n;
    return true;
}

static bool is_json_number(struct gw_str raw) {
    struct gw_jscan scan;
    char first = raw.len ? raw.ptr[0] : 0, last = raw.len ? raw.ptr[raw.len - 1] : 0;
    if (first != '-' && !(first >= '0' && first <= '9')) return false;
    if (!(last >= '0' && last <= '9')) return false; // no blanks
    gw_jscan_init(&scan, NULL, NULL, 0, 1);
    return gw_jscan_feed(&scan, raw.ptr, raw.len, NULL) == GW_OK &&
           gw_jscan_finish(&scan, NULL) == GW_OK;
}

bool gw_json_number_u64(struct gw_str raw, uint64_t *ret) {
    char text[64], *end;
    if (raw.len >= sizeof(text) || !is_json_number(raw)) return false;
    // Whole numbers exactly; the others as far as a double goes.
    if (gw_str_to_u64(raw, EXACT_MAX, ret) == GW_OK) return true;
    memcpy(text, raw.ptr, raw.len);
    text[raw.len] = 0;
    double d = strtod(text, &end);
    if (!(d >= 0) || d != floor(d)) return false;
    bool is_plain = strpbrk(text, ".eE") == NULL;
    if (d > (double)EXACT_MAX || (is_plain && d != 0)) return false;
    *ret = (uint64_t)d;
    return true;
}
