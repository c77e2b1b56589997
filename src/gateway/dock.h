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

/* To look at: NULL begins, NULL ends. */
struct channel;
const struct channel *dock_next(const struct gateway *g, const struct channel *after);

enum channel_state { CHANNEL_ARRIVING, CHANNEL_UP, CHANNEL_DRAINING };
extern const char *const channel_state_names[]; /* "arriving", "up", "draining" */

struct channel_view {
    struct member *member; /* NULL: not admitted, or not known yet */
    enum cmg_road road;
    enum channel_state state;
    bool haproxy;
    const char *peer, *connection_id, *version; /* "": not told */
    int64_t since;           /* up, seconds since 1970; 0: not yet                   */
    int64_t certificate_end; /* of its client certificate; 0: not known              */
    int64_t rtt_us;          /* of the last PING, which only idle channels send; -1: none yet */
    unsigned load, max_load; /* requests in flight */
    size_t buffered;         /* bytes that it holds */
};
void channel_show(const struct channel *c, struct channel_view *out);

/* After a reload: turns away whoever is no longer admitted, or greeted as of another site. */
void dock_review(struct gateway *g);

#endif
