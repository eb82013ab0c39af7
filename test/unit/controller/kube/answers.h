// SPDX-License-Identifier: Apache-2.0
// An API server that says what a test wants it to say: calls are kept until they are answered.
#ifndef GW_TEST_ANSWERS_H
#define GW_TEST_ANSWERS_H

#include "controller/kube/api.h"

#define ANSWERS_CALLS_MAX 256

struct answers_call {
    enum ctl_kube_method method;
    bool is_watch, is_over; // answered or cancelled
    char path[512];
    json_t *body; // owned
    ctl_kube_fn fn;
    void *arg;
};
struct answers_api {
    struct answers_call *calls[ANSWERS_CALLS_MAX]; // in the order of coming
    size_t n;
    bool is_full;    // no more calls are taken
    bool is_guarded; // the same, because they are another replica's
};
struct ctl_kube_api answers_api(struct answers_api *f);
void answers_fini(struct answers_api *f);

size_t answers_open(const struct answers_api *f); // calls without an answer, watches aside
// The oldest call without an answer whose path holds part; fails the test where there is none.
struct answers_call *answers_next(struct answers_api *f, enum ctl_kube_method method,
                                  const char *part);
// body (taken) of a status of 2xx; else a Status object, where reason is not NULL.
void answers_answer(struct answers_call *c, int status, json_t *body);

// A seen function (arg: struct answers_seen *): knows one object.
struct answers_seen {
    bool is_there;
    json_t *status;
    char version[32];
};
bool answers_seen(void *arg, const struct ctl_res_kind *kind, struct gw_str ns, struct gw_str name,
                  struct ctl_kube_seen *ret);

// JSON with single quotes.
json_t *answers_json(const char *fmt, ...) GW_PRINTF(1, 2);

#endif
