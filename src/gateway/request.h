/* SPDX-License-Identifier: MIT */
/* A request that is not answered at once, from its arrival to its access event: it waits for its
 * client to be identified, for blob storage or for a channel, or it is on its way through one. */
#ifndef CMG_GATEWAY_REQUEST_H
#define CMG_GATEWAY_REQUEST_H

#include "cmg/auth/content_token.h"
#include "gateway/arrival.h"
#include "gateway/gateway.h"

/* Sends it down a channel. */
void request_relay(const struct arrival *a, const struct identification *by);
/* Waits until its client can be identified. */
void request_park(const struct arrival *a);
/* Asks blob storage. */
void request_content(const struct arrival *a, const struct cmg_identity *who,
                     const struct cmg_content_token *token);

/* Waiting requests look for a channel again. */
void request_retry_all(struct gateway *g);
/* Keys or lists have come, or failed to: parked requests are identified again. */
void request_identify_all(struct gateway *g);

/* Of a gateway that drains: requests without an answer are told to come again, when nothing else is
 * left to wait for, or its time is nearly up. */
void request_drain(struct gateway *g);
/* Bytes of bodies that are kept for a repeat, or until there is a channel. Walks over them all. */
size_t request_held_bytes(const struct gateway *g);

/* Silence and waits that lasted too long; runs now and then while requests are there. */
void request_sweep(struct gateway *g);

#endif
