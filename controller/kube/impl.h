// SPDX-License-Identifier: Apache-2.0
// What the files of the API server's client share: client.c (calls: queue, timers, ends),
// transfer.c (libcurl on the loop), reply.c (bytes to replies and events), config.c. Only for
// controller/kube/.
#ifndef CTL_KUBE_IMPL_H
#define CTL_KUBE_IMPL_H

#include "controller/kube/client.h"

#include <curl/curl.h>
#include <sys/stat.h>

// For a connection and its handshake; an API server is near.
#define KUBE_CONNECT_MS 10000
#define KUBE_TIMEOUT_MS 30000
// The token's file is looked at this often at most.
#define KUBE_TOKEN_CHECK_MS 1000

enum kube_call_state { KUBE_WAITING, KUBE_SENT, KUBE_ENDED };

struct ctl_kube_call {
    struct ctl_kube *kube;
    struct ctl_kube_call *next, **pprev;
    enum kube_call_state state;
    struct gw_timer timer; // of the whole request, or of a watch's silence
    int64_t last_ms;       // when it was sent, or its last byte came

    enum ctl_kube_method method;
    char *path, *body, *content_type, *accept;
    size_t body_len;
    bool is_watch, is_open;
    unsigned idle_ms;
    ctl_kube_fn fn; // of a watch: on_end
    void (*on_open)(void *arg);
    void (*on_event)(void *arg, struct gw_str type, json_t *object);
    void *arg;

    CURL *easy;
    struct curl_slist *headers;
    char curl_text[CURL_ERROR_SIZE];
    struct gw_text in; // the body; of a watch what is not yet delivered
    size_t scanned;    // of in, known to hold no end of a line; else known to be no whole answer
    bool has_news;     // bytes came since the last delivery
    bool too_large;
};

// libcurl closes a socket that is still connecting without a word and says so later, when its
// number may be another one's. So the loop watches a descriptor of its own.
struct kube_socket {
    struct gw_io io;  // of a duplicate of:
    curl_socket_t fd; // as libcurl knows it
    struct ctl_kube *kube;
    struct kube_socket *next;
};

struct ctl_kube {
    struct gw_loop *loop;
    char *server, *ca_pem, *cert_pem, *token_file;
    struct gw_secret *key_pem, *token;
    bool insecure;
    int64_t token_checked_ms;
    struct timespec token_mtime;
    ino_t token_ino;

    CURLM *multi;
    struct gw_timer curl_timer;
    struct kube_socket *sockets;
    int64_t last_byte_ms; // from the server, of whatever call

    struct gw_timer whole_timer; // see client.c

    struct ctl_kube_call *waiting, **waiting_end, *sent;
    size_t calls, in_flight; // all; sent ones but watches
};

// An answer of which nothing came for so long is looked at.
#define KUBE_WHOLE_MS 20

// transfer.c
enum gw_rc kube_multi_new(struct ctl_kube *k, struct gw_err *err) GW_MUST_USE;
void kube_multi_free(struct ctl_kube *k); // closes every connection; no easy may be in it
// Gives the call to libcurl.
enum gw_rc kube_transfer_start(struct ctl_kube_call *c, struct gw_err *err) GW_MUST_USE;
void kube_transfer_stop(struct ctl_kube_call *c); // idempotent

// client.c, called after libcurl has worked and never from within it.
void kube_call_end_curl(struct ctl_kube_call *c, CURLcode result);
void kube_after_curl(struct ctl_kube *k);
void kube_on_whole_timer(struct gw_timer *t);

// reply.c: the words of an end, then fn. rc and text say why where it is not the server's answer.
void kube_reply(struct ctl_kube_call *c, enum gw_rc rc, const char *text);
// Whole lines of a watch, until it ends; GW_ERR_UPSTREAM where one is no event.
enum gw_rc kube_deliver(struct ctl_kube_call *c, struct gw_err *err) GW_MUST_USE;
// Whether what came of an answer is one whole JSON object: nothing that counts can follow.
bool kube_is_whole(struct gw_str in);
const char *kube_method_name(enum ctl_kube_method m);

#endif
