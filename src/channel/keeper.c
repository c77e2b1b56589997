/* SPDX-License-Identifier: MIT */
/* The state machine that keeps a channel up.
 *
 *            timer             stream            greeting
 *  WAITING --------> DIALING --------> GREETING ---------> OPEN
 *     ^                 |                  |                 |
 *     +----- failed ----+------------------+---- lost, ------+
 *                                           or gateway drains
 *
 *  drain(): from anywhere to DRAINING while a channel lives, then to STOPPED.
 *
 * Every change of state goes through enter(). What to do next is decided by plan.c; this
 * file only carries it out.
 *
 * An attempt and the channel that comes of it are one link. The keeper has a main link, which
 * the states are about; while OPEN on HTTPS now and then a probe, which is the same on
 * TCP-TLS; and the links it let go, whose channels finish their requests beside. Moving up
 * is: the main link is let go, the probe is the main link.
 */
#include "cmg/channel/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "cmg/net/dial.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"
#include "cmg/net/tls.h"

enum { OLD_MAX = 8 }; /* channels that finish beside; past it the oldest is cut */

enum state { WAITING, DIALING, GREETING, OPEN, DRAINING, STOPPED, STATES };

static const char *const state_names[STATES] = {
    "waiting", "dialing", "greeting", "open", "draining", "stopped",
};

#define TO(s) (1u << (s))
/* clang-format off */
static const unsigned allowed[STATES] = {
    [WAITING]  = TO(DIALING) | TO(DRAINING),
    [DIALING]  = TO(GREETING) | TO(WAITING) | TO(DRAINING),
    [GREETING] = TO(OPEN) | TO(WAITING) | TO(DRAINING),
    [OPEN]     = TO(WAITING) | TO(DRAINING),
    [DRAINING] = TO(STOPPED),
    [STOPPED]  = 0,
};
/* clang-format on */

const char *const cmg_keeper_cause_names[] = {
    [CMG_CAUSE_SETUP] = "setup",
    [CMG_CAUSE_RESOLVE] = "resolve",
    [CMG_CAUSE_CONNECT] = "connect",
    [CMG_CAUSE_PROXY] = "proxy",
    [CMG_CAUSE_TLS] = "tls",
    [CMG_CAUSE_UPGRADE] = "upgrade",
    [CMG_CAUSE_GREETING] = "greeting",
    [CMG_CAUSE_LOST] = "lost",
    [CMG_CAUSE_GATEWAY_DRAINS] = "gateway-drains",
    [CMG_CAUSE_MOVED_UP] = "moved-up",
    [CMG_CAUSE_CONFIGURATION] = "configuration",
};

struct link {
    struct cmg_keeper *k;
    struct link *next; /* among the old ones */
    struct cmg_attempt attempt;
    struct cmg_dial *dial;       /* owned, until it is done                */
    struct cmg_channel *channel; /* owned by itself; NULL before and after */
    int64_t opened_ms;           /* -1: not open yet                       */
};

struct reason { /* why an attempt failed */
    const char *step;
    struct cmg_err why;
};

struct cmg_keeper {
    struct cmg_loop *loop;              /* borrowed                   */
    struct cmg_dialer *dialer;          /* borrowed                   */
    struct cmg_keeper_conf conf;        /* what it points at borrowed */
    struct cmg_tls *tls[CMG_ROADS];     /* owned references           */
    const struct cmg_endpoint_set *set; /* borrowed                   */
    const struct cmg_keeper_events *ev; /* borrowed                   */
    void *arg;

    struct cmg_plan plan;
    enum state state;
    int64_t since_ms;
    struct cmg_timer *timer; /* owned; next attempt, next probe or end of grace */
    struct link *main;       /* owned; in DIALING, GREETING and OPEN            */
    struct link *probe;      /* owned; in OPEN, or NULL                         */
    struct link *old;        /* owned list, newest first                        */
    unsigned nold;

    struct cmg_task change_task, done_task;
    void (*on_done)(void *arg);
    void *done_arg;

