/* SPDX-License-Identifier: MIT */
/* Requests and shares of blob storage. The signatures are those that tests/lab/azurite.py computes
 * in Python; that a real service takes them is shown by tests/integration/76_storage.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/storage/request.h"

#define KEY \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="
#define AZURE "https://contoso.blob.core.windows.net"
#define LOCAL "http://127.0.0.1:10000/contoso"

enum { NOW = 1769853600, END = 1769940000 }; /* 2026-01-31T10:00:00Z, a day later */

static struct cmg_account *with_key(const char *url)
{
    struct cmg_err err = { 0 };
    struct cmg_account *a = cmg_account_new("contoso", url, &err);
    assert_non_null(a);
    assert_int_equal(CMG_OK, cmg_account_use_key(a, CMG_STR(" " KEY "\r\n"), &err));
    return a;
}

static struct cmg_str field(const struct cmg_blob_request *r, const char *name)
{
    const struct cmg_field *f = cmg_field_find(r->fields, r->nfields, cmg_str(name));
    return f ? f->value : CMG_STR("(none)");
}

/* MD5 of "hello" */
static const unsigned char hello[] = { 0x5d, 0x41, 0x40, 0x2a, 0xbc, 0x4b, 0x2a, 0x76,
                                       0xb9, 0x71, 0x9d, 0x91, 0x10, 0x17, 0xc5, 0x92 };

#define S(literal)                      \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }
static const struct {
    const char *account, *method, *url, *signature;
    struct cmg_blob_op op;
} requests[] = {
    { NULL,
      "GET",
      AZURE "/content?comp=list&maxresults=100&prefix=ps100042.3%2F&restype=container",
      "Y02/A86TyFbjiYkcBzY8uuFBFeeM8Ktn627puJC3lRc=",
      { .verb = CMG_BLOB_LIST, .prefix = S("ps100042.3/"), .page = 100 } },
    { LOCAL,
      "GET",
      LOCAL "/content?comp=list&marker=2%21a%2Fb%3D%3D&prefix=x%2F&restype=container",
      "5ElAWuZy9DKk/epZ3E0dIZDqvNzaAQRk39P5v6NdQB8=",
      { .verb = CMG_BLOB_LIST, .prefix = S("x/"), .marker = S("2!a/b==") } },
    { AZURE "/",
      "PUT",
      AZURE "/content?restype=container",
      "Xv5O2g5WWJwz9u+GPmAPhqmfcl52d40vkBtI3chski4=",
      { .verb = CMG_BLOB_CREATE_CONTAINER } },
    { NULL,
      "GET",
      AZURE "/content/a/b%20c%2B%C3%A4.bin",
      "7PXB+uOiG8fw9DUpmNaY2v9g7JVGK2aeyNTCP4qcfVM=",
      { .verb = CMG_BLOB_GET, .blob = S("a/b c+\xc3\xa4.bin") } },
    { NULL,
      "HEAD",
      AZURE "/content/x",
      "w1Yoz2KPtU0wbXj3SEfixi03uiojEXO2eIGcqchqw4M=",
      { .verb = CMG_BLOB_HEAD, .blob = S("x") } },
    { NULL,
      "DELETE",
      AZURE "/content/x",
      "AezEAisNioP5rZDBGjXbrlU4duQCa4Nhewpr+kiuHi4=",
      { .verb = CMG_BLOB_DELETE, .blob = S("x") } },
    { NULL,
      "PUT",
      AZURE "/content/x",
      "6NYBVsiHOeUTGOt3ROrpfx7JYan30wf5dF6M3hKTfuk=",
      { .verb = CMG_BLOB_PUT,
        .blob = S("x"),
        .length = 5,
        .md5 = hello,
        .blob_md5 = hello,
        .type = S("text/plain"),
        .only_new = true } },
    { NULL,
      "PUT",
      AZURE "/content/x?blockid=QkxLMDAwMQ%3D%3D&comp=block",
      "GeiETuLwJYqCiugIcQqrLKonbGSSFtB6R09ho8kMrss=",
      { .verb = CMG_BLOB_PUT_BLOCK,
        .blob = S("x"),
        .block = S("BLK0001"),
        .length = 5,
        .md5 = hello } },
    { NULL,
      "PUT",
      AZURE "/content/x?comp=blocklist",
      "dJThbEpgYWzLxwk4dNGnl4JLqzxn2oNngOFqhp0dCok=",
      { .verb = CMG_BLOB_PUT_BLOCK_LIST, .blob = S("x"), .length = 99 } },
    { NULL,
      "GET",
      AZURE "/content/x?blocklisttype=all&comp=blocklist",
      "63ZTX+VaUOo0W/zPba0IfC5pkHGGVlXA3oBV87LFspA=",
      { .verb = CMG_BLOB_GET_BLOCK_LIST, .blob = S("x") } },
};

