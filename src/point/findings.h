/* SPDX-License-Identifier: MIT */
/* What an analysis found, in a list whose sentences are its own. Pure. */
#ifndef CMG_POINT_FINDINGS_H
#define CMG_POINT_FINDINGS_H

#include <jansson.h>
#include <stddef.h>

#include "cmg/base/err.h"
#include "cmg/daemon/finding.h"

struct finding {
    const char *check; /* "port": a word that stays, for programs    */
    char subject[192]; /* what was looked at                         */
    enum cmg_finding_verdict verdict;
    char says[400];  /* what was seen                              */
    char means[400]; /* what follows from it; "" when it passed     */
    char remedy[400];
};

/* Zeroed is empty. */
struct findings {
    struct finding *v; /* owned */
    size_t n, room;
};
void findings_clear(struct findings *f);

/* Appends one, whose other texts are empty; good until the next is appended. */
struct finding *finding_new(struct findings *f, const char *check,
                            enum cmg_finding_verdict verdict);

/* Each is cut to its room. Control characters become '?'. */
void finding_subject(struct finding *x, const char *fmt, ...) CMG_PRINTF(2, 3);
void finding_says(struct finding *x, const char *fmt, ...) CMG_PRINTF(2, 3);
void finding_means(struct finding *x, const char *fmt, ...) CMG_PRINTF(2, 3);
void finding_do(struct finding *x, const char *fmt, ...) CMG_PRINTF(2, 3);

/* One line, for the caller to own. */
json_t *finding_json(const struct finding *x);

#endif
