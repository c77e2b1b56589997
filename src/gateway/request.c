/* SPDX-License-Identifier: MIT */
/* A request's way through the gateway:
 *
 *   route ----> refused
 *     |
 *   identify -> refused
 *     |
 *   find a channel <---------+--- the peer certainly did not process it
 *     |        |             |
 *     |      wait ---> 503   |
 *     v                      |
 *   pipe --------------------+
 *     |
 *   done: one access event
 *
 * The head that goes out is put together once and kept for a repeat.
 */
#include "gateway/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "cmg/http/message.h"
#include "cmg/http/pipe.h"
#include "cmg/proto/forwarding.h"
#include "cmg/proto/path.h"
#include "gateway/dock.h"
#include "gateway/front.h"

enum {
    HOLD_BYTES = 64 * 1024, /* request body kept for a repeat */
    REPEATS_MAX = 5,
    RETRY_AFTER_S = 5,
    SWEEP_MS = 500
};

enum state { WAITING, PIPING, OVER };

struct request {
    struct gateway *gateway;
    struct client *client;
    struct cmg_pipe pipe;
    enum state state;
    unsigned repeats;
    char id[32];
    int64_t started_us, waiting_since_ms;
    uint64_t moved;      /* body bytes seen at the last sweep */
    int64_t moved_ms;    /* when they last grew               */
    const char *sent_to; /* name of the connection point; lives as long as the registry */
    char who[128];
    struct cmg_path path; /* into head.target */
    char why[200];        /* for the access event; "" when all is well */
    struct cmg_task bury;
    TAILQ_ENTRY(request) entry;
    struct cmg_head head; /* as sent down the channel; its bytes follow the struct */
};

/* Refusals ------------------------------------------------------------------------------ */

struct refusal {
    unsigned status;
    const char *phrase, *error;
    unsigned retry_after_s;
    const char *challenge; /* WWW-Authenticate */
};

static const struct refusal bad_request = { 400, "CMGService_Bad_Request", "http_request_error", 0,
                                            NULL };
static const struct refusal bad_method = { 405, "CMGService_Method_Not_Allowed",
                                           "http_request_denied", 0, NULL };
static const struct refusal no_certificate = { 403, "CMGService_Client_Certificate_Required",
                                               "http_request_denied", 0, NULL };
static const struct refusal bad_certificate = { 401, "CMGService_Invalid_Certificate",
                                                "http_request_denied", 0, "Mutual" };
static const struct refusal bad_token = { 401, "CMGService_Invalid_Token", "http_request_denied", 0,
                                          "Bearer" };
static const struct refusal not_admitted = { 403, "CMGService_Not_Admitted", "http_request_denied",
                                             0, NULL };
static const struct refusal not_published = { 404, "CMGService_Not_Published",
                                              "http_request_denied", 0, NULL };
static const struct refusal too_large = { 413, "CMGService_Request_Too_Large",
                                          "http_request_denied", 0, NULL };
static const struct refusal busy = { 503, "CMGService_Busy", "connection_limit_reached",
                                     RETRY_AFTER_S, NULL };
static const struct refusal no_point = { 503, "CMGService_No_Connection_Point",
                                         "destination_unavailable", RETRY_AFTER_S, NULL };
static const struct refusal channel_failed = { 502, "CMGService_Bad_Gateway",
                                               "connection_terminated", 0, NULL };
static const struct refusal bad_answer = { 502, "CMGService_Bad_Gateway", "http_protocol_error", 0,
                                           NULL };
static const struct refusal timed_out = { 504, "CMGService_Gateway_Timeout",
                                          "http_response_timeout", 0, NULL };

static void refuse_exchange(struct gateway *g, const struct client *client, struct cmg_exchange *x,
                            const struct refusal *r, const char *detail, const char *id,
                            struct cmg_str method)
{
    struct cmg_field more[3];
    size_t n = 0;
    if (r->challenge)
        more[n++] = (struct cmg_field){ CMG_STR("WWW-Authenticate"), cmg_str(r->challenge) };
    if (client_is_h2(client)) /* HTTP/2 has no reason phrase, and clients read it */
        more[n++] = (struct cmg_field){ CMG_STR(CMG_WIRE_REASON), cmg_str(r->phrase) };
    more[n++] = (struct cmg_field){ CMG_STR(CMG_WIRE_REQUEST_ID), cmg_str(id) };
    struct cmg_refusal out = {
        .status = r->status,
        .phrase = r->phrase,
        .error = r->error,
        .detail = detail,
        .by = g->conf->gateway.name,
        .request_id = id,
        .retry_after_s = r->retry_after_s,
        .fields = more,
        .nfields = n,
    };
    cmg_refuse(x, &out, cmg_str_eq(method, CMG_STR("HEAD")));
}

