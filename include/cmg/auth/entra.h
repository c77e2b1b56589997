/* SPDX-License-Identifier: MIT */
/* What a verified Microsoft Entra ID token says of its bearer (facts: device tokens, and user
 * tokens as the fallback). Pure. */
#ifndef CMG_AUTH_ENTRA_H
#define CMG_AUTH_ENTRA_H

#include "cmg/auth/identity.h"
#include "cmg/auth/jwt.h"

/* The two issuers of a tenant: "https://sts.windows.net/TENANT/" (v1) and
 * "https://login.microsoftonline.com/TENANT/v2.0" (v2). */
enum { CMG_ENTRA_ISSUER = 128 };
void cmg_entra_issuers(const char *tenant, char v1[CMG_ENTRA_ISSUER], char v2[CMG_ENTRA_ISSUER]);

/* `t` has passed cmg_jwt_verify. CMG_EDENIED: `tid` is not `tenant`; it is neither a device's
 * (`deviceid`, no user) nor a user's (`oid` with a name or scope); an application's token
 * (`idtyp` app without deviceid). */
CMG_MUST_CHECK enum cmg_rc cmg_entra_identify(const struct cmg_jwt *t, const char *tenant,
                                              int64_t now, struct cmg_identity *out,
                                              struct cmg_err *err);

#endif
