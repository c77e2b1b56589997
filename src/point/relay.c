/* SPDX-License-Identifier: MIT */
/* A request's way through the connection point:
 *
 *   judge -----> refused
 *     |
 *   a connection to the endpoint, kept or new <--- it was dead before a byte had left
 *     |                    |                         |
 *     |                 refused                      |
 *   pipe --------------------------------------------+
 *     |
 *   done: one access event
 */
#include "point/relay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "cmg/http/message.h"
#include "cmg/http/pipe.h"
#include "cmg/proto/path.h"

enum { HOLD_BYTES = 64 * 1024, TRIES_MAX = 3, KEY_BYTES = 400 };

struct relay {
    struct point *point;
    struct endpoint *endpoint; /* a reference */
    struct cmg_pipe pipe;
    struct cmg_pool_wait wait;
    unsigned tries;
    int64_t started_us;
    char id[40], channel[40];
    char who[256];       /* the client's name                                        */
    const char *how;     /* it proved it                                             */
    char key[KEY_BYTES]; /* whose connection a private one is                        */
    char why[200];       /* for the access event; "" when all is well                */
    struct cmg_str path;
    uint64_t moved;   /* request bytes, when a drain looked last */
    int64_t moved_ms; /* when they last grew, or it came          */
    struct cmg_task bury;
    LIST_ENTRY(relay) entry; /* among the point's */
    struct cmg_head head;    /* as sent to the endpoint; its bytes follow the struct */
};

/* Refusals ------------------------------------------------------------------------------ */

struct refusal {
    unsigned status;
    const char *error; /* RFC 9209 */
    unsigned retry_after_s;
};

static const struct refusal bad_request = { 400, "http_request_error", 0 };
static const struct refusal not_published = { 404, "http_request_denied", 0 };
static const struct refusal too_large = { 413, "http_request_denied", 0 };
static const struct refusal no_endpoint = { 502, "destination_unavailable", 0 };
static const struct refusal connect_timeout = { 504, "connection_timeout", 0 };
static const struct refusal bad_answer = { 502, "http_protocol_error", 0 };
static const struct refusal cut_off = { 502, "connection_terminated", 0 };
static const struct refusal silent = { 504, "http_response_timeout", 0 };

static const struct refusal draining = { 503, "destination_unavailable", 1 };

static void refuse_exchange(struct point *p, struct cmg_exchange *x, const struct refusal *r,
                            const char *detail, const char *id, struct cmg_str method)
{
    struct cmg_field f = { CMG_STR(CMG_WIRE_REFUSAL), cmg_str(detail) };
    struct cmg_refusal out = {
        .status = r->status,
        .phrase = cmg_reason(r->status),
        .error = r->error,
        .detail = detail,
        .by = p->conf->point.name,
        .request_id = id,
        .retry_after_s = r->retry_after_s,
        .fields = &f,
        .nfields = 1,
    };
    cmg_refuse(x, &out, cmg_str_eq(method, CMG_STR("HEAD")));
}

/* Life ---------------------------------------------------------------------------------- */

static void access_event(const struct relay *q, unsigned status, int64_t us)
{
    if (!q->point->conf->log.access)
        return;
    log_info("access", KV("request", q->id), KV("who", (const char *)q->who), KV("how", q->how),
             KV("method", q->head.method), KV("path", q->path), KV("endpoint", q->endpoint->label),
             KV("status", status), KV("in_bytes", q->pipe.request_bytes),
             KV("out_bytes", q->pipe.response_bytes), KV("us", us), KV("tries", q->tries),
             KV("channel", q->channel), KV("why", cmg_or_none(q->why)));
}

static void on_bury(void *arg)
{
    struct relay *q = arg;
    cmg_pipe_clear(&q->pipe);
    endpoint_unref(q->endpoint);
    free(q);
}

