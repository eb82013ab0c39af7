// SPDX-License-Identifier: Apache-2.0
// One JSON line per event on stderr (or a file descriptor of the caller's choice):
// {"ts":"2026-01-02T03:04:05.678Z","lvl":"info","mod":"conf","msg":"snapshot
// applied","version":"..."} msg is constant text; data goes in keys. Any thread. One write(2) per
// line. Libraries do not log.
#ifndef GW_SHARED_LOG_H
#define GW_SHARED_LOG_H

#include "shared/str.h"

enum gw_log_level { GW_LOG_DEBUG, GW_LOG_INFO, GW_LOG_WARN, GW_LOG_ERROR };

enum gw_log_type { GW_LOG_T_STR, GW_LOG_T_INT, GW_LOG_T_BOOL };
struct gw_log_kv {
    const char *key;
    enum gw_log_type type;
    struct gw_str str;
    int64_t num;
};
#define GW_KS(k, s) ((struct gw_log_kv){.key = (k), .type = GW_LOG_T_STR, .str = gw_str_of(s)})
#define GW_KSTR(k, s) ((struct gw_log_kv){.key = (k), .type = GW_LOG_T_STR, .str = (s)})
#define GW_KI(k, n) ((struct gw_log_kv){.key = (k), .type = GW_LOG_T_INT, .num = (int64_t)(n)})
#define GW_KB(k, b) ((struct gw_log_kv){.key = (k), .type = GW_LOG_T_BOOL, .num = (b)})

void gw_log_init(int fd, enum gw_log_level min); // default: stderr, info
enum gw_rc gw_log_level_of(struct gw_str name, enum gw_log_level *ret) GW_MUST_USE;
void gw_log_write(enum gw_log_level lvl, const char *mod, const char *msg,
                  const struct gw_log_kv *kv, size_t n);
#define GW_LOG_(lvl, mod, msg, ...)                                                                \
    do {                                                                                           \
        const struct gw_log_kv gw_kv_[] = {{0}, ##__VA_ARGS__};                                    \
        gw_log_write((lvl), (mod), (msg), gw_kv_ + 1, GW_ARRAY_LEN(gw_kv_) - 1);                   \
    } while (0)
#define GW_DEBUG(mod, msg, ...) GW_LOG_(GW_LOG_DEBUG, mod, msg, ##__VA_ARGS__)
#define GW_INFO(mod, msg, ...) GW_LOG_(GW_LOG_INFO, mod, msg, ##__VA_ARGS__)
#define GW_WARN(mod, msg, ...) GW_LOG_(GW_LOG_WARN, mod, msg, ##__VA_ARGS__)
#define GW_ERROR(mod, msg, ...) GW_LOG_(GW_LOG_ERROR, mod, msg, ##__VA_ARGS__)

// For lines that a peer can trigger: true at most `burst` times per second per site.
struct gw_log_limit {
    int64_t second;
    unsigned count;
};
bool gw_log_allow(struct gw_log_limit *l, int64_t now_ms, unsigned burst);

#endif
