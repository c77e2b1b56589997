/* SPDX-License-Identifier: MIT */
/* What is counted, as Prometheus reads it. All of it is put together when somebody asks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/daemon/certificates.h"
#include "cmg/daemon/exposition.h"
#include "cmg/daemon/process.h"
#include "cmg/net/lag.h"
#include "point/relay.h"
#include "point/status.h"

/* Requests and endpoints ------------------------------------------------------------------ */

static size_t endpoints(const struct point *p)
{
    return p->endpoints ? p->endpoints->published.n : 0;
}

static void put_requests(const struct point *p, struct cmg_buf *b)
{
    size_t n = endpoints(p);
    struct cmg_counted *v = cmg_alloc(n * sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] =
            (struct cmg_counted){ p->endpoints->v[i]->label, &p->endpoints->v[i]->tally->counts };
    cmg_exposition_requests(b, v, n);
    free(v);
}

static void put_refused(const struct point *p, struct cmg_buf *b)
{
    static const char name[] = "cmg_requests_refused_total";
    cmg_exposition_family(b, name, "counter",
                          "Requests from gateways that no endpoint had anything to do with.");
    cmg_exposition_sample(b, name, CMG_LABELS({ "reason", "malformed" }),
                          (double)p->refused.malformed);
    cmg_exposition_sample(b, name, CMG_LABELS({ "reason", "not-published" }),
                          (double)p->refused.not_published);
    cmg_exposition_sample(b, name, CMG_LABELS({ "reason", "too-large" }),
                          (double)p->refused.too_large);
}

static void put_connections(const struct point *p, struct cmg_buf *b)
{
    static const char now[] = "cmg_endpoint_connections", dials[] = "cmg_endpoint_dials_total",
                      failed[] = "cmg_endpoint_dial_failures_total",
                      waiting[] = "cmg_endpoint_requests_waiting";
    size_t n = endpoints(p);
    struct cmg_pool_stats *s = cmg_alloc(n * sizeof(*s));
    cmg_exposition_family(b, now, "gauge", "Connections to endpoints.");
    for (size_t i = 0; i < n; i++) {
        const char *label = p->endpoints->v[i]->label;
        cmg_pool_stats(p->endpoints->v[i]->pool, &s[i]);
        cmg_exposition_sample(b, now, CMG_LABELS({ "endpoint", label }, { "state", "idle" }),
                              s[i].idle);
        cmg_exposition_sample(b, now, CMG_LABELS({ "endpoint", label }, { "state", "busy" }),
                              s[i].busy);
        cmg_exposition_sample(b, now, CMG_LABELS({ "endpoint", label }, { "state", "dialing" }),
                              s[i].dialing);
    }
    cmg_exposition_family(b, waiting, "gauge", "Requests that wait for a connection.");
    for (size_t i = 0; i < n; i++)
        cmg_exposition_sample(b, waiting, CMG_LABELS({ "endpoint", p->endpoints->v[i]->label }),
                              s[i].waiting);
    cmg_exposition_family(b, dials, "counter",
                          "Connections tried since the configuration was read.");
    for (size_t i = 0; i < n; i++)
        cmg_exposition_sample(b, dials, CMG_LABELS({ "endpoint", p->endpoints->v[i]->label }),
                              (double)s[i].dialed);
    cmg_exposition_family(b, failed, "counter", "Of these, the ones that failed.");
    for (size_t i = 0; i < n; i++)
        cmg_exposition_sample(b, failed, CMG_LABELS({ "endpoint", p->endpoints->v[i]->label }),
                              (double)s[i].failed);
    free(s);
}

/* Channels -------------------------------------------------------------------------------- */

/* Calls `one` for each channel. */
static void each_channel(const struct point *p, struct cmg_buf *b,
                         void (*one)(struct cmg_buf *b, const struct cmg_keeper_status *s,
                                     const char *instance))
{
    const struct keeping *at = NULL;
    struct cmg_keeper_status s;
    while (point_next_keeper(p, &at, &s)) {
        char instance[12];
        snprintf(instance, sizeof(instance), "%u", s.instance);
        one(b, &s, instance);
    }
}

/* Both roads, so that the sum over them is whether the channel is up, without a gap. */
static void put_up(struct cmg_buf *b, const struct cmg_keeper_status *s, const char *instance)
{
    for (unsigned road = 0; road < CMG_ROADS; road++)
        cmg_exposition_sample(b, "cmg_channel_up",
                              CMG_LABELS({ "cmg", s->label }, { "instance", instance },
                                         { "road", cmg_road_names[road] }),
                              s->open && s->road == road);
}

