// SPDX-License-Identifier: Apache-2.0
// The request side of HTTP/1.1, and the knobs that a request turns. It reads what a correct proxy
// sends and refuses the rest; it is no reference for strictness.
#include "test/demo/demo.h"

#include <string.h>

size_t demo_http_head_len(const char *data, size_t len) {
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    return end ? (size_t)(end - data) + 4 : 0;
}

static struct demo_slice trim(struct demo_slice text) {
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

bool demo_http_next(struct demo_slice *lines, struct demo_slice *ret_name,
                    struct demo_slice *ret_value) {
    const char *end = memmem(lines->ptr, lines->len, "\r\n", 2);
    if (!end) return false;
    struct demo_slice line = {lines->ptr, (size_t)(end - lines->ptr)};
    lines->len -= line.len + 2;
    lines->ptr = end + 2;
    const char *colon = memchr(line.ptr, ':', line.len);
    size_t name_len = colon ? (size_t)(colon - line.ptr) : line.len;
    *ret_name = (struct demo_slice){line.ptr, name_len};
    *ret_value = (struct demo_slice){line.ptr + name_len, line.len - name_len};
    if (colon) {
        ret_value->ptr++;
        ret_value->len--;
    }
    *ret_value = trim(*ret_value);
    return true;
}

static const char *parse_field(struct demo_request *req, struct demo_slice name,
                               struct demo_slice value, bool *has_length) {
    // Most fields say nothing to this server: one look at the first letter spares the compares.
    switch (name.len ? name.ptr[0] | 0x20 : 0) {
    case 'c':
        if (demo_is_nocase(name, "content-length")) {
            if (*has_length || !demo_number(value, &req->content_length)) {
                return "bad content-length";
            }
            *has_length = true;
        } else if (demo_is_nocase(name, "connection")) {
            if (memmem(value.ptr, value.len, "close", 5)) req->keep_alive = false;
        }
        break;
    case 't':
        if (demo_is_nocase(name, "transfer-encoding")) {
            if (!demo_is_nocase(value, "chunked")) return "unknown transfer-encoding";
            req->is_chunked = true;
        }
        break;
    case 'e':
        if (demo_is_nocase(name, "expect")) req->expects_continue = true;
        break;
    case 'a':
        if (demo_is_nocase(name, "authorization")) req->authorization = value;
        break;
    case 'x':
        if (demo_is_nocase(name, "x-demo")) req->knobs = value;
        break;
    default:
        break;
    }
    return NULL;
}

const char *demo_http_parse(struct demo_slice head, struct demo_request *ret_req) {
    struct demo_request req = {.head = head, .keep_alive = true};
    const char *line_end = memmem(head.ptr, head.len, "\r\n", 2);
    if (!line_end) return "no request line";
    const char *space = memchr(head.ptr, ' ', (size_t)(line_end - head.ptr));
    if (!space || space == head.ptr) return "bad request line";
    const char *target = space + 1;
    const char *version = memchr(target, ' ', (size_t)(line_end - target));
    if (!version || version == target) return "bad request line";
    struct demo_slice proto = {version + 1, (size_t)(line_end - version - 1)};
    if (demo_is(proto, "HTTP/1.0")) {
        req.keep_alive = false;
    } else if (!demo_is(proto, "HTTP/1.1")) {
        return "not HTTP/1.0 or HTTP/1.1";
    }
    req.method = (struct demo_slice){head.ptr, (size_t)(space - head.ptr)};
    req.target = (struct demo_slice){target, (size_t)(version - target)};
    req.path = req.target;
    const char *mark = memchr(target, '?', req.target.len);
    if (mark) {
        req.path.len = (size_t)(mark - target);
        req.query = (struct demo_slice){mark + 1, req.target.len - req.path.len - 1};
    }
    req.is_head = demo_is(req.method, "HEAD");
    req.lines.ptr = line_end + 2;
    req.lines.len = head.len - (size_t)(req.lines.ptr - head.ptr) - 2;

    bool has_length = false;
    struct demo_slice rest = req.lines, name, value;
    while (demo_http_next(&rest, &name, &value)) {
        const char *why = parse_field(&req, name, value, &has_length);
        if (why) return why;
    }
    if (has_length && req.is_chunked) return "content-length and transfer-encoding together";
    *ret_req = req;
    return NULL;
}

const char *demo_http_reason(uint64_t status) {
    static const struct {
        uint64_t status;
        const char *reason;
    } known[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {529, "Overloaded"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].status == status) return known[i].reason;
    }
    return "Demo";
}

