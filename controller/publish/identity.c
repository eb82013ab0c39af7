// SPDX-License-Identifier: Apache-2.0
// See identity.h. Connections that show the same token at once share one review.
#include "controller/publish/identity.h"

#include "shared/log.h"
#include "shared/map.h"
#include "shared/vec.h"

#include <openssl/sha.h>
#include <stdio.h>

#define REVIEWS "/apis/authentication.k8s.io/v1/tokenreviews"
#define ACCOUNT_PREFIX "system:serviceaccount:"

// A token that is under review (call), or was (until_ms).
struct review {
    struct ctl_identity *identity;
    char key[2 * SHA256_DIGEST_LENGTH + 1];
    struct ctl_kube_call *call; // NULL: there is an answer
    int64_t at_ms, until_ms;    // of the answer: when it came, how long it holds
    int status;
    char *ns, *why;
    GW_VEC(struct waiter {
        ctl_identity_fn fn;
        void *arg;
    })
    waiters;
};

struct ctl_identity {
    struct gw_loop *loop;
    struct ctl_kube_api api;
    char *audience;
    struct gw_map reviews; // hash of the token -> struct review *
};

struct ctl_identity *ctl_identity_new(struct gw_loop *l, const struct ctl_kube_api *api,
                                      const char *audience) {
    struct ctl_identity *i = gw_alloc(sizeof(*i));
    i->loop = l;
    i->api = *api;
    i->audience = audience ? gw_strdup(audience) : NULL;
    return i;
}

static void review_free(void *value) {
    struct review *r = value;
    if (r->call) r->identity->api.cancel(r->identity->api.arg, r->call);
    GW_VEC_FINI(&r->waiters);
    free(r->ns);
    free(r->why);
    free(r);
}

void ctl_identity_free(struct ctl_identity *i) {
    if (!i) return;
    gw_map_fini(&i->reviews, review_free);
    free(i->audience);
    free(i);
}

// --- judging -----------------------------------------------------------------------------------

static void judge(struct review *r, int status, const char *why, struct gw_str detail) {
    char text[256];
    snprintf(text, sizeof(text), "%s%s" GW_STR_FMT, why, detail.len ? ": " : "",
             detail.len < 160 ? (int)detail.len : 160, detail.ptr ? detail.ptr : "");
    r->status = status;
    r->why = gw_strdup(text);
}

static bool has_audience(const json_t *status, const char *audience) {
    const json_t *list = gw_json_get(status, "audiences");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (gw_str_eq(gw_json_str_of(json_array_get(list, i)), gw_str_of(audience))) return true;
    return false;
}

static void judge_review(struct review *r, const json_t *status) {
    const char *audience = r->identity->audience;
    struct gw_str user = gw_json_str(gw_json_get(status, "user"), "username");
    if (!gw_json_bool(status, "authenticated", false)) {
        judge(r, 401, "the API server does not take the token", gw_json_str(status, "error"));
    } else if (audience && !has_audience(status, audience)) {
        judge(r, 401, "the token is not for audience", gw_str_of(audience));
    } else if (!gw_str_starts(user, GW_STR(ACCOUNT_PREFIX))) {
        judge(r, 403, "the token is of no ServiceAccount", user);
    } else {
        struct gw_str name = {user.ptr + sizeof(ACCOUNT_PREFIX) - 1,
                              user.len - (sizeof(ACCOUNT_PREFIX) - 1)};
        struct gw_str ns = gw_str_cut(&name, ':');
        r->status = 200;
        r->ns = gw_strndup(ns.ptr, ns.len);
    }
}

static void answer(const struct review *r, ctl_identity_fn fn, void *arg) {
    fn(arg, &(struct ctl_identity_answer){.status = r->status, .ns = r->ns, .why = r->why});
}

static void tell_waiters(struct review *r) {
    while (r->waiters.len) {
        struct waiter w = r->waiters.ptr[0];
        GW_VEC_REMOVE(&r->waiters, 0);
        answer(r, w.fn, w.arg);
    }
}

