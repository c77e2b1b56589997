/* SPDX-License-Identifier: MIT */
/* One attempt, from queue to open stream.
 *
 *   CONNECTING ---> SHAKING ---> ASKING ---> REPORTING
 *       |  |           |            |            ^
 *       |  +-----------+------------+------------+
 *       +--> ABANDONED   (reported or cancelled, but a thread still works on it)
 *
 *   CONNECTING  queued for a thread, or on it: libcurl's part
 *   SHAKING     our TLS handshake
 *   ASKING      HTTP/1.1 Upgrade
 *   REPORTING   on_done is due at the end of the turn
 *
 * One clock for all, from the start: whoever waits for us does not care which step is slow.
 */
#include "cmg/net/dial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"
#include "cmg/net/tls.h"
#include "connect.h"
#include "workers.h"
#include "upgrade.h"

enum {
    IDLE_MS = 10 * 1000, /* of a thread, then it ends                                  */
    GRACE_MS = 1000      /* libcurl tells a timeout better than we do: let it go first */
};

const char *const cmg_dial_step_names[] = {
    [CMG_DIAL_SETUP] = "setup", [CMG_DIAL_RESOLVE] = "resolve", [CMG_DIAL_CONNECT] = "connect",
    [CMG_DIAL_PROXY] = "proxy", [CMG_DIAL_TLS] = "tls",         [CMG_DIAL_UPGRADE] = "upgrade",
};

TAILQ_HEAD(dials, cmg_dial);

struct cmg_dialer {
    struct cmg_loop *loop;    /* borrowed */
    struct cmg_workers *pool; /* owned    */
    struct dials pooled;      /* attempts that the pool holds */
};

enum state { CONNECTING, SHAKING, ASKING, REPORTING, ABANDONED };
enum { STATES = ABANDONED + 1 };

#define TO(s) (1u << (s))
/* clang-format off */
static const unsigned allowed[STATES] = {
    [CONNECTING] = TO(SHAKING) | TO(ASKING) | TO(REPORTING) | TO(ABANDONED),
    [SHAKING]    = TO(ASKING) | TO(REPORTING),
    [ASKING]     = TO(REPORTING),
    [REPORTING]  = TO(REPORTING) | TO(ABANDONED), /* again: the stream broke meanwhile */
    [ABANDONED]  = 0,
};
/* clang-format on */

struct cmg_dial {
    struct cmg_dialer *dialer;  /* borrowed; NULL when the pool does not hold `job` or is gone */
    TAILQ_ENTRY(cmg_dial) next; /* while it is not NULL */
    struct cmg_loop *loop;      /* borrowed */
    enum state state;
    void (*on_done)(void *arg, const struct cmg_dial_result *r); /* NULL: cancelled */
    void *arg;

    struct cmg_job job;
    bool pooled; /* the pool holds `job`: until on_connected, or taken back */
    struct cmg_connect road;
    char *key, *tls_name;        /* owned */
    struct cmg_tls *tls;         /* owned reference */
    struct cmg_upgrade *upgrade; /* owned; NULL: none is asked for */

    struct cmg_timer *timer;
    struct cmg_stream *stream; /* owned until reported */
    struct cmg_task report;
    struct cmg_dial_result result;
};

static void enter(struct cmg_dial *d, enum state to)
{
    if (!(allowed[d->state] & TO(to)))
        abort();
    d->state = to;
}

static void left_pool(struct cmg_dial *d)
{
    if (d->dialer)
        TAILQ_REMOVE(&d->dialer->pooled, d, next);
    d->dialer = NULL;
    d->pooled = false;
}

static bool take_back(struct cmg_dial *d)
{
    if (!d->dialer || !cmg_workers_take_back(d->dialer->pool, &d->job))
        return false;
    left_pool(d);
    return true;
}

static void destroy(struct cmg_dial *d)
{
    cmg_loop_cancel(d->loop, &d->report);
    cmg_timer_free(d->timer);
    cmg_connect_clear(&d->road);
    cmg_upgrade_free(d->upgrade);
    cmg_tls_unref(d->tls);
    free(d->key);
    free(d->tls_name);
    free(d);
}

/* ---- the end ---- */

static size_t nobody_reads(void *arg, struct cmg_str in)
{
    (void)arg;
    return in.n;
}

static void nobody_cares(void *arg, enum cmg_close_reason why, const char *detail)
{
    (void)arg, (void)why, (void)detail;
}

