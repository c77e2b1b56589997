/* SPDX-License-Identifier: MIT */
/* What a gateway has counted since it started: plain numbers, each added to where the thing itself
 * happens, read by status.c and metrics.c alone. What is counted of each endpoint and of each
 * connection point is in the registry. */
#ifndef CMG_GATEWAY_TALLY_H
#define CMG_GATEWAY_TALLY_H

#include "cmg/auth/identity.h"
#include "cmg/base/counts.h"
#include "cmg/net/tls.h"
#include "gateway/refusal.h"

/* How a credential came out that was looked at. */
enum tally_proof {
    TALLY_GOOD,
    TALLY_BAD,
    TALLY_KNOWN, /* the same as before on this connection: not verified again */
    TALLY_PROOFS
};
extern const char *const tally_proof_names[]; /* "good", "bad", "known" */

/* Its kind, enum cmg_identity_how: CMG_BY_NOTHING is a token of no issuer that is known here. */
enum { TALLY_HOWS = CMG_BY_CONTENT_TOKEN + 1 };

enum tally_http { TALLY_HTTP1, TALLY_HTTP2, TALLY_VERSIONS };
extern const char *const tally_http_names[]; /* "http/1.1", "h2" */

enum tally_list { TALLY_LISTED, TALLY_ABSENT, TALLY_UNLISTED, TALLY_LISTS };
extern const char *const tally_list_names[]; /* "found", "absent", "failed" */

struct tally {
    struct cmg_counts requests; /* that could be read; also those refused at once */
    uint64_t refusals[REFUSALS];
    uint64_t proofs[TALLY_HOWS][TALLY_PROOFS];
    uint64_t parked;             /* requests that waited for keys or a revocation list */
    uint64_t held;               /* that waited for a channel */
    uint64_t repeated;           /* times that one was sent on another channel */
    uint64_t lists[TALLY_LISTS]; /* of content */

    struct { /* of clients */
        uint64_t done, failed, resumed;
        uint64_t by_tls[CMG_TLS_VERSIONS];
    } handshakes;
    struct {
        uint64_t all;
        unsigned open;
    } connections[TALLY_VERSIONS];  /* of clients, their handshake done */
    uint64_t sent_bytes, got_bytes; /* on them, inside TLS */
    uint64_t channels_refused;      /* before it was clear whose, or for no reason of its own */
};

#endif
