// SPDX-License-Identifier: Apache-2.0
// What becomes of a status that others write to as well, and when it may be written.
#include "controller/status/merge.h"
#include "controller/status/throttle.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

#define T1 "2026-01-01T00:00:00Z"
#define T2 "2026-01-01T00:00:05Z"
#define OURS "'controllerName': 'kgateway.dev/tandem'"
#define THEIRS "'controllerName': 'example.com/other'"
// Conditions as they are there (with a time) and as they are wanted (without one).
#define C(type, status, gen, time)                                                                 \
    "{'type': '" type "', 'status': '" status                                                      \
    "', 'reason': 'R', 'message': 'm', 'observedGeneration': " gen                                 \
    ", 'lastTransitionTime': '" time "'}"
#define W(type, status, gen)                                                                       \
    "{'type': '" type "', 'status': '" status                                                      \
    "', 'reason': 'R', 'message': 'm', 'observedGeneration': " gen "}"

// Single quotes for double ones.
static json_t *parse(const char *text) {
    char copy[4096];
    size_t n = strlen(text);
    CU_ASSERT_FATAL(n < sizeof(copy));
    for (size_t i = 0; i <= n; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    json_t *v = json_loads(copy, JSON_DECODE_ANY, NULL);
    if (!v) fprintf(stderr, "not JSON: %s\n", copy);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    return v;
}

static void merges(void) {
    static const struct {
        const char *name, *before, *wanted, *after; // after NULL: as before
    } cases[] = {
        {"nothing there", "{}", "{'conditions': [" W("Accepted", "True", "1") "]}",
         "{'conditions': [" C("Accepted", "True", "1", T2) "]}"},
        {"equal", "{'conditions': [" C("Accepted", "True", "1", T1) "]}",
         "{'conditions': [" W("Accepted", "True", "1") "]}", NULL},
        {"time moves with status alone", "{'conditions': [" C("Accepted", "True", "1", T1) "]}",
         "{'conditions': [" W("Accepted", "True", "2") "]}",
         "{'conditions': [" C("Accepted", "True", "2", T1) "]}"},
        {"time moves with status", "{'conditions': [" C("Accepted", "True", "1", T1) "]}",
         "{'conditions': [" W("Accepted", "False", "1") "]}",
         "{'conditions': [" C("Accepted", "False", "1", T2) "]}"},
        {"a newer generation is not written over",
         "{'conditions': [" C("Accepted", "False", "3", T1) "]}",
         "{'conditions': [" W("Accepted", "True", "2") "]}", NULL},
        {"a type of ours that is not wanted and newer",
         "{'conditions': [" C("Conflicted", "True", "3", T1) "]}",
         "{'conditions': [" W("Accepted", "True", "2") "]}",
         "{'conditions': [" C("Conflicted", "True", "3", T1) "," C("Accepted", "True", "2",
                                                                   T2) "]}"},
        {"types of others stay in place",
         "{'conditions': [" C("example.com/X", "True", "9", T1) "," C("Accepted", "True", "1",
                                                                      T1) "]}",
         "{'conditions': [" W("Programmed", "True", "1") "," W("Accepted", "True", "1") "]}",
         "{'conditions': [" C("example.com/X", "True", "9", T1) "," C(
             "Accepted", "True", "1", T1) "," C("Programmed", "True", "1", T2) "]}"},
        {"our types that do not hold are dropped",
         "{'conditions': [" C("Accepted", "True", "1", T1) "," C("PartiallyInvalid", "True", "1",
                                                                 T1) "]}",
         "{'conditions': [" W("Accepted", "True", "1") "]}",
         "{'conditions': [" C("Accepted", "True", "1", T1) "]}"},
        {"members of others stay", "{'x': 1, 'conditions': []}",
         "{'conditions': [" W("Accepted", "True", "1") "], 'supportedFeatures': [1]}",
         "{'x': 1, 'conditions': [" C("Accepted", "True", "1", T2) "], 'supportedFeatures': [1]}"},
        {"listeners equal the spec's",
         "{'listeners': [{'name': 'b', 'conditions': []}, {'name': 'a', 'conditions': [" C(
             "Accepted", "True", "1", T1) "," C("example.com/X", "True", "1", T1) "]}]}",
         "{'listeners': [{'name': 'a', 'attachedRoutes': 2, 'conditions': [" W("Accepted", "True",
                                                                               "1") "]}]}",
         "{'listeners': [{'name': 'a', 'attachedRoutes': 2, 'conditions': [" C(
             "Accepted", "True", "1", T1) "," C("example.com/X", "True", "1", T1) "]}]}"},
        {"entries of others stay, ours of removed parents go",
         "{'parents': [{" OURS ", 'parentRef': {'name': 'old'}, 'conditions': []},"
         "{" THEIRS
         ", 'parentRef': {'name': 'edge'}, 'conditions': [" C("Accepted", "False", "1", T1) "]}]}",
         "{'parents': [{" OURS
         ", 'parentRef': {'name': 'edge'}, 'conditions': [" W("Accepted", "True", "1") "]}]}",
         "{'parents': [{" THEIRS ", 'parentRef': {'name': 'edge'}, 'conditions': [" C(
             "Accepted", "False", "1", T1) "]},"
                                           "{" OURS
                                           ", 'parentRef': {'name': 'edge'}, 'conditions': [" C(
                                               "Accepted", "True", "1", T2) "]}]}"},
        {"a reference with the API's defaults is the same one, and stays",
         "{'parents': [{" OURS
         ", 'parentRef': {'group': 'gateway.networking.k8s.io', 'kind': 'Gateway', "
         "'name': 'edge'}, 'conditions': [" C("Accepted", "True", "1", T1) "]}]}",
         "{'parents': [{" OURS
         ", 'parentRef': {'name': 'edge'}, 'conditions': [" W("Accepted", "True", "1") "]}]}",
         NULL},
        {"sections and ports tell references apart",
         "{'parents': [{" OURS
         ", 'parentRef': {'name': 'edge', 'sectionName': 'a'}, 'conditions': []}]}",
         "{'parents': [{" OURS ", 'parentRef': {'name': 'edge', 'port': 80}, 'conditions': [" W(
             "Accepted", "True", "1") "]}]}",
         "{'parents': [{" OURS ", 'parentRef': {'name': 'edge', 'port': 80}, 'conditions': [" C(
             "Accepted", "True", "1", T2) "]}]}"},
        {"a double of ours is dropped",
         "{'ancestors': [{" OURS ", 'ancestorRef': {'name': 'e'}, 'conditions': [" C(
             "Accepted", "True", "1", T1) "]},"
                                          "{" OURS
                                          ", 'ancestorRef': {'name': 'e'}, 'conditions': []}]}",
         "{'ancestors': [{" OURS
         ", 'ancestorRef': {'name': 'e'}, 'conditions': [" W("Accepted", "True", "1") "]}]}",
         "{'ancestors': [{" OURS
         ", 'ancestorRef': {'name': 'e'}, 'conditions': [" C("Accepted", "True", "1", T1) "]}]}"},
        {"all of ours go", "{'parents': [{" OURS ", 'parentRef': {'name': 'e'}}, {" THEIRS "}]}",
         "{'parents': []}", "{'parents': [{" THEIRS "}]}"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        GW_JSON_AUTO before = parse(cases[i].before);
        GW_JSON_AUTO untouched = json_deep_copy(before);
        GW_JSON_AUTO wanted = parse(cases[i].wanted);
        GW_JSON_AUTO want = parse(cases[i].after ? cases[i].after : cases[i].before);
        GW_JSON_AUTO after = ctl_status_merge(before, wanted, T2);
        bool fine = json_equal(after, want) && json_equal(before, untouched);
        if (!fine) {
            char *text = json_dumps(after, 0);
            fprintf(stderr, "%s: %s\n", cases[i].name, text);
            free(text);
        }
        CU_ASSERT(fine);
        GW_JSON_AUTO again = ctl_status_merge(after, wanted, "2027-01-01T00:00:00Z");
        CU_ASSERT(json_equal(after, again)); // what was written is not written again
        GW_JSON_AUTO difference = ctl_status_difference(before, after);
        CU_ASSERT_EQUAL(difference == NULL, json_equal(before, want));
    }
}

static void lists_have_their_cap(void) {
    GW_JSON_AUTO before = parse("{'parents': []}");
    GW_JSON_AUTO wanted = parse("{'parents': []}");
    for (int i = 0; i < 31; i++)
        json_array_append_new(json_object_get(before, "parents"), parse("{" THEIRS "}"));
    for (int i = 0; i < 3; i++) {
        json_t *e = parse("{" OURS ", 'parentRef': {'name': 'x'}, 'conditions': []}");
        json_object_set_new(json_object_get(e, "parentRef"), "port", json_integer(i + 1));
        json_array_append_new(json_object_get(wanted, "parents"), e);
    }
    GW_JSON_AUTO after = ctl_status_merge(before, wanted, T1);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(after, "parents")), CTL_STATUS_PARENTS_MAX);
    CU_ASSERT(ctl_status_has_ours(after));
    CU_ASSERT(!ctl_status_has_ours(before));
    GW_JSON_AUTO without = ctl_status_without_ours(after);
    CU_ASSERT(json_equal(without, before));
}

