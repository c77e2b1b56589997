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

/* Handlers get the struct gateway. */
extern const struct cmg_admin_route gateway_status_routes[];

/* Whether clients should be sent here. With `site` (NULL: any) it is about that site alone. */
bool status_is_ready(const struct gateway *g, const char *site);
/* {"ready", "draining", "sites": {"P01": 2, ...}, "why": ["..."]}: channels of each site that is
 * admitted; `why` is empty when ready. */
json_t *status_ready(const struct gateway *g, const char *site);

json_t *status_show(const struct gateway *g);

/* In Prometheus' format; no room is left in `b` when it did not fit. */
void gateway_metrics(const struct gateway *g, struct cmg_buf *b);

/* Parts of status_show, each a value of its own. */
json_t *show_text(const char *text); /* null for NULL; what is no UTF-8 becomes '?' */
json_t *show_points(const struct gateway *g);
json_t *show_endpoints(const struct gateway *g);
json_t *show_tenants(const struct gateway *g);
json_t *show_site_tokens(const struct gateway *g);
json_t *show_revocation(const struct gateway *g);
json_t *show_content(const struct gateway *g);
json_t *show_certificates(const struct gateway *g);

#endif
