// SPDX-License-Identifier: Apache-2.0
#include "shared/tls_sni.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

struct frame {
    const char *bytes;
    size_t len;
};
#define FRAME(s)                                                                                   \
    { s, sizeof(s) - 1 }

static enum gw_tls_sni parse(struct gw_str ext, char *name) {
    size_t len = 77;
    memset(name, 'x', GW_TLS_SNI_MAX + 1);
    // A copy that ends here: a sanitizer sees a read beyond it.
    char *copy = gw_alloc(ext.len + 1);
    memcpy(copy + 1, ext.ptr, ext.len);
    enum gw_tls_sni rc = gw_tls_sni_parse((struct gw_str){copy + 1, ext.len}, name, &len);
    free(copy);
    bool is_set = len != 77 || name[0] != 'x';
    CU_ASSERT_EQUAL(is_set, rc == GW_TLS_SNI_OK);
    if (is_set) CU_ASSERT_EQUAL(len, strlen(name));
    return rc;
}

static void bad_frames_are_no_names(void) {
    static const struct frame table[] = {
        FRAME(""),
        FRAME("\0"),
        FRAME("\0\x03\0\0\x01"),
        FRAME("\0\x03\0\0\0"), // a name of no bytes
        FRAME("\0\x05\0\0\x01"
              "a"), // the list is longer than the extension
        FRAME("\0\x03\0\0\x01"
              "a"), // and shorter
        FRAME("\0\x04\0\0\x02"
              "a"), // the name is longer than the list
        FRAME("\0\x04\x01\0\x01"
              "a"), // no host_name
        FRAME("\0\x08\0\0\x01"
              "a\0\0\x01"
              "b"), // two of a type
        FRAME("\xff\xff\0\xff\xff"
              "a"),
    };
    char name[GW_TLS_SNI_MAX + 1];
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_str ext = {table[i].bytes, table[i].len};
        if (parse(ext, name) != GW_TLS_SNI_BAD_FRAME) printf("\nframe %zu\n", i);
        CU_ASSERT_EQUAL(parse(ext, name), GW_TLS_SNI_BAD_FRAME);
    }
}

static enum gw_tls_sni parse_name(struct gw_str host, char *name) {
    struct gw_text ext = {0};
    char head[] = {(char)((host.len + 3) >> 8), (char)(host.len + 3), 0, (char)(host.len >> 8),
                   (char)host.len};
    gw_text_add(&ext, head, sizeof(head));
    gw_text_add(&ext, host.ptr, host.len);
    enum gw_tls_sni rc = parse(gw_text_str(&ext), name);
    gw_text_fini(&ext);
    return rc;
}

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static void names_are_normalised_or_refused(void) {
    static const struct {
        struct gw_str in;
        const char *want; // NULL: refused
    } table[] = {
        {GW_STR("."), NULL},
        {GW_STR(".."), NULL},
        {GW_STR(".a"), NULL},
        {GW_STR("a..b"), NULL},
        {GW_STR("a.."), NULL},
        {GW_STR("127.0.0.1"), NULL},
        {GW_STR("127.0.0.1."), NULL},
        {GW_STR("1"), NULL},
        {GW_STR("::1"), NULL},
        {GW_STR("[::1]"), NULL},
        {GW_STR("a.example.com:443"), NULL},
        {GW_STR("*.example.com"), NULL},
        {GW_STR("a b"), NULL},
        {GW_STR("a\0b"), NULL},
        {GW_STR("a/../b"), NULL},
        {GW_STR("\xc3\xa4.example"), NULL},
        {GW_STR(L63 "l.example"), NULL},
        {GW_STR(L63 "." L63 "." L63 "." L63), NULL}, // 255 bytes
        {GW_STR(L63 ".example"), L63 ".example"},
        {GW_STR("a"), "a"},
        {GW_STR("A.Example.COM"), "a.example.com"},
        {GW_STR("a.example.com."), "a.example.com"},
        {GW_STR("xn--bcher-kva.example"), "xn--bcher-kva.example"},
        {GW_STR("_a-b.1.e1"), "_a-b.1.e1"},
    };
    char name[GW_TLS_SNI_MAX + 1];
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        enum gw_tls_sni rc = parse_name(table[i].in, name);
        if ((rc == GW_TLS_SNI_OK) != (table[i].want != NULL))
            printf("\n" GW_STR_FMT ": %d\n", GW_STR_ARG(table[i].in), rc);
        CU_ASSERT_EQUAL(rc, table[i].want ? GW_TLS_SNI_OK : GW_TLS_SNI_BAD_NAME);
        if (rc == GW_TLS_SNI_OK) CU_ASSERT_STRING_EQUAL(name, table[i].want);
    }
}

static CU_TestInfo tests[] = {
    {"bad_frames_are_no_names", bad_frames_are_no_names},
    {"names_are_normalised_or_refused", names_are_normalised_or_refused},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_tls_sni = {"tls_sni", NULL, NULL, NULL, NULL, tests};
