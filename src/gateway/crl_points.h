/* SPDX-License-Identifier: MIT */
/* The distribution points that certificates name: when each is asked for its list.
 *
 * A list that was fetched is fetched again in the background before it is `refresh` old and
 * before its nextUpdate, as long as somebody has used it during the last day: connections that
 * stay open are judged anew when lists change, so their lists have to be looked after. One that
 * nobody used for longer is fetched when it is wanted again. */
#ifndef CMG_GATEWAY_CRL_POINTS_H
#define CMG_GATEWAY_CRL_POINTS_H

#include "cmg/http/fetch.h"
#include "cmg/net/crl.h"

enum { CRL_POINTS_MAX = 64 };

struct crl_points;
struct cmg_loop;

struct crl_points_conf {
    int64_t refresh_ms, timeout_ms;
    int64_t retry_min_ms, retry_max_ms; /* after a failure; doubled with each in a row */
    size_t max_bytes;
};

struct crl_points_ops {
    /* A list has come: takes it, says when it ends (seconds since 1970) and whether it is
     * another one than before; else err. */
    enum cmg_rc (*take)(void *arg, const char *url, struct cmg_str list, int64_t *until,
                        bool *changed, struct cmg_err *err);
    void (*on_end)(void *arg, bool changed); /* after each fetch, well or not */
};

struct crl_points *crl_points_new(struct cmg_loop *l, struct cmg_fetcher *f,
                                  const struct crl_points_ops *ops, void *arg);
void crl_points_free(struct crl_points *s); /* NULL is ignored */
/* For fetches from now on. */
void crl_points_use(struct crl_points *s, const struct crl_points_conf *conf);

/* Somebody needs what `url` gives. CMG_OK: it was fetched lately, there is nothing newer to be
 * had. CMG_MORE: it is on its way; ask again after on_end. CMG_EIO: it could not be fetched, err
 * says why; what there was before stands, and it is asked again after a while. CMG_ETOOBIG:
 * there are CRL_POINTS_MAX already. */
CMG_MUST_CHECK enum cmg_rc crl_points_want(struct crl_points *s, const char *url,
                                           struct cmg_err *err);
bool crl_points_has(struct crl_points *s, const char *url);

/* To look at: NULL begins, NULL ends. `*failure`: of the last fetch, NULL: it went well, or there
 * was none. */
const char *crl_points_next(const struct crl_points *s, const char *after, const char **failure);

/* Forgets those that have nothing, were not used for a day, or of which `keep` says that their list
 * is no more. One whose fetch is under way goes on as if for the first time. */
void crl_points_prune(struct crl_points *s, bool (*keep)(void *arg, const char *url), void *arg);

#endif
