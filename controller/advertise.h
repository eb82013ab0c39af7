// SPDX-License-Identifier: Apache-2.0
// Where other replicas reach this one, where nobody says.
#ifndef CTL_ADVERTISE_H
#define CTL_ADVERTISE_H

#include "shared/str.h"

// The host that is listened at; where that is any, the address that this machine has towards the
// API server ("https://HOST:PORT"), which in a pod is the pod's. Looks a name up, so only at the
// start. "" where there is none.
void ctl_advertise_host(const char *listen_host, const char *server, char *dst, size_t cap);

#endif
