/* SPDX-License-Identifier: MIT */
/* What the two roles of an HTTP/1.1 connection share: the reading half, the writing half,
 * and the states between. Private to h1conn.c, h1server.c and h1client.c.
 *
 *   REST ---> BUSY ---> CLOSING      REST    between messages
 *    |  ^      | ^         ^         HEAD    server: a request head is on its way
 *    |  +------+ |         |         BUSY    an exchange is in flight
 *    +---> HEAD -+         |         CLOSING the stream was asked to end; on_closed is due
 *    |      |              |
 *    +------+--------------+
 *
 * Every change of state goes through h1_enter().
 */
#ifndef CMG_HTTP_H1CORE_H
#define CMG_HTTP_H1CORE_H

#include "cmg/base/alloc.h"
#include <limits.h>

#include "cmg/http/h1conn.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"

enum h1_state { H1_REST, H1_HEAD, H1_BUSY, H1_CLOSING };

/* How far a message is. */
enum h1_part { H1_AWAITED, H1_BEGUN, H1_WHOLE };

/* How long the last words may take, and how long the peer has to read them. */
enum { H1_LINGER_MS = 2000 };
#define H1_CUT UINT_MAX /* instead of a time to flush: break off */

struct h1_reading {
    enum h1_part part;
    bool paused; /* by the listener                          */
    struct cmg_h1_scan scan;
    struct cmg_h1_body body;
    uint64_t bytes;   /* of the body, handed over                 */
    int64_t declared; /* Content-Length, -1: none                 */
    int64_t moved_ms; /* when the peer was last heard, or allowed */
};

struct h1_writing {
    enum h1_part part;
    enum cmg_h1_framing framing;
    uint64_t left;    /* LENGTH: bytes still owed                            */
    bool full;        /* body() said stop: on_room is owed                   */
    bool dropped;     /* client: nobody reads the request's rest any more    */
    uint64_t base;    /* cmg_stream_sent when the first byte of ours is next */
    uint64_t seen;    /* cmg_stream_sent at the last look                    */
    int64_t moved_ms; /* when it had grown, or the queue began               */
};

struct cmg_h1conn {
    struct cmg_exchange x; /* ev is NULL when there is none, or it is over */
    const struct h1_role *role;
    struct cmg_loop *loop;              /* borrowed */
    struct cmg_stream *stream;          /* owned until it closes or is released */
    struct cmg_timer *timer;            /* owned */
    const struct cmg_h1conn_conf *conf; /* borrowed */
    union {
        const struct cmg_h1server_events *server;
        const struct cmg_h1client_events *client;
    } ev; /* borrowed */
    void *arg;

    enum h1_state state;
    struct h1_reading in;
    struct h1_writing out;
    const char *why;        /* static; what to tell when on_closed comes */
    unsigned close_ms;      /* for the close that waits for the end of on_data, or H1_CUT */
    unsigned short minor;   /* server: the client speaks HTTP/1.minor */
    unsigned short interim; /* client: 1xx heads so far */
    bool head_method;       /* the request is a HEAD */
    bool keep;              /* the connection may carry another exchange */
    bool draining;
    bool ended, ended_clean; /* the peer sends no more */
    bool in_data;            /* on_data is running */
    bool unread;             /* on_data left bytes with the stream */
    bool offered;            /* the stream was asked to offer them again */
    bool held;               /* server: no further request until the queue is shorter */
    bool upgrading, released;
};

struct h1_role {
    const struct cmg_exchange_ops *ops;
    const char *peer; /* in messages */
    bool asks;        /* the client role */
    /* A head is expected at the front of `in`. False: nothing more can be done now. */
    bool (*read_head)(struct cmg_h1conn *c, struct cmg_str in, size_t *used);
    /* The message that was read is complete. */
    void (*read_whole)(struct cmg_h1conn *c, const struct cmg_field *trailers, size_t n);
    /* Its body is malformed. */
    void (*read_broken)(struct cmg_h1conn *c, const struct cmg_err *err);
    /* on_data is through, `rest` bytes were left; or a drain was asked for. */
    void (*settle)(struct cmg_h1conn *c, size_t rest);
    /* The peer sends no more, and all it sent was looked at. */
    void (*ended)(struct cmg_h1conn *c);
    /* A deadline may have passed. Sets the next one. */
    void (*tick)(struct cmg_h1conn *c, int64_t now_ms);
    void (*closed)(struct cmg_h1conn *c, const char *detail);
};

struct cmg_h1conn *h1_new(struct cmg_loop *l, struct cmg_stream *taken,
                          const struct cmg_h1conn_conf *conf, const struct h1_role *role,
                          void *arg);
void h1_enter(struct cmg_h1conn *c, enum h1_state to);

static inline struct cmg_h1conn *h1_of(struct cmg_exchange *x)
{
    return CMG_OUTER(x, struct cmg_h1conn, x);
}

/* To be called after `after_ms`; 0: never. */
void h1_wake(struct cmg_h1conn *c, int64_t after_ms);
/* A busy connection looks after its peer this often. */
int64_t h1_beat_ms(const struct cmg_h1conn *c);
/* The peer owes us reading: bytes are queued and none was taken since out.moved_ms. */
bool h1_out_waits(struct cmg_h1conn *c, int64_t now_ms);

/* Has the stream offer again what was left with it. */
void h1_offer_again(struct cmg_h1conn *c);

/* Takes a message head that was read: prepares for its body. True: there is none. */
bool h1_read_begin(struct cmg_h1conn *c, const struct cmg_h1_msg *msg);
/* A head was queued: how the body must follow. */
void h1_write_begin(struct cmg_h1conn *c, enum cmg_h1_framing framing, int64_t length);
/* Completes what is written. False: the declared length was not kept, the connection closes. */
bool h1_write_whole(struct cmg_h1conn *c, const struct cmg_field *trailers, size_t n);

/* The exchange is over without a word to its listener. */
void h1_close(struct cmg_h1conn *c, unsigned flush_ms);
/* Tells the listener, once. */
void h1_gone(struct cmg_h1conn *c, const struct cmg_fault *why);
/* Cuts the connection and tells why. Never from inside a call of the listener. */
void h1_fail(struct cmg_h1conn *c, enum cmg_rc code, bool malformed, const char *fmt, ...)
    CMG_PRINTF(4, 5);
bool h1_unprocessed(const struct cmg_h1conn *c);

/* Shared operations of an exchange. */
bool h1_op_body(struct cmg_exchange *x, struct cmg_str bytes);
void h1_op_pause(struct cmg_exchange *x, bool paused);
void h1_op_abort(struct cmg_exchange *x);

#endif
