/* SPDX-License-Identifier: MIT */
/* Why a fetch failed: what, from where, the reason. libcurl's own words are used where they name
 * hosts and certificates only; elsewhere they might hold bytes of the peer or of the URL. */
#include <string.h>

#include "fetch_core.h"

static const char *words(const struct cmg_fetch *f, CURLcode rc)
{
    return f->words[0] ? f->words : curl_easy_strerror(rc);
}

static void explain_tls(struct cmg_fetch *f, CURLcode rc)
{
    cmg_fail(&f->result.err, CMG_EDENIED, "%s: %.90s", f->label, words(f, rc));
}

/* A proxy that says no, or that cannot reach the host. */
static bool explain_proxy(struct cmg_fetch *f)
{
    long status = 0;
    curl_easy_getinfo(f->curl, CURLINFO_HTTP_CONNECTCODE, &status);
    if (status < 300)
        return false;
    cmg_fail(&f->result.err, CMG_EIO, "%s: the proxy refused CONNECT with %ld%s", f->label, status,
             status == 407 ? " (it wants authentication)" : "");
    return true;
}

static bool connected(const struct cmg_fetch *f)
{
    long port = 0;
    curl_easy_getinfo(f->curl, CURLINFO_LOCAL_PORT, &port);
    return port > 0;
}

void fetch_explain_timeout(struct cmg_fetch *f)
{
    if (f->state == FETCH_WAITING)
        cmg_fail(&f->result.err, CMG_ETIMEOUT, "%s: its turn did not come within %lld ms", f->label,
                 (long long)f->timeout_ms);
    else
        cmg_fail(&f->result.err, CMG_ETIMEOUT, "%s: no %s within %lld ms", f->label,
                 connected(f) ? "whole answer" : "connection", (long long)f->timeout_ms);
}

void fetch_explain(struct cmg_fetch *f, CURLcode rc)
{
    struct cmg_err *err = &f->result.err;
    if (rc == CURLE_OK || err->code != CMG_OK)
        return;
    switch ((int)rc) { /* a hundred codes; these are the ones that an operator meets */
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        cmg_fail(err, CMG_EIO, "%s: %.90s", f->label, words(f, rc));
        return;
    case CURLE_OPERATION_TIMEDOUT: /* of connecting: the rest is a timer of ours */
        cmg_fail(err, CMG_ETIMEOUT, "%s: no connection within %lld ms", f->label,
                 (long long)f->connect_ms);
        return;
    case CURLE_PEER_FAILED_VERIFICATION:
        explain_tls(f, rc);
        return;
    case CURLE_SSL_CONNECT_ERROR:
        cmg_fail(err, CMG_EIO, "%s: TLS handshake failed: %.70s", f->label, words(f, rc));
        return;
    case CURLE_SSL_CACERT_BADFILE:
        cmg_fail(err, CMG_ECONF, "%s: %.90s", f->label, words(f, rc));
        return;
    case CURLE_UNSUPPORTED_PROTOCOL: /* of the URL, or of the answer */
        if (connected(f)) {
            cmg_fail(err, CMG_EIO, "%s: what answers there does not speak HTTP/1.1", f->label);
            return;
        }
        /* fall through */
    case CURLE_URL_MALFORMAT:
        cmg_fail(err, CMG_ECONF, "%s: not a URL of http or https", f->label);
        return;
    case CURLE_BAD_FUNCTION_ARGUMENT:
        cmg_fail(err, CMG_ECONF, "%s: a method or field that cannot be sent", f->label);
        return;
    case CURLE_PARTIAL_FILE:
        cmg_fail(err, CMG_EIO, "%s: the answer was cut off", f->label);
        return;
    default:
        if (!explain_proxy(f))
            cmg_fail(err, CMG_EIO, "%s: %s", f->label, curl_easy_strerror(rc));
    }
}
