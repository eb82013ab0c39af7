// SPDX-License-Identifier: Apache-2.0
// Results as texts: one line per resource (canonical JSON), an indented block per report. Checks on
// the way what translate.h promises of every result.
#include "shared/ir.h"
#include "test/golden/golden.h"

#include <stdio.h>

void golden_state_fini(struct golden_state *s) {
    gw_map_fini(&s->resources, free);
    gw_map_fini(&s->reports, free);
}

// --- resources ---------------------------------------------------------------------------------

// Of a certificate and its key only that they are others than before is shown.
static char *text_of(struct gw_str name, const json_t *body) {
    enum gw_ir_kind kind;
    size_t n;
    if (gw_ir_kind_of(name, &kind, NULL) != GW_OK || kind != GW_IR_TLS)
        return gw_json_canonical(body, &n);
    char *version = gw_alloc(GW_IR_VERSION_CHARS + 1);
    gw_ir_version(body, version);
    return version;
}

static enum gw_rc apply_resource(struct golden_state *s, const struct ctl_resource_change *c,
                                 struct gw_text *out, struct gw_err *err) {
    struct gw_str name = gw_str_of(c->name);
    if (!c->body) {
        char *was = gw_map_del(&s->resources, name);
        if (!was)
            return gw_err_set(err, GW_ERR_INTERNAL, 0, "%s is removed and was not there", c->name);
        free(was);
        if (out) gw_text_addf(out, "%s: removed\n", c->name);
        return GW_OK;
    }
    if (gw_ir_validate(name, c->body, err) != GW_OK) return gw_err_wrap(err, "%s", c->name);
    char *text = text_of(name, c->body);
    if (out) gw_text_addf(out, "%s: %s\n", c->name, text);
    char *was = gw_map_put(&s->resources, name, text);
    bool same = was && strcmp(was, text) == 0;
    free(was);
    if (same) return gw_err_set(err, GW_ERR_INTERNAL, 0, "%s is told without a change", c->name);
    return GW_OK;
}

// --- reports -----------------------------------------------------------------------------------

static void print_json(struct gw_text *t, const json_t *v) {
    size_t n;
    char *text = gw_json_canonical(v, &n);
    gw_text_add(t, text, n);
    free(text);
}

static void print_part(struct gw_text *t, const struct ctl_status_part *p) {
    gw_text_adds(t, "  - ");
    if (p->parent) {
        gw_text_adds(t, "parent ");
        print_json(t, p->parent);
    } else if (p->listener) {
        gw_text_addf(t, "listener %s: attachedRoutes %d, supportedKinds ", p->listener,
                     p->attached_routes);
        print_json(t, p->supported_kinds);
    } else {
        gw_text_adds(t, "itself");
    }
    gw_text_adds(t, "\n");
    for (size_t i = 0; i < p->conditions_n; i++) {
        const struct ctl_condition *c = &p->conditions[i];
        gw_text_addf(t, "    %s: %s %s: %s\n", c->type, c->status ? "True" : "False", c->reason,
                     c->message);
    }
    if (!p->wants_programmed) return;
    gw_text_addf(t, "    Programmed%s:", p->programmable ? " by" : ": not programmable");
    for (size_t i = 0; i < p->resources_n; i++)
        gw_text_addf(t, " %s", p->resources[i]);
    gw_text_adds(t, "\n");
}

static enum gw_rc check_part(const struct ctl_status_part *p, struct gw_err *err) {
    for (size_t i = 1; i < p->resources_n; i++)
        if (strcmp(p->resources[i - 1], p->resources[i]) >= 0)
            return gw_err_set(err, GW_ERR_INTERNAL, 0, "a part's resources are not sorted");
    for (size_t i = 0; i < p->conditions_n; i++)
        if (!p->conditions[i].message || !p->conditions[i].message[0])
            return gw_err_set(err, GW_ERR_INTERNAL, 0, "a condition has no message");
    return GW_OK;
}

static enum gw_rc apply_report(struct golden_state *s, const struct ctl_status_report *r,
                               struct gw_text *out, struct gw_err *err) {
    GW_CLEANUP(gw_text_fini) struct gw_text name = {0};
    GW_CLEANUP(gw_text_fini) struct gw_text text = {0};
    gw_text_addf(&name, "%s %s%s%s", r->kind->name, r->ns, *r->ns ? "/" : "", r->name);
    gw_text_addf(&text, "%s: ", name.ptr);
    gw_text_addf(&text, r->parts_n ? "generation %lld\n" : "no status\n", (long long)r->generation);
    for (size_t i = 0; i < r->parts_n; i++) {
        GW_TRY(check_part(&r->parts[i], err));
        print_part(&text, &r->parts[i]);
    }
    if (out) gw_text_add(out, text.ptr, text.len);
    // The files do not show them, as they follow from the rules' attachments.
    for (size_t i = 0; i < r->parts_n; i++)
        for (size_t k = 0; k < r->parts[i].carriers_n; k++)
            gw_text_addf(&text, "    part %zu is carried by %s\n", i, r->parts[i].carriers[k]);
    // Nor this, which is the same for every class.
    if (r->extra) print_json(&text, r->extra);
    char *was = r->parts_n ? gw_map_put(&s->reports, gw_text_str(&name), gw_strdup(text.ptr))
                           : gw_map_del(&s->reports, gw_text_str(&name));
    bool same = was ? strcmp(was, text.ptr) == 0 : r->parts_n == 0;
    free(was);
    if (same) return gw_err_set(err, GW_ERR_INTERNAL, 0, "%s: told without a change", name.ptr);
    return GW_OK;
}

// --- all ---------------------------------------------------------------------------------------

static int compare_reports(const struct ctl_status_report *a, const struct ctl_status_report *b) {
    int c = strcmp(a->kind->name, b->kind->name);
    if (!c) c = strcmp(a->ns, b->ns);
    return c ? c : strcmp(a->name, b->name);
}

enum gw_rc golden_state_apply(struct golden_state *s, const struct ctl_translate_result *r,
                              struct gw_text *out, struct gw_err *err) {
    if (out) gw_text_adds(out, "# resources\n");
    for (size_t i = 0; i < r->resources_n; i++) {
        if (i && strcmp(r->resources[i - 1].name, r->resources[i].name) >= 0)
            return gw_err_set(err, GW_ERR_INTERNAL, 0, "resources are not sorted");
        GW_TRY(apply_resource(s, &r->resources[i], out, err));
    }
    if (out) gw_text_adds(out, "# reports\n");
    for (size_t i = 0; i < r->reports_n; i++) {
        if (i && compare_reports(&r->reports[i - 1], &r->reports[i]) >= 0)
            return gw_err_set(err, GW_ERR_INTERNAL, 0, "reports are not sorted");
        GW_TRY(apply_report(s, &r->reports[i], out, err));
    }
    return GW_OK;
}

static void print_map(const struct gw_map *m, bool with_names, struct gw_text *out) {
    struct gw_str *keys = gw_map_sorted_keys(m);
    for (size_t i = 0; i < m->len; i++) {
        const char *text = gw_map_get(m, keys[i]);
        if (with_names)
            gw_text_addf(out, GW_STR_FMT ": %s\n", GW_STR_ARG(keys[i]), text);
        else
            gw_text_adds(out, text);
    }
    free(keys);
}

void golden_state_print(const struct golden_state *s, struct gw_text *out) {
    print_map(&s->resources, true, out);
    print_map(&s->reports, false, out);
}
