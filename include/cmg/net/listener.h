/* SPDX-License-Identifier: MIT */
/* A listening socket. Accepts in batches; stops accepting while `max` of its
 * connections are alive, and refuses an address that holds more than its share. */
#ifndef CMG_NET_LISTENER_H
#define CMG_NET_LISTENER_H

#include <stdint.h>

#include "cmg/base/err.h"

struct cmg_listener;
struct cmg_loop;

struct cmg_listener_conf {
    const char *address; /* "0.0.0.0", "::" (IPv6 only), "127.0.0.1", a name's first address */
    uint16_t port;
    int fd;       /* >= 0: an inherited listening socket (sd_listen_fds), taken; else -1 */
    unsigned max; /* connections alive at once; the next ones wait in the kernel    */
    unsigned max_per_address;  /* of IPv6: per /64; 0: any                                  */
    unsigned rate_per_address; /* accepted per second and address, burst of 4 x that; 0: any */
};

/* on_accept gets a connected non-blocking socket with TCP_NODELAY, which it now owns, and a
 * slot that it must give back with cmg_listener_release when the connection is gone. */
struct cmg_listener *cmg_listener_new(struct cmg_loop *l, const struct cmg_listener_conf *conf,
                                      void (*on_accept)(void *arg, int fd_taken, void *slot),
                                      void *arg, struct cmg_err *err);
/* Other limits (max, max_per_address, rate_per_address), in force from the next connection. */
void cmg_listener_limit(struct cmg_listener *l, const struct cmg_listener_conf *conf);
void cmg_listener_release(struct cmg_listener *l, void *slot);
uint16_t cmg_listener_port(const struct cmg_listener *l); /* the one bound, when 0 was asked */
void cmg_listener_pause(struct cmg_listener *l); /* closes the door for good, keeps the slots */
/* The same, but who waits before the door is accepted first, as far as the limits let it: the
 * kernel has let it in already, and would reset it. Not from inside on_accept. */
void cmg_listener_finish(struct cmg_listener *l);
void cmg_listener_free(struct cmg_listener *l); /* after all slots are back; NULL is ignored */

#endif
