/* SPDX-License-Identifier: MIT */
#include "connect.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/str.h"
#include "cmg/net/curl_set.h"
#include "cmg/net/tls.h"
#include "verdict.h"

enum { PASSWORD_MAX = 1024 };

static void fail_setup(struct cmg_connect *c, const char *why)
{
    c->step = CMG_DIAL_SETUP;
    cmg_fail(&c->err, CMG_ECONF, "%s: %s", c->peer, why);
}

/* ---- what libcurl calls ---- */

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t x, curl_off_t y)
{
    const struct cmg_connect *c = arg;
    (void)a, (void)b, (void)x, (void)y;
    return atomic_load(c->hurry); /* not 0: abort */
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *at)
{
    struct cmg_connect *c = arg;
    (void)purpose;
    if (at->addrlen <= sizeof(c->last))
        memcpy(&c->last, &at->addr, at->addrlen);
    return socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
}

/* The handle goes; its socket stays when it was taken. */
static int on_close(void *arg, curl_socket_t fd)
{
    const struct cmg_connect *c = arg;
    return fd == c->fd ? 0 : close(fd);
}

bool cmg_connect_by_proxy(const struct cmg_connect *c)
{
    uint16_t port = 0;
    if (!c->proxy[0])
        return false;
    if (c->last.ss_family == AF_INET)
        port = ntohs(((const struct sockaddr_in *)(const void *)&c->last)->sin_port);
    else if (c->last.ss_family == AF_INET6)
        port = ntohs(((const struct sockaddr_in6 *)(const void *)&c->last)->sin6_port);
    return port == 0 || port == c->proxy_port;
}

/* ---- libcurl's TLS ---- */

/* libcurl would only say "SSL certificate problem". It may run again, long after, when the
 * server renegotiates: hence nothing but the verdict is touched. */
static int on_verify(X509_STORE_CTX *x, void *arg)
{
    (void)arg;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct cmg_verdict *v = cmg_verdict_of(ssl);
    const struct cmg_verdict_rule rule = { CMG_TLS_SERVER_AUTH, false, v->file };

    cmg_verdict_names(X509_STORE_CTX_get0_cert(x), v->names, sizeof(v->names));
    bool good = cmg_verdict_judge(x, &rule, &v->why) == CMG_OK;
    cmg_verdict_note(x, &v->seen);
    v->refused = v->refused || !good;
    return good;
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct cmg_verdict *v = cmg_verdict_of(ssl);
    if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT || value >> 8 != SSL3_AL_FATAL || !v)
        return;
    v->refused = cmg_verdict_alert(value & 0xff, v->why.text, sizeof(v->why.text));
}

static CURLcode on_context(CURL *curl, void *context, void *arg)
{
    struct cmg_connect *c = arg;
    (void)curl;
    /* With an https:// proxy there are two: the proxy's comes first. */
    bool of_proxy = c->proxy_tls && !c->verdict && cmg_connect_by_proxy(c);
    const char *file = of_proxy ? c->proxy_ca_file : c->ca_file;

    cmg_verdict_unref(c->verdict);
    c->verdict = cmg_verdict_new();
    snprintf(c->verdict->file, sizeof(c->verdict->file), "%s", cmg_curl_ca(file));
    cmg_verdict_tie_context(context, c->verdict);
    SSL_CTX_set_cert_verify_callback(context, on_verify, NULL);
    SSL_CTX_set_info_callback(context, on_info);
    return CURLE_OK;
}

