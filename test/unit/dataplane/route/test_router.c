// SPDX-License-Identifier: Apache-2.0
// The router: precedence by tables, and against a matcher that asks every rule in turn.
#include "dataplane/route/route.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

extern CU_SuiteInfo suite_dataplane_route_router;

// --- rules and requests as text ----------------------------------------------------------------

#define PAIRS_MAX 4
// {hostname, "=/exact" or "/prefix", method, headers, query}: "n:v n:v". A rule's target is itself.
struct rule {
    const char *hostname, *path, *method, *headers, *query;
};
struct request {
    const char *host, *method, *target, *fields; // fields: "n:v n:v"
};

static unsigned read_pairs(const char *text, struct dp_match_pair *ret) {
    struct gw_str rest = gw_str_of(text ? text : "");
    unsigned n = 0;
    while (rest.len) {
        struct gw_str value = gw_str_cut(&rest, ' ');
        struct gw_str name = gw_str_cut(&value, ':');
        GW_ASSERT(n < PAIRS_MAX);
        ret[n++] = (struct dp_match_pair){name, value};
    }
    return n;
}

static void add(struct dp_router_builder *b, const struct rule *r) {
    struct dp_match_pair headers[PAIRS_MAX], query[PAIRS_MAX];
    bool is_exact = r->path[0] == '=';
    struct dp_match m = {
        .path_type = is_exact ? DP_PATH_EXACT : DP_PATH_PREFIX,
        .path = gw_str_of(r->path + is_exact),
        .method = gw_str_of(r->method ? r->method : ""),
        .headers = headers,
        .query = query,
        .headers_n = read_pairs(r->headers, headers),
        .query_n = read_pairs(r->query, query),
    };
    dp_router_add(b, gw_str_of(r->hostname), &m, r);
}

static struct dp_router *build(const struct rule *rules, size_t n) {
    struct dp_router_builder *b = dp_router_builder_new();
    for (size_t i = 0; i < n; i++)
        add(b, &rules[i]);
    return dp_router_build(b);
}

static enum dp_method method_of(const char *s) {
    if (strcmp(s, "GET") == 0) return DP_METHOD_GET;
    if (strcmp(s, "POST") == 0) return DP_METHOD_POST;
    return DP_METHOD_OTHER;
}

static struct dp_head head_of(const struct request *r, struct gw_arena *a) {
    struct gw_str target = gw_str_of(r->target), query = target;
    struct gw_str path = gw_str_cut(&query, '?');
    struct dp_head h = {
        .method = method_of(r->method),
        .method_text = gw_str_of(r->method),
        .target = target,
        .path = path,
        .query = query,
        .host = gw_str_of(r->host),
        .authority = gw_str_of(r->host),
    };
    struct dp_match_pair pairs[PAIRS_MAX];
    unsigned n = read_pairs(r->fields, pairs);
    for (unsigned i = 0; i < n; i++)
        CU_ASSERT_EQUAL(dp_fields_add(&h.fields, a, pairs[i].name, pairs[i].value), GW_OK);
    return h;
}

static const struct rule *ask(const struct dp_router *router, const struct request *r) {
    struct gw_arena a = {0};
    struct dp_head h = head_of(r, &a);
    const struct rule *found = dp_router_match(router, &h);
    gw_arena_fini(&a);
    return found;
}

struct expectation {
    struct request request;
    int rule; // index; -1: none
};

static void check(const struct rule *rules, size_t rules_n, const struct expectation *e, size_t n) {
    struct dp_router *router = build(rules, rules_n);
    for (size_t i = 0; i < n; i++) {
        const struct rule *found = ask(router, &e[i].request);
        int got = found ? (int)(found - rules) : -1;
        CU_ASSERT_EQUAL(got, e[i].rule);
        if (got != e[i].rule) {
            printf("\n%s %s %s %s: rule %d, wanted %d\n", e[i].request.method, e[i].request.host,
                   e[i].request.target, e[i].request.fields ? e[i].request.fields : "", got,
                   e[i].rule);
        }
    }
    dp_router_free(router);
}
#define CHECK(rules, expectations)                                                                 \
    check(rules, GW_ARRAY_LEN(rules), expectations, GW_ARRAY_LEN(expectations))