static void put_ping(struct cmg_buf *b, const struct cmg_keeper_status *s, const char *instance)
{
    if (s->channel && s->channel->rtt_us >= 0)
        cmg_exposition_sample(b, "cmg_channel_ping_seconds",
                              CMG_LABELS({ "cmg", s->label }, { "instance", instance }),
                              (double)s->channel->rtt_us / 1e6);
}

static void put_reconnects(struct cmg_buf *b, const struct cmg_keeper_status *s,
                           const char *instance)
{
    for (unsigned i = 0; i < CMG_KEEPER_CAUSES; i++)
        cmg_exposition_sample(b, "cmg_channel_reconnects_total",
                              CMG_LABELS({ "cmg", s->label }, { "instance", instance },
                                         { "cause", cmg_keeper_cause_names[i] }),
                              (double)s->reconnects[i]);
}

static void put_channels(const struct point *p, struct cmg_buf *b)
{
    cmg_exposition_family(b, "cmg_channel_up", "gauge",
                          "1 on the road that the channel is open on.");
    each_channel(p, b, put_up);
    cmg_exposition_family(b, "cmg_channel_ping_seconds", "gauge",
                          "How long the last PING of an open channel took.");
    each_channel(p, b, put_ping);
    cmg_exposition_family(b, "cmg_channel_reconnects_total", "counter",
                          "Times that another channel was needed, by where the attempt before "
                          "failed or what became of the channel before.");
    each_channel(p, b, put_reconnects);
}

/* Ourselves ------------------------------------------------------------------------------- */

static void put_buffers(const struct point *p, struct cmg_buf *b)
{
    static const char name[] = "cmg_buffer_bytes";
    size_t channels = 0, connections = 0;
    const struct keeping *at = NULL;
    struct cmg_keeper_status k;
    while (point_next_keeper(p, &at, &k))
        channels += k.buffered;
    for (size_t i = 0; i < endpoints(p); i++) {
        struct cmg_pool_stats s;
        cmg_pool_stats(p->endpoints->v[i]->pool, &s);
        connections += s.buffered;
    }
    cmg_exposition_family(b, name, "gauge", "Bytes on their way that are held in memory.");
    cmg_exposition_sample(b, name, CMG_LABELS({ "where", "channels" }), (double)channels);
    cmg_exposition_sample(b, name, CMG_LABELS({ "where", "endpoints" }), (double)connections);
    cmg_exposition_sample(b, name, CMG_LABELS({ "where", "requests" }),
                          (double)relay_held_bytes(p));
}

static void put_certificates(const struct point *p, struct cmg_buf *b)
{
    static const char name[] = "cmg_certificate_not_after_seconds";
    cmg_exposition_family(b, name, "gauge",
                          "When the first of the file's certificates ends, since 1970.");
    const struct cmg_certificate *list;
    size_t n = cmg_certificates(p->certificates, &list);
    for (size_t i = 0; i < n;) {
        const char *file = list[i].file;
        int64_t first = list[i].not_after;
        for (; i < n && !strcmp(list[i].file, file); i++)
            first = list[i].not_after < first ? list[i].not_after : first;
        cmg_exposition_sample(b, name, CMG_LABELS({ "file", file }), (double)first);
    }
}

static void put_lag(const struct point *p, struct cmg_buf *b)
{
    static const char name[] = "cmg_event_loop_lag_seconds";
    cmg_exposition_family(b, name, "histogram",
                          "How late the event loop was, looked at once a second.");
    cmg_exposition_histogram(b, name, NULL, 0, cmg_lag_histogram(p->lag));
}

void point_metrics(const struct point *p, struct cmg_buf *b)
{
    struct cmg_process self;
    cmg_exposition_family(b, "cmg_build_info", "gauge", "1, for its labels.");
    cmg_exposition_sample(
        b, "cmg_build_info",
        CMG_LABELS({ "program", "cmg-connection-point" }, { "version", CMG_VERSION }), 1);
    cmg_exposition_gauge(b, "cmg_ready",
                         "1 while each gateway has an open channel and nothing drains.",
                         point_is_ready(p));
    cmg_exposition_gauge(b, "cmg_draining", "1 from the beginning of the end on.", p->draining);
    put_requests(p, b);
    put_refused(p, b);
    put_connections(p, b);
    put_channels(p, b);
    put_lag(p, b);
    put_buffers(p, b);
    put_certificates(p, b);
    cmg_process_read(&self);
    cmg_process_expose(b, &self);
}
