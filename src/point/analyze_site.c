/* SPDX-License-Identifier: MIT */
/* Judging what is ours: configuration, certificate, clock. */
#include <stdlib.h>
#include <string.h>

#include "point/analyze_facts.h"

enum { DAY_S = 86400, CLOCK_WARN_S = 60, CLOCK_FAIL_S = 300 };

/* ---- configuration ---- */

static void plain_http(struct findings *f, const struct point_endpoint_conf *e)
{
    struct finding *x = finding_new(f, "configuration", CMG_FINDING_WARN);
    finding_subject(x, "[endpoint %s] url", e->label);
    finding_says(x, "%s is reached without TLS", e->url);
    finding_means(x, "whoever can listen between here and the endpoint reads what clients send");
    finding_do(x, "use https:// if the endpoint has it, with ca-file in [endpoint %s]", e->label);
}

static void plain_password(struct findings *f, const struct point_conf *c)
{
    struct finding *x = finding_new(f, "configuration", CMG_FINDING_WARN);
    finding_subject(x, "[proxy] auth");
    finding_says(x, "the proxy is told a password by Basic, without TLS");
    finding_means(x, "whoever can listen between here and the proxy reads the password of %.60s",
                  c->proxy.user);
    finding_do(x, "use an https:// proxy, or auth = negotiate, ntlm or digest");
}

void judge_configuration(struct findings *f, const struct point_conf *c)
{
    size_t before = f->n;
    for (size_t i = 0; i < c->nendpoints; i++)
        if (!strncmp(c->endpoints[i].url, "http://", 7))
            plain_http(f, &c->endpoints[i]);
    if (c->proxy.url && c->proxy.user && c->proxy.auth == CMG_PROXY_AUTH_BASIC &&
        !strncmp(c->proxy.url, "http://", 7))
        plain_password(f, c);
    if (f->n > before)
        return;
    struct finding *x = finding_new(f, "configuration", CMG_FINDING_PASS);
    finding_subject(x, "the whole configuration");
    finding_says(x, "%zu gateways, %zu endpoints, nothing to warn of", c->ncmgs, c->nendpoints);
}

/* ---- our certificate ---- */

int64_t judge_days(int64_t until, int64_t now)
{
    int64_t left = until - now;
    return left >= 0 ? left / DAY_S : -((-left + DAY_S - 1) / DAY_S);
}

static void say_who(struct finding *x, const struct cmg_tls_own *own, int64_t now)
{
    finding_says(x, "\"%s\", chain of %u up to \"%s\", clientAuth %s, %lld days left", own->id.name,
                 own->n, own->top, own->usable ? "yes" : "no",
                 (long long)judge_days(own->id.not_after, now));
}

static void broken(struct finding *x, const char *means, const char *remedy)
{
    x->verdict = CMG_FINDING_FAIL;
    finding_means(x, "%s", means);
    finding_do(x, "%s", remedy);
}

static void judge_validity(struct finding *x, const struct cmg_tls_own *own, int64_t now)
{
    int64_t days = judge_days(own->id.not_after, now);
    if (own->id.not_after <= now) {
        broken(x, "the certificate has expired: no gateway admits it", "renew it, then reload");
    } else if (own->id.not_before > now) {
        broken(x, "the certificate is not valid yet, or the clock here is slow",
               "set the clock (NTP), or wait for the certificate's first day");
    } else if (days <= 30) {
        x->verdict = days <= 1 ? CMG_FINDING_FAIL : CMG_FINDING_WARN;
        finding_means(x, "the certificate ends in %s",
                      days <= 1    ? "a day or less"
                      : days <= 7  ? "a week or less"
                      : days <= 14 ? "two weeks or less"
                                   : "a month or less");
        finding_do(x, "renew it and reload; channels stay up meanwhile");
    }
}

void judge_certificate(struct findings *f, const char *path, const char *name, enum cmg_rc rc,
                       const struct cmg_tls_own *own, const struct cmg_err *err, int64_t now)
{
    struct finding *x = finding_new(f, "certificate", CMG_FINDING_PASS);
    finding_subject(x, "%s", path);
    if (rc != CMG_OK) {
        finding_says(x, "%s", err->text);
        broken(x, "the next connection and the next start of the service fail",
               "put certificate and key back in place, readable by the service");
        return;
    }
    say_who(x, own, now);
    if (!own->fits)
        broken(x, "the key does not belong to the certificate: gateways break off the handshake",
               "put the certificate's own key beside it, or renew both");
    else if (!own->usable)
        broken(x, "the certificate lacks the extended key usage clientAuth: gateways refuse it",
               "issue it from a template that has clientAuth");
    else if (!own->linked)
        broken(x, "the certificates in the file do not follow each other",
               "put the leaf first, then each one's issuer");
    else if (strcmp(own->id.name, name) != 0)
        broken(x, "the certificate has another name than [connection-point] name",
               "make both the same: gateways go by the certificate's");
    else
        judge_validity(x, own, now);
}

/* ---- the clock ---- */

static int64_t off_by(const struct facts_date *d)
{
    return d->theirs - d->ours;
}

static void say_clock(struct finding *x, const struct facts_date *d)
{
    int64_t off = off_by(d);
    if (off)
        finding_says(x, "the clock here is %lld s %s that of %s", (long long)llabs(off),
                     off > 0 ? "behind" : "before", d->who);
    else
        finding_says(x, "the clock here agrees with that of %s", d->who);
}

/* Ours is wrong when nobody agrees with it; else the other's is. */
void judge_clock(struct findings *f, const struct facts_date *d, size_t n)
{
    const struct facts_date *worst = NULL;
    bool agrees = false;
    for (size_t i = 0; i < n; i++) {
        if (!worst || llabs(off_by(&d[i])) > llabs(off_by(worst)))
            worst = &d[i];
        agrees = agrees || llabs(off_by(&d[i])) <= CLOCK_WARN_S;
    }
    struct finding *x = finding_new(f, "clock", CMG_FINDING_PASS);
    finding_subject(x, "the clock of this machine");
    if (!worst) {
        x->verdict = CMG_FINDING_WARN;
        finding_says(x, "nobody was reached who tells the time");
        finding_means(x, "whether the clock is right is not known");
        finding_do(x, "see whether NTP runs: timedatectl");
        return;
    }
    say_clock(x, worst);
    if (llabs(off_by(worst)) <= CLOCK_WARN_S)
        return;
    x->verdict =
        llabs(off_by(worst)) > CLOCK_FAIL_S && !agrees ? CMG_FINDING_FAIL : CMG_FINDING_WARN;
    if (agrees) {
        finding_means(x, "others agree with the clock here: %s has the wrong time", worst->who);
        finding_do(x, "set the clock there (NTP): tokens and certificates are judged by it");
    } else {
        finding_means(x, "certificates and tokens are taken for expired, or for not valid yet");
        finding_do(x, "set the clock here: NTP, timedatectl set-ntp true");
    }
}
