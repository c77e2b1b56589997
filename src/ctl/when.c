/* SPDX-License-Identifier: MIT */
#include "ctl/when.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cmg/base/alloc.h"

void when_text(int64_t unix_s, char out[WHEN_TEXT])
{
    const int64_t last = 253402300799; /* 9999-12-31 */
    struct tm tm;
    time_t t = (time_t)unix_s;
    if (unix_s < 0 || unix_s > last || !gmtime_r(&t, &tm) ||
        !strftime(out, WHEN_TEXT, "%Y-%m-%d %H:%M:%S UTC", &tm))
        snprintf(out, WHEN_TEXT, "at %" PRId64, unix_s);
}

void when_span(int64_t seconds, char out[WHEN_TEXT])
{
    static const struct {
        int64_t s;
        const char *name;
    } units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
    size_t u = 0;
    while (u < CMG_COUNT(units) - 1 && seconds < units[u].s)
        u++;
    int64_t n = seconds / units[u].s;
    snprintf(out, WHEN_TEXT, "%" PRId64 " %s%s", n, units[u].name, n == 1 ? "" : "s");
}

void when_both(int64_t unix_s, int64_t now, char out[WHEN_BOTH])
{
    char at[WHEN_TEXT], span[WHEN_TEXT];
    when_text(unix_s, at);
    when_span(unix_s >= now ? unix_s - now : now - unix_s, span);
    snprintf(out, WHEN_BOTH, "%s (%s%s%s)", at, unix_s > now ? "in " : "",
             unix_s == now ? "now" : span, unix_s < now ? " ago" : "");
}
