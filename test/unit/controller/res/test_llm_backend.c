// SPDX-License-Identifier: Apache-2.0
// The field table of LLMBackend, and that crds/llmbackends.yaml says the same.
#include "test/unit/controller/res/cases.h"

#include "shared/yaml.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#define RUN(cases) res_run_cases(&ctl_res_llm_backend, cases, GW_ARRAY_LEN(cases))

static void provider_is_checked(void) {
    static const struct res_case cases[] = {
        {"none", "spec: {}", "spec.provider is missing"},
        {"unknown", "spec: {provider: opnai}",
         "spec.provider: 'opnai' is not one of openai, custom"},
        {"dialect", "spec: {provider: openai, dialect: messages}",
         "spec.dialect: 'messages' is not one of chat"},
        {"custom alone", "spec: {provider: custom, baseURL: 'http://a'}",
         "spec.dialect: is missing (provider custom needs one)"},
        {"custom without place", "spec: {provider: custom, dialect: chat}",
         "spec.baseURL: is missing (provider custom needs one)"},
        {"openai", "spec: {provider: openai}", NULL},
        {"custom", "spec: {provider: custom, dialect: chat, baseURL: 'http://127.0.0.1:9000/v1'}",
         NULL},
    };
    RUN(cases);
}

static void base_url_is_checked(void) {
    static const struct res_case cases[] = {
        {"scheme", "spec: {provider: openai, baseURL: 'ftp://a'}",
         "spec.baseURL: must begin with http:// or https://"},
        {"no scheme", "spec: {provider: openai, baseURL: api.openai.com}",
         "spec.baseURL: must begin with http:// or https://"},
        {"no host", "spec: {provider: openai, baseURL: 'https:///v1'}",
         "spec.baseURL: has no valid host ('')"},
        {"host", "spec: {provider: openai, baseURL: 'https://a_b/v1'}",
         "spec.baseURL: has no valid host ('a_b')"},
        {"port", "spec: {provider: openai, baseURL: 'https://a:0/v1'}",
         "spec.baseURL: has a port that is not in 1..65535"},
        {"port, big", "spec: {provider: openai, baseURL: 'https://a:65536'}",
         "spec.baseURL: has a port that is not in 1..65535"},
        {"port, empty", "spec: {provider: openai, baseURL: 'https://a:/v1'}",
         "spec.baseURL: has a port that is not in 1..65535"},
        {"query", "spec: {provider: openai, baseURL: 'https://a/v1?key=x'}",
         "spec.baseURL: must have no query and no fragment"},
        {"fragment", "spec: {provider: openai, baseURL: 'https://a/v1#x'}",
         "spec.baseURL: must have no query and no fragment"},
        {"user", "spec: {provider: openai, baseURL: 'https://me:sk-1@a/v1'}",
         "spec.baseURL: must have no user or password (keys belong in auth.secretRefs)"},
        {"blank", "spec: {provider: openai, baseURL: 'https://a/v 1'}",
         "spec.baseURL: holds a character that a URL may not hold"},
        {"bracket", "spec: {provider: openai, baseURL: 'https://[::1/v1'}",
         "spec.baseURL: has '[' without ']'"},
        {"IPv6", "spec: {provider: openai, baseURL: 'https://[::1]:8443/v1/'}", NULL},
        {"upper case", "spec: {provider: openai, baseURL: 'https://API.example.com'}", NULL},
    };
    RUN(cases);
}

static void base_url_is_taken_apart(void) {
    static const struct {
        const char *text;
        bool https;
        const char *host;
        uint16_t port;
        const char *path;
    } cases[] = {
        {"https://api.openai.com/v1", true, "api.openai.com", 443, "/v1"},
        {"http://a", false, "a", 80, ""},
        {"http://a/", false, "a", 80, ""},
        {"http://a:9000/x/y//", false, "a", 9000, "/x/y"},
        {"https://[fe80::1]:1/v1", true, "fe80::1", 1, "/v1"},
        {"https://[::1]", true, "::1", 443, ""},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct ctl_base_url u = {0};
        struct gw_err err;
        CU_ASSERT_EQUAL(ctl_res_base_url(gw_str_of(cases[i].text), &u, &err), GW_OK);
        CU_ASSERT_EQUAL(u.https, cases[i].https);
        CU_ASSERT(gw_str_eq(u.host, gw_str_of(cases[i].host)));
        CU_ASSERT_EQUAL(u.port, cases[i].port);
        CU_ASSERT(gw_str_eq(u.path, gw_str_of(cases[i].path)));
    }
}

