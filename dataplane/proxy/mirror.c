// SPDX-License-Identifier: Apache-2.0
// See mirror.h. The original tees on its fiber or on events; the copy itself always runs from the
// loop, at the end of a turn, for no fiber starts or resumes another one.
#include "dataplane/proxy/mirror.h"
#include "dataplane/obs/metrics.h"
#include "dataplane/proxy/req.h"

#include <stdlib.h>

struct dp_mirror {
    struct dp_client client; // first: what the copy takes for its client; without a connection
    struct dp_req *req;      // NULL: over
    struct dp_req *source;   // NULL: it left
    struct dp_mirror *next_of_source;
    struct dp_mirror *next, **pprev; // of the worker
    struct gw_buf body;              // teed, not taken yet
    struct dp_fields trailers;       // behind it; in req's arena
    const char *given_up;            // an outcome
    bool is_complete;                // all of the body was teed
    bool has_begun, is_reading, is_due, gave_trailers;
};

static void count(const char *outcome) {
    struct gw_str label = gw_str_of(outcome);
    gw_metric_add(gw_metric_series(&dp_metric_mirrors, &label), 1);
}

// --- running -----------------------------------------------------------------------------------

static void run(void *arg) {
    struct dp_mirror *m = arg;
    m->is_due = false;
    if (!m->req) return;
    if (m->given_up) {
        dp_req_cancel(m->req);
    } else if (!m->has_begun) {
        m->has_begun = true;
        dp_req_arm(m->req, DP_DEADLINE_WHOLE, 0);
        dp_req_begin(m->req);
    } else if (m->is_reading) {
        dp_body_pump(m->req);
    }
}

static void make_due(struct dp_mirror *m) {
    if (m->is_due) return;
    m->is_due = true;
    gw_loop_defer(m->client.worker->loop, run, m);
}

static void give_up(struct dp_mirror *m, const char *outcome) {
    if (!m->given_up) m->given_up = outcome;
    gw_buf_fini(&m->body);
    make_due(m);
}

// --- what the copy takes for its client --------------------------------------------------------

static struct dp_mirror *mirror_of(const struct dp_req *r) {
    return (struct dp_mirror *)r->client;
}

static enum gw_rc next(struct dp_req *r, struct dp_ev *ev, struct gw_slab **ret_owner,
                       struct gw_err *err GW_UNUSED) {
    struct dp_mirror *m = mirror_of(r);
    const struct gw_buf_node *n = m->body.head;
    *ret_owner = NULL;
    if (n) {
        *ev = (struct dp_ev){.type = DP_EV_DATA, .data = {n->slice.ptr, n->slice.len}};
        *ret_owner = gw_slab_ref(n->slice.slab);
        gw_buf_consume(&m->body, n->slice.len);
        return GW_OK;
    }
    if (!m->is_complete) return GW_AGAIN;
    bool has_trailers = m->trailers.len && !m->gave_trailers;
    *ev = (struct dp_ev){.type = has_trailers ? DP_EV_TRAILERS : DP_EV_END,
                         .trailers = has_trailers ? &m->trailers : NULL};
    m->gave_trailers = true;
    return GW_OK;
}

static void set_reading(struct dp_req *r, bool on) {
    mirror_of(r)->is_reading = on;
}

static void interim(struct dp_req *r GW_UNUSED, struct dp_head *head GW_UNUSED) {}
static bool take_head(struct dp_req *r GW_UNUSED, struct dp_head *head GW_UNUSED) {
    return true;
}
static void ignore(struct dp_req *r GW_UNUSED) {}
static void drop_data(struct dp_req *r GW_UNUSED, struct gw_buf *data) {
    gw_buf_fini(data);
}
static void drop_end(struct dp_req *r GW_UNUSED, const struct dp_fields *trailers GW_UNUSED) {}
static enum gw_rc flush(struct dp_req *r GW_UNUSED, struct gw_err *err GW_UNUSED) {
    return GW_OK;
}
static size_t queued(const struct dp_req *r GW_UNUSED) {
    return 0;
}
static bool is_full(struct dp_req *r GW_UNUSED) {
    return false;
}

static void over(struct dp_req *r, bool keep GW_UNUSED) {
    struct dp_mirror *m = mirror_of(r);
    count(m->given_up ? m->given_up : r->up_done ? "answered" : "failed");
    for (struct dp_mirror **at = m->source ? &m->source->mirrors : NULL; at && *at;) {
        if (*at == m)
            *at = m->next_of_source;
        else
            at = &(*at)->next_of_source;
    }
    *m->pprev = m->next;
    if (m->next) m->next->pprev = m->pprev;
    m->client.worker->mirrors_n--;
    gw_buf_fini(&m->body);
    m->req = NULL;
    dp_req_release(r);
    gw_loop_free_later(m->client.worker->loop, m); // behind a run that is due
}

static const struct dp_down_ops down_mirror = {
    .protocol = "mirror",
    .next = next,
    .set_reading = set_reading,
    .interim = interim,
    .head = take_head,
    .drop_head = ignore,
    .push_head = ignore,
    .push_data = drop_data,
    .push_end = drop_end,
    .flush = flush,
    .queued = queued,
    .is_full = is_full,
    .abort = ignore,
    .over = over,
};

static enum gw_rc ignore_answer(struct dp_req *r) {
    r->stage = DP_STAGE_STREAM; // to be read to its end, so that the connection can be used again
    return GW_OK;
}

static const struct dp_step steps[] = {
    {"upstream", dp_step_upstream},
    {"respond", ignore_answer},
    {NULL, NULL},
};

// --- making one --------------------------------------------------------------------------------

