/* SPDX-License-Identifier: MIT */
/* A certificate of our own and its key, looked at without being used. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls_key.h"
#include "tls_peer.h"
#include "trust.h"
#include "verdict.h"

static bool is_linked(STACK_OF(X509) * certs)
{
    for (int i = 0; i + 1 < sk_X509_num(certs); i++)
        if (X509_check_issued(sk_X509_value(certs, i + 1), sk_X509_value(certs, i)) != X509_V_OK)
            return false;
    return true;
}

static void look(STACK_OF(X509) * certs, EVP_PKEY *key, struct cmg_tls_own *out)
{
    X509 *leaf = sk_X509_value(certs, 0);
    X509 *last = sk_X509_value(certs, sk_X509_num(certs) - 1);

    cmg_peer_describe(leaf, &out->id);
    cmg_verdict_name(X509_get_issuer_name(last), out->top, sizeof(out->top));
    out->n = (unsigned)sk_X509_num(certs);
    out->linked = is_linked(certs);
    out->fits = X509_check_private_key(leaf, key) == 1;
    out->usable = (X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) &&
                  (X509_get_extended_key_usage(leaf) & XKU_SSL_CLIENT);
    out->self_signed = X509_get_extension_flags(leaf) & EXFLAG_SS;
    ERR_clear_error();
}

enum cmg_rc cmg_tls_own_read(const char *certificate, const char *key, struct cmg_tls_own *out,
                             struct cmg_err *err)
{
    memset(out, 0, sizeof(*out));
    STACK_OF(X509) *certs = cmg_trust_read(certificate, err);
    if (!certs)
        return CMG_ECONF;
    EVP_PKEY *own = cmg_tls_key_read(key, err);
    if (own)
        look(certs, own, out);
    EVP_PKEY_free(own);
    sk_X509_pop_free(certs, X509_free);
    return own ? CMG_OK : CMG_ECONF;
}
