// SPDX-License-Identifier: Apache-2.0
// OpenAI chat completions: what is read of requests, answers and stream events, and how errors look
// (https://platform.openai.com/docs/api-reference/chat).
#include "dataplane/llm/dialect.h"

static const struct gw_jwatch request[DP_LLM_RQ_N] = {
    [DP_LLM_RQ_MODEL] = {"model", GW_JWATCH_ONCE},
    [DP_LLM_RQ_STREAM] = {"stream", GW_JWATCH_ONCE},
    [DP_LLM_RQ_OPTION] = {"stream_options", GW_JWATCH_ONCE},
    [DP_LLM_RQ_OPTION_USAGE] = {"stream_options.include_usage", GW_JWATCH_ONCE},
};

static const struct gw_jwatch answer[DP_LLM_AN_N] = {
    [DP_LLM_AN_USAGE] = {"usage", 0},
    [DP_LLM_AN_INPUT] = {"usage.prompt_tokens", 0},
    [DP_LLM_AN_OUTPUT] = {"usage.completion_tokens", 0},
    [DP_LLM_AN_CACHED] = {"usage.prompt_tokens_details.cached_tokens", 0},
    [DP_LLM_AN_ERROR] = {"error", 0},
    [DP_LLM_AN_ERROR_MESSAGE] = {"error.message", 0},
    [DP_LLM_AN_CHOICES] = {"choices", 0},
    [DP_LLM_AN_CONTENT] = {"choices[].delta.content", 0},
    [DP_LLM_AN_FINISH] = {"choices[].finish_reason", 0},
};

// The types that OpenAI's clients know.
static const char *type_of(int status) {
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 429:
        return "rate_limit_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

static void error_body(struct gw_text *out, int status, const char *code, struct gw_str message) {
    gw_text_adds(out, "{\"error\":{\"message\":\"");
    gw_text_add_json(out, message);
    gw_text_addf(out, "\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}", type_of(status), code);
}

static void error_event(struct gw_text *out, int status, const char *code, struct gw_str message) {
    gw_text_adds(out, "data: ");
    error_body(out, status, code, message);
    gw_text_adds(out, "\n\n");
}

extern const struct dp_llm_dialect dp_llm_dialect_chat;
const struct dp_llm_dialect dp_llm_dialect_chat = {
    .id = "chat",
    .suffix = "/chat/completions",
    .request = request,
    .answer = answer,
    .stream_end = {"[DONE]", 6},
    .usage_option = {"\"stream_options\":{\"include_usage\":true}", 39},
    .usage_option_inner = {"\"include_usage\":true", 20},
    .error_body = error_body,
    .error_event = error_event,
};
