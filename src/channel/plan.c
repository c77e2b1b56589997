/* SPDX-License-Identifier: MIT */
#include "cmg/channel/plan.h"

#include <stddef.h>

enum { PROBE_GROWTH_MAX = 10 };

const char *const cmg_road_names[] = { "tcp-tls", "https", NULL };
const char *const cmg_transport_names[] = { "auto", "tcp-tls", "https", NULL };
const char *const cmg_deployment_names[] = { "cloud-service", "scale-set", NULL };

/* Uniform in [low, high], both reached. */
static int64_t between(int64_t low, int64_t high, uint32_t dice)
{
    return low + (high - low) * (int64_t)dice / UINT32_MAX;
}

enum cmg_road cmg_plan_preferred(const struct cmg_plan *p)
{
    bool https =
        p->conf.deployment == CMG_DEPLOYMENT_SCALE_SET || p->conf.transport == CMG_TRANSPORT_HTTPS;
    return https ? CMG_ROAD_HTTPS : CMG_ROAD_TCP_TLS;
}

bool cmg_plan_both_roads(const struct cmg_plan *p)
{
    return p->conf.deployment == CMG_DEPLOYMENT_CLOUD_SERVICE &&
           p->conf.transport == CMG_TRANSPORT_AUTO;
}

static struct cmg_attempt attempt(const struct cmg_plan_conf *c, enum cmg_road road)
{
    unsigned port = c->tcp_tls_port + c->instance;
    if (road == CMG_ROAD_HTTPS)
        port = c->instances == 1 ? c->https_port_one : c->https_port_many + c->instance;
    return (struct cmg_attempt){ road, (uint16_t)port };
}

static void take(struct cmg_plan *p, enum cmg_road road)
{
    if (road != p->road)
        p->failures = 0;
    p->road = road;
}

void cmg_plan_init(struct cmg_plan *p, const struct cmg_plan_conf *conf)
{
    *p = (struct cmg_plan){ .conf = *conf, .probe_at_ms = -1 };
    p->road = cmg_plan_preferred(p);
}

void cmg_plan_reconf(struct cmg_plan *p, const struct cmg_plan_conf *conf)
{
    p->conf = *conf;
    if (!cmg_plan_both_roads(p))
        take(p, cmg_plan_preferred(p));
    if (!cmg_plan_both_roads(p) || conf->probe_ms == 0)
        p->probe_at_ms = -1;
}

int64_t cmg_plan_next(const struct cmg_plan *p, int64_t now_ms, struct cmg_attempt *out)
{
    if (now_ms < p->not_before_ms)
        return p->not_before_ms - now_ms;
    *out = attempt(&p->conf, p->road);
    return 0;
}

/* The wait after a failure, by the number of waits before it. */
static int64_t backoff(struct cmg_plan *p, uint32_t dice)
{
    const struct cmg_plan_conf *c = &p->conf;
    if (p->refused)
        return between(c->backoff_max_ms / 2, c->backoff_max_ms, dice);

    int64_t step = c->backoff_min_ms;
    for (unsigned i = 0; i < p->waits && step < c->backoff_max_ms; i++)
        step *= 2;
    if (step > c->backoff_max_ms)
        step = c->backoff_max_ms;
    int64_t wait = between(0, step, dice);
    return wait > CMG_PLAN_WAIT_MIN_MS ? wait : CMG_PLAN_WAIT_MIN_MS;
}

void cmg_plan_failed(struct cmg_plan *p, int64_t now_ms, bool refused, uint32_t dice)
{
    bool both = cmg_plan_both_roads(p);
    p->failures++;
    p->refused |= refused;
    p->probe_at_ms = -1;
    p->not_before_ms = now_ms;

    if (both && p->road == CMG_ROAD_TCP_TLS && (refused || p->failures >= p->conf.tries)) {
        take(p, CMG_ROAD_HTTPS); /* another road deserves no delay */
        return;
    }
    /* With two roads, falling back to HTTPS was the retry at once. */
    bool at_once = p->failures == 1 && p->waits == 0 && !(both && p->road == CMG_ROAD_HTTPS);
    if (!at_once || p->refused) {
        p->not_before_ms += backoff(p, dice);
        p->waits++;
        p->refused = false;
    }
    if (both)
        take(p, CMG_ROAD_TCP_TLS);
}

/* Doubles with every failed probe, up to ten times probe_ms. */
static void plan_probe(struct cmg_plan *p, int64_t now_ms, uint32_t dice)
{
    int64_t factor = 1;
    for (unsigned i = 1; i < p->probe_failures && factor < PROBE_GROWTH_MAX; i++)
        factor *= 2;
    if (factor > PROBE_GROWTH_MAX)
        factor = PROBE_GROWTH_MAX;
    int64_t wait = p->conf.probe_ms * factor;
    p->probe_at_ms = now_ms + between(wait / 2, wait, dice);
}

void cmg_plan_opened(struct cmg_plan *p, int64_t now_ms, uint32_t dice)
{
    p->opened_ms = now_ms;
    p->refused = false;
    p->probe_at_ms = -1;
    if (p->road == CMG_ROAD_HTTPS && cmg_plan_both_roads(p) && p->conf.probe_ms > 0)
        plan_probe(p, now_ms, dice);
}

void cmg_plan_lost(struct cmg_plan *p, int64_t now_ms, uint32_t dice)
{
    bool tcp_tls = p->road == CMG_ROAD_TCP_TLS;
    if (now_ms - p->opened_ms < CMG_PLAN_PROVED_MS) {
        p->probe_failures += tcp_tls; /* or a broken road would be probed at the full rate */
        cmg_plan_failed(p, now_ms, false, dice);
        return;
    }
    if (tcp_tls)
        p->probe_failures = 0;
    p->failures = 0;
    p->waits = 0;
    p->probe_at_ms = -1;
    p->not_before_ms = now_ms;
}

int64_t cmg_plan_probe(const struct cmg_plan *p, int64_t now_ms, struct cmg_attempt *out)
{
    if (p->probe_at_ms < 0)
        return -1;
    if (now_ms < p->probe_at_ms)
        return p->probe_at_ms - now_ms;
    *out = attempt(&p->conf, CMG_ROAD_TCP_TLS);
    return 0;
}

void cmg_plan_probe_failed(struct cmg_plan *p, int64_t now_ms, uint32_t dice)
{
    p->probe_failures++;
    plan_probe(p, now_ms, dice);
}

void cmg_plan_moved_up(struct cmg_plan *p, int64_t now_ms)
{
    take(p, CMG_ROAD_TCP_TLS);
    p->waits = 0;
    p->opened_ms = now_ms;
    p->probe_at_ms = -1;
}
