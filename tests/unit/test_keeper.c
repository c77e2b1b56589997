/* SPDX-License-Identifier: MIT */
/* Plays the keeper against a fake loop, dialer and channel: no socket, no sleep. The fakes
 * implement the same headers, so they are linked instead of the real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/channel/keeper.h"
#include "cmg/net/dial.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"
#include "cmg/net/tls.h"

enum { MOST = 64 };

/* The fakes ---------------------------------------------------------------------------- */

struct cmg_timer {
    void (*on_fire)(void *arg);
    void *arg;
    int64_t at_ms; /* -1: not armed */
};

struct cmg_dial {
    char host[64], name[64], key[64], proxy[64], upgrade[16], path[128], fields[128];
    uint16_t port;
    struct cmg_tls *tls;
    void (*on_done)(void *arg, const struct cmg_dial_result *r);
    void *arg;
    bool pending, cancelled;
};

struct cmg_channel {
    const struct cmg_channel_events *ev;
    void *arg;
    struct cmg_channel_info info;
    char alpn[16];
    const struct cmg_endpoint_set *set;
    int64_t drain_ms; /* -1: not draining */
    bool alive, closing, abandoned;
};

struct cmg_tls {
    int refs;
};

struct cmg_stream {
    bool closed;
};

static struct {
    int64_t now_ms;
    uint32_t dice;
    struct cmg_timer *timer;
    struct cmg_task *tasks[8];
    size_t ntasks;
    struct cmg_dial dials[MOST];
    size_t ndials;
    struct cmg_channel channels[MOST];
    size_t nchannels;
    struct cmg_tls tcp_tls, https;
    struct cmg_stream stream;
    unsigned changes, exchanges, done;
    struct cmg_keeper *free_when_done;
    struct {
        char text[512];
        enum cmg_level level;
    } log[512];
    size_t nlog;
} world;

#define LOOP ((struct cmg_loop *)(void *)&world)

int64_t cmg_loop_now_ms(const struct cmg_loop *l)
{
    (void)l;
    return world.now_ms;
}

uint32_t cmg_loop_dice(struct cmg_loop *l)
{
    (void)l;
    return world.dice;
}

void cmg_loop_cancel(struct cmg_loop *l, struct cmg_task *t)
{
    (void)l;
    for (size_t i = 0; i < world.ntasks; i++)
        if (world.tasks[i] == t)
            world.tasks[i] = world.tasks[--world.ntasks];
}

void cmg_loop_defer(struct cmg_loop *l, struct cmg_task *t)
{
    cmg_loop_cancel(l, t);
    world.tasks[world.ntasks++] = t;
}

struct cmg_timer *cmg_timer_new(struct cmg_loop *l, void (*on_fire)(void *), void *arg)
{
    (void)l;
    world.timer = cmg_alloc(sizeof(*world.timer));
    *world.timer = (struct cmg_timer){ on_fire, arg, -1 };
    return world.timer;
}

void cmg_timer_set(struct cmg_timer *t, int64_t after_ms)
{
    t->at_ms = world.now_ms + after_ms;
}

void cmg_timer_stop(struct cmg_timer *t)
{
    t->at_ms = -1;
}

void cmg_timer_free(struct cmg_timer *t)
{
    free(t);
    world.timer = NULL;
}

const char *const cmg_dial_step_names[] = {
    "setup", "resolve", "connect", "proxy", "tls", "upgrade"
};

static void copy(char *out, size_t size, const char *s)
{
    snprintf(out, size, "%s", s ? s : "-");
}

struct cmg_dial *cmg_dial_start(struct cmg_dialer *dialer, const struct cmg_dial_target *t,
                                void (*on_done)(void *arg, const struct cmg_dial_result *r),
                                void *arg)
{
    (void)dialer;
    assert_true(world.ndials < MOST);
    struct cmg_dial *d = &world.dials[world.ndials++];
    copy(d->host, sizeof(d->host), t->host);
    copy(d->name, sizeof(d->name), t->tls_name);
    copy(d->key, sizeof(d->key), t->key);
    copy(d->proxy, sizeof(d->proxy), t->proxy ? t->proxy->url : NULL);
    copy(d->upgrade, sizeof(d->upgrade), t->upgrade);
    copy(d->path, sizeof(d->path), t->upgrade_path);
    copy(d->fields, sizeof(d->fields), t->upgrade_fields);
    d->port = t->port;
    d->tls = t->tls;
    d->on_done = on_done;
    d->arg = arg;
    d->pending = true;
    return d;
}

void cmg_dial_cancel(struct cmg_dial *d)
{
    if (!d)
        return;
    assert_true(d->pending); /* a dial that is done must not be cancelled */
    d->pending = false;
    d->cancelled = true;
}

struct cmg_channel *cmg_channel_new(struct cmg_loop *l, struct cmg_stream *taken, const char *alpn,
                                    const struct cmg_channel_conf *conf,
                                    const struct cmg_endpoint_set *set,
                                    const struct cmg_channel_events *ev, void *arg)
{
    (void)l, (void)taken, (void)conf;
    assert_true(world.nchannels < MOST);
    struct cmg_channel *c = &world.channels[world.nchannels++];
    *c = (struct cmg_channel){ .ev = ev, .arg = arg, .set = set, .drain_ms = -1, .alive = true };
    c->info.rtt_us = -1;
    snprintf(c->info.connection_id, sizeof(c->info.connection_id), "id-%zu", world.nchannels - 1);
    copy(c->info.peer, sizeof(c->info.peer), "192.0.2.1:1");
    copy(c->alpn, sizeof(c->alpn), alpn);
    return c;
}

