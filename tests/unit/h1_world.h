/* SPDX-License-Identifier: MIT */
/* A loop with a deadline, and a peer that speaks raw bytes over a real socket. */
#ifndef H1_WORLD_H
#define H1_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/http/h1conn.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"

enum { DEADLINE_MS = 10000, MIB = 1024 * 1024 };

/* Turning the loop until something holds -------------------------------------------------- */

struct world {
    struct cmg_loop *loop;
    struct cmg_timer *look;
    bool (*holds)(void *arg);
    void *arg;
    int64_t until_ms;
};

static inline void world_look(void *arg)
{
    struct world *w = arg;
    if ((w->holds && w->holds(w->arg)) || cmg_clock_ms() >= w->until_ms)
        cmg_loop_stop(w->loop);
    else
        cmg_timer_set(w->look, 1);
}

static inline void world_init(struct world *w)
{
    *w = (struct world){ .loop = cmg_loop_new() };
    w->look = cmg_timer_new(w->loop, world_look, w);
}

static inline void world_clear(struct world *w)
{
    cmg_timer_free(w->look);
    cmg_loop_free(w->loop);
}

static inline bool world_run(struct world *w, bool (*holds)(void *arg), void *arg, int64_t ms)
{
    w->holds = holds;
    w->arg = arg;
    w->until_ms = cmg_clock_ms() + ms;
    cmg_timer_set(w->look, 0);
    cmg_loop_run(w->loop);
    return holds && holds(arg);
}

