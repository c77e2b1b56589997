/* SPDX-License-Identifier: MIT */
/* What the three parts of the administrator's door share: admin.c lets in and finds the route,
 * admin_answer.c is what a handler sees, admin_socket.c is the file that one comes by. */
#ifndef CMG_DAEMON_ADMIN_CORE_H
#define CMG_DAEMON_ADMIN_CORE_H

#include <sys/queue.h>
#include <sys/types.h>

#include "cmg/daemon/admin.h"
#include "cmg/http/h1conn.h"
#include "cmg/net/listener.h"
#include "cmg/net/loop.h"

enum { ADMIN_PEER = 80, ADMIN_PATH = 64, ADMIN_METHOD = 16 };

struct admin_socket { /* its file, while it is there */
    char *path;       /* owned; NULL: none */
    dev_t device;
    ino_t inode;
};
/* A listening socket, or -1 with err. `s` is for admin_socket_remove. */
int admin_socket_open(const char *path, struct admin_socket *s, struct cmg_err *err);
void admin_socket_remove(struct admin_socket *s);
/* "uid 0 pid 4711" */
void admin_socket_peer(int fd, char out[ADMIN_PEER]);

struct admin_table {
    const struct cmg_admin_route *routes; /* borrowed */
    void *arg;
};

struct cmg_admin {
    struct cmg_loop *loop;               /* borrowed */
    struct cmg_listener *local, *remote; /* owned; NULL: not configured */
    struct admin_socket socket;
    struct admin_table tables[CMG_ADMIN_TABLES];
    size_t ntables;
    struct cmg_h1conn_conf h1;
    TAILQ_HEAD(, admin_client) clients;
    TAILQ_HEAD(, cmg_admin_ask) asks;
    unsigned nasks;
    bool ending; /* gone with its last client */
};

struct cmg_admin_ask {
    struct cmg_admin *admin; /* borrowed; NULL: it is gone, and so is the client */
    struct cmg_exchange *x;  /* borrowed; NULL: the client is gone */
    const struct cmg_admin_route *route;
    void *arg;     /* what the route's handler gets */
    bool handed;   /* to its handler, who answers */
    bool head;     /* HEAD: no body */
    bool begun;    /* a stream's head is out */
    bool full;     /* the client has not read what it was given */
    bool reads;    /* GET or HEAD */
    unsigned code; /* of the answer */
    size_t body;   /* bytes of it that came */
    char *query;   /* owned; "" when there is none */
    char method[ADMIN_METHOD], path[ADMIN_PATH], peer[ADMIN_PEER];
    TAILQ_ENTRY(cmg_admin_ask) entry;
};

struct cmg_admin_ask *admin_ask_new(struct cmg_admin *a, struct cmg_exchange *x,
                                    const struct cmg_head *head, const char *peer);
void admin_ask_free(struct cmg_admin_ask *ask);
/* Answers with a refusal that names what is allowed; `allow` NULL: no such field. */
void admin_ask_refuse(struct cmg_admin_ask *ask, unsigned status, const char *allow,
                      const char *why);
/* NULL, or what is wrong with the query by the route's list of parameters. */
const char *admin_ask_query(const struct cmg_admin_ask *ask, const struct cmg_admin_route *route);

#endif
