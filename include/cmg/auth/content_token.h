/* SPDX-License-Identifier: MIT */
/* Content tokens: a signed query that opens one content.
 *
 *   pid=PS100042&cid=PS100042.3&tid=GUID:...&iss=mp.corp.example.com
 *   &alg=1.2.840.113549.1.1.11&st=2026-01-31T10:00:00Z&et=2026-02-01T10:00:00Z
 *   &x5t=...&signature=...
 *
 * `signature` comes last and is the base64url RSA-SHA256 signature over the bytes of the query
 * before "&signature=". What is signed are the raw bytes, and no value may need an escape, so that
 * there is one reading only. The others come in any order; x5t may be missing; further ones are
 * refused. Pure.
 */
#ifndef CMG_AUTH_CONTENT_TOKEN_H
#define CMG_AUTH_CONTENT_TOKEN_H

#include <stdint.h>

#include "cmg/auth/identity.h"
#include "cmg/auth/key.h"

#define CMG_CONTENT_PATH "/downloadrestservice.svc/getcontentxmlsecure"
#define CMG_CONTENT_ALG "1.2.840.113549.1.1.11" /* sha256WithRSAEncryption */

enum { CMG_CONTENT_ID_MAX = 128, CMG_CONTENT_DEFAULT_S = 24 * 3600, CMG_CONTENT_QUERY_MAX = 4096 };

struct cmg_content_token {
    char package[CMG_CONTENT_ID_MAX]; /* pid: [A-Za-z0-9._-]+, no "..", no '.' first */
    char content[CMG_CONTENT_ID_MAX]; /* cid: as package */
    char client[37];                  /* tid, without "GUID:" */
    char issuer[256];                 /* iss: host name */
    int64_t start, end;               /* st, et: seconds since 1970 */
};

/* Whether a text can be the id of a package or content: a segment of a blob's name and no other
 * than it looks. */
bool cmg_content_id_ok(struct cmg_str id);

/* The query, to be freed by the caller. NULL with err: a member that cannot be expressed, or a
 * signer that is not RSA. */
char *cmg_content_token_issue(const struct cmg_signer *s, const struct cmg_content_token *t,
                              struct cmg_err *err);

/* CMG_EDENIED: err says which check failed: a parameter that is missing, twice or not of its form;
 * alg; issuer not among `issuers` (NULL-ended, without case); signature, by the RSA key that x5t
 * names, or by any of the set when there is none, whose certificate is in force; not yet valid,
 * expired, longer than lifetime_max_s. */
CMG_MUST_CHECK enum cmg_rc cmg_content_token_verify(
    struct cmg_str query, const struct cmg_keyset *keys, const char *const *issuers, int64_t now,
    int64_t leeway_s, int64_t lifetime_max_s, struct cmg_content_token *out, struct cmg_err *err);

#endif
