/* SPDX-License-Identifier: MIT */
/* A request as it arrives, on the stack: it is routed, its client identified, and it is answered
 * at once, or becomes a struct request that waits for something or goes down a channel. */
#ifndef CMG_GATEWAY_ARRIVAL_H
#define CMG_GATEWAY_ARRIVAL_H

#include "cmg/http/exchange.h"
#include "cmg/proto/path.h"
#include "gateway/identify.h"

enum { REQUEST_ID = 32 };

struct arrival {
    struct gateway *gateway;
    struct client *client;
    struct cmg_exchange *x;
    const struct cmg_head *head;
    struct cmg_path path;
    char id[REQUEST_ID];
    bool bearer; /* it came with a token, good or bad */
    int64_t started_us;
};

/* Takes the exchange. */
void arrival_new(struct gateway *g, struct client *client, struct cmg_exchange *x,
                 const struct cmg_head *head);

/* A request that could not be read: fills in who refuses it, and logs it. */
void arrival_malformed(struct gateway *g, struct client *client, struct cmg_refusal *r);

/* What is asked of the gateway itself, to an identified client. */
bool arrival_is_metadata(const struct cmg_path *path);
/* False: the method is not GET or HEAD, and nothing was answered. */
bool answer_metadata(struct gateway *g, struct cmg_exchange *x, struct cmg_str method);

/* The head that goes down the channel: the client's fields without what it may not say, then
 * ours. Borrows from everything it is given, and g->fields. */
struct cmg_head arrival_forwarded(struct gateway *g, const struct client *c,
                                  const struct cmg_head *head, const char *id,
                                  const char *identity);

#endif
