/* SPDX-License-Identifier: MIT */
#include "traffic_book.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"

/* What was seen last of one endpoint: the difference to what is seen now is what it carried. */
struct meter {
    char *name, *proxy, *target; /* owned */
    struct traffic_row seen;     /* the numbers only */
    bool here;                   /* seen in this round */
    const void *counts;          /* which they were; only compared */
};

struct traffic_book {
    int64_t interval_s;
    struct traffic_period running;               /* start 0: none yet */
    struct traffic_period past[TRAFFIC_PERIODS]; /* a ring; `newest` is the last */
    size_t npast, newest;
    size_t nrows; /* of all in `past` */
    struct meter *meters;
    size_t nmeters, at; /* at: where the next endpoint is looked for first: their order stays */
};

/* Rows ---------------------------------------------------------------------------------- */

static void row_clear(struct traffic_row *r)
{
    free(r->name);
    free(r->proxy);
    free(r->target);
}

void traffic_period_clear(struct traffic_period *p)
{
    for (size_t i = 0; i < p->n; i++)
        row_clear(&p->rows[i]);
    free(p->rows);
    *p = (struct traffic_period){ .start = 0 };
}

static bool same(const char *name, const char *proxy, const char *target,
                 const struct cmg_traffic_endpoint *e)
{
    return !strncmp(name, e->name, TRAFFIC_NAME_MAX) &&
           !strncmp(proxy, e->proxy, TRAFFIC_NAME_MAX) &&
           !strncmp(target, e->target, TRAFFIC_NAME_MAX);
}

static struct traffic_row *row_of(struct traffic_period *p, const struct cmg_traffic_endpoint *e)
{
    static const struct cmg_traffic_endpoint others = { "*", "", "", NULL };
    for (size_t i = 0; i < p->n; i++)
        if (same(p->rows[i].name, p->rows[i].proxy, p->rows[i].target, e))
            return &p->rows[i];
    if (p->n == TRAFFIC_ROWS_MAX)
        return &p->rows[p->n - 1];
    if (p->n == TRAFFIC_ROWS_MAX - 1)
        e = &others;
    p->rows = cmg_realloc(p->rows, (p->n + 1) * sizeof(*p->rows));
    p->rows[p->n] = (struct traffic_row){ .name = cmg_strndup(e->name, TRAFFIC_NAME_MAX),
                                          .proxy = cmg_strndup(e->proxy, TRAFFIC_NAME_MAX),
                                          .target = cmg_strndup(e->target, TRAFFIC_NAME_MAX) };
    return &p->rows[p->n++];
}

/* Periods ------------------------------------------------------------------------------- */

struct traffic_book *traffic_book_new(int64_t interval_s)
{
    struct traffic_book *b = cmg_alloc(sizeof(*b));
    b->interval_s = interval_s > 0 ? interval_s : 1;
    return b;
}

void traffic_book_free(struct traffic_book *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < TRAFFIC_PERIODS; i++)
        traffic_period_clear(&b->past[i]);
    traffic_period_clear(&b->running);
    for (size_t i = 0; i < b->nmeters; i++) {
        free(b->meters[i].name);
        free(b->meters[i].proxy);
        free(b->meters[i].target);
    }
    free(b->meters);
    free(b);
}

const struct traffic_period *traffic_book_running(const struct traffic_book *b)
{
    return &b->running;
}

size_t traffic_book_count(const struct traffic_book *b)
{
    return b->npast;
}

static size_t place(const struct traffic_book *b, size_t i)
{
    return (b->newest + TRAFFIC_PERIODS - i) % TRAFFIC_PERIODS;
}

const struct traffic_period *traffic_book_at(const struct traffic_book *b, size_t i)
{
    return &b->past[place(b, i)];
}

static void forget_oldest(struct traffic_book *b)
{
    struct traffic_period *oldest = &b->past[place(b, b->npast - 1)];
    b->nrows -= oldest->n;
    traffic_period_clear(oldest);
    b->npast--;
}

static void keep(struct traffic_book *b, struct traffic_period *taken)
{
    while (b->npast && (b->npast == TRAFFIC_PERIODS || b->nrows + taken->n > TRAFFIC_ROWS_KEPT))
        forget_oldest(b);
    b->newest = (b->newest + 1) % TRAFFIC_PERIODS;
    b->past[b->newest] = *taken;
    b->nrows += taken->n;
    b->npast++;
    *taken = (struct traffic_period){ .start = 0 };
}

static void forget_old(struct traffic_book *b, int64_t now)
{
    while (b->npast && traffic_book_at(b, b->npast - 1)->end <= now - TRAFFIC_KEPT_S)
        forget_oldest(b);
}

static int64_t boundary(const struct traffic_book *b, int64_t start)
{
    return start - start % b->interval_s + b->interval_s;
}

static void begin_period(struct traffic_book *b, int64_t now)
{
    b->running.start = b->running.end = now;
}

static bool is_over(const struct traffic_book *b, const struct traffic_period *p, int64_t now)
{
    return now >= boundary(b, p->start) || now < p->start;
}

int64_t traffic_book_left(const struct traffic_book *b, int64_t now)
{
    int64_t left = boundary(b, b->running.start) - now;
    return !b->running.start || left < 0 || now < b->running.start ? 0 : left;
}

/* A restart ------------------------------------------------------------------------------ */

