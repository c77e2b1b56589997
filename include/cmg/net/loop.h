/* SPDX-License-Identifier: MIT */
/* The event loop: one thread, one loop. A turn is: wait for events, run their
 * callbacks, run deferred tasks, flush what was marked, so that whatever a turn
 * produced for one peer leaves in one write.
 */
#ifndef CMG_NET_LOOP_H
#define CMG_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct cmg_loop;
struct cmg_timer;

/* Work for the end of a turn. Embed it; zeroed means not queued. */
struct cmg_task {
    void (*run)(void *arg);
    void *arg;
    struct cmg_task *next, **at; /* private; at is NULL unless queued */
};

struct cmg_loop *cmg_loop_new(void);
void cmg_loop_run(struct cmg_loop *l); /* until cmg_loop_stop */
void cmg_loop_stop(struct cmg_loop *l);
void cmg_loop_free(struct cmg_loop *l);

int64_t cmg_loop_now_ms(const struct cmg_loop *l); /* monotonic, read once per turn */
uint32_t cmg_loop_dice(struct cmg_loop *l);        /* uniform, not for secrets      */

/* Deferred tasks run before the flush tasks of the same turn; both may queue more of
 * either kind. Queueing a queued task does nothing. Cancel before freeing its owner. */
void cmg_loop_defer(struct cmg_loop *l, struct cmg_task *t);
/* In the next turn, after the events of that turn: more of the same work, but others first. */
void cmg_loop_later(struct cmg_loop *l, struct cmg_task *t);
void cmg_loop_flush(struct cmg_loop *l, struct cmg_task *t);
void cmg_loop_cancel(struct cmg_loop *l, struct cmg_task *t);

/* The only call that other threads may make: runs fn(arg) on the loop soon. */
void cmg_loop_post(struct cmg_loop *l, void (*fn)(void *arg), void *arg);

/* Timers. Setting one that is armed moves it; pushing it later is nearly free, so an
 * idle deadline may be set on every read. Fires once. */
struct cmg_timer *cmg_timer_new(struct cmg_loop *l, void (*on_fire)(void *arg), void *arg);
void cmg_timer_set(struct cmg_timer *t, int64_t after_ms);
void cmg_timer_stop(struct cmg_timer *t);
bool cmg_timer_armed(const struct cmg_timer *t);
void cmg_timer_free(struct cmg_timer *t); /* NULL is ignored; fine inside on_fire */

/* A descriptor: level-triggered readiness. Both wants may be false. */
struct cmg_watch;
struct cmg_watch *cmg_watch_new(struct cmg_loop *l, int fd,
                                void (*on_ready)(void *arg, bool readable, bool writable),
                                void *arg);
void cmg_watch_want(struct cmg_watch *w, bool read, bool write);
void cmg_watch_free(struct cmg_watch *w); /* does not close the descriptor */

/* A signal, delivered on the loop. */
void cmg_loop_on_signal(struct cmg_loop *l, int signo, void (*fn)(void *arg), void *arg);

/* 64 KiB that belong to whoever is running; nothing survives in it across a callback. */
enum { CMG_LOOP_SCRATCH = 65536 };
char *cmg_loop_scratch(struct cmg_loop *l);

#endif