static void auth_is_checked(void) {
    static const struct res_case cases[] = {
        {"both", "spec: {provider: openai, auth: {passthrough: true, secretRefs: [{name: a}]}}",
         "spec.auth: passthrough and secretRefs exclude each other: either the caller's key goes "
         "upstream or one of yours"},
        {"no name", "spec: {provider: openai, auth: {secretRefs: [{key: a}]}}",
         "spec.auth.secretRefs[0].name is missing"},
        {"same",
         "spec: {provider: openai, auth: {secretRefs: [{name: a}, {name: a, key: api-key}]}}",
         "spec.auth.secretRefs[1]: is the same as spec.auth.secretRefs[0]"},
        {"inline", "spec: {provider: openai, auth: {apiKey: sk}}",
         "unknown field spec.auth.apiKey"},
        {"weight", "spec: {provider: openai, auth: {secretRefs: [{name: a, weight: -1}]}}",
         "spec.auth.secretRefs[0].weight: -1 is not in 0..1000000"},
        {"aws", "spec: {provider: openai, auth: {aws: {}}}", "spec.auth.aws is not supported yet"},
        {"gcp", "spec: {provider: openai, auth: {gcp: {}}}", "spec.auth.gcp is not supported yet"},
        {"azure", "spec: {provider: openai, auth: {azure: {}}}",
         "spec.auth.azure is not supported yet"},
        {"passthrough alone", "spec: {provider: openai, auth: {passthrough: true}}", NULL},
        {"passthrough off",
         "spec: {provider: openai, auth: {passthrough: false, secretRefs: [{name: "
         "a}]}}",
         NULL},
        {"keys",
         "spec: {provider: openai, auth: {secretRefs: [{name: a, weight: 3}, {name: a, key: "
         "b}, {name: c}]}}",
         NULL},
    };
    RUN(cases);
}

static void the_rest_is_checked(void) {
    static const struct res_case cases[] = {
        {"empty model", "spec: {provider: openai, models: {allow: ['']}}",
         "spec.models.allow[0]: must not be empty"},
        {"alias", "spec: {provider: openai, models: {aliases: {a: 1}}}",
         "spec.models.aliases.a: must be a string, not an integer"},
        {"alias, empty", "spec: {provider: openai, models: {aliases: {'': a}}}",
         "spec.models.aliases: an alias must not be empty"},
        {"duration", "spec: {provider: openai, timeouts: {connect: 5}}",
         "spec.timeouts.connect: must be a duration such as 30s, not an integer"},
        {"days", "spec: {provider: openai, timeouts: {idle: 1d}}",
         "spec.timeouts.idle: '1d' is not a duration such as 1h30m, 10s or 500ms (one to four "
         "whole "
         "numbers of at most five digits, each with the unit h, m, s or ms)"},
        {"too long", "spec: {provider: openai, timeouts: {request: 25h}}",
         "spec.timeouts.request: '25h' must be at most 24h"},
        {"params", "spec: {provider: openai, params: {}}", "spec.params is not supported yet"},
        {"region", "spec: {provider: openai, region: a}", "spec.region is not supported yet"},
        {"project", "spec: {provider: openai, project: a}", "spec.project is not supported yet"},
        {"deployment", "spec: {provider: openai, deployment: a}",
         "spec.deployment is not supported yet"},
        {"pricing", "spec: {provider: openai, pricing: {}}", "spec.pricing is not supported yet"},
        {"tls", "spec: {provider: openai, tls: {}}", "spec.tls is not supported yet"},
        {"all of it",
         "spec: {provider: openai, dialect: chat, models: {default: a, allow: ['gpt-*'], aliases: "
         "{fast: gpt-x}}, timeouts: {connect: 5s, firstToken: 30s, idle: 1m, request: 10m}}",
         NULL},
    };
    RUN(cases);
}

