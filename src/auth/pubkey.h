/* SPDX-License-Identifier: MIT */
/* One public key that is strong enough, the one algorithm it has, and signatures in the form that
 * tokens carry. What sets of keys and signers are made of. */
#ifndef CMG_AUTH_PUBKEY_H
#define CMG_AUTH_PUBKEY_H

#include <openssl/evp.h>

#include "cmg/auth/key.h"

enum { CMG_ES256_HALF = 32, CMG_ES256_BYTES = 2 * CMG_ES256_HALF };

struct cmg_pubkey {
    EVP_PKEY *pkey;       /* owned */
    EVP_PKEY_CTX *verify; /* owned; set up once, copied for each signature */
    enum cmg_alg alg;
    unsigned bits;
    size_t signature_bytes; /* no signature of this key is longer or shorter */
};

/* `taken` in any case. CMG_ECONF with err ("an RSA key of 1024 bits"): *k owns nothing. */
CMG_MUST_CHECK enum cmg_rc cmg_pubkey_init(struct cmg_pubkey *k, EVP_PKEY *taken,
                                           struct cmg_err *err);
void cmg_pubkey_clear(struct cmg_pubkey *k);

bool cmg_pubkey_verify(const struct cmg_pubkey *k, struct cmg_str text, struct cmg_str signature);

/* The same key must hold its private half. Returns k->signature_bytes, or 0: it cannot
 * sign. */
size_t cmg_pubkey_sign(const struct cmg_pubkey *k, struct cmg_str text,
                       unsigned char out[CMG_SIGNATURE_MAX]);

#endif
