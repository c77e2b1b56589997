/* SPDX-License-Identifier: MIT */
/* What is counted, as Prometheus reads it. All of it is put together when somebody asks. What both
 * daemons have has the same name in both. No series is made by what clients send, so their number
 * is that of the configuration and of what connection points publish. */
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/daemon/exposition.h"
#include "cmg/daemon/process.h"
#include "cmg/net/lag.h"
#include "gateway/content.h"
#include "gateway/dock.h"
#include "gateway/endings.h"
#include "gateway/front.h"
#include "gateway/request.h"
#include "gateway/revocation.h"
#include "gateway/site_tokens.h"
#include "gateway/status.h"
#include "gateway/stores.h"
#include "gateway/tenants.h"

enum { LISTS_MAX = 64 };

static void counter(struct cmg_buf *b, const char *name, const char *help, uint64_t value)
{
    cmg_exposition_family(b, name, "counter", help);
    cmg_exposition_sample(b, name, NULL, 0, (double)value);
}

/* One label, whose values are `names`. */
static void counters(struct cmg_buf *b, const char *name, const char *help, const char *label,
                     const char *const *names, const uint64_t *values, size_t n)
{
    cmg_exposition_family(b, name, "counter", help);
    for (size_t i = 0; i < n; i++)
        cmg_exposition_sample(b, name, CMG_LABELS({ label, names[i] }), (double)values[i]);
}

/* Requests ------------------------------------------------------------------------------ */

static void put_endpoints(const struct gateway *g, struct cmg_buf *b)
{
    const struct ledger *ledger = registry_ledger(g->registry);
    struct cmg_counted *v = cmg_alloc((LEDGER_MAX + 1) * sizeof(*v));
    size_t n = 0;
    for (int i = -1; (i = ledger_next(ledger, i, &v[n].endpoint, &v[n].counts)) >= 0;)
        n++;
    cmg_exposition_requests(b, v, n);
    free(v);
}

static void put_requests(const struct gateway *g, struct cmg_buf *b)
{
    static const char *const causes[] = { "keys", "channel" };
    const struct tally *t = &g->tally;
    const uint64_t waited[] = { t->parked, t->held };
    static const char name[] = "cmg_gateway_request_duration_seconds",
                      waiting[] = "cmg_gateway_requests_waiting";
    counter(b, "cmg_gateway_requests_total",
            "Requests of clients that could be read, those refused at once included.",
            t->requests.requests);
    counter(b, "cmg_gateway_request_failures_total",
            "Of these, answered with 5xx, cut, or left by the client.", t->requests.failed);
    counter(b, "cmg_gateway_requests_with_bearer_token_total",
            "Of these, with an Authorization field of the Bearer scheme.", t->requests.bearer);
    cmg_exposition_gauge(b, "cmg_gateway_requests_in_flight", "Requests that are not over.",
                         t->requests.in_flight);
    cmg_exposition_family(b, name, "histogram", "From a request's head to the end of its answer.");
    cmg_exposition_histogram(b, name, NULL, 0, &t->requests.took);
    cmg_exposition_family(b, waiting, "gauge",
                          "Requests that wait: for keys or revocation lists, or for a channel.");
    cmg_exposition_sample(b, waiting, CMG_LABELS({ "for", causes[0] }), g->nparked);
    cmg_exposition_sample(b, waiting, CMG_LABELS({ "for", causes[1] }), g->nwaiting - g->nparked);
    counters(b, "cmg_gateway_requests_waited_total", "Requests that had to wait, by what for.",
             "for", causes, waited, 2);
    counter(b, "cmg_gateway_requests_repeated_total",
            "Times that a request was sent on another channel.", t->repeated);
}

static void put_refused(const struct gateway *g, struct cmg_buf *b)
{
    static const char name[] = "cmg_requests_refused_total";
    cmg_exposition_family(b, name, "counter", "Requests that the gateway itself refused.");
    for (unsigned i = 0; i < REFUSALS; i++) {
        const struct refusal *r = refusal_of(i);
        char status[] = { (char)('0' + r->status / 100), (char)('0' + r->status / 10 % 10),
                          (char)('0' + r->status % 10), '\0' };
        cmg_exposition_sample(
            b, name,
            CMG_LABELS({ "status", status }, { "reason", r->phrase }, { "error", r->error }),
            (double)g->tally.refusals[i]);
    }
}

