/* SPDX-License-Identifier: MIT */
/* How much one address and one client may ask for, and how often they may fail to prove who they
 * are. Keys of addresses are the IPv4 address or the /64 of IPv6. */
#ifndef CMG_GATEWAY_THROTTLE_H
#define CMG_GATEWAY_THROTTLE_H

#include "cmg/auth/identity.h"
#include "gateway/options.h"

struct throttle;

struct throttle *throttle_new(const struct gateway_conf *conf);
void throttle_free(struct throttle *t);
void throttle_use(struct throttle *t, const struct gateway_conf *conf); /* other rates */

/* Before anything is verified: one request of that address. `credential` identifies what the client
 * shows (a digest; may be empty), so that one bad token from many addresses is bounded as well.
 * 0: go on. Else how many seconds to wait, and *why for the refusal and the log. */
unsigned throttle_request(struct throttle *t, const char *address, struct cmg_str credential,
                          int64_t now_ms, const char **why);
/* One request of an identified client. */
unsigned throttle_identity(struct throttle *t, const struct cmg_identity *who, int64_t now_ms,
                           const char **why);
/* It did not prove who it is. */
void throttle_failed(struct throttle *t, const char *address, struct cmg_str credential,
                     int64_t now_ms);

#endif
