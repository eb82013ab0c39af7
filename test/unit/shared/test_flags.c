// SPDX-License-Identifier: Apache-2.0
#include "shared/flags.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>

struct targets {
    bool yes;
    const char *text;
    uint64_t number;
    struct gw_flag_hostport place;
    struct gw_map pairs;
    const char *words[2];
    size_t words_n;
    struct gw_err err;
};

// words: "--yes --text x", cut at blanks; "" between two blanks is an empty word.
static enum gw_rc parse(struct targets *t, char *words) {
    *t = (struct targets){.text = "default", .number = 7, .place = {"127.0.0.1", 80}};
    const struct gw_flag flags[] = {
        {"yes", NULL, "a switch", GW_FLAG_BOOL, &t->yes, 0, 0, 'y'},
        {"text", "TEXT", "a text", GW_FLAG_STRING, &t->text, 0, 0, 't'},
        {"number", "N", "a number", GW_FLAG_UINT, &t->number, 2, 9, 0},
        {"place", "HOST:PORT", "a place", GW_FLAG_HOSTPORT, &t->place, 0, 0, 0},
        {"pair", "KEY=VALUE", "a pair", GW_FLAG_PAIR, &t->pairs, 0, 0, 0},
        {.name = NULL},
    };
    char program[] = "program", *argv[16] = {program};
    int argc = 1;
    for (char *w; argc < 16 && (w = strsep(&words, " ")) != NULL;)
        argv[argc++] = w;
    return gw_flags_parse(flags, argc, argv, t->words, 2, &t->words_n, &t->err);
}

static void refusals(void) {
    static const struct {
        const char *words, *want;
    } cases[] = {
        {"--foo", "unknown flag --foo (see --help)"},
        {"--tex x", "unknown flag --tex (see --help)"},
        {"-z", "unknown flag -z (see --help)"},
        {"-yt", "unknown flag -yt (see --help)"},
        {"--yes=1", "--yes takes no value"},
        {"--text", "--text needs a value: --text TEXT"},
        {"--text --yes", "--text needs a value: --text TEXT"},
        {"--text=", "--text: the value is empty"},
        {"--text a --text b", "--text is given twice"},
        {"--number x", "--number: 'x' is not a whole number in 2..9"},
        {"--number 1", "--number: '1' is not a whole number in 2..9"},
        {"--number 10", "--number: '10' is not a whole number in 2..9"},
        {"--number -3", "--number: '-3' is not a whole number in 2..9"},
        {"--place 80", "--place: '80' is not HOST:PORT"},
        {"--place a:b", "--place: port 'b' is not in 0..65535"},
        {"--place a:65536", "--place: port '65536' is not in 0..65535"},
        {"--place a:", "--place: port '' is not in 0..65535"},
        {"--place ::1:80", "--place: '::1:80' is not HOST:PORT (an IPv6 address needs brackets)"},
        {"--place [::1]", "--place: '[::1]' is not [IPv6]:PORT"},
        {"--place [::1:80", "--place: '[::1:80' is not [IPv6]:PORT"},
        {"--pair a", "--pair: 'a' is not KEY=VALUE"},
        {"--pair =a", "--pair: '=a' is not KEY=VALUE"},
        {"--pair a=", "--pair: 'a=' is not KEY=VALUE"},
        {"--pair a=1 --pair a=2", "--pair: 'a' is given twice"},
        {"a b c", "unexpected argument 'c' (see --help)"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct targets t;
        char words[128];
        snprintf(words, sizeof(words), "%s", cases[i].words);
        CU_ASSERT_EQUAL(parse(&t, words), GW_ERR_INPUT);
        CU_ASSERT_STRING_EQUAL(t.err.text, cases[i].want);
        gw_map_fini(&t.pairs, free);
    }
}

static void defaults_stay(void) {
    struct targets t;
    char words[] = "--";
    CU_ASSERT_EQUAL(parse(&t, words), GW_OK);
    CU_ASSERT_FALSE(t.yes);
    CU_ASSERT_STRING_EQUAL(t.text, "default");
    CU_ASSERT_EQUAL(t.number, 7);
    CU_ASSERT_STRING_EQUAL(t.place.host, "127.0.0.1");
    CU_ASSERT_EQUAL(t.place.port, 80);
    CU_ASSERT_EQUAL(t.words_n, 0);
}

static void values_are_taken(void) {
    struct targets t;
    char words[] =
        "-y first --text=a=b --number 9 --place :0 --pair a/b=c:1 --pair d=e=f -- --last";
    CU_ASSERT_EQUAL(parse(&t, words), GW_OK);
    CU_ASSERT_TRUE(t.yes);
    CU_ASSERT_STRING_EQUAL(t.text, "a=b");
    CU_ASSERT_EQUAL(t.number, 9);
    CU_ASSERT_STRING_EQUAL(t.place.host, "127.0.0.1");
    CU_ASSERT_EQUAL(t.place.port, 0);
    CU_ASSERT_EQUAL_FATAL(t.words_n, 2);
    CU_ASSERT_STRING_EQUAL(t.words[0], "first");
    CU_ASSERT_STRING_EQUAL(t.words[1], "--last");
    const char *a = gw_map_get(&t.pairs, GW_STR("a/b")), *d = gw_map_get(&t.pairs, GW_STR("d"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    CU_ASSERT_STRING_EQUAL(a, "c:1");
    CU_ASSERT_STRING_EQUAL(d, "e=f");
    gw_map_fini(&t.pairs, free);
}

static void places(void) {
    static const struct {
        const char *text, *host;
        uint16_t port;
    } cases[] = {
        {"a.example.com:65535", "a.example.com", 65535},
        {"[::1]:8080", "::1", 8080},
        {"0.0.0.0:1", "0.0.0.0", 1},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_flag_hostport hp;
        struct gw_err err;
        CU_ASSERT_EQUAL(gw_hostport_parse(gw_str_of(cases[i].text), NULL, &hp, &err), GW_OK);
        CU_ASSERT_STRING_EQUAL(hp.host, cases[i].host);
        CU_ASSERT_EQUAL(hp.port, cases[i].port);
    }
}

static void a_place_without_a_host(void) {
    struct gw_flag_hostport hp;
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_hostport_parse(GW_STR(":80"), NULL, &hp, &err), GW_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "the host is missing before the port");
}

static void help_is_aligned(void) {
    const struct gw_flag flags[] = {
        {"yes", NULL, "a switch", GW_FLAG_BOOL, NULL, 0, 0, 'y'},
        {"listen", "HOST:PORT", "a place", GW_FLAG_HOSTPORT, NULL, 0, 0, 0},
        {.name = NULL},
    };
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    gw_flags_help(flags, "usage: x", out);
    fclose(out);
    CU_ASSERT_STRING_EQUAL(text, "usage: x\n"
                                 "  -y, --yes           a switch\n"
                                 "  --listen HOST:PORT  a place\n");
    free(text);
}

static CU_TestInfo tests[] = {
    {"refusals", refusals},
    {"defaults stay", defaults_stay},
    {"values are taken", values_are_taken},
    {"places", places},
    {"a place without a host", a_place_without_a_host},
    {"help is aligned", help_is_aligned},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_flags = {"flags", NULL, NULL, NULL, NULL, tests};
