/* SPDX-License-Identifier: MIT */
/* Token buckets by key, for keys that strangers choose: a fixed number of entries, the one used
 * least recently gives way, keyed hashing. Time is an argument. Pure. */
#ifndef CMG_AUTH_BUCKET_H
#define CMG_AUTH_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/str.h"

struct cmg_buckets;

struct cmg_bucket_rate {
    uint32_t tokens; /* that come back in `per_ms`; 0: no limit */
    uint32_t per_ms;
    uint32_t burst; /* the most that a bucket holds, at least 1 */
};

/* `secret`: 16 unpredictable bytes. `entries` bounds the memory: about 64 bytes each. */
struct cmg_buckets *cmg_buckets_new(const struct cmg_bucket_rate *rate, size_t entries,
                                    const unsigned char secret[16]);
void cmg_buckets_free(struct cmg_buckets *b); /* NULL is ignored */
/* Another rate, in force at once; what buckets hold stays, cut to the new burst. */
void cmg_buckets_rate(struct cmg_buckets *b, const struct cmg_bucket_rate *rate);

/* Takes one token. False: there is none; *wait_ms says when the next one is. */
bool cmg_buckets_take(struct cmg_buckets *b, struct cmg_str key, int64_t now_ms, int64_t *wait_ms);
/* Whether one could be taken, without taking it. A key that has no bucket has a full one. */
bool cmg_buckets_peek(const struct cmg_buckets *b, struct cmg_str key, int64_t now_ms,
                      int64_t *wait_ms);

#endif