static CURLcode set_tls(CURL *curl, struct cmg_connect *c)
{
    const struct cmg_curl_number numbers[] = {
        { CURLOPT_SSL_VERIFYPEER, 1 },
        { CURLOPT_SSL_VERIFYHOST, 2 },
        { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
    };
    const struct cmg_curl_text texts[] = {
        { CURLOPT_CAINFO, cmg_curl_ca(c->ca_file) },
        { CURLOPT_CAPATH, NULL },
        { CURLOPT_SSLCERT, c->certificate },
        { CURLOPT_SSLKEY, c->key_file },
    };
    CURLcode rc = cmg_curl_numbers(curl, numbers, CMG_COUNT(numbers));
    return rc == CURLE_OK ? cmg_curl_texts(curl, texts, CMG_COUNT(texts)) : rc;
}

static CURLcode set_proxy_tls(CURL *curl, struct cmg_connect *c)
{
    const struct cmg_curl_number numbers[] = {
        { CURLOPT_PROXY_SSL_VERIFYPEER, 1 },
        { CURLOPT_PROXY_SSL_VERIFYHOST, 2 },
        { CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
    };
    const struct cmg_curl_text texts[] = {
        { CURLOPT_PROXY_CAINFO, cmg_curl_ca(c->proxy_ca_file) },
        { CURLOPT_PROXY_CAPATH, NULL },
    };
    CURLcode rc = cmg_curl_numbers(curl, numbers, CMG_COUNT(numbers));
    return rc == CURLE_OK ? cmg_curl_texts(curl, texts, CMG_COUNT(texts)) : rc;
}

/* ---- the proxy ---- */

/* One bit alone makes libcurl speak first; several make it wait for the proxy's offer. Without
 * a user only the ticket cache can answer, and no proxy should be sent an empty password. */
static long auth_bits(const struct cmg_connect *c)
{
    switch (c->proxy_auth) {
    case CMG_PROXY_AUTH_ANY:
        if (!c->proxy_user)
            return (long)(CURLAUTH_NEGOTIATE | CURLAUTH_BEARER);
        return (long)(CURLAUTH_BASIC | CURLAUTH_DIGEST | CURLAUTH_NTLM | CURLAUTH_NEGOTIATE);
    case CMG_PROXY_AUTH_BASIC:
        return (long)CURLAUTH_BASIC;
    case CMG_PROXY_AUTH_DIGEST:
        return (long)CURLAUTH_DIGEST;
    case CMG_PROXY_AUTH_NTLM:
        return (long)CURLAUTH_NTLM;
    case CMG_PROXY_AUTH_NEGOTIATE:
        return (long)CURLAUTH_NEGOTIATE;
    }
    return 0;
}

static CURLcode set_credentials(CURL *curl, struct cmg_connect *c)
{
    CURLcode rc = curl_easy_setopt(curl, CURLOPT_PROXYAUTH, auth_bits(c));
    if (rc != CURLE_OK)
        return rc;
    if (!c->proxy_user) {
        bool tickets =
            c->proxy_auth == CMG_PROXY_AUTH_ANY || c->proxy_auth == CMG_PROXY_AUTH_NEGOTIATE;
        return tickets ? curl_easy_setopt(curl, CURLOPT_PROXYUSERPWD, ":") : CURLE_OK;
    }
    char *password = NULL;
    if (c->proxy_password_file) {
        password = cmg_secret_read(c->proxy_password_file, PASSWORD_MAX, &c->err);
        if (!password)
            return CURLE_LOGIN_DENIED;
    }
    rc = curl_easy_setopt(curl, CURLOPT_PROXYUSERNAME, c->proxy_user);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_PROXYPASSWORD, password ? password : "");
    cmg_secret_free(password);
    return rc;
}

/* For messages, without the password that somebody may have put into the URL. */
static CURLcode name_proxy(struct cmg_connect *c)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    unsigned flags = CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME;
    bool ok = u && curl_url_set(u, CURLUPART_URL, c->proxy_url, flags) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK;

    if (ok) {
        c->proxy_tls = strcmp(scheme, "https") == 0;
        if (curl_url_get(u, CURLUPART_PORT, &port, 0) != CURLUE_OK)
            port = NULL;
        const char *text = port ? port : c->proxy_tls ? "443" : "1080"; /* libcurl's defaults */
        c->proxy_port = (uint16_t)cmg_str_number(cmg_str(text));
        snprintf(c->proxy, sizeof(c->proxy), "proxy %.170s:%u", host, c->proxy_port);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return ok ? CURLE_OK : CURLE_URL_MALFORMAT;
}

static CURLcode set_proxy(CURL *curl, struct cmg_connect *c)
{
    /* Empty, not unset: unset would mean what the environment says. */
    const struct cmg_curl_text texts[] = {
        { CURLOPT_PROXY, c->proxy_url ? c->proxy_url : "" },
        { CURLOPT_NOPROXY, c->proxy_url && c->no_proxy ? c->no_proxy : "" },
    };
    CURLcode rc = cmg_curl_texts(curl, texts, CMG_COUNT(texts));
    if (rc != CURLE_OK || !c->proxy_url)
        return rc;
    rc = name_proxy(c);
    if (rc != CURLE_OK) {
        fail_setup(c, "proxy.url is not a URL such as http://proxy:3128");
        return rc;
    }
    rc = curl_easy_setopt(curl, CURLOPT_HTTPPROXYTUNNEL, 1L);
    if (rc == CURLE_OK)
        rc = set_proxy_tls(curl, c);
    return rc == CURLE_OK ? set_credentials(curl, c) : rc;
}

/* ---- all together ---- */

static CURLcode set_url(CURL *curl, const struct cmg_connect *c)
{
    CURLU *u = curl_url();
    char host[300], port[8], *url = NULL;
    bool bare_v6 = strchr(c->host, ':') && c->host[0] != '[';

    snprintf(host, sizeof(host), bare_v6 ? "[%s]" : "%s", c->host);
    snprintf(port, sizeof(port), "%u", c->port);
    bool ok = u && curl_url_set(u, CURLUPART_SCHEME, c->https ? "https" : "http", 0) == CURLUE_OK &&
              curl_url_set(u, CURLUPART_HOST, host, 0) == CURLUE_OK &&
              curl_url_set(u, CURLUPART_PORT, port, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK;
    CURLcode rc = ok ? curl_easy_setopt(curl, CURLOPT_URL, url) : CURLE_URL_MALFORMAT;
    curl_free(url);
    curl_url_cleanup(u);
    return rc;
}

/* HTTP/1.1 keeps "h2" out of libcurl's ALPN: what goes over the connection is our business.
 * QUICK_EXIT: a name server that does not answer must not hold this thread past its time. */
static CURLcode set_basics(CURL *curl, long left_ms)
{
    const struct cmg_curl_number numbers[] = {
        { CURLOPT_CONNECT_ONLY, 1 },
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_NOPROGRESS, 0 },
        { CURLOPT_CONNECTTIMEOUT_MS, left_ms },
        { CURLOPT_TIMEOUT_MS, left_ms },
        { CURLOPT_QUICK_EXIT, 1 },
        { CURLOPT_TCP_NODELAY, 1 },
        { CURLOPT_TCP_KEEPALIVE, 1 },
        { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
    };
    CURLcode rc = cmg_curl_numbers(curl, numbers, CMG_COUNT(numbers));
    return rc == CURLE_OK ? curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") : rc;
}

static CURLcode set_callbacks(CURL *curl, struct cmg_connect *c)
{
    CURLcode rc = curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->words);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_open);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, c);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, on_context);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_SSL_CTX_DATA, c);
    return rc;
}

