/* SPDX-License-Identifier: MIT */
/* The traffic report: every five minutes what each endpoint carried, as an event for each and as
 * the document that a site server knows (ProxyTrafficStateDetails). The last 24 hours are kept, in
 * memory and, where there is a state directory, across restarts. */
#ifndef CMG_DAEMON_TRAFFIC_H
#define CMG_DAEMON_TRAFFIC_H

#include "cmg/base/counts.h"
#include "cmg/base/err.h"

struct cmg_admin_ask;
struct cmg_loop;
struct cmg_traffic;

struct cmg_traffic_conf { /* [traffic] */
    int64_t interval_ms;
    char *state; /* folder; NULL: that of the service, if it has one */
};

/* The rows of a [traffic] section whose fields lie in member `field` of struct `conf`. */
/* clang-format off */
#define CMG_TRAFFIC_OPTIONS(conf, field)                                                           \
    { "interval", CMG_MILLIS(conf, field.interval_ms),                                             \
      .def = "5m", .min = 1000, .max = 3600000,                                                    \
      .doc = "Length of a period of the traffic report; the last 288 of the last 24 hours are "    \
             "kept." },                                                                            \
    { "state", CMG_TEXT(conf, field.state),                                                        \
      .def = "", .check = cmg_check_folder, .example = "/var/lib/cmg",                             \
      .doc = "Folder where they are kept across restarts; unset: that which systemd gives the "    \
             "service, else they are not." }
/* clang-format on */

/* What is counted of one endpoint. The three names are what it is told apart by. */
struct cmg_traffic_endpoint { /* all borrowed */
    const char *name;         /* the endpoint's */
    const char *proxy;        /* who passed it on: the gateway's service name */
    const char *target;       /* where it went: host of the endpoint; "" is fine */
    struct cmg_counts *counts;
};

/* Every 30 s, when a period ends and at the end of the process `visit` is called, and calls `each`
 * once for each endpoint that is there. Counts may begin anew (a smaller number is taken for
 * that); what was counted since the last visit is lost then, unless cmg_traffic_count was called
 * before. The peak of each (cmg_counts_peak) belongs to the report. */
struct cmg_traffic_source {
    const char *server;     /* who reports; copied */
    struct cmg_counts *all; /* of the whole daemon; borrowed */
    void (*visit)(void *arg, void (*each)(void *to, const struct cmg_traffic_endpoint *endpoint),
                  void *to);
    void *arg;
};

/* Reads what is there of before; what cannot be read is logged (traffic.state_failed) and left
 * behind. `conf` is copied. */
struct cmg_traffic *cmg_traffic_new(struct cmg_loop *l, const struct cmg_traffic_conf *conf,
                                    const struct cmg_traffic_source *source);
/* Counts once more and writes all of it; before what `visit` reads is gone. NULL is ignored. */
void cmg_traffic_free(struct cmg_traffic *t);
/* Now: endpoints are about to go, or to begin anew. */
void cmg_traffic_count(struct cmg_traffic *t);

/* GET /traffic[?format=xml|json][&periods=N]. Without `periods` the last period that has ended, or
 * the running one while there is none: in XML one ProxyTrafficStateDetails. With it up to N of
 * them, newest first, inside ProxyTrafficStates. In JSON, which is the default, both are
 * {"Periods":[...],"Running":{...}}. */
void cmg_traffic_answer(struct cmg_traffic *t, struct cmg_admin_ask *ask);

#endif
