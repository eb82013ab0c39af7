// SPDX-License-Identifier: Apache-2.0
// Finds where events end, holds what the end of the input cuts, and reads the fields of a whole
// event. A CR that ends a blank line ends the event at once, so that nothing waits; where the input
// ends there, an LF that follows is one more blank line, which is an event without data.
#include "dataplane/codec/sse.h"

#define BOM "\xef\xbb\xbf"
#define BOM_LEN 3

void dp_sse_fini(struct dp_sse *s) {
    if (!s) return;
    gw_text_fini(&s->held);
    gw_text_fini(&s->joined);
    *s = (struct dp_sse){0};
}

// Index of the first CR or LF, or len.
static inline size_t find_break(const char *p, size_t len) {
    const char *lf = memchr(p, '\n', len);
    size_t n = lf ? (size_t)(lf - p) : len;
    const char *cr = n ? memchr(p, '\r', n) : NULL;
    return cr ? (size_t)(cr - p) : n;
}

// --- the end of an event -----------------------------------------------------------------------

// Byte i of the event, which begins in held and goes on in `in`.
static inline char byte_at(const struct dp_sse *s, struct gw_str in, size_t i) {
    return i < s->held.len ? s->held.ptr[i] : in.ptr[i - s->held.len];
}

// Whether a line that ends at byte `at` of the event, if it began there, has nothing before it.
static bool is_first_line(const struct dp_sse *s, struct gw_str in, size_t at) {
    if (at == 0) return true;
    if (s->started || at != BOM_LEN) return false;
    for (size_t i = 0; i < BOM_LEN; i++) {
        if (byte_at(s, in, i) != BOM[i]) return false;
    }
    return true;
}

// Length of the part of `in` up to the end of the event; 0 where it does not end here.
static size_t find_end(const struct dp_sse *s, struct gw_str in) {
    size_t before = s->held.len;
    for (size_t i = 0; i < in.len; i++) {
        i += find_break(in.ptr + i, in.len - i);
        if (i == in.len) break;
        bool is_first = is_first_line(s, in, before + i);
        char previous = before + i ? byte_at(s, in, before + i - 1) : '\0';
        if (in.ptr[i] == '\n') {
            // After CR this is the second half of a line end that was counted.
            if (is_first || previous == '\n') return i + 1;
            continue;
        }
        if (!is_first && previous != '\n' && previous != '\r') continue;
        return i + 1 < in.len && in.ptr[i + 1] == '\n' ? i + 2 : i + 1;
    }
    return 0;
}

// --- the fields of an event --------------------------------------------------------------------

static void add_data(struct dp_sse *s, struct dp_sse_event *e, struct gw_str value) {
    if (!e->data.ptr) {
        e->data = value;
        return;
    }
    if (!s->joined.ptr) gw_text_add(&s->joined, e->data.ptr, e->data.len);
    gw_text_add(&s->joined, "\n", 1);
    gw_text_add(&s->joined, value.ptr, value.len);
    e->data = gw_text_str(&s->joined);
}

static void read_line(struct dp_sse *s, struct dp_sse_event *e, struct gw_str line) {
    struct gw_str value = line, name = gw_str_cut(&value, ':');
    // A line without a colon is a name with an empty value.
    if (!value.ptr) value.ptr = line.ptr + line.len;
    if (value.len && *value.ptr == ' ') value = (struct gw_str){value.ptr + 1, value.len - 1};
    if (gw_str_eq(name, GW_STR("data"))) {
        add_data(s, e, value);
    } else if (gw_str_eq(name, GW_STR("event"))) {
        e->name = value;
    }
}

static void read_event(struct dp_sse *s, struct gw_str raw, struct dp_sse_event *ret) {
    struct dp_sse_event e = {.raw = raw, .name = {"", 0}};
    struct gw_str rest = raw;
    if (!s->started && gw_str_starts(rest, GW_STR(BOM))) {
        rest = (struct gw_str){rest.ptr + BOM_LEN, rest.len - BOM_LEN};
    }
    while (rest.len) {
        size_t n = find_break(rest.ptr, rest.len);
        // The LF of CRLF makes one more line, an empty one, which is read as nothing.
        if (n) read_line(s, &e, (struct gw_str){rest.ptr, n});
        if (n == rest.len) break;
        rest = (struct gw_str){rest.ptr + n + 1, rest.len - n - 1};
    }
    s->started = true;
    *ret = e;
}

// --- feeding -----------------------------------------------------------------------------------

static enum gw_rc too_long(struct gw_err *err) {
    return gw_err_set(err, GW_ERR_LIMIT, 502, "a server-sent event is over %u bytes",
                      DP_SSE_EVENT_BYTES_MAX);
}

enum gw_rc dp_sse_feed(struct dp_sse *s, struct gw_str in, size_t *ret_used,
                       struct dp_sse_event *ret, struct gw_err *err) {
    *ret_used = 0;
    if (s->given) {
        gw_text_fini(&s->held);
        s->given = false;
    }
    if (s->joined.ptr) gw_text_fini(&s->joined);
    if (in.len == 0) return GW_AGAIN;
    size_t n = find_end(s, in), taken = n ? n : in.len;
    if (taken > DP_SSE_EVENT_BYTES_MAX - s->held.len) return too_long(err);
    *ret_used = taken;
    if (n == 0 || s->held.len) gw_text_add(&s->held, in.ptr, taken);
    if (n == 0) return GW_AGAIN;
    s->given = s->held.len > 0;
    read_event(s, s->given ? gw_text_str(&s->held) : (struct gw_str){in.ptr, n}, ret);
    return GW_OK;
}

struct gw_str dp_sse_rest(const struct dp_sse *s) {
    return s->given ? (struct gw_str){NULL, 0} : gw_text_str(&s->held);
}
