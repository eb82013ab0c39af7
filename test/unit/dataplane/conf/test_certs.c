// SPDX-License-Identifier: Apache-2.0
// HTTPS listeners: which certificates a name gets, what is refused alone, what stays between
// configs.
#include "dataplane/conf/compile.h"

#include <CUnit/CUnit.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

static struct gw_map resources;
static struct dp_conf_refusals refusals;
static struct gw_text ca_pem;
static struct gw_secret *ca_key;
static json_t *pairs; // by SAN: the body of a tls resource; "rsa:" before it for such a key

static json_t *body_of(struct gw_str cert, struct gw_str key) {
    return json_pack("{s:s%, s:s%}", "certificate", cert.ptr, cert.len, "key", key.ptr, key.len);
}

static json_t *make_ec(const char *name) {
    struct gw_text cert = {0};
    struct gw_secret *key = NULL;
    struct gw_err err;
    const char *const names[] = {name, NULL};
    enum gw_rc rc = gw_tls_make_cert(gw_text_str(&ca_pem), ca_key, names, 30, &cert, &key, &err);
    CU_ASSERT_EQUAL_FATAL(rc, GW_OK);
    json_t *body = body_of(gw_text_str(&cert), gw_secret_reveal(key));
    gw_text_fini(&cert);
    gw_secret_unref(key);
    return body;
}

static struct gw_str bio_text(BIO *b) {
    char *p;
    long n = BIO_get_mem_data(b, &p);
    return (struct gw_str){p, (size_t)n};
}

static json_t *make_rsa(const char *name, unsigned bits) {
    EVP_PKEY *key = EVP_RSA_gen(bits);
    X509 *x = X509_new();
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    char san[128];
    snprintf(san, sizeof(san), "DNS:%s", name);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_add_ext(x, ext, -1);
    X509_sign(x, key, EVP_sha256());
    PEM_write_bio_X509(cert_bio, x);
    PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL);
    json_t *body = body_of(bio_text(cert_bio), bio_text(key_bio));
    X509_EXTENSION_free(ext);
    X509_free(x);
    EVP_PKEY_free(key);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    return body;
}

// "a.example" or "rsa:a.example"; made once. Borrowed.
static json_t *pair(const char *spec) {
    json_t *body = json_object_get(pairs, spec);
    if (body) return body;
    body = strncmp(spec, "rsa:", 4) == 0 ? make_rsa(spec + 4, 2048) : make_ec(spec);
    json_object_set_new(pairs, spec, body);
    return body;
}

static int set_up(void) {
    struct gw_err err;
    pairs = json_object();
    return gw_tls_make_ca("unit CA", 30, &ca_pem, &ca_key, &err) != GW_OK;
}

static int tear_down(void) {
    json_decref(pairs);
    gw_text_fini(&ca_pem);
    gw_secret_unref(ca_key);
    return 0;
}

static void free_body(void *v) {
    json_decref(v);
}

static void put(const char *name, json_t *body) { // takes body
    struct gw_err err;
    if (gw_ir_validate(gw_str_of(name), body, &err) != GW_OK) printf("\n%s: %s\n", name, err.text);
    CU_ASSERT_EQUAL(gw_ir_validate(gw_str_of(name), body, &err), GW_OK);
    json_decref(gw_map_put(&resources, gw_str_of(name), body));
}

static void put_tls(const char *name, json_t *body) { // borrows body
    char full[64];
    snprintf(full, sizeof(full), "tls/default/%s", name);
    put(full, json_incref(body));
}

// certificates: NULL: a plain listener; else names of tls resources, each followed by ' '.
static void put_listener(const char *name, int port, const char *hostname,
                         const char *certificates) {
    char full[64];
    snprintf(full, sizeof(full), "listener/default/edge/%s", name);
    json_t *body = json_pack("{s:s, s:s, s:i, s:s}", "gateway", "default/edge", "name", name,
                             "port", port, "protocol", certificates ? "HTTPS" : "HTTP");
    if (*hostname) json_object_set_new(body, "hostname", json_string(hostname));
    if (certificates) {
        json_t *list = json_array();
        struct gw_str rest = gw_str_of(certificates);
        while (rest.len) {
            struct gw_str one = gw_str_cut(&rest, ' ');
            json_array_append_new(list, json_sprintf("tls/default/" GW_STR_FMT, GW_STR_ARG(one)));
        }
        json_object_set_new(body, "tls", json_pack("{s:o}", "certificates", list));
    }
    put(full, body);
}

static struct dp_conf *compile(void) {
    dp_conf_refusals_fini(&refusals);
    struct dp_resource *list = gw_alloc((resources.len + 1) * sizeof(*list));
    size_t it = 0, n = 0;
    void *body;
    while (gw_map_next(&resources, &it, &list[n].name, &body))
        list[n++].body = body;
    struct dp_conf *c = dp_conf_compile(list, n, "0123456789abcdef0123456789abcdef", 1, &refusals);
    free(list);
    return c;
}

