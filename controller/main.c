// SPDX-License-Identifier: Apache-2.0
// tandem-controller: objects in, snapshots and statuses out.
//
//   source/      where objects come from: an API server, or a folder   -> store
//   kube/        the API server's client
//   res/         kinds: what an object may hold, one field table each
//   store/       objects by kind, namespace and name; what is dirty    -> translate
//   translate/   pure: objects to resources and reports                -> publish, status
//   publish/     versions and deltas to data planes, ACK and NACK back -> status
//   status/      conditions: merged, compared, kept
//   admin.c      the port that tandemctl asks
//   controller.c wires all of it
//   cli/         tandemctl, a program of its own
#include "controller/controller.h"
#include "controller/version.h"
#include "shared/flags.h"
#include "shared/log.h"
#include "shared/tls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define USAGE                                                                                      \
    "usage: tandem-controller --source kube|kube:KUBECONFIG|dir:PATH [--state DIR] [flags]\n"      \
    "Translates Gateway API objects and pushes them to data planes.\n"

struct args {
    const char *source, *state, *namespace, *audience, *token_recheck, *log_level;
    const char *lease_name, *lease_duration, *lease_renew, *lease_retry; // NULL: not given
    struct gw_flag_list push_names;
    struct gw_flag_hostport listen, admin, advertise; // the last: host "": not given
    struct gw_map endpoints;
    bool help, version;
};

static struct gw_loop *main_loop;

static void on_signal(int sig) {
    (void)sig;
    gw_loop_stop(main_loop);
}

static bool is_label(struct gw_str s) {
    if (s.len == 0 || s.len > 63) return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
    }
    return true;
}

static enum gw_rc check_endpoints(const struct gw_map *endpoints, struct gw_err *err) {
    size_t it = 0;
    struct gw_str key;
    void *value;
    while (gw_map_next(endpoints, &it, &key, &value)) {
        struct gw_str name = key, ns = gw_str_cut(&name, '/');
        if (!is_label(ns) || !is_label(name))
            return gw_err_set(err, GW_ERR_INPUT, 0, "--endpoint '" GW_STR_FMT "' is not NS/SERVICE",
                              GW_STR_ARG(key));
        struct gw_flag_hostport hp;
        if (gw_hostport_parse(gw_str_of(value), NULL, &hp, err) != GW_OK)
            return gw_err_wrap(err, "--endpoint " GW_STR_FMT, GW_STR_ARG(key));
        if (hp.port == 0)
            return gw_err_set(err, GW_ERR_INPUT, 0, "--endpoint " GW_STR_FMT ": port 0 is none",
                              GW_STR_ARG(key));
    }
    return GW_OK;
}

static enum gw_rc check_source(const struct args *a, struct ctl_options *ret, struct gw_err *err) {
    if (!a->source)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--source kube, --source kube:KUBECONFIG or --source dir:PATH is needed");
    struct gw_str place = gw_str_of(a->source), kind = gw_str_cut(&place, ':');
    bool is_kube = gw_str_eq(kind, GW_STR("kube"));
    if (is_kube ? place.ptr && !place.len : !gw_str_eq(kind, GW_STR("dir")) || !place.len)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--source '%s' is not kube, kube:KUBECONFIG or dir:PATH", a->source);
    if (is_kube && a->endpoints.len)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--endpoint is for a folder: of an API server the addresses of Services "
                          "are its EndpointSlices");
    ret->source_dir = is_kube ? NULL : place.ptr;
    ret->kubeconfig = is_kube ? place.ptr : NULL;
    if (!is_kube && !a->state) return gw_err_set(err, GW_ERR_INPUT, 0, "--state DIR is needed");
    if (a->audience && a->state)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--token-audience has no use with --state, the folder with the push CA "
                          "and the bootstrap token");
    if (a->namespace && !is_label(gw_str_of(a->namespace)))
        return gw_err_set(err, GW_ERR_INPUT, 0, "--namespace '%s' is not the name of a namespace",
                          a->namespace);
    if (a->namespace && !is_kube)
        return gw_err_set(err, GW_ERR_INPUT, 0, "--namespace has no use with a folder");
    return GW_OK;
}

