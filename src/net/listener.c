/* SPDX-License-Identifier: MIT */
#include "cmg/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "addresses.h"
#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/net/loop.h"

enum {
    BATCH = 64,      /* accepted per readiness, then others get their turn */
    REST_MS = 100,   /* when there are no descriptors left                 */
    LOG_MS = 1000,   /* one event of a kind in this time                   */
    IDLE_MAX = 16384 /* addresses remembered without a connection          */
};

/* An event that a peer can provoke at will: said now and then, with how often it was not. */
struct seldom {
    int64_t next_ms;
    uint64_t unsaid;
};

struct cmg_listener {
    struct cmg_loop *loop; /* borrowed */
    void (*on_accept)(void *arg, int fd_taken, void *slot);
    void *arg;
    int fd; /* owned; -1 once paused */
    uint16_t port;
    unsigned max, alive;
    struct cmg_addresses *addresses; /* owned */
    struct cmg_watch *watch;         /* owned; NULL once paused */
    struct cmg_timer *rest;          /* owned; armed: out of descriptors */
    bool starved;                    /* said so, and nothing was accepted since */
    struct seldom refused, full;
    char name[80]; /* "127.0.0.1:443", for events */
};

static void set_wants(struct cmg_listener *l)
{
    if (l->watch)
        cmg_watch_want(l->watch, l->alive < l->max && !cmg_timer_armed(l->rest), false);
}

static bool say_now(struct cmg_listener *l, struct seldom *s)
{
    int64_t now_ms = cmg_loop_now_ms(l->loop);
    if (now_ms < s->next_ms) {
        s->unsaid++;
        return false;
    }
    s->next_ms = now_ms + LOG_MS;
    return true;
}

/* ---- accepting ---- */

/* A reset frees our side at once; a polite close would leave it in TIME_WAIT. */
static void turn_away(int fd)
{
    const struct linger reset = { 1, 0 };
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
}

static void log_refused(struct cmg_listener *l, const struct sockaddr *from, socklen_t n,
                        const char *why)
{
    char host[64] = "";
    if (!say_now(l, &l->refused))
        return;
    (void)getnameinfo(from, n, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
    log_warn("listener.refused", KV("listener", l->name), KV("address", host), KV("why", why),
             KV("unsaid", l->refused.unsaid));
    l->refused.unsaid = 0;
}

static void on_connection(struct cmg_listener *l, int fd, const struct sockaddr *from, socklen_t n)
{
    struct cmg_address *slot = NULL;
    switch (cmg_addresses_take(l->addresses, from, cmg_loop_now_ms(l->loop), &slot)) {
    case CMG_ADDRESS_OK:
        l->alive++;
        l->on_accept(l->arg, fd, slot);
        return;
    case CMG_ADDRESS_TOO_MANY:
        log_refused(l, from, n, "too many connections from this address");
        break;
    case CMG_ADDRESS_TOO_FAST:
        log_refused(l, from, n, "new connections from this address come too fast");
        break;
    }
    turn_away(fd);
}

/* Nothing was taken from the queue, so it stays readable: wait, or the loop would spin. */
static void rest(struct cmg_listener *l)
{
    if (!l->starved)
        log_error("listener.starved", KV("listener", l->name), KV("why", strerror(errno)),
                  KV("alive", l->alive));
    l->starved = true;
    cmg_timer_set(l->rest, REST_MS);
}

static bool out_of_something(int why)
{
    return why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM;
}

/* True: more may wait. */
static bool accept_batch(struct cmg_listener *l)
{
    for (unsigned i = 0; i < BATCH && l->watch && l->alive < l->max; i++) {
        struct sockaddr_storage from = { 0 };
        socklen_t n = sizeof(from);
        int fd = accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            l->starved = false;
            on_connection(l, fd, (struct sockaddr *)&from, n);
            continue;
        }
        if (out_of_something(errno))
            rest(l);
        if (errno == EAGAIN || errno == EWOULDBLOCK || cmg_timer_armed(l->rest))
            return false; /* any other error is that connection's own, which is gone */
    }
    return l->watch && l->alive < l->max;
}

static void on_ready(void *arg, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct cmg_listener *l = arg;
    (void)accept_batch(l);
    if (l->watch && l->alive >= l->max && say_now(l, &l->full)) {
        log_warn("listener.full", KV("listener", l->name), KV("alive", l->alive),
                 KV("unsaid", l->full.unsaid));
        l->full.unsaid = 0;
    }
    set_wants(l);
}

static void on_rested(void *arg)
{
    set_wants(arg);
}

/* ---- opening ---- */

