// SPDX-License-Identifier: Apache-2.0
// What the files of publish/ share: resources, views of them, and peers.
#ifndef CTL_PUBLISH_INTERNAL_H
#define CTL_PUBLISH_INTERNAL_H

#include "controller/publish/identity.h"
#include "controller/publish/pki.h"
#include "controller/publish/publish.h"
#include "shared/ir_message.h"
#include "shared/log.h"
#include "shared/vec.h"

// Entries a view remembers for deltas; a peer that is further behind compares all versions.
#define CTL_VIEW_LOG_MAX 200000

struct ctl_pub_resource {
    char *name;
    json_t *body;
    char version[GW_IR_VERSION_CHARS + 1];
    size_t bytes;    // of the body, as it is sent
    bool programmed; // this form was acknowledged by all that were connected; sticky
    unsigned refs;   // the snapshot and views
};

// One resource as a view holds it.
struct ctl_view_entry {
    struct ctl_pub_resource *resource;
    uint64_t serial; // of the view when this form came in
};

// The resources that data planes of one Gateway get ("": all of them). Shared by its peers.
struct ctl_view {
    struct ctl_view *next;
    char *gateway;
    struct gw_map entries;                  // name -> struct ctl_view_entry *
    GW_VEC(struct ctl_view_entry *) sorted; // by name; see is_sorted
    bool is_sorted;                         // false: entries came or went since
    uint64_t serial;                        // counts changes
    char root[GW_IR_VERSION_CHARS + 1];
    uint64_t log_begin; // changes up to this one are forgotten
    GW_VEC(struct ctl_view_change {
        uint64_t serial;
        char *name;
    })
    log;
};

enum ctl_peer_state {
    CTL_PEER_NEW,       // no hello yet
    CTL_PEER_HELD,      // there is no snapshot yet
    CTL_PEER_COMPARING, // asked what it has
    CTL_PEER_LIVE,
};

// Of a message before the peer's hello was taken: its texts, each byte of which may be an escape.
#define CTL_PEER_HELLO_BYTES_MAX (16u << 10)

struct ctl_refusal {
    char *reason;
    char version[GW_IR_VERSION_CHARS + 1];
};

struct ctl_peer {
    struct ctl_peer *next;
    struct ctl_publish *publish;
    struct gw_h2link_peer *link;
    struct ctl_view *view;
    enum ctl_peer_state state;
    char *ns; // that its token is of; NULL: of a folder
    char *node, *address;
    char *root;           // of what it holds, as its hello said
    uint64_t sent, acked; // serials of the view; sent > acked: a delta is under way
    char sent_root[GW_IR_VERSION_CHARS + 1];
    struct gw_map refusals; // name of a resource -> struct ctl_refusal *
    struct gw_timer wait;   // for the hello, or for what it has
    unsigned unasked;       // answers that no delta asked for; falls by one a second
    int64_t unasked_ms;
};

struct ctl_publish {
    struct ctl_publish_opts opts;
    struct gw_map resources; // name -> struct ctl_pub_resource *
    struct gw_map faults;    // name -> text: why the newest form was not taken
    struct ctl_view *views;
    struct ctl_peer *peers;
    struct gw_map news; // names of resources of which something else may be said now
    bool is_all_news;   // of any of them
    bool has_snapshot;  // the first one was applied, an empty one perhaps
    struct gw_h2link_server *server;
    struct gw_tls_ctx *tls;
    struct gw_secret *token;
    struct ctl_identity *identity; // of a cluster; or token and tls
    struct ctl_pki *pki;
    struct gw_log_limit refused_lines, refusal_lines, changed_lines;
};

// view.c
struct ctl_view *ctl_view_of(struct ctl_publish *p, const char *gateway);
// After resources changed; the view of all resources looks at the changes alone.
void ctl_view_refresh(struct ctl_publish *p, struct ctl_view *v,
                      const struct ctl_resource_change *changes, size_t n);
void ctl_view_free(struct ctl_view *v);
void ctl_view_leave(struct ctl_publish *p, struct ctl_view *v); // frees one that nobody follows
void ctl_pub_resource_unref(struct ctl_pub_resource *r);

// peer.c
void ctl_peer_open(void *arg, struct gw_h2link_peer *link);
void ctl_peer_message(void *arg, struct gw_h2link_peer *link, struct gw_str bytes);
void ctl_peer_close(void *arg, struct gw_h2link_peer *link, const struct gw_err *why);
void ctl_peer_greet(struct ctl_peer *peer); // a held one: there is a snapshot now
void ctl_peer_push(struct ctl_peer *peer);  // sends what it lacks, unless a delta is under way
void ctl_peer_free(struct ctl_peer *peer);
void ctl_publish_count_init(void);
void ctl_publish_note_programmed(struct ctl_publish *p);
void ctl_publish_add_news(struct ctl_publish *p, struct gw_str name);
void ctl_publish_all_news(struct ctl_publish *p); // data planes came or went

// gate.c
void ctl_gate_authorize(void *arg, struct gw_h2link_peer *link, struct gw_str token);
void ctl_gate_refused(void *arg, struct gw_h2link_peer *link, const struct gw_err *why);
// GW_ERR_LIMIT: too many of its namespace came and said nothing.
enum gw_rc ctl_gate_enters(const struct ctl_peer *peer, struct gw_err *err);
// GW_ERR_AUTH: it may not follow the Gateway that it names; that Gateway is none of ours.
enum gw_rc ctl_gate_names(const struct ctl_peer *peer, const char *gateway, struct gw_err *err);
enum gw_rc ctl_gate_exists(const struct ctl_peer *peer, const char *gateway, struct gw_err *err);

// state.c: ca.crt, ca.key and token of the state folder, made where they are missing; and a server
// certificate of that CA for names.
enum gw_rc ctl_state_load(const char *dir, const char *const *names, struct gw_tls_ctx **ret_tls,
                          struct gw_secret **ret_token, struct gw_err *err);

#endif
