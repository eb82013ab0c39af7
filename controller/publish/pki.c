// SPDX-License-Identifier: Apache-2.0
// See pki.h. One round looks at both objects and mends what is wrong with the first that is; any
// answer and any event of a watch begins the next round, so that it ends only where all is right:
//
//   GET Secret     200 > take the CA     404 > POST it (409: another replica was faster) > again
//   GET ConfigMap  200 and equal > done  200 > PATCH > again     404 > POST > again
//
// What fails is tried again, ever more slowly.
#include "controller/publish/pki.h"

#include "shared/log.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#define CERT_DAYS 825
#define CA_DAYS 3650
// A watch was missed, or an event: everything is looked at so often all the same.
#define ROUND_MS (5 * 60 * 1000)
// Events of one change come together.
#define GATHER_MS 50
#define WATCH_AGAIN_MS 2000
#define WATCH_IDLE_MS 120000

enum object { SECRET, CONFIG_MAP, OBJECTS };

struct watcher {
    struct ctl_pki *pki;
    struct ctl_kube_call *call;
    struct gw_timer timer;
};

struct ctl_pki {
    struct ctl_pki_opts o; // ns and names are its own
    char **names;
    char *paths[OBJECTS], *lists[OBJECTS];
    struct gw_text cert; // of the CA that holds; empty: none yet
    struct gw_secret *key;
    struct ctl_kube_call *call;
    struct gw_timer round;
    bool is_asked; // for a round, while one is under way
    char *problem; // of the last failure; NULL: none since all was right
    unsigned failures;
    unsigned writes; // since all was right
    struct watcher watchers[OBJECTS];
};

// --- the certificate ---------------------------------------------------------------------------

struct gw_tls_ctx *ctl_pki_server(struct gw_str ca_cert, const struct gw_secret *ca_key,
                                  const char *const *names, struct gw_err *err) {
    GW_CLEANUP(gw_text_fini) struct gw_text cert = {0};
    struct gw_secret *key = NULL;
    if (gw_tls_make_cert(ca_cert, ca_key, names, CERT_DAYS, &cert, &key, err) != GW_OK) return NULL;
    struct gw_tls_ctx *tls = gw_tls_server_ctx(gw_text_str(&cert), key, GW_STR("h2"), err);
    gw_secret_unref(key);
    return tls;
}

struct gw_secret *ctl_pki_relay_token(const struct gw_secret *ca_key) {
    static const char use[] = "tandem relay v1";
    struct gw_str key = gw_secret_reveal(ca_key);
    unsigned char mac[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned n = 0;
    HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)use, sizeof(use) - 1, mac, &n);
    for (unsigned i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", mac[i]);
    struct gw_secret *token = gw_secret_new((struct gw_str){text, 2 * n});
    explicit_bzero(mac, sizeof(mac));
    explicit_bzero(text, sizeof(text));
    return token;
}

void ctl_pki_names(const char *host, const char *self, const char *const *more, const char **ret,
                   size_t n) {
    const char *const fixed[] = {host,
                                 "localhost",
                                 "127.0.0.1",
                                 "::1",
                                 self,
                                 "tandem-controller",
                                 "tandem-controller.tandem-system.svc"};
    size_t len = 0;
    for (size_t i = 0; i < GW_ARRAY_LEN(fixed) && len + 1 < n; i++)
        if (*fixed[i]) ret[len++] = fixed[i];
    for (size_t i = 0; more && more[i] && len + 1 < n; i++)
        ret[len++] = more[i];
    ret[len] = NULL;
}

// --- rounds ------------------------------------------------------------------------------------

static void send(struct ctl_pki *p, enum ctl_kube_method method, const char *path, json_t *body,
                 ctl_kube_fn fn);
static void on_secret(void *arg, const struct ctl_kube_reply *r);
static void on_config_map(void *arg, const struct ctl_kube_reply *r);

static void begin(struct ctl_pki *p) {
    p->is_asked = false;
    send(p, CTL_KUBE_GET, p->paths[SECRET], NULL, on_secret);
}