/* `cut`: the client did not get the whole answer that `status` began. */
static void leave(struct relay *q, unsigned status, bool cut)
{
    int64_t us = cmg_clock_us() - q->started_us;
    access_event(q, status, us);
    cmg_counts_end(&q->endpoint->tally->counts, status, cut, q->pipe.request_bytes,
                   q->pipe.response_bytes, us);
    cmg_counts_end(&q->point->requests, status, cut, q->pipe.request_bytes, q->pipe.response_bytes,
                   us);
    cmg_pool_cancel(&q->wait);
    LIST_REMOVE(q, entry);
    q->point->in_flight--;
    cmg_loop_defer(q->point->loop, &q->bury);
    point_check_drained(q->point);
}

static void refuse(struct relay *q, const struct refusal *r, const char *detail)
{
    struct cmg_exchange *in = cmg_pipe_detach(&q->pipe);
    snprintf(q->why, sizeof(q->why), "%s", detail);
    if (in)
        refuse_exchange(q->point, in, r, detail, q->id, q->head.method);
    if (r->status >= 500 && r != &draining)
        log_warn("relay.failed", KV("request", (const char *)q->id),
                 KV("endpoint", q->endpoint->label), KV("why", detail));
    leave(q, r->status, false);
}

/* A connection -------------------------------------------------------------------------- */

static void send_to(struct relay *q, struct cmg_exchange *out)
{
    if (out->ops->head(out, &q->head) != CMG_OK) {
        out->ops->abort(out);
        refuse(q, &bad_request, "the request cannot be expressed in HTTP/1.1");
        return;
    }
    cmg_pipe_join(&q->pipe, out);
}

static void on_connection(void *arg, struct cmg_exchange *x, const struct cmg_fault *why)
{
    struct relay *q = arg;
    if (x)
        send_to(q, x);
    else
        refuse(q, why->code == CMG_ETIMEOUT ? &connect_timeout : &no_endpoint, why->text);
}

static void get_connection(struct relay *q)
{
    if (!q->endpoint->pool) {
        refuse(q, &not_published, "the endpoint has just been taken out of the configuration");
        return;
    }
    q->tries++;
    q->wait.on_ready = on_connection;
    q->wait.arg = q;
    struct cmg_exchange *out = cmg_pool_request(q->endpoint->pool, cmg_str(q->key), &q->wait);
    if (out)
        send_to(q, out);
}

/* Pipe events --------------------------------------------------------------------------- */

static struct relay *of(struct cmg_pipe *p)
{
    return CMG_OUTER(p, struct relay, pipe);
}

/* NTLM and Negotiate authenticate a connection. On one that many clients share they would lend
 * the first client's name to the next. */
static bool authenticates_connection(struct cmg_str value)
{
    struct cmg_str item;
    while (cmg_str_next(&value, ',', &item)) /* a field may list several challenges */
        if (cmg_str_istarts(item, CMG_STR("ntlm")) || cmg_str_istarts(item, CMG_STR("negotiate")))
            return true;
    return false;
}

static bool is_authentication(struct cmg_str name)
{
    return cmg_str_ieq(name, CMG_STR("Authorization")) ||
           cmg_str_ieq(name, CMG_STR("WWW-Authenticate"));
}

/* Whether a field, of a request or of a response, may pass between client and endpoint. */
static bool passes(const struct endpoint *e, const struct cmg_field *f)
{
    if (cmg_str_istarts(f->name, CMG_STR(CMG_WIRE_PREFIX)) ||
        cmg_str_ieq(f->name, CMG_STR("Proxy-Authorization")) ||
        cmg_str_ieq(f->name, CMG_STR("Proxy-Authenticate")))
        return false;
    return e->private_connections || !is_authentication(f->name) ||
           !authenticates_connection(f->value);
}

