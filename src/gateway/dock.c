/* SPDX-License-Identifier: MIT */
/* A channel's life on the gateway's side:
 *
 *   arrival      a stream, TLS under way (TCP-TLS), or just upgraded (HTTPS)
 *   admission    its certificate's name is in the list of connection points
 *   greeting     asked for at once; then a request for the next version is held open
 *   up           in the registry from the first greeting on
 *
 * A peer that is no connection point of ours, but a stock HAProxy, has no greeting: the
 * configuration says what it publishes.
 */
#include "gateway/dock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "cmg/proto/greeting.h"

enum { ASK_AGAIN_MS = 1000 };

struct channel {
    struct link link; /* in the registry while `up` */
    struct gateway *gateway;
    struct cmg_listener *listener;
    void *slot;
    struct cmg_stream *stream; /* until HTTP/2 has it */
    enum cmg_road road;
    char peer[64];
    bool up, foreign, greeted, turned_away;
    char site[8], version[64], connection_id[64];
    int64_t since, certificate_end; /* seconds since 1970 */
    int64_t rtt_us;                 /* of the last PING; -1: none yet */
    struct cmg_timer *timer;        /* the greeting is due, or is to be asked for again */

    struct cmg_exchange *asking; /* the greeting, or the wait for the next one */
    unsigned status;
    struct cmg_buf answer;
    char etag[64];
    TAILQ_ENTRY(channel) entry;
};

struct dock {
    struct gateway *gateway;
    TAILQ_HEAD(, channel) channels;
    unsigned n;
};

struct dock *dock_new(struct gateway *g)
{
    struct dock *d = cmg_alloc(sizeof(*d));
    d->gateway = g;
    TAILQ_INIT(&d->channels);
    return d;
}

void dock_free(struct dock *d)
{
    free(d);
}

unsigned dock_channels(const struct gateway *g)
{
    return g->dock->n;
}

/* Birth and death ------------------------------------------------------------------------ */

static struct channel *channel_new(struct gateway *g, enum cmg_road road,
                                   struct cmg_listener *listener, void *slot)
{
    struct channel *c = cmg_alloc(sizeof(*c));
    c->gateway = g;
    c->road = road;
    c->listener = listener;
    c->slot = slot;
    c->rtt_us = -1;
    cmg_buf_init(&c->answer, CMG_GREETING_BYTES_MAX);
    TAILQ_INSERT_TAIL(&g->dock->channels, c, entry);
    g->dock->n++;
    return c;
}

static void channel_free(struct channel *c)
{
    struct gateway *g = c->gateway;
    TAILQ_REMOVE(&g->dock->channels, c, entry);
    g->dock->n--;
    cmg_listener_release(c->listener, c->slot);
    cmg_timer_free(c->timer);
    cmg_buf_clear(&c->answer);
    free(c);
    gateway_check_drained(g);
}

static const char *point_of(const struct channel *c)
{
    return c->link.member ? member_name(c->link.member) : "-";
}

static void refused(const struct channel *c, const char *why)
{
    log_warn("channel.refused", KV("road", cmg_road_names[c->road]), KV("peer", c->peer),
             KV("connection_point", point_of(c)), KV("why", why));
}

/* Closes a channel whose connection point is not wanted, and tells it why. */
static void turn_away(struct channel *c, const char *why)
{
    refused(c, why);
    if (c->link.member)
        member_channels(c->link.member)->refused += !c->turned_away;
    else
        c->gateway->tally.channels_refused++;
    c->turned_away = true;
    cmg_h2conn_refuse(c->link.h2, why);
}

/* Greeting ------------------------------------------------------------------------------- */

static void ask(struct channel *c);

static void take_up(struct channel *c)
{
    if (c->up)
        return;
    c->up = true;
    c->since = cmg_clock_unix();
    member_channels(c->link.member)->opened++;
    registry_up(c->gateway->registry, &c->link);
    log_notice("channel.open", KV("connection_point", point_of(c)),
               KV("site", member_site(c->link.member)), KV("road", cmg_road_names[c->road]),
               KV("peer", c->peer), KV("connection", c->connection_id), KV("version", c->version),
               KV("haproxy", c->foreign ? "yes" : "no"));
}

