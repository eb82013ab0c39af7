// SPDX-License-Identifier: Apache-2.0
// See tls_ticket.h. Two keys: the one that seals, and the one before.
#include "shared/tls_ticket.h"

#include "shared/secret.h"

#include <pthread.h>
#include <stdlib.h>

struct gw_tls_tickets {
    pthread_mutex_t lock;
    struct gw_tls_ticket_key keys[2]; // [0] seals; made_ms 0: there is none
};

struct gw_tls_tickets *gw_tls_tickets_new(void) {
    struct gw_tls_tickets *t = gw_alloc(sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void gw_tls_tickets_free(struct gw_tls_tickets *t) {
    if (!t) return;
    pthread_mutex_destroy(&t->lock);
    explicit_bzero(t->keys, sizeof(t->keys));
    free(t);
}

static void make(struct gw_tls_ticket_key *k, int64_t now_ms) {
    gw_random(k->name, sizeof(k->name));
    gw_random(k->aes, sizeof(k->aes));
    gw_random(k->hmac, sizeof(k->hmac));
    k->made_ms = now_ms ? now_ms : 1;
}

void gw_tls_tickets_seal(struct gw_tls_tickets *t, int64_t now_ms, struct gw_tls_ticket_key *ret) {
    pthread_mutex_lock(&t->lock);
    struct gw_tls_ticket_key *k = t->keys;
    if (k[0].made_ms == 0) {
        make(&k[0], now_ms);
    } else if (now_ms - k[0].made_ms >= GW_TLS_TICKET_ROTATE_MS) {
        k[1] = k[0];
        make(&k[0], now_ms);
    }
    *ret = k[0];
    pthread_mutex_unlock(&t->lock);
}

bool gw_tls_tickets_open(struct gw_tls_tickets *t, int64_t now_ms, const unsigned char *name,
                         struct gw_tls_ticket_key *ret, bool *ret_is_old) {
    bool is_found = false;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < GW_ARRAY_LEN(t->keys) && !is_found; i++) {
        const struct gw_tls_ticket_key *k = &t->keys[i];
        int64_t age_ms = now_ms - k->made_ms;
        if (k->made_ms == 0 || memcmp(k->name, name, sizeof(k->name)) != 0) continue;
        if (age_ms >= 2 * GW_TLS_TICKET_ROTATE_MS) continue;
        is_found = true;
        *ret = *k;
        *ret_is_old = age_ms >= GW_TLS_TICKET_ROTATE_MS;
    }
    pthread_mutex_unlock(&t->lock);
    return is_found;
}