static void put_proofs(const struct gateway *g, struct cmg_buf *b)
{
    static const char name[] = "cmg_credentials_total";
    cmg_exposition_family(b, name, "counter",
                          "Certificates and tokens of clients that were judged; known: the same "
                          "as before on its connection.");
    for (unsigned how = 0; how < TALLY_HOWS; how++)
        for (unsigned i = 0; i < TALLY_PROOFS; i++)
            cmg_exposition_sample(
                b, name,
                CMG_LABELS({ "kind", how ? cmg_identity_how_name(how) : "unknown" },
                           { "result", tally_proof_names[i] }),
                (double)g->tally.proofs[how][i]);
}

/* Clients ------------------------------------------------------------------------------- */

static void put_handshakes(const struct gateway *g, struct cmg_buf *b)
{
    static const char now[] = "cmg_handshakes";
    static const char *const results[] = { "done", "failed" };
    const struct tally *t = &g->tally;
    const uint64_t ended[] = { t->handshakes.done, t->handshakes.failed };
    counters(b, "cmg_handshakes_total", "TLS handshakes of clients.", "result", results, ended, 2);
    counter(b, "cmg_handshakes_resumed_total", "Of these, done with an earlier session.",
            t->handshakes.resumed);
    counters(b, "cmg_handshakes_version_total", "Of these, done, by version.", "version",
             cmg_tls_version_names, t->handshakes.by_tls, CMG_TLS_VERSIONS);
    cmg_exposition_family(b, now, "gauge", "TLS handshakes of clients that are not over.");
    cmg_exposition_sample(b, now, CMG_LABELS({ "state", "under-way" }), g->nhandshakes);
    cmg_exposition_sample(b, now, CMG_LABELS({ "state", "waiting" }), front_queued(g));
}

static void put_clients(const struct gateway *g, struct cmg_buf *b)
{
    static const char open[] = "cmg_client_connections", all[] = "cmg_client_connections_total";
    const struct tally *t = &g->tally;
    cmg_exposition_family(b, open, "gauge", "Connections of clients.");
    for (unsigned i = 0; i < TALLY_VERSIONS; i++)
        cmg_exposition_sample(b, open, CMG_LABELS({ "http", tally_http_names[i] }),
                              t->connections[i].open);
    cmg_exposition_family(b, all, "counter", "Connections of clients since the start.");
    for (unsigned i = 0; i < TALLY_VERSIONS; i++)
        cmg_exposition_sample(b, all, CMG_LABELS({ "http", tally_http_names[i] }),
                              (double)t->connections[i].all);
    counter(b, "cmg_client_sent_bytes_total", "Bytes sent to clients, inside TLS.", t->sent_bytes);
    counter(b, "cmg_client_received_bytes_total", "Bytes received from clients, inside TLS.",
            t->got_bytes);
}

/* Connection points --------------------------------------------------------------------- */

/* Calls `one` for each that is admitted. */
static void each_point(const struct gateway *g, struct cmg_buf *b,
                       void (*one)(const struct gateway *g, struct cmg_buf *b, struct member *m))
{
    for (struct member *m = registry_next(g->registry, NULL); m; m = registry_next(g->registry, m))
        if (member_is_admitted(m))
            one(g, b, m);
}

/* Both roads, so that a sum over them is how many there are. */
static void put_up(const struct gateway *g, struct cmg_buf *b, struct member *m)
{
    unsigned up[CMG_ROADS] = { 0 };
    for (const struct channel *c = dock_next(g, NULL); c; c = dock_next(g, c)) {
        struct channel_view v;
        channel_show(c, &v);
        if (v.member == m && v.state == CHANNEL_UP)
            up[v.road]++;
    }
    for (unsigned road = 0; road < CMG_ROADS; road++)
        cmg_exposition_sample(b, "cmg_channel_up",
                              CMG_LABELS({ "connection_point", member_name(m) },
                                         { "site", member_site(m) },
                                         { "road", cmg_road_names[road] }),
                              up[road]);
}

static void put_ping(const struct gateway *g, struct cmg_buf *b, struct member *m)
{
    int64_t slowest_us = -1;
    for (const struct channel *c = dock_next(g, NULL); c; c = dock_next(g, c)) {
        struct channel_view v;
        channel_show(c, &v);
        if (v.member == m && v.rtt_us > slowest_us)
            slowest_us = v.rtt_us;
    }
    if (slowest_us >= 0)
        cmg_exposition_sample(b, "cmg_channel_ping_seconds",
                              CMG_LABELS({ "connection_point", member_name(m) }),
                              (double)slowest_us / 1e6);
}

