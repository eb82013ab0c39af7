// SPDX-License-Identifier: Apache-2.0
#include "shared/tls_ticket.h"

#include <CUnit/CUnit.h>

static void keys_seal_and_open_in_their_time(void) {
    const int64_t begin = 1000, day_half = GW_TLS_TICKET_ROTATE_MS;
    struct gw_tls_tickets *t = gw_tls_tickets_new();
    struct gw_tls_ticket_key first, again, second, found;
    bool is_old = true;
    memset(&first, 0, sizeof(first));
    CU_ASSERT_FALSE(gw_tls_tickets_open(t, begin, first.name, &found, &is_old)); // no key at all
    gw_tls_tickets_seal(t, begin, &first);
    gw_tls_tickets_seal(t, begin + day_half - 1, &again);
    CU_ASSERT_EQUAL(memcmp(&first, &again, sizeof(first)), 0);
    CU_ASSERT(gw_tls_tickets_open(t, begin + day_half - 1, first.name, &found, &is_old));
    CU_ASSERT_FALSE(is_old);
    gw_tls_tickets_seal(t, begin + day_half, &second);
    CU_ASSERT_NOT_EQUAL(memcmp(first.name, second.name, sizeof(first.name)), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(first.aes, second.aes, sizeof(first.aes)), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(first.hmac, second.hmac, sizeof(first.hmac)), 0);
    // The key before still opens, and what it sealed is renewed.
    CU_ASSERT(gw_tls_tickets_open(t, begin + 2 * day_half - 1, first.name, &found, &is_old));
    CU_ASSERT(is_old);
    CU_ASSERT_EQUAL(memcmp(first.aes, found.aes, sizeof(found.aes)), 0);
    CU_ASSERT_FALSE(gw_tls_tickets_open(t, begin + 2 * day_half, first.name, &found, &is_old));
    second.name[0] ^= 1;
    CU_ASSERT_FALSE(gw_tls_tickets_open(t, begin + day_half, second.name, &found, &is_old));
    gw_tls_tickets_free(t);
    gw_tls_tickets_free(NULL);
}

// Nobody came for days: a key that is too old to open must not seal, nor come back as the last one.
static void a_long_silence_forgets_both(void) {
    struct gw_tls_tickets *t = gw_tls_tickets_new();
    struct gw_tls_ticket_key first, second, found;
    bool is_old;
    gw_tls_tickets_seal(t, 1, &first);
    gw_tls_tickets_seal(t, 5 * GW_TLS_TICKET_ROTATE_MS, &second);
    CU_ASSERT_NOT_EQUAL(memcmp(first.name, second.name, sizeof(first.name)), 0);
    CU_ASSERT_FALSE(
        gw_tls_tickets_open(t, 5 * GW_TLS_TICKET_ROTATE_MS, first.name, &found, &is_old));
    gw_tls_tickets_free(t);
}

static CU_TestInfo tests[] = {
    {"keys_seal_and_open_in_their_time", keys_seal_and_open_in_their_time},
    {"a_long_silence_forgets_both", a_long_silence_forgets_both},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_tls_ticket = {"tls_ticket", NULL, NULL, NULL, NULL, tests};
