/* SPDX-License-Identifier: MIT */
/* The OpenID configuration of a tenant (OpenID Connect Discovery 1.0): where its keys are. Pure. */
#ifndef CMG_AUTH_DISCOVERY_H
#define CMG_AUTH_DISCOVERY_H

#include "cmg/base/err.h"
#include "cmg/base/str.h"

enum { CMG_DISCOVERY_URL = 1024 }; /* size of an URL, NUL included */

/* Reads the document that was fetched from `url`; `jwks` gets the URL of the keys.
 *
 * CMG_EPROTO: not one JSON object, duplicate members, no issuer or no jwks_uri. CMG_EDENIED: the
 * issuer is neither among `issuers` (NULL-ended, byte for byte) nor the one that `url` is the
 * document of (section 4.1: ISSUER/.well-known/openid-configuration); or jwks_uri is not https -
 * http is taken only when `url` itself is http - or holds what no URL holds. It may be on another
 * host: Microsoft's is. */
CMG_MUST_CHECK enum cmg_rc cmg_discovery_read(struct cmg_str json, const char *url,
                                              const char *const *issuers,
                                              char jwks[CMG_DISCOVERY_URL], struct cmg_err *err);

#endif
