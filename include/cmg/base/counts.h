/* SPDX-License-Identifier: MIT */
/* What is counted of requests: once for an endpoint, a channel, a whole daemon. Plain numbers on
 * one thread; reading them costs nothing. */
#ifndef CMG_BASE_COUNTS_H
#define CMG_BASE_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

/* How long requests took, in buckets whose upper bounds are cmg_histogram_us. */
enum { CMG_HISTOGRAM_BUCKETS = 14 };
extern const int64_t cmg_histogram_us[CMG_HISTOGRAM_BUCKETS]; /* 1 ms to 5 min, ascending */

struct cmg_histogram {
    uint64_t bucket[CMG_HISTOGRAM_BUCKETS]; /* of each alone, not cumulated */
    uint64_t above;                         /* longer than the last bound   */
    uint64_t count;
    uint64_t sum_us;
};
void cmg_histogram_add(struct cmg_histogram *h, int64_t us);

struct cmg_counts {
    uint64_t requests;       /* begun                                            */
    uint64_t bearer;         /* of these, with a token (Authorization: Bearer)   */
    uint64_t failed;         /* ended with 5xx, cut, or left by the client       */
    uint64_t request_bytes;  /* of bodies */
    uint64_t response_bytes; /* of bodies */
    uint32_t in_flight, max_in_flight;
    uint32_t peak; /* the same since cmg_counts_peak was called last */
    struct cmg_histogram took;
};
void cmg_counts_begin(struct cmg_counts *c, bool bearer);
void cmg_counts_end(struct cmg_counts *c, unsigned status, bool cut, uint64_t request_bytes,
                    uint64_t response_bytes, int64_t us);
/* The most that were in flight since the last call, for the one who cuts time into periods. */
uint32_t cmg_counts_peak(struct cmg_counts *c);

#endif
