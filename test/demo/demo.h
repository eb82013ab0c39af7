// SPDX-License-Identifier: Apache-2.0
// What the files of tandem-demo share. One thread, one epoll; no project library, so that tests
// and the bench measure the proxy in front of it and nothing that they have in common.
#ifndef TEST_DEMO_DEMO_H
#define TEST_DEMO_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A client that sends more than this before its head ends gets 431.
#define DEMO_HEAD_BYTES_MAX (64u * 1024)
// Bodies that an answer depends on (chat, ?echo=1) are kept up to here, then 413.
#define DEMO_BODY_KEEP_MAX (64u * 1024 * 1024)
// Of any other body only the start is kept, for /__stats.
#define DEMO_BODY_STATS_MAX 4096u
// The block that long bodies repeat.
#define DEMO_PATTERN_BYTES 16384u

#define DEMO_PRINTF(f, a) __attribute__((format(printf, f, a)))

// Borrows.
struct demo_slice {
    const char *ptr;
    size_t len;
};
#define DEMO_LIT(s) ((struct demo_slice){(s), sizeof(s) - 1})

// Grows; owns its bytes.
struct demo_buf {
    char *ptr;
    size_t len;
    size_t cap;
};

struct demo_request {
    struct demo_slice head; // request line and header lines, with the empty line
    struct demo_slice method, target, path, query;
    struct demo_slice lines; // header lines alone
    struct demo_slice knobs; // value of x-demo, read like the query
    struct demo_slice authorization;
    struct demo_slice body; // what was kept of it
    uint64_t body_bytes;    // all of it
    uint64_t content_length;
    bool is_chunked, is_head, keep_alive, expects_continue;
};

// An answer is a small programme that the connection plays: write, sleep, repeat, end.
enum demo_op_kind {
    DEMO_OP_WRITE,  // the next n bytes of out
    DEMO_OP_REPEAT, // pattern, n times
    DEMO_OP_SLEEP,  // n milliseconds
    DEMO_OP_HANG,   // nothing, until the client goes
    DEMO_OP_CLOSE,  // orderly end
    DEMO_OP_RESET,  // end with RST
};
struct demo_op {
    enum demo_op_kind kind;
    uint64_t n;
    struct demo_slice pattern;
};
struct demo_answer {
    struct demo_buf out;
    struct demo_op *ops;
    size_t ops_len, ops_cap;
    size_t op_at;      // being played
    uint64_t op_done;  // bytes (WRITE) or repeats (REPEAT) of it that are done
    size_t repeat_off; // bytes of the running repeat
    size_t out_off;    // bytes of out that earlier writes used
    bool is_armed;     // the sleep of this op has its timer
    bool closes_on_next_request;
};

struct demo_options {
    const char *plain, *model; // HOST:PORT or "none"
    const char *name;          // backend name in answers
    const char *api_key;       // NULL: not asked for
    const char *scripts;       // folder or NULL
    uint64_t token_ms;
};

struct demo_server;
struct demo_conn;
// Puts the answer of req together. The body is complete (or cut to the kept part).
typedef void (*demo_answer_fn)(struct demo_server *server, const struct demo_request *req,
                               struct demo_answer *ans);
// How much of the body of req must be kept for its answer.
typedef size_t (*demo_keep_fn)(const struct demo_request *req);

struct demo_server {
    const char *kind; // "plain" or "model"
    const struct demo_options *options;
    demo_answer_fn answer;
    demo_keep_fn keep;
    int listen_fd;
    char address[64];
    // Counters of /__stats.
    uint64_t requests_seen, requests_answered;
    uint64_t connections_accepted, connections_open;
    uint64_t client_closes_seen, idle_closes_seen;
    uint64_t last_close_ms;
    struct demo_buf last_head, last_body;
    uint64_t last_body_bytes;
};

// --- util.c: bytes, numbers, JSON strings
void demo_buf_reserve(struct demo_buf *buf, size_t more);
void demo_buf_put(struct demo_buf *buf, const void *data, size_t len);
void demo_buf_printf(struct demo_buf *buf, const char *format, ...) DEMO_PRINTF(2, 3);
void demo_buf_fini(struct demo_buf *buf);
// A JSON string with quotes; bytes >= 0x80 are written as Latin-1, so the result is always valid.
void demo_buf_json(struct demo_buf *buf, struct demo_slice text);
void demo_buf_json_lower(struct demo_buf *buf, struct demo_slice text);
bool demo_is(struct demo_slice a, const char *text);
bool demo_is_nocase(struct demo_slice a, const char *text);
bool demo_same_nocase(struct demo_slice a, struct demo_slice b);
bool demo_starts(struct demo_slice a, const char *prefix);
bool demo_ends(struct demo_slice a, const char *suffix);
bool demo_number(struct demo_slice text, uint64_t *ret_value); // decimal digits only, all of text
uint64_t demo_now_us(void);                                    // monotonic

// --- http.c: the request side of HTTP/1.1
// Bytes of the head at the start of data, 0 when it is not complete.
size_t demo_http_head_len(const char *data, size_t len);
// NULL, or why the head is refused. The slices of ret_req borrow head.
const char *demo_http_parse(struct demo_slice head, struct demo_request *ret_req);
// Next header line of *lines; false at the end. Value without surrounding blanks.
bool demo_http_next(struct demo_slice *lines, struct demo_slice *ret_name,
                    struct demo_slice *ret_value);
