/* SPDX-License-Identifier: MIT */
/* A byte pipe to one peer: TCP, TLS on a socket, TLS inside an HTTPS proxy's tunnel, or a
 * connection that libcurl made. Whoever reads or writes it cannot tell, and must not care.
 *
 * Ownership: the stream owns its descriptor, its TLS state or curl handle, and its buffers.
 * `arg` and the table of callbacks are borrowed and must outlive it.
 * Threads: none. Everything here runs on the loop that made the stream.
 * Nothing is freed inside a callback: a closed stream goes away from the loop.
 */
#ifndef CMG_NET_STREAM_H
#define CMG_NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "cmg/base/buf.h"
#include "cmg/base/err.h"
#include "cmg/base/str.h"

struct cmg_loop;
struct cmg_stream;
struct cmg_tls;
struct ssl_st;

enum cmg_close_reason {
    CMG_CLOSE_PEER,    /* orderly end from the other side             */
    CMG_CLOSE_LOCAL,   /* we asked for it                             */
    CMG_CLOSE_TIMEOUT, /* the handshake or the last flush took too long */
    CMG_CLOSE_ERROR,   /* the network or TLS failed; see `detail`     */
};

struct cmg_stream_events {
    /* The handshake is done. Not called for streams that are born open. May be NULL. */
    void (*on_open)(void *arg);
    /* Bytes arrived. Returns how many were consumed; the rest is offered again with more
     * behind it. Consuming nothing is legal: the stream keeps at most its ceiling
     * (cmg_stream_ceiling) and then stops reading. */
    size_t (*on_data)(void *arg, struct cmg_str in);
    /* The peer will send no more (FIN or close_notify); writing still works. NULL: the
     * stream closes with CMG_CLOSE_PEER. Truncated TLS (FIN without close_notify) is an
     * on_eof with *clean false. */
    void (*on_eof)(void *arg, bool clean);
    /* The turn ends and the stream was marked: append what should leave now. May be NULL. */
    void (*on_flush)(void *arg);
    /* The queue was above the high mark and fell below the low one. May be NULL. */
    void (*on_drained)(void *arg);
    /* Called exactly once, last; after it returns the stream is gone. `detail` is a sentence
     * when why is ERROR or TIMEOUT, else NULL. */
    void (*on_closed)(void *arg, enum cmg_close_reason why, const char *detail);
};

enum { CMG_STREAM_HIGH = 256 * 1024, CMG_STREAM_LOW = 64 * 1024 };

/* Streams over a connected, non-blocking socket, which is taken. With `tls` (borrowed for
 * the call) the handshake starts at once and must end within `handshake_ms`;
 * without it the stream is born open. `name`: as for cmg_tls_session. */
struct cmg_stream *cmg_stream_new(struct cmg_loop *l, int fd_taken, struct cmg_tls *tls,
                                  const char *name, unsigned handshake_ms,
                                  const struct cmg_stream_events *ev, void *arg);

/* A stream over a connection that libcurl made with CURLOPT_CONNECT_ONLY; the handle is
 * taken. With `tls` our own TLS runs inside it (HTTPS proxies). */
struct cmg_stream *cmg_stream_new_curl(struct cmg_loop *l, void *curl_taken, struct cmg_tls *tls,
                                       const char *name, unsigned handshake_ms,
                                       const struct cmg_stream_events *ev, void *arg);

/* Hands the stream to another listener. Bytes not consumed yet are offered to it from the
 * loop, never from inside this call. */
void cmg_stream_listen(struct cmg_stream *s, const struct cmg_stream_events *ev, void *arg);

/* The most unconsumed bytes kept for the listener (default CMG_STREAM_HIGH). */
void cmg_stream_ceiling(struct cmg_stream *s, size_t bytes);

/* Where to append bytes that are to be written. Mark afterwards. The queue has no ceiling
 * of its own: whoever fills it stops when cmg_stream_is_full and goes on in on_drained. */
struct cmg_buf *cmg_stream_out(struct cmg_stream *s);
bool cmg_stream_is_full(const struct cmg_stream *s);

/* Calls on_flush and writes at the end of this turn. */
void cmg_stream_mark(struct cmg_stream *s);
/* The same at the end of the next turn, unless it is marked before: more is expected at once. */
void cmg_stream_mark_later(struct cmg_stream *s);

/* Bytes written to the network so far; grows while the peer takes them. */
uint64_t cmg_stream_sent(const struct cmg_stream *s);
uint64_t cmg_stream_received(const struct cmg_stream *s);

/* Stops or restarts on_data; the peer then feels TCP back-pressure. Restarting offers what
 * was left unconsumed, from the loop, even when the stream was not paused. */
void cmg_stream_pause(struct cmg_stream *s, bool paused);

/* Asks for the end: stops on_data, flushes for at most `flush_ms`, says close_notify, and
 * with flush_ms > 0 waits that long for the peer to close first, so that it can read the
 * last words (lingering close). on_closed fires from the loop. NULL is ignored. */
void cmg_stream_close(struct cmg_stream *s, unsigned flush_ms);

/* Breaks off so that the peer cannot take what it got for complete: a reset, and no
 * close_notify. on_closed fires from the loop. */
void cmg_stream_cut(struct cmg_stream *s);

/* TLS state, or NULL. Borrowed. */
struct ssl_st *cmg_stream_ssl(const struct cmg_stream *s);

/* "203.0.113.7:51234" or "[2001:db8::7]:51234"; "" when unknown. Good while the stream is. */
const char *cmg_stream_peer(const struct cmg_stream *s);

/* Deadline in the kernel for bytes that the peer does not acknowledge (RFC 5482). */
void cmg_stream_user_timeout(struct cmg_stream *s, unsigned ms);

#endif
