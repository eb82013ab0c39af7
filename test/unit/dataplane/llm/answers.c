// SPDX-License-Identifier: Apache-2.0
// See answers.h.
#include "test/unit/dataplane/llm/answers.h"

#include "test/unit/shared/split.h"

static enum gw_rc begin(struct test_call *t, const struct test_answer *a, struct dp_head *head) {
    *head = (struct dp_head){.status = a->status ? a->status : 200};
    enum gw_rc rc = GW_OK;
    if (a->type)
        rc = dp_fields_add(&head->fields, &t->arena, GW_STR("Content-Type"), gw_str_of(a->type));
    if (rc == GW_OK && a->coding)
        rc = dp_fields_add(&head->fields, &t->arena, GW_STR("Content-Encoding"),
                           gw_str_of(a->coding));
    return rc == GW_OK ? dp_llm_answer_begin(t->call, head, &t->code, &t->err) : rc;
}

static enum gw_rc feed(struct test_call *t, struct gw_str piece, struct gw_buf *body) {
    struct gw_slab *slab = gw_slab_get();
    GW_ASSERT(piece.len <= GW_SLAB_BYTES);
    if (piece.len) memcpy(slab->data, piece.ptr, piece.len);
    struct gw_str in = {slab->data, piece.len};
    enum gw_rc rc = dp_llm_answer_data(t->call, slab, in, body, &t->err);
    gw_slab_unref(slab);
    return rc;
}

static void tell_rest(struct test_call *t, enum gw_rc rc, bool told, struct gw_text *out) {
    struct dp_llm_note note;
    dp_llm_call_note(t->call, &note);
    if (!dp_llm_answer_is_committed(t->call)) gw_text_adds(out, " | held");
    if (rc != GW_OK) gw_text_addf(out, " | %d %s%s", t->err.code, t->err.text, told ? " told" : "");
    gw_text_addf(out, " | %s%lld/%lld/%lld", note.usage.estimated ? "~" : "",
                 (long long)note.usage.input, (long long)note.usage.output,
                 (long long)note.usage.cached);
    if (note.failed) gw_text_adds(out, " failed");
}

void test_answer_tell(void *arg, const struct gw_str *pieces, size_t n, struct gw_text *out) {
    static const struct test_backend any = {.name = "any", .weight = 1};
    const struct test_answer *a = arg;
    struct test_rule r;
    struct test_call t;
    struct dp_head head;
    struct gw_buf body = {0};
    struct gw_err err;
    bool told = false;
    test_rule_make(&r, &any, 1);
    enum gw_rc rc = test_call_ready(
        &t, &r.rule,
        a->asked ? "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"
                 : "{\"model\":\"m\",\"stream\":true}");
    GW_ASSERT(rc == GW_OK);
    rc = begin(&t, a, &head);
    if (rc != GW_OK) {
        gw_text_addf(out, "[begin %s %d: %s]", t.code, t.err.code, t.err.text);
    } else {
        for (size_t i = 0; i < n && rc == GW_OK; i++)
            rc = feed(&t, pieces[i], &body);
        enum gw_rc end = dp_llm_answer_end(t.call, rc == GW_OK && !a->cut, &body, &told, &err);
        if (rc == GW_OK) t.err = err;
        test_buf_text(&body, out);
        tell_rest(&t, end, told, out);
    }
    gw_buf_fini(&body);
    test_call_fini(&t);
}

bool test_answer_is(const struct test_answer *a, struct gw_str body, const char *want) {
    struct gw_text told;
    bool is_same = split_run_text(body, test_answer_tell, (void *)(uintptr_t)a, &told);
    bool is_right = told.ptr && strcmp(told.ptr, want) == 0;
    if (!is_right) printf("\n--- got\n%s\n--- want\n%s\n", told.ptr ? told.ptr : "", want);
    gw_text_fini(&told);
    return is_same && is_right;
}
