/* SPDX-License-Identifier: MIT */
/* Requests to a storage account, each tried again while that may help. */
#ifndef CMG_CTL_BLOBS_H
#define CMG_CTL_BLOBS_H

#include "cmg/storage/listing.h"
#include "cmg/storage/request.h"
#include "ctl/store.h"

struct blobs; /* an account, reached from a loop */
struct cmg_loop;

/* A request is given up after `tries`. `on_wait` is told of each that failed and will be tried
 * again, "contosocontent: 503 ServerBusy"; may be NULL. `s` is borrowed. */
struct blobs *blobs_new(struct cmg_loop *l, const struct store *s, unsigned tries,
                        void (*on_wait)(void *arg, const char *why, int64_t wait_ms), void *arg);
void blobs_free(struct blobs *b); /* what is in flight ends without a word; NULL is ignored */

struct blobs_answer {
    /* CMG_OK: 2xx, or the status that was said to be fine. CMG_EDENIED: the account refused;
     * others: no answer. */
    enum cmg_rc rc;
    unsigned status;     /* 0: no answer */
    struct cmg_str body; /* until on_done returns */
    const char *why;     /* "404 ContainerNotFound"; "" without an answer */
    struct cmg_err err;  /* who, why, what to look at; unless CMG_OK */
};

struct blobs_ask {
    struct cmg_blob_op op; /* container and length are filled in; its strings are borrowed till
                            * the end of the request */
    unsigned fine;         /* a status that is no failure, besides 2xx; 0: none */
    struct cmg_str first;  /* the body, copied at once */
    /* The same body again, for another try: not held meanwhile, because it may be large. False with
     * err: it cannot be had, and the request is over. NULL: no body. */
    bool (*body)(void *arg, struct cmg_str *bytes, struct cmg_err *err);
    void (*on_done)(void *arg, const struct blobs_answer *answer); /* once, from the loop */
    void *arg;
};
void blobs_start(struct blobs *b, const struct blobs_ask *ask);

/* All blobs with that prefix, page after page; on_done gets the listing (its own to free), or NULL
 * and the answer that ended it. A container that is not there has none: *missing. */
void blobs_list(struct blobs *b, const char *prefix,
                void (*on_done)(void *arg, struct cmg_listing *taken, bool missing,
                                const struct cmg_err *err),
                void *arg);

#endif
