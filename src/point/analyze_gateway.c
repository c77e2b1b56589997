/* SPDX-License-Identifier: MIT */
/* Judging a gateway: the roads to its instances, the daemon's own channels, what clients reach. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "point/analyze_facts.h"

/* ---- what is told of a road, and what failed before it ---- */

static void name_road(struct finding *x, const struct facts_gateway *g, const struct facts_road *r)
{
    finding_subject(x, "%u of cmg %.60s instance %u (%s)", r->port, g->conf->label, r->instance,
                    cmg_road_names[r->road]);
}

static const char *host_of(const struct facts_gateway *g)
{
    return g->conf->address ? g->conf->address : g->conf->service;
}

static bool works(const struct facts_road *r)
{
    return r->dial.open && r->admission == ADMISSION_YES;
}

/* An instance that is reached on its other road is served: then this road's fault is a warning. */
static enum cmg_finding_verdict weight(const struct facts_gateway *g, const struct facts_road *r)
{
    for (size_t i = 0; i < g->nroads; i++)
        if (&g->roads[i] != r && g->roads[i].instance == r->instance && works(&g->roads[i]))
            return CMG_FINDING_WARN;
    return CMG_FINDING_FAIL;
}

static bool unreached(const struct facts_dial *d)
{
    return d->result.cause == CMG_DIAL_NOBODY || d->result.cause == CMG_DIAL_SILENT ||
           d->result.cause == CMG_DIAL_NO_ROUTE;
}

static bool failed_at(const struct facts_dial *d, enum cmg_dial_step step)
{
    return d->done && !d->open && d->result.step == step;
}

static bool failed_on_the_way(const struct facts_dial *d)
{
    return failed_at(d, CMG_DIAL_RESOLVE) || failed_at(d, CMG_DIAL_PROXY) ||
           failed_at(d, CMG_DIAL_SETUP) || (!d->open && d->result.cause == CMG_DIAL_NO_NAME);
}

/* ---- names ---- */

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static const struct facts_dial *nth_dial(const struct facts_gateway *g, size_t i)
{
    return i < g->nroads ? &g->roads[i].dial : i == g->nroads ? &g->client.dial : NULL;
}

static bool nth_proxied(const struct facts_gateway *g, size_t i)
{
    return i < g->nroads ? g->roads[i].proxied : g->proxy != NULL;
}

/* Of the first connection that says something of it. Through a proxy, the name is the proxy's. */
static void judge_name(struct findings *f, const struct facts_gateway *g, bool proxied)
{
    const char *name = proxied ? g->proxy : host_of(g);
    const struct facts_dial *bad = NULL, *good = NULL, *d;
    for (size_t i = 0; (d = nth_dial(g, i)); i++)
        if (d->done && nth_proxied(g, i) == proxied) {
            if (!d->open && d->result.cause == CMG_DIAL_NO_NAME)
                bad = bad ? bad : d;
            else if (d->open)
                good = good ? good : d;
        }
    if ((!bad && !good) || (!bad && (proxied || is_address(name))))
        return;
    struct finding *x = finding_new(f, "dns", bad ? CMG_FINDING_FAIL : CMG_FINDING_PASS);
    finding_subject(x, "%.120s of cmg %.60s", name, g->conf->label);
    if (!bad) {
        finding_says(x, "resolves; reached at %s", good->peer);
        return;
    }
    finding_says(x, "%s", bad->result.err.text);
    finding_means(x, "nothing can be connected to by that name");
    if (proxied)
        finding_do(x, "see [proxy] url, and whether this machine's DNS knows the proxy");
    else
        finding_do(x,
                   "see service in [cmg %.60s] and the DNS record; where this machine has no "
                   "internet DNS, set address",
                   g->conf->label);
}

/* ---- ports ---- */

