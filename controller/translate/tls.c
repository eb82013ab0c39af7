// SPDX-License-Identifier: Apache-2.0
// Secrets as certificates of listeners: read once for each change of a Secret, whoever names it,
// and held once. A Secret that changes while its verdict stays the same re-emits its resource and
// translates nothing else.
#include "controller/translate/tr.h"

#include <stdio.h>

// Whatever a message or another listener's report can show of it.
static bool same_verdict(const struct tr_tls *a, const struct tr_tls *b) {
    if (a->exists != b->exists || !a->problem != !b->problem) return false;
    if (a->problem && strcmp(a->problem, b->problem) != 0) return false;
    if (a->read.names_n != b->read.names_n || strcmp(a->read.not_after, b->read.not_after) != 0)
        return false;
    for (size_t i = 0; i < a->read.names_n; i++)
        if (strcmp(a->read.names[i], b->read.names[i]) != 0) return false;
    return true;
}

static void wipe(struct tr_tls *c) {
    ctl_certificate_fini(&c->read);
    free(c->problem);
    c->problem = NULL;
}

void tr_tls_fini(struct tr_tls *c) {
    wipe(c);
    free(c->resource);
}

static void emit(struct ctl_translator *t, struct tr_tls *c) {
    struct tr_names holds = {0};
    if (c->shown > 0 && c->read.chain) {
        json_t *body = json_object();
        tr_set(body, "certificate", json_string_nocheck(c->read.chain));
        tr_set(body, "key", json_string_nocheck(c->read.key));
        tr_emit(t, &holds, c->resource, body);
    }
    tr_hold(t, &c->node, &holds);
}

void tr_tls_translate(struct ctl_translator *t, struct tr_tls *c) {
    struct gw_str ns = gw_str_of(c->node.ns), name = gw_str_of(c->node.name);
    const struct ctl_object *o = ctl_store_get(t->store, &ctl_res_secret, ns, name);
    struct tr_tls last = *c;
    struct gw_err err;
    tr_forget(t, &c->node);
    tr_refer(t, &c->node, "Secret", ns, name);
    c->exists = o != NULL;
    c->read = (struct ctl_certificate){0};
    c->problem = NULL;
    if (o && ctl_certificate_read(o->json, &c->read, &err) != GW_OK)
        c->problem = gw_strdup(err.text);
    if (!same_verdict(&last, c)) tr_fire(t, "Certificate", ns, name);
    wipe(&last);
    tr_touch(t, &c->node);
}

void tr_tls_finish(struct ctl_translator *t, struct tr_tls *c) {
    c->node.gone = c->users == 0;
    emit(t, c);
}

struct tr_tls *tr_tls_need(struct ctl_translator *t, struct gw_str ns, struct gw_str name) {
    char key[TR_KEY_MAX], resource[GW_IR_NAME_MAX + 1];
    struct gw_str k = tr_key(key, ns, name);
    struct tr_node *n = tr_node_get(t, TR_TLS, k);
    bool is_new = n == NULL;
    n = tr_node_need(t, TR_TLS, sizeof(struct tr_tls), ns, name, k);
    struct tr_tls *c = GW_CONTAINER_OF(n, struct tr_tls, node);
    c->users++;
    tr_touch(t, n);
    if (!is_new) return c;
    snprintf(resource, sizeof(resource), "tls/" GW_STR_FMT, GW_STR_ARG(k));
    c->resource = gw_strdup(resource);
    // Its turn in this run is over: whoever needs it first makes it.
    tr_tls_translate(t, c);
    return c;
}

void tr_tls_leave(struct ctl_translator *t, struct tr_tls *c) {
    GW_ASSERT(c->users > 0);
    c->users--;
    tr_touch(t, &c->node);
}
