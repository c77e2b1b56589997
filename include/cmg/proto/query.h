/* SPDX-License-Identifier: MIT */
/* The query of a target: name=value pairs with '&' between. '+' is a plus. Pure. */
#ifndef CMG_PROTO_QUERY_H
#define CMG_PROTO_QUERY_H

#include "cmg/base/str.h"

/* Takes the next pair that is not empty off the front of *rest; both as they stand there. A name
 * without '=' has the empty value. False when there is none any more. */
bool cmg_query_next(struct cmg_str *rest, struct cmg_str *name, struct cmg_str *value);

/* Percent-decodes `s` into a string. False: it does not fit into `size` (1 or more) bytes with its
 * NUL, an escape is broken, or a NUL is in it; `out` is "" then. */
bool cmg_query_decode(struct cmg_str s, char *out, size_t size);

#endif
