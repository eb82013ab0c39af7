// SPDX-License-Identifier: Apache-2.0
// The parts of a rule that need no other object: matches and timeouts, with the defaults of the
// Gateway API, and what lists of names and values become. Of entries with an equivalent name only
// the first counts; header names are in lower case.
#include "controller/translate/tr.h"

static json_t *lower_string(struct gw_str s) {
    char *copy = gw_strndup(s.ptr, s.len);
    gw_str_lower(copy, s.len);
    json_t *v = json_stringn_nocheck(copy, s.len);
    free(copy);
    return v;
}

static bool has_name(const json_t *list, const json_t *name) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *e = json_array_get(list, i);
        if (json_equal(json_is_object(e) ? gw_json_get(e, "name") : e, name)) return true;
    }
    return false;
}

json_t *tr_pairs(const json_t *from, bool lower) {
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(from); i++) {
        const json_t *e = json_array_get(from, i);
        struct gw_str name = gw_json_str(e, "name");
        json_t *key = lower ? lower_string(name) : tr_string(name);
        if (has_name(list, key)) {
            json_decref(key);
            continue;
        }
        json_t *pair = json_object();
        tr_set(pair, "name", key);
        tr_set(pair, "value", tr_string(gw_json_str(e, "value")));
        json_array_append_new(list, pair);
    }
    return list;
}

json_t *tr_header_names(const json_t *from) {
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(from); i++) {
        json_t *name = lower_string(gw_json_str_of(json_array_get(from, i)));
        if (has_name(list, name))
            json_decref(name);
        else
            json_array_append_new(list, name);
    }
    return list;
}

static json_t *path_of(const json_t *match) {
    const json_t *path = gw_json_get(match, "path");
    struct gw_str type = tr_str_or(path, "type", GW_STR("PathPrefix"));
    struct gw_str value = tr_str_or(path, "value", GW_STR("/"));
    // "/v1/" and "/v1" are the same prefix: whole segments.
    while (gw_str_eq(type, GW_STR("PathPrefix")) && value.len > 1 &&
           value.ptr[value.len - 1] == '/')
        value.len--;
    json_t *v = json_object();
    tr_set(v, "type", tr_string(type));
    tr_set(v, "value", tr_string(value));
    return v;
}

static json_t *match_of(const json_t *from) {
    json_t *m = json_object();
    struct gw_str method = gw_json_str(from, "method");
    const json_t *headers = gw_json_get(from, "headers"), *query = gw_json_get(from, "queryParams");
    tr_set(m, "path", path_of(from));
    if (method.ptr) tr_set(m, "method", tr_string(method));
    if (json_array_size(headers)) tr_set(m, "headers", tr_pairs(headers, true));
    if (json_array_size(query)) tr_set(m, "query", tr_pairs(query, false));
    return m;
}

json_t *tr_rule_matches(const json_t *rule) {
    const json_t *from = gw_json_get(rule, "matches");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(from); i++)
        json_array_append_new(list, match_of(json_array_get(from, i)));
    if (json_array_size(list) == 0) json_array_append_new(list, match_of(NULL));
    return list;
}

json_t *tr_rule_prefix(const json_t *rule) {
    GW_JSON_AUTO path = path_of(json_array_get(gw_json_get(rule, "matches"), 0));
    return json_incref(gw_json_get(path, "value"));
}

json_t *tr_rule_timeouts(const json_t *rule) {
    static const struct {
        const char *member, *key;
    } names[] = {{"request", "request_ms"}, {"backendRequest", "backend_ms"}};
    const json_t *from = gw_json_get(rule, "timeouts");
    json_t *v = json_object();
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        uint64_t ms;
        struct gw_str text = gw_json_str(from, names[i].member);
        // "0s" is said too: it takes away what the data plane would do by itself.
        if (text.ptr && gw_duration_ms(text, &ms, NULL) == GW_OK)
            tr_set(v, names[i].key, json_integer((json_int_t)ms));
    }
    if (json_object_size(v)) return v;
    json_decref(v);
    return NULL;
}
