/* SPDX-License-Identifier: MIT */
/* JSON Web Tokens, signed, in compact form (RFC 7515, 7519, 8725). Nothing in a token chooses
 * how it is verified: the rule names the algorithms, the issuers and the audiences, the key set
 * the keys, and every key has one algorithm. Pure: time is an argument.
 */
#ifndef CMG_AUTH_JWT_H
#define CMG_AUTH_JWT_H

#include <stdint.h>

#include "cmg/auth/key.h"

enum { CMG_JWT_BYTES_MAX = 16 * 1024 };

struct cmg_jwt; /* a token taken apart: claims nobody has vouched for until cmg_jwt_verify */

/* Takes a compact token apart. NULL with err (CMG_EDENIED) when it is longer than
 * CMG_JWT_BYTES_MAX; not three parts of strict base64url; header or claims are not one JSON
 * object each, have duplicate members or NULs, or are nested deeper than 16; `alg` is not RS256 or
 * ES256; `crit`, `b64`, `zip`, `enc` or `cty` is there; the token brings a key of its own (`jwk`,
 * `jku`, `x5u`, `x5c`); it names no key (`kid`, `x5t`, `x5t#S256`); or the signature's length
 * cannot be that of `alg`. err never quotes more of a token than a name or a key id. */
struct cmg_jwt *cmg_jwt_read(struct cmg_str token, struct cmg_err *err);
void cmg_jwt_free(struct cmg_jwt *t); /* NULL is ignored */

/* Members, for choosing a rule and for messages. Empty (.p NULL) when it is not there or not
 * text. Borrowed from `t`. */
struct cmg_str cmg_jwt_text(const struct cmg_jwt *t, const char *claim);
/* -1 when it is not there or not a whole number of 0 or more. */
int64_t cmg_jwt_number(const struct cmg_jwt *t, const char *claim);
struct cmg_str cmg_jwt_header(const struct cmg_jwt *t, const char *member);
enum cmg_alg cmg_jwt_alg(const struct cmg_jwt *t);

/* True when `aud` is one of these, or a list of texts with one of these in it. */
bool cmg_jwt_is_for(const struct cmg_jwt *t, const char *const *audiences);

struct cmg_jwt_rule {
    unsigned algs;                /* bits of enum cmg_alg                                       */
    const char *const *types;     /* `typ`, without case, "application/" cut; NULL: any or none */
    const char *const *issuers;   /* exact, NULL-ended, at least one                            */
    const char *const *audiences; /* exact, NULL-ended, at least one                            */
    int64_t leeway_s;
    int64_t lifetime_max_s; /* from nbf (or iat) to exp, both then needed; 0: any */
};

/* The order of checks: algorithm against the rule; the key by kid, x5t and x5t#S256 (as
 * cmg_keyset_find); its algorithm; its certificate's validity, without leeway; signature; whether
 * the key is for one of the issuers, where its set says so; issuer; audience; exp, which must be
 * there; nbf and iat, when there; lifetime; type. Dates are whole numbers up to the year 9999.
 * CMG_MORE: no key of that id is in the set, which may be out of date; err says which id.
 * CMG_EDENIED: err says which check failed ("expired 2026-01-31T10:00:00Z"). */
CMG_MUST_CHECK enum cmg_rc cmg_jwt_verify(const struct cmg_jwt *t, const struct cmg_jwt_rule *rule,
                                          const struct cmg_keyset *keys, int64_t now,
                                          struct cmg_err *err);

/* A signed token of a JSON object in text; header typ JWT, alg and x5t and kid of the signer. The
 * caller frees it. NULL: it is no such object, or the token would be longer than
 * CMG_JWT_BYTES_MAX. */
char *cmg_jwt_issue(const struct cmg_signer *s, struct cmg_str claims_json);

#endif
