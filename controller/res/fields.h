// SPDX-License-Identifier: Apache-2.0
// What the field tables of the kinds have in common: names and patterns of Kubernetes and of the
// Gateway API (v1.7, experimental channel), and how a check across fields refuses. Only for
// controller/res/. Patterns hold for the whole text.
#ifndef CTL_RES_FIELDS_H
#define CTL_RES_FIELDS_H

#include "controller/res/res.h"

#define CTL_P_LABEL "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define CTL_P_SUBDOMAIN CTL_P_LABEL "(\\." CTL_P_LABEL ")*"
#define CTL_P_GROUP "(" CTL_P_SUBDOMAIN ")?"
#define CTL_P_HOSTNAME "(\\*\\.)?" CTL_P_SUBDOMAIN
#define CTL_P_KIND "[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?"
#define CTL_P_HEADER_NAME "[A-Za-z0-9!#$%&'*+.^_`|~-]+"
#define CTL_P_HEADER_VALUE "[!-~]+([\t ][!-~]+)*"

#define CTL_P_PATH "([-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+"

#define CTL_SAYS_LABEL "must be a DNS label (lower-case letters, digits and '-')"
#define CTL_SAYS_SUBDOMAIN "must be a DNS name (lower-case letters, digits, '-' and '.')"
#define CTL_SAYS_HOSTNAME "must be a DNS name in lower case, '*.' may lead it"
#define CTL_SAYS_KIND "must be the name of a kind"
#define CTL_SAYS_HEADER_NAME "must be the name of an HTTP header"
#define CTL_SAYS_HEADER_VALUE "must be printable ASCII without blanks at its ends or two in a row"

// Members of a table: CTL_F_x(name, flags).
#define CTL_F_TEXT(n, fl, lo, hi)                                                                  \
    { .name = (n), .type = GW_F_STRING, .flags = (fl), .min = (lo), .max = (hi) }
#define CTL_F_PATTERN(n, fl, lo, hi, p, says)                                                      \
    {                                                                                              \
        .name = (n), .type = GW_F_STRING, .flags = (fl), .min = (lo), .max = (hi), .pattern = (p), \
        .pattern_says = (says)                                                                     \
    }
#define CTL_F_LABEL(n, fl) CTL_F_PATTERN(n, fl, 1, 63, CTL_P_LABEL, CTL_SAYS_LABEL)
#define CTL_F_SUBDOMAIN(n, fl) CTL_F_PATTERN(n, fl, 1, 253, CTL_P_SUBDOMAIN, CTL_SAYS_SUBDOMAIN)
#define CTL_F_HOSTNAME(n, fl) CTL_F_PATTERN(n, fl, 1, 253, CTL_P_HOSTNAME, CTL_SAYS_HOSTNAME)
#define CTL_F_GROUP(n, fl) CTL_F_PATTERN(n, fl, 0, 253, CTL_P_GROUP, CTL_SAYS_SUBDOMAIN)
#define CTL_F_KIND(n, fl) CTL_F_PATTERN(n, fl, 1, 63, CTL_P_KIND, CTL_SAYS_KIND)
#define CTL_F_OBJECT_NAME(n, fl) CTL_F_TEXT(n, fl, 1, 253)
#define CTL_F_HEADER_NAME(n, fl)                                                                   \
    CTL_F_PATTERN(n, fl, 1, 256, CTL_P_HEADER_NAME, CTL_SAYS_HEADER_NAME)
#define CTL_F_HEADER_VALUE(n, fl)                                                                  \
    CTL_F_PATTERN(n, fl, 1, 4096, CTL_P_HEADER_VALUE, CTL_SAYS_HEADER_VALUE)
#define CTL_F_INT(n, fl, lo, hi)                                                                   \
    { .name = (n), .type = GW_F_INT, .flags = (fl), .min = (lo), .max = (hi) }
#define CTL_F_PORT(n, fl) CTL_F_INT(n, fl, 1, 65535)
#define CTL_F_BOOL(n, fl)                                                                          \
    { .name = (n), .type = GW_F_BOOL, .flags = (fl) }
#define CTL_F_ENUM(n, fl, list)                                                                    \
    { .name = (n), .type = GW_F_STRING, .flags = (fl), .values = (list) }
#define CTL_F_OBJECT(n, fl, table)                                                                 \
    { .name = (n), .type = GW_F_OBJECT, .flags = (fl), .fields = (table) }
#define CTL_F_LIST(n, fl, lo, hi, el)                                                              \
    { .name = (n), .type = GW_F_LIST, .flags = (fl), .min = (lo), .max = (hi), .elem = (el) }
#define CTL_F_UNIQUE_LIST(n, fl, lo, hi, el, key)                                                  \
    {                                                                                              \
        .name = (n), .type = GW_F_LIST, .flags = (fl), .min = (lo), .max = (hi), .elem = (el),     \
        .unique = (key)                                                                            \
    }
#define CTL_F_MAP(n, fl, hi, el)                                                                   \
    { .name = (n), .type = GW_F_MAP, .flags = (fl), .max = (hi), .elem = (el) }
// min and max in milliseconds.
#define CTL_F_DURATION(n, fl, lo, hi)                                                              \
    { .name = (n), .type = GW_F_DURATION, .flags = (fl), .min = (lo), .max = (hi) }
// Known, of no concern to a gateway, taken as it is.
#define CTL_F_ANY(n)                                                                               \
    { .name = (n), .type = GW_F_ANY }
#define CTL_F_UNBUILT(n)                                                                           \
    { .name = (n), .type = GW_F_ANY, .flags = GW_F_UNBUILT }
#define CTL_F_END                                                                                  \
    { .name = NULL }

// metav1.LabelSelector, as allowedRoutes.namespaces holds it.
extern const struct gw_field ctl_res_label_selector[];

// A filter of an HTTPRoute. What is checked of a list of them at path ("spec.rules[0].filters"),
// and the first of a type (NULL: none).
extern const struct gw_field ctl_res_http_filter[];
enum gw_rc ctl_res_check_filters(const json_t *filters, const char *path,
                                 struct gw_schema_problem *ret);
const json_t *ctl_res_filter_of(const json_t *filters, const char *type);
// A Service is referred to with a port; path is the reference's.
enum gw_rc ctl_res_check_backend_port(const json_t *ref, const char *path,
                                      struct gw_schema_problem *ret);

// Fills ret with path and "path: text"; returns GW_ERR_INPUT so that `return ctl_res_refuse(...)`
// reads well. path is short enough for struct gw_schema_problem or cut.
enum gw_rc ctl_res_refuse(struct gw_schema_problem *ret, const char *path, const char *fmt, ...)
    GW_PRINTF(3, 4);

// Whole-text match against one of the patterns above; compiled at each call, so not for hot paths.
bool ctl_res_matches(struct gw_str text, const char *pattern);

// "name" or "example.com/name", as the keys of labels and an appProtocol are: an optional DNS name
// and '/', then up to 63 of letters, digits, '-', '_', '.'.
bool ctl_res_is_qualified(struct gw_str name);

// matchExpressions of a selector at path: In and NotIn need values, the others must have none.
enum gw_rc ctl_res_check_selector(const json_t *selector, const char *path,
                                  struct gw_schema_problem *ret);

#endif