    /* What was said, so that it is not said again. */
    struct reason said[CMG_ROADS], said_of_probe;
    bool said_fallback;
    unsigned said_instance, said_instances;

    /* For the status. */
    bool tried, failed[CMG_ROADS];
    unsigned failures;
    uint64_t opened;
    struct reason error;
    int64_t error_ms;
    enum cmg_road error_road;
    bool error_refused;
    uint64_t reconnects[CMG_KEEPER_CAUSES];
};

#define WHO(k) KV("cmg", (k)->conf.label), KV("instance", (k)->plan.conf.instance + 1)

static int64_t now(const struct cmg_keeper *k)
{
    return cmg_loop_now_ms(k->loop);
}

static void changed(struct cmg_keeper *k)
{
    if (k->ev->on_change)
        cmg_loop_defer(k->loop, &k->change_task);
}

/* The one timer: what it is for follows from the state. */
static void arm(struct cmg_keeper *k)
{
    struct cmg_attempt ignored;
    int64_t after_ms = -1;
    if (k->state == WAITING)
        after_ms = cmg_plan_next(&k->plan, now(k), &ignored);
    else if (k->state == OPEN && !k->probe)
        after_ms = cmg_plan_probe(&k->plan, now(k), &ignored);

    if (after_ms >= 0)
        cmg_timer_set(k->timer, after_ms);
    else
        cmg_timer_stop(k->timer);
}

static void enter(struct cmg_keeper *k, enum state to)
{
    if (!(allowed[k->state] & TO(to)))
        abort();
    log_debug("keeper.state", WHO(k), KV("from", state_names[k->state]), KV("to", state_names[to]));
    k->state = to;
    k->since_ms = now(k);
    arm(k);
    changed(k);
}

/* What is said ------------------------------------------------------------------------- */

/* Digits that tell how long something took make no other reason. */
static const char *skip_duration(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n && (strncmp(s + n, " ms", 3) == 0 || strncmp(s + n, " milliseconds", 13) == 0) ? s + n
                                                                                            : s;
}

static bool same_reason(const struct reason *a, const struct reason *b)
{
    if (!a->step || !b->step || strcmp(a->step, b->step) != 0)
        return false;
    const char *s = a->why.text, *t = b->why.text;
    for (;; s++, t++) {
        s = skip_duration(s);
        t = skip_duration(t);
        if (*s != *t)
            return false;
        if (!*s)
            return true;
    }
}

static int64_t retry_ms(const struct cmg_keeper *k)
{
    struct cmg_attempt ignored;
    return cmg_plan_next(&k->plan, now(k), &ignored);
}

/* Warns when a road fails for another reason than last time. */
static void say_failed(struct cmg_keeper *k, struct cmg_attempt at, const struct reason *r)
{
    bool again = same_reason(&k->said[at.road], r);
    k->said[at.road] = *r;
    if (again)
        log_debug("channel.failed_again", WHO(k), KV("road", cmg_road_names[at.road]),
                  KV("port", at.port), KV("step", r->step), KV("why", r->why.text),
                  KV("retry_ms", retry_ms(k)));
    else
        log_warn("channel.failed", WHO(k), KV("road", cmg_road_names[at.road]), KV("port", at.port),
                 KV("step", r->step), KV("why", r->why.text), KV("retry_ms", retry_ms(k)));
}

/* Once, until TCP-TLS has been open again. */
static void say_fallback(struct cmg_keeper *k, enum cmg_road before)
{
    if (before != CMG_ROAD_TCP_TLS || k->plan.road != CMG_ROAD_HTTPS || k->said_fallback)
        return;
    k->said_fallback = true;
    log_notice("channel.fallback", WHO(k), KV("from", cmg_road_names[CMG_ROAD_TCP_TLS]),
               KV("to", cmg_road_names[CMG_ROAD_HTTPS]));
}

