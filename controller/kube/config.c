// SPDX-License-Identifier: Apache-2.0
// Where the API server is and who we are: a kubeconfig's current context, or what a pod finds in
// its environment and its ServiceAccount's folder. What cannot be honoured (credential plugins,
// passwords, proxies) is refused by name instead of being left out. Nothing is asked for here.
#include "controller/kube/client.h"
#include "shared/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// A bundle of all public CAs is a quarter of it; a kubeconfig with its data inline is less.
#define FILE_BYTES_MAX (1u << 20)
#define POD_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

// --- files and base64 ----------------------------------------------------------------------------

static void wipe(struct gw_text *t) {
    if (t->ptr) explicit_bzero(t->ptr, t->len);
    gw_text_fini(t);
}

static enum gw_rc read_file(const char *path, struct gw_text *ret, struct gw_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return gw_err_set(err, GW_ERR_INPUT, 0, "%s: %s", path, strerror(errno));
    char *chunk = gw_alloc(FILE_BYTES_MAX + 1);
    size_t n = 0;
    ssize_t got;
    while (n <= FILE_BYTES_MAX && (got = read(fd, chunk + n, FILE_BYTES_MAX + 1 - n)) > 0)
        n += (size_t)got;
    int saved = errno;
    close(fd);
    enum gw_rc rc = GW_OK;
    if (n > FILE_BYTES_MAX)
        rc = gw_err_set(err, GW_ERR_LIMIT, 0, "%s: is larger than 1 MiB", path);
    else if (got < 0)
        rc = gw_err_set(err, GW_ERR_INPUT, 0, "%s: %s", path, strerror(saved));
    else
        gw_text_add(ret, chunk, n);
    explicit_bzero(chunk, n);
    free(chunk);
    return rc;
}

static enum gw_rc decode(struct gw_str base64, const char *member, struct gw_text *ret,
                         struct gw_err *err) {
    size_t pad = 0;
    while (pad < 2 && pad < base64.len && base64.ptr[base64.len - 1 - pad] == '=')
        pad++;
    unsigned char *bytes = gw_alloc(base64.len / 4 * 3 + 4);
    int n = base64.len && base64.len % 4 == 0
                ? EVP_DecodeBlock(bytes, (const unsigned char *)base64.ptr, (int)base64.len)
                : -1;
    bool ok = n >= (int)pad;
    if (ok) gw_text_add(ret, bytes, (size_t)n - pad);
    explicit_bzero(bytes, base64.len / 4 * 3 + 4);
    free(bytes);
    return ok ? GW_OK : gw_err_set(err, GW_ERR_INPUT, 0, "%s is not base64", member);
}

// --- kubeconfig ----------------------------------------------------------------------------------

struct reader {
    const char *path;   // of the kubeconfig
    const char *folder; // which the paths in it are relative to
    struct gw_err *err;
};

static enum gw_rc refuse(struct reader *r, const char *member, const char *text) {
    return gw_err_set(r->err, GW_ERR_INPUT, 0, "%s: %s %s", r->path, member, text);
}

// A member of another type would be taken for one that is absent.
static enum gw_rc only_texts(struct reader *r, const json_t *obj) {
    static const char *const texts[] = {"server",
                                        "certificate-authority",
                                        "certificate-authority-data",
                                        "client-certificate",
                                        "client-certificate-data",
                                        "client-key",
                                        "client-key-data",
                                        "token",
                                        "tokenFile",
                                        "namespace",
                                        "cluster",
                                        "user"};
    for (size_t i = 0; i < GW_ARRAY_LEN(texts); i++) {
        const json_t *v = gw_json_get(obj, texts[i]);
        if (v && !json_is_string(v)) return refuse(r, texts[i], "must be a string");
    }
    return GW_OK;
}

// The part ("cluster", "user", "context") of the list's entry of that name; NULL: there is none.
static const json_t *find(const json_t *root, const char *list, struct gw_str name,
                          const char *part) {
    const json_t *entries = gw_json_get(root, list);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *e = json_array_get(entries, i);
        if (gw_str_eq(gw_json_str(e, "name"), name)) return gw_json_get(e, part);
    }
    return NULL;
}

static char *path_of(const struct reader *r, struct gw_str text) {
    struct gw_text t = {0};
    if (text.len && text.ptr[0] == '/')
        gw_text_add(&t, text.ptr, text.len);
    else
        gw_text_addf(&t, "%s/" GW_STR_FMT, r->folder, GW_STR_ARG(text));
    return t.ptr;
}

