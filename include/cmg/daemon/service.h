/* SPDX-License-Identifier: MIT */
/* What every daemon does the same way: command line, log sink, signals, systemd, and what the
 * administrator's door answers alike (see docs/operations.md):
 *
 *   GET  /health     that the loop turns, since when, how late
 *   POST /reload     as SIGHUP, and answers how that went
 *   POST /drain      as SIGTERM
 *   GET  /log-level  POST too: another level for a while, or for single requests */
#ifndef CMG_DAEMON_SERVICE_H
#define CMG_DAEMON_SERVICE_H

#include <stdbool.h>

#include "cmg/base/log.h"
#include "cmg/daemon/admin.h"
#include "cmg/daemon/checks.h"
#include "cmg/daemon/logsink.h"
#include "cmg/daemon/options.h"

struct cmg_loop;

struct cmg_service {
    const char *program; /* "cmg-gateway" */
    const char *summary; /* one line for --help */
    const char *default_config;
    const struct cmg_config *config;

    /* Where conf structs keep these (offsets of fields the tables fill with
     * CMG_SERVICE_LOG_OPTIONS). */
    size_t log_conf; /* offset of a struct cmg_log_conf in the conf struct */
    /* With CMG_SERVICE_ADMIN_OPTIONS: offset of a struct cmg_admin_conf. */
    size_t admin_conf;
    /* What the door answers besides; handlers get the daemon. May be NULL. */
    const struct cmg_admin_route *routes;

    /* Builds the daemon on the loop. NULL with err: nothing was started; CMG_ECONF ends the
     * process with 78, so that systemd does not try again. */
    void *(*start)(struct cmg_loop *l, const void *conf, struct cmg_err *err);
    /* SIGHUP with a configuration that loaded and needs no restart. On CMG_OK the daemon
     * uses `conf` from now on, and the one before is freed right after; else nothing has
     * changed. Not called any more once drain was. */
    enum cmg_rc (*reload)(void *daemon, const void *conf, struct cmg_err *err);
    /* SIGTERM, SIGINT: finish what is in flight, then call done() once; a second signal
     * ends the process. */
    void (*drain)(void *daemon, void (*done)(void *arg), void *arg);
    void (*free)(void *daemon);
};

/* The rows of a [log] section whose fields lie in member `field` of struct `conf`. */
/* clang-format off */
#define CMG_SERVICE_LOG_OPTIONS(conf, field)                                                       \
    { "target", CMG_CHOICE(conf, field.target), .def = "auto", .choices = cmg_log_targets,         \
      .doc = "auto is the journal under systemd and standard error elsewhere." },                  \
    { "format", CMG_CHOICE(conf, field.format), .def = "text", .choices = cmg_log_formats,         \
      .doc = "Of the lines on standard error: text, or one JSON object each." },                   \
    { "level", CMG_CHOICE(conf, field.level), .def = "info", .choices = cmg_log_levels,            \
      .reload = CMG_LIVE, .doc = "Events less important than this are left out." },                \
    { "access", CMG_BOOL(conf, field.access), .def = "yes", .reload = CMG_LIVE,                    \
      .doc = "One access event for each request." }

/* The same for an [admin] section. A default that cannot be opened is told by the event admin.off;
 * any other socket that cannot be ends the start. */
#define CMG_SERVICE_ADMIN_OPTIONS(conf, field, default_socket)                                     \
    { "socket", CMG_TEXT(conf, field.socket), .def = default_socket, .check = cmg_check_socket,    \
      .doc = "The administrator's door: a unix socket for cmgctl, which the service's user and "   \
             "group may use; none shuts it." },                                                    \
    { "listen", CMG_TEXT(conf, field.listen), .def = "", .check = cmg_check_loopback,              \
      .example = "127.0.0.1:9101",                                                                 \
      .doc = "A port of this machine that can only be read from, for scrapers of metrics; unset: " \
             "none. Every user of the machine may come to it." }
/* clang-format on */

/* The whole of main(): --config FILE, --check, --print-config, --print-sample,
 * --print-manual, --version, --help; loads, starts, READY=1 when cmg_service_ready was
 * called, watchdog from the loop, reload on SIGHUP, drain on SIGTERM. Exit status: 0,
 * 1 run-time failure, 2 usage, 78 configuration (EX_CONFIG). */
int cmg_service_main(const struct cmg_service *s, int argc, char **argv);

/* Readiness and the one line of `systemctl status`. Each may be called any number of times;
 * READY=1 goes out once. */
void cmg_service_ready(void);
void cmg_service_status(const char *fmt, ...) CMG_PRINTF(1, 2);

/* The sockets that systemd passed, by FileDescriptorName=: each call gives the next of that
 * name, for the caller to keep; -1: none of that name (left). */
int cmg_service_socket(const char *name);

#endif
