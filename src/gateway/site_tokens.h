/* SPDX-License-Identifier: MIT */
/* What the gateway needs to judge tokens and content tokens of the site: certificates of the keys
 * that sign them, and the block list. Files are watched: what changes is in force without a
 * reload; a file that cannot be read leaves what was there. */
#ifndef CMG_GATEWAY_SITE_TOKENS_H
#define CMG_GATEWAY_SITE_TOKENS_H

#include "cmg/auth/blocklist.h"
#include "cmg/auth/content_token.h"
#include "cmg/auth/site_token.h"
#include "gateway/options.h"

struct cmg_loop;
struct site_tokens;

/* To look at; all borrowed until the next change. */
struct site_tokens_view {
    bool accepted;                    /* site tokens are */
    const struct cmg_keyset *keys;    /* of site tokens */
    const struct cmg_keyset *content; /* of content tokens, perhaps the same */
    bool listed;                      /* a block list is configured */
    size_t blocked;                   /* GUIDs on it */
};
void site_tokens_show(const struct site_tokens *s, struct site_tokens_view *out);

/* Everything that a configuration names, read. `conf` is borrowed and must outlive it: after a
 * reload there is a new one. NULL with err (CMG_ECONF), naming the file. Sections that are not
 * configured leave nothing that is accepted. */
struct site_tokens *site_tokens_new(const struct gateway_conf *conf, struct cmg_err *err);
void site_tokens_free(struct site_tokens *s); /* NULL is ignored */

/* Reads again what `path`, spelled as in the configuration, holds, if it is one of ours. True: it
 * is in force, so cached verdicts are void. A failure is logged (site_tokens.refused) and changes
 * nothing; so does a block list that had GUIDs and now has no byte. */
bool site_tokens_refresh(struct site_tokens *s, const char *path);

/* CMG_OK or CMG_EDENIED, with *out zeroed; a blocked token or client is refused by name. */
CMG_MUST_CHECK enum cmg_rc site_tokens_identify(struct site_tokens *s, const struct cmg_jwt *token,
                                                int64_t now, struct cmg_identity *out,
                                                struct cmg_err *err);
/* True when tokens of that issuer are the site's, and site tokens are accepted. */
bool site_tokens_issues(const struct site_tokens *s, struct cmg_str issuer);
/* Whether a bulk token opens this path behind the role id. */
bool site_tokens_bulk_path(const struct site_tokens *s, struct cmg_str rest);

/* The content token in a query. A blocked client is refused, too. */
CMG_MUST_CHECK enum cmg_rc site_tokens_content(struct site_tokens *s, struct cmg_str query,
                                               int64_t now, struct cmg_content_token *token,
                                               struct cmg_identity *out, struct cmg_err *err);

#endif
