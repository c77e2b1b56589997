/* SPDX-License-Identifier: MIT */
/* cmgctl token new. The token alone goes to standard output; what must be kept of it, which is
 * its GUID, to standard error. */
#include <inttypes.h>
#include <stdlib.h>

#include <jansson.h>

#include "cmg/auth/site_token.h"
#include "cmg/base/clock.h"
#include "ctl/commands.h"
#include "ctl/site.h"
#include "ctl/when.h"

struct kind {
    enum cmg_site_token_type type;
    const char *name; /* for people */
    int64_t default_s, max_s;
};

static const struct kind kinds[] = {
    { CMG_SITE_TOKEN_BULK, "a bulk registration token", CMG_BULK_DEFAULT_S, CMG_BULK_MAX_S },
    { CMG_SITE_TOKEN_CLIENT, "a client's token", CMG_CLIENT_MAX_S, CMG_CLIENT_MAX_S },
    { CMG_SITE_TOKEN_STS, "a token of CCM_STS", CMG_STS_MAX_S, CMG_STS_MAX_S },
};

static enum ctl_exit kind_of(const struct ctl_args *a, const struct kind **kind)
{
    bool bulk = ctl_has(a, "bulk"), client = ctl_has(a, "client"), sts = ctl_has(a, "sts");
    if (bulk == client)
        return ctl_misused(a, "either --bulk or --client=GUID must be given");
    if (bulk && sts)
        return ctl_misused(a, "--sts goes with --client");
    *kind = &kinds[bulk ? 0 : sts ? 2 : 1];
    return CTL_OK;
}

static enum ctl_exit lifetime_of(const struct ctl_args *a, const struct kind *k, int64_t *seconds)
{
    bool days = ctl_has(a, "days"), minutes = ctl_has(a, "lifetime");
    if (days && minutes)
        return ctl_misused(a, "--days and --lifetime do not go together");
    *seconds = days      ? ctl_number(a, "days") * 86400
               : minutes ? ctl_number(a, "lifetime") * 60
                         : k->default_s;
    if (*seconds > k->max_s)
        return ctl_misused(a, "%s is valid for at most %" PRId64 " minutes", k->name,
                           k->max_s / 60);
    return CTL_OK;
}

/* The gateway is asked to take it before it is given away. */
static enum cmg_rc prove(const struct ctl_site *site, const char *token, int64_t now,
                         struct cmg_err *err)
{
    struct cmg_identity who;
    char unique_id[37];
    struct cmg_err why;
    struct cmg_jwt *t = cmg_jwt_read(cmg_str(token), &why);
    enum cmg_rc rc =
        t ? cmg_site_token_verify(t, site->hierarchy, site->keys, now, 0, &who, unique_id, &why)
          : CMG_EDENIED;
    cmg_jwt_free(t);
    if (rc == CMG_OK)
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF, "a gateway would not take what this key signs: %s", why.text);
}

static void print(const struct ctl_args *a, const struct ctl_site *site, const char *token,
                  const struct cmg_site_token *t)
{
    char until[WHEN_BOTH];
    when_both(t->expires, t->not_before, until);
    if (ctl_has(a, "json")) {
        json_t *j = json_pack("{s:s, s:s, s:I}", "token", token, "unique_id", t->unique_id,
                              "expires", (json_int_t)t->expires);
        json_dumpf(j, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(j);
    } else {
        printf("%s\n", token);
        fprintf(stderr, "UniqueId %s\nexpires  %s\n", t->unique_id, until);
    }
    if (site->ends < t->expires) {
        when_both(site->ends, t->not_before, until);
        fprintf(stderr, "cmgctl: the certificate of the key ends before the token: %s\n", until);
    }
}

static enum ctl_exit make(const struct ctl_args *a, const struct ctl_site *site,
                          const struct kind *k, int64_t seconds)
{
    struct cmg_err err;
    char unique_id[37], client[37] = "";
    cmg_guid(unique_id);
    int64_t now = cmg_clock_unix();
    if (ctl_has(a, "client") && !ctl_guid(ctl_text(a, "client"), client))
        return CTL_USAGE; /* it was checked */
    const struct cmg_site_token t = { .type = k->type,
                                      .hierarchy = site->hierarchy,
                                      .unique_id = unique_id,
                                      .client = *client ? client : NULL,
                                      .not_before = now,
                                      .expires = now + seconds };
    char *token = cmg_site_token_issue(site->signer, &t, &err);
    enum cmg_rc rc = token ? prove(site, token, now, &err) : err.code;
    if (rc == CMG_OK)
        print(a, site, token, &t);
    free(token);
    return rc == CMG_OK ? CTL_OK : ctl_failed(&err);
}

static enum ctl_exit run(const struct ctl_args *a)
{
    const struct kind *kind;
    struct ctl_site site;
    int64_t seconds;
    enum ctl_exit status = kind_of(a, &kind);
    if (status == CTL_OK)
        status = lifetime_of(a, kind, &seconds);
    if (status == CTL_OK)
        status = ctl_site_load(a, true, &site);
    if (status != CTL_OK)
        return status;
    status = make(a, &site, kind, seconds);
    ctl_site_clear(&site);
    return status;
}

/* clang-format off */
static const struct ctl_option options[] = {
    { .name = "bulk",
      .doc = "A bulk registration token: lets machines register that have no other proof." },
    { .name = "client", .value = "GUID", .check = ctl_check_guid,
      .doc = "The token of a client that has registered." },
    { .name = "sts",
      .doc = "With --client: what CCM_STS hands out, for 480 minutes at most." },
    { .name = "lifetime", .value = "MINUTES", .min = 1, .max = CMG_CLIENT_MAX_S / 60,
      .doc = "How long it is valid; unset: 4320 minutes for --bulk, which may have 10080, and the "
             "most that is allowed for the others." },
    { .name = "days", .value = "N", .min = 1, .max = CMG_CLIENT_MAX_S / 86400,
      .doc = "The same in days; --client may have 90." },
    CTL_SIGNER_OPTIONS,
    { .name = "hierarchy", .value = "GUID", .check = ctl_check_guid,
      .doc = "GUID of the hierarchy, in place of that in --site." },
    { .name = "json", .doc = "Token, GUID and end as JSON on standard output." },
    { 0 },
};
/* clang-format on */

const struct ctl_command ctl_token_new = {
    .noun = "token",
    .verb = "new",
    .summary = "Make a token that the gateway takes.",
    .doc = "Standard output gets the token alone; standard error its UniqueId, by which it can be "
           "blocked, and its end. The token is stored nowhere: keep the UniqueId.",
    .options = options,
    .run = run,
};
