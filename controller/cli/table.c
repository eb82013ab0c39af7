// SPDX-License-Identifier: Apache-2.0
// Tables of `tandemctl get`: one list of columns for each kind.
#include "controller/cli/cli.h"

#include "shared/vec.h"

#include <stdlib.h>
#include <time.h>

// --- values --------------------------------------------------------------------------------------

static const char *worse(const char *a, struct gw_str status) {
    if (gw_str_eq(status, GW_STR("False")) || strcmp(a, "False") == 0) return "False";
    if (gw_str_eq(status, GW_STR("Unknown")) || strcmp(a, "Unknown") == 0) return "Unknown";
    return "True";
}

static const char *condition_of(const json_t *holder, const char *type, const char *so_far) {
    const json_t *list = gw_json_get(holder, "conditions");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);
        if (gw_str_eq(gw_json_str(c, "type"), gw_str_of(type)))
            so_far = worse(so_far, gw_json_str(c, "status"));
    }
    return so_far;
}

const char *cli_condition(const json_t *object, const char *type) {
    const json_t *status = gw_json_get(object, "status");
    const char *result = condition_of(status, type, "");
    static const char *const holders[] = {"parents", "ancestors"};
    for (size_t h = 0; h < GW_ARRAY_LEN(holders); h++) {
        const json_t *list = gw_json_get(status, holders[h]);
        for (size_t i = 0; i < json_array_size(list); i++)
            result = condition_of(json_array_get(list, i), type, result);
    }
    return result;
}

static bool parse_time(const char *text, time_t *ret) {
    struct tm tm = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (!end) return false;
    *ret = timegm(&tm);
    return true;
}

void cli_age(const char *since, const char *now, char *dst, size_t cap) {
    time_t a, b;
    *dst = 0;
    if (!parse_time(since, &a) || !parse_time(now, &b)) return;
    long long s = b > a ? (long long)(b - a) : 0;
    if (s < 120)
        snprintf(dst, cap, "%llds", s);
    else if (s < 2 * 3600)
        snprintf(dst, cap, "%lldm", s / 60);
    else if (s < 48 * 3600)
        snprintf(dst, cap, "%lldh", s / 3600);
    else
        snprintf(dst, cap, "%lldd", s / 86400);
}

static void add_sep(struct gw_text *t, const char *sep) {
    if (t->len) gw_text_adds(t, sep);
}

static void add_str(struct gw_text *t, struct gw_str s) {
    gw_text_add(t, s.ptr ? s.ptr : "", s.len);
}

// --- cells ---------------------------------------------------------------------------------------

static void cell_hostnames(const json_t *o, struct gw_text *out) {
    const json_t *list = gw_json_path(o, "spec.hostnames");
    for (size_t i = 0; i < json_array_size(list); i++) {
        add_sep(out, ",");
        add_str(out, gw_json_str_of(json_array_get(list, i)));
    }
    if (!out->len) gw_text_adds(out, "*");
}

static void cell_parents(const json_t *o, struct gw_text *out) {
    const json_t *list = gw_json_path(o, "spec.parentRefs");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        add_sep(out, ",");
        if (gw_json_get(p, "namespace")) {
            add_str(out, gw_json_str(p, "namespace"));
            gw_text_adds(out, "/");
        }
        add_str(out, gw_json_str(p, "name"));
    }
}

static void cell_addresses(const json_t *o, struct gw_text *out) {
    const json_t *list = gw_json_path(o, "status.addresses");
    for (size_t i = 0; i < json_array_size(list); i++) {
        add_sep(out, ",");
        add_str(out, gw_json_str(json_array_get(list, i), "value"));
    }
}

static void add_ports(const json_t *list, struct gw_text *out) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        struct gw_str protocol = gw_json_str(p, "protocol");
        add_sep(out, ",");
        gw_text_addf(out, "%lld/" GW_STR_FMT, (long long)gw_json_int(p, "port", 0),
                     GW_STR_ARG(protocol.len ? protocol : GW_STR("TCP")));
    }
}
static void cell_service_ports(const json_t *o, struct gw_text *out) {
    add_ports(gw_json_path(o, "spec.ports"), out);
}
static void cell_slice_ports(const json_t *o, struct gw_text *out) {
    add_ports(gw_json_get(o, "ports"), out);
}

static void cell_service_type(const json_t *o, struct gw_text *out) {
    struct gw_str type = gw_json_str(gw_json_get(o, "spec"), "type");
    add_str(out, type.len ? type : GW_STR("ClusterIP"));
}

