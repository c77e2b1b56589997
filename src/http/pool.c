/* SPDX-License-Identifier: MIT */
/* Connections to one endpoint, each in one of four lists.
 *
 *   DIALING ---> BUSY <--> IDLE       DIALING  no stream yet
 *      |          |          |        BUSY     carries an exchange, or closes behind one
 *      +----------+----------+        IDLE     kept; the last one back is the first one out
 *      |                     |        LEAVING  was told to close
 *      +-----> LEAVING <-----+
 *
 * A connection is alive until its stream is gone, and counts against the ceiling until then.
 */
#include "cmg/http/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/net/loop.h"

enum state { DIALING, BUSY, IDLE, LEAVING };
enum { STATES = LEAVING + 1 };

#define TO(s) (1u << (s))
/* clang-format off */
static const unsigned allowed[STATES] = {
    [DIALING] = TO(BUSY) | TO(IDLE) | TO(LEAVING),
    [BUSY]    = TO(BUSY) | TO(IDLE) | TO(LEAVING),
    [IDLE]    = TO(BUSY) | TO(LEAVING),
    [LEAVING] = 0,
};
/* clang-format on */

/* More attempts at once would only find out the same thing. */
enum { MOST_DIALS = 16 };

struct link {
    struct cmg_pool *pool;
    enum state state;
    struct link *prev, *next; /* in the list of its state */
    struct cmg_dial *dial;    /* owned; non-NULL in DIALING only */
    struct cmg_h1conn *h1;    /* lives until its on_closed */
    char *key;                /* owned; private connections: whom it serves; NULL: nobody yet */
};

struct links {
    struct link *first, *last;
    unsigned n;
};

enum refusal { NONE, UNREACHABLE, LINE_FULL, TOO_LONG, RETIRED };

/* A line of waiters. */
struct line {
    struct cmg_pool_wait *first, **last;
    unsigned n;
};

struct cmg_pool {
    struct cmg_loop *loop;     /* borrowed */
    struct cmg_dialer *dialer; /* borrowed */
    struct cmg_pool_conf conf; /* its strings are owned */
    struct links links[STATES];
    struct line waiting, refused;
    struct cmg_task tell;    /* the refused */
    struct cmg_timer *timer; /* the longest waiter's patience, the end of the sulk */
    int64_t sulk_until_ms;
    struct cmg_err err; /* of the last failed dial; empty once one succeeded */
    struct cmg_pool_stats stats;
    bool retired;
    struct cmg_task end;
    void (*on_gone)(void *arg);
    void *arg;
};

static void pump(struct cmg_pool *p);

/* Lists ---------------------------------------------------------------------------------- */

static void cut_out(struct link *k)
{
    struct links *l = &k->pool->links[k->state];
    *(k->prev ? &k->prev->next : &l->first) = k->next;
    *(k->next ? &k->next->prev : &l->last) = k->prev;
    l->n--;
}

static void put_first(struct link *k)
{
    struct links *l = &k->pool->links[k->state];
    k->prev = NULL;
    k->next = l->first;
    *(l->first ? &l->first->prev : &l->last) = k;
    l->first = k;
    l->n++;
}

static void enter(struct link *k, enum state to)
{
    if (!(allowed[k->state] & TO(to)))
        abort();
    cut_out(k);
    k->state = to;
    put_first(k);
}

static unsigned alive(const struct cmg_pool *p)
{
    return p->links[DIALING].n + p->links[BUSY].n + p->links[IDLE].n + p->links[LEAVING].n;
}

static void line_put(struct line *l, struct cmg_pool_wait *w)
{
    w->next = NULL;
    w->at = l->last;
    *l->last = w;
    l->last = &w->next;
    l->n++;
}

static void line_cut(struct line *l, struct cmg_pool_wait *w)
{
    *w->at = w->next;
    if (w->next)
        w->next->at = w->at;
    else
        l->last = w->at;
    l->n--;
}

