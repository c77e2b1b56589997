/* SPDX-License-Identifier: MIT */
/* A daemon's life: started, ready, reloaded, drained, gone. */
#include "cmg/daemon/service.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/loop.h"
#include "command.h"
#include "life.h"
#include "systemd.h"

/* READY=1 is a fact about the process, and goes out once. */
static bool was_ready;

/* So is which life it leads. */
static const struct life *led;

const struct life *life_of_process(void)
{
    return led;
}

void cmg_service_ready(void)
{
    if (was_ready)
        return;
    was_ready = true;
    cmg_systemd_ready();
    log_notice("service.ready", KV("version", CMG_VERSION));
}

void cmg_service_status(const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' '; /* a line end would begin another assignment */
    cmg_systemd_status(text);
}

const struct cmg_log_conf *life_log_conf(const struct life *life, const void *conf)
{
    return (const void *)((const char *)conf + life->service->log_conf);
}

void life_set_level(struct life *life)
{
    struct cmg_log_conf c = *life_log_conf(life, life->conf);
    bool all = life->log.on && !*life->log.request;
    if (all)
        c.level = life->log.level;
    cmg_logsink_level(&c);
    cmg_log_trace(life->log.on && !all ? life->log.request : NULL,
                  (enum cmg_level)(CMG_ERROR + life->log.level));
}

/* Reloading --------------------------------------------------------------------------------- */

void reload_clear(struct reload *r)
{
    json_decref(r->changed);
    json_decref(r->restart);
    *r = (struct reload){ .result = RELOAD_NEVER };
}

static void on_difference(void *arg, const char *name, enum cmg_opt_reload reload)
{
    struct reload *r = arg;
    json_array_append_new(r->changed, json_string(name));
    if (reload == CMG_RESTART)
        json_array_append_new(r->restart, json_string(name));
}

static void refused(struct life *life, const struct cmg_err *err)
{
    life->last.result = RELOAD_REFUSED;
    snprintf(life->last.why, sizeof(life->last.why), "%s", err->text);
    log_error("conf.refused", KV("file", life->path), KV("why", err->text));
}

static bool apply(struct life *life, void *next)
{
    const struct cmg_config *config = life->service->config;
    char keys[512];
    struct cmg_err err;
    life->last.changed = json_array();
    life->last.restart = json_array();
    cmg_config_compare(config, life->conf, next, on_difference, &life->last);
    if (!cmg_config_live(config, life->conf, next, keys, sizeof(keys))) {
        life->last.result = RELOAD_NEEDS_RESTART;
        log_warn("conf.needs_restart", KV("file", life->path), KV("keys", keys));
        return false;
    }
    if (life->service->reload(life->daemon, next, &err) != CMG_OK) {
        refused(life, &err);
        return false;
    }
    return true;
}

static void use(struct life *life, void *next)
{
    void *old = life->conf;
    life->conf = next;
    life->loaded_unix_s = cmg_clock_unix();
    life->last.result = RELOAD_DONE;
    life_set_level(life);
    log_notice("conf.reloaded", KV("file", life->path));
    cmg_config_free(life->service->config, old);
}

/* All or nothing: what cannot be in force as a whole leaves the old configuration alone. */
void life_reload(struct life *life)
{
    struct cmg_err err;
    reload_clear(&life->last);
    life->last.unix_s = cmg_clock_unix();
    if (life->draining) {
        life->last.result = RELOAD_LATE;
        snprintf(life->last.why, sizeof(life->last.why), "the service is about to end");
        return;
    }
    if (was_ready)
        cmg_systemd_reloading();
    void *next = cmg_config_load(life->service->config, life->path, &err);
    if (!next)
        refused(life, &err);
    else if (apply(life, next))
        use(life, next);
    else
        cmg_config_free(life->service->config, next);
    if (was_ready)
        cmg_systemd_ready();
}

static void on_sighup(void *arg)
{
    life_reload(arg);
}

/* The end ----------------------------------------------------------------------------------- */

static void on_drained(void *arg)
{
    struct life *life = arg;
    cmg_loop_stop(life->loop);
}

