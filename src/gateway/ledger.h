/* SPDX-License-Identifier: MIT */
/* What is counted of each endpoint, by its id. An account outlives every publication of its
 * endpoint, so that numbers go on where they were when a connection point comes back. Pure. */
#ifndef CMG_GATEWAY_LEDGER_H
#define CMG_GATEWAY_LEDGER_H

#include "cmg/base/counts.h"

enum { LEDGER_MAX = 1024 }; /* accounts; what else is published is counted together */

struct ledger;

struct ledger *ledger_new(void);
void ledger_free(struct ledger *l); /* NULL is ignored */

/* The account of an id, which is in lower case; opened when there is none. Never NULL; good as
 * long as the ledger. */
struct cmg_counts *ledger_account(struct ledger *l, const char *id);

/* One after the other, in the order they were opened: -1 begins, the result goes on, -1 ends. The
 * one for all that found no place has the id "*", and is there when it was needed. */
int ledger_next(const struct ledger *l, int after, const char **id,
                const struct cmg_counts **counts);

#endif
