// SPDX-License-Identifier: Apache-2.0
// Commands of tandemctl: what was asked, checked, fetched and printed.
#include "controller/cli/cli.h"

#include "controller/version.h"
#include "shared/flags.h"

#include <stdlib.h>

#define DEFAULT_SERVER "127.0.0.1:18080"
#define USAGE                                                                                      \
    "usage: tandemctl get [KIND] [NAME]       objects with their statuses\n"                       \
    "       tandemctl describe KIND NAME      one object in full, and why\n"                       \
    "       tandemctl snapshot                what data planes follow\n"

enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_YAML, FORMAT_NAME };

struct ask {
    const struct cli_options *o;
    const char *server, *ns, *output;
    bool all_namespaces, help, version;
    enum format format;
    const char *words[4];
    size_t words_n;
    const struct ctl_res_kind *kind; // NULL: all
    const char *name;                // NULL: all
    char kind_word[128];
};

static int fail(const struct ask *a, int status, const char *text) {
    fprintf(a->o->err, "error: %s\n", text);
    return status;
}

static void print(const struct ask *a, struct gw_text *t) {
    if (t->len) fwrite(t->ptr, 1, t->len, a->o->out);
    gw_text_fini(t);
}

static void print_tree(const struct ask *a, const json_t *v) {
    struct gw_text t = {0};
    if (a->format == FORMAT_YAML) {
        cli_yaml(v, 0, &t);
    } else {
        char *text = json_dumps(v, JSON_INDENT(4));
        gw_text_adds(&t, text ? text : "null");
        gw_text_adds(&t, "\n");
        free(text);
    }
    print(a, &t);
}

// --- asking --------------------------------------------------------------------------------------

static void known_kinds(struct gw_text *t) {
    for (const struct ctl_res_kind *const *k = ctl_res_kinds; *k; k++)
        gw_text_addf(t, "%s%s", k == ctl_res_kinds ? "" : ", ", (*k)->plural);
}

// KIND, KIND NAME or KIND/NAME from words[1..].
static int take_kind_and_name(struct ask *a) {
    if (a->words_n < 2) return 0;
    struct gw_str name = gw_str_of(a->words[1]), word = gw_str_cut(&name, '/');
    snprintf(a->kind_word, sizeof(a->kind_word), GW_STR_FMT, GW_STR_ARG(word));
    if (name.ptr && a->words_n > 2)
        return fail(a, 2, "a name is given twice: either KIND/NAME or KIND NAME");
    a->name = name.ptr ? name.ptr : a->words_n > 2 ? a->words[2] : NULL;
    if (gw_str_eq(word, GW_STR("all")) && !a->name) return 0;
    a->kind = ctl_res_by_word(word);
    if (a->kind) return 0;
    struct gw_text t = {0};
    gw_text_addf(&t, "no kind '%s' (there are ", a->kind_word);
    known_kinds(&t);
    gw_text_adds(&t, ")");
    int status = fail(a, 2, t.ptr);
    gw_text_fini(&t);
    return status;
}

static void add_query(struct gw_text *path, const char *member, const char *value) {
    if (!value) return;
    gw_text_addf(path, "%s%s=", path->len && strchr(path->ptr, '?') ? "&" : "?", member);
    for (const char *p = value; *p; p++) {
        bool safe = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= '0' && *p <= '9') || *p == '-' || *p == '.';
        if (safe)
            gw_text_add(path, p, 1);
        else
            gw_text_addf(path, "%%%02X", (unsigned char)*p);
    }
}

// The items of GET /objects as a list; NULL after it told why.
static json_t *fetch_items(const struct ask *a) {
    struct gw_text path = {0};
    struct gw_err err = {0};
    gw_text_adds(&path, "/objects");
    add_query(&path, "kind", a->kind ? a->kind->plural : NULL);
    // One name without a namespace means the default one, as with kubectl.
    add_query(&path, "namespace", a->ns ? a->ns : a->name && !a->all_namespaces ? "default" : NULL);
    add_query(&path, "name", a->name);
    json_t *answer = a->o->fetch(a->server, path.ptr, &err);
    gw_text_fini(&path);
    if (!answer) {
        fail(a, 1, err.text);
        return NULL;
    }
    json_t *items = json_incref(gw_json_get(answer, "items"));
    json_decref(answer);
    if (!json_is_array(items)) {
        fail(a, 1, "the answer has no items; is this the admin port of a tandem-controller?");
        json_decref(items);
        return NULL;
    }
    return items;
}

