// SPDX-License-Identifier: Apache-2.0
// The data plane's end of the push stream, on a thread of its own:
//
//   connected     hello (with the root of what is good)
//   resync        have: name and version of what is good
//   delta         gathered until one says complete, then wanted; at the end of the turn all that is
//                 wanted is compiled and applied at once, and the newest version is answered
//   port in use   applied again by and by, and answered again once the outcome is another
//
// held.c decides what is in use, snapshot_file.c keeps it.
#include "dataplane/conf/dump.h"
#include "dataplane/obs/metrics.h"
#include "shared/h2link.h"
#include "shared/ir_message.h"
#include "shared/log.h"
#include "shared/vec.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
// Between tries while the controller's files are not there, or after it sent what is no message.
#define RELINK_MS 1000
// Lines about a controller that is away.
#define WARN_EVERY_MS 10000
// A stream that is taken and closed at once was refused, and is told of as that alone.
#define SETTLED_MS 200
// Changes that come in a burst are written once.
#define SAVE_MS 100
// A large snapshot on a slow disk: writing takes at most a tenth of the time.
#define SAVE_SHARE 10
#define REFUSED_LINES_MAX 10
// Between tries to use what the workers refused, doubled each time: a port that a predecessor still
// holds is free soon, one of another program stays in use for long.
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000

// One step of a delta that is not complete yet; body NULL: remove.
struct step {
    char *name;
    char version[GW_IR_VERSION_CHARS + 1];
    json_t *body;
};

struct dp_conf_client {
    struct dp_conf_client_opts o;
    struct gw_loop *loop;
    pthread_t thread;
    bool is_running;
    bool is_stopping; // no call that is still queued does anything
    atomic_bool is_connected, is_ready;

    pthread_mutex_t lock; // held: taken by the client's thread while it changes it
    struct dp_held held;
    pthread_mutex_t version_lock;
    char version[GW_IR_VERSION_CHARS + 1]; // by version_lock; "": none is applied

    struct gw_h2link_client *link;
    struct gw_tls_ctx *tls;
    struct gw_secret *ca; // as it was read for link
    struct gw_timer relink, save, retry, settled;
    int64_t warned_ms, opened_ms;
    int64_t save_delay_ms, retry_ms;

    GW_VEC(struct step) gathered;
    char wanted_version[GW_IR_VERSION_CHARS + 1];
    bool is_apply_due;
};

// --- messages out -------------------------------------------------------------------------------

static void send_message(struct dp_conf_client *c, json_t *message) { // takes message
    struct gw_err err;
    size_t n;
    char *text = gw_ir_message_text(message, &n);
    json_decref(message);
    if (c->link && gw_h2link_client_send(c->link, (struct gw_str){text, n}, &err) != GW_OK)
        GW_DEBUG("conf", "message not sent", GW_KS("err", err.text));
    free(text);
}

static void send_answer(struct dp_conf_client *c) {
    json_t *errors = dp_held_errors(&c->held);
    if (json_array_size(errors)) {
        send_message(c, gw_ir_nack(c->wanted_version, errors));
        return;
    }
    json_decref(errors);
    send_message(c, gw_ir_ack(c->wanted_version));
}

// --- applying and keeping -----------------------------------------------------------------------

static void log_refused(const struct dp_held *h) {
    json_t *errors = dp_held_errors(h), *one;
    size_t i;
    json_array_foreach(errors, i, one) {
        if (i == REFUSED_LINES_MAX) break;
        GW_WARN("conf", "resource refused", GW_KSTR("resource", gw_json_str(one, "resource")),
                GW_KSTR("err", gw_json_str(one, "reason")));
    }
    json_decref(errors);
}

// By lock.
static void use_wanted(struct dp_conf_client *c, struct dp_held_result *ret) {
    dp_held_apply(&c->held, c->wanted_version, c->o.workers, c->o.apply, c->o.arg, ret);
    dp_held_commit(&c->held);
    if (ret->may_pass_later)
        gw_timer_set(c->loop, &c->retry, c->retry_ms);
    else
        gw_timer_cancel(c->loop, &c->retry);
}

