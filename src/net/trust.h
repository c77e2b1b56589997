/* SPDX-License-Identifier: MIT */
/* The inside of cmg_trust, for the files that judge certificates. */
#ifndef CMG_NET_TRUST_H
#define CMG_NET_TRUST_H

#include <stdatomic.h>

#include <openssl/x509.h>

#include "cmg/net/tls.h"

struct cmg_trust {
    atomic_uint refs;
    X509_STORE *store;      /* owned; all of certs */
    STACK_OF(X509) * certs; /* owned; in the order of the file */
    char *path;             /* owned; for messages */
};

/* All certificates of a PEM file, at least one, in order. NULL with err. */
STACK_OF(X509) * cmg_trust_read(const char *path, struct cmg_err *err);

#endif