// All objects of a kind (of a name, where it is not NULL) in all namespaces, as a list; NULL: they
// cannot be had.
static json_t *fetch_all(const struct ask *a, const struct ctl_res_kind *kind, const char *name) {
    struct gw_text path = {0};
    struct gw_err err;
    gw_text_adds(&path, "/objects");
    add_query(&path, "kind", kind->plural);
    add_query(&path, "name", name);
    GW_JSON_AUTO answer = a->o->fetch(a->server, path.ptr, &err);
    gw_text_fini(&path);
    return json_incref(gw_json_get(answer, "items"));
}

// With the first namespace that has one of the name: -n is easily forgotten.
static int not_found(const struct ask *a) {
    char text[768];
    const char *ns = a->ns ? a->ns : "default";
    bool scoped = a->kind->namespaced && !a->all_namespaces;
    GW_JSON_AUTO others = scoped ? fetch_all(a, a->kind, a->name) : NULL;
    struct gw_str other =
        gw_json_str(gw_json_get(json_array_get(others, 0), "metadata"), "namespace");
    snprintf(text, sizeof(text), "%s \"%s\" not found%s%s%s" GW_STR_FMT "%s", a->kind->plural,
             a->name, scoped ? " in namespace " : "", scoped ? ns : "",
             other.len ? " (there is one in namespace " : "", GW_STR_ARG(other),
             other.len ? ": -n)" : "");
    return fail(a, 1, text);
}

// --- commands ------------------------------------------------------------------------------------

static bool is_of(const json_t *item, const struct ctl_res_kind *kind) {
    return gw_str_eq(gw_json_str(item, "kind"), gw_str_of(kind->name));
}

static void print_tables(const struct ask *a, const json_t *items) {
    struct gw_text t = {0};
    for (const struct ctl_res_kind *const *k = ctl_res_kinds; *k; k++) {
        GW_JSON_AUTO mine = json_array();
        for (size_t i = 0; i < json_array_size(items); i++)
            if (is_of(json_array_get(items, i), *k))
                json_array_append(mine, json_array_get(items, i));
        if (json_array_size(mine) == 0) continue;
        if (t.len) gw_text_adds(&t, "\n");
        bool with_namespace = !a->ns && (!a->name || a->all_namespaces);
        cli_table(*k, mine, with_namespace, !a->kind, a->o->now, &t);
    }
    print(a, &t);
}

static void print_names(const struct ask *a, const json_t *items) {
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        struct gw_str kind = gw_json_str(item, "kind");
        struct gw_str name = gw_json_str(gw_json_get(item, "metadata"), "name");
        char word[64];
        int n = snprintf(word, sizeof(word), GW_STR_FMT, GW_STR_ARG(kind));
        gw_str_lower(word, n < (int)sizeof(word) ? (size_t)n : sizeof(word) - 1);
        fprintf(a->o->out, "%s/" GW_STR_FMT "\n", word, GW_STR_ARG(name));
    }
}

static int command_get(struct ask *a) {
    int status = take_kind_and_name(a);
    if (status) return status;
    GW_JSON_AUTO items = fetch_items(a);
    if (!items) return 1;
    size_t n = json_array_size(items);
    if (a->name && n == 0) return not_found(a);
    if (a->format == FORMAT_NAME) {
        print_names(a, items);
    } else if (a->format != FORMAT_TABLE && a->name && n == 1) {
        print_tree(a, json_array_get(items, 0));
    } else if (a->format != FORMAT_TABLE) {
        GW_JSON_AUTO list =
            json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", items);
        print_tree(a, list);
    } else if (n == 0) {
        fprintf(a->o->err, "No resources found%s%s.\n", a->ns ? " in namespace " : "",
                a->ns ? a->ns : "");
    } else {
        print_tables(a, items);
    }
    return 0;
}

static void describe(const struct ask *a, const json_t *object, const json_t *events,
                     struct gw_text *out) {
    GW_CLEANUP(gw_text_fini) struct gw_text untold = {0};
    if (a->kind == &ctl_res_http_route && !cli_parents_all_told(object)) {
        GW_JSON_AUTO gateways = fetch_all(a, &ctl_res_gateway, NULL);
        GW_JSON_AUTO classes = fetch_all(a, &ctl_res_gateway_class, NULL);
        cli_parents(object, gateways, classes, &untold);
    }
    cli_describe(a->kind, object, events, untold.len ? untold.ptr : NULL, out);
}

