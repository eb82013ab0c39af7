// SPDX-License-Identifier: Apache-2.0
// One kind: which of its versions is served, whether it is there at all, and what to do where the
// API server says no. Objects leave the store only where the server said that they are gone: a
// server that fails or forbids takes nothing away.
#include "controller/source/kube_impl.h"

#include <stdio.h>
#include <stdlib.h>

// Keys of Helm are large, many, and never of use to a gateway.
#define SECRETS_WANTED "&fieldSelector=type%21%3Dhelm.sh%2Frelease.v1"

static char *path_of(const struct kube_kind *k) {
    struct gw_text t = {0};
    const char *version = k->kind->versions[k->version];
    if (*k->kind->group)
        gw_text_addf(&t, "/apis/%s/%s/%s", k->kind->group, version, k->kind->plural);
    else
        gw_text_addf(&t, "/api/%s/%s", version, k->kind->plural);
    return t.ptr;
}

static void start(struct kube_kind *k, size_t version) {
    k->version = version;
    if (k->state == KUBE_ABSENT) k->state = KUBE_STARTING;
    kube_follow_start(&k->follow, path_of(k));
}

// --- state ---------------------------------------------------------------------------------------

static void settle(struct kube_kind *k) {
    k->is_settled = true;
    kube_check_synced(k->source);
}

static void note_problem(struct kube_kind *k, enum kube_state state, int id, const char *text) {
    k->state = state;
    k->problem_id = id;
    free(k->problem);
    k->problem = gw_strdup(text);
    if (state == KUBE_FORBIDDEN) ctl_store_set_unread(k->source->o.store, k->kind, true);
}

// id: texts of the same trouble differ in details such as times.
static void set_problem(struct kube_kind *k, enum kube_state state, int id, const char *text) {
    bool is_news = k->state != state || k->problem_id != id || !k->problem;
    note_problem(k, state, id, text);
    if (is_news) kube_tell_trouble(k->source, k->kind->plural, text);
}

static void note_good(struct kube_kind *k, enum kube_state state) {
    k->state = state;
    k->missing_since_ms = 0;
    free(k->problem);
    k->problem = NULL;
    ctl_store_set_unread(k->source->o.store, k->kind, false);
}

static void set_good(struct kube_kind *k, enum kube_state state) {
    bool is_news = k->problem != NULL;
    note_good(k, state);
    if (is_news && state == KUBE_SYNCED)
        kube_tell_good(k->source, k->kind->plural, "is followed again");
}

static void set_absent(struct kube_kind *k) {
    k->has_list = false;
    kube_object_purge(k);
    settle(k);
}

// --- what the list and the watch tell ------------------------------------------------------------

static void on_replace(void *arg, json_t *const *objects, size_t n) {
    struct kube_kind *k = arg;
    k->missed = 0;
    k->has_list = true;
    kube_object_replace(k, objects, n);
    note_good(k, KUBE_SYNCED);
    settle(k);
}

static void on_put(void *arg, json_t *object) {
    kube_object_put(arg, object);
}

static void on_del(void *arg, json_t *object) {
    kube_object_del(arg, object);
}

static void on_live(void *arg) {
    struct kube_kind *k = arg;
    k->missed = 0;
    set_good(k, KUBE_SYNCED);
}

// None of the versions is served.
static int64_t on_missing(struct kube_kind *k) {
    const struct ctl_kube_source *s = k->source;
    int64_t now = gw_loop_now_ms(k->follow.loop);
    k->version = k->missed = 0;
    kube_follow_retarget(&k->follow, path_of(k));
    if (!k->missing_since_ms) k->missing_since_ms = now;
    // The CRD list says the kind is there: it is about to be served, or has other versions.
    bool has_crd = s->crd_state == KUBE_CRD_LISTED;
    int64_t patience = k->has_list ? CTL_KUBE_GONE_MS : has_crd ? CTL_KUBE_UNSERVED_MS : 0;
    if (now - k->missing_since_ms < patience) {
        // A CRD that has just come is served a second or two later.
        if (k->has_list)
            set_problem(k, KUBE_FAILING, 404, "is not served just now (404)");
        else
            note_problem(k, KUBE_STARTING, 404, "is not served yet (404)");
        return 0;
    }
    if (has_crd)
        set_problem(k, KUBE_ABSENT, 404, "its CRD serves no version that is known here");
    else
        set_good(k, KUBE_ABSENT);
    k->missing_since_ms = now;
    set_absent(k);
    return CTL_KUBE_FORBIDDEN_MS;
}

static int64_t on_failed(void *arg, const struct ctl_kube_reply *r) {
    struct kube_kind *k = arg;
    char text[sizeof(r->err.text) + 64];
    if (r->status == 404 && !k->kind->builtin) {
        if (!k->kind->versions[++k->missed]) return on_missing(k);
        start(k, k->missed);
        return -1;
    }
    if (r->status == 403) {
        bool is_watch = gw_str_starts(gw_str_of(r->err.text), GW_STR("WATCH"));
        snprintf(text, sizeof(text), "may not %s %s: %s", is_watch ? "watch" : "list",
                 k->kind->plural, r->err.text);
        set_problem(k, KUBE_FORBIDDEN, 403, text);
        settle(k);
        return CTL_KUBE_FORBIDDEN_MS;
    }
    set_problem(k, KUBE_FAILING, (int)r->rc * 1000 + r->status, r->err.text);
    return 0;
}

static const struct kube_follow_ops ops = {
    .replace = on_replace,
    .put = on_put,
    .del = on_del,
    .live = on_live,
    .failed = on_failed,
};

// --- life ----------------------------------------------------------------------------------------

void kube_kind_init(struct kube_kind *k, struct ctl_kube_source *s,
                    const struct ctl_res_kind *kind) {
    k->source = s;
    k->kind = kind;
    k->follow.loop = s->o.loop;
    k->follow.kube = s->o.kube;
    k->follow.idle_ms = s->o.idle_ms;
    k->follow.ops = &ops;
    k->follow.arg = k;
    k->follow.selector = kind == &ctl_res_secret ? SECRETS_WANTED : "";
    kube_follow_init(&k->follow);
}

void kube_kind_fini(struct kube_kind *k) {
    kube_follow_fini(&k->follow);
    kube_refused_fini(k);
    free(k->problem);
}

void kube_kind_consider(struct kube_kind *k, bool has_changed) {
    const struct ctl_kube_source *s = k->source;
    if (!k->kind->builtin && s->crd_state == KUBE_CRD_UNKNOWN) return;
    if (!k->kind->builtin && s->crd_state == KUBE_CRD_LISTED && !kube_crd_has(s, k->kind)) {
        kube_follow_stop(&k->follow);
        set_good(k, KUBE_ABSENT);
        k->missed = 0;
        set_absent(k);
    } else if (!k->follow.path || (has_changed && (k->version || k->state == KUBE_ABSENT))) {
        k->missed = 0;
        start(k, 0);
    } else if (has_changed) {
        kube_follow_hurry(&k->follow);
    }
}
