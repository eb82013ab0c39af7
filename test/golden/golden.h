// SPDX-License-Identifier: Apache-2.0
// Golden cases of translation. A case is a YAML file with the objects of its first step. A document
// with the member "step" (a title) begins a further step; its "delete" lists objects to remove, as
// "Kind/namespace/name" or "Kind/name". A document with the member "options" gives "endpoints"
// (--endpoint) and "env" (the environment). What a case yields is, per step, what differs from the
// step before: resources and reports; before all, objects that their kind's table refuses.
#ifndef GOLDEN_H
#define GOLDEN_H

#include "controller/translate/translate.h"
#include "shared/vec.h"
#include "shared/yaml.h"

struct golden_object {
    const struct ctl_res_kind *kind;
    json_t *json; // borrows the case's YAML
    char age[64];
    int64_t generation;
};
struct golden_step {
    struct gw_str title; // borrows; empty for the first
    GW_VEC(struct golden_object) put;
    GW_VEC(struct gw_str) del; // "Kind/ns/name", borrow
};
struct golden_case {
    struct gw_yaml yaml;
    struct gw_map endpoints, env; // values are owned texts
    GW_VEC(struct golden_step) steps;
    struct gw_text refusals;
};
enum gw_rc golden_case_read(struct gw_str text, const char *name, struct golden_case *ret,
                            struct gw_err *err) GW_MUST_USE;
void golden_case_fini(struct golden_case *c);

// What was told so far: resources and reports by name, as texts.
struct golden_state {
    struct gw_map resources, reports; // name -> owned text
};
void golden_state_fini(struct golden_state *s);
// Applies a result; adds its text to out where out is not NULL. GW_ERR_INTERNAL: the result breaks
// a rule of translate.h (order, a body that ir.h refuses, a change that changes nothing).
enum gw_rc golden_state_apply(struct golden_state *s, const struct ctl_translate_result *r,
                              struct gw_text *out, struct gw_err *err) GW_MUST_USE;
// The whole state as text.
void golden_state_print(const struct golden_state *s, struct gw_text *out);

// The text of a case.
enum gw_rc golden_run(const struct golden_case *c, struct gw_text *out, struct gw_err *err)
    GW_MUST_USE;
// Other ways to the same states: documents shuffled by seed, all at once or object by object, in
// the end all removed one by one.
enum gw_rc golden_run_shuffled(const struct golden_case *c, unsigned seed, bool one_by_one,
                               struct gw_err *err) GW_MUST_USE;

#endif
