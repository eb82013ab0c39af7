// SPDX-License-Identifier: Apache-2.0
// Kind LLMBackend: one provider account or self-hosted model server. crds/llmbackends.yaml repeats
// this table and its checks for an API server; a test compares the two.
#include "controller/res/fields.h"
#include "shared/provider.h"

#include <arpa/inet.h>

static const char *const dialects[] = {"chat", NULL};

#define MODELS_MAX 256
#define DAY_MS (24 * 3600 * 1000)

static const struct gw_field model_elem = CTL_F_TEXT("", 0, 1, 256);
static const struct gw_field models[] = {
    CTL_F_TEXT("default", 0, 1, 256),
    CTL_F_LIST("allow", 0, 0, MODELS_MAX, &model_elem),
    CTL_F_MAP("aliases", 0, MODELS_MAX, &model_elem),
    CTL_F_END,
};
static const struct gw_field secret_ref[] = {
    CTL_F_SUBDOMAIN("name", GW_F_REQUIRED),
    CTL_F_PATTERN("key", 0, 1, 253, "[-._a-zA-Z0-9]+", "must be a key of a Secret"),
    CTL_F_INT("weight", 0, 0, 1000000),
    CTL_F_END,
};
static const struct gw_field secret_ref_elem = CTL_F_OBJECT("", 0, secret_ref);
static const struct gw_field auth[] = {
    CTL_F_LIST("secretRefs", 0, 0, 16, &secret_ref_elem),
    CTL_F_BOOL("passthrough", 0),
    CTL_F_UNBUILT("aws"),
    CTL_F_UNBUILT("gcp"),
    CTL_F_UNBUILT("azure"),
    CTL_F_END,
};
static const struct gw_field timeouts[] = {
    CTL_F_DURATION("connect", 0, 0, DAY_MS),
    CTL_F_DURATION("firstToken", 0, 0, DAY_MS),
    CTL_F_DURATION("idle", 0, 0, DAY_MS),
    CTL_F_DURATION("request", 0, 0, DAY_MS),
    CTL_F_END,
};

static const struct gw_field spec[] = {
    CTL_F_ENUM("provider", GW_F_REQUIRED, gw_provider_ids),
    CTL_F_ENUM("dialect", 0, dialects),
    CTL_F_TEXT("baseURL", 0, 1, 2048),
    CTL_F_OBJECT("models", 0, models),
    CTL_F_OBJECT("auth", 0, auth),
    CTL_F_OBJECT("timeouts", 0, timeouts),
    CTL_F_UNBUILT("params"),
    CTL_F_UNBUILT("region"),
    CTL_F_UNBUILT("project"),
    CTL_F_UNBUILT("deployment"),
    CTL_F_UNBUILT("pricing"),
    CTL_F_UNBUILT("tls"),
    CTL_F_END,
};

static const struct gw_field fields[] = {
    CTL_F_OBJECT("spec", GW_F_REQUIRED, spec),
    CTL_F_END,
};

static bool is_host(struct gw_str host, bool brackets) {
    char copy[254];
    unsigned char parsed[16];
    if (host.len == 0 || host.len >= sizeof(copy)) return false;
    memcpy(copy, host.ptr, host.len);
    copy[host.len] = 0;
    if (brackets) return inet_pton(AF_INET6, copy, parsed) == 1;
    gw_str_lower(copy, host.len);
    return ctl_res_matches((struct gw_str){copy, host.len}, CTL_P_SUBDOMAIN);
}

// "host", "host:port", "[::1]:port".
static enum gw_rc parse_authority(struct gw_str text, struct ctl_base_url *url,
                                  struct gw_err *err) {
    struct gw_str port = text;
    bool brackets = text.len && text.ptr[0] == '[';
    if (brackets) {
        ptrdiff_t end = gw_str_find(text, ']');
        if (end < 0) return gw_err_set(err, GW_ERR_INPUT, 0, "has '[' without ']'");
        url->host = (struct gw_str){text.ptr + 1, (size_t)end - 1};
        port = (struct gw_str){text.ptr + end + 1, text.len - (size_t)end - 1};
        if (port.len && port.ptr[0] != ':')
            return gw_err_set(err, GW_ERR_INPUT, 0, "has text between ']' and the port");
        port = port.len ? (struct gw_str){port.ptr + 1, port.len - 1} : (struct gw_str){NULL, 0};
    } else {
        url->host = gw_str_cut(&port, ':');
    }
    if (!is_host(url->host, brackets))
        return gw_err_set(err, GW_ERR_INPUT, 0, "has no valid host ('" GW_STR_FMT "')",
                          GW_STR_ARG(url->host));
    url->port = url->https ? 443 : 80;
    if (!port.ptr) return GW_OK;
    uint64_t n;
    if (gw_str_to_u64(port, 65535, &n) != GW_OK || n == 0)
        return gw_err_set(err, GW_ERR_INPUT, 0, "has a port that is not in 1..65535");
    url->port = (uint16_t)n;
    return GW_OK;
}

