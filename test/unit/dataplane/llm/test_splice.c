// SPDX-License-Identifier: Apache-2.0
// The splice: every order and form of the members that are read, in one piece and in two of every
// length. What goes out must be the body's own bytes but for the change, and the tree that jansson
// makes of it must be the one that jansson's own change gives.
#include "test/unit/dataplane/llm/backends.h"
#include "test/unit/shared/split.h"

#include <CUnit/CUnit.h>

#define UPSTREAM "\"up\""
#define MEMBERS 4

// One form of a member. want: its text upstream where it changes. NULL text: the member is absent.
struct form {
    const char *text, *want;
};
static const struct form models[] = {
    {"\"a\"", UPSTREAM},       {NULL, NULL},           {"null", UPSTREAM}, {"\"\"", UPSTREAM},
    {"\"\\u0061\"", UPSTREAM}, {"\"u\\u0070\"", NULL},
};
static const struct form streams[] = {
    {"true", NULL}, {"false", NULL}, {"null", NULL}, {NULL, NULL}};
static const struct form options[] = {
    {NULL, NULL},
    {"null", "{\"include_usage\":true}"},
    {"{}", "{\"include_usage\":true}"},
    {"{ \n}", "{\"include_usage\":true \n}"},
    {"{\"include_usage\":true}", NULL},
    {"{\"include_usage\":false}", "{\"include_usage\":true}"},
    {"{\"include_usage\":null}", "{\"include_usage\":true}"},
    {"{ \"include_usage\" : false , \"y\":[] }", "{ \"include_usage\" : true , \"y\":[] }"},
    {"{\"x\":1}", "{\"include_usage\":true,\"x\":1}"},
    {"{\"x\":{\"include_usage\":0},\"include_usage\":false}",
     "{\"x\":{\"include_usage\":0},\"include_usage\":true}"},
};
static const char others[] = "[{\"model\":\"a\",\"stream\":\"}\\\"]\"},{\"stream_options\":null}]";

// A body of one case and what must become of it.
struct spliced {
    const struct form *model, *stream, *option;
    bool blanks, asks;
    struct gw_text body, want;
    const struct dp_rule *rule;
};

static void add_both(struct spliced *s, const char *text) {
    gw_text_adds(&s->body, text);
    gw_text_adds(&s->want, text);
}

// which: 0 model, 1 stream, 2 options, 3 others. Returns whether there is such a member.
static bool add_member(struct spliced *s, int which, bool first) {
    static const char *const names[MEMBERS] = {"model", "stream", "stream_options", "messages"};
    const struct form rest = {others, NULL};
    const struct form *f[MEMBERS] = {s->model, s->stream, s->option, &rest};
    const char *text = f[which]->text, *want = f[which]->want;
    if (!text) return false;
    if (!want || (which == 2 && !s->asks)) want = text;
    add_both(s, first ? "" : ",");
    add_both(s, s->blanks ? "\n \"" : "\"");
    add_both(s, names[which]);
    add_both(s, s->blanks ? "\" :\t" : "\":");
    gw_text_adds(&s->body, text);
    gw_text_adds(&s->want, want);
    if (s->blanks) add_both(s, " ");
    return true;
}

static void make_texts(struct spliced *s, const int *order) {
    bool first = true;
    gw_text_reset(&s->body);
    gw_text_reset(&s->want);
    s->asks = s->stream->text && strcmp(s->stream->text, "true") == 0 &&
              !(s->option->text && strstr(s->option->text, "usage\":true"));
    add_both(s, s->blanks ? " \r\n{" : "{");
    for (int i = 0; i < MEMBERS; i++)
        if (add_member(s, order[i], first)) first = false;
    if (!s->model->text) gw_text_adds(&s->want, ",\"model\":" UPSTREAM);
    if (s->asks && !s->option->text)
        gw_text_adds(&s->want, ",\"stream_options\":{\"include_usage\":true}");
    add_both(s, s->blanks ? "}\n" : "}");
}

// Each piece in a slab of its own, as a slow client's reads would be.
static void push_pieces(struct gw_buf *body, const struct gw_str *pieces, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct gw_slab *slab = gw_slab_get();
        if (pieces[i].len) memcpy(slab->data, pieces[i].ptr, pieces[i].len);
        gw_buf_push(body, slab, slab->data, pieces[i].len);
        gw_slab_unref(slab);
    }
}

