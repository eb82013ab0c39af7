// SPDX-License-Identifier: Apache-2.0
// tandemctl: shows what a running controller holds, in the look of kubectl. It only reads the
// controller's admin port; words and tables are made here from its JSON.
#ifndef CTL_CLI_CLI_H
#define CTL_CLI_CLI_H

#include "controller/res/res.h"

#include <stdio.h>

// GET of a path of the admin port; owned by caller. NULL with err: not reachable, no JSON, or the
// text of an error answer (GW_ERR_INPUT).
typedef json_t *(*cli_fetch_fn)(const char *server, const char *path, struct gw_err *err);
json_t *cli_fetch(const char *server, const char *path, struct gw_err *err); // by libcurl

struct cli_options {
    cli_fetch_fn fetch;
    const char *server; // from the environment, NULL: the default
    const char *now;    // RFC 3339, for ages
    FILE *out, *err;
};
// Returns the exit status: 0, 1 (asked and not found or not answered), 2 (asked wrongly).
int cli_main(const struct cli_options *o, int argc, char *const *argv);

// --- pure ----------------------------------------------------------------------------------------

// A table of items (all of one kind). with_namespace: a NAMESPACE column; with_kind: names as
// "httproute/web".
void cli_table(const struct ctl_res_kind *kind, const json_t *items, bool with_namespace,
               bool with_kind, const char *now, struct gw_text *out);
// A tree as YAML, indented by so many blanks.
void cli_yaml(const json_t *v, unsigned indent, struct gw_text *out);
// events: of GET /events, or NULL. untold: lines that follow the status, or NULL.
void cli_describe(const struct ctl_res_kind *kind, const json_t *object, const json_t *events,
                  const char *untold, struct gw_text *out);

// Whether the status of an HTTPRoute speaks of each of its parents; where it does not, a line for
// each of the others says why. gateways, classes: all that the controller has.
bool cli_parents_all_told(const json_t *route);
void cli_parents(const json_t *route, const json_t *gateways, const json_t *classes,
                 struct gw_text *out);

// "True" where all conditions of that type say so (an object's own and those of its parents or
// ancestors), "False" or "Unknown" where one says so, "" where there is none.
const char *cli_condition(const json_t *object, const char *type);
// Between two RFC 3339 times, as kubectl writes ages: "5s", "3m", "7h", "2d". "" where a text is no
// time.
void cli_age(const char *since, const char *now, char *dst, size_t cap);
// Rows of cells (cells[row * columns + column], owned by caller) as aligned columns.
void cli_columns(char *const *cells, size_t rows, size_t columns, unsigned indent,
                 struct gw_text *out);

#endif
