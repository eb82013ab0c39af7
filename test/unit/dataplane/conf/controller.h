// SPDX-License-Identifier: Apache-2.0
// A scripted controller for tests of the push stream's other end: a real server on a free port of
// 127.0.0.1, turned by the test; it keeps what comes and says what it is told to.
#ifndef TEST_DATAPLANE_CONF_CONTROLLER_H
#define TEST_DATAPLANE_CONF_CONTROLLER_H

#include "dataplane/conf/conf.h"
#include "shared/h2link.h"
#include "shared/ir_message.h"

#define CONTROLLER_WAIT_MS 10000

struct controller {
    char folder[32]; // ca.crt, token and, in state/, what the client keeps
    char ca_file[64], token_file[64], state_dir[64], snapshot[80];
    struct gw_loop *loop;
    struct gw_tls_ctx *tls;
    struct gw_h2link_server *server;
    struct gw_h2link_peer *peer; // NULL: nobody is connected
    struct gw_secret *token;
    unsigned opened;                 // connections so far
    json_t *received;                // messages not taken yet
    struct gw_map snapshot_versions; // name -> version text of what was sent last
};

void controller_start(struct controller *c);
void controller_stop(struct controller *c); // removes the folder
uint16_t controller_port(const struct controller *c);

// The next message, which must have this member; its value is the caller's. NULL after
// CONTROLLER_WAIT_MS.
json_t *controller_take(struct controller *c, const char *member);
// Turns for ms; true where nothing came.
bool controller_is_quiet(struct controller *c, int ms);
void controller_wait_peer(struct controller *c);             // until one more connection is open
void controller_send(struct controller *c, json_t *message); // takes message
void controller_send_text(struct controller *c, const char *text);

// A delta of pairs {name, body}, ended by NULL; body NULL: remove. Returns its root version, which
// lives until the next call.
const char *controller_push(struct controller *c, const char *const *pairs, bool complete);
// The same without sending: forgets or sets what the snapshot holds.
const char *controller_root(struct controller *c);

#endif
