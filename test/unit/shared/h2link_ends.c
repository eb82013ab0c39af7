// SPDX-License-Identifier: Apache-2.0
#include "test/unit/shared/h2link_ends.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// Longest that any test waits for what must happen.
#define PATIENCE_US 30000000

struct gw_text ends_ca_pem, ends_other_ca_pem;
static struct gw_text cert_pem;
static struct gw_secret *ca_key, *other_ca_key, *cert_key;

int ends_set_up(void) {
    const char *const names[] = {"127.0.0.1", "localhost", NULL};
    struct gw_err err;
    if (gw_tls_make_ca("unit CA", 30, &ends_ca_pem, &ca_key, &err) != GW_OK) return 1;
    if (gw_tls_make_ca("other CA", 30, &ends_other_ca_pem, &other_ca_key, &err) != GW_OK) return 1;
    return gw_tls_make_cert(gw_text_str(&ends_ca_pem), ca_key, names, 30, &cert_pem, &cert_key,
                            &err) != GW_OK;
}

int ends_tear_down(void) {
    gw_text_fini(&ends_ca_pem);
    gw_text_fini(&ends_other_ca_pem);
    gw_text_fini(&cert_pem);
    gw_secret_unref(ca_key);
    gw_secret_unref(other_ca_key);
    gw_secret_unref(cert_key);
    return 0;
}

// --- a server that records ---

static void keep_start(char dst[ENDS_FIRST_BYTES], struct gw_str bytes) {
    size_t n = bytes.len < ENDS_FIRST_BYTES ? bytes.len : ENDS_FIRST_BYTES - 1;
    if (n) memcpy(dst, bytes.ptr, n);
    dst[n] = '\0';
}
static void server_drop(struct server *v, enum hook when) {
    if (v->hook != when) return;
    gw_h2link_server_free(v->s);
    v->s = NULL;
}
static void on_authorize(void *arg, struct gw_h2link_peer *p, struct gw_str token) {
    struct server *v = arg;
    v->authorized++;
    v->asked = p;
    if (v->waits) return;
    if (gw_str_eq(token, GW_STR(TOKEN)))
        gw_h2link_peer_accept(p);
    else
        gw_h2link_peer_refuse(p, 401, "the token is not accepted");
}
static void on_peer_refused(void *arg, struct gw_h2link_peer *p, const struct gw_err *why) {
    struct server *v = arg;
    if (v->asked == p) v->asked = NULL;
    v->refused++;
    v->refused_why = *why;
}
static void on_peer_open(void *arg, struct gw_h2link_peer *p) {
    struct server *v = arg;
    v->last = p;
    v->opened++;
    server_drop(v, HOOK_FREE_ON_OPEN);
}
static void on_peer_message(void *arg, struct gw_h2link_peer *p, struct gw_str bytes) {
    struct server *v = arg;
    v->bytes += bytes.len;
    v->messages++;
    keep_start(v->first, bytes);
    if (v->echoes) CU_ASSERT_EQUAL(gw_h2link_peer_send(p, bytes, NULL), GW_OK);
    server_drop(v, HOOK_FREE_ON_MESSAGE);
}
static void on_peer_close(void *arg, struct gw_h2link_peer *p, const struct gw_err *why) {
    struct server *v = arg;
    if (v->last == p) v->last = NULL;
    v->closed++;
    v->why = *why;
    server_drop(v, HOOK_FREE_ON_CLOSE);
}

struct gw_h2link_server_opts server_opts(struct server *v) {
    struct gw_err err;
    struct gw_tls_ctx *tls =
        gw_tls_server_ctx(gw_text_str(&cert_pem), cert_key, GW_STR("h2"), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tls);
    return (struct gw_h2link_server_opts){
        .host = "127.0.0.1",
        .tls = tls, // the test's reference: server_start gives it up
        .message_bytes_max = MESSAGE_MAX,
        .peers_max = 10,
        .authorize = on_authorize,
        .on_refused = on_peer_refused,
        .on_open = on_peer_open,
        .on_message = on_peer_message,
        .on_close = on_peer_close,
        .arg = v,
    };
}

