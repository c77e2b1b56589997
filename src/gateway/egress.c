/* SPDX-License-Identifier: MIT */
#include "gateway/egress.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/daemon/state.h"
#include "cmg/net/loop.h"
#include "gateway/egress_plan.h"

enum {
    COUNT_MS = 2000,  /* so much later clients are stopped */
    WRITE_MS = 30000, /* so much is lost when the process is killed */
    FILE_MAX = 4096
};

struct egress {
    struct cmg_loop *loop; /* borrowed */
    struct egress_plan plan;
    struct egress_limits limits;
    uint64_t (*sent)(void *arg);
    void *arg;
    uint64_t seen;           /* of `sent`, when it was asked last */
    char *path;              /* owned; NULL: nothing is kept on the disk */
    struct cmg_timer *timer; /* owned */
    uint64_t written_sum;
    int64_t written_ms;
    bool failed; /* writing: that was logged */
};

/* On the disk ----------------------------------------------------------------------------- */

static void say_failed(struct egress *e, const char *why)
{
    if (!e->failed)
        log_warn("egress.state_failed", KV("file", e->path), KV("why", why));
    e->failed = true;
}

static void write_state(struct egress *e)
{
    struct cmg_err err;
    if (!e->path)
        return;
    json_t *o = egress_plan_save(&e->plan);
    char *text = json_dumps(o, JSON_COMPACT);
    if (!text)
        abort();
    if (cmg_state_replace(e->path, cmg_str(text), &err) != CMG_OK)
        say_failed(e, err.text);
    else
        e->failed = false;
    free(text);
    json_decref(o);
    e->written_ms = cmg_loop_now_ms(e->loop);
    e->written_sum = egress_plan_sum(&e->plan);
}

static void read_state(struct egress *e)
{
    struct cmg_err err;
    size_t n;
    if (!e->path)
        return;
    char *text = cmg_state_read(e->path, FILE_MAX, &n, &err);
    if (!text && err.code != CMG_OK)
        say_failed(e, err.text);
    else if (text && !egress_plan_load((struct cmg_str){ text, n }, &e->plan))
        say_failed(e, "it is damaged: the sum of the last two weeks begins anew");
    free(text);
}

/* Counting -------------------------------------------------------------------------------- */

static void tell(const struct egress *e, unsigned news)
{
    uint64_t sum = egress_plan_sum(&e->plan);
    unsigned percent = egress_plan_percent(&e->plan, &e->limits);
    if (news & EGRESS_NEWS_WARNING)
        log_warn("egress.warning", KV("bytes", sum), KV("threshold", e->limits.threshold),
                 KV("percent", percent));
    if (news & EGRESS_NEWS_CRITICAL)
        log_error("egress.critical", KV("bytes", sum), KV("threshold", e->limits.threshold),
                  KV("percent", percent));
    if (news & EGRESS_NEWS_STOPPED)
        log_error("egress.stopped", KV("bytes", sum), KV("threshold", e->limits.threshold),
                  KV("percent", percent));
    if (news & (EGRESS_NEWS_LESS | EGRESS_NEWS_RESUMED))
        log_notice("egress.less", KV("bytes", sum), KV("threshold", e->limits.threshold),
                   KV("percent", percent), KV("level", egress_level_names[e->plan.level]),
                   KV("resumed", (news & EGRESS_NEWS_RESUMED) ? "yes" : "no"));
}

static void count(struct egress *e)
{
    uint64_t sent = e->sent(e->arg);
    egress_plan_add(&e->plan, cmg_clock_unix(), sent - e->seen);
    e->seen = sent;
    unsigned news = egress_plan_judge(&e->plan, &e->limits);
    tell(e, news);
    bool due = cmg_loop_now_ms(e->loop) - e->written_ms >= WRITE_MS;
    if (news || (due && egress_plan_sum(&e->plan) != e->written_sum))
        write_state(e);
}

static void on_time(void *arg)
{
    struct egress *e = arg;
    count(e);
    cmg_timer_set(e->timer, COUNT_MS);
}

static void set_limits(struct egress *e, const struct gateway_conf *conf)
{
    e->limits = (struct egress_limits){ .threshold = (uint64_t)conf->egress.threshold,
                                        .warn = (unsigned)conf->egress.warn,
                                        .critical = (unsigned)conf->egress.critical,
                                        .stop = conf->egress.stop };
}

struct egress *egress_new(struct cmg_loop *l, const struct gateway_conf *conf,
                          uint64_t (*sent)(void *arg), void *arg)
{
    struct egress *e = cmg_alloc(sizeof(*e));
    e->loop = l;
    e->sent = sent;
    e->arg = arg;
    e->path = cmg_state_path(conf->traffic.state, "egress.json");
    e->written_ms = cmg_loop_now_ms(l);
    set_limits(e, conf);
    read_state(e);
    e->timer = cmg_timer_new(l, on_time, e);
    on_time(e);
    return e;
}

void egress_use(struct egress *e, const struct gateway_conf *conf)
{
    set_limits(e, conf);
    count(e);
}

void egress_free(struct egress *e)
{
    if (!e)
        return;
    count(e);
    write_state(e);
    cmg_timer_free(e->timer);
    free(e->path);
    free(e);
}

/* Asked ----------------------------------------------------------------------------------- */

unsigned egress_refuses(const struct egress *e)
{
    return e->plan.stopped ? egress_plan_wait_s(cmg_clock_unix()) : 0;
}

static json_int_t shown(uint64_t n)
{
    return n > INT64_MAX ? INT64_MAX : (json_int_t)n;
}

json_t *egress_json(const struct egress *e)
{
    json_t *days = json_array();
    for (size_t i = 0; i < EGRESS_DAYS; i++)
        json_array_append_new(days, json_integer(shown(e->plan.bytes[i])));
    json_t *o =
        json_pack("{s:I,s:o,s:I,s:i,s:s,s:b}", "sent_bytes", shown(egress_plan_sum(&e->plan)),
                  "days", days, "threshold_bytes", shown(e->limits.threshold), "percent",
                  (int)egress_plan_percent(&e->plan, &e->limits), "level",
                  egress_level_names[e->plan.level], "stopped", (int)e->plan.stopped);
    if (!o)
        abort();
    return o;
}
