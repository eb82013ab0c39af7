// SPDX-License-Identifier: Apache-2.0
// What the files of llm/ share of one model request.
#ifndef DP_LLM_CALL_H
#define DP_LLM_CALL_H

#include "dataplane/codec/sse.h"
#include "dataplane/llm/llm.h"

#define DP_LLM_NUMBER_CHARS 32
#define DP_LLM_MESSAGE_CHARS 256

enum dp_llm_tap {
    DP_LLM_TAP_NONE, // not begun
    DP_LLM_TAP_JSON, // one JSON text, passed on as it comes
    DP_LLM_TAP_SSE,  // a stream of events
};

struct dp_llm_inflate; // inflate.h

struct dp_llm_call {
    struct gw_arena *arena;
    const struct dp_llm_dialect *dialect;
    struct gw_jscan scan; // of the request, then of the answer

    // request
    struct gw_jfound rq[DP_LLM_RQ_N];
    char model_raw[DP_LLM_MODEL_BYTES_MAX * 2]; // as in the body, still escaped
    struct gw_str model;                        // "": none given
    struct gw_str upstream_model;
    bool is_callers_name; // upstream_model: no configuration has it, a pattern at most
    const struct dp_backend *backend;
    bool is_stream, wants_usage; // wants_usage: the client asked for usage in the stream
    uint64_t request_bytes;

    // answer
    enum dp_llm_tap tap;
    struct dp_sse sse;
    struct dp_llm_inflate *inflate; // NULL: not compressed
    struct gw_jfound an[DP_LLM_AN_N];
    char numbers[3][DP_LLM_NUMBER_CHARS];
    char message[DP_LLM_MESSAGE_CHARS];
    struct gw_buf held; // events before the first content
    bool committed;
    bool dropped;      // the last event was not for the client
    bool scan_off;     // not JSON after all: passed on unread
    bool seen_end;     // the dialect's own end of a stream
    bool seen_finish;  // a choice said why it ended
    bool failed, told; // the provider failed; the client was told by an event
    bool is_error;     // status >= 400
    uint64_t content_bytes, content_events;
    struct dp_llm_usage usage;
};

// usage.c
void dp_llm_usage_take(struct dp_llm_call *c); // from c->an, after a text was scanned
// Prepares c->scan and c->an for a text of an answer.
void dp_llm_answer_scan_init(struct dp_llm_call *c);

// label.c: upstream_model as a metric has it; is_answered: a provider took it for a model.
struct gw_str dp_llm_label(const struct dp_llm_call *c, bool is_answered);

// pick.c: *ret_upstream_model borrows from b where b has it, else it is model itself.
bool dp_llm_backend_takes(const struct dp_backend_llm *b, struct gw_str model,
                          struct gw_str *ret_upstream_model);

#endif
