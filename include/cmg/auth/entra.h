/* SPDX-License-Identifier: MIT */
/* What a verified Microsoft Entra ID token says of its bearer: a device, or a user where a device
 * has no token of its own. Pure. */
#ifndef CMG_AUTH_ENTRA_H
#define CMG_AUTH_ENTRA_H

#include "cmg/auth/identity.h"
#include "cmg/auth/jwt.h"

/* The two issuers of a tenant: "https://sts.windows.net/TENANT/" (v1) and
 * "https://login.microsoftonline.com/TENANT/v2.0" (v2). A GUID is put in lower case, as
 * tokens have it. */
enum { CMG_ENTRA_ISSUER = 128 };
void cmg_entra_issuers(const char *tenant, char v1[CMG_ENTRA_ISSUER], char v2[CMG_ENTRA_ISSUER]);

/* `t` has passed cmg_jwt_verify. A user's token has a name (`upn`, `preferred_username`,
 * `unique_name`) or a scope (`scp`), and `oid`; a device's has `deviceid` and nothing of a user.
 * *out: id is deviceid or oid and tenant is tid, both in lower case; name is the first of the
 * names that can be shown, else the id; since is now, until is exp.
 * CMG_EDENIED, and *out is nobody: `tid` is not `tenant`, both GUIDs in any case; it is neither a
 * device's nor a user's; it is an application's (`idtyp` app without deviceid, or with a user). */
CMG_MUST_CHECK enum cmg_rc cmg_entra_identify(const struct cmg_jwt *t, const char *tenant,
                                              int64_t now, struct cmg_identity *out,
                                              struct cmg_err *err);

#endif
