/* SPDX-License-Identifier: MIT */
#include "gateway/front.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "gateway/arrival.h"
#include "gateway/dock.h"
#include "gateway/identify.h"
#include "gateway/throttle.h"

struct client {
    struct gateway *gateway; /* borrowed */
    enum door door;
    struct cmg_listener *listener; /* borrowed; NULL once the slot was handed on */
    void *slot;
    struct cmg_stream *stream; /* owned until a connection took it; then borrowed */
    struct cmg_h1conn *h1;
    struct cmg_h2conn *h2;
    enum { CLIENT_QUEUED, CLIENT_SHAKING, CLIENT_OPEN } state;
    int fd;                    /* owned while queued, else -1 */
    TAILQ_ENTRY(client) entry; /* of the gateway's queue, else of its clients */
    char peer[64], address[64], forwarded[96];
    struct throttle_address from;
    char *upgrade_refusal; /* owned */

    struct proofs *proofs; /* owned; NULL until somebody asks */
};

static void handshake_over(struct client *c)
{
    struct gateway *g = c->gateway;
    if (c->state != CLIENT_SHAKING)
        return;
    c->state = CLIENT_OPEN;
    if (c->door == DOOR_CHANNELS)
        return;
    g->nhandshakes--;
    if (!TAILQ_EMPTY(&g->queue))
        cmg_loop_defer(g->loop, &g->next_handshake);
}

/* `more`: 1 begins, -1 ends. */
static void count_connection(const struct client *c, int more)
{
    struct tally *t = &c->gateway->tally;
    enum tally_http http = c->h2 ? TALLY_HTTP2 : TALLY_HTTP1;
    if (c->door != DOOR_CLIENTS || (!c->h1 && !c->h2))
        return;
    t->connections[http].all += more > 0;
    t->connections[http].open += (unsigned)more;
}

static void client_free(struct client *c)
{
    struct gateway *g = c->gateway;
    handshake_over(c);
    TAILQ_REMOVE(c->state == CLIENT_QUEUED ? &g->queue : &g->clients, c, entry);
    if (c->fd >= 0)
        close(c->fd);
    g->nclients--;
    if (c->listener)
        cmg_listener_release(c->listener, c->slot);
    count_connection(c, -1);
    free(c->upgrade_refusal);
    proofs_free(c->proofs);
    free(c);
    gateway_check_drained(g);
}

/* HTTP ---------------------------------------------------------------------------------- */

static void on_exchange(void *arg, struct cmg_exchange *x, const struct cmg_head *head)
{
    struct client *c = arg;
    arrival_new(c->gateway, c, x, head);
}

static void on_connection_closed(void *arg, const char *detail)
{
    struct client *c = arg;
    log_debug("client.closed", KV("peer", c->peer), KV("why", detail));
    client_free(c);
}

static void on_malformed(void *arg, struct cmg_refusal *r)
{
    struct client *c = arg;
    arrival_malformed(c->gateway, c, r);
}

static void refuse_upgrade(struct client *c, const struct cmg_err *err)
{
    free(c->upgrade_refusal);
    c->upgrade_refusal = cmg_strdup(err->text);
    c->gateway->tally.channels_refused++;
    log_warn("channel.refused", KV("road", "https"), KV("peer", c->peer), KV("why", err->text));
}

/* A channel on the HTTPS road. Whoever is not admitted gets an ordinary refusal. */
static bool on_upgrade(void *arg, const struct cmg_h1_msg *msg)
{
    struct client *c = arg;
    struct cmg_err err;
    if (!cmg_str_ieq(msg->upgrade, CMG_STR(CMG_WIRE_UPGRADE)) ||
        !cmg_str_istarts(msg->head.target, CMG_STR(CMG_WIRE_UPGRADE_PATH)))
        return false;
    struct member *m = dock_admit(c->gateway, cmg_stream_ssl(c->stream), &err);
    if (!m) {
        refuse_upgrade(c, &err);
        return false;
    }
    struct cmg_stream *s = cmg_h1conn_release(c->h1);
    cmg_stream_tally(s, NULL, NULL); /* no client's any more */
    static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                   "Connection: Upgrade\r\n"
                                   "Upgrade: " CMG_WIRE_UPGRADE "\r\n"
                                   "ALPN: h2\r\n\r\n";
    if (cmg_buf_put(cmg_stream_out(s), cmg_str(accepted)) != CMG_OK)
        abort();
    dock_upgraded(c->gateway, c->listener, c->slot, s, m);
    c->listener = NULL;
    client_free(c);
    return true;
}