// --- the CRD -------------------------------------------------------------------------------------

static unsigned differences;
static bool differences_are_told = true;

static void differs(const char *path, const char *what) {
    if (differences_are_told) fprintf(stderr, "\n%s: %s", path, what);
    differences++;
}

static void compare_object(const char *path, const struct gw_field *fields, const json_t *schema);

static const char *crd_type(enum gw_field_type t) {
    switch (t) {
    case GW_F_STRING:
    case GW_F_DURATION:
        return "string";
    case GW_F_INT:
        return "integer";
    case GW_F_BOOL:
        return "boolean";
    case GW_F_LIST:
        return "array";
    case GW_F_OBJECT:
    case GW_F_MAP:
        return "object";
    default:
        return "?";
    }
}

static void compare_bounds(const char *path, const struct gw_field *f, const json_t *s) {
    static const struct {
        enum gw_field_type type;
        const char *min, *max;
    } names[] = {
        {GW_F_STRING, "minLength", "maxLength"},
        {GW_F_INT, "minimum", "maximum"},
        {GW_F_LIST, "minItems", "maxItems"},
        {GW_F_MAP, "minProperties", "maxProperties"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        if (names[i].type != f->type || f->values) continue;
        if (gw_json_int(s, names[i].min, 0) != f->min) differs(path, names[i].min);
        if (gw_json_int(s, names[i].max, 0) != f->max) differs(path, names[i].max);
    }
}

static void compare_values(const char *path, const struct gw_field *f, const json_t *s) {
    const json_t *list = gw_json_get(s, "enum");
    size_t n = 0;
    for (; f->values && f->values[n]; n++)
        if (!gw_str_eq(gw_json_str_of(json_array_get(list, n)), gw_str_of(f->values[n])))
            differs(path, "enum");
    if (json_array_size(list) != n) differs(path, "enum has another number of values");
}

static void compare_pattern(const char *path, const struct gw_field *f, const json_t *s) {
    struct gw_text want = {0};
    if (f->pattern) gw_text_addf(&want, "^%s$", f->pattern);
    if (f->type == GW_F_DURATION) gw_text_adds(&want, "^([0-9]{1,5}(h|m|s|ms)){1,4}$");
    if (!gw_str_eq(gw_json_str(s, "pattern"), gw_text_str(&want))) differs(path, "pattern");
    gw_text_fini(&want);
}

static void compare_field(const char *path, const struct gw_field *f, const json_t *s) {
    if (!gw_str_eq(gw_json_str(s, "type"), gw_str_of(crd_type(f->type)))) differs(path, "type");
    if (gw_json_get(s, "default")) differs(path, "has a default");
    compare_bounds(path, f, s);
    compare_values(path, f, s);
    compare_pattern(path, f, s);
    char child[512];
    snprintf(child, sizeof(child), "%.500s[]", path);
    if (f->type == GW_F_OBJECT) compare_object(path, f->fields, s);
    if (f->type == GW_F_LIST) compare_field(child, f->elem, gw_json_get(s, "items"));
    if (f->type == GW_F_MAP) compare_field(child, f->elem, gw_json_get(s, "additionalProperties"));
}

static bool is_required(const json_t *schema, const char *name) {
    const json_t *list = gw_json_get(schema, "required");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (gw_str_eq(gw_json_str_of(json_array_get(list, i)), gw_str_of(name))) return true;
    return false;
}

static void compare_object(const char *path, const struct gw_field *fields, const json_t *schema) {
    const json_t *properties = gw_json_get(schema, "properties");
    size_t built = 0;
    for (const struct gw_field *f = fields; f->name; f++) {
        char child[512];
        snprintf(child, sizeof(child), "%.400s.%s", path, f->name);
        const json_t *s = gw_json_get(properties, f->name);
        if (f->flags & GW_F_UNBUILT) {
            if (s) differs(child, "is in the CRD and not built");
            continue;
        }
        built++;
        if (!s) differs(child, "is not in the CRD");
        if (is_required(schema, f->name) != ((f->flags & GW_F_REQUIRED) != 0))
            differs(child, "required");
        if (s) compare_field(child, f, s);
        // What `kubectl explain` shows.
        if (s && gw_json_str(s, "description").len == 0) differs(child, "has no description");
    }
    if (json_object_size(properties) != built) differs(path, "the CRD has further properties");
}

static json_t *load_crd(void) {
    struct gw_text t = {0};
    char chunk[4096];
    FILE *f = fopen(ctl_res_llm_backend.crd_file, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
        gw_text_add(&t, chunk, n);
    fclose(f);
    json_t *v = res_parse(t.ptr);
    gw_text_fini(&t);
    return v;
}

static void crd_repeats_the_table(void) {
    GW_JSON_AUTO crd = load_crd();
    const struct ctl_res_kind *k = &ctl_res_llm_backend;
    const json_t *spec = gw_json_get(crd, "spec");
    const json_t *version = json_array_get(gw_json_get(spec, "versions"), 0);
    const json_t *schema = gw_json_path(version, "schema.openAPIV3Schema.properties.spec");
    CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
    CU_ASSERT(gw_str_eq(gw_json_str(spec, "group"), gw_str_of(k->group)));
    CU_ASSERT(gw_str_eq(gw_json_str(version, "name"), gw_str_of(k->versions[0])));
    CU_ASSERT(gw_str_eq(gw_json_str_of(gw_json_path(spec, "names.kind")), gw_str_of(k->name)));
    CU_ASSERT(gw_str_eq(gw_json_str_of(gw_json_path(spec, "names.plural")), gw_str_of(k->plural)));
    CU_ASSERT_EQUAL(gw_str_eq(gw_json_str(spec, "scope"), GW_STR("Namespaced")), k->namespaced);
    const json_t *short_names = gw_json_path(spec, "names.shortNames");
    CU_ASSERT(gw_str_eq(gw_json_str_of(json_array_get(short_names, 0)), gw_str_of(k->short_name)));
    CU_ASSERT_STRING_EQUAL(k->fields[0].name, "spec");
    differences = 0;
    compare_field("spec", &k->fields[0], schema);
    CU_ASSERT_EQUAL(differences, 0);
}

// The comparison itself must see a difference: each of these changes of the CRD is one.
static void comparison_finds_differences(void) {
    static const struct {
        const char *path, *member, *json;
    } changes[] = {
        {"properties.provider", "enum", "[\"openai\"]"},
        {"properties.provider", "enum", "[\"openai\", \"custom\", \"acme\"]"},
        {"properties.baseURL", "maxLength", "2047"},
        {"properties.baseURL", "type", "\"integer\""},
        {"properties.baseURL", "default", "\"http://a\""},
        {"properties", "region", "{\"type\": \"string\"}"},
        {"properties", "more", "{\"type\": \"string\"}"},
        {"properties.timeouts.properties.idle", "pattern", "\".*\""},
        {"properties.timeouts.properties.idle", "description", "\"\""},
        {"properties.models.properties.allow", "maxItems", "1"},
        {"properties.models.properties.aliases.additionalProperties", "minLength", "0"},
        {"properties.auth.properties.secretRefs.items", "required", "[]"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(changes); i++) {
        GW_JSON_AUTO crd = load_crd();
        const json_t *version = json_array_get(gw_json_path(crd, "spec.versions"), 0);
        json_t *schema = gw_json_path(version, "schema.openAPIV3Schema.properties.spec");
        json_t *at = gw_json_path(schema, changes[i].path);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        json_object_set_new(at, changes[i].member,
                            json_loads(changes[i].json, JSON_DECODE_ANY, NULL));
        differences = 0;
        differences_are_told = false;
        compare_field("spec", &ctl_res_llm_backend.fields[0], schema);
        differences_are_told = true;
        CU_ASSERT_NOT_EQUAL(differences, 0);
    }
}

static CU_TestInfo tests[] = {
    {"provider is checked", provider_is_checked},
    {"baseURL is checked", base_url_is_checked},
    {"baseURL is taken apart", base_url_is_taken_apart},
    {"auth is checked", auth_is_checked},
    {"the rest is checked", the_rest_is_checked},
    {"the CRD repeats the table", crd_repeats_the_table},
    {"the comparison finds differences", comparison_finds_differences},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_res_llm_backend = {"llm_backend", NULL, NULL, NULL, NULL, tests};
