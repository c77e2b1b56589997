/* SPDX-License-Identifier: MIT */
/* An HTTP/1.1 server on the loop under test: takes a request with its body, asks for an answer,
 * keeps the connection. Tells when anything changed, so that a test may wait for it. */
#ifndef TEST_FAKE_HTTP_H
#define TEST_FAKE_HTTP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/net/listener.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"
#include "cmg/net/tls.h"

struct fake_conn;

struct fake_http {
    struct cmg_loop *loop;
    struct cmg_tls *tls; /* borrowed; NULL: none */
    /* The whole answer to a request that is there in c->got; NULL: never. "" hangs up, and so does
     * an answer without a length. */
    const char *(*answer)(struct fake_http *h, struct fake_conn *c);
    struct cmg_listener *listener;
    unsigned accepted, gone, requests;
    char last[8192]; /* the last request, head and body */
    struct fake_conn *conns;
};

struct fake_conn {
    struct fake_http *http;
    struct cmg_stream *stream;
    void *slot;
    char got[8192]; /* one request, NUL-ended */
    size_t n;
    struct fake_conn *next, **at;
};

/* The body of a request, or NULL while its head is not whole; *length is what it announced. */
static const char *fake_body(const struct fake_conn *c, size_t *length)
{
    const char *end = strstr(c->got, "\r\n\r\n");
    const char *field = strcasestr(c->got, "\r\nContent-Length: ");
    *length = field && field < end ? strtoul(field + 18, NULL, 10) : 0;
    return end ? end + 4 : NULL;
}

static void fake_answer(struct fake_conn *c)
{
    struct fake_http *h = c->http;
    memcpy(h->last, c->got, c->n + 1);
    h->requests++;
    const char *answer = h->answer(h, c);
    c->n = 0;
    cmg_loop_stop(h->loop);
    if (!answer)
        return;
    if (cmg_buf_put(cmg_stream_out(c->stream), cmg_str(answer)) != CMG_OK)
        abort();
    cmg_stream_mark(c->stream);
    if (!strcasestr(answer, "\r\nContent-Length: "))
        cmg_stream_close(c->stream, 1000);
}

static size_t fake_data(void *arg, struct cmg_str in)
{
    struct fake_conn *c = arg;
    size_t length;
    if (c->n + in.n >= sizeof(c->got))
        abort();
    memcpy(c->got + c->n, in.p, in.n);
    c->n += in.n;
    c->got[c->n] = '\0';
    const char *body = fake_body(c, &length);
    if (body && (size_t)(c->got + c->n - body) >= length)
        fake_answer(c);
    return in.n;
}

static void fake_closed(void *arg, enum cmg_close_reason why, const char *detail)
{
    struct fake_conn *c = arg;
    struct fake_http *h = c->http;
    (void)why, (void)detail;
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    cmg_listener_release(h->listener, c->slot);
    free(c);
    h->gone++;
    cmg_loop_stop(h->loop);
}

static void fake_accept(void *arg, int fd, void *slot)
{
    static const struct cmg_stream_events events = {
        .on_data = fake_data,
        .on_closed = fake_closed,
    };
    struct fake_http *h = arg;
    struct fake_conn *c = cmg_alloc(sizeof(*c));
    c->http = h;
    c->slot = slot;
    c->next = h->conns;
    c->at = &h->conns;
    if (c->next)
        c->next->at = &c->next;
    h->conns = c;
    h->accepted++;
    c->stream = cmg_stream_new(h->loop, fd, h->tls, NULL, 20000, &events, c);
    cmg_loop_stop(h->loop);
}

/* `loop`, `tls` and `answer` are set. Returns the port on 127.0.0.1. */
static uint16_t fake_http_start(struct fake_http *h)
{
    struct cmg_err err;
    struct cmg_listener_conf conf = { .address = "127.0.0.1", .fd = -1, .max = 200 };
    h->listener = cmg_listener_new(h->loop, &conf, fake_accept, h, &err);
    if (!h->listener)
        abort();
    return cmg_listener_port(h->listener);
}

/* Ends every connection; needs no client to go first. */
static void fake_http_stop(struct fake_http *h)
{
    for (struct fake_conn *c = h->conns; c; c = c->next)
        cmg_stream_close(c->stream, 0);
    while (h->gone < h->accepted)
        cmg_loop_run(h->loop);
    cmg_listener_free(h->listener);
    h->listener = NULL;
}

#endif
