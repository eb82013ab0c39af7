// SPDX-License-Identifier: Apache-2.0
// Runs unit suites. `unit` lists them, `unit NAME` runs one; test/unit.sh runs each in a process of
// its own. Exit status is not 0 where an assertion failed, which CUnit itself does not give.
#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

#define SUITE(name) extern CU_SuiteInfo name;
#include "suites.inc"
#undef SUITE

static CU_SuiteInfo *const suites[] = {
#define SUITE(name) &name,
#include "suites.inc"
#undef SUITE
};
static const char *const names[] = {
#define SUITE(name) #name,
#include "suites.inc"
#undef SUITE
};

static int run(const char *name, CU_SuiteInfo *suite) {
    CU_SuiteInfo list[] = {*suite, CU_SUITE_INFO_NULL};
    list[0].pName = name;
    if (CU_initialize_registry() != CUE_SUCCESS) return 2;
    if (CU_register_suites(list) != CUE_SUCCESS) {
        fprintf(stderr, "%s: cannot register: %s\n", name, CU_get_error_msg());
        return 2;
    }
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_ErrorCode rc = CU_basic_run_tests();
    unsigned ran = CU_get_number_of_tests_run();
    unsigned failed_tests = CU_get_number_of_tests_failed();
    unsigned failed_asserts = CU_get_number_of_failures();
    unsigned failed_suites = CU_get_number_of_suites_failed();
    unsigned asserts = CU_get_number_of_asserts();
    CU_cleanup_registry();
    printf("\n%s: %u tests, %u assertions\n%u passed, %u failed\n", name, ran, asserts,
           ran - failed_tests, failed_tests);
    return rc != CUE_SUCCESS || failed_asserts || failed_suites || failed_tests || ran == 0;
}

int main(int argc, char **argv) {
    size_t n = sizeof(suites) / sizeof(suites[0]);
    if (argc < 2) {
        for (size_t i = 0; i < n; i++)
            puts(names[i]);
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], argv[1]) == 0) return run(names[i], suites[i]);
    fprintf(stderr, "no suite '%s'\n", argv[1]);
    return 2;
}
