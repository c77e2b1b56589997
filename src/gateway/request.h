/* SPDX-License-Identifier: MIT */
/* One request of one client, from its head to its access event. */
#ifndef CMG_GATEWAY_REQUEST_H
#define CMG_GATEWAY_REQUEST_H

#include "cmg/http/message.h"
#include "gateway/gateway.h"

/* Takes the exchange: answers it, or sends it down a channel. */
void request_new(struct gateway *g, struct client *client, struct cmg_exchange *x,
                 const struct cmg_head *head);

/* A request that could not be read: fills in who refuses it, and logs it. */
void request_malformed(struct gateway *g, struct client *client, struct cmg_refusal *r);

/* Waiting requests look for a channel again. */
void request_retry_all(struct gateway *g);

/* Silence and waits that lasted too long; runs now and then while requests are there. */
void request_sweep(struct gateway *g);

#endif
