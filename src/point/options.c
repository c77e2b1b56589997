/* SPDX-License-Identifier: MIT */
#include "point/options.h"

#include <string.h>

#include "cmg/base/str.h"
#include "cmg/channel/plan.h"
#include "cmg/daemon/checks.h"
#include "cmg/daemon/units.h"
#include "cmg/net/dial.h"
#include "cmg/proto/endpoint.h"
#include "point/passport.h"

static const char *const proxy_auths[] = { [CMG_PROXY_AUTH_ANY] = "any",
                                           [CMG_PROXY_AUTH_BASIC] = "basic",
                                           [CMG_PROXY_AUTH_DIGEST] = "digest",
                                           [CMG_PROXY_AUTH_NTLM] = "ntlm",
                                           [CMG_PROXY_AUTH_NEGOTIATE] = "negotiate",
                                           NULL };
static const char *const connections[] = {
    [POINT_POOLED] = "pooled", [POINT_PRIVATE] = "private", NULL
};

/* clang-format off */
static const struct cmg_option point_options[] = {
    { "name", CMG_TEXT(point_conf, point.name),
      .check = cmg_check_name, .example = "cp1.corp.example.com",
      .doc = "Name of this connection point, as in its certificate." },
    { "site", CMG_TEXT(point_conf, point.site),
      .check = cmg_check_site, .example = "PS1",
      .doc = "Code of the Configuration Manager site that it serves." },
    { "certificate", CMG_FILE(point_conf, point.certificate),
      .reload = CMG_LIVE, .example = "connection-point.pem",
      .doc = "The certificate shown to gateways (PEM), followed by its intermediates." },
    { "key", CMG_SECRET(point_conf, point.key),
      .reload = CMG_LIVE, .example = "connection-point.key",
      .doc = "Private key of the certificate (PEM)." },
    { "max-requests", CMG_NUMBER(point_conf, point.max_requests),
      .def = "4096", .min = 64, .max = 65536,
      .doc = "Requests in flight on one channel; the gateway is told, and keeps to it." },
    { "drain", CMG_MILLIS(point_conf, point.drain_ms),
      .def = "30s", .min = 0, .max = 10 * MINUTE, .reload = CMG_LIVE,
      .doc = "How long requests in flight may take to finish when the service stops." },
    { "drain-silent", CMG_MILLIS(point_conf, point.drain_silent_ms),
      .def = "3s", .min = 0, .max = 10 * MINUTE, .reload = CMG_LIVE,
      .doc = "When nothing but requests without an answer for so long keeps the service from "
             "stopping, they are told to come again; long polls would hold it up for minutes." },
    { 0 },
};

static const struct cmg_option log_options[] = {
    CMG_SERVICE_LOG_OPTIONS(point_conf, log),
    { 0 },
};

static const struct cmg_option admin_options[] = {
    CMG_SERVICE_ADMIN_OPTIONS(point_conf, admin, "/run/cmg-connection-point/admin.sock"),
    { 0 },
};

static const struct cmg_option proxy_options[] = {
    { "url", CMG_TEXT(point_conf, proxy.url),
      .def = "", .reload = CMG_LIVE,
      .check = cmg_check_proxy_url, .example = "http://proxy.corp.example.com:3128",
      .doc = "Internet proxy for HTTPS channels, as http://host:port or https://host:port. "
             "TCP-TLS channels never pass a proxy." },
    { "auth", CMG_CHOICE(point_conf, proxy.auth),
      .def = "any", .choices = proxy_auths, .reload = CMG_LIVE,
      .doc = "How to authenticate to the proxy; any is the strongest that it offers." },
    { "user", CMG_TEXT(point_conf, proxy.user),
      .def = "", .reload = CMG_LIVE, .example = "CORP\\svc-cmg",
      .doc = "User at the proxy. Without one, negotiate uses the Kerberos ticket cache." },
    { "password-file", CMG_SECRET(point_conf, proxy.password_file),
      .def = "", .reload = CMG_LIVE, .example = "proxy.password",
      .doc = "File that holds the user's password and nothing else." },
    { "ca-file", CMG_FILE(point_conf, proxy.ca_file),
      .def = "", .reload = CMG_LIVE, .example = "proxy-ca.pem",
      .doc = "What the certificate of an https:// proxy must chain to (PEM); unset: the "
             "system's roots." },
    { "no-proxy", CMG_TEXT(point_conf, proxy.no_proxy),
      .def = "", .reload = CMG_LIVE, .example = "localhost, .corp.example.com",
      .doc = "Hosts and domains that are reached directly, with commas between; * is all." },
    { 0 },
};