void server_start(struct server *v, const struct gw_h2link_server_opts *o) {
    struct gw_err err;
    if (!v->loop) v->loop = gw_loop_new(&err);
    v->s = gw_h2link_server_new(v->loop, o, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v->s);
    if (o->tls) gw_tls_ctx_unref(o->tls);
}

void server_plain(struct server *v) {
    struct gw_h2link_server_opts o = server_opts(v);
    server_start(v, &o);
}

void server_fini(struct server *v) {
    gw_h2link_server_free(v->s);
    gw_loop_free(v->loop);
}

// --- a client that records ---

static void client_drop(struct client *k, enum hook when) {
    if (k->hook != when) return;
    gw_h2link_client_free(k->c);
    k->c = NULL;
}
static void on_link_open(void *arg) {
    struct client *k = arg;
    k->opened++;
    client_drop(k, HOOK_FREE_ON_OPEN);
}
static void on_link_message(void *arg, struct gw_str bytes) {
    struct client *k = arg;
    k->bytes += bytes.len;
    k->messages++;
    keep_start(k->first, bytes);
    client_drop(k, HOOK_FREE_ON_MESSAGE);
}
static void on_link_close(void *arg, const struct gw_err *why) {
    struct client *k = arg;
    k->closed++;
    k->why = *why;
    client_drop(k, HOOK_FREE_ON_CLOSE);
}

void client_start(struct client *k, const struct client_args *a) {
    struct gw_err err;
    if (!k->loop) k->loop = gw_loop_new(&err);
    struct gw_tls_ctx *tls =
        gw_tls_client_ctx(gw_text_str(a->ca ? a->ca : &ends_ca_pem), GW_STR("h2"), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tls);
    struct gw_secret *token = gw_secret_new(gw_str_of(a->token ? a->token : TOKEN));
    const struct gw_h2link_client_opts o = {
        .host = a->host ? a->host : "127.0.0.1",
        .port = a->port,
        .tls = tls,
        .token = token,
        .message_bytes_max = a->message_bytes_max ? a->message_bytes_max : MESSAGE_MAX,
        .backoff_min_ms = 5,
        .backoff_max_ms = 40,
        .ping_ms = a->ping_ms,
        .on_open = on_link_open,
        .on_message = on_link_message,
        .on_close = on_link_close,
        .arg = k,
    };
    k->c = gw_h2link_client_new(k->loop, &o, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(k->c);
    gw_secret_unref(token);
    gw_tls_ctx_unref(tls);
}

void client_fini(struct client *k) {
    gw_h2link_client_free(k->c);
    gw_loop_free(k->loop);
}

bool reaches(struct gw_loop *a, struct gw_loop *b, const int *value, int want) {
    int64_t end_us = gw_clock_us() + PATIENCE_US;
    while (*value < want && gw_clock_us() < end_us) {
        if (a) gw_loop_turn(a, b ? 0 : 1);
        if (b) gw_loop_turn(b, 1);
    }
    return *value >= want;
}
bool reaches_size(struct gw_loop *a, struct gw_loop *b, const size_t *value, size_t want) {
    int64_t end_us = gw_clock_us() + PATIENCE_US;
    while (*value < want && gw_clock_us() < end_us) {
        gw_loop_turn(a, 0);
        gw_loop_turn(b, 0);
    }
    return *value >= want;
}
void turn_for(struct gw_loop *a, struct gw_loop *b, int ms) {
    int64_t end_us = gw_clock_us() + ms * 1000;
    while (gw_clock_us() < end_us) {
        if (a) gw_loop_turn(a, 1);
        if (b) gw_loop_turn(b, 1);
    }
}

void connect_both(struct server *v, struct client *k, const struct client_args *a) {
    struct client_args args = *a;
    args.port = gw_h2link_server_port(v->s);
    client_start(k, &args);
    CU_ASSERT_TRUE_FATAL(reaches(v->loop, k->loop, &k->opened, 1));
    CU_ASSERT_EQUAL_FATAL(v->opened, 1);
}

bool has(const struct gw_err *err, const char *part) {
    if (strstr(err->text, part)) return true;
    fprintf(stderr, "no '%s' in '%s'\n", part, err->text);
    return false;
}

uint16_t closed_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, n), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}
