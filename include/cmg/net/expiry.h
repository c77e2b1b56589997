/* SPDX-License-Identifier: MIT */
/* Until when a file of certificates is good. */
#ifndef CMG_NET_EXPIRY_H
#define CMG_NET_EXPIRY_H

#include <stddef.h>
#include <stdint.h>

#include "cmg/base/err.h"

struct cmg_expiry {    /* of the certificate in the file that ends first */
    char subject[256]; /* RFC 2253, cut                                  */
    int64_t not_after; /* seconds since 1970                             */
    size_t n;          /* how many certificates the file holds           */
};

/* Reads a PEM file. CMG_ECONF with err: no certificate in it, or one that is damaged. */
CMG_MUST_CHECK enum cmg_rc cmg_expiry_read(const char *path, struct cmg_expiry *out,
                                           struct cmg_err *err);

#endif
