/* SPDX-License-Identifier: MIT */
/* JSON that means the same to every reader: one object, no member twice, no NUL in a text, no
 * bytes behind it, not nested deeper than anything that is meant. */
#ifndef CMG_AUTH_STRICT_JSON_H
#define CMG_AUTH_STRICT_JSON_H

#include <jansson.h>

#include "cmg/base/str.h"

enum { CMG_JSON_DEPTH_MAX = 16 };

/* NULL: it is not that. The caller gives the reference up. */
json_t *cmg_strict_json(struct cmg_str text);

/* A member that is text, else .p NULL. Borrowed from `object`. */
struct cmg_str cmg_json_text(const json_t *object, const char *member);

#endif
