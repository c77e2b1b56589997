/* SPDX-License-Identifier: MIT */
/* A request's way through the gateway, once it has arrived:
 *
 *   IDENTIFYING --> refused          keys or a revocation list are on their way
 *     |     |
 *     |     +-----> answered         service metadata
 *     v
 *   find a channel <---------+--- the peer certainly did not process it
 *     |        |             |
 *     |     WAITING -> 503   |
 *     v                      |
 *   PIPING ------------------+       ASKING  blob storage, for content
 *     |                                |
 *   OVER: one access event <-----------+
 *
 * The head that goes out is put together once and kept for a repeat.
 */
#include "gateway/request_core.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "cmg/http/message.h"
#include "cmg/http/pipe.h"
#include "gateway/content.h"
#include "gateway/front.h"
#include "gateway/refusal.h"

enum {
    HOLD_BYTES = 64 * 1024, /* request body kept for a repeat */
    REPEATS_MAX = 5,
    SWEEP_MS = 500
};

static const char *point_of(const struct request *q)
{
    return q->sent_to ? member_name(q->sent_to) : NULL;
}

/* Where it was counted when it began. */
static void count_end(const struct request *q, unsigned status, bool cut, int64_t us)
{
    struct cmg_counts *const all[] = { &q->gateway->tally.requests, q->endpoint,
                                       q->sent_to ? member_counts(q->sent_to) : NULL };
    for (size_t i = 0; i < CMG_COUNT(all); i++)
        if (all[i])
            cmg_counts_end(all[i], status, cut, q->pipe.request_bytes, q->pipe.response_bytes, us);
}

/* It is over: counted, and logged. `cut`: the client does not have all of the answer. */
void request_finish(const struct request *q, unsigned status, bool cut)
{
    const struct gateway *g = q->gateway;
    int64_t us = cmg_clock_us() - q->started_us;
    count_end(q, status, cut, us);
    if (!g->conf->log.access)
        return;
    log_info("access", KV("request", q->id), KV("peer", client_peer(q->client)),
             KV("who", cmg_or_none(q->who)), KV("how", cmg_identity_how_name(q->how)),
             KV("method", q->head.method), KV("path", q->path.path), KV("status", status),
             KV("in_bytes", q->pipe.request_bytes), KV("out_bytes", q->pipe.response_bytes),
             KV("us", us), KV("connection_point", point_of(q)), KV("repeats", q->repeats),
             KV("why", cmg_or_none(q->why)));
}

/* Life ---------------------------------------------------------------------------------- */

static void on_bury(void *arg)
{
    struct request *q = arg;
    cmg_pipe_clear(&q->pipe);
    free(q->room);
    free(q);
}

static bool is_waiting(const struct request *q)
{
    return q->state == WAITING || q->state == IDENTIFYING;
}

/* The one door: who waits is counted, because there is a ceiling. */
void request_enter(struct request *q, enum state state)
{
    struct gateway *g = q->gateway;
    bool waited = is_waiting(q);
    if (q->state == IDENTIFYING)
        g->nparked--;
    if (state == IDENTIFYING) {
        g->nparked++;
        g->tally.parked++;
    }
    g->tally.held += state == WAITING && q->state != WAITING;
    q->state = state;
    if (is_waiting(q) && !waited)
        g->nwaiting++;
    else if (waited && !is_waiting(q))
        g->nwaiting--;
    if (!cmg_timer_armed(g->sweep))
        cmg_timer_set(g->sweep, SWEEP_MS);
}

void request_leave(struct request *q)
{
    struct gateway *g = q->gateway;
    request_enter(q, OVER);
    content_cancel(q->ask);
    q->ask = NULL;
    TAILQ_REMOVE(&g->requests, q, entry);
    g->nrequests--;
    cmg_loop_defer(g->loop, &q->bury);
    gateway_check_drained(g);
}

void request_refuse_for(struct request *q, const struct refusal *r, unsigned retry_after_s,
                        const char *detail)
{
    struct cmg_exchange *in = cmg_pipe_detach(&q->pipe);
    snprintf(q->why, sizeof(q->why), "%s", detail);
    if (in)
        refusal_send(q->gateway, q->client, in, r, retry_after_s, detail, q->id, q->head.method);
    request_finish(q, r->status, !in);
    request_leave(q);
}

void request_refuse(struct request *q, const struct refusal *r, const char *detail)
{
    request_refuse_for(q, r, 0, detail);
}

