/* SPDX-License-Identifier: MIT */
#include "cmg/net/lag.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/loop.h"

enum { EVERY_MS = 1000 };

struct cmg_lag {
    struct cmg_timer *timer; /* owned */
    int64_t due_us, last_us;
    struct cmg_histogram histogram;
};

static void set(struct cmg_lag *g)
{
    g->due_us = cmg_clock_us() + EVERY_MS * INT64_C(1000);
    cmg_timer_set(g->timer, EVERY_MS);
}

static void on_timer(void *arg)
{
    struct cmg_lag *g = arg;
    int64_t late_us = cmg_clock_us() - g->due_us;
    g->last_us = late_us > 0 ? late_us : 0;
    cmg_histogram_add(&g->histogram, g->last_us);
    set(g);
}

struct cmg_lag *cmg_lag_new(struct cmg_loop *l)
{
    struct cmg_lag *g = cmg_alloc(sizeof(*g));
    g->timer = cmg_timer_new(l, on_timer, g);
    set(g);
    return g;
}

void cmg_lag_free(struct cmg_lag *g)
{
    if (!g)
        return;
    cmg_timer_free(g->timer);
    free(g);
}

const struct cmg_histogram *cmg_lag_histogram(const struct cmg_lag *g)
{
    return &g->histogram;
}

int64_t cmg_lag_last_us(const struct cmg_lag *g)
{
    return g->last_us;
}
