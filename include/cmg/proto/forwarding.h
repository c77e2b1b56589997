/* SPDX-License-Identifier: MIT */
/* What a client may not say, because those behind us would believe it. Pure. */
#ifndef CMG_PROTO_FORWARDING_H
#define CMG_PROTO_FORWARDING_H

#include <stdbool.h>

#include "cmg/base/str.h"

/* True for fields by which a proxy tells a back end who the client is, where it came from or
 * what it asked for (Forwarded, X-Forwarded-*, Client-Cert, X-ARR-ClientCert, X-Original-URL
 * and their kin), and for our own internal ones (cmg-*): in every spelling that a back end may
 * fold to the same (cmg_field_fold). */
bool cmg_field_is_forged(struct cmg_str name);

/* True when `name`, folded, is `pattern`, written folded; a '*' at its end stands for anything, or
 * nothing. */
bool cmg_field_matches(struct cmg_str name, const char *pattern);

#endif
