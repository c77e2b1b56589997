/* SPDX-License-Identifier: MIT */
/* Where channels of connection points come in: admission, HTTP/2 in the client role, greeting. */
#ifndef CMG_GATEWAY_DOCK_H
#define CMG_GATEWAY_DOCK_H

#include "cmg/channel/plan.h"
#include "gateway/gateway.h"

struct dock *dock_new(struct gateway *g);
void dock_free(struct dock *d);

/* TCP-TLS: takes an accepted socket; TLS asks for the certificate. */
void dock_accept(struct gateway *g, struct cmg_listener *listener, int fd_taken, void *slot);

/* Who is at the other end of this connection: a member, or NULL with the reason. */
struct member *dock_admit(struct gateway *g, struct ssl_st *ssl, struct cmg_err *err);

/* HTTPS: takes a stream whose upgrade was just accepted, and its slot in the listener. */
void dock_upgraded(struct gateway *g, struct cmg_listener *listener, void *slot,
                   struct cmg_stream *taken, struct member *member);

/* Channels finish what is in flight, then close. */
void dock_drain(struct gateway *g);
void dock_close(struct gateway *g);
unsigned dock_channels(const struct gateway *g);

/* After a reload: turns away whoever is no longer admitted, or greeted as of another site. */
void dock_review(struct gateway *g);

#endif
