// SPDX-License-Identifier: Apache-2.0
// See lease.h. One call at most is under way; what follows from its answer:
//
//   GET   404 > POST              ours, free or expired > PUT      another's > wait
//   POST  201 > held              409 > GET
//   PUT   200 > held              409 > GET                        404 > GET
//   anything else: wait; a holder holds it until its time is over
//
// A holder begins with PUT, from the object that it wrote last; everybody else with GET.
#include "controller/kube/lease.h"

#include "controller/kube/lease_object.h"
#include "shared/log.h"
#include "shared/metric.h"
#include "shared/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Races that are lost in a row before the next try waits.
#define CONFLICTS_MAX 3
// A release is a courtesy: nobody waits long for it.
#define RELEASE_MS 1000

static const struct gw_metric_family held = {
    .name = "controller_lease_held",
    .help = "1 while this replica holds the Lease, and so writes statuses.",
    .type = GW_METRIC_GAUGE,
};

struct ctl_lease {
    struct ctl_lease_opts o; // its texts are its own
    char *ns, *name, *identity, *address;
    struct gw_text path, list_path;
    struct ctl_kube_call *call;
    struct gw_timer next, end; // the next try; the end of what is held
    json_t *object;            // as it was seen last; NULL: not seen, or not there
    int64_t observed_ms;       // since when its record is as it is
    bool is_started, is_held, is_leaving, is_released;
    int64_t sent_ms;  // of the write under way
    int64_t until_ms; // what is held
    unsigned conflicts;
    char *problem;
    int problem_status;
    struct gw_text told_holder, told_address;
};

static void on_get(void *arg, const struct ctl_kube_reply *r);
static void on_put(void *arg, const struct ctl_kube_reply *r);

// Of the machine and not of the turn: a process may have been stopped within one.
static int64_t now_ms(void) {
    return gw_clock_us() / 1000;
}

bool ctl_lease_is_ours(const struct ctl_lease *l) {
    return gw_str_eq(ctl_lease_holder_of(l->object), gw_str_of(l->identity));
}

static int64_t expires_ms(const struct ctl_lease *l) {
    unsigned seconds = ctl_lease_seconds_of(l->object, l->o.duration_ms / 1000);
    return l->observed_ms + 1000 * (int64_t)seconds;
}

static uint32_t chance(void) {
    uint32_t random;
    gw_random(&random, sizeof(random));
    return random;
}

// --- what is told ------------------------------------------------------------------------------

static bool note(struct gw_text *told, struct gw_str now) {
    if (gw_str_eq(gw_text_str(told), now)) return false;
    gw_text_reset(told);
    gw_text_add(told, now.ptr, now.len);
    return true;
}

static void tell(struct ctl_lease *l, bool is_news) {
    bool holder = note(&l->told_holder, ctl_lease_holder_of(l->object));
    bool address = note(&l->told_address, ctl_lease_address_of(l->object));
    if (is_news || holder || address) l->o.on_change(l->o.arg);
}

static void set_held(struct ctl_lease *l, bool is_held) {
    l->is_held = is_held;
    gw_metric_add(gw_metric_series(&held, NULL), is_held ? 1 : -1);
}

static void hold(struct ctl_lease *l) {
    bool is_news = !l->is_held;
    l->until_ms = l->sent_ms + l->o.renew_ms;
    gw_timer_set(l->o.loop, &l->end, l->until_ms - now_ms());
    if (is_news) {
        GW_INFO("lease", "held: this replica writes statuses", GW_KS("ns", l->ns),
                GW_KS("lease", l->name), GW_KS("identity", l->identity));
        set_held(l, true);
    }
    tell(l, is_news);
}

static void lose(struct ctl_lease *l, const char *why) {
    if (!l->is_held) return;
    gw_timer_cancel(l->o.loop, &l->end);
    set_held(l, false);
    enum gw_log_level level = l->is_leaving ? GW_LOG_INFO : GW_LOG_WARN;
    GW_LOG_(level, "lease", "held no more: this replica writes no statuses", GW_KS("ns", l->ns),
            GW_KS("lease", l->name), GW_KS("why", why));
    tell(l, true);
}

static void on_end(struct gw_timer *t) {
    struct ctl_lease *l = GW_CONTAINER_OF(t, struct ctl_lease, end);
    int64_t left_ms = l->until_ms - now_ms();
    if (left_ms > 0)
        gw_timer_set(l->o.loop, t, left_ms);
    else
        lose(l, "it could not be renewed in time");
}

static void set_problem(struct ctl_lease *l, const struct ctl_kube_reply *r) {
    bool is_auth = r->status == 401 || r->status == 403;
    bool is_news = !l->problem || l->problem_status != r->status;
    free(l->problem);
    l->problem = gw_strdup(r->err.text);
    l->problem_status = r->status;
    if (is_news && is_auth)
        GW_ERROR("lease",
                 "the Lease may not be held, and no statuses are written: the ServiceAccount needs "
                 "get, create and update on leases",
                 GW_KS("ns", l->ns), GW_KS("lease", l->name), GW_KS("err", r->err.text));
    else if (is_news)
        GW_WARN("lease", "the Lease cannot be asked for; it is tried again", GW_KS("ns", l->ns),
                GW_KS("lease", l->name), GW_KS("err", r->err.text));
}

