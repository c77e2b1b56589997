/* SPDX-License-Identifier: MIT */
/* The connection point's configuration, as point/options.c's table fills it. */
#ifndef CMG_POINT_OPTIONS_H
#define CMG_POINT_OPTIONS_H

#include "cmg/daemon/options.h"
#include "cmg/daemon/service.h"
#include "cmg/daemon/traffic.h"

struct point_cmg_conf { /* [cmg LABEL]: one cloud management gateway */
    char *label;
    char *service;  /* service name: verified in its certificate, and dialed       */
    char *address;  /* dialed instead of the service name; NULL: the service name  */
    int deployment; /* enum cmg_deployment */
    int transport;  /* enum cmg_transport  */
    int64_t instances;
    char *ca_file;                                       /* that its certificate must chain to */
    int64_t tcp_tls_port, https_port, https_port_single; /* 10140, 10124, 443 */
};

enum point_connections { POINT_POOLED, POINT_PRIVATE };

struct point_endpoint_conf { /* [endpoint LABEL] */
    char *label;
    int role; /* enum cmg_role */
    char *id;
    char *url;          /* http[s]://host[:port][/prefix] */
    char **paths;       /* empty: the role's defaults */
    char **client_auth; /* mutual, server */
    int64_t max_request_bytes;
    int64_t connect_ms;  /* connection made, TLS included */
    int64_t response_ms; /* silence of the endpoint, before and in a response */
    int64_t idle_ms;     /* a kept connection rests at most so long */
    int64_t max_connections;
    int connections; /* enum point_connections */
    char *ca_file, *certificate, *key;
    char **pass_identity; /* as passport.h reads it */
};

struct point_conf {
    struct { /* [connection-point] */
        char *name, *site, *certificate, *key;
        int64_t max_requests; /* in flight on one channel */
        int64_t drain_ms, drain_silent_ms;
    } point;
    struct { /* [proxy] */
        char *url, *user, *password_file, *ca_file;
        char *no_proxy; /* as curl takes it: a comma-separated list */
        int auth;       /* enum cmg_proxy_auth */
    } proxy;
    struct { /* [channel] */
        int64_t connect_ms, keepalive_ms, deadline_ms;
        int64_t backoff_min_ms, backoff_max_ms, probe_ms, tries;
        int64_t stream_window, memory;
    } channel;
    struct cmg_traffic_conf traffic;
    struct point_cmg_conf *cmgs;
    size_t ncmgs;
    struct point_endpoint_conf *endpoints;
    size_t nendpoints;
    struct cmg_log_conf log;
    struct cmg_admin_conf admin;
};

extern const struct cmg_config point_config;

#endif
