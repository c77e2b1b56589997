/* SPDX-License-Identifier: MIT */
#include "point/analyze.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "point/analyze_facts.h"
#include "point/analyze_probe.h"
#include "point/point.h"
#include "point/roads.h"

enum {
    AT_ONCE = 16,         /* connections                                        */
    WHOLE_MS = 55 * 1000, /* then whatever is open is told as it is             */
    DIAL_MS = 10 * 1000,  /* one connection at most, whatever is configured     */
    TALK_MS = 8 * 1000    /* what was connected has so long to answer           */
};

/* One probe that is to be made, in the order of the findings. */
struct job {
    struct analysis *analysis;
    struct probe *probe;      /* while it runs */
    struct facts_gateway *of; /* of a gateway; NULL: of `endpoint` */
    struct facts_road *road;  /* NULL: what clients reach */
    struct facts_endpoint *endpoint;
    struct cmg_tls *tls; /* borrowed */
};

/* What a gateway's probes share. */
struct trust {
    struct roads roads;
    struct cmg_tls *client; /* owned reference; a client without a certificate */
};

struct analysis {
    struct point *point; /* borrowed; NULL: it has gone */
    struct cmg_loop *loop;
    const struct point_conf *conf; /* borrowed until it is over: a reload ends it before */
    const struct analyze_out *out;
    void *arg;
    bool over; /* all is told; connections are closing yet */
    bool deaf; /* nobody listens */
    int64_t started_ms;

    struct trust *trust; /* owned; one for each gateway, as the facts */
    struct facts_gateway *gateways;
    struct facts_endpoint *endpoints;
    struct cmg_proxy proxy;
    char proxy_name[160];

    struct job *jobs; /* owned */
    size_t njobs, next;
    unsigned running, closing;
    size_t told; /* jobs whose findings are out: all before that */
    unsigned totals[CMG_FINDING_FAIL + 1];
    struct cmg_timer *timer;
    struct cmg_task begin;
};

/* ---- telling ---- */

static void tell(struct analysis *a, struct findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        a->totals[f->v[i].verdict]++;
        if (!a->deaf && !a->out->line(a->arg, finding_json(&f->v[i])))
            a->deaf = true;
    }
    findings_clear(f);
}

static void tell_site(struct analysis *a)
{
    const struct point_conf *c = a->conf;
    struct findings f = { 0 };
    struct cmg_tls_own own;
    struct cmg_err err = { .code = CMG_OK };
    enum cmg_rc rc = cmg_tls_own_read(c->point.certificate, c->point.key, &own, &err);
    judge_configuration(&f, c);
    judge_certificate(&f, c->point.certificate, c->point.name, rc, &own, &err, cmg_clock_unix());
    tell(a, &f);
}

static void note_live(const struct analysis *a, struct facts_gateway *g)
{
    const struct keeping *at = NULL;
    struct cmg_keeper_status s;
    while (point_next_keeper(a->point, &at, &s)) {
        if (strcmp(s.label, g->conf->label) != 0 || s.instance < 1 ||
            s.instance > (unsigned)g->conf->instances)
            continue;
        struct facts_live *l = &g->live[s.instance - 1];
        *l = (struct facts_live){ .known = true, .open = s.open, .road = s.road };
        l->rtt_us = s.channel ? s.channel->rtt_us : -1;
        if (s.error.when_ms >= 0)
            l->why = s.error.why;
    }
}

static void tell_gateway(struct analysis *a, struct facts_gateway *g)
{
    struct findings f = { 0 };
    note_live(a, g);
    judge_gateway(&f, g, cmg_clock_unix());
    tell(a, &f);
}

static void tell_endpoint(struct analysis *a, const struct facts_endpoint *e)
{
    struct findings f = { 0 };
    judge_endpoint(&f, e, cmg_clock_unix());
    tell(a, &f);
}

static void tell_clock(struct analysis *a)
{
    const struct point_conf *c = a->conf;
    struct facts_date *dates = cmg_alloc((c->ncmgs + c->nendpoints) * sizeof(*dates));
    struct findings f = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < c->ncmgs + c->nendpoints; i++) {
        bool gateway = i < c->ncmgs;
        const struct facts_web *w =
            gateway ? &a->gateways[i].client : &a->endpoints[i - c->ncmgs].web;
        if (w->status && w->date >= 0)
            dates[n++] =
                (struct facts_date){ gateway ? c->cmgs[i].service : c->endpoints[i - c->ncmgs].url,
                                     w->date, w->at };
    }
    judge_clock(&f, dates, n);
    tell(a, &f);
    free(dates);
}

