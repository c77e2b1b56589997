/* SPDX-License-Identifier: MIT */
/* Clients' connections, and what is known of each client. */
#ifndef CMG_GATEWAY_FRONT_H
#define CMG_GATEWAY_FRONT_H

#include "gateway/gateway.h"

/* Which door a connection came through. */
enum door {
    DOOR_CLIENTS, /* 443: clients, and channels that upgrade         */
    DOOR_CHANNELS /* 10124+: channels that upgrade; nothing else     */
};

/* Takes an accepted socket and its slot in the listener. */
void front_accept(struct gateway *g, enum door door, struct cmg_listener *listener, int fd_taken,
                  void *slot);

/* Handshakes have ended: those that wait for it begin theirs. */
void front_next_handshakes(struct gateway *g);

/* Bytes that clients' connections hold. Walks over all of them: for whoever looks now and then. */
size_t front_buffered(const struct gateway *g);
unsigned front_queued(const struct gateway *g); /* accepted, their handshake not begun */

/* Requests in flight finish, then each connection closes. */
void front_drain(struct gateway *g);
/* Cuts all of them. */
void front_close(struct gateway *g);

/* What this connection has proved so far, for identify.c. */
struct proofs;
struct throttle_address;
struct proofs *client_proofs(struct client *c);
struct ssl_st *client_ssl(const struct client *c);

/* Value of the field that tells those behind us where the client is (RFC 7239). */
const char *client_forwarded(const struct client *c);

const char *client_address(const struct client *c); /* without the port */
const char *client_peer(const struct client *c);    /* with it          */
bool client_is_h2(const struct client *c);
const struct throttle_address *client_throttle(const struct client *c);
enum door client_door(const struct client *c);
/* Why an upgrade to a channel was refused on this connection; "" when none was. */
const char *client_upgrade_refusal(const struct client *c);

#endif
