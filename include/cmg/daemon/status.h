/* SPDX-License-Identifier: MIT */
/* Parts of GET /status that every daemon has. Each returns a new value that is the caller's; what
 * is not known, as in a process that cmg_service_main does not lead, is left out or null. Times are
 * RFC 3339 in UTC. */
#ifndef CMG_DAEMON_STATUS_H
#define CMG_DAEMON_STATUS_H

#include <jansson.h>
#include <stdint.h>

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

/* Adds to the array `list` the certificates of a PEM file, the first CMG_STATUS_CERTIFICATES of it:
 * {"use", "file", "name", "subject", "issuer", "serial", "sha256", "not_before", "not_after",
 *  "expires_s"}, where the last is less than 0 for one that has expired. {"use", "file", "why"} for
 * a file that cannot be read now. NULL for `file` adds nothing. It is read here and now, which is
 * not for a busy path; and it may be newer than what is in force. `use` is for people and scripts:
 * "server certificate". */
enum { CMG_STATUS_CERTIFICATES = 64 };
void cmg_status_certificates(json_t *list, const char *use, const char *file);

/* "2026-01-31T10:00:00Z", or null. */
json_t *cmg_status_time(int64_t unix_s);

#endif