static void tell_totals(struct analysis *a, const char *stopped)
{
    json_t *line = json_pack(
        "{s:{s:i,s:i,s:i},s:I,s:s?}", "totals", "pass", (int)a->totals[CMG_FINDING_PASS], "warn",
        (int)a->totals[CMG_FINDING_WARN], "fail", (int)a->totals[CMG_FINDING_FAIL], "ms",
        (json_int_t)(cmg_clock_ms() - a->started_ms), "stopped", stopped);
    if (!line)
        abort();
    if (a->deaf)
        json_decref(line);
    else
        (void)a->out->line(a->arg, line);
}

/* ---- the end ---- */

/* The last connection has closed. */
static void destroy(struct analysis *a)
{
    struct point *p = a->point;
    if (p) {
        p->analysis = NULL;
        a->out->end(a->arg);
    }
    cmg_loop_cancel(a->loop, &a->begin);
    cmg_timer_free(a->timer);
    free(a->jobs);
    free(a->gateways);
    free(a->endpoints);
    free(a);
    if (p)
        point_check_drained(p);
}

static void drop_trust(struct analysis *a)
{
    for (size_t i = 0; i < a->conf->ncmgs; i++) {
        cmg_tls_unref(a->trust[i].roads.tcp_tls);
        cmg_tls_unref(a->trust[i].roads.https);
        cmg_tls_unref(a->trust[i].client);
    }
    free(a->trust);
    a->trust = NULL;
}

static void cancel_jobs(struct analysis *a)
{
    for (size_t i = 0; i < a->next; i++) {
        struct probe *probe = a->jobs[i].probe;
        a->jobs[i].probe = NULL;
        if (probe)
            probe_cancel(probe);
    }
}

/* With or without a reason. Nothing of the configuration is touched afterwards. */
static void end(struct analysis *a, const char *stopped)
{
    if (a->over)
        return;
    tell_totals(a, stopped);
    log_notice("analyze.end", KV("pass", a->totals[CMG_FINDING_PASS]),
               KV("warn", a->totals[CMG_FINDING_WARN]), KV("fail", a->totals[CMG_FINDING_FAIL]),
               KV("ms", cmg_clock_ms() - a->started_ms), KV("stopped", stopped));
    a->over = true;
    a->closing++; /* while we are in here */
    cmg_timer_stop(a->timer);
    cmg_loop_cancel(a->loop, &a->begin);
    cancel_jobs(a);
    drop_trust(a);
    if (--a->closing == 0)
        destroy(a);
}

/* ---- going on ---- */

static bool same_group(const struct job *a, const struct job *b)
{
    return a->of && a->of == b->of;
}

/* How many jobs from `from` on are told together, 0 when one of them has not ended. */
static size_t ready_group(const struct analysis *a, size_t from)
{
    size_t n = 0;
    while (from + n < a->njobs && (!n || same_group(&a->jobs[from], &a->jobs[from + n]))) {
        if (from + n >= a->next || a->jobs[from + n].probe)
            return 0;
        n++;
    }
    return n;
}

static void tell_ready(struct analysis *a, bool all)
{
    while (a->told < a->njobs) {
        size_t n = ready_group(a, a->told);
        const struct job *j = &a->jobs[a->told];
        if (!n && !all)
            return;
        if (!n)
            while (a->told + n < a->njobs && (!n || same_group(j, &a->jobs[a->told + n])))
                n++;
        a->told += n;
        if (j->of)
            tell_gateway(a, j->of);
        else
            tell_endpoint(a, j->endpoint);
    }
}

static void start_job(struct analysis *a, struct job *j);

static void go_on(struct analysis *a)
{
    while (a->next < a->njobs && a->running < AT_ONCE)
        start_job(a, &a->jobs[a->next++]);
    tell_ready(a, false);
    if (a->deaf) {
        end(a, "nobody listens any more");
    } else if (a->told == a->njobs) {
        tell_clock(a);
        end(a, NULL);
    }
}

static void on_probe_done(void *arg)
{
    struct job *j = arg;
    j->probe = NULL;
    j->analysis->running--;
    go_on(j->analysis);
}

static void on_probe_gone(void *arg)
{
    struct job *j = arg;
    struct analysis *a = j->analysis;
    if (--a->closing == 0 && a->over)
        destroy(a);
}

static void on_time(void *arg)
{
    struct analysis *a = arg;
    tell_ready(a, true);
    tell_clock(a);
    end(a, "a minute is over");
}

/* ---- what is tried ---- */

static unsigned at_most(int64_t ms)
{
    return ms < DIAL_MS ? (unsigned)ms : DIAL_MS;
}

