/* SPDX-License-Identifier: MIT */
#include "gateway/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/daemon/certificates.h"
#include "cmg/daemon/service.h"
#include "cmg/http/fetch.h"
#include "cmg/net/filewatch.h"
#include "cmg/net/lag.h"
#include "gateway/accounting.h"
#include "gateway/analyze.h"
#include "gateway/content.h"
#include "gateway/credentials.h"
#include "gateway/dock.h"
#include "gateway/front.h"
#include "gateway/memory.h"
#include "gateway/request.h"
#include "gateway/revocation.h"
#include "gateway/site_tokens.h"
#include "gateway/tenants.h"
#include "gateway/throttle.h"

enum { LAST_RESORT_MS = 5000, DRAIN_ANSWERS_MS = 1000 };

/* Connections --------------------------------------------------------------------------- */

static void set_confs(struct gateway *g, const struct gateway_conf *conf)
{
    g->h1_conf = (struct cmg_h1conn_conf){
        .limits = cmg_h1_limits_default,
        .head_ms = conf->clients.head_ms,
        .idle_ms = conf->clients.idle_ms,
        .stall_ms = conf->clients.stall_ms,
    };
    g->h1_conf.limits.head_bytes = (size_t)conf->clients.head_bytes;
    g->h2_conf = (struct cmg_h2conn_conf){
        .role = CMG_H2_SERVER,
        .preface = CMG_H2_PREFACE_CLIENT,
        .max_streams = (unsigned)conf->clients.max_streams,
        .stream_window = (unsigned)conf->clients.stream_window,
        .memory_bytes = (size_t)conf->clients.memory,
        .head_bytes = (size_t)conf->clients.head_bytes,
        .idle_ms = conf->clients.idle_ms,
        .stall_ms = conf->clients.stall_ms,
    };
    g->channel_conf = (struct cmg_h2conn_conf){
        .role = CMG_H2_CLIENT,
        .preface = CMG_H2_PREFACE_CLIENT,
        .channel = true,
        .names = true,
        .max_streams = (unsigned)conf->channel.max_requests,
        .stream_window = (unsigned)conf->channel.stream_window,
        .memory_bytes = (size_t)conf->channel.memory,
        .head_bytes = CMG_LOOP_SCRATCH,
        .ping_ms = conf->channel.keepalive_ms,
        .ping_deadline_ms = conf->channel.deadline_ms,
    };
    g->haproxy_conf = g->channel_conf;
    g->haproxy_conf.preface = CMG_H2_PREFACE_SERVER;
    g->haproxy_conf.names = false; /* no field of ours means anything to it */
}

/* What clients are judged by -------------------------------------------------------------- */

/* Whatever was concluded about a client before is concluded again; whoever waits asks again. */
static void judge_again(struct gateway *g, bool changed)
{
    if (changed)
        g->generation++;
    cmg_loop_defer(g->loop, &g->identify);
}

static void on_keys(void *arg)
{
    judge_again(arg, true);
}

static void on_lists(void *arg, bool changed)
{
    judge_again(arg, changed);
}

static void on_identify(void *arg)
{
    request_identify_all(arg);
}

static void on_next_handshake(void *arg)
{
    front_next_handshakes(arg);
}

static void on_file(void *arg, const char *path)
{
    struct gateway *g = arg;
    bool changed = site_tokens_refresh(g->site_tokens, path);
    changed |= revocation_refresh(g->revocation, path);
    content_refresh(g->content, path);
    if (changed)
        judge_again(g, true);
}

static void watch_all(struct cmg_filewatch *w, char *const *paths)
{
    for (; *paths; paths++)
        cmg_filewatch_add(w, *paths);
}

static void watch_files(struct gateway *g, const struct gateway_conf *conf)
{
    cmg_filewatch_clear(g->watch);
    watch_all(g->watch, conf->revocation.files);
    watch_all(g->watch, conf->site_tokens.certificates);
    watch_all(g->watch, conf->content.certificates);
    cmg_filewatch_add(g->watch, conf->site_tokens.block_list);
    for (size_t i = 0; i < conf->nstorages; i++) {
        cmg_filewatch_add(g->watch, conf->storages[i].key_file);
        cmg_filewatch_add(g->watch, conf->storages[i].sas_file);
    }
}

static enum cmg_rc stay_with(struct gateway *g, const struct gateway_conf *before)
{
    if (before)
        watch_files(g, before);
    return CMG_ECONF;
}

