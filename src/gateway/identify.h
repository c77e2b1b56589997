/* SPDX-License-Identifier: MIT */
/* Who a client is: computed here and nowhere else, once for a certificate and once for a token
 * on each connection, and again when anything changed that it was judged by. */
#ifndef CMG_GATEWAY_IDENTIFY_H
#define CMG_GATEWAY_IDENTIFY_H

#include "cmg/auth/identity.h"
#include "cmg/proto/http.h"
#include "cmg/proto/path.h"
#include "gateway/gateway.h"
#include "gateway/refusal.h"

struct proofs; /* what a connection has shown so far, and what was thought of it */

struct proofs *proofs_new(void);
void proofs_free(struct proofs *p); /* NULL is ignored */

enum identified {
    IDENTIFIED,
    IDENTIFY_REFUSED, /* refusal and why are set                                         */
    IDENTIFY_LATER    /* keys or a revocation list are on their way: ask again when the
                       * gateway says that they are there, or when it has failed          */
};

struct identification {
    const struct cmg_identity *who; /* good until the next call for this client */
    const char *text;               /* the same, as the field cmg-identity says it */
    const struct refusal *refusal;
    unsigned retry_after_s; /* for a refusal */
    struct cmg_err why;
};

/* The client of a request under a proxy tree: by its certificate under MutualAuth, by its token
 * under ServerAuth. What was refused is logged, and counts against the client's address. */
enum identified identify(struct gateway *g, struct client *c, const struct cmg_head *head,
                         const struct cmg_path *path, struct identification *out);

/* The client of a content request, by the token in its query; *who and *token are filled. Never
 * IDENTIFY_LATER. */
struct cmg_content_token;
enum identified identify_content(struct gateway *g, struct client *c, const struct cmg_path *path,
                                 struct cmg_identity *who, struct cmg_content_token *token,
                                 struct identification *out);

#endif