static const struct cmg_option channel_options[] = {
    { "connect-timeout", CMG_MILLIS(point_conf, channel.connect_ms),
      .def = "15s", .min = SECOND, .max = 2 * MINUTE, .reload = CMG_LIVE,
      .doc = "For resolving, connecting, passing the proxy and TLS together." },
    { "keepalive", CMG_MILLIS(point_conf, channel.keepalive_ms),
      .def = "15s", .min = SECOND, .max = HOUR, .reload = CMG_LIVE,
      .doc = "How often the other side is asked for a sign of life on an idle channel." },
    { "deadline", CMG_MILLIS(point_conf, channel.deadline_ms),
      .def = "10s", .min = SECOND / 2, .max = 5 * MINUTE, .reload = CMG_LIVE,
      .doc = "A channel whose other side stays silent so long when asked is given up." },
    { "backoff-min", CMG_MILLIS(point_conf, channel.backoff_min_ms),
      .def = "1s", .min = SECOND / 10, .max = MINUTE, .reload = CMG_LIVE,
      .doc = "First wait after a second failure; it doubles up to backoff-max." },
    { "backoff-max", CMG_MILLIS(point_conf, channel.backoff_max_ms),
      .def = "60s", .min = SECOND / 10, .max = HOUR, .reload = CMG_LIVE,
      .doc = "Longest wait between two attempts." },
    { "probe", CMG_MILLIS(point_conf, channel.probe_ms),
      .def = "60s", .min = 0, .max = 24 * HOUR, .reload = CMG_LIVE,
      .doc = "While a channel has fallen back to HTTPS: how often TCP-TLS is tried again "
             "beside it; 0 is never." },
    { "tries", CMG_NUMBER(point_conf, channel.tries),
      .def = "1", .min = 1, .max = 100, .reload = CMG_LIVE,
      .doc = "Failures of TCP-TLS in a row before HTTPS is tried." },
    { "stream-window", CMG_BYTES(point_conf, channel.stream_window),
      .def = "1M", .min = 64 * K, .max = 16 * M, .reload = CMG_LIVE,
      .doc = "Bytes of one request that the gateway may send ahead." },
    { "memory", CMG_BYTES(point_conf, channel.memory),
      .def = "256M", .min = M, .max = 64 * G, .reload = CMG_LIVE,
      .doc = "Ceiling of what is held in memory for requests of one channel." },
    { 0 },
};

static const struct cmg_option cmg_options[] = {
    { "service", CMG_TEXT(point_cmg_conf, service),
      .reload = CMG_LIVE, .check = cmg_check_name, .example = "cmg.example.com",
      .doc = "Service name of the gateway: looked for in its certificate, and dialed." },
    { "address", CMG_TEXT(point_cmg_conf, address),
      .def = "", .reload = CMG_LIVE, .check = cmg_check_host, .example = "203.0.113.10",
      .doc = "Dialed in place of the service name." },
    { "deployment", CMG_CHOICE(point_cmg_conf, deployment),
      .def = "cloud-service", .choices = cmg_deployment_names, .reload = CMG_LIVE,
      .doc = "What the gateway runs on; a scale set is reached by HTTPS only." },
    { "transport", CMG_CHOICE(point_cmg_conf, transport),
      .def = "auto", .choices = cmg_transport_names, .reload = CMG_LIVE,
      .doc = "auto tries TCP-TLS and falls back to HTTPS; the others never fall back." },
    { "instances", CMG_NUMBER(point_cmg_conf, instances),
      .def = "1", .min = 1, .max = CMG_INSTANCES_MAX, .reload = CMG_LIVE,
      .doc = "Instances that the gateway has; a channel is kept to each." },
    { "ca-file", CMG_FILE(point_cmg_conf, ca_file),
      .reload = CMG_LIVE, .example = "gateway-ca.pem",
      .doc = "Roots and intermediates that the gateway's certificate must chain to (PEM)." },
    { "tcp-tls-port", CMG_NUMBER(point_cmg_conf, tcp_tls_port),
      .def = "10140", .min = 1, .max = 65535, .reload = CMG_LIVE,
      .doc = "TCP-TLS port of the first instance; each further one has the next." },
    { "https-port", CMG_NUMBER(point_cmg_conf, https_port),
      .def = "10124", .min = 1, .max = 65535, .reload = CMG_LIVE,
      .doc = "HTTPS port of the first of several instances; each further one has the next." },
    { "https-port-single", CMG_NUMBER(point_cmg_conf, https_port_single),
      .def = "443", .min = 1, .max = 65535, .reload = CMG_LIVE,
      .doc = "HTTPS port of the only instance." },
    { 0 },
};