/* The end -------------------------------------------------------------------------------- */

static bool is_done(const struct cmg_pool *p)
{
    return p->retired && !alive(p) && !p->waiting.n && !p->refused.n;
}

static void end(void *arg)
{
    struct cmg_pool *p = arg;
    if (!is_done(p))
        return; /* somebody asked meanwhile, and is still to be told */
    cmg_timer_free(p->timer);
    void *owned[] = {
        (void *)(uintptr_t)p->conf.target.key,      (void *)(uintptr_t)p->conf.target.host,
        (void *)(uintptr_t)p->conf.target.ca_file,  (void *)(uintptr_t)p->conf.target.certificate,
        (void *)(uintptr_t)p->conf.target.key_file,
    };
    for (size_t i = 0; i < CMG_COUNT(owned); i++)
        free(owned[i]);
    if (p->on_gone)
        p->on_gone(p->arg);
    free(p);
}

static void end_if_done(struct cmg_pool *p)
{
    if (is_done(p))
        cmg_loop_defer(p->loop, &p->end);
}

static void forget(struct link *k)
{
    cut_out(k);
    free(k->key);
    free(k);
}

static void leave(struct link *k)
{
    enter(k, LEAVING);
    cmg_h1conn_drain(k->h1);
}

/* Waiters -------------------------------------------------------------------------------- */

static void refuse(struct cmg_pool *p, struct cmg_pool_wait *w, enum refusal why)
{
    w->refusal = (int)why;
    line_put(&p->refused, w);
    cmg_loop_defer(p->loop, &p->tell);
}

static void refuse_waiting(struct cmg_pool *p, struct cmg_pool_wait *w, enum refusal why)
{
    line_cut(&p->waiting, w);
    refuse(p, w, why);
}

static void explain(const struct cmg_pool *p, enum refusal why, struct cmg_fault *f)
{
    const char *name = p->conf.target.key;
    *f = (struct cmg_fault){ .code = CMG_ETOOBIG, .unprocessed = true };
    switch (why) {
    case NONE:
        break;
    case UNREACHABLE:
        f->code = p->err.code;
        snprintf(f->text, sizeof(f->text), "%s: %.150s", name, p->err.text);
        break;
    case LINE_FULL:
        snprintf(f->text, sizeof(f->text), "%s: %u requests wait for a connection already", name,
                 p->conf.max_waiting);
        break;
    case TOO_LONG:
        f->code = CMG_ETIMEOUT;
        snprintf(f->text, sizeof(f->text), "%s: no connection within %lld ms%s%.110s", name,
                 (long long)p->conf.wait_ms, p->err.text[0] ? "; " : "", p->err.text);
        break;
    case RETIRED:
        f->code = CMG_ECONF;
        snprintf(f->text, sizeof(f->text), "%s: is no longer configured", name);
        break;
    }
}

static void tell_refused(void *arg)
{
    struct cmg_pool *p = arg;
    struct cmg_pool_wait *w;
    while ((w = p->refused.first)) {
        struct cmg_fault f;
        explain(p, (enum refusal)w->refusal, &f);
        line_cut(&p->refused, w);
        w->pool = NULL;
        w->on_ready(w->arg, NULL, &f);
    }
    end_if_done(p);
}

/* The first in line that may use the connection. */
static struct cmg_pool_wait *whose_turn(const struct cmg_pool *p, const struct link *k)
{
    struct cmg_pool_wait *w = p->waiting.first;
    if (k->key)
        while (w && !cmg_str_eq(w->key, cmg_str(k->key)))
            w = w->next;
    return w;
}

static struct cmg_exchange *use(struct link *k, struct cmg_str key)
{
    enter(k, BUSY);
    if (k->pool->conf.private_connections && !k->key)
        k->key = cmg_str_dup(key);
    return cmg_h1conn_request(k->h1);
}

