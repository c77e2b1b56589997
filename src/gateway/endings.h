/* SPDX-License-Identifier: MIT */
/* When the certificates end that this gateway depends on. */
#ifndef CMG_GATEWAY_ENDINGS_H
#define CMG_GATEWAY_ENDINGS_H

#include "gateway/gateway.h"

struct ending {
    const char *use;     /* "server", "clients-ca", "channel-ca", "site-token", "content-token",
                          * "connection-point" */
    const char *what;    /* that the name is of: "file", "key", "connection_point" */
    const char *name;    /* its name; the x5t of a key */
    const char *subject; /* of a file's certificate that ends first; "": not known */
    int64_t not_after;   /* seconds since 1970 */
};

/* One for each; what is told is good until `tell` returns. */
void endings_tell(const struct gateway *g, void (*tell)(void *arg, const struct ending *e),
                  void *arg);

#endif