static void cell_endpoints(const json_t *o, struct gw_text *out) {
    const json_t *list = gw_json_get(o, "endpoints");
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < 3; i++) {
        add_sep(out, ",");
        const json_t *addresses = gw_json_get(json_array_get(list, i), "addresses");
        add_str(out, gw_json_str_of(json_array_get(addresses, 0)));
    }
    if (n > 3) gw_text_addf(out, " + %zu more", n - 3);
}

static void cell_secret_type(const json_t *o, struct gw_text *out) {
    struct gw_str type = gw_json_str(o, "type");
    add_str(out, type.len ? type : GW_STR("Opaque"));
}

static void cell_data(const json_t *o, struct gw_text *out) {
    gw_text_addf(out, "%zu", json_object_size(gw_json_get(o, "data")));
}

static void cell_from(const json_t *o, struct gw_text *out) {
    const json_t *list = gw_json_path(o, "spec.from");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *f = json_array_get(list, i);
        add_sep(out, ",");
        gw_text_addf(out, GW_STR_FMT "/" GW_STR_FMT, GW_STR_ARG(gw_json_str(f, "namespace")),
                     GW_STR_ARG(gw_json_str(f, "kind")));
    }
}

static void cell_to(const json_t *o, struct gw_text *out) {
    const json_t *list = gw_json_path(o, "spec.to");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i);
        add_sep(out, ",");
        add_str(out, gw_json_str(t, "kind"));
        if (gw_json_get(t, "name")) {
            gw_text_adds(out, "/");
            add_str(out, gw_json_str(t, "name"));
        }
    }
}

// --- columns -------------------------------------------------------------------------------------

// One of cell, path and condition says what stands in it.
struct column {
    const char *header;
    void (*cell)(const json_t *o, struct gw_text *out);
    const char *path;
    const char *condition;
};
#define COLUMNS_MAX 8

static const struct {
    const struct ctl_res_kind *kind;
    struct column columns[COLUMNS_MAX];
} kinds[] = {
    {&ctl_res_gateway_class,
     {{"CONTROLLER", NULL, "spec.controllerName", NULL}, {"ACCEPTED", NULL, NULL, "Accepted"}}},
    {&ctl_res_gateway,
     {{"CLASS", NULL, "spec.gatewayClassName", NULL},
      {"ADDRESS", cell_addresses, NULL, NULL},
      {"ACCEPTED", NULL, NULL, "Accepted"},
      {"PROGRAMMED", NULL, NULL, "Programmed"}}},
    {&ctl_res_http_route,
     {{"HOSTNAMES", cell_hostnames, NULL, NULL},
      {"PARENTS", cell_parents, NULL, NULL},
      {"ACCEPTED", NULL, NULL, "Accepted"},
      {"RESOLVEDREFS", NULL, NULL, "ResolvedRefs"},
      {"PROGRAMMED", NULL, NULL, "Programmed"}}},
    {&ctl_res_llm_backend,
     {{"PROVIDER", NULL, "spec.provider", NULL},
      {"DEFAULT-MODEL", NULL, "spec.models.default", NULL},
      {"ACCEPTED", NULL, NULL, "Accepted"},
      {"RESOLVEDREFS", NULL, NULL, "ResolvedRefs"},
      {"PROGRAMMED", NULL, NULL, "Programmed"}}},
    {&ctl_res_service,
     {{"TYPE", cell_service_type, NULL, NULL}, {"PORTS", cell_service_ports, NULL, NULL}}},
    {&ctl_res_endpoint_slice,
     {{"ADDRESSTYPE", NULL, "addressType", NULL},
      {"PORTS", cell_slice_ports, NULL, NULL},
      {"ENDPOINTS", cell_endpoints, NULL, NULL}}},
    {&ctl_res_secret, {{"TYPE", cell_secret_type, NULL, NULL}, {"DATA", cell_data, NULL, NULL}}},
    {&ctl_res_reference_grant, {{"FROM", cell_from, NULL, NULL}, {"TO", cell_to, NULL, NULL}}},
};

static const struct column *columns_of(const struct ctl_res_kind *kind) {
    static const struct column none[COLUMNS_MAX];
    for (size_t i = 0; i < GW_ARRAY_LEN(kinds); i++)
        if (kinds[i].kind == kind) return kinds[i].columns;
    return none;
}

static char *cell_text(const struct column *c, const json_t *o) {
    struct gw_text t = {0};
    if (c->cell)
        c->cell(o, &t);
    else if (c->path)
        add_str(&t, gw_json_str_of(gw_json_path(o, c->path)));
    else
        gw_text_adds(&t, cli_condition(o, c->condition));
    if (!t.len) gw_text_adds(&t, "-");
    return t.ptr;
}

