/* SPDX-License-Identifier: MIT */
/* A chain held against the table, by OpenSSL: it builds and verifies the chain, chooses among
 * the lists that we hand it, judges their scope and dates and looks the certificates up.
 *
 * Two things are ours. Objections of the revocation check do not end the verification: they are
 * noted, and weighed when the chain has proved to be good, signatures and all, so that nobody
 * makes us fetch for a chain that he made up. And the signature of a list is not verified again
 * for each client, see check_list. */
#include "crl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "cmg/base/alloc.h"
#include "tls_peer.h"
#include "verdict.h"

/* One judging; the X509_STORE_CTX's app data. */
struct run {
    const struct cmg_crls *table;
    struct cmg_crl_report *report;
    int64_t now;
    const struct cmg_crl *used[CMG_CRL_LINKS_MAX];
    bool at_head;        /* within check_list */
    struct cmg_err gap;  /* the first */
    struct cmg_err gone; /* the first that was revoked; text empty: none */
};

/* OpenSSL's callbacks ------------------------------------------------------------------------ */

/* The lists for the certificate at hand: those that its very issuer's key has signed. A CA that
 * was renewed with a new key has the same name, and the lists of the old key are not its own. */
static STACK_OF(X509_CRL) * find_lists(const X509_STORE_CTX *c, const X509_NAME *issuer)
{
    const struct run *run = X509_STORE_CTX_get_app_data(c);
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(c);
    int above = X509_STORE_CTX_get_error_depth(c) + 1;
    if (above >= sk_X509_num(chain))
        return NULL; /* the root */

    EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(chain, above));
    STACK_OF(X509_CRL) *found = sk_X509_CRL_new_null();
    if (!found)
        abort();
    for (size_t i = 0; i < run->table->nlists && key; i++) {
        const struct cmg_crl *one = &run->table->lists[i];
        if (X509_NAME_cmp(X509_CRL_get_issuer(one->list), issuer) == 0 &&
            EVP_PKEY_eq(one->key, key) == 1 &&
            (!X509_CRL_up_ref(one->list) || !sk_X509_CRL_push(found, one->list)))
            abort();
    }
    return found;
}

static const struct cmg_crl *find(const struct cmg_crls *t, const X509_CRL *list)
{
    for (size_t i = 0; i < t->nlists; i++)
        if (t->lists[i].list == list)
            return &t->lists[i];
    return NULL;
}

/* OpenSSL's check ends with the signature, for which it copies and hashes the whole list: nearly
 * a millisecond per MiB for each client of each list of the chain. But find_lists gives it only
 * lists whose signature by this very key was verified when they were read, and which cannot
 * change since. So it gets to see the list's head, with the list's dates and without entries:
 * every check is made (what it knows of scope and path is in the context, from the list itself),
 * and the signature, which fails at once because the head has none, is forgiven by on_verify. */
static int check_list(X509_STORE_CTX *c, X509_CRL *list)
{
    struct run *run = X509_STORE_CTX_get_app_data(c);
    const struct cmg_crl *known = find(run->table, list);
    int depth = X509_STORE_CTX_get_error_depth(c);
    if (!known)
        return run->table->check_crl(c, list);
    if (depth >= 0 && depth < CMG_CRL_LINKS_MAX)
        run->used[depth] = known;
    run->at_head = true;
    int ok = run->table->check_crl(c, known->head);
    run->at_head = false;
    return ok;
}

static bool about_revocation(int code)
{
    switch (code) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_CERT_REVOKED:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
        return true;
    }
    return false;
}

static void note(struct run *run, X509_STORE_CTX *c, int code, int depth);

static int on_verify(int ok, X509_STORE_CTX *c)
{
    struct run *run = X509_STORE_CTX_get_app_data(c);
    int code = X509_STORE_CTX_get_error(c), depth = X509_STORE_CTX_get_error_depth(c);
    if (ok)
        return 1;
    if (!about_revocation(code))
        return 0;
    if (code == X509_V_ERR_CRL_SIGNATURE_FAILURE && run->at_head)
        return 1;
    if (depth < sk_X509_num(X509_STORE_CTX_get0_chain(c)) - 1)
        note(run, c, code, depth); /* not the root: who could revoke it? */
    return 1;
}

