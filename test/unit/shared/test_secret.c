// SPDX-License-Identifier: Apache-2.0
#include "shared/secret.h"

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_BYTES_MAX (64 * 1024)

// A new file with these bytes; path is filled.
static void make_file(char path[32], const void *bytes, size_t n) {
    memcpy(path, "/tmp/test_secret.XXXXXX", 24);
    int fd = mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

static struct gw_secret *secret_of_file(const void *bytes, size_t n, struct gw_err *err) {
    char path[32];
    make_file(path, bytes, n);
    struct gw_secret *s = gw_secret_from_file(path, err);
    unlink(path);
    return s;
}

static void absent_file_is_refused_by_name(void) {
    struct gw_err err = {0};
    CU_ASSERT_PTR_NULL(gw_secret_from_file("/nonexistent/key", &err));
    CU_ASSERT_EQUAL(err.rc, GW_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nonexistent/key"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "No such file"));
    CU_ASSERT_PTR_NULL(gw_secret_from_file("/nonexistent/key", NULL));
}

static void directory_is_refused(void) {
    struct gw_err err = {0};
    CU_ASSERT_PTR_NULL(gw_secret_from_file("/tmp", &err));
    CU_ASSERT_EQUAL(err.rc, GW_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "directory"));
}

static void empty_file_is_refused(void) {
    const char *bytes[] = {"", "\n", "\r\n"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bytes); i++) {
        struct gw_err err = {0};
        CU_ASSERT_PTR_NULL(secret_of_file(bytes[i], strlen(bytes[i]), &err));
        CU_ASSERT_EQUAL(err.rc, GW_ERR_INPUT);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "empty"));
    }
}

static void file_size_limit(void) {
    static char big[FILE_BYTES_MAX + 1];
    memset(big, 'k', sizeof(big));
    struct gw_err err = {0};
    CU_ASSERT_PTR_NULL(secret_of_file(big, sizeof(big), &err));
    CU_ASSERT_EQUAL(err.rc, GW_ERR_LIMIT);
    // No part of the value may be in a text that is logged.
    CU_ASSERT_PTR_NULL(strstr(err.text, "kkk"));
    struct gw_secret *s = secret_of_file(big, FILE_BYTES_MAX, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(gw_secret_reveal(s).len, FILE_BYTES_MAX);
    gw_secret_unref(s);
}

static void one_trailing_newline_is_cut(void) {
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"key", "key"},     {"key\n", "key"},   {"key\r\n", "key"}, {"key\n\n", "key\n"},
        {"key\r", "key\r"}, {" key ", " key "}, {"a\nb\n", "a\nb"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_secret *s = secret_of_file(cases[i].in, strlen(cases[i].in), NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        CU_ASSERT_TRUE(gw_str_eq(gw_secret_reveal(s), gw_str_of(cases[i].want)));
        gw_secret_unref(s);
    }
}

static void new_copies(void) {
    char value[] = "token";
    struct gw_secret *s = gw_secret_new((struct gw_str){value, 5});
    value[0] = 'x';
    CU_ASSERT_TRUE(gw_str_eq(gw_secret_reveal(s), GW_STR("token")));
    gw_secret_unref(s);
    gw_secret_unref(NULL);
}

static void eq_table(void) {
    static const struct {
        const char *a, *b;
        bool want;
    } cases[] = {
        {"token", "tokeN", false},
        {"token", "toke", false},
        {"token", "tokens", false},
        {"token", "", false},
        {"", "t", false},
        {"token", "token", true},
        {"", "", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_secret *s = gw_secret_new(gw_str_of(cases[i].a));
        CU_ASSERT_EQUAL(gw_secret_eq(s, gw_str_of(cases[i].b)), cases[i].want);
        gw_secret_unref(s);
    }
    // The NUL beyond the end is not part of the value.
    struct gw_secret *s = gw_secret_new(GW_STR("a"));
    CU_ASSERT_FALSE(gw_secret_eq(s, GW_STR("a\0")));
    gw_secret_unref(s);
}

static void random_is_hex_and_differs(void) {
    struct gw_secret *a = gw_secret_random(32), *b = gw_secret_random(32);
    struct gw_str text = gw_secret_reveal(a);
    CU_ASSERT_EQUAL(text.len, 64);
    CU_ASSERT_EQUAL(strspn(text.ptr, "0123456789abcdef"), 64);
    CU_ASSERT_FALSE(gw_secret_eq(a, gw_secret_reveal(b)));
    gw_secret_unref(a);
    gw_secret_unref(b);
    a = gw_secret_random(0);
    CU_ASSERT_EQUAL(gw_secret_reveal(a).len, 0);
    gw_secret_unref(a);
}

// Every byte value comes up somewhere in many texts: the spelling in place loses nothing.
static void random_uses_every_byte(void) {
    bool seen[256] = {false};
    struct gw_secret *s = gw_secret_random(8192);
    struct gw_str text = gw_secret_reveal(s);
    for (size_t i = 0; i < text.len; i += 2) {
        char pair[3] = {text.ptr[i], text.ptr[i + 1], '\0'};
        seen[strtoul(pair, NULL, 16)] = true;
    }
    for (int i = 0; i < 256; i++)
        CU_ASSERT_TRUE(seen[i]);
    gw_secret_unref(s);
}

static void random_fills_what_it_is_given(void) {
    unsigned char bytes[600] = {0};
    gw_random(bytes, 0);
    CU_ASSERT_EQUAL(bytes[0], 0);
    gw_random(bytes, sizeof(bytes) - 1);
    CU_ASSERT_EQUAL(bytes[sizeof(bytes) - 1], 0);
    unsigned zeros = 0;
    for (size_t i = 0; i < sizeof(bytes) - 1; i++)
        zeros += bytes[i] == 0;
    CU_ASSERT_TRUE(zeros < 40);
}

static void *ref_and_unref(void *arg) {
    for (int i = 0; i < 10000; i++)
        gw_secret_unref(gw_secret_ref(arg));
    return NULL;
}

static void references_are_of_any_thread(void) {
    struct gw_secret *s = gw_secret_new(GW_STR("token"));
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, ref_and_unref, s), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    CU_ASSERT_TRUE(gw_secret_eq(s, GW_STR("token")));
    gw_secret_unref(s);
}

static void tokens_fit_into_a_header(void) {
    static const struct {
        const char *text;
        bool is_token;
    } table[] = {
        {"", false},      {"a b", false},      {"a\nb", false}, {"a\tb", false},    {" a", false},
        {"a\x7f", false}, {"\xc3\xa4", false}, {"a", true},     {"eyJ.a-_~", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_secret *s = gw_secret_new(gw_str_of(table[i].text));
        CU_ASSERT_EQUAL(gw_secret_is_token(s), table[i].is_token);
        gw_secret_unref(s);
    }
}

static CU_TestInfo tests[] = {
    {"absent file is refused by name", absent_file_is_refused_by_name},
    {"directory is refused", directory_is_refused},
    {"empty file is refused", empty_file_is_refused},
    {"file size limit", file_size_limit},
    {"one trailing newline is cut", one_trailing_newline_is_cut},
    {"tokens fit into a header", tokens_fit_into_a_header},
    {"new copies", new_copies},
    {"constant-time equality", eq_table},
    {"random is hex and differs", random_is_hex_and_differs},
    {"random uses every byte", random_uses_every_byte},
    {"random fills what it is given", random_fills_what_it_is_given},
    {"references are of any thread", references_are_of_any_thread},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_secret = {"shared_secret", NULL, NULL, NULL, NULL, tests};
