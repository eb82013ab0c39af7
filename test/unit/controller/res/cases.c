// SPDX-License-Identifier: Apache-2.0
#include "test/unit/controller/res/cases.h"

#include "shared/yaml.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

json_t *res_parse(const char *yaml) {
    struct gw_yaml y;
    struct gw_err err = {0};
    if (gw_yaml_parse(gw_str_of(yaml), "test.yaml", &y, &err) != GW_OK) {
        fprintf(stderr, "\n%s\n%s\n", err.text, yaml);
        CU_FAIL_FATAL("the test's YAML is wrong");
    }
    CU_ASSERT_EQUAL_FATAL(y.len, 1);
    json_t *v = json_incref(y.docs[0].root);
    gw_yaml_fini(&y);
    return v;
}

static json_t *manifest(const struct ctl_res_kind *kind, const char *yaml) {
    struct gw_text t = {0};
    gw_text_addf(&t, "apiVersion: %s%s%s\nkind: %s\nmetadata: {name: web}\n%s\n", kind->group,
                 *kind->group ? "/" : "", kind->versions[0], kind->name, yaml);
    json_t *v = res_parse(t.ptr);
    gw_text_fini(&t);
    return v;
}

void res_run_cases(const struct ctl_res_kind *kind, const struct res_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        GW_JSON_AUTO obj = manifest(kind, cases[i].yaml);
        struct gw_schema_problem problem = {0};
        enum gw_rc rc = ctl_res_check(kind, obj, &problem);
        const char *got = rc == GW_OK ? NULL : problem.err.text;
        bool right = cases[i].want ? got && strcmp(got, cases[i].want) == 0 : !got;
        if (!right)
            fprintf(stderr, "\n%s: %s\n  want: %s\n  got:  %s\n", kind->name, cases[i].name,
                    cases[i].want ? cases[i].want : "(accepted)", got ? got : "(accepted)");
        CU_ASSERT(right);
    }
}

json_t *res_accepted(const struct ctl_res_kind *kind, const char *yaml) {
    json_t *obj = manifest(kind, yaml);
    struct gw_schema_problem problem = {0};
    CU_ASSERT_EQUAL(ctl_res_check(kind, obj, &problem), GW_OK);
    CU_ASSERT_STRING_EQUAL(problem.err.text, "");
    ctl_res_settle(kind, obj);
    return obj;
}
