/* SPDX-License-Identifier: MIT */
#include "gateway/identify.h"

#include <stdlib.h>

#include "cmg/auth/jwt.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "gateway/arrival.h"
#include "gateway/front.h"
#include "gateway/revocation.h"
#include "gateway/site_tokens.h"
#include "gateway/tenants.h"
#include "gateway/throttle.h"

/* Who it is, how that is told to those behind us, and until when nobody needs to look again. */
struct proof {
    bool judged, good;
    unsigned generation;
    struct cmg_identity who;
    char *text;         /* owned; cmg_identity_write */
    struct cmg_err why; /* bad: which check failed   */
};

struct proofs {
    struct proof certificate, token;
    bool no_certificate; /* there was none to judge */
    char *bytes;         /* owned: the token that `token` is about; only good ones are kept */
    size_t nbytes;
};

struct proofs *proofs_new(void)
{
    return cmg_alloc(sizeof(struct proofs));
}

static void forget_token(struct proofs *p)
{
    if (p->bytes)
        explicit_bzero(p->bytes, p->nbytes);
    free(p->bytes);
    p->bytes = NULL;
    p->nbytes = 0;
}

void proofs_free(struct proofs *p)
{
    if (!p)
        return;
    forget_token(p);
    free(p->certificate.text);
    free(p->token.text);
    free(p);
}

static void conclude(struct gateway *g, struct proof *p, enum cmg_rc rc)
{
    char text[CMG_IDENTITY_TEXT];
    p->judged = true;
    p->good = rc == CMG_OK;
    p->generation = g->generation;
    free(p->text);
    p->text = NULL;
    if (!p->good)
        return;
    p->text = cmg_strndup(text, cmg_identity_write(&p->who, text));
}

static bool is_current(const struct gateway *g, const struct proof *p, int64_t now)
{
    return p->judged && p->generation == g->generation && (!p->good || now <= p->who.until);
}

static void count(struct gateway *g, enum cmg_identity_how how, enum tally_proof proof)
{
    g->tally.proofs[how][proof]++;
}

static enum identified say(struct identification *out, const struct proof *p)
{
    out->who = &p->who;
    out->text = p->text;
    return IDENTIFIED;
}

static enum identified refuse(struct identification *out, const struct refusal *r)
{
    out->refusal = r;
    return IDENTIFY_REFUSED;
}

/* `credential`: what it showed, so that one that is passed around is bounded as well. */
static enum identified fail(struct gateway *g, struct client *c, struct cmg_str credential,
                            struct identification *out, const struct refusal *r)
{
    throttle_failed(g->throttle, client_throttle(c), credential, cmg_loop_now_ms(g->loop));
    return refuse(out, r);
}

/* True when this credential, or this address, has failed too often of late to be looked at. */
static bool is_barred(struct gateway *g, const struct client *c, struct cmg_str credential,
                      struct identification *out)
{
    const char *why = NULL;
    out->retry_after_s = throttle_credential(g->throttle, client_throttle(c), credential,
                                             cmg_loop_now_ms(g->loop), &why);
    if (!out->retry_after_s)
        return false;
    (void)cmg_fail(&out->why, CMG_EDENIED, "%s", why);
    refuse(out, &refusal_too_many);
    return true;
}

/* Certificates -------------------------------------------------------------------------- */

static void describe_certificate(const struct cmg_tls_identity *id, int64_t now,
                                 struct cmg_identity *who)
{
    *who = (struct cmg_identity){ .how = CMG_BY_CERTIFICATE, .kind = CMG_KIND_DEVICE };
    cmg_str_put(who->name, sizeof(who->name), cmg_str(id->name));
    cmg_str_put(who->sha256, sizeof(who->sha256), cmg_str(id->fingerprint));
    who->since = now;
    who->until = id->not_after;
}

