// SPDX-License-Identifier: Apache-2.0
// The small open-loop client of the bench, for what h2load cannot do.
//   openloop stream PORT BODY RATE SECONDS SAMPLES   token streams that begin when they are due
//   openloop idle PORT TARGET COUNT RATE             idle connections, after one GET each
//   openloop hold PORT BODY COUNT RATE               open streams, after their first token
// A stream's time to first token counts from the moment when it was DUE, not from when this client
// came to send it: a proxy that stalls must not make the load wait for it. SAMPLES gets one time in
// microseconds a line. `idle` and `hold` say "ready OK FAILED" and hold until stdin ends.
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX 32768 // a whole stream of the bench is about 3 KiB
#define EVENTS_PER_TURN 256
#define DRAIN_SECONDS 10     // how long the last streams may take
#define HOLD_SECONDS_MAX 300 // nobody ended stdin

enum mode { MODE_STREAM, MODE_IDLE, MODE_HOLD };
enum state { STATE_CONNECTING, STATE_WAITING, STATE_TOKENS, STATE_IDLE };

struct client {
    int fd;
    enum state state;
    uint64_t due_us;
    char *answer; // of the running request; freed when it is over
    size_t answer_len;
    struct client *next_free;
};

static struct {
    enum mode mode;
    int epoll_fd, timer_fd;
    struct sockaddr_in addr;
    char *request;
    size_t request_len;
    uint64_t count, rate, start_us;
    uint64_t begun, ok, failed, open, open_max, open_sum;
    struct client *pool; // connections between requests
    FILE *samples;
} bench;

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void die(const char *what) {
    fprintf(stderr, "openloop: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void drop(struct client *client) {
    for (struct client **at = &bench.pool; *at; at = &(*at)->next_free) {
        if (*at != client) continue;
        *at = client->next_free;
        break;
    }
    close(client->fd);
    free(client->answer);
    free(client);
}

// The request is over one way or the other.
static void finish(struct client *client, bool is_ok) {
    bench.open--;
    if (is_ok) {
        bench.ok++;
    } else {
        bench.failed++;
    }
    if (!is_ok) {
        drop(client);
        return;
    }
    free(client->answer);
    client->answer = NULL;
    client->state = STATE_IDLE;
    // Idle connections of MODE_IDLE are what is measured: each is used once.
    if (bench.mode != MODE_STREAM) return;
    client->next_free = bench.pool;
    bench.pool = client;
}

static void send_request(struct client *client) {
    client->state = STATE_WAITING;
    client->answer_len = 0;
    client->answer = malloc(ANSWER_BYTES_MAX);
    if (!client->answer) die("memory");
    // A request is less than a socket buffer: it goes out in one piece or not at all.
    ssize_t sent = send(client->fd, bench.request, bench.request_len, MSG_NOSIGNAL);
    if (sent != (ssize_t)bench.request_len) finish(client, false);
}

static void connect_client(struct client *client) {
    int on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) die("socket");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    client->state = STATE_CONNECTING;
    if (connect(client->fd, (struct sockaddr *)&bench.addr, sizeof bench.addr) != 0 &&
        errno != EINPROGRESS) {
        die("connect");
    }
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    if (epoll_ctl(bench.epoll_fd, EPOLL_CTL_ADD, client->fd, &event) != 0) die("epoll");
}

static uint64_t due_us(uint64_t index) {
    return bench.start_us + index * 1000000 / bench.rate;
}

