/* SPDX-License-Identifier: MIT */
/* Metrics as Prometheus reads them (text format 0.0.4). */
#ifndef CMG_DAEMON_EXPOSITION_H
#define CMG_DAEMON_EXPOSITION_H

#include "cmg/base/buf.h"
#include "cmg/base/counts.h"

#define CMG_EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct cmg_label {
    const char *name, *value; /* the value is escaped here */
};

/* `# HELP` and `# TYPE`; once for each name, before its samples. `type`: "counter", "gauge",
 * "histogram". */
void cmg_exposition_family(struct cmg_buf *b, const char *name, const char *type, const char *help);
void cmg_exposition_sample(struct cmg_buf *b, const char *name, const struct cmg_label *labels,
                           size_t n, double value);
/* name_bucket (cumulated, in seconds), name_sum, name_count. */
void cmg_exposition_histogram(struct cmg_buf *b, const char *name, const struct cmg_label *labels,
                              size_t n, const struct cmg_histogram *h);

#endif