static void statuses_of_any_shape(void) {
    static const char *const odd[] = {
        "[]",
        "1",
        "{'conditions': 1}",
        "{'conditions': [1, {}, null]}",
        "{'parents': {}}",
        "{'parents': [1, {'controllerName': 1}, {" OURS "}]}",
        "{'listeners': [1, {}]}",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(odd); i++) {
        GW_JSON_AUTO before = parse(odd[i]);
        GW_JSON_AUTO wanted = parse("{'conditions': [" W(
            "Accepted", "True", "1") "], 'listeners': [{'name': 'a', "
                                     "'conditions': []}], 'parents': [{" OURS
                                     ", 'parentRef': {'name': 'e'}, 'conditions': []}]}");
        GW_JSON_AUTO after = ctl_status_merge(before, wanted, T1);
        GW_JSON_AUTO without = ctl_status_without_ours(before);
        CU_ASSERT(json_is_object(after) && json_is_object(without));
        ctl_status_takes_back(before, after);
    }
}

#define P(status, reason, gen)                                                                     \
    "{'conditions': [{'type': 'Programmed', 'status': '" status "', 'reason': '" reason            \
    "', 'observedGeneration': " gen "}]}"

static void taking_back(void) {
    static const struct {
        const char *name, *before, *after;
        bool want;
    } cases[] = {
        {"nothing there", "{}", P("False", "Pending", "1"), false},
        {"pending", P("True", "Programmed", "1"), P("False", "Pending", "1"), true},
        {"of another generation", P("True", "Programmed", "1"), P("False", "Pending", "2"), false},
        {"invalid", P("True", "Programmed", "1"), P("False", "Invalid", "1"), false},
        {"was not", P("False", "Pending", "1"), P("False", "Pending", "1"), false},
        {"the last address", "{'addresses': [1]}", "{'addresses': []}", true},
        {"an address", "{'addresses': [1, 2]}", "{'addresses': [2]}", false},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        GW_JSON_AUTO before = parse(cases[i].before);
        GW_JSON_AUTO after = parse(cases[i].after);
        if (ctl_status_takes_back(before, after) != cases[i].want)
            fprintf(stderr, "%s\n", cases[i].name);
        CU_ASSERT_EQUAL(ctl_status_takes_back(before, after), cases[i].want);
    }
}

static void times_of_writes(void) {
    static const struct {
        const char *name;
        struct ctl_write_times t;
        bool pending, takes_back;
        int64_t want;
    } cases[] = {
        {"the first goes at once", {5000, 0, 0}, false, false, 5000},
        {"waits for acknowledgements", {5000, 0, 0}, true, false, 5200},
        {"once a second", {5000, 4500, 0}, false, false, 5500},
        {"quiet since long", {5000, 1000, 0}, false, false, 5000},
        {"both", {5000, 3900, 0}, true, false, 5200},
        {"after a failure", {5000, 4500, 9000}, true, false, 9000},
        {"takes back slowly", {5000, 4500, 0}, false, true, 15000},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        CU_ASSERT_EQUAL(ctl_write_due(&cases[i].t, cases[i].pending, cases[i].takes_back),
                        cases[i].want);
}

static CU_TestInfo tests[] = {
    {"merges", merges},
    {"lists have their cap", lists_have_their_cap},
    {"statuses of any shape", statuses_of_any_shape},
    {"taking back", taking_back},
    {"times of writes", times_of_writes},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_controller_status_merge = {
    "controller_status_merge", NULL, NULL, NULL, NULL, tests};
