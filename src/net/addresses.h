/* SPDX-License-Identifier: MIT */
/* Who holds how many connections, and how fast new ones come: one entry an address (IPv6: a
 * /64, which is what one subscriber has). Bounded: an entry lives while its connections do
 * and a few seconds more, and the oldest idle ones go when strangers crowd in. */
#ifndef CMG_NET_ADDRESSES_H
#define CMG_NET_ADDRESSES_H

#include <stdint.h>
#include <sys/socket.h>

struct cmg_address; /* an entry with at least one connection: a slot */
struct cmg_addresses;

/* 0 means any for each of the limits. `idle_max`: entries kept without a connection. */
struct cmg_addresses *cmg_addresses_new(unsigned max_each, unsigned rate, unsigned idle_max);

/* Other values; what is known of each address stays. */
void cmg_addresses_limit(struct cmg_addresses *t, unsigned max_each, unsigned rate);
void cmg_addresses_free(struct cmg_addresses *t);

enum cmg_addresses_answer { CMG_ADDRESS_OK, CMG_ADDRESS_TOO_MANY, CMG_ADDRESS_TOO_FAST };

/* CMG_ADDRESS_OK: *slot must be given back. Peers that are not on IP share one entry. */
enum cmg_addresses_answer cmg_addresses_take(struct cmg_addresses *t, const struct sockaddr *from,
                                             int64_t now_ms, struct cmg_address **slot);
void cmg_addresses_give_back(struct cmg_addresses *t, struct cmg_address *slot, int64_t now_ms);

/* Entries, with and without connections. */
unsigned cmg_addresses_count(const struct cmg_addresses *t);

#endif
