// SPDX-License-Identifier: Apache-2.0
// See held.h. A config is made in rounds: what the compiler or a listening socket refuses goes back
// to its good form, and the rest is tried again, until nothing more goes back.
#include "dataplane/conf/held.h"

#include "shared/vec.h"

#include <stdlib.h>

// A round ends the making of a config unless something went back in it. Chains of resources that
// pull each other back are as long as references are: secret, backend, rule, listener.
#define ROUNDS_MAX 6

static void free_entry(void *arg) {
    struct dp_held_entry *e = arg;
    if (!e) return;
    json_decref(e->wanted);
    json_decref(e->good);
    free(e->invalid);
    free(e->reason);
    free(e);
}

void dp_held_fini(struct dp_held *h) {
    gw_map_fini(&h->entries, free_entry);
}

static void set_text(char **text, const char *to) {
    char *copy = to ? gw_strdup(to) : NULL;
    free(*text);
    *text = copy;
}

static void set_form(json_t **form, char *form_version, json_t *body, const char *version) {
    json_t *old = *form;
    *form = json_incref(body);
    json_decref(old);
    memmove(form_version, version, strnlen(version, GW_IR_VERSION_CHARS));
    form_version[strnlen(version, GW_IR_VERSION_CHARS)] = 0;
}

bool dp_held_set(struct dp_held *h, struct gw_str name, const char *version, json_t *body) {
    struct gw_err err;
    struct dp_held_entry *e = gw_map_get(&h->entries, name);
    if (!e) {
        if (h->entries.len >= GW_IR_RESOURCES_MAX) return false;
        e = gw_alloc(sizeof(*e));
        gw_map_put(&h->entries, name, e);
    }
    set_form(&e->wanted, e->wanted_version, body, version);
    set_text(&e->invalid, gw_ir_validate(name, body, &err) == GW_OK ? NULL : err.text);
    return true;
}

void dp_held_remove(struct dp_held *h, struct gw_str name) {
    free_entry(gw_map_del(&h->entries, name));
}

void dp_held_reset(struct dp_held *h) {
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&h->entries, &it, &name, &value)) {
        struct dp_held_entry *e = value;
        if (!e->good) {
            free_entry(gw_map_del(&h->entries, name));
        } else if (e->good != e->wanted) {
            set_form(&e->wanted, e->wanted_version, e->good, e->good_version);
            set_text(&e->invalid, NULL);
            set_text(&e->reason, NULL);
        }
    }
}

// --- what is told of it -------------------------------------------------------------------------

static void root_of(const struct dp_held *h, bool is_wanted, char *version) {
    struct gw_ir_root *root = gw_ir_root_new();
    struct gw_str *names = gw_map_sorted_keys(&h->entries);
    for (size_t i = 0; i < h->entries.len; i++) {
        const struct dp_held_entry *e = gw_map_get(&h->entries, names[i]);
        if (is_wanted || e->good)
            gw_ir_root_add(root, names[i], is_wanted ? e->wanted_version : e->good_version);
    }
    gw_ir_root_finish(root, version);
    free(names);
}

void dp_held_root(const struct dp_held *h, char *version) {
    root_of(h, false, version);
}

void dp_held_root_wanted(const struct dp_held *h, char *version) {
    root_of(h, true, version);
}

json_t *dp_held_versions(const struct dp_held *h) {
    json_t *versions = json_object();
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&h->entries, &it, &name, &value)) {
        const struct dp_held_entry *e = value;
        if (e->good)
            json_object_setn_new(versions, name.ptr, name.len, json_string(e->good_version));
    }
    return versions;
}

// Reasons may quote bytes that are not UTF-8, or be cut inside a character.
static json_t *utf8_string(struct gw_str s) {
    struct gw_text text = {0};
    while (s.len) {
        size_t n = gw_utf8_char(s), taken = n ? n : 1;
        gw_text_add(&text, n ? s.ptr : "?", taken);
        s = (struct gw_str){s.ptr + taken, s.len - taken};
    }
    json_t *v = json_stringn(text.ptr ? text.ptr : "", text.len);
    gw_text_fini(&text);
    return v;
}

