// SPDX-License-Identifier: Apache-2.0
// The scanner beside jansson on generated texts: some are JSON, some have one byte wrong.
#include "shared/json.h"
#include "test/unit/shared/split.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXTS 4000
#define LEVELS_MAX 4
#define CAPTURE_BYTES 512

// --- making texts -------------------------------------------------------------------------------

struct maker {
    uint64_t seed, drawn;
    struct gw_text out;
};

static unsigned draw(struct maker *m, unsigned below) {
    m->drawn++;
    return (unsigned)(gw_hash(&m->drawn, sizeof(m->drawn), m->seed) % below);
}

static void pick(struct maker *m, const char *const *texts, unsigned n) {
    gw_text_adds(&m->out, texts[draw(m, n)]);
}

static void make_blanks(struct maker *m) {
    static const char *const blanks[] = {"", "", "", "", "", " ", "\n", "\t ", "\r\n"};
    pick(m, blanks, GW_ARRAY_LEN(blanks));
}

static void make_string(struct maker *m) {
    static const char *const parts[] = {
        "a",
        "text ",
        "\\\"",
        "\\\\",
        "\\/",
        "\\n",
        "\\u0041",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\xc3\xa9",
        "\xe4\xb8\xad",
        "\xf0\x9f\x98\x80",
        "{",
        "[",
        ",",
        ":",
        "}",
        "]",
        "a long run of plain bytes, for the wide steps",
    };
    gw_text_adds(&m->out, "\"");
    for (unsigned n = draw(m, 4); n > 0; n--)
        pick(m, parts, GW_ARRAY_LEN(parts));
    gw_text_adds(&m->out, "\"");
}

static void make_scalar(struct maker *m) {
    static const char *const texts[] = {
        "0",
        "-0",
        "12",
        "-7",
        "1.5",
        "-0.25",
        "1e3",
        "2E-2",
        "1.0e+1",
        "true",
        "false",
        "null",
        "9007199254740993",
    };
    if (draw(m, 2))
        make_string(m);
    else
        pick(m, texts, GW_ARRAY_LEN(texts));
}

static void make_value(struct maker *m, unsigned level) {
    static const char *const keys[] = {
        "\"a\"", "\"b\"", "\"c\"", "\"\\u0061\"", "\"\\u0062\"", "\"\"", "\"a.b\"", "\"long name\"",
    };
    unsigned kind = draw(m, 4);
    if (level == LEVELS_MAX || (kind < 2 && level > 0)) {
        make_scalar(m);
        return;
    }
    bool is_object = kind != 3;
    gw_text_adds(&m->out, is_object ? "{" : "[");
    for (unsigned n = draw(m, 4); n > 0; n--) {
        make_blanks(m);
        if (is_object) {
            pick(m, keys, GW_ARRAY_LEN(keys));
            make_blanks(m);
            gw_text_adds(&m->out, ":");
            make_blanks(m);
        }
        make_value(m, level + 1);
        make_blanks(m);
        if (n > 1) gw_text_adds(&m->out, ",");
    }
    gw_text_adds(&m->out, is_object ? "}" : "]");
}

// One byte changed, left out or doubled.
static void spoil(struct maker *m) {
    static const char bytes[] = "\"\\{}[],:0123456789-+.eEtfnu \n\x01\x7f\x80\xbf\xc3\xed\xf4\xff";
    size_t at = draw(m, (unsigned)m->out.len);
    switch (draw(m, 3)) {
    case 0:
        m->out.ptr[at] = bytes[draw(m, sizeof(bytes) - 1)];
        break;
    case 1:
        memmove(m->out.ptr + at, m->out.ptr + at + 1, m->out.len - at);
        m->out.len--;
        break;
    default:
        gw_text_adds(&m->out, " ");
        memmove(m->out.ptr + at + 1, m->out.ptr + at, m->out.len - 1 - at);
    }
}

static void make_text(struct maker *m, uint64_t seed, bool is_spoilt) {
    m->seed = seed;
    m->drawn = 0;
    gw_text_reset(&m->out);
    make_value(m, 0);
    if (is_spoilt) spoil(m);
}

// --- scanning them ------------------------------------------------------------------------------

static const struct gw_jwatch watch[] = {{"a", 0}, {"b", 0}, {"a.b", 0}, {"c[]", 0}, {"c[].a", 0}};
#define WATCHES GW_ARRAY_LEN(watch)

struct scan {
    enum gw_rc rc;
    struct gw_err err;
    struct gw_jscan s;
    struct gw_jfound found[WATCHES];
    char captured[WATCHES][CAPTURE_BYTES];
};

