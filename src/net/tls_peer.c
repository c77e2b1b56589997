/* SPDX-License-Identifier: MIT */
/* Who the peer is, and whether to believe it. */
#include "cmg/net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "cmg/proto/base64.h"
#include "tls_peer.h"
#include "trust.h"
#include "verdict.h"

enum { SECURITY_BITS_112 = 2 }; /* RSA 2048, SHA-256 */

/* A name is a key to somebody's rights: one with a NUL or a control character in it, or cut
 * short, could be taken for another. Such a name is none. */
static bool copy_name(const unsigned char *p, int n, char *out, size_t size)
{
    if (n <= 0 || (size_t)n >= size)
        return false;
    for (int i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] == 0x7f)
            return false;
    memcpy(out, p, (size_t)n);
    out[n] = '\0';
    return true;
}

/* True when there is a dNSName, even one that is no use. */
static bool first_dns_name(const X509 *x, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type != GEN_DNS)
            continue;
        found = true;
        copy_name(ASN1_STRING_get0_data(n->d.dNSName), ASN1_STRING_length(n->d.dNSName), out, size);
    }
    GENERAL_NAMES_free(names);
    return found;
}

static void common_name(const X509 *x, char *out, size_t size)
{
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return;
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n < 0)
        return;
    copy_name(utf8, n, out, size);
    OPENSSL_free(utf8);
}

static void name_2253(const X509_NAME *name, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        abort();
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    snprintf(out, size, "%.*s", (int)n, p ? p : "");
    BIO_free(bio);
}

static void hex(const unsigned char *p, size_t n, char *out, size_t size)
{
    for (size_t i = 0; i < n && 2 * i + 2 < size; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static int64_t seconds(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

void cmg_peer_describe(const X509 *x, struct cmg_tls_identity *id)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);

    memset(id, 0, sizeof(*id));
    if (!first_dns_name(x, id->name, sizeof(id->name)))
        common_name(x, id->name, sizeof(id->name));
    name_2253(X509_get_subject_name(x), id->subject, sizeof(id->subject));
    name_2253(X509_get_issuer_name(x), id->issuer, sizeof(id->issuer));
    hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), id->serial,
        sizeof(id->serial));
    if (X509_digest(x, EVP_sha256(), digest, &n))
        hex(digest, n, id->fingerprint, sizeof(id->fingerprint));
    id->not_before = seconds(X509_get0_notBefore(x));
    id->not_after = seconds(X509_get0_notAfter(x));
}

size_t cmg_tls_read_certificates(const char *path, struct cmg_tls_identity *out, size_t max,
                                 struct cmg_err *err)
{
    STACK_OF(X509) *certs = cmg_trust_read(path, err);
    size_t n = certs ? (size_t)sk_X509_num(certs) : 0;
    for (size_t i = 0; i < n && i < max; i++)
        cmg_peer_describe(sk_X509_value(certs, (int)i), &out[i]);
    sk_X509_pop_free(certs, X509_free);
    return n;
}

enum cmg_rc cmg_peer_judge(X509 *leaf, const struct cmg_peer_judging *j,
                           struct cmg_tls_identity *id, struct cmg_err *err)
{
    /* The sentence may reach the peer, whose business our folders are not. */
    const struct cmg_verdict_rule rule = { j->usage, true, cmg_verdict_file(j->path) };

    memset(id, 0, sizeof(*id));
    if (!leaf)
        return cmg_fail(err, CMG_EDENIED, "the peer sent no certificate");
    cmg_peer_describe(leaf, id);

    /* No untrusted certificates: what the peer sent along is not looked at. */
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    if (!c || !X509_STORE_CTX_init(c, j->store, leaf, NULL))
        abort();
    X509_STORE_CTX_set_purpose(c, j->usage == CMG_TLS_CLIENT_AUTH ? X509_PURPOSE_SSL_CLIENT
                                                                  : X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(c), SECURITY_BITS_112);
    if (j->prepare)
        j->prepare(c, j->arg);
    enum cmg_rc rc = cmg_verdict_judge(c, &rule, err);
    if (rc == CMG_OK && j->on_good)
        j->on_good(c, j->arg);
    X509_STORE_CTX_free(c);
    ERR_clear_error();
    return rc;
}

enum cmg_rc cmg_tls_judge(struct x509_st *leaf, struct cmg_trust *trust, enum cmg_tls_usage usage,
                          struct cmg_tls_identity *id, struct cmg_err *err)
{
    const struct cmg_peer_judging j = { .store = trust->store,
                                        .path = trust->path,
                                        .usage = usage };
    return cmg_peer_judge(leaf, &j, id, err);
}

bool cmg_tls_peer_about(struct ssl_st *ssl, struct cmg_tls_identity *out)
{
    const X509 *leaf = ssl ? cmg_tls_peer_certificate(ssl) : NULL;
    if (leaf)
        cmg_peer_describe(leaf, out);
    return leaf != NULL;
}

struct x509_st *cmg_tls_peer_certificate(struct ssl_st *ssl)
{
    return SSL_get0_peer_certificate(ssl);
}

enum cmg_rc cmg_tls_peer_judge(struct ssl_st *ssl, struct cmg_trust *trust,
                               enum cmg_tls_usage usage, struct cmg_tls_identity *id,
                               struct cmg_err *err)
{
    return cmg_tls_judge(cmg_tls_peer_certificate(ssl), trust, usage, id, err);
}

size_t cmg_tls_peer_certificate_field(struct ssl_st *ssl, char *out, size_t size)
{
    const X509 *leaf = SSL_get0_peer_certificate(ssl);
    unsigned char *der = NULL;
    int n = leaf ? i2d_X509(leaf, &der) : 0;
    size_t text = n > 0 ? cmg_base64_size(CMG_BASE64, (size_t)n) + 2 : 0;

    if (size)
        out[0] = '\0';
    if (text >= size)
        text = 0;
    if (text) {
        out[0] = ':';
        cmg_base64_put(CMG_BASE64, (struct cmg_str){ (const char *)der, (size_t)n }, out + 1);
        memcpy(out + text - 1, ":", 2);
    }
    OPENSSL_free(der);
    return text;
}
