// SPDX-License-Identifier: Apache-2.0
// See shape.h.
#include "controller/status/shape.h"

#include <stdio.h>

// --- Programmed --------------------------------------------------------------------------------

// A route serves where one of its listeners does: the best of them counts.
static int rank(enum ctl_programmed p) {
    static const int ranks[] = {
        [CTL_PROGRAMMED_NONE] = 0,
        [CTL_PROGRAMMED_REFUSED] = 1,
        [CTL_PROGRAMMED_PENDING] = 2,
        [CTL_PROGRAMMED_YES] = 3,
    };
    return ranks[p];
}

static enum ctl_programmed best_of(const struct ctl_publish *p, char *const *names, size_t n,
                                   const char **ret_reason) {
    enum ctl_programmed best = CTL_PROGRAMMED_NONE;
    for (size_t i = 0; i < n; i++) {
        const char *reason;
        enum ctl_programmed one = ctl_publish_programmed(p, &names[i], 1, &reason);
        if (i > 0 && rank(one) <= rank(best)) continue;
        best = one;
        *ret_reason = reason;
    }
    return best;
}

enum ctl_programmed ctl_status_part_state(const struct ctl_publish *p,
                                          const struct ctl_status_part *part,
                                          const char **ret_reason, bool *ret_blamed) {
    enum ctl_programmed own =
        ctl_publish_programmed(p, part->resources, part->resources_n, ret_reason);
    *ret_blamed = own == CTL_PROGRAMMED_REFUSED;
    if (own == CTL_PROGRAMMED_REFUSED || part->carriers_n == 0) return own;
    enum ctl_programmed carried = best_of(p, part->carriers, part->carriers_n, ret_reason);
    return rank(carried) < rank(own) ? carried : own;
}

static void words(struct ctl_programmed_words *w, bool status, const char *reason) {
    w->status = status;
    w->reason = reason;
}

void ctl_status_programmed_words(bool is_gateway, bool programmable, enum ctl_programmed p,
                                 const char *refusal, unsigned connected, unsigned acked,
                                 struct ctl_programmed_words *ret) {
    char *m = ret->message;
    size_t cap = sizeof(ret->message);
    m[0] = 0;
    if (!programmable) {
        words(ret, false, "Invalid");
        snprintf(m, cap, "not valid: see the other conditions");
        return;
    }
    if (p == CTL_PROGRAMMED_REFUSED) {
        words(ret, false, "Invalid");
        snprintf(m, cap, "refused by a data plane: %.400s", refusal ? refusal : "no reason given");
        return;
    }
    // A Gateway is what its data planes make it: without one, it is not programmed. What was
    // acknowledged on its behalf stays so.
    if (p == CTL_PROGRAMMED_NONE || (is_gateway && connected == 0)) {
        words(ret, false, "Pending");
        snprintf(m, cap,
                 connected ? "no data plane that serves it is connected"
                           : "no data plane is connected");
        return;
    }
    words(ret, p == CTL_PROGRAMMED_YES, p == CTL_PROGRAMMED_YES ? "Programmed" : "Pending");
    if (is_gateway)
        snprintf(m, cap, "%u of %u data planes", acked, connected);
    else
        snprintf(m, cap,
                 p == CTL_PROGRAMMED_YES ? "acknowledged by the data planes"
                                         : "waiting for data planes to acknowledge");
}

// --- conditions --------------------------------------------------------------------------------

// A text that was cut may end within a character.
static json_t *text_json(const char *s) {
    size_t n = strnlen(s, CTL_STATUS_MESSAGE_MAX);
    json_t *v = json_stringn(s, n);
    while (!v && n > 0)
        v = json_stringn(s, --n);
    return v;
}

static void add(json_t *list, const char *type, bool status, const char *reason,
                const char *message, int64_t generation) {
    json_array_append_new(list, json_pack("{sssssssosI}", "type", type, "status",
                                          status ? "True" : "False", "reason", reason, "message",
                                          text_json(message), "observedGeneration",
                                          (json_int_t)generation));
}

