// SPDX-License-Identifier: Apache-2.0
// tandem-demo: a plain backend and an OpenAI-shaped model server in one small program, for the
// quickstart, the wire tests and the bench. `tandem-demo --help` lists everything that it can do.
//
//   main.c    flags, listeners, the event loop
//   conn.c    one connection: collect a request, play its answer, next
//   http.c    request heads, knobs          answer.c  answers as operations, gzip
//   plain.c   the plain backend             model.c   the model server
//   script.c  answers from a folder         stats.c   /__count /__stats /__reset
//   json.c    a few fields of a request     timer.c   connections that sleep
//   util.c    bytes, numbers, JSON strings
#include "test/demo/demo.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_PER_TURN 256
#define ACCEPTS_PER_TURN 64
#define BACKLOG 4096

static void help(void) {
    fputs(
        "usage: tandem-demo [flags]\n"
        "Two small HTTP/1.1 servers to try and to test a gateway with. One thread.\n\n"
        "  --plain HOST:PORT    plain backend (127.0.0.1:9001; `none`: not this one)\n"
        "  --model HOST:PORT    model server  (127.0.0.1:9002; `none`: not this one)\n"
        "                       port 0 takes a free one; the first lines of the output say which\n"
        "  --name NAME          name of the plain backend in its answers (web)\n"
        "  --api-key KEY        the model server asks for `Authorization: Bearer KEY`\n"
        "  --token-ms N         pause between the tokens of an ordinary stream (0)\n"
        "  --scripts DIR        model NAME answers what DIR/NAME.txt says (see below)\n"
        "  --help               this text\n\n"
        "Both servers\n"
        "  GET /__count         requests answered, a bare number\n"
        "  GET /__stats         JSON: requests (answered), requests_seen, open_connections,\n"
        "                       connections_accepted, client_closes_seen (the client left before\n"
        "                       its answer was complete), idle_closes_seen, last_close_ms (Unix\n"
        "                       time of the last such close, 0: none), last_request {method,\n"
        "                       target, headers, header_lines, body_bytes, body (4 KiB of it)}\n"
        "  POST /__reset        all of these back to 0\n\n",
        stdout);
    demo_plain_help();
    demo_model_help();
}

static int die(const char *what, const char *value, const char *why) {
    fprintf(stderr, "tandem-demo: %s '%s': %s\n", what, value, why);
    return 2;
}

// --- listeners ---------------------------------------------------------------------------------

static int open_listener(const struct addrinfo *addr, const char **ret_why) {
    int fd = socket(addr->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0) {
        *ret_why = strerror(errno);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // Inherited by accepted connections: one setsockopt here, none for each of them.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, addr->ai_addr, addr->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        *ret_why = errno == EADDRINUSE ? "another program listens there" : strerror(errno);
        close(fd);
        return -1;
    }
    return fd;
}

static int listen_on(struct demo_server *server, const char *where) {
    char host[128];
    const char *colon = strrchr(where, ':'), *why = NULL;
    uint64_t port = 0;
    if (!colon || colon == where || (size_t)(colon - where) >= sizeof host ||
        !demo_number((struct demo_slice){colon + 1, strlen(colon + 1)}, &port) || port > 65535) {
        return die("address", where, "must be HOST:PORT");
    }
    snprintf(host, sizeof host, "%.*s", (int)(colon - where), where);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc != 0) return die("address", where, gai_strerror(rc));
    server->listen_fd = open_listener(found, &why);
    freeaddrinfo(found);
    if (server->listen_fd < 0) return die("address", where, why);
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    char service[16] = "";
    getsockname(server->listen_fd, (struct sockaddr *)&bound, &len);
    getnameinfo((struct sockaddr *)&bound, len, NULL, 0, service, sizeof service, NI_NUMERICSERV);
    snprintf(server->address, sizeof server->address, "%.40s:%.6s", host, service);
    printf("%s %s\n", server->kind, server->address);
    return 0;
}

static void accept_some(int epoll_fd, struct demo_server *server) {
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        demo_conn_open(epoll_fd, server, fd);
    }
}

// --- loop --------------------------------------------------------------------------------------

// What epoll hands back for everything that is no connection has the server's or this address.
static int signal_mark;

static void watch(int epoll_fd, int fd, void *mark) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) abort();
}

static int serve(struct demo_server *servers, size_t count, int signal_fd) {
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) return die("epoll", "", strerror(errno));
    watch(epoll_fd, signal_fd, &signal_mark);
    for (size_t i = 0; i < count; i++) {
        if (servers[i].listen_fd >= 0) watch(epoll_fd, servers[i].listen_fd, &servers[i]);
    }
    struct epoll_event events[EVENTS_PER_TURN];
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS_PER_TURN, demo_timer_wait_ms(demo_now_us()));
        for (int i = 0; i < n; i++) {
            void *mark = events[i].data.ptr;
            if (mark == &signal_mark) return 0;
            bool is_listener = false;
            for (size_t s = 0; s < count; s++)
                is_listener |= mark == &servers[s];
            if (is_listener) {
                accept_some(epoll_fd, mark);
            } else {
                demo_conn_event(mark, events[i].events);
            }
        }
        uint64_t now_us = demo_now_us();
        for (struct demo_conn *conn; (conn = demo_timer_due(now_us));)
            demo_conn_timer(conn);
    }
}

static int block_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static void raise_file_limit(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

// -1: go on.
static int read_flags(int argc, char **argv, struct demo_options *options) {
    static const struct option flags[] = {
        {"plain", required_argument, NULL, 'p'},    {"model", required_argument, NULL, 'm'},
        {"name", required_argument, NULL, 'n'},     {"api-key", required_argument, NULL, 'k'},
        {"token-ms", required_argument, NULL, 't'}, {"scripts", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
        switch (flag) {
        case 'p':
            options->plain = optarg;
            break;
        case 'm':
            options->model = optarg;
            break;
        case 'n':
            options->name = optarg;
            break;
        case 'k':
            options->api_key = optarg;
            break;
        case 's':
            options->scripts = optarg;
            break;
        case 't':
            if (!demo_number((struct demo_slice){optarg, strlen(optarg)}, &options->token_ms)) {
                return die("--token-ms", optarg, "must be a number of milliseconds");
            }
            break;
        case 'h':
            help();
            return 0;
        default:
            fputs("tandem-demo: see tandem-demo --help\n", stderr);
            return 2;
        }
    }
    return optind < argc ? die("argument", argv[optind], "there are flags only") : -1;
}

int main(int argc, char **argv) {
    struct demo_options options = {
        .plain = "127.0.0.1:9001", .model = "127.0.0.1:9002", .name = "web"};
    int rc = read_flags(argc, argv, &options);
    if (rc >= 0) return rc;
    raise_file_limit();
    demo_answer_init_patterns();
    demo_plain_init();
    struct demo_server servers[] = {
        {.kind = "plain", .answer = demo_plain_answer, .keep = demo_plain_keep, .listen_fd = -1},
        {.kind = "model", .answer = demo_model_answer, .keep = demo_model_keep, .listen_fd = -1},
    };
    const char *const where[] = {options.plain, options.model};
    int signal_fd = block_signals();
    for (size_t i = 0; i < 2; i++) {
        servers[i].options = &options;
        if (strcmp(where[i], "none") == 0) continue;
        rc = listen_on(&servers[i], where[i]);
        if (rc != 0) return rc;
    }
    fflush(stdout);
    // Open connections are the kernel's to clean up: a leak check has nothing to say about them.
    _exit(serve(servers, 2, signal_fd));
}
