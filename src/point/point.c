/* SPDX-License-Identifier: MIT */
#include "point/point.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/daemon/certificates.h"
#include "cmg/daemon/service.h"
#include "cmg/net/lag.h"
#include "cmg/net/tls.h"
#include "point/analyze.h"
#include "point/relay.h"
#include "point/report.h"
#include "point/roads.h"

enum {
    DIAL_THREADS = 32,
    ANALYZE_THREADS = 16, /* apart, so that an analysis takes nobody's turn */
    DIALS_PER_ENDPOINT = 8,
    DIALS_PER_INSTANCE = 2, /* an attempt and a probe */
    GREETING_MS = 15000,
    STATUS_MS = 1000,        /* how old the line of `systemctl status` may be */
    READY_MS = 30000,        /* ready after so long, whatever the cloud does */
    DRAIN_LOOK_MS = 250,     /* how often a drain looks at what is left           */
    DRAIN_ANSWERS_MS = 1000, /* of the drain: for answers that tell to come again */
    LAST_RESORT_MS = 5000,   /* for what should be gone after a drain        */
    HEAD_BYTES = 64 * 1024
};

struct keeping {
    struct point *point; /* borrowed */
    struct cmg_keeper *keeper;
    struct cmg_keeper_conf conf; /* its strings are owned, see keeping_fill */
    struct cmg_proxy proxy;      /* likewise */
    bool kept;                   /* named by the configuration that is being loaded */
    bool leaving;
    TAILQ_ENTRY(keeping) entry;
};

/* libcurl reads those of endpoints itself, for each connection. */
static void list_certificates(struct cmg_certificates *list, const struct point_conf *conf)
{
    cmg_certificates_prepare(list);
    cmg_certificates_add(list, conf->point.certificate, conf->point.key);
    for (size_t i = 0; i < conf->ncmgs; i++)
        cmg_certificates_add(list, conf->cmgs[i].ca_file, NULL);
    for (size_t i = 0; i < conf->nendpoints; i++) {
        const struct point_endpoint_conf *e = &conf->endpoints[i];
        cmg_certificates_add(list, e->ca_file, NULL);
        if (e->key)
            cmg_certificates_add(list, e->certificate, e->key);
    }
}

/* Keepers ------------------------------------------------------------------------------- */

static void forget_strings(struct keeping *k)
{
    const char *const strings[] = {
        k->conf.label,        k->conf.service,   k->conf.address, k->conf.channel.name,
        k->conf.channel.site, k->proxy.url,      k->proxy.user,   k->proxy.password_file,
        k->proxy.ca_file,     k->proxy.no_proxy,
    };
    for (size_t i = 0; i < CMG_COUNT(strings); i++)
        free((char *)(uintptr_t)strings[i]);
}

/* Copies every string: a keeper that drains outlives the configuration it came from. */
static void keeping_fill(struct keeping *k, const struct point_conf *c,
                         const struct point_cmg_conf *g, unsigned instance)
{
    k->proxy = (struct cmg_proxy){
        .url = cmg_strdup(c->proxy.url),
        .auth = (enum cmg_proxy_auth)c->proxy.auth,
        .user = cmg_strdup(c->proxy.user),
        .password_file = cmg_strdup(c->proxy.password_file),
        .ca_file = cmg_strdup(c->proxy.ca_file),
        .no_proxy = cmg_strdup(c->proxy.no_proxy),
    };
    k->conf = (struct cmg_keeper_conf){
        .label = cmg_strdup(g->label),
        .plan = {
            .deployment = (enum cmg_deployment)g->deployment,
            .transport = (enum cmg_transport)g->transport,
            .instance = instance,
            .instances = (unsigned)g->instances,
            .tcp_tls_port = (uint16_t)g->tcp_tls_port,
            .https_port_one = (uint16_t)g->https_port_single,
            .https_port_many = (uint16_t)g->https_port,
            .tries = (unsigned)c->channel.tries,
            .backoff_min_ms = c->channel.backoff_min_ms,
            .backoff_max_ms = c->channel.backoff_max_ms,
            .probe_ms = c->channel.probe_ms,
        },
        .service = cmg_strdup(g->service),
        .address = cmg_strdup(g->address),
        .proxy = k->proxy.url ? &k->proxy : NULL,
        .connect_ms = (unsigned)c->channel.connect_ms,
        .drain_ms = c->point.drain_ms,
        .channel = {
            .name = cmg_strdup(c->point.name),
            .site = cmg_strdup(c->point.site),
            .max_streams = (unsigned)c->point.max_requests,
            .stream_window = (unsigned)c->channel.stream_window,
            .memory_bytes = (size_t)c->channel.memory,
            .head_bytes = HEAD_BYTES,
            .greeting_ms = GREETING_MS,
            .ping_ms = c->channel.keepalive_ms,
            .ping_deadline_ms = c->channel.deadline_ms,
        },
    };
}