/* No greeting is to be had from this peer: what the configuration says counts. */
static void take_up_foreign(struct channel *c, const char *why)
{
    c->foreign = true;
    if (!member_static(c->link.member)->n) {
        turn_away(c, why);
        return;
    }
    cmg_timer_stop(c->timer);
    registry_unpublish(c->gateway->registry, c->link.member);
    take_up(c);
}

static bool welcome_here(struct channel *c, const struct cmg_greeting *g)
{
    if (member_is_admitted(c->link.member) && !strcmp(g->site, member_site(c->link.member)))
        return true;
    char why[200];
    snprintf(why, sizeof(why), CMG_WIRE_NOT_ADMITTED "it says site %.8s, here it is of site %s",
             g->site, member_site(c->link.member));
    turn_away(c, why);
    return false;
}

static void on_greeting(struct channel *c)
{
    struct cmg_greeting g;
    struct cmg_err err;
    if (cmg_greeting_read(cmg_buf_str(&c->answer), &g, &err) != CMG_OK) {
        char why[320];
        snprintf(why, sizeof(why), "malformed greeting: %s", err.text);
        if (c->greeted)
            turn_away(c, why);
        else
            take_up_foreign(c, why);
        return;
    }
    if (welcome_here(c, &g)) {
        cmg_timer_stop(c->timer);
        c->greeted = true;
        snprintf(c->site, sizeof(c->site), "%s", g.site);
        snprintf(c->version, sizeof(c->version), "%s", g.version);
        snprintf(c->connection_id, sizeof(c->connection_id), "%s", g.connection_id);
        log_info("channel.greeting", KV("connection_point", point_of(c)), KV("peer", c->peer),
                 KV("endpoints", g.endpoints.n));
        registry_publish(c->gateway->registry, c->link.member, &g.endpoints);
        take_up(c);
        ask(c);
    }
    cmg_greeting_clear(&g);
}

static void on_answer_head(void *arg, const struct cmg_head *head)
{
    struct channel *c = arg;
    c->status = head->status;
    const struct cmg_field *etag = cmg_field_find(head->fields, head->nfields, CMG_STR("etag"));
    if (head->status == 200 && etag)
        snprintf(c->etag, sizeof(c->etag), "%.*s", CMG_ARG(etag->value));
}

static void on_answer_body(void *arg, struct cmg_str bytes)
{
    struct channel *c = arg;
    if (cmg_buf_put(&c->answer, bytes) == CMG_OK || !c->asking)
        return;
    c->asking->ops->abort(c->asking);
    c->asking = NULL;
    turn_away(c, "malformed greeting: too large");
}

static void on_answer_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    struct channel *c = arg;
    (void)trailers, (void)n;
    c->asking = NULL;
    if (c->status == 200) {
        on_greeting(c);
    } else if (!c->greeted) {
        char why[96];
        snprintf(why, sizeof(why), "no greeting: the peer answered %u", c->status);
        take_up_foreign(c, why);
    } else if (!c->link.draining) {
        cmg_timer_set(c->timer, ASK_AGAIN_MS);
    }
    cmg_buf_clear(&c->answer);
}

static void on_answer_gone(void *arg, const struct cmg_fault *why)
{
    struct channel *c = arg;
    (void)why; /* if the channel is gone with it, that is logged there */
    c->asking = NULL;
    if (c->greeted && !c->link.draining)
        cmg_timer_set(c->timer, ASK_AGAIN_MS);
}

static const struct cmg_exchange_events answer_events = {
    .on_head = on_answer_head,
    .on_body = on_answer_body,
    .on_end = on_answer_end,
    .on_gone = on_answer_gone,
};

static void ask(struct channel *c)
{
    const struct gateway_conf *conf = c->gateway->conf;
    char instance[8], instances[8];
    snprintf(instance, sizeof(instance), "%d", (int)conf->gateway.instance);
    snprintf(instances, sizeof(instances), "%d", (int)conf->gateway.instances);
    struct cmg_field f[] = {
        { CMG_STR(CMG_WIRE_GATEWAY_NAME), cmg_str(conf->gateway.name) },
        { CMG_STR(CMG_WIRE_GATEWAY_VERSION), CMG_STR(CMG_VERSION) },
        { CMG_STR(CMG_WIRE_GATEWAY_INSTANCE), cmg_str(instance) },
        { CMG_STR(CMG_WIRE_GATEWAY_INSTANCES), cmg_str(instances) },
        { CMG_STR("if-none-match"), cmg_str(c->etag) },
    };
    struct cmg_head head = {
        .method = CMG_STR("GET"),
        .target = CMG_STR(CMG_GREETING_PATH),
        .scheme = CMG_STR("https"),
        .authority = cmg_str(conf->gateway.name),
        .fields = f,
        .nfields = c->greeted && c->etag[0] ? CMG_COUNT(f) : CMG_COUNT(f) - 1,
        .length = -1,
        .end = true,
    };
    c->asking = cmg_h2conn_request(c->link.h2);
    if (!c->asking)
        return;
    cmg_exchange_listen(c->asking, &answer_events, c);
    if (c->asking->ops->head(c->asking, &head) != CMG_OK) {
        c->asking->ops->abort(c->asking);
        c->asking = NULL;
    }
}