// By lock.
static void apply(struct dp_conf_client *c) {
    struct dp_held_result result;
    int64_t start_us = gw_clock_us();
    c->retry_ms = RETRY_MIN_MS;
    use_wanted(c, &result);
    pthread_mutex_lock(&c->version_lock);
    memcpy(c->version, c->wanted_version, sizeof(c->version));
    pthread_mutex_unlock(&c->version_lock);
    atomic_store(&c->is_ready, true);
    gw_metric_add(result.refused ? dp_metrics.snapshots_refused : dp_metrics.snapshots_applied, 1);
    GW_INFO("conf", "snapshot applied", GW_KS("version", c->wanted_version),
            GW_KI("resources", c->held.entries.len), GW_KI("rules", result.rules),
            GW_KI("ports", result.ports), GW_KI("refused", result.refused),
            GW_KI("us", gw_clock_us() - start_us));
    if (result.refused) log_refused(&c->held);
}

static void save(struct dp_conf_client *c) {
    struct gw_err err;
    int64_t start_us = gw_clock_us();
    if (dp_snapshot_write(c->o.state_dir, &c->held, &err) != GW_OK)
        GW_ERROR("conf", "snapshot not kept", GW_KS("err", err.text));
    int64_t took_ms = (gw_clock_us() - start_us) / 1000;
    c->save_delay_ms = took_ms * SAVE_SHARE > SAVE_MS ? took_ms * SAVE_SHARE : SAVE_MS;
}

static void on_save(struct gw_timer *t) {
    save(GW_CONTAINER_OF(t, struct dp_conf_client, save));
}

static void tell_and_save(struct dp_conf_client *c) {
    send_answer(c);
    if (c->o.state_dir && !gw_timer_armed(&c->save))
        gw_timer_set(c->loop, &c->save, c->save_delay_ms);
}

static void apply_wanted(void *arg) {
    struct dp_conf_client *c = arg;
    c->is_apply_due = false;
    if (c->is_stopping) return;
    pthread_mutex_lock(&c->lock);
    apply(c);
    pthread_mutex_unlock(&c->lock);
    tell_and_save(c);
}

// What stood in the way of a listener may have gone by itself. Nobody hears of a try that changes
// nothing; of another the controller does, in a second answer to the same version.
static void on_retry(struct gw_timer *t) {
    struct dp_conf_client *c = GW_CONTAINER_OF(t, struct dp_conf_client, retry);
    struct dp_held_result result;
    GW_JSON_AUTO before = dp_held_errors(&c->held);
    c->retry_ms = c->retry_ms * 2 < RETRY_MAX_MS ? c->retry_ms * 2 : RETRY_MAX_MS;
    pthread_mutex_lock(&c->lock);
    use_wanted(c, &result);
    pthread_mutex_unlock(&c->lock);
    GW_JSON_AUTO after = dp_held_errors(&c->held);
    if (json_equal(before, after)) return;
    GW_INFO("conf", "refused before, tried again", GW_KS("version", c->wanted_version),
            GW_KI("ports", result.ports), GW_KI("refused", result.refused));
    tell_and_save(c);
}

// --- messages in --------------------------------------------------------------------------------

static void drop_gathered(struct dp_conf_client *c) {
    for (size_t i = 0; i < c->gathered.len; i++) {
        free(c->gathered.ptr[i].name);
        json_decref(c->gathered.ptr[i].body);
    }
    c->gathered.len = 0;
}

static void gather(struct dp_conf_client *c, struct gw_str name, struct gw_str version,
                   json_t *body) {
    struct step s = {.name = gw_strndup(name.ptr, name.len), .body = json_incref(body)};
    size_t n = version.len < GW_IR_VERSION_CHARS ? version.len : GW_IR_VERSION_CHARS;
    if (n) memcpy(s.version, version.ptr, n);
    GW_VEC_PUSH(&c->gathered, s);
}

