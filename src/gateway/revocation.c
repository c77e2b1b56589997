/* SPDX-License-Identifier: MIT */
/* What an administrator wants of revocation lists: which files, whether to fetch, how strict. */
#include "gateway/revocation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/net/crl.h"
#include "cmg/net/file.h"
#include "cmg/net/loop.h"
#include "gateway/crl_points.h"

enum {
    HOUR_MS = 60 * 60 * 1000,
    RETRY_MIN_MS = 5 * 1000,
    RETRY_MAX_MS = 5 * 60 * 1000,
    SAID_MAX = 64, /* issuers of which it is remembered that it was said */
    ABOUT_MAX = 64 /* lists of one source that are logged */
};

struct said {
    char issuer[CMG_CRL_NAME]; /* empty: free */
    int64_t at_ms;
};

struct revocation {
    struct cmg_loop *loop;
    struct crl_points *points; /* owned */
    struct cmg_timer *ends;    /* owned; when the next list ends */
    int64_t end_at;            /* seconds since 1970; 0: none */
    void (*on_lists)(void *arg, bool changed);
    void *arg;
    /* of the configuration */
    struct cmg_trust *trust; /* owned reference; NULL: nothing was configured yet */
    struct cmg_crls *lists;  /* owned */
    int check;               /* enum gateway_revocation */
    bool fetch;
    size_t max_bytes;
    char **files; /* owned, NULL-ended */
    struct said said[SAID_MAX];
};

/* Lists come and go -------------------------------------------------------------------------- */

/* A connection that stays open was judged by a list that is over now. The wall clock may be
 * set, so it is looked at every hour at the latest. An end that is still to be told is not
 * forgotten because other lists come meanwhile. */
static void watch_ends(struct revocation *r)
{
    int64_t now = cmg_clock_unix();
    if (!r->end_at || r->end_at > now)
        r->end_at = cmg_crls_next_end(r->lists, now);
    int64_t ms = r->end_at ? (r->end_at - now + 1) * 1000 : HOUR_MS;
    cmg_timer_set(r->ends, ms < 0 ? 0 : ms < HOUR_MS ? ms : HOUR_MS);
}

static void on_ends(void *arg)
{
    struct revocation *r = arg;
    bool ended = r->end_at && cmg_clock_unix() > r->end_at;
    if (ended)
        r->end_at = 0;
    watch_ends(r);
    if (ended)
        r->on_lists(r->arg, true);
}

static void put_time(int64_t at, char out[32])
{
    time_t t = (time_t)at;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(out, 32, "?");
}

/* One that has ended is still worth having: who is on it is revoked. */
static void say_list(const char *source, const struct cmg_crl_about *a)
{
    char until[32], why[192];
    put_time(a->next_update, until);
    log_info("revocation.list", KV("issuer", a->issuer), KV("source", source),
             KV("revoked", a->revoked), KV("next_update", until));
    if (a->next_update >= cmg_clock_unix())
        return;
    snprintf(why, sizeof(why),
             "revocation list of issuer \"%s\" ended at %s: put the next one there", a->issuer,
             until);
    log_warn("revocation.failed", KV("source", source), KV("why", why));
}

static void say_lists(const struct cmg_crls *lists, const char *source)
{
    struct cmg_crl_about about[ABOUT_MAX];
    size_t n = cmg_crls_about(lists, source, about, ABOUT_MAX);
    for (size_t i = 0; i < n; i++)
        say_list(source, &about[i]);
}

static enum cmg_rc take_list(void *arg, const char *url, struct cmg_str list, int64_t *until,
                             bool *changed, struct cmg_err *err)
{
    struct revocation *r = arg;
    struct cmg_crl_about about[ABOUT_MAX];
    if (!r->fetch)
        return cmg_fail(err, CMG_ECONF, "fetching was turned off");
    enum cmg_rc rc = cmg_crls_put(r->lists, url, list, cmg_clock_unix(), changed, err);
    if (rc != CMG_OK)
        return rc;
    size_t n = cmg_crls_about(r->lists, url, about, ABOUT_MAX);
    *until = about[0].next_update; /* there is at least one */
    for (size_t i = 1; i < n; i++)
        if (about[i].next_update < *until)
            *until = about[i].next_update;
    if (*changed)
        say_lists(r->lists, url);
    watch_ends(r);
    return CMG_OK;
}

static void on_fetched(void *arg, bool changed)
{
    struct revocation *r = arg;
    r->on_lists(r->arg, changed);
}

/* Making and configuring --------------------------------------------------------------------- */

struct revocation *revocation_new(struct cmg_loop *l, struct cmg_fetcher *f,
                                  void (*on_lists)(void *arg, bool changed), void *arg)
{
    static const struct crl_points_ops ops = { .take = take_list, .on_end = on_fetched };
    struct revocation *r = cmg_alloc(sizeof(*r));
    r->loop = l;
    r->on_lists = on_lists;
    r->arg = arg;
    r->points = crl_points_new(l, f, &ops, r);
    r->ends = cmg_timer_new(l, on_ends, r);
    return r;
}

