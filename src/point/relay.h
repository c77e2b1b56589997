/* SPDX-License-Identifier: MIT */
/* One request from a gateway: to its endpoint and back. */
#ifndef CMG_POINT_RELAY_H
#define CMG_POINT_RELAY_H

#include "point/point.h"

/* Takes the exchange: answers it, or joins it to one with its endpoint. What the gateway has
 * checked is checked again: a gateway that was broken into must not reach more than is
 * published. */
void relay_new(struct point *p, struct cmg_channel *channel, struct cmg_exchange *x,
               const struct cmg_head *head);

/* Of a connection point that drains: requests without an answer are told to come again, when
 * nothing else is left to wait for; `now_or_never`: in any case. Those that no endpoint has seen go
 * back to the gateway, which may send them to another connection point. */
void relay_drain(struct point *p, bool now_or_never);
/* Bytes of request bodies kept for a connection to come, or for a repeat. Walks over the requests
 * in flight. */
size_t relay_held_bytes(const struct point *p);

#endif