void cmg_channel_publish(struct cmg_channel *c, const struct cmg_endpoint_set *set)
{
    assert_true(c->alive);
    c->set = set;
}

void cmg_channel_drain(struct cmg_channel *c, int64_t grace_ms)
{
    assert_true(c->alive);
    c->drain_ms = grace_ms;
}

void cmg_channel_close(struct cmg_channel *c)
{
    assert_true(c->alive);
    c->closing = true;
}

void cmg_channel_abandon(struct cmg_channel *c)
{
    if (!c)
        return;
    assert_true(c->alive);
    c->alive = false;
    c->abandoned = true;
}

size_t cmg_channel_buffered(const struct cmg_channel *c)
{
    assert_true(c->alive);
    return 1000;
}

const struct cmg_channel_info *cmg_channel_info(const struct cmg_channel *c)
{
    return &c->info;
}

struct cmg_tls *cmg_tls_ref(struct cmg_tls *t)
{
    t->refs++;
    return t;
}

void cmg_tls_unref(struct cmg_tls *t)
{
    t->refs--;
}

void cmg_stream_close(struct cmg_stream *s, unsigned flush_ms)
{
    (void)flush_ms;
    s->closed = true;
}

/* The player --------------------------------------------------------------------------- */

static void log_write(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    assert_true(world.nlog < CMG_COUNT(world.log));
    world.log[world.nlog].level = level;
    cmg_log_text(world.log[world.nlog++].text, sizeof(world.log[0].text), event, kv, n);
}

/* How many lines of that event hold `part`. */
static unsigned said(const char *event, const char *part)
{
    unsigned n = 0;
    size_t size = strlen(event);
    for (size_t i = 0; i < world.nlog; i++) {
        const char *text = world.log[i].text;
        if (strncmp(text, event, size) == 0 && text[size] == ' ' && strstr(text, part))
            n++;
    }
    return n;
}

static unsigned warnings(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < world.nlog; i++)
        n += world.log[i].level <= CMG_WARN;
    return n;
}

static void settle(void)
{
    while (world.ntasks) {
        struct cmg_task *t = world.tasks[0];
        cmg_loop_cancel(LOOP, t);
        t->run(t->arg);
    }
}

/* Runs the loop until `ms`, firing the timer whenever it is due. */
static void run_until(int64_t ms)
{
    settle();
    while (world.timer && world.timer->at_ms >= 0 && world.timer->at_ms <= ms) {
        if (world.timer->at_ms > world.now_ms)
            world.now_ms = world.timer->at_ms;
        world.timer->at_ms = -1;
        world.timer->on_fire(world.timer->arg);
        settle();
    }
    if (ms > world.now_ms)
        world.now_ms = ms;
}

static void run_for(int64_t ms)
{
    run_until(world.now_ms + ms);
}

static struct cmg_dial *last_dial(void)
{
    assert_true(world.ndials > 0);
    return &world.dials[world.ndials - 1];
}

static struct cmg_channel *last_channel(void)
{
    assert_true(world.nchannels > 0);
    return &world.channels[world.nchannels - 1];
}

static void answer(struct cmg_dial *d, const struct cmg_dial_result *r)
{
    assert_true(d->pending);
    d->pending = false;
    d->on_done(d->arg, r);
    settle();
}

static void dial_fails(enum cmg_dial_step step, const char *why)
{
    struct cmg_dial_result r = { .step = step };
    (void)cmg_fail(&r.err, CMG_EIO, "%s", why);
    answer(last_dial(), &r);
}

static void dial_refused(const char *why)
{
    struct cmg_dial_result r = { .step = CMG_DIAL_UPGRADE, .refused = true };
    (void)cmg_fail(&r.err, CMG_EDENIED, "%s", why);
    answer(last_dial(), &r);
}

static void dial_connects_by(const char *alpn)
{
    struct cmg_dial_result r = { .stream = &world.stream };
    copy(r.alpn, sizeof(r.alpn), alpn);
    answer(last_dial(), &r);
}

static void dial_connects(void)
{
    dial_connects_by(last_dial()->tls == &world.https ? "http/1.1" : "rh2");
}

static void opens(struct cmg_channel *c)
{
    assert_true(c->alive);
    c->ev->on_open(c->arg);
    settle();
}

static void closes(struct cmg_channel *c, enum cmg_rc code, const char *text)
{
    struct cmg_err why = { .code = code };
    copy(why.text, sizeof(why.text), text);
    assert_true(c->alive);
    c->ev->on_closed(c->arg, &why);
    c->alive = false;
    settle();
}

static void on_exchange(void *arg, struct cmg_channel *c, struct cmg_exchange *x,
                        const struct cmg_head *head)
{
    (void)c, (void)x, (void)head;
    assert_ptr_equal(&world, arg);
    world.exchanges++;
}

