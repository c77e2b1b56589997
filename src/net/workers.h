/* SPDX-License-Identifier: MIT */
/* Threads for work that may block: made on demand, ended when idle. A job is done by one
 * thread and reported on the loop. */
#ifndef CMG_NET_WORKERS_H
#define CMG_NET_WORKERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

struct cmg_loop;
struct cmg_workers;

/* Embed it. The owner keeps it until `done` was called or cmg_workers_take_back was true. */
struct cmg_job {
    const char *key;                 /* borrowed; jobs of one key share a ceiling */
    void (*run)(struct cmg_job *j);  /* on a thread of the pool                   */
    void (*done)(struct cmg_job *j); /* on the loop, once                         */
    atomic_bool hurry;               /* for run: the result is no longer wanted   */
    bool ran;                        /* false in done: the pool was freed first   */
    bool queued;                     /* private */
    TAILQ_ENTRY(cmg_job) next;       /* private */
};

/* At most `threads` threads, and `per_key` jobs of one key at a time (0: any). */
struct cmg_workers *cmg_workers_new(struct cmg_loop *l, unsigned threads, unsigned per_key,
                              unsigned idle_ms);

/* Hurries the running jobs and waits for them; those queued are done without being run. */
void cmg_workers_free(struct cmg_workers *p);

void cmg_workers_put(struct cmg_workers *p, struct cmg_job *j);

/* True: the job was still queued, and will neither run nor be done. */
bool cmg_workers_take_back(struct cmg_workers *p, struct cmg_job *j);

/* Threads alive now, idle ones included. */
unsigned cmg_workers_alive(struct cmg_workers *p);

#endif
