// SPDX-License-Identifier: Apache-2.0
// The fuzz corpus of the HTTP/1.1 decoder: each file does what its name says (req-ok-*,
// req-bad-STATUS-*, res-ok-*, res-bad-*), is read alike however it is cut, and whatever is accepted
// is read by a second parser (http_parser, strict) in the same way.
#include "test/unit/dataplane/codec/h1_transcript.h"
#include "test/unit/shared/split.h"

#include <CUnit/CUnit.h>
#include <dirent.h>
#include <http_parser.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_codec_h1_compare;

#define CORPUS "test/fuzz/corpus/h1"
#define FILES_MIN 60
#define FILE_BYTES_MAX ((size_t)256 * 1024)
// Larger files are cut at some places only.
#define EVERY_BYTE_MAX 2048
#define CUTS_STEP 37

// --- files -------------------------------------------------------------------------------------

static struct gw_str read_file(const char *name) {
    char path[512];
    snprintf(path, sizeof(path), CORPUS "/%s", name);
    FILE *f = fopen(path, "rb");
    if (!f) return (struct gw_str){NULL, 0};
    char *p = gw_alloc(FILE_BYTES_MAX);
    size_t n = fread(p, 1, FILE_BYTES_MAX, f);
    fclose(f);
    return (struct gw_str){p, n};
}

static void drop(struct gw_str bytes) {
    union {
        const char *borrowed;
        char *owned;
    } p = {bytes.ptr};
    free(p.owned);
}

// Calls check with each file, as what its name says and as the other role; returns how many there
// were.
static unsigned each_file(void (*check)(const char *name, const struct h1_stream *s)) {
    struct dirent **entries = NULL;
    int n = scandir(CORPUS, &entries, NULL, alphasort);
    unsigned files = 0;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        struct gw_str bytes = name[0] == '.' ? (struct gw_str){NULL, 0} : read_file(name);
        if (bytes.ptr) {
            check(name, &(struct h1_stream){.role = DP_H1_REQUESTS, .bytes = bytes});
            check(name, &(struct h1_stream){.role = DP_H1_RESPONSES, .bytes = bytes});
            check(name, &(struct h1_stream){
                            .role = DP_H1_RESPONSES, .answers_head = true, .bytes = bytes});
            check(name, &(struct h1_stream){
                            .role = DP_H1_RESPONSES, .may_upgrade = true, .bytes = bytes});
            drop(bytes);
            files++;
        }
        free(entries[i]);
    }
    free(entries);
    return files;
}

static void blame(const char *name, const char *what, const struct gw_text *a,
                  const struct gw_text *b) {
    CU_FAIL("see the output");
    printf("\n%s: %s\n--- first\n" GW_STR_FMT "\n--- second\n" GW_STR_FMT "\n", name, what,
           GW_STR_ARG(gw_text_str(a)), GW_STR_ARG(gw_text_str(b)));
}

// --- names -------------------------------------------------------------------------------------

static void check_name(const char *name, const struct h1_stream *s) {
    bool is_request = strncmp(name, "req-", 4) == 0, is_response = strncmp(name, "res-", 4) == 0;
    // Files that the fuzzer found have other names and promise nothing.
    if (!is_request && !is_response) return;
    if (is_request != (s->role == DP_H1_REQUESTS) || s->answers_head || s->may_upgrade) return;
    struct gw_text got = {0}, want = {0};
    if (strncmp(name + 4, "bad-", 4) == 0) {
        gw_text_addf(&want, " %d ", is_request ? atoi(name + 8) : 502);
    }
    h1_transcript(s, H1_WHOLE, &got);
    const char *error = got.ptr ? memmem(got.ptr, got.len, "error ", 6) : NULL;
    bool is_right = want.len ? error && strstr(error, want.ptr) : !error;
    if (!is_right) blame(name, "is not what its name says", &got, &want);
    gw_text_fini(&got);
    gw_text_fini(&want);
}

static void files_do_what_their_names_say(void) {
    CU_ASSERT(each_file(check_name) >= FILES_MIN);
}