static void free_files(char **files)
{
    for (char **f = files; f && *f; f++)
        free(*f);
    free(files);
}

void revocation_free(struct revocation *r)
{
    if (!r)
        return;
    crl_points_free(r->points);
    cmg_timer_free(r->ends);
    cmg_crls_free(r->lists);
    cmg_trust_unref(r->trust);
    free_files(r->files);
    free(r);
}

static enum cmg_rc read_list(struct cmg_crls *lists, const char *path, size_t max, bool *changed,
                             struct cmg_err *err)
{
    size_t n = 0;
    char *bytes = cmg_file_read(path, CMG_FILE_PUBLIC, max, &n, err);
    *changed = false;
    if (!bytes)
        return CMG_ECONF;
    enum cmg_rc rc = cmg_crls_put(lists, path, (struct cmg_str){ bytes, n }, 0, changed, err);
    free(bytes);
    if (rc != CMG_OK && err)
        err->code = CMG_ECONF;
    return rc == CMG_OK ? CMG_OK : CMG_ECONF;
}

static char **copy_files(char *const *files)
{
    size_t n = 0;
    while (files && files[n])
        n++;
    char **copy = cmg_alloc(sizeof(*copy) * (n + 1));
    for (size_t i = 0; i < n; i++)
        copy[i] = cmg_strdup(files[i]);
    return copy;
}

static enum cmg_rc read_files(struct cmg_crls *lists, char *const *files, size_t max,
                              struct cmg_err *err)
{
    bool changed;
    for (; *files; files++)
        if (read_list(lists, *files, max, &changed, err) != CMG_OK)
            return CMG_ECONF;
    return CMG_OK;
}

struct move {
    const struct cmg_crls *from; /* NULL: nothing is kept */
    struct cmg_crls *to;
};

static bool keep_fetched(void *arg, const char *url)
{
    const struct move *m = arg;
    return m->from && cmg_crls_copy(m->to, m->from, url);
}

/* From here on nothing fails. */
static void adopt(struct revocation *r, const struct gateway_conf *conf, struct cmg_trust *trust,
                  struct cmg_crls *taken)
{
    r->check = conf->revocation.check;
    r->fetch = conf->revocation.fetch && r->check != REVOCATION_OFF;
    r->max_bytes = (size_t)conf->revocation.max_bytes;
    crl_points_use(r->points, &(struct crl_points_conf){ .refresh_ms = conf->revocation.refresh_ms,
                                                         .timeout_ms = conf->revocation.timeout_ms,
                                                         .retry_min_ms = RETRY_MIN_MS,
                                                         .retry_max_ms = RETRY_MAX_MS,
                                                         .max_bytes = r->max_bytes });
    struct move move = { r->fetch ? r->lists : NULL, taken };
    crl_points_prune(r->points, keep_fetched, &move);
    cmg_crls_free(r->lists);
    r->lists = taken;
    cmg_trust_ref(trust);
    cmg_trust_unref(r->trust);
    r->trust = trust;
}

enum cmg_rc revocation_use(struct revocation *r, const struct gateway_conf *conf,
                           struct cmg_trust *trust, struct cmg_err *err)
{
    struct cmg_crls *lists = cmg_crls_new(trust);
    char **files =
        copy_files(conf->revocation.check == REVOCATION_OFF ? NULL : conf->revocation.files);
    if (read_files(lists, files, (size_t)conf->revocation.max_bytes, err) != CMG_OK) {
        free_files(files);
        cmg_crls_free(lists);
        return CMG_ECONF;
    }
    adopt(r, conf, trust, lists);
    free_files(r->files);
    r->files = files;
    for (char **f = r->files; *f; f++)
        say_lists(r->lists, *f);
    r->end_at = 0;
    watch_ends(r);
    return CMG_OK;
}

bool revocation_refresh(struct revocation *r, const char *path)
{
    struct cmg_err err;
    bool changed = false, ours = false;
    for (char **f = r->files; f && *f; f++)
        ours |= strcmp(*f, path) == 0;
    if (!ours)
        return false;
    if (read_list(r->lists, path, r->max_bytes, &changed, &err) != CMG_OK)
        log_warn("revocation.failed", KV("source", path), KV("why", err.text));
    else if (changed)
        say_lists(r->lists, path);
    watch_ends(r);
    return changed;
}

/* Judging ------------------------------------------------------------------------------------ */

