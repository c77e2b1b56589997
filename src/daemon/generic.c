/* SPDX-License-Identifier: MIT */
/* What every daemon answers at the administrator's door. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/daemon/status.h"
#include "cmg/daemon/units.h"
#include "cmg/net/loop.h"
#include "life.h"
#include "option.h"

enum { LAG_EVERY_MS = 1000 };

/* /health ----------------------------------------------------------------------------------- */

static void on_lag(void *arg)
{
    struct life *life = arg;
    struct lag *lag = &life->lag;
    int64_t now_us = cmg_clock_us();
    lag->at = (lag->at + 1) % LIFE_LAGS;
    lag->us[lag->at] = now_us > lag->due_us ? now_us - lag->due_us : 0;
    lag->due_us = now_us + LAG_EVERY_MS * 1000;
    cmg_timer_set(lag->timer, LAG_EVERY_MS);
}

void life_lag(const struct life *life, int64_t *last_us, int64_t *worst_us)
{
    const struct lag *lag = &life->lag;
    *last_us = lag->us[lag->at];
    *worst_us = 0;
    for (size_t i = 0; i < LIFE_LAGS; i++)
        *worst_us = lag->us[i] > *worst_us ? lag->us[i] : *worst_us;
}

static void on_health(void *arg, struct cmg_admin_ask *ask)
{
    const struct life *life = arg;
    int64_t last_us, worst_us;
    life_lag(life, &last_us, &worst_us);
    cmg_admin_json(ask, 200,
                   json_pack("{s:s, s:s, s:s, s:I, s:b, s:I, s:I}", "status", "ok", "program",
                             life->service->program, "version", CMG_VERSION, "uptime_s",
                             (json_int_t)((cmg_clock_ms() - life->began_ms) / 1000), "draining",
                             (int)life->draining, "loop_lag_us", (json_int_t)last_us,
                             "loop_lag_max_us", (json_int_t)worst_us));
}

/* /reload, /drain --------------------------------------------------------------------------- */

static void on_reload(void *arg, struct cmg_admin_ask *ask)
{
    struct life *life = arg;
    unsigned status = 200;
    life_reload(life);
    switch (life->last.result) {
    case RELOAD_NEVER:
    case RELOAD_DONE:
        break;
    case RELOAD_REFUSED:
        status = 422;
        break;
    case RELOAD_NEEDS_RESTART:
    case RELOAD_LATE:
        status = 409;
        break;
    }
    cmg_admin_json(ask, status, cmg_status_reload());
}

/* Asked twice it is still one: only a second signal ends the process at once. */
static void on_drain(void *arg, struct cmg_admin_ask *ask)
{
    struct life *life = arg;
    cmg_admin_json(ask, 202, json_pack("{s:b}", "draining", true));
    if (!life->draining)
        life_drain(life, "admin");
}

/* /log-level -------------------------------------------------------------------------------- */

struct wish {
    char *unused; /* so that offset 0 is nobody's */
    int level;
    int64_t for_ms;
};
static const struct cmg_option level_option = { "level", CMG_CHOICE(wish, level),
                                                .choices = cmg_log_levels };
static const struct cmg_option for_option = { "for", CMG_MILLIS(wish, for_ms), .min = SECOND,
                                              .max = 24 * HOUR };

static json_t *override_json(const struct life *life)
{
    const struct log_override *o = &life->log;
    if (!o->on)
        return json_null();
    int64_t left = o->until_ms - cmg_loop_now_ms(life->loop);
    return json_pack("{s:s, s:s*, s:o*}", "level", cmg_log_levels[o->level], "request",
                     *o->request ? o->request : NULL, "for_s",
                     o->until_ms ? json_integer((left + 999) / 1000) : NULL);
}

static void on_level_shown(void *arg, struct cmg_admin_ask *ask)
{
    const struct life *life = arg;
    int configured = life_log_conf(life, life->conf)->level;
    bool all = life->log.on && !*life->log.request;
    cmg_admin_json(ask, 200,
                   json_pack("{s:s, s:s, s:o}", "level",
                             cmg_log_levels[all ? life->log.level : configured], "configured",
                             cmg_log_levels[configured], "override", override_json(life)));
}

/* Before the change, which may be to leave this out. */
static void log_change(const char *peer, const char *level, const char *request, int64_t for_ms)
{
    log_notice("admin.log_level", KV("peer", peer), KV("level", level), KV("requests", request),
               KV("for_s", for_ms / 1000));
}

static void restore(struct life *life, const char *peer)
{
    cmg_timer_stop(life->log.timer);
    life->log.on = false;
    life_set_level(life);
    log_change(peer, "configured", "all", 0);
}

static void on_level_over(void *arg)
{
    restore(arg, "timer");
}

/* Ids are made of these; a blank or a quote would be a mistake of whoever typed it. */
static bool is_prefix(const char *s)
{
    size_t n = strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.");
    return n > 0 && !s[n] && n <= CMG_LOG_TRACE;
}

