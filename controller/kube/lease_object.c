// SPDX-License-Identifier: Apache-2.0
// See lease_object.h.
#include "controller/kube/lease_object.h"

#include "controller/kube/lease.h"

#include <stdio.h>

static const json_t *spec_of(const json_t *object) {
    return gw_json_get(object, "spec");
}

struct gw_str ctl_lease_holder_of(const json_t *object) {
    struct gw_str holder = gw_json_str(spec_of(object), "holderIdentity");
    return holder.ptr ? holder : GW_STR("");
}

struct gw_str ctl_lease_address_of(const json_t *object) {
    const json_t *annotations = gw_json_path(object, "metadata.annotations");
    struct gw_str address = gw_json_str(annotations, CTL_LEASE_ADDRESS);
    return address.ptr ? address : GW_STR("");
}

unsigned ctl_lease_seconds_of(const json_t *object, unsigned otherwise) {
    int64_t n = gw_json_int(spec_of(object), "leaseDurationSeconds", 0);
    if (n < 1) return otherwise;
    return n > CTL_LEASE_SECONDS_MAX ? CTL_LEASE_SECONDS_MAX : (unsigned)n;
}

// MicroTime of the API.
static json_t *time_json(int64_t us) {
    char second[GW_TIME_CHARS], text[48];
    gw_time_text(second, us / 1000000);
    second[strlen(second) - 1] = 0; // its Z follows the fraction
    snprintf(text, sizeof(text), "%s.%06dZ", second, (int)(us % 1000000));
    return json_string(text);
}

// A member that is an object, made where it is none. Borrowed.
static json_t *need(json_t *object, const char *key) {
    json_t *v = json_object_get(object, key);
    if (json_is_object(v)) return v;
    v = json_object();
    json_object_set_new(object, key, v);
    return v;
}

static json_t *copy_of(const json_t *object, const struct ctl_lease_next *n) {
    if (json_is_object(object)) return json_deep_copy(object);
    return json_pack("{ssss s{ssss} s{}}", "apiVersion", "coordination.k8s.io/v1", "kind", "Lease",
                     "metadata", "namespace", n->ns, "name", n->name, "spec");
}

json_t *ctl_lease_take(const json_t *object, const struct ctl_lease_next *n) {
    json_t *out = copy_of(object, n), *spec = need(out, "spec");
    bool was_ours = gw_str_eq(ctl_lease_holder_of(object), gw_str_of(n->identity));
    int64_t transitions = gw_json_int(spec, "leaseTransitions", 0);
    json_object_set_new(spec, "holderIdentity", json_string(n->identity));
    json_object_set_new(spec, "leaseDurationSeconds", json_integer(n->seconds));
    json_object_set_new(spec, "renewTime", time_json(n->now_us));
    if (!was_ours) json_object_set_new(spec, "acquireTime", time_json(n->now_us));
    // The first holder of a new Lease is no change of holders.
    if (!was_ours && object) transitions++;
    json_object_set_new(spec, "leaseTransitions",
                        json_integer(transitions < INT32_MAX ? transitions : 0));
    json_t *annotations = need(need(out, "metadata"), "annotations");
    if (*n->address)
        json_object_set_new(annotations, CTL_LEASE_ADDRESS, json_string(n->address));
    else
        json_object_del(annotations, CTL_LEASE_ADDRESS);
    return out;
}

json_t *ctl_lease_give(const json_t *object, const struct ctl_lease_next *n) {
    json_t *out = copy_of(object, n), *spec = need(out, "spec");
    json_object_set_new(spec, "holderIdentity", json_string(""));
    json_object_set_new(spec, "leaseDurationSeconds", json_integer(1));
    json_object_set_new(spec, "renewTime", time_json(n->now_us));
    json_object_set_new(spec, "acquireTime", time_json(n->now_us));
    json_object_del(need(need(out, "metadata"), "annotations"), CTL_LEASE_ADDRESS);
    return out;
}
