/* SPDX-License-Identifier: MIT */
/* Content tokens: one reading of a query, and only of what was signed. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "cmg/auth/content_token.h"
#include "cmg/proto/base64.h"
#include "signers.h"

#define CLIENT "11111111-2222-4333-8444-555555555555"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

/* 2026-01-31T10:00:00Z: certificates are made to fit. */
static const int64_t start = 1769853600;
static const char *const issuers[] = { "other.example.com", "MP.corp.example.com", NULL };

static struct cmg_signer *rsa, *rsa2, *ec, *old;
static struct cmg_keyset *keys;
static struct cmg_err why;
static struct cmg_content_token got;

static int days_to(int64_t at)
{
    return (int)((at - time(NULL)) / DAY);
}

static int set_up_all(void **state)
{
    char path[128];
    (void)state;
    cert_setup();
    keys = cmg_keyset_new();
    rsa = signer_make("rsa", true, days_to(start) - 2, days_to(start) + 30, path);
    signer_trust(keys, path);
    rsa2 = signer_make("rsa2", true, days_to(start) - 2, days_to(start) + 30, path);
    signer_trust(keys, path);
    ec = signer_make("ec", false, days_to(start) - 2, days_to(start) + 30, path);
    signer_trust(keys, path);
    old = signer_make("old", true, days_to(start) - 30, days_to(start) - 3, path);
    signer_trust(keys, path);
    return 0;
}

static int tear_down_all(void **state)
{
    (void)state;
    cmg_signer_free(rsa);
    cmg_signer_free(rsa2);
    cmg_signer_free(ec);
    cmg_signer_free(old);
    cmg_keyset_unref(keys);
    return 0;
}

static enum cmg_rc verify(const char *query, int64_t now)
{
    return cmg_content_token_verify(cmg_str(query), keys, issuers, now, MINUTE, DAY, &got, &why);
}

static struct cmg_content_token a_token(void)
{
    return (struct cmg_content_token){ .package = "PS100042",
                                       .content = "PS100042.3",
                                       .client = CLIENT,
                                       .issuer = "mp.corp.example.com",
                                       .start = start,
                                       .end = start + DAY };
}

/* The query without a signature, signed. */
static char *signed_by(const struct cmg_signer *s, const char *part)
{
    unsigned char bytes[CMG_SIGNATURE_MAX];
    char text[2 * CMG_SIGNATURE_MAX];
    size_t n = cmg_signer_sign(s, cmg_str(part), bytes);
    cmg_base64_put(CMG_BASE64URL, (struct cmg_str){ (char *)bytes, n }, text);
    size_t size = strlen(part) + strlen(text) + 16;
    char *query = cmg_alloc(size);
    snprintf(query, size, "%s&signature=%s", part, text);
    return query;
}

static void what_is_issued_is_taken_and_reads_as_before(void **state)
{
    struct cmg_content_token t = a_token();
    (void)state;
    char *query = cmg_content_token_issue(rsa, &t, &why);
    assert_non_null(query);
    const char *head = "pid=PS100042&cid=PS100042.3&tid=GUID:" CLIENT
                       "&iss=mp.corp.example.com&alg=1.2.840.113549.1.1.11"
                       "&st=2026-01-31T10:00:00Z&et=2026-02-01T10:00:00Z&x5t=";
    assert_memory_equal(query, head, strlen(head));
    if (verify(query, start) != CMG_OK)
        fail_msg("%s", why.text);
    assert_memory_equal(&got, &t, sizeof(t));

    /* Every byte counts: whatever is changed, it is refused. */
    size_t n = strlen(query);
    for (size_t i = 0; i < n; i++) {
        query[i] ^= 1;
        if (verify(query, start) == CMG_OK)
            fail_msg("byte %zu may be another one", i);
        query[i] ^= 1;
    }
    for (size_t i = 0; i < n; i++)
        assert_int_equal(cmg_content_token_verify((struct cmg_str){ query, i }, keys, issuers,
                                                  start, MINUTE, DAY, &got, &why),
                         CMG_EDENIED);
    assert_string_equal(got.content, "");
    free(query);
}

