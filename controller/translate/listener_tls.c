// SPDX-License-Identifier: Apache-2.0
// Certificates of HTTPS listeners: permitted, there, usable, for which names; and what listeners
// on one port have in common, which matters to clients that reuse connections.
#include "controller/translate/tr.h"

#include <stdio.h>

#define NAMES_SHOWN_MAX 4 // of one certificate in a message

// --- one reference -----------------------------------------------------------------------------

static void wrong(struct tr_listener *l, const char *reason, const char *fmt, ...) GW_PRINTF(3, 4);
static void wrong(struct tr_listener *l, const char *reason, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (!l->refs_reason) l->refs_reason = reason;
    gw_text_addf(&l->refs_message, "%s%s", l->refs_message.len ? "; " : "", text);
}

static bool is_permitted(struct ctl_translator *t, struct tr_gateway *g, struct gw_str ns,
                         struct gw_str name) {
    struct gw_str from = gw_str_of(g->node.ns);
    if (gw_str_eq(ns, from)) return true;
    tr_refer(t, &g->node, "Grants", ns, GW_STR(""));
    return tr_is_granted(t, GW_STR("Gateway"), from, GW_STR(""), GW_STR("Secret"), ns, name);
}

static bool is_listed(const struct tr_listener *l, const struct tr_tls *c) {
    for (size_t i = 0; i < l->certificates.len; i++)
        if (l->certificates.ptr[i] == c) return true;
    return false;
}

static void judge_ref(struct ctl_translator *t, struct tr_gateway *g, const json_t *ref,
                      struct tr_listener *l) {
    struct gw_str group = tr_str_or(ref, "group", GW_STR("")),
                  kind = tr_str_or(ref, "kind", GW_STR("Secret")),
                  ns = tr_str_or(ref, "namespace", gw_str_of(g->node.ns)),
                  name = gw_json_str(ref, "name");
    if (group.len || !gw_str_eq(kind, GW_STR("Secret"))) {
        wrong(l, "InvalidCertificateRef",
              "kind " GW_STR_FMT "%s" GW_STR_FMT " cannot be a certificate (Secret can)",
              GW_STR_ARG(kind), group.len ? "." : "", GW_STR_ARG(group));
        return;
    }
    // The same words whether the Secret exists or not.
    if (!is_permitted(t, g, ns, name)) {
        wrong(l, "RefNotPermitted",
              "Secret " GW_STR_FMT "/" GW_STR_FMT ": no ReferenceGrant of namespace '" GW_STR_FMT
              "' lets Gateways of namespace '%s' refer to it%s",
              GW_STR_ARG(ns), GW_STR_ARG(name), GW_STR_ARG(ns), g->node.ns, tr_grants_unread(t));
        return;
    }
    struct tr_tls *c = tr_tls_need(t, ns, name);
    tr_refer(t, &g->node, "Certificate", ns, name);
    if (is_listed(l, c)) {
        tr_tls_leave(t, c);
        return;
    }
    GW_VEC_PUSH(&l->certificates, c);
    if (!c->exists)
        wrong(l, "InvalidCertificateRef", "Secret %s/%s %s", c->node.ns, c->node.name,
              tr_absence(t, &ctl_res_secret));
    else if (c->problem)
        wrong(l, "InvalidCertificateRef", "Secret %s/%s: %s", c->node.ns, c->node.name, c->problem);
    else
        l->usable++;
}

// --- what a good one says ----------------------------------------------------------------------

static void say_names(struct gw_text *text, const struct ctl_certificate *c) {
    if (c->names_n == 0) gw_text_adds(text, "no host");
    for (size_t i = 0; i < c->names_n && i < NAMES_SHOWN_MAX; i++)
        gw_text_addf(text, "%s%s", i ? ", " : "", c->names[i]);
    if (c->names_n > NAMES_SHOWN_MAX)
        gw_text_addf(text, " and %zu more", c->names_n - NAMES_SHOWN_MAX);
}

