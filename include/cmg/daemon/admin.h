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

struct cmg_admin_conf {
    char *socket; /* NULL or "": none */
    char *listen; /* "127.0.0.1:9101", "[::1]:9101"; NULL: none */
};

struct cmg_admin_route {
    const char *method; /* "GET" or "POST"; HEAD goes where GET goes */
    const char *path;   /* "/status" */
    bool local;         /* over the unix socket only: it changes something, or tells much */
    void (*handle)(void *arg, struct cmg_admin_ask *ask);
};

/* `routes` end with a zeroed one; `arg` is what their handlers get. NULL with err. */
struct cmg_admin *cmg_admin_new(struct cmg_loop *l, const struct cmg_admin_conf *conf,
                                const struct cmg_admin_route *routes, void *arg,
                                struct cmg_err *err);
void cmg_admin_free(struct cmg_admin *a); /* NULL is ignored; asks that are open are cut */

/* What is asked. The query's value, percent-decoded into `out`; false: it is not there. */
bool cmg_admin_parameter(const struct cmg_admin_ask *ask, const char *name, char *out, size_t size);
/* "uid 0 pid 4711" of who asks, "tcp 127.0.0.1:5000" for scrapers: for the log. */
const char *cmg_admin_peer(const struct cmg_admin_ask *ask);

/* Answers. The first two take what they are given. An ask whose client has gone is answered all the
 * same; nothing happens then. */
void cmg_admin_json(struct cmg_admin_ask *ask, unsigned status, json_t *taken);
void cmg_admin_text(struct cmg_admin_ask *ask, unsigned status, const char *type,
                    struct cmg_str body);
void cmg_admin_refuse(struct cmg_admin_ask *ask, unsigned status, const char *why);

/* For answers in several parts (analyze): one line of JSON each, as they come. */
void cmg_admin_stream(struct cmg_admin_ask *ask, const char *type); /* 200, no length */
/* False: the client has gone; the owner stops. */
bool cmg_admin_line(struct cmg_admin_ask *ask, json_t *taken);
void cmg_admin_end(struct cmg_admin_ask *ask);

#endif