// --- tables ------------------------------------------------------------------------------------

static void an_empty_router_matches_nothing(void) {
    struct dp_router *router = build(NULL, 0);
    CU_ASSERT_PTR_NULL(ask(router, &(struct request){"a", "GET", "/", NULL}));
    CU_ASSERT_PTR_NULL(ask(router, &(struct request){"", "GET", "", NULL}));
    dp_router_free(router);
    dp_router_free(NULL);
}

static void prefixes_end_where_segments_do(void) {
    static const struct rule rules[] = {
        {"", "/a", NULL, NULL, NULL},
        {"", "/a/b", NULL, NULL, NULL},
        {"", "/long/prefix/of/four", NULL, NULL, NULL},
    };
    static const struct expectation e[] = {
        {{"x", "GET", "/", NULL}, -1},
        {{"x", "GET", "/ab", NULL}, -1},
        {{"x", "GET", "/A", NULL}, -1},
        {{"x", "GET", "/b/a", NULL}, -1},
        {{"x", "GET", "//a", NULL}, -1},
        {{"x", "GET", "/%61", NULL}, -1},
        {{"x", "GET", "/long/prefix/of", NULL}, -1},
        {{"x", "GET", "/long/prefix/of/fourx", NULL}, -1},
        {{"x", "GET", "*", NULL}, -1},
        {{"x", "GET", "", NULL}, -1},
        {{"x", "GET", "/a", NULL}, 0},
        {{"x", "GET", "/a/", NULL}, 0},
        {{"x", "GET", "/a?b", NULL}, 0},
        {{"x", "GET", "/a/bc", NULL}, 0},
        {{"x", "GET", "/a//b", NULL}, 0},
        {{"x", "GET", "/a/b", NULL}, 1},
        {{"x", "GET", "/a/b/", NULL}, 1},
        {{"x", "GET", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", NULL}, 1},
        {{"x", "GET", "/long/prefix/of/four", NULL}, 2},
        {{"x", "GET", "/long/prefix/of/four/five", NULL}, 2},
    };
    CHECK(rules, e);
}

static void the_root_prefix_takes_every_path(void) {
    static const struct rule rules[] = {{"", "/", NULL, NULL, NULL}};
    static const struct expectation e[] = {
        {{"x", "GET", "*", NULL}, -1}, {{"x", "GET", "", NULL}, -1},
        {{"x", "GET", "/", NULL}, 0},  {{"x", "GET", "/a/b/c", NULL}, 0},
        {{"x", "GET", "//", NULL}, 0}, {{"x", "GET", "/a/", NULL}, 0},
        {{"", "GET", "/", NULL}, 0},
    };
    CHECK(rules, e);
}

static void exact_paths_come_before_prefixes(void) {
    static const struct rule rules[] = {
        {"", "/a/b", "GET", "h:1 i:2", "q:1"},
        {"", "=/a/b", NULL, NULL, NULL},
        {"", "/a", NULL, NULL, NULL},
        {"", "=/", NULL, NULL, NULL},
    };
    static const struct expectation e[] = {
        {{"x", "GET", "/a/b?q=1", "h:1 i:2"}, 1}, {{"x", "GET", "/a/b/?q=1", "h:1 i:2"}, 0},
        {{"x", "GET", "/a/b/", NULL}, 2},         {{"x", "GET", "/", NULL}, 3},
        {{"x", "GET", "/b", NULL}, -1},
    };
    CHECK(rules, e);
}

static void longer_prefixes_come_first_and_fall_back(void) {
    static const struct rule rules[] = {
        {"", "/", NULL, NULL, NULL},
        {"", "/a", "GET", "h:1", NULL},
        {"", "/a/b", NULL, "h:2", NULL},
        {"", "/a/b/c", NULL, "h:3", NULL},
    };
    static const struct expectation e[] = {
        {{"x", "GET", "/a/b/c/d", "h:3"}, 3}, {{"x", "GET", "/a/b/c/d", "h:2"}, 2},
        {{"x", "GET", "/a/b/c/d", "h:1"}, 1}, {{"x", "POST", "/a/b/c/d", "h:1"}, 0},
        {{"x", "GET", "/a/b/c/d", NULL}, 0},
    };
    CHECK(rules, e);
}

static void precedence_within_a_path(void) {
    static const struct rule rules[] = {
        {"", "/", NULL, NULL, NULL},      {"", "/", NULL, NULL, "q:1 r:2"},
        {"", "/", NULL, "h:1", NULL},     {"", "/", NULL, "h:1", "q:1"},
        {"", "/", NULL, "h:1 i:2", NULL}, {"", "/", "GET", NULL, NULL},
        {"", "/", NULL, NULL, NULL},
    };
    static const struct expectation e[] = {
        {{"x", "GET", "/?q=1&r=2", "h:1 i:2"}, 5}, {{"x", "POST", "/?q=1&r=2", "h:1 i:2"}, 4},
        {{"x", "POST", "/?q=1&r=2", "h:1"}, 3},    {{"x", "POST", "/", "h:1"}, 2},
        {{"x", "POST", "/?q=1&r=2", "h:2"}, 1},    {{"x", "POST", "/?r=2", NULL}, 0},
    };
    CHECK(rules, e);
}

static void equal_matches_take_the_oldest(void) {
    static const struct rule rules[] = {
        {"", "/b", NULL, NULL, NULL},  {"", "/a", NULL, "h:1", NULL}, {"", "/a", NULL, "i:1", NULL},
        {"", "/a", NULL, "h:1", NULL}, {"", "/b", NULL, NULL, NULL},
    };
    static const struct expectation e[] = {
        {{"x", "GET", "/a", "h:1 i:1"}, 1},
        {{"x", "GET", "/a", "i:1"}, 2},
        {{"x", "GET", "/b", NULL}, 0},
    };
    CHECK(rules, e);
}

static void hosts_in_order_of_fit(void) {
    static const struct rule rules[] = {
        {"", "/", NULL, NULL, NULL},
        {"*.com", "=/com", NULL, NULL, NULL},
        {"*.example.com", "/", NULL, "h:1", NULL},
        {"*.b.example.com", "/b", NULL, NULL, NULL},
        {"a.b.example.com", "/a", NULL, NULL, NULL},
    };
    static const struct expectation e[] = {
        {{"a.b.example.com", "GET", "/a", NULL}, 4},
        {{"a.b.example.com", "GET", "/b", NULL}, 3},
        {{"a.b.example.com", "GET", "/c", "h:1"}, 2},
        {{"a.b.example.com", "GET", "/com", NULL}, 1},
        {{"a.b.example.com", "GET", "/c", NULL}, 0},
        {{"x.a.b.example.com", "GET", "/a", NULL}, 0},
        {{"x.a.b.example.com", "GET", "/b", NULL}, 3},
        {{"b.example.com", "GET", "/b", NULL}, 0},
        {{"b.example.com", "GET", "/", "h:1"}, 2},
        {{"example.com", "GET", "/", "h:1"}, 0},
        {{"com", "GET", "/com", NULL}, 0},
        {{"", "GET", "/", NULL}, 0},
    };
    CHECK(rules, e);
}

static void hosts_that_nothing_covers(void) {
    static const struct rule rules[] = {
        {"*.example.com", "/", NULL, NULL, NULL},
        {"a.test", "/", NULL, NULL, NULL},
        {"2001:db8::5", "/", NULL, NULL, NULL},
    };
    static const struct expectation e[] = {
        {{"example.com", "GET", "/", NULL}, -1},
        {{".example.com", "GET", "/", NULL}, -1},
        {{"", "GET", "/", NULL}, -1},
        {{"b.test", "GET", "/", NULL}, -1},
        {{"x.a.test", "GET", "/", NULL}, -1},
        {{"a.example.com", "GET", "/", NULL}, 0},
        {{"a.test", "GET", "/", NULL}, 1},
        {{"2001:db8::5", "GET", "/", NULL}, 2},
    };
    CHECK(rules, e);
}

static void methods(void) {
    static const struct rule rules[] = {
        {"", "/", "GET", NULL, NULL},
        {"", "/", "BREW", NULL, NULL},
    };
    static const struct expectation e[] = {
        {{"x", "POST", "/", NULL}, -1},  {{"x", "get", "/", NULL}, -1},
        {{"x", "BREWS", "/", NULL}, -1}, {{"x", "GET", "/", NULL}, 0},
        {{"x", "BREW", "/", NULL}, 1},
    };
    CHECK(rules, e);
}

static void http_02_first_of_equivalent_header_names_counts(void) {
    static const struct rule rules[] = {
        {"", "/", NULL, "X-Tier:gold x-tier:silver", NULL},
        {"", "/q", NULL, NULL, "q:1 q:2"},
        // One header and one query parameter, as it counts for precedence: older than the next.
        {"", "/p", NULL, "a:1 A:2 a:3", NULL},
        {"", "/p", NULL, "a:1", "q:1"},
        // Query names differ in case: two parameters.
        {"", "/c", NULL, NULL, "q:1 Q:2"},
    };
    static const struct expectation e[] = {
        {{"x", "GET", "/", "x-TIER:silver"}, -1}, {{"x", "GET", "/", NULL}, -1},
        {{"x", "GET", "/q?q=2", NULL}, -1},       {{"x", "GET", "/c?q=1", NULL}, -1},
        {{"x", "GET", "/", "x-TIER:gold"}, 0},    {{"x", "GET", "/q?q=1", NULL}, 1},
        {{"x", "GET", "/p?q=1", "a:1"}, 3},       {{"x", "GET", "/p", "A:1"}, 2},
        {{"x", "GET", "/c?Q=2&q=1", NULL}, 4},
    };
    CHECK(rules, e);
}

static void header_values(void) {
    static const struct rule rules[] = {
        {"", "/", NULL, "user-agent:t", NULL},
        {"", "/h", NULL, "host:a.test", NULL},
    };
    static const struct expectation e[] = {
        {{"x", "GET", "/", "User-Agent:T"}, -1}, {{"x", "GET", "/", "User-Agent:tt"}, -1},
        {{"x", "GET", "/", "User-Agent:"}, -1},  {{"x", "GET", "/", "User-Agents:t"}, -1},
        {{"x", "GET", "/h", NULL}, -1},          {{"x", "GET", "/", "User-Agent:t"}, 0},
        {{"a.test", "GET", "/h", NULL}, 1},
    };
    CHECK(rules, e);
}

static void repeated_fields_match_as_one_value(void) {
    struct gw_arena a = {0};
    struct dp_match_pair want = {GW_STR("x-a"), GW_STR("1, 2, 3")};
    struct dp_match m = {
        .path_type = DP_PATH_PREFIX, .path = GW_STR("/"), .headers = &want, .headers_n = 1};
    struct dp_router_builder *b = dp_router_builder_new();
    dp_router_add(b, GW_STR(""), &m, "found");
    struct dp_router *router = dp_router_build(b);
    static const struct {
        const char *values[3];
        bool match;
    } cases[] = {
        {{"1", "2", NULL}, false}, {{"1", "2", "33"}, false},      {{"1,2,3", NULL, NULL}, false},
        {{"1", "3", "2"}, false},  {{"1, 2, 3", "", NULL}, false}, {{"1, 2, 3", NULL, NULL}, true},
        {{"1", "2", "3"}, true},   {{"1, 2", "3", NULL}, true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct dp_head h = head_of(&(struct request){"x", "GET", "/", NULL}, &a);
        for (size_t j = 0; j < 3 && cases[i].values[j]; j++) {
            struct gw_str value = gw_str_of(cases[i].values[j]);
            CU_ASSERT_EQUAL(dp_fields_add(&h.fields, &a, GW_STR("X-A"), value), GW_OK);
            CU_ASSERT_EQUAL(dp_fields_add(&h.fields, &a, GW_STR("X-B"), value), GW_OK);
        }
        CU_ASSERT_EQUAL(dp_router_match(router, &h) != NULL, cases[i].match);
    }
    dp_router_free(router);
    gw_arena_fini(&a);
}

// A path of slashes, as long as a target may be, must not make as many look-ups.
static void a_path_of_slashes_is_answered(void) {
    static const struct rule rules[] = {{"", "/", NULL, "h:1", NULL},
                                        {"", "/a/b/c", NULL, NULL, NULL}};
    struct dp_router *router = build(rules, GW_ARRAY_LEN(rules));
    char path[8193];
    memset(path, '/', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    for (unsigned i = 0; i < 100000; i++)
        CU_ASSERT_PTR_NULL(ask(router, &(struct request){"x", "GET", path, NULL}));
    dp_router_free(router);
}

// --- against a matcher that asks every rule ----------------------------------------------------

static bool naive_path(const struct rule *r, struct gw_str path) {
    if (r->path[0] == '=') return gw_str_eq(path, gw_str_of(r->path + 1));
    struct gw_str prefix = gw_str_of(r->path);
    if (prefix.len == 1) return path.len > 0 && path.ptr[0] == '/';
    return gw_str_starts(path, prefix) && (path.len == prefix.len || path.ptr[prefix.len] == '/');
}

static bool naive_pairs(const char *wanted, const struct dp_match_pair *has, unsigned n) {
    struct dp_match_pair want[PAIRS_MAX];
    unsigned want_n = read_pairs(wanted, want);
    for (unsigned i = 0; i < want_n; i++) {
        bool found = false;
        for (unsigned j = 0; j < n; j++)
            found |= gw_str_eq(want[i].name, has[j].name) && gw_str_eq(want[i].value, has[j].value);
        if (!found) return false;
    }
    return true;
}

static bool naive_matches(const struct rule *r, const struct request *q) {
    struct dp_match_pair fields[PAIRS_MAX], query[PAIRS_MAX];
    struct gw_str rest = gw_str_of(q->target), path = gw_str_cut(&rest, '?');
    unsigned fields_n = read_pairs(q->fields, fields), query_n = 0;
    while (rest.len) {
        struct gw_str value = gw_str_cut(&rest, '&'), name = gw_str_cut(&value, '=');
        query[query_n++] = (struct dp_match_pair){name, value};
    }
    if (!dp_hostname_fit(gw_str_of(r->hostname), gw_str_of(q->host))) return false;
    if (!naive_path(r, path)) return false;
    if (r->method && strcmp(r->method, q->method) != 0) return false;
    return naive_pairs(r->headers, fields, fields_n) && naive_pairs(r->query, query, query_n);
}

// Larger is better; the older rule wins a draw.
static long naive_rank(const struct rule *r, const struct request *q) {
    struct dp_match_pair pairs[PAIRS_MAX];
    long fit = dp_hostname_fit(gw_str_of(r->hostname), gw_str_of(q->host));
    long path = r->path[0] == '=' ? 255 : (long)strlen(r->path);
    return fit << 24 | path << 16 | (r->method != NULL) << 12 | read_pairs(r->headers, pairs) << 8 |
           read_pairs(r->query, pairs);
}

static const struct rule *naive_match(const struct rule *rules, size_t n, const struct request *q) {
    const struct rule *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!naive_matches(&rules[i], q)) continue;
        if (!best || naive_rank(&rules[i], q) > naive_rank(best, q)) best = &rules[i];
    }
    return best;
}

#define PICK(list) ((list)[(unsigned)rand_r(&seed) % GW_ARRAY_LEN(list)])
#define ROUNDS 200
#define RULES_MAX 40
#define REQUESTS 200

static void random_rules_against_a_naive_matcher(void) {
    static const char *const hostnames[] = {"",         "a.x.io", "x.io", "*.x.io",
                                            "*.a.x.io", "*.io",   "b"};
    static const char *const hosts[] = {"a.x.io", "b.x.io", "x.io", "c.a.x.io", "y.io", "b", ""};
    static const char *const paths[] = {"/",   "/a", "/a/b",  "/a/bb", "/b/a",
                                        "=/a", "=/", "=/a/b", "=/a/",  "/a/b/c/d"};
    static const char *const targets[] = {"/",        "/a",         "/a/",      "/a/b",
                                          "/a/bb",    "/a/b/c/d/e", "/b/a?q=1", "/a?q=1&r=2",
                                          "/a/b?r=2", "/a/b/c?q=2", "/c",       "//a"};
    static const char *const methods[] = {NULL, NULL, "GET", "POST", "BREW"};
    static const char *const asked[] = {"GET", "POST", "BREW"};
    static const char *const headers[] = {NULL, NULL, "h:1", "i:1", "h:1 i:1", "h:2"};
    static const char *const queries[] = {NULL, NULL, NULL, "q:1", "r:2", "q:1 r:2"};
    unsigned seed = 7, found = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct rule rules[RULES_MAX];
        size_t n = 1 + (unsigned)rand_r(&seed) % RULES_MAX;
        for (size_t i = 0; i < n; i++)
            rules[i] = (struct rule){PICK(hostnames), PICK(paths), PICK(methods), PICK(headers),
                                     PICK(queries)};
        struct dp_router *router = build(rules, n);
        for (unsigned i = 0; i < REQUESTS; i++) {
            struct request q = {PICK(hosts), PICK(asked), PICK(targets), PICK(headers)};
            const struct rule *want = naive_match(rules, n, &q), *got = ask(router, &q);
            found += want != NULL;
            if (want != got) {
                CU_FAIL("differs from the naive matcher");
                printf("\nround %u: %s %s %s %s\n", round, q.method, q.host, q.target, q.fields);
            }
        }
        dp_router_free(router);
    }
    CU_ASSERT(found > ROUNDS * REQUESTS / 4);
}

static void ten_thousand_hosts_and_paths(void) {
    enum { N = 10000 };
    static char names[N][32], paths[N][32];
    static struct rule rules[N];
    for (unsigned i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "h%u.example.com", i / 10);
        snprintf(paths[i], sizeof(paths[i]), "/api/v%u", i % 10);
        rules[i] = (struct rule){names[i], paths[i], NULL, NULL, NULL};
    }
    struct dp_router *router = build(rules, N);
    for (unsigned i = 0; i < N; i++) {
        char target[64];
        snprintf(target, sizeof(target), "/api/v%u/x/y?z", i % 10);
        CU_ASSERT_PTR_EQUAL(ask(router, &(struct request){names[i], "GET", target, NULL}),
                            &rules[i]);
    }
    CU_ASSERT_PTR_NULL(ask(router, &(struct request){"h1.example.com", "GET", "/api", NULL}));
    dp_router_free(router);
}