static void on_exchange(void *arg, struct cmg_channel *c, struct cmg_exchange *x,
                        const struct cmg_head *head)
{
    struct keeping *k = arg;
    relay_new(k->point, c, x, head);
}

bool point_next_keeper(const struct point *p, const struct keeping **at,
                       struct cmg_keeper_status *out)
{
    const struct keeping *k = *at ? TAILQ_NEXT(*at, entry) : TAILQ_FIRST(&p->keepings);
    while (k && (!k->kept || !k->keeper))
        k = TAILQ_NEXT(k, entry);
    *at = k;
    if (k)
        cmg_keeper_status(k->keeper, out);
    return k;
}

/* To the service manager, when it is news. */
static void say_status(struct point *p, unsigned open, unsigned n)
{
    char text[sizeof(p->said)];
    snprintf(text, sizeof(text), "%u of %u channels up, %u requests in flight%s", open, n,
             p->in_flight, p->draining ? ", draining" : "");
    if (strcmp(text, p->said) == 0)
        return;
    memcpy(p->said, text, sizeof(text));
    cmg_service_status("%s", text);
}

/* Readiness is the first full round, not the first success: a cloud that is down must not hold
 * up the boot. */
static void show_status(struct point *p)
{
    unsigned n = 0, open = 0, tried = 0;
    struct keeping *k;
    TAILQ_FOREACH(k, &p->keepings, entry)
    {
        struct cmg_keeper_status s;
        if (k->leaving || !k->keeper)
            continue;
        cmg_keeper_status(k->keeper, &s);
        n++;
        open += s.open;
        tried += s.tried;
    }
    say_status(p, open, n);
    if (tried == n && !p->draining)
        cmg_service_ready();
}

static void on_ready_time(void *arg)
{
    struct point *p = arg;
    if (!p->draining)
        cmg_service_ready();
}

static void on_status_time(void *arg)
{
    struct point *p = arg;
    show_status(p);
    cmg_timer_set(p->status_timer, STATUS_MS);
}

static void on_drain_time(void *arg)
{
    struct point *p = arg;
    log_error("point.drain_stuck", KV("requests", p->in_flight), KV("endpoints", p->retiring));
    cmg_log_flush();
    _exit(EXIT_FAILURE); /* a service manager that waits is worse than a defect that is logged */
}

/* Clients are answered while the channels are still there to carry it. */
static void on_drain_look(void *arg)
{
    struct point *p = arg;
    int64_t drain_ms = p->conf->point.drain_ms, half = drain_ms / 2;
    int64_t late_ms = drain_ms - (half < DRAIN_ANSWERS_MS ? half : DRAIN_ANSWERS_MS);
    cmg_timer_set(p->drain_look, DRAIN_LOOK_MS);
    relay_drain(p, cmg_loop_now_ms(p->loop) - p->draining_since_ms >= late_ms);
}

static void on_change(void *arg, struct cmg_keeper *keeper)
{
    (void)keeper;
    struct keeping *k = arg;
    show_status(k->point);
}

static const struct cmg_keeper_events keeper_events = { on_exchange, on_change };

static void keeping_free(struct keeping *k)
{
    TAILQ_REMOVE(&k->point->keepings, k, entry);
    cmg_keeper_free(k->keeper);
    forget_strings(k);
    free(k);
}

