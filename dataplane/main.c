// SPDX-License-Identifier: Apache-2.0
// tandem-dataplane: receives snapshots from a controller and carries the traffic they describe.
//
//   server.c    all threads on one screen
//   conf/       receive, validate, compile, swap, keep snapshots
//   net/        listening sockets and connections
//   codec/      HTTP/1.1 and server-sent events: bytes <-> events
//   proxy/      the life of a request: client_h1.c > steps.c > respond.c > finish.c
//   route/      which rule a request belongs to
//   policy/     filters that look at heads
//   upstream/   endpoints, names, balancing, connections
//   llm/        model requests: providers, dialects, scan and splice, usage
//   obs/        access log and metrics
//   admin/      what operators ask
#include "dataplane/server.h"
#include "shared/flags.h"
#include "shared/tls.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef TANDEM_VERSION
#define TANDEM_VERSION "0.1.0"
#endif

#define USAGE                                                                                      \
    "usage: tandem-dataplane --controller HOST:PORT --bootstrap DIR [flags]       of a folder\n"   \
    "       tandem-dataplane --controller HOST:PORT --ca-file FILE --gateway NS/NAME [flags]\n"    \
    "Carries the traffic that a controller's snapshots describe.\n"

struct arguments {
    struct gw_flag_hostport controller, admin;
    const char *bootstrap, *ca, *token, *gateway, *node, *address, *state, *bind, *access_log,
        *upstream_ca;
    const char *log_level, *explain, *head, *idle, *connect, *first_byte, *stream, *request, *grace,
        *drain_delay;
    struct gw_map port_map;
    uint64_t workers, llm_body_max, llm_bodies_max;
    bool help, version;
};

#define DRAIN_DELAY "500ms"

// GW_OK, or 2 on standard error in the caller.
static enum gw_rc durations(const struct arguments *a, struct dp_settings *s, struct gw_err *err) {
    const struct {
        const char *flag, *text;
        int64_t *to;
    } table[] = {
        {"timeout-head", a->head, &s->head_ms},
        {"timeout-idle", a->idle, &s->idle_ms},
        {"timeout-connect", a->connect, &s->connect_ms},
        {"timeout-first-byte", a->first_byte, &s->first_byte_ms},
        {"timeout-stream", a->stream, &s->stream_ms},
        {"timeout-request", a->request, &s->request_ms},
        {"grace", a->grace, &s->grace_ms},
        {"drain-delay", a->drain_delay ? a->drain_delay : DRAIN_DELAY, &s->drain_delay_ms},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        uint64_t ms;
        if (gw_duration_ms(gw_str_of(table[i].text), &ms, err) != GW_OK)
            return gw_err_wrap(err, "--%s", table[i].flag);
        *table[i].to = (int64_t)ms;
    }
    if (s->drain_delay_ms <= s->grace_ms) return GW_OK;
    if (a->drain_delay)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--drain-delay %s is longer than --grace %s, of which it is a part",
                          a->drain_delay, a->grace);
    s->drain_delay_ms = s->grace_ms;
    return GW_OK;
}

static enum gw_rc check_port_map(const struct gw_map *m, struct gw_err *err) {
    size_t it = 0;
    struct gw_str from;
    void *to;
    uint64_t port;
    while (gw_map_next(m, &it, &from, &to)) {
        if (gw_str_to_u64(from, 65535, &port) != GW_OK || port == 0 ||
            gw_str_to_u64(gw_str_of(to), 65535, &port) != GW_OK || port == 0)
            return gw_err_set(err, GW_ERR_INPUT, 0,
                              "--port-map: '" GW_STR_FMT "=%s' is not PORT=PORT", GW_STR_ARG(from),
                              (char *)to);
    }
    return GW_OK;
}

// Where Kubernetes mounts the token of a pod's ServiceAccount.
#define POD_TOKEN "/var/run/secrets/kubernetes.io/serviceaccount/token"

