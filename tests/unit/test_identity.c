/* SPDX-License-Identifier: MIT */
/* Who a client is, on the wire: written and read back, cut anywhere, and as an enemy would have
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/auth/identity.h"
#include "cmg/base/alloc.h"

#define SHA "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define GUID "6d6e8a34-1f2c-4f6e-9b1d-2f5f0c8a7e10"

static void same(const struct cmg_identity *a, const struct cmg_identity *b)
{
    assert_int_equal(a->how, b->how);
    assert_int_equal(a->kind, b->kind);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->tenant, b->tenant);
    assert_string_equal(a->sha256, b->sha256);
    assert_true(a->since == b->since);
    assert_true(a->until == b->until);
}

static const struct {
    struct cmg_identity who;
    const char *text;
} pairs[] = {
    { { CMG_BY_CERTIFICATE, CMG_KIND_DEVICE, "PC1.example", "", "", SHA, 1767225600, 1767312000 },
      "certificate; kind=device; name=\"PC1.example\"; sha256=\"" SHA
      "\"; since=1767225600; until=1767312000" },
    { { CMG_BY_ENTRA, CMG_KIND_USER, "Anna Alm", GUID, GUID, "", 1, 2 },
      "entra; kind=user; name=\"Anna Alm\"; id=\"" GUID "\"; tenant=\"" GUID
      "\"; since=1; until=2" },
    { { CMG_BY_SITE_TOKEN, CMG_KIND_BULK, GUID, GUID, GUID, "", 0, INT64_C(999999999999999) },
      "site-token; kind=bulk; name=\"" GUID "\"; id=\"" GUID "\"; tenant=\"" GUID
      "\"; until=999999999999999" },
    { { CMG_BY_CONTENT_TOKEN, CMG_KIND_DEVICE, "; name=x; until=9", "", "", "", 0, 0 },
      "content-token; kind=device; name=\"; name=x; until=9\"" },
    { { CMG_BY_NOTHING, CMG_KIND_DEVICE, "", "", "", "", 0, 0 }, "none; kind=device" },
};

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(pairs); i++) {
        struct cmg_identity back;
        struct cmg_err err = { 0 };
        char text[CMG_IDENTITY_TEXT];
        size_t n = cmg_identity_write(&pairs[i].who, text);
        assert_string_equal(pairs[i].text, text);
        assert_int_equal(strlen(text), n);
        if (cmg_identity_read((struct cmg_str){ text, n }, &back, &err) != CMG_OK)
            fail_msg("%s: %s", text, err.text);
        same(&pairs[i].who, &back);
    }
}

/* Members that are full to the last byte still fit. */
static void the_longest_identity_fits(void **state)
{
    (void)state;
    struct cmg_identity who = {
        .how = CMG_BY_CONTENT_TOKEN, .kind = CMG_KIND_DEVICE, .since = INT64_MAX, .until = INT64_MAX
    };
    struct cmg_identity back;
    char text[CMG_IDENTITY_TEXT];
    memset(who.name, 'n', sizeof(who.name) - 1);
    memset(who.id, 'i', sizeof(who.id) - 1);
    memset(who.tenant, 't', sizeof(who.tenant) - 1);
    memset(who.sha256, 's', sizeof(who.sha256) - 1);
    assert_in_range(cmg_identity_write(&who, text), 1, CMG_IDENTITY_TEXT - 2);
    assert_int_equal(CMG_OK, cmg_identity_read(cmg_str(text), &back, NULL));
    who.since = who.until = INT64_C(999999999999999);
    same(&who, &back);
}

static void names_cannot_break_out_of_their_quotes(void **state)
{
    static const struct {
        const char *name, *written;
    } names[] = {
        { "a\"; how=entra; id=\"b", "a_; how=entra; id=_b" },
        { "a\\", "a_" },
        { "a\r\nX-Evil: 1", "a__X-Evil: 1" },
        { "a\tb\x7f", "a_b_" },
        { "J\xc3\xbcrgen", "J__rgen" },
        { "\xff\x80", "__" },
    };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(names); i++) {
        struct cmg_identity who = { .how = CMG_BY_CERTIFICATE }, back;
        char text[CMG_IDENTITY_TEXT];
        cmg_str_put(who.name, sizeof(who.name), cmg_str(names[i].name));
        cmg_identity_write(&who, text);
        assert_int_equal(CMG_OK, cmg_identity_read(cmg_str(text), &back, NULL));
        assert_string_equal(names[i].written, back.name);
        assert_string_equal("", back.id);
    }
}

