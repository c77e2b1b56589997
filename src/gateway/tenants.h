/* SPDX-License-Identifier: MIT */
/* Microsoft Entra tenants whose tokens are accepted, and the keys that sign them: OpenID
 * discovery, then the JWK set, fetched in the background, kept until newer ones are there.
 *
 * Keys are fetched when a tenant is first configured, every `refresh`, and when a token names a
 * key that is not there: at most once a minute then. What fails leaves the old keys in force and
 * is tried again, after 5 s at first, up to every 5 minutes. */
#ifndef CMG_GATEWAY_TENANTS_H
#define CMG_GATEWAY_TENANTS_H

#include "cmg/auth/identity.h"
#include "cmg/auth/jwt.h"
#include "cmg/http/fetch.h"
#include "gateway/options.h"

struct tenants;

/* `on_keys` when a tenant has other keys, and after a fetch that was waited for has ended, well or
 * not: ask again, also about tokens that were good. */
struct tenants *tenants_new(struct cmg_loop *l, struct cmg_fetcher *f, void (*on_keys)(void *arg),
                            void *arg);
void tenants_free(struct tenants *t); /* NULL is ignored */

/* These tenants from now on; `conf` must live until the next call or tenants_free. Keys of those
 * that stay (same id and discovery) are kept. Whoever waited for one that goes or is switched off
 * hears on_keys, too. */
void tenants_use(struct tenants *t, const struct gateway_conf *conf);

/* The tenant that has `issuer` among its issuers, switched off or not. NULL: none. Good until
 * tenants_use: after on_keys look it up again. */
struct tenant *tenants_by_issuer(struct tenants *t, struct cmg_str issuer);

/* Verifies a token of that tenant. CMG_OK: *out says who. CMG_MORE: keys are on their way, ask
 * again after on_keys. CMG_EDENIED: err says why (tenant switched off, audience, expired, unknown
 * key, no keys could be fetched: with the reason of the last failure ...). */
CMG_MUST_CHECK enum cmg_rc tenant_identify(struct tenant *t, const struct cmg_jwt *token,
                                           int64_t now, struct cmg_identity *out,
                                           struct cmg_err *err);

/* Where its keys are fetched from, and by which issuers the document is known. Borrowed until
 * tenants_use. */
struct tenant_place {
    const struct gateway_tenant_conf *conf;
    const char *url;
    const char *const *issuers;
};
void tenant_where(const struct tenant *t, struct tenant_place *out);

/* To look at: NULL begins, NULL ends. */
const struct tenant *tenants_next(const struct tenants *t, const struct tenant *after);
struct tenant_view {
    const char *label, *id;
    bool enabled;
    size_t keys;
    int64_t fetched;     /* its keys, seconds since 1970; 0: not yet */
    const char *failure; /* of the last fetch; "": it went well, or there was none */
};
void tenant_show(const struct tenant *t, struct tenant_view *out);

/* For AADAuthInfo: the enabled tenant of that id, or NULL. */
const struct gateway_tenant_conf *tenants_find(const struct tenants *t, struct cmg_str id);

#endif
