// SPDX-License-Identifier: Apache-2.0
// Listeners of one Gateway: read, judged each by itself and against the others on its port.
#include "controller/translate/tr.h"

#include <stdio.h>

static char *dup_str(struct gw_str s) {
    return gw_strndup(s.ptr ? s.ptr : "", s.len);
}

void tr_listeners_free(struct ctl_translator *t, struct tr_listener *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct tr_listener *l = &list[i];
        for (size_t k = 0; t && k < l->certificates.len; k++) {
            l->certificates.ptr[k]->shown -= l->served;
            tr_tls_leave(t, l->certificates.ptr[k]);
        }
        GW_VEC_FINI(&l->certificates);
        free(l->name);
        free(l->resource);
        free(l->hostname);
        free(l->from);
        free(l->protocol);
        free(l->why_message);
        free(l->conflict_message);
        free(l->bad_kinds);
        gw_text_fini(&l->refs_message);
        free(l->overlap_message);
        json_decref(l->selector);
    }
    free(list);
}

// --- by itself ---------------------------------------------------------------------------------

// HTTPRoute is the one kind that these listeners take today; others are named in the report.
static void judge_kinds(struct tr_listener *l, const json_t *kinds) {
    GW_CLEANUP(gw_text_fini) struct gw_text bad = {0};
    l->takes_http = json_array_size(kinds) == 0;
    for (size_t i = 0; i < json_array_size(kinds); i++) {
        const json_t *k = json_array_get(kinds, i);
        struct gw_str group = tr_str_or(k, "group", GW_STR(TR_GROUP)),
                      kind = gw_json_str(k, "kind");
        if (gw_str_eq(group, GW_STR(TR_GROUP)) && gw_str_eq(kind, GW_STR("HTTPRoute"))) {
            l->takes_http = true;
            continue;
        }
        gw_text_addf(&bad, "%s" GW_STR_FMT "%s" GW_STR_FMT, bad.len ? ", " : "", GW_STR_ARG(kind),
                     group.len ? "." : "", GW_STR_ARG(group));
    }
    if (bad.len) l->bad_kinds = dup_str(gw_text_str(&bad));
    if (!l->takes_http) l->why = "InvalidRouteKinds";
}

static void judge_protocol(struct tr_listener *l) {
    if (strcmp(l->protocol, "HTTP") == 0 || l->is_https) return;
    char text[400];
    snprintf(text, sizeof(text), "protocol %s is not supported yet (HTTP and HTTPS are)",
             l->protocol);
    l->why = "UnsupportedProtocol";
    l->why_message = gw_strdup(text);
}

// No option is known, and one that was meant to harden TLS must not be passed over.
static void judge_options(struct tr_listener *l, const json_t *tls) {
    void *first = json_object_iter(gw_json_get(tls, "options"));
    if (!first || l->why) return;
    char text[400];
    snprintf(text, sizeof(text), "tls.options: '%.253s' is not supported (no option is)",
             json_object_iter_key(first));
    l->why = "UnsupportedValue";
    l->why_message = gw_strdup(text);
}

static void read_listener(struct ctl_translator *t, struct tr_gateway *g, const json_t *spec,
                          struct tr_listener *l) {
    char name[GW_IR_NAME_MAX + 1];
    const json_t *allowed = gw_json_get(spec, "allowedRoutes");
    const json_t *namespaces = gw_json_get(allowed, "namespaces");
    l->name = dup_str(gw_json_str(spec, "name"));
    snprintf(name, sizeof(name), "listener/%s/%s/%s", g->node.ns, g->node.name, l->name);
    l->resource = gw_strdup(name);
    l->hostname = dup_str(gw_json_str(spec, "hostname"));
    l->port = (int)gw_json_int(spec, "port", 0);
    l->protocol = dup_str(gw_json_str(spec, "protocol"));
    l->is_https = strcmp(l->protocol, "HTTPS") == 0;
    l->from = dup_str(tr_str_or(namespaces, "from", GW_STR("Same")));
    l->selector = json_incref(gw_json_get(namespaces, "selector"));
    judge_protocol(l);
    if (!l->why) judge_kinds(l, gw_json_get(allowed, "kinds"));
    if (!l->is_https) return;
    judge_options(l, gw_json_get(spec, "tls"));
    tr_listener_certificates(t, g, gw_json_get(spec, "tls"), l);
}

