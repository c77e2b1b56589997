/* SPDX-License-Identifier: MIT */
/* What an endpoint is told of a client: the option, what of the client's own words is dropped, and
 * what is said instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "point/passport.h"

#define ITEMS(...) ((char *[]){ __VA_ARGS__, NULL })
#define ITEM(text) ((char[]){ text })

static const struct {
    const char *item;
    const char *why; /* what the reason must have; NULL: it is fine */
} items[] = {
    { "client-cert", NULL },
    { "X-Client-Name=name", NULL },
    { "X-Client-Name = name", NULL },
    { "X_Client=id", NULL },
    { "Remote-User=text", NULL },
    { "X-Forwarded-User=how", NULL },
    { "a=kind", NULL },
    { "a=tenant", NULL },
    { "a=sha256", NULL },
    { "a=since", NULL },
    { "a=until", NULL },
    { "", "client-cert" },
    { "Client-Cert", "X-Client-Name=name" },
    { "name", "X-Client-Name=name" },
    { "=name", "header name" },
    { "X Name=name", "header name" },
    { "X-N\xc3\xa4me=name", "header name" },
    { "X-Name:=name", "header name" },
    { "a1234567890123456789012345678901234567890123456789012345678901234=name", "header name" },
    { "X-Name=", "attribute" },
    { "X-Name=Name", "attribute" },
    { "X-Name=client-cert", "attribute" },
    { "X-Name=name=id", "attribute" },
    { "Host=name", "meaning" },
    { "hOST=name", "meaning" },
    { "Content-Length=name", "meaning" },
    { "Content_Type=name", "meaning" },
    { "Transfer-Encoding=name", "meaning" },
    { "Transfer_Encoding=name", "meaning" },
    { "Connection=name", "meaning" },
    { "TE=name", "meaning" },
    { "Authorization=name", "meaning" },
    { "Proxy-Authorization=name", "meaning" },
    { "Cookie=name", "meaning" },
    { "Client-Cert=name", "meaning" },
    { "Client_Cert_Chain=name", "meaning" },
    { "CCMClientID=id", "meaning" },
    { "ClientToken=id", "meaning" },
    { "cmg-identity=text", "meaning" },
    { "Forwarded=name", "meaning" },
    { "X-Forwarded-For=name", "meaning" },
};

static void an_item_is_taken_or_refused_for_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(items); i++) {
        struct cmg_err err = { 0 };
        enum cmg_rc rc = passport_check(items[i].item, &err);
        if (rc != (items[i].why ? CMG_ECONF : CMG_OK))
            fail_msg("%s: %d %s", items[i].item, rc, err.text);
        if (items[i].why && !strstr(err.text, items[i].why))
            fail_msg("%s: \"%s\" does not say %s", items[i].item, err.text, items[i].why);
    }
}

static void two_items_a_back_end_takes_for_one_are_refused(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        { "X-Name=name", "X-Name=id" },   { "X-Name=name", "x-name=name" },
        { "X-Name=name", "X_Name=id" },   { "X-Name=name", "X.NAME=id" },
        { "client-cert", "client-cert" },
    };
    for (size_t i = 0; i < CMG_COUNT(pairs); i++) {
        char *first = cmg_strdup(pairs[i][0]), *second = cmg_strdup(pairs[i][1]);
        struct passport p;
        struct cmg_err err = { 0 };
        assert_int_equal(CMG_ECONF, passport_read(ITEMS(first, second), &p, &err));
        assert_non_null(strstr(err.text, "the same"));
        assert_int_equal(0, p.n);
        free(first);
        free(second);
    }
}

static void there_are_sixteen_at_most(void **state)
{
    (void)state;
    char text[PASSPORT_MAX + 1][16], *list[PASSPORT_MAX + 2] = { NULL };
    struct passport p;
    struct cmg_err err = { 0 };
    for (int i = 0; i <= PASSPORT_MAX; i++)
        snprintf(list[i] = text[i], sizeof(text[i]), "X-%d=name", i);
    assert_int_equal(CMG_ECONF, passport_read(list, &p, &err));
    assert_non_null(strstr(err.text, "16"));
    list[PASSPORT_MAX] = NULL;
    assert_int_equal(CMG_OK, passport_read(list, &p, &err));
    assert_int_equal(PASSPORT_MAX, p.n);
    passport_clear(&p);
}

static void what_the_endpoint_is_told_no_client_can_say(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool claimed;
    } names[] = {
        { "X-Name", true },        { "x-NAME", true },
        { "X_Name", true },        { "X.Name", true },
        { "x~name", true },        { "Client-Cert", true },
        { "client_cert", true },   { "CLIENT-CERT-CHAIN", true },
        { "Client-Cert2", false }, { "X-Names", false },
        { "X-Nam", false },        { "XName", false },
        { "Accept", false },       { "", false },
    };
    struct passport p, none = { .n = 0 };
    assert_int_equal(CMG_OK, passport_read(ITEMS(ITEM("X-Name=name")), &p, NULL));
    assert_false(passport_wants_certificate(&p));
    for (size_t i = 0; i < CMG_COUNT(names); i++)
        if (passport_claims(&p, cmg_str(names[i].name)) != names[i].claimed)
            fail_msg("%s", names[i].name);
    assert_true(passport_claims(&none, CMG_STR("client_Cert")));
    assert_false(passport_claims(&none, CMG_STR("X-Name")));
    passport_clear(&p);
}

