// SPDX-License-Identifier: Apache-2.0
// Who a data plane of a cluster is: its ServiceAccount token, judged by the API server
// (TokenReview, authentication.k8s.io/v1). Answers are kept for a short while under a hash of the
// token; the token itself is not. One thread (the loop's).
#ifndef CTL_PUBLISH_IDENTITY_H
#define CTL_PUBLISH_IDENTITY_H

#include "controller/kube/api.h"

// How long an answer holds for later connections: so long a token that was revoked still opens one.
#define CTL_IDENTITY_GOOD_MS 60000
#define CTL_IDENTITY_BAD_MS 10000
// Answers that are kept; beyond, tokens are reviewed again.
#define CTL_IDENTITY_KEPT_MAX 8192
// Of those that show one token at once, one review is enough.
#define CTL_IDENTITY_NEW_MS 1000
// Less than the push stream's setup time, so that the peer is told.
#define CTL_IDENTITY_REVIEW_MS 5000

struct ctl_identity_answer {
    int status;      // 200; 401: no valid token; 403: no ServiceAccount; 503: nobody can tell now
    const char *ns;  // of the ServiceAccount, with 200
    const char *why; // otherwise
};
typedef void (*ctl_identity_fn)(void *arg, const struct ctl_identity_answer *a);

struct ctl_identity; // opaque
// audience NULL: tokens that the API server itself takes.
struct ctl_identity *ctl_identity_new(struct gw_loop *l, const struct ctl_kube_api *api,
                                      const char *audience);
void ctl_identity_free(struct ctl_identity *i); // waiters are dropped without their fn
// fn is called once, from within this call where the answer is known. Copies what it needs.
void ctl_identity_ask(struct ctl_identity *i, struct gw_str token, ctl_identity_fn fn, void *arg);
// The same of an answer that is not older than a moment.
void ctl_identity_ask_anew(struct ctl_identity *i, struct gw_str token, ctl_identity_fn fn,
                           void *arg);
void ctl_identity_leave(struct ctl_identity *i, const void *arg); // its fn is not called any more

#endif