json_t *dp_held_errors(const struct dp_held *h) {
    json_t *errors = json_array();
    struct gw_map refused = {0};
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&h->entries, &it, &name, &value))
        if (((struct dp_held_entry *)value)->reason) gw_map_put(&refused, name, value);
    struct gw_str *names = gw_map_sorted_keys(&refused);
    for (size_t i = 0; i < refused.len; i++) {
        const struct dp_held_entry *e = gw_map_get(&refused, names[i]);
        json_t *one = json_pack("{s:o, s:o}", "resource", json_stringn(names[i].ptr, names[i].len),
                                "reason", utf8_string(gw_str_of(e->reason)));
        json_array_append_new(errors, one);
    }
    free(names);
    gw_map_fini(&refused, NULL);
    return errors;
}

// --- making a config ----------------------------------------------------------------------------

static void choose(struct dp_held *h) {
    size_t it = 0;
    void *value;
    while (gw_map_next(&h->entries, &it, NULL, &value)) {
        struct dp_held_entry *e = value;
        if (e->reason || e->invalid) set_text(&e->reason, e->invalid);
        e->in_use = e->invalid ? e->good : e->wanted;
    }
}

static struct dp_conf *compile(const struct dp_held *h, const char *version, unsigned workers,
                               struct dp_conf_refusals *refusals) {
    struct dp_resource *use = gw_alloc((h->entries.len + 1) * sizeof(*use));
    size_t it = 0, n = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&h->entries, &it, &name, &value)) {
        const struct dp_held_entry *e = value;
        if (e->in_use) use[n++] = (struct dp_resource){name, e->in_use};
    }
    struct dp_conf *conf = dp_conf_compile(use, n, version, workers, refusals);
    free(use);
    return conf;
}

// Takes refused resources back to their good form, or out where may_drop (a listener whose port is
// in use stays: the port may be free the next time). True where a form was changed for another one.
static bool step_back(struct dp_held *h, const struct dp_conf_refusals *refusals, bool may_drop) {
    bool is_changed = false;
    for (size_t i = 0; i < refusals->len; i++) {
        struct dp_held_entry *e = gw_map_get(&h->entries, gw_str_of(refusals->ptr[i].resource));
        if (!e) continue;
        if (!e->reason) set_text(&e->reason, refusals->ptr[i].reason);
        if (e->in_use == e->wanted && e->good && e->good != e->wanted) {
            e->in_use = e->good;
            is_changed = true;
        } else if (may_drop) {
            e->in_use = NULL;
        }
    }
    return is_changed;
}

static unsigned count_refused(const struct dp_held *h) {
    unsigned n = 0;
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&h->entries, &it, &name, &value))
        if (((struct dp_held_entry *)value)->reason) n++;
    return n;
}

void dp_held_apply(struct dp_held *h, const char *version, unsigned workers, dp_held_apply_fn apply,
                   void *arg, struct dp_held_result *ret) {
    bool is_changed = true, may_pass_later = false;
    choose(h);
    for (int round = 0; is_changed && round < ROUNDS_MAX; round++) {
        struct dp_conf_refusals refusals = {0};
        struct dp_conf *conf = compile(h, version, workers, &refusals);
        is_changed = step_back(h, &refusals, true);
        dp_conf_refusals_fini(&refusals);
        if (is_changed && round + 1 < ROUNDS_MAX) {
            dp_conf_unref(conf);
            continue;
        }
        *ret = (struct dp_held_result){.rules = conf->rules_n, .ports = conf->ports_n};
        // Tried first: a listener that can go back to its good form must not lose its port
        // meanwhile.
        refusals.is_trial = round + 1 < ROUNDS_MAX;
        apply(arg, dp_conf_ref(conf), &refusals);
        may_pass_later |= refusals.len > 0;
        is_changed = step_back(h, &refusals, false);
        if (!is_changed && refusals.len && refusals.is_trial) {
            dp_conf_refusals_fini(&refusals);
            refusals.is_trial = false;
            apply(arg, dp_conf_ref(conf), &refusals);
            is_changed = step_back(h, &refusals, false);
        }
        dp_conf_refusals_fini(&refusals);
        dp_conf_unref(conf);
    }
    ret->refused = count_refused(h);
    ret->may_pass_later = may_pass_later;
}

void dp_held_commit(struct dp_held *h) {
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&h->entries, &it, &name, &value)) {
        struct dp_held_entry *e = value;
        if (!e->reason && e->good != e->wanted) {
            set_form(&e->good, e->good_version, e->wanted, e->wanted_version);
        } else if (!e->in_use) { // not even the good form is good any more
            json_decref(e->good);
            e->good = NULL;
        }
        e->in_use = NULL;
    }
}
