/* SPDX-License-Identifier: MIT */
/* A hostile peer's bytes into an HTTP/2 connection, over a real loop and a socket pair. The
 * first byte chooses the role, the preface and the trust; the second how many bytes come at a
 * time. Whatever comes: no crash, no leak, every exchange ends once, memory stays bounded, and
 * nothing is called unprocessed that was answered. */
#include "fuzz.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "cmg/base/alloc.h"
#include "cmg/http/h2conn.h"
#include "cmg/http/message.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"

enum { EXCHANGES = 512, REQUESTS = 4, MEMORY = 256 * 1024 };

/* What is done with a request, by its number. */
enum habit { ANSWER, ECHO, HOLD, PAUSE, ABORT, HABITS };

struct taken {
    struct cmg_exchange *x; /* NULL once over */
    enum habit habit;
    uint64_t bytes, paused_bytes;
    bool paused, answered, ended;
};

struct world {
    struct cmg_loop *loop;
    struct cmg_task turn;
    struct cmg_h2conn *h2; /* NULL once closed */
    struct cmg_h2conn_conf conf;
    struct taken taken[EXCHANGES];
    unsigned ntaken;
    int fd;
    const uint8_t *p;
    size_t n, step;
    unsigned quiet; /* turns since the last byte went in */
};

static struct world *world;

/* Exchanges -------------------------------------------------------------------------------- */

static void on_head(void *arg, const struct cmg_head *head)
{
    struct taken *t = arg;
    hold(t->x && !t->ended, "a head after the end");
    hold(head->status >= 100 && head->status <= 999, "a status has three digits");
    t->answered = true;
}

static void on_body(void *arg, struct cmg_str bytes)
{
    struct taken *t = arg;
    hold(t->x && !t->ended, "a body after the end");
    t->bytes += bytes.n;
    if (t->paused)
        t->paused_bytes += bytes.n;
    /* A window, and what was read together with it. */
    hold(t->paused_bytes <= 65536 + 2 * CMG_LOOP_SCRATCH, "a pause stops the peer");
    if (t->habit == ECHO)
        (void)t->x->ops->body(t->x, bytes);
    if (t->habit == PAUSE && !t->paused) {
        t->paused = true;
        t->x->ops->pause(t->x, true);
    }
}

static void on_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    struct taken *t = arg;
    hold(t->x && !t->ended, "one end");
    t->ended = true;
    struct cmg_exchange *x = t->x;
    if (world->conf.role == CMG_H2_CLIENT || t->habit == ECHO)
        t->x = NULL;
    if (world->conf.role == CMG_H2_SERVER && t->habit == ECHO)
        x->ops->end(x, trailers, n);
}

static void on_room(void *arg)
{
    hold(((struct taken *)arg)->x != NULL, "no room for the dead");
}

static void on_gone(void *arg, const struct cmg_fault *why)
{
    struct taken *t = arg;
    hold(t->x != NULL, "gone once");
    hold(!why->unprocessed || (world->conf.role == CMG_H2_CLIENT && !t->answered),
         "what was answered was processed");
    t->x = NULL;
}

static const struct cmg_exchange_events exchange_events = { on_head, on_body, on_end, on_room,
                                                            on_gone };

static struct taken *take(struct cmg_exchange *x, enum habit habit)
{
    static struct taken spare;
    struct taken *t = world->ntaken < EXCHANGES ? &world->taken[world->ntaken++] : &spare;
    *t = (struct taken){ .x = x, .habit = t == &spare ? ABORT : habit };
    cmg_exchange_listen(x, &exchange_events, t);
    return t;
}

static void on_exchange(void *arg, struct cmg_exchange *x, const struct cmg_head *head)
{
    (void)arg;
    struct taken *t = take(x, (enum habit)(world->ntaken % HABITS));
    hold(head->method.n && head->target.n && head->authority.n, "a request names its target");
    const struct cmg_head answer = { .status = 200, .length = -1 };
    switch (t->habit) {
    case ANSWER:
        t->x = NULL;
        cmg_answer(x, 200, CMG_STR("text/plain"), CMG_STR("hello"), false);
        break;
    case ECHO:
        hold(x->ops->head(x, &answer) == CMG_OK, "a head is taken");
        break;
    case HOLD:
    case PAUSE:
        break;
    case ABORT:
    case HABITS:
        t->x = NULL;
        x->ops->abort(x);
        break;
    }
}