static void aim_at_gateway(const struct job *j, struct probe_conf *c)
{
    const struct analysis *a = j->analysis;
    const struct point_cmg_conf *g = j->of->conf;
    bool tcp_tls = j->road && j->road->road == CMG_ROAD_TCP_TLS;
    c->target.host = g->address ? g->address : g->service;
    c->target.port = j->road ? j->road->port : j->of->client_port;
    c->target.proxy = !tcp_tls && a->proxy.url ? &a->proxy : NULL;
    c->target.timeout_ms = at_most(a->conf->channel.connect_ms);
    c->target.tls = j->tls;
    c->target.tls_name = g->service;
    if (j->road && !tcp_tls) {
        c->target.upgrade = CMG_WIRE_UPGRADE;
        c->target.upgrade_path = CMG_WIRE_UPGRADE_PATH;
    }
    c->road = j->road;
    c->web = j->road ? NULL : &j->of->client;
    c->path = "/CCM_Proxy_ServerAuth/AADAuthInfo";
}

/* The URL was read when the daemon started. */
static void aim_at_endpoint(const struct job *j, struct probe_conf *c, struct endpoint_place *place)
{
    const struct point_endpoint_conf *e = j->endpoint->conf;
    if (endpoint_place_read(e->url, place, NULL) != CMG_OK)
        abort();
    c->target.host = place->host;
    c->target.port = place->port;
    c->target.timeout_ms = at_most(e->connect_ms);
    c->target.https = place->https;
    c->target.ca_file = e->ca_file;
    c->target.certificate = e->certificate;
    c->target.key_file = e->key;
    c->web = &j->endpoint->web;
    c->path = j->endpoint->path;
}

static void start_job(struct analysis *a, struct job *j)
{
    struct probe_conf c = { .talk_ms = TALK_MS };
    struct endpoint_place place;
    char key[32], authority[300];
    snprintf(key, sizeof(key), "analyze %zu", (size_t)(j - a->jobs));
    c.target.key = key;
    if (j->of) {
        aim_at_gateway(j, &c);
        snprintf(authority, sizeof(authority), j->of->client_port == 443 ? "%s" : "%s:%u",
                 j->of->conf->service, j->of->client_port);
    } else {
        aim_at_endpoint(j, &c, &place);
        snprintf(authority, sizeof(authority), "%.*s", CMG_ARG(place.authority));
    }
    c.authority = authority;
    a->running++;
    a->closing++;
    j->probe = probe_start(a->loop, a->point->analyze_dialer, &c, on_probe_done, on_probe_gone, j);
}

/* ---- putting the list together ---- */

static void add_job(struct analysis *a, struct facts_gateway *g, struct facts_road *r,
                    struct facts_endpoint *e, struct cmg_tls *tls)
{
    a->jobs[a->njobs++] =
        (struct job){ .analysis = a, .of = g, .road = r, .endpoint = e, .tls = tls };
}

static void add_road(struct analysis *a, struct facts_gateway *g, unsigned instance,
                     enum cmg_road road, const struct trust *t)
{
    const struct point_cmg_conf *c = g->conf;
    bool tcp_tls = road == CMG_ROAD_TCP_TLS;
    int64_t port = tcp_tls             ? c->tcp_tls_port + instance - 1
                   : c->instances == 1 ? c->https_port_single
                                       : c->https_port + instance - 1;
    struct facts_road *r = &g->roads[g->nroads++];
    r->road = road;
    r->instance = instance;
    r->port = (uint16_t)port;
    r->proxied = !tcp_tls && a->proxy.url;
    add_job(a, g, r, NULL, tcp_tls ? t->roads.tcp_tls : t->roads.https);
}

static bool load_trust(struct analysis *a, const struct point_cmg_conf *c, struct trust *t)
{
    static const char *const alpn[] = { CMG_WIRE_ALPN_HTTP1, NULL };
    struct cmg_err err;
    struct cmg_trust *roots = cmg_trust_load(c->ca_file, &err);
    const struct cmg_tls_conf conf = { .trust = roots,
                                       .peer = CMG_TLS_PEER_VERIFIED,
                                       .alpn = alpn };
    bool ok = roots && road_load(&t->roads, a->conf, c, &err) == CMG_OK;
    if (ok)
        t->client = cmg_tls_new(&conf, &err);
    cmg_trust_unref(roots);
    return t->client != NULL;
}

static void add_gateway(struct analysis *a, size_t i)
{
    struct facts_gateway *g = &a->gateways[i];
    const struct point_cmg_conf *c = g->conf = &a->conf->cmgs[i];
    bool tcp_tls =
        c->transport != CMG_TRANSPORT_HTTPS && c->deployment == CMG_DEPLOYMENT_CLOUD_SERVICE;
    bool https = c->transport != CMG_TRANSPORT_TCP_TLS;
    g->proxy = a->proxy.url ? a->proxy_name : NULL;
    g->client_port = (uint16_t)c->https_port_single;
    g->client.date = -1;
    g->unusable = !load_trust(a, c, &a->trust[i]);
    for (unsigned n = 1; n <= (unsigned)c->instances && !g->unusable; n++) {
        if (tcp_tls)
            add_road(a, g, n, CMG_ROAD_TCP_TLS, &a->trust[i]);
        if (https)
            add_road(a, g, n, CMG_ROAD_HTTPS, &a->trust[i]);
    }
    if (g->unusable)
        tell_gateway(a, g);
    else
        add_job(a, g, NULL, NULL, a->trust[i].client);
}