static void ports_of(const struct facts_gateway *g, enum cmg_road road, char *out, size_t size)
{
    const struct point_cmg_conf *c = g->conf;
    long long first = road == CMG_ROAD_TCP_TLS ? c->tcp_tls_port
                      : c->instances > 1       ? c->https_port
                                               : c->https_port_single;
    if (c->instances > 1)
        snprintf(out, size, "%lld-%lld", first, first + c->instances - 1);
    else
        snprintf(out, size, "%lld", first);
}

static void blame_port(struct finding *x, const struct facts_gateway *g, const struct facts_road *r)
{
    char ports[32];
    const char *spare = x->verdict == CMG_FINDING_WARN ? "; the other road serves meanwhile" : "";
    ports_of(g, r->road, ports, sizeof(ports));
    switch (r->dial.result.cause) {
    case CMG_DIAL_NOBODY:
        finding_means(x, "refused: nothing listens on %u there, or a firewall answers for it%s",
                      r->port, spare);
        finding_do(x, "see that instance %u runs and listens on %u; open TCP %s from here to %.80s",
                   r->instance, r->port, ports, host_of(g));
        break;
    case CMG_DIAL_SILENT:
        finding_means(x, "filtered: a firewall drops what goes to port %u%s", r->port, spare);
        finding_do(x, "open TCP %s from here to %.80s%s", ports, host_of(g),
                   g->conf->instances > 1 ? ", one port for each instance" : "");
        break;
    case CMG_DIAL_NO_ROUTE:
        finding_means(x, "this machine has no route to it%s", spare);
        finding_do(x, "see ip route get, and whether a proxy is meant to be used");
        break;
    case CMG_DIAL_OTHER:
    case CMG_DIAL_NO_NAME:
    case CMG_DIAL_STATUS:
    case CMG_DIAL_VERDICT:
        finding_means(x, "the connection did not come about%s", spare);
        finding_do(x, "see the firewalls between here and %.80s", host_of(g));
        break;
    }
}

/* True when the port was reached, so that there is more to look at. */
static bool judge_port(struct findings *f, const struct facts_gateway *g,
                       const struct facts_road *r)
{
    if (failed_on_the_way(&r->dial))
        return false;
    bool failed = !r->dial.done || unreached(&r->dial) || failed_at(&r->dial, CMG_DIAL_CONNECT);
    struct finding *x = finding_new(f, "port", failed ? weight(g, r) : CMG_FINDING_PASS);
    name_road(x, g, r);
    if (!r->dial.done) {
        finding_says(x, "not looked at: the time of the analysis was over");
        finding_means(x, "connections to this gateway take very long");
        finding_do(x, "analyze again; a first cause may be told above");
    } else if (failed) {
        finding_says(x, "%s", r->dial.result.err.text);
        blame_port(x, g, r);
    } else {
        finding_says(x, r->proxied ? "open, through the proxy" : "open");
    }
    return !failed;
}

/* ---- the proxy ---- */

static void blame_status(struct finding *x, const struct facts_road *r)
{
    unsigned status = r->dial.result.status;
    if (status == 407 || status == 401) {
        finding_means(x, "the proxy wants another proof of who we are than it got");
        finding_do(x, "set auth, user and password-file in [proxy] to what it offers");
    } else if (status == 403) {
        finding_means(x, "the proxy's policy does not allow CONNECT to port %u there", r->port);
        finding_do(x, "have it allow CONNECT to that host and port, without TLS inspection");
    } else {
        finding_means(x, "the proxy does not reach the gateway, or knows no CONNECT");
        finding_do(x, "see the proxy's log for that host and port %u", r->port);
    }
}

static void blame_proxy(struct finding *x, const struct facts_gateway *g,
                        const struct facts_road *r)
{
    const struct cmg_dial_result *d = &r->dial.result;
    const struct judged_tls t = { .where = "[proxy]", .option = "url", .expects = g->proxy };
    if (d->tls_of_proxy) {
        judge_tls_failure(x, d, &t);
        x->verdict = weight(g, r);
        return;
    }
    finding_says(x, "%s", d->err.text);
    if (d->cause == CMG_DIAL_STATUS) {
        blame_status(x, r);
    } else {
        finding_means(x, "the proxy is not reached, or is none");
        finding_do(x, "see [proxy] url, that the proxy runs, and the firewall between");
    }
}

