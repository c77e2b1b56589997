/* SPDX-License-Identifier: MIT */
/* Tokens that the site issues: bulk registration tokens, client tokens, and the token that
 * CCM_STS hands out. Made by cmgctl, verified by the gateway; the claims are those of the real
 * system's (docs/protocol.md). Pure. */
#ifndef CMG_AUTH_SITE_TOKEN_H
#define CMG_AUTH_SITE_TOKEN_H

#include "cmg/auth/identity.h"
#include "cmg/auth/jwt.h"

enum cmg_site_token_type {
    CMG_SITE_TOKEN_BULK,   /* Type=BulkRegistration; UniqueId              */
    CMG_SITE_TOKEN_CLIENT, /* Type=Client; given at registration, 90 days  */
    CMG_SITE_TOKEN_STS     /* Type=Device or UDA; from CCM_STS, 8 hours    */
};

enum {
    CMG_BULK_DEFAULT_S = 4320 * 60,
    CMG_BULK_MAX_S = 10080 * 60,
    CMG_CLIENT_MAX_S = 90 * 86400,
    CMG_STS_MAX_S = 8 * 3600
};

#define CMG_SITE_TOKEN_AUDIENCE "urn:sccm:service"

/* "urn:sccm:oauth2:" and the hierarchy's GUID in lower case. */
enum { CMG_SITE_ISSUER = 64 };
void cmg_site_token_issuer(const char *hierarchy, char out[CMG_SITE_ISSUER]);

struct cmg_site_token {
    enum cmg_site_token_type type;
    const char *hierarchy; /* GUID */
    const char *unique_id; /* GUID of this token, by which it is blocked                    */
    const char *client;    /* GUID of the client; NULL for bulk                             */
    int64_t not_before, expires;
};

/* A signed token the caller frees. NULL with err: a GUID is none, or the time is longer than
 * the type may have. */
char *cmg_site_token_issue(const struct cmg_signer *s, const struct cmg_site_token *t,
                           struct cmg_err *err);

/* Verifies: signature, issuer, audience, times, lifetime of its type, category, authority,
 * hierarchy, a GUID where one must be. *out is filled. Blocked ones are the caller's to look up:
 * *unique_id gets the token's own GUID, out->id the client's (for bulk tokens both are the same).
 * CMG_MORE and CMG_EDENIED as cmg_jwt_verify. */
CMG_MUST_CHECK enum cmg_rc cmg_site_token_verify(const struct cmg_jwt *t, const char *hierarchy,
                                                 const struct cmg_keyset *keys, int64_t now,
                                                 int64_t leeway_s, struct cmg_identity *out,
                                                 char unique_id[37], struct cmg_err *err);

#endif
