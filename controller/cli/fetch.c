// SPDX-License-Identifier: Apache-2.0
// One GET of the admin port by libcurl.
#include "controller/cli/cli.h"

#include <curl/curl.h>
#include <stdlib.h>

#define ANSWER_BYTES_MAX (256u << 20)
#define TIMEOUT_S 15

static size_t on_bytes(char *p, size_t size, size_t n, void *arg) {
    struct gw_text *t = arg;
    gw_text_add(t, p, size * n);
    return t->failed ? 0 : size * n;
}

// The "error" of an answer, or its first line.
static void set_answer_error(struct gw_err *err, const char *server, long status,
                             struct gw_text *body) {
    GW_JSON_AUTO v = json_loadb(body->ptr ? body->ptr : "", body->len, 0, NULL);
    struct gw_str text = gw_json_str(v, "error");
    bool is_path = gw_str_starts(text, GW_STR("there is no /"));
    if (text.ptr && !is_path)
        gw_err_set(err, GW_ERR_INPUT, (int)status, GW_STR_FMT, GW_STR_ARG(text));
    else
        gw_err_set(err, GW_ERR_UPSTREAM, (int)status,
                   "%s answers with status %ld: is it the admin port of a tandem-controller? "
                   "(--server HOST:PORT or TANDEM_ADMIN names another)",
                   server, status);
}

static json_t *parse(struct gw_text *body, struct gw_err *err) {
    json_error_t why;
    json_t *v = json_loadb(body->ptr ? body->ptr : "", body->len, 0, &why);
    if (!v) gw_err_set(err, GW_ERR_UPSTREAM, 0, "the answer is not JSON: %s", why.text);
    return v;
}

json_t *cli_fetch(const char *server, const char *path, struct gw_err *err) {
    struct gw_text url = {0}, body = {.cap_max = ANSWER_BYTES_MAX};
    char why[CURL_ERROR_SIZE] = "";
    json_t *v = NULL;
    CURL *curl = curl_easy_init();
    GW_ASSERT(curl);
    gw_text_addf(&url, "http://%s%s", server, path);
    curl_easy_setopt(curl, CURLOPT_URL, url.ptr);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); // an operator's own machine, never by a proxy
    CURLcode rc = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (rc != CURLE_OK)
        gw_err_set(err, GW_ERR_UPSTREAM, 0,
                   "no controller answers on %s (%s); is tandem-controller running there? "
                   "(--server HOST:PORT or TANDEM_ADMIN names another)",
                   server, *why ? why : curl_easy_strerror(rc));
    else if (status != 200)
        set_answer_error(err, server, status, &body);
    else
        v = parse(&body, err);
    curl_easy_cleanup(curl);
    gw_text_fini(&url);
    gw_text_fini(&body);
    return v;
}
