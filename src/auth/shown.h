/* SPDX-License-Identifier: MIT */
/* A stranger's word in a sentence for people. */
#ifndef CMG_AUTH_SHOWN_H
#define CMG_AUTH_SHOWN_H

#include "cmg/base/str.h"

enum { CMG_SHOWN = 88 };

/* Cut to what is worth reading; what is not printable ASCII becomes '?'. Returns `out`. */
const char *cmg_shown(struct cmg_str word, char out[CMG_SHOWN]);

#endif
