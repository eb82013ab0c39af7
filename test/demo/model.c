// SPDX-License-Identifier: Apache-2.0
// The model server: /chat/completions and /models in the shape of OpenAI's API. What it does with
// a request is decided by the model name, so that ordinary clients can ask for every behaviour.
#include "test/demo/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_KIB_MAX 65536u
#define BIG_MIB_MAX 4096u
#define WORDS_PER_EVENT_LONG 16u // long texts are not streamed word by word
#define LONG_TEXT_BYTES 2048u

// 64 bytes, so that 16 of them are a KiB.
#define FILLER "the quick brown fox jumps over the lazy dog and then runs home. "

// --- texts and counts --------------------------------------------------------------------------

#ifdef __clang__
#define VECTORIZE
#else
#define VECTORIZE __attribute__((optimize("O3")))
#endif

// Words are runs of bytes above 0x20. Branch-free, so that the compiler can use vectors.
VECTORIZE uint64_t demo_words(struct demo_slice text) {
    if (text.len == 0) return 0;
    uint64_t words = (unsigned char)text.ptr[0] > ' ';
    const unsigned char *at = (const unsigned char *)text.ptr;
    for (size_t i = 1; i < text.len; i++)
        words += (uint64_t)((at[i] > ' ') & (at[i - 1] <= ' '));
    return words;
}

static uint64_t message_words(struct demo_slice message) {
    struct demo_slice content, text, part;
    if (!demo_json_member(message, "content", &content)) return 0;
    if (demo_json_string(content, &text)) return demo_words(text);
    uint64_t words = 0;
    size_t at = 0;
    while (demo_json_element(content, &at, &part)) {
        if (demo_json_member(part, "text", &text) && demo_json_string(text, &text)) {
            words += demo_words(text);
        }
    }
    return words;
}

static struct demo_slice filler(uint64_t kib) {
    static struct demo_buf text;
    if (kib > SIZE_KIB_MAX) kib = SIZE_KIB_MAX;
    size_t bytes = (size_t)kib * 1024;
    while (text.len < bytes)
        demo_buf_put(&text, FILLER, sizeof FILLER - 1);
    return (struct demo_slice){text.ptr, bytes};
}

// --- errors ------------------------------------------------------------------------------------

void demo_model_error(const struct demo_request *req, struct demo_answer *ans, uint64_t status,
                      const char *type, const char *code, const char *message) {
    struct demo_buf body = {0};
    demo_buf_printf(&body, "{\"error\":{\"message\":");
    demo_buf_json(&body, (struct demo_slice){message, strlen(message)});
    demo_buf_printf(&body, ",\"type\":\"%s\",\"param\":null,\"code\":%s%s%s}}\n", type,
                    code ? "\"" : "", code ? code : "null", code ? "\"" : "");
    const char *more = status == 429 || status == 503 ? "retry-after: 7\r\n" : "";
    demo_put_whole(ans, req, status, "application/json", more,
                   (struct demo_slice){body.ptr, body.len});
    demo_buf_fini(&body);
}

static void answer_error(struct demo_chat *chat) {
    static const struct {
        uint64_t status;
        const char *type, *code;
    } known[] = {
        {400, "invalid_request_error", NULL},
        {401, "invalid_request_error", "invalid_api_key"},
        {403, "permission_error", NULL},
        {404, "invalid_request_error", "model_not_found"},
        {429, "rate_limit_error", "rate_limit_exceeded"},
    };
    uint64_t status = chat->number >= 400 && chat->number <= 599 ? chat->number : 500;
    const char *type = "server_error", *code = NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].status != status) continue;
        type = known[i].type;
        code = known[i].code;
    }
    demo_model_error(chat->req, chat->ans, status, type, code, "the demo was asked to fail");
}

// --- whole answers -----------------------------------------------------------------------------

#define WHOLE_FORMAT                                                                               \
    "{\"id\":\"chatcmpl-demo\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":"
#define CHOICE_BEGIN                                                                               \
    ",\"system_fingerprint\":null,\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","  \
    "\"content\":\""
#define CHOICE_END "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}]"

static void put_whole_begin(const struct demo_chat *chat, struct demo_buf *body) {
    demo_buf_put(body, WHOLE_FORMAT, sizeof WHOLE_FORMAT - 1);
    demo_buf_json(body, chat->model);
    demo_buf_put(body, CHOICE_BEGIN, sizeof CHOICE_BEGIN - 1);
}