/* A channel ----------------------------------------------------------------------------- */

/* It is long, so it goes only to endpoints that ask for it. */
static void add_certificate(const struct request *q, struct cmg_head *head, char *room)
{
    struct cmg_field *fields = q->gateway->fields;
    size_t n = 0;
    if (q->how == CMG_BY_CERTIFICATE)
        n = cmg_tls_peer_certificate_field(client_ssl(q->client), room, CMG_TLS_CERTIFICATE_TEXT);
    if (!n)
        return;
    memcpy(fields, head->fields, head->nfields * sizeof(*fields));
    fields[head->nfields++] =
        (struct cmg_field){ CMG_STR(CMG_WIRE_CLIENT_CERT), (struct cmg_str){ room, n } };
    head->fields = fields;
}

/* One that goes to another connection point has failed at the one before. */
static void count_point(struct request *q, struct member *m)
{
    if (q->sent_to == m)
        return;
    if (q->sent_to)
        cmg_counts_end(member_counts(q->sent_to), 0, true, 0, 0, cmg_clock_us() - q->started_us);
    q->sent_to = m;
    cmg_counts_begin(member_counts(m), q->bearer);
}

static void count_endpoint(struct request *q, struct cmg_counts *counts)
{
    if (q->endpoint || !counts)
        return;
    q->endpoint = counts;
    cmg_counts_begin(counts, q->bearer);
}

static void send_down(struct request *q, const struct route_pick *pick)
{
    struct gateway *g = q->gateway;
    struct cmg_exchange *out = cmg_h2conn_request(pick->link->h2);
    if (!out) { /* it is closing, which it is about to tell: there may be another one */
        registry_draining(g->registry, pick->link);
        request_find_channel(q);
        return;
    }
    request_enter(q, PIPING);
    count_point(q, pick->link->member);
    struct cmg_head head = q->head;
    char certificate[CMG_TLS_CERTIFICATE_TEXT];
    if (pick->wants_certificate)
        add_certificate(q, &head, certificate);
    if (out->ops->head(out, &head) != CMG_OK) {
        out->ops->abort(out);
        request_refuse(q, &refusal_bad_request, "the request cannot be expressed in HTTP/2");
        return;
    }
    cmg_pipe_join(&q->pipe, out);
}

/* Finds a channel, or waits for one, or says no. */
void request_find_channel(struct request *q)
{
    struct gateway *g = q->gateway;
    struct route_pick pick;
    enum verdict v = registry_pick(g->registry, q->path.id, q->path.rest,
                                   cmg_endpoint_auth_of(q->path.tree), q->head.length, &pick);
    count_endpoint(q, pick.counts);
    bool late = cmg_loop_now_ms(g->loop) - q->waiting_since_ms >= g->conf->clients.hold_ms ||
                (q->state != WAITING && (int64_t)g->nwaiting >= g->conf->clients.hold_max);
    switch (v) {
    case ROUTE_FOUND:
        q->pipe.request_max = (uint64_t)pick.max_request_bytes;
        send_down(q, &pick);
        return;
    case ROUTE_UNPUBLISHED:
        request_refuse(q, &refusal_not_published, "no connection point publishes this id and path");
        return;
    case ROUTE_TOO_LARGE:
        request_refuse(q, &refusal_too_large,
                       "the request body is larger than this endpoint takes");
        return;
    case ROUTE_BUSY:
        if (late)
            request_refuse(q, &refusal_busy,
                           "every channel to this endpoint carries all the requests it may");
        else
            request_enter(q, WAITING);
        return;
    case ROUTE_AWAY:
        if (late)
            request_refuse(q, &refusal_no_point,
                           "no connection point of this endpoint's site is connected");
        else
            request_enter(q, WAITING);
        return;
    case ROUTE_NOBODY: /* a gateway that was just started: they are on their way */
        if (late)
            request_refuse(q, &refusal_no_point, "no connection point has connected yet");
        else
            request_enter(q, WAITING);
        return;
    }
}

/* Pipe events --------------------------------------------------------------------------- */

static struct request *of(struct cmg_pipe *p)
{
    return CMG_OUTER(p, struct request, pipe);
}

/* The endpoint's phrase as clients of the real system know it: an error that the back end gave
 * reads CMGConnector_ and its phrase without the spaces. */
