/* SPDX-License-Identifier: MIT */
/* The administrator's door: who comes in, what is there, and which methods it takes.
 *
 * The file of the unix socket is all the authorisation there is. The loopback port is open to
 * every user of the machine, and to every web page in a browser on it: so it only reads, and looks
 * at Host (a page's name that was made to lead here is not an address). */
#include "cmg/daemon/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin_core.h"
#include "cmg/base/alloc.h"
#include "cmg/daemon/checks.h"
#include "cmg/net/stream.h"

enum { HEAD_BYTES = 8192, TARGET_BYTES = 4096, HEAD_MS = 5000, IDLE_MS = 30000, STALL_MS = 10000 };

struct admin_client {
    struct cmg_admin *admin;       /* borrowed */
    struct cmg_listener *listener; /* borrowed */
    void *slot;
    struct cmg_h1conn *h1; /* owned until it is closed */
    bool local;
    char peer[ADMIN_PEER];
    TAILQ_ENTRY(admin_client) entry;
};

/* What may come in ------------------------------------------------------------------------- */

/* "127.0.0.1:9101", "[::1]:9101", "localhost". */
static bool host_is_address(struct cmg_str authority)
{
    char host[80];
    const char *end =
        authority.n && authority.p[0] == '[' ? memchr(authority.p, ']', authority.n) : NULL;
    struct cmg_str h = authority;
    if (end) {
        h = (struct cmg_str){ authority.p + 1, (size_t)(end - authority.p) - 1 };
    } else {
        const char *colon = h.n ? memchr(h.p, ':', h.n) : NULL;
        h.n = colon ? (size_t)(colon - h.p) : h.n;
    }
    cmg_str_put(host, sizeof(host), h);
    return cmg_str_ieq(h, CMG_STR("localhost")) || cmg_check_address(host, NULL) == CMG_OK;
}

static bool is_method(const struct cmg_admin_route *r, struct cmg_str method)
{
    if (cmg_str_eq(method, CMG_STR("HEAD")))
        method = CMG_STR("GET");
    return cmg_str_eq(method, cmg_str(r->method));
}

struct found {
    bool path, get, post; /* there is such a path, and it takes these */
    const struct cmg_admin_route *route;
    void *arg;
};

static struct found find(const struct cmg_admin *a, const char *path, struct cmg_str method)
{
    struct found f = { .path = false };
    for (size_t t = 0; t < a->ntables; t++) {
        for (const struct cmg_admin_route *r = a->tables[t].routes; r->path; r++) {
            if (strcmp(r->path, path) != 0)
                continue;
            f.path = true;
            f.get |= is_method(r, CMG_STR("GET"));
            f.post |= is_method(r, CMG_STR("POST"));
            if (!f.route && is_method(r, method)) {
                f.route = r;
                f.arg = a->tables[t].arg;
            }
        }
    }
    return f;
}

static const char *allow_of(const struct found *f)
{
    if (f->get)
        return f->post ? "GET, HEAD, POST" : "GET, HEAD";
    return "POST";
}

/* True: it may go to its handler. Else it was answered. */
static bool admit(struct cmg_admin_ask *ask, const struct cmg_head *head, bool local)
{
    struct found f = find(ask->admin, ask->path, head->method);
    const char *why = f.route ? admin_ask_query(ask, f.route) : NULL;
    if (ask->admin->nasks > CMG_ADMIN_ASKS)
        admin_ask_refuse(ask, 503, NULL, "too many requests are waiting for their answers");
    else if (!local && !host_is_address(head->authority))
        admin_ask_refuse(ask, 403, NULL, "Host has to be an IP address or localhost");
    else if (!f.path)
        admin_ask_refuse(ask, 404, NULL, "there is nothing of that name here");
    else if (!f.route)
        admin_ask_refuse(ask, 405, allow_of(&f), "this does not take that method");
    else if (!local && (f.route->local || !ask->reads))
        admin_ask_refuse(ask, 403, NULL, "this is answered on the unix socket only");
    else if (why)
        admin_ask_refuse(ask, 400, NULL, why);
    else if (head->length > CMG_ADMIN_BODY)
        admin_ask_refuse(ask, 413, NULL, "the body is too long; none is needed");
    else {
        ask->route = f.route;
        ask->arg = f.arg;
        return true;
    }
    return false;
}

/* One request ------------------------------------------------------------------------------ */

static void on_body(void *arg, struct cmg_str bytes)
{
    struct cmg_admin_ask *ask = arg;
    ask->body += bytes.n;
    if (ask->body > CMG_ADMIN_BODY)
        admin_ask_refuse(ask, 413, NULL, "the body is too long; none is needed");
}

static void on_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    (void)trailers, (void)n;
    struct cmg_admin_ask *ask = arg;
    ask->handed = true;
    ask->route->handle(ask->arg, ask);
}

static void on_room(void *arg)
{
    struct cmg_admin_ask *ask = arg;
    ask->full = false;
}

static void on_gone(void *arg, const struct cmg_fault *why)
{
    (void)why;
    struct cmg_admin_ask *ask = arg;
    ask->x = NULL;
    if (!ask->handed)
        admin_ask_free(ask);
}

static void on_exchange(void *arg, struct cmg_exchange *x, const struct cmg_head *head)
{
    static const struct cmg_exchange_events events = {
        .on_body = on_body,
        .on_end = on_end,
        .on_room = on_room,
        .on_gone = on_gone,
    };
    struct admin_client *c = arg;
    struct cmg_admin_ask *ask = admin_ask_new(c->admin, x, head, c->peer);
    cmg_exchange_listen(x, &events, ask);
    (void)admit(ask, head, c->local);
}

