/* SPDX-License-Identifier: MIT */
/* Parts of GET /status that every daemon has. Each returns a new value that is the caller's; what
 * is not known, as in a process that cmg_service_main does not lead, is left out or null. Times are
 * RFC 3339 in UTC. */
#ifndef CMG_DAEMON_STATUS_H
#define CMG_DAEMON_STATUS_H

#include <jansson.h>
#include <stdint.h>

#include "cmg/base/counts.h"

/* {"program", "version", "pid", "started", "uptime_s", "draining", "resident_bytes",
 *  "peak_bytes", "descriptors", "loop_lag_us", "loop_lag_max_us"}; the two lags are of the last
 * second and of the last minute. */
json_t *cmg_status_process(void);

/* {"file", "loaded", "last_reload"}: since when what is in force is so, and the outcome of the
 * last attempt to change it, as below; null when there was none. */
json_t *cmg_status_configuration(void);

/* {"result": "reloaded" | "refused" | "needs_restart" | "draining", "time", "why", "changed":
 *  ["log.level", ...], "needs_restart": [...]}; the last three where there is something to say. */
json_t *cmg_status_reload(void);

/* "2026-01-31T10:00:00Z", or null. */
json_t *cmg_status_time(int64_t unix_s);

json_t *cmg_status_number(uint64_t n);

/* {"requests", "in_flight", "in_flight_max", "failures", "with_bearer_token", "request_bytes",
 *  "response_bytes", "mean_us"}; the last is null before the first request is over. */
json_t *cmg_status_counts(const struct cmg_counts *c);

#endif