static const struct cmg_option endpoint_options[] = {
    { "role", CMG_CHOICE(point_endpoint_conf, role),
      .choices = cmg_role_names, .reload = CMG_LIVE, .example = "management-point",
      .doc = "What the endpoint is." },
    { "id", CMG_TEXT(point_endpoint_conf, id),
      .reload = CMG_LIVE, .check = cmg_check_endpoint_id, .example = "72057594037927941",
      .doc = "Its role id: the part of a client's URL that tells endpoints apart." },
    { "url", CMG_TEXT(point_endpoint_conf, url),
      .reload = CMG_LIVE, .check = cmg_check_url, .example = "https://mp1.corp.example.com",
      .doc = "Where it is: http:// or https://, host, and port and path prefix where needed." },
    { "paths", CMG_LIST(point_endpoint_conf, paths),
      .def = "", .min = 0, .max = CMG_ENDPOINT_PATHS_MAX, .reload = CMG_LIVE,
      .check = cmg_check_endpoint_path, .example = "SMS_MP, CCM_System",
      .doc = "What is published of it; unset: the paths of its role." },
    { "client-auth", CMG_LIST(point_endpoint_conf, client_auth),
      .def = "mutual, server", .min = 1, .max = 2, .reload = CMG_LIVE,
      .check = cmg_check_endpoint_auth,
      .doc = "How clients may have authenticated: mutual is by certificate, server by token." },
    { "max-request", CMG_BYTES(point_endpoint_conf, max_request_bytes),
      .def = "128M", .min = 0, .max = 1024 * G, .reload = CMG_LIVE,
      .doc = "Longest body of a request; 0 is no body at all." },
    { "connect-timeout", CMG_MILLIS(point_endpoint_conf, connect_ms),
      .def = "10s", .min = SECOND, .max = 2 * MINUTE, .reload = CMG_LIVE,
      .doc = "For resolving, connecting and TLS together." },
    { "response-timeout", CMG_MILLIS(point_endpoint_conf, response_ms),
      .def = "20m", .min = SECOND, .max = 24 * HOUR, .reload = CMG_LIVE,
      .doc = "Longest silence of the endpoint, before and in a response." },
    { "idle-timeout", CMG_MILLIS(point_endpoint_conf, idle_ms),
      .def = "50s", .min = 0, .max = HOUR, .reload = CMG_LIVE,
      .doc = "How long an unused connection is kept; less than the endpoint keeps it." },
    { "max-connections", CMG_NUMBER(point_endpoint_conf, max_connections),
      .def = "1024", .min = 1, .max = 16000, .reload = CMG_LIVE,
      .doc = "Connections to it at one time; further requests wait." },
    { "connections", CMG_CHOICE(point_endpoint_conf, connections),
      .def = "pooled", .choices = connections, .reload = CMG_LIVE,
      .doc = "pooled: kept and shared by clients; private: kept for the client that used it "
             "first, for endpoints that authenticate connections (NTLM, Negotiate)." },
    { "ca-file", CMG_FILE(point_endpoint_conf, ca_file),
      .def = "", .reload = CMG_LIVE, .example = "corp-ca.pem",
      .doc = "What its certificate must chain to (PEM); unset: the system's roots." },
    { "certificate", CMG_FILE(point_endpoint_conf, certificate),
      .def = "", .reload = CMG_LIVE, .example = "mp-client.pem",
      .doc = "Client certificate to show it (PEM)." },
    { "key", CMG_SECRET(point_endpoint_conf, key),
      .def = "", .reload = CMG_LIVE, .example = "mp-client.key",
      .doc = "Private key of that certificate (PEM)." },
    { "pass-identity", CMG_LIST(point_endpoint_conf, pass_identity),
      .def = "", .min = 0, .max = PASSPORT_MAX, .reload = CMG_LIVE,
      .check = passport_check, .example = "client-cert, X-Client-Name=name",
      .doc = "What it is told of the client that the gateway identified. client-cert: the client's "
             "certificate, in the field Client-Cert (RFC 9440). HEADER=ATTRIBUTE: a field of that "
             "name; attributes are name, id, how, kind, tenant, sha256, since, until, and text, "
             "which is all of them. What clients send under these names is dropped." },
    { 0 },
};

static const struct cmg_option traffic_options[] = {
    CMG_TRAFFIC_OPTIONS(point_conf, traffic),
    { 0 },
};

