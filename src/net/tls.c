/* SPDX-License-Identifier: MIT */
#include "cmg/net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "cmg/auth/pem.h"
#include "cmg/base/alloc.h"
#include "cmg/net/file.h"
#include "trust.h"
#include "verdict.h"

enum { ALPN_MAX = 64, KEY_MAX = 256 * 1024, PEER_CHAIN_MAX = 64 * 1024 };

struct cmg_tls {
    atomic_uint refs;
    SSL_CTX *ctx;            /* owned, and the other way round: see on_context_gone */
    struct cmg_trust *trust; /* owned reference; NULL: peers are not judged here */
    bool server;
    struct cmg_verdict_rule rule;
    unsigned char alpn[ALPN_MAX]; /* as on the wire: length, bytes, length, bytes */
    unsigned alpn_size;
};

/* ---- our certificate ---- */

static EVP_PKEY *read_key(const char *path, struct cmg_err *err)
{
    size_t n = 0;
    char *text = cmg_file_read(path, CMG_FILE_SECRET, KEY_MAX, &n, err);
    if (!text)
        return NULL;

    BIO *bio = BIO_new_mem_buf(text, (int)n);
    if (!bio)
        abort();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, cmg_pem_no_password, NULL);
    bool locked = strstr(text, "ENCRYPTED") != NULL;
    if (!key)
        cmg_fail(err, CMG_ECONF,
                 locked ? "%s is protected by a passphrase; store it without one"
                        : "%s holds no PEM private key",
                 path);
    BIO_free(bio);
    explicit_bzero(text, n);
    free(text);
    ERR_clear_error();
    return key;
}

static enum cmg_rc check_dates(const X509 *leaf, const char *path, struct cmg_err *err)
{
    char date[16];
    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) <= 0) {
        cmg_verdict_date(X509_get0_notAfter(leaf), date);
        return cmg_fail(err, CMG_ECONF, "certificate %s expired on %s: renew it", path, date);
    }
    if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0) {
        cmg_verdict_date(X509_get0_notBefore(leaf), date);
        return cmg_fail(err, CMG_ECONF, "certificate %s is not valid before %s (check the clock)",
                        path, date);
    }
    return CMG_OK;
}

static enum cmg_rc check_pair(STACK_OF(X509) * certs, EVP_PKEY *key,
                              const struct cmg_tls_conf *conf, struct cmg_err *err)
{
    enum cmg_rc rc = CMG_OK;
    if (X509_check_private_key(sk_X509_value(certs, 0), key) != 1) {
        bool later = false;
        for (int i = 1; i < sk_X509_num(certs); i++)
            later = later || X509_check_private_key(sk_X509_value(certs, i), key) == 1;
        rc =
            cmg_fail(err, CMG_ECONF,
                     later ? "key %s belongs to a later certificate of %s: the leaf must come first"
                           : "key %s does not belong to certificate %s",
                     conf->key, conf->certificate);
    }
    ERR_clear_error();
    return rc;
}

static enum cmg_rc install(SSL_CTX *ctx, STACK_OF(X509) * certs, EVP_PKEY *key, const char *path,
                           struct cmg_err *err)
{
    bool ok = SSL_CTX_use_certificate(ctx, sk_X509_value(certs, 0)) == 1 &&
              SSL_CTX_use_PrivateKey(ctx, key) == 1;
    for (int i = 1; ok && i < sk_X509_num(certs); i++)
        ok = SSL_CTX_add1_chain_cert(ctx, sk_X509_value(certs, i)) == 1;
    if (ok)
        return CMG_OK;
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    enum cmg_rc rc = cmg_fail(err, CMG_ECONF, "certificate %s cannot be used: %s", path,
                              why ? why : "OpenSSL does not say why");
    ERR_clear_error();
    return rc;
}

static enum cmg_rc load_certificate(SSL_CTX *ctx, const struct cmg_tls_conf *conf,
                                    struct cmg_err *err)
{
    if (!conf->certificate)
        return conf->server ? cmg_fail(err, CMG_ECONF, "a TLS server needs a certificate") : CMG_OK;
    if (!conf->key)
        return cmg_fail(err, CMG_ECONF, "certificate %s has no key configured", conf->certificate);

    STACK_OF(X509) *certs = cmg_trust_read(conf->certificate, err);
    EVP_PKEY *key = certs ? read_key(conf->key, err) : NULL;
    enum cmg_rc rc = CMG_ECONF;
    if (key)
        rc = check_pair(certs, key, conf, err);
    if (rc == CMG_OK)
        rc = check_dates(sk_X509_value(certs, 0), conf->certificate, err);
    if (rc == CMG_OK)
        rc = install(ctx, certs, key, conf->certificate, err);
    EVP_PKEY_free(key);
    sk_X509_pop_free(certs, X509_free);
    return rc;
}

/* ---- the peer's ---- */

