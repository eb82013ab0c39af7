// SPDX-License-Identifier: Apache-2.0
// Certificates of Secrets: pairs that fit, that do not, and bytes that are none. What the verdicts
// do to listeners is in test/golden/ (http-07, https-certificates).
#include "controller/res/certificate.h"
#include "shared/secret.h"
#include "shared/tls.h"
#include "test/unit/controller/res/cases.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

struct made {
    struct gw_text ca, cert;
    struct gw_secret *ca_key, *key;
};

static void make(struct made *m, const char *const *names) {
    struct gw_err err;
    *m = (struct made){0};
    CU_ASSERT_EQUAL_FATAL(gw_tls_make_ca("test", 30, &m->ca, &m->ca_key, &err), GW_OK);
    CU_ASSERT_EQUAL_FATAL(
        gw_tls_make_cert(gw_text_str(&m->ca), m->ca_key, names, 30, &m->cert, &m->key, &err),
        GW_OK);
}

static void made_fini(struct made *m) {
    gw_text_fini(&m->ca);
    gw_text_fini(&m->cert);
    gw_secret_unref(m->ca_key);
    gw_secret_unref(m->key);
}

// As the store has it.
static json_t *secret_of(struct gw_str crt, struct gw_str key) {
    json_t *s = json_pack("{s{ss}s{ss%ss%}}", "metadata", "name", "x", "stringData", "tls.crt",
                          crt.ptr, crt.len, "tls.key", key.ptr, key.len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    ctl_res_settle(&ctl_res_secret, s);
    return s;
}

static const char *const names[] = {"*.example.com", "Example.COM", "127.0.0.1", NULL};

static void a_pair_is_read(void) {
    struct made m;
    struct gw_err err;
    struct ctl_certificate c, again;
    make(&m, names);
    // What people paste around the blocks does not matter.
    GW_CLEANUP(gw_text_fini) struct gw_text chain = {0};
    gw_text_addf(&chain, "subject=x\r\n%s\n# the CA\n%s\n", m.cert.ptr, m.ca.ptr);
    GW_JSON_AUTO s = secret_of(gw_text_str(&chain), gw_secret_reveal(m.key));
    CU_ASSERT_EQUAL_FATAL(ctl_certificate_read(s, &c, &err), GW_OK);
    CU_ASSERT_EQUAL_FATAL(c.names_n, 3);
    CU_ASSERT_STRING_EQUAL(c.names[0], "*.example.com");
    CU_ASSERT_STRING_EQUAL(c.names[1], "127.0.0.1");
    CU_ASSERT_STRING_EQUAL(c.names[2], "example.com");
    CU_ASSERT_EQUAL(strlen(c.not_after), strlen("2030-01-01T00:00:00Z"));
    CU_ASSERT_PTR_NULL(strstr(c.chain, "CA\n"));
    // What was written is read as the same.
    GW_JSON_AUTO s2 = secret_of(gw_str_of(c.chain), gw_str_of(c.key));
    CU_ASSERT_EQUAL_FATAL(ctl_certificate_read(s2, &again, &err), GW_OK);
    CU_ASSERT_STRING_EQUAL(again.chain, c.chain);
    CU_ASSERT_STRING_EQUAL(again.key, c.key);
    ctl_certificate_fini(&again);
    ctl_certificate_fini(&c);
    made_fini(&m);
}

static void refused(json_t *secret, const char *want) {
    struct gw_err err;
    struct ctl_certificate c;
    GW_JSON_AUTO s = secret;
    CU_ASSERT_EQUAL_FATAL(ctl_certificate_read(s, &c, &err), GW_ERR_INPUT);
    if (strcmp(err.text, want) != 0) fprintf(stderr, "got:  %s\nwant: %s\n", err.text, want);
    CU_ASSERT_STRING_EQUAL(err.text, want);
}

static void what_is_no_pair_is_refused(void) {
    struct made m, other;
    make(&m, names);
    make(&other, names);
    struct gw_str crt = gw_text_str(&m.cert), key = gw_secret_reveal(m.key);
    refused(json_object(), "tls.crt: is missing");
    refused(json_pack("{s{ss}}", "data", "tls.crt", "YQ=="), "tls.key: is missing");
    refused(secret_of(GW_STR(""), key), "tls.crt: is empty");
    refused(secret_of(GW_STR("\0\0\0"), key), "tls.crt: holds no certificate in PEM form");
    refused(secret_of(key, key), "tls.crt: holds no certificate in PEM form");
    refused(secret_of(crt, crt), "tls.key: holds no private key in PEM form");
    refused(
        secret_of(crt, GW_STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")),
        "tls.key: holds no private key in PEM form");
    refused(secret_of(crt, gw_secret_reveal(other.key)),
            "tls.key: does not belong to the certificate in tls.crt");
    // The order matters: the leaf is first.
    GW_CLEANUP(gw_text_fini) struct gw_text chain = {0};
    gw_text_addf(&chain, "%s%s", m.ca.ptr, m.cert.ptr);
    refused(secret_of(gw_text_str(&chain), key),
            "tls.key: does not belong to the certificate in tls.crt");
    gw_text_reset(&chain);
    for (int i = 0; i < 17; i++)
        gw_text_adds(&chain, m.cert.ptr);
    refused(secret_of(gw_text_str(&chain), key), "tls.crt: holds more than 16 certificates");
    made_fini(&m);
    made_fini(&other);
}

// A text that ends anywhere is refused or read, never more.
static void cut_anywhere(void) {
    struct made m;
    make(&m, names);
    for (size_t n = 1; n < m.cert.len; n += 7) {
        struct gw_err err;
        struct ctl_certificate c = {0};
        GW_JSON_AUTO s = secret_of((struct gw_str){m.cert.ptr, n}, gw_secret_reveal(m.key));
        if (ctl_certificate_read(s, &c, &err) == GW_OK) CU_ASSERT_EQUAL(c.names_n, 3);
        ctl_certificate_fini(&c);
    }
    made_fini(&m);
}

static void coverage(void) {
    static char wild[] = "*.example.com", org[] = "example.org";
    static char *of[] = {wild, org};
    const struct ctl_certificate c = {.names = of, .names_n = 2};
    static const struct {
        const char *host;
        bool want;
    } cases[] = {
        {"example.com", false},
        {"a.b.example.com", false},
        {".example.com", false},
        {"a.example.org", false},
        {"*.example.org", false},
        {"*.a.example.com", false},
        {"", false},
        {"a.example.com", true},
        {"*.example.com", true},
        {"example.org", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        CU_ASSERT_EQUAL(ctl_certificate_covers(&c, gw_str_of(cases[i].host)), cases[i].want);
}

static CU_TestInfo tests[] = {
    {"a pair is read", a_pair_is_read},
    {"http-07: what is no pair is refused", what_is_no_pair_is_refused},
    {"cut anywhere", cut_anywhere},
    {"coverage", coverage},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_res_certificate = {"certificate", NULL, NULL, NULL, NULL, tests};