static const char *told(const struct cmg_field *f, size_t n, const char *name, char room[1024])
{
    const struct cmg_field *found = cmg_field_find(f, n, cmg_str(name));
    if (!found)
        return NULL;
    cmg_str_put(room, 1024, found->value);
    return room;
}

static struct passport everything(void)
{
    struct passport p;
    assert_int_equal(
        CMG_OK, passport_read(ITEMS(ITEM("client-cert"), ITEM("X-Name=name"), ITEM("X-Id=id"),
                                    ITEM("X-How=how"), ITEM("X-Kind=kind"), ITEM("X-Tenant=tenant"),
                                    ITEM("X-Sha256=sha256"), ITEM("X-Since=since"),
                                    ITEM("X-Until=until"), ITEM("X-Text=text")),
                              &p, NULL));
    assert_true(passport_wants_certificate(&p));
    return p;
}

static void a_client_with_a_certificate_is_told_in_every_attribute(void **state)
{
    (void)state;
    struct passport p = everything();
    struct passport_bearer b = {
        .who = { CMG_BY_CERTIFICATE, CMG_KIND_DEVICE, "PC1.example", "", "", "ab12", 17, 18 },
        .certificate = CMG_STR(":aGVsbG8=:"),
    };
    struct cmg_field f[PASSPORT_MAX];
    char room[1024];
    size_t n = passport_put(&p, &b, f);
    assert_int_equal(8, n); /* it has no id and no tenant */
    assert_string_equal(":aGVsbG8=:", told(f, n, "Client-Cert", room));
    assert_string_equal("PC1.example", told(f, n, "X-Name", room));
    assert_string_equal("certificate", told(f, n, "X-How", room));
    assert_string_equal("device", told(f, n, "X-Kind", room));
    assert_string_equal("ab12", told(f, n, "X-Sha256", room));
    assert_string_equal("17", told(f, n, "X-Since", room));
    assert_string_equal("18", told(f, n, "X-Until", room));
    assert_string_equal("certificate; kind=device; name=\"PC1.example\"; sha256=\"ab12\"; "
                        "since=17; until=18",
                        told(f, n, "X-Text", room));
    passport_clear(&p);
}

static void a_client_with_a_token_has_no_certificate(void **state)
{
    (void)state;
    struct passport p = everything();
    struct passport_bearer b = {
        .who = { CMG_BY_ENTRA, CMG_KIND_USER, "Anna", "i", "t", "", 0, 18 },
        .certificate = CMG_STR(":aGVsbG8=:"),
    };
    struct cmg_field f[PASSPORT_MAX];
    char room[1024];
    size_t n = passport_put(&p, &b, f);
    assert_null(told(f, n, "Client-Cert", room));
    assert_null(told(f, n, "X-Sha256", room));
    assert_null(told(f, n, "X-Since", room));
    assert_string_equal("user", told(f, n, "X-Kind", room));
    assert_string_equal("i", told(f, n, "X-Id", room));
    assert_string_equal("t", told(f, n, "X-Tenant", room));
    passport_clear(&p);
}

static void of_nobody_nothing_is_told(void **state)
{
    (void)state;
    struct passport p = everything();
    struct passport_bearer b = { .who = { .name = "PC1" }, .certificate = CMG_STR(":aGVsbG8=:") };
    struct cmg_field f[PASSPORT_MAX];
    assert_int_equal(0, passport_put(&p, &b, f));
    passport_clear(&p);
}

/* A blank at an end would make the field one that HTTP/1.1 cannot carry. */
static void values_go_without_blanks_at_their_ends(void **state)
{
    (void)state;
    struct passport p = everything();
    struct passport_bearer b = { .who = { .how = CMG_BY_CERTIFICATE, .name = " PC1 ", .id = " " } };
    struct cmg_field f[PASSPORT_MAX];
    char room[1024];
    size_t n = passport_put(&p, &b, f);
    assert_string_equal("PC1", told(f, n, "X-Name", room));
    assert_null(told(f, n, "X-Id", room));
    passport_clear(&p);
}

static void what_is_no_certificate_is_not_passed_on_as_one(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          ":",     "::",        "aGVsbG8=",    ":aGVsbG8=",
        "aGVsbG8=:", ":a:b:", ":aGVsbG8:", ":aGVs bG8=:", ":aGVsbG8=:, :aGVsbG8=:"
    };
    struct passport p = everything();
    for (size_t i = 0; i < CMG_COUNT(bad); i++) {
        struct passport_bearer b = { .who = { .how = CMG_BY_CERTIFICATE },
                                     .certificate = cmg_str(bad[i]) };
        struct cmg_field f[PASSPORT_MAX];
        char room[1024];
        if (told(f, passport_put(&p, &b, f), "Client-Cert", room))
            fail_msg("%s", bad[i]);
    }
    passport_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_is_taken_or_refused_for_a_reason),
        cmocka_unit_test(two_items_a_back_end_takes_for_one_are_refused),
        cmocka_unit_test(there_are_sixteen_at_most),
        cmocka_unit_test(what_the_endpoint_is_told_no_client_can_say),
        cmocka_unit_test(a_client_with_a_certificate_is_told_in_every_attribute),
        cmocka_unit_test(a_client_with_a_token_has_no_certificate),
        cmocka_unit_test(of_nobody_nothing_is_told),
        cmocka_unit_test(values_go_without_blanks_at_their_ends),
        cmocka_unit_test(what_is_no_certificate_is_not_passed_on_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
