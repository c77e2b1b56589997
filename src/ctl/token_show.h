/* SPDX-License-Identifier: MIT */
/* What a token says, without believing a word of it. */
#ifndef CMG_CTL_TOKEN_SHOW_H
#define CMG_CTL_TOKEN_SHOW_H

#include <stdint.h>

#include <jansson.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

struct token_parts {
    json_t *header, *claims; /* owned */
};

/* Laxer than the gateway, so that what it refuses can be looked at. CMG_EDENIED: no token. */
CMG_MUST_CHECK enum cmg_rc token_parts_read(struct cmg_str token, struct token_parts *out,
                                            struct cmg_err *err);
void token_parts_clear(struct token_parts *p);

/* Header and claims, one line each; times also in words. Nothing of it can steer a terminal. */
void token_show(const struct token_parts *p, int64_t now);

#endif
