/* SPDX-License-Identifier: MIT */
/* One channel, from a stream to its end.
 *
 *              greeting asked,
 *              or HAProxy's SETTINGS
 *   GREETING ----------------------> OPEN
 *      |  |                         /  |
 *      |  +--- drain --> DRAINING <+   |
 *      |                    |          |
 *      +---- close, too late, abandoned ----> CLOSING
 *
 * It is gone when the connection is, from whatever state. HTTP/2 itself, PING and the
 * GOAWAYs of a drain are h2conn's; this file knows what the channel is for.
 */
#include "cmg/channel/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "cmg/http/h2conn.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"
#include "cmg/net/tls.h"
#include "cmg/proto/greeting.h"

/* HAProxy opens up to 100 streams before it has read what we allow, and a stream too many
 * would end the connection. */
enum { FOREIGN_STREAMS_MIN = 256, ANNOUNCED_MAX = 9999 };

enum state { GREETING, OPEN, DRAINING, CLOSING, STATES };

static const char *const state_names[STATES] = { "greeting", "open", "draining", "closing" };

#define TO(s) (1u << (s))
/* clang-format off */
static const unsigned allowed[STATES] = {
    [GREETING] = TO(OPEN) | TO(DRAINING) | TO(CLOSING),
    [OPEN]     = TO(DRAINING) | TO(CLOSING),
    [DRAINING] = TO(CLOSING),
    [CLOSING]  = 0,
};
/* clang-format on */

struct cmg_channel {
    struct cmg_loop *loop;          /* borrowed                                      */
    struct cmg_h2conn *h2;          /* owned by itself, until its on_closed          */
    struct cmg_h2conn_conf h2_conf; /* lent to h2                                    */
    struct ssl_st *ssl;             /* borrowed from h2's stream, gone after on_closed; or NULL */
    const struct cmg_channel_events *ev; /* borrowed; NULL: abandoned                     */
    void *arg;
    enum state state;
    struct cmg_timer *timer; /* owned; armed in GREETING                      */
    int64_t greeting_ms;
    char *name, *site; /* owned                                         */
    char *greeting;    /* owned; JSON of the endpoints now published    */
    char etag[40];
    struct cmg_exchange *held; /* the gateway's question for the next set; or NULL */
    struct cmg_channel_info info;
    struct cmg_err why; /* what we found wrong ourselves                 */
};

static void enter(struct cmg_channel *c, enum state to)
{
    if (!(allowed[c->state] & TO(to)))
        abort();
    log_debug("channel.state", KV("connection", c->info.connection_id),
              KV("from", state_names[c->state]), KV("to", state_names[to]));
    c->state = to;
    cmg_timer_stop(c->timer);
}

static void cut(struct cmg_channel *c)
{
    if (c->state == CLOSING)
        return;
    enter(c, CLOSING);
    cmg_h2conn_close(c->h2);
}

static void opened(struct cmg_channel *c)
{
    if (c->state != GREETING)
        return;
    enter(c, OPEN);
    if (c->ev)
        c->ev->on_open(c->arg);
}

/* Greeting ----------------------------------------------------------------------------- */

static void answer(struct cmg_channel *c, struct cmg_exchange *x, unsigned status)
{
    struct cmg_str body = status == 200 ? cmg_str(c->greeting) : CMG_STR("");
    struct cmg_field fields[4] = { { CMG_STR("cache-control"), CMG_STR("no-store") } };
    size_t n = 1;
    if (status == 405)
        fields[n++] = (struct cmg_field){ CMG_STR("allow"), CMG_STR("GET") };
    else
        fields[n++] = (struct cmg_field){ CMG_STR("etag"), cmg_str(c->etag) };
    if (status == 200)
        fields[n++] = (struct cmg_field){ CMG_STR("content-type"), CMG_STR("application/json") };

    const struct cmg_head head = {
        .status = status,
        .fields = fields,
        .nfields = n,
        .length = status == 304 ? -1 : (int64_t)body.n,
        .end = body.n == 0,
    };
    if (x->ops->head(x, &head) != CMG_OK) {
        x->ops->abort(x);
        return;
    }
    if (body.n) {
        (void)x->ops->body(x, body); /* bounded by the configuration, and taken in any case */
        x->ops->end(x, NULL, 0);
    }
}

static void release_held(struct cmg_channel *c, unsigned status)
{
    struct cmg_exchange *x = c->held;
    c->held = NULL;
    if (x)
        answer(c, x, status);
}

static void on_held_body(void *arg, struct cmg_str bytes)
{
    (void)arg, (void)bytes; /* a GET has nothing to say here */
}

static void on_held_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    (void)arg, (void)trailers, (void)n;
}

static void on_held_room(void *arg)
{
    (void)arg;
}

