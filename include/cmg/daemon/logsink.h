/* SPDX-License-Identifier: MIT */
/* Where a daemon's log goes: the journal, or lines on standard error, as text or JSON.
 *
 * Lines are gathered and written once per turn of the loop (cmg_log_flush), or when 64 KiB
 * have come together. Standard error is never waited for: what it does not take is kept as
 * far as it fits, then dropped and counted; when it takes lines again, the event
 * log.dropped count=N says so. Only cmg_logsink_close waits, a second at most.
 */
#ifndef CMG_DAEMON_LOGSINK_H
#define CMG_DAEMON_LOGSINK_H

#include "cmg/base/err.h"
#include "cmg/base/log.h"

enum cmg_log_target { CMG_LOG_AUTO, CMG_LOG_JOURNAL, CMG_LOG_STDERR };
enum cmg_log_format { CMG_LOG_TEXT, CMG_LOG_JSON };

struct cmg_log_conf {
    int target;  /* enum cmg_log_target                        */
    int format;  /* enum cmg_log_format                        */
    int level;   /* 0 error, 1 warn, 2 notice, 3 info, 4 debug */
    bool access; /* one event per request                      */
};

/* The names of those, NULL-ended. */
extern const char *const cmg_log_targets[], *const cmg_log_formats[], *const cmg_log_levels[];

/* Sends all that is logged from now on to where `conf` says. `program` is borrowed for good.
 * CMG_ECONF: the journal is asked for and not built in. */
CMG_MUST_CHECK enum cmg_rc cmg_logsink_open(const struct cmg_log_conf *conf, const char *program,
                                            struct cmg_err *err);
void cmg_logsink_level(const struct cmg_log_conf *conf);
void cmg_logsink_close(void); /* writes what is left; later events go out at once */

/* True when standard error is a stream into the journal. */
bool cmg_logsink_is_journal(void);

/* One JSON object, without a line end, of at most size - 1 bytes: what does not fit is left
 * out, and "cut":true says so. Returns its length. size is 256 or more. */
size_t cmg_log_json(char *out, size_t size, const char *time, const char *level, const char *event,
                    const struct cmg_kv *kv, size_t n);

#endif
