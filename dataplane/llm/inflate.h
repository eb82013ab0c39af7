// SPDX-License-Identifier: Apache-2.0
// Streaming decompression of answers that came gzipped or deflated although asked otherwise. The
// output is made in slabs, as far as the caller's watermarks go; no ratio can grow memory.
#ifndef DP_LLM_INFLATE_H
#define DP_LLM_INFLATE_H

#include "shared/buf.h"

struct dp_llm_inflate; // opaque

// coding: "gzip", "x-gzip" or "deflate" (zlib or raw, found out from the first bytes); NULL with
// GW_ERR_UPSTREAM for any other.
struct dp_llm_inflate *dp_llm_inflate_new(struct gw_str coding, struct gw_err *err);
void dp_llm_inflate_free(struct dp_llm_inflate *z);
// Appends what in unpacks to.
enum gw_rc dp_llm_inflate_feed(struct dp_llm_inflate *z, struct gw_str in, struct gw_buf *out,
                               struct gw_err *err);
bool dp_llm_inflate_is_done(const struct dp_llm_inflate *z);

#endif
