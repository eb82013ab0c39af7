// SPDX-License-Identifier: Apache-2.0
// See yaml_scalar.h. The tables are those of go-yaml v2: y, on and yes are true, 010 is eight,
// 1_000 is a thousand, 80.0 and 1e3 are whole numbers as they are in JSON.
#include "shared/yaml_scalar.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_CHARS_MAX 128
#define WHOLE_MAX 9007199254740992.0 // 2^53: whole numbers up to it are exact

static bool is_one_of(struct gw_str s, const char *const *words) {
    for (; *words; words++)
        if (gw_str_eq(s, gw_str_of(*words))) return true;
    return false;
}

static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const trues[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                    "True", "TRUE", "on",  "On",  "ON",  NULL};
static const char *const falses[] = {"n",     "N",     "no",  "No",  "NO",  "false",
                                     "False", "FALSE", "off", "Off", "OFF", NULL};
static const char *const infinities[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                         "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                         ".NaN",  ".NAN",  NULL};

static bool is_digit(char ch) {
    return ch >= '0' && ch <= '9';
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
static bool looks_like_float(const char *p) {
    size_t digits = 0;
    if (*p == '-' || *p == '+') p++;
    for (; is_digit(*p); p++)
        digits++;
    if (*p == '.')
        for (p++; is_digit(*p); p++)
            digits++;
    if (digits == 0) return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '-' || *p == '+') p++;
        if (!is_digit(*p)) return false;
        while (is_digit(*p))
            p++;
    }
    return *p == 0;
}

// Go's ParseInt with base 0: 0x, 0o, 0b, a leading 0 for octal. 1: an integer; 0: none; -1: one
// that does not fit.
static int parse_int(const char *text, json_int_t *ret) {
    const char *digits = text + (*text == '-' || *text == '+');
    int base = 10;
    char prefix = digits[0] == '0' ? (char)(digits[1] | 0x20) : 0;
    if (prefix == 'x' || prefix == 'o' || prefix == 'b') {
        base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : 2;
        digits += 2;
    } else if (digits[0] == '0' && digits[1]) {
        base = 8;
        digits++;
    }
    if (!*digits || *digits == '-' || *digits == '+' || *digits == ' ') return 0;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(digits, &end, base);
    if (*end || (base == 16 && (digits[1] | 0x20) == 'x' && digits[0] == '0')) return 0;
    bool negative = *text == '-';
    unsigned long long max = negative ? 1ull << 63 : (1ull << 63) - 1;
    if (errno == ERANGE || n > max) return -1;
    *ret = negative ? (json_int_t)(0 - n) : (json_int_t)n;
    return 1;
}

static json_t *number_of(struct gw_str s, struct gw_err *err) {
    char text[NUMBER_CHARS_MAX];
    size_t n = 0;
    json_int_t i;
    if (s.len >= sizeof(text)) return json_stringn(s.ptr, s.len);
    for (size_t k = 0; k < s.len; k++)
        if (s.ptr[k] != '_') text[n++] = s.ptr[k];
    text[n] = 0;
    int is_int = parse_int(text, &i);
    if (is_int > 0) return json_integer(i);
    if (is_int < 0) {
        gw_err_set(err, GW_ERR_INPUT, 0, "the number %s is too large", text);
        return NULL;
    }
    if (looks_like_float(text)) {
        double d = strtod(text, NULL);
        // Beyond a float's range it is text to kubectl, which nobody can have meant.
        if (isinf(d)) {
            gw_err_set(err, GW_ERR_INPUT, 0, "the number %s is too large", text);
            return NULL;
        }
        bool is_whole = d == floor(d) && fabs(d) <= WHOLE_MAX;
        return is_whole ? json_integer((json_int_t)d) : json_real(d);
    }
    return json_stringn(s.ptr, s.len);
}

json_t *gw_yaml_plain(struct gw_str s, struct gw_err *err) {
    if (is_one_of(s, nulls)) return json_null();
    if (is_one_of(s, trues)) return json_true();
    if (is_one_of(s, falses)) return json_false();
    if (is_one_of(s, infinities)) {
        gw_err_set(err, GW_ERR_INPUT, 0, "%.*s cannot be written in JSON", (int)s.len, s.ptr);
        return NULL;
    }
    char first = s.ptr[0];
    json_t *v = is_digit(first) || first == '-' || first == '+' || first == '.'
                    ? number_of(s, err)
                    : json_stringn(s.ptr, s.len);
    if (!v && !err->text[0]) gw_err_set(err, GW_ERR_INPUT, 0, "text is not UTF-8");
    return v;
}

json_t *gw_yaml_tagged(struct gw_str s, const char *tag, struct gw_err *err) {
    json_t *v = gw_yaml_plain(s, err);
    if (!v) return NULL;
    bool is_right = strcmp(tag, "int") == 0     ? json_is_integer(v)
                    : strcmp(tag, "bool") == 0  ? json_is_boolean(v)
                    : strcmp(tag, "float") == 0 ? json_is_number(v)
                                                : json_is_null(v);
    if (is_right) return v;
    json_decref(v);
    gw_err_set(err, GW_ERR_INPUT, 0, "the text is not of its tag !!%s", tag);
    return NULL;
}

// As short as it can be read back, in the precision of kubectl (a 32-bit float).
static int print_real(double d, char *dst, size_t cap) {
    char text[32];
    int digits = 1;
    for (; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, d);
        if (strtof(text, NULL) == (float)d) break;
    }
    const char *e = strchr(text, 'e');
    int exponent = e ? (int)strtol(e + 1, NULL, 10) : 0;
    if (!e || exponent < -4 || exponent >= 6) return snprintf(dst, cap, "%s", text);
    int decimals = digits - 1 - exponent;
    return snprintf(dst, cap, "%.*f", decimals > 0 ? decimals : 0, d);
}

bool gw_yaml_key(const json_t *scalar, char *dst, size_t cap) {
    int n = -1;
    if (json_is_string(scalar))
        n = json_string_length(scalar) == strlen(json_string_value(scalar))
                ? snprintf(dst, cap, "%s", json_string_value(scalar))
                : -1;
    else if (json_is_boolean(scalar))
        n = snprintf(dst, cap, "%s", json_is_true(scalar) ? "true" : "false");
    else if (json_is_integer(scalar))
        n = snprintf(dst, cap, "%lld", (long long)json_integer_value(scalar));
    else if (json_is_real(scalar))
        n = print_real(json_real_value(scalar), dst, cap);
    return n >= 0 && (size_t)n < cap;
}