static void judge_proxy(struct findings *f, const struct facts_gateway *g,
                        const struct facts_road *r)
{
    bool failed = failed_at(&r->dial, CMG_DIAL_PROXY);
    if (!r->proxied || !r->dial.done || r->dial.result.cause == CMG_DIAL_NO_NAME)
        return;
    struct finding *x = finding_new(f, "proxy", failed ? weight(g, r) : CMG_FINDING_PASS);
    finding_subject(x, "%.100s to %u of cmg %.60s", g->proxy, r->port, g->conf->label);
    if (failed)
        blame_proxy(x, g, r);
    else
        finding_says(x, "takes who we are, and connects");
}

/* ---- TLS ---- */

static bool judge_tls(struct findings *f, const struct facts_gateway *g, const struct facts_road *r,
                      int64_t now)
{
    const struct cmg_dial_result *d = &r->dial.result;
    char where[96];
    snprintf(where, sizeof(where), "[cmg %.80s]", g->conf->label);
    const struct judged_tls t = { .where = where,
                                  .option = "service",
                                  .ca_file = g->conf->ca_file,
                                  .expects = g->conf->service };
    /* That the gateway refuses our certificate is about admission, not about its own. */
    bool refused = d->cause == CMG_DIAL_VERDICT && d->seen.fault == CMG_TLS_OURS;
    bool failed = failed_at(&r->dial, CMG_DIAL_TLS) && !refused;
    struct finding *x = finding_new(f, "tls", CMG_FINDING_PASS);
    name_road(x, g, r);
    if (failed) {
        judge_tls_failure(x, d, &t);
        x->verdict = weight(g, r);
    } else {
        judge_tls_success(x, &d->seen, now);
    }
    return !failed;
}

static bool is_foreign(const struct facts_dial *d)
{
    return d->done && !d->open && d->result.cause == CMG_DIAL_VERDICT && !d->result.tls_of_proxy &&
           d->result.seen.fault == CMG_TLS_ISSUER && d->result.seen.named && !d->result.seen.akin;
}

/* A certificate for the right name from a CA that we do not know is no proof. It is one when other
 * connections to the same name show another issuer, and likely behind a proxy. */
static void judge_interception(struct findings *f, const struct facts_gateway *g)
{
    const struct facts_dial *foreign = NULL, *d;
    const char *other = NULL;
    bool by_proxy = false;
    for (size_t i = 0; (d = nth_dial(g, i)); i++)
        if (!foreign && is_foreign(d)) {
            foreign = d;
            by_proxy = nth_proxied(g, i);
        }
    for (size_t i = 0; foreign && !other && (d = nth_dial(g, i)); i++)
        if (d->open && strcmp(d->result.seen.issuer, foreign->result.seen.issuer) != 0)
            other = d->result.seen.issuer;
    if (!foreign || (!other && !by_proxy))
        return;
    struct finding *x = finding_new(f, "interception", CMG_FINDING_FAIL);
    finding_subject(x, "%.120s of cmg %.60s", g->conf->service, g->conf->label);
    finding_says(x, "a certificate for the right name is issued by \"%s\"%s%s%s",
                 foreign->result.seen.issuer, other ? "; on another road it is by \"" : "",
                 other ? other : "", other ? "\"" : "");
    finding_means(x, "TLS is intercepted on the way: %s shows certificates of its own",
                  by_proxy ? "the proxy" : "a firewall or proxy");
    finding_do(x,
               "exempt %.100s from TLS inspection; a channel is authenticated on both sides and "
               "cannot be inspected",
               g->conf->service);
}

/* ---- the upgrade and admission ---- */

static bool says_not_admitted(const struct facts_road *r)
{
    const struct cmg_dial_result *d = &r->dial.result;
    return d->cause == CMG_DIAL_STATUS && d->status == 403 && d->step == CMG_DIAL_UPGRADE &&
           strstr(d->err.text, "dmitted");
}

