// SPDX-License-Identifier: Apache-2.0
// One request. Its life is the table in steps.c; this header is what its steps share. How it meets
// its client and its upstream is down.h and up.h.
#ifndef DP_PROXY_REQ_H
#define DP_PROXY_REQ_H

#include "dataplane/llm/llm.h"
#include "dataplane/proxy/down.h"
#include "dataplane/proxy/up.h"

// Heads, ids and what steps note. A head of DP_H1_HEAD_BYTES_MAX both ways and its edits fit.
#define DP_REQ_ARENA_BYTES_MAX (512 * 1024)
#define DP_REQ_INLINE_BYTES 3072
#define DP_ATTEMPTS_MAX 3

// What a request's timer means when it fires.
enum dp_deadline {
    DP_DEADLINE_WHOLE,
    DP_DEADLINE_ATTEMPT,
    DP_DEADLINE_BODY,       // the client sends nothing of a body that is wanted
    DP_DEADLINE_FIRST_BYTE, // the upstream does not answer
    DP_DEADLINE_STREAM,     // neither side moves
};

// Where a request's body goes.
enum dp_body_mode {
    DP_BODY_WAIT,    // nobody wants it yet
    DP_BODY_GATHER,  // into req->body, for a step that reads it whole
    DP_BODY_FORWARD, // to the upstream
    DP_BODY_DROP,    // the upstream does not take it any more
};

enum dp_stage {
    DP_STAGE_DECIDE, // on a fiber
    DP_STAGE_STREAM, // an upstream's answer flows
    DP_STAGE_LOCAL,  // an answer of our own is ready
    DP_STAGE_GONE,   // nobody is there to answer
};

// What a fiber may wait for.
#define DP_WAKE_CONNECTED 1u
#define DP_WAKE_BODY 2u
#define DP_WAKE_ANSWER 4u
#define DP_WAKE_FAILED 8u   // r->err says why
#define DP_WAKE_GONE 16u    // the client left
#define DP_WAKE_TIMEOUT 32u // r->err says which

struct dp_req {
    struct dp_client *client;
    const struct dp_down_ops *down;
    void *stream; // down's own
    struct dp_worker *worker;
    struct dp_req *next_free;
    const struct dp_step *steps;
    bool is_copy;              // a mirror: neither logged nor counted
    struct dp_mirror *mirrors; // list of its copies that are under way
    struct dp_worker_conf *conf;
    struct gw_arena arena;
    enum dp_stage stage;

    struct gw_fiber *fiber;
    unsigned wakes, wanted; // DP_WAKE_*: what happened, what the suspended fiber waits for

    // request
    struct dp_head *head;
    struct gw_str request_id;
    struct gw_str log_path, log_method, log_host; // as received: filters may edit the head
    enum dp_body_mode body_mode;
    bool body_done, continue_sent;
    uint64_t body_bytes, body_bytes_max; // max: of a gathered one
    struct gw_buf body;
    uint64_t gathered_bytes; // of body, as the worker counts them

    // decisions
    const struct dp_listener *listener;
    const struct dp_rule *rule;
    const struct dp_rule_match *match;          // of rule
    const struct dp_rule_backend *rule_backend; // NULL: none is picked yet
    const struct dp_backend *backend;
    struct gw_str origin;    // for filters: what the client said, whatever they do to the head
    bool explain;            // the client asks, and may
    struct dp_llm_call *llm; // NULL: not a model request

    // upstream
    struct dp_endpoint *endpoint; // holds a reference and a place in its load
    const struct dp_up_ops *up;   // NULL: nothing is lent
    union {
        struct dp_up_h1_state h1;
        struct dp_up_h2_state h2;
    };               // of up
    bool replayable; // nothing is lost by sending it once more
    unsigned attempts;

    // answer
    struct dp_head *answer;
    bool head_is_held;           // made, not pushed
    struct gw_str answer_head;   // as the protocol wants it, while held
    int status, upstream_status; // 0: none sent, none seen
    bool keep_alive, answer_chunked;
    bool up_done;   // the upstream's message ended cleanly
    bool is_tunnel; // the answer was a 101: bytes both ways
    char chunk_head[DP_H1_CHUNK_HEAD_MAX];
    struct gw_text local_body;
    const char *local_type;  // content type of an answer of ours; NULL: it has no body
    const char *grpc_status; // of a refusal in the words of gRPC; NULL: it is in others
    const struct dp_policy
        *local_policy;             // that gave the answer of ours; NULL: a refusal, or models
    struct dp_fields local_fields; // which it gave
    const char *code;              // stable word of a refusal
    uint64_t bytes_out;

    int64_t start_us, start_real_us;
    int64_t first_byte_us, first_token_us; // since start; -1: not yet
    struct gw_err err;                     // why it was refused or cut; text "" otherwise
    int64_t deadline_us;                   // of the whole; 0: none
    int64_t attempt_deadline_us;           // of the attempt under way; 0: none
    struct gw_timer timer;
    enum dp_deadline deadline;

    char inline_mem[DP_REQ_INLINE_BYTES] __attribute__((aligned(16)));
};

