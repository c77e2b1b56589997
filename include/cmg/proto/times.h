/* SPDX-License-Identifier: MIT */
/* The forms of time that HTTP and the Blob service write and read. Seconds since 1970, UTC. Pure. */
#ifndef CMG_PROTO_TIMES_H
#define CMG_PROTO_TIMES_H

#include <stdint.h>

#include "cmg/base/str.h"

enum { CMG_TIMES_TEXT = 32 };

void cmg_times_http_put(int64_t t, char out[CMG_TIMES_TEXT]); /* Sat, 31 Jan 2026 10:00:00 GMT */
void cmg_times_iso_put(int64_t t, char out[CMG_TIMES_TEXT]);  /* 2026-01-31T10:00:00Z */

/* -1: not of that form, no such date, or before 1970. */
int64_t cmg_times_http_get(struct cmg_str text);
/* The forms that Azure takes in a SAS: with seconds, with minutes, or a date alone. */
int64_t cmg_times_iso_get(struct cmg_str text);

#endif