/* The connection outlives this struct: nothing of it may be called any more. */
static void forget_callbacks(CURL *curl)
{
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, NULL);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, NULL);
    curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, NULL);
}

static bool set_up(CURL *curl, struct cmg_connect *c, long left_ms)
{
    CURLcode rc = set_basics(curl, left_ms);
    if (rc == CURLE_OK)
        rc = set_url(curl, c);
    if (rc == CURLE_OK)
        rc = set_proxy(curl, c);
    if (rc == CURLE_OK)
        rc = set_callbacks(curl, c);
    if (rc == CURLE_OK && c->https)
        rc = set_tls(curl, c);
    /* The TLS of an https:// proxy lives in the handle; a socket alone would be of no use. */
    c->only_fd = c->only_fd && !c->proxy_tls;
    if (rc == CURLE_OK && c->only_fd) {
        rc = curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, on_close);
        if (rc == CURLE_OK)
            rc = curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, c);
    }
    c->step = CMG_DIAL_SETUP;
    if (rc != CURLE_OK && !c->err.text[0])
        fail_setup(c, curl_easy_strerror(rc));
    return rc == CURLE_OK;
}

/* The verdict goes with the connection: in TLS 1.3 a server refuses our certificate, or the
 * lack of one, when its answer is read. */
static struct cmg_verdict *verdict_of(CURL *curl)
{
    char *v = NULL;
    curl_easy_getinfo(curl, CURLINFO_PRIVATE, &v);
    return (void *)v;
}

const char *cmg_connect_words(CURL *curl, CURLcode rc)
{
    const struct cmg_verdict *v = verdict_of(curl);
    return v && v->why.text[0] ? v->why.text : curl_easy_strerror(rc);
}

void cmg_connect_close(CURL *curl)
{
    struct cmg_verdict *v = verdict_of(curl);
    curl_easy_cleanup(curl);
    cmg_verdict_unref(v);
}

static void keep(struct cmg_connect *c, CURL *curl)
{
    if (!c->only_fd) {
        forget_callbacks(curl);
        curl_easy_setopt(curl, CURLOPT_PRIVATE, c->verdict);
        c->verdict = NULL;
        c->curl = curl;
        return;
    }
    curl_socket_t fd = CURL_SOCKET_BAD;
    curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd);
    c->fd = fd;
    curl_easy_cleanup(curl);
}

static bool secrets_are_fit(struct cmg_connect *c)
{
    c->step = CMG_DIAL_SETUP;
    return !c->key_file || cmg_secret_check(c->key_file, &c->err) == CMG_OK;
}

void cmg_connect_run(struct cmg_connect *c)
{
    long left_ms = (long)(c->deadline_ms - cmg_clock_ms());
    bool bare_v6 = strchr(c->host, ':') && c->host[0] != '[';

    c->fd = -1;
    snprintf(c->peer, sizeof(c->peer), bare_v6 ? "[%s]:%u" : "%s:%u", c->host, c->port);
    if (!secrets_are_fit(c))
        return;
    CURL *curl = curl_easy_init();
    if (!curl)
        abort();
    if (!set_up(curl, c, left_ms > 1 ? left_ms : 1)) {
        curl_easy_cleanup(curl);
        return;
    }
    CURLcode rc = curl_easy_perform(curl);
    if (rc == CURLE_OK) {
        if (c->verdict)
            c->seen = c->verdict->seen;
        keep(c, curl);
        return;
    }
    cmg_connect_explain(c, curl, rc);
    curl_easy_cleanup(curl);
}

void cmg_connect_clear(struct cmg_connect *c)
{
    char *owned[] = { c->host,      c->ca_file,    c->certificate,         c->key_file,
                      c->proxy_url, c->proxy_user, c->proxy_password_file, c->proxy_ca_file,
                      c->no_proxy };
    for (size_t i = 0; i < CMG_COUNT(owned); i++)
        free(owned[i]);
    if (c->fd >= 0)
        close(c->fd);
    if (c->curl)
        cmg_connect_close(c->curl);
    cmg_verdict_unref(c->verdict);
}
