/* SPDX-License-Identifier: MIT */
#include "gateway/options.h"

#include <string.h>

#include "cmg/base/str.h"
#include "cmg/channel/plan.h"
#include "cmg/daemon/checks.h"
#include "cmg/daemon/units.h"
#include "cmg/proto/endpoint.h"

enum { POINTS_MAX = 256, ADDRESSES_MAX = 16 };

/* clang-format off */
static const struct cmg_option gateway_options[] = {
    { "name", CMG_TEXT(gateway_conf, gateway.name),
      .check = cmg_check_name, .example = "cmg.example.com",
      .doc = "Service name of this gateway, as in its certificate." },
    { "instance", CMG_NUMBER(gateway_conf, gateway.instance),
      .def = "1", .min = 1, .max = CMG_INSTANCES_MAX,
      .doc = "Which of the instances of the service this one is." },
    { "instances", CMG_NUMBER(gateway_conf, gateway.instances),
      .def = "1", .min = 1, .max = CMG_INSTANCES_MAX,
      .doc = "Instances that the service has." },
    { "certificate", CMG_FILE(gateway_conf, gateway.certificate),
      .reload = CMG_LIVE, .example = "gateway.pem",
      .doc = "The certificate shown to clients and connection points (PEM), followed by its "
             "intermediates." },
    { "key", CMG_SECRET(gateway_conf, gateway.key),
      .reload = CMG_LIVE, .example = "gateway.key",
      .doc = "Private key of the certificate (PEM)." },
    { "listen", CMG_LIST(gateway_conf, gateway.listen),
      .def = "0.0.0.0", .min = 1, .max = ADDRESSES_MAX, .check = cmg_check_address,
      .doc = "Addresses to listen on; 0.0.0.0 is all of IPv4, :: all of IPv6." },
    { "client-port", CMG_NUMBER(gateway_conf, gateway.client_port),
      .def = "443", .min = 1, .max = 65535,
      .doc = "Port that clients come to." },
    { "tcp-tls-port", CMG_NUMBER(gateway_conf, gateway.tcp_tls_port),
      .def = "10140", .min = 1, .max = 65535,
      .doc = "Port of the first instance for channels by TCP-TLS; that of this one is "
             "tcp-tls-port + instance - 1." },
    { "https-port", CMG_NUMBER(gateway_conf, gateway.https_port),
      .def = "10124", .min = 1, .max = 65535,
      .doc = "Port of the first instance for channels by HTTPS; that of this one is "
             "https-port + instance - 1." },
    { "drain", CMG_MILLIS(gateway_conf, gateway.drain_ms),
      .def = "30s", .min = 0, .max = 10 * MINUTE, .reload = CMG_LIVE,
      .doc = "How long requests in flight may take to finish when the service stops." },
    { 0 },
};

static const struct cmg_option log_options[] = {
    CMG_SERVICE_LOG_OPTIONS(gateway_conf, log),
    { 0 },
};