/* All of it or nothing. `before`: what is in force and to be put back, NULL at the start. */
static enum cmg_rc judge_by(struct gateway *g, const struct gateway_conf *conf,
                            const struct gateway_conf *before, struct cmg_trust *trust,
                            struct cmg_err *err)
{
    watch_files(g, conf); /* before they are read, so that no change falls in between */
    struct site_tokens *tokens = site_tokens_new(conf, err);
    if (!tokens)
        return stay_with(g, before);
    enum cmg_rc rc = revocation_use(g->revocation, conf, trust, err);
    if (rc == CMG_OK && content_use(g->content, conf, err) != CMG_OK) {
        rc = CMG_ECONF;
        if (before)
            (void)!revocation_use(g->revocation, before, g->client_trust, NULL);
    }
    if (rc != CMG_OK) {
        site_tokens_free(tokens);
        return stay_with(g, before);
    }
    site_tokens_free(g->site_tokens);
    g->site_tokens = tokens;
    cmg_fetcher_proxy(g->fetcher, conf->outbound.proxy);
    tenants_use(g->tenants, conf);
    throttle_use(g->throttle, conf);
    return CMG_OK;
}

/* Certificate files were renewed: connections that are open go on with the old ones. */
static enum cmg_rc on_renew(void *arg, struct cmg_err *err)
{
    struct gateway *g = arg;
    struct credentials credentials;
    if (credentials_load(&credentials, g->conf, err) != CMG_OK)
        return CMG_ECONF;
    if (revocation_use(g->revocation, g->conf, credentials.client_trust, err) != CMG_OK) {
        credentials_clear(&credentials);
        return CMG_ECONF;
    }
    credentials_use(g, &credentials);
    cmg_loop_defer(g->loop, &g->identify);
    return CMG_OK;
}

static void judges_new(struct gateway *g)
{
    g->identify = (struct cmg_task){ .run = on_identify, .arg = g };
    g->next_handshake = (struct cmg_task){ .run = on_next_handshake, .arg = g };
    g->fetcher = cmg_fetcher_new(g->loop);
    g->watch = cmg_filewatch_new(g->loop, on_file, g);
    g->revocation = revocation_new(g->loop, g->fetcher, on_lists, g);
    g->tenants = tenants_new(g->loop, g->fetcher, on_keys, g);
    g->throttle = throttle_new(g->conf);
    g->content = content_new(g->loop, g->fetcher);
}

static void judges_free(struct gateway *g)
{
    cmg_loop_cancel(g->loop, &g->identify);
    cmg_loop_cancel(g->loop, &g->next_handshake);
    cmg_filewatch_free(g->watch);
    content_free(g->content);
    tenants_free(g->tenants);
    revocation_free(g->revocation);
    site_tokens_free(g->site_tokens);
    throttle_free(g->throttle);
    cmg_fetcher_free(g->fetcher);
}

/* Listening ----------------------------------------------------------------------------- */

enum entrance_kind { ENTRANCE_CLIENTS, ENTRANCE_UPGRADE, ENTRANCE_TCP_TLS };

/* A listener's callback has one argument; this says which door, and of which gateway. */
struct entrance {
    struct gateway *gateway;
    struct cmg_listener *listener;
    enum entrance_kind kind;
};

static void on_accept(void *arg, int fd_taken, void *slot)
{
    struct entrance *e = arg;
    switch (e->kind) {
    case ENTRANCE_CLIENTS:
        front_accept(e->gateway, DOOR_CLIENTS, e->listener, fd_taken, slot);
        break;
    case ENTRANCE_UPGRADE:
        front_accept(e->gateway, DOOR_CHANNELS, e->listener, fd_taken, slot);
        break;
    case ENTRANCE_TCP_TLS:
        dock_accept(e->gateway, e->listener, fd_taken, slot);
        break;
    }
}

static struct cmg_listener_conf limits(const struct gateway_conf *conf, enum entrance_kind kind)
{
    bool clients = kind == ENTRANCE_CLIENTS;
    return (struct cmg_listener_conf){
        .max = (unsigned)(clients ? conf->clients.max : conf->channel.max),
        .max_per_address = (unsigned)(clients ? conf->clients.max_per_address : conf->channel.max),
        .rate_per_address =
            (unsigned)(clients ? conf->clients.rate_per_address : conf->channel.rate_per_address),
    };
}

