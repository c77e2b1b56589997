/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 over one stream: a server that yields incoming exchanges one after another
 * (the public front), or a client that carries one outgoing exchange at a time (a
 * connection to an endpoint). */
#ifndef CMG_HTTP_H1CONN_H
#define CMG_HTTP_H1CONN_H

#include "cmg/http/exchange.h"
#include "cmg/http/message.h"
#include "cmg/proto/h1.h"

struct cmg_h1conn;
struct cmg_loop;
struct cmg_stream;

struct cmg_h1conn_conf { /* borrowed, must outlive the connection; all times in ms */
    struct cmg_h1_limits limits;
    int64_t head_ms;  /* server: from the first byte of a request to the end of its head     */
    int64_t idle_ms;  /* between messages; client: how long it may rest in a pool             */
    int64_t stall_ms; /* the peer takes none of what we have to write; server: nothing comes of
                       * a request body that is not paused                                    */
};

struct cmg_h1server_events {
    /* A request. Set a listener and return, or answer at once. `head` dies on return. */
    void (*on_exchange)(void *arg, struct cmg_exchange *x, const struct cmg_head *head);
    /* The request asks for an upgrade (msg->upgrade not empty). True: the listener took the
     * stream with cmg_h1conn_release and answers itself; false: an ordinary request. NULL: never.
     */
    bool (*on_upgrade)(void *arg, const struct cmg_h1_msg *msg);
    /* A request that could not be read is about to be refused, and the connection to close.
     * Status and detail are set; who refuses, the phrase, the request id and more fields are
     * the owner's to fill in. NULL: they stay as they are. */
    void (*on_malformed)(void *arg, struct cmg_refusal *r);
    /* Once, last: the connection is gone (its exchanges have had on_gone). `detail` may be NULL. */
    void (*on_closed)(void *arg, const char *detail);
};

/* Takes the stream. Malformed requests are answered with 400 (431 head too large, 505
 * version, 408 head too slow when something was received) with `Connection: close` and
 * problem+json; then a lingering close. */
struct cmg_h1conn *cmg_h1conn_serve(struct cmg_loop *l, struct cmg_stream *taken,
                                    const struct cmg_h1conn_conf *conf,
                                    const struct cmg_h1server_events *ev, void *arg);

/* The client role. `on_closed`: once, last; also when it was at rest. */
struct cmg_h1client_events {
    /* The exchange is over and the connection may carry another one, even from inside this
     * call. When it may not, on_closed follows instead. */
    void (*on_idle)(void *arg);
    void (*on_closed)(void *arg, const char *detail);
};
struct cmg_h1conn *cmg_h1conn_client(struct cmg_loop *l, struct cmg_stream *taken,
                                     const struct cmg_h1conn_conf *conf,
                                     const struct cmg_h1client_events *ev, void *arg);

/* Client role, at rest: starts an exchange. It lives until it is over. Whatever goes wrong
 * before one byte of the request was written to the network is a fault with `unprocessed`.
 * A response that breaks RFC 9112 is a fault with `malformed`, and the connection closes. */
struct cmg_exchange *cmg_h1conn_request(struct cmg_h1conn *c);

/* Client: at rest and not about to close. A request on a connection that is closing already
 * is allowed, and gets on_gone with `unprocessed`. */
bool cmg_h1conn_is_idle(const struct cmg_h1conn *c);

/* Bytes that its stream holds. */
size_t cmg_h1conn_buffered(const struct cmg_h1conn *c);

/* Server: no further request after the current one; at rest it closes a moment later, so that
 * a request that is on its way already is still answered. Client at rest: closes now. */
void cmg_h1conn_drain(struct cmg_h1conn *c);

/* Cuts it. on_closed follows from the loop. */
void cmg_h1conn_close(struct cmg_h1conn *c);

/* Only from inside on_upgrade: lets go of the stream, which then has no listener, and
 * ends the connection object without on_closed. `used` bytes of the stream's data were
 * the request; what follows is offered to the next listener. */
struct cmg_stream *cmg_h1conn_release(struct cmg_h1conn *c);

struct cmg_stream *cmg_h1conn_stream(struct cmg_h1conn *c); /* borrowed */

#endif
