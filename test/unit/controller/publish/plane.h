// SPDX-License-Identifier: Apache-2.0
// For suites of publish and status: a publisher in a folder of its own, and data planes that say
// what a test wants them to say. All on one loop, which turns only while a test waits.
#ifndef GW_TEST_PLANE_H
#define GW_TEST_PLANE_H

#include "controller/publish/publish.h"
#include "shared/ir_message.h"
#include "shared/vec.h"

struct stage {
    struct gw_loop *loop;
    struct ctl_publish *publish;
    char dir[64];
    int changes; // calls of on_change
};
void stage_init(struct stage *s);
void stage_fini(struct stage *s); // also removes the folder
void stage_restart(struct stage *s);

struct plane {
    struct stage *stage;
    struct gw_h2link_client *client;
    const char *gateway, *root, *address;
    json_t *have; // sent when asked
    bool silent;  // no hello
    int opened, closed, resyncs, deltas, completes, asked;
    char version[GW_IR_VERSION_CHARS + 1]; // of the last delta
    json_t *set, *removed;                 // of all deltas: name -> body, name -> true
    char why[512];                         // of the last close
};
// Fields that a test sets before: gateway, root, address, have, silent. token NULL: the right one.
void plane_start(struct plane *p, struct stage *s, const char *token);
void plane_stop(struct plane *p);                 // leaves, and the publisher has seen it
void plane_forget(struct plane *p);               // what was received
void plane_say(struct plane *p, json_t *message); // takes it
void plane_ack(struct plane *p);
void plane_nack(struct plane *p, const char *resource, const char *reason); // of the last delta

// Turns the loop until *n is at least want; false after some seconds.
bool stage_wait(struct stage *s, const int *n, int want);
void stage_turn(struct stage *s, int ms); // lets pass what is on its way

// Secrets named "secret/a/b/NAME": any number of small resources.
void stage_put(struct stage *s, const char *name, const char *value); // value NULL: removes
enum ctl_programmed stage_said(const struct stage *s, const char *name, const char **ret_reason);

#endif
