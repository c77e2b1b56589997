/* SPDX-License-Identifier: MIT */
/* Shared access signatures: those that we make for one blob, and those that we are given. */
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/buf.h"
#include "cmg/storage/account.h"
#include "signing.h"
#include "cmg/proto/times.h"
#include "uri.h"

enum { SHARE_MAX = 8192 };

/* Making ------------------------------------------------------------------------------- */

/* The fields in the order and number that CMG_STORAGE_VERSION prescribes for a service SAS; those
 * that are not used are empty lines. */
static void sign_blob(const struct cmg_account *a, const char *container, struct cmg_str blob,
                      const char *end, const char *protocol, char signature[CMG_SIGNED_TEXT])
{
    struct cmg_buf b;
    cmg_buf_init(&b, SHARE_MAX);
    if (cmg_buf_printf(&b,
                       "r\n"  /* sp */
                       "\n"   /* st: none, so that a client whose clock is late may read */
                       "%s\n" /* se */
                       "/blob/%s/%s/%.*s\n"
                       "\n"   /* si */
                       "\n"   /* sip */
                       "%s\n" /* spr */
                       CMG_STORAGE_VERSION "\n"
                       "b\n"       /* sr */
                       "\n"        /* snapshot */
                       "\n"        /* encryption scope */
                       "\n\n\n\n", /* rscc, rscd, rsce, rscl; rsct ends the text */
                       end, cmg_account_name(a), container, CMG_ARG(blob), protocol) != CMG_OK)
        abort();
    cmg_account_sign(a, cmg_buf_str(&b), signature);
    cmg_buf_clear(&b);
}

static void put_query(struct cmg_buf *url, const struct cmg_account *a, const char *container,
                      struct cmg_str blob, int64_t until, bool https)
{
    const char *protocol = https ? "https" : "";
    char end[CMG_TIMES_TEXT], signature[CMG_SIGNED_TEXT];
    cmg_times_iso_put(until, end);
    sign_blob(a, container, blob, end, protocol, signature);
    cmg_uri_text(url, CMG_STR("sv=" CMG_STORAGE_VERSION "&sr=b&sp=r&se="));
    cmg_uri_put(url, cmg_str(end), false);
    if (https)
        cmg_uri_text(url, CMG_STR("&spr=https"));
    cmg_uri_text(url, CMG_STR("&sig="));
    cmg_uri_put(url, cmg_str(signature), false);
}

char *cmg_account_share(const struct cmg_account *a, const char *base, const char *container,
                        struct cmg_str blob, int64_t until)
{
    struct cmg_buf url;
    struct cmg_str to = cmg_str(base ? base : cmg_account_url(a));
    if (!cmg_container_ok(cmg_str(container)) || !cmg_blob_name_ok(blob))
        abort();
    while (to.n && to.p[to.n - 1] == '/')
        to.n--;
    cmg_buf_init(&url, SHARE_MAX);
    cmg_uri_text(&url, to);
    cmg_uri_text(&url, CMG_STR("/"));
    cmg_uri_text(&url, cmg_str(container));
    cmg_uri_text(&url, CMG_STR("/"));
    cmg_uri_put(&url, blob, true);
    cmg_uri_text(&url, CMG_STR("?"));
    if (cmg_account_has_key(a))
        put_query(&url, a, container, blob, until, cmg_str_istarts(to, CMG_STR("https:")));
    else
        cmg_uri_text(&url, cmg_str(cmg_account_sas(a)->text));
    char *text = cmg_str_dup(cmg_buf_str(&url));
    cmg_buf_clear(&url);
    return text;
}

/* Reading ------------------------------------------------------------------------------ */

enum param { SV, SR, SP, ST, SE, SPR, SIG, SKOID, SKTID, SKT, SKE, SKS, SKV, NPARAMS };
static const char names[NPARAMS][6] = { "sv",    "sr",    "sp",  "st",  "se",  "spr", "sig",
                                        "skoid", "sktid", "skt", "ske", "sks", "skv" };
static const enum param needed[] = { SV, SR, SP, SE, SIG };

struct params {
    char v[NPARAMS][256]; /* decoded; "" where it is not there */
};

static int param_of(struct cmg_str name)
{
    for (int i = 0; i < NPARAMS; i++)
        if (cmg_str_eq(name, cmg_str(names[i])))
            return i;
    return -1;
}