// Absent stays absent. Clears *ret_fits where the arena's cap is reached.
static struct gw_str dup(struct gw_arena *a, struct gw_str s, bool *ret_fits) {
    if (!s.ptr) return s;
    struct gw_str copy = gw_arena_dup(a, s);
    if (!copy.ptr) *ret_fits = false;
    return copy;
}

// The copies below have nothing of the original's memory: it may be gone first.
static struct dp_fields copy_fields(const struct dp_fields *from, struct gw_arena *a,
                                    bool *ret_fits) {
    unsigned cap = from->len + 1;
    struct dp_field *to = gw_arena_alloc(a, cap * sizeof(*to));
    if (!to) {
        *ret_fits = false;
        return (struct dp_fields){0};
    }
    for (unsigned i = 0; i < from->len; i++) {
        to[i] = from->ptr[i];
        to[i].name = dup(a, to[i].name, ret_fits);
        to[i].value = dup(a, to[i].value, ret_fits);
    }
    return (struct dp_fields){to, from->len, cap};
}

// NULL: no room.
static struct dp_head *copy_head(const struct dp_head *from, struct gw_arena *a) {
    bool fits = true;
    struct dp_head *h = gw_arena_alloc(a, sizeof(*h));
    if (!h) return NULL;
    *h = *from;
    h->method_text = dup(a, from->method_text, &fits);
    h->target = dup(a, from->target, &fits);
    h->path = dup(a, from->path, &fits);
    h->query = dup(a, from->query, &fits);
    h->authority = dup(a, from->authority, &fits);
    h->host = dup(a, from->host, &fits);
    h->fields = copy_fields(&from->fields, a, &fits);
    h->expect_continue = false; // the original's client has been told, or will be
    return fits ? h : NULL;
}

static struct dp_req *copy_request(struct dp_mirror *m, const struct dp_req *r,
                                   const struct dp_backend *to) {
    bool fits = true;
    struct dp_req *copy = dp_req_new(&m->client, &down_mirror);
    // The config that the backend lives in, which need not be the newest any more.
    dp_worker_conf_unref(copy->conf);
    copy->conf = dp_worker_conf_ref(r->conf);
    copy->is_copy = true;
    copy->steps = steps;
    copy->listener = r->listener;
    copy->backend = to;
    copy->deadline_us = gw_loop_now_us(r->worker->loop) + DP_MIRROR_MS * INT64_C(1000);
    copy->request_id = dup(&copy->arena, r->request_id, &fits);
    copy->head = copy_head(r->head, &copy->arena);
    if (copy->head && fits) return copy;
    dp_req_release(copy);
    return NULL;
}

static void begin(struct dp_req *r, const struct dp_mirror_to *to) {
    struct dp_worker *w = r->worker;
    if (w->mirrors_n >= DP_MIRRORS_MAX) {
        count("limit");
        return;
    }
    struct dp_mirror *m = gw_alloc(sizeof(*m));
    m->client.conn.io.fd = -1;
    m->client.worker = w;
    m->client.conf_port = r->client->conf_port;
    memcpy(m->client.peer, r->client->peer, sizeof(m->client.peer));
    m->req = copy_request(m, r, to->backend);
    if (!m->req) {
        count("limit");
        free(m);
        return;
    }
    m->is_complete = r->head->content_length <= 0 && !r->head->chunked;
    m->source = r;
    m->next_of_source = r->mirrors;
    r->mirrors = m;
    m->next = w->mirrors;
    m->pprev = &w->mirrors;
    if (m->next) m->next->pprev = &m->next;
    w->mirrors = m;
    w->mirrors_n++;
    make_due(m);
}

void dp_mirror_begin(struct dp_req *r, const struct dp_filters *f) {
    if (r->head->upgrade) return; // what follows is no body
    for (unsigned i = 0; i < f->mirrors_n; i++) {
        const struct dp_mirror_to *to = &f->mirrors[i];
        bool is_all = to->numerator >= to->denominator;
        if (is_all || dp_worker_random(r->worker) % to->denominator < to->numerator) begin(r, to);
    }
}

// --- what the original tells -------------------------------------------------------------------

void dp_mirror_data(struct dp_req *r, struct gw_slab *owner, struct gw_str data) {
    for (struct dp_mirror *m = r->mirrors; m; m = m->next_of_source) {
        if (m->given_up) continue;
        if (m->body.bytes + data.len > DP_MIRROR_QUEUE_BYTES_MAX) {
            give_up(m, "slow");
            continue;
        }
        // Many small pieces must not pin a slab for each.
        if (data.len < GW_SLAB_BYTES / 4)
            gw_buf_push_copy(&m->body, data.ptr, data.len);
        else
            gw_buf_push(&m->body, owner, data.ptr, data.len);
        make_due(m);
    }
}

void dp_mirror_end(struct dp_req *r, const struct dp_fields *trailers) {
    for (struct dp_mirror *m = r->mirrors; m; m = m->next_of_source) {
        bool fits = true;
        if (trailers && !m->is_complete) m->trailers = copy_fields(trailers, &m->req->arena, &fits);
        m->is_complete = true;
        if (!fits) give_up(m, "limit");
        make_due(m);
    }
}

void dp_mirror_leave(struct dp_req *r) {
    for (struct dp_mirror *m = r->mirrors, *after; m; m = after) {
        after = m->next_of_source;
        m->source = NULL;
        if (!m->is_complete) give_up(m, "incomplete");
    }
    r->mirrors = NULL;
}

void dp_mirror_cancel_all(struct dp_worker *w) {
    for (struct dp_mirror *m = w->mirrors, *after; m; m = after) {
        after = m->next;
        if (!m->given_up) m->given_up = "failed";
        dp_req_cancel(m->req);
    }
}