static void drop_stream(struct cmg_dial *d)
{
    static const struct cmg_stream_events nobody = {
        .on_data = nobody_reads,
        .on_closed = nobody_cares,
    };
    if (!d->stream)
        return;
    cmg_stream_listen(d->stream, &nobody, NULL);
    cmg_stream_close(d->stream, 0);
    d->stream = NULL;
}

static void on_report(void *arg)
{
    struct cmg_dial *d = arg;
    void (*on_done)(void *, const struct cmg_dial_result *) = d->on_done;

    d->result.stream = d->stream;
    d->stream = NULL;
    d->on_done = NULL;
    cmg_timer_stop(d->timer);
    on_done(d->arg, &d->result);
    if (d->pooled)
        enter(d, ABANDONED);
    else
        destroy(d);
}

/* Deferred, so that nobody is called from inside cmg_dial_start or a callback of the stream. */
static void report(struct cmg_dial *d)
{
    enter(d, REPORTING);
    cmg_timer_stop(d->timer);
    cmg_loop_defer(d->loop, &d->report);
}

/* Before the stream goes, with which its TLS does. */
static void note_seen(struct cmg_dial *d)
{
    if (cmg_stream_ssl(d->stream))
        cmg_tls_seen(cmg_stream_ssl(d->stream), &d->result.seen);
}

static void succeed(struct cmg_dial *d)
{
    if (cmg_stream_ssl(d->stream))
        cmg_tls_alpn(cmg_stream_ssl(d->stream), d->result.alpn, sizeof(d->result.alpn));
    note_seen(d);
    cmg_stream_pause(d->stream, true);
    report(d);
}

/* Where it failed and how hard; the sentence goes to d->result.err. */
static struct cmg_err *fail_at(struct cmg_dial *d, enum cmg_dial_step step, bool refused)
{
    d->result.step = step;
    d->result.refused = refused;
    if (d->stream)
        note_seen(d);
    drop_stream(d);
    report(d);
    return &d->result.err;
}

/* "gw.example:443" or "gw.example:443 through proxy p:3128" */
static void name_peer(const struct cmg_dial *d, char *out, size_t size)
{
    if (cmg_connect_by_proxy(&d->road))
        snprintf(out, size, "%.80s through %.60s", d->road.peer, d->road.proxy);
    else
        snprintf(out, size, "%.120s", d->road.peer);
}

/* ---- Upgrade ---- */

static void ask(struct cmg_dial *d)
{
    struct cmg_err err;
    enter(d, ASKING);
    if (cmg_upgrade_ask(d->upgrade, cmg_stream_out(d->stream), &err) == CMG_OK)
        cmg_stream_mark(d->stream);
    else
        *fail_at(d, CMG_DIAL_SETUP, false) = err;
}

static void refused(struct cmg_dial *d)
{
    unsigned status = cmg_upgrade_status(d->upgrade);
    bool denied = status == 401 || status == 403 || status == 407;
    char peer[160], why[200];

    d->result.cause = status ? CMG_DIAL_STATUS : CMG_DIAL_OTHER;
    d->result.status = status;

    name_peer(d, peer, sizeof(peer));
    cmg_upgrade_why(d->upgrade, why, sizeof(why));
    cmg_fail(fail_at(d, CMG_DIAL_UPGRADE, denied), denied ? CMG_EDENIED : CMG_EPROTO, "%s: %s",
             peer, why);
}

static size_t on_answer(struct cmg_dial *d, struct cmg_str in)
{
    size_t used = 0;
    switch (cmg_upgrade_answer(d->upgrade, in, &used)) {
    case CMG_UPGRADE_MORE:
        break;
    case CMG_UPGRADE_YES:
        succeed(d);
        break;
    case CMG_UPGRADE_NO:
        refused(d);
        break;
    }
    return used;
}

/* ---- what the stream tells ---- */

static void opened(struct cmg_dial *d)
{
    if (d->upgrade)
        ask(d);
    else
        succeed(d);
}

static void on_open(void *arg)
{
    opened(arg);
}

/* Bytes behind the answer are for the next listener. */
static size_t on_data(void *arg, struct cmg_str in)
{
    struct cmg_dial *d = arg;
    return d->state == ASKING ? on_answer(d, in) : 0;
}

/* A peer that ends while its stream is being handed over must not go unnoticed: what it sent
 * before would be read by a listener who never hears of the end. */