static bool gives_what_is_wanted(void *arg, const struct gw_str *pieces, size_t n) {
    const struct spliced *s = arg;
    struct test_call t;
    struct gw_buf body = {0};
    struct gw_text got = {0};
    test_call_init(&t);
    push_pieces(&body, pieces, n);
    bool is_right = test_call_plan(&t, s->rule, pieces, n, 0) == GW_OK;
    if (is_right) {
        dp_llm_call_splice(t.call, &body);
        test_buf_text(&body, &got);
        is_right = gw_str_eq(gw_text_str(&got), gw_text_str(&s->want)) && body.bytes == got.len;
    }
    if (!is_right)
        printf("\nbody %s\nwant %s\ngot  %s\n", s->body.ptr, s->want.ptr, got.ptr ? got.ptr : "");
    gw_text_fini(&got);
    gw_buf_fini(&body);
    test_call_fini(&t);
    return is_right;
}

// The wanted text itself must be what jansson says.
static bool jansson_agrees(const struct spliced *s) {
    GW_JSON_AUTO tree = json_loadb(s->body.ptr, s->body.len, 0, NULL);
    GW_JSON_AUTO want = json_loadb(s->want.ptr, s->want.len, JSON_REJECT_DUPLICATES, NULL);
    json_object_set_new(tree, "model", json_string("up"));
    if (s->asks) {
        json_t *o = json_object_get(tree, "stream_options");
        if (!json_is_object(o)) {
            o = json_object();
            json_object_set_new(tree, "stream_options", o);
        }
        json_object_set_new(o, "include_usage", json_true());
    }
    return tree && want && json_equal(tree, want);
}

static bool check(struct spliced *s, const int *order, bool every_cut) {
    make_texts(s, order);
    struct gw_str body = gw_text_str(&s->body);
    if (!jansson_agrees(s)) {
        printf("\njansson: %s\nnot %s\n", s->body.ptr, s->want.ptr);
        return false;
    }
    return every_cut ? split_run(body, gives_what_is_wanted, s) : gives_what_is_wanted(s, &body, 1);
}

static void make_order(int number, int *order) {
    int left[MEMBERS] = {0, 1, 2, 3};
    for (int i = 0; i < MEMBERS; i++) {
        int n = MEMBERS - i, at = number % n;
        number /= n;
        order[i] = left[at];
        memmove(left + at, left + at + 1, (size_t)(n - at - 1) * sizeof(*left));
    }
}

#define ORDERS 24 // of four members

static void in_every_order(const struct form *const *stream, size_t streams_n, size_t models_n,
                           bool every_cut) {
    const struct test_backend b = {"up", "up", "a=up", "up", 1};
    struct test_rule r;
    test_rule_make(&r, &b, 1);
    size_t slabs = gw_slab_in_use();
    struct spliced s = {.rule = &r.rule};
    bool is_right = true;
    for (size_t i = 0; i < models_n * streams_n * GW_ARRAY_LEN(options) * ORDERS && is_right; i++) {
        size_t rest = i / ORDERS;
        int order[MEMBERS];
        make_order((int)(i % ORDERS), order);
        s.option = &options[rest % GW_ARRAY_LEN(options)];
        rest /= GW_ARRAY_LEN(options);
        s.stream = stream[rest % streams_n];
        s.model = &models[rest / streams_n];
        s.blanks = !s.blanks;
        is_right = check(&s, order, every_cut);
        s.blanks = !s.blanks;
        is_right = is_right && check(&s, order, false);
        s.blanks = i % 5 < 2;
    }
    CU_ASSERT(is_right);
    CU_ASSERT_EQUAL(gw_slab_in_use(), slabs);
    gw_text_fini(&s.body);
    gw_text_fini(&s.want);
}

static void every_form_in_every_order(void) {
    const struct form *all[] = {&streams[0], &streams[1], &streams[2], &streams[3]};
    in_every_order(all, GW_ARRAY_LEN(all), GW_ARRAY_LEN(models), false);
}

static void streams_cut_at_every_byte(void) {
    const struct form *on[] = {&streams[0]};
    in_every_order(on, 1, 3, true);
}