// A certificate of other names is served all the same, as the API has it; clients that verify
// names will say no, so the status says it first.
static void say_certificates(struct tr_listener *l) {
    bool covered = *l->hostname == 0;
    gw_text_adds(&l->refs_message, "all references are resolved");
    for (size_t i = 0; i < l->certificates.len; i++) {
        const struct tr_tls *c = l->certificates.ptr[i];
        gw_text_addf(&l->refs_message, "; certificate %s/%s covers ", c->node.ns, c->node.name);
        say_names(&l->refs_message, &c->read);
        if (*c->read.not_after) gw_text_addf(&l->refs_message, " until %s", c->read.not_after);
        covered = covered || ctl_certificate_covers(&c->read, gw_str_of(l->hostname));
    }
    if (!covered) gw_text_addf(&l->refs_message, "; no certificate covers %s", l->hostname);
}

void tr_listener_certificates(struct ctl_translator *t, struct tr_gateway *g, const json_t *tls,
                              struct tr_listener *l) {
    const json_t *refs = gw_json_get(tls, "certificateRefs");
    for (size_t i = 0; i < json_array_size(refs); i++)
        judge_ref(t, g, json_array_get(refs, i), l);
    if (json_array_size(refs) == 0)
        wrong(l, "InvalidCertificateRef",
              "tls.certificateRefs is missing: a listener of protocol HTTPS needs a certificate");
    if (!l->refs_reason) say_certificates(l);
}

// --- overlaps ----------------------------------------------------------------------------------

// Names of one listener that are compared with those of others on its port; bounds the work.
#define OVERLAP_NAMES_MAX 256

static void collect_names(const struct tr_listener *l, struct gw_map *ret) {
    for (size_t i = 0; i < l->certificates.len; i++) {
        const struct ctl_certificate *c = &l->certificates.ptr[i]->read;
        for (size_t k = 0; k < c->names_n && ret->len < OVERLAP_NAMES_MAX; k++)
            gw_map_put(ret, gw_str_of(c->names[k]), ret);
    }
}

// Whether a name of a is in b as it is, or under a wildcard of b.
static bool names_meet(const struct gw_map *a, const struct gw_map *b) {
    size_t it = 0;
    struct gw_str name;
    void *any;
    while (gw_map_next(a, &it, &name, &any)) {
        if (gw_map_get(b, name)) return true;
        ptrdiff_t dot = gw_str_find(name, '.');
        char wildcard[256];
        if (dot <= 0 || name.len - (size_t)dot > sizeof(wildcard) - 2) continue;
        int n = snprintf(wildcard, sizeof(wildcard), "*%.*s", (int)(name.len - (size_t)dot),
                         name.ptr + dot);
        if (gw_map_get(b, (struct gw_str){wildcard, (size_t)n})) return true;
    }
    return false;
}

static bool hostnames_meet(const struct tr_listener *a, const struct tr_listener *b) {
    struct gw_str ignored;
    return *b->hostname == 0 ||
           tr_hostname_meet(gw_str_of(a->hostname), gw_str_of(b->hostname), &ignored);
}

static void say_overlap(struct tr_listener *l, const struct tr_listener *other, bool certificates) {
    char text[512];
    l->overlap = certificates ? "OverlappingCertificates" : "OverlappingHostnames";
    snprintf(text, sizeof(text),
             "%s of listener '%s' on port %d overlap with those of this one: a client may reuse "
             "a connection of one for the other",
             certificates ? "certificates" : "hostnames", other->name, other->port);
    free(l->overlap_message);
    l->overlap_message = gw_strdup(text);
}

static void judge_pair(struct tr_listener *list, const struct gw_map *names, size_t i, size_t k) {
    struct tr_listener *a = &list[i];
    const struct tr_listener *b = &list[k];
    if (i == k || !a->is_https || !b->is_https || !a->served || !b->served || a->port != b->port)
        return;
    // The reason for certificates wins, and the first listener of a reason is named.
    bool has_certificates = a->overlap && strcmp(a->overlap, "OverlappingCertificates") == 0;
    if (!has_certificates && (names_meet(&names[i], &names[k]) || names_meet(&names[k], &names[i])))
        say_overlap(a, b, true);
    else if (!a->overlap && hostnames_meet(a, b))
        say_overlap(a, b, false);
}

void tr_listeners_overlap(struct tr_listener *list, size_t n) {
    struct gw_map *names = gw_alloc((n + 1) * sizeof(*names));
    for (size_t i = 0; i < n; i++)
        if (list[i].is_https && list[i].served) collect_names(&list[i], &names[i]);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            judge_pair(list, names, i, k);
    for (size_t i = 0; i < n; i++)
        gw_map_fini(&names[i], NULL);
    free(names);
}
