// SPDX-License-Identifier: Apache-2.0
// What a source tells people of its objects, whichever source it is.
#ifndef CTL_SOURCE_EVENT_H
#define CTL_SOURCE_EVENT_H

#include <stdbool.h>

// One thing a person should know; also the text of `make run`'s messages. Lives for the call only.
struct ctl_source_event {
    // A file relative to the folder; on Kubernetes the plural of a kind ("httproutes"), or an
    // object ("HTTPRoute default/web").
    const char *file;
    bool ok;
    bool is_trouble;  // nothing was refused: the source itself cannot be read just now
    const char *text; // ok: "2 added, 1 changed, 0 removed"; else "routes.yaml:12: reason"
    unsigned added, changed, removed; // objects, where ok
};

// controller_source_events_total: changes of files, or of single objects.
void ctl_source_count(bool ok);

#endif
