// SPDX-License-Identifier: Apache-2.0
// The kinds that the controller knows: one file per kind with one field table (shared/schema.h),
// listed in res.c. A folder has no API server, so a table reads, bounds and refuses by itself.
// Defaults are not applied here: they follow the merge of policies, in translate.
#ifndef CTL_RES_RES_H
#define CTL_RES_RES_H

#include "shared/schema.h"

struct ctl_res_kind {
    const char *name;  // "HTTPRoute"
    const char *group; // "gateway.networking.k8s.io", "" for core
    // Served versions, NULL-terminated; the first is ours.
    const char *const *versions;
    const char *plural;     // "httproutes", what tandemctl accepts besides the name
    const char *short_name; // as kubectl's, or NULL
    bool namespaced;
    // Every API server has it, without a CRD; a newer one may have members that no table here
    // knows.
    bool builtin;
    // Every kind's "spec"/"data"/... members besides apiVersion, kind, metadata, status.
    const struct gw_field *fields;
    // Rules across fields that CRDs express in CEL; may be NULL.
    enum gw_rc (*check)(const json_t *obj, struct gw_schema_problem *ret);
    // The CRD, written by hand, that repeats the table (a test compares), or NULL.
    const char *crd_file;
    bool name_is_label;     // metadata.name has no dots and at most 63 characters
    bool values_are_secret; // no value of an object may be shown or quoted
    // What an API server does to an object of the kind before it stores it; may be NULL.
    void (*settle)(json_t *obj);
};

extern const struct ctl_res_kind ctl_res_gateway_class, ctl_res_gateway, ctl_res_http_route,
    ctl_res_reference_grant, ctl_res_service, ctl_res_endpoint_slice, ctl_res_secret,
    ctl_res_namespace, ctl_res_llm_backend;

// NULL-terminated, in the order in which tandemctl lists them.
extern const struct ctl_res_kind *const ctl_res_kinds[];

// By apiVersion and kind; NULL with a text such as "no kind 'Foo' in version 'x/v1'" or, for a kind
// that the API names and this program does not serve yet, "kind 'TLSRoute' is not supported yet".
const struct ctl_res_kind *ctl_res_find(struct gw_str api_version, struct gw_str kind,
                                        struct gw_err *err);
// By what a person types: "httproute", "HTTPRoutes", "svc".
const struct ctl_res_kind *ctl_res_by_word(struct gw_str word);

// apiVersion, kind, metadata (name and namespace are DNS names, labels, annotations...) and the
// kind's own table and check.
enum gw_rc ctl_res_check(const struct ctl_res_kind *kind, const json_t *obj,
                         struct gw_schema_problem *ret) GW_MUST_USE;

// Makes a checked object what an API server would hand out: null members and status are dropped, a
// namespaced object without a namespace is in "default", stringData is in data.
void ctl_res_settle(const struct ctl_res_kind *kind, json_t *obj);

// The same two for an object that an API server has stored, in place. It was checked there, so
// metadata and status may hold anything; unknown members of a builtin kind are dropped, as they are
// newer than this program; status stays. What nobody here reads is dropped from metadata.
enum gw_rc ctl_res_take_stored(const struct ctl_res_kind *kind, json_t *obj,
                               struct gw_schema_problem *ret) GW_MUST_USE;

// LLMBackend.spec.baseURL: "https://host[:port][/path]" without user, query and fragment.
struct ctl_base_url {
    bool https;
    struct gw_str host; // borrows the text; IPv6 without brackets
    uint16_t port;      // the scheme's where none is given
    struct gw_str path; // "" or "/v1", without trailing slashes
};
enum gw_rc ctl_res_base_url(struct gw_str text, struct ctl_base_url *ret, struct gw_err *err)
    GW_MUST_USE;

#endif
