/* SPDX-License-Identifier: MIT */
/* The guard of what the gateway sends: clouds bill outbound bytes. Adds them up over two weeks,
 * warns, and refuses clients if it is to. */
#ifndef CMG_GATEWAY_EGRESS_H
#define CMG_GATEWAY_EGRESS_H

#include <jansson.h>

#include "gateway/options.h"

struct cmg_loop;
struct egress;

/* `sent` gives the bytes that were sent since the process started. Reads what there is of before;
 * what cannot be read is logged (egress.state_failed). `conf` is not kept. */
struct egress *egress_new(struct cmg_loop *l, const struct gateway_conf *conf,
                          uint64_t (*sent)(void *arg), void *arg);
void egress_use(struct egress *e, const struct gateway_conf *conf); /* other limits, at once */
void egress_free(struct egress *e); /* counts once more, and writes; NULL is ignored */

/* Seconds that a client is to stay away; 0: it is served. */
unsigned egress_refuses(const struct egress *e);

/* For /status: {"sent_bytes":N,"days":[today, ...],"threshold_bytes":N,"percent":N,
 * "level":"free|warning|critical","stopped":false}. A new object. */
json_t *egress_json(const struct egress *e);

#endif