static void hostnames_that_were_tried(void) {
    static const struct rule rules[] = {
        {"a.example.com", "/", NULL, NULL, NULL}, {"*.example.com", "/", NULL, NULL, NULL},
        {"*.com", "/", NULL, NULL, NULL},         {"", "/", NULL, NULL, NULL},
        {"b.example.com", "/", NULL, NULL, NULL},
    };
    static const struct {
        const char *host, *want;
    } table[] = {
        {"", "*"},
        {".example.com", ".com *"},
        {"other", "*"},
        {"example.com", ".com *"},
        {"a.example.com", "a.example.com .example.com .com *"},
        {"x.y.example.com", ".example.com .com *"},
    };
    struct dp_router *router = build(rules, GW_ARRAY_LEN(rules));
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_str names[8];
        struct gw_text got = {0};
        unsigned n = dp_router_hostnames(router, gw_str_of(table[i].host), names, 8);
        for (unsigned k = 0; k < n; k++)
            gw_text_addf(&got, "%s%.*s", k ? " " : "", names[k].ptr ? (int)names[k].len : 1,
                         names[k].ptr ? names[k].ptr : "*");
        CU_ASSERT_STRING_EQUAL(got.ptr, table[i].want);
        gw_text_fini(&got);
    }
    struct gw_str two[2];
    CU_ASSERT_EQUAL(dp_router_hostnames(router, GW_STR("a.example.com"), two, 2), 2);
    dp_router_free(router);
}

