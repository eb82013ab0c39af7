// SPDX-License-Identifier: Apache-2.0
// What came from the API server, made into replies and events. Anything may come: whatever is no
// answer of an API server is an error with a text, nothing more.
#include "controller/kube/impl.h"
#include "shared/metric.h"

#include <stdio.h>

// The objects that we watch are at most some dozens deep.
#define DEPTH_MAX 128

static const struct gw_metric_family requests = {
    .name = "controller_kube_requests_total",
    .help = "Requests to the API server that have ended, by HTTP status (none: no answer).",
    .type = GW_METRIC_COUNTER,
    .labels = {"verb", "code"},
};

const char *kube_method_name(enum ctl_kube_method m) {
    static const char *const names[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    return names[m];
}

static void count(const struct ctl_kube_call *c, int status) {
    char code[16] = "none";
    if (status) snprintf(code, sizeof(code), "%d", status);
    const struct gw_str values[] = {gw_str_of(c->is_watch ? "WATCH" : kube_method_name(c->method)),
                                    gw_str_of(code)};
    gw_metric_add(gw_metric_series(&requests, values), 1);
}

bool kube_is_whole(struct gw_str in) {
    GW_JSON_AUTO value = NULL;
    while (in.len && (in.ptr[in.len - 1] == '\n' || in.ptr[in.len - 1] == ' '))
        in.len--;
    if (in.len == 0 || in.ptr[in.len - 1] != '}') return false; // without reading it all
    struct gw_err err;
    value = gw_json_load(in, CTL_KUBE_BODY_BYTES_MAX, DEPTH_MAX, &err);
    return json_is_object(value);
}

static enum gw_rc rc_of(int status) {
    if (status >= 200 && status < 300) return GW_OK;
    if (status == 401 || status == 403) return GW_ERR_AUTH;
    return status >= 400 && status < 500 ? GW_ERR_INPUT : GW_ERR_UPSTREAM;
}

// Of a Status object: its reason, and its message behind the HTTP status.
static void read_status(struct ctl_kube_reply *r, struct gw_text *text) {
    if (!gw_str_eq(gw_json_str(r->body, "kind"), GW_STR("Status"))) return;
    struct gw_str reason = gw_json_str(r->body, "reason"),
                  message = gw_json_str(r->body, "message");
    r->reason = reason.ptr ? reason : GW_STR("");
    if (reason.len) gw_text_addf(text, " " GW_STR_FMT, GW_STR_ARG(reason));
    if (message.len) gw_text_addf(text, ": " GW_STR_FMT, GW_STR_ARG(message));
    int64_t after = gw_json_int(gw_json_get(r->body, "details"), "retryAfterSeconds", 0);
    if (after > 0 && after < 3600) r->retry_after_s = (int)after;
}

// rc of the answer that is there as a whole.
static enum gw_rc read_answer(struct ctl_kube_call *c, struct ctl_kube_reply *r,
                              struct gw_text *text) {
    struct gw_err err;
    curl_off_t after = 0;
    gw_text_addf(text, "%d", r->status);
    if (curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0 &&
        after < 3600)
        r->retry_after_s = (int)after;
    if (c->is_watch && r->status == 200) {
        gw_text_adds(text, ": the server ended it");
        return GW_EOF;
    }
    if (c->in.len)
        r->body = gw_json_load(gw_text_str(&c->in), CTL_KUBE_BODY_BYTES_MAX, DEPTH_MAX, &err);
    read_status(r, text);
    enum gw_rc rc = rc_of(r->status);
    if (rc != GW_OK || r->body || c->in.len == 0) return rc;
    gw_text_addf(text, ": the body is no JSON: %s", err.text);
    return GW_ERR_UPSTREAM;
}

static struct gw_str without_query(const char *path) {
    struct gw_str rest = gw_str_of(path);
    return gw_str_cut(&rest, '?');
}

void kube_reply(struct ctl_kube_call *c, enum gw_rc rc, const char *why) {
    struct ctl_kube_reply r = {.reason = GW_STR("")};
    struct gw_text text = {0};
    long status = 0;
    if (c->easy) curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    r.status = (int)status;
    struct gw_str path = without_query(c->path);
    gw_text_addf(&text, "%s " GW_STR_FMT ": ", c->is_watch ? "WATCH" : kube_method_name(c->method),
                 GW_STR_ARG(path));
    if (rc == GW_OK)
        r.rc = read_answer(c, &r, &text);
    else
        r.rc = rc;
    if (why) gw_text_adds(&text, why);
    if (r.rc == GW_OK)
        r.err = (struct gw_err){.rc = GW_OK};
    else
        gw_err_set(&r.err, r.rc, r.status, "%s", text.ptr);
    r.err.retryable = r.rc == GW_ERR_UPSTREAM || r.rc == GW_ERR_TIMEOUT || r.status == 429;
    gw_text_fini(&text);
    count(c, r.status);
    json_t *body = r.body;
    if (c->fn) c->fn(c->arg, &r);
    json_decref(body);
}

// --- events --------------------------------------------------------------------------------------

static enum gw_rc deliver_line(struct ctl_kube_call *c, struct gw_str line, struct gw_err *err) {
    line = gw_str_trim(line);
    if (line.len && line.ptr[line.len - 1] == '\r') line.len--;
    if (!line.len) return GW_OK;
    GW_JSON_AUTO event = gw_json_load(line, CTL_KUBE_BODY_BYTES_MAX, DEPTH_MAX, err);
    if (!event) return gw_err_wrap(err, "an event is no JSON");
    struct gw_str type = gw_json_str(event, "type");
    json_t *object = gw_json_get(event, "object");
    if (!type.len || !json_is_object(object))
        return gw_err_set(err, GW_ERR_UPSTREAM, 0, "what came is no event");
    c->on_event(c->arg, type, object);
    return GW_OK;
}

enum gw_rc kube_deliver(struct ctl_kube_call *c, struct gw_err *err) {
    size_t begin = 0;
    enum gw_rc rc = GW_OK;
    while (rc == GW_OK && c->state == KUBE_SENT) {
        char *end = c->scanned < c->in.len
                        ? memchr(c->in.ptr + c->scanned, '\n', c->in.len - c->scanned)
                        : NULL;
        if (!end) {
            c->scanned = c->in.len;
            break;
        }
        rc = deliver_line(c, (struct gw_str){c->in.ptr + begin, (size_t)(end - c->in.ptr) - begin},
                          err);
        begin = c->scanned = (size_t)(end - c->in.ptr) + 1;
    }
    if (c->state != KUBE_SENT) return GW_OK;
    if (begin) {
        memmove(c->in.ptr, c->in.ptr + begin, c->in.len - begin);
        c->in.len -= begin;
        c->scanned -= begin;
    }
    return rc == GW_OK ? GW_OK : GW_ERR_UPSTREAM;
}