static void set_level(struct life *life, const struct wish *w, const char *request,
                      const char *peer)
{
    struct log_override *o = &life->log;
    log_change(peer, cmg_log_levels[w->level], *request ? request : "all", w->for_ms);
    o->on = true;
    o->level = w->level;
    cmg_str_put(o->request, sizeof(o->request), cmg_str(request));
    o->until_ms = w->for_ms ? cmg_loop_now_ms(life->loop) + w->for_ms : 0;
    if (w->for_ms)
        cmg_timer_set(o->timer, w->for_ms);
    else
        cmg_timer_stop(o->timer);
    life_set_level(life);
}

/* What the query asks for, or a sentence about why that cannot be. */
static const char *read_wish(const struct cmg_admin_ask *ask, struct wish *w, char *request,
                             size_t size, struct cmg_err *err)
{
    char text[64];
    if (!cmg_admin_parameter(ask, "level", text, sizeof(text)))
        return "level is missing; allowed: error, warn, notice, info, debug, configured";
    if (cmg_option_set(&level_option, ".", text, w, err) != CMG_OK)
        return "level: allowed: error, warn, notice, info, debug, configured";
    if (cmg_admin_parameter(ask, "for", text, sizeof(text)) &&
        cmg_option_set(&for_option, ".", text, w, err) != CMG_OK)
        return "for: allowed: 1s to 24h";
    if (cmg_admin_parameter(ask, "request", request, size) && !is_prefix(request))
        return "request: allowed: the beginning of a request's id, letters and digits";
    return NULL;
}

static void on_level(void *arg, struct cmg_admin_ask *ask)
{
    struct life *life = arg;
    struct wish w = { .level = 0 };
    struct cmg_err err;
    char text[64], request[CMG_LOG_TRACE + 1] = "";
    if (cmg_admin_parameter(ask, "level", text, sizeof(text)) && !strcmp(text, "configured")) {
        restore(life, cmg_admin_peer(ask));
        on_level_shown(life, ask);
        return;
    }
    const char *why = read_wish(ask, &w, request, sizeof(request), &err);
    if (why) {
        cmg_admin_refuse(ask, 400, why);
        return;
    }
    set_level(life, &w, request, cmg_admin_peer(ask));
    on_level_shown(life, ask);
}

/* The door ---------------------------------------------------------------------------------- */

static const char *const level_parameters[] = { "level", "request", "for", NULL };
static const char *const no_parameters[] = { NULL };

static const struct cmg_admin_route routes[] = {
    { "GET", "/health", false, on_health, no_parameters },
    { "POST", "/reload", true, on_reload, no_parameters },
    { "POST", "/drain", true, on_drain, no_parameters },
    { "GET", "/log-level", false, on_level_shown, no_parameters },
    { "POST", "/log-level", true, on_level, level_parameters },
    { 0 },
};

/* True when it is what the table says for a file that does not. */
static bool is_default(const struct life *life, const char *socket)
{
    for (const struct cmg_section *s = life->service->config->sections; s->name; s++)
        for (const struct cmg_option *o = s->options; !strcmp(s->name, "admin") && o->key; o++)
            if (!strcmp(o->key, "socket"))
                return socket && o->def && !strcmp(socket, o->def);
    return false;
}

static bool folder_is_there(const char *file)
{
    struct stat st;
    char *folder = cmg_strndup(file, (size_t)(strrchr(file, '/') - file));
    bool there = stat(folder, &st) == 0;
    free(folder);
    return there;
}

/* Nobody asked for the default: a daemon that somebody starts by hand, or a second one on the
 * machine, does its work without it. */
static void say_off(const char *socket, const struct cmg_err *err)
{
    if (folder_is_there(socket))
        log_warn("admin.off", KV("socket", socket), KV("why", err->text));
    else
        log_notice("admin.off", KV("socket", socket), KV("why", "its folder is not there"));
}

static struct cmg_admin *open_door(struct life *life, const struct cmg_admin_conf *conf,
                                   struct cmg_err *err)
{
    struct cmg_admin_conf rest = *conf;
    struct cmg_admin *a = cmg_admin_new(life->loop, conf, routes, life, err);
    if (a || !is_default(life, conf->socket))
        return a;
    rest.socket = NULL;
    a = cmg_admin_new(life->loop, &rest, routes, life, NULL);
    if (a)
        say_off(conf->socket, err);
    return a;
}

bool life_open_admin(struct life *life, struct cmg_err *err)
{
    const void *conf = (const char *)life->conf + life->service->admin_conf;
    life->log.timer = cmg_timer_new(life->loop, on_level_over, life);
    life->lag.timer = cmg_timer_new(life->loop, on_lag, life);
    life->admin = open_door(life, conf, err);
    if (!life->admin)
        return false;
    life->lag.due_us = cmg_clock_us() + LAG_EVERY_MS * 1000;
    cmg_timer_set(life->lag.timer, LAG_EVERY_MS);
    return true;
}

void life_close_admin(struct life *life)
{
    cmg_admin_free(life->admin);
    life->admin = NULL;
    cmg_timer_free(life->log.timer);
    cmg_timer_free(life->lag.timer);
}
