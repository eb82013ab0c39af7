// SPDX-License-Identifier: Apache-2.0
// Kubeconfigs: what is wrong in them by name, then what is read.
#include "controller/kube/client.h"
#include "test/unit/controller/source/folder.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
#define CONTEXTS "contexts: [{name: c, context: {cluster: k, user: u, namespace: team}}]\n"
#define CLUSTERS "clusters: [{name: k, cluster: {server: 'https://10.0.0.1:6443/'}}]\n"
// "-----BEGIN X-----"
#define PEM64 "LS0tLS1CRUdJTiBYLS0tLS0="

static enum gw_rc load(struct folder *f, const char *text, struct ctl_kube_config *c,
                       struct gw_err *err) {
    char path[256];
    folder_write(f, "config", text);
    snprintf(path, sizeof(path), "%s/config", f->path);
    return ctl_kube_config_load(path, c, err);
}

static void refusals(void) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "is no kubeconfig"},
        {"[]", "is no kubeconfig"},
        {"a: [", "config:"},
        {"{}", "current-context is missing"},
        {HEAD, "contexts does not hold"},
        {HEAD CONTEXTS, "clusters does not hold"},
        {HEAD CONTEXTS "clusters: [{name: k, cluster: {server: ''}}]", "server is missing"},
        {HEAD CONTEXTS "clusters: [{name: k, cluster: {server: 'ftp://a'}}]", "no http or https"},
        {HEAD CONTEXTS "clusters: [{name: k, cluster: {server: 'https://u:p@a'}}]", "no plain URL"},
        {HEAD CONTEXTS
         "clusters: [{name: k, cluster: {server: 'https://a', proxy-url: 'http://b'}}]",
         "proxy-url is not supported"},
        {HEAD CONTEXTS
         "clusters: [{name: k, cluster: {server: 'https://a', certificate-authority-data: '%'}}]",
         "certificate-authority-data is not base64"},
        {HEAD CONTEXTS
         "clusters: [{name: k, cluster: {server: 'https://a', certificate-authority-data: YWJj}}]",
         "holds no PEM"},
        {HEAD CONTEXTS
         "clusters: [{name: k, cluster: {server: 'https://a', certificate-authority: none.pem}}]",
         "none.pem"},
        {HEAD CONTEXTS "clusters: [{name: k, cluster: {server: 'https://a', "
                       "insecure-skip-tls-verify: true, certificate-authority-data: " PEM64 "}}]",
         "contradicts"},
        {HEAD CONTEXTS CLUSTERS, "users does not hold"},
        {HEAD CONTEXTS CLUSTERS "users: [{name: u, user: {exec: {command: aws}}}]",
         "exec is not supported"},
        {HEAD CONTEXTS CLUSTERS "users: [{name: u, user: {username: a, password: b}}]",
         "username is not supported"},
        {HEAD CONTEXTS CLUSTERS "users: [{name: u, user: {client-certificate-data: " PEM64 "}}]",
         "client-key is missing"},
        {HEAD CONTEXTS CLUSTERS "users: [{name: u, user: {client-key-data: " PEM64 "}}]",
         "client-certificate is missing"},
        {HEAD CONTEXTS CLUSTERS "users: [{name: u, user: {token: \"hidden\\r\\nX: y\"}}]",
         "one line of printable ASCII"},
        {HEAD CONTEXTS CLUSTERS "users: [{name: u, user: {tokenFile: none}}]", "tokenFile"},
        {HEAD CONTEXTS CLUSTERS "users: [{name: u, user: {token: 123}}]", "token must be a string"},
        {HEAD CONTEXTS "clusters: [{name: k, cluster: {server: 'http://a'}}]\n"
                       "users: [{name: u, user: {token: hidden}}]",
         "over https only"},
    };
    struct folder f;
    folder_init(&f);
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct ctl_kube_config c = {0};
        struct gw_err err = {0};
        CU_ASSERT_NOT_EQUAL(load(&f, cases[i].text, &c, &err), GW_OK);
        if (!strstr(err.text, cases[i].says)) fprintf(stderr, "\ncase %zu: %s\n", i, err.text);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].says));
        CU_ASSERT_PTR_NULL(strstr(err.text, "hidden"));
        CU_ASSERT_PTR_NULL(c.server);
    }
    struct ctl_kube_config c = {0};
    struct gw_err err = {0};
    CU_ASSERT_EQUAL(ctl_kube_config_load("/no/such/file", &c, &err), GW_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/no/such/file"));
    folder_fini(&f);
}

static void outside_of_a_cluster(void) {
    struct ctl_kube_config c = {0};
    struct gw_err err = {0};
    unsetenv("KUBERNETES_SERVICE_HOST");
    CU_ASSERT_EQUAL(ctl_kube_config_load(NULL, &c, &err), GW_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "KUBERNETES_SERVICE_HOST"));
}

static void what_is_read(void) {
    struct folder f;
    struct ctl_kube_config c = {0};
    struct gw_err err = {0};
    folder_init(&f);
    folder_write(&f, "ca.pem", "-----BEGIN CERTIFICATE-----\n");
    folder_write(&f, "token", "abc.def\n");
    CU_ASSERT_EQUAL_FATAL(
        load(&f,
             HEAD CONTEXTS "clusters: [{name: k, cluster: {server: 'https://10.0.0.1:6443/p//', "
                           "certificate-authority: ca.pem}}]\n"
                           "users: [{name: u, user: {token: other, tokenFile: token, "
                           "client-certificate-data: " PEM64 ", client-key-data: " PEM64 "}}]\n",
             &c, &err),
        GW_OK);
    CU_ASSERT_STRING_EQUAL(c.server, "https://10.0.0.1:6443/p");
    CU_ASSERT_STRING_EQUAL(c.ns, "team");
    CU_ASSERT_STRING_EQUAL(c.ca_pem, "-----BEGIN CERTIFICATE-----\n");
    CU_ASSERT_STRING_EQUAL(c.cert_pem, "-----BEGIN X-----");
    CU_ASSERT(gw_secret_eq(c.key_pem, GW_STR("-----BEGIN X-----")));
    CU_ASSERT(gw_secret_eq(c.token, GW_STR("abc.def")));
    CU_ASSERT_PTR_NOT_NULL(strstr(c.token_file, "/token"));
    CU_ASSERT_FALSE(c.insecure);
    ctl_kube_config_fini(&c);
    // No user at all, as `kubectl proxy` is reached.
    CU_ASSERT_EQUAL(load(&f,
                         HEAD "contexts: [{name: c, context: {cluster: k}}]\n"
                              "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:8001'}}]\n",
                         &c, &err),
                    GW_OK);
    CU_ASSERT_STRING_EQUAL(c.ns, "default");
    CU_ASSERT_PTR_NULL(c.token);
    ctl_kube_config_fini(&c);
    folder_fini(&f);
}

static CU_TestInfo tests[] = {
    {"refusals", refusals},
    {"outside of a cluster", outside_of_a_cluster},
    {"what is read", what_is_read},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_kube_config = {"config", NULL, NULL, NULL, NULL, tests};
