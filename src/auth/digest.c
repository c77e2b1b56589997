/* SPDX-License-Identifier: MIT */
#include "cmg/auth/digest.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "cmg/base/alloc.h"

struct cmg_md5_sum {
    EVP_MD_CTX *ctx; /* owned */
};

/* Fails for want of memory only, which ends the process as everywhere. */
static void digest(const EVP_MD *md, struct cmg_str bytes, unsigned char *out)
{
    if (!EVP_Digest(bytes.p, bytes.n, out, NULL, md, NULL))
        abort();
}

void cmg_sha256(struct cmg_str bytes, unsigned char out[CMG_SHA256_BYTES])
{
    digest(EVP_sha256(), bytes, out);
}

void cmg_md5(struct cmg_str bytes, unsigned char out[CMG_MD5_BYTES])
{
    digest(EVP_md5(), bytes, out);
}

void cmg_hmac_sha256(struct cmg_str key, struct cmg_str bytes, unsigned char out[CMG_SHA256_BYTES])
{
    if (!HMAC(EVP_sha256(), key.p ? key.p : "", (int)key.n, (const unsigned char *)bytes.p, bytes.n,
              out, NULL))
        abort();
}

struct cmg_md5_sum *cmg_md5_sum_new(void)
{
    struct cmg_md5_sum *m = cmg_alloc(sizeof(*m));
    m->ctx = EVP_MD_CTX_new();
    if (!m->ctx || !EVP_DigestInit_ex(m->ctx, EVP_md5(), NULL))
        abort();
    return m;
}

void cmg_md5_sum_add(struct cmg_md5_sum *m, struct cmg_str bytes)
{
    if (!EVP_DigestUpdate(m->ctx, bytes.p, bytes.n))
        abort();
}

void cmg_md5_sum_end(struct cmg_md5_sum *m, unsigned char out[CMG_MD5_BYTES])
{
    if (!EVP_DigestFinal_ex(m->ctx, out, NULL))
        abort();
}

void cmg_md5_sum_free(struct cmg_md5_sum *m)
{
    if (!m)
        return;
    EVP_MD_CTX_free(m->ctx);
    free(m);
}
