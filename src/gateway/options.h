/* SPDX-License-Identifier: MIT */
/* The gateway's configuration, as gateway/options.c's table fills it. */
#ifndef CMG_GATEWAY_OPTIONS_H
#define CMG_GATEWAY_OPTIONS_H

#include "cmg/daemon/options.h"
#include "cmg/daemon/service.h"

struct gateway_point_conf { /* [connection-point LABEL]: one that is admitted */
    char *label;
    char *name; /* as in its certificate: SAN dNSName or subject CN; NULL: the label */
    char *site;
};

struct gateway_endpoint_conf { /* [endpoint LABEL]: published by peers that send no greeting */
    char *label;
    char *connection_point; /* label of the admitted peer that serves it */
    int role;
    char *id;
    char **paths;
    char **client_auth;
    int64_t max_request_bytes;
};

struct gateway_conf {
    struct {                         /* [gateway] */
        char *name;                  /* service name */
        int64_t instance, instances; /* 1-based */
        char *certificate, *key;
        char **listen;                                 /* addresses */
        int64_t client_port, tcp_tls_port, https_port; /* 443; 10140, 10124 of the first instance */
        int64_t drain_ms;
    } gateway;
    struct {           /* [clients] */
        char *ca_file; /* roots and intermediates of client certificates */
        int64_t max, max_per_address, rate_per_address;
        int64_t handshake_ms, head_ms, idle_ms, stall_ms;
        int64_t head_bytes, max_streams, stream_window;
        int64_t response_ms;       /* silence of the connection point */
        int64_t hold_ms, hold_max; /* a request waits for a channel: how long, how many */
        int64_t memory;
    } clients;
    struct {           /* [channel] */
        char *ca_file; /* that connection points' certificates chain to */
        int64_t handshake_ms, greeting_ms, keepalive_ms, deadline_ms;
        int64_t max_requests, stream_window, memory;
        int64_t max, rate_per_address; /* connections on the channel ports */
    } channel;
    struct gateway_point_conf *points;
    size_t npoints;
    struct gateway_endpoint_conf *endpoints;
    size_t nendpoints;
    struct cmg_log_conf log;
};

extern const struct cmg_config gateway_config;

#endif
