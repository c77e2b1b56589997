/* SPDX-License-Identifier: MIT */
/* How much one address and one client may ask for, and how often they may fail to prove who they
 * are. */
#ifndef CMG_GATEWAY_THROTTLE_H
#define CMG_GATEWAY_THROTTLE_H

#include "cmg/auth/identity.h"
#include "gateway/options.h"

struct throttle;

struct throttle *throttle_new(const struct gateway_conf *conf);
void throttle_free(struct throttle *t);
void throttle_use(struct throttle *t, const struct gateway_conf *conf); /* other rates */

/* What one subscriber has: an IPv4 address or an IPv6 /64. Worked out once for a connection. */
struct throttle_address {
    unsigned char bytes[16];
    unsigned char n;
};
/* "203.0.113.7", "[2001:db8::7]:51234": with and without port and brackets. */
struct throttle_address throttle_address(const char *text);

/* One request of that address. 0: go on. Else how many seconds to wait, and *why for the refusal
 * and the log. */
unsigned throttle_request(struct throttle *t, const struct throttle_address *from, int64_t now_ms,
                          const char **why);
/* Before something that a client shows is verified: whether its address or the credential itself
 * (a token, a fingerprint; may be empty) has failed too often of late. Takes nothing. */
unsigned throttle_credential(const struct throttle *t, const struct throttle_address *from,
                             struct cmg_str credential, int64_t now_ms, const char **why);
/* One request of an identified client. */
unsigned throttle_identity(struct throttle *t, const struct cmg_identity *who, int64_t now_ms,
                           const char **why);
/* It did not prove who it is. */
void throttle_failed(struct throttle *t, const struct throttle_address *from,
                     struct cmg_str credential, int64_t now_ms);

#endif
