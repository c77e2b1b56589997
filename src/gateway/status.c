/* SPDX-License-Identifier: MIT */
#include "gateway/status.h"

#include <string.h>

#include "cmg/daemon/exposition.h"
#include "cmg/daemon/status.h"
#include "gateway/analyze.h"
#include "gateway/egress.h"
#include "gateway/front.h"

enum { METRICS_MAX = 8 * 1024 * 1024 };

/* Ready --------------------------------------------------------------------------------- */

struct census {
    unsigned points; /* that are admitted, of the site that was asked for */
    unsigned links;  /* their channels */
};

static struct census census(const struct gateway *g, const char *site)
{
    struct census c = { 0 };
    for (struct member *m = registry_next(g->registry, NULL); m;
         m = registry_next(g->registry, m)) {
        if (!member_is_admitted(m) || (site && strcmp(member_site(m), site) != 0))
            continue;
        c.points++;
        c.links += member_links(m);
    }
    return c;
}

static const char *why_not(const struct gateway *g, const char *site)
{
    struct census c = census(g, site);
    if (g->draining)
        return "draining: new requests go elsewhere";
    if (site && !c.points)
        return "no connection point of this site is admitted";
    if (c.points && !c.links)
        return site ? "no channel of this site is open" : "no channel is open";
    return NULL;
}

/* One site that is away must not take the gateway from the clients of the others, and with it
 * every instance, which sees the same: so any channel will do. One site alone can be asked for. A
 * gateway for content only has no connection points, and is ready when it listens. */
bool status_is_ready(const struct gateway *g, const char *site)
{
    return !why_not(g, site);
}

static json_t *show_sites(const struct gateway *g)
{
    json_t *sites = json_object();
    for (struct member *m = registry_next(g->registry, NULL); m; m = registry_next(g->registry, m))
        if (member_is_admitted(m))
            json_object_set_new(sites, member_site(m),
                                cmg_status_number(census(g, member_site(m)).links));
    return sites;
}

json_t *status_ready(const struct gateway *g, const char *site)
{
    json_t *why = json_array();
    const char *reason = why_not(g, site);
    if (reason)
        json_array_append_new(why, json_string(reason));
    return json_pack("{s:b, s:b, s:o, s:o}", "ready", reason == NULL, "draining", g->draining,
                     "sites", show_sites(g), "why", why);
}

/* Status -------------------------------------------------------------------------------- */

static void put(json_t *object, const char *key, json_t *taken)
{
    (void)json_object_set_new(object, key, taken);
}

static json_t *show_listening(const struct gateway *g)
{
    const struct gateway_conf *conf = g->conf;
    int64_t i = conf->gateway.instance - 1;
    json_t *addresses = json_array();
    for (char **a = conf->gateway.listen; *a; a++)
        json_array_append_new(addresses, show_text(*a));
    return json_pack("{s:o, s:I, s:I, s:I}", "addresses", addresses, "clients",
                     (json_int_t)conf->gateway.client_port, "https",
                     (json_int_t)(conf->gateway.https_port + i), "tcp_tls",
                     (json_int_t)(conf->gateway.tcp_tls_port + i));
}

static json_t *show_clients(const struct gateway *g)
{
    const struct tally *t = &g->tally;
    json_t *http = json_object(), *tls = json_object();
    for (unsigned i = 0; i < TALLY_VERSIONS; i++)
        json_object_set_new(http, tally_http_names[i],
                            json_pack("{s:I, s:I}", "open", (json_int_t)t->connections[i].open,
                                      "all", (json_int_t)t->connections[i].all));
    for (unsigned i = 0; i < CMG_TLS_VERSIONS; i++)
        json_object_set_new(tls, cmg_tls_version_names[i],
                            json_integer((json_int_t)t->handshakes.by_tls[i]));
    json_t *shaking = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:o}", "done", (json_int_t)t->handshakes.done, "failed",
        (json_int_t)t->handshakes.failed, "resumed", (json_int_t)t->handshakes.resumed, "under_way",
        (json_int_t)g->nhandshakes, "waiting", (json_int_t)front_queued(g), "tls", tls);
    return json_pack("{s:I, s:o, s:o, s:I, s:I, s:I}", "open", (json_int_t)g->nclients,
                     "connections", http, "handshakes", shaking, "sent_bytes",
                     (json_int_t)t->sent_bytes, "received_bytes", (json_int_t)t->got_bytes,
                     "held_bytes", (json_int_t)front_buffered(g));
}