/* CMG_MORE: a revocation list is on its way. */
static enum cmg_rc judge_certificate(struct gateway *g, struct client *c, struct proofs *p,
                                     int64_t now)
{
    struct cmg_tls_identity id = { .name = "" };
    enum cmg_rc rc = revocation_judge(g->revocation, client_ssl(c), &id, &p->certificate.why);
    if (rc == CMG_MORE)
        return rc;
    p->no_certificate = !id.fingerprint[0];
    describe_certificate(&id, now, &p->certificate.who);
    conclude(g, &p->certificate, rc);
    if (!p->no_certificate)
        count(g, CMG_BY_CERTIFICATE, rc == CMG_OK ? TALLY_GOOD : TALLY_BAD);
    if (rc != CMG_OK)
        log_info("client.certificate_refused", KV("peer", client_peer(c)),
                 KV("subject", id.subject), KV("issuer", id.issuer),
                 KV("why", p->certificate.why.text));
    return CMG_OK;
}

static enum identified by_certificate(struct gateway *g, struct client *c,
                                      struct identification *out)
{
    struct proofs *p = client_proofs(c);
    int64_t now = cmg_clock_unix();
    bool current = is_current(g, &p->certificate, now);
    if (current && p->certificate.good) {
        count(g, CMG_BY_CERTIFICATE, TALLY_KNOWN);
        return say(out, &p->certificate);
    }
    if (is_barred(g, c, cmg_str(current ? p->certificate.who.sha256 : ""), out))
        return IDENTIFY_REFUSED;
    if (!current && judge_certificate(g, c, p, now) == CMG_MORE)
        return IDENTIFY_LATER;
    if (p->certificate.good)
        return say(out, &p->certificate);
    out->why = p->certificate.why;
    return fail(g, c, cmg_str(p->certificate.who.sha256), out,
                p->no_certificate ? &refusal_no_certificate : &refusal_bad_certificate);
}

/* Tokens -------------------------------------------------------------------------------- */

/* The one token of the one Authorization field: two would be two answers to the question who
 * the client is. CMG_EDENIED with err. */
static enum cmg_rc bearer(const struct cmg_head *head, struct cmg_str *token, struct cmg_err *err)
{
    const struct cmg_field *found = NULL;
    for (size_t i = 0; i < head->nfields; i++) {
        if (!cmg_field_is_alias(head->fields[i].name, CMG_STR("authorization")))
            continue;
        if (found)
            return cmg_fail(err, CMG_EDENIED, "more than one Authorization field");
        found = &head->fields[i];
    }
    if (!found)
        return cmg_fail(err, CMG_EDENIED, "no token: there is no Authorization field");
    if (!cmg_str_istarts(found->value, CMG_STR("Bearer ")))
        return cmg_fail(err, CMG_EDENIED, "no token: the Authorization field is not a Bearer one");
    *token = cmg_str_trim(cmg_str_from(found->value, sizeof("Bearer ") - 1));
    return CMG_OK;
}

/* What a stranger chose must not fill the log. */
static struct cmg_str short_of(struct cmg_str s)
{
    enum { SHORT = 128 };
    return (struct cmg_str){ s.p, s.n < SHORT ? s.n : SHORT };
}

/* The issuer, which nobody has vouched for yet, chooses who is to judge; that one then demands
 * exactly this issuer, with its own keys. *kind: who that was. */
static enum cmg_rc judge_token(struct gateway *g, const struct cmg_jwt *t, int64_t now,
                               struct cmg_identity *who, enum cmg_identity_how *kind,
                               struct cmg_err *err)
{
    struct cmg_str issuer = cmg_jwt_text(t, "iss");
    *kind = CMG_BY_NOTHING;
    if (!issuer.n)
        return cmg_fail(err, CMG_EDENIED, "the token does not say who issued it (iss)");
    if (site_tokens_issues(g->site_tokens, issuer)) {
        *kind = CMG_BY_SITE_TOKEN;
        return site_tokens_identify(g->site_tokens, t, now, who, err);
    }
    struct tenant *tenant = tenants_by_issuer(g->tenants, issuer);
    if (tenant) {
        *kind = CMG_BY_ENTRA;
        return tenant_identify(tenant, t, now, who, err);
    }
    return cmg_fail(err, CMG_EDENIED, "no tenant and no site is configured whose issuer is %.*s",
                    CMG_ARG(short_of(issuer)));
}

