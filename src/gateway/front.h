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

/* Requests in flight finish, then each connection closes. */
void front_drain(struct gateway *g);
/* Cuts all of them. */
void front_close(struct gateway *g);

/* The client's certificate as judged against the configured roots. False: *why says which
 * check failed; why->code is CMG_EDENIED, and CMG_ECONF when there is no certificate. Judged
 * once a connection, and again after a reload or at the end of its validity. */
bool client_certificate(struct client *c, const struct cmg_tls_identity **id,
                        const struct cmg_err **why);

/* Values of the fields that tell those behind us about this client: put together once a
 * connection. The identity is that of the last good judgement. */
const char *client_forwarded(const struct client *c); /* RFC 7239 */
const char *client_identity(const struct client *c);  /* how it was verified, then what */

const char *client_address(const struct client *c); /* without the port */
const char *client_peer(const struct client *c);    /* with it          */
bool client_is_h2(const struct client *c);
enum door client_door(const struct client *c);
/* Why an upgrade to a channel was refused on this connection; "" when none was. */
const char *client_upgrade_refusal(const struct client *c);

#endif
