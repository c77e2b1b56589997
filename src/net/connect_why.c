/* SPDX-License-Identifier: MIT */
/* Why a connection did not come about: peer, step, reason, remedy. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "connect.h"
#include "verdict.h"

void cmg_connect_span(unsigned ms, char out[24])
{
    if (ms % 1000)
        snprintf(out, 24, "%u ms", ms);
    else
        snprintf(out, 24, "%u s", ms / 1000);
}

/* Where the packets went: "gw.example:443 (203.0.113.7)" or "proxy p:3128 (192.0.2.1)". */
static void next_hop(const struct cmg_connect *c, char *out, size_t size)
{
    const char *name = cmg_connect_by_proxy(c) ? c->proxy : c->peer;
    char address[64] = "";

    if (c->last.ss_family)
        (void)getnameinfo((const struct sockaddr *)&c->last, sizeof(c->last), address,
                          sizeof(address), NULL, 0, NI_NUMERICHOST);
    if (address[0] && !strstr(name, address))
        snprintf(out, size, "%.120s (%s)", name, address);
    else
        snprintf(out, size, "%.150s", name);
}

static void offers(CURL *curl, char *out, size_t size)
{
    /* clang-format off */
    static const struct { unsigned long bit; const char *name; } known[] = {
        { CURLAUTH_BASIC, "Basic" }, { CURLAUTH_DIGEST, "Digest" },
        { CURLAUTH_NTLM, "NTLM" }, { CURLAUTH_NEGOTIATE, "Negotiate" },
    };
    /* clang-format on */
    long bits = 0;
    size_t used = 0;

    out[0] = '\0';
    curl_easy_getinfo(curl, CURLINFO_PROXYAUTH_AVAIL, &bits);
    for (size_t i = 0; i < CMG_COUNT(known); i++)
        if ((unsigned long)bits & known[i].bit)
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", known[i].name);
    if (!used)
        snprintf(out, size, "nothing we know");
}

static struct cmg_err *at(struct cmg_connect *c, enum cmg_dial_step step)
{
    c->step = step;
    return &c->err;
}

static struct cmg_err *because(struct cmg_connect *c, enum cmg_dial_step step,
                               enum cmg_dial_cause cause)
{
    c->cause = cause;
    return at(c, step);
}

static void explain_407(struct cmg_connect *c, CURL *curl)
{
    struct cmg_err *err = at(c, CMG_DIAL_PROXY);
    char names[64];
    long bits = 0;

    offers(curl, names, sizeof(names));
    curl_easy_getinfo(curl, CURLINFO_PROXYAUTH_AVAIL, &bits);
    c->refused = true;
    if (c->proxy_user)
        cmg_fail(err, CMG_EDENIED,
                 "%.90s refused user and password (407; offers %s): check proxy.user, "
                 "proxy.password-file and proxy.auth",
                 c->proxy, names);
    else if (bits == (long)CURLAUTH_NEGOTIATE || c->proxy_auth == CMG_PROXY_AUTH_NEGOTIATE)
        cmg_fail(err, CMG_EDENIED,
                 "%.90s wants authentication (407; offers %s) and no Kerberos ticket was usable: "
                 "see klist, or set proxy.user and proxy.password-file",
                 c->proxy, names);
    else
        cmg_fail(err, CMG_EDENIED,
                 "%.90s wants authentication (407; offers %s): set proxy.user and "
                 "proxy.password-file",
                 c->proxy, names);
}

static const char *meaning(long status)
{
    switch (status) {
    case 401: /* tinyproxy, for a wrong password */
        return "check proxy.user and proxy.password-file";
    case 403:
        return "its policy does not allow that host or port";
    case 404:
    case 500: /* squid, when DNS does not know the name */
    case 502:
    case 503:
        return "it cannot resolve or reach that host";
    case 504:
        return "that host does not answer it";
    case 400:
    case 405:
    case 501:
        return "is it a proxy that knows CONNECT?";
    }
    return "see its log";
}

