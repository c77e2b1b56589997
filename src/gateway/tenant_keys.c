/* SPDX-License-Identifier: MIT */
/* RESTING -> DISCOVERING -> LOADING -> RESTING. Any failure leads back to RESTING; the timer runs
 * there and nowhere else. */
#include "gateway/tenant_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/auth/discovery.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/net/loop.h"
#include "gateway/key_plan.h"

enum { DOCUMENT_MAX = 64 * 1024, KEYS_MAX = CMG_JWKS_BYTES_MAX, STATUS_OK = 200 };

enum state { RESTING, DISCOVERING, LOADING, STATES };

struct tenant_keys {
    struct cmg_loop *loop;
    struct cmg_fetcher *fetcher;
    void (*on_end)(void *arg);
    void *arg;

    enum state state; /* written by enter() alone */
    struct cmg_timer *timer;
    struct cmg_fetch *fetch; /* NULL while RESTING */
    struct key_plan plan;
    int64_t refresh_ms;     /* that the timer was set by */
    struct cmg_keyset *set; /* a reference; NULL: none yet */
    int64_t fetched;        /* seconds since 1970 */
    struct cmg_err failure; /* of the last fetch; text empty: it went well */

    const struct gateway_tenant_conf *conf; /* borrowed; NULL: paused */
    const char *url;                        /* borrowed */
    const char *const *issuers;             /* borrowed */
};

static void enter(struct tenant_keys *k, enum state to)
{
    static const bool allowed[STATES][STATES] = {
        [RESTING] = { [DISCOVERING] = true },
        [DISCOVERING] = { [LOADING] = true, [RESTING] = true },
        [LOADING] = { [RESTING] = true },
    };
    if (!allowed[k->state][to])
        abort();
    k->state = to;
    if (to != RESTING)
        cmg_timer_stop(k->timer);
}

/* ---- how a fetch ends ---- */

static int64_t rest(struct tenant_keys *k, bool well)
{
    k->refresh_ms = k->conf->refresh_ms;
    int64_t ms = key_plan_rest(&k->plan, well, k->refresh_ms, cmg_loop_dice(k->loop));
    cmg_timer_set(k->timer, ms);
    return ms;
}

static void failed(struct tenant_keys *k, const struct cmg_err *err)
{
    bool news = strcmp(k->failure.text, err->text) != 0;
    enter(k, RESTING);
    k->failure = *err;
    int64_t retry_ms = rest(k, false);
    if (news)
        log_warn("tenant.keys_failed", KV("tenant", k->conf->label),
                 KV("keys", k->set ? cmg_keyset_count(k->set) : 0), KV("retry_ms", retry_ms),
                 KV("why", err->text));
    k->on_end(k->arg);
}

static bool same(const struct cmg_keyset *a, const struct cmg_keyset *b)
{
    if (!a || cmg_keyset_count(a) != cmg_keyset_count(b))
        return false;
    for (size_t i = 0; i < cmg_keyset_count(a); i++) {
        struct cmg_key_info x, y;
        cmg_keyset_info(a, i, &x);
        cmg_keyset_info(b, i, &y);
        if (strcmp(x.id, y.id) != 0)
            return false;
    }
    return true;
}

static void succeeded(struct tenant_keys *k, struct cmg_keyset *taken)
{
    bool news = k->failure.text[0] || !same(k->set, taken);
    enter(k, RESTING);
    cmg_keyset_unref(k->set);
    k->set = taken;
    k->fetched = cmg_clock_unix();
    k->failure = (struct cmg_err){ 0 };
    (void)rest(k, true);
    if (news)
        log_info("tenant.keys", KV("tenant", k->conf->label), KV("keys", cmg_keyset_count(k->set)));
    k->on_end(k->arg);
}

/* ---- the two steps ---- */

static enum cmg_rc answered(const struct cmg_fetch_result *r, const char *what, struct cmg_err *err)
{
    *err = r->err;
    if (err->code == CMG_OK && r->status != STATUS_OK)
        return cmg_fail(err, CMG_EIO, "the request for %s was answered %u", what, r->status);
    return err->code;
}