static bool judge_upgrade(struct findings *f, const struct facts_gateway *g,
                          const struct facts_road *r)
{
    bool failed = failed_at(&r->dial, CMG_DIAL_UPGRADE) && !says_not_admitted(r) &&
                  r->dial.result.cause != CMG_DIAL_VERDICT;
    if (r->road != CMG_ROAD_HTTPS || failed_at(&r->dial, CMG_DIAL_TLS))
        return !failed;
    struct finding *x = finding_new(f, "upgrade", failed ? weight(g, r) : CMG_FINDING_PASS);
    name_road(x, g, r);
    if (!failed) {
        finding_says(x, r->dial.open ? "HTTP Upgrade passes"
                                     : "the gateway itself answered the upgrade request");
        return true;
    }
    finding_says(x, "%s", r->dial.result.err.text);
    finding_means(x, "something on the way takes Upgrade out of requests, or what answers is no "
                     "gateway");
    finding_do(x,
               "let a load balancer or web firewall before the gateway pass TCP, or HTTP/1.1 "
               "with Upgrade, on port %u",
               r->port);
    return false;
}

static void blame_admission(struct finding *x, const struct facts_road *r)
{
    bool refused = !r->dial.open || r->admission == ADMISSION_NO;
    finding_says(x, "%s", r->dial.open ? r->why.text : r->dial.result.err.text);
    if (refused) {
        finding_means(x, "the gateway does not admit this connection point's certificate");
        finding_do(x, "on the gateway, see that ca-file in [channel] has our CA and that there is "
                      "a section [connection-point NAME] of our certificate's name");
    } else {
        finding_means(x, "what answers speaks TLS and then not as a gateway does");
        finding_do(x, "see what listens on port %u there, and its log", r->port);
    }
}

static void judge_admission(struct findings *f, const struct facts_gateway *g,
                            const struct facts_road *r)
{
    bool good = works(r);
    if (r->dial.open && r->admission == ADMISSION_UNKNOWN)
        return;
    struct finding *x = finding_new(f, "admission", good ? CMG_FINDING_PASS : weight(g, r));
    name_road(x, g, r);
    if (good)
        finding_says(x, "admitted by %.100s version %s, instance %u of %u",
                     r->gateway[0] ? r->gateway : "a peer that says no name",
                     r->version[0] ? r->version : "?", r->said, r->said_of);
    else
        blame_admission(x, r);
}

static void judge_numbers(struct findings *f, const struct facts_gateway *g,
                          const struct facts_road *r)
{
    if (!works(r) || !r->said || !r->said_of)
        return;
    bool other = r->said != r->instance, count = r->said_of != (unsigned)g->conf->instances;
    if (!other && !count)
        return;
    struct finding *x = finding_new(f, "instances", CMG_FINDING_WARN);
    name_road(x, g, r);
    finding_says(x, "what answers is instance %u of %u; configured is instance %u of %u", r->said,
                 r->said_of, r->instance, (unsigned)g->conf->instances);
    finding_means(x, other ? "ports lead to other instances than they should"
                           : "instances have no channel, or are dialed in vain");
    finding_do(x, "set instances in [cmg %.60s] to what the gateway has, and see its port mapping",
               g->conf->label);
}

static void judge_road(struct findings *f, const struct facts_gateway *g,
                       const struct facts_road *r, int64_t now)
{
    judge_proxy(f, g, r);
    if (failed_at(&r->dial, CMG_DIAL_SETUP)) {
        struct finding *x = finding_new(f, "port", CMG_FINDING_FAIL);
        name_road(x, g, r);
        finding_says(x, "%s", r->dial.result.err.text);
        finding_means(x, "nothing was sent: it failed on this machine");
        finding_do(x, "see the file or option that is named");
        return;
    }
    if (!judge_port(f, g, r) || !judge_tls(f, g, r, now) || !judge_upgrade(f, g, r))
        return;
    judge_admission(f, g, r);
    judge_numbers(f, g, r);
}