static void on_held_gone(void *arg, const struct cmg_fault *why)
{
    (void)why;
    struct cmg_channel *c = arg;
    c->held = NULL;
}

/* At most one question is held: a second one means that the gateway lost interest in the first. */
static void hold(struct cmg_channel *c, struct cmg_exchange *x)
{
    static const struct cmg_exchange_events events = {
        .on_body = on_held_body,
        .on_end = on_held_end,
        .on_room = on_held_room,
        .on_gone = on_held_gone,
    };
    release_held(c, 304);
    c->held = x;
    cmg_exchange_listen(x, &events, c);
}

static void announced_text(const struct cmg_head *head, struct cmg_str name, char *out, size_t size)
{
    const struct cmg_field *f = cmg_field_find(head->fields, head->nfields, name);
    if (f)
        snprintf(out, size, "%.*s", CMG_ARG(f->value));
}

static void announced_number(const struct cmg_head *head, struct cmg_str name, unsigned *out)
{
    const struct cmg_field *f = cmg_field_find(head->fields, head->nfields, name);
    long long n = f ? cmg_str_number(f->value) : -1;
    if (n >= 0)
        *out = n > ANNOUNCED_MAX ? ANNOUNCED_MAX : (unsigned)n;
}

static void read_announcement(struct cmg_channel_info *i, const struct cmg_head *head)
{
    announced_text(head, CMG_STR(CMG_WIRE_GATEWAY_NAME), i->gateway, sizeof(i->gateway));
    announced_text(head, CMG_STR(CMG_WIRE_GATEWAY_VERSION), i->gateway_version,
                   sizeof(i->gateway_version));
    announced_number(head, CMG_STR(CMG_WIRE_GATEWAY_INSTANCE), &i->instance);
    announced_number(head, CMG_STR(CMG_WIRE_GATEWAY_INSTANCES), &i->instances);
}

static bool knows(const struct cmg_channel *c, const struct cmg_head *head)
{
    const struct cmg_field *f =
        cmg_field_find(head->fields, head->nfields, CMG_STR("if-none-match"));
    return f && cmg_str_eq(f->value, cmg_str(c->etag));
}

static void greet(struct cmg_channel *c, struct cmg_exchange *x, const struct cmg_head *head)
{
    if (!cmg_str_eq(head->method, CMG_STR("GET"))) {
        answer(c, x, 405);
        return;
    }
    read_announcement(&c->info, head);
    if (!knows(c, head))
        answer(c, x, 200);
    else if (c->state == GREETING || c->state == OPEN)
        hold(c, x);
    else
        answer(c, x, 304);
    opened(c);
}

/* Connection --------------------------------------------------------------------------- */

static void on_exchange(void *arg, struct cmg_exchange *x, const struct cmg_head *head)
{
    struct cmg_channel *c = arg;
    if (!c->ev)
        x->ops->abort(x);
    else if (!c->info.foreign && cmg_str_eq(head->target, CMG_STR(CMG_GREETING_PATH)))
        greet(c, x, head);
    else
        c->ev->on_exchange(c->arg, c, x, head);
}

static void on_ready(void *arg)
{
    struct cmg_channel *c = arg;
    if (c->info.foreign)
        opened(c);
}

static void on_draining(void *arg)
{
    struct cmg_channel *c = arg;
    if (c->ev)
        c->ev->on_draining(c->arg);
}

static void on_ping(void *arg, int64_t rtt_us)
{
    struct cmg_channel *c = arg;
    c->info.rtt_us = rtt_us;
}

/* Two ways to be refused when the dial is long over. In TLS 1.3 a client's handshake is done
 * before the server has looked at its certificate: the alert comes with the first read. And
 * a gateway that knows the certificate but not us says so with its GOAWAY. */
static bool is_refusal(const struct cmg_channel *c, const char *detail)
{
    return cmg_tls_refused(c->ssl) || strstr(detail, CMG_WIRE_NOT_ADMITTED);
}

static void judge_end(struct cmg_channel *c, const char *detail)
{
    bool ours = c->state == DRAINING || c->state == CLOSING;
    if (!detail || !*detail)
        detail = ours ? "closed" : "the gateway closed the connection";
    if (is_refusal(c, detail) && (!ours || c->why.code != CMG_OK))
        (void)cmg_fail(&c->why, CMG_EDENIED, "%s", detail); /* says more than our timeout */
    else if (c->why.code == CMG_OK)
        (void)cmg_fail(&c->why, ours ? CMG_OK : CMG_EIO, "%s", detail);
}

static void on_closed(void *arg, const char *detail)
{
    struct cmg_channel *c = arg;
    judge_end(c, detail);
    if (c->ev)
        c->ev->on_closed(c->arg, &c->why);
    cmg_timer_free(c->timer);
    free(c->name);
    free(c->site);
    free(c->greeting);
    free(c);
}

