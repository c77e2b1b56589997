/* SPDX-License-Identifier: MIT */
/*
 *   DIALING ---> TALKING ---> CLOSING ---> (gone)
 *      |            |            ^
 *      +------------+------------+
 *
 *   TALKING  on_done is still to come; ends by an answer, the end of the connection, or time
 *   CLOSING  on_done was called, or nobody wants it; the connection may still be going
 */
#include "point/analyze_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/channel/wire.h"
#include "cmg/http/h1conn.h"
#include "cmg/http/h2conn.h"
#include "cmg/net/stream.h"
#include "cmg/proto/greeting.h"
#include "cmg/proto/times.h"

enum { WINDOW = 65535, MEMORY = 1024 * 1024, HEAD = 64 * 1024 };

enum state { DIALING, TALKING, CLOSING };

struct probe {
    struct cmg_loop *loop; /* borrowed */
    enum state state;
    struct cmg_dial *dial;
    struct cmg_h2conn *h2; /* of the two, the one that lives; it ends by its on_closed */
    struct cmg_h1conn *h1;
    struct cmg_exchange *x; /* our request; NULL: over */
    struct ssl_st *ssl;     /* borrowed from the stream; NULL: plain */
    struct cmg_timer *timer;
    struct cmg_task over;
    struct cmg_h2conn_conf h2_conf;
    struct cmg_h1conn_conf h1_conf;
    struct facts_road *road; /* borrowed */
    struct facts_web *web;   /* borrowed */
    char *path, *authority;  /* owned */
    char page[1024];         /* how the page of a refusal begins */
    size_t npage;
    unsigned talk_ms;
    void (*on_done)(void *arg); /* NULL: called, or nobody wants to know */
    void (*on_gone)(void *arg);
    void *arg;
};

static void destroy(struct probe *p)
{
    void (*on_gone)(void *) = p->on_gone;
    void *arg = p->arg;
    cmg_loop_cancel(p->loop, &p->over);
    cmg_timer_free(p->timer);
    free(p->path);
    free(p->authority);
    free(p);
    on_gone(arg);
}

static void hang_up(struct probe *p)
{
    cmg_timer_stop(p->timer);
    if (p->x)
        p->x->ops->abort(p->x);
    p->x = NULL;
    if (p->h2)
        cmg_h2conn_close(p->h2);
    else if (p->h1)
        cmg_h1conn_close(p->h1);
    else
        destroy(p);
}

/* At the end of the turn, because connections do not like to be ended from inside their calls. */
static void on_over(void *arg)
{
    struct probe *p = arg;
    void (*on_done)(void *) = p->on_done;
    p->on_done = NULL;
    if (on_done)
        on_done(p->arg);
    hang_up(p);
}

static void finish(struct probe *p)
{
    if (p->state == CLOSING)
        return;
    p->state = CLOSING;
    cmg_loop_defer(p->loop, &p->over);
}

static void on_timer(void *arg)
{
    struct probe *p = arg;
    struct cmg_err *why = p->road ? &p->road->why : &p->web->why;
    if (p->state != TALKING)
        return;
    cmg_fail(why, CMG_ETIMEOUT,
             p->road ? "the gateway did not ask for the greeting within %u s"
                     : "no answer within %u s",
             p->talk_ms / 1000);
    if (p->road)
        p->road->admission = ADMISSION_BROKEN;
    finish(p);
}

/* ---- a road ---- */

static void text(const struct cmg_head *head, struct cmg_str name, char *out, size_t size)
{
    const struct cmg_field *f = cmg_field_find(head->fields, head->nfields, name);
    if (f)
        cmg_str_put(out, size, f->value);
}

static unsigned number(const struct cmg_head *head, struct cmg_str name)
{
    const struct cmg_field *f = cmg_field_find(head->fields, head->nfields, name);
    long long n = f ? cmg_str_number(f->value) : -1;
    return n > 0 && n < 10000 ? (unsigned)n : 0;
}

