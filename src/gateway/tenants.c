/* SPDX-License-Identifier: MIT */
#include "gateway/tenants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "cmg/auth/entra.h"
#include "cmg/base/alloc.h"
#include "cmg/net/loop.h"
#include "gateway/tenant_keys.h"

enum { SECOND_MS = 1000 };

struct tenant {
    struct tenants *tenants;                /* borrowed */
    const struct gateway_tenant_conf *conf; /* borrowed */
    int64_t leeway_s;
    char id[37]; /* in lower case, as tokens have it */
    char *url;   /* owned; of its OpenID configuration */
    char v1[CMG_ENTRA_ISSUER], v2[CMG_ENTRA_ISSUER];
    const char *microsoft[3];   /* these two */
    const char *const *issuers; /* those, or the configured ones */
    struct tenant_keys *keys;
    const void *set; /* the keys that were told of; never looked into */
    bool waited;     /* somebody was told CMG_MORE */
    TAILQ_ENTRY(tenant) entry;
};
TAILQ_HEAD(tenant_list, tenant);

struct tenants {
    struct cmg_loop *loop;
    struct cmg_fetcher *fetcher;
    void (*on_keys)(void *arg);
    void *arg;
    struct tenant_list list;
    struct cmg_task tell; /* those who waited for a tenant that went */
};

/* ---- one tenant ---- */

static void on_end(void *arg)
{
    struct tenant *tenant = arg;
    struct tenants *t = tenant->tenants;
    const void *set = tenant_keys_set(tenant->keys);
    bool tell = tenant->waited || set != tenant->set;
    tenant->waited = false;
    tenant->set = set;
    if (tell)
        t->on_keys(t->arg);
}

static void lower_id(const struct gateway_tenant_conf *conf, char out[37])
{
    if (!cmg_guid_ok(cmg_str(conf->id), out))
        abort(); /* the options have checked it */
}

static char *discovery_url(const struct gateway_tenant_conf *conf, const char *id)
{
    char url[160];
    if (conf->discovery && *conf->discovery)
        return cmg_strdup(conf->discovery);
    snprintf(url, sizeof(url),
             "https://login.microsoftonline.com/%s/v2.0/.well-known/openid-configuration", id);
    return cmg_strdup(url);
}

static struct tenant *tenant_new(struct tenants *t, const char *id, char *url_taken)
{
    struct tenant *tenant = cmg_alloc(sizeof(*tenant));
    tenant->tenants = t;
    tenant->url = url_taken;
    cmg_str_put(tenant->id, sizeof(tenant->id), cmg_str(id));
    cmg_entra_issuers(id, tenant->v1, tenant->v2);
    tenant->microsoft[0] = tenant->v1;
    tenant->microsoft[1] = tenant->v2;
    tenant->keys = tenant_keys_new(t->loop, t->fetcher, on_end, tenant);
    return tenant;
}

static void wake(struct tenant *tenant)
{
    if (tenant->waited)
        cmg_loop_defer(tenant->tenants->loop, &tenant->tenants->tell);
    tenant->waited = false;
}

static void tenant_free(struct tenant *tenant)
{
    tenant_keys_free(tenant->keys);
    free(tenant->url);
    free(tenant);
}

static void tenant_use(struct tenant *tenant, const struct gateway_conf *conf,
                       const struct gateway_tenant_conf *of_it)
{
    tenant->conf = of_it;
    tenant->leeway_s = conf->site_tokens.leeway_ms / SECOND_MS;
    tenant->issuers =
        of_it->issuers && *of_it->issuers ? (const char *const *)of_it->issuers : tenant->microsoft;
    if (of_it->enabled) {
        tenant_keys_use(tenant->keys, of_it, tenant->url, tenant->issuers);
    } else {
        tenant_keys_pause(tenant->keys);
        wake(tenant);
    }
}

/* ---- all of them ---- */

static void on_tell(void *arg)
{
    struct tenants *t = arg;
    t->on_keys(t->arg);
}

struct tenants *tenants_new(struct cmg_loop *l, struct cmg_fetcher *f, void (*on_keys)(void *arg),
                            void *arg)
{
    struct tenants *t = cmg_alloc(sizeof(*t));
    t->loop = l;
    t->fetcher = f;
    t->on_keys = on_keys;
    t->arg = arg;
    t->tell = (struct cmg_task){ .run = on_tell, .arg = t };
    TAILQ_INIT(&t->list);
    return t;
}

static void list_clear(struct tenant_list *list)
{
    struct tenant *tenant;
    while ((tenant = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, tenant, entry);
        wake(tenant);
        tenant_free(tenant);
    }
}

