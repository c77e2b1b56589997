/* SPDX-License-Identifier: MIT */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/net/loop.h"

enum life { NONE, ALIVE, ENDED }; /* ENDED: to be joined */

struct worker {
    struct cmg_workers *pool; /* borrowed */
    pthread_t thread;
    enum life life;
    struct cmg_job *job; /* being run; borrowed */
};

TAILQ_HEAD(jobs, cmg_job);

struct cmg_workers {
    struct cmg_loop *loop; /* borrowed */
    unsigned size, per_key, idle_ms;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;
    struct jobs queue;
    unsigned idle;  /* threads that wait and were not called yet */
    unsigned calls; /* that were called and have not woken yet   */
    bool stopping;
    struct worker workers[]; /* `size` of them */
};

static bool has_room(const struct cmg_workers *p, const char *key)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->size; i++)
        if (p->workers[i].job && strcmp(p->workers[i].job->key, key) == 0)
            n++;
    return !p->per_key || n < p->per_key;
}

static struct cmg_job *next_job(struct cmg_workers *p)
{
    struct cmg_job *j;
    TAILQ_FOREACH(j, &p->queue, next)
    if (has_room(p, j->key)) {
        TAILQ_REMOVE(&p->queue, j, next);
        j->queued = false;
        return j;
    }
    return NULL;
}

static void on_done(void *arg)
{
    struct cmg_job *j = arg;
    j->done(j);
}

static void run_job(struct worker *w, struct cmg_job *j)
{
    struct cmg_workers *p = w->pool;
    w->job = j;
    pthread_mutex_unlock(&p->lock);
    j->run(j);
    pthread_mutex_lock(&p->lock);
    w->job = NULL;
    j->ran = true;
    cmg_loop_post(p->loop, on_done, j); /* from here on it is the loop's */
}

static struct timespec after_ms(unsigned ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* False: nobody called in time. */
static bool wait_for_call(struct cmg_workers *p)
{
    struct timespec until = after_ms(p->idle_ms);
    int rc = 0;
    p->idle++;
    while (!p->calls && !p->stopping && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&p->wake, &p->lock, &until);
    if (p->calls) {
        p->calls--;
        return true;
    }
    p->idle--;
    return false;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct cmg_workers *p = w->pool;
    struct cmg_job *j;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stopping && (j = next_job(p)))
            run_job(w, j);
        if (p->stopping || !wait_for_call(p))
            break;
    }
    w->life = ENDED;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    w->life = NONE;
}

/* Signals belong to the loop. */
static int start_thread(struct worker *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void start_worker(struct cmg_workers *p)
{
    for (unsigned i = 0; i < p->size; i++) {
        struct worker *w = &p->workers[i];
        if (w->life == ALIVE)
            continue;
        if (w->life == ENDED)
            join(w); /* it has nothing left to do but return */
        int rc = start_thread(w);
        if (rc == 0)
            w->life = ALIVE;
        else
            log_error("pool.no_thread", KV("why", strerror(rc)));
        return;
    }
}

void cmg_workers_put(struct cmg_workers *p, struct cmg_job *j)
{
    pthread_mutex_lock(&p->lock);
    TAILQ_INSERT_TAIL(&p->queue, j, next);
    j->queued = true;
    if (!has_room(p, j->key)) {
        /* Whoever frees a place of this key looks at the queue next. */
    } else if (p->idle) {
        p->idle--;
        p->calls++;
        pthread_cond_signal(&p->wake);
    } else {
        start_worker(p);
    }
    pthread_mutex_unlock(&p->lock);
}

bool cmg_workers_take_back(struct cmg_workers *p, struct cmg_job *j)
{
    pthread_mutex_lock(&p->lock);
    bool was_queued = j->queued;
    if (was_queued) {
        TAILQ_REMOVE(&p->queue, j, next);
        j->queued = false;
    }
    pthread_mutex_unlock(&p->lock);
    return was_queued;
}

unsigned cmg_workers_alive(struct cmg_workers *p)
{
    unsigned n = 0;
    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->size; i++)
        n += p->workers[i].life == ALIVE;
    pthread_mutex_unlock(&p->lock);
    return n;
}

struct cmg_workers *cmg_workers_new(struct cmg_loop *l, unsigned threads, unsigned per_key,
                                    unsigned idle_ms)
{
    struct cmg_workers *p = cmg_alloc(sizeof(*p) + threads * sizeof(p->workers[0]));
    pthread_condattr_t monotonic;

    p->loop = l;
    p->size = threads;
    p->per_key = per_key;
    p->idle_ms = idle_ms;
    TAILQ_INIT(&p->queue);
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (unsigned i = 0; i < threads; i++)
        p->workers[i].pool = p;
    return p;
}

static void stop(struct cmg_workers *p)
{
    struct cmg_job *j;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    for (unsigned i = 0; i < p->size; i++)
        if (p->workers[i].job)
            atomic_store(&p->workers[i].job->hurry, true);
    while ((j = TAILQ_FIRST(&p->queue))) {
        TAILQ_REMOVE(&p->queue, j, next);
        j->queued = false;
        cmg_loop_post(p->loop, on_done, j);
    }
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static bool was_started(struct cmg_workers *p, const struct worker *w)
{
    pthread_mutex_lock(&p->lock);
    bool started = w->life != NONE;
    pthread_mutex_unlock(&p->lock);
    return started;
}

void cmg_workers_free(struct cmg_workers *p)
{
    if (!p)
        return;
    stop(p);
    for (unsigned i = 0; i < p->size; i++)
        if (was_started(p, &p->workers[i]))
            join(&p->workers[i]);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
