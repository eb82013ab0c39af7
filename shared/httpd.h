// SPDX-License-Identifier: Apache-2.0
// A small admin HTTP server on libwebsockets, on a thread of its own: a table of paths and
// functions that each return a whole answer. For operators on a trusted port; not a traffic path.
#ifndef GW_SHARED_HTTPD_H
#define GW_SHARED_HTTPD_H

#include "shared/str.h"

struct gw_httpd; // opaque

struct gw_httpd_request {
    struct gw_str path;  // "/describe/HTTPRoute/default/web": decoded, as matched
    struct gw_str query; // raw, without '?'
};
struct gw_httpd_answer {
    int status;
    const char *content_type; // static
    struct gw_text body;      // freed by the server
};
// Called on the server's thread, one at a time.
typedef void (*gw_httpd_fn)(void *arg, const struct gw_httpd_request *rq,
                            struct gw_httpd_answer *ret);
struct gw_httpd_route {
    const char *path; // exact, or a prefix where it ends in "/*"; NULL ends the table
    gw_httpd_fn fn;
    const char *help; // shown on "/", the index
};

// GET and HEAD only (405 otherwise), unknown path 404, both as JSON. "/" lists the routes.
// routes is borrowed. A port in use is said plainly with the address.
struct gw_httpd *gw_httpd_start(const char *host, uint16_t port,
                                const struct gw_httpd_route *routes, void *arg, struct gw_err *err);
uint16_t gw_httpd_port(const struct gw_httpd *h);
void gw_httpd_stop(struct gw_httpd *h); // joins the thread

#endif
