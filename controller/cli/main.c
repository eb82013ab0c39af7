// SPDX-License-Identifier: Apache-2.0
// tandemctl: kubectl's look at a controller that has no API server.
//
//   cli.c       commands and flags
//   fetch.c     GET of the admin port by libcurl
//   table.c     columns of `get`
//   describe.c  `describe`
//   parents.c   parents of a route that no status speaks of
//   yaml_out.c  -o yaml
#include "controller/cli/cli.h"

#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    char now[GW_TIME_CHARS];
    gw_time_text(now, time(NULL));
    const char *server = getenv("TANDEM_ADMIN");
    return cli_main(
        &(struct cli_options){
            .fetch = cli_fetch,
            .server = server && *server ? server : NULL,
            .now = now,
            .out = stdout,
            .err = stderr,
        },
        argc, argv);
}