void life_drain(struct life *life, const char *who)
{
    life->draining = true;
    cmg_systemd_stopping();
    log_notice("service.drain", KV("signal", who));
    life->service->drain(life->daemon, on_drained, life);
}

static void terminate(struct life *life, const char *signal_name)
{
    if (!life->draining) {
        life_drain(life, signal_name);
        return;
    }
    log_warn("service.cut_short", KV("signal", signal_name));
    life->status = CMG_EXIT_FAILURE;
    cmg_loop_stop(life->loop);
}

static void on_sigterm(void *arg)
{
    terminate(arg, "SIGTERM");
}

static void on_sigint(void *arg)
{
    terminate(arg, "SIGINT");
}

static void on_watchdog(void *arg)
{
    struct life *life = arg;
    cmg_systemd_alive();
    cmg_timer_set(life->watchdog, life->watchdog_ms);
}

static void watch_signals(struct life *life)
{
    cmg_loop_on_signal(life->loop, SIGHUP, on_sighup, life);
    cmg_loop_on_signal(life->loop, SIGTERM, on_sigterm, life);
    cmg_loop_on_signal(life->loop, SIGINT, on_sigint, life);
}

static void watch_ourselves(struct life *life)
{
    life->watchdog_ms = cmg_systemd_watchdog_ms();
    if (life->watchdog_ms <= 0)
        return;
    life->watchdog = cmg_timer_new(life->loop, on_watchdog, life);
    cmg_timer_set(life->watchdog, 0);
}

/* What every process of ours wants of the system it runs on. */
static void settle_in(void)
{
    struct rlimit files;
    while (fcntl(STDERR_FILENO, F_GETFD) < 0) /* else a socket might become standard error */
        if (open("/dev/null", O_RDWR) < 0)
            break;
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    cmg_alloc_tune();
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* The door before the daemon: a start that will fail fails before anything else is begun. Nobody is
 * let in before the loop runs. */
static bool start(struct life *life, struct cmg_err *err)
{
    if (!life_open_admin(life, err))
        return false;
    life->daemon = life->service->start(life->loop, life->conf, err);
    if (life->daemon && life->admin)
        cmg_admin_add(life->admin, life->service->routes, life->daemon);
    return life->daemon != NULL;
}

static void live(struct life *life)
{
    struct cmg_err err = { .code = CMG_EIO };
    log_notice("service.start", KV("version", CMG_VERSION), KV("file", life->path));
    life->loop = cmg_loop_new();
    watch_signals(life);
    if (start(life, &err)) {
        watch_ourselves(life);
        cmg_loop_run(life->loop);
        cmg_timer_free(life->watchdog);
        life_close_admin(life);
        life->service->free(life->daemon);
        log_notice("service.stop", KV("status", life->status));
    } else {
        life_close_admin(life);
        log_error("service.failed", KV("why", err.text));
        life->status = err.code == CMG_ECONF ? CMG_EXIT_CONFIG : CMG_EXIT_FAILURE;
    }
    cmg_loop_free(life->loop);
    reload_clear(&life->last);
}

int cmg_service_main(const struct cmg_service *s, int argc, char **argv)
{
    struct life life = { .service = s,
                         .status = CMG_EXIT_OK,
                         .began_ms = cmg_clock_ms(),
                         .began_unix_s = cmg_clock_unix() };
    struct cmg_err err;
    int status = cmg_command(s, argc, argv, &life.path);
    if (status >= 0)
        return status;
    settle_in();
    life.conf = cmg_command_load(s, life.path);
    if (!life.conf)
        return CMG_EXIT_CONFIG;
    life.loaded_unix_s = cmg_clock_unix();
    if (cmg_logsink_open(life_log_conf(&life, life.conf), s->program, &err) == CMG_OK) {
        led = &life;
        live(&life);
        led = NULL;
        cmg_logsink_close();
    } else {
        fprintf(stderr, "%s: %s: %s\n", s->program, life.path, err.text);
        life.status = CMG_EXIT_CONFIG;
    }
    cmg_config_free(s->config, life.conf);
    return life.status;
}
