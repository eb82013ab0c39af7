// SPDX-License-Identifier: Apache-2.0
// Statuses as an output: reports of translation, and what publish knows (Programmed), become the
// status that each object should have (shape.h). In a folder the status lives here and is shown by
// the admin port; with an API server a writer (writer.h) brings it there.
#ifndef CTL_STATUS_STATUS_H
#define CTL_STATUS_STATUS_H

#include "controller/status/event.h"
#include "controller/status/shape.h"
#include "controller/status/writer.h"

struct ctl_status; // opaque

struct ctl_status_opts {
    struct ctl_publish *publish;      // what is new of it is taken (ctl_publish_take_news)
    struct ctl_status_writer *writer; // NULL: statuses are kept here alone
    struct ctl_events *events;        // NULL: nobody is told
};
struct ctl_status *ctl_status_new(const struct ctl_status_opts *o);
void ctl_status_free(struct ctl_status *s);

// Takes over the reports of one translation run (the result keeps nothing of them).
void ctl_status_put(struct ctl_status *s, struct ctl_translate_result *r);

// An object that a source does not put into the store, because its own table refuses it.
struct ctl_status_refused {
    const struct ctl_res_kind *kind;
    struct gw_str ns, name;
    int64_t generation;
    const json_t *object; // whole; its references tell whether it is ours
    const char *reason;
};
// All that are refused now, in the place of those of the last call. Such an object is
// Accepted=False with the reason, whatever its report says. Borrows for the call.
void ctl_status_refuse(struct ctl_status *s, const struct ctl_status_refused *list, size_t n);

// Recomputes what may have changed: new reports, those whose resources data planes spoke of, and
// every Gateway. now is RFC 3339 UTC. Returns how many statuses changed.
size_t ctl_status_refresh(struct ctl_status *s, const char *now);

// The object's .status as this controller wants it (borrowed), NULL where it has none of ours.
const json_t *ctl_status_get(const struct ctl_status *s, const struct ctl_res_kind *kind,
                             struct gw_str ns, struct gw_str name);
// Whether the object is ours to report on: a Gateway of our class, for one.
bool ctl_status_has(const struct ctl_status *s, const struct ctl_res_kind *kind, struct gw_str ns,
                    struct gw_str name);

#endif