static const struct cmg_h1server_events h1_events = {
    .on_exchange = on_exchange,
    .on_upgrade = on_upgrade,
    .on_malformed = on_malformed,
    .on_closed = on_connection_closed,
};

static const struct cmg_h2conn_events h2_events = {
    .on_exchange = on_exchange,
    .on_malformed = on_malformed,
    .on_closed = on_connection_closed,
};

/* TLS ----------------------------------------------------------------------------------- */

/* Connections that are still shaking hands come here once they are open. */
static void drain(struct client *c)
{
    if (c->h1)
        cmg_h1conn_drain(c->h1);
    else if (c->h2)
        cmg_h2conn_drain(c->h2, c->gateway->conf->gateway.drain_ms);
}

static void count_open(const struct client *c)
{
    struct tally *t = &c->gateway->tally;
    struct ssl_st *ssl = cmg_stream_ssl(c->stream);
    t->handshakes.done++;
    t->handshakes.resumed += cmg_tls_resumed(ssl);
    t->handshakes.by_tls[cmg_tls_version(ssl)]++;
    cmg_stream_tally(c->stream, &t->sent_bytes, &t->got_bytes);
}

static void on_open(void *arg)
{
    struct client *c = arg;
    struct gateway *g = c->gateway;
    char alpn[16];
    handshake_over(c);
    if (c->door == DOOR_CLIENTS)
        count_open(c);
    cmg_tls_alpn(cmg_stream_ssl(c->stream), alpn, sizeof(alpn));
    if (!strcmp(alpn, "h2"))
        c->h2 = cmg_h2conn_new(g->loop, c->stream, &g->h2_conf, &h2_events, c);
    else
        c->h1 = cmg_h1conn_serve(g->loop, c->stream, &g->h1_conf, &h1_events, c);
    count_connection(c, 1);
    if (g->draining)
        drain(c);
}

static void on_stream_closed(void *arg, enum cmg_close_reason why, const char *detail)
{
    struct client *c = arg;
    (void)why;
    if (c->door == DOOR_CHANNELS) {
        c->gateway->tally.channels_refused++;
        log_warn("channel.refused", KV("road", "https"), KV("peer", c->peer), KV("why", detail));
    } else {
        c->gateway->tally.handshakes.failed++;
        log_info("client.handshake_failed", KV("peer", c->peer), KV("why", detail));
    }
    client_free(c);
}

static const struct cmg_stream_events handshake_events = {
    .on_open = on_open,
    .on_closed = on_stream_closed,
};

static void set_addresses(struct client *c)
{
    c->from = throttle_address(cmg_stream_peer(c->stream));
    snprintf(c->peer, sizeof(c->peer), "%s", cmg_stream_peer(c->stream));
    const char *from = c->peer[0] == '[' ? c->peer + 1 : c->peer;
    const char *end = c->peer[0] == '[' ? strchr(c->peer, ']') : strrchr(c->peer, ':');
    snprintf(c->address, sizeof(c->address), "%.*s", end ? (int)(end - from) : 0, from);
    snprintf(c->forwarded, sizeof(c->forwarded),
             c->peer[0] == '[' ? "for=\"[%s]\";proto=https" : "for=%s;proto=https", c->address);
}

