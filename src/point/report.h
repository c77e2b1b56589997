/* SPDX-License-Identifier: MIT */
/* What the connection point's numbers are kept for: the traffic report. */
#ifndef CMG_POINT_REPORT_H
#define CMG_POINT_REPORT_H

#include "cmg/daemon/admin.h"
#include "point/point.h"

void report_start(struct point *p); /* once the endpoints are there */
void report_count(struct point *p); /* before endpoints go */
void report_stop(struct point *p);  /* what is counted is written */

/* GET /traffic of the administrator's door; `point` is a struct point. */
void report_handle(void *point, struct cmg_admin_ask *ask);
extern const char *const report_parameters[];

#endif