void demo_http_headers_json(struct demo_buf *buf, struct demo_slice lines) {
    struct demo_slice rest = lines, name, value;
    bool is_first = true;
    demo_buf_put(buf, "{", 1);
    while (demo_http_next(&rest, &name, &value)) {
        // A name that came before was joined there.
        struct demo_slice before = {lines.ptr, (size_t)(name.ptr - lines.ptr)}, other, more;
        bool is_repeated = false;
        while (!is_repeated && demo_http_next(&before, &other, &more))
            is_repeated = demo_same_nocase(other, name);
        if (is_repeated) continue;
        struct demo_buf joined = {0};
        demo_buf_put(&joined, value.ptr, value.len);
        struct demo_slice after = rest;
        while (demo_http_next(&after, &other, &more)) {
            if (!demo_same_nocase(other, name)) continue;
            demo_buf_put(&joined, ", ", 2);
            demo_buf_put(&joined, more.ptr, more.len);
        }
        if (!is_first) demo_buf_put(buf, ",", 1);
        is_first = false;
        demo_buf_json_lower(buf, name);
        demo_buf_put(buf, ":", 1);
        demo_buf_json(buf, (struct demo_slice){joined.ptr, joined.len});
        demo_buf_fini(&joined);
    }
    demo_buf_put(buf, "}", 1);
}

static bool knob_in(struct demo_slice text, const char *name, unsigned *index,
                    struct demo_slice *ret_value) {
    size_t name_len = strlen(name);
    while (text.len) {
        const char *amp = memchr(text.ptr, '&', text.len);
        size_t len = amp ? (size_t)(amp - text.ptr) : text.len;
        if (len > name_len && text.ptr[name_len] == '=' && !memcmp(text.ptr, name, name_len)) {
            if ((*index)-- == 0) {
                *ret_value = (struct demo_slice){text.ptr + name_len + 1, len - name_len - 1};
                return true;
            }
        }
        size_t step = amp ? len + 1 : len;
        text.ptr += step;
        text.len -= step;
    }
    return false;
}

bool demo_knob_nth(const struct demo_request *req, const char *name, unsigned index,
                   struct demo_slice *ret_value) {
    return knob_in(req->query, name, &index, ret_value) ||
           knob_in(req->knobs, name, &index, ret_value);
}

bool demo_knob(const struct demo_request *req, const char *name, struct demo_slice *ret_value) {
    return demo_knob_nth(req, name, 0, ret_value);
}

bool demo_knob_number(const struct demo_request *req, const char *name, uint64_t *ret_value) {
    struct demo_slice value;
    return demo_knob(req, name, &value) && demo_number(value, ret_value);
}

bool demo_knob_is_on(const struct demo_request *req, const char *name) {
    struct demo_slice value;
    return demo_knob(req, name, &value) && !demo_is(value, "0");
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
    return -1;
}

void demo_percent_decode(struct demo_buf *buf, struct demo_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && i + 2 < text.len && hex_value(text.ptr[i + 1]) >= 0 &&
            hex_value(text.ptr[i + 2]) >= 0) {
            c = (char)(hex_value(text.ptr[i + 1]) * 16 + hex_value(text.ptr[i + 2]));
            i += 2;
        }
        demo_buf_put(buf, &c, 1);
    }
}