static void requests_are_signed_as_the_service_prescribes(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(requests); i++) {
        struct cmg_account *a = with_key(requests[i].account);
        struct cmg_blob_op op = requests[i].op;
        struct cmg_blob_request r;
        char want[128];
        op.container = "content";
        cmg_blob_request_make(&r, a, &op, NOW);
        assert_string_equal(requests[i].method, r.method);
        assert_string_equal(requests[i].url, r.url);
        snprintf(want, sizeof(want), "SharedKey contoso:%s", requests[i].signature);
        if (!cmg_str_eq(cmg_str(want), field(&r, "Authorization")))
            fail_msg("%s %s: %.*s", r.method, r.url, CMG_ARG(field(&r, "Authorization")));
        assert_true(cmg_str_eq(field(&r, "x-ms-date"), CMG_STR("Sat, 31 Jan 2026 10:00:00 GMT")));
        assert_true(cmg_str_eq(field(&r, "x-ms-version"), CMG_STR("2020-12-06")));
        cmg_blob_request_clear(&r);
        cmg_account_free(a);
    }
}

#define SAS "sv=2020-12-06&sr=c&sp=rl&se=2026-02-01T10%3A00%3A00Z&sig=a%2Fb%3D"

static void a_request_with_a_sas_is_not_signed(void **state)
{
    (void)state;
    struct cmg_err err = { 0 };
    struct cmg_blob_request r;
    struct cmg_account *a = cmg_account_new("contoso", NULL, &err);
    assert_int_equal(CMG_OK, cmg_account_use_sas(a, CMG_STR("?" SAS "\n"), &err));
    cmg_blob_request_make(
        &r, a, &(struct cmg_blob_op){ .verb = CMG_BLOB_LIST, .container = "content" }, NOW);
    assert_string_equal(AZURE "/content?comp=list&restype=container&" SAS, r.url);
    assert_true(cmg_str_eq(field(&r, "Authorization"), CMG_STR("(none)")));
    cmg_blob_request_clear(&r);
    cmg_blob_request_make(
        &r, a,
        &(struct cmg_blob_op){ .verb = CMG_BLOB_GET, .container = "content", .blob = CMG_STR("x") },
        NOW);
    assert_string_equal(AZURE "/content/x?" SAS, r.url);
    cmg_blob_request_clear(&r);
    cmg_account_free(a);
}

static void a_share_opens_one_blob(void **state)
{
    (void)state;
    struct cmg_account *a = with_key(NULL);
    char *url = cmg_account_share(a, NULL, "content", CMG_STR("ps1/a b+\xc3\xa4.bin"), END);
    assert_string_equal(AZURE "/content/ps1/a%20b%2B%C3%A4.bin?sv=2020-12-06&sr=b&sp=r"
                              "&se=2026-02-01T10%3A00%3A00Z&spr=https"
                              "&sig=Vs6G2WhXpU7OCcbdHYkC8RX2M90JhFAE1imhGdiuesw%3D",
                        url);
    free(url);
    url = cmg_account_share(a, LOCAL "/", "content", CMG_STR("ps1/a"), END);
    assert_string_equal(LOCAL "/content/ps1/a?sv=2020-12-06&sr=b&sp=r"
                              "&se=2026-02-01T10%3A00%3A00Z"
                              "&sig=NmY4B6ISec7ImAmbuVHI8STnXYcXtZzvgiQI9AdB3Dc%3D",
                        url);
    free(url);
    struct cmg_err err = { 0 };
    assert_int_equal(CMG_OK, cmg_account_use_sas(a, CMG_STR(SAS), &err));
    assert_false(cmg_account_has_key(a));
    url = cmg_account_share(a, NULL, "content", CMG_STR("ps1/a"), END);
    assert_string_equal(AZURE "/content/ps1/a?" SAS, url);
    free(url);
    cmg_account_free(a);
}

