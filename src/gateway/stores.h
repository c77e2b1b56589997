/* SPDX-License-Identifier: MIT */
/* The storage accounts of a configuration, with their keys or signatures. Shared by reference: what
 * is asked goes on with the accounts it began with. */
#ifndef CMG_GATEWAY_STORES_H
#define CMG_GATEWAY_STORES_H

#include "cmg/storage/account.h"
#include "gateway/options.h"

struct store {
    char *label, *container; /* owned */
    char *url;               /* owned; that clients are told, NULL: the account's */
    char *ca_file;           /* owned; NULL: the system's roots */
    char *secret_file;       /* owned */
    bool with_sas;           /* it holds a SAS, not a key */
    char *what;              /* owned; "storage main", for errors */
    int64_t timeout_ms;
    struct cmg_account *account; /* owned */
    char failure[256];           /* what it was said to fail of; "": it does not */
    int64_t said_ms;
};

struct stores {
    unsigned refs;
    struct store *v; /* owned */
    size_t n;
};

enum { STORES_MAX = 16, STORE_SAY_AGAIN_MS = 60000 };

/* CMG_ECONF with err: a secret that cannot be read, or allows more or less than it should. */
struct stores *stores_new(const struct gateway_conf *conf, struct cmg_err *err);
struct stores *stores_ref(struct stores *s);
void stores_unref(struct stores *s); /* NULL is ignored */

/* Reads a key or SAS again, if `path` is one. True: there is another one now. A failure is logged
 * (storage.refused) and changes nothing. */
bool stores_refresh(struct stores *s, const char *path);

/* Whether what clients are given can be had now, and ends when their token does or before. Where a
 * SAS is passed on, that is its end's doing. *until: when it ends. */
CMG_MUST_CHECK enum cmg_rc store_shares(const struct store *s, int64_t now, int64_t token_end,
                                        int64_t *until, struct cmg_err *err);
/* The same without a token: whether the account can be asked at all. */
CMG_MUST_CHECK enum cmg_rc store_ready(const struct store *s, int64_t now, struct cmg_err *err);

/* Logs storage.failed when the reason is another one or a minute has passed, storage.back when it
 * is over. */
void store_failed(struct store *s, int64_t now_ms, const char *why);
void store_answered(struct store *s);

#endif