static void put_opened(const struct gateway *g, struct cmg_buf *b, struct member *m)
{
    (void)g;
    cmg_exposition_sample(b, "cmg_channel_opened_total",
                          CMG_LABELS({ "connection_point", member_name(m) }),
                          (double)member_channels(m)->opened);
}

static void put_ended(const struct gateway *g, struct cmg_buf *b, struct member *m)
{
    const struct channel_counts *n = member_channels(m);
    const struct {
        const char *cause;
        uint64_t n;
    } ends[] = { { "lost", n->lost }, { "closed", n->closed }, { "refused", n->refused } };
    (void)g;
    for (size_t i = 0; i < CMG_COUNT(ends); i++)
        cmg_exposition_sample(
            b, "cmg_channel_ended_total",
            CMG_LABELS({ "connection_point", member_name(m) }, { "cause", ends[i].cause }),
            (double)ends[i].n);
}

static void put_sent(const struct gateway *g, struct cmg_buf *b, struct member *m)
{
    (void)g;
    cmg_exposition_sample(b, "cmg_connection_point_requests_total",
                          CMG_LABELS({ "connection_point", member_name(m) }),
                          (double)member_counts(m)->requests);
}

static void put_failed(const struct gateway *g, struct cmg_buf *b, struct member *m)
{
    (void)g;
    cmg_exposition_sample(b, "cmg_connection_point_request_failures_total",
                          CMG_LABELS({ "connection_point", member_name(m) }),
                          (double)member_counts(m)->failed);
}

static void put_in_flight(const struct gateway *g, struct cmg_buf *b, struct member *m)
{
    (void)g;
    cmg_exposition_sample(b, "cmg_connection_point_requests_in_flight",
                          CMG_LABELS({ "connection_point", member_name(m) }),
                          member_counts(m)->in_flight);
}

static void put_points(const struct gateway *g, struct cmg_buf *b)
{
    static const struct {
        const char *name, *type, *help;
        void (*one)(const struct gateway *g, struct cmg_buf *b, struct member *m);
    } families[] = {
        { "cmg_channel_up", "gauge", "Channels that are open, on each road.", put_up },
        { "cmg_channel_ping_seconds", "gauge",
          "How long the last PING of an open channel took; of several, the slowest.", put_ping },
        { "cmg_channel_opened_total", "counter", "Channels that were opened.", put_opened },
        { "cmg_channel_ended_total", "counter",
          "Channels that ended: lost, closed in good order, or refused after their admission.",
          put_ended },
        { "cmg_connection_point_requests_total", "counter", "Requests sent to a connection point.",
          put_sent },
        { "cmg_connection_point_request_failures_total", "counter",
          "Of these, answered with 5xx, cut, left by the client, or repeated elsewhere.",
          put_failed },
        { "cmg_connection_point_requests_in_flight", "gauge", "Of these, not over.",
          put_in_flight },
    };
    for (size_t i = 0; i < CMG_COUNT(families); i++) {
        cmg_exposition_family(b, families[i].name, families[i].type, families[i].help);
        each_point(g, b, families[i].one);
    }
    counter(b, "cmg_channels_refused_total", "Channels that were not admitted.",
            g->tally.channels_refused);
}

/* What clients are judged by, and content ------------------------------------------------ */

static void put_tenants(const struct gateway *g, struct cmg_buf *b)
{
    static const char keys[] = "cmg_tenant_keys", failing[] = "cmg_tenant_keys_failing";
    const struct tenant *t;
    struct tenant_view v;
    cmg_exposition_family(b, keys, "gauge", "Keys that sign tokens of an Entra tenant.");
    for (t = tenants_next(g->tenants, NULL); t; t = tenants_next(g->tenants, t)) {
        tenant_show(t, &v);
        cmg_exposition_sample(b, keys, CMG_LABELS({ "tenant", v.label }), (double)v.keys);
    }
    cmg_exposition_family(b, failing, "gauge", "1 while the last fetch of them has failed.");
    for (t = tenants_next(g->tenants, NULL); t; t = tenants_next(g->tenants, t)) {
        tenant_show(t, &v);
        cmg_exposition_sample(b, failing, CMG_LABELS({ "tenant", v.label }), v.failure[0] != '\0');
    }
}

