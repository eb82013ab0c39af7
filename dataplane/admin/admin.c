// SPDX-License-Identifier: Apache-2.0
// See admin.h. Runs on the admin server's thread; reads what other threads publish.
#include "dataplane/admin/admin.h"

#include "dataplane/obs/metrics.h"

#include <stdlib.h>

struct dp_admin {
    struct dp_admin_opts o;
    struct gw_httpd *httpd;
};

static void set_text(struct gw_httpd_answer *ret, int status, const char *text) {
    ret->status = status;
    ret->content_type = "text/plain";
    gw_text_adds(&ret->body, text);
}

static void serve_healthz(void *arg GW_UNUSED, const struct gw_httpd_request *rq GW_UNUSED,
                          struct gw_httpd_answer *ret) {
    set_text(ret, 200, "ok\n");
}

static void serve_ready(void *arg, const struct gw_httpd_request *rq GW_UNUSED,
                        struct gw_httpd_answer *ret) {
    const struct dp_admin *a = arg;
    if (atomic_load(a->o.draining))
        set_text(ret, 503, "draining\n");
    else if (!dp_conf_client_is_ready(a->o.conf))
        set_text(ret, 503, "no snapshot yet\n");
    else
        set_text(ret, 200, "ready\n");
}

// Not a series of the registry, which would keep one for each version that ever served.
static void add_snapshot_info(struct gw_text *out, const char *version) {
    const struct gw_metric_family *f = &dp_metric_snapshot_info;
    gw_text_addf(out, "# HELP %s %s\n# TYPE %s gauge\n", f->name, f->help, f->name);
    if (version[0]) gw_text_addf(out, "%s{%s=\"%s\"} 1\n", f->name, f->labels[0], version);
}

static void serve_metrics(void *arg, const struct gw_httpd_request *rq GW_UNUSED,
                          struct gw_httpd_answer *ret) {
    const struct dp_admin *a = arg;
    char version[GW_IR_VERSION_CHARS + 1];
    if (a->o.before_metrics) a->o.before_metrics(a->o.arg);
    dp_conf_client_version(a->o.conf, version);
    ret->status = 200;
    ret->content_type = "text/plain; version=0.0.4";
    gw_metric_text(&ret->body);
    add_snapshot_info(&ret->body, version);
}

static void serve_config(void *arg, const struct gw_httpd_request *rq GW_UNUSED,
                         struct gw_httpd_answer *ret) {
    const struct dp_admin *a = arg;
    GW_JSON_AUTO shown = dp_conf_client_dump(a->o.conf);
    char *text = json_dumps(shown, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    ret->status = text ? 200 : 500;
    ret->content_type = "application/json";
    gw_text_adds(&ret->body, text ? text : "{}");
    gw_text_adds(&ret->body, "\n");
    free(text);
}

static const struct gw_httpd_route routes[] = {
    {"/healthz", serve_healthz, "200 while the data plane works"},
    {"/ready", serve_ready, "200 once a snapshot serves, 503 before and while draining"},
    {"/metrics", serve_metrics, "metrics in Prometheus format"},
    {"/config", serve_config, "the resources that serve, without secrets"},
    {NULL, NULL, NULL},
};

struct dp_admin *dp_admin_start(const struct dp_admin_opts *o, struct gw_err *err) {
    struct dp_admin *a = gw_alloc(sizeof(*a));
    a->o = *o;
    a->httpd = gw_httpd_start(o->host, o->port, routes, a, err);
    if (a->httpd) return a;
    free(a);
    return NULL;
}

uint16_t dp_admin_port(const struct dp_admin *a) {
    return gw_httpd_port(a->httpd);
}

void dp_admin_stop(struct dp_admin *a) {
    if (!a) return;
    gw_httpd_stop(a->httpd);
    free(a);
}