static void on_timer(void *arg)
{
    struct channel *c = arg;
    if (!c->link.h2)
        return;
    if (c->greeted)
        ask(c);
    else if (!c->up)
        turn_away(c, "no greeting in time");
}

/* HTTP/2 --------------------------------------------------------------------------------- */

static void on_draining(void *arg)
{
    struct channel *c = arg;
    registry_draining(c->gateway->registry, &c->link);
    log_info("channel.draining", KV("connection_point", point_of(c)), KV("peer", c->peer),
             KV("in_flight", cmg_h2conn_load(c->link.h2)));
}

static void on_ping(void *arg, int64_t rtt_us)
{
    struct channel *c = arg;
    c->rtt_us = rtt_us;
}

static void count_end(const struct channel *c, bool lost)
{
    if (!c->up || c->turned_away)
        return; /* it was never open, or is counted as refused */
    struct channel_counts *n = member_channels(c->link.member);
    if (lost)
        n->lost++;
    else
        n->closed++;
}

static void on_closed(void *arg, const char *detail)
{
    struct channel *c = arg;
    struct gateway *g = c->gateway;
    bool lost = c->up && !c->link.draining && !c->turned_away && !g->draining;
    count_end(c, lost);
    if (lost)
        log_warn("channel.lost", KV("connection_point", point_of(c)), KV("peer", c->peer),
                 KV("why", detail));
    else
        log_info("channel.closed", KV("connection_point", point_of(c)), KV("peer", c->peer),
                 KV("why", detail));
    if (c->up)
        registry_down(g->registry, &c->link);
    channel_free(c);
}

static const struct cmg_h2conn_events h2_events = {
    .on_draining = on_draining,
    .on_ping = on_ping,
    .on_closed = on_closed,
};

static void speak_h2(struct channel *c, struct member *member, bool haproxy)
{
    struct gateway *g = c->gateway;
    struct cmg_tls_identity id = { .name = "" };
    c->link.member = member;
    if (cmg_tls_peer_about(cmg_stream_ssl(c->stream), &id))
        c->certificate_end = id.not_after;
    c->link.max_requests = (unsigned)g->conf->channel.max_requests;
    cmg_stream_user_timeout(
        c->stream, (unsigned)(g->conf->channel.keepalive_ms + g->conf->channel.deadline_ms));
    c->link.h2 = cmg_h2conn_new(g->loop, c->stream, haproxy ? &g->haproxy_conf : &g->channel_conf,
                                &h2_events, c);
    c->timer = cmg_timer_new(g->loop, on_timer, c);
}

static void welcome(struct channel *c, struct member *member, bool haproxy)
{
    speak_h2(c, member, haproxy);
    if (haproxy && member_static(member)->n) {
        take_up_foreign(c, "");
        return;
    }
    cmg_timer_set(c->timer, c->gateway->conf->channel.greeting_ms);
    ask(c);
}

/* Admission ------------------------------------------------------------------------------ */

struct member *dock_admit(struct gateway *g, struct ssl_st *ssl, struct cmg_err *err)
{
    struct cmg_tls_identity id = { .name = "" };
    struct cmg_err why;
    if (cmg_tls_peer_judge(ssl, g->channel_trust, CMG_TLS_CLIENT_AUTH, &id, &why) != CMG_OK) {
        cmg_fail(err, CMG_EDENIED, CMG_WIRE_NOT_ADMITTED "%.200s", why.text);
        return NULL;
    }
    struct member *m = registry_member(g->registry, id.name);
    if (!m)
        cmg_fail(err, CMG_EDENIED,
                 CMG_WIRE_NOT_ADMITTED "\"%.64s\" has no [connection-point] section here", id.name);
    return m;
}

