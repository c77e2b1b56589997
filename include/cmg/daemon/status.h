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

/* [{"use", "file", "subject", "issuer", "names": [...], "not_before", "not_after", "expires_s",
 *   "sha256"}, ...]: the certificates of a PEM file, the first CMG_STATUS_CERTIFICATES of them.
 * {"use", "file", "why"} for a file that cannot be read now. It is read here and now: not for
 * every request of a busy path. `use` is "server certificate" or the like. */
enum { CMG_STATUS_CERTIFICATES = 64 };
json_t *cmg_status_certificates(const char *use, const char *file);

/* "2026-01-31T10:00:00Z", or null. */
json_t *cmg_status_time(int64_t unix_s);

#endif
