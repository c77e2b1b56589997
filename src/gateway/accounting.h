/* SPDX-License-Identifier: MIT */
/* What the gateway's numbers are kept for: the traffic report and the guard of what is sent. */
#ifndef CMG_GATEWAY_ACCOUNTING_H
#define CMG_GATEWAY_ACCOUNTING_H

#include "gateway/gateway.h"

void accounting_start(struct gateway *g); /* once the registry is there, before anybody may come */
void accounting_use(struct gateway *g);   /* after a reload */
void accounting_stop(struct gateway *g);  /* before the registry goes; what is counted is written */

#endif