static void on_change(void *arg, struct cmg_keeper *k)
{
    (void)k;
    assert_ptr_equal(&world, arg);
    world.changes++;
}

static void on_done(void *arg)
{
    assert_ptr_equal(&world, arg);
    world.done++;
    cmg_keeper_free(world.free_when_done);
}

static const struct cmg_proxy proxy = { .url = "http://proxy:3128" };
static const struct cmg_endpoint_set set_one, set_two;

static const struct cmg_keeper_conf usual = {
    .label = "blue",
    .plan = { .instances = 1,
              .tcp_tls_port = 10140,
              .https_port_one = 443,
              .https_port_many = 10124,
              .tries = 1,
              .backoff_min_ms = 1000,
              .backoff_max_ms = 60000,
              .probe_ms = 60000 },
    .service = "cmg.example",
    .proxy = &proxy,
    .connect_ms = 15000,
    .drain_ms = 30000,
    .channel = { .name = "cp one/1", .site = "S01" },
};

static struct cmg_keeper *start_with(const struct cmg_keeper_conf *conf)
{
    static const struct cmg_log_sink sink = { log_write, NULL };
    static const struct cmg_keeper_events events = { on_exchange, on_change };
    memset(&world, 0, sizeof(world));
    world.dice = UINT32_MAX;
    cmg_log_to(&sink, CMG_DEBUG);
    return cmg_keeper_new(LOOP, NULL, conf, &world.tcp_tls, &world.https, &set_one, &events,
                          &world);
}

static struct cmg_keeper *start(void)
{
    return start_with(&usual);
}

/* Started, fallen back and open on HTTPS. */
static struct cmg_keeper *start_on_https(void)
{
    struct cmg_keeper *k = start();
    run_for(0);
    dial_fails(CMG_DIAL_CONNECT, "filtered");
    run_for(0);
    dial_connects();
    opens(last_channel());
    return k;
}

static struct cmg_keeper *start_on_tcp_tls(void)
{
    struct cmg_keeper *k = start();
    run_for(0);
    dial_connects();
    opens(last_channel());
    return k;
}

static void end(struct cmg_keeper *k)
{
    cmg_keeper_free(k);
    assert_int_equal(0, world.ntasks);
    assert_int_equal(0, world.tcp_tls.refs);
    assert_int_equal(0, world.https.refs);
    for (size_t i = 0; i < world.ndials; i++)
        assert_false(world.dials[i].pending);
    for (size_t i = 0; i < world.nchannels; i++)
        assert_false(world.channels[i].alive);
}

static struct cmg_keeper_status status(const struct cmg_keeper *k)
{
    struct cmg_keeper_status s;
    cmg_keeper_status(k, &s);
    return s;
}

static void assert_state(const struct cmg_keeper *k, const char *want)
{
    assert_string_equal(want, status(k).state);
}

/* Dialing ------------------------------------------------------------------------------ */

static void dials_from_the_loop_and_never_from_inside_new(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    assert_int_equal(0, world.ndials);
    assert_state(k, "waiting");
    run_for(0);
    assert_int_equal(1, world.ndials);
    assert_state(k, "dialing");
    end(k);
}

static void tcp_tls_goes_straight_and_https_by_proxy_and_upgrade(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    run_for(0);
    const struct cmg_dial *d = last_dial();
    assert_int_equal(10140, d->port);
    assert_string_equal("cmg.example", d->host);
    assert_string_equal("cmg.example", d->name);
    assert_string_equal("blue instance 1", d->key);
    assert_string_equal("-", d->proxy);
    assert_string_equal("-", d->upgrade);
    assert_ptr_equal(&world.tcp_tls, d->tls);
    dial_fails(CMG_DIAL_CONNECT, "filtered");

    run_for(0);
    d = last_dial();
    assert_int_equal(443, d->port);
    assert_string_equal("http://proxy:3128", d->proxy);
    assert_string_equal("ptth", d->upgrade);
    assert_string_equal("/.well-known/ptth/cp%20one%2F1/", d->path);
    assert_string_equal("ALPN: h2\r\n", d->fields);
    assert_ptr_equal(&world.https, d->tls);
    end(k);
}

static void another_address_is_dialed_but_the_service_name_verified(void **state)
{
    (void)state;
    struct cmg_keeper_conf conf = usual;
    conf.address = "192.0.2.7";
    conf.upgrade_fields = "Authorization: Bearer x\r\n";
    conf.plan.transport = CMG_TRANSPORT_HTTPS;
    conf.plan.instance = 2;
    conf.plan.instances = 3;
    struct cmg_keeper *k = start_with(&conf);
    run_for(0);
    assert_string_equal("192.0.2.7", last_dial()->host);
    assert_string_equal("cmg.example", last_dial()->name);
    assert_string_equal("blue instance 3", last_dial()->key);
    assert_string_equal("ALPN: h2\r\nAuthorization: Bearer x\r\n", last_dial()->fields);
    assert_int_equal(10126, last_dial()->port);
    end(k);
}

