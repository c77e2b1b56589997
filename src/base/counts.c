/* SPDX-License-Identifier: MIT */
#include "cmg/base/counts.h"

#define MS INT64_C(1000)
#define S (1000 * MS)

const int64_t cmg_histogram_us[CMG_HISTOGRAM_BUCKETS] = {
    1 * MS,   2 * MS, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS,
    250 * MS, 1 * S,  3 * S,  10 * S,  30 * S,  60 * S,  300 * S,
};

void cmg_histogram_add(struct cmg_histogram *h, int64_t us)
{
    unsigned i = 0;
    if (us < 0)
        us = 0;
    while (i < CMG_HISTOGRAM_BUCKETS && us > cmg_histogram_us[i])
        i++;
    if (i < CMG_HISTOGRAM_BUCKETS)
        h->bucket[i]++;
    else
        h->above++;
    h->count++;
    h->sum_us += (uint64_t)us;
}

void cmg_counts_begin(struct cmg_counts *c, bool bearer)
{
    c->requests++;
    c->bearer += bearer;
    if (++c->in_flight > c->max_in_flight)
        c->max_in_flight = c->in_flight;
    if (c->in_flight > c->peak)
        c->peak = c->in_flight;
}

void cmg_counts_end(struct cmg_counts *c, unsigned status, bool cut, uint64_t request_bytes,
                    uint64_t response_bytes, int64_t us)
{
    c->in_flight--;
    c->failed += cut || status >= 499 || status == 0;
    c->request_bytes += request_bytes;
    c->response_bytes += response_bytes;
    cmg_histogram_add(&c->took, us);
}

uint32_t cmg_counts_peak(struct cmg_counts *c)
{
    uint32_t peak = c->peak;
    c->peak = c->in_flight;
    return peak;
}
