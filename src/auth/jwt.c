/* SPDX-License-Identifier: MIT */
/* Tokens taken apart, and put together. What is read here is what somebody says; whether it is
 * true is judged in jwt_verify.c. */
#include "cmg/auth/jwt.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/base64.h"
#include "shown.h"
#include "strict_json.h"
#include "token.h"

enum { HEADER, CLAIMS, SIGNATURE, PARTS, RS256_BYTES_MIN = 2048 / 8, ES256_BYTES = 64 };

/* ---- Reading ---- */

static enum cmg_rc split(struct cmg_str token, struct cmg_str parts[PARTS], struct cmg_err *err)
{
    size_t n = 0, start = 0;
    for (size_t i = 0; i <= token.n; i++) {
        if (i < token.n && token.p[i] != '.')
            continue;
        if (n == PARTS || i == start)
            return cmg_fail(err, CMG_EDENIED, "not three parts, joined by dots");
        parts[n++] = (struct cmg_str){ token.p + start, i - start };
        start = i + 1;
    }
    return n == PARTS ? CMG_OK : cmg_fail(err, CMG_EDENIED, "not three parts, joined by dots");
}

/* NULL: not base64url, or not strict JSON. */
static json_t *read_object(struct cmg_str part)
{
    size_t n = 0;
    char *bytes = cmg_alloc(cmg_base64_room(part.n) + 1);
    json_t *o = NULL;
    if (cmg_base64_get(CMG_BASE64URL, part, bytes, &n) == CMG_OK)
        o = cmg_strict_json((struct cmg_str){ bytes, n });
    free(bytes);
    return o;
}

/* What would change how a token is read, or bring its own key along. */
static const char *const never[] = {
    "crit", "b64", "zip", "enc", "cty", "jwk", "jku", "x5u", "x5c"
};

/* A name is text of some length, or not there at all. */
static bool name_ok(const json_t *header, const char *member)
{
    size_t n = json_string_length(json_object_get(header, member));
    return !json_object_get(header, member) || (n > 0 && n <= CMG_KEY_ID_MAX);
}

static enum cmg_rc check_header(struct cmg_jwt *t, struct cmg_err *err)
{
    char word[CMG_SHOWN];
    struct cmg_str alg = cmg_jwt_header(t, "alg");
    for (size_t i = 0; i < CMG_COUNT(never); i++)
        if (json_object_get(t->header, never[i]))
            return cmg_fail(err, CMG_EDENIED, "its header has \"%s\"", never[i]);
    t->alg = cmg_alg_of(alg);
    if (t->alg == CMG_ALG_NONE)
        return cmg_fail(err, CMG_EDENIED, "its algorithm is not RS256 or ES256: %s",
                        cmg_shown(alg, word));
    if (!name_ok(t->header, "kid") || !name_ok(t->header, "x5t") || !name_ok(t->header, "x5t#S256"))
        return cmg_fail(err, CMG_EDENIED, "the name of its key is empty, too long or not text");
    struct cmg_key_names names = cmg_jwt_key_names(t);
    if (!names.kid.p && !names.x5t.p && !names.x5t_s256.p)
        return cmg_fail(err, CMG_EDENIED, "it names no key");
    return CMG_OK;
}

static enum cmg_rc read_signature(struct cmg_jwt *t, struct cmg_str part, struct cmg_err *err)
{
    /* So that what is decoded fits, whatever it is. */
    bool fits = cmg_base64_room(part.n) <= sizeof(t->signature);
    if (!fits || cmg_base64_get(CMG_BASE64URL, part, t->signature, &t->signature_n) != CMG_OK)
        return cmg_fail(err, CMG_EDENIED, "its signature is too long or not base64url");
    if (t->alg == CMG_ALG_ES256 ? t->signature_n != ES256_BYTES : t->signature_n < RS256_BYTES_MIN)
        return cmg_fail(err, CMG_EDENIED, "its signature is not as long as one by %s is",
                        cmg_alg_name(t->alg));
    return CMG_OK;
}

static enum cmg_rc fill(struct cmg_jwt *t, const struct cmg_str parts[PARTS], struct cmg_err *err)
{
    t->header = read_object(parts[HEADER]);
    if (!t->header)
        return cmg_fail(err, CMG_EDENIED, "its header is not one JSON object in base64url");
    enum cmg_rc rc = check_header(t, err);
    if (rc == CMG_OK)
        rc = read_signature(t, parts[SIGNATURE], err);
    if (rc != CMG_OK)
        return rc;
    t->claims = read_object(parts[CLAIMS]);
    if (!t->claims)
        return cmg_fail(err, CMG_EDENIED, "its claims are not one JSON object in base64url");
    t->text_n = parts[HEADER].n + 1 + parts[CLAIMS].n;
    t->text = cmg_strndup(parts[HEADER].p, t->text_n);
    return CMG_OK;
}