static const struct {
    const char *says, *text;
    bool ok;
    unsigned may;
    int64_t since, until;
} signatures[] = {
    { "read and list", SAS, true, CMG_SAS_READ | CMG_SAS_LIST, 0, END },
    { "any order, with more",
      "sig=x&se=2026-02-01T10:00Z&spr=https&st=2026-01-31&sp=rwdl&sr=c&sv=1", true,
      CMG_SAS_READ | CMG_SAS_LIST | CMG_SAS_WRITE | CMG_SAS_OTHER, NOW - 36000, END },
    { "the key of a user delegation ends before",
      "sv=1&sr=c&sp=rl&se=2026-03-01&skoid=a&sktid=b&skt=2026-01-31&ske=2026-02-01T10:00:00Z"
      "&sks=b&skv=1&sig=x",
      true, CMG_SAS_READ | CMG_SAS_LIST, 0, END },
    { "nothing", "", .ok = false },
    { "a question mark alone", "?", .ok = false },
    { "no signature", "sv=1&sr=c&sp=rl&se=2026-02-01", .ok = false },
    { "no end", "sv=1&sr=c&sp=rl&sig=x", .ok = false },
    { "no permissions", "sv=1&sr=c&se=2026-02-01&sig=x", .ok = false },
    { "an end that is none", "sv=1&sr=c&sp=rl&se=tomorrow&sig=x", .ok = false },
    { "an end that no calendar has", "sv=1&sr=c&sp=rl&se=2026-02-31&sig=x", .ok = false },
    { "a delegation whose key has no end", "sv=1&sr=c&sp=rl&se=2026-02-01&ske=x&sig=x",
      .ok = false },
    { "a parameter twice", SAS "&sp=rl", .ok = false },
    { "an end twice", SAS "&se=2027-01-01", .ok = false },
    { "a stored policy", SAS "&si=policy", .ok = false },
    { "a range of addresses", SAS "&sip=10.0.0.1", .ok = false },
    { "for a blob", "sv=1&sr=b&sp=r&se=2026-02-01&sig=x", .ok = false },
    { "for an account", "sv=1&ss=b&srt=co&sp=rl&se=2026-02-01&sig=x", .ok = false },
    { "an unknown letter", "sv=1&sr=c&sp=rlz&se=2026-02-01&sig=x", .ok = false },
    { "a letter twice", "sv=1&sr=c&sp=rr&se=2026-02-01&sig=x", .ok = false },
    { "an unknown protocol", SAS "&spr=ftp", .ok = false },
    { "an empty value", "sv=1&sr=c&sp=&se=2026-02-01&sig=x", .ok = false },
    { "an empty pair", SAS "&", .ok = false },
    { "two of them", SAS "&&", .ok = false },
    { "a whole URL", AZURE "/content?" SAS, .ok = false },
    { "a blank", "sv=1 &sr=c&sp=rl&se=2026-02-01&sig=x", .ok = false },
    { "a second line", SAS "\nx=1", .ok = false },
    { "an escape cut short", "sv=1&sr=c&sp=rl&se=2026-02-01&sig=x%4", .ok = false },
    { "a NUL in disguise", "sv=1&sr=c&sp=rl&se=2026-02-01&sig=x%00", .ok = false },
    { "a name in other case", "SV=1&sr=c&sp=rl&se=2026-02-01&sig=x", .ok = false },
};

static void a_sas_is_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(signatures); i++) {
        struct cmg_sas sas;
        struct cmg_err err = { 0 };
        enum cmg_rc rc = cmg_sas_read(cmg_str(signatures[i].text), &sas, &err);
        if (rc != (signatures[i].ok ? CMG_OK : CMG_ECONF))
            fail_msg("%s: %d %s", signatures[i].says, rc, err.text);
        if (rc != CMG_OK) {
            assert_true(err.text[0]);
            assert_false(sas.text[0]);
            continue;
        }
        assert_int_equal(signatures[i].may, sas.may);
        assert_int_equal(signatures[i].since, sas.since);
        assert_int_equal(signatures[i].until, sas.until);
        assert_string_equal(signatures[i].text, sas.text);
    }
}

static const struct {
    const char *name, *url;
    bool ok;
} accounts[] = {
    { "contoso", NULL, true },
    { "contoso", "https://contoso.blob.core.windows.net/", true },
    { "contoso", "http://127.0.0.1:10000/contoso", true },
    { "contoso", "https://[::1]:10000/contoso", true },
    { "Contoso", NULL, false },
    { "co", NULL, false },
    { "contoso-x", NULL, false },
    { "contoso", "", false },
    { "contoso", "https://", false },
    { "contoso", "ftp://contoso", false },
    { "contoso", "https://user@contoso", false },
    { "contoso", "https://contoso/?a=b", false },
    { "contoso", "https://contoso/a%20b", false },
    { "contoso", "https://contoso/a b", false },
};

