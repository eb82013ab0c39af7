// SPDX-License-Identifier: Apache-2.0
// The tables that name dialects and providers must say the same in both programs.
#include "controller/res/res.h"
#include "dataplane/llm/llm.h"
#include "shared/provider.h"
#include "shared/schema.h"

#include <CUnit/CUnit.h>

static const struct gw_field *field(const struct gw_field *f, const char *name) {
    while (f && f->name && strcmp(f->name, name) != 0)
        f++;
    return f && f->name ? f : NULL;
}

static const struct gw_field *spec_field(const char *name) {
    const struct gw_field *spec = field(ctl_res_llm_backend.fields, "spec");
    CU_ASSERT_PTR_NOT_NULL_FATAL(spec);
    const struct gw_field *f = field(spec->fields, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    return f;
}

static void the_controller_knows_our_dialects(void) {
    const char *const *names = spec_field("dialect")->values;
    CU_ASSERT_PTR_NOT_NULL_FATAL(names);
    size_t n = 0;
    for (; dp_llm_dialects[n]; n++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(names[n]);
        CU_ASSERT_STRING_EQUAL(names[n], dp_llm_dialects[n]->id);
    }
    CU_ASSERT_PTR_NULL(names[n]);
    CU_ASSERT(n > 0);
}

static void the_controller_knows_our_providers(void) {
    CU_ASSERT_PTR_EQUAL(spec_field("provider")->values, gw_provider_ids);
}

static void providers_are_whole(void) {
    size_t n = 0;
    for (; gw_providers[n]; n++) {
        const struct gw_provider *p = gw_providers[n];
        CU_ASSERT_PTR_NOT_NULL_FATAL(gw_provider_ids[n]);
        CU_ASSERT_STRING_EQUAL(gw_provider_ids[n], p->id);
        CU_ASSERT_PTR_EQUAL(gw_provider_find(gw_str_of(p->id)), p);
        CU_ASSERT(!p->dialect || dp_llm_dialect_find(gw_str_of(p->dialect)) != NULL);
        CU_ASSERT(p->auth_header != NULL && p->auth_prefix != NULL);
        CU_ASSERT_EQUAL(p->dialect == NULL, p->base_url == NULL);
    }
    CU_ASSERT_PTR_NULL(gw_provider_ids[n]);
    CU_ASSERT(n > 0);
    CU_ASSERT_PTR_NULL(gw_provider_find(GW_STR("openai ")));
    CU_ASSERT_PTR_NULL(gw_provider_find(GW_STR("")));
}

static void dialects_are_whole(void) {
    for (const struct dp_llm_dialect *const *d = dp_llm_dialects; *d; d++) {
        CU_ASSERT_PTR_EQUAL(dp_llm_dialect_find(gw_str_of((*d)->id)), *d);
        CU_ASSERT_PTR_EQUAL(dp_llm_dialect_of_path(gw_str_of((*d)->suffix)), *d);
        for (unsigned i = 0; i < DP_LLM_RQ_N; i++)
            CU_ASSERT(!(*d)->request[i].path || (*d)->request[i].flags == GW_JWATCH_ONCE);
        CU_ASSERT((*d)->error_body && (*d)->error_event);
    }
    CU_ASSERT_PTR_NULL(dp_llm_dialect_find(GW_STR("CHAT")));
    CU_ASSERT_PTR_NULL(dp_llm_dialect_find(GW_STR("")));
}

static void a_paths_end_tells_its_dialect(void) {
    static const struct {
        const char *path, *want;
    } table[] = {
        {"", NULL},
        {"/v1/completions", NULL},
        {"/chat/completions/", NULL},
        {"/v1/Chat/Completions", NULL},
        {"/xchat/completions", NULL},
        {"/chat/completions", "chat"},
        {"/v1/chat/completions", "chat"},
        {"/a/b/v1/chat/completions", "chat"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        const struct dp_llm_dialect *d = dp_llm_dialect_of_path(gw_str_of(table[i].path));
        CU_ASSERT_EQUAL(d == NULL, table[i].want == NULL);
        if (d && table[i].want) CU_ASSERT_STRING_EQUAL(d->id, table[i].want);
    }
}

// --- errors of the dialect ----------------------------------------------------------------------

static const struct dp_llm_dialect *chat(void) {
    return dp_llm_dialect_find(GW_STR("chat"));
}

static json_t *load(const char *text) {
    json_t *v = json_loads(text, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    return v;
}

static void errors_have_the_type_of_their_status(void) {
    static const struct {
        int status;
        const char *type;
    } table[] = {
        {400, "invalid_request_error"}, {401, "authentication_error"},  {403, "permission_error"},
        {404, "invalid_request_error"}, {413, "invalid_request_error"}, {429, "rate_limit_error"},
        {499, "invalid_request_error"}, {500, "server_error"},          {502, "server_error"},
        {504, "server_error"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_text t = {0};
        chat()->error_body(&t, table[i].status, "a_code", GW_STR("why"));
        GW_JSON_AUTO v = load(t.ptr);
        const json_t *e = gw_json_get(v, "error");
        CU_ASSERT(gw_str_eq(gw_json_str(e, "message"), GW_STR("why")));
        CU_ASSERT(gw_str_eq(gw_json_str(e, "type"), gw_str_of(table[i].type)));
        CU_ASSERT(gw_str_eq(gw_json_str(e, "code"), GW_STR("a_code")));
        CU_ASSERT(json_is_null(json_object_get(e, "param")));
        CU_ASSERT_EQUAL(json_object_size(e), 4);
        CU_ASSERT_EQUAL(json_object_size(v), 1);
        gw_text_fini(&t);
    }
}

// A message may quote what a peer sent: it must neither break the JSON nor the event.
static void messages_are_escaped(void) {
    static const struct {
        struct gw_str message;
        const char *want;
    } table[] = {
        {GW_STR("\",\"x\":\"y"), "\",\"x\":\"y"},
        {GW_STR("a\\b"), "a\\b"},
        {GW_STR("one\n\ndata: two\r\n"), "one\n\ndata: two\r\n"},
        {GW_STR("bad \xff byte"), "bad \xef\xbf\xbd byte"},
        {GW_STR(""), ""},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_text t = {0};
        chat()->error_event(&t, 502, "c", table[i].message);
        struct gw_str s = gw_text_str(&t);
        CU_ASSERT_FATAL(gw_str_starts(s, GW_STR("data: ")) && gw_str_ends(s, GW_STR("}}\n\n")));
        t.ptr[t.len - 2] = 0;
        CU_ASSERT_PTR_NULL(strpbrk(t.ptr, "\r\n")); // one line
        GW_JSON_AUTO v = load(t.ptr + 6);
        CU_ASSERT(
            gw_str_eq(gw_json_str(gw_json_get(v, "error"), "message"), gw_str_of(table[i].want)));
        gw_text_fini(&t);
    }
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(the_controller_knows_our_dialects),
    T(the_controller_knows_our_providers),
    T(providers_are_whole),
    T(dialects_are_whole),
    T(a_paths_end_tells_its_dialect),
    T(errors_have_the_type_of_their_status),
    T(messages_are_escaped),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_llm_catalogue = {"catalogue", NULL, NULL, NULL, NULL, tests};
