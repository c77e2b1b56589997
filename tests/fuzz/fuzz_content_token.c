/* SPDX-License-Identifier: MIT */
/* The input is a query, as a stranger sends it, and the part of one that the site signs.
 *
 * A stranger's is never accepted. What the site signed is accepted only where it has one reading:
 * its members come out in the form that they are issued in, and the token that is issued from them
 * says the same. */
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "cmg/auth/content_token.h"
#include "cmg/proto/base64.h"
#include "fuzz.h"

enum { DAY = 86400 };

static const char *const issuers[] = { "mp.example.com", NULL };
static const int64_t now = 1769853600; /* 2026-01-31T10:00:00Z */
static struct cmg_signer *signer;
static struct cmg_keyset *keys;

static char *text_of(BIO *bio)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    char *copy = calloc(1, (size_t)n + 1);
    hold(copy != NULL, "there is memory");
    memcpy(copy, p, (size_t)n);
    BIO_free(bio);
    return copy;
}

static void set_up(void)
{
    struct cmg_err err;
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)now - DAY);
    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)now + DAY);
    X509_set_pubkey(x, key);
    X509_sign(x, key, EVP_sha256());
    BIO *certificate = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(certificate, x);
    PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL);
    char *certificate_pem = text_of(certificate), *key_pem = text_of(secret);
    keys = cmg_keyset_new();
    signer = cmg_signer_new(cmg_str(certificate_pem), cmg_str(key_pem), &err);
    hold(signer && cmg_keyset_add_certificates(keys, cmg_str(certificate_pem), &err) == CMG_OK,
         "there is a key");
    free(certificate_pem);
    free(key_pem);
    X509_free(x);
    EVP_PKEY_free(key);
}

static bool accepted(struct cmg_str query, struct cmg_content_token *t)
{
    struct cmg_err err = { 0 };
    enum cmg_rc rc = cmg_content_token_verify(query, keys, issuers, now, 60, DAY, t, &err);
    hold(rc == CMG_OK || (rc == CMG_EDENIED && err.text[0]), "a refusal has a reason");
    hold(rc == CMG_OK || !t->content[0], "a refusal says nothing");
    return rc == CMG_OK;
}

/* By the query alone, without a form to go by. */
static bool sign(struct cmg_str part, char *out, size_t size, size_t *n)
{
    unsigned char bytes[CMG_SIGNATURE_MAX];
    size_t signature = cmg_signer_sign(signer, part, bytes);
    if (part.n + 16 + 2 * signature > size)
        return false;
    memcpy(out, part.p, part.n);
    memcpy(out + part.n, "&signature=", 11);
    *n = part.n + 11;
    *n += cmg_base64_put(CMG_BASE64URL, (struct cmg_str){ (char *)bytes, signature }, out + *n);
    return true;
}

static void has_one_reading(const struct cmg_content_token *t)
{
    struct cmg_err err;
    struct cmg_content_token again;
    hold(cmg_content_id_ok(cmg_str(t->package)) && cmg_content_id_ok(cmg_str(t->content)),
         "ids are plain");
    hold(!strchr(t->content, '/') && !strchr(t->content, '%') && !strstr(t->content, ".."),
         "ids name nothing else");
    hold(cmg_guid_ok(cmg_str(t->client), NULL), "the client is a GUID");
    hold(t->start < t->end && t->end - t->start <= DAY, "times are in order");
    char *query = cmg_content_token_issue(signer, t, &err);
    hold(query && accepted(cmg_str(query), &again), "it can be issued");
    hold(!memcmp(t, &again, sizeof(again)), "and says the same");
    free(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    char query[CMG_CONTENT_QUERY_MAX];
    struct cmg_content_token t;
    struct cmg_str in = { (const char *)p, n };
    size_t signed_n;
    if (!signer)
        set_up();
    hold(!accepted(in, &t), "what the site did not sign is refused");
    if (n && sign(in, query, sizeof(query), &signed_n) &&
        accepted((struct cmg_str){ query, signed_n }, &t))
        has_one_reading(&t);
    return 0;
}
