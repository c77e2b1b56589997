/* SPDX-License-Identifier: MIT */
/* When the keys of one tenant are fetched. Arithmetic: time and dice are arguments. */
#ifndef CMG_GATEWAY_KEY_PLAN_H
#define CMG_GATEWAY_KEY_PLAN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    KEY_PLAN_DEMAND_MS = 60 * 1000,       /* between two fetches for the sake of a token's key */
    KEY_PLAN_RETRY_MIN_MS = 5 * 1000,     /* after the first failure ... */
    KEY_PLAN_RETRY_MAX_MS = 5 * 60 * 1000 /* ... and after many */
};

struct key_plan { /* zeroed: nothing has happened yet */
    bool demanded;
    int64_t demanded_ms;
    unsigned failures; /* in a row */
};

/* A token names a key that is not there, and no fetch is under way: whether to start one. True at
 * most once in KEY_PLAN_DEMAND_MS. */
bool key_plan_demand(struct key_plan *p, int64_t now_ms);

/* A fetch has ended: how long until the next one. `refresh_ms` after a success, longer each time
 * after failures; up to a tenth less, so that not all gateways ask at once. */
int64_t key_plan_rest(struct key_plan *p, bool well, int64_t refresh_ms, uint32_t dice);

#endif