static struct cmg_str client_phrase(struct gateway *g, unsigned status, struct cmg_str phrase)
{
    static const char prefix[] = "CMGConnector_";
    if (status < 400)
        return phrase;
    if (!phrase.n)
        phrase = cmg_str(cmg_reason(status));
    size_t n = sizeof(prefix) - 1;
    memcpy(g->phrase, prefix, n);
    for (size_t i = 0; i < phrase.n && n < sizeof(g->phrase); i++)
        if (phrase.p[i] != ' ')
            g->phrase[n++] = phrase.p[i];
    return (struct cmg_str){ g->phrase, n };
}

static void on_response(struct cmg_pipe *p, struct cmg_head *head)
{
    struct request *q = of(p);
    struct gateway *g = q->gateway;
    size_t n = 0;
    struct cmg_str reason = { NULL, 0 };
    for (size_t i = 0; i < head->nfields; i++) {
        const struct cmg_field *f = &head->fields[i];
        if (!cmg_str_istarts(f->name, CMG_STR(CMG_WIRE_PREFIX)))
            g->fields[n++] = *f;
        else if (cmg_str_ieq(f->name, CMG_STR(CMG_WIRE_REASON)))
            reason = f->value;
        else if (cmg_str_ieq(f->name, CMG_STR(CMG_WIRE_REFUSAL)))
            cmg_str_put(q->why, sizeof(q->why), f->value);
    }
    if (q->why[0]) /* a refusal of the connection point */
        g->fields[n++] = (struct cmg_field){ CMG_STR(CMG_WIRE_REQUEST_ID), cmg_str(q->id) };
    head->reason = client_phrase(g, head->status, reason);
    if (client_is_h2(q->client) && head->status >= 400)
        g->fields[n++] = (struct cmg_field){ CMG_STR(CMG_WIRE_REASON), head->reason };
    head->fields = g->fields;
    head->nfields = n;
    q->moved_ms = cmg_loop_now_ms(g->loop);
}

static void on_failed(struct cmg_pipe *p, const struct cmg_fault *why)
{
    struct request *q = of(p);
    if (why->unprocessed && cmg_pipe_may_repeat(p) && q->repeats < REPEATS_MAX) {
        q->repeats++;
        q->gateway->tally.repeated++;
        q->waiting_since_ms = cmg_loop_now_ms(q->gateway->loop); /* should it have to wait */
        log_debug("request.repeated", KV("request", (const char *)q->id), KV("why", why->text));
        request_find_channel(q);
        return;
    }
    char detail[256];
    snprintf(detail, sizeof(detail), "connection point %s: %s", point_of(q), why->text);
    if (why->unprocessed)
        request_refuse(q, &refusal_no_point, detail);
    else if (why->malformed)
        request_refuse(q, &refusal_bad_answer, detail);
    else
        request_refuse(q, &refusal_channel_failed, detail);
}

static void on_done(struct cmg_pipe *p, enum cmg_pipe_end end, const struct cmg_fault *why)
{
    struct request *q = of(p);
    unsigned status = p->status;
    switch (end) {
    case CMG_PIPE_DONE:
        break;
    case CMG_PIPE_CLIENT_GONE:
        snprintf(q->why, sizeof(q->why), "the client left: %s", why->text);
        if (!status)
            status = 499; /* nothing was answered; as other proxies log it */
        break;
    case CMG_PIPE_CUT:
        snprintf(q->why, sizeof(q->why), "cut: %s", why->text);
        break;
    case CMG_PIPE_TOO_LARGE:
        if (!p->answered) {
            request_refuse(q, &refusal_too_large, why->text);
            return;
        }
        p->in->ops->abort(p->in);
        p->in = NULL;
        snprintf(q->why, sizeof(q->why), "%s", why->text);
        break;
    }
    request_finish(q, status, end != CMG_PIPE_DONE);
    request_leave(q);
}

static const struct cmg_pipe_events pipe_events = { on_response, on_failed, on_done };

/* Birth --------------------------------------------------------------------------------- */

/* The same path in another copy of its target. */
struct cmg_path request_path_in(const struct cmg_path *p, const char *was, const char *is)
{
    struct cmg_path moved = *p;
    struct cmg_str *parts[] = { &moved.path, &moved.query, &moved.id, &moved.rest };
    for (size_t i = 0; i < CMG_COUNT(parts); i++)
        if (parts[i]->p)
            parts[i]->p = is + (parts[i]->p - was);
    return moved;
}

