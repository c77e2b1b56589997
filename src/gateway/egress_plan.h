/* SPDX-License-Identifier: MIT */
/* Bytes sent to clients, day by day, and what follows from their sum over two weeks. Pure: time is
 * an argument, in seconds since 1970; days are those of UTC. */
#ifndef CMG_GATEWAY_EGRESS_PLAN_H
#define CMG_GATEWAY_EGRESS_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cmg/base/str.h"

enum { EGRESS_DAYS = 14, EGRESS_DAY_S = 24 * 3600 };

enum egress_level { EGRESS_FREE, EGRESS_WARNING, EGRESS_CRITICAL };
extern const char *const egress_level_names[]; /* "free", "warning", "critical" */

struct egress_plan {
    int64_t day;                 /* since 1970; 0: none yet */
    uint64_t bytes[EGRESS_DAYS]; /* [0] of that day, [1] of the one before, ... */
    enum egress_level level;     /* that was reached, and told of */
    bool stopped;                /* likewise */
};

struct egress_limits {
    uint64_t threshold;      /* bytes in EGRESS_DAYS; 0: none */
    unsigned warn, critical; /* percent of it */
    bool stop;               /* clients are refused when it is critical */
};

/* Bytes of now. A day that begins drops the oldest one. A clock that is set back drops nothing:
 * what was sent was sent. */
void egress_plan_add(struct egress_plan *p, int64_t now, uint64_t bytes);
uint64_t egress_plan_sum(const struct egress_plan *p);
unsigned egress_plan_percent(const struct egress_plan *p, const struct egress_limits *l);

/* What is different now, each told once: bits. */
enum egress_news {
    EGRESS_NEWS_WARNING = 1,
    EGRESS_NEWS_CRITICAL = 2,
    EGRESS_NEWS_STOPPED = 4,
    EGRESS_NEWS_LESS = 8,    /* a lower level than before */
    EGRESS_NEWS_RESUMED = 16 /* clients are served again */
};
unsigned egress_plan_judge(struct egress_plan *p, const struct egress_limits *l);

/* How long a client that was refused should stay away: the sum falls when a day ends. An hour at
 * most, because an administrator may raise the threshold. */
unsigned egress_plan_wait_s(int64_t now);

/* As the state file has it, and back. False: it is no such thing; *out is empty. */
json_t *egress_plan_save(const struct egress_plan *p);
bool egress_plan_load(struct cmg_str text, struct egress_plan *out);

#endif