static void opens_after_dial_and_greeting(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    run_for(0);
    assert_false(status(k).tried);
    run_for(120);
    dial_connects();
    assert_state(k, "greeting");
    assert_string_equal("rh2", last_channel()->alpn);
    assert_false(status(k).open);
    opens(last_channel());
    assert_state(k, "open");

    struct cmg_keeper_status s = status(k);
    assert_true(s.open && s.tried);
    assert_int_equal(CMG_ROAD_TCP_TLS, s.road);
    assert_int_equal(10140, s.port);
    assert_int_equal(120, s.opened_ms);
    assert_int_equal(120, s.since_ms);
    assert_int_equal(-1, s.next_ms);
    assert_int_equal(1, s.opened);
    assert_string_equal("id-0", s.channel->connection_id);
    assert_int_equal(-1, s.error.when_ms);
    assert_int_equal(1, said("channel.open", "cmg=blue instance=1 road=tcp-tls peer=192.0.2.1:1 "
                                             "connection=id-0"));
    assert_int_equal(0, warnings());
    assert_int_equal(0, said("channel.fallback", ""));
    end(k);
}

static void requests_reach_the_owner(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_tcp_tls();
    last_channel()->ev->on_exchange(last_channel()->arg, last_channel(), NULL, NULL);
    assert_int_equal(1, world.exchanges);
    end(k);
}

static void falls_back_at_once_and_says_so_once(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    run_for(0);
    dial_fails(CMG_DIAL_CONNECT, "filtered");
    run_for(0);
    assert_int_equal(2, world.ndials);
    assert_int_equal(443, last_dial()->port);
    assert_int_equal(1, said("channel.failed", "road=tcp-tls port=10140 step=connect why=filtered "
                                               "retry_ms=0"));
    assert_int_equal(1, said("channel.fallback", "from=tcp-tls to=https"));
    assert_false(status(k).tried);
    dial_connects();
    opens(last_channel());
    assert_int_equal(1, said("channel.open", "road=https"));
    assert_int_equal(CMG_ROAD_HTTPS, status(k).road);
    end(k);
}

/* By whatever cause. */
static uint64_t reconnects(const struct cmg_keeper_status *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < CMG_KEEPER_CAUSES; i++)
        n += s->reconnects[i];
    return n;
}

