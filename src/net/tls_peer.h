/* SPDX-License-Identifier: MIT */
/* Judging a peer's certificate, for the files that add a check of their own to it. */
#ifndef CMG_NET_TLS_PEER_H
#define CMG_NET_TLS_PEER_H

#include <openssl/x509_vfy.h>

#include "cmg/net/tls.h"

/* A certificate in words. */
void cmg_peer_describe(const X509 *x, struct cmg_tls_identity *id);

struct cmg_peer_judging {
    X509_STORE *store; /* borrowed; what chains are built from */
    const char *path;  /* of the file that it came from */
    enum cmg_tls_usage usage;
    void (*prepare)(X509_STORE_CTX *c, void *arg); /* before; NULL: nothing to add */
    void (*on_good)(X509_STORE_CTX *c, void *arg); /* after, when it is good; may be NULL */
    void *arg;
};

/* cmg_tls_judge, with what `j` adds. */
CMG_MUST_CHECK enum cmg_rc cmg_peer_judge(X509 *leaf, const struct cmg_peer_judging *j,
                                          struct cmg_tls_identity *id, struct cmg_err *err);

#endif
