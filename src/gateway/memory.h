/* SPDX-License-Identifier: MIT */
/* What connection points published last, across a restart: a gateway that was just started then
 * knows which requests to hold until they are back (503 at the worst) and which paths nobody
 * publishes (404). One greeting a line, in the state folder. */
#ifndef CMG_GATEWAY_MEMORY_H
#define CMG_GATEWAY_MEMORY_H

#include "gateway/gateway.h"

struct memory;

/* Reads what there is into the registry, whose members are admitted already. What is not of an
 * admitted member of the same site is forgotten; a damaged file is an event, and no more. */
struct memory *memory_new(struct gateway *g);
void memory_free(struct memory *m); /* NULL is ignored */

/* Somebody may have published something else: it is written at the end of the turn if so. */
void memory_touch(struct memory *m);

#endif