static const struct cmg_option clients_options[] = {
    { "ca-file", CMG_FILE(gateway_conf, clients.ca_file),
      .reload = CMG_LIVE, .example = "clients-ca.pem",
      .doc = "Roots and intermediates that client certificates must chain to (PEM)." },
    { "max", CMG_NUMBER(gateway_conf, clients.max),
      .def = "20000", .min = 1, .max = 1000000, .reload = CMG_LIVE,
      .doc = "Client connections at one time." },
    { "max-per-address", CMG_NUMBER(gateway_conf, clients.max_per_address),
      .def = "1000", .min = 1, .max = 1000000, .reload = CMG_LIVE,
      .doc = "Client connections at one time from one address." },
    { "rate-per-address", CMG_NUMBER(gateway_conf, clients.rate_per_address),
      .def = "200", .min = 0, .max = 100000, .reload = CMG_LIVE,
      .doc = "New client connections a second from one address; 0 is any number." },
    { "handshake-timeout", CMG_MILLIS(gateway_conf, clients.handshake_ms),
      .def = "10s", .min = SECOND, .max = 2 * MINUTE, .reload = CMG_LIVE,
      .doc = "For a client's TLS handshake." },
    { "head-timeout", CMG_MILLIS(gateway_conf, clients.head_ms),
      .def = "15s", .min = SECOND, .max = 5 * MINUTE, .reload = CMG_LIVE,
      .doc = "From the first to the last byte of a request's head." },
    { "idle-timeout", CMG_MILLIS(gateway_conf, clients.idle_ms),
      .def = "2m", .min = SECOND, .max = HOUR, .reload = CMG_LIVE,
      .doc = "How long a connection without a request is kept." },
    { "stall-timeout", CMG_MILLIS(gateway_conf, clients.stall_ms),
      .def = "60s", .min = SECOND, .max = HOUR, .reload = CMG_LIVE,
      .doc = "A client that neither sends the rest of a request nor takes a response for so "
             "long is dropped." },
    { "max-head", CMG_BYTES(gateway_conf, clients.head_bytes),
      .def = "64K", .min = 4 * K, .max = M, .reload = CMG_LIVE,
      .doc = "Longest head of a request." },
    { "max-streams", CMG_NUMBER(gateway_conf, clients.max_streams),
      .def = "128", .min = 1, .max = 1000, .reload = CMG_LIVE,
      .doc = "Requests in flight on one HTTP/2 connection." },
    { "stream-window", CMG_BYTES(gateway_conf, clients.stream_window),
      .def = "256K", .min = 64 * K, .max = 16 * M, .reload = CMG_LIVE,
      .doc = "Bytes of one request that a client may send ahead by HTTP/2." },
    { "response-timeout", CMG_MILLIS(gateway_conf, clients.response_ms),
      .def = "20m", .min = SECOND, .max = 24 * HOUR, .reload = CMG_LIVE,
      .doc = "Longest silence of the connection point, before and in a response." },
    { "hold-timeout", CMG_MILLIS(gateway_conf, clients.hold_ms),
      .def = "5s", .min = 0, .max = 5 * MINUTE, .reload = CMG_LIVE,
      .doc = "How long a request for a published endpoint waits while no channel to it is up, "
             "before it is answered 503." },
    { "hold-max", CMG_NUMBER(gateway_conf, clients.hold_max),
      .def = "1000", .min = 0, .max = 100000, .reload = CMG_LIVE,
      .doc = "How many requests may wait so at one time." },
    { "memory", CMG_BYTES(gateway_conf, clients.memory),
      .def = "4M", .min = 256 * K, .max = G, .reload = CMG_LIVE,
      .doc = "Ceiling of what is held in memory for requests of one HTTP/2 connection." },
    { 0 },
};

static const struct cmg_option channel_options[] = {
    { "ca-file", CMG_FILE(gateway_conf, channel.ca_file),
      .reload = CMG_LIVE, .example = "connection-points-ca.pem",
      .doc = "Roots and intermediates that connection points' certificates must chain to "
             "(PEM)." },
    { "handshake-timeout", CMG_MILLIS(gateway_conf, channel.handshake_ms),
      .def = "10s", .min = SECOND, .max = 2 * MINUTE, .reload = CMG_LIVE,
      .doc = "For a connection point's TLS handshake." },
    { "greeting-timeout", CMG_MILLIS(gateway_conf, channel.greeting_ms),
      .def = "10s", .min = SECOND, .max = 2 * MINUTE, .reload = CMG_LIVE,
      .doc = "For a connection point to say what it publishes." },
    { "keepalive", CMG_MILLIS(gateway_conf, channel.keepalive_ms),
      .def = "15s", .min = SECOND, .max = HOUR, .reload = CMG_LIVE,
      .doc = "How often the other side is asked for a sign of life on an idle channel." },
    { "deadline", CMG_MILLIS(gateway_conf, channel.deadline_ms),
      .def = "10s", .min = SECOND / 2, .max = 5 * MINUTE, .reload = CMG_LIVE,
      .doc = "A channel whose other side stays silent so long when asked is given up." },
    { "max-requests", CMG_NUMBER(gateway_conf, channel.max_requests),
      .def = "4096", .min = 64, .max = 65536, .reload = CMG_LIVE,
      .doc = "Requests in flight on one channel, if its connection point allows as many." },
    { "stream-window", CMG_BYTES(gateway_conf, channel.stream_window),
      .def = "1M", .min = 64 * K, .max = 16 * M, .reload = CMG_LIVE,
      .doc = "Bytes of one response that a connection point may send ahead." },
    { "memory", CMG_BYTES(gateway_conf, channel.memory),
      .def = "256M", .min = M, .max = 64 * G, .reload = CMG_LIVE,
      .doc = "Ceiling of what is held in memory for responses of one channel." },
    { "max", CMG_NUMBER(gateway_conf, channel.max),
      .def = "256", .min = 1, .max = 10000, .reload = CMG_LIVE,
      .doc = "Connections to the channel ports at one time." },
    { "rate-per-address", CMG_NUMBER(gateway_conf, channel.rate_per_address),
      .def = "50", .min = 0, .max = 100000, .reload = CMG_LIVE,
      .doc = "New connections a second from one address to the channel ports; 0 is any "
             "number." },
    { 0 },
};