// --- cuts --------------------------------------------------------------------------------------

static void check_some_cuts(const char *name, const struct h1_stream *s) {
    struct gw_text whole = {0}, cut = {0};
    h1_transcript(s, H1_WHOLE, &whole);
    for (size_t at = 1; at <= s->bytes.len; at += CUTS_STEP) {
        h1_transcript(s, at, &cut);
        if (gw_str_eq(gw_text_str(&whole), gw_text_str(&cut))) continue;
        blame(name, "is read differently when cut", &whole, &cut);
        break;
    }
    gw_text_fini(&whole);
    gw_text_fini(&cut);
}

static void check_cuts(const char *name, const struct h1_stream *s) {
    if (s->bytes.len > EVERY_BYTE_MAX) {
        check_some_cuts(name, s);
        return;
    }
    struct h1_stream told = *s;
    bool is_same = split_run_text(s->bytes, h1_transcript_of_pieces, &told, NULL);
    if (!is_same) printf("\n%s is read differently when cut\n", name);
    CU_ASSERT(is_same);
}

static void cuts_change_nothing(void) {
    CU_ASSERT(each_file(check_cuts) >= FILES_MIN);
}

// --- the second parser -------------------------------------------------------------------------

// A message as both parsers are asked to describe it: method or status, target, end-to-end fields,
// body.
struct second {
    struct gw_text text, body, url, name, value;
    struct gw_text fields[DP_H1_FIELDS_MAX * 2];
    unsigned fields_n;
    bool in_value, head_done, complete, skip_body;
};

static struct second *second_of(http_parser *p) {
    return p->data;
}

static void second_field_done(struct second *s) {
    if (s->in_value && s->fields_n + 2 <= GW_ARRAY_LEN(s->fields)) {
        s->fields[s->fields_n++] = s->name;
        s->fields[s->fields_n++] = s->value;
        s->name = s->value = (struct gw_text){0};
    }
    s->in_value = false;
}

static int on_url(http_parser *p, const char *at, size_t n) {
    gw_text_add(&second_of(p)->url, at, n);
    return 0;
}
static int on_name(http_parser *p, const char *at, size_t n) {
    struct second *s = second_of(p);
    if (s->head_done) return 0;
    second_field_done(s);
    gw_text_add(&s->name, at, n);
    return 0;
}
static int on_value(http_parser *p, const char *at, size_t n) {
    struct second *s = second_of(p);
    if (s->head_done) return 0;
    s->in_value = true;
    gw_text_add(&s->value, at, n);
    return 0;
}
static int on_headers(http_parser *p) {
    struct second *s = second_of(p);
    second_field_done(s);
    s->head_done = true;
    // That no body follows a 304 is left to its caller, as for answers to HEAD.
    return (s->skip_body && p->status_code >= 200) || p->status_code == 304 ? 1 : 0;
}
static int on_body(http_parser *p, const char *at, size_t n) {
    gw_text_add(&second_of(p)->body, at, n);
    return 0;
}
static int on_complete(http_parser *p) {
    second_of(p)->complete = true;
    http_parser_pause(p, 1);
    return 0;
}

static void second_fini(struct second *s) {
    for (unsigned i = 0; i < s->fields_n; i++)
        gw_text_fini(&s->fields[i]);
    gw_text_fini(&s->text);
    gw_text_fini(&s->body);
    gw_text_fini(&s->url);
    gw_text_fini(&s->name);
    gw_text_fini(&s->value);
}

static const char *const never_passed[] = {
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
};

static bool is_listed(struct gw_str list, struct gw_str name) {
    while (list.len) {
        if (gw_str_eq_nocase(gw_str_trim(gw_str_cut(&list, ',')), name)) return true;
    }
    return false;
}

