/* SPDX-License-Identifier: MIT */
/* Times for people. */
#ifndef CMG_CTL_WHEN_H
#define CMG_CTL_WHEN_H

#include <stdint.h>

enum { WHEN_TEXT = 64 };

/* "2026-01-31 10:00:00 UTC"; "at 99999999999999" when it is no date. */
void when_text(int64_t unix_s, char out[WHEN_TEXT]);
/* "3 days", "1 hour", "59 seconds": the largest unit that fits, of a span of 0 or more. */
void when_span(int64_t seconds, char out[WHEN_TEXT]);
/* Both: "2026-01-31 10:00:00 UTC (in 3 days)", "... (2 hours ago)". */
enum { WHEN_BOTH = 2 * WHEN_TEXT };
void when_both(int64_t unix_s, int64_t now, char out[WHEN_BOTH]);

#endif