// --- against the others ------------------------------------------------------------------------

// Protocols that can share a port (told apart by hostname) are in one family.
static int family(const char *protocol) {
    static const struct {
        const char *protocol;
        int family;
    } families[] = {{"HTTP", 1}, {"HTTPS", 2}, {"TLS", 2}, {"TCP", 3}, {"UDP", 4}};
    for (size_t i = 0; i < GW_ARRAY_LEN(families); i++)
        if (strcmp(protocol, families[i].protocol) == 0) return families[i].family;
    return 0; // of another implementation
}

// NULL: both can be served.
static const char *conflict_of(const struct tr_listener *a, const struct tr_listener *b) {
    int fa = family(a->protocol), fb = family(b->protocol);
    if (a->port != b->port || !fa || !fb) return NULL;
    if (fa != fb) return fa == 4 || fb == 4 ? NULL : "ProtocolConflict";
    if (fa >= 3) return "ProtocolConflict";
    return strcmp(a->hostname, b->hostname) == 0 ? "HostnameConflict" : NULL;
}

// All of a Gateway's conflicting listeners lose; the message names the first other one.
static void judge_conflicts(struct tr_listener *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n && !list[i].conflict; k++) {
            if (i == k) continue;
            list[i].conflict = conflict_of(&list[i], &list[k]);
            if (!list[i].conflict) continue;
            char text[512];
            bool host = strcmp(list[i].conflict, "HostnameConflict") == 0;
            snprintf(text, sizeof(text), "listener '%s' has port %d %s", list[k].name, list[k].port,
                     host ? "with the same hostname" : "with another protocol");
            list[i].conflict_message = gw_strdup(text);
        }
    }
}

struct tr_listener *tr_listeners_read(struct ctl_translator *t, struct tr_gateway *g,
                                      const json_t *specs, size_t *ret_n) {
    size_t n = json_array_size(specs);
    struct tr_listener *list = gw_alloc(n * sizeof(*list) + 1);
    for (size_t i = 0; i < n; i++)
        read_listener(t, g, json_array_get(specs, i), &list[i]);
    judge_conflicts(list, n);
    for (size_t i = 0; i < n; i++) {
        if (list[i].conflict && !list[i].why) list[i].why = list[i].conflict;
        if (g->refusal && !list[i].why) list[i].why = g->refusal;
        list[i].served = list[i].why == NULL;
        for (size_t k = 0; k < list[i].certificates.len; k++)
            list[i].certificates.ptr[k]->shown += list[i].served;
    }
    tr_listeners_overlap(list, n);
    *ret_n = n;
    return list;
}

bool tr_listener_works(const struct tr_listener *l) {
    return l->served && (!l->is_https || l->usable > 0);
}

json_t *tr_listener_body(const struct tr_gateway *g, const struct tr_listener *l) {
    char gateway[TR_KEY_MAX];
    tr_key(gateway, gw_str_of(g->node.ns), gw_str_of(g->node.name));
    json_t *body = json_object();
    tr_set(body, "gateway", json_string_nocheck(gateway));
    tr_set(body, "name", json_string_nocheck(l->name));
    tr_set(body, "port", json_integer(l->port));
    tr_set(body, "protocol", json_string_nocheck(l->protocol));
    if (*l->hostname) tr_set(body, "hostname", json_string_nocheck(l->hostname));
    if (!l->is_https) return body;
    // With none the hostname is known and refused, so that no neighbour's certificate is shown.
    json_t *tls = json_object(), *list = json_array();
    for (size_t i = 0; i < l->certificates.len; i++)
        if (l->certificates.ptr[i]->read.chain)
            json_array_append_new(list, json_string_nocheck(l->certificates.ptr[i]->resource));
    tr_set(tls, "certificates", list);
    tr_set(body, "tls", tls);
    return body;
}