// PEM from "<member>-data" or from the file that "<member>" names; ret stays empty without both.
static enum gw_rc read_pem(struct reader *r, const json_t *obj, const char *member,
                           struct gw_text *ret) {
    char data_member[64];
    snprintf(data_member, sizeof(data_member), "%s-data", member);
    struct gw_str data = gw_json_str(obj, data_member), file = gw_json_str(obj, member);
    if (data.len) {
        if (decode(data, data_member, ret, r->err) != GW_OK)
            return gw_err_wrap(r->err, "%s", r->path);
    } else if (file.len) {
        char *path = path_of(r, file);
        enum gw_rc rc = read_file(path, ret, r->err);
        free(path);
        if (rc != GW_OK) return gw_err_wrap(r->err, "%s: %s", r->path, member);
    } else {
        return GW_OK;
    }
    if (!ret->ptr || !strstr(ret->ptr, "-----BEGIN "))
        return refuse(r, data.len ? data_member : member, "holds no PEM");
    return GW_OK;
}

static enum gw_rc read_server(struct reader *r, struct gw_str url, struct ctl_kube_config *c) {
    while (url.len && url.ptr[url.len - 1] == '/')
        url.len--;
    if (!url.len) return refuse(r, "server", "is missing");
    if (!gw_str_starts(url, GW_STR("https://")) && !gw_str_starts(url, GW_STR("http://")))
        return refuse(r, "server", "is no http or https URL");
    for (size_t i = 0; i < url.len; i++)
        if (url.ptr[i] <= ' ' || url.ptr[i] == '?' || url.ptr[i] == '#' || url.ptr[i] == '@')
            return refuse(r, "server", "is no plain URL (no user, query or fragment)");
    c->server = gw_strndup(url.ptr, url.len);
    return GW_OK;
}

static enum gw_rc read_cluster(struct reader *r, const json_t *cluster, struct ctl_kube_config *c) {
    static const char *const unbuilt[] = {"proxy-url", "tls-server-name"};
    if (!cluster) return refuse(r, "clusters", "does not hold the context's cluster");
    for (size_t i = 0; i < GW_ARRAY_LEN(unbuilt); i++)
        if (gw_json_str(cluster, unbuilt[i]).len) return refuse(r, unbuilt[i], "is not supported");
    GW_TRY(only_texts(r, cluster));
    GW_TRY(read_server(r, gw_json_str(cluster, "server"), c));
    c->insecure = gw_json_bool(cluster, "insecure-skip-tls-verify", false);
    struct gw_text pem = {0};
    enum gw_rc rc = read_pem(r, cluster, "certificate-authority", &pem);
    c->ca_pem = pem.ptr;
    if (rc == GW_OK && c->insecure && c->ca_pem)
        return refuse(r, "certificate-authority", "contradicts insecure-skip-tls-verify");
    return rc;
}

static enum gw_rc read_key_pair(struct reader *r, const json_t *user, struct ctl_kube_config *c) {
    struct gw_text cert = {0};
    enum gw_rc rc = read_pem(r, user, "client-certificate", &cert);
    c->cert_pem = cert.ptr;
    GW_TRY(rc);
    GW_CLEANUP(wipe) struct gw_text key = {0};
    GW_TRY(read_pem(r, user, "client-key", &key));
    if (key.len) c->key_pem = gw_secret_new(gw_text_str(&key));
    if (!c->cert_pem != !c->key_pem)
        return refuse(r, c->cert_pem ? "client-key" : "client-certificate", "is missing");
    return GW_OK;
}

