/* SPDX-License-Identifier: MIT */
#include "gateway/registry.h"

#include <stdlib.h>
#include <uthash.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"

TAILQ_HEAD(links, link);

struct member {
    char *name, *site; /* owned */
    bool admitted;
    struct cmg_endpoint_set fixed;     /* from the configuration  */
    struct cmg_endpoint_set published; /* what it said last       */
    bool spoke;                        /* it did say, if only that there is nothing */
    struct links links;
    struct channel_counts channels;
    struct cmg_counts counts;
    TAILQ_ENTRY(member) entry;
};
TAILQ_HEAD(members, member);

/* One published id, and who serves it. Made anew whenever anybody publishes. */
struct offer {
    struct member *member;
    const struct cmg_endpoint *endpoint; /* in the member's set */
};

struct route {
    char id[CMG_ENDPOINT_ID_MAX + 1]; /* in lower case */
    struct offer *offers;             /* owned */
    size_t noffers, next;
    struct cmg_counts *counts; /* the ledger's */
    UT_hash_handle hh;
};

struct registry {
    struct members members;
    struct route *routes;
    struct ledger *ledger; /* owned */
    unsigned nlinks;
    void (*on_change)(void *arg);
    void *arg;
};

struct registry *registry_new(void (*on_change)(void *arg), void *arg)
{
    struct registry *r = cmg_alloc(sizeof(*r));
    TAILQ_INIT(&r->members);
    r->ledger = ledger_new();
    r->on_change = on_change;
    r->arg = arg;
    return r;
}

/* Routes -------------------------------------------------------------------------------- */

static void fold(char out[CMG_ENDPOINT_ID_MAX + 1], struct cmg_str id)
{
    size_t n = id.n < CMG_ENDPOINT_ID_MAX ? id.n : CMG_ENDPOINT_ID_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = cmg_lower(id.p[i]);
    out[n] = '\0';
}

static struct route *route_find(struct registry *r, struct cmg_str id)
{
    struct route *route;
    char key[CMG_ENDPOINT_ID_MAX + 1];
    if (id.n > CMG_ENDPOINT_ID_MAX)
        return NULL;
    fold(key, id);
    HASH_FIND(hh, r->routes, key, (unsigned)id.n, route);
    return route;
}

static void routes_clear(struct registry *r)
{
    struct route *route, *next;
    HASH_ITER(hh, r->routes, route, next)
    {
        HASH_DEL(r->routes, route);
        free(route->offers);
        free(route);
    }
}

/* An id belongs to one site: a second site that publishes it too is left out. */
static bool other_site(const struct route *route, const struct member *m, const char *id)
{
    if (!route->noffers || !strcmp(route->offers[0].member->site, m->site))
        return false;
    log_warn("registry.site_conflict", KV("endpoint", id), KV("connection_point", m->name),
             KV("site", m->site), KV("serves", route->offers[0].member->site));
    return true;
}

static void route_add(struct registry *r, struct member *m, const struct cmg_endpoint *e)
{
    struct route *route = route_find(r, cmg_str(e->id));
    if (!route) {
        route = cmg_alloc(sizeof(*route));
        fold(route->id, cmg_str(e->id));
        route->counts = ledger_account(r->ledger, route->id);
        HASH_ADD(hh, r->routes, id, (unsigned)strlen(route->id), route);
    }
    if (other_site(route, m, e->id))
        return;
    route->offers = cmg_realloc(route->offers, (route->noffers + 1) * sizeof(*route->offers));
    route->offers[route->noffers++] = (struct offer){ m, e };
}

/* What the configuration says is for peers that say nothing themselves. */
static const struct cmg_endpoint_set *set_of(const struct member *m)
{
    return m->spoke ? &m->published : &m->fixed;
}

static void routes_make(struct registry *r)
{
    struct member *m;
    routes_clear(r);
    TAILQ_FOREACH(m, &r->members, entry)
    for (size_t i = 0; i < set_of(m)->n; i++)
        route_add(r, m, &set_of(m)->v[i]);
    r->on_change(r->arg);
}

/* Members ------------------------------------------------------------------------------- */

static struct member *find(struct registry *r, const char *name)
{
    struct member *m;
    TAILQ_FOREACH(m, &r->members, entry)
    if (cmg_str_ieq(cmg_str(m->name), cmg_str(name)))
        return m;
    return NULL;
}

struct member *registry_member(struct registry *r, const char *name)
{
    struct member *m = find(r, name);
    return m && m->admitted ? m : NULL;
}

static void member_free(struct registry *r, struct member *m)
{
    TAILQ_REMOVE(&r->members, m, entry);
    cmg_endpoint_set_clear(&m->fixed);
    cmg_endpoint_set_clear(&m->published);
    free(m->name);
    free(m->site);
    free(m);
}

static struct member *member_new(struct registry *r, const char *name)
{
    struct member *m = cmg_alloc(sizeof(*m));
    m->name = cmg_strdup(name);
    TAILQ_INIT(&m->links);
    TAILQ_INSERT_TAIL(&r->members, m, entry);
    return m;
}