/* The gateway may count its instances otherwise than we do. It is said once; we do not guess. */
static void say_instances(struct cmg_keeper *k, const struct cmg_channel_info *i)
{
    const struct cmg_plan_conf *c = &k->plan.conf;
    bool differ = (i->instance && i->instance != c->instance + 1) ||
                  (i->instances && i->instances != c->instances);
    bool said = i->instance == k->said_instance && i->instances == k->said_instances;
    k->said_instance = i->instance;
    k->said_instances = i->instances;
    if (differ && !said)
        log_warn("channel.instances_differ", WHO(k), KV("instances", c->instances),
                 KV("announced_instance", i->instance), KV("announced_instances", i->instances),
                 KV("gateway", i->gateway));
}

static void note_error(struct cmg_keeper *k, struct cmg_attempt at, const struct reason *r,
                       bool refused)
{
    k->error = *r;
    k->error_ms = now(k);
    k->error_road = at.road;
    k->error_refused = refused;
}

/* An attempt that failed at `step`; the names of steps and causes are the same. */
static void count_failed(struct cmg_keeper *k, const char *step)
{
    for (unsigned i = 0; i <= CMG_CAUSE_GREETING; i++)
        k->reconnects[i] += strcmp(cmg_keeper_cause_names[i], step) == 0;
}

/* Links -------------------------------------------------------------------------------- */

static void link_free(struct link *l)
{
    if (!l)
        return;
    cmg_dial_cancel(l->dial);
    cmg_channel_abandon(l->channel);
    free(l);
}

static void drop_main(struct cmg_keeper *k)
{
    link_free(k->main);
    k->main = NULL;
}

static void drop_probe(struct cmg_keeper *k)
{
    link_free(k->probe);
    k->probe = NULL;
}

static void cut_oldest(struct cmg_keeper *k)
{
    struct link *l = k->old;
    while (l->next)
        l = l->next;
    cmg_channel_close(l->channel);
}

/* The main link's channel finishes beside what comes after it. */
static void let_main_go(struct cmg_keeper *k, const char *why, int64_t grace_ms)
{
    struct link *l = k->main;
    k->main = NULL;
    l->next = k->old;
    k->old = l;
    k->nold++;
    log_notice("channel.draining", WHO(k), KV("road", cmg_road_names[l->attempt.road]),
               KV("connection", cmg_channel_info(l->channel)->connection_id), KV("why", why),
               KV("grace_ms", grace_ms));
    cmg_channel_drain(l->channel, grace_ms);
    if (k->nold > OLD_MAX)
        cut_oldest(k);
}

static void finish(struct cmg_keeper *k)
{
    if (k->state != DRAINING || k->old)
        return;
    enter(k, STOPPED);
    cmg_loop_defer(k->loop, &k->done_task);
}

static void old_closed(struct cmg_keeper *k, struct link *l, const struct cmg_err *why)
{
    struct link **at = &k->old;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    k->nold--;
    log_notice("channel.closed", WHO(k), KV("road", cmg_road_names[l->attempt.road]),
               KV("connection", cmg_channel_info(l->channel)->connection_id), KV("why", why->text));
    l->channel = NULL;
    link_free(l);
    changed(k);
    finish(k);
}

static void probe_failed(struct cmg_keeper *k, const struct reason *r)
{
    bool again = same_reason(&k->said_of_probe, r);
    k->said_of_probe = *r;
    drop_probe(k);
    cmg_plan_probe_failed(&k->plan, now(k), cmg_loop_dice(k->loop));
    arm(k);
    if (!again)
        log_info("channel.probe_failed", WHO(k), KV("step", r->step), KV("why", r->why.text),
                 KV("retry_ms", k->plan.probe_at_ms - now(k)));
}

static void main_failed(struct cmg_keeper *k, const struct reason *r, bool refused)
{
    struct cmg_attempt at = k->main->attempt;
    enum cmg_road before = k->plan.road;
    drop_main(k);
    note_error(k, at, r, refused);
    k->failures++;
    count_failed(k, r->step);
    k->failed[at.road] = true;
    k->tried |= !cmg_plan_both_roads(&k->plan) || (k->failed[0] && k->failed[1]);

    cmg_plan_failed(&k->plan, now(k), refused, cmg_loop_dice(k->loop));
    say_failed(k, at, r);
    say_fallback(k, before);
    enter(k, WAITING);
}

