/* SPDX-License-Identifier: MIT */
/* Metrics as Prometheus reads them (text format 0.0.4).
 *
 * A line goes in whole or not at all. From the first one that does not fit on nothing is added any
 * more and the buffer has no room left (cmg_buf_room is 0): half an answer would look like counters
 * that have vanished, so whoever sees that answers with an error. */
#ifndef CMG_DAEMON_EXPOSITION_H
#define CMG_DAEMON_EXPOSITION_H

#include "cmg/base/buf.h"
#include "cmg/base/counts.h"

#define CMG_EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct cmg_label {
    const char *name;  /* as Prometheus allows it: [a-z_]+; never "le" */
    const char *value; /* any bytes, escaped here; NULL: as "" */
};

/* For the two last arguments of labels: CMG_LABELS({ "state", "up" }, { "road", "https" }). */
#define CMG_LABELS(...)                        \
    (const struct cmg_label[]){ __VA_ARGS__ }, \
        sizeof((const struct cmg_label[]){ __VA_ARGS__ }) / sizeof(struct cmg_label)

/* `# HELP` and `# TYPE`; once for each name, before its samples. `type`: "counter", "gauge",
 * "histogram". `help`: one line without backslashes. */
void cmg_exposition_family(struct cmg_buf *b, const char *name, const char *type, const char *help);
/* One line. Whole numbers are written as such, others so that they read back the same. */
void cmg_exposition_sample(struct cmg_buf *b, const char *name, const struct cmg_label *labels,
                           size_t n, double value);
/* A family of one gauge without labels. */
void cmg_exposition_gauge(struct cmg_buf *b, const char *name, const char *help, double value);
/* name_bucket (cumulated, in seconds), name_sum, name_count. */
void cmg_exposition_histogram(struct cmg_buf *b, const char *name, const struct cmg_label *labels,
                              size_t n, const struct cmg_histogram *h);

struct cmg_counted { /* what the counts are of */
    const char *endpoint;
    const struct cmg_counts *counts;
};

/* All families of struct cmg_counts, by endpoint: cmg_requests_total and so on. Both daemons name
 * them alike. */
void cmg_exposition_requests(struct cmg_buf *b, const struct cmg_counted *v, size_t n);

#endif