static void on_answer(void *arg, const struct ctl_kube_reply *reply) {
    struct review *r = arg;
    struct ctl_identity *i = r->identity;
    r->call = NULL;
    const json_t *status = gw_json_get(reply->body, "status");
    if (reply->rc == GW_OK && status) {
        judge_review(r, status);
    } else {
        GW_WARN("publish",
                "a data plane's token cannot be reviewed: the ServiceAccount needs create on "
                "tokenreviews",
                GW_KS("err", reply->err.text));
        judge(r, 503, "the controller cannot have the token reviewed now", GW_STR(""));
    }
    r->at_ms = gw_loop_now_ms(i->loop);
    r->until_ms = r->at_ms + (r->status == 200 ? CTL_IDENTITY_GOOD_MS : CTL_IDENTITY_BAD_MS);
    // A failure is of the moment.
    if (r->status == 503) gw_map_del(&i->reviews, gw_str_of(r->key));
    tell_waiters(r);
    if (r->status == 503) review_free(r);
}

// --- asking ------------------------------------------------------------------------------------

static void hash(struct gw_str token, char dst[2 * SHA256_DIGEST_LENGTH + 1]) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)token.ptr, token.len, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(dst + 2 * i, 3, "%02x", digest[i]);
}

// Old answers, and where that is not enough all of them.
static void make_room(struct ctl_identity *i) {
    int64_t now_ms = gw_loop_now_ms(i->loop);
    for (int all = 0; all <= 1 && i->reviews.len >= CTL_IDENTITY_KEPT_MAX; all++) {
        size_t it = 0;
        struct gw_str key;
        void *value;
        while (gw_map_next(&i->reviews, &it, &key, &value)) {
            const struct review *r = value;
            if (!r->call && (all || r->until_ms <= now_ms))
                review_free(gw_map_del(&i->reviews, key));
        }
    }
}

static enum gw_rc start(struct review *r, struct gw_str token, struct gw_err *err) {
    struct ctl_identity *i = r->identity;
    json_t *spec = json_object();
    json_object_set_new(spec, "token", json_stringn(token.ptr, token.len));
    if (i->audience) json_object_set_new(spec, "audiences", json_pack("[s]", i->audience));
    GW_JSON_AUTO body = json_pack("{ssssso}", "apiVersion", "authentication.k8s.io/v1", "kind",
                                  "TokenReview", "spec", spec);
    const struct ctl_kube_request rq = {.method = CTL_KUBE_POST,
                                        .path = REVIEWS,
                                        .body = body,
                                        .timeout_ms = CTL_IDENTITY_REVIEW_MS,
                                        .fn = on_answer,
                                        .arg = r};
    r->call = i->api.send(i->api.arg, &rq, err);
    return r->call ? GW_OK : err->rc;
}

// Answers of before from_ms do not hold.
static void ask(struct ctl_identity *i, struct gw_str token, int64_t from_ms, ctl_identity_fn fn,
                void *arg) {
    char key[2 * SHA256_DIGEST_LENGTH + 1];
    hash(token, key);
    struct review *r = gw_map_get(&i->reviews, gw_str_of(key));
    if (r && !r->call && (r->until_ms <= gw_loop_now_ms(i->loop) || r->at_ms < from_ms)) {
        review_free(gw_map_del(&i->reviews, gw_str_of(key)));
        r = NULL;
    }
    if (r && !r->call) {
        answer(r, fn, arg);
        return;
    }
    if (!r) {
        struct gw_err err;
        make_room(i);
        r = gw_alloc(sizeof(*r));
        r->identity = i;
        memcpy(r->key, key, sizeof(key));
        if (start(r, token, &err) != GW_OK) {
            judge(r, 503, "the controller cannot have the token reviewed now", GW_STR(""));
            answer(r, fn, arg);
            review_free(r);
            return;
        }
        gw_map_put(&i->reviews, gw_str_of(key), r);
    }
    GW_VEC_PUSH(&r->waiters, ((struct waiter){fn, arg}));
}

void ctl_identity_ask(struct ctl_identity *i, struct gw_str token, ctl_identity_fn fn, void *arg) {
    ask(i, token, 0, fn, arg);
}

void ctl_identity_ask_anew(struct ctl_identity *i, struct gw_str token, ctl_identity_fn fn,
                           void *arg) {
    ask(i, token, gw_loop_now_ms(i->loop) - CTL_IDENTITY_NEW_MS, fn, arg);
}

void ctl_identity_leave(struct ctl_identity *i, const void *arg) {
    size_t it = 0;
    struct gw_str key;
    void *value;
    while (gw_map_next(&i->reviews, &it, &key, &value)) {
        struct review *r = value;
        for (size_t k = r->waiters.len; k-- > 0;)
            if (r->waiters.ptr[k].arg == arg) GW_VEC_REMOVE(&r->waiters, k);
    }
}
