/* SPDX-License-Identifier: MIT */
/* How key sets are filled: jwks.c and certificates.c do. Nobody else includes this. */
#ifndef CMG_AUTH_KEYSET_H
#define CMG_AUTH_KEYSET_H

#include "pubkey.h"

struct cmg_key {
    struct cmg_pubkey pub;
    char *kid, *x5t, *x5t_s256;    /* owned; a JWK may have only the first */
    char *issuer;                  /* owned; NULL: may sign for any */
    int64_t not_before, not_after; /* of the certificate; 0: a JWK */
};

struct cmg_keyset {
    unsigned refs;
    size_t n;
    struct cmg_key v[CMG_KEYSET_MAX];
};

/* Takes what *taken owns, in any case. CMG_EDENIED: one of its names is there already.
 * CMG_ETOOBIG: the set is full. */
CMG_MUST_CHECK enum cmg_rc cmg_keyset_put(struct cmg_keyset *s, struct cmg_key *taken);
/* Back to its first n keys. */
void cmg_keyset_cut(struct cmg_keyset *s, size_t n);

void cmg_key_clear(struct cmg_key *k);

#endif
