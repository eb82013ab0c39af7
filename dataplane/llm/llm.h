// SPDX-License-Identifier: Apache-2.0
// A model request from its body to its usage: scan and splice on the way up, tap on the way down.
// Knows heads and bytes, not connections. Every function may be called on a fiber.
#ifndef DP_LLM_LLM_H
#define DP_LLM_LLM_H

#include "dataplane/conf/conf.h"
#include "dataplane/llm/dialect.h"
#include "shared/buf.h"

#define DP_LLM_MODEL_BYTES_MAX 256
#define DP_LLM_DEPTH_MAX 128              // of JSON in requests and answers
#define DP_LLM_HELD_BYTES_MAX (64 * 1024) // of a stream before its first content

struct dp_llm_call; // opaque; lives in the request's arena, dp_llm_call_fini frees the rest

struct dp_llm_call *dp_llm_call_new(struct gw_arena *a, const struct dp_llm_dialect *dialect);
void dp_llm_call_fini(struct dp_llm_call *c); // NULL accepted
const struct dp_llm_dialect *dp_llm_call_dialect(const struct dp_llm_call *c);

// --- the request ---------------------------------------------------------------------------------
// Bytes of the body as they come; err->code 400 where it is not JSON, or a member that is read
// occurs twice.
enum gw_rc dp_llm_call_scan(struct dp_llm_call *c, struct gw_str bytes, struct gw_err *err);
// The whole body was seen. Picks among the rule's backends (API: "Which backend answers a model");
// *ret_code is a stable word. No backend of the rule can be resolved: 500.
enum gw_rc dp_llm_call_plan(struct dp_llm_call *c, const struct dp_rule *rule, uint64_t random,
                            const struct dp_backend **ret_backend, const char **ret_code,
                            struct gw_err *err);
// Replaces the model and asks for usage, by splicing slices; the rest stays byte for byte.
void dp_llm_call_splice(struct dp_llm_call *c, struct gw_buf *body);
// Path, authority, credentials, length and encodings of the upstream request.
enum gw_rc dp_llm_call_head(struct dp_llm_call *c, struct dp_head *head, uint64_t body_bytes,
                            uint64_t random, struct gw_err *err);

// --- the answer
// ------------------------------------------------------------------------------------ Chooses how
// the answer is read, and edits its head (length and encoding go where bytes change).
// GW_ERR_UPSTREAM: it must not reach the client as it is; err and *ret_code say what does.
enum gw_rc dp_llm_answer_begin(struct dp_llm_call *c, struct dp_head *answer, const char **ret_code,
                               struct gw_err *err);
// Bytes of its body; what the client shall see is appended to out. owner as in gw_buf_push.
enum gw_rc dp_llm_answer_data(struct dp_llm_call *c, struct gw_slab *owner, struct gw_str bytes,
                              struct gw_buf *out, struct gw_err *err);
// False while a stream has brought nothing that is worth a status line: the head is held back, and
// an error can still be a status.
bool dp_llm_answer_is_committed(const struct dp_llm_call *c);
// The answer's end: clean tells whether the codec saw one. Adds what is held, or, where the stream
// is not whole, an error event. GW_OK; GW_ERR_UPSTREAM where it was cut or broken: not committed:
// answer err as a status; committed and *ret_explicit: the client was told by an event and the
// message may end; else it must be cut.
enum gw_rc dp_llm_answer_end(struct dp_llm_call *c, bool clean, struct gw_buf *out,
                             bool *ret_explicit, struct gw_err *err);

// --- what is noted ------------------------------------------------------------------------------
struct dp_llm_note {
    struct gw_str model, upstream_model;
    struct dp_llm_usage usage;
    bool failed; // the provider reported an error, or the answer was cut
    bool seen_content;
};
// ended: false where the client left before the end: usage that was not reported is estimated.
void dp_llm_call_note(struct dp_llm_call *c, struct dp_llm_note *ret);
// Adds to tandem_tokens_total and the like; once per call.
void dp_llm_call_settle(struct dp_llm_call *c, const struct dp_backend *b, int status,
                        int64_t first_token_us, bool cancelled);

// --- GET /v1/models
// ------------------------------------------------------------------------------- All models of a
// rule's backends that can be named; id not empty: that one alone, GW_ERR_INPUT with 404 where
// there is none.
enum gw_rc dp_llm_models(const struct dp_rule *rule, struct gw_str id, struct gw_text *out,
                         struct gw_err *err);

#endif