// Either a folder of the controller's, or the files that a cluster mounts.
static enum gw_rc check_credentials(struct arguments *a, struct gw_err *err) {
    if (!a->controller.host[0] && (a->bootstrap || a->ca || a->token))
        return gw_err_set(err, GW_ERR_INPUT, 0, "--%s needs --controller",
                          a->bootstrap ? "bootstrap"
                          : a->ca      ? "ca-file"
                                       : "token-file");
    if (!a->controller.host[0]) return GW_OK;
    if (a->bootstrap && (a->ca || a->token))
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--bootstrap brings a CA and a token: it excludes --%s",
                          a->ca ? "ca-file" : "token-file");
    if (!a->bootstrap && !a->ca)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--controller needs --bootstrap, the folder with its ca.crt and token, "
                          "or --ca-file (and --token-file outside of a pod)");
    if (!a->bootstrap && !a->token) {
        if (access(POD_TOKEN, F_OK) != 0)
            return gw_err_set(err, GW_ERR_INPUT, 0,
                              "--ca-file needs --token-file: " POD_TOKEN " is not there");
        a->token = POD_TOKEN;
    }
    return GW_OK;
}

// "", or "NS/NAME" of one Gateway.
static enum gw_rc check_gateway(const char *text, struct gw_err *err) {
    struct gw_str name = gw_str_of(text), ns = gw_str_cut(&name, '/');
    bool is_good = ns.len && name.len && gw_str_find(name, '/') < 0;
    if (!*text || is_good) return GW_OK;
    return gw_err_set(err, GW_ERR_INPUT, 0, "--gateway: '%s' is not NS/NAME", text);
}

// An address of a machine, or also a name of one.
static bool is_host(const char *text, bool may_be_name) {
    struct gw_err err;
    if (gw_str_is_ip(gw_str_of(text))) return true;
    return may_be_name && gw_tls_check_name(text, &err) == GW_OK && *text != '*';
}

static enum gw_rc check_hosts(const struct arguments *a, struct gw_err *err) {
    if (a->controller.host[0] && !a->controller.port)
        return gw_err_set(err, GW_ERR_INPUT, 0, "--controller: port 0 is none");
    if (!is_host(a->bind, false))
        return gw_err_set(err, GW_ERR_INPUT, 0, "--bind: '%s' is not an IP address", a->bind);
    if (*a->address && !is_host(a->address, true))
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--address: '%s' is neither an IP address nor a DNS name", a->address);
    return GW_OK;
}

static enum gw_rc check(struct arguments *a, struct dp_settings *s, struct gw_err *err) {
    enum gw_log_level level;
    GW_TRY(check_credentials(a, err));
    if (!a->controller.host[0] && !a->state)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "nothing to serve: give --controller, or --state with a kept snapshot");
    GW_TRY(check_gateway(a->gateway, err));
    GW_TRY(check_hosts(a, err));
    GW_TRY(durations(a, s, err));
    GW_TRY(check_port_map(&a->port_map, err));
    s->llm_body_bytes_max = a->llm_body_max;
    s->llm_bodies_bytes_max =
        a->llm_bodies_max > a->llm_body_max ? a->llm_bodies_max : a->llm_body_max;
    s->explain = strcmp(a->explain, "on") == 0;
    if (!s->explain && strcmp(a->explain, "off") != 0)
        return gw_err_set(err, GW_ERR_INPUT, 0, "--explain: '%s' is not on or off", a->explain);
    if (gw_log_level_of(gw_str_of(a->log_level), &level) != GW_OK)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--log-level: '%s' is not debug, info, warn or error", a->log_level);
    gw_log_init(STDERR_FILENO, level);
    return GW_OK;
}

