/* SPDX-License-Identifier: MIT */
/* libevent waits; the order of what happens in a turn is ours. */
#include "cmg/net/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"

enum { SIGNALS = 8 };

struct queue {
    struct cmg_task *first, **last;
};

struct post {
    void (*fn)(void *arg);
    void *arg;
    struct post *next;
};

struct signal {
    struct event *event;
    void (*fn)(void *arg);
    void *arg;
};

struct cmg_loop {
    struct event_base *base;
    bool stopping;
    int64_t now_ms; /* 0: not read yet in this turn */
    uint64_t dice;
    struct queue deferred, flushes, later;

    pthread_mutex_t lock; /* guards posts */
    struct post *posts, **last_post;
    int wake_fd;
    struct event wake;

    struct signal signals[SIGNALS];
    unsigned nsignals;
    char scratch[CMG_LOOP_SCRATCH];
};

static void queue_init(struct queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void queue_put(struct queue *q, struct cmg_task *t)
{
    if (t->at)
        return;
    t->next = NULL;
    t->at = q->last;
    *q->last = t;
    q->last = &t->next;
}

static void queue_cut(struct queue *q, struct cmg_task *t)
{
    *t->at = t->next;
    if (t->next)
        t->next->at = t->at;
    else
        q->last = t->at;
    t->at = NULL;
}

static bool queue_run_one(struct queue *q)
{
    struct cmg_task *t = q->first;
    if (!t)
        return false;
    queue_cut(q, t);
    t->run(t->arg);
    return true;
}

/* The end of a turn: deferred work first, so that what it produces is flushed with the rest. */
static void settle(struct cmg_loop *l)
{
    do
        while (queue_run_one(&l->deferred))
            ;
    while (queue_run_one(&l->flushes));
    cmg_log_flush();
    l->now_ms = 0;
}

/* What is put off again meanwhile waits for the turn after. */
static void run_later(struct cmg_loop *l)
{
    struct cmg_task *t;
    for (struct cmg_task **end = l->later.last; (t = l->later.first);) {
        bool last = &t->next == end;
        queue_cut(&l->later, t);
        cmg_loop_defer(l, t);
        if (last)
            break;
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct cmg_loop *l = arg;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0)
        return;

    pthread_mutex_lock(&l->lock);
    struct post *p = l->posts;
    l->posts = NULL;
    l->last_post = &l->posts;
    pthread_mutex_unlock(&l->lock);

    while (p) {
        struct post *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
}

struct cmg_loop *cmg_loop_new(void)
{
    struct cmg_loop *l = cmg_alloc(sizeof(*l));
    l->base = event_base_new();
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!l->base || l->wake_fd < 0)
        abort();
    queue_init(&l->deferred);
    queue_init(&l->flushes);
    queue_init(&l->later);
    pthread_mutex_init(&l->lock, NULL);
    l->last_post = &l->posts;
    cmg_random(&l->dice, sizeof(l->dice));
    l->dice |= 1;
    event_assign(&l->wake, l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    event_add(&l->wake, NULL);
    return l;
}

void cmg_loop_run(struct cmg_loop *l)
{
    l->stopping = false;
    settle(l);
    while (!l->stopping) {
        if (event_base_loop(l->base, EVLOOP_ONCE | (l->later.first ? EVLOOP_NONBLOCK : 0)) < 0)
            abort();
        run_later(l);
        settle(l);
    }
}

void cmg_loop_stop(struct cmg_loop *l)
{
    l->stopping = true;
    event_base_loopbreak(l->base);
}

void cmg_loop_free(struct cmg_loop *l)
{
    if (!l)
        return;
    settle(l);
    for (unsigned i = 0; i < l->nsignals; i++)
        event_free(l->signals[i].event);
    event_del(&l->wake);
    on_wake(l->wake_fd, 0, l);
    settle(l);
    close(l->wake_fd);
    event_base_free(l->base);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

int64_t cmg_loop_now_ms(const struct cmg_loop *l)
{
    if (!l->now_ms)
        ((struct cmg_loop *)(uintptr_t)l)->now_ms = cmg_clock_ms();
    return l->now_ms;
}

uint32_t cmg_loop_dice(struct cmg_loop *l)
{
    l->dice ^= l->dice << 13; /* xorshift64 */
    l->dice ^= l->dice >> 7;
    l->dice ^= l->dice << 17;
    return (uint32_t)(l->dice >> 32);
}

void cmg_loop_defer(struct cmg_loop *l, struct cmg_task *t)
{
    queue_put(&l->deferred, t);
}

void cmg_loop_flush(struct cmg_loop *l, struct cmg_task *t)
{
    queue_put(&l->flushes, t);
}

void cmg_loop_later(struct cmg_loop *l, struct cmg_task *t)
{
    queue_put(&l->later, t);
}

void cmg_loop_cancel(struct cmg_loop *l, struct cmg_task *t)
{
    if (!t->at)
        return;
    /* Only the last element's queue matters: its tail points into the element. */
    struct queue *q = &l->deferred;
    if (l->flushes.last == &t->next)
        q = &l->flushes;
    else if (l->later.last == &t->next)
        q = &l->later;
    queue_cut(q, t);
}

void cmg_loop_post(struct cmg_loop *l, void (*fn)(void *arg), void *arg)
{
    struct post *p = cmg_alloc(sizeof(*p));
    p->fn = fn;
    p->arg = arg;
    pthread_mutex_lock(&l->lock);
    *l->last_post = p;
    l->last_post = &p->next;
    /* Inside the lock, so that a loop being freed has either seen the post or not yet the lock. */
    uint64_t one = 1;
    if (write(l->wake_fd, &one, sizeof(one)) < 0)
        (void)0; /* the counter is full: the loop is awake already */
    pthread_mutex_unlock(&l->lock);
}

char *cmg_loop_scratch(struct cmg_loop *l)
{
    return l->scratch;
}

/* Timers ------------------------------------------------------------------------------- */

struct cmg_timer {
    struct cmg_loop *loop;
    void (*on_fire)(void *arg);
    void *arg;
    int64_t due_ms;   /* when it should fire; 0: stopped          */
    int64_t event_ms; /* when libevent will wake us; 0: not added */
    struct event event;
};

static void arm(struct cmg_timer *t, int64_t after_ms)
{
    if (after_ms < 0)
        after_ms = 0;
    struct timeval tv = { after_ms / 1000, (after_ms % 1000) * 1000 };
    event_add(&t->event, &tv);
    t->event_ms = cmg_loop_now_ms(t->loop) + after_ms;
}

/* A deadline that was pushed later since costs one idle wake-up here, and nothing then. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct cmg_timer *t = arg;
    int64_t left = t->due_ms - cmg_loop_now_ms(t->loop);
    t->event_ms = 0;
    if (!t->due_ms)
        return;
    if (left > 0) {
        arm(t, left);
        return;
    }
    t->due_ms = 0;
    t->on_fire(t->arg);
}

struct cmg_timer *cmg_timer_new(struct cmg_loop *l, void (*on_fire)(void *arg), void *arg)
{
    struct cmg_timer *t = cmg_alloc(sizeof(*t));
    t->loop = l;
    t->on_fire = on_fire;
    t->arg = arg;
    evtimer_assign(&t->event, l->base, on_timer, t);
    return t;
}

void cmg_timer_set(struct cmg_timer *t, int64_t after_ms)
{
    t->due_ms = cmg_loop_now_ms(t->loop) + (after_ms > 0 ? after_ms : 0);
    if (!t->event_ms || t->event_ms > t->due_ms)
        arm(t, after_ms);
}

void cmg_timer_stop(struct cmg_timer *t)
{
    t->due_ms = 0;
}

bool cmg_timer_armed(const struct cmg_timer *t)
{
    return t->due_ms != 0;
}

void cmg_timer_free(struct cmg_timer *t)
{
    if (!t)
        return;
    event_del(&t->event);
    free(t);
}

/* Descriptors -------------------------------------------------------------------------- */

struct cmg_watch {
    void (*on_ready)(void *arg, bool readable, bool writable);
    void *arg;
    bool read, write;
    struct event reading, writing;
};

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct cmg_watch *w = arg;
    w->on_ready(w->arg, what & EV_READ, what & EV_WRITE);
}

struct cmg_watch *cmg_watch_new(struct cmg_loop *l, int fd,
                                void (*on_ready)(void *arg, bool readable, bool writable),
                                void *arg)
{
    struct cmg_watch *w = cmg_alloc(sizeof(*w));
    w->on_ready = on_ready;
    w->arg = arg;
    event_assign(&w->reading, l->base, fd, EV_READ | EV_PERSIST, on_event, w);
    event_assign(&w->writing, l->base, fd, EV_WRITE | EV_PERSIST, on_event, w);
    return w;
}

static void want(struct event *e, bool *now, bool wanted)
{
    if (*now == wanted)
        return;
    *now = wanted;
    if (wanted)
        event_add(e, NULL);
    else
        event_del(e);
}

void cmg_watch_want(struct cmg_watch *w, bool read, bool write)
{
    want(&w->reading, &w->read, read);
    want(&w->writing, &w->write, write);
}

void cmg_watch_free(struct cmg_watch *w)
{
    if (!w)
        return;
    cmg_watch_want(w, false, false);
    free(w);
}

/* Signals ------------------------------------------------------------------------------ */

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    (void)signo, (void)what;
    struct signal *s = arg;
    s->fn(s->arg);
}

void cmg_loop_on_signal(struct cmg_loop *l, int signo, void (*fn)(void *arg), void *arg)
{
    if (l->nsignals == SIGNALS)
        abort();
    struct signal *s = &l->signals[l->nsignals++];
    s->fn = fn;
    s->arg = arg;
    s->event = evsignal_new(l->base, signo, on_signal, s);
    if (!s->event || event_add(s->event, NULL))
        abort();
}