static void explain_status(struct cmg_connect *c, CURL *curl, long status)
{
    if (status == 407) {
        explain_407(c, curl);
        return;
    }
    c->refused = status == 401 || status == 403;
    cmg_fail(at(c, CMG_DIAL_PROXY), c->refused ? CMG_EDENIED : CMG_EIO,
             "%.90s refused CONNECT to %.90s with %ld (%s)", c->proxy, c->peer, status,
             meaning(status));
}

static void explain_resolve(struct cmg_connect *c, bool proxy)
{
    cmg_fail(because(c, CMG_DIAL_RESOLVE, CMG_DIAL_NO_NAME), CMG_EIO,
             "cannot resolve %.150s: no such name, or DNS does not answer",
             proxy ? c->proxy : c->host);
}

static enum cmg_dial_cause os_cause(long os)
{
    if (os == ECONNREFUSED)
        return CMG_DIAL_NOBODY;
    if (os == ETIMEDOUT || os == 0)
        return CMG_DIAL_SILENT;
    return os == EHOSTUNREACH || os == ENETUNREACH ? CMG_DIAL_NO_ROUTE : CMG_DIAL_OTHER;
}

static void explain_connect(struct cmg_connect *c, CURL *curl)
{
    struct cmg_err *err = at(c, cmg_connect_by_proxy(c) ? CMG_DIAL_PROXY : CMG_DIAL_CONNECT);
    char hop[200], span[24];
    long os = 0;

    next_hop(c, hop, sizeof(hop));
    cmg_connect_span(c->timeout_ms, span);
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os);
    c->cause = os_cause(os);
    if (os == ECONNREFUSED)
        cmg_fail(err, CMG_EIO, "%s refused the connection (nothing listens there)", hop);
    else if (os == ETIMEDOUT || os == 0)
        cmg_fail(err, CMG_EIO, "no answer from %s within %s (filtered?)", hop, span);
    else if (os == EHOSTUNREACH || os == ENETUNREACH)
        cmg_fail(err, CMG_EIO, "no route to %s", hop);
    else
        cmg_fail(err, CMG_EIO, "cannot connect to %s: %s", hop, strerror((int)os));
}

static bool tls_is_of_proxy(const struct cmg_connect *c, long connect_status)
{
    return c->proxy_tls && connect_status == 0 && cmg_connect_by_proxy(c);
}

static void explain_tls(struct cmg_connect *c, CURLcode rc, long connect_status)
{
    const struct cmg_verdict *v = c->verdict;
    bool of_proxy = tls_is_of_proxy(c, connect_status);
    struct cmg_err *err = at(c, of_proxy ? CMG_DIAL_PROXY : CMG_DIAL_TLS);
    const char *who = of_proxy ? c->proxy : c->peer;

    c->tls_of_proxy = of_proxy;
    if (v && (v->refused || rc == CURLE_PEER_FAILED_VERIFICATION))
        c->cause = CMG_DIAL_VERDICT;
    if (v && v->refused && c->seen.fault == CMG_TLS_SOUND)
        c->seen.fault = CMG_TLS_OURS;
    else if (v && !v->refused && c->cause == CMG_DIAL_VERDICT)
        c->seen.fault = CMG_TLS_NAME; /* libcurl looks at names itself */
    if (v && v->why.text[0]) {
        c->refused = v->refused;
        cmg_fail(err, c->refused ? CMG_EDENIED : CMG_EIO, "%.100s: %s", who, v->why.text);
    } else if (v && rc == CURLE_PEER_FAILED_VERIFICATION) {
        c->refused = true;
        cmg_fail(err, CMG_EDENIED, "certificate of %.70s is not for %.60s (it names %s)", who,
                 of_proxy ? "that proxy" : c->host, v->names);
    } else {
        cmg_fail(err, CMG_EIO, "%.100s: TLS handshake failed: %s", who,
                 c->words[0] ? c->words : curl_easy_strerror(rc));
    }
}

