/* SPDX-License-Identifier: MIT */
/* The connection point's end of one channel: HTTP/2 in the server role over a stream that
 * we dialed. Answers the gateway's greeting itself; every other request is the owner's.
 *
 * Two flavours, told apart by ALPN:
 *   rh2, or an upgraded HTTPS stream   the gateway sends the client preface and asks for the
 *                                      greeting: then the channel is open
 *   h2                                 a stock HAProxy (rhttp@): we send the preface; it never
 *                                      asks, so the channel is open once its SETTINGS are in.
 *                                      It passes on what clients send, so there the greeting's
 *                                      path is an ordinary request and internal fields are
 *                                      anybody's: see `foreign`.
 *
 * Ownership: a channel owns itself and goes away after on_closed; until then its owner may
 * hold the pointer. Nothing is called from inside a call on the channel.
 */
#ifndef CMG_CHANNEL_CHANNEL_H
#define CMG_CHANNEL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/http/exchange.h"
#include "cmg/proto/endpoint.h"

struct cmg_channel;
struct cmg_loop;
struct cmg_stream;

struct cmg_channel_conf {
    const char *name;         /* of the connection point; copied                          */
    const char *site;         /* its site code; copied                                    */
    unsigned max_streams;     /* requests in flight; never less than 256 is told a HAProxy */
    unsigned stream_window;   /* bytes                                                    */
    size_t memory_bytes;      /* as in struct cmg_h2conn_conf                             */
    size_t head_bytes;        /* as in struct cmg_h2conn_conf                             */
    int64_t greeting_ms;      /* from the stream to open; past it the channel is closed   */
    int64_t ping_ms;          /* as in struct cmg_h2conn_conf                             */
    int64_t ping_deadline_ms; /* as in struct cmg_h2conn_conf                             */
};

struct cmg_channel_events {
    /* The gateway may send requests now. At most once. */
    void (*on_open)(void *arg);
    /* A request: set a listener, or answer at once. `head` dies on return. */
    void (*on_exchange)(void *arg, struct cmg_channel *c, struct cmg_exchange *x,
                        const struct cmg_head *head);
    /* The gateway said that it sends nothing new (GOAWAY); what is in flight goes on. */
    void (*on_draining)(void *arg);
    /* Once, last. why->code:
     *   CMG_OK        drained or closed by us
     *   CMG_EDENIED   the gateway does not admit us: dialing again soon is of no use
     *   CMG_ETIMEOUT  no greeting within greeting_ms
     *   CMG_EIO       the rest */
    void (*on_closed)(void *arg, const struct cmg_err *why);
};

/* Takes the stream. `alpn`: what TLS agreed on. `set` is read, not kept. `ev` and `arg` are
 * borrowed until on_closed. */
struct cmg_channel *cmg_channel_new(struct cmg_loop *l, struct cmg_stream *taken, const char *alpn,
                                    const struct cmg_channel_conf *conf,
                                    const struct cmg_endpoint_set *set,
                                    const struct cmg_channel_events *ev, void *arg);

/* The endpoints are these from now on; a greeting that the gateway holds open is answered
 * when the set is another one. `set` is read, not kept. */
void cmg_channel_publish(struct cmg_channel *c, const struct cmg_endpoint_set *set);

/* GOAWAY; requests in flight finish; then closes, at the latest after `grace_ms`. A second
 * call does nothing. */
void cmg_channel_drain(struct cmg_channel *c, int64_t grace_ms);

/* Cuts it; on_closed follows from the loop. */
void cmg_channel_close(struct cmg_channel *c);

/* Cuts it, and no event reaches the owner any more, whose pointer is dead. Listeners of
 * exchanges still get on_gone. NULL is ignored. */
void cmg_channel_abandon(struct cmg_channel *c);

struct cmg_channel_info {
    char connection_id[37];   /* a GUID, fresh for each channel                        */
    char peer[64];            /* address and port                                      */
    bool foreign;             /* a HAProxy, which vouches for nothing                  */
    char gateway[256];        /* announced by the gateway; "" until then, or never     */
    char gateway_version[64]; /* likewise                                              */
    unsigned instance;        /* likewise, from 1; 0: not said                         */
    unsigned instances;       /* likewise; 0: not said                                 */
    int64_t rtt_us;           /* of the last PING; -1: none yet                        */
};
/* Bytes that its connection holds (cmg_h2conn_buffered). */
size_t cmg_channel_buffered(const struct cmg_channel *c);

/* Borrowed, good while the channel is. */
const struct cmg_channel_info *cmg_channel_info(const struct cmg_channel *c);

#endif
