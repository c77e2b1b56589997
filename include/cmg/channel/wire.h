/* SPDX-License-Identifier: MIT */
/* The words that both ends of a channel must spell alike. None of the protocol tokens is
 * registered yet, which is why they are in one place (docs/protocol.md). */
#ifndef CMG_CHANNEL_WIRE_H
#define CMG_CHANNEL_WIRE_H

/* ALPN. On the TCP-TLS road a connection point offers "rh2", then "h2" (the flavour of
 * HAProxy's reverse HTTP); on the HTTPS road "http/1.1", to upgrade from. */
#define CMG_WIRE_ALPN_RH2 "rh2"
#define CMG_WIRE_ALPN_H2 "h2"
#define CMG_WIRE_ALPN_HTTP1 "http/1.1"

/* HTTPS road: GET /.well-known/ptth/ORIGIN/ with Upgrade: ptth. ORIGIN is the connection
 * point's name, percent-encoded but for unreserved characters. */
#define CMG_WIRE_UPGRADE "ptth"
#define CMG_WIRE_UPGRADE_PATH "/.well-known/ptth/"
#define CMG_WIRE_UPGRADE_FIELDS "ALPN: h2\r\n"

/* What a gateway says of itself when it asks for the greeting. The instance counts from 1. */
#define CMG_WIRE_GATEWAY_NAME "cmg-gateway-name"
#define CMG_WIRE_GATEWAY_VERSION "cmg-gateway-version"
#define CMG_WIRE_GATEWAY_INSTANCE "cmg-gateway-instance"
#define CMG_WIRE_GATEWAY_INSTANCES "cmg-gateway-instances"

/* Every internal field begins like this: what a client sends under it never passes. */
#define CMG_WIRE_PREFIX "cmg-"

/* On each request, set by the gateway. */
#define CMG_WIRE_REQUEST_ID "cmg-request-id"
#define CMG_WIRE_IDENTITY \
    "cmg-identity" /* who the client proved to be, and how (auth/identity.h) */
/* The client's certificate, as Client-Cert has it (RFC 9440): to endpoints that want it, when the
 * client came by certificate. */
#define CMG_WIRE_CLIENT_CERT "cmg-client-cert"

/* On each response, set by the connection point. */
#define CMG_WIRE_REASON "cmg-reason"   /* the endpoint's reason phrase, raw            */
#define CMG_WIRE_REFUSAL "cmg-refusal" /* present when the connection point itself refused */

/* How a gateway tells a connection point that it is not admitted when the handshake is
 * over already: cmg_h2conn_refuse with a text that begins like this. The connection
 * point then waits its longest step instead of dialing again at once. */
#define CMG_WIRE_NOT_ADMITTED "not admitted: "

#endif