static void on_round(struct gw_timer *t) {
    struct ctl_pki *p = GW_CONTAINER_OF(t, struct ctl_pki, round);
    p->is_asked = true;
    if (!p->call) begin(p);
}

static void again(struct ctl_pki *p, int64_t ms) {
    gw_timer_set(p->o.loop, &p->round, ms);
}

static void fail(struct ctl_pki *p, const struct gw_err *err, int retry_after_s) {
    uint32_t random;
    gw_random(&random, sizeof(random));
    p->failures++;
    free(p->problem);
    p->problem = gw_strdup(err->text);
    GW_ERROR("publish", "the push CA cannot be kept in the cluster; it is tried again",
             GW_KS("ns", p->o.ns), GW_KS("err", err->text));
    again(p, ctl_kube_backoff_ms(p->failures + 3, retry_after_s, random));
}

static void send(struct ctl_pki *p, enum ctl_kube_method method, const char *path, json_t *body,
                 ctl_kube_fn fn) {
    struct gw_err err;
    const struct ctl_kube_request rq = {
        .method = method,
        .path = path,
        .body = body,
        .content_type = method == CTL_KUBE_PATCH ? "application/merge-patch+json" : NULL,
        .fn = fn,
        .arg = p,
    };
    p->call = p->o.api.send(p->o.api.arg, &rq, &err);
    if (!p->call) fail(p, &err, 0);
}

// Of a write: whatever it did, the objects are looked at again. overtaken: the status that says
// that somebody else was faster.
static void after_write(struct ctl_pki *p, const struct ctl_kube_reply *r, int overtaken) {
    p->call = NULL;
    if (r->rc != GW_OK && r->status != overtaken) {
        fail(p, &r->err, r->retry_after_s);
        return;
    }
    // At the start there is one of each; more is somebody who writes against us.
    p->writes++;
    again(p, p->writes <= OBJECTS ? 0 : ctl_kube_backoff_ms(p->writes, 0, 0));
}

static void on_post(void *arg, const struct ctl_kube_reply *r) {
    after_write(arg, r, 409);
}

static void on_patch(void *arg, const struct ctl_kube_reply *r) {
    after_write(arg, r, 404);
}

// --- the Secret --------------------------------------------------------------------------------

// data.KEY of a Secret, decoded; NULL: absent or no base64.
static struct gw_secret *member(const json_t *secret, const char *key) {
    struct gw_str text = gw_json_str(gw_json_get(secret, "data"), key);
    if (!text.len || text.len % 4) return NULL;
    unsigned char *bytes = gw_alloc(text.len);
    int n = EVP_DecodeBlock(bytes, (const unsigned char *)text.ptr, (int)text.len);
    struct gw_secret *s = NULL;
    if (n > 0) {
        size_t pad = (text.ptr[text.len - 1] == '=') + (text.ptr[text.len - 2] == '=');
        s = gw_secret_new((struct gw_str){(const char *)bytes, (size_t)n - pad});
        explicit_bzero(bytes, (size_t)n);
    }
    free(bytes);
    return s;
}

static void set_member(json_t *data, const char *key, struct gw_str value) {
    unsigned char *text = gw_alloc(4 * ((value.len + 2) / 3) + 1);
    int n = EVP_EncodeBlock(text, (const unsigned char *)value.ptr, (int)value.len);
    json_object_set_new(data, key, json_stringn((const char *)text, (size_t)n));
    explicit_bzero(text, (size_t)n);
    free(text);
}

static json_t *object_of(const struct ctl_pki *p, const char *kind, const char *name,
                         json_t *data) {
    return json_pack("{ssss s{ssss s{ss}} so}", "apiVersion", "v1", "kind", kind, "metadata",
                     "name", name, "namespace", p->o.ns, "labels", "app.kubernetes.io/managed-by",
                     "tandem-controller", "data", data);
}

