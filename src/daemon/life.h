/* SPDX-License-Identifier: MIT */
/* A running daemon, as service.c leads it through its life and generic.c answers for it at the
 * administrator's door. */
#ifndef CMG_DAEMON_LIFE_H
#define CMG_DAEMON_LIFE_H

#include "cmg/daemon/service.h"

enum { LIFE_NAMES = 1024, LIFE_LAGS = 60 };

/* How a configuration that was read again fared. */
enum reload_result { RELOAD_NEVER, RELOAD_DONE, RELOAD_REFUSED, RELOAD_NEEDS_RESTART, RELOAD_LATE };
struct reload {
    enum reload_result result;
    int64_t unix_s;
    char why[256];   /* refused: what is wrong; late: why */
    json_t *changed; /* owned; names of options, all that differ; NULL: it could not be read */
    json_t *restart; /* owned; those that need one; NULL: as above */
};
void reload_clear(struct reload *r);

/* Another level than the configuration's, while somebody looks for something. */
struct log_override {
    bool on;
    int level;                       /* as cmg_log_conf's */
    char request[CMG_LOG_TRACE + 1]; /* for these only; "": for all */
    int64_t until_ms;                /* 0: until it is taken back */
    struct cmg_timer *timer;         /* owned */
};

/* How late a timer comes that is due once a second: what a request waits for the loop. */
struct lag {
    struct cmg_timer *timer; /* owned */
    int64_t due_us;
    int64_t us[LIFE_LAGS]; /* the last minute, in a ring */
    size_t at;             /* the newest */
};

struct life {
    const struct cmg_service *service; /* borrowed */
    const char *path;                  /* borrowed; of the configuration */
    void *conf;                        /* owned; in force */
    int64_t loaded_unix_s;             /* since when */
    int64_t began_unix_s, began_ms;
    struct cmg_loop *loop;      /* owned */
    void *daemon;               /* owned */
    struct cmg_admin *admin;    /* owned; NULL: the door is shut */
    struct cmg_timer *watchdog; /* owned; NULL: no one asks */
    int64_t watchdog_ms;
    struct reload last;
    struct log_override log;
    struct lag lag;
    bool draining;
    int status;
};

const struct cmg_log_conf *life_log_conf(const struct life *life, const void *conf);
/* Puts the level in force that the configuration or the override says. */
void life_set_level(struct life *life);
/* Reads the configuration again; life->last tells how it went. */
void life_reload(struct life *life);
/* `who` asked, "SIGTERM" or "admin". Not while draining. */
void life_drain(struct life *life, const char *who);

/* The door, with what every daemon answers. False with err: the process is to end. */
bool life_open_admin(struct life *life, struct cmg_err *err);
void life_close_admin(struct life *life);
/* Of the last second, and the worst of the last minute. */
void life_lag(const struct life *life, int64_t *last_us, int64_t *worst_us);

/* The one that this process lives, or NULL. */
const struct life *life_of_process(void);

#endif
