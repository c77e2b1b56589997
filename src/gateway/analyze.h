/* SPDX-License-Identifier: MIT */
/* The gateway's analyzer: looks at everything that has to be right so that clients are served, as
 * it is now, and says what is wrong and what to do.
 *
 *   analyze         one analysis: who asked, what is still under way, when it ends
 *   analyze_local   what can be seen at once: certificates, revocation lists, connection points
 *   analyze_remote  what has to be asked: the own port as a client meets it, tenants, storage
 *
 * Nothing that it does changes what clients get. */
#ifndef CMG_GATEWAY_ANALYZE_H
#define CMG_GATEWAY_ANALYZE_H

#include "gateway/gateway.h"

struct cmg_admin_ask;

/* GET /analyze of the administrator's door; `gateway` is a struct gateway. Findings as lines of
 * JSON (cmg/daemon/finding.h), last {"totals":{"pass":N,"warn":N,"fail":N},"ms":N,"stopped":why or
 * null}. 409 when one runs already: one at a time. Ends within a minute. */
void analyze_handle(void *gateway, struct cmg_admin_ask *ask);

/* Ends the one that runs, if any, with a last line that says why. */
void analyze_stop(struct gateway *g, const char *why);
/* The same without a word, when the gateway itself goes. */
void analyze_abandon(struct gateway *g);

#endif
