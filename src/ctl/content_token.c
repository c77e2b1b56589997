/* SPDX-License-Identifier: MIT */
/* cmgctl content token. */
#include <stdlib.h>

#include "cmg/auth/content_token.h"
#include "cmg/base/clock.h"
#include "cmg/daemon/checks.h"
#include "ctl/commands.h"
#include "ctl/site.h"
#include "ctl/when.h"

enum { HOUR_S = 3600 };

static enum cmg_rc check_id(const char *value, struct cmg_err *err)
{
    if (cmg_content_id_ok(cmg_str(value)))
        return CMG_OK;
    return cmg_fail(err, CMG_EDENIED,
                    "must be letters, digits, '.', '_' and '-', at most %d, without '..' and not "
                    "'.' first",
                    CMG_CONTENT_ID_MAX - 1);
}

static enum ctl_exit print(const struct ctl_args *a, const char *query,
                           const struct cmg_content_token *t)
{
    char until[WHEN_BOTH];
    const char *service = ctl_text(a, "service");
    if (service)
        printf("https://%s" CMG_CONTENT_PATH "?", service);
    printf("%s\n", query);
    when_both(t->end, t->start, until);
    fprintf(stderr, "expires  %s\n", until);
    return CTL_OK;
}

static enum ctl_exit make(const struct ctl_args *a, const struct ctl_site *site)
{
    struct cmg_err err;
    struct cmg_content_token t = { .start = cmg_clock_unix() };
    t.end = t.start + ctl_number(a, "hours") * HOUR_S;
    cmg_str_put(t.package, sizeof(t.package), cmg_str(ctl_text(a, "package")));
    cmg_str_put(t.content, sizeof(t.content), cmg_str(ctl_text(a, "content")));
    cmg_str_put(t.issuer, sizeof(t.issuer), cmg_str(ctl_text(a, "issuer")));
    if (!ctl_guid(ctl_text(a, "client"), t.client))
        return CTL_USAGE; /* it was checked */
    char *query = cmg_content_token_issue(site->signer, &t, &err);
    enum ctl_exit status = query ? print(a, query, &t) : ctl_failed(&err);
    free(query);
    return status;
}

static enum ctl_exit run(const struct ctl_args *a)
{
    struct ctl_site site;
    enum ctl_exit status = ctl_site_load(a, false, &site);
    if (status != CTL_OK)
        return status;
    status = make(a, &site);
    ctl_site_clear(&site);
    return status;
}

/* clang-format off */
static const struct ctl_option options[] = {
    { .name = "package", .value = "ID", .required = true, .check = check_id,
      .doc = "The package." },
    { .name = "content", .value = "ID", .required = true, .check = check_id,
      .doc = "The content of it, PACKAGE.VERSION." },
    { .name = "client", .value = "GUID", .required = true, .check = ctl_check_guid,
      .doc = "Whom it is for." },
    { .name = "issuer", .value = "HOST", .required = true, .check = cmg_check_name,
      .doc = "Who issues it: one of [content] issuers of the gateway." },
    { .name = "hours", .value = "N", .def = "24", .min = 1, .max = 168,
      .doc = "How long it is valid; the gateway has its own limit, [content] max-lifetime." },
    { .name = "service", .value = "NAME", .check = cmg_check_name,
      .doc = "Print the whole URL, with this service name." },
    CTL_SIGNER_OPTIONS,
    { 0 },
};
/* clang-format on */

const struct ctl_command ctl_content_token = {
    .noun = "content",
    .verb = "token",
    .summary = "Make a content token: the signed query that opens one content.",
    .doc = "Standard output gets the query alone, or the URL. The key must be RSA.",
    .options = options,
    .run = run,
};