void cmg_crl_judging_init(struct cmg_crls *t)
{
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    if (!c || !X509_STORE_CTX_init(c, t->store, NULL, NULL))
        abort();
    t->check_crl = X509_STORE_CTX_get_check_crl(c);
    X509_STORE_CTX_free(c);
    X509_STORE_set_lookup_crls(t->store, find_lists);
    X509_STORE_set_check_crl(t->store, check_list);
    X509_STORE_set_verify_cb(t->store, on_verify);
}

/* Words -------------------------------------------------------------------------------------- */

static const char *reason(X509_REVOKED *entry)
{
    static const char *const words[] = {
        "unspecified",   "keyCompromise",        "cACompromise",    "affiliationChanged",
        "superseded",    "cessationOfOperation", "certificateHold", NULL,
        "removeFromCRL", "privilegeWithdrawn",   "aACompromise",
    };
    ASN1_ENUMERATED *e = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);
    long code = e ? ASN1_ENUMERATED_get(e) : 0;
    ASN1_ENUMERATED_free(e);
    return code >= 0 && (size_t)code < CMG_COUNT(words) && words[code] ? words[code] : "unknown";
}

static void put_revoked(struct cmg_err *err, const struct cmg_crl *list, X509 *x,
                        const char *issuer)
{
    X509_REVOKED *entry = NULL;
    char who[CMG_CRL_NAME], date[16] = "?";
    const char *why = "unknown";
    cmg_verdict_who(x, who, sizeof(who));
    if (list && X509_CRL_get0_by_cert(list->list, &entry, x) && entry) {
        cmg_verdict_date(X509_REVOKED_get0_revocationDate(entry), date);
        why = reason(entry);
    }
    cmg_fail(err, CMG_EDENIED, "certificate of \"%s\" was revoked on %s (%s) by \"%s\"", who, date,
             why, issuer);
}

static void put_gap(struct cmg_err *err, const struct cmg_crl_link *link,
                    const struct cmg_crl *list, X509 *x, int code)
{
    char who[CMG_CRL_NAME], date[16];
    cmg_verdict_who(x, who, sizeof(who));
    if (link->state == CMG_CRL_ENDED && list) {
        cmg_verdict_date(X509_CRL_get0_nextUpdate(list->list), date);
        cmg_fail(err, CMG_MORE,
                 "revocation list of issuer \"%s\" ended on %s (nextUpdate): renew it at %.60s",
                 link->issuer, date,
                 strstr(list->source, "://") ? list->source : cmg_verdict_file(list->source));
    } else if (link->state == CMG_CRL_UNUSABLE) {
        cmg_fail(err, CMG_MORE, "revocation list of issuer \"%s\" does not do for \"%s\": %s",
                 link->issuer, who, X509_verify_cert_error_string(code));
    } else {
        cmg_fail(err, CMG_MORE, "no revocation list of issuer \"%s\", which \"%s\" needs",
                 link->issuer, who);
    }
}

/* Distribution points ------------------------------------------------------------------------ */

/* Printable, so that it can be asked for and logged; ldap and what not is no use to us. */
static bool is_http(const ASN1_STRING *s)
{
    const unsigned char *p = ASN1_STRING_get0_data(s);
    int n = ASN1_STRING_length(s);
    if (n <= 7 || n > CMG_CRL_URL_BYTES_MAX || strncasecmp((const char *)p, "http://", 7) != 0)
        return false;
    for (int i = 0; i < n; i++)
        if (p[i] <= 0x20 || p[i] >= 0x7f)
            return false;
    return true;
}

static void add_urls(struct cmg_crl_link *link, const GENERAL_NAMES *names)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && link->nurls < CMG_CRL_URLS_MAX; i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type != GEN_URI || !is_http(n->d.uniformResourceIdentifier))
            continue;
        const ASN1_STRING *s = n->d.uniformResourceIdentifier;
        link->urls[link->nurls++] =
            cmg_strndup((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
    }
}

