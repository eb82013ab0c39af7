// SPDX-License-Identifier: Apache-2.0
// A chat request on its way to an answer: shared by model.c (what to answer) and stream.c (how a
// stream of it is written).
#ifndef TEST_DEMO_MODEL_H
#define TEST_DEMO_MODEL_H

#include "test/demo/demo.h"

// Events that a broken stream sends before it breaks.
#define DEMO_EVENTS_BEFORE_BREAK 3u

struct demo_chat {
    const struct demo_request *req;
    struct demo_answer *ans;
    struct demo_slice model; // raw, as in the request
    struct demo_slice text;  // of the answer; needs no JSON escapes
    uint64_t prompt_tokens, completion_tokens;
    uint64_t number;   // behind the model name
    uint64_t token_ms; // pause between events
    uint64_t hold_ms;  // pause after the first event
    unsigned words_per_event;
    bool is_stream, wants_usage, is_without_usage, is_gzip;
    enum { DEMO_BREAK_NOT, DEMO_BREAK_CUT, DEMO_BREAK_RESET, DEMO_BREAK_ERROR } breaks;
    enum { DEMO_SPLIT_NOT, DEMO_SPLIT_BYTES, DEMO_SPLIT_HALVES } splits;
};

void demo_model_error(const struct demo_request *req, struct demo_answer *ans, uint64_t status,
                      const char *type, const char *code, const char *message);
uint64_t demo_words(struct demo_slice text);
// "usage":{...}
void demo_chat_usage(const struct demo_chat *chat, struct demo_buf *out);
void demo_chat_stream(struct demo_chat *chat);
void demo_chat_flood(struct demo_chat *chat);

#endif
