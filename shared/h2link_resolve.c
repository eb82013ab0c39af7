// SPDX-License-Identifier: Apache-2.0
// The look-up job belongs to two threads until it is posted or cancelled; `loop` under the lock
// says whether anybody still waits for it.
#include "shared/h2link_resolve.h"

#include "shared/str.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

// getaddrinfo and its plug-ins use little; musl gives threads 128 KiB.
#define STACK_BYTES (512 * 1024)

struct gw_h2resolve {
    pthread_mutex_t lock;
    struct gw_loop *loop;   // by lock; NULL: cancelled
    struct addrinfo *found; // the thread's, then the loop's
    int gai_rc;
    gw_h2resolve_fn fn;
    void *arg;
    char port[8];
    char host[]; // NUL-terminated
};

static void job_free(struct gw_h2resolve *r) {
    if (r->found) freeaddrinfo(r->found);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

// On the loop's thread.
static void deliver(void *arg) {
    struct gw_h2resolve *r = arg;
    pthread_mutex_lock(&r->lock);
    bool is_wanted = r->loop != NULL;
    pthread_mutex_unlock(&r->lock);
    if (is_wanted) {
        struct gw_err err;
        struct addrinfo *list = r->found;
        r->found = NULL;
        if (!list)
            gw_err_set(&err, GW_ERR_UPSTREAM, 502, "look-up of '%s': %s", r->host,
                       gai_strerror(r->gai_rc));
        r->fn(r->arg, list, list ? NULL : &err);
    }
    job_free(r);
}

static int look_up(struct gw_h2resolve *r, int flags) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    return getaddrinfo(r->host, r->port, &hints, &r->found);
}

static void *thread_main(void *arg) {
    struct gw_h2resolve *r = arg;
    r->gai_rc = look_up(r, AI_NUMERICSERV | AI_ADDRCONFIG);
    pthread_mutex_lock(&r->lock);
    bool is_wanted = r->loop != NULL;
    // Under the lock, so that a cancel in between cannot be followed by the end of the loop.
    if (is_wanted) gw_loop_post(r->loop, deliver, r);
    pthread_mutex_unlock(&r->lock);
    if (!is_wanted) job_free(r);
    return NULL;
}

// Signals stay with the threads that expect them.
static int thread_start(struct gw_h2resolve *r) {
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int rc = pthread_create(&thread, &attr, thread_main, r);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

struct gw_h2resolve *gw_h2resolve_start(struct gw_loop *l, const char *host, uint16_t port,
                                        gw_h2resolve_fn fn, void *arg) {
    struct gw_h2resolve *r = gw_alloc(sizeof(*r) + strlen(host) + 1);
    pthread_mutex_init(&r->lock, NULL);
    r->loop = l;
    r->fn = fn;
    r->arg = arg;
    snprintf(r->port, sizeof(r->port), "%u", port);
    memcpy(r->host, host, strlen(host) + 1);
    r->gai_rc = look_up(r, AI_NUMERICSERV | AI_NUMERICHOST);
    if (r->gai_rc != 0 && thread_start(r) == 0) return r;
    if (r->gai_rc != 0) r->gai_rc = EAI_AGAIN; // no thread to be had
    gw_loop_post(l, deliver, r);
    return r;
}

void gw_h2resolve_cancel(struct gw_h2resolve *r) {
    pthread_mutex_lock(&r->lock);
    r->loop = NULL;
    pthread_mutex_unlock(&r->lock);
}
