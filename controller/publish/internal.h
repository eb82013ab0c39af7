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
    bool is_told;       // the holder of the Lease knows it, up to:
    uint64_t told;
    struct ctl_remote_view *remotes; // what other replicas say of theirs
    GW_VEC(struct ctl_view_change {
        uint64_t serial;
        char *name;
    })
    log;
};

// The view of another replica for the same Gateway: which form of each resource it has pushed, and
// since which of its serials. Its data planes' acked are in its serials, too.
struct ctl_remote_view {
    struct ctl_remote_view *next; // of the same view of ours
    struct ctl_replica *replica;
    struct ctl_view *view;
    struct gw_map entries; // name -> struct ctl_remote_entry *
    uint64_t serial;
    char root[GW_IR_VERSION_CHARS + 1];
    unsigned planes;
    uint64_t acked; // by all of them
};
struct ctl_remote_entry {
    uint64_t serial;
    char version[GW_IR_VERSION_CHARS + 1];
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
    struct gw_timer recheck; // of its token
    bool is_token_due;       // it was asked for it
    uint64_t id;             // that replicas speak of it by
    bool is_due, is_told;    // to the holder of the Lease: something new; all of it, once
    // Of another replica: link is NULL, state is LIVE, and acked is in the serials of:
    struct ctl_remote_view *remote;
};

struct ctl_publish {
    struct ctl_publish_opts opts;
    struct gw_map resources; // name -> struct ctl_pub_resource *
    struct gw_map faults;    // name -> text: why the newest form was not taken
    struct ctl_view *views;
    struct ctl_peer *peers;
    uint64_t ids;        // of peers, counted
    char *identity_text; // among replicas; NULL: the only one
    void (*on_holder_gone)(void *arg);
    bool is_leader;                // others tell us of their data planes
    struct ctl_replica *replicas;  // those
    char *holder;                  // "HOST:PORT" that is told of ours; NULL: nobody
    struct ctl_relay *relay;       // to it; NULL until the CA is there
    struct gw_tls_ctx *relay_tls;  // trusts the push CA
    struct gw_secret *relay_token; // NULL: no CA yet
    struct gw_map news;            // names of resources of which something else may be said now
    bool is_all_news;              // of any of them
    bool has_snapshot;             // the first one was applied, an empty one perhaps
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
// Each resource that changed after serial since (not before log_begin), once; e NULL: it is gone.
typedef void (*ctl_view_change_fn)(void *arg, const char *name, const struct ctl_view_entry *e);
void ctl_view_changes(const struct ctl_view *v, uint64_t since, ctl_view_change_fn fn, void *arg);
void ctl_pub_resource_unref(struct ctl_pub_resource *r);

// peer.c
void ctl_peer_open(void *arg, struct gw_h2link_peer *link);
void ctl_peer_message(void *arg, struct gw_h2link_peer *link, struct gw_str bytes);
void ctl_peer_close(void *arg, struct gw_h2link_peer *link, const struct gw_err *why);
void ctl_peer_greet(struct ctl_peer *peer); // a held one: there is a snapshot now
void ctl_peer_push(struct ctl_peer *peer);  // sends what it lacks, unless a delta is under way
void ctl_peer_free(struct ctl_peer *peer);  // out of publish->peers, too
bool ctl_peer_send(struct ctl_peer *peer, json_t *message); // takes message; false: it is closed
void ctl_peer_send_away(const struct ctl_peer *peer, const char *why); // with a line in the log
// It refuses that form of a resource; and nothing any more.
void ctl_peer_note_refusal(struct ctl_peer *peer, struct gw_str name, const char *version,
                           const char *reason);
void ctl_peer_forget_refusals(struct ctl_peer *peer);
// As gw_ir_message_parse, of what is not believed: GW_ERR_LIMIT where its tree would be large.
enum gw_rc ctl_peer_read(struct gw_str bytes, struct gw_ir_message *ret, struct gw_err *err);
void ctl_publish_count_init(void);
void ctl_publish_add_news(struct ctl_publish *p, struct gw_str name);
void ctl_publish_all_news(struct ctl_publish *p); // data planes came or went

// said.c: what data planes have said, ours and those of other replicas.
void ctl_publish_note_programmed(struct ctl_publish *p);
bool ctl_peer_is_current(const struct ctl_peer *peer);

// replica.c: the holder's end of relays. on_open, on_message and on_close of their links.
void ctl_replica_open(struct ctl_publish *p, struct gw_h2link_peer *link);
void ctl_replica_message(struct ctl_publish *p, struct gw_h2link_peer *link, struct gw_str bytes);
void ctl_replica_close(struct ctl_publish *p, struct gw_h2link_peer *link,
                       const struct gw_err *why);
const char *ctl_replica_identity(const struct ctl_remote_view *rv);
bool ctl_replica_counts(const struct ctl_remote_view *rv); // its word is waited for
// A data plane that a replica without a link had is connected elsewhere now.
void ctl_replica_forget_ghost(struct ctl_publish *p, const char *node, const char *gateway);
void ctl_replicas_free(struct ctl_publish *p); // all of them

// relay.c: the follower's end.
void ctl_relay_restart(struct ctl_publish *p); // to p->holder, where all is there for it
void ctl_relay_free(struct ctl_relay *r);
void ctl_relay_due(struct ctl_publish *p); // something is to be told
void ctl_relay_gone(struct ctl_publish *p, const struct ctl_peer *peer);

// gate.c
void ctl_gate_authorize(void *arg, struct gw_h2link_peer *link, struct gw_str token);
void ctl_gate_refused(void *arg, struct gw_h2link_peer *link, const struct gw_err *why);
// GW_ERR_LIMIT: too many of its namespace came and said nothing.
enum gw_rc ctl_gate_enters(const struct ctl_peer *peer, struct gw_err *err);
// GW_ERR_AUTH: it may not follow the Gateway that it names; that Gateway is none of ours.
enum gw_rc ctl_gate_names(const struct ctl_peer *peer, const char *gateway, struct gw_err *err);
enum gw_rc ctl_gate_exists(const struct ctl_peer *peer, const char *gateway, struct gw_err *err);

// recheck.c: who is connected shows its token again, every publish opts.recheck_ms.
void ctl_recheck_begin(struct ctl_peer *peer);
void ctl_recheck_end(struct ctl_peer *peer);
// GW_ERR_INPUT: nobody asked; GW_ERR_AUTH: it is none. In a cluster the verdict comes later.
enum gw_rc ctl_recheck_token(struct ctl_peer *peer, struct gw_str token, struct gw_err *err);

// state.c: ca.crt, ca.key and token of the state folder, made where they are missing; and a server
// certificate of that CA for names.
struct ctl_state {
    struct gw_tls_ctx *tls;
    struct gw_secret *ca_cert, *ca_key, *token;
};
enum gw_rc ctl_state_load(const char *dir, const char *const *names, struct ctl_state *ret,
                          struct gw_err *err);
void ctl_state_fini(struct ctl_state *s);

#endif
