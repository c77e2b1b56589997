/* SPDX-License-Identifier: MIT */
#include "gateway/crl_points.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/net/loop.h"

enum {
    RECENT_MS = 24 * 60 * 60 * 1000,
    STATUS_OK = 200,
    SHOWN = 120, /* bytes of a URL in a sentence */
};

/* Times are the loop's. `has`: it gave a list once; that is fresh until `stale_ms`. */
struct point {
    struct crl_points *owner;
    char *url;               /* owned; NULL: a free place */
    struct cmg_fetch *fetch; /* on its way */
    bool has;
    int64_t used_ms;
    int64_t due_ms;    /* when the background asks, after a success or a failure */
    int64_t stale_ms;  /* from when on those who need it wait for a newer one    */
    unsigned failures; /* in a row */
    struct cmg_err why;
};

struct crl_points {
    struct cmg_loop *loop;
    struct cmg_fetcher *fetcher;
    struct cmg_timer *timer; /* owned */
    const struct crl_points_ops *ops;
    void *arg;
    struct crl_points_conf conf;
    struct point points[CRL_POINTS_MAX];
};

static bool is_recent(const struct point *p, int64_t now)
{
    return now - p->used_ms < RECENT_MS;
}

/* Fetching ----------------------------------------------------------------------------------- */

static void arm(struct crl_points *s);

static int64_t back_off(const struct crl_points_conf *conf, unsigned failures)
{
    int64_t ms = conf->retry_min_ms;
    while (--failures && ms < conf->retry_max_ms)
        ms *= 2;
    return ms < conf->retry_max_ms ? ms : conf->retry_max_ms;
}

/* Asked again a tenth of its life before it is over, so that a fetch that is slow or fails once
 * is not felt. */
static void succeed(struct point *p, int64_t until)
{
    const struct crl_points_conf *conf = &p->owner->conf;
    int64_t now = cmg_loop_now_ms(p->owner->loop), life = conf->refresh_ms;
    int64_t left = (until - cmg_clock_unix()) * 1000;
    if (left < life)
        life = left > conf->retry_min_ms ? left : conf->retry_min_ms;
    p->has = true;
    p->failures = 0;
    p->why = (struct cmg_err){ .text = "" };
    p->stale_ms = now + life;
    p->due_ms = now + life - life / 10;
}

/* A reason is said when it is a new one. */
static void fail(struct point *p, const struct cmg_err *why)
{
    int64_t wait = back_off(&p->owner->conf, ++p->failures);
    p->due_ms = cmg_loop_now_ms(p->owner->loop) + wait;
    bool is_new = strcmp(p->why.text, why->text) != 0;
    p->why = *why;
    if (is_new)
        log_warn("revocation.failed", KV("source", p->url), KV("why", why->text),
                 KV("retry_ms", wait));
    else
        log_debug("revocation.failed", KV("source", p->url), KV("why", why->text),
                  KV("retry_ms", wait));
}

static void on_fetched(void *arg, const struct cmg_fetch_result *result)
{
    struct point *p = arg;
    struct crl_points *s = p->owner;
    struct cmg_err why = result->err;
    int64_t until = 0;
    bool changed = false;
    enum cmg_rc rc = why.code;

    p->fetch = NULL;
    if (rc == CMG_OK && result->status != STATUS_OK)
        rc = cmg_fail(&why, CMG_EIO, "%.*s: it was answered with status %u", SHOWN, p->url,
                      result->status);
    if (rc == CMG_OK)
        rc = s->ops->take(s->arg, p->url, result->body, &until, &changed, &why);
    if (rc == CMG_OK)
        succeed(p, until);
    else
        fail(p, &why);
    arm(s);
    s->ops->on_end(s->arg, changed);
}

static void start(struct point *p)
{
    struct crl_points *s = p->owner;
    char what[SHOWN + 1];
    snprintf(what, sizeof(what), "%s", p->url);
    const struct cmg_fetch_request r = { .url = p->url,
                                         .what = what,
                                         .max_bytes = s->conf.max_bytes,
                                         .timeout_ms = s->conf.timeout_ms };
    p->fetch = cmg_fetch_start(s->fetcher, &r, on_fetched, p);
}

/* In the background: what somebody had and still may need. */
static bool is_looked_after(const struct point *p, int64_t now)
{
    return p->url && p->has && !p->fetch && is_recent(p, now);
}

