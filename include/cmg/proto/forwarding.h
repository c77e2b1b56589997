/* SPDX-License-Identifier: MIT */
/* What a client may not say, because those behind us would believe it. Pure. */
#ifndef CMG_PROTO_FORWARDING_H
#define CMG_PROTO_FORWARDING_H

#include <stdbool.h>

#include "cmg/base/str.h"

/* True for fields by which a proxy tells a back end who the client is, where it came from or
 * what it asked for (Forwarded, X-Forwarded-*, Client-Cert, X-ARR-ClientCert, X-Original-URL
 * and their kin), and for our own internal ones (cmg-*): in any case, and with '_' for '-',
 * as a CGI back end folds them. */
bool cmg_field_is_forged(struct cmg_str name);

#endif
