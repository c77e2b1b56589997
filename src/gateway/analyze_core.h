/* SPDX-License-Identifier: MIT */
/* What the files of the analyzer share. */
#ifndef CMG_GATEWAY_ANALYZE_CORE_H
#define CMG_GATEWAY_ANALYZE_CORE_H

#include "cmg/daemon/finding.h"
#include "cmg/http/fetch.h"
#include "gateway/gateway.h"
#include "gateway/tenants.h"

struct analysis;
struct cmg_dial;
struct cmg_dialer;
struct store;

struct analyze_job { /* something that is asked */
    struct analysis *analysis;
    struct cmg_fetch *fetch; /* owned; NULL: none is under way */
    struct cmg_dial *dial;   /* likewise */
    int64_t began_ms;
    struct tenant_place tenant; /* borrowed until a reload, which ends the analysis */
    const struct store *store;  /* likewise */
};

struct analysis {
    struct gateway *gateway;   /* borrowed */
    struct cmg_admin_ask *ask; /* to be ended once */
    bool deaf;                 /* nobody listens any more */
    unsigned totals[CMG_FINDING_FAIL + 1];
    int64_t started_ms;
    struct cmg_task task; /* begins, then ends */
    struct cmg_timer *timer;
    struct cmg_dialer *dialer; /* owned; NULL: nothing was dialed */
    struct cmg_tls *tls;       /* owned; as a client's */
    struct analyze_job *jobs;  /* owned */
    size_t njobs, left;
    int64_t skew_s;  /* the largest difference of clocks, ours less theirs, */
    char clock[128]; /* and whose; "": nobody has said the time */
};

/* One finding; `says` by printf. `subject`, `means` and `remedy` may be NULL. */
void analyze_tell(struct analysis *a, const char *check, const char *subject,
                  enum cmg_finding_verdict verdict, const char *means, const char *remedy,
                  const char *says, ...) CMG_PRINTF(7, 8);

/* "3 days", "5 hours": of a span in seconds, without its sign. */
enum { ANALYZE_SPAN = 32 };
const char *analyze_span(int64_t seconds, char out[ANALYZE_SPAN]);
/* A certificate's end: expired, soon (a third of its life or 30 days, whichever is less), or not.
 */
enum cmg_finding_verdict analyze_end(int64_t not_before, int64_t not_after, int64_t now);

void analyze_local(struct analysis *a);  /* all of it */
void analyze_remote(struct analysis *a); /* begins it; each job ends with analyze_job_done */
void analyze_clock(struct analysis *a);  /* once all jobs are done */
void analyze_job_done(struct analyze_job *j);

#endif