static void on_handshake_done(void *arg)
{
    struct channel *c = arg;
    char alpn[16];
    struct cmg_err err;
    cmg_tls_alpn(cmg_stream_ssl(c->stream), alpn, sizeof(alpn));
    bool haproxy = !strcmp(alpn, CMG_WIRE_ALPN_H2);
    struct member *m = dock_admit(c->gateway, cmg_stream_ssl(c->stream), &err);
    if (m) {
        welcome(c, m, haproxy);
        return;
    }
    speak_h2(c, NULL, haproxy);
    turn_away(c, err.text);
}

static void on_stream_closed(void *arg, enum cmg_close_reason why, const char *detail)
{
    struct channel *c = arg;
    refused(c, detail ? detail : why == CMG_CLOSE_LOCAL ? "closed here" : "the peer closed");
    c->gateway->tally.channels_refused++;
    channel_free(c);
}

static const struct cmg_stream_events arrival_events = {
    .on_open = on_handshake_done,
    .on_closed = on_stream_closed,
};

void dock_accept(struct gateway *g, struct cmg_listener *listener, int fd_taken, void *slot)
{
    struct channel *c = channel_new(g, CMG_ROAD_TCP_TLS, listener, slot);
    c->stream = cmg_stream_new(g->loop, fd_taken, g->channel_tls, NULL,
                               (unsigned)g->conf->channel.handshake_ms, &arrival_events, c);
    snprintf(c->peer, sizeof(c->peer), "%s", cmg_stream_peer(c->stream));
}

void dock_upgraded(struct gateway *g, struct cmg_listener *listener, void *slot,
                   struct cmg_stream *taken, struct member *member)
{
    struct channel *c = channel_new(g, CMG_ROAD_HTTPS, listener, slot);
    c->stream = taken;
    snprintf(c->peer, sizeof(c->peer), "%s", cmg_stream_peer(taken));
    welcome(c, member, false);
}

/* Endings -------------------------------------------------------------------------------- */

void dock_review(struct gateway *g)
{
    struct channel *c, *next;
    for (c = TAILQ_FIRST(&g->dock->channels); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        struct member *m = c->link.member;
        if (!c->link.h2 || !m)
            continue;
        if (!member_is_admitted(m) || (c->greeted && strcmp(c->site, member_site(m))))
            turn_away(c, CMG_WIRE_NOT_ADMITTED "the gateway's configuration changed");
    }
}

void dock_drain(struct gateway *g)
{
    struct channel *c, *next;
    for (c = TAILQ_FIRST(&g->dock->channels); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        c->link.draining = true;
        if (c->asking)
            c->asking->ops->abort(c->asking);
        c->asking = NULL;
        if (c->link.h2)
            cmg_h2conn_drain(c->link.h2, g->conf->gateway.drain_ms);
        else
            cmg_stream_close(c->stream, 0);
    }
}

void dock_close(struct gateway *g)
{
    struct channel *c, *next;
    for (c = TAILQ_FIRST(&g->dock->channels); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->link.h2)
            cmg_h2conn_close(c->link.h2);
        else
            cmg_stream_close(c->stream, 0);
    }
}

const char *const channel_state_names[] = { "arriving", "up", "draining", NULL };

/* To look at ----------------------------------------------------------------------------- */

const struct channel *dock_next(const struct gateway *g, const struct channel *after)
{
    return after ? TAILQ_NEXT(after, entry) : TAILQ_FIRST(&g->dock->channels);
}

void channel_show(const struct channel *c, struct channel_view *out)
{
    *out = (struct channel_view){
        .member = c->link.member,
        .road = c->road,
        .state = !c->up             ? CHANNEL_ARRIVING
                 : c->link.draining ? CHANNEL_DRAINING
                                    : CHANNEL_UP,
        .haproxy = c->foreign,
        .peer = c->peer,
        .connection_id = c->connection_id,
        .version = c->version,
        .since = c->since,
        .certificate_end = c->certificate_end,
        .rtt_us = c->rtt_us,
        .load = c->link.h2 ? cmg_h2conn_load(c->link.h2) : 0,
        .max_load = c->link.max_requests,
        .buffered = c->link.h2 ? cmg_h2conn_buffered(c->link.h2) : cmg_stream_buffered(c->stream),
    };
}
