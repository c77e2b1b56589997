/* SPDX-License-Identifier: MIT */
/* Which connection points are admitted, what they publish, over which channels they can be
 * reached. Answers one question per request: who serves this?
 *
 * What a connection point published last is remembered while it is away, so that a known
 * endpoint without a channel is told apart (503, come again) from an unpublished one (404).
 */
#ifndef CMG_GATEWAY_REGISTRY_H
#define CMG_GATEWAY_REGISTRY_H

#include <stdbool.h>
#include <sys/queue.h>

#include "cmg/http/h2conn.h"
#include "cmg/proto/endpoint.h"
#include "gateway/ledger.h"
#include "gateway/options.h"

struct registry;
struct member; /* an admitted connection point */

/* A channel, as the registry sees it; embedded in what the dock keeps of it. */
struct link {
    struct cmg_h2conn *h2;
    struct member *member;
    unsigned max_requests;
    bool draining;
    TAILQ_ENTRY(link) entry; /* private */
};

/* `on_change` after anything that may let a waiting request through. */
struct registry *registry_new(void (*on_change)(void *arg), void *arg);
void registry_free(struct registry *r); /* after all links are down */

/* Admits these from now on. Members that are not among them are never found again, but live
 * as long as the registry: their channels, which the dock then cuts, point to them. */
void registry_admit(struct registry *r, const struct gateway_conf *conf);

/* The member whose certificate carries that name, or NULL. */
struct member *registry_member(struct registry *r, const char *name);
const char *member_name(const struct member *m);
const char *member_site(const struct member *m);
bool member_is_admitted(const struct member *m);

/* The endpoints that the configuration gives this member, for peers that send no greeting;
 * empty when there are none. */
const struct cmg_endpoint_set *member_static(const struct member *m);

/* What came of the channels of a member; the dock adds to it. */
struct channel_counts {
    uint64_t opened;
    uint64_t lost;    /* broke off                                        */
    uint64_t closed;  /* in good order, by either side                    */
    uint64_t refused; /* admitted by its certificate, and then not wanted */
};
struct channel_counts *member_channels(struct member *m);
/* Requests that were sent to it; one that is repeated elsewhere has failed here. */
struct cmg_counts *member_counts(struct member *m);

void registry_up(struct registry *r, struct link *l);
void registry_publish(struct registry *r, struct member *m, struct cmg_endpoint_set *taken);
/* It says nothing itself, now at least: the configuration counts again. */
void registry_unpublish(struct registry *r, struct member *m);
void registry_draining(struct registry *r, struct link *l);
void registry_down(struct registry *r, struct link *l);

enum verdict {
    ROUTE_FOUND,
    ROUTE_UNPUBLISHED, /* no connection point publishes that id, path and way to authenticate */
    ROUTE_TOO_LARGE,
    ROUTE_BUSY,  /* every channel carries all the requests that it may  */
    ROUTE_AWAY,  /* published, but no channel is up now                 */
    ROUTE_NOBODY /* no connection point has ever published anything     */
};

struct route_pick {
    struct link *link;
    struct cmg_counts *counts; /* of the endpoint; NULL: it is not published */
    int64_t max_request_bytes;
    bool wants_certificate; /* the client's certificate is to go along, if it came by one */
};

/* Round robin over the connection points of the endpoint's site that publish it; for each of
 * them its least loaded channel. `auth` is one bit of cmg_endpoint_auth: how the client proved who
 * it is; `length` the declared body length, -1 if none was. */
enum verdict registry_pick(struct registry *r, struct cmg_str id, struct cmg_str rest,
                           unsigned auth, int64_t length, struct route_pick *pick);

unsigned registry_links(const struct registry *r);

/* To look at: all that it knows, members first. NULL begins, NULL ends; those that are no longer
 * admitted are among them. */
struct member *registry_next(const struct registry *r, const struct member *after);
unsigned member_links(const struct member *m); /* up, and not draining */
/* What it publishes. *spoke: it said so itself, not the configuration. */
const struct cmg_endpoint_set *member_endpoints(const struct member *m, bool *spoke);
const struct ledger *registry_ledger(const struct registry *r);

#endif