/* What every server of that role answers, if it is among what is published; else the first that
 * is. */
static void choose_path(struct facts_endpoint *e, const char *url)
{
    static const struct {
        const char *application, *rest;
    } known[] = {
        [CMG_ROLE_MANAGEMENT_POINT] = { "SMS_MP", "/.sms_aut?MPLIST" },
        [CMG_ROLE_SOFTWARE_UPDATE_POINT] = { "ClientWebService", "/Client.asmx" },
        [CMG_ROLE_ADMIN_SERVICE] = { "AdminService", "/v1.0/" },
    };
    const char *application = known[e->conf->role].application, *rest = known[e->conf->role].rest;
    struct endpoint_place place;
    bool published = !e->conf->paths[0];
    for (char *const *p = e->conf->paths; *p; p++)
        published = published || cmg_str_ieq(cmg_str(*p), cmg_str(application));
    if (endpoint_place_read(url, &place, NULL) != CMG_OK)
        abort();
    snprintf(e->path, sizeof(e->path), "%.*s/%s%s", CMG_ARG(place.prefix),
             published ? application : e->conf->paths[0], published ? rest : "/");
}

static void add_endpoint(struct analysis *a, size_t i)
{
    struct facts_endpoint *e = &a->endpoints[i];
    e->conf = &a->conf->endpoints[i];
    e->web.date = -1;
    choose_path(e, e->conf->url);
    add_job(a, NULL, NULL, e, NULL);
}

/* Without user and password, should somebody have put them there. */
static void name_proxy(struct analysis *a)
{
    const char *url = a->conf->proxy.url;
    const char *host = strstr(url, "://");
    const char *at = strrchr(url, '@');
    host = at ? at + 1 : host ? host + 3 : url;
    snprintf(a->proxy_name, sizeof(a->proxy_name), "%.*s", (int)strcspn(host, "/"), host);
}

static void on_begin(void *arg)
{
    struct analysis *a = arg;
    const struct point_conf *c = a->conf;
    tell_site(a);
    for (size_t i = 0; i < c->ncmgs; i++)
        add_gateway(a, i);
    for (size_t i = 0; i < c->nendpoints; i++)
        add_endpoint(a, i);
    go_on(a);
}

static size_t most_jobs(const struct point_conf *c)
{
    size_t n = c->nendpoints + c->ncmgs;
    for (size_t i = 0; i < c->ncmgs; i++)
        n += (size_t)c->cmgs[i].instances * CMG_ROADS;
    return n;
}

bool analyze_start(struct point *p, const struct analyze_out *out, void *arg, struct cmg_err *err)
{
    const struct point_conf *c = p->conf;
    if (p->analysis || p->draining) {
        cmg_fail(err, CMG_EDENIED,
                 p->draining ? "the service is being stopped" : "an analysis is running already");
        return false;
    }
    struct analysis *a = cmg_alloc(sizeof(*a));
    a->point = p;
    a->loop = p->loop;
    a->conf = c;
    a->out = out;
    a->arg = arg;
    a->started_ms = cmg_clock_ms();
    a->trust = cmg_alloc(c->ncmgs * sizeof(*a->trust));
    a->gateways = cmg_alloc(c->ncmgs * sizeof(*a->gateways));
    a->endpoints = cmg_alloc(c->nendpoints * sizeof(*a->endpoints));
    a->jobs = cmg_alloc(most_jobs(c) * sizeof(*a->jobs));
    a->proxy = (struct cmg_proxy){ c->proxy.url,     (enum cmg_proxy_auth)c->proxy.auth,
                                   c->proxy.user,    c->proxy.password_file,
                                   c->proxy.ca_file, c->proxy.no_proxy };
    if (c->proxy.url)
        name_proxy(a);
    a->begin = (struct cmg_task){ .run = on_begin, .arg = a };
    a->timer = cmg_timer_new(p->loop, on_time, a);
    cmg_timer_set(a->timer, WHOLE_MS);
    cmg_loop_defer(p->loop, &a->begin);
    p->analysis = a;
    return true;
}

void analyze_stop(struct point *p, const char *why)
{
    if (p->analysis)
        end(p->analysis, why);
}

void analyze_abandon(struct point *p)
{
    struct analysis *a = p->analysis;
    if (!a)
        return;
    p->analysis = NULL;
    a->point = NULL;
    a->deaf = true;
    a->out->end(a->arg);
    end(a, "the service ends");
}
