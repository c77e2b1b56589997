/* SPDX-License-Identifier: MIT */
#include "cmg/auth/entra.h"

#include <stdio.h>

#include "cmg/base/alloc.h"

void cmg_entra_issuers(const char *tenant, char v1[CMG_ENTRA_ISSUER], char v2[CMG_ENTRA_ISSUER])
{
    char guid[37];
    /* Tokens have it in lower case, whatever the configuration has. */
    if (cmg_guid_ok(cmg_str(tenant), guid))
        tenant = guid;
    snprintf(v1, CMG_ENTRA_ISSUER, "https://sts.windows.net/%s/", tenant);
    snprintf(v2, CMG_ENTRA_ISSUER, "https://login.microsoftonline.com/%s/v2.0", tenant);
}

/* Those that only a token with a user behind it has, the most telling first. */
static const char *const user_names[] = { "upn", "preferred_username", "unique_name" };

/* A name goes to logs and further inside: one with a control character in it is none. */
static bool usable(struct cmg_str name, size_t room)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f)
            return false;
    return name.n > 0 && name.n < room;
}

static bool has_user(const struct cmg_jwt *t)
{
    for (size_t i = 0; i < CMG_COUNT(user_names); i++)
        if (cmg_jwt_text(t, user_names[i]).p)
            return true;
    return cmg_jwt_text(t, "scp").p;
}

static enum cmg_rc check_tenant(const struct cmg_jwt *t, const char *tenant, char out[64],
                                struct cmg_err *err)
{
    char ours[37], theirs[37];
    if (!cmg_guid_ok(cmg_str(tenant), ours) || !cmg_guid_ok(cmg_jwt_text(t, "tid"), theirs) ||
        strcmp(ours, theirs) != 0)
        return cmg_fail(err, CMG_EDENIED, "its tenant (tid) is not the one that it comes from");
    cmg_str_put(out, 64, cmg_str(ours));
    return CMG_OK;
}

static enum cmg_rc user(const struct cmg_jwt *t, struct cmg_identity *out, struct cmg_err *err)
{
    if (!cmg_guid_ok(cmg_jwt_text(t, "oid"), out->id))
        return cmg_fail(err, CMG_EDENIED, "a user's token without a GUID in oid");
    out->kind = CMG_KIND_USER;
    cmg_str_put(out->name, sizeof(out->name), cmg_str(out->id));
    for (size_t i = CMG_COUNT(user_names); i-- > 0;) {
        struct cmg_str name = cmg_jwt_text(t, user_names[i]);
        if (usable(name, sizeof(out->name)))
            cmg_str_put(out->name, sizeof(out->name), name);
    }
    return CMG_OK;
}

static enum cmg_rc device(const struct cmg_jwt *t, struct cmg_identity *out, struct cmg_err *err)
{
    if (!cmg_guid_ok(cmg_jwt_text(t, "deviceid"), out->id))
        return cmg_fail(err, CMG_EDENIED, "a device's token without a GUID in deviceid");
    out->kind = CMG_KIND_DEVICE;
    cmg_str_put(out->name, sizeof(out->name), cmg_str(out->id));
    return CMG_OK;
}

/* A user's token may name the user's device as well, so what tells a user comes first. */
static enum cmg_rc identify(const struct cmg_jwt *t, struct cmg_identity *out, struct cmg_err *err)
{
    bool app = cmg_str_ieq(cmg_jwt_text(t, "idtyp"), CMG_STR("app"));
    if (has_user(t) && !app)
        return user(t, out, err);
    if (cmg_jwt_text(t, "deviceid").p && !has_user(t))
        return device(t, out, err);
    return cmg_fail(err, CMG_EDENIED,
                    "neither a device's nor a user's token, but an application's");
}

enum cmg_rc cmg_entra_identify(const struct cmg_jwt *t, const char *tenant, int64_t now,
                               struct cmg_identity *out, struct cmg_err *err)
{
    struct cmg_identity i = { .how = CMG_BY_ENTRA,
                              .since = now,
                              .until = cmg_jwt_number(t, "exp") };
    *out = (struct cmg_identity){ 0 };
    enum cmg_rc rc = check_tenant(t, tenant, i.tenant, err);
    if (rc == CMG_OK)
        rc = identify(t, &i, err);
    if (rc == CMG_OK)
        *out = i;
    return rc;
}
