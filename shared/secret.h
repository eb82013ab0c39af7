// SPDX-License-Identifier: Apache-2.0
// Keys, tokens and prompts. The value is reached only through gw_secret_reveal, so that no format
// specifier prints it by accident; memory is wiped before it is freed.
#ifndef GW_SHARED_SECRET_H
#define GW_SHARED_SECRET_H

#include "shared/str.h"

struct gw_secret; // opaque, reference-counted (atomically: any thread)

struct gw_secret *gw_secret_new(struct gw_str value); // copies
struct gw_secret *gw_secret_ref(struct gw_secret *s);
void gw_secret_unref(struct gw_secret *s); // NULL accepted
struct gw_str gw_secret_reveal(const struct gw_secret *s);
bool gw_secret_eq(const struct gw_secret *s, struct gw_str other); // constant time
bool gw_secret_is_token(const struct gw_secret *s); // one line of printable ASCII: fit for a header
// Whole file, trailing newline cut, at most 64 KiB.
struct gw_secret *gw_secret_from_file(const char *path, struct gw_err *err);
// bytes random bytes as lowercase hex.
struct gw_secret *gw_secret_random(size_t bytes);
void gw_random(void *dst, size_t n); // getrandom(2); aborts where the kernel has none

#endif
