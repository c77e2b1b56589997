/* SPDX-License-Identifier: MIT */
/* SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash of short inputs. Whoever does not know the
 * key cannot find inputs that share a value or a place in a table. Pure. */
#ifndef CMG_BASE_SIPHASH_H
#define CMG_BASE_SIPHASH_H

#include <stdint.h>

#include "cmg/base/str.h"

uint64_t cmg_siphash(const unsigned char key[16], struct cmg_str text);

#endif