static int on_verify(X509_STORE_CTX *c, void *arg)
{
    const struct cmg_tls *t = arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(c, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(c);
    char *ip = X509_VERIFY_PARAM_get1_ip_asc(p);
    bool nameless = !t->server && !ip && !X509_VERIFY_PARAM_get0_host(p, 0);
    struct cmg_err err;

    OPENSSL_free(ip);
    if (nameless) { /* a client that knows no name would take any certificate of the CA */
        cmg_fail(&err, CMG_EDENIED, "no name to verify the certificate against");
        X509_STORE_CTX_set_error(c, X509_V_ERR_HOSTNAME_MISMATCH);
    } else if (cmg_verdict_judge(c, &t->rule, &err) == CMG_OK) {
        return 1;
    }
    struct cmg_verdict *v = cmg_verdict_new();
    v->refused = true;
    v->why = err;
    cmg_verdict_tie(ssl, v);
    cmg_verdict_unref(v);
    return 0;
}

static int on_verify_later(X509_STORE_CTX *c, void *arg)
{
    (void)c, (void)arg;
    return 1;
}

static void offer_ca_names(SSL_CTX *ctx, const struct cmg_trust *trust)
{
    for (int i = 0; i < sk_X509_num(trust->certs); i++)
        if (!SSL_CTX_add_client_CA(ctx, sk_X509_value(trust->certs, i)))
            abort();
}

static enum cmg_rc set_peer(struct cmg_tls *t, const struct cmg_tls_conf *conf, struct cmg_err *err)
{
    if (!conf->server && conf->peer != CMG_TLS_PEER_VERIFIED)
        return cmg_fail(err, CMG_ECONF, "a TLS client must verify its peer");
    if (conf->peer == CMG_TLS_PEER_VERIFIED && !conf->trust)
        return cmg_fail(err, CMG_ECONF, "no CA is configured to verify the peer against");

    if (conf->server && conf->trust && conf->peer != CMG_TLS_PEER_NOT_ASKED)
        offer_ca_names(t->ctx, conf->trust);
    switch (conf->peer) {
    case CMG_TLS_PEER_NOT_ASKED:
        SSL_CTX_set_verify(t->ctx, SSL_VERIFY_NONE, NULL);
        break;
    case CMG_TLS_PEER_LATER:
        SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(t->ctx, on_verify_later, NULL);
        break;
    case CMG_TLS_PEER_VERIFIED:
        t->trust = cmg_trust_ref(conf->trust);
        t->rule = (struct cmg_verdict_rule){
            .usage = conf->server ? CMG_TLS_CLIENT_AUTH : CMG_TLS_SERVER_AUTH,
            .named = true,
            .trust_path = t->trust->path,
        };
        SSL_CTX_set1_verify_cert_store(t->ctx, t->trust->store);
        SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        SSL_CTX_set_cert_verify_callback(t->ctx, on_verify, t);
        break;
    }
    return CMG_OK;
}

/* ---- ALPN ---- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                   const unsigned char *in, unsigned in_size, void *arg)
{
    const struct cmg_tls *t = arg;
    unsigned char *chosen;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_size, t->alpn, t->alpn_size, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum cmg_rc set_alpn(struct cmg_tls *t, const char *const *alpn, struct cmg_err *err)
{
    if (!alpn)
        return CMG_OK;
    for (; *alpn; alpn++) {
        size_t n = strlen(*alpn);
        if (n == 0 || t->alpn_size + 1 + n > sizeof(t->alpn))
            return cmg_fail(err, CMG_ECONF, "ALPN protocol \"%s\" is empty or one too many", *alpn);
        t->alpn[t->alpn_size] = (unsigned char)n;
        memcpy(t->alpn + t->alpn_size + 1, *alpn, n);
        t->alpn_size += 1 + (unsigned)n;
    }
    if (t->server)
        SSL_CTX_set_alpn_select_cb(t->ctx, on_alpn, t);
    else if (SSL_CTX_set_alpn_protos(t->ctx, t->alpn, t->alpn_size) != 0)
        abort();
    return CMG_OK;
}

/* ---- the context ---- */

/* A peer that is verified in the handshake is verified in each: no resumption, so that a
 * certificate that expired or a CA that went is noticed. Channels are long; it costs nothing. */
static void set_sessions(SSL_CTX *ctx, const struct cmg_tls_conf *conf)
{
    static const unsigned char context[] = "cmg";

    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need no cache */
    SSL_CTX_set_session_id_context(ctx, context, sizeof(context) - 1);
    SSL_CTX_set_num_tickets(ctx, conf->peer == CMG_TLS_PEER_VERIFIED ? 0 : 1);
    if (conf->peer == CMG_TLS_PEER_VERIFIED)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
}

static SSL_CTX *new_context(const struct cmg_tls_conf *conf)
{
    int groups[] = { NID_X25519, NID_X9_62_prime256v1, NID_secp384r1 };
    SSL_CTX *ctx = SSL_CTX_new(conf->server ? TLS_server_method() : TLS_client_method());
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
        !SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") ||
        !SSL_CTX_set1_groups(ctx, groups, CMG_COUNT(groups)))
        abort();
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_max_cert_list(ctx, PEER_CHAIN_MAX);
    set_sessions(ctx, conf);
    return ctx;
}

