// SPDX-License-Identifier: Apache-2.0
// A chat answer as server-sent events: role, one event for each word, the finish reason, usage
// when it was asked for, [DONE]. And the ways in which a stream goes wrong.
#include "test/demo/model.h"

#include <inttypes.h>
#include <string.h>

#define SPLIT_BYTES_MS 2u
#define SPLIT_HALVES_MS 20u
#define FLOOD_BLOCK_BYTES 65536u

struct stream {
    const struct demo_chat *chat;
    struct demo_answer *ans;
    struct demo_buf event;
    struct demo_gzip gz;
    unsigned events;
};

void demo_chat_usage(const struct demo_chat *chat, struct demo_buf *out) {
    demo_buf_printf(out,
                    "\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
                    ",\"total_tokens\":%" PRIu64 "}",
                    chat->prompt_tokens, chat->completion_tokens,
                    chat->prompt_tokens + chat->completion_tokens);
}

static void event_begin(struct demo_buf *event, const struct demo_chat *chat) {
    static const char begin[] =
        "data: {\"id\":\"chatcmpl-demo\",\"object\":\"chat.completion.chunk\","
        "\"created\":1700000000,\"model\":";
    event->len = 0;
    demo_buf_put(event, begin, sizeof begin - 1);
    demo_buf_json(event, chat->model);
    demo_buf_printf(event, ",\"system_fingerprint\":null,\"choices\":[");
}

static void event_end(struct demo_buf *event, const struct demo_chat *chat) {
    bool says_null = chat->wants_usage && !chat->is_without_usage;
    demo_buf_printf(event, "]%s}\n\n", says_null ? ",\"usage\":null" : "");
}

// Writes bytes of the body as one chunk.
static void put_bytes(struct stream *stream, const char *data, size_t len) {
    if (!stream->chat->is_gzip) {
        demo_put_chunk(stream->ans, data, len);
        return;
    }
    struct demo_buf packed = {0};
    demo_gzip_put(&stream->gz, &packed, data, len);
    demo_put_chunk(stream->ans, packed.ptr, packed.len);
    demo_buf_fini(&packed);
}

static void put_split(struct stream *stream, const char *data, size_t len) {
    if (stream->chat->splits == DEMO_SPLIT_BYTES) {
        for (size_t i = 0; i < len; i++) {
            put_bytes(stream, data + i, 1);
            demo_sleep(stream->ans, SPLIT_BYTES_MS);
        }
        return;
    }
    const char *wide = memmem(data, len, "\xe4\xb8\x96", 3);
    size_t at = 0;
    if (wide) {
        at = (size_t)(wide - data) + 2;
        put_bytes(stream, data, at);
        demo_sleep(stream->ans, SPLIT_HALVES_MS);
    }
    put_bytes(stream, data + at, len - at - 1);
    demo_sleep(stream->ans, SPLIT_HALVES_MS);
    put_bytes(stream, data + len - 1, 1);
}

static void put_event(struct stream *stream) {
    const struct demo_chat *chat = stream->chat;
    if (stream->events++) demo_sleep(stream->ans, chat->token_ms);
    if (chat->splits) {
        put_split(stream, stream->event.ptr, stream->event.len);
    } else {
        put_bytes(stream, stream->event.ptr, stream->event.len);
    }
    if (stream->events == 1) demo_sleep(stream->ans, chat->hold_ms);
}

static void put_delta(struct stream *stream, const char *key, struct demo_slice text) {
    event_begin(&stream->event, stream->chat);
    demo_buf_printf(&stream->event, "{\"index\":0,\"delta\":{%s\"content\":\"", key);
    demo_buf_put(&stream->event, text.ptr, text.len);
    demo_buf_printf(&stream->event, "\"},\"logprobs\":null,\"finish_reason\":null}");
    event_end(&stream->event, stream->chat);
    put_event(stream);
}

// The next words with the blank behind them.
static struct demo_slice next_words(struct demo_slice *text, unsigned words) {
    size_t end = 0;
    for (unsigned i = 0; i < words && end < text->len; i++) {
        const char *blank = memchr(text->ptr + end, ' ', text->len - end);
        end = blank ? (size_t)(blank - text->ptr) + 1 : text->len;
    }
    struct demo_slice part = {text->ptr, end};
    text->ptr += end;
    text->len -= end;
    return part;
}

// true when the stream has come to the place where it breaks.
static bool is_broken(const struct stream *stream) {
    return stream->chat->breaks && stream->events >= DEMO_EVENTS_BEFORE_BREAK;
}