static void on_exchange(void *arg, struct cmg_exchange *x, const struct cmg_head *head)
{
    struct probe *p = arg;
    bool greeting = cmg_str_eq(head->target, CMG_STR(CMG_GREETING_PATH));
    if (p->state == TALKING && greeting) {
        p->road->admission = ADMISSION_YES;
        text(head, CMG_STR(CMG_WIRE_GATEWAY_NAME), p->road->gateway, sizeof(p->road->gateway));
        text(head, CMG_STR(CMG_WIRE_GATEWAY_VERSION), p->road->version, sizeof(p->road->version));
        p->road->said = number(head, CMG_STR(CMG_WIRE_GATEWAY_INSTANCE));
        p->road->said_of = number(head, CMG_STR(CMG_WIRE_GATEWAY_INSTANCES));
        finish(p);
    }
    x->ops->abort(x);
}

static void on_h2_closed(void *arg, const char *detail)
{
    struct probe *p = arg;
    p->h2 = NULL;
    if (p->state == CLOSING) {
        if (!p->on_done)
            destroy(p);
        return;
    }
    bool refused = cmg_tls_refused(p->ssl) || (detail && strstr(detail, CMG_WIRE_NOT_ADMITTED));
    p->road->admission = refused ? ADMISSION_NO : ADMISSION_BROKEN;
    cmg_fail(&p->road->why, refused ? CMG_EDENIED : CMG_EIO, "%s",
             detail && *detail ? detail : "the gateway closed the connection");
    finish(p);
}

static void talk_h2(struct probe *p, struct cmg_stream *taken)
{
    static const struct cmg_h2conn_events events = {
        .on_exchange = on_exchange,
        .on_closed = on_h2_closed,
    };
    p->h2_conf = (struct cmg_h2conn_conf){
        .role = CMG_H2_SERVER,
        .preface = CMG_H2_PREFACE_CLIENT,
        .channel = true,
        .names = true,
        .max_streams = 1,
        .stream_window = WINDOW,
        .memory_bytes = MEMORY,
        .head_bytes = HEAD,
    };
    p->h2 = cmg_h2conn_new(p->loop, taken, &p->h2_conf, &events, p);
}

/* ---- a request ---- */

/* Web servers that want a certificate over TLS that is up already say so in the page only. */
static bool explains(unsigned status)
{
    return status == 400 || status == 403;
}

static void on_head(void *arg, const struct cmg_head *head)
{
    struct probe *p = arg;
    if (head->status < 200 || p->state != TALKING)
        return;
    const struct cmg_field *date = cmg_field_find(head->fields, head->nfields, CMG_STR("Date"));
    p->web->status = head->status;
    p->web->date = date ? cmg_times_http_get(date->value) : -1;
    p->web->at = cmg_clock_unix();
    if (head->end || !explains(head->status))
        finish(p);
}

static void on_body(void *arg, struct cmg_str bytes)
{
    struct probe *p = arg;
    if (p->state != TALKING)
        return;
    size_t n = bytes.n < sizeof(p->page) - 1 - p->npage ? bytes.n : sizeof(p->page) - 1 - p->npage;
    memcpy(p->page + p->npage, bytes.p, n);
    p->npage += n;
    p->web->on_certificate = strcasestr(p->page, "certificate");
    if (p->web->on_certificate || p->npage == sizeof(p->page) - 1)
        finish(p);
}

static void on_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    struct probe *p = arg;
    (void)trailers, (void)n;
    p->x = NULL;
    finish(p);
}

static void on_room(void *arg)
{
    (void)arg;
}

static void on_exchange_gone(void *arg, const struct cmg_fault *why)
{
    struct probe *p = arg;
    p->x = NULL;
    if (p->state != TALKING)
        return;
    if (!p->web->status)
        cmg_fail(&p->web->why, why->code, "%s", why->text);
    finish(p);
}

static void on_h1_idle(void *arg)
{
    (void)arg;
}