static enum cmg_rc read_param(struct cmg_str pair, struct params *p, struct cmg_err *err)
{
    const char *mark = pair.n ? memchr(pair.p, '=', pair.n) : NULL;
    struct cmg_str name = { pair.p, mark ? (size_t)(mark - pair.p) : 0 };
    int i = param_of(name);
    if (!mark || i < 0)
        return cmg_fail(err, CMG_ECONF,
                        "not a SAS that can be used: a parameter is none of sv, sr, sp, st, se, "
                        "spr, sig and those of user delegation; a stored policy (si) or a range of "
                        "addresses (sip) is not allowed");
    if (p->v[i][0])
        return cmg_fail(err, CMG_ECONF, "not a SAS: %s is there twice", names[i]);
    if (cmg_uri_get(cmg_str_from(pair, name.n + 1), p->v[i], sizeof(p->v[i])) < 1)
        return cmg_fail(err, CMG_ECONF, "not a SAS: %s is empty or malformed", names[i]);
    return CMG_OK;
}

static enum cmg_rc read_may(const char *letters, unsigned *may, struct cmg_err *err)
{
    static const char known[] = "rlwcadxytmeopi"; /* those that follow rlwc are "other" */
    *may = 0;
    for (const char *c = letters; *c; c++) {
        const char *at = strchr(known, *c);
        if (!at || strchr(c + 1, *c))
            return cmg_fail(err, CMG_ECONF, "not a SAS: sp has a letter that is none or twice");
        *may |= at - known < 4 ? 1U << (at - known) : CMG_SAS_OTHER;
    }
    return CMG_OK;
}

static enum cmg_rc judge(const struct params *p, struct cmg_sas *out, struct cmg_err *err)
{
    for (size_t i = 0; i < CMG_COUNT(needed); i++)
        if (!p->v[needed[i]][0])
            return cmg_fail(err, CMG_ECONF, "not a SAS that can be used: %s is missing",
                            names[needed[i]]);
    if (strcmp(p->v[SR], "c") != 0)
        return cmg_fail(err, CMG_ECONF, "this SAS is not for a container (sr=c)");
    if (p->v[SPR][0] && strcmp(p->v[SPR], "https") != 0 && strcmp(p->v[SPR], "https,http") != 0)
        return cmg_fail(err, CMG_ECONF, "not a SAS: spr is neither https nor https,http");
    out->until = cmg_times_iso_get(cmg_str(p->v[SE]));
    out->since = p->v[ST][0] ? cmg_times_iso_get(cmg_str(p->v[ST])) : 0;
    if (out->until < 0 || out->since < 0)
        return cmg_fail(err, CMG_ECONF, "not a SAS: %s is not a time such as 2026-01-31T10:00:00Z",
                        out->until < 0 ? "se" : "st");
    if (p->v[SKE][0]) { /* the key of a user delegation ends, and the signature with it */
        int64_t key_ends = cmg_times_iso_get(cmg_str(p->v[SKE]));
        if (key_ends < out->until)
            out->until = key_ends;
        if (key_ends < 0)
            return cmg_fail(err, CMG_ECONF, "not a SAS: ske is not a time");
    }
    return read_may(p->v[SP], &out->may, err);
}

/* What goes into URLs as it is must be fit for them. */
static bool fit(struct cmg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("\"#<>?\\^`{|}", s.p[i]))
            return false;
    return s.n > 0 && s.n < CMG_SAS_MAX;
}

enum cmg_rc cmg_sas_read(struct cmg_str text, struct cmg_sas *out, struct cmg_err *err)
{
    struct params p = { 0 };
    enum cmg_rc rc = CMG_OK;
    *out = (struct cmg_sas){ 0 };
    if (text.n && text.p[0] == '?')
        text = cmg_str_from(text, 1);
    if (!fit(text))
        return cmg_fail(err, CMG_ECONF, "not a SAS: the query alone belongs here, sv=...&sig=...");
    for (size_t at = 0, n; rc == CMG_OK && at <= text.n; at += n + 1) {
        struct cmg_str rest = cmg_str_from(text, at);
        const char *end = rest.n ? memchr(rest.p, '&', rest.n) : NULL;
        n = end ? (size_t)(end - rest.p) : rest.n;
        rc = read_param((struct cmg_str){ rest.p, n }, &p, err);
    }
    if (rc == CMG_OK)
        rc = judge(&p, out, err);
    if (rc == CMG_OK)
        cmg_str_put(out->text, sizeof(out->text), text);
    explicit_bzero(&p, sizeof(p));
    return rc;
}