static bool is_subdomain(struct gw_str s) {
    if (s.len == 0 || s.len > 253) return false;
    while (s.ptr) {
        struct gw_str label = gw_str_cut(&s, '.');
        if (!is_label(label) || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
            return false;
    }
    return true;
}

// So long, and what a review takes, a data plane goes on whose token was taken from it.
#define TOKEN_RECHECK_MS (5 * 60 * 1000)

// *ret stays where the flag is not given. Less than 100 ms would keep an API server busy.
static enum gw_rc read_time(const char *flag, const char *text, unsigned *ret, struct gw_err *err) {
    uint64_t ms;
    if (!text) return GW_OK;
    if (gw_duration_ms(gw_str_of(text), &ms, err) != GW_OK) return gw_err_wrap(err, "--%s", flag);
    if (ms < 100 || ms > 3600 * 1000)
        return gw_err_set(err, GW_ERR_INPUT, 0, "--%s %s is not in 100ms to 1h", flag, text);
    *ret = (unsigned)ms;
    return GW_OK;
}

static enum gw_rc check_recheck(const struct args *a, struct ctl_options *ret, struct gw_err *err) {
    ret->recheck_ms = TOKEN_RECHECK_MS;
    if (a->token_recheck && strcmp(a->token_recheck, "0s") == 0) {
        ret->recheck_ms = 0;
        return GW_OK;
    }
    return read_time("token-recheck", a->token_recheck, &ret->recheck_ms, err);
}

static enum gw_rc check_lease(const struct args *a, struct ctl_options *ret, struct gw_err *err) {
    if (ret->source_dir && *a->advertise.host)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--advertise has no use with a folder, which has one controller");
    const char *unused = a->lease_name       ? "name"
                         : a->lease_duration ? "duration"
                         : a->lease_renew    ? "renew-deadline"
                         : a->lease_retry    ? "retry"
                                             : NULL;
    if (ret->source_dir && unused)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--lease-%s has no use with a folder, which has one controller", unused);
    ret->lease_name = a->lease_name ? a->lease_name : "tandem-controller";
    ret->duration_ms = CTL_LEASE_DURATION_MS;
    ret->renew_ms = CTL_LEASE_RENEW_MS;
    ret->retry_ms = CTL_LEASE_RETRY_MS;
    if (!is_subdomain(gw_str_of(ret->lease_name)))
        return gw_err_set(err, GW_ERR_INPUT, 0, "--lease-name '%.64s' is not a name of an object",
                          ret->lease_name);
    GW_TRY(read_time("lease-duration", a->lease_duration, &ret->duration_ms, err));
    GW_TRY(read_time("lease-renew-deadline", a->lease_renew, &ret->renew_ms, err));
    GW_TRY(read_time("lease-retry", a->lease_retry, &ret->retry_ms, err));
    if (ret->duration_ms % 1000)
        return gw_err_set(err, GW_ERR_INPUT, 0, "--lease-duration %s is not in whole seconds",
                          a->lease_duration);
    if (ret->renew_ms >= ret->duration_ms)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--lease-renew-deadline (%u ms) must be shorter than --lease-duration "
                          "(%u ms): who holds the Lease stops before another takes it",
                          ret->renew_ms, ret->duration_ms);
    if (ret->retry_ms > ret->renew_ms / 2)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "--lease-retry (%u ms) must be at most half of --lease-renew-deadline "
                          "(%u ms): one renewal may fail",
                          ret->retry_ms, ret->renew_ms);
    return GW_OK;
}

// What flags one by one cannot say.
static enum gw_rc check(const struct args *a, struct ctl_options *ret, struct gw_err *err) {
    *ret = (struct ctl_options){
        .state_dir = a->state,
        .namespace = a->namespace,
        .audience = a->audience,
        .push_names = a->push_names.ptr,
        .listen_host = a->listen.host,
        .listen_port = a->listen.port,
        .advertise_host = a->advertise.host,
        .advertise_port = a->advertise.port,
        .admin_host = a->admin.host,
        .admin_port = a->admin.port,
        .endpoints = a->endpoints,
    };
    GW_TRY(check_source(a, ret, err));
    GW_TRY(check_recheck(a, ret, err));
    for (size_t i = 0; i < a->push_names.len; i++)
        if (gw_tls_check_name(a->push_names.ptr[i], err) != GW_OK)
            return gw_err_wrap(err, "--push-name");
    GW_TRY(check_lease(a, ret, err));
    if (a->listen.port && a->listen.port == a->admin.port &&
        strcmp(a->listen.host, a->admin.host) == 0)
        return gw_err_set(err, GW_ERR_INPUT, 0, "--listen and --admin are both %s:%u",
                          a->admin.host, a->admin.port);
    return check_endpoints(&a->endpoints, err);
}

