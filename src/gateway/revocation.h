/* SPDX-License-Identifier: MIT */
/* Revocation lists of the CAs of client certificates: from files, and from the distribution
 * points that certificates name, fetched in the background, kept until nextUpdate (or `refresh`,
 * whichever is first) and renewed before that. */
#ifndef CMG_GATEWAY_REVOCATION_H
#define CMG_GATEWAY_REVOCATION_H

#include "cmg/http/fetch.h"
#include "cmg/net/crl.h"
#include "cmg/net/tls.h"
#include "gateway/options.h"

struct revocation;

/* `on_lists(arg, changed)` after a fetch has ended, well or not: whoever was told CMG_MORE asks
 * again. `changed`: a list is another one, or has ended, so that what was judged before is to be
 * judged again; that comes without a fetch, too. Never from inside one of these calls. */
struct revocation *revocation_new(struct cmg_loop *l, struct cmg_fetcher *f,
                                  void (*on_lists)(void *arg, bool changed), void *arg);
void revocation_free(struct revocation *r); /* NULL is ignored; before the fetcher's end */

/* The files and modes of a configuration, for certificates of `trust` (a reference is taken).
 * Once before anything is judged, and after each reload; all is to be judged again. CMG_ECONF: a
 * file cannot be read, or holds something else than lists of CAs in `trust`; nothing has changed.
 * A list that has ended is taken and logged. With check = off no file is read. */
CMG_MUST_CHECK enum cmg_rc revocation_use(struct revocation *r, const struct gateway_conf *conf,
                                          struct cmg_trust *trust, struct cmg_err *err);
/* Reads a file again, if it is one of ours. True: something changed, all is to be judged again
 * (on_lists is not called). A failure is logged and changes nothing. */
bool revocation_refresh(struct revocation *r, const char *path);

/* To look at: each source once, files first, then distribution points; NULL begins, NULL ends. */
const char *revocation_next(const struct revocation *r, const char *after);
struct revocation_view {
    const struct cmg_crls *lists; /* cmg_crls_about tells what the source gave */
    bool fetched;                 /* a distribution point, not a file */
    const char *failure;          /* of its last fetch; NULL: none */
};
void revocation_show(const struct revocation *r, const char *source, struct revocation_view *out);

/* cmg_tls_peer_judge for a client's certificate, and revocation as configured. CMG_OK: *id says
 * who. CMG_MORE: a list is on its way, ask again after on_lists. CMG_EDENIED: err says which check
 * failed ("certificate of "PC1" was revoked on 2026-01-31 (keyCompromise) by "Issuing CA"", "no
 * revocation list of issuer "Issuing CA", which "PC1" needs; http://...: could not connect"). `id`
 * is filled whenever there is a certificate. */
CMG_MUST_CHECK enum cmg_rc revocation_judge(struct revocation *r, struct ssl_st *ssl,
                                            struct cmg_tls_identity *id, struct cmg_err *err);
/* The same of a certificate; NULL: there is none. */
CMG_MUST_CHECK enum cmg_rc revocation_judge_certificate(struct revocation *r, struct x509_st *leaf,
                                                        struct cmg_tls_identity *id,
                                                        struct cmg_err *err);

#endif
