/* SPDX-License-Identifier: MIT */
/* Kept connections to one endpoint. A request gets the connection that rested last; when
 * all are busy another is dialed, up to a ceiling; behind that, requests wait in line for
 * whichever comes first, a new connection or one that is given back.
 *
 *   A dial failed       whoever can be served by no other connection is told at once; for
 *                       `sulk_ms` nobody dials again, so that a dead endpoint costs one
 *                       attempt, not one a request.
 *   A kept connection   that its endpoint closes leaves without a word. One that turns out
 *                       dead in use is a fault of the exchange, `unprocessed` when no byte
 *                       had left; asking again then gets another connection.
 *
 * Nothing here repeats a request.
 */
#ifndef CMG_HTTP_POOL_H
#define CMG_HTTP_POOL_H

#include "cmg/http/h1conn.h"
#include "cmg/net/dial.h"

struct cmg_pool;

struct cmg_pool_conf {
    /* Whom to dial: copied, but for `tls` and `proxy`, which must be NULL. `key` names the
     * endpoint in messages. */
    struct cmg_dial_target target;
    /* Copied. `idle_ms` is how long a connection is kept; 0: not at all. */
    struct cmg_h1conn_conf h1;
    unsigned max_connections; /* alive at once, those being dialed included      */
    unsigned max_waiting;     /* requests in line; more are told so at once       */
    int64_t wait_ms;          /* how long one may wait; 0: for ever               */
    int64_t sulk_ms;          /* after a failed dial                              */
    /* A connection serves only the key it served first: for endpoints that authenticate
     * connections instead of requests (NTLM, Negotiate). */
    bool private_connections;
};

/* `l` and `d` are borrowed and outlive the pool. */
struct cmg_pool *cmg_pool_new(struct cmg_loop *l, struct cmg_dialer *d,
                              const struct cmg_pool_conf *conf);

/* A place in line. Embed it, fill in the first two; all else zero means not waiting. */
struct cmg_pool_wait {
    /* Exactly once, from the loop, unless cancelled: an exchange to listen to at once, or
     * NULL and why there is none (always `unprocessed`). */
    void (*on_ready)(void *arg, struct cmg_exchange *x, const struct cmg_fault *why);
    void *arg;
    /* private */
    struct cmg_pool *pool; /* NULL: not waiting */
    struct cmg_pool_wait *next, **at;
    struct cmg_str key;
    int64_t until_ms;
    int refusal;
};

/* An exchange on a kept connection at once, or NULL: then w->on_ready is called later, also
 * when the request cannot be served at all. `key` (private connections; else ignored) is
 * borrowed until on_ready or the cancel. */
struct cmg_exchange *cmg_pool_request(struct cmg_pool *p, struct cmg_str key,
                                      struct cmg_pool_wait *w);
void cmg_pool_cancel(struct cmg_pool_wait *w); /* fine when it does not wait */

struct cmg_pool_stats {
    unsigned idle, busy, dialing, waiting;
    uint64_t requests, dialed, failed; /* since birth; failed: dials */
    size_t buffered;                   /* bytes that its connections hold */
    const char *why; /* the last dial failed: why; else NULL. Borrowed until the loop runs on */
};
/* Walks over the busy connections: not for each request. */
void cmg_pool_stats(const struct cmg_pool *p, struct cmg_pool_stats *out);

/* No new requests. Idle connections close, requests in line and exchanges in flight are
 * served to their end, then the pool frees itself and calls on_gone (may be NULL) from the
 * loop. */
void cmg_pool_retire(struct cmg_pool *p, void (*on_gone)(void *arg), void *arg);

#endif
