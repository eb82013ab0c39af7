// SPDX-License-Identifier: Apache-2.0
// Tables of manifests and what is said of them, for the suites of controller/res/.
#ifndef TEST_RES_CASES_H
#define TEST_RES_CASES_H

#include "controller/res/res.h"

struct res_case {
    const char *name;
    const char *yaml; // what follows apiVersion, kind and metadata
    const char *want; // the whole message; NULL: accepted
};
// Checks every case as an object of the kind called "web", with one assertion each that prints the
// case's name and both texts where they differ.
void res_run_cases(const struct ctl_res_kind *kind, const struct res_case *cases, size_t n);

// A manifest of the kind as the store would get it; owned by caller. Asserts that it is accepted.
json_t *res_accepted(const struct ctl_res_kind *kind, const char *yaml);

// The first document of a text; owned by caller.
json_t *res_parse(const char *yaml);

#endif
