/* SPDX-License-Identifier: MIT */
#include "point/endpoints.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "point/point.h"

enum {
    WAITING_MAX = 8192, /* requests in line for a connection to one endpoint */
    SULK_MS = 1000      /* after a failed dial nobody dials for so long      */
};

/* Where a URL points: "https://mp1.corp:8443/prefix". The option table has checked its form. */
struct place {
    bool https;
    char host[256];
    uint16_t port;
    struct cmg_str authority, prefix;
};

static enum cmg_rc parse_url(const char *url, struct place *p, struct cmg_err *err)
{
    struct cmg_str s = cmg_str(url);
    p->https = cmg_str_istarts(s, CMG_STR("https://"));
    s = cmg_str_from(s, p->https ? 8 : 7);
    const char *slash = memchr(s.p, '/', s.n);
    p->authority = (struct cmg_str){ s.p, slash ? (size_t)(slash - s.p) : s.n };
    p->prefix = cmg_str_from(s, p->authority.n);
    while (p->prefix.n && p->prefix.p[p->prefix.n - 1] == '/')
        p->prefix.n--;

    struct cmg_str host = p->authority, port = { NULL, 0 };
    const char *bracket = host.n && host.p[0] == '[' ? memchr(host.p, ']', host.n) : NULL;
    size_t from = bracket ? (size_t)(bracket - host.p) : 0;
    const char *colon = memchr(host.p + from, ':', host.n - from);
    if (colon) {
        port = cmg_str_from(host, (size_t)(colon - host.p) + 1);
        host.n = (size_t)(colon - host.p);
    }
    long long number = colon ? cmg_str_number(port) : p->https ? 443 : 80;
    if (!host.n || host.n >= sizeof(p->host) || number < 1 || number > 65535)
        return cmg_fail(err, CMG_ECONF, "%.128s: not a URL like https://mp1.example.com:8443", url);
    snprintf(p->host, sizeof(p->host), "%.*s", CMG_ARG(host));
    p->port = (uint16_t)number;
    return CMG_OK;
}

static struct cmg_pool *pool_new(struct point *p, const struct point_endpoint_conf *c,
                                 const struct place *place)
{
    char key[96];
    snprintf(key, sizeof(key), "endpoint %s", c->label);
    struct cmg_pool_conf conf = {
        .target = {
            .key = key,
            .host = place->host,
            .port = place->port,
            .timeout_ms = (unsigned)c->connect_ms,
            .https = place->https,
            .ca_file = c->ca_file,
            .certificate = c->certificate,
            .key_file = c->key,
        },
        .h1 = {
            .limits = cmg_h1_limits_default,
            .idle_ms = c->idle_ms,
            .stall_ms = c->response_ms,
        },
        .max_connections = (unsigned)c->max_connections,
        .max_waiting = WAITING_MAX,
        .wait_ms = 2 * c->connect_ms,
        .sulk_ms = SULK_MS,
        .private_connections = c->connections == POINT_PRIVATE,
    };
    return cmg_pool_new(p->loop, p->endpoint_dialer, &conf);
}

/* One that goes on counting, or a new one. */
static struct endpoint_tally *tally_of(const struct endpoints *before, const char *label)
{
    for (size_t i = 0; before && i < before->published.n; i++)
        if (!strcmp(before->v[i]->label, label)) {
            before->v[i]->tally->refs++;
            return before->v[i]->tally;
        }
    struct endpoint_tally *t = cmg_alloc(sizeof(*t));
    t->refs = 1;
    return t;
}

static void tally_unref(struct endpoint_tally *t)
{
    if (--t->refs == 0)
        free(t);
}

/* `taken` now belongs to the endpoint. */
static struct endpoint *endpoint_new(struct point *p, const struct point_endpoint_conf *c,
                                     const struct place *place, const struct passport *taken)
{
    struct endpoint *e = cmg_alloc(sizeof(*e));
    e->refs = 1;
    e->point = p;
    e->label = cmg_strdup(c->label);
    e->authority = cmg_str_dup(place->authority);
    e->prefix = cmg_str_dup(place->prefix);
    e->private_connections = c->connections == POINT_PRIVATE;
    e->passport = *taken;
    e->pool = pool_new(p, c, place);
    e->tally = tally_of(p->endpoints, c->label);
    return e;
}

struct endpoint *endpoint_ref(struct endpoint *e)
{
    e->refs++;
    return e;
}

void endpoint_unref(struct endpoint *e)
{
    if (--e->refs)
        return;
    free(e->label);
    free(e->authority);
    free(e->prefix);
    passport_clear(&e->passport);
    tally_unref(e->tally);
    free(e);
}

/* Publishes one endpoint. Its place in the table is that of what is published. */
static enum cmg_rc add(struct endpoints *e, struct point *p, const struct point_endpoint_conf *c,
                       struct cmg_err *err)
{
    struct place place;
    struct passport passport;
    if (parse_url(c->url, &place, err) != CMG_OK ||
        passport_read(c->pass_identity, &passport, err) != CMG_OK)
        return CMG_ECONF;
    enum cmg_rc rc = cmg_endpoint_set_add_words(&e->published, c->id, (enum cmg_role)c->role,
                                                c->paths, c->client_auth, c->max_request_bytes,
                                                passport_wants_certificate(&passport), err);
    if (rc == CMG_OK)
        e->v[e->published.n - 1] = endpoint_new(p, c, &place, &passport);
    else
        passport_clear(&passport);
    return rc;
}

struct endpoints *endpoints_new(struct point *p, const struct point_conf *conf, struct cmg_err *err)
{
    struct endpoints *e = cmg_alloc(sizeof(*e));
    e->v = cmg_alloc(conf->nendpoints * sizeof(struct endpoint *));
    for (size_t i = 0; i < conf->nendpoints; i++) {
        if (add(e, p, &conf->endpoints[i], err) != CMG_OK) {
            endpoints_retire(e);
            return NULL;
        }
    }
    return e;
}

static void on_pool_gone(void *arg)
{
    struct endpoint *e = arg;
    struct point *p = e->point;
    p->retiring--;
    endpoint_unref(e);
    point_check_drained(p);
}

void endpoints_retire(struct endpoints *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->published.n && e->v[i]; i++) {
        struct cmg_pool *pool = e->v[i]->pool;
        e->v[i]->pool = NULL;
        e->v[i]->point->retiring++;
        cmg_pool_retire(pool, on_pool_gone, e->v[i]);
    }
    cmg_endpoint_set_clear(&e->published);
    free(e->v);
    free(e);
}

struct endpoint *endpoints_find(const struct endpoints *e, struct cmg_str id,
                                const struct cmg_endpoint **published)
{
    *published = cmg_endpoint_find(&e->published, id);
    return *published ? e->v[*published - e->published.v] : NULL;
}