static void access_event(const struct request *q, unsigned status)
{
    const struct gateway *g = q->gateway;
    if (!g->conf->log.access)
        return;
    int64_t us = cmg_clock_us() - q->started_us;
    log_info("access", KV("request", q->id), KV("peer", client_peer(q->client)),
             KV("who", (const char *)q->who), KV("method", q->head.method),
             KV("path", q->path.path), KV("status", status), KV("in_bytes", q->pipe.request_bytes),
             KV("out_bytes", q->pipe.response_bytes), KV("us", us),
             KV("connection_point", q->sent_to), KV("repeats", q->repeats),
             KV("why", cmg_or_none(q->why)));
}

/* Life ---------------------------------------------------------------------------------- */

static void on_bury(void *arg)
{
    struct request *q = arg;
    cmg_pipe_clear(&q->pipe);
    free(q);
}

static void leave(struct request *q)
{
    struct gateway *g = q->gateway;
    if (q->state == WAITING)
        g->nwaiting--;
    q->state = OVER;
    TAILQ_REMOVE(&g->requests, q, entry);
    g->nrequests--;
    cmg_loop_defer(g->loop, &q->bury);
    gateway_check_drained(g);
}

static void refuse(struct request *q, const struct refusal *r, const char *detail)
{
    struct cmg_exchange *in = cmg_pipe_detach(&q->pipe);
    snprintf(q->why, sizeof(q->why), "%s", detail);
    if (in)
        refuse_exchange(q->gateway, q->client, in, r, detail, q->id, q->head.method);
    access_event(q, r->status);
    leave(q);
}

static void wait(struct request *q)
{
    struct gateway *g = q->gateway;
    if (q->state == WAITING)
        return;
    q->state = WAITING;
    g->nwaiting++;
    if (!cmg_timer_armed(g->sweep))
        cmg_timer_set(g->sweep, SWEEP_MS);
}

static void find_channel(struct request *q);

static void send_down(struct request *q, const struct route_pick *pick)
{
    struct gateway *g = q->gateway;
    struct cmg_exchange *out = cmg_h2conn_request(pick->link->h2);
    if (!out) { /* it is closing, which it is about to tell: there may be another one */
        registry_draining(g->registry, pick->link);
        find_channel(q);
        return;
    }
    if (q->state == WAITING)
        g->nwaiting--;
    q->state = PIPING;
    q->sent_to = member_name(pick->link->member);
    if (out->ops->head(out, &q->head) != CMG_OK) {
        out->ops->abort(out);
        refuse(q, &bad_request, "the request cannot be expressed in HTTP/2");
        return;
    }
    cmg_pipe_join(&q->pipe, out);
}

/* Finds a channel, or waits for one, or says no. */
static void find_channel(struct request *q)
{
    struct gateway *g = q->gateway;
    struct route_pick pick;
    enum verdict v = registry_pick(g->registry, q->path.id, q->path.rest,
                                   cmg_endpoint_auth_of(q->path.tree), q->head.length, &pick);
    bool late = cmg_loop_now_ms(g->loop) - q->waiting_since_ms >= g->conf->clients.hold_ms ||
                (q->state != WAITING && (int64_t)g->nwaiting >= g->conf->clients.hold_max);
    switch (v) {
    case ROUTE_FOUND:
        q->pipe.request_max = (uint64_t)pick.max_request_bytes;
        send_down(q, &pick);
        return;
    case ROUTE_UNPUBLISHED:
        refuse(q, &not_published, "no connection point publishes this id and path");
        return;
    case ROUTE_TOO_LARGE:
        refuse(q, &too_large, "the request body is larger than this endpoint takes");
        return;
    case ROUTE_BUSY:
        if (late)
            refuse(q, &busy, "every channel to this endpoint carries all the requests it may");
        else
            wait(q);
        return;
    case ROUTE_AWAY:
        if (late)
            refuse(q, &no_point, "no connection point of this endpoint's site is connected");
        else
            wait(q);
        return;
    case ROUTE_NOBODY:
        refuse(q, &no_point, "no connection point has connected yet");
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
        q->waiting_since_ms = cmg_loop_now_ms(q->gateway->loop); /* should it have to wait */
        log_debug("request.repeated", KV("request", (const char *)q->id), KV("why", why->text));
        find_channel(q);
        return;
    }
    char detail[256];
    snprintf(detail, sizeof(detail), "connection point %s: %s", q->sent_to, why->text);
    if (why->unprocessed)
        refuse(q, &no_point, detail);
    else if (why->malformed)
        refuse(q, &bad_answer, detail);
    else
        refuse(q, &channel_failed, detail);
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
            refuse(q, &too_large, why->text);
            return;
        }
        p->in->ops->abort(p->in);
        p->in = NULL;
        snprintf(q->why, sizeof(q->why), "%s", why->text);
        break;
    }
    access_event(q, status);
    leave(q);
}

