// SPDX-License-Identifier: Apache-2.0
// What the suites of h2link share: a server and a client that record what they were told. Each has
// a loop of its own, turned by one thread in turns, so that a test can let one end stand still.
#ifndef GW_TEST_H2LINK_ENDS_H
#define GW_TEST_H2LINK_ENDS_H

#include "shared/h2link.h"

#define TOKEN "top-secret-token"
#define MESSAGE_MAX (8u << 20)
#define ENDS_FIRST_BYTES 32

extern struct gw_text ends_ca_pem, ends_other_ca_pem;

int ends_set_up(void); // makes the certificates
int ends_tear_down(void);

// Frees the end from within its own callback.
enum hook { HOOK_NONE, HOOK_FREE_ON_OPEN, HOOK_FREE_ON_MESSAGE, HOOK_FREE_ON_CLOSE };

struct server {
    struct gw_loop *loop;
    struct gw_h2link_server *s;
    struct gw_h2link_peer *last; // the last that opened and has not closed
    int opened, closed, authorized, refused;
    struct gw_err why; // of the last close
    struct gw_err refused_why;
    struct gw_h2link_peer *asked; // the last that was asked about and is not refused
    bool waits;                   // leaves the answer to the test
    size_t bytes, messages;
    char first[ENDS_FIRST_BYTES]; // bytes of the last message
    bool echoes;
    enum hook hook;
};

struct client {
    struct gw_loop *loop;
    struct gw_h2link_client *c;
    int opened, closed;
    struct gw_err why;
    size_t bytes, messages;
    char first[ENDS_FIRST_BYTES];
    enum hook hook;
};

struct client_args {
    const char *host, *token;
    uint16_t port;
    const struct gw_text *ca;
    size_t message_bytes_max;
    unsigned ping_ms;
};

// For server_start, which gives up the reference of .tls.
struct gw_h2link_server_opts server_opts(struct server *v);
void server_start(struct server *v, const struct gw_h2link_server_opts *o); // makes a loop if none
void server_plain(struct server *v);                                        // with server_opts
void server_fini(struct server *v);

void client_start(struct client *k, const struct client_args *a); // makes a loop if none
void client_fini(struct client *k);
// Starts a client of the server and waits until both are open.
void connect_both(struct server *v, struct client *k, const struct client_args *a);

// Turns both loops (b may be NULL) until *value reaches want; false: it did not in time.
bool reaches(struct gw_loop *a, struct gw_loop *b, const int *value, int want);
bool reaches_size(struct gw_loop *a, struct gw_loop *b, const size_t *value, size_t want);
void turn_for(struct gw_loop *a, struct gw_loop *b, int ms);

uint16_t closed_port(void); // of 127.0.0.1, with nobody listening
bool has(const struct gw_err *err, const char *part);

#endif
