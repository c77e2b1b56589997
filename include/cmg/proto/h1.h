/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 messages (RFC 9112), strictly: what two readers could read differently is
 * refused. Any method token is taken (CCM_POST, BITS_POST, PROPFIND). Pure: bytes in,
 * verdict out; no allocation, no clock, no log.
 *
 * Strict means: lines end in CRLF only; single SP in the request line; HTTP/1.0 or
 * HTTP/1.1 only; exactly one Host in a 1.1 request; at most one Content-Length, digits
 * only; Transfer-Encoding only as the single word "chunked", only in HTTP/1.1 and never
 * beside Content-Length; no obs-fold, no control characters, no blank before the colon,
 * no empty name; chunk sizes in plain hex; absolute-form only when its authority equals
 * Host. Bytes 0x80 and above are fine in targets and values. Responses are held to
 * the same rules. No empty line before a request.
 */
#ifndef CMG_PROTO_H1_H
#define CMG_PROTO_H1_H

#include "cmg/base/buf.h"
#include "cmg/base/err.h"
#include "cmg/proto/http.h"

enum { CMG_H1_FIELDS = 128 };

struct cmg_h1_limits {
    size_t head_bytes;    /* start line and fields together; past it CMG_ETOOBIG */
    size_t target_bytes;  /* of a request's target                               */
    size_t trailer_bytes; /* trailer section, and one chunk's size line          */
};
extern const struct cmg_h1_limits cmg_h1_limits_default; /* 64 KiB, 16 KiB, 8 KiB */

enum cmg_h1_framing {
    CMG_H1_NONE,   /* no body                                   */
    CMG_H1_LENGTH, /* head.length bytes (0 is a declared zero)  */
    CMG_H1_CHUNKED,
    CMG_H1_UNTIL_CLOSE /* responses only                        */
};

struct cmg_h1_msg {
    struct cmg_head head; /* head.fields points to `fields` below; do not copy the struct */
    struct cmg_field fields[CMG_H1_FIELDS];
    size_t size;    /* bytes the head took                                            */
    unsigned minor; /* HTTP/1.minor                                                   */
    enum cmg_h1_framing framing;
    bool keep_alive;        /* the connection may carry another message after this one */
    struct cmg_str upgrade; /* value of Upgrade when Connection names it, else empty   */
    unsigned refuse;        /* of a request that was not read: the status to answer with,
                             * 400, 414, 431 or 505. All else in here is then undefined. */
};

/* How far an incomplete head was looked at, so that a peer who sends byte by byte costs
 * linear time. Zero it before each message, and treat it as opaque. */
struct cmg_h1_scan {
    size_t at;    /* no line end before here that was not dealt with */
    size_t line;  /* where the unfinished line starts                */
    size_t lines; /* how many came before it                         */
};

/* Reads the head at the front of `in`.
 * CMG_OK      *msg is filled and borrows from `in`
 * CMG_MORE    cut short, and nothing wrong so far; call again with more bytes behind
 * CMG_EPROTO  malformed; err says what, without quoting the peer's bytes
 * CMG_ETOOBIG past a limit or more than CMG_H1_FIELDS fields
 * A line that is already malformed is refused before the head is complete. */
CMG_MUST_CHECK enum cmg_rc cmg_h1_request(struct cmg_str in, const struct cmg_h1_limits *limits,
                                          struct cmg_h1_scan *scan, struct cmg_h1_msg *msg,
                                          struct cmg_err *err);

/* The same for the response to a request with `method`: HEAD, 1xx, 204 and 304 have no
 * body. 101 has framing NONE and `upgrade` set. */
CMG_MUST_CHECK enum cmg_rc cmg_h1_response(struct cmg_str in, struct cmg_str method,
                                           const struct cmg_h1_limits *limits,
                                           struct cmg_h1_scan *scan, struct cmg_h1_msg *msg,
                                           struct cmg_err *err);

/* A body being read. Treat as opaque. */
struct cmg_h1_body {
    enum cmg_h1_framing framing;
    int state;
    uint64_t left; /* bytes of the body, or of the current chunk */
    struct cmg_h1_scan scan;
    size_t trailer_bytes;
    size_t extension_bytes; /* seen so far in size lines: bounded by trailer_bytes too */
};

void cmg_h1_body_init(struct cmg_h1_body *b, const struct cmg_h1_msg *msg,
                      const struct cmg_h1_limits *limits);

/* Reads on from the front of `in`, the bytes behind the head or behind the last *used.
 * Always sets *used (bytes to drop) and *data (a run of body bytes inside `in`, perhaps
 * empty). Call again at once while it returns CMG_OK with *used > 0 and !*done.
 * CMG_OK      progress; *done: the body is complete, `*used` counts its framing too,
 *             and trailers[0..*ntrailers) are its trailers, hop-by-hop and framing
 *             fields left out, borrowed from `in`
 * CMG_MORE    nothing usable in `in`
 * CMG_EPROTO, CMG_ETOOBIG
 * UNTIL_CLOSE never is done: the caller decides at the end of the connection. */
CMG_MUST_CHECK enum cmg_rc cmg_h1_body_read(struct cmg_h1_body *b, struct cmg_str in, size_t *used,
                                            struct cmg_str *data, bool *done,
                                            struct cmg_field trailers[CMG_H1_FIELDS],
                                            size_t *ntrailers, struct cmg_err *err);

/* Writes a request head: request line, Host, the fields, then Content-Length (length >= 0)
 * or Transfer-Encoding: chunked (length < 0 and !end). Appends `extra`, complete lines,
 * before the empty line. CMG_EPROTO: a method, target, name or value may not be written
 * as it is (control characters, empty); nothing was appended. */
CMG_MUST_CHECK enum cmg_rc cmg_h1_put_request(struct cmg_buf *out, const struct cmg_head *head,
                                              struct cmg_str extra, struct cmg_err *err);

/* Writes a response head for a peer that speaks HTTP/1.`minor` and asked with `method`.
 * *framing is set to how the body must follow. `close` adds Connection: close. An empty
 * reason becomes the registered phrase. */
CMG_MUST_CHECK enum cmg_rc cmg_h1_put_response(struct cmg_buf *out, const struct cmg_head *head,
                                               struct cmg_str method, unsigned minor, bool close,
                                               struct cmg_str extra, enum cmg_h1_framing *framing,
                                               struct cmg_err *err);

/* A chunk around bytes; nothing for an empty run. */
CMG_MUST_CHECK enum cmg_rc cmg_h1_put_chunk(struct cmg_buf *out, struct cmg_str bytes);

/* The last chunk, trailers (which may be none) and the empty line. */
CMG_MUST_CHECK enum cmg_rc cmg_h1_put_last_chunk(struct cmg_buf *out,
                                                 const struct cmg_field *trailers, size_t n);

#endif