// By lock. A resource beyond the cap has no entry to be refused in; the log alone tells.
static void want_gathered(struct dp_conf_client *c) {
    for (size_t i = 0; i < c->gathered.len; i++) {
        const struct step *s = &c->gathered.ptr[i];
        if (!s->body)
            dp_held_remove(&c->held, gw_str_of(s->name));
        else if (!dp_held_set(&c->held, gw_str_of(s->name), s->version, s->body))
            GW_ERROR("conf", "too many resources", GW_KS("resource", s->name),
                     GW_KI("max", GW_IR_RESOURCES_MAX));
    }
}

static void on_delta(struct dp_conf_client *c, const json_t *delta) {
    const json_t *set = gw_json_get(delta, "set"), *remove = gw_json_get(delta, "remove");
    struct gw_str version = gw_json_str(delta, "version");
    for (size_t i = 0; i < json_array_size(remove); i++)
        gather(c, gw_json_str_of(json_array_get(remove, i)), (struct gw_str){NULL, 0}, NULL);
    for (size_t i = 0; i < json_array_size(set); i++) {
        const json_t *one = json_array_get(set, i);
        gather(c, gw_json_str(one, "name"), gw_json_str(one, "version"), gw_json_get(one, "body"));
    }
    if (!gw_json_bool(delta, "complete", false)) return;
    pthread_mutex_lock(&c->lock);
    want_gathered(c);
    pthread_mutex_unlock(&c->lock);
    drop_gathered(c);
    memcpy(c->wanted_version, version.ptr, GW_IR_VERSION_CHARS);
    if (!c->is_apply_due) gw_loop_defer(c->loop, apply_wanted, c);
    c->is_apply_due = true;
}

static struct gw_secret *get_token(void *arg, struct gw_err *err) {
    const struct dp_conf_client *c = arg;
    struct gw_secret *token = gw_secret_from_file(c->o.token_file, err);
    if (!token || gw_secret_is_token(token)) return token;
    gw_secret_unref(token);
    gw_err_set(err, GW_ERR_INPUT, 0, "%s: a token is one line of printable ASCII", c->o.token_file);
    return NULL;
}

// As it is now: the one that was dialled with may have been replaced.
static void show_token(struct dp_conf_client *c) {
    struct gw_err err;
    size_t n;
    struct gw_secret *token = get_token(c, &err);
    if (!token) { // the controller waits, and then ends the stream
        GW_ERROR("conf", "token not shown", GW_KS("err", err.text));
        return;
    }
    char *text = gw_ir_token_text(gw_secret_reveal(token), &n);
    if (gw_h2link_client_send(c->link, (struct gw_str){text, n}, &err) != GW_OK)
        GW_DEBUG("conf", "message not sent", GW_KS("err", err.text));
    explicit_bzero(text, n);
    free(text);
    gw_secret_unref(token);
}

static void on_message(void *arg, struct gw_str bytes) {
    struct dp_conf_client *c = arg;
    struct gw_ir_message m;
    struct gw_err err;
    enum gw_rc rc = gw_ir_message_parse(bytes, &m, &err);
    if (rc == GW_OK && m.type == GW_IR_RESYNC) {
        drop_gathered(c);
        send_message(c, gw_ir_have(dp_held_versions(&c->held)));
    } else if (rc == GW_OK && m.type == GW_IR_DELTA) {
        on_delta(c, m.body);
    } else if (rc == GW_OK && m.type == GW_IR_IDENTIFY) {
        show_token(c);
    } else {
        // What else it sent cannot be known: begin again, from what is good.
        if (rc == GW_OK) gw_err_set(&err, GW_ERR_INPUT, 0, "a message of the other direction");
        GW_ERROR("conf", "bad message from the controller", GW_KS("err", err.text));
        gw_timer_set(c->loop, &c->relink, RELINK_MS);
    }
    if (rc == GW_OK) gw_ir_message_fini(&m);
}

// --- the link -----------------------------------------------------------------------------------

static void warn_away(struct dp_conf_client *c, const char *why) {
    int64_t now_ms = gw_loop_now_ms(c->loop);
    if (c->warned_ms && now_ms - c->warned_ms < WARN_EVERY_MS) return;
    c->warned_ms = now_ms;
    GW_WARN("conf", "no controller", GW_KS("err", why));
}

