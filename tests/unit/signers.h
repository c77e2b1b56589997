/* SPDX-License-Identifier: MIT */
/* Keys that sign tokens, made as needed; their certificates lie in cert_dir (certs.h). */
#ifndef TEST_SIGNERS_H
#define TEST_SIGNERS_H

#include <openssl/rsa.h>

#include "certs.h"
#include "cmg/base/alloc.h"
#include "cmg/auth/key.h"

/* A file's text, for the caller to free. */
static char *slurp(const char *path)
{
    char *text = cmg_alloc(16384);
    FILE *f = fopen(path, "r");
    if (!f || !fread(text, 1, 16383, f))
        abort();
    fclose(f);
    return text;
}

/* NAME.pem and NAME.key; `path` gets that of the certificate. */
static struct cmg_signer *signer_make(const char *name, bool rsa, int from_days, int to_days,
                                      char path[128])
{
    struct cmg_err err;
    char file[64];
    struct cert c = cert_make(&(struct cert_spec){
        .cn = name, .ku = "digitalSignature", .from_days = from_days, .to_days = to_days });
    if (rsa) {
        EVP_PKEY_free(c.key);
        c.key = EVP_RSA_gen(2048);
        X509_set_pubkey(c.x, c.key);
        if (!X509_sign(c.x, c.key, EVP_sha256()))
            abort();
    }
    snprintf(file, sizeof(file), "%s.pem", name);
    snprintf(path, 128, "%s", cert_write(file, CERTS(&c)));
    snprintf(file, sizeof(file), "%s.key", name);
    char *certificate = slurp(path), *key = slurp(cert_write_key(file, &c, 0600));
    struct cmg_signer *s = cmg_signer_new(cmg_str(certificate), cmg_str(key), &err);
    free(certificate);
    free(key);
    cert_free(&c);
    if (!s)
        abort();
    return s;
}

/* Adds the certificate in a file. */
static inline void signer_trust(struct cmg_keyset *keys, const char *path)
{
    struct cmg_err err;
    char *text = slurp(path);
    if (cmg_keyset_add_certificates(keys, cmg_str(text), &err) != CMG_OK)
        abort();
    free(text);
}

#endif
