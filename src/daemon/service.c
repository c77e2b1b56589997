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
#include "cmg/net/loop.h"
#include "command.h"
#include "systemd.h"

struct life {
    const struct cmg_service *service; /* borrowed */
    const char *path;                  /* borrowed; of the configuration */
    void *conf;                        /* owned; in force */
    struct cmg_loop *loop;             /* owned */
    void *daemon;                      /* owned */
    struct cmg_timer *watchdog;        /* owned; NULL: no one asks */
    int64_t watchdog_ms;
    bool draining;
    int status;
};

/* READY=1 is a fact about the process, and goes out once. */
static bool was_ready;

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

static const struct cmg_log_conf *log_conf(const struct life *life, const void *conf)
{
    return (const void *)((const char *)conf + life->service->log_conf);
}

static void refused(const struct life *life, const struct cmg_err *err)
{
    log_error("conf.refused", KV("file", life->path), KV("why", err->text));
}

static bool apply(struct life *life, void *next)
{
    char keys[512];
    struct cmg_err err;
    if (!cmg_config_live(life->service->config, life->conf, next, keys, sizeof(keys))) {
        log_warn("conf.needs_restart", KV("file", life->path), KV("keys", keys));
        return false;
    }
    if (life->service->reload(life->daemon, next, &err) != CMG_OK) {
        refused(life, &err);
        return false;
    }
    cmg_logsink_level(log_conf(life, next));
    log_notice("conf.reloaded", KV("file", life->path));
    return true;
}

/* All or nothing: what cannot be in force as a whole leaves the old configuration alone. */
static void on_sighup(void *arg)
{
    struct life *life = arg;
    struct cmg_err err;
    if (life->draining)
        return;
    if (was_ready)
        cmg_systemd_reloading();
    void *old = life->conf, *next = cmg_config_load(life->service->config, life->path, &err);
    if (!next) {
        refused(life, &err);
    } else if (apply(life, next)) {
        life->conf = next;
        cmg_config_free(life->service->config, old);
    } else {
        cmg_config_free(life->service->config, next);
    }
    if (was_ready)
        cmg_systemd_ready();
}

static void on_drained(void *arg)
{
    struct life *life = arg;
    cmg_loop_stop(life->loop);
}

static void terminate(struct life *life, const char *signal_name)
{
    if (life->draining) {
        log_warn("service.cut_short", KV("signal", signal_name));
        life->status = CMG_EXIT_FAILURE;
        cmg_loop_stop(life->loop);
        return;
    }
    life->draining = true;
    cmg_systemd_stopping();
    log_notice("service.drain", KV("signal", signal_name));
    life->service->drain(life->daemon, on_drained, life);
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

static void live(struct life *life)
{
    struct cmg_err err = { .code = CMG_EIO };
    log_notice("service.start", KV("version", CMG_VERSION), KV("file", life->path));
    life->loop = cmg_loop_new();
    watch_signals(life);
    life->daemon = life->service->start(life->loop, life->conf, &err);
    if (life->daemon) {
        watch_ourselves(life);
        cmg_loop_run(life->loop);
        cmg_timer_free(life->watchdog);
        life->service->free(life->daemon);
        log_notice("service.stop", KV("status", life->status));
    } else {
        log_error("service.failed", KV("why", err.text));
        life->status = err.code == CMG_ECONF ? CMG_EXIT_CONFIG : CMG_EXIT_FAILURE;
    }
    cmg_loop_free(life->loop);
}

int cmg_service_main(const struct cmg_service *s, int argc, char **argv)
{
    struct life life = { .service = s, .status = CMG_EXIT_OK };
    struct cmg_err err;
    int status = cmg_command(s, argc, argv, &life.path);
    if (status >= 0)
        return status;
    settle_in();
    life.conf = cmg_command_load(s, life.path);
    if (!life.conf)
        return CMG_EXIT_CONFIG;
    if (cmg_logsink_open(log_conf(&life, life.conf), s->program, &err) == CMG_OK) {
        live(&life);
        cmg_logsink_close();
    } else {
        fprintf(stderr, "%s: %s: %s\n", s->program, life.path, err.text);
        life.status = CMG_EXIT_CONFIG;
    }
    cmg_config_free(s->config, life.conf);
    return life.status;
}