static enum gw_rc parse(struct arguments *a, int argc, char **argv, struct gw_err *err) {
    const struct gw_flag flags[] = {
        {"controller", "HOST:PORT", "push address of the controller", GW_FLAG_HOSTPORT,
         &a->controller, 0, 0, 0},
        {"bootstrap", "DIR", "folder with the controller's ca.crt and token", GW_FLAG_STRING,
         &a->bootstrap, 0, 0, 0},
        {"ca-file", "FILE", "the controller's CA, where there is no --bootstrap", GW_FLAG_STRING,
         &a->ca, 0, 0, 0},
        {"token-file", "FILE", "ServiceAccount token, read for each dial (default: the pod's)",
         GW_FLAG_STRING, &a->token, 0, 0, 0},
        {"gateway", "NS/NAME", "serve this Gateway alone (default: all that a folder has)",
         GW_FLAG_STRING, &a->gateway, 0, 0, 0},
        {"node", "NAME", "this data plane's name (default: the host's)", GW_FLAG_STRING, &a->node,
         0, 0, 0},
        {"address", "ADDR", "address that clients reach (shown in the Gateway's status)",
         GW_FLAG_STRING, &a->address, 0, 0, 0},
        {"state", "DIR", "keeps the last good snapshot here", GW_FLAG_STRING, &a->state, 0, 0, 0},
        {"bind", "ADDR", "address that listeners bind to (default 0.0.0.0)", GW_FLAG_STRING,
         &a->bind, 0, 0, 0},
        {"port-map", "PORT=PORT", "bind a Gateway's port elsewhere; repeatable", GW_FLAG_PAIR,
         &a->port_map, 0, 0, 0},
        {"admin", "HOST:PORT", "metrics, health and config (default 127.0.0.1:9090)",
         GW_FLAG_HOSTPORT, &a->admin, 0, 0, 0},
        {"access-log", "PATH", "file, - for standard output, or off (default -)", GW_FLAG_STRING,
         &a->access_log, 0, 0, 0},
        {"upstream-ca", "FILE", "CA certificates to verify upstreams with (default: the system's)",
         GW_FLAG_STRING, &a->upstream_ca, 0, 0, 0},
        {"workers", "N", "worker threads (default: cores, or the cgroup's quota)", GW_FLAG_UINT,
         &a->workers, 1, DP_WORKERS_MAX, 0},
        {"llm-body-max", "BYTES", "largest body of a model request (default 33554432)",
         GW_FLAG_UINT, &a->llm_body_max, 1024, 1u << 30, 0},
        {"llm-bodies-max", "BYTES",
         "bodies of model requests that a worker holds (default 268435456)", GW_FLAG_UINT,
         &a->llm_bodies_max, 1024, 1ull << 40, 0},
        {"timeout-head", "DURATION", "for the head of a request (default 10s)", GW_FLAG_STRING,
         &a->head, 0, 0, 0},
        {"timeout-idle", "DURATION", "of a connection between requests (default 60s)",
         GW_FLAG_STRING, &a->idle, 0, 0, 0},
        {"timeout-connect", "DURATION", "to an upstream (default 5s)", GW_FLAG_STRING, &a->connect,
         0, 0, 0},
        {"timeout-first-byte", "DURATION", "until an upstream answers (default 60s)",
         GW_FLAG_STRING, &a->first_byte, 0, 0, 0},
        {"timeout-stream", "DURATION", "of silence inside a message (default 60s)", GW_FLAG_STRING,
         &a->stream, 0, 0, 0},
        {"timeout-request", "DURATION", "of a whole request (default 1h; 0s: none)", GW_FLAG_STRING,
         &a->request, 0, 0, 0},
        {"grace", "DURATION", "for requests under way at SIGTERM (default 30s)", GW_FLAG_STRING,
         &a->grace, 0, 0, 0},
        {"drain-delay", "DURATION",
         "of --grace, how long new connections are still taken: until load balancers have noticed "
         "(default " DRAIN_DELAY ")",
         GW_FLAG_STRING, &a->drain_delay, 0, 0, 0},
        {"explain", "on|off", "answer x-tandem-explain: 1 with how it was routed (default off)",
         GW_FLAG_STRING, &a->explain, 0, 0, 0},
        {"log-level", "LEVEL", "debug, info, warn or error (default info)", GW_FLAG_STRING,
         &a->log_level, 0, 0, 0},
        {"version", NULL, "print the version", GW_FLAG_BOOL, &a->version, 0, 0, 0},
        {"help", NULL, "print this", GW_FLAG_BOOL, &a->help, 0, 0, 'h'},
        {0},
    };
    size_t positional;
    GW_TRY(gw_flags_parse(flags, argc, argv, NULL, 0, &positional, err));
    if (a->help) gw_flags_help(flags, USAGE, stdout);
    if (a->version) puts("tandem-dataplane " TANDEM_VERSION);
    return GW_OK;
}

