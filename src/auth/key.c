/* SPDX-License-Identifier: MIT */
/* Sets of keys: their members by number and by name. */
#include "cmg/auth/key.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "keyset.h"
#include "shown.h"

enum cmg_alg cmg_alg_of(struct cmg_str name)
{
    if (cmg_str_eq(name, CMG_STR("RS256")))
        return CMG_ALG_RS256;
    return cmg_str_eq(name, CMG_STR("ES256")) ? CMG_ALG_ES256 : CMG_ALG_NONE;
}

const char *cmg_alg_name(enum cmg_alg alg)
{
    switch (alg) {
    case CMG_ALG_RS256:
        return "RS256";
    case CMG_ALG_ES256:
        return "ES256";
    case CMG_ALG_NONE:
        break;
    }
    return "none";
}

/* ---- A set ---- */

struct cmg_keyset *cmg_keyset_new(void)
{
    struct cmg_keyset *s = cmg_alloc(sizeof(*s));
    s->refs = 1;
    return s;
}

struct cmg_keyset *cmg_keyset_ref(struct cmg_keyset *s)
{
    s->refs++;
    return s;
}

void cmg_keyset_unref(struct cmg_keyset *s)
{
    if (!s || --s->refs > 0)
        return;
    cmg_keyset_cut(s, 0);
    free(s);
}

size_t cmg_keyset_count(const struct cmg_keyset *s)
{
    return s->n;
}

void cmg_key_clear(struct cmg_key *k)
{
    cmg_pubkey_clear(&k->pub);
    free(k->kid);
    free(k->x5t);
    free(k->x5t_s256);
    free(k->issuer);
    *k = (struct cmg_key){ 0 };
}

void cmg_keyset_cut(struct cmg_keyset *s, size_t n)
{
    while (s->n > n)
        cmg_key_clear(&s->v[--s->n]);
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

enum cmg_rc cmg_keyset_put(struct cmg_keyset *s, struct cmg_key *taken)
{
    enum cmg_rc rc = s->n < CMG_KEYSET_MAX ? CMG_OK : CMG_ETOOBIG;

    for (size_t i = 0; i < s->n; i++) {
        const struct cmg_key *k = &s->v[i];
        if (same(k->kid, taken->kid) || same(k->x5t, taken->x5t) ||
            same(k->x5t_s256, taken->x5t_s256))
            rc = CMG_EDENIED;
    }
    if (rc == CMG_OK)
        s->v[s->n++] = *taken;
    else
        cmg_key_clear(taken);
    return rc;
}

void cmg_keyset_info(const struct cmg_keyset *s, size_t i, struct cmg_key_info *out)
{
    const struct cmg_key *k = &s->v[i];
    *out = (struct cmg_key_info){ k->pub.alg, k->pub.bits, k->kid, k->not_before, k->not_after };
}

/* ---- A key by its names ---- */

/* Counts what a name says of a key. A key that has no such name is not contradicted. */
static void compare(struct cmg_str name, const char *of_key, int *for_it, int *against)
{
    if (!name.p || !of_key)
        return;
    if (cmg_str_eq(name, cmg_str(of_key)))
        ++*for_it;
    else
        ++*against;
}

static enum cmg_rc nobody(const struct cmg_key_names *names, struct cmg_err *err)
{
    char id[CMG_SHOWN];
    bool kid = names->kid.p != NULL, x5t = names->x5t.p != NULL;
    return cmg_fail(err, CMG_MORE, "no key is known by the %s %s",
                    kid   ? "kid"
                    : x5t ? "x5t"
                          : "x5t#S256",
                    cmg_shown(kid   ? names->kid
                              : x5t ? names->x5t
                                    : names->x5t_s256,
                              id));
}

enum cmg_rc cmg_keyset_find(const struct cmg_keyset *s, const struct cmg_key_names *names,
                            size_t *i, struct cmg_err *err)
{
    size_t found = s->n;
    bool torn = false;

    for (size_t k = 0; k < s->n; k++) {
        int for_it = 0, against = 0;
        compare(names->kid, s->v[k].kid, &for_it, &against);
        compare(names->x5t, s->v[k].x5t, &for_it, &against);
        compare(names->x5t_s256, s->v[k].x5t_s256, &for_it, &against);
        if (for_it == 0)
            continue;
        torn = torn || against > 0 || found < s->n;
        found = k;
    }
    if (torn)
        return cmg_fail(err, CMG_EDENIED, "its kid, x5t and x5t#S256 name different keys");
    if (found == s->n)
        return nobody(names, err);
    *i = found;
    return CMG_OK;
}

bool cmg_key_verify(const struct cmg_keyset *s, size_t i, struct cmg_str text,
                    struct cmg_str signature)
{
    return cmg_pubkey_verify(&s->v[i].pub, text, signature);
}
