// SPDX-License-Identifier: Apache-2.0
// Kind Secret: data (base64), stringData (merged into data), and the annotation that takes a key
// from the controller's environment. No message of this file shows a value.
#include "controller/res/fields.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define DATA_ENTRIES_MAX 1024
#define P_KEY "[-._a-zA-Z0-9]+"
#define P_VARIABLE "[A-Za-z_][A-Za-z0-9_]*"
// An API server's limit on the sum of a Secret's values.
#define DATA_BYTES_MAX (1u << 20)

static const struct gw_field value = CTL_F_TEXT("", 0, 0, 2 * DATA_BYTES_MAX);

static const struct gw_field fields[] = {
    CTL_F_MAP("data", 0, DATA_ENTRIES_MAX, &value),
    CTL_F_MAP("stringData", 0, DATA_ENTRIES_MAX, &value),
    CTL_F_TEXT("type", 0, 0, 253),
    CTL_F_BOOL("immutable", 0),
    CTL_F_END,
};

// Strict base64 with padding, as Kubernetes reads it; blanks at line ends (folded text) are
// allowed.
static bool is_base64(struct gw_str s) {
    size_t n = 0, pad = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '\n' || c == '\r') continue;
        bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '+' || c == '/';
        if (c == '=')
            pad++;
        else if (!digit || pad)
            return false;
        n++;
    }
    return n % 4 == 0 && pad <= 2;
}

static enum gw_rc check_map(const json_t *obj, const char *member, bool base64, size_t *bytes,
                            struct gw_schema_problem *ret) {
    json_t *map = gw_json_get(obj, member);
    const char *key;
    json_t *v;
    json_object_foreach(map, key, v) {
        char path[256];
        struct gw_str k = gw_str_of(key);
        if (k.len > 253) return ctl_res_refuse(ret, member, "a key is longer than 253 characters");
        if (gw_str_eq(k, GW_STR(".")) || gw_str_starts(k, GW_STR("..")))
            return ctl_res_refuse(ret, member,
                                  "the key '%s' may not be '.' or begin with '..': keys become "
                                  "names of files",
                                  key);
        if (!ctl_res_matches(k, P_KEY))
            return ctl_res_refuse(
                ret, member, "the key '%s' may hold letters, digits, '-', '_' and '.' only", key);
        snprintf(path, sizeof(path), "%s.%s", member, key);
        struct gw_str s = gw_json_str_of(v);
        if (base64 && !is_base64(s))
            return ctl_res_refuse(ret, path, "is not base64 (plain text belongs in stringData)");
        *bytes += base64 ? s.len / 4 * 3 : s.len;
    }
    return GW_OK;
}

// "key=VARIABLE", several separated by ','.
static enum gw_rc check_from_env(struct gw_str list, struct gw_schema_problem *ret) {
    while (list.ptr) {
        struct gw_str variable = gw_str_trim(gw_str_cut(&list, ','));
        struct gw_str key = gw_str_cut(&variable, '=');
        if (!ctl_res_matches(key, P_KEY) || !variable.ptr || !ctl_res_matches(variable, P_VARIABLE))
            return ctl_res_refuse(ret, "metadata.annotations",
                                  "kgateway.dev/from-env is not of the form key=VARIABLE");
    }
    return GW_OK;
}

static enum gw_rc check_type(const json_t *obj, struct gw_schema_problem *ret) {
    static const char *const wanted[] = {"tls.crt", "tls.key", NULL};
    if (!gw_str_eq(gw_json_str(obj, "type"), GW_STR("kubernetes.io/tls"))) return GW_OK;
    for (const char *const *key = wanted; *key; key++) {
        if (gw_json_get(gw_json_get(obj, "data"), *key) ||
            gw_json_get(gw_json_get(obj, "stringData"), *key))
            continue;
        char path[32];
        snprintf(path, sizeof(path), "data.%s", *key);
        return ctl_res_refuse(ret, path, "is missing (type is kubernetes.io/tls)");
    }
    return GW_OK;
}

static enum gw_rc check(const json_t *obj, struct gw_schema_problem *ret) {
    size_t bytes = 0;
    GW_TRY(check_map(obj, "data", true, &bytes, ret));
    GW_TRY(check_map(obj, "stringData", false, &bytes, ret));
    if (bytes > DATA_BYTES_MAX) return ctl_res_refuse(ret, "data", "is larger than 1 MiB");
    GW_TRY(check_type(obj, ret));
    const json_t *annotations = gw_json_path(obj, "metadata.annotations");
    struct gw_str from_env = gw_json_str(annotations, "kgateway.dev/from-env");
    return from_env.ptr ? check_from_env(from_env, ret) : GW_OK;
}

// An API server stores stringData as data; so do we, and the clear text is not kept twice.
static void settle(json_t *obj) {
    json_t *plain = gw_json_get(obj, "stringData");
    json_t *data = gw_json_get(obj, "data");
    const char *key;
    json_t *v;
    if (json_object_size(plain) && !data) {
        data = json_object();
        json_object_set_new_nocheck(obj, "data", data);
    }
    json_object_foreach(plain, key, v) {
        struct gw_str s = gw_json_str_of(v);
        char *text = gw_alloc(4 * (s.len / 3 + 1) + 1);
        int n = EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)s.ptr, (int)s.len);
        json_object_set_new_nocheck(data, key, json_stringn_nocheck(text, (size_t)n));
        free(text);
    }
    json_object_del(obj, "stringData");
}

static const char *const versions[] = {"v1", NULL};

const struct ctl_res_kind ctl_res_secret = {
    .name = "Secret",
    .group = "",
    .versions = versions,
    .plural = "secrets",
    .short_name = NULL,
    .namespaced = true,
    .builtin = true,
    .values_are_secret = true,
    .fields = fields,
    .check = check,
    .settle = settle,
};