// SIGTERM and SIGINT drain; a second one ends at once. SIGHUP reopens the access log.
static void wait_for_end(struct dp_server *s, const sigset_t *signals) {
    for (;;) {
        int sig = 0;
        if (sigwait(signals, &sig) != 0) continue;
        if (sig == SIGHUP) {
            dp_server_reopen_log(s);
            continue;
        }
        GW_INFO("main", "draining", GW_KI("signal", sig));
        break;
    }
    sigset_t again;
    sigemptyset(&again);
    sigaddset(&again, SIGTERM);
    sigaddset(&again, SIGINT);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &again, NULL);
    dp_server_drain(s);
    dp_server_wait(s);
}

int main(int argc, char **argv) {
    struct arguments a = {
        .admin = {"127.0.0.1", 9090},
        .gateway = "",
        .address = "",
        .bind = "0.0.0.0",
        .access_log = "-",
        .log_level = "info",
        .explain = "off",
        .head = "10s",
        .idle = "60s",
        .connect = "5s",
        .first_byte = "60s",
        .stream = "60s",
        .request = "1h",
        .grace = "30s",
        .llm_body_max = 32u << 20,
        .llm_bodies_max = 256u << 20,
    };
    struct dp_options o = {0};
    struct gw_err err;
    char host[256] = "", ca[4096], token[4096];
    if (parse(&a, argc, argv, &err) != GW_OK ||
        (!a.help && !a.version && check(&a, &o.settings, &err) != GW_OK)) {
        fprintf(stderr, "tandem-dataplane: %s\n", err.text);
        gw_map_fini(&a.port_map, free);
        return 2;
    }
    if (a.help || a.version) {
        gw_map_fini(&a.port_map, free);
        return 0;
    }
    gethostname(host, sizeof(host) - 1);
    snprintf(ca, sizeof(ca), "%s/ca.crt", a.bootstrap ? a.bootstrap : "");
    snprintf(token, sizeof(token), "%s/token", a.bootstrap ? a.bootstrap : "");
    o.controller_host = a.controller.host[0] ? a.controller.host : NULL;
    o.controller_port = a.controller.port;
    o.ca_file = a.ca ? a.ca : ca;
    o.token_file = a.token ? a.token : token;
    o.node = a.node ? a.node : host;
    o.gateway = a.gateway;
    o.address = a.address;
    o.state_dir = a.state;
    o.bind_host = a.bind;
    o.port_map = &a.port_map;
    o.admin_host = a.admin.host;
    o.admin_port = a.admin.port;
    o.access_log = a.access_log;
    o.upstream_ca_file = a.upstream_ca;
    o.workers = (unsigned)a.workers;

    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); // before threads, so that they inherit it
    signal(SIGPIPE, SIG_IGN);
    struct dp_server *s = dp_server_start(&o, &err);
    if (!s) {
        fprintf(stderr, "tandem-dataplane: %s\n", err.text);
        gw_map_fini(&a.port_map, free);
        return 1;
    }
    GW_INFO("main", "started",
            GW_KI("workers", o.workers ? o.workers : dp_server_default_workers()));
    wait_for_end(s, &signals);
    dp_server_free(s);
    gw_map_fini(&a.port_map, free);
    GW_INFO("main", "ended");
    return 0;
}
