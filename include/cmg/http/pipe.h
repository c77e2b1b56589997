/* SPDX-License-Identifier: MIT */
/* Joins an incoming and an outgoing exchange: request one way, response the other, the
 * faster side slowed to the slower. Embedded in what the owner keeps of the request. */
#ifndef CMG_HTTP_PIPE_H
#define CMG_HTTP_PIPE_H

#include "cmg/base/buf.h"
#include "cmg/http/exchange.h"

struct cmg_pipe;

enum cmg_pipe_end {
    CMG_PIPE_DONE,        /* the response went out whole (into our queue)       */
    CMG_PIPE_CLIENT_GONE, /* the incoming side broke off                         */
    CMG_PIPE_CUT,         /* the outgoing side failed after the head was passed on: the
                           * incoming side was cut, too                          */
    CMG_PIPE_TOO_LARGE    /* the request body passed its ceiling: the outgoing side was
                           * aborted; the incoming one is the owner's to answer or to abort */
};

struct cmg_pipe_events {
    /* A response head, 1xx or final, on its way to the incoming side. The owner may put
     * another in its place: *head is a copy of the struct, good until this returns. */
    void (*on_response)(struct cmg_pipe *p, struct cmg_head *head);
    /* The outgoing side failed before a final head. The owner either joins another outgoing
     * exchange with cmg_pipe_join, now or later, or detaches the incoming side and answers it
     * itself. */
    void (*on_failed)(struct cmg_pipe *p, const struct cmg_fault *why);
    /* Over. `why` is NULL for DONE. The owner frees itself, not from inside: defer. */
    void (*on_done)(struct cmg_pipe *p, enum cmg_pipe_end end, const struct cmg_fault *why);
};

/* Read these; write none but request_max, and `in` and response_bytes when the owner answered
 * the incoming side itself. */
struct cmg_pipe {
    const struct cmg_pipe_events *ev;
    struct cmg_exchange *in;  /* NULL once over */
    struct cmg_exchange *out; /* NULL once over, or none yet */
    struct cmg_buf held;      /* request body kept for a repeat, or until there is an out */
    uint64_t request_bytes, response_bytes; /* of bodies */
    uint64_t request_max;                   /* ceiling of the request body */
    unsigned status;                        /* final one passed on; 0: none yet */
    bool answered;                          /* a final head went to the incoming side */
    size_t hold_bytes;                      /* what `held` may keep for a repeat */
    bool head_ended;                        /* the request had no body */
    bool request_ended;                     /* the request is complete on the incoming side */
    bool held_all; /* `held` is the whole body so far: a repeat is possible */
    bool in_paused, out_paused;
};

/* Starts listening to `in`; its body is held back, up to `hold_bytes`, until there is an
 * outgoing side. `head_ended`: the request has no body. */
void cmg_pipe_start(struct cmg_pipe *p, struct cmg_exchange *in, bool head_ended,
                    uint64_t request_max, size_t hold_bytes, const struct cmg_pipe_events *ev);

/* Joins the outgoing side, to which the owner has just sent the request head; what was held
 * goes out first. Again after on_failed, possible while cmg_pipe_may_repeat. The owner may have
 * set request_max just before: on_done(TOO_LARGE) may follow from inside. */
void cmg_pipe_join(struct cmg_pipe *p, struct cmg_exchange *out);
bool cmg_pipe_may_repeat(const struct cmg_pipe *p);

/* Lets go of both sides: the outgoing one is aborted, the incoming one is the owner's. */
struct cmg_exchange *cmg_pipe_detach(struct cmg_pipe *p);

/* Frees what it holds. */
void cmg_pipe_clear(struct cmg_pipe *p);

#endif
