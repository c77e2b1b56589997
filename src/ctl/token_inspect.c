/* SPDX-License-Identifier: MIT */
/* cmgctl token inspect: what a token says, and whether the gateway would take it. */
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "cmg/auth/blocklist.h"
#include "cmg/auth/site_token.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/file.h"
#include "ctl/commands.h"
#include "ctl/site.h"
#include "ctl/token_show.h"

enum { KEYS_MAX_BYTES = 1024 * 1024, INPUT_MAX = 4 * CMG_JWT_BYTES_MAX };

struct judge {
    struct cmg_keyset *keys;       /* owned; NULL: nothing to verify by */
    struct cmg_blocklist *blocked; /* owned; may be NULL */
    int64_t now;
};

/* --- what is inspected ---------------------------------------------------------------------- */

/* Standard input to its end; NULL when that is more than any token. */
static char *read_input(void)
{
    char *text = cmg_alloc(INPUT_MAX + 1);
    size_t n = fread(text, 1, INPUT_MAX, stdin);
    if (!ferror(stdin) && n < INPUT_MAX)
        return text;
    free(text);
    return NULL;
}

static struct cmg_str trimmed(const char *text)
{
    struct cmg_str s = cmg_str_trim(cmg_str(text));
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == ' '))
        s.n--;
    return s;
}

static char *token_of(const struct ctl_args *a, struct cmg_err *err)
{
    const char *given = ctl_operand(a, 0);
    if (given && strcmp(given, "-") != 0)
        return cmg_strdup(given);
    if (isatty(STDIN_FILENO))
        fprintf(stderr, "cmgctl: reading the token from the terminal; end with ^D\n");
    char *text = read_input();
    if (!text)
        cmg_fail(err, CMG_EIO, "cannot read a token from standard input");
    return text;
}

/* --- what it is judged by ------------------------------------------------------------------- */

static enum cmg_rc add_keys(struct judge *j, const char *path, bool jwks, struct cmg_err *err)
{
    struct cmg_err why;
    struct cmg_str text = { NULL, 0 };
    size_t left_out = 0;
    char *p = cmg_file_read(path, CMG_FILE_PUBLIC, KEYS_MAX_BYTES, &text.n, err);
    if (!p)
        return CMG_ECONF;
    text.p = p;
    if (!j->keys)
        j->keys = cmg_keyset_new();
    enum cmg_rc rc = jwks ? cmg_keyset_add_jwks(j->keys, text, &left_out, &why)
                          : cmg_keyset_add_certificates(j->keys, text, &why);
    free(p);
    if (left_out)
        fprintf(stderr, "cmgctl: %s: %zu keys are no use and were left out\n", path, left_out);
    return rc == CMG_OK ? CMG_OK : cmg_fail(err, CMG_ECONF, "%s: %s", path, why.text);
}

static enum cmg_rc add_blocked(struct judge *j, const char *path, struct cmg_err *err)
{
    struct cmg_err why;
    size_t n;
    char *text = cmg_file_read(path, CMG_FILE_PUBLIC, CMG_BLOCKLIST_BYTES_MAX, &n, err);
    if (!text)
        return CMG_ECONF;
    j->blocked = cmg_blocklist_read((struct cmg_str){ text, n }, &why);
    free(text);
    return j->blocked ? CMG_OK : cmg_fail(err, CMG_ECONF, "%s: %s", path, why.text);
}

static enum cmg_rc load(const struct ctl_args *a, struct judge *j, struct cmg_err *err)
{
    enum cmg_rc rc = CMG_OK;
    for (size_t i = 0; rc == CMG_OK && i < ctl_count(a, "certificates"); i++)
        rc = add_keys(j, ctl_nth(a, "certificates", i), false, err);
    for (size_t i = 0; rc == CMG_OK && i < ctl_count(a, "jwks"); i++)
        rc = add_keys(j, ctl_nth(a, "jwks", i), true, err);
    if (rc == CMG_OK && ctl_has(a, "list"))
        rc = add_blocked(j, ctl_text(a, "list"), err);
    return rc;
}

static void judge_clear(struct judge *j)
{
    cmg_keyset_unref(j->keys);
    cmg_blocklist_free(j->blocked);
}

/* --- verdict -------------------------------------------------------------------------------- */

static enum cmg_rc as_any(const struct ctl_args *a, const struct judge *j, const struct cmg_jwt *t,
                          struct cmg_err *err)
{
    const struct cmg_jwt_rule rule = {
        .algs = CMG_ALG_RS256 | CMG_ALG_ES256,
        .issuers = (const char *const[]){ ctl_text(a, "issuer"), NULL },
        .audiences = (const char *const[]){ ctl_text(a, "audience"), NULL },
        .leeway_s = ctl_number(a, "leeway"),
    };
    return cmg_jwt_verify(t, &rule, j->keys, j->now, err);
}

