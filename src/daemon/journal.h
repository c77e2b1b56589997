/* SPDX-License-Identifier: MIT */
/* Events as journal entries with fields: journalctl CMG_EVENT=channel.open CMG_INSTANCE=3 */
#ifndef CMG_DAEMON_JOURNAL_H
#define CMG_DAEMON_JOURNAL_H

#include "cmg/base/log.h"

bool cmg_journal_built_in(void);

/* False: the journal did not take it. */
bool cmg_journal_send(const char *program, enum cmg_level level, const char *event,
                      const struct cmg_kv *kv, size_t n);

#endif
