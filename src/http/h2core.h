/* SPDX-License-Identifier: MIT */
/* What the files of an HTTP/2 connection share. Private to them:
 *
 *   h2conn.c      the connection: its stream, its session, its birth and its end
 *   h2exchange.c  exchanges: from their stream's beginning to its end, and its credit
 *   h2head.c      heads, from fields on the wire and to them
 *   h2recv.c      what nghttp2 calls for frames that came
 *   h2send.c      what it calls for frames that go, and an exchange's operations
 *   h2time.c      signs of life, stalls, drain
 */
#ifndef CMG_HTTP_H2CORE_H
#define CMG_HTTP_H2CORE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include <nghttp2/nghttp2.h>

#include "cmg/base/alloc.h"
#include "cmg/base/buf.h"
#include "cmg/base/clock.h"
#include "cmg/http/h2conn.h"
#include "cmg/http/message.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"

enum { H2_FIELDS_MAX = 128, H2_CLOSE_FLUSH_MS = 1000, H2_IDLE_GRACE_MS = 5000 };

struct h2_ref { /* into struct h2_block.bytes, which moves while it grows */
    uint32_t name, name_n, value, value_n;
};

/* A header block being received. Blocks of different streams never interleave. */
struct h2_block {
    struct cmg_buf bytes;
    size_t size; /* as RFC 9113 section 6.5.2 counts */
    bool too_large;
    unsigned n;
    struct h2_ref refs[H2_FIELDS_MAX];
};

struct h2_exchange {
    struct cmg_exchange x;
    struct cmg_h2conn *c;
    int32_t id;
    TAILQ_ENTRY(h2_exchange) link;

    struct cmg_buf out;                  /* our body, waiting for the peer's window */
    struct cmg_head trailers;            /* its fields, borrowed from `kept` */
    void *kept;                          /* owned                            */
    size_t unreturned;                   /* received while paused */
    uint64_t on_wire_at;                 /* position in the stream of our head; with on_wire */
    int64_t progress_ms;                 /* when the peer last took body bytes */
    int64_t heard_ms;                    /* when the peer last sent some, or was allowed to */
    bool on_wire, paused, full, starved; /* starved: nghttp2 waits for body bytes */
    bool out_ended, in_ended, head_seen, final_seen;
    bool reset;      /* by us: nothing more is said or heard */
    bool peer_reset; /* RST_STREAM came                      */
    bool over;       /* the listener is done with it         */
};

struct cmg_h2conn {
    struct cmg_loop *loop;
    struct cmg_stream *stream; /* NULL once gone */
    const struct cmg_h2conn_conf *conf;
    const struct cmg_h2conn_events *ev;
    void *arg;
    nghttp2_session *session;
    TAILQ_HEAD(, h2_exchange) exchanges;
    struct h2_exchange *next; /* where a walk over them goes on, whatever listeners do meanwhile */
    unsigned load;            /* exchanges in the list that are not over */
    unsigned open;
    struct h2_block *head;      /* owned; NULL before the first one */
    size_t magic_in, magic_out; /* bytes of the preface still to swallow */

    size_t window;     /* of the connection, as announced         */
    size_t held;       /* bytes received, their listeners paused  */
    size_t unreturned; /* credit kept back: window - unreturned + held <= memory_bytes */

    struct cmg_timer *timer;
    int64_t due_ms; /* when it fires; 0: stopped */
    struct cmg_task again;
    int64_t received_ms, idle_since_ms, ping_sent_ms;
    int64_t ping_sent_us; /* 0: none on its way */
    uint64_t sent;        /* bytes that the network had taken ...  */
    int64_t sent_ms;      /* ... when that was last seen to change */
    int64_t drain_deadline_ms, last_goaway_ms;
    int32_t last_stream; /* that our last GOAWAY leaves alone */
    double glitches;
    int64_t glitch_ms;
    bool draining, last_goaway_sent, peer_draining, ready;
    bool patient;     /* the drain's deadline counts only while nothing is in flight */
    bool spent;       /* no more stream numbers                                  */
    bool closing;     /* no new exchanges                                        */
    bool last_words;  /* the stream closes as soon as what is queued is in it    */
    bool broken;      /* the session failed and must not be asked for any more   */
    char detail[192]; /* first reason that something went wrong */
};