static void an_account_has_a_name_and_a_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(accounts); i++) {
        struct cmg_err err = { 0 };
        struct cmg_account *a = cmg_account_new(accounts[i].name, accounts[i].url, &err);
        if (!!a != accounts[i].ok)
            fail_msg("%s at %s", accounts[i].name, accounts[i].url ? accounts[i].url : "-");
        assert_true(a || err.text[0]);
        cmg_account_free(a);
    }
}

static void a_wrong_key_changes_nothing(void **state)
{
    (void)state;
    struct cmg_err err = { 0 };
    struct cmg_account *a = with_key(NULL);
    assert_int_equal(CMG_ECONF, cmg_account_use_key(a, CMG_STR("secret, not base64"), &err));
    assert_null(strstr(err.text, "secret"));
    assert_int_equal(CMG_ECONF, cmg_account_use_key(a, CMG_STR("AAAA"), &err));
    assert_int_equal(CMG_ECONF, cmg_account_use_key(a, CMG_STR(KEY "\n" KEY), &err));
    assert_int_equal(CMG_ECONF, cmg_account_use_sas(a, CMG_STR("sv=1"), &err));
    assert_true(cmg_account_has_key(a));
    assert_null(cmg_account_sas(a));
    cmg_account_free(a);
}

static const struct {
    struct cmg_str name;
    bool ok;
} names[] = {
    { S("a"), true },
    { S("ps1/sub folder/file (1)+%41&=;'.bin"), true },
    { S(".hidden"), true },
    { S("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), true },
    { S(""), false },
    { S("/a"), false },
    { S("a/"), false },
    { S("a//b"), false },
    { S("."), false },
    { S("a/../b"), false },
    { S("a/./b"), false },
    { S("a./b"), false },
    { S("a."), false },
    { S("a\\b"), false },
    { S("a\nb"), false },
    { S("a\0b"), false },
    { S("a\x7f"), false },
    { S("\xc2\x85"), false },         /* a control character */
    { S("\xc0\xaf"), false },         /* an overlong slash */
    { S("\xed\xa0\x80"), false },     /* a surrogate */
    { S("\xef\xbf\xbe"), false },     /* no character, and none of XML */
    { S("\xf4\x90\x80\x80"), false }, /* past the last one */
    { S("\xe2\x82"), false },
    { S("\x80"), false },
};

static void a_blob_has_one_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(names); i++)
        if (cmg_blob_name_ok(names[i].name) != names[i].ok)
            fail_msg("row %zu: %.*s", i, CMG_ARG(names[i].name));
    char longest[CMG_BLOB_NAME_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_true(cmg_blob_name_ok((struct cmg_str){ longest, CMG_BLOB_NAME_MAX }));
    assert_false(cmg_blob_name_ok((struct cmg_str){ longest, CMG_BLOB_NAME_MAX + 1 }));
    assert_true(cmg_container_ok(CMG_STR("a-1")) && !cmg_container_ok(CMG_STR("a--1")) &&
                !cmg_container_ok(CMG_STR("-ab")) && !cmg_container_ok(CMG_STR("ab-")) &&
                !cmg_container_ok(CMG_STR("$web")) && !cmg_container_ok(CMG_STR("ab")));
}

static void the_longest_request_has_room(void **state)
{
    (void)state;
    struct cmg_account *a = with_key(NULL);
    struct cmg_blob_request r;
    char text[CMG_BLOB_NAME_MAX], marker[2048], type[128];
    memset(text, '+', sizeof(text));
    memset(marker, '/', sizeof(marker));
    memset(type, 'a', sizeof(type));
    cmg_blob_request_make(&r, a,
                          &(struct cmg_blob_op){ .verb = CMG_BLOB_LIST,
                                                 .container = "content",
                                                 .prefix = { text, sizeof(text) },
                                                 .marker = { marker, sizeof(marker) } },
                          NOW);
    cmg_blob_request_clear(&r);
    cmg_blob_request_make(&r, a,
                          &(struct cmg_blob_op){ .verb = CMG_BLOB_PUT,
                                                 .container = "content",
                                                 .blob = { text, sizeof(text) },
                                                 .length = SIZE_MAX,
                                                 .md5 = hello,
                                                 .blob_md5 = hello,
                                                 .type = { type, sizeof(type) },
                                                 .only_new = true },
                          NOW);
    assert_int_equal(CMG_BLOB_FIELDS_MAX, r.nfields);
    cmg_blob_request_clear(&r);
    char *url = cmg_account_share(a, NULL, "content", (struct cmg_str){ text, sizeof(text) }, END);
    assert_true(strlen(url) > sizeof(text) * 3);
    free(url);
    cmg_account_free(a);
}

static void a_refusal_is_told_by_its_code(void **state)
{
    (void)state;
    char why[CMG_BLOB_WHY];
    struct cmg_field f = { CMG_STR("X-Ms-Error-Code"), CMG_STR("AuthenticationFailed") };
    cmg_blob_why(403, &f, 1, why);
    assert_string_equal("403 AuthenticationFailed", why);
    f.value = CMG_STR("<script>");
    cmg_blob_why(403, &f, 1, why);
    assert_string_equal("403", why);
    cmg_blob_why(500, NULL, 0, why);
    assert_string_equal("500", why);
}

static void a_list_of_blocks_is_written_and_read(void **state)
{
    (void)state;
    struct cmg_buf b;
    struct cmg_str ids[] = { CMG_STR("BLK0001"), CMG_STR("BLK0002") };
    cmg_buf_init(&b, 1000);
    assert_int_equal(CMG_OK, cmg_block_list_put(&b, ids, 2));
    assert_true(cmg_str_eq(cmg_buf_str(&b),
                           CMG_STR("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>"
                                   "<Latest>QkxLMDAwMQ==</Latest><Latest>QkxLMDAwMg==</Latest>"
                                   "</BlockList>")));
    cmg_buf_clear(&b);
    cmg_buf_init(&b, 100);
    assert_int_equal(CMG_ETOOBIG, cmg_block_list_put(&b, ids, 2));
    cmg_buf_clear(&b);

    struct cmg_block *blocks = NULL;
    size_t n = 0;
    struct cmg_err err = { 0 };
    assert_int_equal(
        CMG_OK, cmg_block_list_read(
                    CMG_STR("<BlockList><CommittedBlocks><Block><Name>QkxLMDAwMQ==</Name>"
                            "<Size>7</Size></Block></CommittedBlocks><UncommittedBlocks><Block>"
                            "<Name>QkxLMDAwMg==</Name><Size>8</Size></Block>"
                            "</UncommittedBlocks></BlockList>"),
                    &blocks, &n, &err));
    assert_int_equal(2, n);
    assert_memory_equal("BLK0001", blocks[0].id, 7);
    assert_true(blocks[0].committed && blocks[0].size == 7 && blocks[0].nid == 7);
    assert_true(!blocks[1].committed && blocks[1].size == 8);
    free(blocks);
    assert_int_equal(CMG_EPROTO,
                     cmg_block_list_read(CMG_STR("<BlockList><CommittedBlocks><Block><Name>*</Name>"
                                                 "</Block></CommittedBlocks></BlockList>"),
                                         &blocks, &n, &err));
    assert_int_equal(CMG_EPROTO,
                     cmg_block_list_read(CMG_STR("<BlockList><UncommittedBlocks><Block/>"
                                                 "</UncommittedBlocks></BlockList>"),
                                         &blocks, &n, &err));
}

static void sums_of_pieces_are_those_of_the_whole(void **state)
{
    (void)state;
    unsigned char whole[CMG_MD5_BYTES], pieces[CMG_MD5_BYTES];
    struct cmg_md5_sum *m = cmg_md5_sum_new();
    cmg_md5(CMG_STR("hello"), whole);
    assert_memory_equal(hello, whole, sizeof(whole));
    cmg_md5_sum_add(m, CMG_STR("he"));
    cmg_md5_sum_add(m, CMG_STR(""));
    cmg_md5_sum_add(m, CMG_STR("llo"));
    cmg_md5_sum_end(m, pieces);
    cmg_md5_sum_free(m);
    assert_memory_equal(whole, pieces, sizeof(whole));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_signed_as_the_service_prescribes),
        cmocka_unit_test(a_request_with_a_sas_is_not_signed),
        cmocka_unit_test(a_share_opens_one_blob),
        cmocka_unit_test(a_sas_is_read_strictly),
        cmocka_unit_test(an_account_has_a_name_and_a_place),
        cmocka_unit_test(a_wrong_key_changes_nothing),
        cmocka_unit_test(a_blob_has_one_name),
        cmocka_unit_test(the_longest_request_has_room),
        cmocka_unit_test(a_refusal_is_told_by_its_code),
        cmocka_unit_test(a_list_of_blocks_is_written_and_read),
        cmocka_unit_test(sums_of_pieces_are_those_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
