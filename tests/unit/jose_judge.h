/* SPDX-License-Identifier: MIT */
/* Tokens judged by the rule and the keys that most tests have. */
#ifndef TEST_JOSE_JUDGE_H
#define TEST_JOSE_JUDGE_H

#include "cmg/auth/jwt.h"
#include "jose_make.h"

static const char *const jose_issuers[] = { "urn:other-issuer", ISSUER, NULL };
static const char *const jose_audiences[] = { "urn:other", AUDIENCE, NULL };
#define JOSE_RULE                                                       \
    {                                                                   \
        .algs = CMG_ALG_RS256 | CMG_ALG_ES256, .issuers = jose_issuers, \
        .audiences = jose_audiences, .leeway_s = 60                     \
    }

static struct cmg_keyset *jose_set(const char *jwks)
{
    struct cmg_keyset *s = cmg_keyset_new();
    if (cmg_keyset_add_jwks(s, cmg_str(jwks), NULL, NULL) != CMG_OK)
        abort();
    return s;
}

/* Read and verified, from a block of its exact size. */
static enum cmg_rc jose_judge(const struct cmg_keyset *keys, const struct cmg_jwt_rule *r,
                              const char *token, int64_t now, struct cmg_err *err)
{
    size_t n = strlen(token);
    char *exact = cmg_alloc(n ? n : 1);
    memcpy(exact, token, n);
    struct cmg_jwt *t = cmg_jwt_read((struct cmg_str){ exact, n }, err);
    free(exact);
    enum cmg_rc rc = t ? cmg_jwt_verify(t, r, keys, now, err) : CMG_EDENIED;
    cmg_jwt_free(t);
    return rc;
}

#endif
