/* SPDX-License-Identifier: MIT */
/* What the administrator's door says of a gateway:
 *
 *   GET /ready    whether clients should be sent here (200) or not (503)
 *   GET /status   all that it knows of itself, for people and cmgctl; over the unix socket only
 *   GET /metrics  the numbers of it, for Prometheus
 *
 * Nothing here changes anything. No secret is told, no token, and no name of a client. */
#ifndef CMG_GATEWAY_STATUS_H
#define CMG_GATEWAY_STATUS_H

#include <jansson.h>

#include "cmg/base/buf.h"
#include "cmg/daemon/admin.h"
#include "gateway/gateway.h"

/* For cmg_service: its handlers get the gateway. */
extern const struct cmg_admin_route gateway_routes[];

/* The answer to /ready: 200 or 503, and *why in JSON, the caller's. With `site` (NULL: any) it is
 * about the channels of that site alone. */
unsigned status_ready(const struct gateway *g, const char *site, json_t **why);

json_t *status_show(const struct gateway *g);

/* Appends the families. What does not fit is left out, from the end. */
void metrics_put(const struct gateway *g, struct cmg_buf *b);

/* Parts of status_show, each a value of its own. */
json_t *show_text(const char *text); /* null for NULL; what is no UTF-8 becomes '?' */
json_t *show_counts(const struct cmg_counts *c);
json_t *show_points(const struct gateway *g);
json_t *show_endpoints(const struct gateway *g);
json_t *show_tenants(const struct gateway *g);
json_t *show_site_tokens(const struct gateway *g);
json_t *show_revocation(const struct gateway *g);
json_t *show_content(const struct gateway *g);
json_t *show_certificates(const struct gateway *g);

#endif