static int command_describe(struct ask *a) {
    int status = take_kind_and_name(a);
    if (status) return status;
    if (!a->kind || !a->name) return fail(a, 2, "describe needs KIND and NAME");
    if (a->output) return fail(a, 2, "-o has no meaning for describe (see get)");
    GW_JSON_AUTO items = fetch_items(a);
    if (!items) return 1;
    if (json_array_size(items) == 0) return not_found(a);
    struct gw_err err;
    // Only an addition: an object is described without events too.
    GW_JSON_AUTO events = a->o->fetch(a->server, "/events", &err);
    struct gw_text t = {0};
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (i) gw_text_adds(&t, "\n");
        describe(a, json_array_get(items, i), events, &t);
    }
    print(a, &t);
    return 0;
}

static int command_snapshot(struct ask *a) {
    if (a->words_n > 1) return fail(a, 2, "snapshot takes no further words");
    if (a->ns || a->all_namespaces) return fail(a, 2, "a snapshot has no namespaces (-n, -A)");
    if (a->format == FORMAT_NAME) return fail(a, 2, "-o name has no meaning for snapshot");
    struct gw_err err = {0};
    GW_JSON_AUTO v = a->o->fetch(a->server, "/snapshot", &err);
    if (!v) return fail(a, 1, err.text);
    print_tree(a, v);
    return 0;
}

static int run(struct ask *a) {
    static const struct {
        const char *word;
        int (*fn)(struct ask *a);
    } commands[] = {
        {"get", command_get},
        {"describe", command_describe},
        {"snapshot", command_snapshot},
    };
    static const char *const formats[] = {"", "json", "yaml", "name"};
    if (a->ns && a->all_namespaces) return fail(a, 2, "-n and -A exclude each other");
    while (a->output && (size_t)a->format < GW_ARRAY_LEN(formats) &&
           strcmp(a->output, formats[a->format]) != 0)
        a->format++;
    if ((size_t)a->format == GW_ARRAY_LEN(formats)) return fail(a, 2, "-o is json, yaml or name");
    if (a->words_n == 0) return fail(a, 2, "what to do? get, describe or snapshot (see --help)");
    for (size_t i = 0; i < GW_ARRAY_LEN(commands); i++)
        if (strcmp(a->words[0], commands[i].word) == 0) return commands[i].fn(a);
    char text[256];
    snprintf(text, sizeof(text), "no command '%.100s' (there are get, describe and snapshot)",
             a->words[0]);
    return fail(a, 2, text);
}

int cli_main(const struct cli_options *o, int argc, char *const *argv) {
    struct ask a = {.o = o, .server = o->server ? o->server : DEFAULT_SERVER};
    const struct gw_flag flags[] = {
        {"namespace", "NS", "only this namespace", GW_FLAG_STRING, &a.ns, 0, 0, 'n'},
        {"all-namespaces", NULL, "all namespaces (as without -n, but for one name)", GW_FLAG_BOOL,
         &a.all_namespaces, 0, 0, 'A'},
        {"output", "FORMAT", "json, yaml or name", GW_FLAG_STRING, &a.output, 0, 0, 'o'},
        {"server", "HOST:PORT", "the controller's admin port (TANDEM_ADMIN, " DEFAULT_SERVER ")",
         GW_FLAG_STRING, &a.server, 0, 0, 0},
        {"version", NULL, "print the version and end", GW_FLAG_BOOL, &a.version, 0, 0, 0},
        {"help", NULL, "print this and end", GW_FLAG_BOOL, &a.help, 0, 0, 'h'},
        {.name = NULL},
    };
    struct gw_err err = {0};
    struct gw_flag_hostport hp;
    if (gw_flags_parse(flags, argc, argv, a.words, 3, &a.words_n, &err) != GW_OK)
        return fail(&a, 2, err.text);
    if (a.help) {
        gw_flags_help(flags, USAGE, o->out);
        return 0;
    }
    if (a.version) {
        fprintf(o->out, "tandemctl " CTL_VERSION "\n");
        return 0;
    }
    if (gw_hostport_parse(gw_str_of(a.server), NULL, &hp, &err) != GW_OK) {
        gw_err_wrap(&err, "--server");
        return fail(&a, 2, err.text);
    }
    return run(&a);
}