static enum cmg_rc listen_on(struct gateway *g, const char *address, enum entrance_kind kind,
                             int64_t port, struct cmg_err *err)
{
    static const char *const sockets[] = { "clients", "https", "tcp-tls" };
    struct entrance *e = cmg_alloc(sizeof(*e));
    e->gateway = g;
    e->kind = kind;
    struct cmg_listener_conf lc = limits(g->conf, kind);
    lc.address = address;
    lc.port = (uint16_t)port;
    lc.fd = cmg_service_socket(sockets[kind]);
    e->listener = cmg_listener_new(g->loop, &lc, on_accept, e, err);
    if (!e->listener) {
        free(e);
        return CMG_ECONF;
    }
    log_notice("gateway.listening", KV("address", address),
               KV("port", cmg_listener_port(e->listener)), KV("for", sockets[kind]));
    g->entrances[g->nentrances++] = e;
    return CMG_OK;
}

static enum cmg_rc listen_all(struct gateway *g, struct cmg_err *err)
{
    const struct gateway_conf *conf = g->conf;
    int64_t i = conf->gateway.instance - 1;
    for (char **address = conf->gateway.listen; *address; address++) {
        if (listen_on(g, *address, ENTRANCE_CLIENTS, conf->gateway.client_port, err) != CMG_OK ||
            listen_on(g, *address, ENTRANCE_UPGRADE, conf->gateway.https_port + i, err) != CMG_OK ||
            listen_on(g, *address, ENTRANCE_TCP_TLS, conf->gateway.tcp_tls_port + i, err) != CMG_OK)
            return CMG_ECONF;
    }
    return CMG_OK;
}

/* Life ---------------------------------------------------------------------------------- */

static void show_status(struct gateway *g)
{
    cmg_service_status("%u channels up, %u client connections, %u requests in flight%s",
                       registry_links(g->registry), g->nclients, g->nrequests,
                       g->draining ? ", draining" : "");
}

static void on_registry_change(void *arg)
{
    struct gateway *g = arg;
    if (g->nwaiting)
        cmg_loop_defer(g->loop, &g->retry);
    memory_touch(g->memory);
    show_status(g);
}

static void on_retry(void *arg)
{
    request_retry_all(arg);
}

static void on_sweep(void *arg)
{
    request_sweep(arg);
}

/* What is left of the drain for answers that tell clients to come again. */
static int64_t answers_ms(const struct gateway *g)
{
    int64_t half = g->conf->gateway.drain_ms / 2;
    return half < DRAIN_ANSWERS_MS ? half : DRAIN_ANSWERS_MS;
}

static void cut_all(struct gateway *g)
{
    log_warn("gateway.drain_timeout", KV("clients", g->nclients), KV("requests", g->nrequests));
    front_close(g);
    dock_close(g);
}

/* First those without an answer get one, then everything is cut; should something still be there
 * after that, the process ends: a service manager that waits is worse than a defect that is
 * logged. */
static void on_drain_deadline(void *arg)
{
    struct gateway *g = arg;
    switch (g->drain_step) {
    case DRAIN_WAITS:
        g->drain_step = DRAIN_ANSWERS;
        cmg_timer_set(g->drain_timer, answers_ms(g));
        request_drain(g);
        break;
    case DRAIN_ANSWERS:
        g->drain_step = DRAIN_CUTS;
        cmg_timer_set(g->drain_timer, LAST_RESORT_MS);
        cut_all(g);
        break;
    case DRAIN_CUTS:
        log_error("gateway.drain_stuck", KV("clients", g->nclients), KV("requests", g->nrequests));
        cmg_log_flush();
        _exit(EXIT_FAILURE);
    }
}

void *gateway_start(struct cmg_loop *l, const void *conf, struct cmg_err *err)
{
    struct credentials credentials;
    struct gateway *g = cmg_alloc(sizeof(*g));
    g->certificates = cmg_certificates_new(l, on_renew, g);
    credentials_list(g->certificates, conf);
    if (credentials_load(&credentials, conf, err) != CMG_OK) {
        cmg_certificates_free(g->certificates);
        free(g);
        return NULL;
    }
    g->loop = l;
    g->conf = conf;
    g->lag = cmg_lag_new(l);
    credentials_use(g, &credentials);
    set_confs(g, conf);
    judges_new(g);
    TAILQ_INIT(&g->clients);
    TAILQ_INIT(&g->queue);
    TAILQ_INIT(&g->requests);
    g->retry = (struct cmg_task){ .run = on_retry, .arg = g };
    g->sweep = cmg_timer_new(l, on_sweep, g);
    g->drain_timer = cmg_timer_new(l, on_drain_deadline, g);
    uint64_t prefix;
    cmg_random(&prefix, sizeof(prefix));
    snprintf(g->id_prefix, sizeof(g->id_prefix), "%016llx", (unsigned long long)prefix);
    g->registry = registry_new(on_registry_change, g);
    g->dock = dock_new(g);
    registry_admit(g->registry, conf);
    g->memory = memory_new(g);
    accounting_start(g);
    if (judge_by(g, conf, NULL, g->client_trust, err) != CMG_OK || listen_all(g, err) != CMG_OK) {
        gateway_free(g);
        return NULL;
    }
    cmg_certificates_use(g->certificates);
    show_status(g);
    cmg_service_ready();
    return g;
}