/* Clients ---------------------------------------------------------------------------------- */

static void end(struct cmg_admin *a)
{
    struct cmg_admin_ask *ask;
    cmg_listener_free(a->local);
    cmg_listener_free(a->remote);
    while ((ask = TAILQ_FIRST(&a->asks))) { /* these have owners, who will answer */
        TAILQ_REMOVE(&a->asks, ask, entry);
        ask->admin = NULL;
        ask->x = NULL;
    }
    free(a);
}

static void on_closed(void *arg, const char *detail)
{
    (void)detail;
    struct admin_client *c = arg;
    struct cmg_admin *a = c->admin;
    TAILQ_REMOVE(&a->clients, c, entry);
    cmg_listener_release(c->listener, c->slot);
    free(c);
    if (a->ending && TAILQ_EMPTY(&a->clients))
        end(a);
}

/* One who was not understood gets the same kind of refusal as everybody else here. */
static void on_malformed(void *arg, struct cmg_refusal *r)
{
    (void)arg;
    r->error = r->by = r->request_id = NULL;
}

static void enter(struct cmg_admin *a, struct cmg_listener *listener, int fd_taken, void *slot)
{
    static const struct cmg_h1server_events events = {
        .on_exchange = on_exchange,
        .on_malformed = on_malformed,
        .on_closed = on_closed,
    };
    struct admin_client *c = cmg_alloc(sizeof(*c));
    c->admin = a;
    c->listener = listener;
    c->slot = slot;
    c->local = listener == a->local;
    if (c->local)
        admin_socket_peer(fd_taken, c->peer);
    struct cmg_stream *s = cmg_stream_new(a->loop, fd_taken, NULL, NULL, 0, NULL, NULL);
    if (!c->local)
        snprintf(c->peer, sizeof(c->peer), "tcp %s", cmg_stream_peer(s));
    c->h1 = cmg_h1conn_serve(a->loop, s, &a->h1, &events, c);
    TAILQ_INSERT_TAIL(&a->clients, c, entry);
}

static void on_local(void *arg, int fd_taken, void *slot)
{
    struct cmg_admin *a = arg;
    enter(a, a->local, fd_taken, slot);
}

static void on_remote(void *arg, int fd_taken, void *slot)
{
    struct cmg_admin *a = arg;
    enter(a, a->remote, fd_taken, slot);
}

/* The doors -------------------------------------------------------------------------------- */

static bool wanted(const char *value)
{
    return value && *value && strcmp(value, "none") != 0;
}

static bool open_local(struct cmg_admin *a, const char *path, struct cmg_err *err)
{
    int fd = admin_socket_open(path, &a->socket, err);
    const struct cmg_listener_conf conf = { .fd = fd, .max = CMG_ADMIN_CLIENTS };
    if (fd < 0)
        return false;
    a->local = cmg_listener_new(a->loop, &conf, on_local, a, err);
    if (!a->local)
        close(fd);
    return a->local != NULL;
}

static bool open_remote(struct cmg_admin *a, const char *listen, struct cmg_err *err)
{
    char host[64];
    struct cmg_listener_conf conf = { .fd = -1, .max = CMG_ADMIN_CLIENTS, .address = host };
    if (cmg_check_loopback(listen, err) != CMG_OK)
        return false;
    const char *colon = strrchr(listen, ':');
    bool brackets = *listen == '[';
    cmg_str_put(host, sizeof(host),
                (struct cmg_str){ listen + brackets, (size_t)(colon - listen) - 2 * brackets });
    conf.port = (uint16_t)cmg_str_number(cmg_str(colon + 1));
    a->remote = cmg_listener_new(a->loop, &conf, on_remote, a, err);
    return a->remote != NULL;
}

struct cmg_admin *cmg_admin_new(struct cmg_loop *l, const struct cmg_admin_conf *conf,
                                const struct cmg_admin_route *routes, void *arg,
                                struct cmg_err *err)
{
    struct cmg_admin *a = cmg_alloc(sizeof(*a));
    a->loop = l;
    a->h1 = (struct cmg_h1conn_conf){
        .limits = { .head_bytes = HEAD_BYTES,
                    .target_bytes = TARGET_BYTES,
                    .trailer_bytes = HEAD_BYTES },
        .head_ms = HEAD_MS,
        .idle_ms = IDLE_MS,
        .stall_ms = STALL_MS,
    };
    TAILQ_INIT(&a->clients);
    TAILQ_INIT(&a->asks);
    cmg_admin_add(a, routes, arg);
    if ((wanted(conf->socket) && !open_local(a, conf->socket, err)) ||
        (wanted(conf->listen) && !open_remote(a, conf->listen, err))) {
        cmg_admin_free(a);
        return NULL;
    }
    return a;
}

void cmg_admin_add(struct cmg_admin *a, const struct cmg_admin_route *routes, void *arg)
{
    if (!routes)
        return;
    if (a->ntables == CMG_ADMIN_TABLES)
        abort();
    a->tables[a->ntables++] = (struct admin_table){ routes, arg };
}

void cmg_admin_free(struct cmg_admin *a)
{
    struct admin_client *c;
    if (!a)
        return;
    admin_socket_remove(&a->socket);
    if (a->local)
        cmg_listener_pause(a->local);
    if (a->remote)
        cmg_listener_pause(a->remote);
    a->ending = true;
    TAILQ_FOREACH(c, &a->clients, entry)
    {
        cmg_h1conn_close(c->h1);
        cmg_stream_cut(cmg_h1conn_stream(c->h1)); /* those that linger: no loop will end them */
    }
    if (TAILQ_EMPTY(&a->clients))
        end(a);
}
