/* SPDX-License-Identifier: MIT */
/* The certificate that the gateway shows, and the CAs that others are judged by, as its
 * connections use them: loaded whole, swapped whole. Connections that are open keep theirs. */
#ifndef CMG_GATEWAY_CREDENTIALS_H
#define CMG_GATEWAY_CREDENTIALS_H

#include "gateway/gateway.h"

struct cmg_certificates;

struct credentials { /* references */
    struct cmg_tls *client_tls, *channel_tls, *upgrade_tls;
    struct cmg_trust *client_trust, *channel_trust;
};

/* CMG_ECONF with err, and nothing in *c. */
enum cmg_rc credentials_load(struct credentials *c, const struct gateway_conf *conf,
                             struct cmg_err *err);
void credentials_clear(struct credentials *c);
/* Takes what is in *c; every client is judged anew. */
void credentials_use(struct gateway *g, const struct credentials *c);

/* Prepares the list of every certificate file that `conf` names. */
void credentials_list(struct cmg_certificates *list, const struct gateway_conf *conf);

#endif