// --- tables --------------------------------------------------------------------------------------

// Columns of UTF-8 text are as wide as its characters.
static size_t width_of(const char *s) {
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void cli_columns(char *const *cells, size_t rows, size_t columns, unsigned indent,
                 struct gw_text *out) {
    size_t *widths = gw_alloc((columns + 1) * sizeof(*widths));
    for (size_t i = 0; i < rows * columns; i++) {
        size_t w = width_of(cells[i]);
        if (w > widths[i % columns]) widths[i % columns] = w;
    }
    for (size_t r = 0; r < rows; r++) {
        gw_text_addf(out, "%*s", (int)indent, "");
        for (size_t c = 0; c < columns; c++) {
            const char *cell = cells[r * columns + c];
            gw_text_adds(out, cell);
            if (c + 1 < columns)
                gw_text_addf(out, "%*s", (int)(widths[c] - width_of(cell) + 3), "");
        }
        gw_text_adds(out, "\n");
    }
    free(widths);
}

struct cells {
    char **ptr;
    size_t len, cap;
};

static void add_cell(struct cells *cells, const char *text) {
    GW_VEC_PUSH(cells, gw_strdup(text));
}

static char *name_cell(const struct ctl_res_kind *kind, const json_t *o, bool with_kind) {
    struct gw_text t = {0};
    if (with_kind) {
        gw_text_adds(&t, kind->name);
        gw_str_lower(t.ptr, t.len);
        gw_text_adds(&t, "/");
    }
    add_str(&t, gw_json_str(gw_json_get(o, "metadata"), "name"));
    if (!t.ptr) gw_text_adds(&t, "-");
    return t.ptr;
}

static char *str_cell(struct gw_str s) {
    return s.len ? gw_strndup(s.ptr, s.len) : gw_strdup("-");
}

static struct gw_str source_of(const json_t *o) {
    const json_t *meta = gw_json_get(o, "metadata");
    return gw_json_str(gw_json_get(meta, "annotations"), "kgateway.dev/source");
}

static struct gw_str created_of(const json_t *o) {
    return gw_json_str(gw_json_get(o, "metadata"), "creationTimestamp");
}

// Which of the columns that only some sources fill are shown.
struct shown {
    bool ns, kind, source, age;
};

static void add_header(const struct column *columns, struct shown show, struct cells *cells) {
    if (show.ns) add_cell(cells, "NAMESPACE");
    add_cell(cells, "NAME");
    for (size_t c = 0; c < COLUMNS_MAX && columns[c].header; c++)
        add_cell(cells, columns[c].header);
    if (show.source) add_cell(cells, "SOURCE");
    if (show.age) add_cell(cells, "AGE");
}

static void add_row(const struct ctl_res_kind *kind, const json_t *o, const struct column *columns,
                    struct shown show, const char *now, struct cells *cells) {
    if (show.ns) GW_VEC_PUSH(cells, str_cell(gw_json_str(gw_json_get(o, "metadata"), "namespace")));
    GW_VEC_PUSH(cells, name_cell(kind, o, show.kind));
    for (size_t c = 0; c < COLUMNS_MAX && columns[c].header; c++)
        GW_VEC_PUSH(cells, cell_text(&columns[c], o));
    if (show.source) GW_VEC_PUSH(cells, str_cell(source_of(o)));
    if (show.age) {
        char age[32];
        struct gw_str created = created_of(o);
        char *text = gw_strndup(created.ptr ? created.ptr : "", created.len);
        cli_age(text, now, age, sizeof(age));
        free(text);
        add_cell(cells, *age ? age : "<unknown>");
    }
}

void cli_table(const struct ctl_res_kind *kind, const json_t *items, bool with_namespace,
               bool with_kind, const char *now, struct gw_text *out) {
    const struct column *columns = columns_of(kind);
    struct shown show = {.ns = with_namespace && kind->namespaced, .kind = with_kind};
    size_t n = json_array_size(items);
    for (size_t i = 0; i < n; i++) {
        show.source = show.source || source_of(json_array_get(items, i)).len;
        show.age = show.age || created_of(json_array_get(items, i)).len;
    }
    struct cells cells = {0};
    add_header(columns, show, &cells);
    size_t width = cells.len;
    for (size_t i = 0; i < n; i++)
        add_row(kind, json_array_get(items, i), columns, show, now, &cells);
    cli_columns(cells.ptr, n + 1, width, 0, out);
    for (size_t i = 0; i < cells.len; i++)
        free(cells.ptr[i]);
    GW_VEC_FINI(&cells);
}
