/* SPDX-License-Identifier: MIT */
/* Deletes blobs, several at a time. */
#ifndef CMG_CTL_SWEEP_H
#define CMG_CTL_SWEEP_H

#include "ctl/blobs.h"
#include "ctl/progress.h"

struct sweep;

/* `names` and what they point to are borrowed. `on_done` is called once, from the loop: err is
 * NULL, or says what ended it; a blob that is gone already is fine. Do not free it from inside. */
struct sweep *sweep_new(struct cmg_loop *l, struct blobs *b, const char *const *names, size_t n,
                        unsigned parallel, struct progress *progress,
                        void (*on_done)(void *arg, const struct cmg_err *err), void *arg);
size_t sweep_count(const struct sweep *s); /* deleted so far */
/* Free `blobs` first, which ends what is in flight. NULL is ignored. */
void sweep_free(struct sweep *s);

#endif