static void both_roads_failing_alternate_and_are_logged_on_change_only(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    static const int64_t waits[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
    char text[64];
    for (size_t i = 0; i < CMG_COUNT(waits); i++) {
        run_for(0);
        assert_int_equal(10140, last_dial()->port);
        dial_fails(CMG_DIAL_CONNECT, "filtered");
        run_for(0);
        assert_int_equal(443, last_dial()->port);
        snprintf(text, sizeof(text), "timed out after %zu ms", 15000 + i);
        dial_fails(CMG_DIAL_PROXY, text);
        assert_state(k, "waiting");
        assert_true(status(k).tried);
        assert_int_equal(world.now_ms + waits[i], status(k).next_ms);
        run_for(waits[i] - 1);
        assert_int_equal(2 * i + 2, world.ndials);
        run_for(1);
        assert_int_equal(2 * i + 3, world.ndials);
    }
    assert_int_equal(2, said("channel.failed", ""));
    assert_int_equal(2, warnings());
    assert_int_equal(14, said("channel.failed_again", ""));
    assert_int_equal(1, said("channel.fallback", ""));

    struct cmg_keeper_status s = status(k);
    assert_int_equal(16, s.failures);
    assert_int_equal(CMG_ROAD_HTTPS, s.error.road);
    assert_string_equal("proxy", s.error.step);
    assert_string_equal("timed out after 15007 ms", s.error.why.text);
    assert_int_equal(8, s.reconnects[CMG_CAUSE_CONNECT]);
    assert_int_equal(8, s.reconnects[CMG_CAUSE_PROXY]);
    assert_int_equal(world.ndials - 1, reconnects(&s));

    dial_fails(CMG_DIAL_RESOLVE, "no such host"); /* another reason: said */
    assert_int_equal(3, warnings());
    end(k);
}

static void a_status_in_the_reason_is_a_change_but_a_duration_is_not(void **state)
{
    (void)state;
    struct cmg_keeper_conf conf = usual;
    conf.plan.transport = CMG_TRANSPORT_HTTPS;
    struct cmg_keeper *k = start_with(&conf);
    static const struct {
        const char *text;
        unsigned warnings;
    } cases[] = {
        { "proxy said 407", 1 },
        { "proxy said 407", 1 },
        { "proxy said 502", 2 },
        { "port 443 after 12 ms", 3 },
        { "port 443 after 3001 ms", 3 },
        { "after 7 milliseconds, 4 bytes", 4 },
        { "after 19 milliseconds, 4 bytes", 4 },
        { "after 19 milliseconds, 5 bytes", 5 },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        run_for(60000);
        dial_fails(CMG_DIAL_PROXY, cases[i].text);
        if (warnings() != cases[i].warnings)
            fail_msg("%s: %u warnings, want %u", cases[i].text, warnings(), cases[i].warnings);
    }
    end(k);
}

static void the_same_reason_is_news_after_a_channel_was_open(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    for (unsigned i = 1; i <= 2; i++) {
        run_for(0);
        dial_fails(CMG_DIAL_CONNECT, "filtered");
        run_for(0);
        dial_fails(CMG_DIAL_CONNECT, "filtered");
        run_for(1000);
        assert_int_equal(2 * i, said("channel.failed", ""));
        assert_int_equal(2, status(k).failures);
        dial_connects();
        opens(last_channel());
        assert_int_equal(0, status(k).failures);
        run_for(10000);
        closes(last_channel(), CMG_EIO, "reset");
    }
    end(k);
}

static void a_refusal_waits_the_longest_step(void **state)
{
    (void)state;
    struct cmg_keeper_conf conf = usual;
    conf.plan.transport = CMG_TRANSPORT_HTTPS;
    struct cmg_keeper *k = start_with(&conf);
    run_for(0);
    dial_refused("the gateway said 403");
    assert_int_equal(60000, status(k).next_ms);
    assert_true(status(k).error.refused);
    assert_int_equal(1, said("channel.failed", "step=upgrade"));
    run_until(59999);
    assert_int_equal(1, world.ndials);
    run_until(60000);
    assert_int_equal(2, world.ndials);
    end(k);
}

static void a_channel_refused_in_its_greeting_waits_the_longest_step(void **state)
{
    (void)state;
    struct cmg_keeper_conf conf = usual;
    conf.plan.transport = CMG_TRANSPORT_TCP_TLS;
    struct cmg_keeper *k = start_with(&conf);
    run_for(0);
    dial_connects();
    closes(last_channel(), CMG_EDENIED, "not admitted: CN=cp1 is unknown here");
    assert_state(k, "waiting");
    assert_int_equal(60000, status(k).next_ms);
    assert_int_equal(1, said("channel.failed", "step=greeting"));
    end(k);
}

static void a_channel_that_dies_in_its_greeting_is_a_failed_attempt(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    run_for(0);
    dial_connects();
    closes(last_channel(), CMG_EIO, "reset");
    assert_int_equal(1, status(k).reconnects[CMG_CAUSE_GREETING]);
    run_for(0);
    assert_int_equal(443, last_dial()->port);
    end(k);
}

static void a_port_that_speaks_something_else_is_a_failed_attempt(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    run_for(0);
    dial_connects_by("");
    assert_true(world.stream.closed);
    assert_int_equal(0, world.nchannels);
    assert_int_equal(1, said("channel.failed", "step=tls"));
    run_for(0);
    assert_int_equal(443, last_dial()->port);
    end(k);
}

static void a_haproxy_gateway_is_taken_by_its_alpn(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    run_for(0);
    dial_connects_by("h2");
    assert_string_equal("h2", last_channel()->alpn);
    last_channel()->info.foreign = true;
    opens(last_channel());
    assert_int_equal(1, said("channel.open", "gateway=haproxy"));
    assert_int_equal(0, warnings());
    end(k);
}

/* Losing ------------------------------------------------------------------------------- */

static void a_lost_channel_is_dialed_again_at_once(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_tcp_tls();
    run_for(10000);
    closes(last_channel(), CMG_EIO, "no answer to PING");
    assert_state(k, "waiting");
    run_for(0);
    assert_int_equal(2, world.ndials);
    assert_int_equal(10140, last_dial()->port);
    assert_int_equal(1, said("channel.lost", "road=tcp-tls connection=id-0 why=\"no answer to "
                                             "PING\" up_ms=10000 retry_ms=0"));
    assert_string_equal("open", status(k).error.step);
    assert_int_equal(10000, status(k).error.when_ms);
    assert_int_equal(1, status(k).reconnects[CMG_CAUSE_LOST]);
    end(k);
}

static void a_lost_https_channel_comes_back_on_https(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    run_for(10000);
    closes(last_channel(), CMG_EIO, "reset");
    run_for(0);
    assert_int_equal(443, last_dial()->port);
    assert_int_equal(1, said("channel.fallback", ""));
    end(k);
}

static void an_open_channel_that_is_refused_waits_the_longest_step(void **state)
{
    (void)state;
    struct cmg_keeper_conf conf = usual;
    conf.plan.transport = CMG_TRANSPORT_TCP_TLS;
    struct cmg_keeper *k = start_with(&conf);
    run_for(0);
    dial_connects();
    opens(last_channel());
    run_for(100000);
    closes(last_channel(), CMG_EDENIED, "not admitted: struck off");
    assert_int_equal(world.now_ms + 60000, status(k).next_ms);
    end(k);
}

static void a_gateway_that_greets_and_closes_is_dialed_ever_more_rarely(void **state)
{
    (void)state;
    struct cmg_keeper_conf conf = usual;
    conf.plan.transport = CMG_TRANSPORT_TCP_TLS;
    struct cmg_keeper *k = start_with(&conf);
    for (unsigned i = 0; i < 10; i++) {
        run_for(60000);
        assert_int_equal(i + 1, world.ndials);
        dial_connects();
        opens(last_channel());
        closes(last_channel(), CMG_EIO, "closed");
    }
    assert_int_equal(world.now_ms + 60000, status(k).next_ms);
    end(k);
}

static void a_gateway_that_drains_is_dialed_while_its_channel_finishes(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_tcp_tls();
    struct cmg_channel *old = last_channel();
    run_for(10000);
    old->ev->on_draining(old->arg);
    assert_int_equal(usual.drain_ms, old->drain_ms);
    assert_int_equal(1, said("channel.draining", "connection=id-0 why=\"gateway drains\""));
    run_for(0);
    assert_int_equal(2, world.ndials);
    dial_connects();
    opens(last_channel());
    assert_true(old->alive);
    assert_int_equal(1, status(k).draining);
    old->ev->on_exchange(old->arg, old, NULL, NULL); /* one that was on its way */
    assert_int_equal(1, world.exchanges);
    old->ev->on_draining(old->arg); /* said twice: nothing new */
    assert_int_equal(1, status(k).reconnects[CMG_CAUSE_GATEWAY_DRAINS]);
    assert_int_equal(2000, status(k).buffered);
    closes(old, CMG_OK, "closed");
    assert_int_equal(1, said("channel.closed", "connection=id-0"));
    assert_int_equal(0, status(k).draining);
    assert_state(k, "open");
    assert_int_equal(0, warnings());
    end(k);
}

static void a_gateway_that_drains_ends_the_probe(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    run_for(60000);
    struct cmg_dial *probe = last_dial();
    last_channel()->ev->on_draining(last_channel()->arg);
    assert_true(probe->cancelled);
    assert_false(status(k).probing);
    run_for(0);
    assert_int_equal(443, last_dial()->port);
    end(k);
}

static void channels_that_never_finish_do_not_pile_up(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_tcp_tls();
    for (int i = 0; i < 9; i++) {
        run_for(10000);
        last_channel()->ev->on_draining(last_channel()->arg);
        run_for(0);
        dial_connects();
        opens(last_channel());
    }
    assert_int_equal(9, status(k).draining);
    assert_true(world.channels[0].closing);
    assert_false(world.channels[1].closing);
    end(k);
}

/* Probing ------------------------------------------------------------------------------ */

static void probes_tcp_tls_beside_the_live_channel_and_moves_up(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    struct cmg_channel *old = last_channel();
    run_for(59999);
    assert_int_equal(2, world.ndials);
    run_for(1);
    assert_int_equal(3, world.ndials);
    assert_int_equal(10140, last_dial()->port);
    assert_state(k, "open");
    assert_true(status(k).probing);

    dial_connects();
    assert_int_equal(-1, old->drain_ms); /* not before the better one has greeted */
    assert_string_equal("id-0", status(k).channel->connection_id);
    opens(last_channel());
    assert_int_equal(usual.drain_ms, old->drain_ms);
    assert_true(old->alive);
    assert_state(k, "open");
    assert_string_equal("id-1", status(k).channel->connection_id);
    assert_int_equal(CMG_ROAD_TCP_TLS, status(k).road);
    assert_int_equal(1, status(k).draining);
    assert_int_equal(1, said("channel.moved_up", "from=https to=tcp-tls connection=id-1"));
    assert_int_equal(1, status(k).reconnects[CMG_CAUSE_MOVED_UP]);
    assert_int_equal(1, said("channel.draining", "road=https connection=id-0"));

    old->ev->on_exchange(old->arg, old, NULL, NULL);
    last_channel()->ev->on_exchange(last_channel()->arg, last_channel(), NULL, NULL);
    assert_int_equal(2, world.exchanges);
    closes(old, CMG_OK, "closed");
    assert_int_equal(1, said("channel.closed", "road=https connection=id-0"));

    run_for(1000000); /* nothing better to look for */
    assert_int_equal(3, world.ndials);
    assert_int_equal(1, warnings()); /* the first failure */
    end(k);
}

static void a_failed_probe_leaves_the_channel_alone_and_grows_rarer(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    static const int64_t waits[] = { 60000, 60000, 120000, 240000, 480000, 600000, 600000 };
    for (size_t i = 0; i < CMG_COUNT(waits); i++) {
        run_for(waits[i] - 1);
        assert_int_equal(2 + i, world.ndials);
        run_for(1);
        assert_int_equal(3 + i, world.ndials);
        dial_fails(CMG_DIAL_CONNECT, "filtered");
        assert_state(k, "open");
        assert_false(status(k).probing);
    }
    assert_int_equal(1, said("channel.probe_failed", ""));
    assert_int_equal(-1, last_channel()->drain_ms);
    end(k);
}

static void a_probe_that_dies_in_its_greeting_is_a_failed_probe(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    run_for(60000);
    dial_connects();
    closes(last_channel(), CMG_ETIMEOUT, "no greeting");
    assert_state(k, "open");
    assert_string_equal("id-0", status(k).channel->connection_id);
    assert_int_equal(1, said("channel.probe_failed", "step=greeting"));
    end(k);
}

static void losing_the_channel_ends_the_probe(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    run_for(60000);
    struct cmg_dial *probe = last_dial();
    closes(last_channel(), CMG_EIO, "reset");
    assert_true(probe->cancelled);
    run_for(0);
    assert_int_equal(443, last_dial()->port);
    dial_connects();
    opens(last_channel());

    run_for(60000);
    dial_connects();
    closes(&world.channels[1], CMG_EIO, "reset");
    assert_true(last_channel()->abandoned);
    end(k);
}

static void fallback_is_said_again_after_tcp_tls_was_open(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    run_for(60000);
    dial_connects();
    opens(last_channel());
    closes(&world.channels[0], CMG_OK, "closed");
    run_for(10000);
    closes(last_channel(), CMG_EIO, "reset");
    run_for(0);
    dial_fails(CMG_DIAL_CONNECT, "filtered");
    assert_int_equal(2, said("channel.fallback", ""));
    end(k);
}

/* Instances ---------------------------------------------------------------------------- */

static void other_instances_are_said_once_and_not_guessed(void **state)
{
    (void)state;
    struct cmg_keeper_conf conf = usual;
    conf.plan.instances = 2;
    struct cmg_keeper *k = start_with(&conf);
    static const struct {
        unsigned instance, instances, said;
    } cases[] = { { 1, 2, 0 }, { 1, 3, 1 }, { 1, 3, 1 }, { 2, 2, 2 },
                  { 1, 2, 2 }, { 2, 2, 3 }, { 0, 0, 3 } };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        run_for(0);
        dial_connects();
        last_channel()->info.instance = cases[i].instance;
        last_channel()->info.instances = cases[i].instances;
        opens(last_channel());
        assert_int_equal(cases[i].said, said("channel.instances_differ", "instances=2"));
        run_for(10000);
        closes(last_channel(), CMG_EIO, "reset");
    }
    end(k);
}

