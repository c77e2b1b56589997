/* SPDX-License-Identifier: MIT */
/* The inside of a request, for the files that carry one: request.c, and request_park.c for what
 * waits for something other than a channel. */
#ifndef CMG_GATEWAY_REQUEST_CORE_H
#define CMG_GATEWAY_REQUEST_CORE_H

#include "cmg/http/pipe.h"
#include "gateway/refusal.h"
#include "gateway/request.h"

enum state { IDENTIFYING, ASKING, WAITING, PIPING, OVER };

struct request {
    struct gateway *gateway;
    struct client *client;
    struct cmg_pipe pipe;
    enum state state;
    unsigned repeats;
    char id[REQUEST_ID];
    int64_t started_us, waiting_since_ms;
    uint64_t moved;              /* body bytes seen at the last sweep */
    int64_t moved_ms;            /* when they last grew               */
    struct member *sent_to;      /* lives as long as the registry */
    struct cmg_counts *endpoint; /* it is counted there; likewise */
    bool bearer;
    char who[128];
    enum cmg_identity_how how;
    struct cmg_path path;    /* into head.target */
    char why[200];           /* for the access event; "" when all is well */
    struct content_ask *ask; /* ASKING */
    struct cmg_task bury;
    TAILQ_ENTRY(request) entry;
    struct cmg_head head; /* IDENTIFYING, ASKING: as received; else as sent down the channel */
    void *room;           /* owned; the head's bytes when they do not follow the struct */
};

/* A request with a life of its own; `head` is copied. */
struct request *request_make(const struct arrival *a, const struct cmg_head *head,
                             enum state state);
void request_identified(struct request *q, const struct cmg_identity *who);
/* The same path in another copy of its target. */
struct cmg_path request_path_in(const struct cmg_path *p, const char *was, const char *is);

/* The one door between states. */
void request_enter(struct request *q, enum state state);
/* Finds a channel, or waits for one, or says no. */
void request_find_channel(struct request *q);

/* How it ends: a refusal does all of it; else it is finished, and left. */
void request_refuse_for(struct request *q, const struct refusal *r, unsigned retry_after_s,
                        const char *detail);
void request_refuse(struct request *q, const struct refusal *r, const char *detail);
void request_finish(const struct request *q, unsigned status, bool cut);
void request_leave(struct request *q);

/* IDENTIFYING: once more. */
void request_identify_again(struct request *q);

#endif
