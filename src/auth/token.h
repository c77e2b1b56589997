/* SPDX-License-Identifier: MIT */
/* A token taken apart: jwt.c does that, jwt_verify.c judges it. Nobody else includes this. */
#ifndef CMG_AUTH_TOKEN_H
#define CMG_AUTH_TOKEN_H

#include <jansson.h>

#include "cmg/auth/jwt.h"

struct cmg_jwt {
    enum cmg_alg alg;
    json_t *header, *claims; /* owned; objects */
    char *text;              /* owned; what is signed: header and claims as they came */
    size_t text_n;
    size_t signature_n;
    char signature[CMG_SIGNATURE_MAX];
};

/* What the header calls the key. */
struct cmg_key_names cmg_jwt_key_names(const struct cmg_jwt *t);

#endif