// The CA that holds, or a new one.
static void create_secret(struct ctl_pki *p) {
    GW_CLEANUP(gw_text_fini) struct gw_text cert = {0};
    struct gw_secret *key = p->key ? gw_secret_ref(p->key) : NULL;
    struct gw_err err;
    if (key)
        gw_text_add(&cert, p->cert.ptr, p->cert.len);
    else if (gw_tls_make_ca("tandem push CA", CA_DAYS, &cert, &key, &err) != GW_OK) {
        fail(p, &err, 0);
        return;
    }
    json_t *data = json_object();
    set_member(data, "ca.crt", gw_text_str(&cert));
    set_member(data, "ca.key", gw_secret_reveal(key));
    GW_JSON_AUTO body = object_of(p, "Secret", CTL_PKI_SECRET, data);
    json_object_set_new(body, "type", json_string("Opaque"));
    gw_secret_unref(key);
    send(p, CTL_KUBE_POST, p->lists[SECRET], body, on_post);
}

static enum gw_rc take(struct ctl_pki *p, const json_t *secret, struct gw_err *err) {
    struct gw_secret *cert = member(secret, "ca.crt"), *key = member(secret, "ca.key");
    enum gw_rc rc = GW_OK;
    struct gw_tls_ctx *tls = NULL;
    if (!cert || !key)
        rc = gw_err_set(err, GW_ERR_INPUT, 0,
                        "Secret %s/" CTL_PKI_SECRET " has no ca.crt and ca.key (delete it, and a "
                        "new one is made)",
                        p->o.ns);
    bool is_same = rc == GW_OK && p->key && gw_secret_eq(cert, gw_text_str(&p->cert)) &&
                   gw_secret_eq(key, gw_secret_reveal(p->key));
    if (rc == GW_OK && !is_same) {
        tls = ctl_pki_server(gw_secret_reveal(cert), key, (const char *const *)p->names, err);
        if (!tls) rc = gw_err_wrap(err, "Secret %s/" CTL_PKI_SECRET, p->o.ns);
    }
    if (tls) {
        struct gw_str text = gw_secret_reveal(cert);
        gw_text_reset(&p->cert);
        gw_text_add(&p->cert, text.ptr, text.len);
        gw_secret_unref(p->key);
        p->key = gw_secret_ref(key);
        GW_INFO("publish", "push CA taken", GW_KS("ns", p->o.ns), GW_KS("secret", CTL_PKI_SECRET));
        p->o.on_ca(p->o.arg, tls, text, p->key);
        gw_tls_ctx_unref(tls);
    }
    gw_secret_unref(cert);
    gw_secret_unref(key);
    return rc;
}

static void on_secret(void *arg, const struct ctl_kube_reply *r) {
    struct ctl_pki *p = arg;
    struct gw_err err = r->err;
    p->call = NULL;
    if (r->status == 404)
        create_secret(p);
    else if (r->rc == GW_OK && take(p, r->body, &err) == GW_OK)
        send(p, CTL_KUBE_GET, p->paths[CONFIG_MAP], NULL, on_config_map);
    else
        fail(p, &err, r->retry_after_s);
}

// --- the ConfigMap -----------------------------------------------------------------------------

static void on_config_map(void *arg, const struct ctl_kube_reply *r) {
    struct ctl_pki *p = arg;
    struct gw_str cert = gw_text_str(&p->cert);
    p->call = NULL;
    if (r->rc != GW_OK && r->status != 404) {
        fail(p, &r->err, r->retry_after_s);
        return;
    }
    if (r->rc == GW_OK && gw_str_eq(gw_json_str(gw_json_get(r->body, "data"), "ca.crt"), cert)) {
        p->failures = p->writes = 0;
        free(p->problem);
        p->problem = NULL;
        again(p, p->is_asked ? GATHER_MS : ROUND_MS);
        return;
    }
    json_t *data = json_object();
    json_object_set_new(data, "ca.crt", json_stringn(cert.ptr, cert.len));
    GW_JSON_AUTO body = object_of(p, "ConfigMap", CTL_PKI_CONFIG_MAP, data);
    if (r->status == 404)
        send(p, CTL_KUBE_POST, p->lists[CONFIG_MAP], body, on_post);
    else
        send(p, CTL_KUBE_PATCH, p->paths[CONFIG_MAP], body, on_patch);
}

