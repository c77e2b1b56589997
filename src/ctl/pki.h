/* SPDX-License-Identifier: MIT */
/* Keys, certificates and revocation lists, for cmgctl pki: a first site or a lab, not an
 * authority for a company. What is asked of these functions is checked before; OpenSSL failing
 * at it is out of memory and ends the process. Only pki_*.c see OpenSSL. */
#ifndef CMG_CTL_PKI_H
#define CMG_CTL_PKI_H

#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

enum { PKI_EARLIER_S = 3600 }; /* clocks differ: what is made begins so long ago */

struct pki_pair; /* a certificate with its private key */

enum pki_use {
    PKI_AUTHORITY, /* signs certificates and revocation lists */
    PKI_SERVER,    /* TLS server */
    PKI_CLIENT,    /* TLS client */
    PKI_SIGNING    /* signs tokens; RSA, the others are EC on P-256 */
};

struct pki_spec {
    enum pki_use use;
    const char *name;              /* common name: DNS name or words, up to 64 bytes */
    const char *san;               /* as in openssl.cnf, "DNS:a,IP:127.0.0.1"; NULL: none */
    const struct pki_pair *issuer; /* NULL: signed by itself */
    int64_t from, to;              /* seconds since 1970 */
};

struct pki_pair *pki_make(const struct pki_spec *s);
/* An authority from its files. NULL with err: not PEM, or they do not belong together. */
struct pki_pair *pki_load(const char *certificate, const char *key, struct cmg_err *err);
void pki_free(struct pki_pair *p); /* NULL is ignored */

/* PEM, for the caller to free; a key is to be wiped before. */
char *pki_certificate(const struct pki_pair *p);
char *pki_key(const struct pki_pair *p);

/* --- Revocation lists ----------------------------------------------------------------------- */

struct pki_crl; /* of one authority */

extern const char *const pki_reasons[]; /* as `reason` below; NULL-ended */

/* `pem` may be empty: a list without entries. NULL with err: not a list of this authority. */
struct pki_crl *pki_crl_read(struct cmg_str pem, const struct pki_pair *ca, struct cmg_err *err);
void pki_crl_free(struct pki_crl *c); /* NULL is ignored */

/* CMG_OK; CMG_MORE: it is on the list already; CMG_ECONF: `pem` is no certificate of this
 * authority. `reason` may be NULL: none is given. */
CMG_MUST_CHECK enum cmg_rc pki_crl_add(struct pki_crl *c, struct cmg_str pem, const char *reason,
                                       int64_t now, struct cmg_err *err);
/* The next number, valid from now (less PKI_EARLIER_S) to `next`, signed: PEM, for the caller to
 * free. */
char *pki_crl_sign(struct pki_crl *c, int64_t now, int64_t next);
size_t pki_crl_count(const struct pki_crl *c);

#endif
