// SPDX-License-Identifier: Apache-2.0
// What becomes of a status that others may have written to as well. Pure: statuses in, status out;
// the time is a parameter. See the status contract of the Gateway API (GEP-1364) and KEP-1623 for
// conditions.
//
// A wanted status has the shape of .status, but its conditions have no lastTransitionTime:
// {"conditions"}, {"addresses", "conditions", "listeners"}, {"parents"} or {"ancestors"}, and
// whatever else is ours, whole.
#ifndef CTL_STATUS_MERGE_H
#define CTL_STATUS_MERGE_H

#include "shared/json.h"

// RouteStatus.parents and PolicyStatus.ancestors of the API; what others wrote goes first.
#define CTL_STATUS_PARENTS_MAX 32
#define CTL_STATUS_ANCESTORS_MAX 16

// The status to write; equal (json_equal) to before where there is nothing to say. before NULL:
// none is there. Kept as it is: entries of other controllers, types of conditions that are not
// ours, members that wanted does not have, and a condition that was observed at a newer generation.
// Dropped: our entries whose parent is not wanted any more, our types that do not hold any more,
// and listeners that are not wanted. Owned by caller.
json_t *ctl_status_merge(const json_t *before, const json_t *wanted, const char *now);

// before without our entries in its lists; everything else stays, as another controller will write
// over it. Owned by caller.
json_t *ctl_status_without_ours(const json_t *before);

// The members of after that differ from before, for a merge patch; NULL: none does. Owned by
// caller.
json_t *ctl_status_difference(const json_t *before, const json_t *after);

// Whether after says Programmed is not True any more, for no other reason than that nobody is
// there to say so (Pending, at the same generation), or takes away the last address. Of the
// entries of a list ours alone count.
bool ctl_status_takes_back(const json_t *before, const json_t *after);

// Whether a list of the status (parents, ancestors) has entries of ours.
bool ctl_status_has_ours(const json_t *status);

// The condition of a type, NULL: none. Borrowed.
const json_t *ctl_status_condition(const json_t *conditions, struct gw_str type);

#endif