static const struct cmg_pipe_events pipe_events = { on_response, on_failed, on_done };

/* Birth --------------------------------------------------------------------------------- */

static void next_id(struct gateway *g, char out[32])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t id = g->next_id++;
    memcpy(out, g->id_prefix, 16);
    for (int i = 23; i >= 16; i--, id >>= 4)
        out[i] = digits[id & 15];
    out[24] = '\0';
}

/* A request that is answered here and now; nothing of it is kept. */
struct brief {
    struct gateway *gateway;
    struct client *client;
    struct cmg_exchange *x;
    const struct cmg_head *head;
    struct cmg_path path;
    char id[32];
    int64_t started_us;
    const struct cmg_tls_identity *identity;
};

static void brief_access(const struct brief *b, unsigned status, const char *who, const char *why)
{
    if (!b->gateway->conf->log.access)
        return;
    struct cmg_str path = b->path.path.p ? b->path.path : CMG_STR("-");
    log_info("access", KV("request", b->id), KV("peer", client_peer(b->client)), KV("who", who),
             KV("method", b->head->method), KV("path", path), KV("status", status),
             KV("us", cmg_clock_us() - b->started_us), KV("why", why));
}

static void brief_refuse(const struct brief *b, const struct refusal *r, const char *detail)
{
    refuse_exchange(b->gateway, b->client, b->x, r, detail, b->id, b->head->method);
    brief_access(b, r->status, "-", detail);
}

static bool safe_method(struct cmg_str m)
{
    return cmg_str_eq(m, CMG_STR("GET")) || cmg_str_eq(m, CMG_STR("HEAD"));
}

/* False when it was refused. */
static bool identify(struct brief *b)
{
    const struct cmg_err *why;
    if (b->path.tree == CMG_TREE_SERVERAUTH) {
        brief_refuse(b, &bad_token, "no token is accepted here yet: use a client certificate");
        return false;
    }
    if (client_certificate(b->client, &b->identity, &why))
        return true;
    brief_refuse(b, why->code == CMG_ECONF ? &no_certificate : &bad_certificate, why->text);
    return false;
}

static void answer_metadata(struct brief *b)
{
    const struct gateway_conf *conf = b->gateway->conf;
    char body[512];
    if (!safe_method(b->head->method)) {
        brief_refuse(b, &bad_method, "service metadata is read with GET or HEAD");
        return;
    }
    /* Names are checked by the option table: nothing in them needs escaping. */
    int n = snprintf(body, sizeof(body),
                     "{\"service\":\"%s\",\"version\":\"%s\",\"instance\":%d,\"instances\":%d}\n",
                     conf->gateway.name, CMG_VERSION, (int)conf->gateway.instance,
                     (int)conf->gateway.instances);
    cmg_answer(b->x, 200, CMG_STR("application/json"), (struct cmg_str){ body, (size_t)n },
               cmg_str_eq(b->head->method, CMG_STR("HEAD")));
    brief_access(b, 200, b->identity->name, NULL);
}

/* The client's fields, without what it may not say, then ours. */
static size_t put_fields(const struct brief *b)
{
    struct gateway *g = b->gateway;
    const struct cmg_head *head = b->head;
    size_t n = 0;
    for (size_t i = 0; i < head->nfields; i++)
        if (!cmg_field_is_forged(head->fields[i].name))
            g->fields[n++] = head->fields[i];
    const struct cmg_field ours[] = {
        { CMG_STR("Forwarded"), cmg_str(client_forwarded(b->client)) },
        { CMG_STR("X-Forwarded-For"), cmg_str(client_address(b->client)) },
        { CMG_STR(CMG_WIRE_REQUEST_ID), cmg_str(b->id) },
        { CMG_STR(CMG_WIRE_IDENTITY), cmg_str(client_identity(b->client)) },
    };
    memcpy(&g->fields[n], ours, sizeof(ours));
    return n + CMG_COUNT(ours);
}

/* The same path in another copy of its target. */
static struct cmg_path path_in(const struct cmg_path *p, const char *was, const char *is)
{
    struct cmg_path moved = *p;
    struct cmg_str *parts[] = { &moved.path, &moved.query, &moved.id, &moved.rest };
    for (size_t i = 0; i < CMG_COUNT(parts); i++)
        if (parts[i]->p)
            parts[i]->p = is + (parts[i]->p - was);
    return moved;
}

