/* SPDX-License-Identifier: MIT */
/* The keys of jose_keys.h, as OpenSSL has them and as a set. */
#ifndef TEST_JOSE_PKEY_H
#define TEST_JOSE_PKEY_H

#include <stdlib.h>

#include <openssl/pem.h>

#include "jose_keys.h"

enum jose_key { RSA1, RSA2, EC1, EC2, JOSE_KEYS };

static const char *const jose_pems[JOSE_KEYS] = { JOSE_RSA1_PEM, JOSE_RSA2_PEM, JOSE_EC1_PEM,
                                                  JOSE_EC2_PEM };

static EVP_PKEY *jose_pkey(enum jose_key which)
{
    BIO *bio = BIO_new_mem_buf(jose_pems[which], -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (!pkey)
        abort();
    return pkey;
}

#endif