/* CURLINFO_CONNECT_TIME would count TLS in. */
static bool connected(CURL *curl)
{
    long port = 0;
    curl_easy_getinfo(curl, CURLINFO_LOCAL_PORT, &port);
    return port > 0;
}

static void explain_timeout(struct cmg_connect *c, CURL *curl, long connect_status)
{
    bool by_proxy = cmg_connect_by_proxy(c);
    char hop[200], span[24];

    cmg_connect_span(c->timeout_ms, span);
    next_hop(c, hop, sizeof(hop));
    if (!c->last.ss_family)
        cmg_fail(because(c, CMG_DIAL_RESOLVE, CMG_DIAL_NO_NAME), CMG_ETIMEOUT,
                 "cannot resolve %.120s: DNS did not answer within %s",
                 c->proxy[0] ? c->proxy : c->host, span);
    else if (!connected(curl))
        cmg_fail(because(c, by_proxy ? CMG_DIAL_PROXY : CMG_DIAL_CONNECT, CMG_DIAL_SILENT),
                 CMG_ETIMEOUT, "no answer from %s within %s (filtered?)", hop, span);
    else if (tls_is_of_proxy(c, connect_status) && !(c->verdict && c->verdict->names[0]))
        cmg_fail(at(c, CMG_DIAL_PROXY), CMG_ETIMEOUT,
                 "%s did not finish its TLS handshake within %s", hop, span);
    else if (by_proxy && connect_status / 100 != 2)
        cmg_fail(at(c, CMG_DIAL_PROXY), CMG_ETIMEOUT,
                 "%.120s did not answer CONNECT to %.80s within %s", hop, c->peer, span);
    else
        cmg_fail(at(c, CMG_DIAL_TLS), CMG_ETIMEOUT,
                 "%.120s did not finish the TLS handshake within %s", c->peer, span);
}

static void explain_other(struct cmg_connect *c, CURLcode rc, long connect_status)
{
    const char *words = c->words[0] ? c->words : curl_easy_strerror(rc);
    char hop[200];

    next_hop(c, hop, sizeof(hop));
    if (cmg_connect_by_proxy(c) && connect_status / 100 != 2)
        cmg_fail(at(c, CMG_DIAL_PROXY), CMG_EIO, "%.100s broke off during CONNECT to %.60s: %s",
                 hop, c->peer, words);
    else
        cmg_fail(at(c, c->https ? CMG_DIAL_TLS : CMG_DIAL_CONNECT), CMG_EIO, "%.120s: %s", hop,
                 words);
}

void cmg_connect_explain(struct cmg_connect *c, CURL *curl, CURLcode rc)
{
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_HTTP_CONNECTCODE, &status);
    if (c->verdict)
        c->seen = c->verdict->seen;
    if (status >= 300) {
        c->cause = CMG_DIAL_STATUS;
        c->status = (unsigned)status;
        explain_status(c, curl, status);
        return;
    }
    switch ((int)rc) { /* a hundred codes; these are the ones that an operator meets */
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        explain_resolve(c, rc == CURLE_COULDNT_RESOLVE_PROXY);
        return;
    case CURLE_COULDNT_CONNECT:
        explain_connect(c, curl);
        return;
    case CURLE_OPERATION_TIMEDOUT:
        explain_timeout(c, curl, status);
        return;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        explain_tls(c, rc, status);
        return;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        cmg_fail(at(c, CMG_DIAL_SETUP), CMG_ECONF, "%.100s: %s", c->peer, c->words);
        return;
    case CURLE_ABORTED_BY_CALLBACK:
        cmg_fail(at(c, CMG_DIAL_CONNECT), CMG_EIO, "cancelled");
        return;
    default:
        explain_other(c, rc, status);
    }
}
