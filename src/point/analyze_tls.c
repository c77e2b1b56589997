/* SPDX-License-Identifier: MIT */
/* Judging what was seen of TLS, the same for gateways and endpoints. */
#include "point/analyze_facts.h"

enum { ENDS_SOON_DAYS = 14 };

static const char *trusted(const struct judged_tls *t)
{
    return t->ca_file ? t->ca_file : "the system's roots";
}

/* Its issuer is none that we trust. A server that forgot an intermediate looks just like a foreign
 * one; a CA of the same organization in our file makes the first more likely. */
static void unknown_issuer(struct finding *x, const struct cmg_tls_seen *s,
                           const struct judged_tls *t)
{
    if (s->sent <= 1 && s->akin) {
        finding_means(x,
                      "the server does not send the intermediate \"%s\", which stands between its "
                      "certificate and a CA that is trusted",
                      s->issuer);
        finding_do(x,
                   "there, put the intermediate behind the certificate; or here, add it to %.120s "
                   "(ca-file in %.80s)",
                   trusted(t), t->where);
    } else {
        finding_means(x,
                      "\"%s\" issued its certificate, and is no CA that %.120s trusts: wrong "
                      "ca-file, %s something on the way shows a certificate of its own (TLS "
                      "inspection)",
                      s->issuer, t->where, s->sent <= 1 ? "a missing intermediate, or" : "or");
        finding_do(x,
                   "ask who runs \"%s\": if it issued the server's certificate, add it to %.120s; "
                   "if it is an inspecting proxy, exempt this host from inspection",
                   s->issuer, trusted(t));
    }
}

static void wrong_name(struct finding *x, const struct cmg_tls_seen *s, const struct judged_tls *t)
{
    finding_means(x, "the certificate is for %.120s, and %.120s was asked for", s->names,
                  t->expects);
    finding_do(x,
               "set %s in %.80s to a name that the certificate has, or issue the certificate for "
               "%.120s",
               t->option, t->where, t->expects);
}

static void by_fault(struct finding *x, const struct cmg_tls_seen *s, const struct judged_tls *t)
{
    switch (s->fault) {
    case CMG_TLS_NAME:
        wrong_name(x, s, t);
        break;
    case CMG_TLS_ISSUER:
        unknown_issuer(x, s, t);
        break;
    case CMG_TLS_EXPIRED:
        finding_means(x, "the server's certificate has expired, or its issuer's; or the clock here "
                         "is fast");
        finding_do(x, "renew it there; compare the clocks");
        break;
    case CMG_TLS_EARLY:
        finding_means(x,
                      "the server's certificate is not valid yet: mostly the clock here is slow");
        finding_do(x, "set the clock here: NTP, timedatectl set-ntp true");
        break;
    case CMG_TLS_USAGE:
        finding_means(x, "the certificate is not for servers");
        finding_do(x, "issue one with the extended key usage serverAuth");
        break;
    case CMG_TLS_OURS:
        finding_means(x, "the server refuses the certificate that it is shown, or wants one");
        finding_do(x, "compare certificate in the configuration with the CAs that it trusts");
        break;
    case CMG_TLS_CHAIN:
    case CMG_TLS_SOUND:
        finding_means(x, "the server's certificate cannot be trusted");
        finding_do(x, "see its chain: openssl s_client -showcerts");
        break;
    }
}

void judge_tls_failure(struct finding *x, const struct cmg_dial_result *r,
                       const struct judged_tls *t)
{
    x->verdict = CMG_FINDING_FAIL;
    finding_says(x, "%s", r->err.text);
    if (r->cause == CMG_DIAL_VERDICT) {
        by_fault(x, &r->seen, t);
    } else if (r->err.code == CMG_ETIMEOUT) {
        finding_means(x, "the port takes connections, and what is behind it does not answer: a "
                         "firewall that lets connections begin and swallows the rest, or a "
                         "service that hangs");
        finding_do(x, "let TLS pass uninspected to that port, and see the service there");
    } else {
        finding_means(x, "what listens there speaks no TLS that we do, or something on the way "
                         "cut the handshake");
        finding_do(x, "see what listens there, and that no firewall inspects TLS to that port");
    }
}

void judge_tls_success(struct finding *x, const struct cmg_tls_seen *s, int64_t now)
{
    int64_t days = judge_days(s->not_after, now);
    finding_says(x, "%s, certificate for %.120s, issued by \"%s\", %lld days left", s->version,
                 s->names, s->issuer, (long long)days);
    if (days > ENDS_SOON_DAYS)
        return;
    x->verdict = CMG_FINDING_WARN;
    finding_means(x, "the server's certificate ends soon; then nothing connects any more");
    finding_do(x, "have it renewed there");
}
