// SPDX-License-Identifier: Apache-2.0
// Runs a provider's answer through a call and tells in one text what came of it.
#ifndef TEST_DATAPLANE_LLM_ANSWERS_H
#define TEST_DATAPLANE_LLM_ANSWERS_H

#include "test/unit/dataplane/llm/backends.h"

struct test_answer {
    const char *type, *coding; // header fields; NULL: absent
    int status;                // 0: 200
    bool asked;                // the client asked for usage in the stream
    bool cut;                  // the connection broke at the end
};
// A split_text_fn; arg is a struct test_answer. Writes "[begin CODE STATUS: text]" where the answer
// is refused at its head; else the bytes that the client sees, then " | held" where it was never
// committed, " | STATUS text" and " told" where it failed, and " | IN/OUT/CACHED", "~" before it
// where that is estimated.
void test_answer_tell(void *arg, const struct gw_str *pieces, size_t n, struct gw_text *out);

// Feeds body whole, cut at every byte and byte by byte: every way must tell want.
bool test_answer_is(const struct test_answer *a, struct gw_str body, const char *want);

#endif