static void the_nearest_match(void) {
    static const struct rule rules[] = {
        {"a.example.com", "=/a", "POST", NULL, NULL},
        {"a.example.com", "/b", "GET", "x-tier:gold x-lab:1", NULL},
        {"a.example.com", "/b", "GET", NULL, "q:1"},
        {"*.example.com", "/c", "PUT", NULL, NULL},
        {"a.example.com", "/c", "POST", "x-tier:gold", NULL},
    };
    static const struct {
        struct request request;
        int rule;
        const char *what, *name;
    } table[] = {
        {{"other", "GET", "/a", NULL}, -1, "hostname", ""},
        {{"", "GET", "/a", NULL}, -1, "hostname", ""},
        {{".example.com", "GET", "/c", NULL}, -1, "hostname", ""},
        {{"a.example.com", "POST", "/a/", NULL}, -1, "path", ""},
        {{"a.example.com", "GET", "/bc", NULL}, -1, "path", ""},
        {{"a.example.com", "GET", "/a", NULL}, 0, "method", ""},
        {{"a.example.com", "PUT", "/b/x", NULL}, 1, "method", ""},
        {{"a.example.com", "GET", "/b", NULL}, 1, "header", "x-tier"},
        {{"a.example.com", "GET", "/b", "x-tier:gold"}, 1, "header", "x-lab"},
        {{"a.example.com", "POST", "/c", NULL}, 4, "header", "x-tier"},
        {{"b.example.com", "GET", "/c", NULL}, 3, "method", ""},
    };
    struct dp_router *router = build(rules, GW_ARRAY_LEN(rules));
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_arena a = {0};
        struct dp_head h = head_of(&table[i].request, &a);
        struct dp_router_miss miss = dp_router_nearest(router, &h);
        CU_ASSERT_PTR_NULL(dp_router_match(router, &h));
        CU_ASSERT_PTR_EQUAL(miss.target, table[i].rule < 0 ? NULL : &rules[table[i].rule]);
        CU_ASSERT_STRING_EQUAL(miss.what, table[i].what);
        CU_ASSERT(gw_str_eq(miss.name, gw_str_of(table[i].name)));
        gw_arena_fini(&a);
    }
    dp_router_free(router);
}