/* A source may give several lists of one issuer: the one that ends first. */
static void put_lists(const struct gateway *g, struct cmg_buf *b)
{
    static const char name[] = "cmg_revocation_next_update_seconds";
    const char *s;
    cmg_exposition_family(b, name, "gauge",
                          "When the first of a source's revocation lists ends, since 1970.");
    for (s = revocation_next(g->revocation, NULL); s; s = revocation_next(g->revocation, s)) {
        struct revocation_view v;
        struct cmg_crl_about about[LISTS_MAX];
        revocation_show(g->revocation, s, &v);
        size_t n = cmg_crls_about(v.lists, s, about, LISTS_MAX), first = 0;
        for (size_t i = 1; i < n; i++)
            if (about[i].next_update < about[first].next_update)
                first = i;
        if (n)
            cmg_exposition_sample(b, name, CMG_LABELS({ "source", s }),
                                  (double)about[first].next_update);
    }
}

static void put_content(const struct gateway *g, struct cmg_buf *b)
{
    static const char name[] = "cmg_storage_up";
    const struct stores *stores = content_stores(g->content);
    counters(b, "cmg_content_lists_total", "Lists of content that clients asked for.", "result",
             tally_list_names, g->tally.lists, TALLY_LISTS);
    cmg_exposition_gauge(b, "cmg_content_requests_waiting", "Of these, waiting for storage.",
                         content_waiting(g->content));
    cmg_exposition_family(b, name, "gauge", "0 while a storage account fails.");
    for (size_t i = 0; stores && i < stores->n; i++) {
        const struct store *s = &stores->v[i];
        struct cmg_err ignored;
        cmg_exposition_sample(b, name, CMG_LABELS({ "storage", s->label }),
                              !s->failure[0] &&
                                  store_ready(s, cmg_clock_unix(), &ignored) == CMG_OK);
    }
}

static void put_blocked(const struct gateway *g, struct cmg_buf *b)
{
    struct site_tokens_view v;
    site_tokens_show(g->site_tokens, &v);
    cmg_exposition_gauge(b, "cmg_block_list_entries", "Tokens and clients that are blocked.",
                         (double)v.blocked);
}

/* Ourselves ----------------------------------------------------------------------------- */

static void put_ending(void *arg, const struct ending *e)
{
    cmg_exposition_sample(arg, "cmg_certificate_not_after_seconds",
                          CMG_LABELS({ "use", e->use }, { e->what, e->name }),
                          (double)e->not_after);
}

static void put_certificates(const struct gateway *g, struct cmg_buf *b)
{
    cmg_exposition_family(b, "cmg_certificate_not_after_seconds", "gauge",
                          "When a certificate ends, of a file the first one, since 1970.");
    endings_tell(g, put_ending, b);
}

static void put_buffers(const struct gateway *g, struct cmg_buf *b)
{
    static const char name[] = "cmg_buffer_bytes";
    size_t channels = 0;
    for (const struct channel *c = dock_next(g, NULL); c; c = dock_next(g, c)) {
        struct channel_view v;
        channel_show(c, &v);
        channels += v.buffered;
    }
    cmg_exposition_family(b, name, "gauge", "Bytes on their way that are held in memory.");
    cmg_exposition_sample(b, name, CMG_LABELS({ "where", "channels" }), (double)channels);
    cmg_exposition_sample(b, name, CMG_LABELS({ "where", "clients" }), (double)front_buffered(g));
    cmg_exposition_sample(b, name, CMG_LABELS({ "where", "requests" }),
                          (double)request_held_bytes(g));
}

static void put_ourselves(const struct gateway *g, struct cmg_buf *b)
{
    static const char name[] = "cmg_event_loop_lag_seconds";
    struct cmg_process self;
    cmg_exposition_family(b, name, "histogram",
                          "How late the event loop was, looked at once a second.");
    cmg_exposition_histogram(b, name, NULL, 0, cmg_lag_histogram(g->lag));
    put_buffers(g, b);
    put_certificates(g, b);
    cmg_process_read(&self);
    cmg_process_expose(b, &self);
}

void gateway_metrics(const struct gateway *g, struct cmg_buf *b)
{
    cmg_exposition_family(b, "cmg_build_info", "gauge", "1, for its labels.");
    cmg_exposition_sample(b, "cmg_build_info",
                          CMG_LABELS({ "program", "cmg-gateway" }, { "version", CMG_VERSION }), 1);
    cmg_exposition_gauge(b, "cmg_ready", "1 while clients should be sent here.",
                         status_is_ready(g, NULL));
    cmg_exposition_gauge(b, "cmg_draining", "1 from the beginning of the end on.", g->draining);
    put_endpoints(g, b);
    put_requests(g, b);
    put_refused(g, b);
    put_proofs(g, b);
    put_handshakes(g, b);
    put_clients(g, b);
    put_points(g, b);
    put_tenants(g, b);
    put_lists(g, b);
    put_blocked(g, b);
    put_content(g, b);
    put_ourselves(g, b);
}
