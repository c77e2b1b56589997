/* SPDX-License-Identifier: MIT */
#include "cmg/daemon/status.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cmg/base/clock.h"
#include "life.h"

json_t *cmg_status_time(int64_t unix_s)
{
    struct tm tm;
    char text[32];
    time_t t = (time_t)unix_s;
    if (!gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
        return json_null();
    return json_string(text);
}

/* -1 for what /proc does not tell. */
static long long resident_bytes(void)
{
    long long pages = -1;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%*s %lld", &pages) != 1)
        pages = -1;
    if (f)
        fclose(f);
    return pages < 0 ? -1 : pages * sysconf(_SC_PAGESIZE);
}

static long long descriptors(void)
{
    long long n = -3; /* "." and "..", and the one that this takes */
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return -1;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static json_t *known(long long n)
{
    return n < 0 ? NULL : json_integer(n);
}

json_t *cmg_status_process(void)
{
    const struct life *life = life_of_process();
    struct rusage usage = { .ru_maxrss = 0 };
    getrusage(RUSAGE_SELF, &usage);
    json_t *j = json_pack("{s:s, s:i, s:o*, s:I, s:o*}", "version", CMG_VERSION, "pid",
                          (int)getpid(), "resident_bytes", known(resident_bytes()), "peak_bytes",
                          (json_int_t)usage.ru_maxrss * 1024, "descriptors", known(descriptors()));
    if (!life)
        return j;
    int64_t last_us, worst_us;
    life_lag(life, &last_us, &worst_us);
    json_object_set_new(j, "program", json_string(life->service->program));
    json_object_set_new(j, "started", cmg_status_time(life->began_unix_s));
    json_object_set_new(j, "uptime_s", json_integer((cmg_clock_ms() - life->began_ms) / 1000));
    json_object_set_new(j, "draining", json_boolean(life->draining));
    json_object_set_new(j, "loop_lag_us", json_integer(last_us));
    json_object_set_new(j, "loop_lag_max_us", json_integer(worst_us));
    return j;
}

static json_t *reload_json(const struct reload *r)
{
    static const char *const results[] = { [RELOAD_NEVER] = "never",
                                           [RELOAD_DONE] = "reloaded",
                                           [RELOAD_REFUSED] = "refused",
                                           [RELOAD_NEEDS_RESTART] = "needs_restart",
                                           [RELOAD_LATE] = "draining" };
    if (r->result == RELOAD_NEVER)
        return json_null();
    bool restart = r->result == RELOAD_NEEDS_RESTART;
    return json_pack("{s:s, s:o, s:s*, s:O*, s:O*}", "result", results[r->result], "time",
                     cmg_status_time(r->unix_s), "why", *r->why ? r->why : NULL, "changed",
                     r->changed, "needs_restart", restart ? r->restart : NULL);
}

json_t *cmg_status_reload(void)
{
    const struct life *life = life_of_process();
    return life ? reload_json(&life->last) : json_null();
}

json_t *cmg_status_configuration(void)
{
    const struct life *life = life_of_process();
    if (!life)
        return json_null();
    return json_pack("{s:s, s:o, s:o}", "file", life->path, "loaded",
                     cmg_status_time(life->loaded_unix_s), "last_reload", cmg_status_reload());
}

json_t *cmg_status_number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

json_t *cmg_status_counts(const struct cmg_counts *c)
{
    json_t *j = json_object();
    json_object_set_new(j, "requests", cmg_status_number(c->requests));
    json_object_set_new(j, "in_flight", cmg_status_number(c->in_flight));
    json_object_set_new(j, "in_flight_max", cmg_status_number(c->max_in_flight));
    json_object_set_new(j, "failures", cmg_status_number(c->failed));
    json_object_set_new(j, "with_bearer_token", cmg_status_number(c->bearer));
    json_object_set_new(j, "request_bytes", cmg_status_number(c->request_bytes));
    json_object_set_new(j, "response_bytes", cmg_status_number(c->response_bytes));
    json_object_set_new(j, "mean_us",
                        c->took.count ? cmg_status_number(c->took.sum_us / c->took.count)
                                      : json_null());
    return j;
}
