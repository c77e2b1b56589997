/* SPDX-License-Identifier: MIT */
#include "gateway/analyze.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/daemon/admin.h"
#include "cmg/net/dial.h"
#include "gateway/analyze_core.h"

enum { WHOLE_MS = 60000, DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60, SOON_S = 30 * DAY_S };

void analyze_tell(struct analysis *a, const char *check, const char *subject,
                  enum cmg_finding_verdict verdict, const char *means, const char *remedy,
                  const char *says, ...)
{
    char text[512];
    va_list args;
    va_start(args, says);
    vsnprintf(text, sizeof(text), says, args);
    va_end(args);
    bool passed = verdict == CMG_FINDING_PASS;
    const struct cmg_finding f = { .check = check,
                                   .subject = subject,
                                   .verdict = verdict,
                                   .says = text,
                                   .means = passed ? NULL : means,
                                   .remedy = passed ? NULL : remedy };
    a->totals[verdict]++;
    if (!a->deaf)
        a->deaf = !cmg_admin_line(a->ask, cmg_finding_json(&f));
}

const char *analyze_span(int64_t seconds, char out[ANALYZE_SPAN])
{
    static const struct {
        int64_t s;
        const char *name;
    } units[] = { { DAY_S, "day" }, { HOUR_S, "hour" }, { MINUTE_S, "minute" }, { 1, "second" } };
    size_t i = 0;
    if (seconds < 0)
        seconds = -seconds;
    while (i + 1 < CMG_COUNT(units) && seconds < units[i].s)
        i++;
    long long n = (long long)(seconds / units[i].s);
    snprintf(out, ANALYZE_SPAN, "%lld %s%s", n, units[i].name, n == 1 ? "" : "s");
    return out;
}

enum cmg_finding_verdict analyze_end(int64_t not_before, int64_t not_after, int64_t now)
{
    int64_t third = (not_after - not_before) / 3, soon = third < SOON_S ? third : SOON_S;
    return not_after <= now          ? CMG_FINDING_FAIL
           : not_after - now <= soon ? CMG_FINDING_WARN
                                     : CMG_FINDING_PASS;
}

/* Its end --------------------------------------------------------------------------------- */

static void last_line(struct analysis *a, const char *stopped)
{
    int64_t ms = cmg_loop_now_ms(a->gateway->loop) - a->started_ms;
    const unsigned *n = a->totals;
    json_t *line = json_pack("{s:{s:i,s:i,s:i},s:I,s:s?}", "totals", "pass",
                             (int)n[CMG_FINDING_PASS], "warn", (int)n[CMG_FINDING_WARN], "fail",
                             (int)n[CMG_FINDING_FAIL], "ms", (json_int_t)ms, "stopped", stopped);
    if (!line)
        abort();
    (void)cmg_admin_line(a->ask, line);
    log_notice("analyze.end", KV("pass", n[CMG_FINDING_PASS]), KV("warn", n[CMG_FINDING_WARN]),
               KV("fail", n[CMG_FINDING_FAIL]), KV("ms", ms), KV("stopped", stopped));
}

/* Not from inside a callback of one of its dials. */
static void end(struct analysis *a, const char *stopped)
{
    struct gateway *g = a->gateway;
    g->analysis = NULL;
    for (size_t i = 0; i < a->njobs; i++) {
        cmg_fetch_cancel(a->jobs[i].fetch);
        cmg_dial_cancel(a->jobs[i].dial);
    }
    if (!a->deaf)
        last_line(a, stopped);
    cmg_admin_end(a->ask);
    cmg_dialer_free(a->dialer);
    cmg_tls_unref(a->tls);
    cmg_loop_cancel(g->loop, &a->task);
    cmg_timer_free(a->timer);
    free(a->jobs);
    free(a);
}

static void on_end(void *arg)
{
    struct analysis *a = arg;
    if (!a->deaf)
        analyze_clock(a);
    end(a, NULL);
}

static void on_time(void *arg)
{
    end(arg, "it took longer than a minute");
}

static void end_soon(struct analysis *a)
{
    a->task.run = on_end;
    cmg_loop_later(a->gateway->loop, &a->task);
}

void analyze_job_done(struct analyze_job *j)
{
    struct analysis *a = j->analysis;
    a->left--;
    if (!a->left || a->deaf)
        end_soon(a);
}

void analyze_stop(struct gateway *g, const char *why)
{
    if (g->analysis)
        end(g->analysis, why);
}

void analyze_abandon(struct gateway *g)
{
    if (!g->analysis)
        return;
    g->analysis->deaf = true;
    end(g->analysis, NULL);
}

/* Its beginning --------------------------------------------------------------------------- */

static void on_begin(void *arg)
{
    struct analysis *a = arg;
    a->left = 1; /* what ends at once does not end the whole */
    analyze_local(a);
    if (!a->deaf)
        analyze_remote(a);
    a->left--;
    if (!a->left || a->deaf)
        end_soon(a);
}

void analyze_handle(void *gateway, struct cmg_admin_ask *ask)
{
    struct gateway *g = gateway;
    if (g->analysis || g->draining) {
        cmg_admin_refuse(ask, 409,
                         g->draining ? "the service is being stopped"
                                     : "an analysis is running already");
        return;
    }
    struct analysis *a = cmg_alloc(sizeof(*a));
    a->gateway = g;
    a->ask = ask;
    a->started_ms = cmg_loop_now_ms(g->loop);
    a->task = (struct cmg_task){ .run = on_begin, .arg = a };
    a->timer = cmg_timer_new(g->loop, on_time, a);
    cmg_timer_set(a->timer, WHOLE_MS);
    g->analysis = a;
    log_notice("analyze.start", KV("by", cmg_admin_peer(ask)));
    cmg_admin_stream(ask, "application/x-ndjson");
    cmg_loop_defer(g->loop, &a->task);
}
