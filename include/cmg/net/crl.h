/* SPDX-License-Identifier: MIT */
/* Revocation lists (CRLs) of the CAs of one trust, and certificates held against them.
 *
 * A list is taken only when a CA of the trust has signed it; what a source gave last replaces
 * what it gave before, all or nothing. Several sources may give lists of one issuer: the one in
 * force is the current one, and of those the newest. Delta lists, indirect lists and lists for
 * some reasons only are refused; lists for some certificates only (issuing distribution point)
 * are taken, and OpenSSL judges what they cover. */
#ifndef CMG_NET_CRL_H
#define CMG_NET_CRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"
#include "cmg/net/tls.h"

enum {
    CMG_CRLS_MAX = 512,    /* lists in a table */
    CMG_CRL_NAME = 80,     /* bytes of a name in a sentence */
    CMG_CRL_LINKS_MAX = 8, /* certificates of a chain that are told about */
    CMG_CRL_URLS_MAX = 4,  /* distribution points of one certificate */
    CMG_CRL_URL_BYTES_MAX = 1024
};

struct cmg_crls;

struct cmg_crls *cmg_crls_new(struct cmg_trust *trust); /* takes a reference */
void cmg_crls_free(struct cmg_crls *t);                 /* NULL is ignored */

/* Takes the lists in `bytes` (DER, or PEM with one or several) as all that `source`, a path or a
 * URL, gives. `current_at`, seconds since 1970: lists that have ended or are not yet valid then
 * are refused; 0: dates are not looked at. `*changed`: something is different now.
 *
 * Otherwise nothing has changed, and err names source and issuer. CMG_EPROTO: not a list, or one
 * of a kind that is refused. CMG_EDENIED: not signed by a CA of the trust, outside its dates, or
 * older than what the same source gave before (whoever replays an old list would hide what was
 * revoked since). CMG_ETOOBIG: CMG_CRLS_MAX. */
CMG_MUST_CHECK enum cmg_rc cmg_crls_put(struct cmg_crls *t, const char *source,
                                        struct cmg_str bytes, int64_t current_at, bool *changed,
                                        struct cmg_err *err);

/* Copies what `source` gave to another table, as far as that one's trust has signed it. True: there
 * was something, and all of it was. */
bool cmg_crls_copy(struct cmg_crls *to, const struct cmg_crls *from, const char *source);

struct cmg_crl_about {
    char issuer[CMG_CRL_NAME];
    int64_t this_update, next_update; /* seconds since 1970 */
    size_t revoked;                   /* certificates on it */
};

/* The first `max` of the lists that `source` gave; returns how many were written. */
size_t cmg_crls_about(const struct cmg_crls *t, const char *source, struct cmg_crl_about *out,
                      size_t max);
/* When the next list ends, of those that have not at `now`; 0: none. */
int64_t cmg_crls_next_end(const struct cmg_crls *t, int64_t now);

enum cmg_crl_state {
    CMG_CRL_GOOD,    /* a current list says that it is not revoked */
    CMG_CRL_MISSING, /* there is no list of its issuer for it      */
    CMG_CRL_ENDED,   /* there is one, past its nextUpdate          */
    CMG_CRL_UNUSABLE /* there is one, and OpenSSL objects          */
};

/* What was found for one certificate of the chain. */
struct cmg_crl_link {
    enum cmg_crl_state state;
    char issuer[CMG_CRL_NAME];
    const char *source;           /* of the list used, NULL: none; until the table changes */
    char *urls[CMG_CRL_URLS_MAX]; /* owned, not GOOD: its http distribution points */
    size_t nurls;
};

/* The leaf first; the root is not in it, because nobody but itself could revoke it. Empty unless
 * the chain itself is good: nothing is done on a stranger's behalf. */
struct cmg_crl_report {
    struct cmg_crl_link links[CMG_CRL_LINKS_MAX];
    size_t nlinks;
    size_t gaps; /* certificates, told about or not, that are not GOOD */
};

void cmg_crl_report_clear(struct cmg_crl_report *report);

/* cmg_tls_judge against the table's trust at `now` (seconds since 1970), and then revocation of
 * the leaf and of every intermediate. CMG_OK: all of it is good. CMG_EDENIED: the chain is not,
 * or something in it was revoked, as a list says that may have ended since. CMG_MORE: whether
 * something was revoked cannot be told; err says whose list is missing. The report is filled in
 * any case and is to be cleared. */
CMG_MUST_CHECK enum cmg_rc cmg_crls_judge(struct cmg_crls *t, struct x509_st *leaf, int64_t now,
                                          struct cmg_tls_identity *id,
                                          struct cmg_crl_report *report, struct cmg_err *err);

#endif
