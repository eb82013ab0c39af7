// SPDX-License-Identifier: Apache-2.0
// Dialects: how a client or a provider speaks. One file = one const descriptor, one line in
// dialect.c's table. A request's path suffix tells its dialect.
#ifndef DP_LLM_DIALECT_H
#define DP_LLM_DIALECT_H

#include "shared/json.h"

struct dp_llm_usage {
    int64_t input, output, cached; // -1: not known
    bool estimated;
};

// Watches of a request body, in this order in the dialect's table.
enum dp_llm_request_watch {
    DP_LLM_RQ_MODEL,
    DP_LLM_RQ_STREAM,
    DP_LLM_RQ_OPTION,
    DP_LLM_RQ_OPTION_USAGE,
    DP_LLM_RQ_N
};
// Watches of an answer or of one stream event.
enum dp_llm_answer_watch {
    DP_LLM_AN_USAGE,
    DP_LLM_AN_INPUT,
    DP_LLM_AN_OUTPUT,
    DP_LLM_AN_CACHED,
    DP_LLM_AN_ERROR,
    DP_LLM_AN_ERROR_MESSAGE,
    DP_LLM_AN_CHOICES,
    DP_LLM_AN_CONTENT, // text that counts for an estimate
    DP_LLM_AN_FINISH,  // the reason why a choice ended
    DP_LLM_AN_N,
};

struct dp_llm_dialect {
    const char *id;                  // "chat"
    const char *suffix;              // "/chat/completions"
    const struct gw_jwatch *request; // DP_LLM_RQ_N entries
    const struct gw_jwatch *answer;  // DP_LLM_AN_N entries
    struct gw_str stream_end;        // data of the event that ends a stream well: "[DONE]"
    // What asks a provider for usage in a stream: the whole member to add to a body that lacks it,
    // and the member to add inside an option object that is there.
    struct gw_str usage_option, usage_option_inner;
    // An error body. status: HTTP status; code: stable word ("model_not_found"). Adds to out.
    void (*error_body)(struct gw_text *out, int status, const char *code, struct gw_str message);
    // The same as the last event of a stream that broke.
    void (*error_event)(struct gw_text *out, int status, const char *code, struct gw_str message);
};
extern const struct dp_llm_dialect *const dp_llm_dialects[]; // NULL-terminated
const struct dp_llm_dialect *dp_llm_dialect_find(struct gw_str id);
const struct dp_llm_dialect *dp_llm_dialect_of_path(struct gw_str path); // NULL: none

#endif
