/* SPDX-License-Identifier: MIT */
/* cmgctl pki revoke and pki crl. */
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/file.h"
#include "ctl/commands.h"
#include "ctl/files.h"
#include "ctl/pki.h"
#include "ctl/when.h"

enum { CRL_MAX = 256 * 1024 * 1024, CERTIFICATE_MAX = 1024 * 1024, DAY_S = 86400 };

static enum cmg_rc check_reason(const char *value, struct cmg_err *err)
{
    char known[200] = "";
    for (size_t i = 0; pki_reasons[i]; i++) {
        if (!strcmp(pki_reasons[i], value))
            return CMG_OK;
        size_t n = strlen(known);
        snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", pki_reasons[i]);
    }
    return cmg_fail(err, CMG_EDENIED, "must be one of %s", known);
}

/* NULL: none is to be added. */
static enum cmg_rc add(struct pki_crl *crl, const char *certificate, const char *reason,
                       int64_t now, struct cmg_err *err)
{
    size_t n;
    struct cmg_err why;
    char *pem = cmg_file_read(certificate, CMG_FILE_PUBLIC, CERTIFICATE_MAX, &n, err);
    if (!pem)
        return CMG_ECONF;
    enum cmg_rc rc = pki_crl_add(crl, (struct cmg_str){ pem, n }, reason, now, &why);
    free(pem);
    if (rc == CMG_MORE)
        fprintf(stderr, "cmgctl: %s is revoked already; the list is renewed\n", certificate);
    if (rc == CMG_ECONF)
        return cmg_fail(err, rc, "%s %s", certificate, why.text);
    return CMG_OK;
}

static enum cmg_rc renew(const struct ctl_args *a, const char *certificate, struct pki_crl *crl,
                         const struct ctl_edit *e, struct cmg_err *err)
{
    int64_t now = cmg_clock_unix(), next = now + ctl_number(a, "days") * DAY_S;
    if (certificate) {
        enum cmg_rc rc = add(crl, certificate, ctl_text(a, "reason"), now, err);
        if (rc != CMG_OK)
            return rc;
    }
    char *text = pki_crl_sign(crl, now, next);
    enum cmg_rc rc = ctl_edit_write(e, cmg_str(text), err);
    free(text);
    char until[WHEN_TEXT];
    when_text(next, until);
    if (rc == CMG_OK)
        fprintf(stderr, "%s: %zu revoked, valid until %s\n", e->path, pki_crl_count(crl), until);
    return rc;
}

static enum cmg_rc edit(const struct ctl_args *a, const char *certificate,
                        const struct pki_pair *ca, struct cmg_err *err)
{
    struct cmg_err why;
    struct ctl_edit e;
    enum cmg_rc rc = ctl_edit_begin(&e, ctl_text(a, "crl"), 0644, CRL_MAX, err);
    if (rc != CMG_OK)
        return rc;
    struct pki_crl *crl = pki_crl_read((struct cmg_str){ e.text, e.n }, ca, &why);
    rc = crl ? renew(a, certificate, crl, &e, err)
             : cmg_fail(err, CMG_ECONF, "%s %s", e.path, why.text);
    pki_crl_free(crl);
    ctl_edit_end(&e);
    return rc;
}

static enum ctl_exit change(const struct ctl_args *a, const char *certificate)
{
    struct cmg_err err;
    struct pki_pair *ca = pki_load(ctl_text(a, "ca"), ctl_text(a, "ca-key"), &err);
    enum cmg_rc rc = ca ? edit(a, certificate, ca, &err) : err.code;
    pki_free(ca);
    return rc == CMG_OK ? CTL_OK : ctl_failed(&err);
}

static enum ctl_exit run_revoke(const struct ctl_args *a)
{
    return change(a, ctl_operand(a, 0));
}

static enum ctl_exit run_crl(const struct ctl_args *a)
{
    return change(a, NULL);
}

/* clang-format off */
#define CRL_OPTIONS                                                                                \
    { .name = "ca", .value = "FILE", .required = true,                                             \
      .doc = "Certificate of the authority (PEM)." },                                              \
    { .name = "ca-key", .value = "FILE", .required = true,                                         \
      .doc = "Its private key." },                                                                 \
    { .name = "crl", .value = "FILE", .required = true,                                            \
      .doc = "Its revocation list (PEM); made when it is not there." },                            \
    { .name = "days", .value = "N", .def = "30", .min = 1, .max = 3650,                            \
      .doc = "How long the list is valid." }

static const struct ctl_option revoke_options[] = {
    CRL_OPTIONS,
    { .name = "reason", .value = "REASON", .check = check_reason,
      .doc = "Why, as RFC 5280 has it: key-compromise, superseded, cessation-of-operation, ..." },
    { 0 },
};
/* clang-format on */
static const struct ctl_option crl_options[] = { CRL_OPTIONS, { 0 } };

const struct ctl_command ctl_pki_revoke = {
    .noun = "pki",
    .verb = "revoke",
    .operands = "CERTIFICATE",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "Put a certificate on the revocation list of its authority.",
    .doc = "The gateway notices a changed list that [revocation] files names within seconds.",
    .options = revoke_options,
    .run = run_revoke,
};
const struct ctl_command ctl_pki_crl = {
    .noun = "pki",
    .verb = "crl",
    .summary = "Sign a revocation list anew, before it runs out.",
    .doc = "With check = hard, which is the default, the gateway admits no client of an authority "
           "whose list has run out.",
    .options = crl_options,
    .run = run_crl,
};
