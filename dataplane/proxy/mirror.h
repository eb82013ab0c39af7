// SPDX-License-Identifier: Apache-2.0
// Copies of requests for other backends (filter RequestMirror). A copy is a request of its own
// whose client is the request that it copies: its body is teed from there, its answer is read and
// dropped. It never delays or fails its original: where it falls behind it is given up. A copy
// whose body is complete goes on when the client leaves; one whose body is not ends with it.
#ifndef DP_PROXY_MIRROR_H
#define DP_PROXY_MIRROR_H

#include "dataplane/conf/conf.h"
#include "shared/buf.h"

// Of one worker under way; what is beyond is not copied. Each may hold a fiber, a connection and
// the queue below.
#define DP_MIRRORS_MAX 256
// Of a body that the copy's backend has not taken yet; a copy that is further behind is given up.
#define DP_MIRROR_QUEUE_BYTES_MAX (512 * 1024)
// For the whole of a copy: nobody waits for it.
#define DP_MIRROR_MS 60000

struct dp_req;
struct dp_worker;

// On the request's fiber: begins copies of its head as it is now, each by its share of chance.
void dp_mirror_begin(struct dp_req *r, const struct dp_filters *f);
// The three below find no copies where there are none. A part of the body; owner holds it.
void dp_mirror_data(struct dp_req *r, struct gw_slab *owner, struct gw_str data);
// The body is complete; trailers NULL: it has none.
void dp_mirror_end(struct dp_req *r, const struct dp_fields *trailers);
void dp_mirror_leave(struct dp_req *r); // the request is over
// The worker stops.
void dp_mirror_cancel_all(struct dp_worker *w);

#endif
