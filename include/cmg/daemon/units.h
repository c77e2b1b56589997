/* SPDX-License-Identifier: MIT */
/* For the bounds in option tables: bytes and milliseconds. For their files only, because the
 * names are short. */
#ifndef CMG_DAEMON_UNITS_H
#define CMG_DAEMON_UNITS_H

#include <stdint.h>

#define K INT64_C(1024)
#define M (1024 * K)
#define G (1024 * M)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

#endif
