// SPDX-License-Identifier: Apache-2.0
// See answers.h.
#include "test/unit/controller/kube/answers.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

static struct ctl_kube_call *add(struct answers_api *f, struct answers_call c, const char *path,
                                 struct gw_err *err) {
    if (f->is_full || f->is_guarded) {
        json_decref(c.body);
        gw_err_set(err, f->is_full ? GW_ERR_LIMIT : GW_CANCELLED, 0, "no calls are taken");
        return NULL;
    }
    CU_ASSERT_FATAL(f->n < ANSWERS_CALLS_MAX);
    struct answers_call *copy = gw_alloc(sizeof(*copy));
    *copy = c;
    snprintf(copy->path, sizeof(copy->path), "%s", path);
    f->calls[f->n++] = copy;
    return (struct ctl_kube_call *)(void *)copy;
}

static struct ctl_kube_call *on_send(void *arg, const struct ctl_kube_request *r,
                                     struct gw_err *err) {
    struct answers_call c = {
        .method = r->method, .body = json_deep_copy(r->body), .fn = r->fn, .arg = r->arg};
    return add(arg, c, r->path, err);
}

static struct ctl_kube_call *on_watch(void *arg, const struct ctl_kube_watch_opts *o,
                                      struct gw_err *err) {
    return add(arg, (struct answers_call){.is_watch = true, .fn = o->on_end, .arg = o->arg},
               o->path, err);
}

static void on_cancel(void *arg, struct ctl_kube_call *call) {
    (void)arg;
    struct answers_call *c = (void *)call;
    CU_ASSERT(!c->is_over);
    c->is_over = true;
}

struct ctl_kube_api answers_api(struct answers_api *f) {
    return (struct ctl_kube_api){.arg = f, .send = on_send, .watch = on_watch, .cancel = on_cancel};
}

void answers_fini(struct answers_api *f) {
    for (size_t i = 0; i < f->n; i++) {
        CU_ASSERT(f->calls[i]->is_over);
        json_decref(f->calls[i]->body);
        free(f->calls[i]);
    }
}

size_t answers_open(const struct answers_api *f) {
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        n += !f->calls[i]->is_over && !f->calls[i]->is_watch;
    return n;
}

struct answers_call *answers_next(struct answers_api *f, enum ctl_kube_method method,
                                  const char *part) {
    for (size_t i = 0; i < f->n; i++) {
        struct answers_call *c = f->calls[i];
        if (!c->is_over && !c->is_watch && c->method == method && strstr(c->path, part)) return c;
    }
    fprintf(stderr, "no call of method %d for '%s'\n", (int)method, part);
    CU_FAIL_FATAL("no such call");
    return NULL;
}

void answers_answer(struct answers_call *c, int status, json_t *body) {
    struct ctl_kube_reply r = {.status = status, .body = body, .reason = GW_STR("")};
    bool is_auth = status == 401 || status == 403;
    r.rc = status / 100 == 2   ? GW_OK
           : is_auth           ? GW_ERR_AUTH
           : status / 100 == 4 ? GW_ERR_INPUT
                               : GW_ERR_UPSTREAM;
    if (r.rc != GW_OK) gw_err_set(&r.err, r.rc, status, "%s: %d", c->path, status);
    c->is_over = true;
    c->fn(c->arg, &r);
    json_decref(body);
}

bool answers_seen(void *arg, const struct ctl_res_kind *kind, struct gw_str ns, struct gw_str name,
                  struct ctl_kube_seen *ret) {
    const struct answers_seen *s = arg;
    (void)kind, (void)ns, (void)name;
    if (!s->is_there) return false;
    *ret = (struct ctl_kube_seen){s->status, gw_str_of(s->version), GW_STR("uid-1")};
    return true;
}

json_t *answers_json(const char *fmt, ...) {
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        if (*p == '\'') *p = '"';
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    return v;
}
