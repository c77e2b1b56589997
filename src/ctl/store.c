/* SPDX-License-Identifier: MIT */
#include "ctl/store.h"

#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/net/file.h"
#include "gateway/options.h"

enum { SECRET_MAX = 4096 };

struct wanted { /* borrowed from the arguments, or from a configuration that is still there */
    const char *account, *url, *container, *ca_file, *proxy, *key_file, *sas_file;
};

static enum cmg_rc use_secret(struct store *s, const struct wanted *w, struct cmg_err *err)
{
    const char *path = w->key_file ? w->key_file : w->sas_file;
    size_t n = 0;
    char *text = cmg_file_read(path, CMG_FILE_SECRET, SECRET_MAX, &n, err);
    if (!text)
        return CMG_ECONF;
    struct cmg_err why;
    enum cmg_rc rc = w->key_file
                         ? cmg_account_use_key(s->account, (struct cmg_str){ text, n }, &why)
                         : cmg_account_use_sas(s->account, (struct cmg_str){ text, n }, &why);
    explicit_bzero(text, n);
    free(text);
    return rc == CMG_OK ? CMG_OK : cmg_fail(err, CMG_ECONF, "%s: %s", path, why.text);
}

static enum cmg_rc make(struct store *s, const struct wanted *w, struct cmg_err *err)
{
    const char *container = w->container ? w->container : "content";
    if (!cmg_container_ok(cmg_str(container)))
        return cmg_fail(err, CMG_ECONF,
                        "%.80s is no name of a container: 3 to 63 of a-z, 0-9 and single hyphens",
                        container);
    if (w->ca_file && cmg_file_check(w->ca_file, CMG_FILE_PUBLIC, err) != CMG_OK)
        return CMG_ECONF;
    s->account = cmg_account_new(w->account, w->url, err);
    if (!s->account)
        return CMG_ECONF;
    s->container = cmg_strdup(container);
    s->ca_file = cmg_strdup(w->ca_file);
    s->proxy = cmg_strdup(w->proxy);
    return use_secret(s, w, err);
}

static void take(const struct ctl_args *a, const char *option, const char **to)
{
    if (ctl_has(a, option))
        *to = ctl_text(a, option);
}

static void from_options(const struct ctl_args *a, struct wanted *w)
{
    take(a, "account", &w->account);
    take(a, "url", &w->url);
    take(a, "container", &w->container);
    take(a, "ca-file", &w->ca_file);
    take(a, "proxy", &w->proxy);
    take(a, "key-file", &w->key_file);
    take(a, "sas-file", &w->sas_file);
}

static const struct gateway_storage_conf *section(const struct gateway_conf *c, const char *path,
                                                  const char *label, struct cmg_err *err)
{
    if (!label && c->nstorages == 1)
        return &c->storages[0];
    for (size_t i = 0; label && i < c->nstorages; i++)
        if (!strcmp(c->storages[i].label, label))
            return &c->storages[i];
    if (label)
        cmg_fail(err, CMG_ECONF, "%s has no section [storage %.40s]", path, label);
    else if (c->nstorages)
        cmg_fail(err, CMG_ECONF, "%s has %zu sections [storage LABEL]: say which by --storage",
                 path, c->nstorages);
    else
        cmg_fail(err, CMG_ECONF, "%s has no section [storage LABEL]", path);
    return NULL;
}

/* What is given beside --config wins: a machine may reach storage another way than the gateway. */
static enum cmg_rc from_config(struct store *s, const struct ctl_args *a, struct cmg_err *err)
{
    const char *path = ctl_text(a, "config");
    struct gateway_conf *conf = cmg_config_load(&gateway_config, path, err);
    if (!conf)
        return CMG_ECONF;
    const struct gateway_storage_conf *c = section(conf, path, ctl_text(a, "storage"), err);
    enum cmg_rc rc = CMG_ECONF;
    if (c) {
        struct wanted w = { c->account,           c->url,      c->container, c->ca_file,
                            conf->outbound.proxy, c->key_file, c->sas_file };
        if (ctl_has(a, "key-file") || ctl_has(a, "sas-file"))
            w.key_file = w.sas_file = NULL;
        from_options(a, &w);
        rc = make(s, &w, err);
    }
    cmg_config_free(&gateway_config, conf);
    return rc;
}

enum ctl_exit store_open(struct store *s, const struct ctl_args *a)
{
    *s = (struct store){ 0 };
    bool config = ctl_has(a, "config"), account = ctl_has(a, "account");
    bool key = ctl_has(a, "key-file"), sas = ctl_has(a, "sas-file");
    if (config == account)
        return ctl_misused(a, "say which storage: by --config, or by --account and --key-file");
    if (key && sas)
        return ctl_misused(a, "--key-file and --sas-file do not go together");
    if (account && !key && !sas)
        return ctl_misused(a, "--account needs --key-file or --sas-file");
    if (account && ctl_has(a, "storage"))
        return ctl_misused(a, "--storage is a section of --config");

    struct cmg_err err;
    struct wanted w = { 0 };
    from_options(a, &w);
    if ((config ? from_config(s, a, &err) : make(s, &w, &err)) == CMG_OK)
        return CTL_OK;
    store_close(s);
    return ctl_failed(&err);
}

void store_close(struct store *s)
{
    cmg_account_free(s->account);
    free(s->container);
    free(s->ca_file);
    free(s->proxy);
    *s = (struct store){ 0 };
}