static const struct {
    const char *says, *text;
    const char *why; /* what the reason must have; NULL: it is fine */
} cases[] = {
    { "no blanks", "entra;kind=user;id=\"a\"", NULL },
    { "many blanks", "  entra;   kind=user;  id=\"a\"  ", NULL },
    { "unknown parameters of every type",
      "entra; kind=user; a; b=?1; c=1.5; d=:aGk=:; e=\"x;y\"; f=*t/x:y; g=-3", NULL },
    { "an unknown one twice", "entra; kind=user; x=1; x=2", NULL },
    { "nothing", "", "how" },
    { "blanks", "  ", "how" },
    { "an unknown way", "magic; kind=device", "how" },
    { "another case", "Entra; kind=device", "how" },
    { "a string as the item", "\"entra\"; kind=device", "how" },
    { "a list", "entra, certificate; kind=device", "item" },
    { "no kind", "entra", "no kind" },
    { "an unknown kind", "entra; kind=root", "kind" },
    { "a kind in quotes", "entra; kind=\"user\"", "kind" },
    { "a kind without a value", "entra; kind", "kind" },
    { "kind twice", "entra; kind=user; kind=user", "kind twice" },
    { "id twice", "entra; kind=user; id=\"a\"; id=\"a\"", "id twice" },
    { "since twice", "entra; kind=user; since=1; since=1", "since twice" },
    { "a name that is a token", "entra; kind=user; name=x", "name" },
    { "a name that is a number", "entra; kind=user; name=1", "name" },
    { "a name that is never closed", "entra; kind=user; name=\"x", "item" },
    { "a name with an escape", "entra; kind=user; name=\"x\\\"y\"", "item" },
    { "a name with a tab", "entra; kind=user; name=\"x\ty\"", "item" },
    { "a name that is UTF-8", "entra; kind=user; name=\"\xc3\xa9\"", "item" },
    { "a sha256 of 65", "certificate; kind=device; sha256=\"" SHA "0\"", "sha256" },
    { "an id of 64", "entra; kind=user; id=\"" SHA "\"", "id" },
    { "a time below zero", "entra; kind=user; until=-1", "until" },
    { "a time with a fraction", "entra; kind=user; until=1.5", "until" },
    { "a time in quotes", "entra; kind=user; until=\"1\"", "until" },
    { "a time that is a date", "entra; kind=user; until=@1", "item" },
    { "a time of 16 digits", "entra; kind=user; until=1000000000000000", "until" },
    { "a key in capitals", "entra; Kind=user", "item" },
    { "a key that is missing", "entra; =user; kind=user", "item" },
    { "a value that is missing", "entra; kind=", "item" },
    { "a semicolon at the end", "entra; kind=user;", "item" },
    { "a tab between", "entra;\tkind=user", "item" },
    { "bytes behind it", "entra; kind=user x", "item" },
    { "a NUL behind it", "entra; kind=user\0", "item" }, /* read with its NUL, see below */
};

static void an_identity_is_read_or_refused_for_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_identity who;
        struct cmg_err err = { 0 };
        size_t n = strlen(cases[i].text);
        if (strstr(cases[i].says, "NUL"))
            n++;
        enum cmg_rc rc = cmg_identity_read((struct cmg_str){ cases[i].text, n }, &who, &err);
        if (rc != (cases[i].why ? CMG_EPROTO : CMG_OK))
            fail_msg("%s: %d %s", cases[i].says, rc, err.text);
        if (cases[i].why && !strstr(err.text, cases[i].why))
            fail_msg("%s: \"%s\" does not say %s", cases[i].says, err.text, cases[i].why);
        if (cases[i].why)
            same(&(struct cmg_identity){ 0 }, &who);
    }
}

/* Cut anywhere, an identity says less or nothing; never something else. */
static void a_cut_identity_says_nothing_new(void **state)
{
    (void)state;
    const struct cmg_identity *whole = &pairs[0].who;
    size_t fine = 0;
    for (size_t n = 0; n < strlen(pairs[0].text); n++) {
        struct cmg_identity who;
        char *cut = malloc(n ? n : 1); /* of its exact size: reading past it is caught */
        assert_non_null(cut);
        memcpy(cut, pairs[0].text, n);
        if (cmg_identity_read((struct cmg_str){ cut, n }, &who, NULL) == CMG_OK) {
            fine++;
            assert_int_equal(whole->how, who.how);
            assert_true(!who.name[0] || strcmp(whole->name, who.name) == 0);
            assert_true(!who.sha256[0] || strcmp(whole->sha256, who.sha256) == 0);
            assert_true(who.since <= whole->since && who.until <= whole->until);
        }
        free(cut);
    }
    assert_in_range(fine, 3, 40);
}

static void guids(void **state)
{
    char out[37];
    (void)state;
    assert_true(cmg_guid_ok(CMG_STR("6D6E8A34-1F2C-4f6e-9b1d-2f5f0c8a7e10"), out));
    assert_string_equal(GUID, out);
    assert_true(cmg_guid_ok(CMG_STR(GUID), NULL));
    assert_false(cmg_guid_ok(CMG_STR(GUID "0"), NULL));
    assert_false(cmg_guid_ok(CMG_STR("6d6e8a34-1f2c-4f6e-9b1d-2f5f0c8a7e1"), NULL));
    assert_false(cmg_guid_ok(CMG_STR("6d6e8a34+1f2c-4f6e-9b1d-2f5f0c8a7e10"), NULL));
    assert_false(cmg_guid_ok(CMG_STR("6d6e8a34-1f2c-4f6e-9b1d-2f5f0c8a7e1g"), NULL));
    assert_false(cmg_guid_ok(CMG_STR(""), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(the_longest_identity_fits),
        cmocka_unit_test(names_cannot_break_out_of_their_quotes),
        cmocka_unit_test(an_identity_is_read_or_refused_for_a_reason),
        cmocka_unit_test(a_cut_identity_says_nothing_new),
        cmocka_unit_test(guids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
