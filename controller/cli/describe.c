// SPDX-License-Identifier: Apache-2.0
// `tandemctl describe`: one object in full, its conditions as tables, and what the last changes of
// its file did.
#include "controller/cli/cli.h"

#include "shared/vec.h"

#include <stdlib.h>

#define EVENTS_SHOWN 5

static void line(struct gw_text *out, const char *label, struct gw_str value) {
    gw_text_addf(out, "%-14s" GW_STR_FMT "\n", label, GW_STR_ARG(value));
}

// What the controller adds to annotations for tandemctl alone.
#define SOURCE "kgateway.dev/source"
#define REFUSED "kgateway.dev/refused"

static void add_map(struct gw_text *out, const char *label, json_t *map) {
    const char *key;
    json_t *v;
    bool any = false;
    json_object_foreach(map, key, v) {
        if (strcmp(key, SOURCE) == 0 || strcmp(key, REFUSED) == 0) continue;
        struct gw_str value = gw_json_str_of(v);
        gw_text_addf(out, "%-14s%s=" GW_STR_FMT "\n", any ? "" : label, key, GW_STR_ARG(value));
        any = true;
    }
    if (!any) line(out, label, GW_STR("<none>"));
}

static void add_conditions(const json_t *holder, unsigned indent, struct gw_text *out) {
    static const char *const members[] = {"type", "status", "reason", "message"};
    static const char *const headers[] = {"TYPE", "STATUS", "REASON", "MESSAGE"};
    const size_t columns = GW_ARRAY_LEN(members);
    const json_t *list = gw_json_get(holder, "conditions");
    size_t rows = json_array_size(list) + 1;
    char **cells = gw_alloc(rows * columns * sizeof(*cells));
    for (size_t c = 0; c < columns; c++)
        cells[c] = gw_strdup(headers[c]);
    for (size_t r = 1; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            struct gw_str s = gw_json_str(json_array_get(list, r - 1), members[c]);
            cells[r * columns + c] = gw_strndup(s.ptr ? s.ptr : "", s.len);
        }
    }
    cli_columns(cells, rows, columns, indent, out);
    for (size_t i = 0; i < rows * columns; i++)
        free(cells[i]);
    free(cells);
}

static void add_parents(const json_t *status, const char *member, const char *ref,
                        struct gw_text *out) {
    const json_t *list = gw_json_get(status, member);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i), *r = gw_json_get(p, ref);
        struct gw_str kind = gw_json_str(r, "kind"), ns = gw_json_str(r, "namespace");
        struct gw_str section = gw_json_str(r, "sectionName");
        gw_text_addf(out, "  " GW_STR_FMT " " GW_STR_FMT "%s" GW_STR_FMT,
                     GW_STR_ARG(kind.len ? kind : GW_STR("Gateway")), GW_STR_ARG(ns),
                     ns.len ? "/" : "", GW_STR_ARG(gw_json_str(r, "name")));
        if (section.len) gw_text_addf(out, ", section " GW_STR_FMT, GW_STR_ARG(section));
        gw_text_adds(out, ":\n");
        add_conditions(p, 4, out);
    }
}

static void add_listeners(const json_t *status, struct gw_text *out) {
    const json_t *list = gw_json_get(status, "listeners");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *l = json_array_get(list, i);
        gw_text_addf(out, "  Listener " GW_STR_FMT ", attached routes: %lld\n",
                     GW_STR_ARG(gw_json_str(l, "name")),
                     (long long)gw_json_int(l, "attachedRoutes", 0));
        add_conditions(l, 4, out);
    }
}

static void add_status(const json_t *status, struct gw_text *out) {
    if (!json_object_size(status)) {
        line(out, "Status:", GW_STR("<none>"));
        return;
    }
    gw_text_adds(out, "Status:\n");
    const json_t *addresses = gw_json_get(status, "addresses");
    for (size_t i = 0; i < json_array_size(addresses); i++)
        gw_text_addf(out, "  Address " GW_STR_FMT "\n",
                     GW_STR_ARG(gw_json_str(json_array_get(addresses, i), "value")));
    if (gw_json_get(status, "conditions")) add_conditions(status, 2, out);
    add_listeners(status, out);
    add_parents(status, "parents", "parentRef", out);
    add_parents(status, "ancestors", "ancestorRef", out);
}

static void add_events(const json_t *events, struct gw_str source, struct gw_text *out) {
    struct gw_str file = source;
    while (file.len && file.ptr[file.len - 1] != ':')
        file.len--;
    if (file.len) file.len--;
    const json_t *list = gw_json_get(events, "events");
    size_t n = json_array_size(list), mine = 0;
    for (size_t i = 0; i < n; i++)
        mine += gw_str_eq(gw_json_str(json_array_get(list, i), "file"), file);
    if (!file.len) { // of an API server
        line(out, "Events:", GW_STR("in the cluster: see kubectl describe"));
        return;
    }
    if (!mine) {
        line(out, "Events:", GW_STR("<none>"));
        return;
    }
    gw_text_adds(out, "Events:\n");
    size_t skip = mine > EVENTS_SHOWN ? mine - EVENTS_SHOWN : 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *e = json_array_get(list, i);
        if (!gw_str_eq(gw_json_str(e, "file"), file) || (skip && skip--)) continue;
        gw_text_addf(out, "  " GW_STR_FMT "  %s  " GW_STR_FMT "\n",
                     GW_STR_ARG(gw_json_str(e, "time")),
                     gw_json_bool(e, "ok", false) ? "Applied" : "Refused",
                     GW_STR_ARG(gw_json_str(e, "text")));
    }
}

void cli_describe(const struct ctl_res_kind *kind, const json_t *object, const json_t *events,
                  const char *untold, struct gw_text *out) {
    const json_t *meta = gw_json_get(object, "metadata");
    json_t *annotations = gw_json_get(meta, "annotations");
    struct gw_str source = gw_json_str(annotations, SOURCE);
    struct gw_str refused = gw_json_str(annotations, REFUSED);
    line(out, "Name:", gw_json_str(meta, "name"));
    if (kind->namespaced) line(out, "Namespace:", gw_json_str(meta, "namespace"));
    add_map(out, "Labels:", gw_json_get(meta, "labels"));
    add_map(out, "Annotations:", annotations);
    line(out, "API Version:", gw_json_str(object, "apiVersion"));
    line(out, "Kind:", gw_json_str(object, "kind"));
    gw_text_addf(out, "%-14s%lld\n", "Generation:", (long long)gw_json_int(meta, "generation", 0));
    if (source.len) line(out, "Source:", source);
    if (refused.len) line(out, "Refused:", refused);
    static const char *const told[] = {"apiVersion", "kind", "metadata", "status", NULL};
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, key, v) {
        const char *const *t = told;
        while (*t && strcmp(*t, key) != 0)
            t++;
        if (*t) continue;
        GW_JSON_AUTO member = json_object();
        json_object_set(member, key, v);
        size_t at = out->len;
        cli_yaml(member, 0, out);
        if (out->ptr[at] >= 'a' && out->ptr[at] <= 'z') out->ptr[at] -= 'a' - 'A';
    }
    add_status(gw_json_get(object, "status"), out);
    if (untold) gw_text_addf(out, "Not told of:\n%s", untold);
    add_events(events, source, out);
}
