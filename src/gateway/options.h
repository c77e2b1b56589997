/* SPDX-License-Identifier: MIT */
/* The gateway's configuration, as gateway/options.c's table fills it. */
#ifndef CMG_GATEWAY_OPTIONS_H
#define CMG_GATEWAY_OPTIONS_H

#include "cmg/daemon/options.h"
#include "cmg/daemon/service.h"
#include "cmg/daemon/traffic.h"

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

enum gateway_revocation { REVOCATION_HARD, REVOCATION_SOFT, REVOCATION_OFF };

struct gateway_tenant_conf { /* [tenant LABEL]: a Microsoft Entra tenant */
    char *label;
    bool enabled;
    char *id;       /* GUID */
    char **issuers; /* empty: the two that Microsoft gives a tenant */
    char **audiences;
    char *client_app, *resource; /* for AADAuthInfo */
    char *discovery; /* URL of its OpenID configuration; NULL: Microsoft's for this id */
    char *ca_file;   /* NULL: the system's roots */
    int64_t refresh_ms, timeout_ms;
};

struct gateway_storage_conf { /* [storage LABEL]: an account of Azure Blob storage */
    char *label;
    char *account, *container;
    char *url;        /* of its blob service; NULL: https://ACCOUNT.blob.core.windows.net */
    char *public_url; /* what clients are told; NULL: url */
    char *key_file, *sas_file; /* one of them */
    char *ca_file;             /* NULL: the system's roots */
    int64_t timeout_ms;
};

struct gateway_conf {
    struct {                         /* [gateway] */
        char *name;                  /* service name */
        int64_t instance, instances; /* 1-based */
        char *certificate, *key;
        char **listen;                                 /* addresses */
        int64_t client_port, tcp_tls_port, https_port; /* 443; 10140, 10124 of the first instance */
        int64_t drain_ms, drain_silent_ms;
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
    struct {       /* [revocation]: of client certificates */
        int check; /* enum gateway_revocation */
        char **files;
        bool fetch;
        int64_t refresh_ms, timeout_ms, max_bytes;
    } revocation;
    struct {                 /* [site-tokens] */
        char *hierarchy;     /* GUID; NULL: none are accepted */
        char **certificates; /* of the keys that sign them */
        char *block_list;
        char **bulk_paths;
        int64_t leeway_ms; /* between the clocks, for all tokens */
    } site_tokens;
    struct {                 /* [content] */
        char **issuers;      /* of content tokens; empty: content is not served */
        char **certificates; /* empty: those of [site-tokens] */
        int64_t lifetime_ms, max_requests;
    } content;
    struct {                                                   /* [throttle]; 0: no limit */
        int64_t per_address, per_identity;                     /* requests a second          */
        int64_t failures_per_address, failures_per_credential; /* a minute                */
        int64_t handshakes;                                    /* at one time, all addresses */
    } throttle;
    struct { /* [outbound]: keys, revocation lists, storage */
        char *proxy;
    } outbound;
    struct cmg_traffic_conf traffic;
    struct {                    /* [egress]: bytes that clients are sent in 14 days */
        int64_t threshold;      /* 0: any number */
        int64_t warn, critical; /* percent of it */
        bool stop;              /* when critical */
    } egress;
    struct {           /* [analyze] */
        char *ca_file; /* roots that clients know; NULL: the system's */
    } analyze;
    struct gateway_tenant_conf *tenants;
    size_t ntenants;
    struct gateway_storage_conf *storages;
    size_t nstorages;
    struct gateway_point_conf *points;
    size_t npoints;
    struct gateway_endpoint_conf *endpoints;
    size_t nendpoints;
    struct cmg_log_conf log;
    struct cmg_admin_conf admin;
};

extern const struct cmg_config gateway_config;

#endif