static void on_eof(void *arg, bool clean)
{
    struct cmg_dial *d = arg;
    (void)clean;
    if (d->state == ASKING && cmg_upgrade_status(d->upgrade)) {
        refused(d);
        return;
    }
    char peer[160];
    name_peer(d, peer, sizeof(peer));
    bool asked = d->state == ASKING;
    cmg_fail(fail_at(d, asked ? CMG_DIAL_UPGRADE : CMG_DIAL_TLS, false), CMG_EIO,
             asked ? "%s closed the connection instead of answering the upgrade request"
                   : "%s closed the connection as soon as it was up",
             peer);
}

static void on_closed(void *arg, enum cmg_close_reason why, const char *detail)
{
    struct cmg_dial *d = arg;
    bool verdict = cmg_tls_refused(cmg_stream_ssl(d->stream));
    bool asking = d->state == ASKING && !verdict;
    char peer[160];

    (void)why;
    note_seen(d);
    d->result.cause = verdict ? CMG_DIAL_VERDICT : CMG_DIAL_OTHER;
    d->stream = NULL;
    name_peer(d, peer, sizeof(peer));
    cmg_fail(fail_at(d, asking ? CMG_DIAL_UPGRADE : CMG_DIAL_TLS, verdict),
             verdict ? CMG_EDENIED : CMG_EIO, asking ? "%s: upgrade request failed: %s" : "%s: %s",
             peer, detail ? detail : "the peer closed the connection");
}

static const struct cmg_stream_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_closed = on_closed,
};

/* ---- libcurl's part ---- */

static void make_stream(struct cmg_dial *d)
{
    const char *name = d->tls_name ? d->tls_name : d->road.host;
    unsigned ms = d->road.timeout_ms + GRACE_MS; /* ours is the one that counts */

    if (!d->tls)
        d->result.seen = d->road.seen;
    if (d->road.curl)
        d->stream = cmg_stream_new_curl(d->loop, d->road.curl, d->tls, name, ms, &events, d);
    else
        d->stream = cmg_stream_new(d->loop, d->road.fd, d->tls, name, ms, &events, d);
    d->road.curl = NULL;
    d->road.fd = -1;
    if (d->tls)
        enter(d, SHAKING);
    else
        opened(d);
}

static void fail_on_the_way(struct cmg_dial *d)
{
    d->result.cause = d->road.cause;
    d->result.status = d->road.status;
    d->result.tls_of_proxy = d->road.tls_of_proxy;
    d->result.seen = d->road.seen;
    *fail_at(d, d->road.step, d->road.refused) = d->road.err;
}

static void on_connected(struct cmg_job *j)
{
    struct cmg_dial *d = CMG_OUTER(j, struct cmg_dial, job);

    left_pool(d);
    if (d->state == ABANDONED)
        destroy(d);
    else if (d->state == REPORTING)
        return; /* timed out in this very turn */
    else if (!j->ran)
        cmg_fail(fail_at(d, CMG_DIAL_SETUP, false), CMG_EIO, "shutting down");
    else if (d->road.fd >= 0 || d->road.curl)
        make_stream(d);
    else
        fail_on_the_way(d);
}

static void run(struct cmg_job *j)
{
    cmg_connect_run(&CMG_OUTER(j, struct cmg_dial, job)->road);
}

/* ---- time ---- */

static void too_slow(struct cmg_dial *d)
{
    char peer[160] = "", span[24];
    cmg_connect_span(d->road.timeout_ms, span);
    if (d->state != CONNECTING) /* when a thread is at it, what it finds out is not ours yet */
        name_peer(d, peer, sizeof(peer));

    switch (d->state) {
    case CONNECTING:
        d->result.cause = CMG_DIAL_SILENT;
        cmg_fail(fail_at(d, CMG_DIAL_CONNECT, false), CMG_ETIMEOUT, "no connection to %s within %s",
                 d->road.host, span);
        break;
    case SHAKING:
        cmg_fail(fail_at(d, CMG_DIAL_TLS, false), CMG_ETIMEOUT,
                 "%s did not finish the TLS handshake within %s", peer, span);
        break;
    case ASKING:
        if (cmg_upgrade_status(d->upgrade)) { /* only the end of its explanation is missing */
            refused(d);
            break;
        }
        cmg_fail(fail_at(d, CMG_DIAL_UPGRADE, false), CMG_ETIMEOUT,
                 "%s did not answer the upgrade request within %s", peer, span);
        break;
    case REPORTING:
    case ABANDONED:
        break;
    }
}