static struct cmg_fetch *ask(struct tenant_keys *k, const char *url, size_t max_bytes,
                             void (*on_done)(void *arg, const struct cmg_fetch_result *r))
{
    char what[80];
    snprintf(what, sizeof(what), "keys of tenant %.60s", k->conf->label);
    const struct cmg_fetch_request request = {
        .url = url,
        .what = what,
        .ca_file = k->conf->ca_file,
        .max_bytes = max_bytes,
        .timeout_ms = k->conf->timeout_ms,
    };
    return cmg_fetch_start(k->fetcher, &request, on_done, k);
}

static void on_keys(void *arg, const struct cmg_fetch_result *r)
{
    struct tenant_keys *k = arg;
    struct cmg_err err;
    k->fetch = NULL;
    enum cmg_rc rc = answered(r, "the keys (jwks_uri)", &err);
    struct cmg_keyset *set = cmg_keyset_new();
    if (rc == CMG_OK)
        rc = cmg_keyset_add_jwks(set, r->body, NULL, &err);
    if (rc == CMG_OK) {
        succeeded(k, set);
        return;
    }
    cmg_keyset_unref(set);
    failed(k, &err);
}

static void on_document(void *arg, const struct cmg_fetch_result *r)
{
    struct tenant_keys *k = arg;
    struct cmg_err err;
    char jwks[CMG_DISCOVERY_URL];
    k->fetch = NULL;
    enum cmg_rc rc = answered(r, "the OpenID configuration", &err);
    if (rc == CMG_OK)
        rc = cmg_discovery_read(r->body, k->url, k->issuers, jwks, &err);
    if (rc != CMG_OK) {
        failed(k, &err);
        return;
    }
    enter(k, LOADING);
    k->fetch = ask(k, jwks, KEYS_MAX, on_keys);
}

static void begin(struct tenant_keys *k)
{
    enter(k, DISCOVERING);
    k->fetch = ask(k, k->url, DOCUMENT_MAX, on_document);
}

static void on_timer(void *arg)
{
    begin(arg);
}

/* ---- the public part ---- */

struct tenant_keys *tenant_keys_new(struct cmg_loop *l, struct cmg_fetcher *f,
                                    void (*on_end)(void *arg), void *arg)
{
    struct tenant_keys *k = cmg_alloc(sizeof(*k));
    k->loop = l;
    k->fetcher = f;
    k->on_end = on_end;
    k->arg = arg;
    k->timer = cmg_timer_new(l, on_timer, k);
    return k;
}

void tenant_keys_free(struct tenant_keys *k)
{
    if (!k)
        return;
    cmg_fetch_cancel(k->fetch);
    cmg_timer_free(k->timer);
    cmg_keyset_unref(k->set);
    free(k);
}

void tenant_keys_use(struct tenant_keys *k, const struct gateway_tenant_conf *conf, const char *url,
                     const char *const *issuers)
{
    k->conf = conf;
    k->url = url;
    k->issuers = issuers;
    if (k->state != RESTING)
        return;
    if (!k->set || k->failure.text[0] || !cmg_timer_armed(k->timer))
        begin(k);
    else if (k->refresh_ms != conf->refresh_ms)
        (void)rest(k, true);
}

void tenant_keys_pause(struct tenant_keys *k)
{
    cmg_fetch_cancel(k->fetch);
    k->fetch = NULL;
    if (k->state != RESTING)
        enter(k, RESTING);
    cmg_timer_stop(k->timer);
    k->conf = NULL;
}

const struct cmg_keyset *tenant_keys_set(const struct tenant_keys *k)
{
    return k->set;
}

bool tenant_keys_demand(struct tenant_keys *k, const char *why)
{
    if (k->state != RESTING)
        return true;
    if (!k->conf || !key_plan_demand(&k->plan, cmg_loop_now_ms(k->loop)))
        return false;
    if (k->set)
        log_info("tenant.unknown_key", KV("tenant", k->conf->label), KV("why", why));
    begin(k);
    return true;
}

int64_t tenant_keys_fetched(const struct tenant_keys *k)
{
    return k->fetched;
}

const char *tenant_keys_failure(const struct tenant_keys *k)
{
    return k->failure.text;
}
