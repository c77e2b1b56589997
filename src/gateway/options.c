/* SPDX-License-Identifier: MIT */
#include "gateway/options.h"

#include <string.h>

#include "cmg/base/str.h"
#include "cmg/channel/plan.h"
#include "cmg/daemon/checks.h"
#include "cmg/daemon/units.h"
#include "cmg/proto/endpoint.h"

enum {
    POINTS_MAX = 256,
    ADDRESSES_MAX = 16,
    TENANTS_MAX = 64,
    STORAGES_MAX = 16,
    FILES_MAX = 32,
    NAMES_MAX = 16
};

static const char *const revocation_checks[] = {
    [REVOCATION_HARD] = "hard", [REVOCATION_SOFT] = "soft", [REVOCATION_OFF] = "off", NULL
};

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
    { "drain-silent", CMG_MILLIS(gateway_conf, gateway.drain_silent_ms),
      .def = "3s", .min = 0, .max = 10 * MINUTE, .reload = CMG_LIVE,
      .doc = "When nothing but requests without an answer for so long keeps the service from "
             "stopping, they are told to come again; long polls would hold it up for minutes." },
    { 0 },
};

static const struct cmg_option log_options[] = {
    CMG_SERVICE_LOG_OPTIONS(gateway_conf, log),
    { 0 },
};

