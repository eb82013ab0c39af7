// SPDX-License-Identifier: Apache-2.0
// The controller's admin port: what tandemctl and operators ask. Its server runs on a thread of its
// own; a question that needs the store is handed to the controller's loop and waited for, so that
// the store needs no lock.
#ifndef CTL_ADMIN_H
#define CTL_ADMIN_H

#include "controller/publish/publish.h"
#include "controller/source/dir.h"
#include "controller/source/kube.h"
#include "controller/status/status.h"

// How long a question waits for the loop before it is answered with 503; well below the five
// seconds after which the server would drop its connection.
#define CTL_ADMIN_WAIT_MS 2000
#define CTL_ADMIN_EVENTS_MAX 200

struct ctl_admin; // opaque

struct ctl_admin_opts {
    struct gw_loop *loop; // the loop that owns all of the following
    const struct ctl_store *store;
    const struct ctl_publish *publish;
    const struct ctl_status *status;
    // Whether a snapshot is there, with what is wrong or waited for, a line each; called on the
    // loop. NULL: it is.
    bool (*is_ready)(void *arg, struct gw_text *ret_problems);
    json_t *(*source)(void *arg); // for /source, new reference; NULL: 404
    // As ctl_kube_source_refused: objects that are shown although the store has none of them. NULL:
    // there are none.
    const struct ctl_refused **(*refused)(void *arg, size_t *ret_n);
    // Whether another replica writes statuses: objects are shown with those of the API server then.
    // NULL: none does.
    bool (*is_follower)(void *arg);
    void *arg;
    const char *host;
    uint16_t port; // 0: any free one
};
struct ctl_admin *ctl_admin_new(const struct ctl_admin_opts *o, struct gw_err *err);
// On the loop's thread, outside of a turn.
void ctl_admin_free(struct ctl_admin *a);
uint16_t ctl_admin_port(const struct ctl_admin *a);

// Kept for /events; the oldest of more than CTL_ADMIN_EVENTS_MAX is dropped. now: RFC 3339.
void ctl_admin_event(struct ctl_admin *a, const char *now, const struct ctl_source_event *e);

// One object as it is shown: its manifest with our status, where it came from as annotation
// kgateway.dev/source, its generation, and sizes in place of the values of a Secret.
json_t *ctl_admin_object(const struct ctl_object *o, const json_t *status);
// One that is refused: the reason is annotation kgateway.dev/refused. Nothing of it was checked, so
// a Secret is shown by its name alone.
json_t *ctl_admin_refused(const struct ctl_refused *r, const json_t *status);

#endif
