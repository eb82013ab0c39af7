// SPDX-License-Identifier: Apache-2.0
// Which statuses speak of which resources, so that what data planes say of one resource is looked
// up instead of searched for. One thread.
#ifndef CTL_STATUS_USERS_H
#define CTL_STATUS_USERS_H

#include "controller/translate/translate.h"

struct ctl_users {
    struct gw_map by_name; // resource -> its users
};
// The names that a user is listed under; zero: none. Owned by the user.
struct ctl_user_names {
    char **ptr;
    size_t len;
};

// Lists the user (borrowed until it is listed no more) under every resource and carrier of its
// report, in the place of the names of before.
void ctl_users_set(struct ctl_users *u, void *user, struct ctl_user_names *names,
                   const struct ctl_status_report *r);
void ctl_users_clear(struct ctl_users *u, void *user, struct ctl_user_names *names);
// Calls fn with each user of a resource; a user that is listed twice is met twice.
void ctl_users_each(const struct ctl_users *u, struct gw_str name,
                    void (*fn)(void *arg, void *user), void *arg);
void ctl_user_names_fini(struct ctl_user_names *names);
void ctl_users_fini(struct ctl_users *u);

#endif