static void on_settled(struct gw_timer *t) {
    struct dp_conf_client *c = GW_CONTAINER_OF(t, struct dp_conf_client, settled);
    GW_INFO("conf", "controller connected", GW_KS("host", c->o.controller_host),
            GW_KI("port", c->o.controller_port));
}

static void on_open(void *arg) {
    struct dp_conf_client *c = arg;
    char root[GW_IR_VERSION_CHARS + 1] = "";
    atomic_store(&c->is_connected, true);
    c->opened_ms = gw_loop_now_ms(c->loop);
    drop_gathered(c);
    // The root tells of good forms alone, so what was refused is asked for again.
    gw_timer_cancel(c->loop, &c->retry);
    pthread_mutex_lock(&c->lock);
    dp_held_reset(&c->held);
    pthread_mutex_unlock(&c->lock);
    if (atomic_load(&c->is_ready)) dp_held_root(&c->held, root);
    gw_timer_set(c->loop, &c->settled, SETTLED_MS);
    send_message(c, gw_ir_hello(c->o.node, c->o.gateway, c->o.address, root));
}

static bool is_file_changed(const char *path, const struct gw_secret *was) {
    struct gw_err err;
    struct gw_secret *now = gw_secret_from_file(path, &err);
    bool is_changed = now && !gw_secret_eq(was, gw_secret_reveal(now));
    gw_secret_unref(now);
    return is_changed;
}

static void on_close(void *arg, const struct gw_err *why) {
    struct dp_conf_client *c = arg;
    atomic_store(&c->is_connected, false);
    gw_timer_cancel(c->loop, &c->settled);
    drop_gathered(c);
    // One that takes the stream and refuses what it is told (a Gateway that is not there) is not
    // worth a line at each try.
    if (c->opened_ms && gw_loop_now_ms(c->loop) - c->opened_ms > WARN_EVERY_MS) c->warned_ms = 0;
    c->opened_ms = 0;
    warn_away(c, why ? why->text : "connection closed");
    // A controller with a new state folder has a new CA; the token is read for each dial.
    if (is_file_changed(c->o.ca_file, c->ca)) gw_timer_set(c->loop, &c->relink, RELINK_MS);
}

static void drop_link(struct dp_conf_client *c) {
    gw_h2link_client_free(c->link);
    gw_tls_ctx_unref(c->tls);
    gw_secret_unref(c->ca);
    c->link = NULL;
    c->tls = NULL;
    c->ca = NULL;
    atomic_store(&c->is_connected, false);
}

static enum gw_rc make_link(struct dp_conf_client *c, struct gw_err *err) {
    c->ca = gw_secret_from_file(c->o.ca_file, err);
    if (!c->ca) return err->rc;
    c->tls = gw_tls_client_ctx(gw_secret_reveal(c->ca), GW_STR("h2"), err);
    if (!c->tls) return gw_err_wrap(err, "%s", c->o.ca_file);
    const struct gw_h2link_client_opts o = {
        .host = c->o.controller_host,
        .port = c->o.controller_port,
        .tls = c->tls,
        .get_token = get_token,
        .message_bytes_max = GW_IR_MESSAGE_BYTES_MAX,
        .backoff_min_ms = BACKOFF_MIN_MS,
        .backoff_max_ms = BACKOFF_MAX_MS,
        .on_open = on_open,
        .on_message = on_message,
        .on_close = on_close,
        .arg = c,
    };
    c->link = gw_h2link_client_new(c->loop, &o, err);
    return c->link ? GW_OK : err->rc;
}

static void on_relink(struct gw_timer *t) {
    struct dp_conf_client *c = GW_CONTAINER_OF(t, struct dp_conf_client, relink);
    struct gw_err err;
    drop_link(c);
    gw_timer_cancel(c->loop, &c->settled);
    drop_gathered(c);
    if (make_link(c, &err) == GW_OK) return;
    drop_link(c);
    warn_away(c, err.text);
    gw_timer_set(c->loop, t, RELINK_MS);
}

// --- life ---------------------------------------------------------------------------------------