static void clear_problem(struct ctl_lease *l) {
    free(l->problem);
    l->problem = NULL;
}

// A record that is as it was may be one that nobody renews; what else changed of the object does
// not count.
static void observe(struct ctl_lease *l, const json_t *object) {
    const json_t *before = gw_json_get(l->object, "spec"), *after = gw_json_get(object, "spec");
    bool is_same = before && after && json_equal(before, after);
    if (!is_same) l->observed_ms = now_ms();
    json_t *copy = json_incref((json_t *)(uintptr_t)object);
    json_decref(l->object);
    l->object = copy;
}

// --- calls -------------------------------------------------------------------------------------

static struct ctl_lease_next next_of(const struct ctl_lease *l) {
    return (struct ctl_lease_next){.ns = l->ns,
                                   .name = l->name,
                                   .identity = l->identity,
                                   .address = l->address,
                                   .seconds = l->o.duration_ms / 1000,
                                   .now_us = gw_clock_real_us()};
}

// Replicas that lost the same holder do not come in step; none comes later than it need to.
static void wait(struct ctl_lease *l) {
    int64_t ms = l->o.retry_ms;
    if (l->is_leaving) {
        l->is_released = true; // tried, and left to expire
        return;
    }
    if (!l->is_held) {
        int64_t left_ms = expires_ms(l) - now_ms();
        ms = ms - ms / 4 + (int64_t)(chance() % (uint32_t)(ms / 2 + 1));
        if (l->object && left_ms >= 0 && left_ms < ms)
            ms = left_ms + 1 + (int64_t)(chance() % (l->o.retry_ms / 4 + 1));
    }
    gw_timer_set(l->o.loop, &l->next, ms);
}

static void send(struct ctl_lease *l, enum ctl_kube_method method, const json_t *body,
                 ctl_kube_fn fn) {
    struct gw_err err;
    const struct ctl_kube_request rq = {
        .method = method,
        .path = method == CTL_KUBE_POST ? l->list_path.ptr : l->path.ptr,
        .body = (json_t *)(uintptr_t)body,
        // One that is lost leaves time for another.
        .timeout_ms = l->is_leaving ? RELEASE_MS : l->o.renew_ms / 2,
        .fn = fn,
        .arg = l,
    };
    l->sent_ms = now_ms();
    l->call = l->o.api.send(l->o.api.arg, &rq, &err);
    if (l->call) return;
    set_problem(l, &(struct ctl_kube_reply){.rc = err.rc, .err = err});
    wait(l);
}

static void take(struct ctl_lease *l) {
    const struct ctl_lease_next n = next_of(l);
    GW_JSON_AUTO body =
        l->is_leaving ? ctl_lease_give(l->object, &n) : ctl_lease_take(l->object, &n);
    send(l, l->object ? CTL_KUBE_PUT : CTL_KUBE_POST, body, on_put);
}

static void look(struct ctl_lease *l) {
    send(l, CTL_KUBE_GET, NULL, on_get);
}

static void on_next(struct gw_timer *t) {
    struct ctl_lease *l = GW_CONTAINER_OF(t, struct ctl_lease, next);
    if (l->call) return;
    l->conflicts = 0;
    if (l->is_held && l->object)
        take(l);
    else
        look(l);
}

// --- answers -----------------------------------------------------------------------------------

static void on_get(void *arg, const struct ctl_kube_reply *r) {
    struct ctl_lease *l = arg;
    l->call = NULL;
    if (r->rc != GW_OK && r->status != 404) {
        set_problem(l, r);
        wait(l);
        return;
    }
    if (r->rc == GW_OK) {
        observe(l, r->body);
    } else {
        json_decref(l->object);
        l->object = NULL;
    }
    bool may_take = ctl_lease_holder_of(l->object).len == 0 || expires_ms(l) <= now_ms();
    if (ctl_lease_is_ours(l) || (may_take && !l->is_leaving)) {
        take(l);
        return;
    }
    clear_problem(l);
    lose(l, "another replica has taken it");
    tell(l, false);
    wait(l);
}

static void on_put(void *arg, const struct ctl_kube_reply *r) {
    struct ctl_lease *l = arg;
    l->call = NULL;
    if (r->rc == GW_OK && r->body) {
        clear_problem(l);
        l->conflicts = 0;
        observe(l, r->body);
        if (!l->is_leaving) hold(l);
        wait(l);
        return;
    }
    if ((r->status == 409 || (r->status == 404 && l->object)) && l->conflicts++ < CONFLICTS_MAX) {
        look(l);
        return;
    }
    set_problem(l, r);
    wait(l);
}

// --- life --------------------------------------------------------------------------------------