enum gw_rc ctl_res_base_url(struct gw_str text, struct ctl_base_url *ret, struct gw_err *err) {
    struct ctl_base_url url = {0};
    struct gw_str rest = text, http = GW_STR("http://"), https = GW_STR("https://");
    url.https = gw_str_starts(text, https);
    if (!url.https && !gw_str_starts(text, http))
        return gw_err_set(err, GW_ERR_INPUT, 0, "must begin with http:// or https://");
    rest.ptr += url.https ? https.len : http.len;
    rest.len -= url.https ? https.len : http.len;
    for (size_t i = 0; i < rest.len; i++) {
        unsigned char c = (unsigned char)rest.ptr[i];
        if (c <= ' ' || c >= 127 || c == '\\' || c == '"')
            return gw_err_set(err, GW_ERR_INPUT, 0, "holds a character that a URL may not hold");
        if (c == '?' || c == '#')
            return gw_err_set(err, GW_ERR_INPUT, 0, "must have no query and no fragment");
    }
    size_t authority_len = 0;
    while (authority_len < rest.len && rest.ptr[authority_len] != '/')
        authority_len++;
    struct gw_str authority = {rest.ptr, authority_len};
    // Not quoted: what stands before '@' is a credential.
    if (gw_str_find(authority, '@') >= 0)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "must have no user or password (keys belong in auth.secretRefs)");
    GW_TRY(parse_authority(authority, &url, err));
    url.path = (struct gw_str){rest.ptr + authority_len, rest.len - authority_len};
    while (url.path.len && url.path.ptr[url.path.len - 1] == '/')
        url.path.len--;
    *ret = url;
    return GW_OK;
}

static enum gw_rc check_secret_refs(const json_t *refs, struct gw_schema_problem *ret) {
    for (size_t i = 0; i < json_array_size(refs); i++) {
        const json_t *a = json_array_get(refs, i);
        struct gw_str key = gw_json_str(a, "key");
        if (!key.ptr) key = GW_STR("api-key");
        for (size_t j = 0; j < i; j++) {
            const json_t *b = json_array_get(refs, j);
            struct gw_str other = gw_json_str(b, "key");
            if (!other.ptr) other = GW_STR("api-key");
            if (!gw_str_eq(key, other) ||
                !gw_str_eq(gw_json_str(a, "name"), gw_json_str(b, "name")))
                continue;
            char path[64];
            snprintf(path, sizeof(path), "spec.auth.secretRefs[%zu]", i);
            return ctl_res_refuse(ret, path, "is the same as spec.auth.secretRefs[%zu]", j);
        }
    }
    return GW_OK;
}

static enum gw_rc check(const json_t *obj, struct gw_schema_problem *ret) {
    const json_t *s = gw_json_get(obj, "spec");
    struct gw_str base_url = gw_json_str(s, "baseURL");
    if (gw_str_eq(gw_json_str(s, "provider"), GW_STR("custom"))) {
        if (!gw_json_get(s, "dialect"))
            return ctl_res_refuse(ret, "spec.dialect", "is missing (provider custom needs one)");
        if (!base_url.ptr)
            return ctl_res_refuse(ret, "spec.baseURL", "is missing (provider custom needs one)");
    }
    struct ctl_base_url url;
    struct gw_err err;
    if (base_url.ptr && ctl_res_base_url(base_url, &url, &err) != GW_OK)
        return ctl_res_refuse(ret, "spec.baseURL", "%s", err.text);
    if (gw_json_get(gw_json_path(s, "models.aliases"), ""))
        return ctl_res_refuse(ret, "spec.models.aliases", "an alias must not be empty");
    const json_t *a = gw_json_get(s, "auth");
    const json_t *refs = gw_json_get(a, "secretRefs");
    if (gw_json_bool(a, "passthrough", false) && json_array_size(refs) > 0)
        return ctl_res_refuse(ret, "spec.auth",
                              "passthrough and secretRefs exclude each other: either the caller's "
                              "key goes upstream or one of yours");
    return check_secret_refs(refs, ret);
}

static const char *const versions[] = {"v1alpha1", NULL};

const struct ctl_res_kind ctl_res_llm_backend = {
    .name = "LLMBackend",
    .group = "kgateway.dev",
    .versions = versions,
    .plural = "llmbackends",
    .short_name = "llm",
    .namespaced = true,
    .fields = fields,
    .check = check,
    .crd_file = "crds/llmbackends.yaml",
};