const char *demo_http_reason(uint64_t status);
// {"name":"value",...}: names in lower case, repeated ones joined by ", ".
void demo_http_headers_json(struct demo_buf *buf, struct demo_slice lines);
// Knob of the query or of the x-demo header, both in the form a=1&b=2.
bool demo_knob(const struct demo_request *req, const char *name, struct demo_slice *ret_value);
bool demo_knob_number(const struct demo_request *req, const char *name, uint64_t *ret_value);
bool demo_knob_is_on(const struct demo_request *req, const char *name);
// The index-th (from 0) value of a knob that may repeat.
bool demo_knob_nth(const struct demo_request *req, const char *name, unsigned index,
                   struct demo_slice *ret_value);
void demo_percent_decode(struct demo_buf *buf, struct demo_slice text);

// --- answer.c: putting an answer together
extern char demo_pattern[DEMO_PATTERN_BYTES]; // 'x'
extern char demo_pattern_chunk[];             // the same as one HTTP chunk
extern const size_t demo_pattern_chunk_len;
void demo_answer_init_patterns(void);
void demo_answer_reset(struct demo_answer *ans);
void demo_answer_fini(struct demo_answer *ans);
void demo_put(struct demo_answer *ans, const void *data, size_t len);
void demo_putf(struct demo_answer *ans, const char *format, ...) DEMO_PRINTF(2, 3);
void demo_put_chunk(struct demo_answer *ans, const void *data, size_t len); // len 0 writes nothing
void demo_put_last_chunk(struct demo_answer *ans);
void demo_repeat(struct demo_answer *ans, struct demo_slice pattern, uint64_t times); // borrows
void demo_sleep(struct demo_answer *ans, uint64_t ms);
void demo_end(struct demo_answer *ans, enum demo_op_kind kind); // HANG, CLOSE or RESET
// A whole answer with Content-Length; honours HEAD and a client that wants to close.
void demo_put_whole(struct demo_answer *ans, const struct demo_request *req, uint64_t status,
                    const char *content_type, const char *more_headers, struct demo_slice body);

// gzip by stored blocks: the format without a compressor.
struct demo_gzip {
    uint32_t crc;
    uint32_t bytes;
};
void demo_gzip_begin(struct demo_gzip *gz, struct demo_buf *out);
void demo_gzip_put(struct demo_gzip *gz, struct demo_buf *out, const void *data, size_t len);
void demo_gzip_end(struct demo_gzip *gz, struct demo_buf *out);

// --- json.c: reading the few fields of a chat request
// Value of a top-level member of the object, as raw JSON text; false when there is none.
bool demo_json_member(struct demo_slice object, const char *name, struct demo_slice *ret_value);
// Walks an array; *at starts at 0.
bool demo_json_element(struct demo_slice array, size_t *at, struct demo_slice *ret_value);
// Text between the quotes; false when value is no string. Escapes are left as they are.
bool demo_json_string(struct demo_slice value, struct demo_slice *ret_text);
// true when text is one whole JSON object, as far as its brackets and strings show.
bool demo_json_is_object(struct demo_slice text);

// --- plain.c, model.c, stats.c
void demo_plain_answer(struct demo_server *server, const struct demo_request *req,
                       struct demo_answer *ans);
size_t demo_plain_keep(const struct demo_request *req);
void demo_plain_init(void);
void demo_model_answer(struct demo_server *server, const struct demo_request *req,
                       struct demo_answer *ans);
size_t demo_model_keep(const struct demo_request *req);
void demo_plain_help(void);
void demo_model_help(void);
// true when the request was one of /__count, /__stats, /__reset; those are not counted.
bool demo_stats_answer(struct demo_server *server, const struct demo_request *req,
                       struct demo_answer *ans);
void demo_stats_note(struct demo_server *server, const struct demo_request *req);

// --- script.c: answers from a folder
// true when DIR/<model>.txt exists and ans holds its answer.
bool demo_script_answer(const struct demo_options *options, struct demo_slice model, bool is_stream,
                        const struct demo_request *req, struct demo_answer *ans);

// --- timer.c: connections that sleep, by due time
void demo_timer_set(struct demo_conn *conn, uint64_t due_us);
void demo_timer_clear(struct demo_conn *conn);
struct demo_conn *demo_timer_due(uint64_t now_us); // removes and returns one, or NULL
int demo_timer_wait_ms(uint64_t now_us);           // for epoll_wait; -1: nothing sleeps

// --- conn.c: one client connection
struct demo_conn {
    int fd;
    struct demo_server *server;
    enum { DEMO_CONN_HEAD, DEMO_CONN_BODY, DEMO_CONN_ANSWER, DEMO_CONN_LINGER } state;
    enum { DEMO_CHUNK_SIZE, DEMO_CHUNK_DATA, DEMO_CHUNK_CRLF, DEMO_CHUNK_TRAILER } chunk_state;
    // in holds: head, kept body, then bytes not looked at yet (from raw_off).
    struct demo_buf in;
    size_t head_len, body_kept, raw_off;
    size_t keep_max;                // of the body of this request
    uint64_t body_bytes, body_left; // body_left: of the length, or of the current chunk
    struct demo_request req;
    struct demo_answer ans;
    uint32_t events;     // what epoll was asked for
    bool is_internal;    // a /__ request
    bool is_counted;     // in connections_accepted
    bool is_body_unread; // answered before the request ended; the connection must close
    bool dies_on_next_request;
    uint64_t due_us;
    size_t timer_slot; // 1-based place in the heap, 0: none
};
void demo_conn_open(int epoll_fd, struct demo_server *server, int fd);
void demo_conn_event(struct demo_conn *conn, uint32_t events);
void demo_conn_timer(struct demo_conn *conn);

#endif
