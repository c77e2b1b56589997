/* SPDX-License-Identifier: MIT */
/* Which road to a gateway instance, and when: the whole policy of dialing, falling
 * back and backing off, as arithmetic. Pure: the caller brings the time and the dice.
 *
 *   instance i of N    TCP-TLS port 10140+i    HTTPS port 443 (N=1) or 10124+i (N>1)
 *
 * auto: TCP-TLS first; where it fails, HTTPS at once; while on HTTPS, TCP-TLS is tried
 * again beside the live channel every probe_ms. A scale set has no TCP-TLS road.
 */
#ifndef CMG_CHANNEL_PLAN_H
#define CMG_CHANNEL_PLAN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CMG_INSTANCES_MAX = 16,
    CMG_ROADS = 2,
    CMG_PLAN_PROVED_MS = 3000, /* a channel that was open for so long has proved itself */
    CMG_PLAN_WAIT_MIN_MS = 50  /* no wait is shorter, but for the retries at once       */
};

enum cmg_road { CMG_ROAD_TCP_TLS, CMG_ROAD_HTTPS };
extern const char *const cmg_road_names[]; /* "tcp-tls", "https", NULL */

enum cmg_transport { CMG_TRANSPORT_AUTO, CMG_TRANSPORT_TCP_TLS, CMG_TRANSPORT_HTTPS };
extern const char *const cmg_transport_names[]; /* "auto", "tcp-tls", "https", NULL */

enum cmg_deployment { CMG_DEPLOYMENT_CLOUD_SERVICE, CMG_DEPLOYMENT_SCALE_SET };
extern const char *const cmg_deployment_names[]; /* "cloud-service", "scale-set", NULL */

struct cmg_plan_conf {
    enum cmg_deployment deployment;
    enum cmg_transport transport;
    unsigned instance, instances; /* 0 <= instance < instances <= 16               */
    uint16_t tcp_tls_port;        /* of the first instance; 10140                  */
    uint16_t https_port_one;      /* the only instance, through the balancer; 443  */
    uint16_t https_port_many;     /* of the first of several; 10124                */
    unsigned tries;               /* on TCP-TLS before falling back, >= 1          */
    int64_t backoff_min_ms;       /* first exponential step, 1000                  */
    int64_t backoff_max_ms;       /* longest wait, 60000                           */
    int64_t probe_ms;             /* on HTTPS: how often to look for TCP-TLS; 0 = never */
};

struct cmg_plan { /* plain value: copy it, print it              */
    struct cmg_plan_conf conf;
    enum cmg_road road;
    unsigned failures; /* in a row, on this road                   */
    unsigned waits;    /* since a channel last proved itself, over both roads */
    bool refused;      /* since the last wait, on either road      */
    int64_t not_before_ms;
    int64_t opened_ms;
    int64_t probe_at_ms;     /* -1: no probe wanted                */
    unsigned probe_failures; /* since a TCP-TLS channel last proved itself */
};

struct cmg_attempt {
    enum cmg_road road;
    uint16_t port;
};

void cmg_plan_init(struct cmg_plan *p, const struct cmg_plan_conf *conf);

/* Puts other values in force. Counters stay; a road that is no longer allowed is left, a
 * probe that is no longer wanted is dropped. */
void cmg_plan_reconf(struct cmg_plan *p, const struct cmg_plan_conf *conf);

/* The road that is tried first, and whether there is another one. */
enum cmg_road cmg_plan_preferred(const struct cmg_plan *p);
bool cmg_plan_both_roads(const struct cmg_plan *p);

/* What to dial now. Returns 0 and fills *out, or the milliseconds to wait. */
int64_t cmg_plan_next(const struct cmg_plan *p, int64_t now_ms, struct cmg_attempt *out);

/* The attempt failed before the channel was open. What comes next:
 *   - with both roads, when TCP-TLS failed `tries` times in a row, or was refused: HTTPS, at
 *     once;
 *   - with both roads, when HTTPS failed: TCP-TLS again after a wait (a firewall may have
 *     opened);
 *   - else the same road: at once after the first failure of all, later after a wait.
 * Waits are full jitter, uniform in [0, step], never below CMG_PLAN_WAIT_MIN_MS; the step
 * doubles from backoff_min to backoff_max, counted over both roads. `refused`
 * (authentication, policy) on either road since the last wait: the wait is backoff_max
 * with jitter in [half, full], and there is no retry at once on the same road. */
void cmg_plan_failed(struct cmg_plan *p, int64_t now_ms, bool refused, uint32_t dice);

/* The channel is open. Failures are forgotten once it has proved itself, so that a gateway
 * that greets and closes is not dialed in a tight loop. On HTTPS with TCP-TLS possible, plans
 * a probe. */
void cmg_plan_opened(struct cmg_plan *p, int64_t now_ms, uint32_t dice);

/* An open channel was lost. When it had proved itself: dial again at once, on the road that
 * it had, for that one is known to work (the probe finds TCP-TLS without an outage). When
 * not: as cmg_plan_failed. */
void cmg_plan_lost(struct cmg_plan *p, int64_t now_ms, uint32_t dice);

/* Milliseconds until TCP-TLS should be probed beside the live HTTPS channel (0: now, *out
 * filled), or -1: never. */
int64_t cmg_plan_probe(const struct cmg_plan *p, int64_t now_ms, struct cmg_attempt *out);

/* The probe failed: next one after probe_ms, doubling up to 10 x, with jitter in [half, full]. */
void cmg_plan_probe_failed(struct cmg_plan *p, int64_t now_ms, uint32_t dice);

/* The probe opened: TCP-TLS is the road now, and has yet to prove itself. */
void cmg_plan_moved_up(struct cmg_plan *p, int64_t now_ms);

#endif