static void *run(void *arg) {
    struct dp_conf_client *c = arg;
    if (c->o.controller_host) gw_timer_set(c->loop, &c->relink, 0);
    gw_loop_run(c->loop);
    return NULL;
}

// Signals are for the thread that waits for them.
static enum gw_rc start_thread(struct dp_conf_client *c, struct gw_err *err) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->is_running = pthread_create(&c->thread, NULL, run, c) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (c->is_running) return GW_OK;
    return gw_err_set(err, GW_ERR_INTERNAL, 0, "cannot start the thread of the push stream");
}

// GW_OK as well where nothing is kept, or nothing that can be used, and a controller will tell.
static enum gw_rc load(struct dp_conf_client *c, struct gw_err *err) {
    const char *dir = c->o.state_dir;
    GW_TRY(dp_snapshot_folder(dir, err));
    enum gw_rc rc = dp_snapshot_read(dir, &c->held, err);
    if (rc == GW_OK) {
        dp_held_root_wanted(&c->held, c->wanted_version);
        apply(c);
        return GW_OK;
    }
    if (rc == GW_EOF && !c->o.controller_host)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "no snapshot is kept in '%s', and no controller is given", dir);
    if (rc == GW_EOF) return GW_OK;
    gw_err_wrap(err, "%s/" DP_SNAPSHOT_FILE, dir);
    if (rc != GW_ERR_INPUT) return rc;
    dp_snapshot_set_aside(dir);
    GW_ERROR("conf", "kept snapshot is damaged; moved to " DP_SNAPSHOT_FILE ".bad",
             GW_KS("err", err->text));
    return c->o.controller_host ? GW_OK : rc;
}

struct dp_conf_client *dp_conf_client_start(const struct dp_conf_client_opts *o,
                                            struct gw_err *err) {
    struct dp_conf_client *c = gw_alloc(sizeof(*c));
    c->o = *o;
    c->save_delay_ms = SAVE_MS;
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->version_lock, NULL);
    gw_timer_init(&c->relink, on_relink);
    gw_timer_init(&c->save, on_save);
    gw_timer_init(&c->retry, on_retry);
    gw_timer_init(&c->settled, on_settled);
    c->loop = gw_loop_new(err);
    if (!c->loop || (o->state_dir && load(c, err) != GW_OK) || start_thread(c, err) != GW_OK) {
        dp_conf_client_stop(c);
        return NULL;
    }
    return c;
}

void dp_conf_client_stop(struct dp_conf_client *c) {
    if (!c) return;
    if (c->is_running) {
        gw_loop_stop(c->loop);
        pthread_join(c->thread, NULL);
    }
    c->is_stopping = true;
    drop_link(c);
    if (gw_timer_armed(&c->save)) save(c);
    if (c->loop) {
        gw_timer_cancel(c->loop, &c->relink);
        gw_timer_cancel(c->loop, &c->save);
        gw_timer_cancel(c->loop, &c->retry);
        gw_timer_cancel(c->loop, &c->settled);
        gw_loop_free(c->loop);
    }
    drop_gathered(c);
    GW_VEC_FINI(&c->gathered);
    dp_held_fini(&c->held);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->version_lock);
    free(c);
}

bool dp_conf_client_is_ready(const struct dp_conf_client *c) {
    return atomic_load(&c->is_ready);
}

void dp_conf_client_version(struct dp_conf_client *c, char *version) {
    pthread_mutex_lock(&c->version_lock);
    memcpy(version, c->version, sizeof(c->version));
    pthread_mutex_unlock(&c->version_lock);
}

json_t *dp_conf_client_dump(struct dp_conf_client *c) {
    char version[GW_IR_VERSION_CHARS + 1];
    dp_conf_client_version(c, version);
    pthread_mutex_lock(&c->lock);
    GW_JSON_AUTO shown =
        dp_conf_dump(&c->held, version, atomic_load(&c->is_connected), atomic_load(&c->is_ready));
    json_t *copy = json_deep_copy(shown); // the caller is another thread
    pthread_mutex_unlock(&c->lock);
    return copy;
}
