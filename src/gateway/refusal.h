/* SPDX-License-Identifier: MIT */
/* Why the gateway says no: every status, phrase and error type in one table. Clients log the
 * phrase, so it is part of the protocol (docs/protocol.md). */
#ifndef CMG_GATEWAY_REFUSAL_H
#define CMG_GATEWAY_REFUSAL_H

#include "cmg/http/exchange.h"

struct client;
struct gateway;

/* One for each row of the table; refusals are counted by it. */
enum refusal_reason {
    REFUSED_BAD_REQUEST,
    REFUSED_BAD_METHOD,
    REFUSED_NO_CERTIFICATE,
    REFUSED_BAD_CERTIFICATE,
    REFUSED_BAD_TOKEN,
    REFUSED_NOT_PERMITTED,
    REFUSED_TOO_MANY,
    REFUSED_NOT_ADMITTED,
    REFUSED_NOT_PUBLISHED,
    REFUSED_NO_TENANT,
    REFUSED_NO_CONTENT,
    REFUSED_TOO_LARGE,
    REFUSED_BUSY,
    REFUSED_NO_POINT,
    REFUSED_DRAINING,
    REFUSED_CHANNEL_FAILED,
    REFUSED_BAD_ANSWER,
    REFUSED_TIMED_OUT,
    REFUSED_STORAGE_FAILED,
    REFUSED_STORAGE_TIMEOUT,
    REFUSED_EGRESS,
    REFUSED_SLOW_HEAD, /* from here on: requests that could not be read */
    REFUSED_LONG_TARGET,
    REFUSED_LARGE_HEAD,
    REFUSED_NOT_IMPLEMENTED,
    REFUSED_BAD_VERSION,
    REFUSALS
};

struct refusal {
    enum refusal_reason reason;
    unsigned status;
    const char *phrase;
    const char *error;      /* RFC 9209 section 2.3 */
    unsigned retry_after_s; /* 0: no Retry-After    */
    const char *challenge;  /* WWW-Authenticate     */
};

extern const struct refusal refusal_bad_request, refusal_bad_method, refusal_no_certificate,
    refusal_bad_certificate, refusal_bad_token, refusal_not_permitted, refusal_too_many,
    refusal_not_admitted, refusal_not_published, refusal_no_tenant, refusal_no_content,
    refusal_too_large, refusal_busy, refusal_no_point, refusal_draining, refusal_channel_failed,
    refusal_bad_answer, refusal_timed_out, refusal_storage_failed, refusal_storage_timeout,
    refusal_egress;

const struct refusal *refusal_of(enum refusal_reason reason);
/* Of a request that could not be read. */
const struct refusal *refusal_malformed(unsigned status);

/* Answers the exchange and ends it, and counts it. `retry_after_s`: 0 is what the table says. */
void refusal_send(struct gateway *g, const struct client *client, struct cmg_exchange *x,
                  const struct refusal *r, unsigned retry_after_s, const char *detail,
                  const char *id, struct cmg_str method);

#endif
