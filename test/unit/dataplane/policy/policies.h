// SPDX-License-Identifier: Apache-2.0
// What the tests of policies share: filters compiled from JSON, requests made from a few words.
#ifndef TEST_POLICIES_H
#define TEST_POLICIES_H

#include "dataplane/policy/policy.h"

// Compiles; the JSON tree is gone afterwards, so nothing may borrow from it.
enum gw_rc policy_compile(const char *type, const char *json, struct gw_arena *a,
                          const void **ret_conf, struct gw_err *err);
// Asserts that compile refuses, with a text that has why in it.
void policy_refuses(const char *type, const char *json, const char *why);

struct policy_request {
    const char *method;        // NULL: GET
    const char *authority;     // "example.com:8080"; NULL: none
    const char *target;        // "/a?b"
    const char *fields[16][2]; // {name, value}, up to a NULL
};
struct dp_head policy_head(const struct policy_request *q, struct gw_arena *a);
bool policy_has_fields(const struct dp_fields *f, const char *const (*want)[2]); // exactly these
const char *policy_field(const struct dp_fields *f, const char *name);           // or NULL

#endif