struct cmg_jwt *cmg_jwt_read(struct cmg_str token, struct cmg_err *err)
{
    struct cmg_str parts[PARTS];
    if (token.n > CMG_JWT_BYTES_MAX) {
        cmg_fail(err, CMG_EDENIED, "longer than %d bytes", CMG_JWT_BYTES_MAX);
        return NULL;
    }
    if (split(token, parts, err) != CMG_OK)
        return NULL;
    struct cmg_jwt *t = cmg_alloc(sizeof(*t));
    if (fill(t, parts, err) == CMG_OK)
        return t;
    cmg_jwt_free(t);
    return NULL;
}

void cmg_jwt_free(struct cmg_jwt *t)
{
    if (!t)
        return;
    json_decref(t->header);
    json_decref(t->claims);
    free(t->text);
    free(t);
}

/* ---- Members ---- */

struct cmg_str cmg_jwt_text(const struct cmg_jwt *t, const char *claim)
{
    return cmg_json_text(t->claims, claim);
}

int64_t cmg_jwt_number(const struct cmg_jwt *t, const char *claim)
{
    const json_t *value = json_object_get(t->claims, claim);
    return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value)
                                                                    : -1;
}

struct cmg_str cmg_jwt_header(const struct cmg_jwt *t, const char *member)
{
    return cmg_json_text(t->header, member);
}

enum cmg_alg cmg_jwt_alg(const struct cmg_jwt *t)
{
    return t->alg;
}

struct cmg_key_names cmg_jwt_key_names(const struct cmg_jwt *t)
{
    return (struct cmg_key_names){ cmg_jwt_header(t, "kid"), cmg_jwt_header(t, "x5t"),
                                   cmg_jwt_header(t, "x5t#S256") };
}

static bool among(const json_t *value, const char *const *list)
{
    struct cmg_str text = { json_string_value(value), json_string_length(value) };
    for (; text.p && *list; list++)
        if (cmg_str_eq(text, cmg_str(*list)))
            return true;
    return false;
}

bool cmg_jwt_is_for(const struct cmg_jwt *t, const char *const *audiences)
{
    const json_t *aud = json_object_get(t->claims, "aud");
    bool found = false;
    if (!json_is_array(aud))
        return among(aud, audiences);
    for (size_t i = 0; i < json_array_size(aud); i++) {
        if (!json_is_string(json_array_get(aud, i)))
            return false; /* a list of other things means who knows what */
        found = found || among(json_array_get(aud, i), audiences);
    }
    return found;
}

/* ---- Writing ---- */

static size_t put_part(char *out, struct cmg_str bytes)
{
    return cmg_base64_put(CMG_BASE64URL, bytes, out);
}

char *cmg_jwt_issue(const struct cmg_signer *s, struct cmg_str claims_json)
{
    unsigned char signature[CMG_SIGNATURE_MAX];
    char header[256];
    json_t *claims = cmg_strict_json(claims_json);
    const char *x5t = cmg_signer_x5t(s);
    int n = snprintf(header, sizeof(header),
                     "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\",\"x5t\":\"%s\"}",
                     cmg_alg_name(cmg_signer_alg(s)), x5t, x5t);

    json_decref(claims);
    if (!claims || claims_json.n > CMG_JWT_BYTES_MAX)
        return NULL;
    /* Room for two dots and a NUL beside the parts. */
    char *token = cmg_alloc(cmg_base64_size(CMG_BASE64URL, (size_t)n) +
                            cmg_base64_size(CMG_BASE64URL, claims_json.n) +
                            cmg_base64_size(CMG_BASE64URL, sizeof(signature)) + 3);
    size_t at = put_part(token, (struct cmg_str){ header, (size_t)n });
    token[at++] = '.';
    at += put_part(token + at, claims_json);
    size_t signed_n = cmg_signer_sign(s, (struct cmg_str){ token, at }, signature);
    token[at++] = '.';
    at += put_part(token + at, (struct cmg_str){ (const char *)signature, signed_n });
    if (at <= CMG_JWT_BYTES_MAX)
        return token;
    free(token); /* nobody would read it */
    return NULL;
}
