/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "cmg/auth/pem.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/file.h"
#include "ctl/pki_openssl.h"

enum { RSA_BITS = 3072, SERIAL_BYTES = 16, FILE_MAX_BYTES = 1024 * 1024 };

struct extension {
    int nid;
    const char *value;
};

/* clang-format off */
static const struct extension extensions[][5] = {
    [PKI_AUTHORITY] = { { NID_basic_constraints, "critical,CA:TRUE" },
                        { NID_key_usage, "critical,keyCertSign,cRLSign" } },
    [PKI_SERVER] =    { { NID_basic_constraints, "critical,CA:FALSE" },
                        { NID_key_usage, "critical,digitalSignature" },
                        { NID_ext_key_usage, "serverAuth" } },
    [PKI_CLIENT] =    { { NID_basic_constraints, "critical,CA:FALSE" },
                        { NID_key_usage, "critical,digitalSignature" },
                        { NID_ext_key_usage, "clientAuth" } },
    [PKI_SIGNING] =   { { NID_basic_constraints, "critical,CA:FALSE" },
                        { NID_key_usage, "critical,digitalSignature" } },
};
/* clang-format on */

void pki_must(bool done)
{
    if (!done)
        abort();
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    pki_must(e && X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

/* Not zero, not negative, and nobody can guess the next one. */
static void set_serial(X509 *x)
{
    unsigned char bytes[SERIAL_BYTES];
    cmg_random(bytes, sizeof(bytes));
    bytes[0] = (unsigned char)((bytes[0] & 0x3f) | 0x40);
    BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
    pki_must(n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)));
    BN_free(n);
}

void pki_set_time(ASN1_TIME *t, int64_t at)
{
    pki_must(ASN1_TIME_adj(t, (time_t)at, 0, 0) != NULL);
}

static void set_names(X509 *x, const struct pki_spec *s)
{
    X509_NAME *name = X509_get_subject_name(x);
    pki_must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)s->name,
                                        -1, -1, 0));
    pki_must(X509_set_issuer_name(x, s->issuer ? X509_get_subject_name(s->issuer->x) : name));
}

struct pki_pair *pki_make(const struct pki_spec *s)
{
    struct pki_pair *p = cmg_alloc(sizeof(*p));
    p->x = X509_new();
    p->key = s->use == PKI_SIGNING ? EVP_RSA_gen(RSA_BITS) : EVP_EC_gen("P-256");
    pki_must(p->x && p->key && X509_set_version(p->x, X509_VERSION_3));
    set_serial(p->x);
    set_names(p->x, s);
    pki_set_time(X509_getm_notBefore(p->x), s->from);
    pki_set_time(X509_getm_notAfter(p->x), s->to);
    pki_must(X509_set_pubkey(p->x, p->key));

    X509 *issuer = s->issuer ? s->issuer->x : p->x;
    for (const struct extension *e = extensions[s->use]; e->value; e++)
        extend(p->x, issuer, e->nid, e->value);
    if (s->san)
        extend(p->x, issuer, NID_subject_alt_name, s->san);
    extend(p->x, issuer, NID_subject_key_identifier, "hash");
    if (s->issuer)
        extend(p->x, issuer, NID_authority_key_identifier, "keyid:always");
    pki_must(X509_sign(p->x, s->issuer ? s->issuer->key : p->key, EVP_sha256()) > 0);
    return p;
}

void pki_free(struct pki_pair *p)
{
    if (!p)
        return;
    X509_free(p->x);
    EVP_PKEY_free(p->key);
    free(p);
}

/* --- PEM ------------------------------------------------------------------------------------ */

/* Takes bio. */
char *pki_text_of(BIO *bio)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    pki_must(n > 0);
    char *text = cmg_strndup(p, (size_t)n);
    BIO_free(bio);
    return text;
}

char *pki_certificate(const struct pki_pair *p)
{
    BIO *bio = BIO_new(BIO_s_mem());
    pki_must(bio && PEM_write_bio_X509(bio, p->x));
    return pki_text_of(bio);
}

char *pki_key(const struct pki_pair *p)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    pki_must(bio && PEM_write_bio_PrivateKey(bio, p->key, NULL, NULL, 0, NULL, NULL));
    return pki_text_of(bio);
}

static BIO *open_text(const char *path, enum cmg_file_kind kind, char **text, size_t *n,
                      struct cmg_err *err)
{
    *text = cmg_file_read(path, kind, FILE_MAX_BYTES, n, err);
    BIO *bio = *text ? BIO_new_mem_buf(*text, (int)*n) : NULL;
    pki_must(bio || !*text);
    return bio;
}

static void close_text(BIO *bio, char *text, size_t n)
{
    BIO_free(bio);
    explicit_bzero(text, n);
    free(text);
    ERR_clear_error();
}

static X509 *load_certificate(const char *path, struct cmg_err *err)
{
    char *text;
    size_t n;
    BIO *bio = open_text(path, CMG_FILE_PUBLIC, &text, &n, err);
    if (!bio)
        return NULL;
    X509 *x = PEM_read_bio_X509(bio, NULL, cmg_pem_no_password, NULL);
    close_text(bio, text, n);
    if (!x)
        cmg_fail(err, CMG_ECONF, "%s holds no certificate (PEM)", path);
    return x;
}

static EVP_PKEY *load_key(const char *path, struct cmg_err *err)
{
    char *text;
    size_t n;
    BIO *bio = open_text(path, CMG_FILE_SECRET, &text, &n, err);
    if (!bio)
        return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, cmg_pem_no_password, NULL);
    close_text(bio, text, n);
    if (!key)
        cmg_fail(err, CMG_ECONF, "%s holds no private key (PEM, without a password)", path);
    return key;
}

struct pki_pair *pki_load(const char *certificate, const char *key, struct cmg_err *err)
{
    struct pki_pair *p = cmg_alloc(sizeof(*p));
    p->x = load_certificate(certificate, err);
    p->key = p->x ? load_key(key, err) : NULL;
    if (p->key && X509_check_private_key(p->x, p->key) == 1)
        return p;
    if (p->key)
        cmg_fail(err, CMG_ECONF, "%s is not the key of %s", key, certificate);
    ERR_clear_error();
    pki_free(p);
    return NULL;
}