static const struct cmg_option point_options[] = {
    { "name", CMG_TEXT(gateway_point_conf, name),
      .def = "", .reload = CMG_LIVE, .check = cmg_check_name, .example = "cp1.corp.example.com",
      .doc = "Its name, as in its certificate: a DNS name of the subject's alternative names, "
             "else the common name; unset: the label." },
    { "site", CMG_TEXT(gateway_point_conf, site),
      .reload = CMG_LIVE, .check = cmg_check_site, .example = "PS1",
      .doc = "Code of the Configuration Manager site that it serves." },
    { 0 },
};

static const struct cmg_option endpoint_options[] = {
    { "connection-point", CMG_TEXT(gateway_endpoint_conf, connection_point),
      .reload = CMG_LIVE, .example = "cp1",
      .doc = "Label of the [connection-point] that serves it." },
    { "role", CMG_CHOICE(gateway_endpoint_conf, role),
      .choices = cmg_role_names, .reload = CMG_LIVE, .example = "management-point",
      .doc = "What the endpoint is." },
    { "id", CMG_TEXT(gateway_endpoint_conf, id),
      .reload = CMG_LIVE, .check = cmg_check_endpoint_id, .example = "72057594037927941",
      .doc = "Its role id: the part of a client's URL that tells endpoints apart." },
    { "paths", CMG_LIST(gateway_endpoint_conf, paths),
      .def = "", .min = 0, .max = CMG_ENDPOINT_PATHS_MAX, .reload = CMG_LIVE,
      .check = cmg_check_endpoint_path, .example = "SMS_MP, CCM_System",
      .doc = "What is published of it; unset: the paths of its role." },
    { "client-auth", CMG_LIST(gateway_endpoint_conf, client_auth),
      .def = "mutual, server", .min = 1, .max = 2, .reload = CMG_LIVE,
      .check = cmg_check_endpoint_auth,
      .doc = "How clients must authenticate: mutual is by certificate, server by token." },
    { "max-request", CMG_BYTES(gateway_endpoint_conf, max_request_bytes),
      .def = "128M", .min = 0, .max = 1024 * G, .reload = CMG_LIVE,
      .doc = "Longest body of a request; 0 is no body at all." },
    { 0 },
};

