/* SPDX-License-Identifier: MIT */
#include "gateway/status.h"

#include <stdlib.h>

#include "cmg/daemon/exposition.h"
#include "cmg/net/lag.h"
#include "gateway/content.h"
#include "gateway/front.h"

enum { METRICS_MAX = 8 * 1024 * 1024 };

/* Ready --------------------------------------------------------------------------------- */

/* Adds a member's channels to its site's. */
static unsigned add_site(json_t *sites, const struct member *m)
{
    json_int_t links = (json_int_t)member_links(m);
    json_t *so_far = json_object_get(sites, member_site(m));
    json_object_set_new(sites, member_site(m), json_integer(json_integer_value(so_far) + links));
    return (unsigned)links;
}

static const char *why_not(const struct gateway *g, const char *site, const json_t *sites,
                           unsigned links)
{
    if (g->draining)
        return "draining";
    if (site && !json_object_get(sites, site))
        return "no connection point of this site is admitted";
    if (site && !json_integer_value(json_object_get(sites, site)))
        return "no channel of this site is up";
    if (!site && json_object_size(sites) && !links)
        return "no channel is up";
    return NULL;
}

/* One site that is away must not take the gateway from the clients of the others, and with it
 * every instance, which sees the same: so any channel will do. One site alone can be asked for. A
 * gateway for content only has no connection points, and is ready when it listens. */
unsigned status_ready(const struct gateway *g, const char *site, json_t **why)
{
    json_t *sites = json_object();
    unsigned links = 0;
    for (struct member *m = registry_next(g->registry, NULL); m; m = registry_next(g->registry, m))
        if (member_is_admitted(m))
            links += add_site(sites, m);
    const char *reason = why_not(g, site, sites, links);
    *why = json_pack("{s:b, s:s?, s:I, s:o}", "ready", reason == NULL, "why", reason, "channels",
                     (json_int_t)links, "sites", sites);
    return reason ? 503 : 200;
}

/* Status -------------------------------------------------------------------------------- */

static json_t *show_gateway(const struct gateway *g)
{
    const struct gateway_conf *conf = g->conf;
    json_t *addresses = json_array();
    for (char **a = conf->gateway.listen; *a; a++)
        json_array_append_new(addresses, show_text(*a));
    int64_t i = conf->gateway.instance - 1;
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:b, s:o, s:I, s:I, s:I}", "name", conf->gateway.name, "version",
        CMG_VERSION, "instance", (json_int_t)conf->gateway.instance, "instances",
        (json_int_t)conf->gateway.instances, "started", (json_int_t)g->started, "draining",
        g->draining, "listen", addresses, "client_port", (json_int_t)conf->gateway.client_port,
        "https_port", (json_int_t)(conf->gateway.https_port + i), "tcp_tls_port",
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
    return json_pack("{s:I, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:o}, s:I, s:I, s:I}", "open",
                     (json_int_t)g->nclients, "connections", http, "handshakes", "done",
                     (json_int_t)t->handshakes.done, "failed", (json_int_t)t->handshakes.failed,
                     "resumed", (json_int_t)t->handshakes.resumed, "under_way",
                     (json_int_t)g->nhandshakes, "waiting", (json_int_t)front_queued(g), "tls", tls,
                     "sent_bytes", (json_int_t)t->sent_bytes, "received_bytes",
                     (json_int_t)t->got_bytes, "held_bytes", (json_int_t)front_buffered(g));
}

static json_t *show_requests(const struct gateway *g)
{
    const struct tally *t = &g->tally;
    json_t *all = show_counts(&t->requests);
    json_object_set_new(all, "waiting_for_keys", json_integer(g->nparked));
    json_object_set_new(all, "waiting_for_channel",
                        json_integer((json_int_t)g->nwaiting - (json_int_t)g->nparked));
    json_object_set_new(all, "waited_for_keys", json_integer((json_int_t)t->parked));
    json_object_set_new(all, "waited_for_channel", json_integer((json_int_t)t->held));
    json_object_set_new(all, "repeated", json_integer((json_int_t)t->repeated));
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

json_t *status_show(const struct gateway *g)
{
    json_t *ready, *all = json_object();
    json_object_set_new(all, "gateway", show_gateway(g));
    json_object_set_new(all, "configuration",
                        json_pack("{s:s, s:I, s:I}", "source", "file", "in_force_since",
                                  (json_int_t)g->configured, "reloads", (json_int_t)g->reloads));
    (void)status_ready(g, NULL, &ready);
    json_object_set_new(all, "ready", ready);
    json_object_set_new(all, "connection_points", show_points(g));
    json_object_set_new(all, "endpoints", show_endpoints(g));
    json_object_set_new(all, "clients", show_clients(g));
    json_object_set_new(all, "requests", show_requests(g));
    json_object_set_new(all, "refusals", show_refusals(g));
    json_object_set_new(all, "proofs", show_proofs(g));
    json_object_set_new(all, "tenants", show_tenants(g));
    json_object_set_new(all, "site_tokens", show_site_tokens(g));
    json_object_set_new(all, "revocation", show_revocation(g));
    json_object_set_new(all, "content", show_content(g));
    json_object_set_new(all, "certificates", show_certificates(g));
    json_object_set_new(all, "loop_lag_us", json_integer((json_int_t)cmg_lag_last_us(g->lag)));
    return all;
}

/* The door ------------------------------------------------------------------------------ */

static void on_ready(void *arg, struct cmg_admin_ask *ask)
{
    char site[16];
    json_t *why;
    bool one = cmg_admin_parameter(ask, "site", site, sizeof(site));
    unsigned status = status_ready(arg, one ? site : NULL, &why);
    cmg_admin_json(ask, status, why);
}

static void on_status(void *arg, struct cmg_admin_ask *ask)
{
    cmg_admin_json(ask, 200, status_show(arg));
}

static void on_metrics(void *arg, struct cmg_admin_ask *ask)
{
    struct cmg_buf b;
    cmg_buf_init(&b, METRICS_MAX);
    metrics_put(arg, &b);
    cmg_admin_text(ask, 200, CMG_EXPOSITION_TYPE, cmg_buf_str(&b));
    cmg_buf_clear(&b);
}

const struct cmg_admin_route gateway_routes[] = {
    { .method = "GET", .path = "/ready", .handle = on_ready },
    { .method = "GET", .path = "/status", .local = true, .handle = on_status },
    { .method = "GET", .path = "/metrics", .handle = on_metrics },
    { .method = NULL },
};