static void link_failed(struct link *l, const char *step, const struct cmg_err *why, bool refused)
{
    struct cmg_keeper *k = l->k;
    const struct reason r = { step, *why };
    if (l == k->probe)
        probe_failed(k, &r);
    else
        main_failed(k, &r, refused);
}

static void main_lost(struct cmg_keeper *k, const struct cmg_err *why)
{
    struct link *l = k->main;
    struct cmg_attempt at = l->attempt;
    enum cmg_road before = k->plan.road;
    bool refused = why->code == CMG_EDENIED;
    note_error(k, at, &(struct reason){ "open", *why }, refused);
    k->reconnects[CMG_CAUSE_LOST]++;
    drop_probe(k);

    if (refused)
        cmg_plan_failed(&k->plan, now(k), true, cmg_loop_dice(k->loop));
    else
        cmg_plan_lost(&k->plan, now(k), cmg_loop_dice(k->loop));
    log_warn("channel.lost", WHO(k), KV("road", cmg_road_names[at.road]),
             KV("connection", cmg_channel_info(l->channel)->connection_id), KV("why", why->text),
             KV("up_ms", now(k) - l->opened_ms), KV("retry_ms", retry_ms(k)));
    say_fallback(k, before);
    l->channel = NULL;
    drop_main(k);
    enter(k, WAITING);
}

/* Channels ----------------------------------------------------------------------------- */

static void say_open(struct cmg_keeper *k, const struct link *l)
{
    const struct cmg_channel_info *i = cmg_channel_info(l->channel);
    log_notice("channel.open", WHO(k), KV("road", cmg_road_names[l->attempt.road]),
               KV("peer", i->peer), KV("connection", i->connection_id),
               KV("gateway", i->foreign ? "haproxy" : i->gateway),
               KV("version", i->gateway_version), KV("failures", k->failures));
    say_instances(k, i);
}

/* The better road is open beside the live channel, which now finishes what it has. */
static void move_up(struct cmg_keeper *k)
{
    cmg_plan_moved_up(&k->plan, now(k));
    log_notice("channel.moved_up", WHO(k), KV("from", cmg_road_names[k->main->attempt.road]),
               KV("to", cmg_road_names[k->probe->attempt.road]),
               KV("connection", cmg_channel_info(k->probe->channel)->connection_id));
    let_main_go(k, "moved up", k->conf.drain_ms);
    k->reconnects[CMG_CAUSE_MOVED_UP]++;
    k->main = k->probe;
    k->probe = NULL;
    arm(k);
    changed(k);
}

static void on_channel_open(void *arg)
{
    struct link *l = arg;
    struct cmg_keeper *k = l->k;
    l->opened_ms = now(k);
    k->opened++;
    k->tried = true;
    say_open(k, l);

    k->failures = 0;
    memset(k->said, 0, sizeof(k->said));
    memset(k->failed, 0, sizeof(k->failed));
    if (l->attempt.road == CMG_ROAD_TCP_TLS) {
        k->said_fallback = false;
        k->said_of_probe = (struct reason){ 0 };
    }
    if (l == k->probe) {
        move_up(k);
        return;
    }
    cmg_plan_opened(&k->plan, now(k), cmg_loop_dice(k->loop));
    enter(k, OPEN);
}

static void on_channel_exchange(void *arg, struct cmg_channel *c, struct cmg_exchange *x,
                                const struct cmg_head *head)
{
    const struct link *l = arg;
    l->k->ev->on_exchange(l->k->arg, c, x, head);
}

/* The gateway takes its leave in an orderly way. It may be there again already, in a new
 * process, so there is no reason to wait for the last request on this channel. */