static bool is_passed(const struct second *s, struct gw_str name) {
    for (size_t i = 0; i < GW_ARRAY_LEN(never_passed); i++) {
        if (gw_str_eq_nocase(gw_str_of(never_passed[i]), name)) return false;
    }
    if (dp_field_id_of(name) != DP_F_OTHER) return true;
    for (unsigned i = 0; i < s->fields_n; i += 2) {
        bool is_connection = gw_str_eq_nocase(gw_text_str(&s->fields[i]), GW_STR("connection"));
        if (is_connection && is_listed(gw_text_str(&s->fields[i + 1]), name)) return false;
    }
    return true;
}

static void say_field(struct gw_text *out, struct gw_str name, struct gw_str value) {
    gw_text_add(out, name.ptr, name.len);
    gw_text_adds(out, "|");
    if (value.len) gw_text_add(out, value.ptr, value.len);
    gw_text_adds(out, "\n");
}

// What the second parser saw, in the form of describe() below.
static void second_describe(struct second *s, const http_parser *p, bool is_request) {
    if (is_request) {
        gw_text_addf(&s->text, "%s minor %u\n", http_method_str((enum http_method)p->method),
                     p->http_minor);
    } else {
        gw_text_addf(&s->text, "%u minor %u\n", p->status_code, p->http_minor);
    }
    for (unsigned i = 0; i < s->fields_n; i += 2) {
        struct gw_str name = gw_text_str(&s->fields[i]);
        if (is_passed(s, name)) {
            say_field(&s->text, name, gw_str_trim(gw_text_str(&s->fields[i + 1])));
        }
    }
}

// --- ours beside it ----------------------------------------------------------------------------

#define HEADS_MAX 64
struct ours {
    const char *name;
    const struct h1_stream *s;
    // The message being read.
    struct gw_text heads[HEADS_MAX], body, target;
    unsigned heads_n;
    bool known_method, until_close;
    size_t begin;
    unsigned *compared;
};

static void describe(struct gw_text *out, const struct dp_head *h) {
    if (h->status) {
        gw_text_addf(out, "%d minor %u\n", h->status, h->minor_version);
    } else {
        gw_text_add(out, h->method_text.ptr, h->method_text.len);
        gw_text_addf(out, " minor %u\n", h->minor_version);
    }
    for (unsigned i = 0; i < h->fields.len; i++)
        say_field(out, h->fields.ptr[i].name, h->fields.ptr[i].value);
}

static void on_our_head(void *arg, const struct dp_head *h, bool is_interim, size_t until) {
    struct ours *o = arg;
    (void)is_interim;
    (void)until;
    GW_ASSERT(o->heads_n < HEADS_MAX);
    describe(&o->heads[o->heads_n++], h);
    o->known_method = h->method != DP_METHOD_OTHER;
    o->until_close = h->until_close;
    gw_text_reset(&o->target);
    if (h->target.len) gw_text_add(&o->target, h->target.ptr, h->target.len);
}

static void on_our_data(void *arg, struct gw_str data) {
    gw_text_add(&((struct ours *)arg)->body, data.ptr, data.len);
}

// An absolute target became origin form; its path is the rest of the URL.
static bool is_same_target(struct gw_str ours, struct gw_str url) {
    if (gw_str_eq(ours, url)) return true;
    if (!memmem(url.ptr, url.len, "://", 3)) return false;
    if (ours.len == 1) return true;
    if (ours.len > 1 && ours.ptr[1] == '?') ours = (struct gw_str){ours.ptr + 1, ours.len - 1};
    return gw_str_ends(url, ours);
}

