// SPDX-License-Identifier: Apache-2.0
// The version that the controller and tandemctl print.
#ifndef CTL_VERSION_H
#define CTL_VERSION_H

#define CTL_VERSION "0.1.0"

#endif
