// SPDX-License-Identifier: Apache-2.0
// Command-line flags of the programs: one static table, --help made from it. "--name value" and
// "--name=value" are the same; a flag that is unknown, repeated (where it takes one value) or
// without its value is refused with the reason.
#ifndef GW_SHARED_FLAGS_H
#define GW_SHARED_FLAGS_H

#include "shared/map.h"
#include "shared/str.h"

#include <stdio.h>

enum gw_flag_kind {
    GW_FLAG_BOOL,     // no value; target: bool *
    GW_FLAG_STRING,   // target: const char **, borrows argv; not empty
    GW_FLAG_UINT,     // decimal, min..max; target: uint64_t *
    GW_FLAG_HOSTPORT, // "HOST:PORT", "[IPv6]:PORT", ":PORT" (keeps the default host);
                      // target: struct gw_flag_hostport *
    GW_FLAG_LIST,     // repeatable; target: struct gw_flag_list *
    GW_FLAG_PAIR,     // "KEY=VALUE", repeatable with different keys; target: struct gw_map *, whose
                      // values are strings on the heap (gw_map_fini(m, free))
};

struct gw_flag_hostport {
    char host[256]; // without brackets
    uint16_t port;  // 0 where the flag allows it: any free one
};

// In the order in which a table of them is read.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
#define GW_FLAG_LIST_MAX 32
struct gw_flag_list {
    const char *ptr[GW_FLAG_LIST_MAX + 1]; // borrows argv, NULL-terminated; none is empty
    size_t len;
};

struct gw_flag {
    const char *name;    // "listen" for --listen; NULL ends a table
    const char *metavar; // "HOST:PORT"; NULL for GW_FLAG_BOOL
    const char *help;    // one line, with the default where there is one
    enum gw_flag_kind kind;
    void *target;      // holds the default; written only when the flag is there
    uint64_t min, max; // GW_FLAG_UINT; max 0: no bound
    char short_name;   // 'n' for -n; 0: none
};

// Sets targets from argv[1..]. "--" ends the flags. Arguments that are no flags go to positional
// (room for positional_max, may be NULL with 0) and are refused beyond it. GW_ERR_INPUT with a text
// such as "unknown flag --foo (see --help)".
enum gw_rc gw_flags_parse(const struct gw_flag *flags, int argc, char *const *argv,
                          const char **positional, size_t positional_max, size_t *ret_positional_n,
                          struct gw_err *err) GW_MUST_USE;

// Usage line (as given), then one aligned line for each flag.
void gw_flags_help(const struct gw_flag *flags, const char *usage, FILE *out);

// "HOST:PORT" as a text. host_default (may be NULL: then a host is needed) is used for ":PORT".
enum gw_rc gw_hostport_parse(struct gw_str text, const char *host_default,
                             struct gw_flag_hostport *ret, struct gw_err *err) GW_MUST_USE;

#endif
