/* SPDX-License-Identifier: MIT */
/* A certificate as a key: its public key, its names, its time. */
#ifndef CMG_AUTH_CERTIFICATES_H
#define CMG_AUTH_CERTIFICATES_H

#include <openssl/x509.h>

#include "keyset.h"

/* CMG_ECONF with err: a key of another kind or too weak; *k owns nothing then. `x` is borrowed. */
CMG_MUST_CHECK enum cmg_rc cmg_certificate_key(X509 *x, struct cmg_key *k, struct cmg_err *err);

/* To be read from; the text is borrowed as long as it lives. */
BIO *cmg_pem_bio(struct cmg_str pem);

/* The next certificate in a PEM text. NULL: there is none any more (err->code CMG_OK) or it cannot
 * be read (CMG_ECONF). */
X509 *cmg_certificate_next(BIO *pem, struct cmg_err *err);

#endif