static const struct cmg_section sections[] = {
    { "gateway", .options = gateway_options,
      .doc = "This gateway instance." },
    { "log", .options = log_options,
      .doc = "What is logged, and where." },
    { "clients", .options = clients_options,
      .doc = "Configuration Manager clients on the internet." },
    { "channel", .options = channel_options,
      .doc = "The channels that connection points open to this gateway." },
    { "connection-point", .named = true, .example = "cp1", .min = 0, .max = POINTS_MAX,
      .array = offsetof(struct gateway_conf, points),
      .count = offsetof(struct gateway_conf, npoints),
      .size = sizeof(struct gateway_point_conf),
      .label = offsetof(struct gateway_point_conf, label),
      .options = point_options,
      .doc = "A connection point that is admitted; all others are refused." },
    { "endpoint", .named = true, .example = "mp1", .min = 0, .max = CMG_ENDPOINTS_MAX,
      .array = offsetof(struct gateway_conf, endpoints),
      .count = offsetof(struct gateway_conf, nendpoints),
      .size = sizeof(struct gateway_endpoint_conf),
      .label = offsetof(struct gateway_endpoint_conf, label),
      .options = endpoint_options,
      .doc = "What a connection point serves that does not say so itself, such as a HAProxy; "
             "others need no such section." },
    { 0 },
};
/* clang-format on */

static enum cmg_rc check_ports(const struct gateway_conf *c, struct cmg_err *err)
{
    int64_t further = c->gateway.instance - 1;
    int64_t tcp_tls = c->gateway.tcp_tls_port + further, https = c->gateway.https_port + further;
    if (tcp_tls > 65535 || https > 65535)
        return cmg_fail(err, CMG_ECONF, "[gateway] instance: its channel ports are above 65535");
    if (tcp_tls == https)
        return cmg_fail(err, CMG_ECONF, "[gateway] https-port: the same as tcp-tls-port");
    if (c->gateway.client_port == tcp_tls || c->gateway.client_port == https)
        return cmg_fail(err, CMG_ECONF, "[gateway] client-port: a channel port of this instance");
    return CMG_OK;
}

static const char *name_of(const struct gateway_point_conf *p)
{
    return p->name ? p->name : p->label;
}

static enum cmg_rc check_point(const struct gateway_conf *c, size_t i, struct cmg_err *err)
{
    const struct gateway_point_conf *p = &c->points[i];
    for (size_t k = 0; k < i; k++)
        if (cmg_str_ieq(cmg_str(name_of(&c->points[k])), cmg_str(name_of(p))))
            return cmg_fail(err, CMG_ECONF,
                            "[connection-point %s] name: [connection-point %s] has it already",
                            p->label, c->points[k].label);
    return CMG_OK;
}

static bool admitted(const struct gateway_conf *c, const char *label)
{
    for (size_t i = 0; i < c->npoints; i++)
        if (!strcmp(c->points[i].label, label))
            return true;
    return false;
}

static enum cmg_rc check_endpoint(const struct gateway_conf *c, size_t i, struct cmg_err *err)
{
    const struct gateway_endpoint_conf *e = &c->endpoints[i];
    if (!admitted(c, e->connection_point))
        return cmg_fail(err, CMG_ECONF,
                        "[endpoint %s] connection-point = %.40s: there is no such section "
                        "[connection-point LABEL]",
                        e->label, e->connection_point);
    for (size_t k = 0; k < i; k++)
        if (!strcmp(c->endpoints[k].connection_point, e->connection_point) &&
            cmg_str_ieq(cmg_str(c->endpoints[k].id), cmg_str(e->id)))
            return cmg_fail(err, CMG_ECONF,
                            "[endpoint %s] id = %s: [endpoint %s] has it already (case does not "
                            "count)",
                            e->label, e->id, c->endpoints[k].label);
    return CMG_OK;
}

static enum cmg_rc check(const void *conf, struct cmg_err *err)
{
    const struct gateway_conf *c = conf;
    if (c->gateway.instance > c->gateway.instances)
        return cmg_fail(err, CMG_ECONF, "[gateway] instance = %d: there are only %d instances",
                        (int)c->gateway.instance, (int)c->gateway.instances);
    enum cmg_rc rc = check_ports(c, err);
    for (size_t i = 0; rc == CMG_OK && i < c->npoints; i++)
        rc = check_point(c, i, err);
    for (size_t i = 0; rc == CMG_OK && i < c->nendpoints; i++)
        rc = check_endpoint(c, i, err);
    return rc;
}

const struct cmg_config gateway_config = { sections, sizeof(struct gateway_conf), check };
