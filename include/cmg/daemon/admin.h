/* SPDX-License-Identifier: MIT */
/* The administrator's door: HTTP on a unix socket whose file says who may come (mode 0660, group
 * of the service), and, if configured, on a loopback port for scrapers, which can only read.
 *
 * cmg_service_main opens it and answers what every daemon answers alike: /health, /reload, /drain,
 * /log-level. The daemon brings a table for the rest. */
#ifndef CMG_DAEMON_ADMIN_H
#define CMG_DAEMON_ADMIN_H

#include <jansson.h>
#include <stdbool.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

struct cmg_admin;
struct cmg_admin_ask; /* one request; answered once, now or later from the loop */
struct cmg_loop;

enum {
    CMG_ADMIN_CLIENTS = 32, /* connections at each of the two doors                        */
    CMG_ADMIN_ASKS = 64,    /* not answered yet, those whose client has gone included      */
    CMG_ADMIN_BODY = 4096,  /* bytes of a request's body, which is read and not looked at   */
    CMG_ADMIN_TABLES = 4
};

struct cmg_admin_conf {
    char *socket; /* NULL, "" or "none": none */
    char *listen; /* "127.0.0.1:9101", "[::1]:9101"; NULL or "": none */
};

struct cmg_admin_route {
    const char *method; /* "GET" or "POST"; HEAD goes where GET goes */
    const char *path;   /* "/status" */
    bool local;         /* over the unix socket only: it tells much. POST always is so */
    void (*handle)(void *arg, struct cmg_admin_ask *ask);
    /* NULL-ended: a query with any other parameter is refused with 400, so that one that is
     * misspelt is not taken for one that was left out. NULL: the handler looks itself. */
    const char *const *parameters;
};

/* `conf` is borrowed for the call. `routes`, borrowed, end with a zeroed one; `arg` is what their
 * handlers get. NULL with err (CMG_ECONF): a door could not be opened, and none is.
 *
 * A socket's file that a dead process left is replaced; one that answers is an error. */
struct cmg_admin *cmg_admin_new(struct cmg_loop *l, const struct cmg_admin_conf *conf,
                                const struct cmg_admin_route *routes, void *arg,
                                struct cmg_err *err);
/* One more table, at most CMG_ADMIN_TABLES in all. NULL for `routes` is ignored. */
void cmg_admin_add(struct cmg_admin *a, const struct cmg_admin_route *routes, void *arg);
/* NULL is ignored. The file of the socket is removed, if it still is ours. Asks that are open are
 * cut, and stay their owners' to answer. Not from inside a handler. */
void cmg_admin_free(struct cmg_admin *a);

/* What is asked. The query's value, percent-decoded into `out`; false: it is not there. One that
 * does not fit, or holds a NUL, is there and "": judged as any other wrong value. */
bool cmg_admin_parameter(const struct cmg_admin_ask *ask, const char *name, char *out, size_t size);
/* "uid 0 pid 4711" of who asks, "tcp 127.0.0.1:5000" for scrapers: for the log. */
const char *cmg_admin_peer(const struct cmg_admin_ask *ask);
/* False: the client has gone, and nobody will read the answer. It has to be given all the same.
 * It gets known when something is written: one who waits for a first word may have gone unseen. */
bool cmg_admin_alive(const struct cmg_admin_ask *ask);

/* Answers, each of which ends the ask: the pointer is dead after it. An ask whose client has gone,
 * or whose door has been freed, is answered all the same; nothing but that happens then. */
void cmg_admin_json(struct cmg_admin_ask *ask, unsigned status, json_t *taken);
void cmg_admin_text(struct cmg_admin_ask *ask, unsigned status, const char *type,
                    struct cmg_str body); /* which is copied */
/* problem+json; `why` is one sentence for people. */
void cmg_admin_refuse(struct cmg_admin_ask *ask, unsigned status, const char *why);

/* For answers in several parts (analyze): one line of JSON each, as they come. */
void cmg_admin_stream(struct cmg_admin_ask *ask, const char *type); /* 200, no length */
/* False: the client has gone, or does not read; the owner stops, and calls cmg_admin_end. */
bool cmg_admin_line(struct cmg_admin_ask *ask, json_t *taken);
void cmg_admin_end(struct cmg_admin_ask *ask);

#endif
