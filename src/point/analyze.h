/* SPDX-License-Identifier: MIT */
/* The connection analyzer: looks at everything between clients and endpoints that this daemon can
 * reach, with its own proxy, roots and certificates, and says what is wrong and what to do.
 *
 *   analyze         one analysis: what to try, in which order findings are told, when it ends
 *   analyze_probe   one connection, tried to the end: facts
 *   analyze_*       the judges, which are pure (analyze_facts.h)
 *
 * Its connections are its own, dialed by threads of its own. None of them answers a gateway's
 * greeting, so a gateway never takes one for a channel. */
#ifndef CMG_POINT_ANALYZE_H
#define CMG_POINT_ANALYZE_H

#include <jansson.h>
#include <stdbool.h>

#include "cmg/base/err.h"

struct cmg_admin_ask;
struct point;

struct analyze_out { /* called from the loop, never from inside analyze_start */
    /* A finding, or as the last line {"totals":{"pass":..,"warn":..,"fail":..},"ms":..,
     * "stopped":why or null}. False: nobody listens any more; the analysis ends. */
    bool (*line)(void *arg, json_t *taken);
    void (*end)(void *arg); /* once, last */
};

/* One at a time: false with err when there is one already, or when the service is being stopped.
 * Ends within a minute. */
bool analyze_start(struct point *p, const struct analyze_out *out, void *arg, struct cmg_err *err);

/* Ends the one that runs, if any, with a last line that says why. */
void analyze_stop(struct point *p, const char *why);
/* The same without a word, when the point itself goes. */
void analyze_abandon(struct point *p);

/* For the administrator's door: { "GET", "/analyze", true, analyze_handle }. `point` is a
 * struct point. 409 when one runs. */
void analyze_handle(void *point, struct cmg_admin_ask *ask);

#endif
