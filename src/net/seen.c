/* SPDX-License-Identifier: MIT */
/* What a server showed: facts for whoever explains at length, beside the one sentence. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls_peer.h"
#include "verdict.h"

static enum cmg_tls_fault fault_of(int code)
{
    switch (code) {
    case X509_V_OK:
        return CMG_TLS_SOUND;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return CMG_TLS_NAME;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return CMG_TLS_ISSUER;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return CMG_TLS_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return CMG_TLS_EARLY;
    case X509_V_ERR_INVALID_PURPOSE:
        return CMG_TLS_USAGE;
    }
    return CMG_TLS_CHAIN;
}

static bool organization(const X509_NAME *name, char out[96])
{
    return X509_NAME_get_text_by_NID(name, NID_organizationName, out, 96) > 0;
}

/* Two CAs of one house mostly say so: then the one that is not known is an intermediate. */
static bool is_akin(X509_STORE *store, const X509 *x)
{
    char ours[96], theirs[96];
    bool found = false;
    if (!store || !organization(X509_get_issuer_name(x), theirs))
        return false;
    X509_STORE_lock(store);
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(all) && !found; i++) {
        const X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        found = ca && organization(X509_get_subject_name(ca), ours) && !strcmp(ours, theirs);
    }
    X509_STORE_unlock(store);
    return found;
}

/* libcurl compares names itself: the verification's own parameters know none then. */
static bool is_for(SSL *ssl, X509_VERIFY_PARAM *p, X509 *x)
{
    const char *host = X509_VERIFY_PARAM_get0_host(p, 0);
    char *ip = X509_VERIFY_PARAM_get1_ip_asc(p);
    bool fits = true;
    if (!host && !ip)
        host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (host)
        fits = X509_check_host(x, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
    else if (ip)
        fits = X509_check_ip_asc(x, ip, 0) == 1;
    OPENSSL_free(ip);
    return fits;
}

static int64_t seconds(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

static void describe(SSL *ssl, X509_VERIFY_PARAM *p, X509 *x, struct cmg_tls_seen *out)
{
    snprintf(out->version, sizeof(out->version), "%s", SSL_get_version(ssl));
    cmg_verdict_names(x, out->names, sizeof(out->names));
    cmg_verdict_name(X509_get_issuer_name(x), out->issuer, sizeof(out->issuer));
    out->named = is_for(ssl, p, x);
    out->not_before = seconds(X509_get0_notBefore(x));
    out->not_after = seconds(X509_get0_notAfter(x));
}

void cmg_verdict_note(X509_STORE_CTX *c, struct cmg_tls_seen *out)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(c, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *leaf = X509_STORE_CTX_get0_cert(c);
    int sent = sk_X509_num(X509_STORE_CTX_get0_untrusted(c));

    *out = (struct cmg_tls_seen){ .fault = fault_of(X509_STORE_CTX_get_error(c)) };
    if (!ssl || !leaf)
        return;
    describe(ssl, X509_STORE_CTX_get0_param(c), leaf, out);
    out->sent = sent > 0 ? (unsigned)sent : 1;
    out->akin = is_akin(X509_STORE_CTX_get0_store(c), leaf);
    ERR_clear_error();
}

void cmg_tls_seen(struct ssl_st *ssl, struct cmg_tls_seen *out)
{
    const struct cmg_verdict *v = cmg_verdict_of(ssl);
    X509 *leaf = SSL_get0_peer_certificate(ssl);

    *out = v ? v->seen : (struct cmg_tls_seen){ .fault = CMG_TLS_SOUND };
    if (out->names[0] || !leaf)
        return;
    describe(ssl, SSL_get0_param(ssl), leaf, out);
    out->sent = (unsigned)sk_X509_num(SSL_get_peer_cert_chain(ssl));
    ERR_clear_error();
}