/* Soft: an administrator wants to know, but not for each client. */
static void say_unchecked(struct revocation *r, const char *issuer, const char *why)
{
    int64_t now = cmg_loop_now_ms(r->loop);
    struct said *oldest = &r->said[0];
    for (size_t i = 0; i < SAID_MAX; i++) {
        struct said *s = &r->said[i];
        if (strcmp(s->issuer, issuer) == 0 && now - s->at_ms < HOUR_MS)
            return;
        if (strcmp(s->issuer, issuer) == 0 || !s->issuer[0]) {
            oldest = s;
            break;
        }
        if (s->at_ms < oldest->at_ms)
            oldest = s;
    }
    snprintf(oldest->issuer, sizeof(oldest->issuer), "%s", issuer);
    oldest->at_ms = now;
    log_warn("revocation.unchecked", KV("issuer", issuer), KV("why", why));
}

/* The list that is missing or does not do: any of the places that the certificate names may have
 * it, one after the other. True: wait. */
static bool fill_gap(struct revocation *r, const struct cmg_crl_link *link, struct cmg_err *why)
{
    if (!link->nurls)
        cmg_fail(why, CMG_EIO, "the certificate names no http distribution point");
    for (size_t i = 0; i < link->nurls; i++)
        if (crl_points_want(r->points, link->urls[i], why) == CMG_MORE)
            return true;
    return false;
}

/* True: something is on its way without which nothing can be said. `why`: the first gap's. */
static bool is_waiting(struct revocation *r, const struct cmg_crl_report *report,
                       struct cmg_err *why)
{
    bool waiting = false;
    for (size_t i = 0; i < report->nlinks; i++) {
        const struct cmg_crl_link *link = &report->links[i];
        struct cmg_err one = { .text = "" };
        if (link->state != CMG_CRL_GOOD) {
            waiting |= fill_gap(r, link, &one);
            if (!why->text[0])
                *why = one;
        } else if (link->source && crl_points_has(r->points, link->source)) {
            /* Good by a list that is in use: when it got old while nobody used it, wait for
             * the next one; when there is none to be had, it stands. */
            waiting |= crl_points_want(r->points, link->source, &one) == CMG_MORE;
        }
    }
    return waiting;
}

static const char *first_gap(const struct cmg_crl_report *report)
{
    for (size_t i = 0; i < report->nlinks; i++)
        if (report->links[i].state != CMG_CRL_GOOD)
            return report->links[i].issuer;
    return "?";
}

static enum cmg_rc weigh(struct revocation *r, const struct cmg_crl_report *report,
                         struct cmg_err *err)
{
    struct cmg_err why = { .text = "" };
    if (r->fetch && is_waiting(r, report, &why))
        return cmg_fail(err, CMG_MORE, "a revocation list is on its way");
    if (!report->gaps)
        return CMG_OK;
    struct cmg_err what = *err;
    cmg_fail(err, CMG_EDENIED, "%s%s%s", what.text, why.text[0] ? "; " : "", why.text);
    if (r->check == REVOCATION_HARD)
        return CMG_EDENIED;
    say_unchecked(r, first_gap(report), err->text);
    return CMG_OK;
}

enum cmg_rc revocation_judge_certificate(struct revocation *r, struct x509_st *leaf,
                                         struct cmg_tls_identity *id, struct cmg_err *err)
{
    struct cmg_crl_report report;
    if (r->check == REVOCATION_OFF)
        return cmg_tls_judge(leaf, r->trust, CMG_TLS_CLIENT_AUTH, id, err);
    enum cmg_rc rc = cmg_crls_judge(r->lists, leaf, cmg_clock_unix(), id, &report, err);
    if (rc == CMG_OK || rc == CMG_MORE)
        rc = weigh(r, &report, err);
    cmg_crl_report_clear(&report);
    return rc;
}

enum cmg_rc revocation_judge(struct revocation *r, struct ssl_st *ssl, struct cmg_tls_identity *id,
                             struct cmg_err *err)
{
    return revocation_judge_certificate(r, cmg_tls_peer_certificate(ssl), id, err);
}

/* To look at --------------------------------------------------------------------------------- */

const char *revocation_next(const struct revocation *r, const char *after)
{
    const char *failure;
    char **f = r->files;
    for (; after && f && *f; f++)
        if (*f == after)
            break;
    if (after && f && *f)
        f++; /* the one after it */
    else if (after)
        return crl_points_next(r->points, after, &failure);
    return f && *f ? *f : crl_points_next(r->points, NULL, &failure);
}

static bool is_file(const struct revocation *r, const char *source)
{
    for (char **f = r->files; f && *f; f++)
        if (*f == source)
            return true;
    return false;
}

void revocation_show(const struct revocation *r, const char *source, struct revocation_view *out)
{
    *out = (struct revocation_view){ .lists = r->lists, .fetched = !is_file(r, source) };
    for (const char *p = NULL; out->fetched && (p = crl_points_next(r->points, p, &out->failure));)
        if (p == source)
            return;
    out->failure = NULL;
}
