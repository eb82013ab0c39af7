// SPDX-License-Identifier: Apache-2.0
// From a report, and from what data planes said, to the status that is wanted (merge.h says which
// shape that has). No clock and no memory: equal input gives an equal status.
#ifndef CTL_STATUS_SHAPE_H
#define CTL_STATUS_SHAPE_H

#include "controller/publish/publish.h"

// Condition.message of the API.
#define CTL_STATUS_MESSAGE_MAX 32768

// Owned by caller. *ret_pending: some data plane is connected and has not answered yet for a part.
json_t *ctl_status_shape(const struct ctl_publish *p, const struct ctl_status_report *r,
                         bool *ret_pending);

// What data planes say of one part: its resources, and the best of its carriers. *ret_reason
// (borrowed) where it is REFUSED; *ret_blamed: by a resource of its own, not by a carrier.
enum ctl_programmed ctl_status_part_state(const struct ctl_publish *p,
                                          const struct ctl_status_part *part,
                                          const char **ret_reason, bool *ret_blamed);

// The words of one part's Programmed condition; pure, so that tests can table it. connected: data
// planes of the Gateway, where the part is one's, else of all.
struct ctl_programmed_words {
    bool status;
    const char *reason;
    char message[512];
};
void ctl_status_programmed_words(bool is_gateway, bool programmable, enum ctl_programmed p,
                                 const char *refusal, unsigned connected, unsigned acked,
                                 struct ctl_programmed_words *ret);

#endif