static void arm(struct crl_points *s)
{
    int64_t now = cmg_loop_now_ms(s->loop), next = INT64_MAX;
    for (size_t i = 0; i < CRL_POINTS_MAX; i++)
        if (is_looked_after(&s->points[i], now) && s->points[i].due_ms < next)
            next = s->points[i].due_ms;
    if (next == INT64_MAX)
        cmg_timer_stop(s->timer);
    else
        cmg_timer_set(s->timer, next > now ? next - now : 0);
}

static void on_due(void *arg)
{
    struct crl_points *s = arg;
    int64_t now = cmg_loop_now_ms(s->loop);
    for (size_t i = 0; i < CRL_POINTS_MAX; i++)
        if (is_looked_after(&s->points[i], now) && s->points[i].due_ms <= now)
            start(&s->points[i]);
    arm(s);
}

/* Places ------------------------------------------------------------------------------------- */

static struct point *find(struct crl_points *s, const char *url)
{
    for (size_t i = 0; i < CRL_POINTS_MAX; i++)
        if (s->points[i].url && strcmp(s->points[i].url, url) == 0)
            return &s->points[i];
    return NULL;
}

static void clear(struct point *p)
{
    cmg_fetch_cancel(p->fetch);
    free(p->url);
    *p = (struct point){ .owner = p->owner };
}

/* A place that is free, or that of the one which gave nothing and was wanted longest ago. */
static struct point *place(struct crl_points *s)
{
    struct point *best = NULL;
    for (size_t i = 0; i < CRL_POINTS_MAX; i++) {
        struct point *p = &s->points[i];
        if (!p->url)
            return p;
        if (!p->has && !p->fetch && (!best || p->used_ms < best->used_ms))
            best = p;
    }
    if (best)
        clear(best);
    return best;
}

enum cmg_rc crl_points_want(struct crl_points *s, const char *url, struct cmg_err *err)
{
    int64_t now = cmg_loop_now_ms(s->loop);
    struct point *p = find(s, url);
    if (!p) {
        p = place(s);
        if (!p)
            return cmg_fail(err, CMG_ETOOBIG, "%.*s: there are %d distribution points already",
                            SHOWN, url, CRL_POINTS_MAX);
        p->url = cmg_strdup(url);
    }
    bool was_recent = is_recent(p, now);
    p->used_ms = now;
    if (p->has && !was_recent)
        arm(s);
    if (p->has && now < p->stale_ms)
        return CMG_OK;
    if (p->fetch && !p->failures)
        return CMG_MORE;
    if (p->failures && (p->has || now < p->due_ms))
        return cmg_fail(err, CMG_EIO, "%s", p->why.text);
    if (!p->fetch)
        start(p);
    return CMG_MORE;
}

bool crl_points_has(struct crl_points *s, const char *url)
{
    return find(s, url) != NULL;
}

void crl_points_prune(struct crl_points *s, bool (*keep)(void *arg, const char *url), void *arg)
{
    int64_t now = cmg_loop_now_ms(s->loop);
    for (size_t i = 0; i < CRL_POINTS_MAX; i++) {
        struct point *p = &s->points[i];
        if (!p->url || (p->has && is_recent(p, now) && keep(arg, p->url)))
            continue;
        if (p->fetch)
            p->has = false;
        else
            clear(p);
    }
}

struct crl_points *crl_points_new(struct cmg_loop *l, struct cmg_fetcher *f,
                                  const struct crl_points_ops *ops, void *arg)
{
    struct crl_points *s = cmg_alloc(sizeof(*s));
    s->loop = l;
    s->fetcher = f;
    s->ops = ops;
    s->arg = arg;
    s->timer = cmg_timer_new(l, on_due, s);
    for (size_t i = 0; i < CRL_POINTS_MAX; i++)
        s->points[i].owner = s;
    return s;
}

void crl_points_use(struct crl_points *s, const struct crl_points_conf *conf)
{
    s->conf = *conf;
}

void crl_points_free(struct crl_points *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < CRL_POINTS_MAX; i++)
        clear(&s->points[i]);
    cmg_timer_free(s->timer);
    free(s);
}

const char *crl_points_next(const struct crl_points *s, const char *after, const char **failure)
{
    size_t i = 0;
    if (after)
        while (s->points[i++].url != after)
            ;
    while (i < CRL_POINTS_MAX && !s->points[i].url)
        i++;
    if (i == CRL_POINTS_MAX)
        return NULL;
    *failure = s->points[i].failures ? s->points[i].why.text : NULL;
    return s->points[i].url;
}