/* From here on the request has a life of its own. */
struct request *request_make(const struct arrival *a, const struct cmg_head *head, enum state state)
{
    struct gateway *g = a->gateway;
    struct request *q = cmg_realloc(NULL, sizeof(*q) + cmg_head_size(head));
    *q = (struct request){ .gateway = g, .client = a->client, .started_us = a->started_us };
    memcpy(q->id, a->id, sizeof(q->id));
    q->bearer = a->bearer;
    cmg_head_copy(&q->head, head, q + 1);
    q->path = request_path_in(&a->path, a->head->target.p, q->head.target.p);
    q->bury = (struct cmg_task){ .run = on_bury, .arg = q };
    q->moved_ms = q->waiting_since_ms = cmg_loop_now_ms(g->loop);
    q->state = OVER;
    request_enter(q, state);
    TAILQ_INSERT_TAIL(&g->requests, q, entry);
    g->nrequests++;
    cmg_pipe_start(&q->pipe, a->x, a->head->end, UINT64_MAX, HOLD_BYTES, &pipe_events);
    return q;
}

void request_identified(struct request *q, const struct cmg_identity *who)
{
    cmg_str_put(q->who, sizeof(q->who), cmg_str(who->name));
    q->how = who->how;
}

void request_relay(const struct arrival *a, const struct identification *by)
{
    struct cmg_head out = arrival_forwarded(a->gateway, a->client, a->head, a->id, by->text);
    struct request *q = request_make(a, &out, PIPING);
    request_identified(q, by->who);
    request_find_channel(q);
}

/* Time ---------------------------------------------------------------------------------- */

void request_retry_all(struct gateway *g)
{
    struct request *q, *next;
    for (q = TAILQ_FIRST(&g->requests); q && g->nwaiting; q = next) {
        next = TAILQ_NEXT(q, entry);
        if (q->state == WAITING)
            request_find_channel(q);
    }
}

static void check_silence(struct request *q, int64_t now)
{
    uint64_t moved = q->pipe.request_bytes + q->pipe.response_bytes;
    /* While the client does not take what is there, or does not send, the silence is its own. */
    if (moved != q->moved || q->pipe.out_paused || !q->pipe.request_ended) {
        q->moved = moved;
        q->moved_ms = now;
        return;
    }
    if (now - q->moved_ms < q->gateway->conf->clients.response_ms)
        return;
    char detail[128];
    snprintf(detail, sizeof(detail), "connection point %s said nothing for %" PRId64 " ms",
             point_of(q), now - q->moved_ms);
    if (!q->pipe.answered) {
        request_refuse(q, &refusal_timed_out, detail);
        return;
    }
    struct cmg_exchange *in = cmg_pipe_detach(&q->pipe);
    if (in)
        in->ops->abort(in);
    snprintf(q->why, sizeof(q->why), "cut: %s", detail);
    request_finish(q, q->pipe.status, true);
    request_leave(q);
}

/* Nothing more of it can be expected soon: a long poll, or an endpoint that hangs. */
static bool is_silent(const struct request *q, int64_t now)
{
    const struct gateway *g = q->gateway;
    int64_t since = q->moved_ms > g->draining_since_ms ? q->moved_ms : g->draining_since_ms;
    return !q->pipe.answered && q->pipe.request_ended &&
           now - since >= g->conf->gateway.drain_silent_ms;
}

void request_drain(struct gateway *g)
{
    int64_t now = cmg_loop_now_ms(g->loop);
    struct request *q, *next;
    if (g->drain_step == DRAIN_WAITS) {
        TAILQ_FOREACH(q, &g->requests, entry)
        if (!is_silent(q, now))
            return;
    }
    for (q = TAILQ_FIRST(&g->requests); q; q = next) {
        next = TAILQ_NEXT(q, entry);
        if (!q->pipe.answered)
            request_refuse(q, &refusal_draining,
                           "this gateway stops: come again, to another instance");
    }
}

void request_sweep(struct gateway *g)
{
    int64_t now = cmg_loop_now_ms(g->loop);
    struct request *q, *next;
    for (q = TAILQ_FIRST(&g->requests); q; q = next) {
        next = TAILQ_NEXT(q, entry);
        if (q->state == WAITING)
            request_find_channel(q);
        else if (q->state == IDENTIFYING)
            request_identify_again(q);
        else if (q->state == PIPING)
            check_silence(q, now);
    }
    if (g->draining)
        request_drain(g);
    if (g->nrequests)
        cmg_timer_set(g->sweep, SWEEP_MS);
}