struct shaping {
    const struct ctl_publish *publish;
    const struct ctl_status_report *report;
    bool pending;
};

static void add_programmed(struct shaping *s, const struct ctl_status_part *p, json_t *list) {
    const struct ctl_status_report *r = s->report;
    struct ctl_programmed_words w;
    const char *refusal = NULL;
    unsigned connected, acked;
    bool blamed, is_gateway = r->kind == &ctl_res_gateway && !p->listener;
    char name[512];
    snprintf(name, sizeof(name), "%s/%s", r->ns, r->name);
    // Of a Gateway: of its own resources, so that a route that changes does not rewrite it.
    ctl_publish_counts_of(s->publish, r->kind == &ctl_res_gateway ? name : NULL,
                          is_gateway ? p->resources : NULL, is_gateway ? p->resources_n : 0,
                          &connected, &acked);
    enum ctl_programmed state = ctl_status_part_state(s->publish, p, &refusal, &blamed);
    if (p->programmable && (state == CTL_PROGRAMMED_PENDING || acked < connected))
        s->pending = true;
    ctl_status_programmed_words(is_gateway, p->programmable, state, refusal, connected, acked, &w);
    add(list, "Programmed", w.status, w.reason, w.message, r->generation);
}

static json_t *conditions_of(struct shaping *s, const struct ctl_status_part *p) {
    json_t *list = json_array();
    for (size_t i = 0; i < p->conditions_n; i++) {
        const struct ctl_condition *c = &p->conditions[i];
        add(list, c->type, c->status, c->reason, c->message ? c->message : "",
            s->report->generation);
    }
    if (p->wants_programmed) add_programmed(s, p, list);
    return list;
}

// --- the shape, by kind ------------------------------------------------------------------------

static json_t *gateway_shape(struct shaping *s) {
    const struct ctl_status_report *r = s->report;
    char name[512];
    json_t *status = json_object(), *listeners = json_array();
    snprintf(name, sizeof(name), "%s/%s", r->ns, r->name);
    json_object_set_new(status, "addresses", ctl_publish_addresses(s->publish, name));
    for (size_t i = 0; i < r->parts_n; i++) {
        const struct ctl_status_part *p = &r->parts[i];
        json_t *conditions = conditions_of(s, p);
        if (!p->listener) {
            json_object_set_new(status, "conditions", conditions);
            continue;
        }
        json_t *kinds = p->supported_kinds ? json_incref(p->supported_kinds) : json_array();
        json_array_append_new(listeners, json_pack("{sssosiso}", "name", p->listener,
                                                   "supportedKinds", kinds, "attachedRoutes",
                                                   p->attached_routes, "conditions", conditions));
    }
    json_object_set_new(status, "listeners", listeners);
    return status;
}

static json_t *list_shape(struct shaping *s, const char *list_name, const char *ref_name) {
    const struct ctl_status_report *r = s->report;
    json_t *list = json_array();
    for (size_t i = 0; i < r->parts_n; i++)
        json_array_append_new(list, json_pack("{sOssso}", ref_name, r->parts[i].parent,
                                              "controllerName", CTL_CONTROLLER_NAME, "conditions",
                                              conditions_of(s, &r->parts[i])));
    return json_pack("{so}", list_name, list);
}

static json_t *shape_of(struct shaping *s) {
    const struct ctl_status_report *r = s->report;
    if (r->kind == &ctl_res_gateway) return gateway_shape(s);
    if (r->kind == &ctl_res_http_route) return list_shape(s, "parents", "parentRef");
    if (r->parts[0].parent) return list_shape(s, "ancestors", "ancestorRef");
    return json_pack("{so}", "conditions", conditions_of(s, &r->parts[0]));
}

json_t *ctl_status_shape(const struct ctl_publish *p, const struct ctl_status_report *r,
                         bool *ret_pending) {
    struct shaping s = {.publish = p, .report = r};
    json_t *status = shape_of(&s);
    if (r->extra) json_object_update_missing(status, r->extra);
    *ret_pending = s.pending;
    return status;
}
