/* SPDX-License-Identifier: MIT */
/* How late the loop is: a timer once a second that looks how much later it came than it was set
 * for. What takes long in one turn makes everybody else wait so long; so does a machine without
 * a processor to spare. libevent's timers tick every few milliseconds: less than that means
 * nothing. */
#ifndef CMG_NET_LAG_H
#define CMG_NET_LAG_H

#include "cmg/base/counts.h"

struct cmg_lag;
struct cmg_loop;

struct cmg_lag *cmg_lag_new(struct cmg_loop *l); /* the loop is borrowed */
void cmg_lag_free(struct cmg_lag *g);            /* NULL is ignored */

/* All looks since it was made. Borrowed. */
const struct cmg_histogram *cmg_lag_histogram(const struct cmg_lag *g);
/* The last look, in microseconds; 0 before the first one. */
int64_t cmg_lag_last_us(const struct cmg_lag *g);

#endif
