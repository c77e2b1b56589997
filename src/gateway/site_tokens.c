/* SPDX-License-Identifier: MIT */
#include "gateway/site_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/net/file.h"
#include "cmg/proto/path.h"

enum { PEM_MAX_BYTES = 1024 * 1024 };

struct site_tokens {
    const struct gateway_conf *conf; /* borrowed */
    char issuer[CMG_SITE_ISSUER];    /* "": no site tokens */
    struct cmg_keyset *keys;         /* owned; of site tokens */
    struct cmg_keyset *content;      /* owned; of content tokens, perhaps the same */
    struct cmg_blocklist *blocked;   /* owned; NULL: no list is configured */
};

/* --- reading -------------------------------------------------------------------------------- */

static enum cmg_rc add_file(struct cmg_keyset *keys, const char *path, struct cmg_err *err)
{
    size_t n;
    struct cmg_err why;
    char *pem = cmg_file_read(path, CMG_FILE_PUBLIC, PEM_MAX_BYTES, &n, err);
    if (!pem)
        return CMG_ECONF;
    enum cmg_rc rc = cmg_keyset_add_certificates(keys, (struct cmg_str){ pem, n }, &why);
    free(pem);
    return rc == CMG_OK ? CMG_OK : cmg_fail(err, CMG_ECONF, "%s: %s", path, why.text);
}

/* NULL with err: one of the files is no use, so none is. */
static struct cmg_keyset *read_keys(char *const *paths, struct cmg_err *err)
{
    struct cmg_keyset *keys = cmg_keyset_new();
    for (; *paths; paths++)
        if (add_file(keys, *paths, err) != CMG_OK) {
            cmg_keyset_unref(keys);
            return NULL;
        }
    return keys;
}

/* A file without a byte looks like one that is about to be written: where there was a list it
 * would admit everybody, so it is none. */
static struct cmg_blocklist *read_blocked(const char *path, bool may_be_empty, struct cmg_err *err)
{
    struct cmg_err why;
    struct cmg_str text = { NULL, 0 };
    char *p = cmg_file_read(path, CMG_FILE_PUBLIC, CMG_BLOCKLIST_BYTES_MAX, &text.n, err);
    if (!p)
        return NULL;
    text.p = p;
    struct cmg_blocklist *list = NULL;
    if (!text.n && !may_be_empty)
        cmg_fail(err, CMG_ECONF, "%s is empty: to block nobody, leave a comment in it", path);
    else if (!(list = cmg_blocklist_read(text, &why)))
        cmg_fail(err, CMG_ECONF, "%s: %s", path, why.text);
    free(p);
    return list;
}

/* Content tokens have the keys of site tokens, or their own. */
static struct cmg_keyset *read_content_keys(const struct site_tokens *s, struct cmg_err *err)
{
    char *const *own = s->conf->content.certificates;
    return *own ? read_keys(own, err) : cmg_keyset_ref(s->keys);
}

static enum cmg_rc read_all(struct site_tokens *s, struct cmg_err *err)
{
    const char *blocked = s->conf->site_tokens.block_list;
    s->keys = read_keys(s->conf->site_tokens.certificates, err);
    s->content = s->keys ? read_content_keys(s, err) : NULL;
    if (!s->content)
        return CMG_ECONF;
    if (blocked && !(s->blocked = read_blocked(blocked, true, err)))
        return CMG_ECONF;
    return CMG_OK;
}

struct site_tokens *site_tokens_new(const struct gateway_conf *conf, struct cmg_err *err)
{
    struct site_tokens *s = cmg_alloc(sizeof(*s));
    s->conf = conf;
    if (conf->site_tokens.hierarchy)
        cmg_site_token_issuer(conf->site_tokens.hierarchy, s->issuer);
    if (read_all(s, err) == CMG_OK)
        return s;
    site_tokens_free(s);
    return NULL;
}

void site_tokens_free(struct site_tokens *s)
{
    if (!s)
        return;
    cmg_keyset_unref(s->keys);
    cmg_keyset_unref(s->content);
    cmg_blocklist_free(s->blocked);
    free(s);
}

/* --- a file has changed --------------------------------------------------------------------- */

static bool is_among(char *const *paths, const char *path)
{
    for (; *paths; paths++)
        if (!strcmp(*paths, path))
            return true;
    return false;
}

static bool refused(const char *path, const struct cmg_err *why)
{
    log_error("site_tokens.refused", KV("file", path), KV("why", why->text));
    return false;
}

static bool refresh_keys(struct cmg_keyset **keys, char *const *paths, const char *path)
{
    struct cmg_err err;
    struct cmg_keyset *fresh = read_keys(paths, &err);
    if (!fresh)
        return refused(path, &err);
    cmg_keyset_unref(*keys);
    *keys = fresh;
    log_notice("site_tokens.changed", KV("file", path), KV("keys", cmg_keyset_count(fresh)));
    return true;
}

