/* SPDX-License-Identifier: MIT */
#ifndef CMG_BASE_UTF8_H
#define CMG_BASE_UTF8_H

#include "cmg/base/str.h"

/* How many bytes the character at the front of `s` (not empty) takes, 0 when it is not UTF-8
 * as RFC 3629 has it. */
size_t cmg_utf8(struct cmg_str s);

#endif