static void put_whole_end(const struct demo_chat *chat, struct demo_buf *body) {
    demo_buf_put(body, CHOICE_END, sizeof CHOICE_END - 1);
    if (!chat->is_without_usage) {
        demo_buf_put(body, ",", 1);
        demo_chat_usage(chat, body);
    }
    demo_buf_put(body, "}\n", 2);
}

static void answer_text(struct demo_chat *chat) {
    if (chat->is_stream) {
        demo_chat_stream(chat);
        return;
    }
    static struct demo_buf body; // one thread: the memory is used again for the next answer
    body.len = 0;
    put_whole_begin(chat, &body);
    demo_buf_put(&body, chat->text.ptr, chat->text.len);
    put_whole_end(chat, &body);
    struct demo_slice whole = {body.ptr, body.len};
    if (chat->is_gzip) {
        struct demo_buf packed = {0};
        struct demo_gzip gz;
        demo_gzip_begin(&gz, &packed);
        demo_gzip_put(&gz, &packed, whole.ptr, whole.len);
        demo_gzip_end(&gz, &packed);
        demo_put_whole(chat->ans, chat->req, 200, "application/json", "content-encoding: gzip\r\n",
                       (struct demo_slice){packed.ptr, packed.len});
        demo_buf_fini(&packed);
        return;
    }
    demo_put_whole(chat->ans, chat->req, 200, "application/json", "", whole);
}

static void answer_size(struct demo_chat *chat) {
    chat->text = filler(chat->number);
    chat->completion_tokens = demo_words(chat->text);
    if (chat->text.len > LONG_TEXT_BYTES) chat->words_per_event = WORDS_PER_EVENT_LONG;
    answer_text(chat);
}

static void answer_big(struct demo_chat *chat) {
    uint64_t mib = chat->number > BIG_MIB_MAX ? BIG_MIB_MAX : chat->number;
    struct demo_slice pattern = filler(64);
    uint64_t times = mib * 16;
    chat->completion_tokens = demo_words(pattern) * times;
    struct demo_buf begin = {0}, end = {0};
    put_whole_begin(chat, &begin);
    put_whole_end(chat, &end);
    demo_putf(chat->ans,
              "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %" PRIu64
              "\r\n%s\r\n",
              begin.len + end.len + times * pattern.len,
              chat->req->keep_alive ? "" : "connection: close\r\n");
    demo_put(chat->ans, begin.ptr, begin.len);
    demo_repeat(chat->ans, pattern, times);
    demo_put(chat->ans, end.ptr, end.len);
    if (!chat->req->keep_alive) demo_end(chat->ans, DEMO_OP_CLOSE);
    demo_buf_fini(&begin);
    demo_buf_fini(&end);
}

static void answer_cut_whole(struct demo_chat *chat) {
    struct demo_buf begin = {0};
    put_whole_begin(chat, &begin);
    demo_putf(chat->ans,
              "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n",
              begin.len + 500);
    demo_put(chat->ans, begin.ptr, begin.len);
    demo_end(chat->ans, DEMO_OP_CLOSE);
    demo_buf_fini(&begin);
}

// --- behaviours --------------------------------------------------------------------------------

static void answer_large(struct demo_chat *chat) {
    chat->text = DEMO_LIT("Hello from demo-large. This answer is a little longer, so that a stream "
                          "of it has more than a handful of tokens and you can watch them come one "
                          "after the other through the gateway.");
    chat->completion_tokens = demo_words(chat->text);
    answer_text(chat);
}

static void answer_delay(struct demo_chat *chat) {
    demo_sleep(chat->ans, chat->number);
    answer_text(chat);
}

static void answer_silent(struct demo_chat *chat) {
    demo_end(chat->ans, DEMO_OP_HANG);
}

static void answer_cut(struct demo_chat *chat) {
    chat->breaks = DEMO_BREAK_CUT;
    chat->is_stream ? demo_chat_stream(chat) : answer_cut_whole(chat);
}

static void answer_reset(struct demo_chat *chat) {
    chat->breaks = DEMO_BREAK_RESET;
    chat->is_stream ? demo_chat_stream(chat) : demo_end(chat->ans, DEMO_OP_RESET);
}

static void answer_error_in_stream(struct demo_chat *chat) {
    chat->breaks = DEMO_BREAK_ERROR;
    chat->number = 500;
    chat->is_stream ? demo_chat_stream(chat) : answer_error(chat);
}