static json_t *show_requests(const struct gateway *g)
{
    const struct tally *t = &g->tally;
    json_t *all = cmg_status_counts(&t->requests);
    put(all, "waiting_for_keys", cmg_status_number(g->nparked));
    put(all, "waiting_for_channel", cmg_status_number(g->nwaiting - g->nparked));
    put(all, "waited_for_keys", cmg_status_number(t->parked));
    put(all, "waited_for_channel", cmg_status_number(t->held));
    put(all, "repeated", cmg_status_number(t->repeated));
    return all;
}

static json_t *show_refusals(const struct gateway *g)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < REFUSALS; i++) {
        const struct refusal *r = refusal_of(i);
        if (g->tally.refusals[i])
            json_array_append_new(all, json_pack("{s:i, s:s, s:s, s:I}", "status", (int)r->status,
                                                 "phrase", r->phrase, "error", r->error, "refused",
                                                 (json_int_t)g->tally.refusals[i]));
    }
    return all;
}

static json_t *show_proofs(const struct gateway *g)
{
    json_t *all = json_object();
    for (unsigned how = 0; how < TALLY_HOWS; how++) {
        const uint64_t *n = g->tally.proofs[how];
        const char *name = how ? cmg_identity_how_name(how) : "unknown";
        json_object_set_new(all, name,
                            json_pack("{s:I, s:I, s:I}", "good", (json_int_t)n[TALLY_GOOD], "bad",
                                      (json_int_t)n[TALLY_BAD], "known",
                                      (json_int_t)n[TALLY_KNOWN]));
    }
    return all;
}

static void put_gateway(const struct gateway *g, json_t *j)
{
    put(j, "name", show_text(g->conf->gateway.name));
    put(j, "instance", json_integer(g->conf->gateway.instance));
    put(j, "instances", json_integer(g->conf->gateway.instances));
    put(j, "listening", show_listening(g));
    put(j, "process", cmg_status_process());
    put(j, "configuration", cmg_status_configuration());
}

json_t *status_show(const struct gateway *g)
{
    json_t *j = status_ready(g, NULL);
    put_gateway(g, j);
    put(j, "connection_points", show_points(g));
    put(j, "endpoints", show_endpoints(g));
    put(j, "clients", show_clients(g));
    put(j, "requests", show_requests(g));
    put(j, "refusals", show_refusals(g));
    put(j, "proofs", show_proofs(g));
    put(j, "tenants", show_tenants(g));
    put(j, "site_tokens", show_site_tokens(g));
    put(j, "revocation", show_revocation(g));
    put(j, "content", show_content(g));
    put(j, "certificates", show_certificates(g));
    put(j, "egress", egress_json(g->egress));
    return j;
}

/* The door ------------------------------------------------------------------------------ */

static void ask_ready(void *arg, struct cmg_admin_ask *ask)
{
    const struct gateway *g = arg;
    char name[16];
    const char *site = cmg_admin_parameter(ask, "site", name, sizeof(name)) ? name : NULL;
    cmg_admin_json(ask, status_is_ready(g, site) ? 200 : 503, status_ready(g, site));
}

static void ask_status(void *arg, struct cmg_admin_ask *ask)
{
    cmg_admin_json(ask, 200, status_show(arg));
}

static void ask_metrics(void *arg, struct cmg_admin_ask *ask)
{
    struct cmg_buf b;
    cmg_buf_init(&b, METRICS_MAX);
    gateway_metrics(arg, &b);
    if (cmg_buf_room(&b))
        cmg_admin_text(ask, 200, CMG_EXPOSITION_TYPE, cmg_buf_str(&b));
    else
        cmg_admin_refuse(ask, 500, "the metrics are larger than they may be");
    cmg_buf_clear(&b);
}

static const char *const none[] = { NULL };
static const char *const site[] = { "site", NULL };

static const char *const traffic[] = { "format", "periods", NULL };

static void ask_traffic(void *arg, struct cmg_admin_ask *ask)
{
    struct gateway *g = arg;
    cmg_traffic_answer(g->traffic, ask);
}

const struct cmg_admin_route gateway_status_routes[] = {
    { "GET", "/ready", false, ask_ready, site },
    { "GET", "/status", true, ask_status, none },
    { "GET", "/metrics", false, ask_metrics, none },
    { "GET", "/analyze", true, analyze_handle, none },
    { "GET", "/traffic", true, ask_traffic, traffic },
    { 0 },
};
