// SPDX-License-Identifier: Apache-2.0
// See policies.h.
#include "test/unit/dataplane/policy/policies.h"
#include "dataplane/codec/authority.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

enum gw_rc policy_compile(const char *type, const char *json, struct gw_arena *a,
                          const void **ret_conf, struct gw_err *err) {
    const struct dp_policy_type *t = dp_policy_find(gw_str_of(type));
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    json_t *spec = json_loads(json, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(spec);
    enum gw_rc rc = t->compile(spec, a, ret_conf, err);
    json_decref(spec);
    return rc;
}

void policy_refuses(const char *type, const char *json, const char *why) {
    struct gw_arena a = {0};
    struct gw_err err = {0};
    const void *conf = NULL;
    CU_ASSERT_EQUAL(policy_compile(type, json, &a, &conf, &err), GW_ERR_INPUT);
    bool says = strstr(err.text, why);
    CU_ASSERT(says);
    if (!says) printf("\n%s\ngot '%s', wanted '%s'\n", json, err.text, why);
    gw_arena_fini(&a);
}

struct dp_head policy_head(const struct policy_request *q, struct gw_arena *a) {
    struct gw_str method = gw_str_of(q->method ? q->method : "GET");
    struct dp_authority parsed = {0};
    struct gw_str rest = gw_str_of(q->target);
    struct dp_head h = {
        .method = gw_str_eq(method, GW_STR("OPTIONS")) ? DP_METHOD_OPTIONS : DP_METHOD_GET,
        .method_text = method,
        .target = gw_str_of(q->target),
        .authority = gw_str_of(q->authority),
        .minor_version = 1,
        .content_length = -1,
    };
    h.path = gw_str_cut(&rest, '?');
    h.query = rest;
    if (q->authority) CU_ASSERT_PTR_NULL_FATAL(dp_authority_parse(h.authority, a, &parsed));
    h.host = parsed.host;
    for (int i = 0; q->fields[i][0]; i++)
        CU_ASSERT_EQUAL(
            dp_fields_add(&h.fields, a, gw_str_of(q->fields[i][0]), gw_str_of(q->fields[i][1])),
            GW_OK);
    return h;
}

const char *policy_field(const struct dp_fields *f, const char *name) {
    static char text[4096];
    const struct dp_field *found = dp_fields_find_name(f, gw_str_of(name));
    if (!found) return NULL;
    snprintf(text, sizeof(text), GW_STR_FMT, GW_STR_ARG(found->value));
    return text;
}

bool policy_has_fields(const struct dp_fields *f, const char *const (*want)[2]) {
    unsigned n = 0;
    bool same = true;
    for (; want[n][0]; n++) {
        const char *got = policy_field(f, want[n][0]);
        if (got && strcmp(got, want[n][1]) == 0) continue;
        printf("\n%s: got '%s', wanted '%s'\n", want[n][0], got ? got : "(none)", want[n][1]);
        same = false;
    }
    for (unsigned i = 0; n != f->len && i < f->len; i++)
        printf("\nhas " GW_STR_FMT ": " GW_STR_FMT "\n", GW_STR_ARG(f->ptr[i].name),
               GW_STR_ARG(f->ptr[i].value));
    return same && n == f->len;
}