/* From here on the request has a life of its own. */
static void start(struct brief *b)
{
    struct gateway *g = b->gateway;
    struct cmg_head out = *b->head;
    out.scheme = CMG_STR("https");
    out.nfields = put_fields(b);
    out.fields = g->fields;
    struct request *q = cmg_realloc(NULL, sizeof(*q) + cmg_head_size(&out));
    *q = (struct request){ .gateway = g, .client = b->client, .started_us = b->started_us };
    memcpy(q->id, b->id, sizeof(q->id));
    cmg_str_put(q->who, sizeof(q->who), cmg_str(b->identity->name));
    cmg_head_copy(&q->head, &out, q + 1);
    q->path = path_in(&b->path, b->head->target.p, q->head.target.p);

    q->bury = (struct cmg_task){ .run = on_bury, .arg = q };
    q->moved_ms = q->waiting_since_ms = cmg_loop_now_ms(g->loop);
    q->state = PIPING;
    TAILQ_INSERT_TAIL(&g->requests, q, entry);
    g->nrequests++;
    if (!cmg_timer_armed(g->sweep))
        cmg_timer_set(g->sweep, SWEEP_MS);
    cmg_pipe_start(&q->pipe, b->x, b->head->end, UINT64_MAX, HOLD_BYTES, &pipe_events);
    find_channel(q);
}

void request_new(struct gateway *g, struct client *client, struct cmg_exchange *x,
                 const struct cmg_head *head)
{
    struct brief b = { .gateway = g, .client = client, .x = x, .head = head };
    struct cmg_err err;
    b.started_us = cmg_clock_us();
    next_id(g, b.id);
    if (cmg_path_parse(head->target, &b.path, &err) != CMG_OK) {
        brief_refuse(&b, &bad_request, err.text);
    } else if (cmg_str_istarts(head->target, CMG_STR(CMG_WIRE_UPGRADE_PATH))) {
        const char *why = client_upgrade_refusal(client);
        brief_refuse(&b, &not_admitted, *why ? why : "channels ask for Upgrade: " CMG_WIRE_UPGRADE);
    } else if (client_door(client) != DOOR_CLIENTS || b.path.tree == CMG_TREE_NONE ||
               !b.path.id.n) {
        brief_refuse(&b, &not_published, "nothing is published at this path");
    } else if (identify(&b)) {
        if (cmg_str_ieq(b.path.id, CMG_STR("ServiceMetadata")) && !b.path.rest.n)
            answer_metadata(&b);
        else
            start(&b);
    }
}

void request_malformed(struct gateway *g, struct client *client, struct cmg_refusal *r)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        { 408, "CMGService_Request_Timeout" },       { 414, "CMGService_Target_Too_Long" },
        { 431, "CMGService_Head_Too_Large" },        { 501, "CMGService_Not_Implemented" },
        { 505, "CMGService_Version_Not_Supported" },
    };
    r->phrase = bad_request.phrase;
    for (size_t i = 0; i < CMG_COUNT(phrases); i++)
        if (phrases[i].status == r->status)
            r->phrase = phrases[i].phrase;
    next_id(g, g->malformed_id);
    r->by = g->conf->gateway.name;
    r->request_id = g->malformed_id;
    g->malformed_field[0] =
        (struct cmg_field){ CMG_STR(CMG_WIRE_REQUEST_ID), cmg_str(g->malformed_id) };
    g->malformed_field[1] = (struct cmg_field){ CMG_STR(CMG_WIRE_REASON), cmg_str(r->phrase) };
    r->fields = g->malformed_field;
    r->nfields = client_is_h2(client) ? 2 : 1;
    log_info("client.malformed", KV("request", (const char *)g->malformed_id),
             KV("peer", client_peer(client)), KV("status", r->status), KV("why", r->detail));
}

/* Time ---------------------------------------------------------------------------------- */

void request_retry_all(struct gateway *g)
{
    struct request *q, *next;
    for (q = TAILQ_FIRST(&g->requests); q && g->nwaiting; q = next) {
        next = TAILQ_NEXT(q, entry);
        if (q->state == WAITING)
            find_channel(q);
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
             q->sent_to, now - q->moved_ms);
    if (!q->pipe.answered) {
        refuse(q, &timed_out, detail);
        return;
    }
    struct cmg_exchange *in = cmg_pipe_detach(&q->pipe);
    if (in)
        in->ops->abort(in);
    snprintf(q->why, sizeof(q->why), "cut: %s", detail);
    access_event(q, q->pipe.status);
    leave(q);
}

void request_sweep(struct gateway *g)
{
    int64_t now = cmg_loop_now_ms(g->loop);
    struct request *q, *next;
    for (q = TAILQ_FIRST(&g->requests); q; q = next) {
        next = TAILQ_NEXT(q, entry);
        if (q->state == WAITING)
            find_channel(q);
        else
            check_silence(q, now);
    }
    if (g->nrequests)
        cmg_timer_set(g->sweep, SWEEP_MS);
}
