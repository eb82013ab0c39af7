// SPDX-License-Identifier: Apache-2.0
// Which events are written.
#include "controller/status/event_book.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

static enum ctl_event_verdict note(struct ctl_event_book *b, const char *object, const char *text,
                                   int64_t now_ms) {
    struct ctl_event_entry *e;
    char key[128];
    snprintf(key, sizeof(key), "%s %s", object, text);
    return ctl_event_book_note(b, gw_str_of(object), gw_str_of(key), now_ms, &e);
}

static void the_same_event_counts_up(void) {
    struct ctl_event_book b = {0};
    struct ctl_event_entry *e;
    int64_t t = 1000;
    CU_ASSERT_EQUAL(note(&b, "web", "refused", t), CTL_EVENT_NEW);
    CU_ASSERT_EQUAL(note(&b, "web", "refused", t + 1), CTL_EVENT_SILENT);
    CU_ASSERT_EQUAL(note(&b, "web", "refused", t + CTL_EVENT_EVERY_MS), CTL_EVENT_AGAIN);
    CU_ASSERT_EQUAL(note(&b, "web", "other", t + 2), CTL_EVENT_NEW);
    CU_ASSERT_EQUAL(ctl_event_book_note(&b, GW_STR("web"), GW_STR("web refused"),
                                        t + 2 * CTL_EVENT_EVERY_MS, &e),
                    CTL_EVENT_AGAIN);
    CU_ASSERT_EQUAL(e->count, 4);
    t += 2 * CTL_EVENT_EVERY_MS + CTL_EVENT_SAME_MS;
    CU_ASSERT_EQUAL(note(&b, "web", "refused", t), CTL_EVENT_NEW);
    ctl_event_book_fini(&b);
}

static void an_object_has_a_budget(void) {
    struct ctl_event_book b = {0};
    char text[32];
    int given = 0;
    for (int i = 0; i < 5 * CTL_EVENT_BURST; i++) {
        snprintf(text, sizeof(text), "reason %d", i);
        given += note(&b, "web", text, 1000) == CTL_EVENT_NEW;
    }
    CU_ASSERT_EQUAL(given, CTL_EVENT_BURST);
    CU_ASSERT_EQUAL(note(&b, "api", "first", 1000), CTL_EVENT_NEW); // another object
    CU_ASSERT_EQUAL(note(&b, "web", "a", 1000 + CTL_EVENT_REFILL_MS - 1), CTL_EVENT_DROP);
    CU_ASSERT_EQUAL(note(&b, "web", "a", 1000 + CTL_EVENT_REFILL_MS), CTL_EVENT_NEW);
    CU_ASSERT_EQUAL(note(&b, "web", "b", 1000 + CTL_EVENT_REFILL_MS), CTL_EVENT_DROP);
    // Quiet for long: the whole budget again, and no more.
    given = 0;
    for (int i = 0; i < 5 * CTL_EVENT_BURST; i++) {
        snprintf(text, sizeof(text), "later %d", i);
        given += note(&b, "web", text, 1000LL * CTL_EVENT_REFILL_MS) == CTL_EVENT_NEW;
    }
    CU_ASSERT_EQUAL(given, CTL_EVENT_BURST);
    ctl_event_book_fini(&b);
}

static void memory_is_bounded(void) {
    struct ctl_event_book b = {0};
    char object[32];
    for (int i = 0; i < 3 * CTL_EVENT_BOOK_MAX; i++) {
        snprintf(object, sizeof(object), "object %d", i);
        note(&b, object, "refused", 1000 + i);
        CU_ASSERT(b.events.len <= CTL_EVENT_BOOK_MAX && b.budgets.len <= CTL_EVENT_BOOK_MAX);
    }
    ctl_event_book_fini(&b);
}

static CU_TestInfo tests[] = {
    {"the same event counts up", the_same_event_counts_up},
    {"an object has a budget", an_object_has_a_budget},
    {"memory is bounded", memory_is_bounded},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_controller_status_event_book = {
    "controller_status_event_book", NULL, NULL, NULL, NULL, tests};
