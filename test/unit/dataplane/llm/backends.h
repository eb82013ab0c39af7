// SPDX-License-Identifier: Apache-2.0
// Rules with model backends for tests, written as tables.
#ifndef TEST_DATAPLANE_LLM_BACKENDS_H
#define TEST_DATAPLANE_LLM_BACKENDS_H

#include "dataplane/llm/llm.h"

#define TEST_BACKENDS_MAX 5
#define TEST_NAMES_MAX 4

struct test_backend {
    const char *name;     // NULL: an invalid backendRef
    const char *allow;    // globs, parted by ','; NULL: not given
    const char *aliases;  // "from=to", parted by ','
    const char *fallback; // models.default
    unsigned weight;
};

// A rule and everything it refers to; its strings borrow from the table.
struct test_rule {
    struct dp_rule rule;
    struct dp_rule_backend refs[TEST_BACKENDS_MAX];
    struct dp_backend backends[TEST_BACKENDS_MAX];
    struct dp_backend_llm llm[TEST_BACKENDS_MAX];
    struct gw_str allow[TEST_BACKENDS_MAX][TEST_NAMES_MAX];
    struct dp_llm_alias aliases[TEST_BACKENDS_MAX][TEST_NAMES_MAX];
};
// list ends at n, or at an entry that is all zero.
void test_rule_make(struct test_rule *r, const struct test_backend *list, unsigned n);

// A call for one test: its arena, the rule's pick, what it said.
struct test_call {
    struct gw_arena arena;
    struct dp_llm_call *call;
    const struct dp_backend *backend;
    const char *code;
    struct gw_err err;
};
void test_call_init(struct test_call *t);
void test_call_fini(struct test_call *t);
// Scans the pieces and plans; fails where either does.
enum gw_rc test_call_plan(struct test_call *t, const struct dp_rule *rule,
                          const struct gw_str *pieces, size_t n, uint64_t random);
// A call of model "m" of the only backend, ready for its answer.
enum gw_rc test_call_ready(struct test_call *t, const struct dp_rule *rule, const char *body);

void test_buf_text(const struct gw_buf *b, struct gw_text *ret); // all its bytes, appended

#endif