static void time_decides(void **state)
{
    struct cmg_content_token t = a_token();
    (void)state;
    char *query = cmg_content_token_issue(rsa, &t, &why);
    assert_int_equal(verify(query, start - MINUTE - 1), CMG_EDENIED);
    assert_non_null(strstr(why.text, "not valid before 2026-01-31T10:00:00Z"));
    assert_int_equal(verify(query, start - MINUTE), CMG_OK);
    assert_int_equal(verify(query, start + DAY + MINUTE - 1), CMG_OK);
    assert_int_equal(verify(query, start + DAY + MINUTE), CMG_EDENIED);
    assert_non_null(strstr(why.text, "expired 2026-02-01T10:00:00Z"));
    free(query);
    t.end++;
    query = cmg_content_token_issue(rsa, &t, &why);
    assert_int_equal(verify(query, start), CMG_EDENIED);
    assert_non_null(strstr(why.text, "longer than"));
    free(query);
}

#define PID "pid=PS100042"
#define CID "&cid=PS100042.3"
#define TID "&tid=GUID:" CLIENT
#define ISS "&iss=mp.corp.example.com"
#define ALG "&alg=1.2.840.113549.1.1.11"
#define ST "&st=2026-01-31T10:00:00Z"
#define ET "&et=2026-02-01T10:00:00Z"

static void a_query_has_one_form(void **state)
{
    static const struct {
        const char *part;
        const char *says; /* NULL: it is taken */
    } cases[] = {
        { PID CID TID ISS ALG ST ET, NULL },
        { "et=2026-02-01T10:00:00Z" ST ALG ISS TID CID "&" PID, NULL }, /* any order */
        { CID TID ISS ALG ST ET, "do not have" },                       /* begins with & */
        { "cid=PS100042.3" TID ISS ALG ST ET, "pid is missing" },
        { PID TID ISS ALG ST ET, "cid is missing" },
        { PID CID ISS ALG ST ET, "tid is missing" },
        { PID CID TID ALG ST ET, "iss is missing" },
        { PID CID TID ISS ST ET, "alg is missing" },
        { PID CID TID ISS ALG ET, "st is missing" },
        { PID CID TID ISS ALG ST, "et is missing" },
        { PID CID CID TID ISS ALG ST ET, "cid is there twice" },
        { PID CID "&cid=x" TID ISS ALG ST ET, "cid is there twice" },
        { PID CID TID ISS ALG ST ET "&more=1", "do not have" },
        { PID CID TID ISS ALG ST ET "&", "do not have" },
        { PID CID TID ISS ALG ST ET "&CID=x", "do not have" },
        { PID "&cid" TID ISS ALG ST ET, "cid has no value" },
        { PID "&cid=" TID ISS ALG ST ET, "cid is not of its form" },
        { PID "&cid=a/b" TID ISS ALG ST ET, "cid is not of its form" },
        { PID "&cid=a..b" TID ISS ALG ST ET, "cid is not of its form" },
        { PID "&cid=." TID ISS ALG ST ET, "cid is not of its form" },
        { PID "&cid=a%2fb" TID ISS ALG ST ET, "cid is not of its form" },
        { PID "&cid=a+b" TID ISS ALG ST ET, "cid is not of its form" },
        { "pid=a\\b" CID TID ISS ALG ST ET, "pid is not of its form" },
        { PID CID "&tid=" CLIENT ISS ALG ST ET, "tid is not of its form" },
        { PID CID "&tid=GUID:1" ISS ALG ST ET, "tid is not of its form" },
        { PID CID "&tid=GUID%3a" CLIENT ISS ALG ST ET, "tid is not of its form" },
        { PID CID TID "&iss=" ALG ST ET, "iss is not of its form" },
        { PID CID TID "&iss=mp/../x" ALG ST ET, "iss is not of its form" },
        { PID CID TID "&iss=else.example.com" ALG ST ET, "not one that is accepted" },
        { PID CID TID ISS "&alg=1.2.840.113549.1.1.5" ST ET, "alg is not" },
        { PID CID TID ISS "&alg=none" ST ET, "alg is not" },
        { PID CID TID ISS ALG "&st=2026-01-31T10:00:00" ET, "st is not of its form" },
        { PID CID TID ISS ALG "&st=2026-01-31 10:00:00Z" ET, "st is not of its form" },
        { PID CID TID ISS ALG "&st=2026-01-30T24:00:00Z" ET, "st is not of its form" },
        { PID CID TID ISS ALG "&st=2026-01-32T10:00:00Z" ET, "st is not of its form" },
        { PID CID TID ISS ALG "&st=+026-01-31T10:00:00Z" ET, "st is not of its form" },
        { PID CID TID ISS ALG ST "&et=2026-02-30T10:00:00Z", "et is not of its form" },
        { PID CID TID ISS ALG ST "&et=2026-01-31T10:00:00Z", "for none" },
        { PID CID TID ISS ALG ST ET "&x5t=AAAA", "x5t is not of its form" },
        { PID CID TID ISS ALG ST ET "&x5t=AAAAAAAAAAAAAAAAAAAAAAAAAAA", "no RSA key" },
    };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        char *query = signed_by(rsa, cases[i].part);
        enum cmg_rc rc = verify(query, start);
        if ((rc == CMG_OK) != !cases[i].says)
            fail_msg("%s: %s", cases[i].part, rc == CMG_OK ? "was taken" : why.text);
        if (cases[i].says && !strstr(why.text, cases[i].says))
            fail_msg("%s: %s", cases[i].part, why.text);
        free(query);
    }
}