/* A connection has nothing to do. */
static void give(struct link *k)
{
    struct cmg_pool *p = k->pool;
    struct cmg_pool_wait *w = whose_turn(p, k);
    if (w) {
        line_cut(&p->waiting, w);
        w->pool = NULL;
        w->on_ready(w->arg, use(k, w->key), NULL);
    } else if (p->retired || p->conf.h1.idle_ms <= 0) {
        leave(k);
    } else {
        enter(k, IDLE);
        pump(p); /* it may have to make room for another's */
    }
}

/* Connections ---------------------------------------------------------------------------- */

static void on_idle(void *arg)
{
    give(arg);
}

static void on_closed(void *arg, const char *detail)
{
    struct link *k = arg;
    struct cmg_pool *p = k->pool;
    (void)detail;
    forget(k);
    pump(p);
    end_if_done(p);
}

/* Who cannot be served by the connections there are will not be served soon. */
static void sulk(struct cmg_pool *p)
{
    unsigned hope = p->links[DIALING].n;
    p->stats.failed++;
    p->sulk_until_ms = cmg_loop_now_ms(p->loop) + p->conf.sulk_ms;
    if (p->links[BUSY].n && !p->conf.private_connections)
        return;
    struct cmg_pool_wait *w = p->waiting.first, *next;
    for (; w; w = next) {
        next = w->next;
        if (hope)
            hope--;
        else
            refuse_waiting(p, w, UNREACHABLE);
    }
}

static void on_dialed(void *arg, const struct cmg_dial_result *r)
{
    static const struct cmg_h1client_events events = { on_idle, on_closed };
    struct link *k = arg;
    struct cmg_pool *p = k->pool;

    k->dial = NULL;
    if (r->stream) {
        p->err.text[0] = '\0';
        p->sulk_until_ms = 0;
        k->h1 = cmg_h1conn_client(p->loop, r->stream, &p->conf.h1, &events, k);
        give(k);
    } else {
        p->err = r->err;
        forget(k);
        sulk(p);
    }
    pump(p);
    end_if_done(p);
}

static void dial(struct cmg_pool *p)
{
    struct link *k = cmg_alloc(sizeof(*k));
    k->pool = p;
    k->state = DIALING;
    put_first(k);
    p->stats.dialed++;
    k->dial = cmg_dial_start(p->dialer, &p->conf.target, on_dialed, k);
}

static bool sulking(const struct cmg_pool *p)
{
    return cmg_loop_now_ms(p->loop) < p->sulk_until_ms;
}

/* Wakes the pool when the first in line loses patience, or when it may dial again. */
static void set_timer(struct cmg_pool *p)
{
    int64_t at = INT64_MAX;
    if (p->waiting.n && p->conf.wait_ms > 0)
        at = p->waiting.first->until_ms;
    if (p->waiting.n && sulking(p) && at > p->sulk_until_ms)
        at = p->sulk_until_ms;
    if (at == INT64_MAX)
        cmg_timer_stop(p->timer);
    else
        cmg_timer_set(p->timer, at - cmg_loop_now_ms(p->loop));
}

/* Sees to it that as many connections are on their way as requests wait for one. */
static void pump(struct cmg_pool *p)
{
    const struct links *l = p->links;
    while (p->waiting.n > l[DIALING].n && l[DIALING].n < MOST_DIALS &&
           alive(p) < p->conf.max_connections && !sulking(p))
        dial(p);
    /* What is idle while somebody waits belongs to others: the one unused longest goes. */
    while (p->waiting.n > l[DIALING].n + l[LEAVING].n && l[IDLE].n && !sulking(p) &&
           alive(p) >= p->conf.max_connections)
        leave(l[IDLE].last);
    set_timer(p);
}

static void on_timer(void *arg)
{
    struct cmg_pool *p = arg;
    int64_t now_ms = cmg_loop_now_ms(p->loop);
    while (p->waiting.n && p->conf.wait_ms > 0 && p->waiting.first->until_ms <= now_ms)
        refuse_waiting(p, p->waiting.first, TOO_LONG);
    pump(p);
}