/* The owner's side --------------------------------------------------------------------- */

static void endpoints_are_published_to_live_and_later_channels(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    assert_ptr_equal(&set_one, last_channel()->set);
    run_for(60000);
    dial_connects();
    cmg_keeper_publish(k, &set_two);
    assert_ptr_equal(&set_two, world.channels[0].set);
    assert_ptr_equal(&set_two, world.channels[1].set);
    closes(&world.channels[0], CMG_EIO, "reset");
    run_for(0);
    dial_connects();
    assert_ptr_equal(&set_two, last_channel()->set);
    end(k);
}

static void new_certificates_serve_the_next_attempt(void **state)
{
    (void)state;
    struct cmg_tls other = { 0 };
    struct cmg_keeper *k = start();
    cmg_keeper_retls(k, &other, &world.https);
    assert_int_equal(0, world.tcp_tls.refs);
    run_for(0);
    assert_ptr_equal(&other, last_dial()->tls);
    end(k);
    assert_int_equal(0, other.refs);
}

static void other_values_leave_the_live_channel_alone(void **state)
{
    (void)state;
    struct cmg_keeper_conf conf = usual;
    struct cmg_keeper *k = start_on_https();
    conf.plan.probe_ms = 0;
    cmg_keeper_reconf(k, &conf);
    run_for(1000000);
    assert_int_equal(2, world.ndials); /* no probe any more */
    conf.plan.probe_ms = 5000;
    cmg_keeper_reconf(k, &conf);
    run_for(5000);
    assert_int_equal(3, world.ndials); /* one again */
    assert_int_equal(-1, world.channels[0].drain_ms);
    assert_state(k, "open");

    conf.plan.probe_ms = 0;
    cmg_keeper_reconf(k, &conf);
    assert_true(last_dial()->cancelled);
    end(k);
}