static void answer_gzip(struct demo_chat *chat) {
    chat->is_gzip = true;
    answer_text(chat);
}

static void answer_slow(struct demo_chat *chat) {
    chat->token_ms = chat->number;
    if (!chat->is_stream) demo_sleep(chat->ans, chat->number * chat->completion_tokens);
    answer_text(chat);
}

static void answer_hold(struct demo_chat *chat) {
    chat->hold_ms = chat->number;
    if (!chat->is_stream) demo_sleep(chat->ans, chat->number);
    answer_text(chat);
}

static void answer_nousage(struct demo_chat *chat) {
    chat->is_without_usage = true;
    answer_text(chat);
}

static void answer_utf8_split(struct demo_chat *chat) {
    chat->text = DEMO_LIT("\xe4\xb8\x96\xe7\x95\x8c");
    chat->completion_tokens = 2;
    chat->splits = DEMO_SPLIT_BYTES;
    answer_text(chat);
}

static void answer_utf8_halves(struct demo_chat *chat) {
    chat->text = DEMO_LIT("\xe4\xb8\x96\xe7\x95\x8c");
    chat->completion_tokens = 2;
    chat->splits = DEMO_SPLIT_HALVES;
    answer_text(chat);
}

static const struct {
    const char *name; // ends in '-' when a number follows
    void (*answer)(struct demo_chat *chat);
    const char *help;
} behaviours[] = {
    {"demo-small", answer_text, "a short fixed text"},
    {"demo-large", answer_large, "a longer fixed text"},
    {"demo-size-", answer_size, "N KiB of text"},
    {"demo-bigjson-", answer_big, "N MiB of JSON in one answer, usage at its end; never streamed"},
    {"demo-delay-", answer_delay, "N ms before the answer"},
    {"demo-slow-stream-", answer_slow, "N ms between the tokens; the first comes at once"},
    {"demo-hold-", answer_hold, "the first event at once, N ms of silence, the rest"},
    {"demo-flood-", demo_chat_flood, "a stream of N MiB of events, as fast as it is read"},
    {"demo-silent", answer_silent, "takes the request and never answers"},
    {"demo-error-", answer_error, "status N with an error object; 429 and 503: retry-after 7"},
    {"demo-cut-plain", answer_cut_whole, "Content-Length promises more than is sent"},
    {"demo-cut", answer_cut, "the stream ends after 3 events without [DONE]; else as cut-plain"},
    {"demo-reset", answer_reset, "as demo-cut, with RST"},
    {"demo-midstream-error", answer_error_in_stream,
     "3 events, then data: {\"error\":...} and the end, in a 200; not streamed: 500"},
    {"demo-gzip", answer_gzip, "gzip although nobody asked for it, plain and streamed"},
    {"demo-utf8-split", answer_utf8_split, "e4 b8 96 e7 95 8c; stream: every byte apart, 2 ms"},
    {"demo-utf8-halves", answer_utf8_halves,
     "the same, split inside the first character and inside \\n\\n, 20 ms"},
    {"demo-nousage", answer_nousage, "no usage anywhere"},
};
#define BEHAVIOURS (sizeof behaviours / sizeof behaviours[0])

static bool answer_by_name(struct demo_chat *chat) {
    for (size_t i = 0; i < BEHAVIOURS; i++) {
        const char *name = behaviours[i].name;
        size_t len = strlen(name);
        if (name[len - 1] == '-') {
            if (!demo_starts(chat->model, name)) continue;
            struct demo_slice number = {chat->model.ptr + len, chat->model.len - len};
            if (!demo_number(number, &chat->number)) continue;
        } else if (!demo_is(chat->model, name)) {
            continue;
        }
        behaviours[i].answer(chat);
        return true;
    }
    return false;
}

// --- requests ----------------------------------------------------------------------------------

static void answer_models(const struct demo_request *req, struct demo_answer *ans) {
    struct demo_buf body = {0};
    demo_buf_printf(&body, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < BEHAVIOURS; i++) {
        const char *name = behaviours[i].name;
        if (name[strlen(name) - 1] == '-') continue; // needs a number to be a name
        demo_buf_printf(&body,
                        "%s{\"id\":\"%s\",\"object\":\"model\",\"created\":1700000000,"
                        "\"owned_by\":\"demo\"}",
                        i ? "," : "", name);
    }
    demo_buf_printf(&body, "]}\n");
    demo_put_whole(ans, req, 200, "application/json", "", (struct demo_slice){body.ptr, body.len});
    demo_buf_fini(&body);
}