struct ctl_lease *ctl_lease_new(const struct ctl_lease_opts *o) {
    struct ctl_lease *l = gw_alloc(sizeof(*l));
    l->o = *o;
    l->o.ns = l->ns = gw_strdup(o->ns);
    l->o.name = l->name = gw_strdup(o->name);
    l->o.identity = l->identity = gw_strdup(o->identity);
    l->address = gw_strdup("");
    gw_text_addf(&l->list_path, "/apis/coordination.k8s.io/v1/namespaces/%s/leases", l->ns);
    gw_text_addf(&l->path, "%s/%s", l->list_path.ptr, l->name);
    gw_timer_init(&l->next, on_next);
    gw_timer_init(&l->end, on_end);
    return l;
}

void ctl_lease_free(struct ctl_lease *l) {
    if (!l) return;
    if (l->call) l->o.api.cancel(l->o.api.arg, l->call);
    gw_timer_cancel(l->o.loop, &l->next);
    gw_timer_cancel(l->o.loop, &l->end);
    if (l->is_held) set_held(l, false);
    json_decref(l->object);
    gw_text_fini(&l->path);
    gw_text_fini(&l->list_path);
    gw_text_fini(&l->told_holder);
    gw_text_fini(&l->told_address);
    free(l->problem);
    free(l->ns);
    free(l->name);
    free(l->identity);
    free(l->address);
    free(l);
}

void ctl_lease_set_address(struct ctl_lease *l, const char *address) {
    free(l->address);
    l->address = gw_strdup(address);
}

void ctl_lease_start(struct ctl_lease *l) {
    if (l->is_started) return;
    l->is_started = true;
    gw_timer_set(l->o.loop, &l->next, 0);
}

void ctl_lease_hurry(struct ctl_lease *l) {
    if (!l->is_started || l->is_leaving || l->is_held || l->call) return;
    gw_timer_set(l->o.loop, &l->next, 0);
}

// What a write that is under way does is not known, so the object is looked at first.
void ctl_lease_release(struct ctl_lease *l) {
    bool was_held = l->is_held || l->call;
    if (l->is_leaving) return;
    l->is_leaving = true;
    gw_timer_cancel(l->o.loop, &l->next);
    if (l->call) l->o.api.cancel(l->o.api.arg, l->call);
    l->call = NULL;
    lose(l, "this replica ends");
    l->conflicts = 0;
    if (was_held)
        look(l);
    else
        l->is_released = true;
}

bool ctl_lease_is_released(const struct ctl_lease *l) {
    return l->is_released;
}

bool ctl_lease_is_held(const struct ctl_lease *l) {
    return l->is_held && now_ms() < l->until_ms;
}

const char *ctl_lease_holder(const struct ctl_lease *l) {
    return l->told_holder.ptr ? l->told_holder.ptr : "";
}

const char *ctl_lease_holder_address(const struct ctl_lease *l) {
    return l->told_address.ptr ? l->told_address.ptr : "";
}

const char *ctl_lease_problem(const struct ctl_lease *l) {
    return l->problem;
}

json_t *ctl_lease_dump(const struct ctl_lease *l) {
    int64_t transitions = gw_json_int(gw_json_get(l->object, "spec"), "leaseTransitions", 0);
    return json_pack("{ss ss ss sb ss ss sI ss*}", "namespace", l->ns, "name", l->name, "identity",
                     l->identity, "held", ctl_lease_is_held(l), "holder", ctl_lease_holder(l),
                     "address", ctl_lease_holder_address(l), "transitions", (json_int_t)transitions,
                     "problem", l->problem);
}

// --- the guard ---------------------------------------------------------------------------------

static struct ctl_kube_call *guarded_send(void *arg, const struct ctl_kube_request *r,
                                          struct gw_err *err) {
    struct ctl_lease *l = arg;
    if (ctl_lease_is_held(l)) return l->o.api.send(l->o.api.arg, r, err);
    gw_err_set(err, GW_CANCELLED, 0, "this replica does not hold the Lease");
    return NULL;
}

static struct ctl_kube_call *guarded_watch(void *arg, const struct ctl_kube_watch_opts *o,
                                           struct gw_err *err) {
    struct ctl_lease *l = arg;
    return l->o.api.watch(l->o.api.arg, o, err);
}

static void guarded_cancel(void *arg, struct ctl_kube_call *c) {
    struct ctl_lease *l = arg;
    l->o.api.cancel(l->o.api.arg, c);
}

struct ctl_kube_api ctl_lease_guard(struct ctl_lease *l) {
    return (struct ctl_kube_api){
        .arg = l, .send = guarded_send, .watch = guarded_watch, .cancel = guarded_cancel};
}

void ctl_lease_identity(char *dst, size_t cap) {
    char host[128] = "tandem-controller";
    uint64_t random;
    if (gethostname(host, sizeof(host) - 1) != 0) snprintf(host, sizeof(host), "tandem-controller");
    gw_random(&random, sizeof(random));
    snprintf(dst, cap, "%s_%016llx", host, (unsigned long long)random);
}