static void a_road_that_is_no_longer_allowed_is_left(void **state)
{
    (void)state;
    struct cmg_keeper_conf conf = usual;
    conf.plan.transport = CMG_TRANSPORT_TCP_TLS;
    struct cmg_keeper *k = start_on_https();
    cmg_keeper_reconf(k, &conf);
    assert_int_equal(usual.drain_ms, world.channels[0].drain_ms);
    run_for(0);
    assert_int_equal(10140, last_dial()->port);

    conf.plan.transport = CMG_TRANSPORT_HTTPS;
    cmg_keeper_reconf(k, &conf);
    assert_true(last_dial()->cancelled);
    assert_int_equal(2, status(k).reconnects[CMG_CAUSE_CONFIGURATION]);
    run_for(0);
    assert_int_equal(443, last_dial()->port);
    end(k);
}

static void changes_are_told_from_the_loop(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    run_for(0);
    assert_int_equal(1, world.changes); /* dialing */
    dial_connects();
    opens(last_channel());
    assert_int_equal(3, world.changes);
    end(k);
}

/* Stopping ----------------------------------------------------------------------------- */

static void stops(struct cmg_keeper *k)
{
    cmg_keeper_drain(k, 5000, on_done, &world);
    assert_int_equal(0, world.done); /* never from inside */
    settle();
}

static void assert_stopped(struct cmg_keeper *k, size_t dials)
{
    assert_state(k, "stopped");
    assert_int_equal(1, world.done);
    cmg_keeper_drain(k, 0, on_done, &world);
    run_for(1000000);
    assert_int_equal(1, world.done);
    assert_int_equal(dials, world.ndials);
    end(k);
}

static void stopping_while_waiting_ends_at_once(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    stops(k);
    assert_stopped(k, 0);
}

static void stopping_while_dialing_cancels_the_dial(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    run_for(0);
    stops(k);
    assert_true(last_dial()->cancelled);
    assert_stopped(k, 1);
}

static void stopping_while_greeting_drains_first(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    run_for(0);
    dial_connects();
    stops(k);
    assert_state(k, "draining");
    assert_int_equal(5000, last_channel()->drain_ms);
    closes(last_channel(), CMG_OK, "closed");
    assert_stopped(k, 1);
}