static void run(void *arg, const struct gw_str *pieces, size_t n, struct gw_text *out) {
    struct scan *c = arg;
    for (size_t w = 0; w < WATCHES; w++) {
        c->found[w].capture = c->captured[w];
        c->found[w].capture_cap = CAPTURE_BYTES;
    }
    gw_jscan_init(&c->s, watch, c->found, WATCHES, 0);
    c->rc = GW_OK;
    for (size_t i = 0; i < n && c->rc == GW_OK; i++)
        c->rc = gw_jscan_feed(&c->s, pieces[i].ptr, pieces[i].len, &c->err);
    if (c->rc == GW_OK) c->rc = gw_jscan_finish(&c->s, &c->err);
    if (c->rc != GW_OK) {
        gw_text_addf(out, "%s", c->err.text);
        return;
    }
    gw_text_addf(out, "%d %u %u;", c->s.top_is_object, (unsigned)c->s.top_end,
                 (unsigned)c->s.top_children);
    for (size_t w = 0; w < WATCHES; w++) {
        const struct gw_jfound *f = &c->found[w];
        gw_text_addf(out, "%d %u-%u %u %u %u " GW_STR_FMT ";", f->type, (unsigned)f->begin,
                     (unsigned)f->end, (unsigned)f->count, (unsigned)f->bytes,
                     (unsigned)f->children, (int)f->capture_len, f->capture);
    }
}

// Half a surrogate pair is JSON and so is a number of any size, but not to jansson.
static bool is_no_verdict(const json_error_t *error) {
    return json_error_code(error) == json_error_numeric_overflow ||
           strncmp(error->text, "invalid Unicode '", 17) == 0;
}

static bool is_value(struct gw_str in, const struct gw_jfound *f, const json_t *want) {
    if (!want) return f->count == 0;
    if (f->count == 0 || f->begin >= f->end || f->end > in.len) return false;
    GW_JSON_AUTO v = json_loadb(in.ptr + f->begin, f->end - f->begin, JSON_DECODE_ANY, NULL);
    size_t quotes = json_is_string(want), raw = f->end - f->begin - 2 * quotes;
    return v && json_equal(v, want) && f->capture_len == raw &&
           memcmp(f->capture, in.ptr + f->begin + quotes, raw) == 0;
}

static const json_t *member(const json_t *obj, const char *name) {
    return json_object_get(obj, name);
}

static bool are_values_right(struct gw_str in, const struct scan *c, const json_t *root) {
    const json_t *list = member(root, "c");
    size_t n = json_array_size(list);
    if (json_is_object(root) != c->s.top_is_object) return false;
    if (c->s.top_children !=
        (json_is_object(root) ? json_object_size(root) : json_array_size(root)))
        return false;
    if (in.ptr[c->s.top_end] != (json_is_object(root) ? '}' : ']')) return false;
    return is_value(in, &c->found[0], member(root, "a")) &&
           is_value(in, &c->found[1], member(root, "b")) &&
           is_value(in, &c->found[2], member(member(root, "a"), "b")) && c->found[3].count == n &&
           is_value(in, &c->found[3], n ? json_array_get(list, n - 1) : NULL);
}

static void compare_texts(uint64_t first_seed, bool is_spoilt, unsigned *ret_accepted,
                          unsigned *ret_compared) {
    struct maker m = {0};
    struct scan *c = gw_alloc(sizeof(*c));
    for (uint64_t i = 0; i < TEXTS; i++) {
        json_error_t error = {0};
        make_text(&m, first_seed + i, is_spoilt);
        struct gw_str in = gw_text_str(&m.out);
        CU_ASSERT_TRUE(split_run_text(in, run, c, NULL));
        GW_JSON_AUTO root = json_loadb(in.ptr, in.len, JSON_DECODE_ANY, &error);
        bool is_same = (root != NULL) == (c->rc == GW_OK) || is_no_verdict(&error);
        CU_ASSERT_TRUE(is_same);
        *ret_accepted += root != NULL;
        // Where a name occurs twice jansson forgets what the first one held.
        GW_JSON_AUTO strict =
            json_loadb(in.ptr, in.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        if (strict && (json_is_object(strict) || json_is_array(strict))) {
            is_same = is_same && are_values_right(in, c, strict);
            CU_ASSERT_TRUE(is_same);
            ++*ret_compared;
        }
        if (!is_same)
            fprintf(stderr, "\n" GW_STR_FMT "\nscanner: %s\njansson: %s\n", GW_STR_ARG(in),
                    c->rc == GW_OK ? "fine" : c->err.text, error.text);
    }
    free(c);
    gw_text_fini(&m.out);
}

static void json_is_accepted_and_values_are_equal(void) {
    unsigned accepted = 0, compared = 0;
    compare_texts(1000, false, &accepted, &compared);
    CU_ASSERT_EQUAL(accepted, TEXTS);
    CU_ASSERT_TRUE(compared > TEXTS / 2);
}

static void one_wrong_byte_is_judged_alike(void) {
    unsigned accepted = 0, compared = 0;
    compare_texts(900000, true, &accepted, &compared);
    CU_ASSERT_TRUE(accepted > TEXTS / 20 && accepted < TEXTS - TEXTS / 5);
}

static CU_TestInfo tests[] = {
    {"json_is_accepted_and_values_are_equal", json_is_accepted_and_values_are_equal},
    {"one_wrong_byte_is_judged_alike", one_wrong_byte_is_judged_alike},
    CU_TEST_INFO_NULL,
};

extern CU_SuiteInfo suite_shared_jscan_random;
CU_SuiteInfo suite_shared_jscan_random = {"shared_jscan_random", NULL, NULL, NULL, NULL, tests};