static void done(struct dp_conf *c) {
    dp_conf_unref(c);
    dp_conf_refusals_fini(&refusals);
    gw_map_fini(&resources, free_body);
}

static const struct dp_listener *choose(const struct dp_conf *c, int port, const char *name,
                                        struct gw_tls_choice *ret) {
    const struct dp_port *p = dp_conf_port(c, (uint16_t)port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    *ret = (struct gw_tls_choice){0};
    return dp_conf_certs(p, gw_str_of(name), ret);
}

static bool is_refused(const char *name, const char *why) {
    for (size_t i = 0; i < refusals.len; i++)
        if (strcmp(refusals.ptr[i].resource, name) == 0) {
            if (!strstr(refusals.ptr[i].reason, why))
                printf("\n%s: %s\n", name, refusals.ptr[i].reason);
            return strstr(refusals.ptr[i].reason, why) != NULL;
        }
    return false;
}

// --- refusals -----------------------------------------------------------------------------------

static void http_07_a_bad_pair_is_refused_alone(void) {
    json_t *mixed =
        json_pack("{s:O, s:O}", "certificate", json_object_get(pair("b.example"), "certificate"),
                  "key", json_object_get(pair("a.example"), "key"));
    json_t *no_cert = json_pack("{s:s, s:O}", "certificate", "hello", "key",
                                json_object_get(pair("a.example"), "key"));
    json_t *weak = make_rsa("b.example", 1024);
    const struct {
        json_t *body;
        const char *why;
    } table[] = {
        {mixed, "private key does not fit the certificate"},
        {no_cert, "no certificate in the PEM text"},
        {weak, "ee key too small"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_tls_choice got;
        put_tls("a", pair("a.example"));
        put_tls("b", table[i].body);
        put_listener("a", 443, "a.example", "a");
        put_listener("b", 443, "b.example", "b");
        put_listener("any", 443, "", "a");
        struct dp_conf *c = compile();
        CU_ASSERT_EQUAL(refusals.len, 1);
        CU_ASSERT(is_refused("tls/default/b", table[i].why));
        CU_ASSERT_PTR_NULL(strstr(refusals.ptr[0].reason, "PRIVATE"));
        // Its listener shows nothing, also not what the catch-all has.
        CU_ASSERT_PTR_NULL(choose(c, 443, "b.example", &got));
        CU_ASSERT_PTR_NULL(got.certs[GW_TLS_KEY_EC]);
        CU_ASSERT_PTR_NOT_NULL(choose(c, 443, "a.example", &got));
        CU_ASSERT_PTR_NOT_NULL(choose(c, 443, "x.example", &got));
        done(c);
    }
    json_decref(mixed);
    json_decref(no_cert);
    json_decref(weak);
}

static void a_port_speaks_one_protocol(void) {
    put_tls("a", pair("a.example"));
    put_listener("a", 443, "a.example", NULL);
    put_listener("b", 443, "b.example", "a");
    put_listener("c", 444, "", "a");
    put_listener("d", 444, "d.example", NULL);
    struct dp_conf *c = compile();
    CU_ASSERT_EQUAL(refusals.len, 2);
    CU_ASSERT(is_refused("listener/default/edge/b", "port 443 is served as HTTP by listener/"));
    CU_ASSERT(is_refused("listener/default/edge/d", "port 444 is served as HTTPS by listener/"));
    CU_ASSERT_FALSE(dp_conf_port(c, 443)->is_tls);
    CU_ASSERT(dp_conf_port(c, 444)->is_tls);
    done(c);
}

// --- choices ------------------------------------------------------------------------------------

static void the_best_listener_and_its_best_certificates(void) {
    static const struct {
        const char *certificates; // of the listener *.b.example
        const char *name;         // that is asked for
        const char *ec, *rsa;     // what is shown; NULL: none of the type
        const char *listener;     // NULL: refused
    } table[] = {
        {"", "x.b.example", NULL, NULL, NULL},
        {"", "y.example", NULL, NULL, NULL},       // no listener
        {"", "", NULL, NULL, NULL},                // none without a hostname
        {"", "b.example", NULL, NULL, NULL},       // a wildcard does not cover its parent
        {"", "a.example", "a.example", NULL, "a"}, // a neighbour without certificates
        {"wild exact", "x.b.example", "x.b.example", NULL, "b"},
        {"exact wild", "x.b.example", "x.b.example", NULL, "b"},
        {"exact wild", "y.b.example", "*.b.example", NULL, "b"},
        // One covers it exactly, the other by a wildcard; a client may verify one of them alone.
        {"exact rsa-wild", "x.b.example", "x.b.example", "rsa:*.b.example", "b"},
        {"rsa-wild exact", "y.b.example", NULL, "rsa:*.b.example", "b"},
        // None covers it: the first, of whatever type.
        {"exact rsa-wild", "x.y.b.example", "x.b.example", NULL, "b"},
        {"rsa-wild exact", "x.y.b.example", NULL, "rsa:*.b.example", "b"},
        // What is missing or refused is left out.
        {"nowhere wild", "x.b.example", "*.b.example", NULL, "b"},
        {"nowhere", "x.b.example", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_tls_choice got;
        put_tls("a", pair("a.example"));
        put_tls("exact", pair("x.b.example"));
        put_tls("wild", pair("*.b.example"));
        put_tls("rsa-wild", pair("rsa:*.b.example"));
        put_listener("a", 443, "a.example", "a");
        put_listener("b", 443, "*.b.example", table[i].certificates);
        struct dp_conf *c = compile();
        CU_ASSERT_EQUAL(refusals.len, 0);
        const struct dp_listener *l = choose(c, 443, table[i].name, &got);
        CU_ASSERT_EQUAL(l != NULL, table[i].listener != NULL);
        if (l) CU_ASSERT(gw_str_eq(l->section, gw_str_of(table[i].listener)));
        if (l) CU_ASSERT(gw_str_eq(got.scope, l->name));
        const char *want[GW_TLS_KEY_TYPES] = {table[i].ec, table[i].rsa};
        for (int k = 0; k < GW_TLS_KEY_TYPES; k++) {
            const char *san = want[k] && strncmp(want[k], "rsa:", 4) == 0 ? want[k] + 4 : want[k];
            char host[64];
            // A wildcard is told by a name that it covers.
            if (san)
                snprintf(host, sizeof(host), "%s%s", *san == '*' ? "q" : "", san + (*san == '*'));
            unsigned fit = san && *san == '*' ? 1 : 2;
            if ((got.certs[k] != NULL) != (san != NULL)) printf("\ncase %zu type %d\n", i, k);
            CU_ASSERT_EQUAL(got.certs[k] != NULL, san != NULL);
            if (got.certs[k] && san)
                CU_ASSERT_EQUAL(gw_tls_cert_fit(got.certs[k], gw_str_of(host)), fit);
        }
        done(c);
    }
}

static void no_name_is_for_the_listener_without_hostname(void) {
    struct gw_tls_choice got;
    put_tls("a", pair("a.example"));
    put_tls("b", pair("b.example"));
    put_listener("a", 443, "a.example", "a");
    put_listener("any", 443, "", "b");
    struct dp_conf *c = compile();
    const struct dp_listener *l = choose(c, 443, "", &got);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    CU_ASSERT(gw_str_eq(l->section, GW_STR("any")));
    done(c);
}

// --- sharing ------------------------------------------------------------------------------------

static void what_did_not_change_is_kept(void) {
    struct gw_tls_choice first, second, third;
    json_t *other = make_ec("a.example");
    put_tls("a", pair("a.example"));
    put_tls("b", pair("b.example"));
    put_listener("a", 443, "a.example", "a");
    put_listener("b", 443, "b.example", "b");
    struct dp_conf *one = compile();
    choose(one, 443, "a.example", &first);
    put_tls("b", other);
    struct dp_conf *two = compile();
    choose(two, 443, "a.example", &second);
    CU_ASSERT_PTR_EQUAL(first.certs[GW_TLS_KEY_EC], second.certs[GW_TLS_KEY_EC]);
    CU_ASSERT_PTR_NOT_NULL(first.certs[GW_TLS_KEY_EC]);
    dp_conf_unref(one);
    put_tls("a", other);
    struct dp_conf *three = compile();
    choose(three, 443, "a.example", &third);
    CU_ASSERT_PTR_NOT_EQUAL(second.certs[GW_TLS_KEY_EC], third.certs[GW_TLS_KEY_EC]);
    CU_ASSERT_EQUAL(gw_tls_cert_fit(second.certs[GW_TLS_KEY_EC], GW_STR("a.example")), 2);
    dp_conf_unref(two);
    json_decref(other);
    done(three);
}

static CU_TestInfo tests[] = {
    {"http_07_a_bad_pair_is_refused_alone", http_07_a_bad_pair_is_refused_alone},
    {"a_port_speaks_one_protocol", a_port_speaks_one_protocol},
    {"the_best_listener_and_its_best_certificates", the_best_listener_and_its_best_certificates},
    {"no_name_is_for_the_listener_without_hostname", no_name_is_for_the_listener_without_hostname},
    {"what_did_not_change_is_kept", what_did_not_change_is_kept},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_conf_certs = {"certs", set_up, tear_down, NULL, NULL, tests};
