/* SPDX-License-Identifier: MIT */
/* TLS contexts of one gateway: one for each road. */
#ifndef CMG_POINT_ROADS_H
#define CMG_POINT_ROADS_H

#include "cmg/net/tls.h"
#include "point/options.h"

struct roads {
    struct cmg_tls *tcp_tls, *https; /* owned references */
};

/* From the files as they are now. CMG_ECONF with err; what was loaded is left for roads_clear. */
CMG_MUST_CHECK enum cmg_rc road_load(struct roads *r, const struct point_conf *conf,
                                     const struct point_cmg_conf *cmg, struct cmg_err *err);
/* One for each [cmg] section, for roads_clear to free. NULL with err. */
struct roads *roads_load(const struct point_conf *conf, struct cmg_err *err);
void roads_clear(struct roads *r, size_t n); /* frees r */

#endif