static void on_timer(void *arg)
{
    struct cmg_dial *d = arg;
    char span[24];

    if (!d->pooled) {
        too_slow(d);
    } else if (take_back(d)) {
        cmg_connect_span(d->road.timeout_ms, span);
        cmg_fail(fail_at(d, CMG_DIAL_SETUP, false), CMG_ETIMEOUT,
                 "%.120s: waited %s for a thread: earlier attempts (%.60s or others) hold them all",
                 d->road.host, span, d->key);
    } else if (cmg_clock_ms() < d->road.deadline_ms + GRACE_MS) {
        cmg_timer_set(d->timer, GRACE_MS);
    } else {
        atomic_store(&d->job.hurry, true);
        too_slow(d);
    }
}

/* ---- start and cancel ---- */

static char *copy_set(const char *s)
{
    return s && *s ? cmg_strdup(s) : NULL;
}

static void copy_proxy(struct cmg_connect *c, const struct cmg_proxy *p)
{
    if (!p || !p->url || !*p->url)
        return;
    c->proxy_url = cmg_strdup(p->url);
    c->proxy_auth = p->auth;
    c->proxy_user = copy_set(p->user);
    c->proxy_password_file = copy_set(p->password_file);
    c->proxy_ca_file = copy_set(p->ca_file);
    c->no_proxy = copy_set(p->no_proxy);
}

static void copy_road(struct cmg_dial *d, const struct cmg_dial_target *t)
{
    struct cmg_connect *c = &d->road;
    c->fd = -1;
    c->host = cmg_strdup(t->host);
    c->port = t->port;
    c->https = t->https;
    c->only_fd = t->tls != NULL;
    c->ca_file = copy_set(t->ca_file);
    c->certificate = copy_set(t->certificate);
    c->key_file = copy_set(t->key_file);
    copy_proxy(c, t->proxy);
    c->timeout_ms = t->timeout_ms;
    c->deadline_ms = cmg_clock_ms() + t->timeout_ms;
    c->hurry = &d->job.hurry;
}

struct cmg_dial *cmg_dial_start(struct cmg_dialer *dialer, const struct cmg_dial_target *t,
                                void (*on_done)(void *arg, const struct cmg_dial_result *r),
                                void *arg)
{
    struct cmg_dial *d = cmg_alloc(sizeof(*d));
    if (t->tls && t->https)
        abort();
    d->dialer = dialer;
    d->loop = dialer->loop;
    d->on_done = on_done;
    d->arg = arg;
    d->key = cmg_strdup(t->key ? t->key : t->host);
    d->tls_name = copy_set(t->tls_name);
    d->tls = cmg_tls_ref(t->tls);
    if (t->upgrade)
        d->upgrade = cmg_upgrade_new(t);
    copy_road(d, t);
    d->report = (struct cmg_task){ .run = on_report, .arg = d };
    d->timer = cmg_timer_new(d->loop, on_timer, d);
    cmg_timer_set(d->timer, t->timeout_ms);

    d->job.key = d->key;
    d->job.run = run;
    d->job.done = on_connected;
    d->pooled = true;
    TAILQ_INSERT_TAIL(&dialer->pooled, d, next);
    cmg_workers_put(dialer->pool, &d->job);
    return d;
}

void cmg_dial_cancel(struct cmg_dial *d)
{
    if (!d || !d->on_done)
        return;
    d->on_done = NULL;
    drop_stream(d);
    if (!d->pooled || take_back(d)) {
        destroy(d);
        return;
    }
    /* A thread has it. What it brings is thrown away in on_connected. */
    atomic_store(&d->job.hurry, true);
    cmg_timer_stop(d->timer);
    cmg_loop_cancel(d->loop, &d->report);
    enter(d, ABANDONED);
}

struct cmg_dialer *cmg_dialer_new(struct cmg_loop *l, unsigned threads, unsigned per_key)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) /* counted, and never undone */
        abort();
    struct cmg_dialer *d = cmg_alloc(sizeof(*d));
    d->loop = l;
    TAILQ_INIT(&d->pooled);
    d->pool = cmg_workers_new(l, threads, per_key, IDLE_MS);
    return d;
}

void cmg_dialer_free(struct cmg_dialer *d)
{
    if (!d)
        return;
    struct cmg_dial *dial;
    cmg_workers_free(d->pool);
    while ((dial = TAILQ_FIRST(&d->pooled))) { /* their on_connected is under way */
        TAILQ_REMOVE(&d->pooled, dial, next);
        dial->dialer = NULL;
    }
    free(d);
}