static void on_response(struct cmg_pipe *p, struct cmg_head *head)
{
    struct relay *q = of(p);
    struct cmg_field *fields = q->point->fields;
    size_t n = 0;
    for (size_t i = 0; i < head->nfields; i++)
        if (passes(q->endpoint, &head->fields[i]))
            fields[n++] = head->fields[i];
    /* HTTP/2 carries no phrase, and clients read it; the usual one goes without saying. */
    if (!cmg_str_eq(head->reason, cmg_str(cmg_reason(head->status))))
        fields[n++] = (struct cmg_field){ CMG_STR(CMG_WIRE_REASON), head->reason };
    head->fields = fields;
    head->nfields = n;
}

static void on_failed(struct cmg_pipe *p, const struct cmg_fault *why)
{
    struct relay *q = of(p);
    if (why->unprocessed && q->tries < TRIES_MAX && cmg_pipe_may_repeat(p)) {
        get_connection(q);
        return;
    }
    const struct refusal *r = why->malformed              ? &bad_answer
                              : why->code == CMG_ETIMEOUT ? &silent
                                                          : &cut_off;
    char detail[288];
    snprintf(detail, sizeof(detail), "endpoint %s: %s", q->endpoint->label, why->text);
    refuse(q, r, detail);
}

static void on_done(struct cmg_pipe *p, enum cmg_pipe_end end, const struct cmg_fault *why)
{
    struct relay *q = of(p);
    unsigned status = p->status;
    switch (end) {
    case CMG_PIPE_DONE:
        break;
    case CMG_PIPE_CLIENT_GONE:
        snprintf(q->why, sizeof(q->why), "the gateway gave up: %s", why->text);
        if (!status)
            status = 499;
        break;
    case CMG_PIPE_CUT:
        snprintf(q->why, sizeof(q->why), "cut: %s", why->text);
        log_warn("relay.cut", KV("request", (const char *)q->id),
                 KV("endpoint", q->endpoint->label), KV("why", why->text));
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
    leave(q, status, end != CMG_PIPE_DONE);
}

static const struct cmg_pipe_events pipe_events = { on_response, on_failed, on_done };

/* Birth --------------------------------------------------------------------------------- */

struct brief { /* a request before it has a life of its own */
    struct point *point;
    struct cmg_channel *channel;
    struct cmg_exchange *x;
    const struct cmg_head *head;
    struct cmg_path path;
    char id[40];
    struct endpoint *endpoint;
    const struct cmg_endpoint *published;
    struct passport_bearer client;
    bool bearer; /* it carries a token */
};

static void count_refused(struct point_refused *c, const struct refusal *r)
{
    c->malformed += r == &bad_request;
    c->not_published += r == &not_published;
    c->too_large += r == &too_large;
}

static void brief_refuse(const struct brief *b, const struct refusal *r, const char *detail)
{
    refuse_exchange(b->point, b->x, r, detail, b->id, b->head->method);
    count_refused(&b->point->refused, r);
    if (!b->point->conf->log.access)
        return;
    struct cmg_str path = b->path.path.p ? b->path.path : CMG_STR("-");
    log_info("access", KV("request", (const char *)b->id), KV("method", b->head->method),
             KV("path", path), KV("status", r->status), KV("why", detail));
}

/* The gateway's words about a request. From a HAProxy they would be its client's. */
static struct cmg_str internal(const struct brief *b, const char *name)
{
    const struct cmg_field *f = NULL;
    if (!cmg_channel_info(b->channel)->foreign)
        f = cmg_field_find(b->head->fields, b->head->nfields, cmg_str(name));
    return f ? f->value : (struct cmg_str){ "", 0 };
}

static void set_id(struct brief *b)
{
    struct point *p = b->point;
    struct cmg_str id = internal(b, CMG_WIRE_REQUEST_ID);
    if (id.n && id.n < sizeof(b->id))
        cmg_str_put(b->id, sizeof(b->id), id);
    else
        snprintf(b->id, sizeof(b->id), "%016" PRIx64 "%08" PRIx32, p->id_prefix, p->next_id++);
}

/* Prefix substitution: the tree and the id give way to the endpoint's own prefix; what follows
 * stays byte for byte. */
static struct cmg_str internal_target(const struct brief *b, char *room, size_t size)
{
    size_t prefix = strlen(b->endpoint->prefix);
    struct cmg_str rest = b->path.rest;
    rest.n = (size_t)(b->head->target.p + b->head->target.n - rest.p); /* with the query */
    if (prefix + rest.n > size)
        return (struct cmg_str){ NULL, 0 };
    if (!prefix)
        return rest;
    memcpy(room, b->endpoint->prefix, prefix);
    memcpy(room + prefix, rest.p, rest.n);
    return (struct cmg_str){ room, prefix + rest.n };
}

/* Who the client is, in the gateway's words. What cannot be read is nobody: the endpoint is then
 * told nothing. That is a gateway of another version, so all its requests are alike. */
static void set_client(struct brief *b)
{
    struct cmg_str text = internal(b, CMG_WIRE_IDENTITY);
    struct cmg_err err;
    if (text.n && cmg_identity_read(text, &b->client.who, &err) != CMG_OK &&
        !b->point->told_unread) {
        b->point->told_unread = true;
        log_warn("relay.identity_unread", KV("request", (const char *)b->id), KV("why", err.text));
    }
    b->client.certificate = internal(b, CMG_WIRE_CLIENT_CERT);
}

/* One client, one connection, however often the client is verified anew. Whoever is nobody, or
 * carries a token that many carry, shares none. */
static void put_key(char key[KEY_BYTES], const struct brief *b)
{
    const struct cmg_identity *i = &b->client.who;
    bool alone = i->how == CMG_BY_NOTHING || i->kind == CMG_KIND_BULK;
    const char *which = i->sha256[0] ? i->sha256 : i->id[0] ? i->id : i->name;
    snprintf(key, KEY_BYTES, "%s\n%s\n%s\n%s", cmg_identity_how_name(i->how),
             cmg_identity_kind_name(i->kind), i->tenant, alone ? b->id : which);
}

static struct relay *relay_make(const struct brief *b, const struct cmg_head *out)
{
    struct point *p = b->point;
    struct relay *q = cmg_realloc(NULL, sizeof(*q) + cmg_head_size(out));
    memset(q, 0, sizeof(*q));
    q->point = p;
    q->endpoint = endpoint_ref(b->endpoint);
    q->started_us = cmg_clock_us();
    memcpy(q->id, b->id, sizeof(q->id));
    const char *name = b->client.who.name;
    cmg_str_put(q->who, sizeof(q->who), *name ? cmg_str(name) : CMG_STR("-"));
    q->how = cmg_identity_how_name(b->client.who.how);
    put_key(q->key, b);
    cmg_str_put(q->channel, sizeof(q->channel),
                cmg_str(cmg_channel_info(b->channel)->connection_id));
    cmg_head_copy(&q->head, out, q + 1);
    const char *query = memchr(q->head.target.p, '?', q->head.target.n);
    q->path = (struct cmg_str){ q->head.target.p,
                                query ? (size_t)(query - q->head.target.p) : q->head.target.n };
    q->bury = (struct cmg_task){ .run = on_bury, .arg = q };
    q->moved_ms = cmg_loop_now_ms(p->loop);
    p->in_flight++;
    LIST_INSERT_HEAD(&p->relays, q, entry);
    cmg_counts_begin(&q->endpoint->tally->counts, b->bearer);
    cmg_counts_begin(&q->point->requests, b->bearer);
    return q;
}

static bool is_bearer(const struct cmg_field *f)
{
    return cmg_str_ieq(f->name, CMG_STR("Authorization")) &&
           cmg_str_istarts(f->value, CMG_STR("Bearer "));
}

/* The client's fields, without what only we may tell the endpoint, then ours. */
static size_t put_fields(struct brief *b)
{
    const struct passport *passport = &b->endpoint->passport;
    struct cmg_field *fields = b->point->fields;
    size_t n = 0;
    for (size_t i = 0; i < b->head->nfields; i++) {
        const struct cmg_field *f = &b->head->fields[i];
        b->bearer |= is_bearer(f);
        if (passes(b->endpoint, f) && !passport_claims(passport, f->name))
            fields[n++] = *f;
    }
    return n + passport_put(passport, &b->client, &fields[n]);
}

static void start(struct brief *b)
{
    struct point *p = b->point;
    char room[20 * 1024];
    struct cmg_head out = *b->head;
    out.target = internal_target(b, room, sizeof(room));
    if (!out.target.p) {
        brief_refuse(b, &bad_request, "the request target is too long");
        return;
    }
    out.authority = cmg_str(b->endpoint->authority);
    set_client(b);
    out.nfields = put_fields(b);
    out.fields = p->fields;
    struct relay *q = relay_make(b, &out);
    cmg_pipe_start(&q->pipe, b->x, b->head->end, (uint64_t)b->published->max_request_bytes,
                   HOLD_BYTES, &pipe_events);
    get_connection(q);
}

void relay_new(struct point *p, struct cmg_channel *channel, struct cmg_exchange *x,
               const struct cmg_head *head)
{
    struct brief b = { .point = p, .channel = channel, .x = x, .head = head };
    struct cmg_err err;
    set_id(&b);
    if (cmg_path_parse(head->target, &b.path, &err) != CMG_OK) {
        brief_refuse(&b, &bad_request, err.text);
        return;
    }
    if (b.path.tree != CMG_TREE_NONE)
        b.endpoint = endpoints_find(p->endpoints, b.path.id, &b.published);
    if (!b.endpoint || !(b.published->auth & cmg_endpoint_auth_of(b.path.tree)) ||
        !cmg_endpoint_match(b.published, b.path.rest))
        brief_refuse(&b, &not_published, "this id and path are not published here");
    else if (head->length > b.published->max_request_bytes)
        brief_refuse(&b, &too_large, "the request body is larger than this endpoint takes");
    else
        start(&b);
}

size_t relay_held_bytes(const struct point *p)
{
    size_t n = 0;
    const struct relay *q;
    LIST_FOREACH(q, &p->relays, entry)
    n += q->pipe.held.n;
    return n;
}

/* Drain --------------------------------------------------------------------------------- */

/* Nothing more of it can be expected soon: a long poll, or an endpoint that hangs. */
static bool is_silent(struct relay *q, int64_t now)
{
    const struct point *p = q->point;
    if (q->moved != q->pipe.request_bytes || !q->pipe.request_ended) {
        q->moved = q->pipe.request_bytes;
        q->moved_ms = now;
    }
    int64_t since = q->moved_ms > p->draining_since_ms ? q->moved_ms : p->draining_since_ms;
    return !q->pipe.answered && now - since >= p->conf->point.drain_silent_ms;
}

/* It waits in line for a connection: no byte of it has gone anywhere. */
static void hand_back(struct relay *q)
{
    struct cmg_exchange *in = cmg_pipe_detach(&q->pipe);
    snprintf(q->why, sizeof(q->why), "handed back: this connection point stops");
    if (in)
        in->ops->refuse(in);
    leave(q, 0, false);
}

void relay_drain(struct point *p, bool now_or_never)
{
    int64_t now = cmg_loop_now_ms(p->loop);
    struct relay *q, *next;
    bool only_silent = true;
    LIST_FOREACH(q, &p->relays, entry)
    only_silent &= is_silent(q, now);
    if (!only_silent && !now_or_never)
        return;
    for (q = LIST_FIRST(&p->relays); q; q = next) {
        next = LIST_NEXT(q, entry);
        if (q->pipe.answered)
            continue;
        if (q->pipe.out)
            refuse(q, &draining, "this connection point stops: come again");
        else
            hand_back(q);
    }
}