/* h2conn.c */

/* Keeps the first reason that something went wrong. */
void h2_note(struct cmg_h2conn *c, const char *text);
void h2_mark(struct cmg_h2conn *c);
/* Asks for a look at the clock; the earliest of all those asked for counts. */
void h2_wake_by(struct cmg_h2conn *c, int64_t at_ms);

/* h2exchange.c */

struct h2_exchange *h2_exchange_new(struct cmg_h2conn *c, int32_t id);
struct h2_exchange *h2_find(struct cmg_h2conn *c, int32_t id);
/* Its listener wants to be told. */
bool h2_is_heard(const struct h2_exchange *xs);
/* The listener is done with it. */
void h2_over(struct h2_exchange *xs);
/* The same, and is told why. */
void h2_gone(struct h2_exchange *xs, const struct cmg_fault *why);
/* Ends its stream before its time; it goes away when the peer has been told. */
void h2_reset(struct h2_exchange *xs, uint32_t error);
void h2_release(struct h2_exchange *xs);
/* Nothing is held for it any more: its credit goes back. */
void h2_let_go(struct h2_exchange *xs);
void h2_return_stream_credit(struct h2_exchange *xs, size_t n);
void h2_return_connection_credit(struct cmg_h2conn *c, size_t n);

/* h2head.c */

/* A header block begins; its next field; it is not needed any more. */
void h2_block_begin(struct cmg_h2conn *c);
void h2_block_add(struct cmg_h2conn *c, struct cmg_str name, struct cmg_str value);
void h2_block_free(struct cmg_h2conn *c);

struct h2_heading { /* an incoming head on its way to the listener */
    struct cmg_head head;
    struct cmg_field fields[H2_FIELDS_MAX];
    struct cmg_str host, names;
    unsigned cookies;
    char *joined; /* owned: the cookie field, when it came in crumbs */
    bool bad;
};

/* What the block says. The caller frees `joined`. */
void h2_heading_read(struct cmg_h2conn *c, const struct h2_block *h, struct h2_heading *g);

struct h2_outgoing { /* a head being put together */
    nghttp2_nv nv[H2_FIELDS_MAX + 8];
    size_t n;
    char names[2048];
    char status[4], length[24];
};

enum cmg_rc h2_outgoing_put(const struct cmg_h2conn *c, struct h2_outgoing *o,
                            const struct cmg_head *head);

/* nghttp2 takes pointers to what it only reads as if it wrote there. */
static inline nghttp2_nv h2_pair(struct cmg_str name, struct cmg_str value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p,
                         (uint8_t *)(uintptr_t)(value.p ? value.p : ""), name.n, value.n,
                         NGHTTP2_NV_FLAG_NONE };
}

/* h2recv.c and h2send.c */

void h2_recv_callbacks(nghttp2_session_callbacks *cb);
void h2_send_callbacks(nghttp2_session_callbacks *cb);
/* Counts what a public client does wrong. */
void h2_glitch(struct cmg_h2conn *c);
extern const struct cmg_exchange_ops h2_ops;

/* h2time.c */

void h2_on_timer(void *arg);
int64_t h2_stall_look_ms(const struct cmg_h2conn *c);
/* `patient`: the deadline counts only while nothing is in flight. */
void h2_drain(struct cmg_h2conn *c, int64_t now, int64_t grace_ms, bool patient);
/* The PING of a drain came back: whatever the peer sent before it saw our first GOAWAY has
 * arrived. False: it was another PING. */
bool h2_drain_pong(struct cmg_h2conn *c, const nghttp2_ping *pong);

#endif