struct given {
    const struct test_rule *rule;
    const char *body, *want;
};

static bool becomes(void *arg, const struct gw_str *pieces, size_t n) {
    const struct given *g = arg;
    struct spliced s = {.rule = &g->rule->rule};
    gw_text_adds(&s.body, g->body);
    gw_text_adds(&s.want, g->want);
    bool is_right = gives_what_is_wanted(&s, pieces, n);
    gw_text_fini(&s.body);
    gw_text_fini(&s.want);
    return is_right;
}

static void bodies_by_hand(void) {
    static const char *const table[][2] = {
        {"{}", "{\"model\":\"d\\\"\\\\\"}"},
        {" { } ", " { \"model\":\"d\\\"\\\\\"} "},
        {"{\"stream\":true}", "{\"stream\":true,\"model\":\"d\\\"\\\\\","
                              "\"stream_options\":{\"include_usage\":true}}"},
        // The same name needs no edit, however it is written.
        {"{\"model\":\"\\u006d\", \"n\":1e400}", "{\"model\":\"\\u006d\", \"n\":1e400}"},
        // A key that is written with escapes is the same key.
        {"{\"mod\\u0065l\":\"a\"}", "{\"mod\\u0065l\":\"b\"}"},
        {"{\"model\":\"a\",\"str\\u0065am\":true}",
         "{\"model\":\"b\",\"str\\u0065am\":true,\"stream_options\":{\"include_usage\":true}}"},
        // Only the top level counts.
        {"{\"x\":{\"model\":\"a\",\"stream\":true},\"model\":\"a\"}",
         "{\"x\":{\"model\":\"a\",\"stream\":true},\"model\":\"b\"}"},
        // What jansson does not keep: duplicates of others, escapes, spelling of numbers.
        {"{\"x\":1,\"x\":1.50,\"y\":\"\\u00e9\\ud83d\\ude00\",\"model\":\"a\"}",
         "{\"x\":1,\"x\":1.50,\"y\":\"\\u00e9\\ud83d\\ude00\",\"model\":\"b\"}"},
        {"{\"model\":\"m\",\"stream\":false,\"stream_options\":{}}",
         "{\"model\":\"m\",\"stream\":false,\"stream_options\":{}}"},
    };
    const struct test_backend b = {"b", "m", "a=b", "d\"\\", 1};
    struct test_rule r;
    test_rule_make(&r, &b, 1);
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct given g = {&r, table[i][0], table[i][1]};
        CU_ASSERT(split_run(gw_str_of(table[i][0]), becomes, &g));
    }
}

// A long body passes by reference: only what is written anew takes room.
static void a_long_body_is_not_copied(void) {
    const struct test_backend b = {"b", "m", "a=b", NULL, 1};
    struct test_rule r;
    struct gw_buf body = {0};
    struct gw_slab *slab = gw_slab_get();
    test_rule_make(&r, &b, 1);
    memset(slab->data, ' ', GW_SLAB_BYTES);
    memcpy(slab->data, "{\"model\":\"a\",\"x\":", 17);
    memcpy(slab->data + GW_SLAB_BYTES - 2, "1}", 2);
    gw_buf_push(&body, slab, slab->data, GW_SLAB_BYTES);
    struct gw_str piece = {slab->data, GW_SLAB_BYTES};
    struct test_call t;
    test_call_init(&t);
    CU_ASSERT_EQUAL_FATAL(test_call_plan(&t, &r.rule, &piece, 1, 0), GW_OK);
    dp_llm_call_splice(t.call, &body);
    CU_ASSERT_EQUAL(body.bytes, GW_SLAB_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(body.head);
    CU_ASSERT_PTR_EQUAL(body.head->slice.ptr, slab->data);
    CU_ASSERT_PTR_EQUAL(body.tail->slice.ptr + body.tail->slice.len, slab->data + GW_SLAB_BYTES);
    test_call_fini(&t);
    gw_buf_fini(&body);
    gw_slab_unref(slab);
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(bodies_by_hand),
    T(every_form_in_every_order),
    T(streams_cut_at_every_byte),
    T(a_long_body_is_not_copied),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_llm_splice = {"splice", NULL, NULL, NULL, NULL, tests};
