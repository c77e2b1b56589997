/* SPDX-License-Identifier: MIT */
/* HTTP/2 over one stream (RFC 9113), used three times: the public front (server), the
 * gateway end of a channel (client), the connection point's end (server). Which role is
 * decided at birth; who dialed does not matter.
 */
#ifndef CMG_HTTP_H2CONN_H
#define CMG_HTTP_H2CONN_H

#include "cmg/http/exchange.h"
#include "cmg/http/message.h"

struct cmg_h2conn;
struct cmg_loop;
struct cmg_stream;

enum cmg_h2_role { CMG_H2_SERVER, CMG_H2_CLIENT };

/* Who sends the 24-byte connection preface. */
enum cmg_h2_preface {
    CMG_H2_PREFACE_CLIENT, /* the HTTP/2 client, as the RFC says                          */
    CMG_H2_PREFACE_SERVER  /* the HTTP/2 server, because it dialed: HAProxy's reverse HTTP */
};

struct cmg_h2conn_conf { /* borrowed, must outlive the connection */
    enum cmg_h2_role role;
    enum cmg_h2_preface preface;
    bool channel;             /* trusted peer on a shared connection: its clients' resets and
                               * mistakes are not rationed                                 */
    bool names;               /* both ends are ours: original case of field names travels  */
    unsigned max_streams;     /* concurrent, that the peer may open; a client's peer opens
                               * none, and what the peer allows is for it to know          */
    unsigned stream_window;   /* bytes; what one stalled exchange may cost                 */
    size_t memory_bytes;      /* ceiling for bytes received while their listeners were paused,
                               * all streams: the connection window closes before it       */
    size_t head_bytes;        /* decoded header list, names + values + 32 each (RFC 9113 6.5.2) */
    int64_t ping_ms;          /* PING after so long without a byte from the peer; 0: never */
    int64_t ping_deadline_ms; /* no answer by then: the connection is dead                 */
    int64_t idle_ms;          /* server: no stream for so long: GOAWAY; 0: never           */
    int64_t stall_ms;         /* public front: a stream whose response the peer's window holds
                               * up, or whose request the peer does not go on with, for so long
                               * is reset; a peer that reads nothing at all is cut; 0: never */
};

struct cmg_h2conn_events {
    /* Server: a request. As in h1conn. */
    void (*on_exchange)(void *arg, struct cmg_exchange *x, const struct cmg_head *head);
    /* The peer's SETTINGS arrived: it speaks HTTP/2. Once. May be NULL. */
    void (*on_ready)(void *arg);
    /* The peer sent GOAWAY: no new request will be taken. May be NULL. */
    void (*on_draining)(void *arg);
    /* A PING came back after so long. May be NULL. */
    void (*on_ping)(void *arg, int64_t rtt_us);
    /* Server: a request is about to be refused, as in h1conn. May be NULL. */
    void (*on_malformed)(void *arg, struct cmg_refusal *r);
    /* Once, last: the connection is gone (its exchanges have had on_gone). */
    void (*on_closed)(void *arg, const char *detail);
};

struct cmg_h2conn *cmg_h2conn_new(struct cmg_loop *l, struct cmg_stream *taken,
                                  const struct cmg_h2conn_conf *conf,
                                  const struct cmg_h2conn_events *ev, void *arg);

/* Client: starts an exchange; NULL when the connection is draining or closing. More than the
 * peer allows at once are queued, `cmg_h2conn_load` tells how many are open or queued. */
struct cmg_exchange *cmg_h2conn_request(struct cmg_h2conn *c);
unsigned cmg_h2conn_load(const struct cmg_h2conn *c);

/* Bytes held here: bodies that wait for the peer's window, and what its stream holds. Walks over
 * the exchanges: for those who look now and then, not for each request. */
size_t cmg_h2conn_buffered(const struct cmg_h2conn *c);

/* Server: GOAWAY with 2^31-1, a moment later the final one; exchanges in flight finish;
 * then closes, at the latest after `grace_ms`. Client: finishes what is in flight. */
void cmg_h2conn_drain(struct cmg_h2conn *c, int64_t grace_ms);

/* Tells the peer why it is not wanted (GOAWAY with debug text), then closes. */
void cmg_h2conn_refuse(struct cmg_h2conn *c, const char *text);

/* Cuts it: exchanges get on_gone, on_closed follows from the loop. */
void cmg_h2conn_close(struct cmg_h2conn *c);

#endif
