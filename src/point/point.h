/* SPDX-License-Identifier: MIT */
/* The CMG connection point: one process, one loop.
 *
 *   point      keepers, one for each instance of each gateway; reload and drain
 *   endpoints  what is published, and where each of it really is
 *   relay      one request: judged again, sent to its endpoint, its answer sent back
 */
#ifndef CMG_POINT_POINT_H
#define CMG_POINT_POINT_H

#include <sys/queue.h>

#include "cmg/channel/keeper.h"
#include "cmg/net/dial.h"
#include "cmg/net/loop.h"
#include "cmg/proto/h1.h"
#include "point/endpoints.h"
#include "point/options.h"

struct cmg_certificates;
struct relay;
struct keeping; /* a keeper and what it borrows */

struct point {
    struct cmg_loop *loop;                 /* borrowed */
    const struct point_conf *conf;         /* borrowed; swapped by a reload */
    struct cmg_certificates *certificates; /* files that channels and endpoints use */
    struct cmg_dialer *channel_dialer, *endpoint_dialer;
    struct endpoints *endpoints;
    unsigned retiring; /* endpoints that still finish requests */
    TAILQ_HEAD(, keeping) keepings;
    TAILQ_HEAD(, relay) relays; /* in flight: in_flight of them */
    unsigned in_flight;

    bool told_unread; /* relay.identity_unread: once is enough */

    uint64_t id_prefix; /* of request ids that we must make up ourselves */
    uint32_t next_id;
    /* Where a head is put together on its way through; used and left in one call. */
    struct cmg_field fields[CMG_H1_FIELDS + PASSPORT_MAX + 4];

    struct cmg_timer *ready_timer, *drain_timer, *drain_look;
    bool draining;
    int64_t draining_since_ms;
    void (*on_drained)(void *arg);
    void *on_drained_arg;
};

void *point_start(struct cmg_loop *l, const void *conf, struct cmg_err *err);
enum cmg_rc point_reload(void *daemon, const void *conf, struct cmg_err *err);
void point_drain(void *daemon, void (*done)(void *arg), void *arg);
void point_free(void *daemon);

void point_check_drained(struct point *p);

#endif