static enum gw_rc read_user(struct reader *r, const json_t *user, struct ctl_kube_config *c) {
    static const struct {
        const char *member, *text;
    } unbuilt[] = {
        {"exec", "is not supported: give a token, a tokenFile or a client certificate"},
        {"auth-provider", "is not supported: give a token, a tokenFile or a client certificate"},
        {"username", "is not supported: API servers take no passwords"},
        {"as", "is not supported"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(unbuilt); i++)
        if (gw_json_get(user, unbuilt[i].member))
            return refuse(r, unbuilt[i].member, unbuilt[i].text);
    GW_TRY(only_texts(r, user));
    GW_TRY(read_key_pair(r, user, c));
    struct gw_str file = gw_json_str(user, "tokenFile"), token = gw_json_str(user, "token");
    // As kubectl has it: the file wins.
    if (file.len) {
        c->token_file = path_of(r, file);
        c->token = gw_secret_from_file(c->token_file, r->err);
        if (!c->token) return gw_err_wrap(r->err, "%s: tokenFile", r->path);
    } else if (token.len) {
        c->token = gw_secret_new(token);
    }
    if ((c->token || c->key_pem) && !gw_str_starts(gw_str_of(c->server), GW_STR("https://")))
        return refuse(r, "server", "is http: credentials are sent over https only");
    return GW_OK;
}

static enum gw_rc read_context(struct reader *r, const json_t *root, struct ctl_kube_config *c) {
    struct gw_str name = gw_json_str(root, "current-context");
    if (!name.len) return refuse(r, "current-context", "is missing");
    const json_t *context = find(root, "contexts", name, "context");
    if (!context) return refuse(r, "contexts", "does not hold the current-context");
    GW_TRY(only_texts(r, context));
    struct gw_str ns = gw_json_str(context, "namespace");
    c->ns = ns.len ? gw_strndup(ns.ptr, ns.len) : gw_strdup("default");
    GW_TRY(read_cluster(r, find(root, "clusters", gw_json_str(context, "cluster"), "cluster"), c));
    struct gw_str user = gw_json_str(context, "user");
    const json_t *u = find(root, "users", user, "user");
    if (user.len && !u) return refuse(r, "users", "does not hold the context's user");
    return u ? read_user(r, u, c) : GW_OK;
}

static enum gw_rc load_file(const char *path, struct ctl_kube_config *c, struct gw_err *err) {
    GW_CLEANUP(wipe) struct gw_text text = {0};
    struct gw_yaml yaml = {0};
    GW_TRY(read_file(path, &text, err));
    GW_TRY(gw_yaml_parse(gw_text_str(&text), path, &yaml, err));
    char *copy = gw_strdup(path);
    struct reader r = {.path = path, .folder = dirname(copy), .err = err};
    enum gw_rc rc = yaml.len == 1 && json_is_object(yaml.docs[0].root)
                        ? read_context(&r, yaml.docs[0].root, c)
                        : gw_err_set(err, GW_ERR_INPUT, 0, "%s: is no kubeconfig", path);
    gw_yaml_fini(&yaml);
    free(copy);
    return rc;
}

// --- in the cluster ------------------------------------------------------------------------------

static enum gw_rc load_pod(struct ctl_kube_config *c, struct gw_err *err) {
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    if (!host || !*host || !port || !*port)
        return gw_err_set(
            err, GW_ERR_INPUT, 0,
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: outside "
            "of a cluster a kubeconfig is needed (--source kube:KUBECONFIG)");
    struct gw_text url = {0}, ca = {0}, ns = {0};
    bool is_v6 = strchr(host, ':') != NULL;
    gw_text_addf(&url, "https://%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
    c->server = url.ptr;
    enum gw_rc rc = read_file(POD_DIR "/ca.crt", &ca, err);
    c->ca_pem = ca.ptr;
    GW_TRY(rc);
    c->token_file = gw_strdup(POD_DIR "/token");
    c->token = gw_secret_from_file(c->token_file, err);
    if (!c->token) return err->rc;
    GW_TRY(read_file(POD_DIR "/namespace", &ns, err));
    struct gw_str name = gw_str_trim(gw_text_str(&ns));
    while (name.len && name.ptr[name.len - 1] == '\n')
        name.len--;
    c->ns = name.len ? gw_strndup(name.ptr, name.len) : gw_strdup("default");
    gw_text_fini(&ns);
    return GW_OK;
}

enum gw_rc ctl_kube_config_load(const char *path, struct ctl_kube_config *ret, struct gw_err *err) {
    struct ctl_kube_config c = {0};
    enum gw_rc rc = path ? load_file(path, &c, err) : load_pod(&c, err);
    if (rc == GW_OK && c.token && !gw_secret_is_token(c.token))
        rc = gw_err_set(err, GW_ERR_INPUT, 0, "%s: the token is not one line of printable ASCII",
                        path ? path : c.token_file);
    if (rc == GW_OK)
        *ret = c;
    else
        ctl_kube_config_fini(&c);
    return rc;
}

void ctl_kube_config_fini(struct ctl_kube_config *c) {
    free(c->server);
    free(c->ca_pem);
    free(c->ns);
    free(c->cert_pem);
    free(c->token_file);
    gw_secret_unref(c->key_pem);
    gw_secret_unref(c->token);
    *c = (struct ctl_kube_config){0};
}
