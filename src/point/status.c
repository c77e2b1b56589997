/* SPDX-License-Identifier: MIT */
#include "point/analyze.h"
#include "point/status.h"

#include <string.h>

#include "cmg/base/clock.h"
#include "cmg/daemon/certificates.h"
#include "cmg/daemon/exposition.h"
#include "cmg/daemon/status.h"
#include "point/report.h"

enum { METRICS_BYTES = 8 * 1024 * 1024 };

/* A time of the loop as one of the calendar; null for none. */
static json_t *when(const struct point *p, int64_t loop_ms)
{
    if (loop_ms < 0)
        return json_null();
    return cmg_status_time((cmg_clock_unix_ms() - (cmg_loop_now_ms(p->loop) - loop_ms)) / 1000);
}

static void put(json_t *object, const char *key, json_t *taken)
{
    (void)json_object_set_new(object, key, taken);
}

/* What no UTF-8 is left out: it would be no JSON. */
static json_t *text(const char *s)
{
    json_t *j = s ? json_string(s) : NULL;
    return j ? j : json_null();
}

/* Ready ----------------------------------------------------------------------------------- */

struct census { /* of channels */
    unsigned n, open;
};

/* Of one gateway's instances, or of all (NULL). `last`, if not NULL, gets the last one's status. */
static struct census census(const struct point *p, const char *label,
                            struct cmg_keeper_status *last)
{
    struct census c = { 0 };
    const struct keeping *at = NULL;
    struct cmg_keeper_status s;
    while (point_next_keeper(p, &at, &s)) {
        if (label && strcmp(label, s.label) != 0)
            continue;
        c.n++;
        c.open += s.open;
        if (last)
            *last = s;
    }
    return c;
}

bool point_is_ready(const struct point *p)
{
    for (size_t i = 0; i < p->conf->ncmgs; i++)
        if (!census(p, p->conf->cmgs[i].label, NULL).open)
            return false;
    return !p->draining;
}

/* Why there is no channel to a gateway, in a sentence. */
static json_t *closed_because(const struct cmg_keeper_status *s)
{
    if (s->error.when_ms < 0)
        return json_sprintf("%s: no channel is open yet, %s", s->label, s->state);
    return json_sprintf("%s: no channel is open, %s: %s", s->label, cmg_road_names[s->error.road],
                        s->error.why.text);
}

json_t *point_ready_json(const struct point *p)
{
    json_t *why = json_array();
    struct census all = census(p, NULL, NULL);
    if (p->draining)
        json_array_append_new(why, json_string("draining: new requests go elsewhere"));
    for (size_t i = 0; i < p->conf->ncmgs; i++) {
        struct cmg_keeper_status s;
        struct census one = census(p, p->conf->cmgs[i].label, &s);
        if (one.n && !one.open)
            json_array_append_new(why, closed_because(&s));
    }
    return json_pack("{s:b, s:b, s:{s:i, s:i}, s:o}", "ready", point_is_ready(p), "draining",
                     p->draining, "channels", "up", (int)all.open, "of", (int)all.n, "why", why);
}

/* Status ---------------------------------------------------------------------------------- */

static json_t *error_json(const struct point *p, const struct cmg_keeper_status *s)
{
    if (s->error.when_ms < 0)
        return json_null();
    return json_pack("{s:o, s:s, s:s, s:b, s:o}", "when", when(p, s->error.when_ms), "road",
                     cmg_road_names[s->error.road], "step", s->error.step, "refused",
                     s->error.refused, "why", text(s->error.why.text));
}

static json_t *reconnects_json(const struct cmg_keeper_status *s)
{
    json_t *j = json_object();
    for (size_t i = 0; i < CMG_KEEPER_CAUSES; i++)
        if (s->reconnects[i])
            put(j, cmg_keeper_cause_names[i], cmg_status_number(s->reconnects[i]));
    return j;
}

/* What is known of an open channel only. */
static void put_open(const struct point *p, json_t *j, const struct cmg_keeper_status *s)
{
    const struct cmg_channel_info *i = s->channel;
    put(j, "opened", when(p, s->opened_ms));
    put(j, "peer", i ? text(i->peer) : json_null());
    put(j, "connection", i ? text(i->connection_id) : json_null());
    put(j, "gateway", !i ? json_null() : i->foreign ? json_string("haproxy") : text(i->gateway));
    put(j, "gateway_version", i ? text(i->gateway_version) : json_null());
    put(j, "round_trip_us", i && i->rtt_us >= 0 ? json_integer(i->rtt_us) : json_null());
}

