/* SPDX-License-Identifier: MIT */
/* The cloud management gateway: one instance, one process, one loop.
 *
 *   front     clients' connections: TLS, HTTP/1.1 or HTTP/2
 *   arrival   one request as it comes: where it goes, whether it may
 *   identify  who the client is: by certificate, by token; tenants, site_tokens, revocation and
 *             throttle know what is needed for that
 *   request   one request that waits or is on its way: its channel, its repeat, its access line
 *   content   what blob storage has
 *   credentials  our certificate, the CAs of others
 *   registry  connection points, what they publish, over which channel they are reached
 *   dock      channels: taken in, admitted, asked for their greeting
 */
#ifndef CMG_GATEWAY_GATEWAY_H
#define CMG_GATEWAY_GATEWAY_H

#include <sys/queue.h>

#include "cmg/http/h1conn.h"
#include "cmg/http/h2conn.h"
#include "cmg/net/listener.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"
#include "cmg/net/tls.h"
#include "gateway/options.h"
#include "gateway/registry.h"
#include "gateway/tally.h"

struct client;
struct request;
struct dock;
struct revocation;
struct tenants;
struct site_tokens;
struct throttle;
struct content;
struct memory;
struct cmg_certificates;
struct analysis;
struct egress;
struct cmg_traffic;
struct cmg_fetcher;
struct cmg_filewatch;
struct cmg_lag;

TAILQ_HEAD(client_list, client);
TAILQ_HEAD(request_list, request);

enum { GATEWAY_ENTRANCES = 3 * 16, GATEWAY_SPARE_FIELDS = 8 };

struct gateway {
    struct cmg_loop *loop;           /* borrowed */
    const struct gateway_conf *conf; /* borrowed; swapped by a reload */

    struct cmg_tls *client_tls, *channel_tls, *upgrade_tls;
    struct cmg_trust *client_trust, *channel_trust;
    struct cmg_certificates *certificates; /* the files of these, and of tenants and storages */
    unsigned generation; /* counts what identities are judged by: they are judged again */

    struct entrance *entrances[GATEWAY_ENTRANCES]; /* owned */
    unsigned nentrances;

    /* Connections borrow these; a reload changes values, never addresses. */
    struct cmg_h1conn_conf h1_conf;
    struct cmg_h2conn_conf h2_conf;      /* clients                       */
    struct cmg_h2conn_conf channel_conf; /* channels, rh2                 */
    struct cmg_h2conn_conf haproxy_conf; /* channels, HAProxy's flavour   */

    /* What clients are judged by. */
    struct cmg_fetcher *fetcher;
    struct cmg_filewatch *watch;
    struct revocation *revocation;
    struct tenants *tenants;
    struct site_tokens *site_tokens;
    struct throttle *throttle;
    struct content *content;
    unsigned throttled;       /* refusals since that was logged last, */
    int64_t throttled_ms;     /* which was then                       */
    struct cmg_task identify; /* parked requests are identified again */

    struct registry *registry;
    struct memory *memory; /* what the registry knew before the start */
    struct dock *dock;
    struct client_list clients;
    struct client_list queue; /* accepted, their handshake not begun: too many are under way */
    unsigned nclients, nhandshakes;
    struct cmg_task next_handshake;

    struct request_list requests;          /* in flight or waiting */
    unsigned nrequests, nwaiting, nparked; /* nwaiting includes nparked */
    struct cmg_task retry;                 /* waiting requests look for a channel again */
    struct cmg_timer *sweep;
    struct tally tally;
    struct cmg_traffic *traffic;
    struct egress *egress;
    struct analysis *analysis; /* the one that runs; NULL: none */
    struct cmg_lag *lag;       /* owned */
    char id_prefix[17];        /* of request ids, random for each process */
    uint32_t next_id;
    /* Where a head is put together on its way through; used and left in one call. */
    struct cmg_field fields[CMG_H1_FIELDS + GATEWAY_SPARE_FIELDS];
    char phrase[160];
    char malformed_id[32];
    struct cmg_field malformed_field[2];

    bool draining, dock_draining;
    enum { DRAIN_WAITS, DRAIN_ANSWERS, DRAIN_CUTS } drain_step;
    int64_t draining_since_ms;
    void (*on_drained)(void *arg);
    void *on_drained_arg;
    struct cmg_timer *drain_timer;
};

void *gateway_start(struct cmg_loop *l, const void *conf, struct cmg_err *err);
enum cmg_rc gateway_reload(void *daemon, const void *conf, struct cmg_err *err);
void gateway_drain(void *daemon, void (*done)(void *arg), void *arg);
void gateway_free(void *daemon);

/* Bytes sent to clients since the start, on all their connections: inside TLS, with the heads of
 * answers, without records, handshakes and what lies below. Content is not in it: clients get
 * that from storage. */
uint64_t gateway_egress_bytes(const struct gateway *g);

/* Where it listens. False: there is no such door. */
struct gateway_door {
    const char *address; /* as configured */
    uint16_t port;
    const char *what; /* who comes there */
    bool clients;
};
bool gateway_door(const struct gateway *g, unsigned i, struct gateway_door *out);

/* Something may have ended: a draining gateway looks whether it is done. */
void gateway_check_drained(struct gateway *g);

#endif