static void on_channel_draining(void *arg)
{
    struct link *l = arg;
    struct cmg_keeper *k = l->k;
    if (l != k->main || k->state != OPEN)
        return;
    enum cmg_road before = k->plan.road;
    drop_probe(k);
    let_main_go(k, "gateway drains", k->conf.drain_ms);
    k->reconnects[CMG_CAUSE_GATEWAY_DRAINS]++;
    cmg_plan_lost(&k->plan, now(k), cmg_loop_dice(k->loop));
    say_fallback(k, before);
    enter(k, WAITING);
}

static void on_channel_closed(void *arg, const struct cmg_err *why)
{
    struct link *l = arg;
    struct cmg_keeper *k = l->k;
    if (l != k->main && l != k->probe) {
        old_closed(k, l, why);
    } else if (l == k->main && k->state == OPEN) {
        main_lost(k, why);
    } else {
        l->channel = NULL;
        link_failed(l, "greeting", why, why->code == CMG_EDENIED);
    }
}

static void greet(struct link *l, struct cmg_stream *taken, const char *alpn)
{
    static const struct cmg_channel_events events = {
        .on_open = on_channel_open,
        .on_exchange = on_channel_exchange,
        .on_draining = on_channel_draining,
        .on_closed = on_channel_closed,
    };
    struct cmg_keeper *k = l->k;
    l->channel = cmg_channel_new(k->loop, taken, alpn, &k->conf.channel, k->set, &events, l);
    if (l == k->main)
        enter(k, GREETING);
}

/* Attempts ----------------------------------------------------------------------------- */

/* On the HTTPS road the answer to the upgrade has said so. On TCP-TLS only ALPN can. */
static bool speaks_channel(const struct link *l, const char *alpn, struct cmg_err *why)
{
    if (l->attempt.road == CMG_ROAD_HTTPS || strcmp(alpn, CMG_WIRE_ALPN_RH2) == 0 ||
        strcmp(alpn, CMG_WIRE_ALPN_H2) == 0)
        return true;
    (void)cmg_fail(why, CMG_EPROTO,
                   "port %u agreed on no protocol of a channel (ALPN \"%s\"): is a gateway there?",
                   l->attempt.port, alpn);
    return false;
}

static void on_dial_done(void *arg, const struct cmg_dial_result *r)
{
    struct link *l = arg;
    l->dial = NULL;
    if (!r->stream) {
        link_failed(l, cmg_dial_step_names[r->step], &r->err, r->refused);
        return;
    }
    struct cmg_err why;
    if (!speaks_channel(l, r->alpn, &why)) {
        cmg_stream_close(r->stream, 0);
        link_failed(l, cmg_dial_step_names[CMG_DIAL_TLS], &why, false);
        return;
    }
    greet(l, r->stream, r->alpn);
}

