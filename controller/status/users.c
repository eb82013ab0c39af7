// SPDX-License-Identifier: Apache-2.0
// See users.h.
#include "controller/status/users.h"

#include "shared/vec.h"

struct list {
    GW_VEC(void *) users;
};

static void free_list(void *value) {
    struct list *l = value;
    GW_VEC_FINI(&l->users);
    free(l);
}

// From the end: those that came last leave first, where a burst makes and takes away many.
static void leave(struct ctl_users *u, void *user, struct gw_str name) {
    struct list *l = gw_map_get(&u->by_name, name);
    for (size_t i = l ? l->users.len : 0; i-- > 0;) {
        if (l->users.ptr[i] != user) continue;
        l->users.ptr[i] = l->users.ptr[--l->users.len];
        break;
    }
    if (l && l->users.len == 0) free_list(gw_map_del(&u->by_name, name));
}

static void enter(struct ctl_users *u, void *user, struct gw_str name) {
    struct list *l = gw_map_get(&u->by_name, name);
    if (!l) {
        l = gw_alloc(sizeof(*l));
        gw_map_put(&u->by_name, name, l);
    }
    GW_VEC_PUSH(&l->users, user);
}

void ctl_user_names_fini(struct ctl_user_names *names) {
    for (size_t i = 0; i < names->len; i++)
        free(names->ptr[i]);
    free(names->ptr);
    *names = (struct ctl_user_names){0};
}

void ctl_users_clear(struct ctl_users *u, void *user, struct ctl_user_names *names) {
    for (size_t i = 0; i < names->len; i++)
        leave(u, user, gw_str_of(names->ptr[i]));
    ctl_user_names_fini(names);
}

static void add_all(struct ctl_users *u, void *user, struct ctl_user_names *names,
                    char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        names->ptr[names->len++] = gw_strdup(list[i]);
        enter(u, user, gw_str_of(list[i]));
    }
}

void ctl_users_set(struct ctl_users *u, void *user, struct ctl_user_names *names,
                   const struct ctl_status_report *r) {
    size_t n = 0;
    ctl_users_clear(u, user, names);
    for (size_t i = 0; i < r->parts_n; i++)
        n += r->parts[i].resources_n + r->parts[i].carriers_n;
    if (n) names->ptr = gw_alloc(n * sizeof(*names->ptr));
    for (size_t i = 0; i < r->parts_n; i++) {
        add_all(u, user, names, r->parts[i].resources, r->parts[i].resources_n);
        add_all(u, user, names, r->parts[i].carriers, r->parts[i].carriers_n);
    }
}

void ctl_users_each(const struct ctl_users *u, struct gw_str name,
                    void (*fn)(void *arg, void *user), void *arg) {
    const struct list *l = gw_map_get(&u->by_name, name);
    for (size_t i = 0; l && i < l->users.len; i++)
        fn(arg, l->users.ptr[i]);
}

void ctl_users_fini(struct ctl_users *u) {
    gw_map_fini(&u->by_name, free_list);
}
