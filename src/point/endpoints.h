/* SPDX-License-Identifier: MIT */
/* The endpoint table: what each id stands for. One id is exactly one back end. */
#ifndef CMG_POINT_ENDPOINTS_H
#define CMG_POINT_ENDPOINTS_H

#include "cmg/base/counts.h"
#include "cmg/http/pool.h"
#include "cmg/proto/endpoint.h"
#include "point/options.h"
#include "point/passport.h"

struct point;

/* What is counted of a label, however often its endpoint is configured anew. */
struct endpoint_tally {
    unsigned refs;
    struct cmg_counts counts;
};

struct endpoint { /* lives while the table or a request holds it */
    unsigned refs;
    struct point *point; /* borrowed */
    char *label;         /* owned */
    char *authority;     /* owned; its Host field: "mp1.corp" or "mp1.corp:8443" */
    char *prefix;        /* owned; of the path, without a slash at its end; mostly "" */
    bool private_connections;
    struct passport passport;     /* what it is told of clients */
    struct cmg_pool *pool;        /* NULL once retired */
    struct endpoint_tally *tally; /* a reference; that of the label in the table before */
};

struct endpoints {
    struct endpoint **v; /* owned; v[i] belongs to published.v[i] */
    struct cmg_endpoint_set published;
};

/* NULL with err. Nothing is dialed yet. Labels that the point's table of now has go on counting. */
struct endpoints *endpoints_new(struct point *p, const struct point_conf *conf,
                                struct cmg_err *err);

/* Requests in flight finish, kept connections close. */
void endpoints_retire(struct endpoints *e);

/* The endpoint of that id with what is published of it, or NULL. */
struct endpoint *endpoints_find(const struct endpoints *e, struct cmg_str id,
                                const struct cmg_endpoint **published);

struct endpoint *endpoint_ref(struct endpoint *e);
void endpoint_unref(struct endpoint *e);

#endif