static pthread_once_t index_once = PTHREAD_ONCE_INIT;
static int context_index; /* written once */

/* Its callbacks get our struct, and are called by handshakes that began before the last reference
 * to that went, as a reload of the certificate does. So it goes with the context, which its
 * connections share. */
static void on_context_gone(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
                            void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    struct cmg_tls *t = ptr;
    if (!t)
        return;
    cmg_trust_unref(t->trust);
    free(t);
}

static void make_index(void)
{
    context_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_gone);
    if (context_index < 0)
        abort();
}

struct cmg_tls *cmg_tls_new(const struct cmg_tls_conf *conf, struct cmg_err *err)
{
    struct cmg_tls *t = cmg_alloc(sizeof(*t));
    pthread_once(&index_once, make_index);
    atomic_init(&t->refs, 1);
    t->server = conf->server;
    t->ctx = new_context(conf);
    if (!SSL_CTX_set_ex_data(t->ctx, context_index, t))
        abort();
    if (load_certificate(t->ctx, conf, err) == CMG_OK && set_peer(t, conf, err) == CMG_OK &&
        set_alpn(t, conf->alpn, err) == CMG_OK)
        return t;
    cmg_tls_unref(t);
    return NULL;
}

struct cmg_tls *cmg_tls_ref(struct cmg_tls *t)
{
    if (t)
        atomic_fetch_add(&t->refs, 1);
    return t;
}

void cmg_tls_unref(struct cmg_tls *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
        return;
    SSL_CTX_free(t->ctx); /* which takes it along, now or with its last connection */
}

/* ---- one connection ---- */

static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static void expect_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
    char host[256];
    size_t n = strlen(name);

    if (is_address(name)) {
        X509_VERIFY_PARAM_set1_ip_asc(p, name);
        return;
    }
    snprintf(host, sizeof(host), "%s", name);
    if (n > 1 && n < sizeof(host) && host[n - 1] == '.')
        host[n - 1] = '\0'; /* absolute in DNS, never so in a certificate or in SNI */
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                           X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (!X509_VERIFY_PARAM_set1_host(p, host, 0) || !SSL_set_tlsext_host_name(ssl, host))
        ERR_clear_error(); /* no name is set then, and verification fails */
}

struct ssl_st *cmg_tls_session(struct cmg_tls *t, const char *name)
{
    SSL *ssl = SSL_new(t->ctx);
    if (!ssl)
        abort();
    if (t->server) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    if (name && *name)
        expect_name(ssl, name);
    return ssl;
}

void cmg_tls_alpn(struct ssl_st *ssl, char *out, size_t size)
{
    const unsigned char *p = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(ssl, &p, &n);
    snprintf(out, size, "%.*s", (int)n, p ? (const char *)p : "");
}

/* ---- why it failed ---- */

/* The oldest error of the TLS library is the cause; what came after is its echo. */
static unsigned long first_cause(void)
{
    unsigned long cause = 0, e;
    while ((e = ERR_get_error()) != 0)
        if (cause == 0 || (ERR_GET_LIB(cause) != ERR_LIB_SSL && ERR_GET_LIB(e) == ERR_LIB_SSL))
            cause = e;
    return cause;
}

static const char *in_words(int reason)
{
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        return "the peer does not speak TLS";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "the peer sent no certificate";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return "the peer closed the connection without a TLS close_notify";
    case SSL_R_NO_SHARED_CIPHER:
        return "no common cipher suite";
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "the peer speaks no TLS version that we do (1.2 or newer)";
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return "the peer offers by ALPN none of the protocols that we speak";
    }
    return NULL;
}

static void remember_refusal(SSL *ssl)
{
    struct cmg_verdict *v = cmg_verdict_new();
    v->refused = true;
    cmg_verdict_tie(ssl, v);
    cmg_verdict_unref(v);
}

void cmg_tls_reason(struct ssl_st *ssl, char *out, size_t size)
{
    int no = errno;
    unsigned long e = first_cause(); /* and the queue is empty */
    const struct cmg_verdict *v = cmg_verdict_of(ssl);
    int reason = ERR_GET_REASON(e);
    bool ours = ERR_GET_LIB(e) == ERR_LIB_SSL;

    if (v && v->why.text[0]) {
        snprintf(out, size, "%s", v->why.text);
    } else if (ours && reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255) {
        if (cmg_verdict_alert(reason - SSL_AD_REASON_OFFSET, out, size))
            remember_refusal(ssl);
    } else if (ours && in_words(reason)) {
        snprintf(out, size, "%s", in_words(reason));
        if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
            remember_refusal(ssl);
    } else if (e) {
        const char *words = ERR_reason_error_string(e);
        snprintf(out, size, "TLS: %s", words ? words : "unknown error");
    } else {
        snprintf(out, size, "%s", no ? strerror(no) : "the connection broke");
    }
}

bool cmg_tls_refused(struct ssl_st *ssl)
{
    const struct cmg_verdict *v = ssl ? cmg_verdict_of(ssl) : NULL;
    return v && v->refused;
}
