// SPDX-License-Identifier: Apache-2.0
// Statuses as an output: merges reports of translation with what publish knows (Programmed), adds
// observedGeneration and lastTransitionTime, compares with what is there and writes only what
// differs. In a folder the status lives here and is shown by the admin port.
#ifndef CTL_STATUS_STATUS_H
#define CTL_STATUS_STATUS_H

#include "controller/publish/publish.h"

struct ctl_status; // opaque

struct ctl_status *ctl_status_new(const struct ctl_publish *p);
void ctl_status_free(struct ctl_status *s);

// Takes over the reports of one translation run (the result keeps nothing of them).
void ctl_status_put(struct ctl_status *s, struct ctl_translate_result *r);
// Recomputes what may have changed; now is RFC 3339 UTC. Returns how many statuses were written.
size_t ctl_status_refresh(struct ctl_status *s, const char *now);

// The object's .status (borrowed), NULL where it has none of ours.
const json_t *ctl_status_get(const struct ctl_status *s, const struct ctl_res_kind *kind,
                             struct gw_str ns, struct gw_str name);

// The words of one part's Programmed condition; pure, so that tests can table it.
struct ctl_programmed_words {
    bool status;
    const char *reason;
    char message[512];
};
void ctl_status_programmed_words(bool is_gateway, bool programmable, enum ctl_programmed p,
                                 const char *refusal, unsigned connected, unsigned acked,
                                 struct ctl_programmed_words *ret);

#endif