static void stopping_while_open_drains_first(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_tcp_tls();
    stops(k);
    assert_state(k, "draining");
    assert_int_equal(0, world.done);
    assert_int_equal(5000, last_channel()->drain_ms);
    cmg_keeper_drain(k, 1, on_done, &world); /* twice does nothing */
    run_for(4000);
    closes(last_channel(), CMG_OK, "closed");
    assert_int_equal(0, warnings());
    assert_stopped(k, 1);
}

static void stopping_ends_a_probe_and_waits_for_every_channel(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    run_for(60000);
    dial_connects();
    opens(last_channel()); /* moved up: the old one drains */
    run_for(1000);
    stops(k);
    closes(&world.channels[1], CMG_OK, "closed");
    assert_int_equal(0, world.done);
    assert_false(world.channels[0].closing);
    run_for(5000); /* it was promised more, but we go now */
    assert_true(world.channels[0].closing);
    closes(&world.channels[0], CMG_OK, "closed");
    assert_stopped(k, 3);
}

static void stopping_while_probing_drops_the_probe(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    run_for(60000);
    stops(k);
    assert_true(last_dial()->cancelled);
    closes(&world.channels[0], CMG_OK, "closed");
    assert_stopped(k, 3);
}

static void the_keeper_may_be_freed_when_it_is_done(void **state)
{
    (void)state;
    struct cmg_keeper *k = start();
    world.free_when_done = k;
    stops(k);
    assert_int_equal(1, world.done);
    world.free_when_done = NULL;
    end(NULL);
}

static void freeing_cuts_whatever_is_left(void **state)
{
    (void)state;
    struct cmg_keeper *k = start_on_https();
    run_for(60000);
    dial_connects();
    opens(last_channel());
    end(k);
    assert_true(world.channels[0].abandoned && world.channels[1].abandoned);
    cmg_keeper_free(NULL);

    k = start();
    cmg_keeper_drain(k, 5000, on_done, &world);
    end(k); /* before the loop could tell */
    assert_int_equal(0, world.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dials_from_the_loop_and_never_from_inside_new),
        cmocka_unit_test(tcp_tls_goes_straight_and_https_by_proxy_and_upgrade),
        cmocka_unit_test(another_address_is_dialed_but_the_service_name_verified),
        cmocka_unit_test(opens_after_dial_and_greeting),
        cmocka_unit_test(requests_reach_the_owner),
        cmocka_unit_test(falls_back_at_once_and_says_so_once),
        cmocka_unit_test(both_roads_failing_alternate_and_are_logged_on_change_only),
        cmocka_unit_test(a_status_in_the_reason_is_a_change_but_a_duration_is_not),
        cmocka_unit_test(the_same_reason_is_news_after_a_channel_was_open),
        cmocka_unit_test(a_refusal_waits_the_longest_step),
        cmocka_unit_test(a_channel_refused_in_its_greeting_waits_the_longest_step),
        cmocka_unit_test(a_channel_that_dies_in_its_greeting_is_a_failed_attempt),
        cmocka_unit_test(a_port_that_speaks_something_else_is_a_failed_attempt),
        cmocka_unit_test(a_haproxy_gateway_is_taken_by_its_alpn),
        cmocka_unit_test(a_lost_channel_is_dialed_again_at_once),
        cmocka_unit_test(a_lost_https_channel_comes_back_on_https),
        cmocka_unit_test(an_open_channel_that_is_refused_waits_the_longest_step),
        cmocka_unit_test(a_gateway_that_greets_and_closes_is_dialed_ever_more_rarely),
        cmocka_unit_test(a_gateway_that_drains_is_dialed_while_its_channel_finishes),
        cmocka_unit_test(a_gateway_that_drains_ends_the_probe),
        cmocka_unit_test(channels_that_never_finish_do_not_pile_up),
        cmocka_unit_test(probes_tcp_tls_beside_the_live_channel_and_moves_up),
        cmocka_unit_test(a_failed_probe_leaves_the_channel_alone_and_grows_rarer),
        cmocka_unit_test(a_probe_that_dies_in_its_greeting_is_a_failed_probe),
        cmocka_unit_test(losing_the_channel_ends_the_probe),
        cmocka_unit_test(fallback_is_said_again_after_tcp_tls_was_open),
        cmocka_unit_test(other_instances_are_said_once_and_not_guessed),
        cmocka_unit_test(endpoints_are_published_to_live_and_later_channels),
        cmocka_unit_test(new_certificates_serve_the_next_attempt),
        cmocka_unit_test(other_values_leave_the_live_channel_alone),
        cmocka_unit_test(a_road_that_is_no_longer_allowed_is_left),
        cmocka_unit_test(changes_are_told_from_the_loop),
        cmocka_unit_test(stopping_while_waiting_ends_at_once),
        cmocka_unit_test(stopping_while_dialing_cancels_the_dial),
        cmocka_unit_test(stopping_while_greeting_drains_first),
        cmocka_unit_test(stopping_while_open_drains_first),
        cmocka_unit_test(stopping_ends_a_probe_and_waits_for_every_channel),
        cmocka_unit_test(stopping_while_probing_drops_the_probe),
        cmocka_unit_test(the_keeper_may_be_freed_when_it_is_done),
        cmocka_unit_test(freeing_cuts_whatever_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
