/* SPDX-License-Identifier: MIT */
/* One request and its response, in flight. The only thing the two daemons trade:
 *
 *   incoming   someone asks us     made by h1conn and h2conn in the server role
 *   outgoing   we ask someone      made by h1conn and h2conn in the client role
 *
 * cmg_pipe joins one of each. Bodies are never gathered: each side may pause the other,
 * and at most one window of bytes waits anywhere.
 *
 * An exchange ends with its response:
 *   incoming   is over for its listener once it called end(), abort() or refuse(), or got on_gone
 *   outgoing   is over for its listener once it got on_end or on_gone, or called abort()
 * After that the pointer is dead to the listener, whatever the connection still does with
 * it. A request body that nobody finished reading by then is the connection's business.
 */
#ifndef CMG_HTTP_EXCHANGE_H
#define CMG_HTTP_EXCHANGE_H

#include <stdbool.h>

#include "cmg/base/err.h"
#include "cmg/proto/http.h"

struct cmg_exchange;

/* Why an exchange ended early. */
struct cmg_fault {
    enum cmg_rc code;
    /* The peer certainly did not act on the request: it may be sent elsewhere (RFC 9113
     * section 8.7, or no byte of it left this process). */
    bool unprocessed;
    bool malformed; /* the peer's message was wrong, not the network */
    char text[192]; /* one sentence for people: who, what */
};

struct cmg_exchange_events {
    /* Incoming: the request head was handed over already, when the exchange was born; this
     * is not called. Outgoing: any number of 1xx heads, then the final one. */
    void (*on_head)(void *arg, const struct cmg_head *head);
    /* Body bytes. After pause(true) at most one window more may still come. */
    void (*on_body)(void *arg, struct cmg_str bytes);
    /* The peer's message is complete. For head.end it follows the head at once. */
    void (*on_end)(void *arg, const struct cmg_field *trailers, size_t n);
    /* body() said stop earlier; go on. */
    void (*on_room)(void *arg);
    /* The other side is gone or broke off. Once, last. */
    void (*on_gone)(void *arg, const struct cmg_fault *why);
};

struct cmg_exchange_ops {
    /* Response head (incoming; 1xx any number of times) or request head (outgoing). The
     * head is serialised before this returns. CMG_EPROTO: it cannot be expressed. */
    enum cmg_rc (*head)(struct cmg_exchange *x, const struct cmg_head *head);
    /* Takes a copy, always. False: taken, but stop until on_room. */
    bool (*body)(struct cmg_exchange *x, struct cmg_str bytes);
    /* Completes our message. Not called after a head with `end`. Trailers may be dropped
     * where the peer cannot have them. */
    void (*end)(struct cmg_exchange *x, const struct cmg_field *trailers, size_t n);
    /* Stops or restarts on_body. */
    void (*pause)(struct cmg_exchange *x, bool paused);
    /* Breaks off: the peer sees a reset, or a cut connection. No event follows. */
    void (*abort)(struct cmg_exchange *x);
    /* Incoming, before any head: breaks off and says that nothing was done with the request, so
     * that the peer may send it elsewhere. Where that cannot be said (HTTP/1.1), as abort. */
    void (*refuse)(struct cmg_exchange *x);
};

/* Embedded at the front of what a connection keeps of an exchange. */
struct cmg_exchange {
    const struct cmg_exchange_ops *ops;
    const struct cmg_exchange_events *ev; /* NULL until someone listens: events are lost */
    void *arg;
};

/* Whoever is handed an exchange sets its listener before returning. Events come later,
 * never from inside a call on the same exchange. */
static inline void cmg_exchange_listen(struct cmg_exchange *x, const struct cmg_exchange_events *ev,
                                       void *arg)
{
    x->ev = ev;
    x->arg = arg;
}

#endif
