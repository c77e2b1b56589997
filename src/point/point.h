/* SPDX-License-Identifier: MIT */
/* The CMG connection point: one process, one loop.
 *
 *   point      keepers, one for each instance of each gateway; reload and drain
 *   endpoints  what is published, and where each of it really is
 *   relay      one request: judged again, sent to its endpoint, its answer sent back
 *   analyze    says what is wrong, on request: probes tell facts, judges tell what they mean
 *   status     what is told of all this, metrics among it
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

struct analysis;
struct cmg_certificates;
struct cmg_traffic;
struct keeping; /* a keeper and what it borrows */
struct relay;

/* Requests that were refused before an endpoint had anything to do with them. */
struct point_refused {
    uint64_t malformed, not_published, too_large;
};

struct point {
    struct cmg_loop *loop;                 /* borrowed */
    const struct point_conf *conf;         /* borrowed; swapped by a reload */
    struct cmg_certificates *certificates; /* files that channels and endpoints use */
    struct cmg_dialer *channel_dialer, *endpoint_dialer, *analyze_dialer;
    struct endpoints *endpoints;
    unsigned retiring; /* endpoints that still finish requests */
    TAILQ_HEAD(, keeping) keepings;
    unsigned in_flight;
    LIST_HEAD(, relay) relays; /* as many */
    struct point_refused refused;
    struct cmg_counts requests;  /* that an endpoint was found for */
    struct cmg_traffic *traffic; /* owned */

    struct analysis *analysis; /* the one that runs; NULL: none */

    bool told_unread; /* relay.identity_unread: once is enough */

    uint64_t id_prefix; /* of request ids that we must make up ourselves */
    uint32_t next_id;
    /* Where a head is put together on its way through; used and left in one call. */
    struct cmg_field fields[CMG_H1_FIELDS + PASSPORT_MAX + 4];

    struct cmg_lag *lag; /* owned */
    struct cmg_timer *ready_timer, *drain_timer, *drain_look, *status_timer;
    char said[128]; /* to the service manager */
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

/* What the channel to an instance (from 1) of that gateway is doing. False: there is none. */
bool point_live(const struct point *p, const char *label, unsigned instance,
                struct cmg_keeper_status *out);

/* Walks over the channels that the configuration in force asks for, also while they drain: *at is
 * NULL at first. False: that was the last one. */
bool point_next_keeper(const struct point *p, const struct keeping **at,
                       struct cmg_keeper_status *out);

#endif
