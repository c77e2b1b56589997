/* SPDX-License-Identifier: MIT */
/* The keys of one tenant: its OpenID configuration, then its JWK set, fetched one after the other
 * as key_plan.h says; the set that is there stays until a newer one is. */
#ifndef CMG_GATEWAY_TENANT_KEYS_H
#define CMG_GATEWAY_TENANT_KEYS_H

#include "cmg/auth/key.h"
#include "cmg/http/fetch.h"
#include "gateway/options.h"

struct tenant_keys;

/* `on_end` when a fetch has ended, well or not; nothing is touched after it. */
struct tenant_keys *tenant_keys_new(struct cmg_loop *l, struct cmg_fetcher *f,
                                    void (*on_end)(void *arg), void *arg);
void tenant_keys_free(struct tenant_keys *k); /* NULL is ignored; a fetch ends without a word */

/* Where they are and how often to ask; all borrowed until the next call, tenant_keys_pause or the
 * end. Fetches at once while there are none, or the last fetch failed. */
void tenant_keys_use(struct tenant_keys *k, const struct gateway_tenant_conf *conf, const char *url,
                     const char *const *issuers);
/* Asks no more, and on_end is not called; what is there stays. */
void tenant_keys_pause(struct tenant_keys *k);

const struct cmg_keyset *tenant_keys_set(const struct tenant_keys *k); /* NULL: none yet */

/* A token names a key that is not there, says `why`. True: a fetch is under way, on_end will
 * follow. False: there is no use in waiting. */
bool tenant_keys_demand(struct tenant_keys *k, const char *why);

/* When they were fetched last, well: seconds since 1970; 0: not yet. */
int64_t tenant_keys_fetched(const struct tenant_keys *k);
/* Why the last fetch failed; "" when it did not. */
const char *tenant_keys_failure(const struct tenant_keys *k);

#endif