static void on_h1_closed(void *arg, const char *detail)
{
    struct probe *p = arg;
    (void)detail; /* the exchange has been told */
    p->h1 = NULL;
    if (p->state == CLOSING && !p->on_done)
        destroy(p);
}

static void ask(struct probe *p)
{
    static const struct cmg_exchange_events events = {
        .on_head = on_head,
        .on_body = on_body,
        .on_end = on_end,
        .on_room = on_room,
        .on_gone = on_exchange_gone,
    };
    const struct cmg_field fields[] = {
        { CMG_STR("User-Agent"), CMG_STR("cmg-connection-point/" CMG_VERSION " analyze") },
        { CMG_STR("Accept"), CMG_STR("*/*") },
    };
    const struct cmg_head head = {
        .method = CMG_STR("GET"),
        .target = cmg_str(p->path),
        .scheme = p->ssl ? CMG_STR("https") : CMG_STR("http"),
        .authority = cmg_str(p->authority),
        .fields = fields,
        .nfields = CMG_COUNT(fields),
        .length = -1,
        .end = true,
    };
    p->x = cmg_h1conn_request(p->h1);
    cmg_exchange_listen(p->x, &events, p);
    if (p->x->ops->head(p->x, &head) == CMG_OK)
        return;
    cmg_fail(&p->web->why, CMG_ECONF, "the request for %.120s cannot be written", p->path);
    finish(p);
}

static void talk_h1(struct probe *p, struct cmg_stream *taken)
{
    static const struct cmg_h1client_events events = { on_h1_idle, on_h1_closed };
    p->h1_conf = (struct cmg_h1conn_conf){
        .limits = cmg_h1_limits_default,
        .idle_ms = p->talk_ms,
        .stall_ms = p->talk_ms,
    };
    p->h1 = cmg_h1conn_client(p->loop, taken, &p->h1_conf, &events, p);
    ask(p);
}

/* ---- the dial ---- */

static void talk(struct probe *p, struct cmg_stream *taken, const char *alpn)
{
    p->state = TALKING;
    p->ssl = cmg_stream_ssl(taken);
    cmg_timer_set(p->timer, p->talk_ms);
    if (p->web) {
        talk_h1(p, taken);
        return;
    }
    talk_h2(p, taken);
    if (strcmp(alpn, CMG_WIRE_ALPN_H2) == 0) { /* a stock HAProxy never asks for a greeting */
        p->road->admission = ADMISSION_YES;
        finish(p);
    }
}

static void on_dialed(void *arg, const struct cmg_dial_result *r)
{
    struct probe *p = arg;
    struct facts_dial *d = p->road ? &p->road->dial : &p->web->dial;
    p->dial = NULL;
    d->done = true;
    d->open = r->stream != NULL;
    d->result = *r;
    d->result.stream = NULL;
    if (!r->stream) {
        finish(p);
        return;
    }
    snprintf(d->peer, sizeof(d->peer), "%s", cmg_stream_peer(r->stream));
    talk(p, r->stream, r->alpn);
}

struct probe *probe_start(struct cmg_loop *l, struct cmg_dialer *d, const struct probe_conf *conf,
                          void (*on_done)(void *arg), void (*on_gone)(void *arg), void *arg)
{
    struct probe *p = cmg_alloc(sizeof(*p));
    p->loop = l;
    p->road = conf->road;
    p->web = conf->web;
    p->path = cmg_strdup(conf->path);
    p->authority = cmg_strdup(conf->authority);
    p->talk_ms = conf->talk_ms;
    p->on_done = on_done;
    p->on_gone = on_gone;
    p->arg = arg;
    p->over = (struct cmg_task){ .run = on_over, .arg = p };
    p->timer = cmg_timer_new(l, on_timer, p);
    p->dial = cmg_dial_start(d, &conf->target, on_dialed, p);
    return p;
}

void probe_cancel(struct probe *p)
{
    p->on_done = NULL;
    if (p->state == CLOSING)
        return; /* on its way */
    p->state = CLOSING;
    cmg_dial_cancel(p->dial);
    p->dial = NULL;
    hang_up(p);
}