/* Fails the test when it does not come true in time. */
#define until(w, holds, arg)                              \
    do {                                                  \
        if (!world_run((w), (holds), (arg), DEADLINE_MS)) \
            fail_msg("%s did not come true", #holds);     \
    } while (0)

static inline bool flag_is_set(void *arg)
{
    return *(bool *)arg;
}

/* A few turns, for what must not happen. */
static inline void settle(struct world *w)
{
    world_run(w, NULL, NULL, 20);
}

/* The raw peer ---------------------------------------------------------------------------- */

struct peer {
    struct cmg_loop *loop;
    int fd;
    struct cmg_watch *watch;
    struct cmg_buf got, say;
    uint64_t taken; /* bytes received, also those not kept */
    bool reads, keeps, eof, reset, shut;
    const char *wanted;
    uint64_t wanted_bytes;
};

static inline void peer_want(struct peer *p)
{
    cmg_watch_want(p->watch, p->reads && !p->eof, p->say.n > 0);
}

static inline void peer_read(struct peer *p)
{
    static char bytes[65536];
    ssize_t n = recv(p->fd, bytes, sizeof(bytes), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        p->eof = true;
        p->reset = n < 0;
        return;
    }
    p->taken += (uint64_t)n;
    if (p->keeps)
        assert_int_equal(CMG_OK, cmg_buf_put(&p->got, (struct cmg_str){ bytes, (size_t)n }));
}

static inline void peer_ready(void *arg, bool readable, bool writable)
{
    struct peer *p = arg;
    if (writable && p->say.n) {
        struct cmg_str out = cmg_buf_str(&p->say);
        ssize_t n = send(p->fd, out.p, out.n, MSG_NOSIGNAL);
        if (n > 0)
            cmg_buf_drop(&p->say, (size_t)n);
        else if (errno != EAGAIN)
            cmg_buf_clear(&p->say);
    }
    if (readable)
        peer_read(p);
    if (!p->say.n && p->shut)
        shutdown(p->fd, SHUT_WR);
    peer_want(p);
}

/* Returns the other end, non-blocking. */
static inline int peer_init(struct peer *p, struct cmg_loop *l)
{
    int fds[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    *p = (struct peer){ .loop = l, .fd = fds[0], .reads = true, .keeps = true };
    cmg_buf_init(&p->got, 64 * MIB);
    cmg_buf_init(&p->say, 64 * MIB);
    p->watch = cmg_watch_new(l, p->fd, peer_ready, p);
    peer_want(p);
    return fds[1];
}

static inline void peer_clear(struct peer *p)
{
    if (p->fd < 0)
        return;
    cmg_watch_free(p->watch);
    close(p->fd);
    p->fd = -1;
    cmg_buf_clear(&p->got);
    cmg_buf_clear(&p->say);
}

static inline void peer_says_bytes(struct peer *p, struct cmg_str bytes)
{
    if (bytes.n)
        assert_int_equal(CMG_OK, cmg_buf_put(&p->say, bytes));
    peer_want(p);
}

static inline void peer_says(struct peer *p, const char *text)
{
    peer_says_bytes(p, cmg_str(text));
}

/* Half-closes once everything is said. */
static inline void peer_ends(struct peer *p)
{
    p->shut = true;
    if (!p->say.n)
        shutdown(p->fd, SHUT_WR);
}

static inline void peer_forgets(struct peer *p)
{
    cmg_buf_clear(&p->got);
}

static inline unsigned peer_count(const struct peer *p, const char *what)
{
    struct cmg_str s = cmg_buf_str(&p->got);
    unsigned n = 0;
    size_t len = strlen(what);
    for (const char *at; s.n >= len && (at = memmem(s.p, s.n, what, len)); n++)
        s = cmg_str_from(s, (size_t)(at - s.p) + len);
    return n;
}

static inline bool peer_got(const struct peer *p, const char *what)
{
    return peer_count(p, what) > 0;
}

static inline bool peer_got_wanted(void *arg)
{
    struct peer *p = arg;
    return peer_got(p, p->wanted);
}

static inline bool peer_got_bytes(void *arg)
{
    struct peer *p = arg;
    return p->taken >= p->wanted_bytes;
}

static inline bool peer_saw_end(void *arg)
{
    return ((struct peer *)arg)->eof;
}

static inline void until_peer_got(struct world *w, struct peer *p, const char *what)
{
    p->wanted = what;
    if (!world_run(w, peer_got_wanted, p, DEADLINE_MS))
        fail_msg("peer never got \"%s\" but \"%.*s\"%s", what, CMG_ARG(cmg_buf_str(&p->got)),
                 p->eof ? " and the end" : "");
}

static inline void until_peer_took(struct world *w, struct peer *p, uint64_t bytes)
{
    p->wanted_bytes = bytes;
    if (!world_run(w, peer_got_bytes, p, DEADLINE_MS))
        fail_msg("peer took %llu bytes only", (unsigned long long)p->taken);
}

/* What a listener hears of an exchange ---------------------------------------------------- */

struct heard {
    struct cmg_exchange *x;
    unsigned heads, statuses[64], bodies, rooms;
    int64_t length;
    bool head_end, ended, gone, over;
    struct cmg_buf body;
    uint64_t bytes;
    size_t trailers;
    char trailer[64];
    struct cmg_fault fault;
    uint64_t wanted_bytes;
    void (*then)(struct heard *h); /* after on_end */
    void (*each)(struct heard *h); /* after on_body */
};

static inline void heard_head(void *arg, const struct cmg_head *head)
{
    struct heard *h = arg;
    assert_false(h->ended || h->gone);
    h->statuses[h->heads++ % 64] = head->status;
    h->length = head->length;
    h->head_end = head->end;
}

static inline void heard_body(void *arg, struct cmg_str bytes)
{
    struct heard *h = arg;
    assert_false(h->ended || h->gone);
    h->bodies++;
    h->bytes += bytes.n;
    if (h->body.n < MIB)
        assert_int_equal(CMG_OK, cmg_buf_put(&h->body, bytes));
    if (h->each)
        h->each(h);
}

static inline void heard_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    struct heard *h = arg;
    assert_false(h->ended || h->gone);
    h->ended = true;
    h->trailers = n;
    if (n)
        snprintf(h->trailer, sizeof(h->trailer), "%.*s: %.*s", CMG_ARG(trailers[0].name),
                 CMG_ARG(trailers[0].value));
    if (h->then)
        h->then(h);
}

static inline void heard_room(void *arg)
{
    struct heard *h = arg;
    assert_false(h->gone);
    h->rooms++;
}

static inline void heard_gone(void *arg, const struct cmg_fault *why)
{
    struct heard *h = arg;
    assert_false(h->gone);
    h->gone = true;
    h->fault = *why;
}

static const struct cmg_exchange_events heard_events = {
    heard_head, heard_body, heard_end, heard_room, heard_gone,
};

static inline void heard_init(struct heard *h, struct cmg_exchange *x)
{
    *h = (struct heard){ .x = x };
    cmg_buf_init(&h->body, 64 * MIB);
    cmg_exchange_listen(x, &heard_events, h);
}

static inline void heard_clear(struct heard *h)
{
    cmg_buf_clear(&h->body);
}

static inline bool heard_is_gone(void *arg)
{
    return ((struct heard *)arg)->gone;
}

static inline bool heard_has_ended(void *arg)
{
    return ((struct heard *)arg)->ended;
}

static inline bool heard_has_room(void *arg)
{
    return ((struct heard *)arg)->rooms > 0;
}

static inline bool heard_has_bytes(void *arg)
{
    struct heard *h = arg;
    return h->bytes >= h->wanted_bytes;
}

/* A string of n equal bytes, the caller's. */
static inline struct cmg_str run_of(char c, size_t n)
{
    char *p = cmg_alloc(n);
    memset(p, c, n);
    return (struct cmg_str){ p, n };
}

static inline void free_run(struct cmg_str s)
{
    free((void *)(uintptr_t)s.p);
}

static inline struct cmg_head response_head(unsigned status, int64_t length, bool end)
{
    return (struct cmg_head){ .status = status, .length = length, .end = end };
}

static inline struct cmg_head request_head(const char *method, const char *target, int64_t length,
                                           bool end)
{
    return (struct cmg_head){
        .method = cmg_str(method),
        .target = cmg_str(target),
        .scheme = CMG_STR("http"),
        .authority = CMG_STR("mp.site"),
        .length = length,
        .end = end,
    };
}

#endif