void tenants_free(struct tenants *t)
{
    if (!t)
        return;
    list_clear(&t->list);
    cmg_loop_cancel(t->loop, &t->tell);
    free(t);
}

/* Takes the tenant out of the list that it stands in; NULL: it is not there. */
static struct tenant *take(struct tenant_list *from, const char *id, const char *url)
{
    struct tenant *tenant;
    TAILQ_FOREACH(tenant, from, entry)
    if (!strcmp(tenant->id, id) && !strcmp(tenant->url, url)) {
        TAILQ_REMOVE(from, tenant, entry);
        return tenant;
    }
    return NULL;
}

void tenants_use(struct tenants *t, const struct gateway_conf *conf)
{
    struct tenant_list old = TAILQ_HEAD_INITIALIZER(old);
    TAILQ_CONCAT(&old, &t->list, entry);
    for (size_t i = 0; i < conf->ntenants; i++) {
        char id[37];
        lower_id(&conf->tenants[i], id);
        char *url = discovery_url(&conf->tenants[i], id);
        struct tenant *tenant = take(&old, id, url);
        if (tenant)
            free(url);
        else
            tenant = tenant_new(t, id, url);
        TAILQ_INSERT_TAIL(&t->list, tenant, entry);
        tenant_use(tenant, conf, &conf->tenants[i]);
    }
    list_clear(&old);
}

struct tenant *tenants_by_issuer(struct tenants *t, struct cmg_str issuer)
{
    struct tenant *tenant;
    TAILQ_FOREACH(tenant, &t->list, entry)
    for (const char *const *i = tenant->issuers; *i; i++)
        if (cmg_str_eq(issuer, cmg_str(*i)))
            return tenant;
    return NULL;
}

const struct gateway_tenant_conf *tenants_find(const struct tenants *t, struct cmg_str id)
{
    const struct tenant *tenant;
    TAILQ_FOREACH(tenant, &t->list, entry)
    if (tenant->conf->enabled && cmg_str_ieq(id, cmg_str(tenant->id)))
        return tenant->conf;
    return NULL;
}

const struct tenant *tenants_next(const struct tenants *t, const struct tenant *after)
{
    return after ? TAILQ_NEXT(after, entry) : TAILQ_FIRST(&t->list);
}

void tenant_show(const struct tenant *t, struct tenant_view *out)
{
    const struct cmg_keyset *set = tenant_keys_set(t->keys);
    *out = (struct tenant_view){
        .label = t->conf->label,
        .id = t->id,
        .enabled = t->conf->enabled,
        .keys = set ? cmg_keyset_count(set) : 0,
        .fetched = tenant_keys_fetched(t->keys),
        .failure = tenant_keys_failure(t->keys),
    };
}

/* ---- one token ---- */

static enum cmg_rc verify(const struct tenant *tenant, const struct cmg_jwt *token, int64_t now,
                          struct cmg_err *err)
{
    const struct cmg_jwt_rule rule = {
        .algs = CMG_ALG_RS256,
        .issuers = tenant->issuers,
        .audiences = (const char *const *)tenant->conf->audiences,
        .leeway_s = tenant->leeway_s,
    };
    const struct cmg_keyset *set = tenant_keys_set(tenant->keys);
    if (!set)
        return cmg_fail(err, CMG_MORE, "there are no keys of tenant %.60s yet",
                        tenant->conf->label);
    return cmg_jwt_verify(token, &rule, set, now, err);
}

enum cmg_rc tenant_identify(struct tenant *t, const struct cmg_jwt *token, int64_t now,
                            struct cmg_identity *out, struct cmg_err *err)
{
    struct cmg_err why = { 0 };
    if (!t->conf->enabled)
        return cmg_fail(err, CMG_EDENIED, "tenant %.60s is switched off", t->conf->label);
    enum cmg_rc rc = verify(t, token, now, &why);
    if (rc == CMG_OK)
        return cmg_entra_identify(token, t->id, now, out, err);
    if (rc != CMG_MORE)
        return cmg_fail(err, rc, "%s", why.text);
    if (tenant_keys_demand(t->keys, why.text)) {
        t->waited = true;
        return cmg_fail(err, CMG_MORE, "%s", why.text);
    }
    const char *failure = tenant_keys_failure(t->keys);
    return cmg_fail(err, CMG_EDENIED,
                    *failure ? "%.100s; its keys could not be fetched: %s" : "%s%s", why.text,
                    failure);
}

void tenant_where(const struct tenant *t, struct tenant_place *out)
{
    *out = (struct tenant_place){ t->conf, t->url, t->issuers };
}