static void on_keeper_drained(void *arg)
{
    struct keeping *k = arg;
    struct point *p = k->point;
    keeping_free(k);
    point_check_drained(p);
}

static struct keeping *find(struct point *p, const struct point_conf *conf,
                            const struct point_cmg_conf *g, unsigned instance)
{
    struct keeping *k;
    TAILQ_FOREACH(k, &p->keepings, entry)
    if (!k->leaving && k->conf.plan.instance == instance && !strcmp(k->conf.label, g->label) &&
        !strcmp(k->conf.service, g->service) && !strcmp(k->conf.channel.name, conf->point.name))
        return k;
    return NULL;
}

static void keep(struct point *p, const struct point_conf *conf, const struct point_cmg_conf *g,
                 unsigned instance, const struct roads *roads)
{
    struct keeping *k = find(p, conf, g, instance);
    if (k) {
        struct keeping old = *k;
        keeping_fill(k, conf, g, instance);
        cmg_keeper_reconf(k->keeper, &k->conf);
        cmg_keeper_retls(k->keeper, roads->tcp_tls, roads->https);
        cmg_keeper_publish(k->keeper, &p->endpoints->published);
        forget_strings(&old);
    } else {
        k = cmg_alloc(sizeof(*k));
        k->point = p;
        TAILQ_INSERT_TAIL(&p->keepings, k, entry);
        keeping_fill(k, conf, g, instance);
        k->keeper = cmg_keeper_new(p->loop, p->channel_dialer, &k->conf, roads->tcp_tls,
                                   roads->https, &p->endpoints->published, &keeper_events, k);
    }
    k->kept = true;
}

static void keep_all(struct point *p, const struct point_conf *conf, const struct roads *roads)
{
    struct keeping *k, *next;
    TAILQ_FOREACH(k, &p->keepings, entry)
    k->kept = false;
    for (size_t i = 0; i < conf->ncmgs; i++)
        for (unsigned instance = 0; instance < (unsigned)conf->cmgs[i].instances; instance++)
            keep(p, conf, &conf->cmgs[i], instance, &roads[i]);
    for (k = TAILQ_FIRST(&p->keepings); k; k = next) {
        next = TAILQ_NEXT(k, entry);
        if (k->kept || k->leaving)
            continue;
        k->leaving = true;
        cmg_keeper_drain(k->keeper, conf->point.drain_ms, on_keeper_drained, k);
    }
}

/* Certificate files were renewed: channels that are open go on, the next one is dialed with the
 * new ones. */
static enum cmg_rc on_renew(void *arg, struct cmg_err *err)
{
    struct point *p = arg;
    const struct point_conf *conf = p->conf;
    struct roads *roads = roads_load(conf, err);
    if (!roads)
        return CMG_ECONF;
    for (size_t i = 0; i < conf->ncmgs; i++) {
        for (unsigned instance = 0; instance < (unsigned)conf->cmgs[i].instances; instance++) {
            struct keeping *k = find(p, conf, &conf->cmgs[i], instance);
            if (k)
                cmg_keeper_retls(k->keeper, roads[i].tcp_tls, roads[i].https);
        }
    }
    roads_clear(roads, conf->ncmgs);
    return CMG_OK;
}

/* Life ---------------------------------------------------------------------------------- */

