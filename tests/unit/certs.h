/* SPDX-License-Identifier: MIT */
/* Certificates for tests, made as needed, in a directory that goes with the program. */
#ifndef TEST_CERTS_H
#define TEST_CERTS_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct cert {
    X509 *x;
    EVP_PKEY *key;
};

struct cert_spec {
    const char *cn;
    const char *san; /* "DNS:a,IP:127.0.0.1"; NULL: none        */
    const char *eku; /* "clientAuth"; NULL: none                */
    const char *ku;  /* NULL: none                              */
    const char *cdp; /* "URI:http://a/b.crl"; NULL: none        */
    bool ca;
    bool no_crls;              /* a CA that may sign certificates only    */
    bool ids;                  /* subject and authority key identifiers   */
    int from_days, to_days;    /* from now; both 0: yesterday to tomorrow */
    const struct cert *issuer; /* NULL: self-signed                       */
};

static char cert_dir[64];

static int cert_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void cert_cleanup(void)
{
    nftw(cert_dir, cert_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

static void cert_setup(void)
{
    snprintf(cert_dir, sizeof(cert_dir), "/tmp/cmg-test-XXXXXX");
    if (!mkdtemp(cert_dir))
        abort();
    atexit(cert_cleanup);
}

/* A path in the directory; four may be in use at once. */
static const char *cert_path(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof(paths[0]), "%s/%s", cert_dir, name);
    return p;
}

static void cert_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    if (!value)
        return;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (!e || !X509_add_ext(x, e, -1))
        abort();
    X509_EXTENSION_free(e);
}

static inline struct cert cert_make(const struct cert_spec *s)
{
    static long serial;
    struct cert c = { X509_new(), EVP_EC_gen("P-256") };
    X509 *issuer = s->issuer ? s->issuer->x : c.x;
    bool dated = s->from_days || s->to_days;
    X509_NAME *name = X509_get_subject_name(c.x);

    X509_set_version(c.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x), 0x1000 + ++serial);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)s->cn, -1, -1, 0);
    X509_set_issuer_name(c.x, X509_get_subject_name(issuer));
    X509_gmtime_adj(X509_getm_notBefore(c.x), 86400L * (dated ? s->from_days : -1));
    X509_gmtime_adj(X509_getm_notAfter(c.x), 86400L * (dated ? s->to_days : 1));
    X509_set_pubkey(c.x, c.key);
    cert_extension(c.x, issuer, NID_basic_constraints, s->ca ? "critical,CA:TRUE" : "CA:FALSE");
    cert_extension(c.x, issuer, NID_key_usage,
                   !s->ca       ? s->ku
                   : s->no_crls ? "critical,keyCertSign"
                                : "critical,keyCertSign,cRLSign");
    cert_extension(c.x, issuer, NID_ext_key_usage, s->eku);
    cert_extension(c.x, issuer, NID_subject_alt_name, s->san);
    cert_extension(c.x, issuer, NID_crl_distribution_points, s->cdp);
    cert_extension(c.x, issuer, NID_subject_key_identifier, s->ids ? "hash" : NULL);
    cert_extension(c.x, issuer, NID_authority_key_identifier,
                   s->ids && s->issuer ? "keyid:always" : NULL);
    if (!X509_sign(c.x, s->issuer ? s->issuer->key : c.key, EVP_sha256()))
        abort();
    return c;
}

static inline void cert_free(struct cert *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
}

/* Writes the certificates, NULL-ended, into one PEM file. */
static inline const char *cert_write(const char *name, const struct cert *const *certs)
{
    const char *path = cert_path(name);
    FILE *f = fopen(path, "w");
    if (!f)
        abort();
    for (; *certs; certs++)
        PEM_write_X509(f, (*certs)->x);
    fclose(f);
    return path;
}

static inline const char *cert_write_key(const char *name, const struct cert *c, mode_t mode)
{
    const char *path = cert_path(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f)
        abort();
    PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    if (chmod(path, mode))
        abort();
    return path;
}

static inline const char *cert_write_text(const char *name, const char *text, mode_t mode)
{
    const char *path = cert_path(name);
    unlink(path);
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) || chmod(path, mode))
        abort();
    return path;
}

#define CERTS(...) ((const struct cert *const[]){ __VA_ARGS__, NULL })

#endif