static void on_closed(void *arg, const char *detail)
{
    (void)arg, (void)detail;
    world->h2 = NULL;
    for (unsigned i = 0; i < world->ntaken; i++)
        hold(!world->taken[i].x, "no exchange outlives its connection");
    cmg_loop_stop(world->loop);
}

static const struct cmg_h2conn_events events = { .on_exchange = on_exchange,
                                                 .on_closed = on_closed };

static void ask(unsigned i)
{
    const struct cmg_head head = {
        .method = i % 2 ? CMG_STR("POST")
                  : i   ? CMG_STR("HEAD")
                        : CMG_STR("GET"),
        .target = CMG_STR("/x"),
        .scheme = CMG_STR("https"),
        .authority = CMG_STR("mp.site"),
        .length = -1,
        .end = i % 2 == 0,
    };
    struct cmg_exchange *x = cmg_h2conn_request(world->h2);
    if (!x)
        return;
    take(x, i == 2 ? PAUSE : HOLD);
    hold(x->ops->head(x, &head) == CMG_OK, "a head is taken");
    if (!head.end) {
        (void)x->ops->body(x, CMG_STR("some of it"));
        if (i == 1)
            x->ops->end(x, NULL, 0);
    }
}

/* The peer --------------------------------------------------------------------------------- */

static void drain_socket(void)
{
    static char bytes[65536];
    while (recv(world->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
}

static void on_turn(void *arg)
{
    (void)arg;
    drain_socket();
    size_t n = world->n < world->step ? world->n : world->step;
    ssize_t put = n ? send(world->fd, world->p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (put < 0 && errno != EAGAIN)
        world->n = 0; /* it has closed */
    else if (put > 0)
        world->p += put, world->n -= (size_t)put;
    if (!world->n && world->quiet++ == 2)
        shutdown(world->fd, SHUT_WR);
    if (world->quiet == 6 && world->h2)
        cmg_h2conn_close(world->h2);
    if (world->h2)
        cmg_loop_later(world->loop, &world->turn);
}

static void start(uint8_t how)
{
    int fds[2];
    hold(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0, "sockets");
    world->fd = fds[0];
    world->conf = (struct cmg_h2conn_conf){
        .role = how & 1 ? CMG_H2_CLIENT : CMG_H2_SERVER,
        .preface = how & 2 ? CMG_H2_PREFACE_SERVER : CMG_H2_PREFACE_CLIENT,
        .channel = how & 4,
        .names = how & 4,
        .max_streams = 100,
        .stream_window = 65536,
        .memory_bytes = MEMORY,
        .head_bytes = 8192,
    };
    struct cmg_stream *s = cmg_stream_new(world->loop, fds[1], NULL, NULL, 0, NULL, NULL);
    world->h2 = cmg_h2conn_new(world->loop, s, &world->conf, &events, NULL);
    /* The magic is the same each time: the fuzzer need not find it. */
    bool magic = (world->conf.role == CMG_H2_SERVER) == (world->conf.preface == 0);
    if (magic)
        (void)send(world->fd, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN, MSG_NOSIGNAL);
    for (unsigned i = 0; world->conf.role == CMG_H2_CLIENT && i < REQUESTS; i++)
        ask(i);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct world w;
    if (n < 2 || n > 65536)
        return 0;
    memset(&w, 0, sizeof(w));
    world = &w;
    w.loop = cmg_loop_new();
    w.turn = (struct cmg_task){ .run = on_turn };
    w.p = p + 2;
    w.n = n - 2;
    w.step = p[1] ? p[1] : 65536;
    start(p[0]);
    cmg_loop_later(w.loop, &w.turn);
    cmg_loop_run(w.loop);
    cmg_loop_cancel(w.loop, &w.turn);
    close(w.fd);
    cmg_loop_free(w.loop);
    return 0;
}