/* "/.well-known/ptth/NAME/": what is not unreserved (RFC 3986) becomes %XX. */
static char *upgrade_path(const char *name)
{
    static const char hex[] = "0123456789ABCDEF", plain[] = "-._~";
    size_t n = strlen(CMG_WIRE_UPGRADE_PATH);
    char *path = cmg_alloc(n + 3 * strlen(name) + 2), *to = path + n;
    memcpy(path, CMG_WIRE_UPGRADE_PATH, n);
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        bool alnum = (c >= '0' && c <= '9') || (cmg_lower(*name) >= 'a' && cmg_lower(*name) <= 'z');
        if (alnum || strchr(plain, c)) {
            *to++ = *name;
            continue;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    *to = '/';
    return path;
}

static char *upgrade_fields(const char *more)
{
    if (!more)
        more = "";
    size_t n = strlen(CMG_WIRE_UPGRADE_FIELDS) + strlen(more) + 1;
    char *fields = cmg_alloc(n);
    snprintf(fields, n, "%s%s", CMG_WIRE_UPGRADE_FIELDS, more);
    return fields;
}

static void dial(struct link *l)
{
    const struct cmg_keeper *k = l->k;
    const struct cmg_keeper_conf *c = &k->conf;
    bool https = l->attempt.road == CMG_ROAD_HTTPS;
    char key[128];
    snprintf(key, sizeof(key), "%s instance %u", c->label, c->plan.instance + 1);
    char *path = upgrade_path(c->channel.name);
    char *fields = upgrade_fields(c->upgrade_fields);
    if (!k->tls[l->attempt.road])
        abort(); /* the line would be plain */

    const struct cmg_dial_target target = {
        .key = key,
        .host = c->address ? c->address : c->service,
        .port = l->attempt.port,
        .proxy = https ? c->proxy : NULL, /* TCP-TLS cannot pass an internet proxy */
        .timeout_ms = c->connect_ms,
        .tls = k->tls[l->attempt.road],
        .tls_name = c->service,
        .upgrade = https ? CMG_WIRE_UPGRADE : NULL,
        .upgrade_path = https ? path : NULL,
        .upgrade_fields = https ? fields : NULL,
    };
    l->dial = cmg_dial_start(k->dialer, &target, on_dial_done, l);
    free(path);
    free(fields);
}

static struct link *link_new(struct cmg_keeper *k, struct cmg_attempt attempt)
{
    struct link *l = cmg_alloc(sizeof(*l));
    l->k = k;
    l->attempt = attempt;
    l->opened_ms = -1;
    dial(l);
    return l;
}

static void try_main(struct cmg_keeper *k)
{
    struct cmg_attempt attempt;
    if (cmg_plan_next(&k->plan, now(k), &attempt) > 0) {
        arm(k);
        return;
    }
    k->main = link_new(k, attempt);
    enter(k, DIALING);
}

static void try_probe(struct cmg_keeper *k)
{
    struct cmg_attempt attempt;
    if (cmg_plan_probe(&k->plan, now(k), &attempt) != 0) {
        arm(k);
        return;
    }
    k->probe = link_new(k, attempt);
}

static void cut_old(struct cmg_keeper *k)
{
    for (struct link *l = k->old; l; l = l->next)
        cmg_channel_close(l->channel);
}

static void on_timer(void *arg)
{
    struct cmg_keeper *k = arg;
    if (k->state == WAITING)
        try_main(k);
    else if (k->state == OPEN)
        try_probe(k);
    else if (k->state == DRAINING)
        cut_old(k);
}

/* The owner's side --------------------------------------------------------------------- */

static void run_change(void *arg)
{
    struct cmg_keeper *k = arg;
    k->ev->on_change(k->arg, k);
}

static void run_done(void *arg)
{
    struct cmg_keeper *k = arg;
    k->on_done(k->done_arg); /* which may free us */
}

struct cmg_keeper *cmg_keeper_new(struct cmg_loop *l, struct cmg_dialer *dialer,
                                  const struct cmg_keeper_conf *conf, struct cmg_tls *tcp_tls,
                                  struct cmg_tls *https, const struct cmg_endpoint_set *set,
                                  const struct cmg_keeper_events *ev, void *arg)
{
    struct cmg_keeper *k = cmg_alloc(sizeof(*k));
    k->loop = l;
    k->dialer = dialer;
    k->conf = *conf;
    k->tls[CMG_ROAD_TCP_TLS] = cmg_tls_ref(tcp_tls);
    k->tls[CMG_ROAD_HTTPS] = cmg_tls_ref(https);
    k->set = set;
    k->ev = ev;
    k->arg = arg;
    k->change_task = (struct cmg_task){ .run = run_change, .arg = k };
    k->done_task = (struct cmg_task){ .run = run_done, .arg = k };
    k->since_ms = now(k);
    k->error_ms = -1;
    cmg_plan_init(&k->plan, &conf->plan);
    k->timer = cmg_timer_new(l, on_timer, k);
    arm(k);
    return k;
}

void cmg_keeper_reconf(struct cmg_keeper *k, const struct cmg_keeper_conf *conf)
{
    k->conf = *conf;
    cmg_plan_reconf(&k->plan, &conf->plan);
    if (k->probe && k->plan.probe_at_ms < 0)
        drop_probe(k);
    if (k->main && k->main->attempt.road != k->plan.road) { /* not allowed any more */
        k->reconnects[CMG_CAUSE_CONFIGURATION]++;
        if (k->state == OPEN)
            let_main_go(k, "configuration", conf->drain_ms);
        else
            drop_main(k);
        enter(k, WAITING);
    } else if (k->state == OPEN && k->plan.probe_at_ms < 0) {
        cmg_plan_opened(&k->plan, now(k), cmg_loop_dice(k->loop)); /* perhaps a probe now */
    }
    arm(k);
}

void cmg_keeper_retls(struct cmg_keeper *k, struct cmg_tls *tcp_tls, struct cmg_tls *https)
{
    struct cmg_tls *before[CMG_ROADS] = { k->tls[0], k->tls[1] };
    k->tls[CMG_ROAD_TCP_TLS] = cmg_tls_ref(tcp_tls);
    k->tls[CMG_ROAD_HTTPS] = cmg_tls_ref(https);
    cmg_tls_unref(before[0]);
    cmg_tls_unref(before[1]);
}

void cmg_keeper_publish(struct cmg_keeper *k, const struct cmg_endpoint_set *set)
{
    k->set = set;
    if (k->main && k->main->channel)
        cmg_channel_publish(k->main->channel, set);
    if (k->probe && k->probe->channel)
        cmg_channel_publish(k->probe->channel, set);
}

void cmg_keeper_drain(struct cmg_keeper *k, int64_t grace_ms, void (*on_done)(void *arg), void *arg)
{
    if (k->state == DRAINING || k->state == STOPPED)
        return;
    k->on_done = on_done;
    k->done_arg = arg;
    drop_probe(k);
    if (k->main && k->main->channel)
        let_main_go(k, "stopping", grace_ms);
    else
        drop_main(k);
    enter(k, DRAINING);
    cmg_timer_set(k->timer, grace_ms); /* others may have been promised more */
    finish(k);
}

void cmg_keeper_free(struct cmg_keeper *k)
{
    if (!k)
        return;
    cmg_loop_cancel(k->loop, &k->change_task);
    cmg_loop_cancel(k->loop, &k->done_task);
    cmg_timer_free(k->timer);
    drop_main(k);
    drop_probe(k);
    while (k->old) {
        struct link *l = k->old;
        k->old = l->next;
        link_free(l);
    }
    cmg_tls_unref(k->tls[0]);
    cmg_tls_unref(k->tls[1]);
    free(k);
}

static size_t link_buffered(const struct link *l)
{
    return l && l->channel ? cmg_channel_buffered(l->channel) : 0;
}

static size_t buffered(const struct cmg_keeper *k)
{
    size_t n = link_buffered(k->main) + link_buffered(k->probe);
    for (const struct link *l = k->old; l; l = l->next)
        n += link_buffered(l);
    return n;
}

void cmg_keeper_status(const struct cmg_keeper *k, struct cmg_keeper_status *out)
{
    struct cmg_attempt at;
    (void)cmg_plan_next(&k->plan, INT64_MAX, &at);
    if (k->main)
        at = k->main->attempt;
    bool open = k->state == OPEN;
    *out = (struct cmg_keeper_status){
        .label = k->conf.label,
        .instance = k->plan.conf.instance + 1,
        .instances = k->plan.conf.instances,
        .state = state_names[k->state],
        .since_ms = k->since_ms,
        .open = open,
        .tried = k->tried,
        .road = at.road,
        .port = at.port,
        .next_ms = k->state == WAITING ? k->plan.not_before_ms : -1,
        .failures = k->failures,
        .probing = k->probe,
        .draining = k->nold,
        .opened = k->opened,
        .opened_ms = open ? k->main->opened_ms : -1,
        .channel = open ? cmg_channel_info(k->main->channel) : NULL,
        .error = { k->error_ms, k->error_road, k->error.step, k->error_refused, k->error.why },
        .buffered = buffered(k),
    };
    memcpy(out->reconnects, k->reconnects, sizeof(out->reconnects));
}