/* Whoever names no hierarchy asks whether these keys vouch for the one that the token names. */
static enum cmg_rc as_site(const struct ctl_args *a, const struct judge *j, const struct cmg_jwt *t,
                           struct cmg_err *err)
{
    char hierarchy[64], unique_id[37];
    struct cmg_identity who;
    const char *given = ctl_text(a, "hierarchy");
    if (!given || !ctl_guid(given, hierarchy))
        cmg_str_put(hierarchy, sizeof(hierarchy), cmg_jwt_text(t, "TenantId"));
    enum cmg_rc rc = cmg_site_token_verify(t, hierarchy, j->keys, j->now, ctl_number(a, "leeway"),
                                           &who, unique_id, err);
    if (rc != CMG_OK)
        return rc;
    if (cmg_blocklist_has(j->blocked, unique_id) || cmg_blocklist_has(j->blocked, who.id))
        return cmg_fail(err, CMG_EDENIED, "it is blocked");
    return CMG_OK;
}

/* CMG_MORE as CMG_EDENIED: there is nowhere to fetch a key from. */
static bool accepted(const struct ctl_args *a, const struct judge *j, struct cmg_str token,
                     struct cmg_err *err)
{
    struct cmg_jwt *t = cmg_jwt_read(token, err);
    if (!t)
        return false;
    enum cmg_rc rc = !j->keys               ? CMG_OK
                     : ctl_has(a, "issuer") ? as_any(a, j, t, err)
                                            : as_site(a, j, t, err);
    cmg_jwt_free(t);
    return rc == CMG_OK;
}

static void print_json(const struct token_parts *p, const struct judge *j, bool good,
                       const struct cmg_err *why)
{
    json_t *all = json_pack("{s:O, s:O, s:o}", "header", p->header, "claims", p->claims, "verified",
                            !good     ? json_false()
                            : j->keys ? json_true()
                                      : json_null());
    if (!good)
        json_object_set_new(all, "why", json_string(why->text));
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(all);
}

static void print_text(const struct token_parts *p, const struct judge *j, bool good,
                       const struct cmg_err *why)
{
    token_show(p, j->now);
    if (!good)
        printf("refused: %s\n", why->text);
    else
        printf("%s\n", j->keys ? "genuine" : "not verified: no keys were named");
}

static enum ctl_exit inspect(const struct ctl_args *a, const struct judge *j, struct cmg_str token)
{
    struct cmg_err err;
    struct token_parts parts;
    if (token_parts_read(token, &parts, &err) != CMG_OK)
        return ctl_failed(&err);
    bool good = accepted(a, j, token, &err);
    if (ctl_has(a, "json"))
        print_json(&parts, j, good, &err);
    else
        print_text(&parts, j, good, &err);
    token_parts_clear(&parts);
    return good ? CTL_OK : CTL_FAILED;
}

static enum ctl_exit check_options(const struct ctl_args *a)
{
    bool any = ctl_has(a, "issuer"), keys = ctl_has(a, "jwks") || ctl_has(a, "certificates");
    if (any != ctl_has(a, "audience"))
        return ctl_misused(a, "--issuer and --audience go together");
    if (any && ctl_has(a, "hierarchy"))
        return ctl_misused(a, "--hierarchy is for site tokens, which have their issuer");
    if (ctl_has(a, "jwks") && !any)
        return ctl_misused(a, "--jwks needs --issuer and --audience");
    if (!keys && (any || ctl_has(a, "hierarchy") || ctl_has(a, "list")))
        return ctl_misused(a, "to verify, --certificates or --jwks must be given");
    return CTL_OK;
}

static enum ctl_exit run(const struct ctl_args *a)
{
    struct cmg_err err;
    struct judge j = { .now = cmg_clock_unix() };
    enum ctl_exit status = check_options(a);
    if (status != CTL_OK)
        return status;
    char *text = token_of(a, &err);
    if (text && load(a, &j, &err) == CMG_OK)
        status = inspect(a, &j, trimmed(text));
    else
        status = ctl_failed(&err);
    judge_clear(&j);
    free(text);
    return status;
}

/* clang-format off */
static const struct ctl_option options[] = {
    { .name = "certificates", .value = "FILE", .many = true,
      .doc = "Certificates of the keys that may have signed it (PEM), as in [site-tokens]." },
    { .name = "jwks", .value = "FILE", .many = true,
      .doc = "A JWK set with such keys; needs --issuer and --audience." },
    { .name = "hierarchy", .value = "GUID", .check = ctl_check_guid,
      .doc = "Hierarchy that a site token must be of; unset: the one that it names." },
    { .name = "issuer", .value = "TEXT",
      .doc = "Issuer of a token that is no site token, byte for byte." },
    { .name = "audience", .value = "TEXT",
      .doc = "Whom it must be for." },
    { .name = "list", .value = "FILE",
      .doc = "A block list that a site token must not be on." },
    { .name = "leeway", .value = "SECONDS", .def = "60", .min = 0, .max = 600,
      .doc = "How far clocks may differ." },
    { .name = "json", .doc = "As JSON." },
    { 0 },
};
/* clang-format on */

const struct ctl_command ctl_token_inspect = {
    .noun = "token",
    .verb = "inspect",
    .operands = "[TOKEN|-]",
    .operands_max = 1,
    .summary = "Say what a token holds, and whether the gateway would take it.",
    .doc = "Without TOKEN it is read from standard input, so that it is in no list of processes. "
           "With --certificates it is verified as a site token, with --issuer and --audience as "
           "any other. Ends with 1 when it is refused.",
    .options = options,
    .run = run,
};
