/* SPDX-License-Identifier: MIT */
#include "ctl/site.h"

#include <stdlib.h>

#include "cmg/auth/identity.h"
#include "cmg/base/alloc.h"
#include "cmg/net/file.h"

enum { PEM_MAX = 1024 * 1024, HIERARCHY_MAX = 256 };

bool ctl_guid(const char *text, char out[37])
{
    struct cmg_str s = cmg_str(text);
    if (cmg_str_istarts(s, CMG_STR("GUID:")))
        s = cmg_str_from(s, 5);
    return cmg_guid_ok(s, out);
}

enum cmg_rc ctl_check_guid(const char *value, struct cmg_err *err)
{
    return ctl_guid(value, NULL)
               ? CMG_OK
               : cmg_fail(err, CMG_EDENIED, "must be a GUID, 8-4-4-4-12 hex digits");
}

/* Owned; the option's value, else `name` in --site; NULL: neither was given. */
static char *path_of(const struct ctl_args *a, const char *option, const char *name)
{
    const char *given = ctl_text(a, option), *folder = ctl_text(a, "site");
    if (given || !folder)
        return cmg_strdup(given);
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = cmg_alloc(size);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static void wipe(char *text, size_t n)
{
    if (text)
        explicit_bzero(text, n);
    free(text);
}

static enum cmg_rc make_signer(struct ctl_site *s, const char *certificate, const char *key,
                               struct cmg_err *err)
{
    size_t nc = 0, nk = 0;
    struct cmg_err why;
    char *c = cmg_file_read(certificate, CMG_FILE_PUBLIC, PEM_MAX, &nc, err);
    char *k = c ? cmg_file_read(key, CMG_FILE_SECRET, PEM_MAX, &nk, err) : NULL;
    enum cmg_rc rc = k ? CMG_OK : CMG_ECONF;
    if (k &&
        !(s->signer = cmg_signer_new((struct cmg_str){ c, nc }, (struct cmg_str){ k, nk }, &why)))
        rc = cmg_fail(err, CMG_ECONF, "%s, %s: %s", certificate, key, why.text);
    s->keys = cmg_keyset_new();
    if (rc == CMG_OK &&
        cmg_keyset_add_certificates(s->keys, (struct cmg_str){ c, nc }, &why) != CMG_OK)
        rc = cmg_fail(err, CMG_ECONF, "%s: %s", certificate, why.text);
    wipe(k, nk);
    free(c);
    return rc;
}

static enum cmg_rc read_hierarchy(struct ctl_site *s, const char *path, struct cmg_err *err)
{
    size_t n;
    char *text = cmg_file_read(path, CMG_FILE_PUBLIC, HIERARCHY_MAX, &n, err);
    if (!text)
        return CMG_ECONF;
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    bool good = cmg_guid_ok((struct cmg_str){ text, n }, s->hierarchy);
    free(text);
    return good ? CMG_OK
                : cmg_fail(err, CMG_ECONF, "%s must hold the GUID of the hierarchy alone", path);
}

static enum ctl_exit load_hierarchy(const struct ctl_args *a, struct ctl_site *s)
{
    struct cmg_err err;
    const char *given = ctl_text(a, "hierarchy");
    if (given)
        return ctl_guid(given, s->hierarchy) ? CTL_OK : CTL_USAGE; /* it was checked */
    char *path = path_of(a, "hierarchy", "hierarchy");
    if (!path)
        return ctl_misused(a, "--site=DIR or --hierarchy=GUID must be given");
    enum cmg_rc rc = read_hierarchy(s, path, &err);
    free(path);
    return rc == CMG_OK ? CTL_OK : ctl_failed(&err);
}

static enum ctl_exit load_signer(const struct ctl_args *a, struct ctl_site *s)
{
    struct cmg_err err;
    struct cmg_key_info info;
    char *certificate = path_of(a, "certificate", "site-token.pem");
    char *key = path_of(a, "key", "site-token.key");
    enum ctl_exit status = CTL_OK;
    if (!certificate || !key)
        status = ctl_misused(a, "--site=DIR, or --certificate=FILE and --key=FILE, must be given");
    else if (make_signer(s, certificate, key, &err) != CMG_OK)
        status = ctl_failed(&err);
    free(certificate);
    free(key);
    if (status == CTL_OK) {
        cmg_keyset_info(s->keys, 0, &info);
        s->ends = info.not_after;
    }
    return status;
}

enum ctl_exit ctl_site_load(const struct ctl_args *a, bool hierarchy, struct ctl_site *out)
{
    *out = (struct ctl_site){ 0 };
    enum ctl_exit status = load_signer(a, out);
    if (status == CTL_OK && hierarchy)
        status = load_hierarchy(a, out);
    if (status != CTL_OK)
        ctl_site_clear(out);
    return status;
}

void ctl_site_clear(struct ctl_site *s)
{
    cmg_signer_free(s->signer);
    cmg_keyset_unref(s->keys);
    *s = (struct ctl_site){ 0 };
}