// --- watching ----------------------------------------------------------------------------------

static void on_event(void *arg, struct gw_str type, json_t *object) {
    struct watcher *w = arg;
    (void)object;
    if (gw_str_eq(type, GW_STR("BOOKMARK"))) return;
    // Until the first CA is there, the rounds go on by themselves.
    w->pki->is_asked = true;
    if (w->pki->key && w->pki->failures == 0) again(w->pki, GATHER_MS);
}

static void on_end(void *arg, const struct ctl_kube_reply *r) {
    struct watcher *w = arg;
    (void)r; // a round tells what is wrong
    w->call = NULL;
    gw_timer_set(w->pki->o.loop, &w->timer, WATCH_AGAIN_MS);
}

static void on_watch_timer(struct gw_timer *t) {
    struct watcher *w = GW_CONTAINER_OF(t, struct watcher, timer);
    struct ctl_pki *p = w->pki;
    size_t n = (size_t)(w - p->watchers);
    GW_CLEANUP(gw_text_fini) struct gw_text path = {0};
    struct gw_err err;
    gw_text_addf(&path, "%s?watch=1&allowWatchBookmarks=true&fieldSelector=metadata.name%%3D%s",
                 p->lists[n], n == SECRET ? CTL_PKI_SECRET : CTL_PKI_CONFIG_MAP);
    const struct ctl_kube_watch_opts o = {.path = path.ptr,
                                          .idle_ms = WATCH_IDLE_MS,
                                          .on_event = on_event,
                                          .on_end = on_end,
                                          .arg = w};
    w->call = p->o.api.watch(p->o.api.arg, &o, &err);
    if (!w->call) gw_timer_set(p->o.loop, t, WATCH_AGAIN_MS);
}

// --- life --------------------------------------------------------------------------------------

static void set_paths(struct ctl_pki *p, enum object which, const char *plural, const char *name) {
    struct gw_text list = {0}, path = {0};
    gw_text_addf(&list, "/api/v1/namespaces/%s/%s", p->o.ns, plural);
    gw_text_addf(&path, "%s/%s", list.ptr, name);
    p->lists[which] = list.ptr;
    p->paths[which] = path.ptr;
}

struct ctl_pki *ctl_pki_new(const struct ctl_pki_opts *o) {
    struct ctl_pki *p = gw_alloc(sizeof(*p));
    size_t n = 0;
    p->o = *o;
    p->o.ns = gw_strdup(o->ns);
    while (o->names[n])
        n++;
    p->names = gw_alloc((n + 1) * sizeof(*p->names));
    for (size_t i = 0; i < n; i++)
        p->names[i] = gw_strdup(o->names[i]);
    gw_timer_init(&p->round, on_round);
    set_paths(p, SECRET, "secrets", CTL_PKI_SECRET);
    set_paths(p, CONFIG_MAP, "configmaps", CTL_PKI_CONFIG_MAP);
    for (size_t i = 0; i < OBJECTS; i++) {
        p->watchers[i].pki = p;
        gw_timer_init(&p->watchers[i].timer, on_watch_timer);
        gw_timer_set(o->loop, &p->watchers[i].timer, 0);
    }
    again(p, 0);
    return p;
}

const char *ctl_pki_problem(const struct ctl_pki *p) {
    return p->problem;
}

void ctl_pki_free(struct ctl_pki *p) {
    if (!p) return;
    gw_timer_cancel(p->o.loop, &p->round);
    if (p->call) p->o.api.cancel(p->o.api.arg, p->call);
    for (size_t i = 0; i < OBJECTS; i++) {
        gw_timer_cancel(p->o.loop, &p->watchers[i].timer);
        if (p->watchers[i].call) p->o.api.cancel(p->o.api.arg, p->watchers[i].call);
        free(p->lists[i]);
        free(p->paths[i]);
    }
    for (char **name = p->names; *name; name++)
        free(*name);
    free(p->names);
    gw_text_fini(&p->cert);
    gw_secret_unref(p->key);
    free(p->problem);
    free((char *)(uintptr_t)p->o.ns);
    free(p);
}