static void handle_signals(void) {
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

static int run(const struct ctl_options *o, const char *source) {
    struct gw_err err = {0};
    main_loop = gw_loop_new(&err);
    if (!main_loop) {
        fprintf(stderr, "tandem-controller: %s\n", err.text);
        return 1;
    }
    handle_signals();
    struct ctl_controller *c = ctl_controller_new(main_loop, o, &err);
    if (c) {
        GW_INFO("main", "ready", GW_KS("source", source), GW_KS("listen_host", o->listen_host),
                GW_KI("listen_port", ctl_controller_listen_port(c)),
                GW_KS("admin_host", o->admin_host),
                GW_KI("admin_port", ctl_controller_admin_port(c)));
        gw_loop_run(main_loop);
        GW_INFO("main", "ends");
    } else {
        fprintf(stderr, "tandem-controller: %s\n", err.text);
    }
    int status = c ? 0 : 1;
    ctl_controller_free(c);
    gw_loop_free(main_loop);
    return status;
}

int main(int argc, char **argv) {
    struct args a = {
        .log_level = "info",
        .listen = {"127.0.0.1", 18443},
        .admin = {"127.0.0.1", 18080},
    };
    const struct gw_flag flags[] = {
        {"source", "KIND[:PATH]",
         "kube (in the cluster), kube:KUBECONFIG, or dir:PATH: a folder of YAML files",
         GW_FLAG_STRING, &a.source, 0, 0, 0},
        {"state", "DIR",
         "folder for the push CA and the bootstrap token (made when missing); with kube, instead "
         "of a Secret and ServiceAccount tokens",
         GW_FLAG_STRING, &a.state, 0, 0, 0},
        {"namespace", "NS",
         "of the Lease and of the Secret with the push CA (default: the pod's, or kubeconfig's)",
         GW_FLAG_STRING, &a.namespace, 0, 0, 0},
        {"lease-name", "NAME",
         "Lease that one replica holds, which alone writes statuses (tandem-controller)",
         GW_FLAG_STRING, &a.lease_name, 0, 0, 0},
        {"lease-duration", "TIME", "a Lease that was not renewed so long may be taken (15s)",
         GW_FLAG_STRING, &a.lease_duration, 0, 0, 0},
        {"lease-renew-deadline", "TIME", "who could not renew it so long writes no more (10s)",
         GW_FLAG_STRING, &a.lease_renew, 0, 0, 0},
        {"lease-retry", "TIME", "between renewals, and between looks of the others (2s)",
         GW_FLAG_STRING, &a.lease_retry, 0, 0, 0},
        {"token-audience", "NAME", "of data planes' tokens (default: the API server's own)",
         GW_FLAG_STRING, &a.audience, 0, 0, 0},
        {"token-recheck", "TIME",
         "between two looks at the token of a data plane that is connected (5m; 0s: none)",
         GW_FLAG_STRING, &a.token_recheck, 0, 0, 0},
        {"push-name", "NAME", "one more name of the push server's certificate; may be repeated",
         GW_FLAG_LIST, &a.push_names, 0, 0, 0},
        {"listen", "HOST:PORT", "where data planes connect (127.0.0.1:18443)", GW_FLAG_HOSTPORT,
         &a.listen, 0, 0, 0},
        {"advertise", "HOST:PORT",
         "where other replicas reach the push port (default: the address towards the API server)",
         GW_FLAG_HOSTPORT, &a.advertise, 0, 0, 0},
        {"admin", "HOST:PORT", "where tandemctl asks (127.0.0.1:18080)", GW_FLAG_HOSTPORT, &a.admin,
         0, 0, 0},
        {"endpoint", "NS/SERVICE=HOST:PORT",
         "address of a Service without EndpointSlices; may be repeated", GW_FLAG_PAIR, &a.endpoints,
         0, 0, 0},
        {"log-level", "LEVEL", "debug, info, warn or error (info)", GW_FLAG_STRING, &a.log_level, 0,
         0, 0},
        {"version", NULL, "print the version and end", GW_FLAG_BOOL, &a.version, 0, 0, 0},
        {"help", NULL, "print this and end", GW_FLAG_BOOL, &a.help, 0, 0, 'h'},
        {.name = NULL},
    };
    struct gw_err err = {0};
    struct ctl_options options = {0};
    enum gw_log_level level;
    enum gw_rc rc = gw_flags_parse(flags, argc, argv, NULL, 0, NULL, &err);
    int status = 0;
    if (rc == GW_OK && a.help) {
        gw_flags_help(flags, USAGE, stdout);
    } else if (rc == GW_OK && a.version) {
        puts("tandem-controller " CTL_VERSION);
    } else if (rc != GW_OK || check(&a, &options, &err) != GW_OK) {
        fprintf(stderr, "tandem-controller: %s\n", err.text);
        status = 2;
    } else if (gw_log_level_of(gw_str_of(a.log_level), &level) != GW_OK) {
        fprintf(stderr, "tandem-controller: --log-level '%s' is not debug, info, warn or error\n",
                a.log_level);
        status = 2;
    } else {
        gw_log_init(STDERR_FILENO, level);
        status = run(&options, a.source);
    }
    gw_map_fini(&a.endpoints, free);
    return status;
}