static const struct cmg_section sections[] = {
    { "connection-point", .options = point_options,
      .doc = "This connection point." },
    { "log", .options = log_options,
      .doc = "What is logged, and where." },
    { "admin", .options = admin_options,
      .doc = "The administrator's door." },
    { "traffic", .options = traffic_options,
      .doc = "The traffic report." },
    { "proxy", .options = proxy_options,
      .doc = "The proxy between here and the gateways, if there is one." },
    { "channel", .options = channel_options,
      .doc = "The channels to the gateways." },
    { "cmg", .named = true, .example = "main", .min = 1, .max = 16,
      .array = offsetof(struct point_conf, cmgs), .count = offsetof(struct point_conf, ncmgs),
      .size = sizeof(struct point_cmg_conf), .label = offsetof(struct point_cmg_conf, label),
      .options = cmg_options,
      .doc = "A cloud management gateway." },
    { "endpoint", .named = true, .example = "mp1", .min = 1, .max = CMG_ENDPOINTS_MAX,
      .array = offsetof(struct point_conf, endpoints),
      .count = offsetof(struct point_conf, nendpoints),
      .size = sizeof(struct point_endpoint_conf),
      .label = offsetof(struct point_endpoint_conf, label),
      .options = endpoint_options,
      .doc = "A site system that clients reach through the gateways." },
    { 0 },
};
/* clang-format on */

static enum cmg_rc check_proxy(const struct point_conf *c, struct cmg_err *err)
{
    if (c->proxy.password_file && !c->proxy.user)
        return cmg_fail(err, CMG_ECONF, "[proxy] password-file: user must be set as well");
    return CMG_OK;
}

static enum cmg_rc check_channel(const struct point_conf *c, struct cmg_err *err)
{
    if (c->channel.backoff_min_ms > c->channel.backoff_max_ms)
        return cmg_fail(err, CMG_ECONF, "[channel] backoff-min: longer than backoff-max");
    return CMG_OK;
}

static enum cmg_rc check_cmg(const struct point_cmg_conf *c, struct cmg_err *err)
{
    if (c->transport == CMG_TRANSPORT_TCP_TLS && c->deployment == CMG_DEPLOYMENT_SCALE_SET)
        return cmg_fail(err, CMG_ECONF,
                        "[cmg %s] transport = tcp-tls: a scale set has no TCP-TLS; allowed with "
                        "deployment = scale-set: auto, https",
                        c->label);
    if (c->tcp_tls_port + c->instances - 1 > 65535 || c->https_port + c->instances - 1 > 65535)
        return cmg_fail(err, CMG_ECONF,
                        "[cmg %s] instances: the last instance's port would be above 65535",
                        c->label);
    return CMG_OK;
}

/* What no single item can know: that two of them are one field. */
static enum cmg_rc check_passport(const struct point_endpoint_conf *e, struct cmg_err *err)
{
    struct passport p;
    struct cmg_err why;
    if (passport_read(e->pass_identity, &p, &why) != CMG_OK)
        return cmg_fail(err, CMG_ECONF, "[endpoint %s] pass-identity: %s", e->label, why.text);
    passport_clear(&p);
    return CMG_OK;
}

static enum cmg_rc check_endpoint(const struct point_conf *c, size_t i, struct cmg_err *err)
{
    const struct point_endpoint_conf *e = &c->endpoints[i];
    if (e->certificate && !e->key)
        return cmg_fail(err, CMG_ECONF, "[endpoint %s] key: must be set, as certificate is",
                        e->label);
    if (e->key && !e->certificate)
        return cmg_fail(err, CMG_ECONF, "[endpoint %s] certificate: must be set, as key is",
                        e->label);
    for (size_t k = 0; k < i; k++)
        if (cmg_str_ieq(cmg_str(c->endpoints[k].id), cmg_str(e->id)))
            return cmg_fail(err, CMG_ECONF,
                            "[endpoint %s] id = %s: [endpoint %s] has it already (case does not "
                            "count)",
                            e->label, e->id, c->endpoints[k].label);
    return check_passport(e, err);
}

static enum cmg_rc check(const void *conf, struct cmg_err *err)
{
    const struct point_conf *c = conf;
    enum cmg_rc rc = check_proxy(c, err);
    if (rc == CMG_OK)
        rc = check_channel(c, err);
    for (size_t i = 0; rc == CMG_OK && i < c->ncmgs; i++)
        rc = check_cmg(&c->cmgs[i], err);
    for (size_t i = 0; rc == CMG_OK && i < c->nendpoints; i++)
        rc = check_endpoint(c, i, err);
    return rc;
}

const struct cmg_config point_config = { sections, sizeof(struct point_conf), check };