static void log_token_refused(const struct client *c, const struct cmg_jwt *t, const char *why)
{
    struct cmg_str none = { NULL, 0 };
    log_info("client.token_refused", KV("peer", client_peer(c)),
             KV("issuer", t ? short_of(cmg_jwt_text(t, "iss")) : none),
             KV("kid", t ? short_of(cmg_jwt_header(t, "kid")) : none), KV("why", why));
}

/* CMG_OK: judged. CMG_MORE: keys are on their way. */
static enum cmg_rc look_at_token(struct gateway *g, const struct client *c, struct proofs *p,
                                 struct cmg_str token, int64_t now)
{
    struct proof *proof = &p->token;
    enum cmg_rc rc = CMG_EDENIED;
    enum cmg_identity_how kind = CMG_BY_NOTHING;
    struct cmg_jwt *t = cmg_jwt_read(token, &proof->why);
    forget_token(p);
    if (t)
        rc = judge_token(g, t, now, &proof->who, &kind, &proof->why);
    if (rc != CMG_MORE) {
        conclude(g, proof, rc);
        count(g, kind, rc == CMG_OK ? TALLY_GOOD : TALLY_BAD);
        if (rc != CMG_OK)
            log_token_refused(c, t, proof->why.text);
    }
    cmg_jwt_free(t);
    if (rc == CMG_OK) {
        p->bytes = cmg_strndup(token.p, token.n);
        p->nbytes = token.n;
    }
    return rc == CMG_MORE ? CMG_MORE : CMG_OK;
}

static bool is_known(const struct gateway *g, const struct proofs *p, struct cmg_str token,
                     int64_t now)
{
    return p->bytes && token.n == p->nbytes && !memcmp(token.p, p->bytes, token.n) &&
           is_current(g, &p->token, now);
}

static enum identified by_token(struct gateway *g, struct client *c, const struct cmg_head *head,
                                const struct cmg_path *path, struct identification *out)
{
    struct proofs *p = client_proofs(c);
    int64_t now = cmg_clock_unix();
    struct cmg_str token;
    if (bearer(head, &token, &out->why) != CMG_OK)
        return fail(g, c, (struct cmg_str){ NULL, 0 }, out, &refusal_bad_token);
    if (!is_known(g, p, token, now)) {
        if (is_barred(g, c, token, out))
            return IDENTIFY_REFUSED;
        if (look_at_token(g, c, p, token, now) == CMG_MORE)
            return IDENTIFY_LATER;
    } else {
        count(g, p->token.who.how, TALLY_KNOWN);
    }
    if (!p->token.good) {
        out->why = p->token.why;
        return fail(g, c, token, out, &refusal_bad_token);
    }
    if (p->token.who.kind == CMG_KIND_BULK && !arrival_is_metadata(path) &&
        !site_tokens_bulk_path(g->site_tokens, path->rest)) {
        (void)cmg_fail(&out->why, CMG_EDENIED,
                       "a bulk registration token opens registration paths only");
        return refuse(out, &refusal_not_permitted);
    }
    return say(out, &p->token);
}

enum identified identify(struct gateway *g, struct client *c, const struct cmg_head *head,
                         const struct cmg_path *path, struct identification *out)
{
    if (path->tree == CMG_TREE_MUTUALAUTH)
        return by_certificate(g, c, out);
    return by_token(g, c, head, path, out);
}

enum identified identify_content(struct gateway *g, struct client *c, const struct cmg_path *path,
                                 struct cmg_identity *who, struct cmg_content_token *token,
                                 struct identification *out)
{
    struct cmg_str query = path->query.p ? path->query : CMG_STR("");
    if (is_barred(g, c, query, out))
        return IDENTIFY_REFUSED;
    if (site_tokens_content(g->site_tokens, query, cmg_clock_unix(), token, who, &out->why) ==
        CMG_OK) {
        out->who = who;
        count(g, CMG_BY_CONTENT_TOKEN, TALLY_GOOD);
        return IDENTIFIED;
    }
    count(g, CMG_BY_CONTENT_TOKEN, TALLY_BAD);
    log_token_refused(c, NULL, out->why.text);
    return fail(g, c, query, out, &refusal_bad_token);
}