static void on_timer(void *arg)
{
    struct cmg_channel *c = arg;
    (void)cmg_fail(&c->why, CMG_ETIMEOUT, "the gateway %s within %lld ms",
                   c->info.foreign ? "sent no HTTP/2 SETTINGS" : "did not ask for the greeting",
                   (long long)c->greeting_ms);
    cut(c);
}

/* The owner's side --------------------------------------------------------------------- */

static struct cmg_h2conn_conf h2_conf(const struct cmg_channel_conf *conf, bool foreign)
{
    unsigned streams = conf->max_streams;
    if (foreign && streams < FOREIGN_STREAMS_MIN)
        streams = FOREIGN_STREAMS_MIN;
    return (struct cmg_h2conn_conf){
        .role = CMG_H2_SERVER,
        .preface = foreign ? CMG_H2_PREFACE_SERVER : CMG_H2_PREFACE_CLIENT,
        .channel = true,
        .names = !foreign,
        .max_streams = streams,
        .stream_window = conf->stream_window,
        .memory_bytes = conf->memory_bytes,
        .head_bytes = conf->head_bytes,
        .ping_ms = conf->ping_ms,
        .ping_deadline_ms = conf->ping_deadline_ms,
    };
}

/* What the kernel may keep unacknowledged: as long as PING would take to find out. */
static unsigned user_timeout(const struct cmg_channel_conf *conf)
{
    int64_t ms = conf->ping_ms + conf->ping_deadline_ms;
    return ms > INT32_MAX ? INT32_MAX : (unsigned)ms;
}

static void write_greeting(struct cmg_channel *c, const struct cmg_endpoint_set *set)
{
    char version[] = CMG_VERSION;
    const struct cmg_greeting greeting = {
        .name = c->name,
        .site = c->site,
        .version = version,
        .connection_id = c->info.connection_id,
        .endpoints = *set, /* lent, not given */
    };
    free(c->greeting);
    c->greeting = cmg_greeting_write(&greeting);
    cmg_greeting_etag(set, c->etag);
}

struct cmg_channel *cmg_channel_new(struct cmg_loop *l, struct cmg_stream *taken, const char *alpn,
                                    const struct cmg_channel_conf *conf,
                                    const struct cmg_endpoint_set *set,
                                    const struct cmg_channel_events *ev, void *arg)
{
    static const struct cmg_h2conn_events events = {
        .on_exchange = on_exchange,
        .on_ready = on_ready,
        .on_draining = on_draining,
        .on_ping = on_ping,
        .on_closed = on_closed,
    };
    struct cmg_channel *c = cmg_alloc(sizeof(*c));
    c->loop = l;
    c->ev = ev;
    c->arg = arg;
    c->name = cmg_strdup(conf->name);
    c->site = cmg_strdup(conf->site);
    c->info.foreign = strcmp(alpn, CMG_WIRE_ALPN_H2) == 0;
    c->info.rtt_us = -1;
    snprintf(c->info.peer, sizeof(c->info.peer), "%s", cmg_stream_peer(taken));
    cmg_guid(c->info.connection_id);
    write_greeting(c, set);

    c->greeting_ms = conf->greeting_ms;
    c->timer = cmg_timer_new(l, on_timer, c);
    cmg_timer_set(c->timer, conf->greeting_ms);

    c->ssl = cmg_stream_ssl(taken);
    cmg_stream_user_timeout(taken, user_timeout(conf));
    c->h2_conf = h2_conf(conf, c->info.foreign);
    c->h2 = cmg_h2conn_new(l, taken, &c->h2_conf, &events, c);
    return c;
}

void cmg_channel_publish(struct cmg_channel *c, const struct cmg_endpoint_set *set)
{
    char etag[sizeof(c->etag)];
    cmg_greeting_etag(set, etag);
    if (strcmp(etag, c->etag) == 0)
        return;
    write_greeting(c, set);
    release_held(c, 200);
}

void cmg_channel_drain(struct cmg_channel *c, int64_t grace_ms)
{
    if (c->state == DRAINING || c->state == CLOSING)
        return;
    enter(c, DRAINING);
    release_held(c, 304); /* or it would be in flight for ever */
    cmg_h2conn_drain(c->h2, grace_ms);
}

void cmg_channel_close(struct cmg_channel *c)
{
    cut(c);
}

void cmg_channel_abandon(struct cmg_channel *c)
{
    if (!c)
        return;
    c->ev = NULL;
    cut(c);
}

size_t cmg_channel_buffered(const struct cmg_channel *c)
{
    return cmg_h2conn_buffered(c->h2);
}

const struct cmg_channel_info *cmg_channel_info(const struct cmg_channel *c)
{
    return &c->info;
}