static void nothing_stands_behind_the_signature(void **state)
{
    static const char *const behind[] = { "&pid=x", "&signature=AAAA", "=", "%20", " ", "#x" };
    char longer[4096];
    (void)state;
    char *query = signed_by(rsa, PID CID TID ISS ALG ST ET);
    assert_int_equal(verify(query, start), CMG_OK);
    for (size_t i = 0; i < CMG_COUNT(behind); i++) {
        snprintf(longer, sizeof(longer), "%s%s", query, behind[i]);
        assert_int_equal(verify(longer, start), CMG_EDENIED);
    }
    free(query);
    assert_int_equal(verify("", start), CMG_EDENIED);
    assert_int_equal(verify(PID CID TID ISS ALG ST ET "&signature=", start), CMG_EDENIED);
    assert_int_equal(verify("signature=AAAA&" PID CID TID ISS ALG ST ET, start), CMG_EDENIED);
}

static void the_key_must_be_the_named_one_in_force_and_rsa(void **state)
{
    char part[1024];
    (void)state;
    snprintf(part, sizeof(part), PID CID TID ISS ALG ST ET "&x5t=%s", cmg_signer_x5t(rsa));
    char *query = signed_by(rsa2, part); /* names rsa */
    assert_int_equal(verify(query, start), CMG_EDENIED);
    assert_non_null(strstr(why.text, "signature is wrong"));
    free(query);
    query = signed_by(rsa2, PID CID TID ISS ALG ST ET); /* names none */
    assert_int_equal(verify(query, start), CMG_OK);
    free(query);
    query = signed_by(ec, PID CID TID ISS ALG ST ET);
    assert_int_equal(verify(query, start), CMG_EDENIED);
    free(query);
    query = signed_by(old, PID CID TID ISS ALG ST ET);
    assert_int_equal(verify(query, start), CMG_EDENIED);
    free(query);

    struct cmg_content_token t = a_token();
    assert_null(cmg_content_token_issue(ec, &t, &why));
    assert_non_null(strstr(why.text, "RSA"));
}

static void what_cannot_be_expressed_is_not_issued(void **state)
{
    (void)state;
    struct cmg_content_token t = a_token();
    snprintf(t.package, sizeof(t.package), "a&cid=b");
    assert_null(cmg_content_token_issue(rsa, &t, &why));
    t = a_token();
    snprintf(t.issuer, sizeof(t.issuer), "a b");
    assert_null(cmg_content_token_issue(rsa, &t, &why));
    t = a_token();
    t.client[0] = 'x';
    assert_null(cmg_content_token_issue(rsa, &t, &why));
    t = a_token();
    t.end = t.start;
    assert_null(cmg_content_token_issue(rsa, &t, &why));
    t = a_token();
    t.start = -1;
    assert_null(cmg_content_token_issue(rsa, &t, &why));
    t.start = 0;
    t.end = INT64_C(300000000000);
    assert_null(cmg_content_token_issue(rsa, &t, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_issued_is_taken_and_reads_as_before),
        cmocka_unit_test(time_decides),
        cmocka_unit_test(a_query_has_one_form),
        cmocka_unit_test(nothing_stands_behind_the_signature),
        cmocka_unit_test(the_key_must_be_the_named_one_in_force_and_rsa),
        cmocka_unit_test(what_cannot_be_expressed_is_not_issued),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
