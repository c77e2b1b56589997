/* SPDX-License-Identifier: MIT */
/* What an analyzer found: one finding is one line of JSON,
 *
 *   {"check":"storage","subject":"main","verdict":"fail","says":"...","means":"...","do":"..."}
 *
 * `check` is a stable word that scripts may look for; `subject` what was looked at, "" when there
 * is only one. The other three are sentences for people: what was seen, what follows from it for
 * clients, what to do. A pass needs only the first; `means` and `do` are always there, "" then. */
#ifndef CMG_DAEMON_FINDING_H
#define CMG_DAEMON_FINDING_H

#include <jansson.h>

enum cmg_finding_verdict {
    CMG_FINDING_PASS,
    CMG_FINDING_WARN, /* works now, and will not for long, or not for everybody */
    CMG_FINDING_FAIL
};

struct cmg_finding { /* strings are borrowed; NULL is "" */
    const char *check, *subject;
    enum cmg_finding_verdict verdict;
    const char *says, *means, *remedy; /* `remedy` is "do" on the line: C has that word */
};

const char *cmg_finding_word(enum cmg_finding_verdict v); /* "pass", "warn", "fail" */

/* A new object, for cmg_admin_line. What a peer put into a sentence cannot break it: bytes that
 * are not UTF-8 become '?'. */
json_t *cmg_finding_json(const struct cmg_finding *f);

#endif
