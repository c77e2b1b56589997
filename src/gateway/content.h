/* SPDX-License-Identifier: MIT */
/* The content service: a content token opens the list of one content's blobs, with URLs that a
 * client may download from until its token ends. The bytes of content never pass here. */
#ifndef CMG_GATEWAY_CONTENT_H
#define CMG_GATEWAY_CONTENT_H

#include "cmg/auth/content_token.h"
#include "cmg/http/exchange.h"
#include "cmg/http/fetch.h"
#include "gateway/options.h"

struct content;
struct content_ask; /* one request that waits for storage */

struct content *content_new(struct cmg_loop *l, struct cmg_fetcher *f);
void content_free(struct content *c); /* asks that are open end without a word */

/* Storage accounts of a configuration; keys are read now. CMG_ECONF: nothing has changed. */
CMG_MUST_CHECK enum cmg_rc content_use(struct content *c, const struct gateway_conf *conf,
                                       struct cmg_err *err);
/* Reads a key or SAS file again, if it is one of ours. */
bool content_refresh(struct content *c, const char *path);

/* To look at: storage accounts, and the requests that wait for them. NULL: none are configured. */
struct stores;
const struct stores *content_stores(const struct content *c);
unsigned content_waiting(const struct content *c);

struct content_answer {
    unsigned status; /* 200; 404 no such content; 502, 504 storage; 503 too many at once */
    struct cmg_str type, body; /* of 200 */
    const char *why;           /* of the others: one sentence, no secret; NULL with 200 */
};

/* Asks the storage accounts what the content has. `accept` is the request's Accept, may be empty.
 * on_answer is called once, from the loop, never from inside; not after content_cancel. */
struct content_ask *content_start(struct content *c, const struct cmg_content_token *token,
                                  struct cmg_str accept,
                                  void (*on_answer)(void *arg, const struct content_answer *a),
                                  void *arg);
void content_cancel(struct content_ask *a); /* NULL is ignored */

#endif