/* ---- the daemon's own channels ---- */

static void judge_live(struct findings *f, const struct facts_gateway *g, unsigned instance)
{
    const struct facts_live *l = &g->live[instance - 1];
    if (!l->known)
        return;
    bool fallen = l->open && l->road == CMG_ROAD_HTTPS &&
                  g->conf->transport == CMG_TRANSPORT_AUTO &&
                  g->conf->deployment == CMG_DEPLOYMENT_CLOUD_SERVICE;
    struct finding *x = finding_new(f, "channel",
                                    !l->open ? CMG_FINDING_FAIL
                                    : fallen ? CMG_FINDING_WARN
                                             : CMG_FINDING_PASS);
    finding_subject(x, "cmg %.60s instance %u", g->conf->label, instance);
    if (!l->open) {
        finding_says(x, "no channel is open%s%.300s", l->why.text[0] ? "; the last failure: " : "",
                     l->why.text);
        finding_means(x, "clients are not served through this instance");
        finding_do(x, "see the findings of its roads; the service dials again by itself");
        return;
    }
    if (l->rtt_us >= 0)
        finding_says(x, "open on %s, round trip %lld.%03lld ms", cmg_road_names[l->road],
                     (long long)(l->rtt_us / 1000), (long long)(l->rtt_us % 1000));
    else
        finding_says(x, "open on %s; no round trip has been measured yet", cmg_road_names[l->road]);
    if (!fallen)
        return;
    finding_means(x, "it fell back from TCP-TLS; it serves, through one port more in the way");
    finding_do(x, "open the TCP-TLS port, or set transport = https in [cmg %.60s]", g->conf->label);
}

/* ---- what clients reach ---- */

static void judge_client(struct findings *f, const struct facts_gateway *g, int64_t now)
{
    const struct facts_web *w = &g->client;
    (void)now;
    if (!w->dial.done || failed_on_the_way(&w->dial))
        return;
    bool good = w->status >= 200 && w->status < 500;
    /* From inside the site the clients' port may be closed on purpose. */
    struct finding *x = finding_new(f, "client",
                                    good            ? CMG_FINDING_PASS
                                    : !w->dial.open ? CMG_FINDING_WARN
                                                    : CMG_FINDING_FAIL);
    finding_subject(x, "%.120s:%u, as clients reach it", g->conf->service, g->client_port);
    if (good) {
        finding_says(x, "the gateway answers a client's request (%u)", w->status);
    } else if (!w->dial.open) {
        finding_says(x, "%s", w->dial.result.err.text);
        finding_means(x, "clients that are where this machine is would not reach the gateway");
        finding_do(x, "no fault if only channels may leave this site; else open TCP %u",
                   g->client_port);
    } else {
        if (w->status)
            finding_says(x, "the gateway answers a client's request with %u", w->status);
        else
            finding_says(x, "%s", w->why.text);
        finding_means(x, "clients are not served there, whatever the channels do");
        finding_do(x, "see the gateway's log");
    }
}

/* ---- all of it ---- */

void judge_gateway(struct findings *f, const struct facts_gateway *g, int64_t now)
{
    if (g->unusable) {
        struct finding *x = finding_new(f, "configuration", CMG_FINDING_FAIL);
        finding_subject(x, "[cmg %.60s]", g->conf->label);
        finding_says(x, "ca-file, or our own certificate or key, cannot be loaded now");
        finding_means(x, "no new channel can be made, and a restart fails");
        finding_do(x, "see %.150s and the finding on the certificate", g->conf->ca_file);
    }
    judge_name(f, g, false);
    if (g->proxy)
        judge_name(f, g, true);
    for (size_t i = 0; i < g->nroads && !g->unusable; i++)
        judge_road(f, g, &g->roads[i], now);
    judge_interception(f, g);
    for (unsigned i = 1; i <= (unsigned)g->conf->instances; i++)
        judge_live(f, g, i);
    judge_client(f, g, now);
}