// --- steps.c: the life of a request -------------------------------------------------------------
// GW_OK: go on. Anything else: r->err and r->code say what the client is told, unless it left.
typedef enum gw_rc (*dp_step_fn)(struct dp_req *r);
struct dp_step {
    const char *name;
    dp_step_fn run;
};
extern const struct dp_step dp_steps[]; // of a client's request; ends with name NULL
void dp_req_begin(struct dp_req *r);    // starts the fiber; r may be gone afterwards
// Marks what happened and resumes the fiber where it waits for that; r may be gone afterwards.
void dp_req_wake(struct dp_req *r, unsigned wake);
// On the fiber. Returns the wanted bits that happened (and clears them); GONE, FAILED and TIMEOUT
// are always wanted.
unsigned dp_req_wait(struct dp_req *r, unsigned wanted);
// GW_OK, or the error that GONE, FAILED or TIMEOUT stand for.
enum gw_rc dp_req_wait_for(struct dp_req *r, unsigned wanted);
enum gw_rc dp_req_fail(struct dp_req *r, enum gw_rc rc, int status, const char *code,
                       const char *fmt, ...) GW_PRINTF(5, 6);
// What an upstream that failed is called by, from the status of r->err: "no_connection" (503),
// "timeout" (504), else "bad_gateway".
const char *dp_req_upstream_code(const struct dp_req *r);

enum gw_rc dp_step_route(struct dp_req *r);    // route.c
enum gw_rc dp_step_filter(struct dp_req *r);   // filter.c
enum gw_rc dp_step_plan(struct dp_req *r);     // plan.c
enum gw_rc dp_step_upstream(struct dp_req *r); // attempt.c
enum gw_rc dp_step_respond(struct dp_req *r);  // respond.c

// --- filter.c ------------------------------------------------------------------------------------
// Asks those filters what to do with the request. One that answers by itself makes its answer ours
// (the stage is DP_STAGE_LOCAL then).
enum gw_rc dp_filter_request(struct dp_req *r, const struct dp_filters *f);
// The backend's filters, then the rule's. is_own: the answer is ours.
enum gw_rc dp_filter_answer(struct dp_req *r, struct dp_head *answer, bool is_own);

// --- explain.c: what became of a request, for those who ask ------------------------------------
#define DP_EXPLAIN_FIELD "x-tandem-explain"
void dp_explain_ask(struct dp_req *r); // takes the wish out of the request's head
// Into an answer's head, in place of what an upstream says there.
enum gw_rc dp_explain_answer(struct dp_req *r, struct dp_fields *fields);

// --- deadline.c ---------------------------------------------------------------------------------
// At the latest when the request's whole time is over; ms 0: only then.
void dp_req_arm(struct dp_req *r, enum dp_deadline what, int64_t ms);
void dp_req_on_timer(struct gw_timer *t);

// --- identity.c: who asks, and what upstreams are told of it -----------------------------------
void dp_req_identify(struct dp_req *r);        // request id: kept where it is sane, else made
enum gw_rc dp_req_forwarded(struct dp_req *r); // x-request-id, x-forwarded-*

// --- body.c: the request's body ---------------------------------------------------------------
static inline bool dp_body_is_wanted(const struct dp_req *r) { // more of it
    return !r->body_done && r->body_mode != DP_BODY_WAIT;
}
void dp_body_pump(struct dp_req *r); // moves what is there as far as it may go
void dp_body_drop(struct dp_req *r); // the gathered one is not needed any more
// One decoder event from the front of a queue, as dp_down_ops.next.
enum gw_rc dp_next_event(struct dp_h1_decoder *d, struct gw_buf *in, struct dp_ev *ev,
                         struct gw_slab **ret_owner, struct gw_err *err);

// --- respond.c, answer.c: what the client gets ------------------------------------------------
void dp_answer_pump(struct dp_req *r);   // streams the upstream's answer; r may be gone afterwards
void dp_answer_refuse(struct dp_req *r); // makes r->err an answer of ours
void dp_answer_send(struct dp_req *r);   // sends an answer of ours and finishes
// A refusal (code: unless there is one) in place of a head that is held.
void dp_answer_instead(struct dp_req *r, const char *code);
// answer_grpc.c: calls of gRPC are refused in its words.
bool dp_answer_is_grpc(const struct dp_req *r);
void dp_answer_grpc(struct dp_req *r); // sets what dp_answer_send sends
enum gw_rc dp_answer_grpc_fields(struct dp_req *r, struct dp_fields *f);
// A head that could not be decoded: answered without a request's decisions, then closed.
void dp_answer_bad_head(struct dp_req *r, const struct gw_err *err);

// --- tunnel.c: a WebSocket ----------------------------------------------------------------------
// On the fiber, when the answer is a 101 and its head is made: from here on the body's pump moves
// what the client sends, and the answer's pump what the upstream sends.
void dp_tunnel_begin(struct dp_req *r);
// The client ended its side; the upstream has DP_TUNNEL_END_MS to end its own.
void dp_tunnel_client_ended(struct dp_req *r);
// Nothing moved for too long, or that time is over; r is gone afterwards.
void dp_tunnel_timeout(struct dp_req *r);
#define DP_TUNNEL_END_MS 1000

// --- finish.c: settle and log, once for every outcome --------------------------------------------
void dp_req_finish(struct dp_req *r, bool keep); // frees r and goes on with the client
void dp_req_cut(struct dp_req *r);       // the answer cannot be completed: the client must see it
void dp_req_cancel(struct dp_req *r);    // the client left, or the worker stops
void dp_upstream_drop(struct dp_req *r); // gives the upstream connection back
struct dp_req *dp_req_new(struct dp_client *c, const struct dp_down_ops *down);
void dp_req_release(struct dp_req *r); // for dp_down_ops.over alone

#endif
