/* SPDX-License-Identifier: MIT */
/* Judging an endpoint, by the answer to a harmless request. */
#include <stdio.h>
#include <string.h>

#include "point/analyze_facts.h"

static void name_endpoint(struct finding *x, const struct facts_endpoint *e)
{
    finding_subject(x, "endpoint %.60s %.120s", e->conf->label, e->conf->url);
}

static bool is_https(const struct facts_endpoint *e)
{
    return !strncmp(e->conf->url, "https://", 8);
}

/* In TLS 1.3 a server says with its first answer that it misses a certificate. */
static bool wants_certificate(const struct facts_endpoint *e)
{
    const struct facts_web *w = &e->web;
    if (!w->dial.open)
        return w->dial.result.cause == CMG_DIAL_VERDICT &&
               w->dial.result.seen.fault == CMG_TLS_OURS;
    return !w->status &&
           (strstr(w->why.text, "our certificate") || strstr(w->why.text, "client certificate"));
}

static void blame_certificate(struct finding *x, const struct facts_endpoint *e, const char *says)
{
    x->verdict = CMG_FINDING_FAIL;
    finding_says(x, "%s", says);
    if (e->conf->certificate) {
        finding_means(x, "the endpoint refuses the client certificate that it is shown");
        finding_do(x,
                   "see that %.120s is valid, has clientAuth, and that the endpoint trusts its "
                   "issuer and reaches its revocation list",
                   e->conf->certificate);
    } else {
        finding_means(x, "the endpoint wants a client certificate, and none is configured");
        finding_do(x, "set certificate and key in [endpoint %.60s]", e->conf->label);
    }
}

static void blame_connection(struct finding *x, const struct facts_endpoint *e)
{
    const struct cmg_dial_result *d = &e->web.dial.result;
    x->verdict = CMG_FINDING_FAIL;
    finding_says(x, "%s", d->err.text);
    switch (d->cause) {
    case CMG_DIAL_NO_NAME:
        finding_means(x, "DNS here does not know the endpoint");
        finding_do(x, "see url in [endpoint %.60s] and the DNS record", e->conf->label);
        break;
    case CMG_DIAL_NOBODY:
        finding_means(x, "refused: nothing listens there; the web server is down, or has another "
                         "port");
        finding_do(x, "start the web server there, or mend url in [endpoint %.60s]",
                   e->conf->label);
        break;
    case CMG_DIAL_SILENT:
    case CMG_DIAL_NO_ROUTE:
        finding_means(x, "filtered, or the machine is off");
        finding_do(x, "open that port from here to the endpoint");
        break;
    case CMG_DIAL_OTHER:
    case CMG_DIAL_STATUS:
    case CMG_DIAL_VERDICT:
        finding_means(x, "the connection did not come about");
        finding_do(x, "see what is named");
        break;
    }
}

static bool judge_connection(struct findings *f, const struct facts_endpoint *e, int64_t now)
{
    const struct facts_dial *d = &e->web.dial;
    char where[96];
    snprintf(where, sizeof(where), "[endpoint %.80s]", e->conf->label);
    const struct judged_tls t = { where, "url", e->conf->ca_file, e->conf->url };
    struct finding *x =
        finding_new(f, is_https(e) ? "endpoint-tls" : "endpoint-port", CMG_FINDING_PASS);
    name_endpoint(x, e);
    if (!d->done) {
        x->verdict = CMG_FINDING_FAIL;
        finding_says(x, "not looked at: the time of the analysis was over");
        finding_means(x, "other connections take very long");
        finding_do(x, "analyze again when what is told above is mended");
    } else if (d->open && is_https(e)) {
        judge_tls_success(x, &d->result.seen, now);
    } else if (d->open) {
        finding_says(x, "open at %s", d->peer);
    } else if (wants_certificate(e)) {
        blame_certificate(x, e, d->result.err.text);
    } else if (d->result.step == CMG_DIAL_TLS && is_https(e)) {
        judge_tls_failure(x, &d->result, &t);
    } else {
        blame_connection(x, e);
    }
    return d->open;
}

static void blame_status(struct finding *x, const struct facts_endpoint *e)
{
    unsigned status = e->web.status;
    if (status == 404) {
        x->verdict = CMG_FINDING_WARN;
        finding_means(x, "a web server answers, and has not what this role has: another role, "
                         "site or prefix?");
        finding_do(x, "see role and url in [endpoint %.60s], and the role's installation there",
                   e->conf->label);
    } else if (status >= 500) {
        x->verdict = CMG_FINDING_FAIL;
        finding_means(x, "the endpoint's own application fails");
        finding_do(x, "see its log: application pool, database, mpcontrol.log or WsusCtrl.log");
    } else if (status >= 300 && status < 400) {
        x->verdict = CMG_FINDING_WARN;
        finding_means(x, "it redirects; clients would be told a place inside the site");
        finding_do(x, "set url to where it redirects to, or end the redirect");
    } else {
        x->verdict = CMG_FINDING_WARN;
        finding_means(x, "it is there, and does not serve this machine");
        finding_do(x, "see its authentication settings");
    }
}

static void judge_answer(struct findings *f, const struct facts_endpoint *e)
{
    const struct facts_web *w = &e->web;
    char says[256];
    struct finding *x = finding_new(f, "endpoint", CMG_FINDING_PASS);
    name_endpoint(x, e);
    if (wants_certificate(e)) {
        blame_certificate(x, e, w->why.text);
        return;
    }
    if (!w->status) {
        x->verdict = CMG_FINDING_FAIL;
        finding_says(x, "no answer to GET %.200s: %s", e->path, w->why.text);
        finding_means(x, "what listens there does not speak HTTP, or its application hangs");
        finding_do(x, "see whether url has the right scheme and port, and the log there");
        return;
    }
    snprintf(says, sizeof(says), "GET %.200s is answered with %u", e->path, w->status);
    finding_says(x, "%s", says);
    if (is_https(e) && (w->status == 403 || w->on_certificate))
        blame_certificate(x, e, says);
    else if (w->status < 200 || w->status >= 300)
        blame_status(x, e);
}

void judge_endpoint(struct findings *f, const struct facts_endpoint *e, int64_t now)
{
    if (judge_connection(f, e, now))
        judge_answer(f, e);
}