/* Points of somebody else's lists, or of lists for some reasons, lead to what we would refuse. */
static void find_urls(struct cmg_crl_link *link, const X509 *x)
{
    CRL_DIST_POINTS *points = X509_get_ext_d2i(x, NID_crl_distribution_points, NULL, NULL);
    for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
        const DIST_POINT *p = sk_DIST_POINT_value(points, i);
        if (p->distpoint && p->distpoint->type == 0 && !p->CRLissuer && !p->reasons)
            add_urls(link, p->distpoint->name.fullname);
    }
    CRL_DIST_POINTS_free(points);
}

/* What was found ----------------------------------------------------------------------------- */

static enum cmg_crl_state state_of(int code)
{
    switch (code) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return CMG_CRL_MISSING;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return CMG_CRL_ENDED;
    }
    return CMG_CRL_UNUSABLE;
}

/* The first objection to a list is the one that counts: what follows is of the same list. But
 * whoever is on a list is revoked, whatever else is wrong with it: its CA did sign it. */
static void note(struct run *run, X509_STORE_CTX *c, int code, int depth)
{
    X509 *x = X509_STORE_CTX_get_current_cert(c);
    struct cmg_crl_link spare = { .state = CMG_CRL_GOOD }, *link = &spare;
    const struct cmg_crl *list = NULL;
    if (depth < CMG_CRL_LINKS_MAX) {
        link = &run->report->links[depth];
        list = run->used[depth];
    }
    cmg_verdict_name(X509_get_issuer_name(x), link->issuer, sizeof(link->issuer));
    if (code == X509_V_ERR_CERT_REVOKED) {
        if (!run->gone.text[0])
            put_revoked(&run->gone, list, x, link->issuer);
        return;
    }
    if (link->state != CMG_CRL_GOOD)
        return;
    link->state = state_of(code);
    find_urls(link, x);
    run->report->gaps++;
    if (!run->gap.text[0])
        put_gap(&run->gap, link, list, x, code);
    for (size_t i = 0; i < spare.nurls; i++)
        free(spare.urls[i]);
}

static void prepare(X509_STORE_CTX *c, void *arg)
{
    struct run *run = arg;
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(c);
    if (!X509_STORE_CTX_set_app_data(c, run) ||
        !X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL))
        abort();
    X509_VERIFY_PARAM_set_time(p, (time_t)run->now);
}

static void count_links(X509_STORE_CTX *c, void *arg)
{
    struct run *run = arg;
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(c);
    int n = sk_X509_num(chain) - 1;
    for (int i = 0; i < n && i < CMG_CRL_LINKS_MAX; i++) {
        struct cmg_crl_link *link = &run->report->links[run->report->nlinks++];
        link->source = run->used[i] ? run->used[i]->source : NULL;
        cmg_verdict_name(X509_get_issuer_name(sk_X509_value(chain, i)), link->issuer,
                         sizeof(link->issuer));
    }
}

void cmg_crl_report_clear(struct cmg_crl_report *report)
{
    for (size_t i = 0; i < CMG_CRL_LINKS_MAX; i++)
        for (size_t k = 0; k < report->links[i].nurls; k++)
            free(report->links[i].urls[k]);
    memset(report, 0, sizeof(*report));
}

enum cmg_rc cmg_crls_judge(struct cmg_crls *t, struct x509_st *leaf, int64_t now,
                           struct cmg_tls_identity *id, struct cmg_crl_report *report,
                           struct cmg_err *err)
{
    struct run run = { .table = t, .report = report, .now = now };
    const struct cmg_peer_judging j = { .store = t->store,
                                        .path = t->trust->path,
                                        .usage = CMG_TLS_CLIENT_AUTH,
                                        .prepare = prepare,
                                        .on_good = count_links,
                                        .arg = &run };
    memset(report, 0, sizeof(*report));
    enum cmg_rc rc = cmg_peer_judge(leaf, &j, id, err);
    if (rc != CMG_OK || run.gone.text[0])
        cmg_crl_report_clear(report);
    if (rc != CMG_OK)
        return rc;
    if (run.gone.text[0])
        return cmg_fail(err, CMG_EDENIED, "%s", run.gone.text);
    return report->gaps ? cmg_fail(err, CMG_MORE, "%s", run.gap.text) : CMG_OK;
}
