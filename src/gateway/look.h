/* SPDX-License-Identifier: MIT */
/* One content looked for in all storage accounts at the same time: what they have, put together. */
#ifndef CMG_GATEWAY_LOOK_H
#define CMG_GATEWAY_LOOK_H

#include "cmg/http/fetch.h"
#include "cmg/storage/listing.h"
#include "gateway/stores.h"

struct look;

enum look_verdict { LOOK_FOUND, LOOK_ABSENT, LOOK_FAILED };

/* Once one account has it, the others get so long: one that hangs does not hold clients up. */
enum { LOOK_GRACE_MS = 1000 };

struct look_item {
    const struct cmg_blob *blob; /* of the first account that has it */
    uint16_t stores;             /* bit i: account i has the same */
};

/* Begins at once. `id` is the content's in lower case: its blobs' names begin with "id/". on_done
 * is called once, from the loop, never from inside. */
struct look *look_new(struct cmg_loop *l, struct cmg_fetcher *f, struct stores *stores,
                      const char *id, void (*on_done)(void *arg), void *arg);
void look_free(struct look *k); /* what is under way ends without a word; NULL is ignored */

struct stores *look_stores(const struct look *k); /* borrowed */

/* After on_done. FAILED: err says of which account and why; its code is CMG_ETIMEOUT when time is
 * all that was missing. */
enum look_verdict look_verdict(const struct look *k, struct cmg_err *err);
size_t look_count(const struct look *k);
const struct look_item *look_at(const struct look *k, size_t i); /* by name */

#endif
