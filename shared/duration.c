// SPDX-License-Identifier: Apache-2.0
// Durations as the Gateway API writes them: ^([0-9]{1,5}(h|m|s|ms)){1,4}$ (GEP-2257). Units may
// come in any order and repeat; fractions, signs and other units are refused. And moments, as text.
#include "shared/str.h"

#include <time.h>

#define PARTS_MAX 4
#define DIGITS_MAX 5

// Takes one number with its unit off the front of *s; false where there is none.
static bool take_part(struct gw_str *s, uint64_t *ret_ms) {
    uint64_t n = 0;
    size_t i = 0;
    for (; i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++) {
        if (i == DIGITS_MAX) return false;
        n = n * 10 + (uint64_t)(s->ptr[i] - '0');
    }
    if (i == 0) return false;
    struct gw_str rest = {s->ptr + i, s->len - i};
    static const struct {
        struct gw_str unit;
        uint64_t ms;
    } units[] = {
        // "ms" before "m", its prefix.
        {{"ms", 2}, 1},
        {{"h", 1}, 3600 * 1000},
        {{"m", 1}, 60 * 1000},
        {{"s", 1}, 1000},
    };
    for (size_t u = 0; u < GW_ARRAY_LEN(units); u++) {
        if (!gw_str_starts(rest, units[u].unit)) continue;
        *s = (struct gw_str){rest.ptr + units[u].unit.len, rest.len - units[u].unit.len};
        *ret_ms = n * units[u].ms;
        return true;
    }
    return false;
}

enum gw_rc gw_duration_ms(struct gw_str s, uint64_t *ret_ms, struct gw_err *err) {
    struct gw_str rest = s;
    uint64_t sum = 0, part = 0;
    size_t parts = 0;
    while (rest.len && parts < PARTS_MAX && take_part(&rest, &part)) {
        sum += part;
        parts++;
    }
    if (parts == 0 || rest.len) {
        int shown = s.len > 64 ? 64 : (int)s.len;
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "'%.*s' is not a duration such as 1h30m, 10s or 500ms (one to four whole "
                          "numbers of at most five digits, each with the unit h, m, s or ms)",
                          shown, s.ptr ? s.ptr : "");
    }
    *ret_ms = sum;
    return GW_OK;
}

void gw_time_text(char dst[GW_TIME_CHARS], int64_t seconds) {
    time_t at = (time_t)seconds;
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(dst, GW_TIME_CHARS, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
