/* SPDX-License-Identifier: MIT */
#include "verdict.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "cmg/base/alloc.h"

enum { WHO = 80 }; /* bytes of a name in a sentence */

/* ---- the verdict and where it hangs ---- */

static pthread_once_t indexes_once = PTHREAD_ONCE_INIT;
static int ssl_index, ctx_index; /* written once */

static void drop(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    cmg_verdict_unref(ptr);
}

static void make_indexes(void)
{
    ssl_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, drop);
    ctx_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, drop);
    if (ssl_index < 0 || ctx_index < 0)
        abort();
}

struct cmg_verdict *cmg_verdict_new(void)
{
    struct cmg_verdict *v = cmg_alloc(sizeof(*v));
    atomic_init(&v->refs, 1);
    return v;
}

struct cmg_verdict *cmg_verdict_ref(struct cmg_verdict *v)
{
    atomic_fetch_add(&v->refs, 1);
    return v;
}

void cmg_verdict_unref(struct cmg_verdict *v)
{
    if (v && atomic_fetch_sub(&v->refs, 1) == 1)
        free(v);
}

void cmg_verdict_tie(SSL *ssl, struct cmg_verdict *v)
{
    pthread_once(&indexes_once, make_indexes);
    cmg_verdict_unref(SSL_get_ex_data(ssl, ssl_index));
    if (!SSL_set_ex_data(ssl, ssl_index, cmg_verdict_ref(v)))
        abort();
}

void cmg_verdict_tie_context(SSL_CTX *ctx, struct cmg_verdict *v)
{
    pthread_once(&indexes_once, make_indexes);
    cmg_verdict_unref(SSL_CTX_get_ex_data(ctx, ctx_index));
    if (!SSL_CTX_set_ex_data(ctx, ctx_index, cmg_verdict_ref(v)))
        abort();
}

struct cmg_verdict *cmg_verdict_of(const SSL *ssl)
{
    pthread_once(&indexes_once, make_indexes);
    struct cmg_verdict *v = SSL_get_ex_data(ssl, ssl_index);
    return v ? v : SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ctx_index);
}

/* ---- words for certificates ---- */

static void cut(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    if (n < size)
        memcpy(out, text, n + 1);
    else
        snprintf(out, size, "%.*s...", (int)size - 4, text);
}

static bool name_text(const X509_NAME *name, int nid, char *out, size_t size)
{
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    if (at < 0)
        return false;
    unsigned char *utf8 = NULL;
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, at);
    int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    if (n < 0)
        return false;
    cut(out, size, (char *)utf8);
    OPENSSL_free(utf8);
    return n > 0;
}

void cmg_verdict_name(const X509_NAME *name, char *out, size_t size)
{
    char whole[512];
    if (name_text(name, NID_commonName, out, size))
        return;
    cut(out, size, X509_NAME_oneline(name, whole, sizeof(whole)) ? whole : "?");
}

static bool san_text(const GENERAL_NAME *n, char *out, size_t size)
{
    if (n->type == GEN_DNS) {
        snprintf(out, size, "%.*s", ASN1_STRING_length(n->d.dNSName),
                 (const char *)ASN1_STRING_get0_data(n->d.dNSName));
        return true;
    }
    if (n->type != GEN_IPADD)
        return false;
    int bytes = ASN1_STRING_length(n->d.iPAddress);
    return inet_ntop(bytes == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(n->d.iPAddress), out,
                     (socklen_t)size) &&
           (bytes == 4 || bytes == 16);
}

void cmg_verdict_names(const X509 *x, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        char one[WHO];
        if (!san_text(sk_GENERAL_NAME_value(names, i), one, sizeof(one)))
            continue;
        if (used + strlen(one) + sizeof(", , ...") > size) {
            used += (size_t)snprintf(out + used, size - used, "%s...", used ? ", " : "");
            break;
        }
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", one);
    }
    GENERAL_NAMES_free(names);
    if (!used)
        snprintf(out, size, "no DNS name or address");
}

