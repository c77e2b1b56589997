/* SPDX-License-Identifier: MIT */
/* One connection, tried to the end: dialed, and then asked something harmless.
 *
 *   road       a gateway's channel port: until the gateway asks for the greeting, which is not
 *              answered, so that no channel comes of it
 *   web        one GET, until the head of the answer
 */
#ifndef CMG_POINT_ANALYZE_PROBE_H
#define CMG_POINT_ANALYZE_PROBE_H

#include "cmg/net/dial.h"
#include "cmg/net/loop.h"
#include "point/analyze_facts.h"

struct probe;

struct probe_conf {
    struct cmg_dial_target target; /* strings and tls are borrowed until on_done  */
    struct facts_road *road;       /* filled in; NULL: a web probe                 */
    struct facts_web *web;         /* filled in; NULL: a road probe                */
    const char *path, *authority;  /* web; copied                                  */
    unsigned talk_ms;              /* after the dial                               */
};

/* on_done: once, from the loop; the facts are complete. on_gone: once, after it, when the last of
 * its connection is closed; the probe has freed itself. */
struct probe *probe_start(struct cmg_loop *l, struct cmg_dialer *d, const struct probe_conf *conf,
                          void (*on_done)(void *arg), void (*on_gone)(void *arg), void *arg);
/* No on_done any more; on_gone follows, at once or from the loop. */
void probe_cancel(struct probe *p);

#endif