static bool refresh_blocked(struct site_tokens *s, const char *path)
{
    struct cmg_err err;
    struct cmg_blocklist *fresh = read_blocked(path, !cmg_blocklist_count(s->blocked), &err);
    if (!fresh)
        return refused(path, &err);
    cmg_blocklist_free(s->blocked);
    s->blocked = fresh;
    log_notice("site_tokens.changed", KV("file", path), KV("blocked", cmg_blocklist_count(fresh)));
    return true;
}

bool site_tokens_refresh(struct site_tokens *s, const char *path)
{
    const struct gateway_conf *conf = s->conf;
    bool changed = false;
    if (is_among(conf->site_tokens.certificates, path) &&
        refresh_keys(&s->keys, conf->site_tokens.certificates, path)) {
        changed = true;
        if (!*conf->content.certificates) {
            cmg_keyset_unref(s->content);
            s->content = cmg_keyset_ref(s->keys);
        }
    }
    if (is_among(conf->content.certificates, path))
        changed |= refresh_keys(&s->content, conf->content.certificates, path);
    if (conf->site_tokens.block_list && !strcmp(conf->site_tokens.block_list, path))
        changed |= refresh_blocked(s, path);
    return changed;
}

/* --- judging -------------------------------------------------------------------------------- */

bool site_tokens_issues(const struct site_tokens *s, struct cmg_str issuer)
{
    return s->issuer[0] && cmg_str_eq(issuer, cmg_str(s->issuer));
}

bool site_tokens_bulk_path(const struct site_tokens *s, struct cmg_str rest)
{
    for (char *const *p = s->conf->site_tokens.bulk_paths; *p; p++)
        if (cmg_path_under(rest, cmg_str(*p)))
            return true;
    return false;
}

static enum cmg_rc check_blocked(const struct site_tokens *s, const char *what, const char *guid,
                                 struct cmg_err *err)
{
    if (!cmg_blocklist_has(s->blocked, guid))
        return CMG_OK;
    return cmg_fail(err, CMG_EDENIED, "the %s %s is blocked", what, guid);
}

static enum cmg_rc judge(const struct site_tokens *s, const struct cmg_jwt *token, int64_t now,
                         struct cmg_identity *out, struct cmg_err *err)
{
    char unique_id[37];
    struct cmg_err why;
    /* An unknown key is refused like any other: the site's do not come from elsewhere. */
    if (cmg_site_token_verify(token, s->conf->site_tokens.hierarchy, s->keys, now,
                              s->conf->site_tokens.leeway_ms / 1000, out, unique_id,
                              &why) != CMG_OK)
        return cmg_fail(err, CMG_EDENIED, "%s", why.text);
    enum cmg_rc rc = check_blocked(s, "token", unique_id, err);
    return rc == CMG_OK ? check_blocked(s, "client", out->id, err) : rc;
}

enum cmg_rc site_tokens_identify(struct site_tokens *s, const struct cmg_jwt *token, int64_t now,
                                 struct cmg_identity *out, struct cmg_err *err)
{
    enum cmg_rc rc = s->issuer[0] ? judge(s, token, now, out, err)
                                  : cmg_fail(err, CMG_EDENIED, "site tokens are not accepted here");
    if (rc != CMG_OK)
        *out = (struct cmg_identity){ 0 };
    return rc;
}

enum cmg_rc site_tokens_content(struct site_tokens *s, struct cmg_str query, int64_t now,
                                struct cmg_content_token *token, struct cmg_identity *out,
                                struct cmg_err *err)
{
    const struct gateway_conf *conf = s->conf;
    *out = (struct cmg_identity){ 0 };
    enum cmg_rc rc = cmg_content_token_verify(
        query, s->content, (const char *const *)conf->content.issuers, now,
        conf->site_tokens.leeway_ms / 1000, conf->content.lifetime_ms / 1000, token, err);
    if (rc == CMG_OK)
        rc = check_blocked(s, "client", token->client, err);
    if (rc != CMG_OK) {
        *token = (struct cmg_content_token){ 0 };
        return rc;
    }
    *out = (struct cmg_identity){
        .how = CMG_BY_CONTENT_TOKEN, .kind = CMG_KIND_DEVICE, .since = now, .until = token->end
    };
    cmg_str_put(out->id, sizeof(out->id), cmg_str(token->client));
    cmg_str_put(out->name, sizeof(out->name), cmg_str(token->client));
    return CMG_OK;
}

void site_tokens_show(const struct site_tokens *s, struct site_tokens_view *out)
{
    *out = (struct site_tokens_view){
        .accepted = s->issuer[0] != '\0',
        .keys = s->keys,
        .content = s->content,
        .listed = s->blocked != NULL,
        .blocked = s->blocked ? cmg_blocklist_count(s->blocked) : 0,
    };
}