static void begin_due(void) {
    uint64_t now = now_us();
    while (bench.begun < bench.count && due_us(bench.begun) <= now) {
        struct client *client = bench.pool;
        uint64_t due = due_us(bench.begun++);
        bench.open++;
        bench.open_sum += bench.open;
        if (bench.open > bench.open_max) bench.open_max = bench.open;
        if (client) {
            bench.pool = client->next_free;
            client->due_us = due;
            send_request(client);
            continue;
        }
        client = calloc(1, sizeof *client);
        if (!client) die("memory");
        client->due_us = due;
        connect_client(client);
    }
    if (bench.begun == bench.count) return;
    uint64_t next = due_us(bench.begun);
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(next / 1000000), .tv_nsec = (long)(next % 1000000) * 1000}};
    timerfd_settime(bench.timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

// --- answers -----------------------------------------------------------------------------------

static bool has(const struct client *client, const char *text) {
    return memmem(client->answer, client->answer_len, text, strlen(text)) != NULL;
}

static bool ends_with(const struct client *client, const char *text) {
    size_t len = strlen(text);
    return client->answer_len >= len &&
           memcmp(client->answer + client->answer_len - len, text, len) == 0;
}

// A plain answer with Content-Length is complete.
static bool is_whole(const struct client *client) {
    const char *body = memmem(client->answer, client->answer_len, "\r\n\r\n", 4);
    if (!body) return false;
    size_t head_len = (size_t)(body - client->answer) + 4;
    for (const char *at = client->answer; at < body; at++) {
        if (strncasecmp(at, "\ncontent-length:", 16) == 0) {
            return client->answer_len - head_len >= strtoul(at + 16, NULL, 10);
        }
    }
    return false;
}

static void look_at_answer(struct client *client) {
    static const char good[] = "HTTP/1.1 200";
    if (client->answer_len < sizeof good - 1) return;
    if (memcmp(client->answer, good, sizeof good - 1) != 0) {
        finish(client, false);
        return;
    }
    if (bench.mode == MODE_IDLE) {
        if (is_whole(client)) finish(client, true);
        return;
    }
    if (client->state == STATE_WAITING && has(client, "data: ")) {
        client->state = STATE_TOKENS;
        if (bench.samples) fprintf(bench.samples, "%" PRIu64 "\n", now_us() - client->due_us);
        if (bench.mode == MODE_HOLD) {
            finish(client, true);
            return;
        }
    }
    if (ends_with(client, "\r\n0\r\n\r\n")) finish(client, has(client, "data: [DONE]"));
}

static void read_answer(struct client *client) {
    char idle[256];
    bool is_idle = client->state == STATE_IDLE;
    char *to = is_idle ? idle : client->answer + client->answer_len;
    size_t room = is_idle ? sizeof idle : ANSWER_BYTES_MAX - client->answer_len;
    ssize_t got = recv(client->fd, to, room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (is_idle) {
        if (got <= 0) {
            // A connection that should have stayed open counts against the one who closed it.
            if (bench.mode != MODE_STREAM) {
                bench.ok--;
                bench.failed++;
            }
            drop(client);
        }
        return;
    }
    if (got <= 0) {
        finish(client, false);
        return;
    }
    client->answer_len += (size_t)got;
    look_at_answer(client);
}

static void handle(struct client *client, uint32_t events) {
    if (client->state != STATE_CONNECTING) {
        read_answer(client);
        return;
    }
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0 || (events & (EPOLLERR | EPOLLHUP))) {
        finish(client, false);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    epoll_ctl(bench.epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
    send_request(client);
}

// --- loop --------------------------------------------------------------------------------------

static void turn(int wait_ms) {
    struct epoll_event events[EVENTS_PER_TURN];
    int n = epoll_wait(bench.epoll_fd, events, EVENTS_PER_TURN, wait_ms);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr) {
            handle(events[i].data.ptr, events[i].events);
            continue;
        }
        uint64_t expired;
        if (read(bench.timer_fd, &expired, sizeof expired) > 0) begin_due();
    }
}

static void run_until_answered(void) {
    bench.start_us = now_us() + 10000;
    uint64_t end = due_us(bench.count) + DRAIN_SECONDS * 1000000ull;
    begin_due();
    while (bench.ok + bench.failed < bench.count && now_us() < end)
        turn(100);
    bench.failed = bench.count - bench.ok;
}

static void hold_until_stdin_ends(void) {
    uint64_t end = now_us() + HOLD_SECONDS_MAX * 1000000ull;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    int in_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(in_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) die("stdin");
    while (epoll_wait(in_fd, &event, 1, 0) == 0 && now_us() < end)
        turn(50);
}

static char *read_file(const char *path, size_t *ret_len) {
    FILE *file = fopen(path, "re");
    char *text = malloc(ANSWER_BYTES_MAX);
    if (!file || !text) die(path);
    *ret_len = fread(text, 1, ANSWER_BYTES_MAX, file);
    fclose(file);
    return text;
}

static void make_request(const char *what) {
    size_t body_len = 0, cap = ANSWER_BYTES_MAX + 512;
    bench.request = malloc(cap);
    if (!bench.request) die("memory");
    if (bench.mode == MODE_IDLE) {
        bench.request_len =
            (size_t)snprintf(bench.request, cap, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
                             what, ntohs(bench.addr.sin_port));
        return;
    }
    char *body = read_file(what, &body_len);
    int head_len = snprintf(bench.request, cap,
                            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                            "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                            ntohs(bench.addr.sin_port), body_len);
    memcpy(bench.request + head_len, body, body_len);
    bench.request_len = (size_t)head_len + body_len;
    free(body);
}

static int usage(void) {
    fputs("usage: openloop stream PORT BODY RATE SECONDS SAMPLES\n"
          "       openloop idle PORT TARGET COUNT RATE\n"
          "       openloop hold PORT BODY COUNT RATE\n",
          stderr);
    return 2;
}

int main(int argc, char **argv) {
    if (argc < 6) return usage();
    uint64_t first = strtoull(argv[4], NULL, 10), second = strtoull(argv[5], NULL, 10);
    if (strcmp(argv[1], "stream") == 0 && argc == 7) {
        bench.mode = MODE_STREAM;
        bench.rate = first;
        bench.count = first * second;
        bench.samples = fopen(argv[6], "we");
        if (!bench.samples) die(argv[6]);
    } else if ((strcmp(argv[1], "idle") == 0 || strcmp(argv[1], "hold") == 0) && argc == 6) {
        bench.mode = argv[1][0] == 'i' ? MODE_IDLE : MODE_HOLD;
        bench.count = first;
        bench.rate = second;
    } else {
        return usage();
    }
    if (bench.rate == 0 || bench.count == 0) return usage();
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    bench.addr = (struct sockaddr_in){.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    make_request(argv[3]);
    bench.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bench.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(bench.epoll_fd, EPOLL_CTL_ADD, bench.timer_fd, &event) != 0) die("timer");

    run_until_answered();
    if (bench.mode == MODE_STREAM) {
        fclose(bench.samples);
        printf("{\"streams\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"failed\":%" PRIu64
               ",\"open_mean\":%.1f,\"open_max\":%" PRIu64 "}\n",
               bench.count, bench.ok, bench.failed, (double)bench.open_sum / (double)bench.count,
               bench.open_max);
        return bench.failed ? 1 : 0;
    }
    printf("ready %" PRIu64 " %" PRIu64 "\n", bench.ok, bench.failed);
    fflush(stdout);
    hold_until_stdin_ends();
    return bench.failed ? 1 : 0;
}
