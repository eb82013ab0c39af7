// SPDX-License-Identifier: Apache-2.0
#include "shared/err.h"

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_without_err_returns_class(void) {
    CU_ASSERT_EQUAL(gw_err_set(NULL, GW_ERR_LIMIT, 413, "too large"), GW_ERR_LIMIT);
    CU_ASSERT_EQUAL(gw_err_wrap(NULL, "listener"), GW_ERR_INTERNAL);
}

static void set_fills_everything(void) {
    struct gw_err err = {.retryable = true};
    CU_ASSERT_EQUAL(gw_err_set(&err, GW_ERR_INPUT, 400, "port '%s' is wrong", "x"), GW_ERR_INPUT);
    CU_ASSERT_EQUAL(err.rc, GW_ERR_INPUT);
    CU_ASSERT_EQUAL(err.code, 400);
    CU_ASSERT_FALSE(err.retryable);
    CU_ASSERT_STRING_EQUAL(err.text, "port 'x' is wrong");
}

static void set_may_quote_its_own_text(void) {
    struct gw_err err;
    gw_err_set(&err, GW_ERR_INPUT, 0, "inner");
    gw_err_set(&err, GW_ERR_UPSTREAM, 502, "outer (%s)", err.text);
    CU_ASSERT_STRING_EQUAL(err.text, "outer (inner)");
}

static void set_cuts_long_text(void) {
    char big[2000];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    struct gw_err err;
    gw_err_set(&err, GW_ERR_INPUT, 0, "%s", big);
    CU_ASSERT_EQUAL(strlen(err.text), sizeof(err.text) - 1);
}

static void wrap_puts_text_before(void) {
    struct gw_err err;
    gw_err_set(&err, GW_ERR_LIMIT, 431, "port is wrong");
    CU_ASSERT_EQUAL(gw_err_wrap(&err, "listener[%d]", 2), GW_ERR_LIMIT);
    CU_ASSERT_EQUAL(gw_err_wrap(&err, "gateway '%s'", "web"), GW_ERR_LIMIT);
    CU_ASSERT_STRING_EQUAL(err.text, "gateway 'web': listener[2]: port is wrong");
    CU_ASSERT_EQUAL(err.code, 431);
}

static void wrap_cuts_at_the_end(void) {
    struct gw_err err;
    char big[400];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    gw_err_set(&err, GW_ERR_INPUT, 0, "%s", big);
    gw_err_wrap(&err, "first%s", big);
    CU_ASSERT_EQUAL(strlen(err.text), sizeof(err.text) - 1);
    CU_ASSERT_EQUAL(strncmp(err.text, "firsta", 6), 0);
    gw_err_wrap(&err, "%s%s", big, big);
    CU_ASSERT_EQUAL(strlen(err.text), sizeof(err.text) - 1);
}

static void every_class_has_its_own_name(void) {
    for (int a = GW_OK; a <= GW_ERR_INTERNAL; a++) {
        CU_ASSERT_STRING_NOT_EQUAL(gw_rc_name((enum gw_rc)a), "unknown");
        for (int b = GW_OK; b < a; b++) {
            CU_ASSERT_STRING_NOT_EQUAL(gw_rc_name((enum gw_rc)a), gw_rc_name((enum gw_rc)b));
        }
    }
    CU_ASSERT_STRING_EQUAL(gw_rc_name(GW_ERR_UPSTREAM), "upstream");
}

static int try_steps(enum gw_rc first, int *ret_steps) {
    *ret_steps = 1;
    GW_TRY(first);
    *ret_steps = 2;
    return GW_OK;
}

static void try_returns_at_the_first_error(void) {
    int steps = 0;
    CU_ASSERT_EQUAL(try_steps(GW_ERR_AUTH, &steps), GW_ERR_AUTH);
    CU_ASSERT_EQUAL(steps, 1);
    CU_ASSERT_EQUAL(try_steps(GW_OK, &steps), GW_OK);
    CU_ASSERT_EQUAL(steps, 2);
}

// Exit status as of waitpid of a child that asserts `holds`.
static int status_of_assert(bool holds) {
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        GW_ASSERT(holds);
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

static void failed_assertion_aborts(void) {
    int status = status_of_assert(false);
    CU_ASSERT_TRUE(WIFSIGNALED(status));
    CU_ASSERT_EQUAL(WTERMSIG(status), SIGABRT);
    CU_ASSERT_EQUAL(status_of_assert(true), 0);
}

static void alloc_zeroes_and_takes_zero_bytes(void) {
    unsigned char *p = gw_alloc(64);
    for (int i = 0; i < 64; i++)
        CU_ASSERT_EQUAL(p[i], 0);
    p = gw_realloc(p, 0);
    CU_ASSERT_PTR_NOT_NULL(p);
    free(p);
    free(gw_alloc(0));
}

static void strndup_copies_and_ends(void) {
    char *s = gw_strndup("abcdef", 3);
    CU_ASSERT_STRING_EQUAL(s, "abc");
    free(s);
    s = gw_strndup("ab", 100);
    CU_ASSERT_STRING_EQUAL(s, "ab");
    free(s);
    s = gw_strndup(NULL, 0);
    CU_ASSERT_STRING_EQUAL(s, "");
    free(s);
    s = gw_strdup("whole");
    CU_ASSERT_STRING_EQUAL(s, "whole");
    free(s);
}

static CU_TestInfo tests[] = {
    {"set without err returns class", set_without_err_returns_class},
    {"set fills everything", set_fills_everything},
    {"set may quote its own text", set_may_quote_its_own_text},
    {"set cuts long text", set_cuts_long_text},
    {"wrap puts text before", wrap_puts_text_before},
    {"wrap cuts at the end", wrap_cuts_at_the_end},
    {"every class has its own name", every_class_has_its_own_name},
    {"GW_TRY returns at the first error", try_returns_at_the_first_error},
    {"failed assertion aborts", failed_assertion_aborts},
    {"alloc zeroes and takes zero bytes", alloc_zeroes_and_takes_zero_bytes},
    {"strndup copies and ends", strndup_copies_and_ends},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_err = {"shared_err", NULL, NULL, NULL, NULL, tests};