void *point_start(struct cmg_loop *l, const void *conf, struct cmg_err *err)
{
    const struct point_conf *c = conf;
    struct point *p = cmg_alloc(sizeof(*p));
    p->certificates = cmg_certificates_new(l, on_renew, p);
    list_certificates(p->certificates, c);
    struct roads *roads = roads_load(c, err);
    if (!roads) {
        cmg_certificates_free(p->certificates);
        free(p);
        return NULL;
    }
    p->loop = l;
    p->conf = c;
    TAILQ_INIT(&p->keepings);
    cmg_random(&p->id_prefix, sizeof(p->id_prefix));
    p->channel_dialer = cmg_dialer_new(l, DIAL_THREADS, DIALS_PER_INSTANCE);
    p->endpoint_dialer = cmg_dialer_new(l, DIAL_THREADS, DIALS_PER_ENDPOINT);
    p->analyze_dialer = cmg_dialer_new(l, ANALYZE_THREADS, ANALYZE_THREADS);
    p->endpoints = endpoints_new(p, c, err);
    if (p->endpoints)
        keep_all(p, c, roads);
    roads_clear(roads, c->ncmgs);
    if (!p->endpoints) {
        point_free(p);
        return NULL;
    }
    cmg_certificates_use(p->certificates);
    report_start(p);
    p->lag = cmg_lag_new(l);
    p->ready_timer = cmg_timer_new(l, on_ready_time, p);
    cmg_timer_set(p->ready_timer, READY_MS);
    p->drain_timer = cmg_timer_new(l, on_drain_time, p);
    p->drain_look = cmg_timer_new(l, on_drain_look, p);
    p->status_timer = cmg_timer_new(l, on_status_time, p);
    cmg_timer_set(p->status_timer, STATUS_MS);
    show_status(p);
    return p;
}

enum cmg_rc point_reload(void *daemon, const void *conf, struct cmg_err *err)
{
    struct point *p = daemon;
    const struct point_conf *c = conf;
    list_certificates(p->certificates, c);
    struct roads *roads = roads_load(c, err);
    struct endpoints *endpoints = roads ? endpoints_new(p, c, err) : NULL;
    if (!endpoints) {
        cmg_certificates_drop(p->certificates);
        if (roads)
            roads_clear(roads, c->ncmgs);
        return CMG_ECONF;
    }
    cmg_certificates_use(p->certificates);
    struct endpoints *old = p->endpoints;
    report_count(p);
    analyze_stop(p, "the configuration was reloaded: analyze again");
    p->endpoints = endpoints;
    p->conf = c;
    keep_all(p, c, roads);
    endpoints_retire(old);
    roads_clear(roads, c->ncmgs);
    show_status(p);
    return CMG_OK;
}

void point_drain(void *daemon, void (*done)(void *arg), void *arg)
{
    struct point *p = daemon;
    struct keeping *k;
    p->draining = true;
    p->on_drained = done;
    p->on_drained_arg = arg;
    log_notice("point.draining", KV("requests", p->in_flight));
    analyze_stop(p, "the service is being stopped");
    p->draining_since_ms = cmg_loop_now_ms(p->loop);
    cmg_timer_set(p->drain_timer, p->conf->point.drain_ms + LAST_RESORT_MS);
    cmg_timer_set(p->drain_look, DRAIN_LOOK_MS);
    show_status(p);
    TAILQ_FOREACH(k, &p->keepings, entry)
    {
        if (k->leaving)
            continue;
        k->leaving = true;
        cmg_keeper_drain(k->keeper, p->conf->point.drain_ms, on_keeper_drained, k);
    }
    point_check_drained(p);
}

void point_check_drained(struct point *p)
{
    if (!p->draining || !TAILQ_EMPTY(&p->keepings) || p->in_flight || p->analysis)
        return;
    if (p->endpoints) {
        struct endpoints *e = p->endpoints;
        report_count(p);
        p->endpoints = NULL;
        endpoints_retire(e);
    }
    if (p->retiring || !p->on_drained)
        return;
    void (*done)(void *arg) = p->on_drained;
    p->on_drained = NULL;
    done(p->on_drained_arg);
}

void point_free(void *daemon)
{
    struct point *p = daemon;
    if (!p)
        return;
    analyze_abandon(p);
    while (!TAILQ_EMPTY(&p->keepings))
        keeping_free(TAILQ_FIRST(&p->keepings));
    report_stop(p);
    endpoints_retire(p->endpoints);
    cmg_certificates_free(p->certificates);
    cmg_lag_free(p->lag);
    cmg_timer_free(p->ready_timer);
    cmg_timer_free(p->drain_timer);
    cmg_timer_free(p->drain_look);
    cmg_timer_free(p->status_timer);
    cmg_dialer_free(p->channel_dialer);
    cmg_dialer_free(p->endpoint_dialer);
    cmg_dialer_free(p->analyze_dialer);
    free(p);
}