static const struct cmg_option admin_options[] = {
    CMG_SERVICE_ADMIN_OPTIONS(gateway_conf, admin, "/run/cmg-gateway/admin.sock"),
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

static const struct cmg_option revocation_options[] = {
    { "check", CMG_CHOICE(gateway_conf, revocation.check),
      .def = "hard", .choices = revocation_checks, .reload = CMG_LIVE,
      .doc = "What happens to a client certificate when there is no current revocation list of "
             "one of its issuers: hard refuses it, soft admits it and logs that. What is on a list "
             "is refused with both; off looks at no list." },
    { "files", CMG_FILES(gateway_conf, revocation.files),
      .def = "", .min = 0, .max = FILES_MAX, .reload = CMG_LIVE, .example = "clients-ca.crl",
      .doc = "Revocation lists (PEM or DER). A changed file is noticed within seconds." },
    { "fetch", CMG_BOOL(gateway_conf, revocation.fetch),
      .def = "yes", .reload = CMG_LIVE,
      .doc = "Also fetch lists from the http distribution points that certificates name." },
    { "refresh", CMG_MILLIS(gateway_conf, revocation.refresh_ms),
      .def = "1h", .min = SECOND, .max = 7 * 24 * HOUR, .reload = CMG_LIVE,
      .doc = "How old a fetched list may become before it is fetched again; it is fetched again "
             "before its next update in any case." },
    { "timeout", CMG_MILLIS(gateway_conf, revocation.timeout_ms),
      .def = "10s", .min = SECOND, .max = 2 * MINUTE, .reload = CMG_LIVE,
      .doc = "For fetching one list. The first client of an issuer waits for it." },
    { "max-size", CMG_BYTES(gateway_conf, revocation.max_bytes),
      .def = "16M", .min = 4 * K, .max = 256 * M, .reload = CMG_LIVE,
      .doc = "Longest list that is taken." },
    { 0 },
};

static const struct cmg_option tenant_options[] = {
    { "enabled", CMG_BOOL(gateway_tenant_conf, enabled),
      .def = "yes", .reload = CMG_LIVE,
      .doc = "no refuses its tokens, and says so." },
    { "id", CMG_TEXT(gateway_tenant_conf, id),
      .reload = CMG_LIVE, .check = cmg_check_guid,
      .example = "4a5e0f0c-3b7e-4d0e-9a52-0c1f6d1e8b11",
      .doc = "Tenant id." },
    { "audiences", CMG_LIST(gateway_tenant_conf, audiences),
      .def = "https://ConfigMgrService", .min = 1, .max = NAMES_MAX, .reload = CMG_LIVE,
      .check = cmg_check_uri,
      .doc = "Whom its tokens must be for: the application id URI of the server application, and "
             "the application's id where tokens have that." },
    { "issuers", CMG_LIST(gateway_tenant_conf, issuers),
      .def = "", .min = 0, .max = NAMES_MAX, .reload = CMG_LIVE, .check = cmg_check_uri,
      .doc = "Who issues its tokens, byte for byte; unset: https://sts.windows.net/ID/ and "
             "https://login.microsoftonline.com/ID/v2.0." },
    { "client-app", CMG_TEXT(gateway_tenant_conf, client_app),
      .def = "", .reload = CMG_LIVE, .check = cmg_check_guid,
      .example = "0b7e6d8e-6c0c-4b8e-8f0e-9d4d9a1f2c33",
      .doc = "Application id of the client application, which clients are told (AADAuthInfo)." },
    { "resource", CMG_TEXT(gateway_tenant_conf, resource),
      .def = "", .reload = CMG_LIVE, .check = cmg_check_uri,
      .doc = "Application id URI that clients are told; unset: the first audience." },
    { "discovery", CMG_TEXT(gateway_tenant_conf, discovery),
      .def = "", .reload = CMG_LIVE, .check = cmg_check_url,
      .doc = "URL of its OpenID configuration; unset: "
             "https://login.microsoftonline.com/ID/v2.0/.well-known/openid-configuration." },
    { "ca-file", CMG_FILE(gateway_tenant_conf, ca_file),
      .def = "", .reload = CMG_LIVE,
      .doc = "Roots for that URL and for its keys' (PEM); unset: the system's." },
    { "refresh", CMG_MILLIS(gateway_tenant_conf, refresh_ms),
      .def = "12h", .min = SECOND, .max = 7 * 24 * HOUR, .reload = CMG_LIVE,
      .doc = "How often its keys are fetched. They are also fetched when a token names an unknown "
             "one, at most once a minute." },
    { "timeout", CMG_MILLIS(gateway_tenant_conf, timeout_ms),
      .def = "5s", .min = SECOND, .max = MINUTE, .reload = CMG_LIVE,
      .doc = "For fetching its keys." },
    { 0 },
};

static const struct cmg_option site_tokens_options[] = {
    { "hierarchy", CMG_TEXT(gateway_conf, site_tokens.hierarchy),
      .def = "", .reload = CMG_LIVE, .check = cmg_check_guid,
      .example = "6d6e8a34-1f2c-4f6e-9b1d-2f5f0c8a7e10",
      .doc = "GUID of the hierarchy whose tokens are accepted; unset: no site tokens." },
    { "certificates", CMG_FILES(gateway_conf, site_tokens.certificates),
      .def = "", .min = 0, .max = FILES_MAX, .reload = CMG_LIVE, .example = "site-token.pem",
      .doc = "Certificates of the keys that sign them (PEM): during a change the old one and the "
             "new one. A changed file is noticed within seconds." },
    { "block-list", CMG_FILE(gateway_conf, site_tokens.block_list),
      .def = "", .reload = CMG_LIVE, .example = "blocked",
      .doc = "GUIDs of tokens and clients that are refused, one a line; `cmgctl token block` "
             "writes it. A change is noticed within seconds." },
    { "bulk-paths", CMG_LIST(gateway_conf, site_tokens.bulk_paths),
      .def = "CCM_STS, CCM_System_TokenAuth, SMS_MP, CCM_Client", .min = 0,
      .max = CMG_ENDPOINT_PATHS_MAX, .reload = CMG_LIVE, .check = cmg_check_endpoint_path,
      .doc = "What a bulk registration token opens behind a role id." },
    { "leeway", CMG_MILLIS(gateway_conf, site_tokens.leeway_ms),
      .def = "1m", .min = 0, .max = 10 * MINUTE, .reload = CMG_LIVE,
      .doc = "How far clocks may differ, for tokens of all kinds." },
    { 0 },
};

static const struct cmg_option content_options[] = {
    { "issuers", CMG_LIST(gateway_conf, content.issuers),
      .def = "", .min = 0, .max = NAMES_MAX, .reload = CMG_LIVE, .check = cmg_check_name,
      .example = "mp1.corp.example.com",
      .doc = "Who issues content tokens (iss); unset: content is not served." },
    { "certificates", CMG_FILES(gateway_conf, content.certificates),
      .def = "", .min = 0, .max = FILES_MAX, .reload = CMG_LIVE, .example = "site-token.pem",
      .doc = "Certificates of the keys that sign them (PEM, RSA); unset: those of [site-tokens]. A "
             "changed file is noticed within seconds." },
    { "max-lifetime", CMG_MILLIS(gateway_conf, content.lifetime_ms),
      .def = "24h", .min = MINUTE, .max = 7 * 24 * HOUR, .reload = CMG_LIVE,
      .doc = "Longest time from start to end of a content token." },
    { "max-requests", CMG_NUMBER(gateway_conf, content.max_requests),
      .def = "256", .min = 1, .max = 10000, .reload = CMG_LIVE,
      .doc = "Content requests that may wait for storage at one time." },
    { 0 },
};

static const struct cmg_option storage_options[] = {
    { "account", CMG_TEXT(gateway_storage_conf, account),
      .reload = CMG_LIVE, .check = cmg_check_storage_account, .example = "contosocontent",
      .doc = "Name of the account." },
    { "container", CMG_TEXT(gateway_storage_conf, container),
      .def = "content", .reload = CMG_LIVE, .check = cmg_check_storage_container,
      .doc = "Container that content was published to." },
    { "key-file", CMG_SECRET(gateway_storage_conf, key_file),
      .def = "", .reload = CMG_LIVE, .example = "storage.key",
      .doc = "Shared key of the account (base64). This or sas-file must be set. A changed file is "
             "noticed within seconds." },
    { "sas-file", CMG_SECRET(gateway_storage_conf, sas_file),
      .def = "", .reload = CMG_LIVE,
      .doc = "A shared access signature for the container instead, with read and list only. "
             "Clients are given it as it is, so it serves only tokens that end after it does." },
    { "url", CMG_TEXT(gateway_storage_conf, url),
      .def = "", .reload = CMG_LIVE, .check = cmg_check_url,
      .doc = "Blob service of the account; unset: https://ACCOUNT.blob.core.windows.net." },
    { "public-url", CMG_TEXT(gateway_storage_conf, public_url),
      .def = "", .reload = CMG_LIVE, .check = cmg_check_url,
      .doc = "The same as clients reach it; unset: url." },
    { "ca-file", CMG_FILE(gateway_storage_conf, ca_file),
      .def = "", .reload = CMG_LIVE,
      .doc = "Roots for that URL (PEM); unset: the system's." },
    { "timeout", CMG_MILLIS(gateway_storage_conf, timeout_ms),
      .def = "10s", .min = SECOND, .max = 2 * MINUTE, .reload = CMG_LIVE,
      .doc = "For the account to answer." },
    { 0 },
};

static const struct cmg_option throttle_options[] = {
    { "requests-per-address", CMG_NUMBER(gateway_conf, throttle.per_address),
      .def = "2000", .min = 0, .max = 1000000, .reload = CMG_LIVE,
      .doc = "Requests a second from one address, with a burst of twice that; 0 is any number. Many "
             "clients may share an address." },
    { "requests-per-identity", CMG_NUMBER(gateway_conf, throttle.per_identity),
      .def = "200", .min = 0, .max = 1000000, .reload = CMG_LIVE,
      .doc = "Requests a second of one client, with a burst of twice that; 0 is any number." },
    { "failures-per-address", CMG_NUMBER(gateway_conf, throttle.failures_per_address),
      .def = "300", .min = 0, .max = 1000000, .reload = CMG_LIVE,
      .doc = "Requests a minute from one address whose client did not prove who it is; what comes "
             "beyond is refused unseen. 0 is any number." },
    { "failures-per-credential", CMG_NUMBER(gateway_conf, throttle.failures_per_credential),
      .def = "20", .min = 0, .max = 1000000, .reload = CMG_LIVE,
      .doc = "The same for one token or certificate, whatever address it comes from." },
    { "handshakes", CMG_NUMBER(gateway_conf, throttle.handshakes),
      .def = "1000", .min = 1, .max = 1000000, .reload = CMG_LIVE,
      .doc = "TLS handshakes of clients that may be under way at one time; further connections "
             "wait until one has ended." },
    { 0 },
};

static const struct cmg_option outbound_options[] = {
    { "proxy", CMG_TEXT(gateway_conf, outbound.proxy),
      .def = "", .reload = CMG_LIVE, .check = cmg_check_proxy_url,
      .example = "http://proxy.example.com:3128",
      .doc = "Proxy for fetching keys and revocation lists and for storage; unset: none." },
    { 0 },
};

static const struct cmg_option traffic_options[] = {
    CMG_TRAFFIC_OPTIONS(gateway_conf, traffic),
    { 0 },
};

static const struct cmg_option egress_options[] = {
    { "threshold", CMG_BYTES(gateway_conf, egress.threshold),
      .def = "0", .min = 0, .max = 1024 * 1024 * G, .reload = CMG_LIVE, .example = "2000G",
      .doc = "Bytes that may be sent to clients in 14 days; 0 is any number. Content does not "
             "count, clients get it from storage." },
    { "warn", CMG_NUMBER(gateway_conf, egress.warn),
      .def = "50", .min = 1, .max = 1000, .reload = CMG_LIVE,
      .doc = "Percent of it at which the event egress.warning is logged." },
    { "critical", CMG_NUMBER(gateway_conf, egress.critical),
      .def = "90", .min = 1, .max = 1000, .reload = CMG_LIVE,
      .doc = "Percent of it at which egress.critical is logged." },
    { "stop", CMG_BOOL(gateway_conf, egress.stop),
      .def = "no", .reload = CMG_LIVE,
      .doc = "Refuse clients (503 CMGService_Egress_Limit) from then on, until enough days have "
             "passed or the threshold is raised." },
    { 0 },
};

static const struct cmg_option analyze_options[] = {
    { "ca-file", CMG_FILE(gateway_conf, analyze.ca_file),
      .def = "", .reload = CMG_LIVE, .example = "server-ca.pem",
      .doc = "Roots by which clients verify this gateway's certificate (PEM), for cmgctl analyze; "
             "unset: the system's." },
    { 0 },
};

static const struct cmg_section sections[] = {
    { "gateway", .options = gateway_options,
      .doc = "This gateway instance." },
    { "log", .options = log_options,
      .doc = "What is logged, and where." },
    { "admin", .options = admin_options,
      .doc = "The administrator's door." },
    { "clients", .options = clients_options,
      .doc = "Configuration Manager clients on the internet." },
    { "channel", .options = channel_options,
      .doc = "The channels that connection points open to this gateway." },
    { "revocation", .options = revocation_options,
      .doc = "Revocation of client certificates." },
    { "tenant", .named = true, .example = "contoso", .min = 0, .max = TENANTS_MAX,
      .array = offsetof(struct gateway_conf, tenants),
      .count = offsetof(struct gateway_conf, ntenants),
      .size = sizeof(struct gateway_tenant_conf),
      .label = offsetof(struct gateway_tenant_conf, label),
      .options = tenant_options,
      .doc = "A Microsoft Entra tenant whose devices and users are clients." },
    { "site-tokens", .options = site_tokens_options,
      .doc = "Tokens that the site issues to its clients." },
    { "content", .options = content_options,
      .doc = "Content that clients download from blob storage." },
    { "storage", .named = true, .example = "main", .min = 0, .max = STORAGES_MAX,
      .array = offsetof(struct gateway_conf, storages),
      .count = offsetof(struct gateway_conf, nstorages),
      .size = sizeof(struct gateway_storage_conf),
      .label = offsetof(struct gateway_storage_conf, label),
      .options = storage_options,
      .doc = "An account of Azure Blob storage that holds content." },
    { "throttle", .options = throttle_options,
      .doc = "How much clients may ask for." },
    { "outbound", .options = outbound_options,
      .doc = "Connections that the gateway itself opens." },
    { "traffic", .options = traffic_options,
      .doc = "The traffic report." },
    { "egress", .options = egress_options,
      .doc = "A guard of what is sent to clients: clouds bill it." },
    { "analyze", .options = analyze_options,
      .doc = "What the analyzer holds this gateway against." },
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

static enum cmg_rc check_tenant(const struct gateway_conf *c, size_t i, struct cmg_err *err)
{
    const struct gateway_tenant_conf *t = &c->tenants[i];
    for (size_t k = 0; k < i; k++)
        if (cmg_str_ieq(cmg_str(c->tenants[k].id), cmg_str(t->id)))
            return cmg_fail(err, CMG_ECONF, "[tenant %s] id = %s: [tenant %s] has it already",
                            t->label, t->id, c->tenants[k].label);
    return CMG_OK;
}

static enum cmg_rc check_site_tokens(const struct gateway_conf *c, struct cmg_err *err)
{
    if (c->site_tokens.hierarchy && !*c->site_tokens.certificates)
        return cmg_fail(err, CMG_ECONF, "[site-tokens] certificates: must be set, as hierarchy is");
    return CMG_OK;
}

static enum cmg_rc check_content(const struct gateway_conf *c, struct cmg_err *err)
{
    if (!*c->content.issuers)
        return CMG_OK;
    if (!*c->content.certificates && !*c->site_tokens.certificates)
        return cmg_fail(err, CMG_ECONF, "[content] certificates: must be set, as issuers is");
    if (!c->nstorages)
        return cmg_fail(err, CMG_ECONF, "[content] issuers: there is no section [storage LABEL]");
    return CMG_OK;
}

static enum cmg_rc check_storage(const struct gateway_storage_conf *s, struct cmg_err *err)
{
    if (!s->key_file == !s->sas_file)
        return cmg_fail(err, CMG_ECONF, "[storage %s] key-file: %s", s->label,
                        s->key_file ? "not together with sas-file"
                                    : "this or sas-file must be set");
    return CMG_OK;
}

static enum cmg_rc check(const void *conf, struct cmg_err *err)
{
    const struct gateway_conf *c = conf;
    if (c->gateway.instance > c->gateway.instances)
        return cmg_fail(err, CMG_ECONF, "[gateway] instance = %d: there are only %d instances",
                        (int)c->gateway.instance, (int)c->gateway.instances);
    enum cmg_rc rc = check_ports(c, err);
    if (rc == CMG_OK && c->egress.warn > c->egress.critical)
        rc = cmg_fail(err, CMG_ECONF, "[egress] warn: more than critical is");
    if (rc == CMG_OK)
        rc = check_site_tokens(c, err);
    if (rc == CMG_OK)
        rc = check_content(c, err);
    for (size_t i = 0; rc == CMG_OK && i < c->ntenants; i++)
        rc = check_tenant(c, i, err);
    for (size_t i = 0; rc == CMG_OK && i < c->nstorages; i++)
        rc = check_storage(&c->storages[i], err);
    for (size_t i = 0; rc == CMG_OK && i < c->npoints; i++)
        rc = check_point(c, i, err);
    for (size_t i = 0; rc == CMG_OK && i < c->nendpoints; i++)
        rc = check_endpoint(c, i, err);
    return rc;
}

const struct cmg_config gateway_config = { sections, sizeof(struct gateway_conf), check };