/* All of it or nothing. */
static enum cmg_rc reload_credentials(struct gateway *g, const struct gateway_conf *conf,
                                      struct cmg_err *err)
{
    struct credentials credentials;
    credentials_list(g->certificates, conf);
    if (credentials_load(&credentials, conf, err) != CMG_OK)
        return CMG_ECONF;
    analyze_stop(g, "the configuration was reloaded: analyze again");
    if (judge_by(g, conf, g->conf, credentials.client_trust, err) != CMG_OK) {
        credentials_clear(&credentials);
        return CMG_ECONF;
    }
    credentials_use(g, &credentials);
    return CMG_OK;
}

enum cmg_rc gateway_reload(void *daemon, const void *conf, struct cmg_err *err)
{
    struct gateway *g = daemon;
    if (reload_credentials(g, conf, err) != CMG_OK) {
        cmg_certificates_drop(g->certificates);
        return CMG_ECONF;
    }
    cmg_certificates_use(g->certificates);
    cmg_loop_defer(g->loop, &g->identify);
    cmg_loop_defer(g->loop, &g->next_handshake);
    g->conf = conf;
    set_confs(g, conf);
    for (unsigned i = 0; i < g->nentrances; i++) {
        struct cmg_listener_conf lc = limits(conf, g->entrances[i]->kind);
        cmg_listener_limit(g->entrances[i]->listener, &lc);
    }
    registry_admit(g->registry, conf);
    dock_review(g);
    accounting_use(g);
    return CMG_OK;
}

void gateway_drain(void *daemon, void (*done)(void *arg), void *arg)
{
    struct gateway *g = daemon;
    analyze_stop(g, "the service is being stopped");
    g->draining = true;
    g->on_drained = done;
    g->on_drained_arg = arg;
    for (unsigned i = 0; i < g->nentrances; i++)
        cmg_listener_finish(g->entrances[i]->listener);
    log_notice("gateway.draining", KV("clients", g->nclients), KV("requests", g->nrequests));
    g->draining_since_ms = cmg_loop_now_ms(g->loop);
    cmg_timer_set(g->drain_timer, g->conf->gateway.drain_ms - answers_ms(g));
    front_drain(g);
    show_status(g);
    gateway_check_drained(g);
}

uint64_t gateway_egress_bytes(const struct gateway *g)
{
    return g->tally.sent_bytes;
}

bool gateway_door(const struct gateway *g, unsigned i, struct gateway_door *out)
{
    static const char *const what[] = { "clients", "channels by HTTPS", "channels by TCP-TLS" };
    if (i >= g->nentrances)
        return false;
    const struct entrance *e = g->entrances[i];
    *out = (struct gateway_door){ g->conf->gateway.listen[i / CMG_COUNT(what)],
                                  cmg_listener_port(e->listener), what[e->kind],
                                  e->kind == ENTRANCE_CLIENTS };
    return true;
}

/* Clients first: what they have asked for still needs the channels. */
void gateway_check_drained(struct gateway *g)
{
    if (!g->draining || g->nclients || g->nrequests)
        return;
    if (dock_channels(g)) {
        if (!g->dock_draining) {
            g->dock_draining = true;
            dock_drain(g);
        }
        return;
    }
    if (g->on_drained) {
        void (*done)(void *arg) = g->on_drained;
        g->on_drained = NULL;
        cmg_timer_stop(g->drain_timer);
        done(g->on_drained_arg);
    }
}

void gateway_free(void *daemon)
{
    struct gateway *g = daemon;
    if (!g)
        return;
    analyze_abandon(g);
    for (unsigned i = 0; i < g->nentrances; i++) {
        cmg_listener_free(g->entrances[i]->listener);
        free(g->entrances[i]);
    }
    cmg_loop_cancel(g->loop, &g->retry);
    cmg_timer_free(g->sweep);
    cmg_lag_free(g->lag);
    cmg_timer_free(g->drain_timer);
    dock_free(g->dock);
    accounting_stop(g);
    memory_free(g->memory);
    registry_free(g->registry);
    judges_free(g);
    cmg_certificates_free(g->certificates);
    credentials_use(g, &(struct credentials){ .client_tls = NULL });
    free(g);
}
