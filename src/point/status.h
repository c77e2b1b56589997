/* SPDX-License-Identifier: MIT */
/* What a connection point tells of itself at the administrator's door. */
#ifndef CMG_POINT_STATUS_H
#define CMG_POINT_STATUS_H

#include <jansson.h>

#include "cmg/base/buf.h"
#include "cmg/daemon/admin.h"
#include "point/point.h"

/* GET /ready, /status and /metrics; handlers get the struct point. */
extern const struct cmg_admin_route point_status_routes[];

/* Ready: not draining, and to each gateway at least one channel is open. */
bool point_is_ready(const struct point *p);

/* {"ready", "draining", "channels": {"up", "of"}, "why": ["..."]}; `why` is empty when ready. */
json_t *point_ready_json(const struct point *p);
json_t *point_status_json(const struct point *p);

/* In Prometheus' format; no room is left in `b` when it did not fit. */
void point_metrics(const struct point *p, struct cmg_buf *b);

#endif
