/* SPDX-License-Identifier: MIT */
#include "gateway/key_plan.h"

bool key_plan_demand(struct key_plan *p, int64_t now_ms)
{
    if (p->demanded && now_ms - p->demanded_ms < KEY_PLAN_DEMAND_MS)
        return false;
    p->demanded = true;
    p->demanded_ms = now_ms;
    return true;
}

static int64_t a_tenth_less(int64_t ms, uint32_t dice)
{
    return ms - ms / 10 * (dice % 1024) / 1024;
}

int64_t key_plan_rest(struct key_plan *p, bool well, int64_t refresh_ms, uint32_t dice)
{
    int64_t ms = KEY_PLAN_RETRY_MIN_MS;
    if (well) {
        p->failures = 0;
        return a_tenth_less(refresh_ms, dice);
    }
    for (unsigned i = 0; i < p->failures && ms < KEY_PLAN_RETRY_MAX_MS; i++)
        ms *= 2;
    if (ms > KEY_PLAN_RETRY_MAX_MS)
        ms = KEY_PLAN_RETRY_MAX_MS;
    if (p->failures < UINT32_MAX)
        p->failures++;
    return a_tenth_less(ms, dice);
}