static bool sensible(const struct traffic_period *p, int64_t now)
{
    return p->start > 0 && p->end >= p->start && p->end <= now && p->end > now - TRAFFIC_KEPT_S;
}

bool traffic_book_restore(struct traffic_book *b, struct traffic_period *taken, int64_t now)
{
    bool later = !b->npast || taken->start >= traffic_book_at(b, 0)->end;
    bool good = sensible(taken, now) && later;
    if (good)
        keep(b, taken);
    else
        traffic_period_clear(taken);
    return good;
}

void traffic_book_resume(struct traffic_book *b, struct traffic_period *taken, int64_t now)
{
    /* It may have been written to the past already, and the process ended before it was removed
     * here. */
    bool known = b->npast && taken->start < traffic_book_at(b, 0)->end;
    if (!known && sensible(taken, now) && !is_over(b, taken, now)) {
        b->running = *taken;
        *taken = (struct traffic_period){ .start = 0 };
    } else if (!known && sensible(taken, now) && taken->n) {
        keep(b, taken);
    } else {
        traffic_period_clear(taken);
    }
}

/* Counting ------------------------------------------------------------------------------- */

void traffic_book_begin(struct traffic_book *b, int64_t now)
{
    if (!b->running.start)
        begin_period(b, now);
    for (size_t i = 0; i < b->nmeters; i++)
        b->meters[i].here = false;
    b->at = 0;
}

/* An endpoint may get another name or target and go on counting. */
static struct traffic_row seen_of(const struct traffic_book *b, const void *counts)
{
    for (size_t i = 0; i + 1 < b->nmeters; i++)
        if (b->meters[i].counts == counts)
            return b->meters[i].seen;
    return (struct traffic_row){ .name = NULL };
}

static struct meter *meter_of(struct traffic_book *b, const struct cmg_traffic_endpoint *e)
{
    for (size_t i = 0; i < b->nmeters; i++) {
        struct meter *m = &b->meters[(b->at + i) % b->nmeters];
        if (!same(m->name, m->proxy, m->target, e))
            continue;
        b->at = (size_t)(m - b->meters) + 1;
        return m;
    }
    if (b->nmeters == TRAFFIC_METERS_MAX)
        return NULL;
    b->meters = cmg_realloc(b->meters, (b->nmeters + 1) * sizeof(*b->meters));
    struct meter *m = &b->meters[b->nmeters++];
    *m = (struct meter){ .seen = seen_of(b, e->counts),
                         .counts = e->counts,
                         .name = cmg_strndup(e->name, TRAFFIC_NAME_MAX),
                         .proxy = cmg_strndup(e->proxy, TRAFFIC_NAME_MAX),
                         .target = cmg_strndup(e->target, TRAFFIC_NAME_MAX) };
    return m;
}

static bool began_anew(const struct traffic_row *seen, const struct cmg_counts *c)
{
    return c->requests < seen->requests || c->bearer < seen->bearer || c->failed < seen->failed ||
           c->request_bytes < seen->request_bytes || c->response_bytes < seen->response_bytes;
}

void traffic_book_add(struct traffic_book *b, const struct cmg_traffic_endpoint *e, uint32_t peak)
{
    const struct cmg_counts *c = e->counts;
    struct meter *m = meter_of(b, e);
    if (!m || m->here)
        return;
    m->here = true;
    m->counts = c;
    struct traffic_row *seen = &m->seen;
    if (began_anew(seen, c))
        *seen = (struct traffic_row){ .name = NULL };
    if (peak || c->requests > seen->requests || c->failed > seen->failed ||
        c->request_bytes > seen->request_bytes || c->response_bytes > seen->response_bytes) {
        struct traffic_row *r = row_of(&b->running, e);
        r->requests += c->requests - seen->requests;
        r->bearer += c->bearer - seen->bearer;
        r->failed += c->failed - seen->failed;
        r->request_bytes += c->request_bytes - seen->request_bytes;
        r->response_bytes += c->response_bytes - seen->response_bytes;
        if (peak > r->max_in_flight)
            r->max_in_flight = peak;
    }
    *seen = (struct traffic_row){ .requests = c->requests,
                                  .bearer = c->bearer,
                                  .failed = c->failed,
                                  .request_bytes = c->request_bytes,
                                  .response_bytes = c->response_bytes };
}

/* An endpoint that went and comes back begins at nothing. */
static void forget_gone(struct traffic_book *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->nmeters; i++) {
        struct meter *m = &b->meters[i];
        if (m->here) {
            b->meters[kept++] = *m;
            continue;
        }
        free(m->name);
        free(m->proxy);
        free(m->target);
    }
    b->nmeters = kept;
}

bool traffic_book_end(struct traffic_book *b, uint32_t peak_of_all, int64_t now)
{
    struct traffic_period *p = &b->running;
    forget_gone(b);
    if (peak_of_all > p->max_in_flight)
        p->max_in_flight = peak_of_all;
    bool over = is_over(b, p, now);
    int64_t until = boundary(b, p->start);
    if (!over || (now >= until && now < until + b->interval_s))
        p->end = over ? until : now;
    else if (now >= until)
        p->end = now; /* the process slept, or the clock was set: that is what is known */
    if (!over)
        return false;
    keep(b, p);
    forget_old(b, now);
    begin_period(b, traffic_book_at(b, 0)->end > now ? now : traffic_book_at(b, 0)->end);
    return true;
}