static int cannot_listen(const char *address, uint16_t port, const char *why, struct cmg_err *err)
{
    const char *hint = "";
    if (errno == EACCES)
        hint = " (ports below 1024 need CAP_NET_BIND_SERVICE)";
    else if (errno == EADDRINUSE)
        hint = " (another program, or another section of this configuration, holds it)";
    else if (errno == EADDRNOTAVAIL)
        hint = " (no interface has this address)";
    cmg_fail(err, CMG_ECONF, "cannot listen on %s port %u: %s%s", address, port, why, hint);
    return -1;
}

static int open_at(const struct addrinfo *at, const struct cmg_listener_conf *conf,
                   struct cmg_err *err)
{
    const int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
        (at->ai_family != AF_INET6 ||
         !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))) &&
        !bind(fd, at->ai_addr, at->ai_addrlen) && !listen(fd, SOMAXCONN))
        return fd;

    cannot_listen(conf->address, conf->port, strerror(errno), err);
    if (fd >= 0)
        close(fd);
    return -1;
}

static int open_socket(const struct cmg_listener_conf *conf, struct cmg_err *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct addrinfo *found = NULL;
    char port[8];

    snprintf(port, sizeof(port), "%u", conf->port);
    int rc = getaddrinfo(conf->address, port, &hints, &found);
    if (rc != 0) {
        errno = 0;
        return cannot_listen(conf->address, conf->port, gai_strerror(rc), err);
    }
    int fd = open_at(found, conf, err);
    freeaddrinfo(found);
    return fd;
}

/* Whoever passed it may not have set the flags. */
static int inherit(int fd, struct cmg_err *err)
{
    int listening = 0;
    socklen_t n = sizeof(listening);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) || !listening) {
        cmg_fail(err, CMG_ECONF, "inherited descriptor %d is not a listening socket", fd);
        return -1;
    }
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC)) {
        cmg_fail(err, CMG_ECONF, "inherited descriptor %d: %s", fd, strerror(errno));
        return -1;
    }
    return fd;
}

static void name_it(struct cmg_listener *l)
{
    struct sockaddr_storage a = { 0 };
    socklen_t n = sizeof(a);
    char host[64], port[8];

    snprintf(l->name, sizeof(l->name), "?");
    if (getsockname(l->fd, (struct sockaddr *)&a, &n))
        return;
    if (a.ss_family == AF_UNIX) {
        snprintf(l->name, sizeof(l->name), "%s", ((struct sockaddr_un *)&a)->sun_path);
        return;
    }
    if (getnameinfo((struct sockaddr *)&a, n, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return;
    snprintf(l->name, sizeof(l->name), a.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    if (a.ss_family == AF_INET6)
        l->port = ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    else
        l->port = ntohs(((struct sockaddr_in *)&a)->sin_port);
}

struct cmg_listener *cmg_listener_new(struct cmg_loop *loop, const struct cmg_listener_conf *conf,
                                      void (*on_accept)(void *arg, int fd_taken, void *slot),
                                      void *arg, struct cmg_err *err)
{
    const int on = 1;
    int fd = conf->fd >= 0 ? inherit(conf->fd, err) : open_socket(conf, err);
    if (fd < 0)
        return NULL;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* the accepted inherit it */

    struct cmg_listener *l = cmg_alloc(sizeof(*l));
    l->loop = loop;
    l->on_accept = on_accept;
    l->arg = arg;
    l->fd = fd;
    l->max = conf->max;
    l->addresses = cmg_addresses_new(conf->max_per_address, conf->rate_per_address, IDLE_MAX);
    l->watch = cmg_watch_new(loop, fd, on_ready, l);
    l->rest = cmg_timer_new(loop, on_rested, l);
    name_it(l);
    set_wants(l);
    return l;
}

/* ---- closing ---- */

void cmg_listener_limit(struct cmg_listener *l, const struct cmg_listener_conf *conf)
{
    l->max = conf->max;
    cmg_addresses_limit(l->addresses, conf->max_per_address, conf->rate_per_address);
    set_wants(l);
}

void cmg_listener_release(struct cmg_listener *l, void *slot)
{
    cmg_addresses_give_back(l->addresses, slot, cmg_loop_now_ms(l->loop));
    l->alive--;
    set_wants(l);
}

uint16_t cmg_listener_port(const struct cmg_listener *l)
{
    return l->port;
}

void cmg_listener_pause(struct cmg_listener *l)
{
    if (!l->watch)
        return;
    cmg_watch_free(l->watch);
    l->watch = NULL;
    close(l->fd);
    l->fd = -1;
    cmg_timer_stop(l->rest);
}

/* A flood that does not let the queue become empty does not hold this up. */
void cmg_listener_finish(struct cmg_listener *l)
{
    for (unsigned i = 0; i < SOMAXCONN / BATCH && l->watch && accept_batch(l); i++)
        ;
    cmg_listener_pause(l);
}

void cmg_listener_free(struct cmg_listener *l)
{
    if (!l)
        return;
    cmg_listener_pause(l);
    cmg_timer_free(l->rest);
    cmg_addresses_free(l->addresses);
    free(l);
}