/* From outside --------------------------------------------------------------------------- */

static const char *copy(const char *s)
{
    return cmg_strdup(s);
}

struct cmg_pool *cmg_pool_new(struct cmg_loop *l, struct cmg_dialer *d,
                              const struct cmg_pool_conf *conf)
{
    struct cmg_pool *p = cmg_alloc(sizeof(*p));
    p->loop = l;
    p->dialer = d;
    p->conf = *conf;
    p->conf.target.key = copy(conf->target.key);
    p->conf.target.host = copy(conf->target.host);
    p->conf.target.ca_file = copy(conf->target.ca_file);
    p->conf.target.certificate = copy(conf->target.certificate);
    p->conf.target.key_file = copy(conf->target.key_file);
    p->waiting.last = &p->waiting.first;
    p->refused.last = &p->refused.first;
    p->tell = (struct cmg_task){ .run = tell_refused, .arg = p };
    p->end = (struct cmg_task){ .run = end, .arg = p };
    p->timer = cmg_timer_new(l, on_timer, p);
    return p;
}

/* An idle connection for `key`. Those that are closing by themselves are passed over. */
static struct link *find_idle(struct cmg_pool *p, struct cmg_str key)
{
    for (struct link *k = p->links[IDLE].first; k; k = k->next)
        if (cmg_h1conn_is_idle(k->h1) && (!k->key || cmg_str_eq(key, cmg_str(k->key))))
            return k;
    return NULL;
}

static enum refusal judge(const struct cmg_pool *p)
{
    bool hope = p->links[DIALING].n || (p->links[BUSY].n && !p->conf.private_connections);
    if (p->retired)
        return RETIRED;
    if (sulking(p) && !hope)
        return UNREACHABLE;
    return p->waiting.n >= p->conf.max_waiting ? LINE_FULL : NONE;
}

struct cmg_exchange *cmg_pool_request(struct cmg_pool *p, struct cmg_str key,
                                      struct cmg_pool_wait *w)
{
    if (w->pool)
        abort();
    struct link *k = p->retired ? NULL : find_idle(p, key);
    p->stats.requests++;
    if (k)
        return use(k, key);

    w->pool = p;
    w->key = key;
    w->until_ms = cmg_loop_now_ms(p->loop) + p->conf.wait_ms;
    w->refusal = (int)judge(p);
    if (w->refusal != NONE) {
        refuse(p, w, (enum refusal)w->refusal);
        return NULL;
    }
    line_put(&p->waiting, w);
    pump(p);
    return NULL;
}

void cmg_pool_cancel(struct cmg_pool_wait *w)
{
    struct cmg_pool *p = w->pool;
    if (!p)
        return;
    line_cut(w->refusal == NONE ? &p->waiting : &p->refused, w);
    w->pool = NULL;
    set_timer(p);
    end_if_done(p);
}

void cmg_pool_stats(const struct cmg_pool *p, struct cmg_pool_stats *out)
{
    *out = p->stats;
    out->idle = p->links[IDLE].n;
    out->busy = p->links[BUSY].n;
    out->dialing = p->links[DIALING].n;
    out->waiting = p->waiting.n;
    out->why = *p->err.text ? p->err.text : NULL;
    for (const struct link *k = p->links[BUSY].first; k; k = k->next)
        out->buffered += cmg_h1conn_buffered(k->h1);
}

void cmg_pool_retire(struct cmg_pool *p, void (*on_gone)(void *arg), void *arg)
{
    struct link *k;
    p->retired = true;
    p->on_gone = on_gone;
    p->arg = arg;
    while ((k = p->links[IDLE].first))
        leave(k);
    while (!p->waiting.n && (k = p->links[DIALING].first)) {
        cmg_dial_cancel(k->dial);
        forget(k);
    }
    end_if_done(p);
}
