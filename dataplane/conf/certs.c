// SPDX-License-Identifier: Apache-2.0
// The table of certificates, as they are found by name and content, and the choice among those of a
// listener. The last reference is dropped under the table's lock, so that a certificate which is
// found there is never about to be freed.
#include "dataplane/conf/compile.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>

struct dp_cert {
    unsigned refs; // by the lock
    struct gw_tls_cert *tls;
    struct gw_text key;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gw_map table; // by key, values struct dp_cert *

// A digest stands for the content: the table must not hold the text of a private key.
static void make_key(struct gw_text *key, struct gw_str name, struct gw_str chain_pem,
                     struct gw_str key_pem) {
    unsigned char digest[2][SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)chain_pem.ptr, chain_pem.len, digest[0]);
    SHA256((const unsigned char *)key_pem.ptr, key_pem.len, digest[1]);
    gw_text_add(key, (const char *)digest, sizeof(digest));
    gw_text_add(key, name.ptr, name.len);
}

struct dp_cert *dp_cert_intern(struct gw_str name, struct gw_str chain_pem, struct gw_str key_pem,
                               struct gw_err *err) {
    struct gw_text key = {0};
    make_key(&key, name, chain_pem, key_pem);
    pthread_mutex_lock(&lock);
    struct dp_cert *c = gw_map_get(&table, gw_text_str(&key));
    if (c) {
        c->refs++;
    } else {
        struct gw_secret *secret = gw_secret_new(key_pem);
        struct gw_tls_cert *tls = gw_tls_cert_new(chain_pem, secret, err);
        gw_secret_unref(secret);
        if (tls) {
            c = gw_alloc(sizeof(*c));
            *c = (struct dp_cert){1, tls, key};
            gw_map_put(&table, gw_text_str(&key), c);
            key = (struct gw_text){0};
        }
    }
    pthread_mutex_unlock(&lock);
    gw_text_fini(&key);
    return c;
}

void dp_cert_unref(struct dp_cert *c) {
    if (!c) return;
    pthread_mutex_lock(&lock);
    bool is_gone = --c->refs == 0;
    if (is_gone) gw_map_del(&table, gw_text_str(&c->key));
    pthread_mutex_unlock(&lock);
    if (!is_gone) return;
    gw_tls_cert_free(c->tls);
    gw_text_fini(&c->key);
    free(c);
}

const struct gw_tls_cert *dp_cert_tls(const struct dp_cert *c) {
    return c->tls;
}

// --- the choice ---------------------------------------------------------------------------------

const struct dp_listener *dp_conf_certs(const struct dp_port *p, struct gw_str name,
                                        struct gw_tls_choice *ret) {
    const struct dp_listener *l = dp_conf_listener(p, name);
    struct gw_tls_choice best = {0};
    unsigned fits[GW_TLS_KEY_TYPES] = {0}, best_fit = 0;
    if (!l || l->certs_n == 0) return NULL;
    for (unsigned i = 0; i < l->certs_n; i++) {
        enum gw_tls_key_type type = gw_tls_cert_key_type(l->certs[i]);
        unsigned fit = gw_tls_cert_fit(l->certs[i], name);
        if (best.certs[type] && fit <= fits[type]) continue;
        best.certs[type] = l->certs[i];
        fits[type] = fit;
        if (fit > best_fit) best_fit = fit;
    }
    // Of a type that covers the name in no way, none is shown where another type does.
    for (unsigned t = 0; t < GW_TLS_KEY_TYPES; t++)
        if (best_fit > 0 && fits[t] == 0) best.certs[t] = NULL;
    // None covers it: the first alone is what the owner of the listener would expect.
    for (unsigned t = 0; t < GW_TLS_KEY_TYPES; t++)
        if (best_fit == 0 && best.certs[t] != l->certs[0]) best.certs[t] = NULL;
    best.scope = l->name;
    *ret = best;
    return l;
}
