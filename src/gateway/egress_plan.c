/* SPDX-License-Identifier: MIT */
#include "gateway/egress_plan.h"

#include <stdlib.h>

enum { VERSION = 1, WAIT_MAX_S = 3600, WHOLE = 100 };

const char *const egress_level_names[] = { "free", "warning", "critical", NULL };

static void roll(struct egress_plan *p, int64_t day)
{
    int64_t by = p->day ? day - p->day : 0;
    if (by > 0) {
        size_t n = by > EGRESS_DAYS ? EGRESS_DAYS : (size_t)by;
        memmove(p->bytes + n, p->bytes, (EGRESS_DAYS - n) * sizeof(*p->bytes));
        memset(p->bytes, 0, n * sizeof(*p->bytes));
    }
    p->day = day;
}

void egress_plan_add(struct egress_plan *p, int64_t now, uint64_t bytes)
{
    roll(p, now / EGRESS_DAY_S);
    p->bytes[0] = bytes > UINT64_MAX - p->bytes[0] ? UINT64_MAX : p->bytes[0] + bytes;
}

uint64_t egress_plan_sum(const struct egress_plan *p)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < EGRESS_DAYS; i++)
        sum = p->bytes[i] > UINT64_MAX - sum ? UINT64_MAX : sum + p->bytes[i];
    return sum;
}

unsigned egress_plan_percent(const struct egress_plan *p, const struct egress_limits *l)
{
    if (!l->threshold)
        return 0;
    double percent = (double)egress_plan_sum(p) * WHOLE / (double)l->threshold;
    return percent > 999999 ? 999999 : (unsigned)percent;
}

/* Judging -------------------------------------------------------------------------------- */

static enum egress_level level_of(const struct egress_plan *p, const struct egress_limits *l)
{
    unsigned percent = egress_plan_percent(p, l);
    if (!l->threshold)
        return EGRESS_FREE;
    return percent >= l->critical ? EGRESS_CRITICAL
           : percent >= l->warn   ? EGRESS_WARNING
                                  : EGRESS_FREE;
}

unsigned egress_plan_judge(struct egress_plan *p, const struct egress_limits *l)
{
    unsigned news = 0;
    enum egress_level level = level_of(p, l);
    bool stopped = level == EGRESS_CRITICAL && l->stop;
    if (level == EGRESS_WARNING && p->level == EGRESS_FREE)
        news |= EGRESS_NEWS_WARNING;
    if (level == EGRESS_CRITICAL && p->level != EGRESS_CRITICAL)
        news |= EGRESS_NEWS_CRITICAL;
    if (level < p->level)
        news |= EGRESS_NEWS_LESS;
    if (stopped != p->stopped)
        news |= stopped ? EGRESS_NEWS_STOPPED : EGRESS_NEWS_RESUMED;
    p->level = level;
    p->stopped = stopped;
    return news;
}

unsigned egress_plan_wait_s(int64_t now)
{
    int64_t left = EGRESS_DAY_S - now % EGRESS_DAY_S;
    return left > WAIT_MAX_S ? WAIT_MAX_S : (unsigned)left;
}

/* The state file -------------------------------------------------------------------------- */

json_t *egress_plan_save(const struct egress_plan *p)
{
    json_t *days = json_array();
    for (size_t i = 0; i < EGRESS_DAYS; i++)
        json_array_append_new(
            days, json_integer(p->bytes[i] > INT64_MAX ? INT64_MAX : (json_int_t)p->bytes[i]));
    json_t *o = json_pack("{s:i,s:I,s:o,s:i,s:b}", "v", VERSION, "day", (json_int_t)p->day, "bytes",
                          days, "level", (int)p->level, "stopped", (int)p->stopped);
    if (!o)
        abort();
    return o;
}

static bool load_days(json_t *days, struct egress_plan *out)
{
    if (json_array_size(days) != EGRESS_DAYS)
        return false;
    for (size_t i = 0; i < EGRESS_DAYS; i++) {
        json_t *n = json_array_get(days, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0)
            return false;
        out->bytes[i] = (uint64_t)json_integer_value(n);
    }
    return true;
}

bool egress_plan_load(struct cmg_str text, struct egress_plan *out)
{
    int version = 0, level = -1, stopped = 0;
    json_int_t day = 0;
    json_t *days = NULL, *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    *out = (struct egress_plan){ .day = 0 };
    bool good = root &&
                json_unpack(root, "{s:i,s:I,s:o,s:i,s:b}", "v", &version, "day", &day, "bytes",
                            &days, "level", &level, "stopped", &stopped) == 0 &&
                version == VERSION && day >= 0 && level >= EGRESS_FREE &&
                level <= EGRESS_CRITICAL && load_days(days, out);
    json_decref(root);
    if (!good) {
        *out = (struct egress_plan){ .day = 0 };
        return false;
    }
    out->day = day;
    out->level = (enum egress_level)level;
    out->stopped = stopped != 0;
    return true;
}
