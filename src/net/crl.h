/* SPDX-License-Identifier: MIT */
/* The inside of cmg_crls: the table (crl.c), reading (crl_read.c), judging (crl_judge.c). */
#ifndef CMG_NET_CRL_INSIDE_H
#define CMG_NET_CRL_INSIDE_H

#include <openssl/x509_vfy.h>

#include "cmg/net/crl.h"
#include "trust.h"

enum { CRL_DIGEST = 32 };

struct cmg_crl {
    X509_CRL *list; /* owned */
    X509_CRL *head; /* owned; no entries, see crl_judge.c */
    EVP_PKEY *key;  /* owned; of the CA that signed it, verified when it was read */
    char *source;   /* owned */
    unsigned char digest[CRL_DIGEST]; /* of all the bytes that the source gave with it */
};

struct cmg_crls {
    struct cmg_trust *trust; /* owned reference */
    struct cmg_crl *lists;   /* owned */
    size_t nlists;
    X509_STORE *store;                     /* owned; the trust's certificates, our callbacks */
    X509_STORE_CTX_check_crl_fn check_crl; /* OpenSSL's own */
};

/* All lists of `bytes`, of a kind that we take and each signed by a CA of `trust`; *lists is the
 * caller's, with cmg_crl_clear and free. Nothing on failure. */
CMG_MUST_CHECK enum cmg_rc cmg_crl_read(const struct cmg_trust *trust, const char *source,
                                        struct cmg_str bytes, struct cmg_crl **lists,
                                        size_t *nlists, struct cmg_err *err);
/* The CA of `trust` that has signed it: *out. `list` is not taken. */
CMG_MUST_CHECK enum cmg_rc cmg_crl_admit(const struct cmg_trust *trust, const char *source,
                                         X509_CRL *list, struct cmg_crl *out, struct cmg_err *err);
void cmg_crl_clear(struct cmg_crl *c);

int64_t cmg_crl_seconds(const ASN1_TIME *t); /* since 1970; 0: not a time */

/* Sets the callbacks of t->store. */
void cmg_crl_judging_init(struct cmg_crls *t);

#endif
