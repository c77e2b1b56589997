/* SPDX-License-Identifier: MIT */
/* What pki_make.c and pki_crl.c share. */
#ifndef CMG_CTL_PKI_OPENSSL_H
#define CMG_CTL_PKI_OPENSSL_H

#include <stdbool.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "ctl/pki.h"

struct pki_pair {
    X509 *x;       /* owned */
    EVP_PKEY *key; /* owned */
};

void pki_must(bool done); /* aborts when it is not */
void pki_set_time(ASN1_TIME *t, int64_t at);
char *pki_text_of(BIO *taken); /* what is in it, for the caller to free */

#endif