static json_t *channel_json(const struct point *p, const struct cmg_keeper_status *s)
{
    json_t *j = json_object();
    put(j, "cmg", text(s->label));
    put(j, "instance", json_integer(s->instance));
    put(j, "state", text(s->state));
    put(j, "since", when(p, s->since_ms));
    put(j, "road", text(cmg_road_names[s->road]));
    put(j, "port", json_integer(s->port));
    put_open(p, j, s);
    put(j, "next_attempt", when(p, s->next_ms));
    put(j, "failures", json_integer(s->failures));
    put(j, "probing", json_boolean(s->probing));
    put(j, "finishing", json_integer(s->draining));
    put(j, "times_opened", cmg_status_number(s->opened));
    put(j, "reconnects", reconnects_json(s));
    put(j, "last_error", error_json(p, s));
    return j;
}

static json_t *channels_json(const struct point *p)
{
    json_t *all = json_array();
    const struct keeping *at = NULL;
    struct cmg_keeper_status s;
    while (point_next_keeper(p, &at, &s))
        json_array_append_new(all, channel_json(p, &s));
    return all;
}

static json_t *connections_json(const struct cmg_pool *pool)
{
    struct cmg_pool_stats s;
    cmg_pool_stats(pool, &s);
    return json_pack("{s:i, s:i, s:i, s:i, s:I, s:I, s:o}", "idle", (int)s.idle, "busy",
                     (int)s.busy, "dialing", (int)s.dialing, "waiting", (int)s.waiting, "dialed",
                     (json_int_t)s.dialed, "failed", (json_int_t)s.failed, "last_error",
                     text(s.why));
}

static json_t *endpoints_json(const struct point *p)
{
    json_t *all = json_array();
    for (size_t i = 0; p->endpoints && i < p->endpoints->published.n; i++) {
        const struct endpoint *e = p->endpoints->v[i];
        const struct cmg_endpoint *published = &p->endpoints->published.v[i];
        json_t *j = cmg_status_counts(&e->tally->counts);
        put(j, "label", text(e->label));
        put(j, "id", text(published->id));
        put(j, "role", text(cmg_role_names[published->role]));
        put(j, "server", text(e->authority));
        put(j, "connections", connections_json(e->pool));
        json_array_append_new(all, j);
    }
    return all;
}

static const char *use_of(const struct point *p, const struct cmg_certificate *c)
{
    if (c->ca)
        return "authority";
    return strcmp(c->file, p->conf->point.certificate) ? "endpoint" : "connection point";
}

static json_t *certificate_json(const struct point *p, const struct cmg_certificate *c)
{
    json_t *j = json_object();
    put(j, "use", text(use_of(p, c)));
    put(j, "file", text(c->file));
    put(j, "subject", text(c->subject));
    put(j, "not_after", cmg_status_time(c->not_after));
    put(j, "expires_s", json_integer(c->not_after - cmg_clock_unix()));
    return j;
}

static json_t *certificates_json(const struct point *p)
{
    const struct cmg_certificate *list;
    size_t n = cmg_certificates(p->certificates, &list);
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, certificate_json(p, &list[i]));
    return all;
}

json_t *point_status_json(const struct point *p)
{
    json_t *j = point_ready_json(p), *up = json_object_get(j, "channels");
    put(j, "channels_up", json_incref(up));
    put(j, "name", text(p->conf->point.name));
    put(j, "site", text(p->conf->point.site));
    put(j, "process", cmg_status_process());
    put(j, "configuration", cmg_status_configuration());
    put(j, "requests_in_flight", json_integer(p->in_flight));
    put(j, "refused",
        json_pack("{s:I, s:I, s:I}", "malformed", (json_int_t)p->refused.malformed, "not_published",
                  (json_int_t)p->refused.not_published, "too_large",
                  (json_int_t)p->refused.too_large));
    put(j, "channels", channels_json(p));
    put(j, "endpoints", endpoints_json(p));
    put(j, "certificates", certificates_json(p));
    return j;
}

/* At the door ----------------------------------------------------------------------------- */

static void ask_ready(void *arg, struct cmg_admin_ask *ask)
{
    const struct point *p = arg;
    cmg_admin_json(ask, point_is_ready(p) ? 200 : 503, point_ready_json(p));
}

static void ask_status(void *arg, struct cmg_admin_ask *ask)
{
    cmg_admin_json(ask, 200, point_status_json(arg));
}

static void ask_metrics(void *arg, struct cmg_admin_ask *ask)
{
    struct cmg_buf b;
    cmg_buf_init(&b, METRICS_BYTES);
    point_metrics(arg, &b);
    if (cmg_buf_room(&b))
        cmg_admin_text(ask, 200, CMG_EXPOSITION_TYPE, cmg_buf_str(&b));
    else
        cmg_admin_refuse(ask, 500, "the metrics are larger than they may be");
    cmg_buf_clear(&b);
}

static const char *const none[] = { NULL };

const struct cmg_admin_route point_status_routes[] = {
    { "GET", "/ready", false, ask_ready, none },
    { "GET", "/status", true, ask_status, none },
    { "GET", "/metrics", false, ask_metrics, none },
    { "GET", "/analyze", true, analyze_handle, none },
    { "GET", "/traffic", true, report_handle, report_parameters },
    { 0 },
};