static void set_fixed(struct member *m, const struct gateway_conf *conf, const char *label)
{
    struct cmg_err err;
    cmg_endpoint_set_clear(&m->fixed);
    for (size_t i = 0; i < conf->nendpoints; i++) {
        const struct gateway_endpoint_conf *c = &conf->endpoints[i];
        if (strcmp(c->connection_point, label))
            continue;
        if (cmg_endpoint_set_add_words(&m->fixed, c->id, (enum cmg_role)c->role, c->paths,
                                       c->client_auth, c->max_request_bytes, false, &err) != CMG_OK)
            log_error("registry.endpoint_refused", KV("endpoint", c->id), KV("why", err.text));
    }
}

void registry_admit(struct registry *r, const struct gateway_conf *conf)
{
    struct member *m;
    TAILQ_FOREACH(m, &r->members, entry)
    m->admitted = false;
    for (size_t i = 0; i < conf->npoints; i++) {
        const struct gateway_point_conf *c = &conf->points[i];
        const char *name = c->name ? c->name : c->label;
        m = find(r, name);
        if (!m)
            m = member_new(r, name);
        m->admitted = true;
        free(m->site);
        m->site = cmg_strdup(c->site);
        set_fixed(m, conf, c->label);
    }
    TAILQ_FOREACH(m, &r->members, entry)
    {
        if (m->admitted)
            continue;
        m->spoke = false;
        cmg_endpoint_set_clear(&m->published);
        cmg_endpoint_set_clear(&m->fixed);
    }
    routes_make(r);
}

bool member_is_admitted(const struct member *m)
{
    return m->admitted;
}

const char *member_name(const struct member *m)
{
    return m->name;
}

const char *member_site(const struct member *m)
{
    return m->site;
}

const struct cmg_endpoint_set *member_static(const struct member *m)
{
    return &m->fixed;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    routes_clear(r);
    while (!TAILQ_EMPTY(&r->members))
        member_free(r, TAILQ_FIRST(&r->members));
    ledger_free(r->ledger);
    free(r);
}

struct channel_counts *member_channels(struct member *m)
{
    return &m->channels;
}

struct cmg_counts *member_counts(struct member *m)
{
    return &m->counts;
}

/* Links --------------------------------------------------------------------------------- */

void registry_up(struct registry *r, struct link *l)
{
    TAILQ_INSERT_HEAD(&l->member->links, l, entry); /* the newest is preferred */
    r->nlinks++;
    r->on_change(r->arg);
}

void registry_publish(struct registry *r, struct member *m, struct cmg_endpoint_set *taken)
{
    cmg_endpoint_set_clear(&m->published);
    m->published = *taken;
    *taken = (struct cmg_endpoint_set){ NULL, 0 };
    m->spoke = true;
    routes_make(r);
}

void registry_unpublish(struct registry *r, struct member *m)
{
    if (!m->spoke)
        return;
    m->spoke = false;
    cmg_endpoint_set_clear(&m->published);
    routes_make(r);
}

void registry_draining(struct registry *r, struct link *l)
{
    (void)r;
    l->draining = true;
}

void registry_down(struct registry *r, struct link *l)
{
    TAILQ_REMOVE(&l->member->links, l, entry);
    r->nlinks--;
}

unsigned registry_links(const struct registry *r)
{
    return r->nlinks;
}

/* The question -------------------------------------------------------------------------- */

static struct link *least_loaded(const struct member *m, bool *any)
{
    struct link *l, *best = NULL;
    TAILQ_FOREACH(l, &m->links, entry)
    {
        if (l->draining)
            continue;
        *any = true;
        unsigned load = cmg_h2conn_load(l->h2);
        if (load < l->max_requests && (!best || load < cmg_h2conn_load(best->h2)))
            best = l;
    }
    return best;
}

enum verdict registry_pick(struct registry *r, struct cmg_str id, struct cmg_str rest,
                           unsigned auth, int64_t length, struct route_pick *pick)
{
    pick->counts = NULL;
    if (!r->routes)
        return ROUTE_NOBODY;
    struct route *route = route_find(r, id);
    if (!route)
        return ROUTE_UNPUBLISHED;

    bool published = false, fits = false, up = false;
    for (size_t i = 0; i < route->noffers; i++) {
        size_t at = (route->next + i) % route->noffers;
        const struct offer *o = &route->offers[at];
        if (!(o->endpoint->auth & auth) || !cmg_endpoint_match(o->endpoint, rest))
            continue;
        published = true;
        pick->counts = route->counts;
        if (length > o->endpoint->max_request_bytes)
            continue;
        fits = true;
        pick->max_request_bytes = o->endpoint->max_request_bytes;
        pick->wants_certificate = o->endpoint->wants_certificate;
        pick->link = least_loaded(o->member, &up);
        if (pick->link) {
            route->next = at + 1;
            return ROUTE_FOUND;
        }
    }
    if (!published)
        return ROUTE_UNPUBLISHED;
    if (!fits)
        return ROUTE_TOO_LARGE;
    return up ? ROUTE_BUSY : ROUTE_AWAY;
}

/* To look at ---------------------------------------------------------------------------- */

struct member *registry_next(const struct registry *r, const struct member *after)
{
    return after ? TAILQ_NEXT(after, entry) : TAILQ_FIRST(&r->members);
}

unsigned member_links(const struct member *m)
{
    const struct link *l;
    unsigned n = 0;
    TAILQ_FOREACH(l, &m->links, entry)
    n += !l->draining;
    return n;
}

const struct cmg_endpoint_set *member_endpoints(const struct member *m, bool *spoke)
{
    *spoke = m->spoke;
    return set_of(m);
}

const struct ledger *registry_ledger(const struct registry *r)
{
    return r->ledger;
}
