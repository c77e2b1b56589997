/* SPDX-License-Identifier: MIT */
#include "gateway/front.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "cmg/proto/path.h"
#include "gateway/dock.h"
#include "gateway/request.h"

struct client {
    struct gateway *gateway; /* borrowed */
    enum door door;
    struct cmg_listener *listener; /* borrowed; NULL once the slot was handed on */
    void *slot;
    struct cmg_stream *stream; /* owned until a connection took it; then borrowed */
    struct cmg_h1conn *h1;
    struct cmg_h2conn *h2;
    TAILQ_ENTRY(client) entry;
    char peer[64], address[64], forwarded[96];
    char *upgrade_refusal; /* owned */

    struct judgement *judgement; /* owned; NULL until somebody asks */
};

struct judgement {
    bool good;
    unsigned generation;
    struct cmg_tls_identity id;
    char identity[256];
    struct cmg_err why;
};

static void client_free(struct client *c)
{
    struct gateway *g = c->gateway;
    TAILQ_REMOVE(&g->clients, c, entry);
    g->nclients--;
    if (c->listener)
        cmg_listener_release(c->listener, c->slot);
    free(c->upgrade_refusal);
    free(c->judgement);
    free(c);
    gateway_check_drained(g);
}

/* HTTP ---------------------------------------------------------------------------------- */

static void on_exchange(void *arg, struct cmg_exchange *x, const struct cmg_head *head)
{
    struct client *c = arg;
    request_new(c->gateway, c, x, head);
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
    request_malformed(c->gateway, c, r);
}

static void refuse_upgrade(struct client *c, const struct cmg_err *err)
{
    free(c->upgrade_refusal);
    c->upgrade_refusal = cmg_strdup(err->text);
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

static void on_open(void *arg)
{
    struct client *c = arg;
    struct gateway *g = c->gateway;
    char alpn[16];
    cmg_tls_alpn(cmg_stream_ssl(c->stream), alpn, sizeof(alpn));
    if (!strcmp(alpn, "h2"))
        c->h2 = cmg_h2conn_new(g->loop, c->stream, &g->h2_conf, &h2_events, c);
    else
        c->h1 = cmg_h1conn_serve(g->loop, c->stream, &g->h1_conf, &h1_events, c);
    if (g->draining)
        drain(c);
}

static void on_stream_closed(void *arg, enum cmg_close_reason why, const char *detail)
{
    struct client *c = arg;
    (void)why;
    if (c->door == DOOR_CHANNELS)
        log_warn("channel.refused", KV("road", "https"), KV("peer", c->peer), KV("why", detail));
    else
        log_info("client.handshake_failed", KV("peer", c->peer), KV("why", detail));
    client_free(c);
}

static const struct cmg_stream_events handshake_events = {
    .on_open = on_open,
    .on_closed = on_stream_closed,
};

static void set_addresses(struct client *c)
{
    snprintf(c->peer, sizeof(c->peer), "%s", cmg_stream_peer(c->stream));
    const char *from = c->peer[0] == '[' ? c->peer + 1 : c->peer;
    const char *end = c->peer[0] == '[' ? strchr(c->peer, ']') : strrchr(c->peer, ':');
    snprintf(c->address, sizeof(c->address), "%.*s", end ? (int)(end - from) : 0, from);
    snprintf(c->forwarded, sizeof(c->forwarded),
             c->peer[0] == '[' ? "for=\"[%s]\";proto=https" : "for=%s;proto=https", c->address);
}

void front_accept(struct gateway *g, enum door door, struct cmg_listener *listener, int fd_taken,
                  void *slot)
{
    struct client *c = cmg_alloc(sizeof(*c));
    c->gateway = g;
    c->door = door;
    c->listener = listener;
    c->slot = slot;
    TAILQ_INSERT_TAIL(&g->clients, c, entry);
    g->nclients++;
    bool clients = door == DOOR_CLIENTS;
    c->stream = cmg_stream_new(
        g->loop, fd_taken, clients ? g->client_tls : g->upgrade_tls, NULL,
        (unsigned)(clients ? g->conf->clients.handshake_ms : g->conf->channel.handshake_ms),
        &handshake_events, c);
    set_addresses(c);
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

/* Who it is ----------------------------------------------------------------------------- */

/* Only what is safe in a quoted string of a field goes in. */
static void put_identity(struct judgement *j)
{
    char name[128];
    size_t n = 0;
    for (const char *c = j->id.name; *c && n < sizeof(name) - 1; c++)
        name[n++] = *c < ' ' || *c > '~' || *c == '"' || *c == '\\' ? '_' : *c;
    name[n] = '\0';
    snprintf(j->identity, sizeof(j->identity), "certificate; name=\"%s\"; sha256=%s", name,
             j->id.fingerprint);
}

static void judge(struct client *c)
{
    struct gateway *g = c->gateway;
    if (!c->judgement)
        c->judgement = cmg_alloc(sizeof(*c->judgement));
    struct judgement *j = c->judgement;
    j->generation = g->generation;
    j->id = (struct cmg_tls_identity){ .name = "" };
    j->good = cmg_tls_peer_judge(cmg_stream_ssl(c->stream), g->client_trust, CMG_TLS_CLIENT_AUTH,
                                 &j->id, &j->why) == CMG_OK;
    put_identity(j);
    if (j->good)
        return;
    if (!j->id.fingerprint[0])
        j->why.code = CMG_ECONF; /* there was none to judge */
    log_info("client.certificate_refused", KV("peer", c->peer), KV("subject", j->id.subject),
             KV("issuer", j->id.issuer), KV("why", j->why.text));
}

bool client_certificate(struct client *c, const struct cmg_tls_identity **id,
                        const struct cmg_err **why)
{
    struct judgement *j = c->judgement;
    if (!j || j->generation != c->gateway->generation ||
        (j->good && cmg_clock_unix() > j->id.not_after)) {
        judge(c);
        j = c->judgement;
    }
    *id = &j->id;
    *why = &j->why;
    return j->good;
}

const char *client_forwarded(const struct client *c)
{
    return c->forwarded;
}

const char *client_identity(const struct client *c)
{
    return c->judgement ? c->judgement->identity : "";
}

const char *client_address(const struct client *c)
{
    return c->address;
}

const char *client_peer(const struct client *c)
{
    return c->peer;
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