static void answer_chat(struct demo_server *server, const struct demo_request *req,
                        struct demo_answer *ans) {
    struct demo_chat chat = {.req = req,
                             .ans = ans,
                             .token_ms = server->options->token_ms,
                             .words_per_event = 1,
                             .text = DEMO_LIT("Hello from demo-small. The line works.")};
    struct demo_slice value, options, messages, message;
    if (!demo_json_is_object(req->body)) {
        demo_model_error(req, ans, 400, "invalid_request_error", NULL,
                         "the body is no JSON object");
        return;
    }
    if (!demo_json_member(req->body, "model", &value) || !demo_json_string(value, &chat.model)) {
        demo_model_error(req, ans, 400, "invalid_request_error", NULL, "model is missing");
        return;
    }
    if (!demo_json_member(req->body, "messages", &messages) || messages.ptr[0] != '[') {
        demo_model_error(req, ans, 400, "invalid_request_error", NULL, "messages is missing");
        return;
    }
    chat.is_stream = demo_json_member(req->body, "stream", &value) && demo_is(value, "true");
    chat.wants_usage = demo_json_member(req->body, "stream_options", &options) &&
                       demo_json_member(options, "include_usage", &value) && demo_is(value, "true");
    size_t at = 0;
    while (demo_json_element(messages, &at, &message))
        chat.prompt_tokens += message_words(message);
    chat.completion_tokens = demo_words(chat.text);
    if (demo_script_answer(server->options, chat.model, chat.is_stream, req, ans)) return;
    if (answer_by_name(&chat)) return;
    char text[200];
    snprintf(text, sizeof text, "The model `%.*s` does not exist",
             (int)(chat.model.len > 100 ? 100 : chat.model.len), chat.model.ptr);
    demo_model_error(req, ans, 404, "invalid_request_error", "model_not_found", text);
}

static bool is_allowed(const struct demo_server *server, const struct demo_request *req) {
    const char *key = server->options->api_key;
    if (!key) return true;
    static const char scheme[] = "Bearer ";
    struct demo_slice got = req->authorization;
    if (!demo_starts(got, scheme)) return false;
    got.ptr += sizeof scheme - 1;
    got.len -= sizeof scheme - 1;
    return demo_is(got, key);
}

size_t demo_model_keep(const struct demo_request *req) {
    (void)req;
    return DEMO_BODY_KEEP_MAX;
}

void demo_model_answer(struct demo_server *server, const struct demo_request *req,
                       struct demo_answer *ans) {
    if (!is_allowed(server, req)) {
        demo_model_error(req, ans, 401, "invalid_request_error", "invalid_api_key",
                         "Incorrect API key provided");
    } else if (demo_ends(req->path, "/chat/completions") && demo_is(req->method, "POST")) {
        answer_chat(server, req, ans);
    } else if (demo_ends(req->path, "/models") && (demo_is(req->method, "GET") || req->is_head)) {
        answer_models(req, ans);
    } else {
        demo_model_error(req, ans, 404, "invalid_request_error", NULL,
                         "there are POST .../chat/completions and GET .../models");
    }
}

void demo_model_help(void) {
    fputs(
        "Model server\n"
        "  POST .../chat/completions   plain, or streamed when the body says stream: true; usage\n"
        "                              in the stream when stream_options.include_usage is true\n"
        "  GET .../models              the models whose name needs no number\n"
        "  usage: prompt_tokens are the words of the messages, completion_tokens those of the\n"
        "  answer. Models (any other name: 404 model_not_found):\n",
        stdout);
    for (size_t i = 0; i < BEHAVIOURS; i++) {
        char name[64];
        const char *given = behaviours[i].name;
        snprintf(name, sizeof name, "%s%s", given, given[strlen(given) - 1] == '-' ? "N" : "");
        printf("  %-22s %s\n", name, behaviours[i].help);
    }
    fputs(
        "  any NAME with --scripts DIR and a file DIR/NAME.txt: its bytes are the body of the\n"
        "  answer (chunked), or the whole answer when they begin with HTTP/1. Lines of their own:\n"
        "    @sleep N    wait N ms\n"
        "    @split N    wait N ms, and the line end before this line is not sent: pauses\n"
        "                inside a line\n"
        "    @close      end of the connection, without an end of the body\n"
        "    @reset      the same with RST\n"
        "    @hang       no more bytes\n"
        "    @status N   status of the answer (first line of the file)\n",
        stdout);
}
