/* SPDX-License-Identifier: MIT */
#include "gateway/stores.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/net/file.h"

/* Secrets ------------------------------------------------------------------------------- */

/* Clients are given the SAS itself: it may not allow them more than they need. */
static enum cmg_rc judge_sas(const struct store *s, const struct cmg_sas *sas, struct cmg_err *err)
{
    if (sas->may == (CMG_SAS_READ | CMG_SAS_LIST))
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF,
                    "[storage %s] sas-file: clients are given this SAS, so it must allow read and "
                    "list and nothing else (sp=rl)",
                    s->label);
}

/* An account of the same name and place, with what the file holds now. */
static struct cmg_account *account_of(const struct store *s, const char *name, const char *url,
                                      struct cmg_err *err)
{
    size_t n = 0;
    struct cmg_account *a = cmg_account_new(name, url, err);
    char *text = a ? cmg_file_read(s->secret_file, CMG_FILE_SECRET, CMG_SAS_MAX, &n, err) : NULL;
    enum cmg_rc rc = CMG_ECONF;
    if (text && s->with_sas) {
        rc = cmg_account_use_sas(a, (struct cmg_str){ text, n }, err);
        if (rc == CMG_OK)
            rc = judge_sas(s, cmg_account_sas(a), err);
    } else if (text) {
        rc = cmg_account_use_key(a, (struct cmg_str){ text, n }, err);
    }
    if (text)
        explicit_bzero(text, n);
    free(text);
    if (rc == CMG_OK)
        return a;
    cmg_account_free(a);
    return NULL;
}

/* Accounts ------------------------------------------------------------------------------ */

static enum cmg_rc store_init(struct store *s, const struct gateway_storage_conf *c,
                              struct cmg_err *err)
{
    char what[128];
    snprintf(what, sizeof(what), "storage %s", c->label);
    *s = (struct store){ .label = cmg_strdup(c->label),
                         .container = cmg_strdup(c->container),
                         .url = cmg_strdup(c->public_url),
                         .ca_file = cmg_strdup(c->ca_file),
                         .secret_file = cmg_strdup(c->sas_file ? c->sas_file : c->key_file),
                         .with_sas = c->sas_file != NULL,
                         .what = cmg_strdup(what),
                         .timeout_ms = c->timeout_ms };
    s->account = account_of(s, c->account, c->url, err);
    return s->account ? CMG_OK : CMG_ECONF;
}

static void store_clear(struct store *s)
{
    cmg_account_free(s->account);
    free(s->label);
    free(s->container);
    free(s->url);
    free(s->ca_file);
    free(s->secret_file);
    free(s->what);
}

struct stores *stores_new(const struct gateway_conf *conf, struct cmg_err *err)
{
    struct stores *s = cmg_alloc(sizeof(*s));
    s->refs = 1;
    s->v = cmg_alloc((conf->nstorages + 1) * sizeof(*s->v));
    for (size_t i = 0; i < conf->nstorages && i < STORES_MAX; i++) {
        s->n++;
        if (store_init(&s->v[i], &conf->storages[i], err) != CMG_OK) {
            stores_unref(s);
            return NULL;
        }
    }
    return s;
}

struct stores *stores_ref(struct stores *s)
{
    s->refs++;
    return s;
}

void stores_unref(struct stores *s)
{
    if (!s || --s->refs)
        return;
    for (size_t i = 0; i < s->n; i++)
        store_clear(&s->v[i]);
    free(s->v);
    free(s);
}

bool stores_refresh(struct stores *s, const char *path)
{
    bool changed = false;
    for (size_t i = 0; i < s->n; i++) {
        struct store *store = &s->v[i];
        struct cmg_err err = { 0 };
        if (strcmp(store->secret_file, path) != 0)
            continue;
        struct cmg_account *a = account_of(store, cmg_account_name(store->account),
                                           cmg_account_url(store->account), &err);
        if (!a) {
            log_error("storage.refused", KV("storage", store->label), KV("why", err.text));
            continue;
        }
        cmg_account_free(store->account);
        store->account = a;
        log_notice("storage.changed", KV("storage", store->label));
        changed = true;
    }
    return changed;
}

/* What can be had from one -------------------------------------------------------------- */

enum cmg_rc store_ready(const struct store *s, int64_t now, struct cmg_err *err)
{
    const struct cmg_sas *sas = cmg_account_sas(s->account);
    if (sas && (sas->until <= now || sas->since > now))
        return cmg_fail(err, CMG_EDENIED, "%s: the SAS in its sas-file %s", s->what,
                        sas->until <= now ? "has ended" : "has not begun");
    return CMG_OK;
}

enum cmg_rc store_shares(const struct store *s, int64_t now, int64_t token_end, int64_t *until,
                         struct cmg_err *err)
{
    const struct cmg_sas *sas = cmg_account_sas(s->account);
    *until = sas ? sas->until : token_end;
    if (sas && sas->until > token_end)
        return cmg_fail(err, CMG_EDENIED,
                        "%s: the SAS in its sas-file ends after the content token does; use a "
                        "shorter one, or key-file",
                        s->what);
    return store_ready(s, now, err);
}

void store_failed(struct store *s, int64_t now_ms, const char *why)
{
    if (!strcmp(s->failure, why) && now_ms - s->said_ms < STORE_SAY_AGAIN_MS)
        return;
    cmg_str_put(s->failure, sizeof(s->failure), cmg_str(why));
    s->said_ms = now_ms;
    log_warn("storage.failed", KV("storage", s->label), KV("why", why));
}

void store_answered(struct store *s)
{
    if (!s->failure[0])
        return;
    s->failure[0] = '\0';
    log_notice("storage.back", KV("storage", s->label));
}