// One head (and after the last its body) by the second parser; false: stop here.
static bool compare_head(struct ours *o, unsigned i, size_t *at, size_t until) {
    static const http_parser_settings settings = {
        .on_url = on_url,
        .on_header_field = on_name,
        .on_header_value = on_value,
        .on_headers_complete = on_headers,
        .on_body = on_body,
        .on_message_complete = on_complete,
    };
    struct second s = {.skip_body = o->s->answers_head};
    http_parser p;
    bool is_request = o->s->role == DP_H1_REQUESTS, is_last = i + 1 == o->heads_n;
    http_parser_init(&p, is_request ? HTTP_REQUEST : HTTP_RESPONSE);
    p.data = &s;
    *at += http_parser_execute(&p, &settings, o->s->bytes.ptr + *at, until - *at);
    if (is_last && o->until_close && !s.complete) http_parser_execute(&p, &settings, NULL, 0);
    // It knows the methods of its list alone.
    bool is_unknown = HTTP_PARSER_ERRNO(&p) == HPE_INVALID_METHOD && !o->known_method;
    if (!is_unknown) {
        second_describe(&s, &p, is_request);
        if (!s.complete) gw_text_adds(&s.text, http_errno_description(HTTP_PARSER_ERRNO(&p)));
        if (!gw_str_eq(gw_text_str(&s.text), gw_text_str(&o->heads[i])) || !s.complete) {
            blame(o->name, "heads differ", &o->heads[i], &s.text);
        }
        if (is_last && !gw_str_eq(gw_text_str(&s.body), gw_text_str(&o->body))) {
            blame(o->name, "bodies differ", &o->body, &s.body);
        }
        if (is_request && !is_same_target(gw_text_str(&o->target), gw_text_str(&s.url))) {
            blame(o->name, "targets differ", &o->target, &s.url);
        }
        if (is_last) CU_ASSERT_EQUAL(*at, until);
        ++*o->compared;
    }
    second_fini(&s);
    return !is_unknown;
}

static void on_our_end(void *arg, size_t until) {
    struct ours *o = arg;
    size_t at = o->begin;
    for (unsigned i = 0; i < o->heads_n; i++) {
        if (!compare_head(o, i, &at, until)) break;
    }
    for (unsigned i = 0; i < o->heads_n; i++)
        gw_text_fini(&o->heads[i]);
    o->heads_n = 0;
    gw_text_reset(&o->body);
    o->begin = until;
}

static unsigned compared;

static void check_second(const char *name, const struct h1_stream *s) {
    if (s->may_upgrade) return; // to it, what follows is nobody's
    struct h1_stream told = *s;
    struct ours o = {.name = name, .s = s, .compared = &compared};
    struct gw_text out = {0};
    told.on_head = on_our_head;
    told.on_data = on_our_data;
    told.on_end = on_our_end;
    told.arg = &o;
    h1_transcript(&told, H1_WHOLE, &out);
    for (unsigned i = 0; i < o.heads_n; i++)
        gw_text_fini(&o.heads[i]);
    gw_text_fini(&o.body);
    gw_text_fini(&o.target);
    gw_text_fini(&out);
}

static void a_second_parser_agrees(void) {
    compared = 0;
    CU_ASSERT(each_file(check_second) >= FILES_MIN);
    CU_ASSERT(compared >= 50);
}

static struct gw_text was, is;
static const char *encoded_name;
static bool encoded_answers_head;
static void on_encoded_head(void *arg, const struct dp_head *h, bool is_interim, size_t until) {
    (void)arg;
    (void)until;
    bool is_same = h1_encodes_back(h, is_interim, encoded_answers_head, &was, &is);
    if (!is_same) blame(encoded_name, "is encoded as another head", &was, &is);
    CU_ASSERT(is_same);
}

static void check_encoded(const char *name, const struct h1_stream *s) {
    struct h1_stream told = *s;
    struct gw_text out = {0};
    told.on_head = on_encoded_head;
    encoded_name = name;
    encoded_answers_head = s->answers_head;
    h1_transcript(&told, H1_WHOLE, &out);
    gw_text_fini(&out);
    gw_text_fini(&was);
    gw_text_fini(&is);
}

static void heads_are_encoded_as_they_were_read(void) {
    CU_ASSERT(each_file(check_encoded) >= FILES_MIN);
}

static CU_TestInfo tests[] = {
    {"files do what their names say", files_do_what_their_names_say},
    {"cuts change nothing", cuts_change_nothing},
    {"a second parser agrees", a_second_parser_agrees},
    {"heads are encoded as they were read", heads_are_encoded_as_they_were_read},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h1_compare = {"h1_compare", NULL, NULL, NULL, NULL, tests};
