/* SPDX-License-Identifier: MIT */
/* Until when a file of certificates is good. */
#ifndef CMG_NET_EXPIRY_H
#define CMG_NET_EXPIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/err.h"

struct cmg_tls;
struct cmg_trust;

struct cmg_expiry {    /* of the certificate in the file that ends first */
    char subject[256]; /* RFC 2253, cut                                  */
    int64_t not_after; /* seconds since 1970                             */
    size_t n;          /* how many certificates the file holds           */
};

/* Reads a PEM file. CMG_ECONF with err: no certificate in it, or one that is damaged. */
CMG_MUST_CHECK enum cmg_rc cmg_expiry_read(const char *path, struct cmg_expiry *out,
                                           struct cmg_err *err);

/* The same of what is in force, whatever the file holds by now. Of a context: its own certificate
 * alone; false: it has none. */
bool cmg_expiry_own(const struct cmg_tls *t, struct cmg_expiry *out);
void cmg_expiry_trust(const struct cmg_trust *t, struct cmg_expiry *out);

#endif