void cmg_verdict_who(const X509 *x, char *out, size_t size)
{
    const X509_NAME *subject = X509_get_subject_name(x);
    if (X509_NAME_entry_count(subject) > 0)
        cmg_verdict_name(subject, out, size);
    else
        cmg_verdict_names(x, out, size);
}

const char *cmg_verdict_file(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void cmg_verdict_date(const ASN1_TIME *t, char out[16])
{
    struct tm tm;
    if (ASN1_TIME_to_tm(t, &tm) != 1 || strftime(out, 16, "%Y-%m-%d", &tm) == 0)
        snprintf(out, 16, "?");
}

/* ---- judging a chain ---- */

static enum cmg_rc wrong_name(X509_STORE_CTX *c, const X509 *leaf, struct cmg_err *err)
{
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(c);
    char *ip = X509_VERIFY_PARAM_get1_ip_asc(p);
    const char *host = X509_VERIFY_PARAM_get0_host(p, 0);
    char names[128];

    cmg_verdict_names(leaf, names, sizeof(names));
    enum cmg_rc rc = cmg_fail(err, CMG_EDENIED, "certificate is not for %.80s (it names %s)",
                              host ? host
                              : ip ? ip
                                   : "this peer",
                              names);
    OPENSSL_free(ip);
    return rc;
}

static enum cmg_rc wrong_usage(const char *who, enum cmg_tls_usage usage, struct cmg_err *err)
{
    return cmg_fail(err, CMG_EDENIED,
                    "certificate of %s lacks the extended key usage %s: issue it from a template "
                    "that has it",
                    who, usage == CMG_TLS_CLIENT_AUTH ? "clientAuth" : "serverAuth");
}

/* The issuer that is not in the file may be the root, or an intermediate that nobody sent. */
static enum cmg_rc no_issuer(const X509 *x, const char *who, const char *file, struct cmg_err *err)
{
    char issuer[WHO];
    cmg_verdict_name(X509_get_issuer_name(x), issuer, sizeof(issuer));
    return cmg_fail(err, CMG_EDENIED,
                    "certificate chain: intermediate missing or CA unknown: issuer \"%s\" of "
                    "\"%.60s\" is not in %.90s",
                    issuer, who, file);
}

static enum cmg_rc explain(X509_STORE_CTX *c, const struct cmg_verdict_rule *rule,
                           struct cmg_err *err)
{
    int code = X509_STORE_CTX_get_error(c);
    X509 *x = X509_STORE_CTX_get_current_cert(c);
    if (!x)
        x = X509_STORE_CTX_get0_cert(c);
    char who[WHO], date[16];
    cmg_verdict_who(x, who, sizeof(who));

    switch (code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return wrong_name(c, x, err);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return no_issuer(x, who, rule->trust_path, err);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return cmg_fail(err, CMG_EDENIED, "self-signed certificate \"%s\" is not in %.120s", who,
                        rule->trust_path);
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return cmg_fail(err, CMG_EDENIED,
                        "certificate chain: self-signed certificate in chain, subject \"%s\", is "
                        "not in %.90s",
                        who, rule->trust_path);
    case X509_V_ERR_CERT_HAS_EXPIRED:
        cmg_verdict_date(X509_get0_notAfter(x), date);
        return cmg_fail(err, CMG_EDENIED, "certificate of \"%s\" expired on %s", who, date);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        cmg_verdict_date(X509_get0_notBefore(x), date);
        return cmg_fail(err, CMG_EDENIED,
                        "certificate of \"%s\" is not valid before %s (or the clock is wrong)", who,
                        date);
    case X509_V_ERR_INVALID_PURPOSE:
        if (X509_STORE_CTX_get_error_depth(c) == 0)
            return wrong_usage(who, rule->usage, err);
        break;
    }
    return cmg_fail(err, CMG_EDENIED, "certificate chain: %s, subject \"%s\"",
                    X509_verify_cert_error_string(code), who);
}

static enum cmg_rc named_usage(X509 *leaf, enum cmg_tls_usage usage, struct cmg_err *err)
{
    uint32_t want = usage == CMG_TLS_CLIENT_AUTH ? XKU_SSL_CLIENT : XKU_SSL_SERVER;
    char who[WHO];

    cmg_verdict_who(leaf, who, sizeof(who));
    if (!(X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) ||
        !(X509_get_extended_key_usage(leaf) & want))
        return wrong_usage(who, usage, err);
    if ((X509_get_extension_flags(leaf) & EXFLAG_KUSAGE) &&
        !(X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE))
        return cmg_fail(err, CMG_EDENIED,
                        "certificate of \"%s\" lacks the key usage digitalSignature", who);
    return CMG_OK;
}

enum cmg_rc cmg_verdict_judge(X509_STORE_CTX *c, const struct cmg_verdict_rule *rule,
                              struct cmg_err *err)
{
    enum cmg_rc rc = CMG_OK;
    if (X509_verify_cert(c) != 1) {
        rc = explain(c, rule, err);
    } else if (rule->named) {
        rc = named_usage(X509_STORE_CTX_get0_cert(c), rule->usage, err);
        if (rc != CMG_OK)
            X509_STORE_CTX_set_error(c, X509_V_ERR_INVALID_PURPOSE); /* chooses the alert */
    }
    ERR_clear_error();
    return rc;
}

/* ---- alerts ---- */

bool cmg_verdict_alert(int alert, char *out, size_t size)
{
    /* clang-format off */
    static const struct { int alert; bool certificate; const char *words; } known[] = {
        { SSL_AD_BAD_CERTIFICATE, true, "the peer refused our certificate (bad_certificate)" },
        { SSL_AD_UNSUPPORTED_CERTIFICATE, true, "the peer refused our certificate "
          "(unsupported_certificate): is its extended key usage right?" },
        { SSL_AD_CERTIFICATE_REVOKED, true, "the peer says that our certificate is revoked" },
        { SSL_AD_CERTIFICATE_EXPIRED, true, "the peer says that our certificate has expired" },
        { SSL_AD_CERTIFICATE_UNKNOWN, true, "the peer refused our certificate "
          "(certificate_unknown)" },
        { SSL_AD_UNKNOWN_CA, true, "the peer does not trust the CA of our certificate "
          "(unknown_ca)" },
        { SSL_AD_ACCESS_DENIED, true, "the peer knows our certificate and does not admit it "
          "(access_denied)" },
        { SSL_AD_CERTIFICATE_REQUIRED, true, "the peer wants a client certificate and got none "
          "(certificate_required)" },
        { SSL_AD_DECRYPT_ERROR, true, "the peer could not verify our signature (decrypt_error)" },
        { SSL_AD_HANDSHAKE_FAILURE, false, "the peer ended the handshake (handshake_failure): no "
          "common cipher suite, or it wants a client certificate" },
        { SSL_AD_PROTOCOL_VERSION, false, "the peer speaks no TLS version that we do "
          "(protocol_version)" },
        { SSL_AD_NO_APPLICATION_PROTOCOL, false, "the peer knows none of the protocols that we "
          "offer by ALPN (no_application_protocol)" },
        { SSL_AD_UNRECOGNIZED_NAME, false, "the peer serves no such name (unrecognized_name)" },
    };
    /* clang-format on */
    for (size_t i = 0; i < CMG_COUNT(known); i++)
        if (known[i].alert == alert) {
            snprintf(out, size, "%s", known[i].words);
            return known[i].certificate;
        }
    snprintf(out, size, "the peer sent TLS alert %d (%s)", alert,
             SSL_alert_desc_string_long(alert));
    return false;
}
