/* SPDX-License-Identifier: MIT */
/* A set that is taken has only keys that are strong enough, each to be found by its name, and
 * none of them verifies what nobody signed. A set that is refused leaves nothing behind. */
#include "cmg/auth/key.h"

#include <openssl/err.h>

#include "fuzz.h"

static void strong(const struct cmg_key_info *k)
{
    if (k->alg == CMG_ALG_RS256)
        hold(k->bits >= 2048 && k->bits <= 8192, "RSA is long enough, and not too long");
    else
        hold(k->alg == CMG_ALG_ES256 && k->bits == 256, "EC is P-256");
    hold(k->id && k->id[0] && strlen(k->id) <= CMG_KEY_ID_MAX, "it has a name");
    hold(k->not_before == 0 && k->not_after == 0, "a JWK has no certificate");
}

static void no_signature(const struct cmg_keyset *s, size_t i, const struct cmg_key_info *k)
{
    static const char zeros[CMG_SIGNATURE_MAX];
    size_t n = k->alg == CMG_ALG_RS256 ? (k->bits + 7) / 8 : 64;
    hold(!cmg_key_verify(s, i, CMG_STR("text"), (struct cmg_str){ zeros, n }),
         "zeros are no signature");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cmg_keyset *s = cmg_keyset_new();
    struct cmg_err err = { 0 };
    enum cmg_rc rc = cmg_keyset_add_jwks(s, (struct cmg_str){ (const char *)p, n }, NULL, &err);
    size_t count = cmg_keyset_count(s);

    hold(rc == CMG_OK ? count > 0 : rc == CMG_EPROTO && count == 0 && err.text[0],
         "there are keys, or a reason");
    for (size_t i = 0; i < count; i++) {
        struct cmg_key_info k;
        size_t at = count;
        cmg_keyset_info(s, i, &k);
        strong(&k);
        no_signature(s, i, &k);
        const struct cmg_key_names names = { .kid = cmg_str(k.id) };
        hold(cmg_keyset_find(s, &names, &at, NULL) == CMG_OK && at == i, "it is found");
    }
    hold(ERR_peek_error() == 0, "OpenSSL's queue is empty");
    cmg_keyset_unref(s);
    return 0;
}
