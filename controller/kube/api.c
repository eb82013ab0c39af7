// SPDX-License-Identifier: Apache-2.0
// See api.h.
#include "controller/kube/api.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 30000
// A server that asks for an hour is asked again sooner: what was written would be lost meanwhile.
#define RETRY_AFTER_MAX_S 60

void ctl_kube_path(struct gw_text *t, const struct ctl_res_kind *kind, struct gw_str ns,
                   struct gw_str name, const char *suffix) {
    if (*kind->group)
        gw_text_addf(t, "/apis/%s/%s", kind->group, kind->versions[0]);
    else
        gw_text_addf(t, "/api/%s", kind->versions[0]);
    if (ns.len) gw_text_addf(t, "/namespaces/" GW_STR_FMT, GW_STR_ARG(ns));
    gw_text_addf(t, "/%s/" GW_STR_FMT "%s", kind->plural, GW_STR_ARG(name), suffix);
}

static bool is_number(struct gw_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
    return s.len > 0 && (s.ptr[0] != '0' || s.len == 1);
}

bool ctl_kube_is_newer(struct gw_str a, struct gw_str b) {
    if (!is_number(a) || !is_number(b)) return true;
    return a.len != b.len ? a.len > b.len : gw_str_cmp(a, b) > 0;
}

int64_t ctl_kube_backoff_ms(unsigned failures, int retry_after_s, uint32_t random) {
    int64_t ms = BACKOFF_MIN_MS;
    for (unsigned i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS) ms = BACKOFF_MAX_MS;
    ms = ms - ms / 4 + (int64_t)(random % (uint32_t)(ms / 2 + 1)); // 75 to 125 %
    int64_t asked =
        1000 * (int64_t)(retry_after_s < RETRY_AFTER_MAX_S ? retry_after_s : RETRY_AFTER_MAX_S);
    return ms > asked ? ms : asked;
}
