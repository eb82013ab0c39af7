// SPDX-License-Identifier: Apache-2.0
// One Kubernetes API server over libcurl multi on the controller's loop: requests and watches share
// one HTTP/2 connection. Answers are parsed with jansson. Tokens are never logged. One thread (the
// loop's).
#ifndef CTL_KUBE_CLIENT_H
#define CTL_KUBE_CLIENT_H

#include "shared/json.h"
#include "shared/loop.h"
#include "shared/secret.h"

#define CTL_KUBE_BODY_BYTES_MAX (64u << 20) // of one answer, or one event of a watch
#define CTL_KUBE_CALLS_MAX 4096             // under way at once; beyond: GW_ERR_LIMIT
#define CTL_KUBE_IN_FLIGHT_MAX 64           // sent at once, watches aside; the rest waits its turn

// Where the API server is and who we are. All owned.
struct ctl_kube_config {
    char *server;   // "https://10.0.0.1:6443", no trailing slash
    char *ca_pem;   // NULL: the system's trust store
    char *ns;       // of the context, or of the pod; "default"
    char *cert_pem; // client certificate, NULL: none
    struct gw_secret *key_pem, *token;
    char *token_file; // read again when it changes (at most once a second); NULL: token, or none
    bool insecure;    // kubeconfig's insecure-skip-tls-verify
};
// path NULL: in the cluster (KUBERNETES_SERVICE_HOST, .._PORT and the ServiceAccount's files below
// /var/run/secrets/kubernetes.io/serviceaccount). Errors name the file and the member.
enum gw_rc ctl_kube_config_load(const char *path, struct ctl_kube_config *ret, struct gw_err *err)
    GW_MUST_USE;
void ctl_kube_config_fini(struct ctl_kube_config *c);

struct ctl_kube; // opaque
struct ctl_kube *ctl_kube_new(struct gw_loop *l, const struct ctl_kube_config *c,
                              struct gw_err *err); // copies what it needs
void ctl_kube_free(struct ctl_kube *k);            // every call is dropped without its fn

// --- one request, one answer -------------------------------------------------------------------

enum ctl_kube_method { CTL_KUBE_GET, CTL_KUBE_POST, CTL_KUBE_PUT, CTL_KUBE_PATCH, CTL_KUBE_DELETE };

// Lives for the call of fn only.
struct ctl_kube_reply {
    enum gw_rc rc;        // GW_OK: 2xx; GW_ERR_AUTH 401 and 403; GW_ERR_INPUT other 4xx;
                          // GW_ERR_LIMIT: larger than CTL_KUBE_BODY_BYTES_MAX; else
                          // GW_ERR_UPSTREAM or GW_ERR_TIMEOUT
    int status;           // HTTP, 0: none came
    json_t *body;         // borrowed, NULL: none or no JSON
    struct gw_str reason; // of a Status object: "Conflict", "NotFound", "Expired"; "" where none
    struct gw_err err;    // "PATCH /apis/...: 409 Conflict: <the server's message>"
    int retry_after_s;    // 0: not said
};
typedef void (*ctl_kube_fn)(void *arg, const struct ctl_kube_reply *r);

struct ctl_kube_request {
    enum ctl_kube_method method;
    const char *path; // with its query: "/api/v1/secrets?limit=500"; copied
    json_t *body;     // borrowed for the call of ctl_kube_send; NULL: none
    // NULL: application/json; a PATCH says which ("application/merge-patch+json").
    const char *content_type;
    const char *accept;  // NULL: application/json
    unsigned timeout_ms; // from ctl_kube_send; 0: 30 s
    ctl_kube_fn fn;      // called once, later, never from ctl_kube_send
    void *arg;
};
struct ctl_kube_call; // opaque
// NULL where CTL_KUBE_CALLS_MAX is reached.
struct ctl_kube_call *ctl_kube_send(struct ctl_kube *k, const struct ctl_kube_request *r,
                                    struct gw_err *err);
// fn, on_open, on_event and on_end are not called any more. Not for a call that has ended.
void ctl_kube_cancel(struct ctl_kube_call *c);

// --- a watch -----------------------------------------------------------------------------------

// One stream of events. It ends by on_end, once: the server closed it (rc GW_EOF), it was silent
// for longer than idle_ms (GW_ERR_TIMEOUT; bookmarks come about once a minute), or an error. Where
// nothing else came from the server meanwhile, the connection is taken for dead: every call that is
// under way ends with GW_ERR_TIMEOUT, and the next one makes a new connection.
struct ctl_kube_watch_opts {
    const char *path;   // "/api/v1/services?watch=1&allowWatchBookmarks=true&resourceVersion=12"
    const char *accept; // NULL: application/json
    unsigned idle_ms;
    void (*on_open)(void *arg); // the server has accepted it; NULL: of no interest
    void (*on_event)(void *arg, struct gw_str type, json_t *object); // borrowed
    void (*on_end)(void *arg, const struct ctl_kube_reply *r);
    void *arg;
};
struct ctl_kube_call *ctl_kube_watch(struct ctl_kube *k, const struct ctl_kube_watch_opts *o,
                                     struct gw_err *err);

#endif
