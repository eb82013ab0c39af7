// SPDX-License-Identifier: Apache-2.0
// x-tandem-explain: who sends it with the value 1, and may (--explain), is told in a field of that
// name what became of the request: "listener=default/edge/http; route=default/web; rule=0; ...".
#include "dataplane/proxy/req.h"

#define HOSTNAMES_MAX 16    // tried ones that a 404 tells
#define VALUE_BYTES_MAX 256 // of a configured or received text
#define TEXT_BYTES_MAX 4096

static const struct gw_str field_name = {DP_EXPLAIN_FIELD, sizeof(DP_EXPLAIN_FIELD) - 1};

void dp_explain_ask(struct dp_req *r) {
    const struct dp_field *f = dp_fields_find_name(&r->head->fields, field_name);
    if (!f) return;
    r->explain = r->worker->settings->explain && gw_str_eq(f->value, GW_STR("1"));
    dp_fields_remove(&r->head->fields, field_name);
}

// What a value or a reader would stumble over becomes '?'.
static void add_text(struct gw_text *t, struct gw_str s) {
    for (size_t i = 0; i < s.len && i < VALUE_BYTES_MAX; i++) {
        bool is_plain = s.ptr[i] > ' ' && s.ptr[i] < 0x7f && s.ptr[i] != ';';
        gw_text_add(t, is_plain ? &s.ptr[i] : "?", 1);
    }
}

static void add(struct gw_text *t, const char *key, struct gw_str value) {
    if (value.len == 0) return;
    gw_text_addf(t, "%s%s=", t->len ? "; " : "", key);
    add_text(t, value);
}

static void add_number(struct gw_text *t, const char *key, int64_t value) {
    gw_text_addf(t, "%s%s=%lld", t->len ? "; " : "", key, (long long)value);
}

// Rule and match: "rule=0; match=0 PathPrefix /v1 GET header:x-tier query:q"
static void add_match(struct gw_text *t, const struct dp_rule_match *found) {
    const struct dp_match *m = &found->match;
    add_number(t, "rule", found->rule->index);
    gw_text_addf(t, "; match=%u %s ", found->index,
                 m->path_type == DP_PATH_EXACT ? "Exact" : "PathPrefix");
    add_text(t, m->path);
    if (m->method.len) gw_text_adds(t, " ");
    add_text(t, m->method);
    for (unsigned i = 0; i < m->headers_n; i++) {
        gw_text_adds(t, " header:");
        add_text(t, m->headers[i].name);
    }
    for (unsigned i = 0; i < m->query_n; i++) {
        gw_text_adds(t, " query:");
        add_text(t, m->query[i].name);
    }
}

// The match that came closest, and what of the request is not as it wants it.
static void add_nearest(struct gw_text *t, const struct dp_req *r) {
    struct dp_router_miss miss = dp_router_nearest(r->listener->router, r->head);
    const struct dp_rule_match *nearest = miss.target;
    if (nearest) {
        add(t, "nearest", nearest->rule->route);
        add_match(t, nearest);
    }
    add(t, "mismatch", gw_str_of(miss.what));
    if (miss.name.len) gw_text_adds(t, ":");
    add_text(t, miss.name);
}

// Why nothing matched begins with the hostnames that were asked.
static void add_tried(struct gw_text *t, const struct dp_req *r) {
    struct gw_str tried[HOSTNAMES_MAX];
    unsigned n = dp_router_hostnames(r->listener->router, r->head->host, tried, HOSTNAMES_MAX);
    gw_text_adds(t, "; route=none; hostnames=");
    if (n == 0) gw_text_adds(t, "none");
    for (unsigned i = 0; i < n; i++) {
        bool is_wild = tried[i].len == 0 || tried[i].ptr[0] == '.';
        gw_text_addf(t, "%s%s", i ? "," : "", is_wild ? "*" : "");
        add_text(t, tried[i]);
    }
    add_nearest(t, r);
}

// "listener/default/edge/http" without the kind.
static struct gw_str without_kind(struct gw_str name) {
    gw_str_cut(&name, '/');
    return name;
}

static void describe(struct gw_text *t, const struct dp_req *r) {
    add(t, "listener", r->listener ? without_kind(r->listener->name) : GW_STR("none"));
    if (r->listener && !r->rule) add_tried(t, r);
    if (r->rule) {
        add(t, "route", r->rule->route);
        add_match(t, r->match);
    }
    if (r->backend) add(t, "backend", r->backend->label);
    if (r->endpoint) add(t, "endpoint", r->endpoint->label);
    if (r->attempts) add_number(t, "attempts", r->attempts);
    if (r->local_policy) add(t, "filter", gw_str_of(r->local_policy->type->name));
    if (r->code) add(t, "refused", gw_str_of(r->code));
    add_number(t, "us", gw_clock_us() - r->start_us);
}

enum gw_rc dp_explain_answer(struct dp_req *r, struct dp_fields *fields) {
    dp_fields_remove(fields, field_name);
    if (!r->explain) return GW_OK;
    struct gw_text text = {.cap_max = TEXT_BYTES_MAX};
    describe(&text, r);
    struct gw_str value = gw_arena_dup(&r->arena, gw_text_str(&text));
    gw_text_fini(&text);
    return value.ptr ? dp_fields_add(fields, &r->arena, field_name, value) : GW_ERR_LIMIT;
}