static CU_TestInfo tests[] = {
    {"an empty router matches nothing", an_empty_router_matches_nothing},
    {"hosts that nothing covers", hosts_that_nothing_covers},
    {"prefixes end where segments do", prefixes_end_where_segments_do},
    {"the root prefix takes every path", the_root_prefix_takes_every_path},
    {"exact paths come before prefixes", exact_paths_come_before_prefixes},
    {"longer prefixes come first and fall back", longer_prefixes_come_first_and_fall_back},
    {"precedence within a path", precedence_within_a_path},
    {"equal matches take the oldest", equal_matches_take_the_oldest},
    {"hosts in order of fit", hosts_in_order_of_fit},
    {"methods", methods},
    {"http-02: first of equivalent header names counts",
     http_02_first_of_equivalent_header_names_counts},
    {"header values", header_values},
    {"repeated fields match as one value", repeated_fields_match_as_one_value},
    {"a path of slashes is answered", a_path_of_slashes_is_answered},
    {"random rules against a naive matcher", random_rules_against_a_naive_matcher},
    {"ten thousand hosts and paths", ten_thousand_hosts_and_paths},
    {"hostnames that were tried", hostnames_that_were_tried},
    {"the nearest match", the_nearest_match},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_route_router = {"router", NULL, NULL, NULL, NULL, tests};
