/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 Upgrade (RFC 9110 section 7.8), the client's side: one request, one answer. Bytes
 * in, verdict out; no I/O. */
#ifndef CMG_NET_UPGRADE_H
#define CMG_NET_UPGRADE_H

#include <stdbool.h>

#include "cmg/base/buf.h"
#include "cmg/base/err.h"
#include "cmg/net/dial.h"

struct cmg_upgrade;

enum cmg_upgrade_verdict { CMG_UPGRADE_MORE, CMG_UPGRADE_YES, CMG_UPGRADE_NO };

/* Copies what it needs of `t`. */
struct cmg_upgrade *cmg_upgrade_new(const struct cmg_dial_target *t);
void cmg_upgrade_free(struct cmg_upgrade *u); /* NULL is ignored */

CMG_MUST_CHECK enum cmg_rc cmg_upgrade_ask(struct cmg_upgrade *u, struct cmg_buf *out,
                                           struct cmg_err *err);

/* Reads on. `*used` bytes of `in` are done with: after YES the rest is in the new protocol.
 * A refusal is complete when enough of its body is there to quote. */
enum cmg_upgrade_verdict cmg_upgrade_answer(struct cmg_upgrade *u, struct cmg_str in, size_t *used);

/* After the refusal, or while it is incomplete: the status, 0 as long as there is none. */
unsigned cmg_upgrade_status(const struct cmg_upgrade *u);

/* "refused the upgrade to ptth: 403 Forbidden (certificate not admitted)" */
void cmg_upgrade_why(const struct cmg_upgrade *u, char *out, size_t size);

#endif
