/* SPDX-License-Identifier: MIT */
/* The connection analyzer's two halves meet here: what was seen, and what it means. The second
 * half is pure: facts in, findings out; time is an argument.
 *
 * What cannot be seen because something before it failed is not judged: a port that is filtered
 * has one finding, not five. */
#ifndef CMG_POINT_ANALYZE_FACTS_H
#define CMG_POINT_ANALYZE_FACTS_H

#include "cmg/channel/plan.h"
#include "cmg/net/dial.h"
#include "cmg/net/tls.h"
#include "point/findings.h"
#include "point/options.h"

/* One connection that was tried, as far as it came. */
struct facts_dial {
    bool done; /* false: it was not tried, or did not end in time */
    bool open; /* every step was taken: TLS, and the upgrade where one was asked for */
    struct cmg_dial_result result; /* without the stream */
    char peer[64];                 /* open: address and port */
};

enum admission {
    ADMISSION_UNKNOWN,
    ADMISSION_YES,   /* the gateway asked for the greeting      */
    ADMISSION_NO,    /* it said that it does not admit us        */
    ADMISSION_BROKEN /* it closed, or stayed silent: see `why`  */
};

/* One road to one instance. */
struct facts_road {
    enum cmg_road road;
    unsigned instance; /* from 1 */
    uint16_t port;
    bool proxied;
    struct facts_dial dial;
    enum admission admission;
    struct cmg_err why;     /* ADMISSION_NO, ADMISSION_BROKEN        */
    char gateway[256];      /* announced                             */
    char version[64];       /* announced                             */
    unsigned said, said_of; /* announced: instance of how many; 0: not */
};

/* One request that was made, and its answer. */
struct facts_web {
    struct facts_dial dial;
    unsigned status;     /* 0: no answer, see `why` */
    struct cmg_err why;  /* dial.open, and no status */
    bool on_certificate; /* the page of a refusal speaks of a certificate */
    int64_t date;        /* of the answer; -1: it said none */
    int64_t at;          /* our own clock then; seconds since 1970 */
};

/* What the daemon's own channel to an instance does meanwhile. */
struct facts_live {
    bool known; /* there is a keeper */
    bool open;
    enum cmg_road road;
    int64_t rtt_us;     /* -1: not measured yet */
    struct cmg_err why; /* the last failure; CMG_OK: none */
};

struct facts_gateway {
    const struct point_cmg_conf *conf; /* borrowed */
    const char *proxy;                 /* "proxy.corp:3128"; NULL: none */
    bool unusable;                     /* our own files do not load: nothing was tried */
    struct facts_road roads[CMG_ROADS * CMG_INSTANCES_MAX];
    size_t nroads;
    struct facts_live live[CMG_INSTANCES_MAX];
    struct facts_web client; /* what clients reach */
    uint16_t client_port;
};

struct facts_endpoint {
    const struct point_endpoint_conf *conf; /* borrowed */
    char path[300];                         /* asked for, without its query */
    struct facts_web web;
};

struct facts_date { /* somebody's clock, and ours when it was read; seconds since 1970 */
    const char *who;
    int64_t theirs, ours;
};

void judge_configuration(struct findings *f, const struct point_conf *conf);
/* `rc` and `err`: of cmg_tls_own_read. */
void judge_certificate(struct findings *f, const char *path, const char *name, enum cmg_rc rc,
                       const struct cmg_tls_own *own, const struct cmg_err *err, int64_t now);
void judge_gateway(struct findings *f, const struct facts_gateway *g, int64_t now);
void judge_endpoint(struct findings *f, const struct facts_endpoint *e, int64_t now);
void judge_clock(struct findings *f, const struct facts_date *d, size_t n);

/* --- Shared by the files of this half. ------------------------------------------------------ */

struct judged_tls {      /* whose TLS, and where that can be changed */
    const char *where;   /* "[cmg main]" */
    const char *option;  /* of the name: "service", "url" */
    const char *ca_file; /* NULL: the system's */
    const char *expects; /* the name that was looked for */
};
/* Why TLS failed (dial.result.cause CMG_DIAL_VERDICT, or another failure of that step). */
void judge_tls_failure(struct finding *x, const struct cmg_dial_result *r,
                       const struct judged_tls *t);
/* What a sound certificate says; a warning when it ends soon. */
void judge_tls_success(struct finding *x, const struct cmg_tls_seen *s, int64_t now);
int64_t judge_days(int64_t until, int64_t now); /* whole days left, negative when over */

#endif