static void shake_hands(struct client *c)
{
    struct gateway *g = c->gateway;
    bool clients = c->door == DOOR_CLIENTS;
    int fd_taken = c->fd;
    c->fd = -1;
    c->state = CLIENT_SHAKING;
    g->nhandshakes += clients;
    TAILQ_INSERT_TAIL(&g->clients, c, entry);
    c->stream = cmg_stream_new(
        g->loop, fd_taken, clients ? g->client_tls : g->upgrade_tls, NULL,
        (unsigned)(clients ? g->conf->clients.handshake_ms : g->conf->channel.handshake_ms),
        &handshake_events, c);
    set_addresses(c);
}

/* A handshake costs more than anything else that a stranger can ask for: no more than so many
 * are under way. Channels have a door, and limits, of their own. */
static bool may_shake_hands(const struct gateway *g)
{
    return (int64_t)g->nhandshakes < g->conf->throttle.handshakes;
}

void front_accept(struct gateway *g, enum door door, struct cmg_listener *listener, int fd_taken,
                  void *slot)
{
    struct client *c = cmg_alloc(sizeof(*c));
    c->gateway = g;
    c->door = door;
    c->listener = listener;
    c->slot = slot;
    c->fd = fd_taken;
    g->nclients++;
    if (door == DOOR_CHANNELS || (TAILQ_EMPTY(&g->queue) && may_shake_hands(g))) {
        shake_hands(c);
        return;
    }
    c->state = CLIENT_QUEUED;
    TAILQ_INSERT_TAIL(&g->queue, c, entry);
}

void front_next_handshakes(struct gateway *g)
{
    struct client *c;
    while ((c = TAILQ_FIRST(&g->queue)) && may_shake_hands(g)) {
        TAILQ_REMOVE(&g->queue, c, entry);
        shake_hands(c);
    }
}

/* Nothing has been said on these yet. */
static void drop_queue(struct gateway *g)
{
    struct client *c;
    while ((c = TAILQ_FIRST(&g->queue)))
        client_free(c);
}

void front_drain(struct gateway *g)
{
    struct client *c, *next;
    for (c = TAILQ_FIRST(&g->clients); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        drain(c);
    }
}

void front_close(struct gateway *g)
{
    struct client *c, *next;
    drop_queue(g);
    for (c = TAILQ_FIRST(&g->clients); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->h1)
            cmg_h1conn_close(c->h1);
        else if (c->h2)
            cmg_h2conn_close(c->h2);
        else
            cmg_stream_close(c->stream, 0);
    }
}

/* To look at ---------------------------------------------------------------------------- */

size_t front_buffered(const struct gateway *g)
{
    const struct client *c;
    size_t n = 0;
    TAILQ_FOREACH(c, &g->clients, entry)
    n += c->h1   ? cmg_h1conn_buffered(c->h1)
         : c->h2 ? cmg_h2conn_buffered(c->h2)
                 : cmg_stream_buffered(c->stream);
    return n;
}

unsigned front_queued(const struct gateway *g)
{
    const struct client *c;
    unsigned n = 0;
    TAILQ_FOREACH(c, &g->queue, entry)
    n++;
    return n;
}

/* Who it is ----------------------------------------------------------------------------- */

struct proofs *client_proofs(struct client *c)
{
    if (!c->proofs)
        c->proofs = proofs_new();
    return c->proofs;
}

struct ssl_st *client_ssl(const struct client *c)
{
    return cmg_stream_ssl(c->stream);
}

const char *client_forwarded(const struct client *c)
{
    return c->forwarded;
}

const char *client_address(const struct client *c)
{
    return c->address;
}

const char *client_peer(const struct client *c)
{
    return c->peer;
}

const struct throttle_address *client_throttle(const struct client *c)
{
    return &c->from;
}

bool client_is_h2(const struct client *c)
{
    return c->h2 != NULL;
}

enum door client_door(const struct client *c)
{
    return c->door;
}

const char *client_upgrade_refusal(const struct client *c)
{
    return c->upgrade_refusal ? c->upgrade_refusal : "";
}
