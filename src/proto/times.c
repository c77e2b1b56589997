/* SPDX-License-Identifier: MIT */
/* By hand, because strftime and strptime speak the process's language. */
#include "cmg/proto/times.h"

#include <stdio.h>
#include <time.h>

#include "cmg/base/alloc.h"

static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

static struct tm apart(int64_t t)
{
    struct tm tm = { 0 };
    time_t at = (time_t)t;
    gmtime_r(&at, &tm);
    return tm;
}

void cmg_times_http_put(int64_t t, char out[CMG_TIMES_TEXT])
{
    struct tm tm = apart(t);
    snprintf(out, CMG_TIMES_TEXT, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
             tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void cmg_times_iso_put(int64_t t, char out[CMG_TIMES_TEXT])
{
    struct tm tm = apart(t);
    snprintf(out, CMG_TIMES_TEXT, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Takes a text apart by a pattern: a letter takes a digit of that number, '?' any character;
 * everything else stands for itself. */
static bool take(struct cmg_str text, const char *pattern, struct tm *tm)
{
    *tm = (struct tm){ 0 };
    if (text.n != strlen(pattern))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        int digit = text.p[i] >= '0' && text.p[i] <= '9' ? text.p[i] - '0' : -1;
        int *number = pattern[i] == 'y'   ? &tm->tm_year
                      : pattern[i] == 'm' ? &tm->tm_mon
                      : pattern[i] == 'd' ? &tm->tm_mday
                      : pattern[i] == 'h' ? &tm->tm_hour
                      : pattern[i] == 'i' ? &tm->tm_min
                      : pattern[i] == 's' ? &tm->tm_sec
                                          : NULL;
        if (number && digit < 0)
            return false;
        if (number)
            *number = *number * 10 + digit;
        else if (pattern[i] != '?' && pattern[i] != text.p[i])
            return false;
    }
    return true;
}

/* `tm_mon` from 0, `tm_year` as written. timegm makes 3 March of 31 February: not here. */
static int64_t together(struct tm tm)
{
    struct tm same = tm;
    same.tm_year -= 1900;
    time_t t = timegm(&same);
    if (t < 0 || same.tm_mday != tm.tm_mday || same.tm_mon != tm.tm_mon ||
        same.tm_hour != tm.tm_hour || same.tm_min != tm.tm_min || same.tm_sec != tm.tm_sec)
        return -1;
    return t;
}

int64_t cmg_times_http_get(struct cmg_str text)
{
    struct tm tm;
    if (!take(text, "???, dd ??? yyyy hh:ii:ss GMT", &tm))
        return -1;
    tm.tm_mon = -1;
    for (int m = 0; m < 12; m++)
        if (!memcmp(text.p + 8, months[m], 3))
            tm.tm_mon = m;
    return tm.tm_mon < 0 ? -1 : together(tm);
}

int64_t cmg_times_iso_get(struct cmg_str text)
{
    static const char *const forms[] = { "yyyy-mm-ddThh:ii:ssZ", "yyyy-mm-ddThh:iiZ",
                                         "yyyy-mm-dd" };
    struct tm tm;
    for (size_t i = 0; i < CMG_COUNT(forms); i++)
        if (take(text, forms[i], &tm)) {
            tm.tm_mon -= 1;
            return together(tm);
        }
    return -1;
}
