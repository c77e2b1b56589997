/* SPDX-License-Identifier: MIT */
/* Keys that verify and keys that sign. A public key is parsed once and belongs to exactly one
 * algorithm, which its kind decides: what a token says of itself chooses nothing.
 *
 *   RSA, 2048 to 8192 bits  RS256
 *   EC on P-256             ES256
 *
 * A public exponent is odd and 65537 to 2^32 - 1: smaller ones have a history of verifiers that
 * were fooled, and beyond that there are systems that cannot read them.
 *
 * A key set is built, then only read; it may be shared by reference, within one thread. Pure: no
 * file, no clock. Nothing here leaves an entry in OpenSSL's error queue.
 */
#ifndef CMG_AUTH_KEY_H
#define CMG_AUTH_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

enum cmg_alg { CMG_ALG_NONE = 0, CMG_ALG_RS256 = 1, CMG_ALG_ES256 = 2 }; /* bits, for lists */

/* "RS256", "ES256"; CMG_ALG_NONE for every other text, "none" included. */
enum cmg_alg cmg_alg_of(struct cmg_str name);
const char *cmg_alg_name(enum cmg_alg alg);

struct cmg_keyset; /* reference counted */
struct cmg_key;    /* lives as long as its set */

enum { CMG_KEYSET_MAX = 128, CMG_KEY_ID_MAX = 256, CMG_JWKS_BYTES_MAX = 1024 * 1024 };

struct cmg_keyset *cmg_keyset_new(void);
struct cmg_keyset *cmg_keyset_ref(struct cmg_keyset *s);
void cmg_keyset_unref(struct cmg_keyset *s); /* NULL is ignored */
size_t cmg_keyset_count(const struct cmg_keyset *s);

/* A JWK set (RFC 7517). Keys that are for other uses or of other kinds, too weak, without a kid,
 * with a name that is there already, or with their private half are left out and counted in
 * *left_out (may be NULL). CMG_EPROTO: longer than CMG_JWKS_BYTES_MAX, not a JWK set, duplicate
 * members, more keys than a set may have, or no usable key in it; then nothing is added.
 *
 * A key with a member `issuer`, as Microsoft's sets have them, signs for that issuer alone; one
 * with "{tenantid}" in it signs for all. */
CMG_MUST_CHECK enum cmg_rc cmg_keyset_add_jwks(struct cmg_keyset *s, struct cmg_str json,
                                               size_t *left_out, struct cmg_err *err);

/* Every certificate of a PEM text. Their key ids are the base64url thumbprints of the
 * certificate: SHA-1 (`x5t`, also taken as `kid`, as Configuration Manager does) and SHA-256
 * (`x5t#S256`). A certificate that is there already is not
 * added again. CMG_ECONF: not PEM, none in it, a key of another kind or too weak, more than a set
 * may have; then nothing is added. Validity is not looked at here: a key is usable within
 * notBefore and notAfter of its certificate. */
CMG_MUST_CHECK enum cmg_rc cmg_keyset_add_certificates(struct cmg_keyset *s, struct cmg_str pem,
                                                       struct cmg_err *err);

/* The i-th key, for messages and `cmgctl token inspect`. */
struct cmg_key_info {
    enum cmg_alg alg;
    unsigned bits;
    const char *id;                /* kid, or x5t of a certificate */
    int64_t not_before, not_after; /* of the certificate; 0: a JWK */
};
void cmg_keyset_info(const struct cmg_keyset *s, size_t i, struct cmg_key_info *out);

/* What a token calls its key. Those that are not there have .p NULL; one at least is there. */
struct cmg_key_names {
    struct cmg_str kid, x5t, x5t_s256;
};

/* The key that is called so, by all of these names that the key itself has. CMG_MORE: none is,
 * err says by which name. CMG_EDENIED: the names are those of different keys. */
CMG_MUST_CHECK enum cmg_rc cmg_keyset_find(const struct cmg_keyset *s,
                                           const struct cmg_key_names *names, size_t *i,
                                           struct cmg_err *err);

/* True when `signature` is that of `text` by the i-th key: RS256 is PKCS #1 v1.5 with SHA-256
 * (1.2.840.113549.1.1.11), as long as the modulus; ES256 is r and s, 32 bytes each (RFC 7518
 * section 3.4). */
bool cmg_key_verify(const struct cmg_keyset *s, size_t i, struct cmg_str text,
                    struct cmg_str signature);

/* A private key with its certificate. */
struct cmg_signer;
/* From PEM texts; they must belong together. NULL with err (CMG_ECONF); no password is asked
 * for. Of several certificates the first one counts. */
struct cmg_signer *cmg_signer_new(struct cmg_str certificate_pem, struct cmg_str key_pem,
                                  struct cmg_err *err);
void cmg_signer_free(struct cmg_signer *s); /* NULL is ignored */
enum cmg_alg cmg_signer_alg(const struct cmg_signer *s);
const char *cmg_signer_x5t(const struct cmg_signer *s); /* base64url SHA-1 thumbprint */
enum { CMG_SIGNATURE_MAX = 1024 };
/* Signs as cmg_key_verify expects it. Returns the number of bytes written to `out`. */
size_t cmg_signer_sign(const struct cmg_signer *s, struct cmg_str text,
                       unsigned char out[CMG_SIGNATURE_MAX]);

#endif