static void put_break(struct stream *stream) {
    switch (stream->chat->breaks) {
    case DEMO_BREAK_ERROR:
        stream->event.len = 0;
        demo_buf_printf(
            &stream->event,
            "data: {\"error\":{\"message\":\"the demo was asked to fail in "
            "mid-stream\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n");
        put_event(stream);
        demo_put_last_chunk(stream->ans);
        break;
    case DEMO_BREAK_RESET:
        // The events must be on the wire before an RST, which throws the rest away.
        demo_sleep(stream->ans, SPLIT_HALVES_MS);
        demo_end(stream->ans, DEMO_OP_RESET);
        break;
    case DEMO_BREAK_CUT:
    case DEMO_BREAK_NOT:
        demo_end(stream->ans, DEMO_OP_CLOSE);
        break;
    }
}

static void put_end(struct stream *stream) {
    const struct demo_chat *chat = stream->chat;
    struct demo_buf *event = &stream->event;
    event_begin(event, chat);
    demo_buf_printf(event,
                    "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}");
    event_end(event, chat);
    put_event(stream);
    if (chat->wants_usage && !chat->is_without_usage) {
        event_begin(event, chat);
        demo_buf_printf(event, "],");
        demo_chat_usage(chat, event);
        demo_buf_printf(event, "}\n\n");
        put_event(stream);
    }
    event->len = 0;
    demo_buf_printf(event, "data: [DONE]\n\n");
    put_event(stream);
    if (chat->is_gzip) {
        struct demo_buf packed = {0};
        demo_gzip_end(&stream->gz, &packed);
        demo_put_chunk(stream->ans, packed.ptr, packed.len);
        demo_buf_fini(&packed);
    }
    demo_put_last_chunk(stream->ans);
}

static void put_head(const struct demo_chat *chat) {
    demo_putf(chat->ans,
              "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
              "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n%s%s\r\n",
              chat->is_gzip ? "content-encoding: gzip\r\n" : "",
              chat->req->keep_alive ? "" : "connection: close\r\n");
}

void demo_chat_stream(struct demo_chat *chat) {
    struct stream stream = {.chat = chat, .ans = chat->ans};
    put_head(chat);
    if (chat->is_gzip) {
        struct demo_buf packed = {0};
        demo_gzip_begin(&stream.gz, &packed);
        demo_put_chunk(chat->ans, packed.ptr, packed.len);
        demo_buf_fini(&packed);
    }
    put_delta(&stream, "\"role\":\"assistant\",", DEMO_LIT(""));
    struct demo_slice rest = chat->text;
    while (rest.len && !is_broken(&stream))
        put_delta(&stream, "", next_words(&rest, chat->words_per_event));
    if (chat->breaks) {
        put_break(&stream);
    } else {
        put_end(&stream);
    }
    demo_buf_fini(&stream.event);
    if (!chat->req->keep_alive) demo_end(chat->ans, DEMO_OP_CLOSE);
}

// A block of whole events as one chunk, put together once and repeated.
static struct demo_slice flood_block(const struct demo_chat *chat) {
    static struct demo_buf block;
    static struct demo_buf made_for;
    struct demo_slice made = {made_for.ptr, made_for.len};
    if (made.len == chat->model.len && !memcmp(made.ptr, chat->model.ptr, made.len)) {
        return (struct demo_slice){block.ptr, block.len};
    }
    struct demo_buf event = {0}, events = {0};
    event_begin(&event, chat);
    demo_buf_printf(&event, "{\"index\":0,\"delta\":{\"content\":\"flood \"},\"logprobs\":null,"
                            "\"finish_reason\":null}]}\n\n");
    while (events.len + event.len <= FLOOD_BLOCK_BYTES)
        demo_buf_put(&events, event.ptr, event.len);
    block.len = made_for.len = 0;
    demo_buf_printf(&block, "%zx\r\n", events.len);
    demo_buf_put(&block, events.ptr, events.len);
    demo_buf_put(&block, "\r\n", 2);
    demo_buf_put(&made_for, chat->model.ptr, chat->model.len);
    demo_buf_fini(&event);
    demo_buf_fini(&events);
    return (struct demo_slice){block.ptr, block.len};
}

void demo_chat_flood(struct demo_chat *chat) {
    struct stream stream = {.chat = chat, .ans = chat->ans};
    put_head(chat);
    put_delta(&stream, "\"role\":\"assistant\",", DEMO_LIT(""));
    demo_repeat(chat->ans, flood_block(chat), chat->number * (1048576 / FLOOD_BLOCK_BYTES));
    put_end(&stream);
    demo_buf_fini(&stream.event);
    if (!chat->req->keep_alive) demo_end(chat->ans, DEMO_OP_CLOSE);
}
