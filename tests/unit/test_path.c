/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/path.h"

#define S(literal)                      \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }

static const struct {
    const char *says;
    struct cmg_str target;
    enum cmg_rc want;
} targets[] = {
    { "the root", S("/"), CMG_OK },
    { "a slash at the end", S("/a/b/"), CMG_OK },
    { "a name that starts with a dot", S("/SMS_MP/.sms_aut?MPLIST"), CMG_OK },
    { "dots inside a name", S("/a.b..c/d...e"), CMG_OK },
    { "a name that starts with two dots", S("/..a"), CMG_OK },
    { "braces, encoded and not", S("/{a}%7Bb%7d"), CMG_OK },
    { "an encoded letter", S("/%41bc"), CMG_OK },
    { "an encoded blank inside a name", S("/a%20b"), CMG_OK },
    { "an encoded byte above ASCII", S("/caf%C3%A9"), CMG_OK },
    { "a raw byte that is no UTF-8", S("/caf\xe9/\xff"), CMG_OK },
    { "raw UTF-8 of two, three and four bytes", S("/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
      CMG_OK },
    { "a lead byte that could start an overlong form but does not",
      S("/\xe0\xa0\x80\xf0\x90\x80\x80\xe0"
        "b"),
      CMG_OK },
    { "an encoded question mark and number sign", S("/a%3Fb%23"), CMG_OK },
    { "a lone encoded percent sign", S("/100%25"), CMG_OK },
    { "an encoded percent sign before what is no escape", S("/100%25/2%25zz%25a"), CMG_OK },
    { "semicolons, commas, colons and an at sign", S("/a;b=c,d:e@f"), CMG_OK },
    { "slashes and dots in the query", S("/a?/../b//c\\%2e%2f%zz%"), CMG_OK },
    { "an empty query", S("/a?"), CMG_OK },
    { "question marks in the query", S("/a?b?c"), CMG_OK },
    { "nothing", S(""), CMG_EPROTO },
    { "a star", S("*"), CMG_EPROTO },
    { "a path without slash", S("a/b"), CMG_EPROTO },
    { "a query without path", S("?a"), CMG_EPROTO },
    { "an absolute URI", S("http://a/b"), CMG_EPROTO },
    { "two slashes at the front", S("//a"), CMG_EPROTO },
    { "two slashes inside", S("/a//b"), CMG_EPROTO },
    { "two slashes at the end", S("/a//"), CMG_EPROTO },
    { "a dot segment", S("/./a"), CMG_EPROTO },
    { "a dot segment at the end", S("/a/."), CMG_EPROTO },
    { "a double dot segment", S("/a/../b"), CMG_EPROTO },
    { "a double dot segment at the end", S("/a/.."), CMG_EPROTO },
    { "a double dot segment before the query", S("/a/..?b"), CMG_EPROTO },
    { "a segment of three dots", S("/a/.../b"), CMG_EPROTO },
    { "a segment that ends in a dot", S("/a./b"), CMG_EPROTO },
    { "a path that ends in a dot", S("/a."), CMG_EPROTO },
    { "a segment that ends in an encoded blank", S("/a%20/b"), CMG_EPROTO },
    { "a path that ends in an encoded blank", S("/a%20"), CMG_EPROTO },
    { "an encoded dot", S("/%2e"), CMG_EPROTO },
    { "an encoded dot inside a name", S("/a%2Eb"), CMG_EPROTO },
    { "half of a double dot encoded", S("/.%2e/a"), CMG_EPROTO },
    { "an encoded slash", S("/a%2fb"), CMG_EPROTO },
    { "an encoded slash in capitals", S("/a%2Fb"), CMG_EPROTO },
    { "an encoded backslash", S("/a%5cb"), CMG_EPROTO },
    { "a backslash", S("/a\\b"), CMG_EPROTO },
    { "a double dot with a backslash", S("/..\\a"), CMG_EPROTO },
    { "a dot encoded twice", S("/%252e%252e/a"), CMG_EPROTO },
    { "a dot encoded twice, every byte of it", S("/%25%32%65"), CMG_EPROTO },
    { "a slash encoded twice", S("/a%252fb"), CMG_EPROTO },
    { "a backslash encoded twice", S("/a%255Cb"), CMG_EPROTO },
    { "a NUL encoded twice", S("/a%2500"), CMG_EPROTO },
    { "a dot encoded three times", S("/%25252e"), CMG_EPROTO },
    { "an escape of UTF-16", S("/%u002e"), CMG_EPROTO },
    { "an escape of UTF-16 encoded again", S("/%25u002e"), CMG_EPROTO },
    { "an escape cut short", S("/a%"), CMG_EPROTO },
    { "an escape of one digit", S("/a%4"), CMG_EPROTO },
    { "an escape of one digit before a slash", S("/a%4/b"), CMG_EPROTO },
    { "an escape without digits", S("/a%zz"), CMG_EPROTO },
    { "two percent signs", S("/a%%41"), CMG_EPROTO },
    { "an escape cut by the query", S("/a%4?1"), CMG_EPROTO },
    { "an encoded NUL", S("/a%00"), CMG_EPROTO },
    { "an encoded LF", S("/a%0ab"), CMG_EPROTO },
    { "an encoded DEL", S("/a%7f"), CMG_EPROTO },
    { "a raw NUL", S("/a\0b"), CMG_EPROTO },
    { "a raw tab", S("/a\tb"), CMG_EPROTO },
    { "a raw DEL", S("/a\x7f"), CMG_EPROTO },
    { "a raw blank", S("/a b"), CMG_EPROTO },
    { "a fragment", S("/a#b"), CMG_EPROTO },
    { "an overlong dot", S("/%c0%ae%c0%ae/a"), CMG_EPROTO },
    { "an overlong slash, raw",
      S("/a\xc0\xaf"
        "b"),
      CMG_EPROTO },
    { "an overlong backslash", S("/a%c1%9cb"), CMG_EPROTO },
    { "an overlong slash that a lenient decoder completes", S("/a%c0nb"), CMG_EPROTO },
    { "an overlong slash of three bytes", S("/a%e0%80%afb"), CMG_EPROTO },
    { "an overlong slash of three bytes, half raw",
      S("/a\xe0%80\xaf"
        "b"),
      CMG_EPROTO },
    { "an overlong slash of four bytes", S("/a%f0%80%80%afb"), CMG_EPROTO },
    { "an overlong slash of five bytes", S("/a%f8%80%80%80%afb"), CMG_EPROTO },
    { "an overlong slash of six bytes", S("/a%fc%80%80%80%80%afb"), CMG_EPROTO },
    { "a blank in the query", S("/a?b c"), CMG_EPROTO },
    { "a LF in the query", S("/a?b\nc"), CMG_EPROTO },
    { "a NUL in the query", S("/a?b\0"), CMG_EPROTO },
    { "a fragment behind the query", S("/a?b#c"), CMG_EPROTO },
    { "the tree with an encoded letter", S("/%43CM_Proxy_MutualAuth/8/SMS_MP"), CMG_EPROTO },
    { "the other tree with an encoded letter", S("/ccm_proxy_serveraut%68/8"), CMG_EPROTO },
    { "an id with an encoded digit", S("/CCM_Proxy_MutualAuth/%38/SMS_MP"), CMG_EPROTO },
    { "an encoded name that only looks like the tree", S("/%43CM_Proxy_MutualAuthX/8"), CMG_OK },
};

static const struct {
    const char *target;
    enum cmg_tree tree;
    const char *path, *query, *id, *rest; /* NULL query: none */
} readings[] = {
    { "/CCM_Proxy_MutualAuth/72057594037927941/CCM_System/request?a=b", CMG_TREE_MUTUALAUTH,
      "/CCM_Proxy_MutualAuth/72057594037927941/CCM_System/request", "a=b", "72057594037927941",
      "/CCM_System/request" },
    { "/ccm_proxy_SERVERAUTH/8/ccm_system_tokenauth/request", CMG_TREE_SERVERAUTH,
      "/ccm_proxy_SERVERAUTH/8/ccm_system_tokenauth/request", NULL, "8",
      "/ccm_system_tokenauth/request" },
    { "/CCM_Proxy_ServerAuth/ServiceMetadata", CMG_TREE_SERVERAUTH,
      "/CCM_Proxy_ServerAuth/ServiceMetadata", NULL, "ServiceMetadata", "" },
    { "/CCM_Proxy_ServerAuth/AADAuthInfo?TenantID=1", CMG_TREE_SERVERAUTH,
      "/CCM_Proxy_ServerAuth/AADAuthInfo", "TenantID=1", "AADAuthInfo", "" },
    { "/CCM_Proxy_MutualAuth/8/", CMG_TREE_MUTUALAUTH, "/CCM_Proxy_MutualAuth/8/", NULL, "8", "/" },
    { "/CCM_Proxy_MutualAuth/", CMG_TREE_MUTUALAUTH, "/CCM_Proxy_MutualAuth/", NULL, "", "" },
    { "/CCM_Proxy_MutualAuth", CMG_TREE_MUTUALAUTH, "/CCM_Proxy_MutualAuth", NULL, "", "" },
    { "/CCM_Proxy_MutualAuth?", CMG_TREE_MUTUALAUTH, "/CCM_Proxy_MutualAuth", "", "", "" },
    { "/CCM_Proxy_MutualAuth7981/x", CMG_TREE_NONE, "/CCM_Proxy_MutualAuth7981/x", NULL, "", "" },
    { "/CCM_Proxy_MutualAut/x", CMG_TREE_NONE, "/CCM_Proxy_MutualAut/x", NULL, "", "" },
    { "/x/CCM_Proxy_MutualAuth/8/a", CMG_TREE_NONE, "/x/CCM_Proxy_MutualAuth/8/a", NULL, "", "" },
    { "/CCM_STS", CMG_TREE_NONE, "/CCM_STS", NULL, "", "" },
    { "/", CMG_TREE_NONE, "/", NULL, "", "" },
    { "/CCM_Proxy_MutualAuth/8/SMS_MP/.sms_pol?%7B1%7D", CMG_TREE_MUTUALAUTH,
      "/CCM_Proxy_MutualAuth/8/SMS_MP/.sms_pol", "%7B1%7D", "8", "/SMS_MP/.sms_pol" },
};

static const struct {
    const char *rest, *prefix;
    bool want;
} unders[] = {
    { "/CCM_System/request", "CCM_System", true },
    { "/ccm_system/request", "CCM_System", true },
    { "/CCM_System", "CCM_System", true },
    { "/CCM_System/", "CCM_System", true },
    { "/CCM_SystemX", "CCM_System", false },
    { "/CCM_System_TokenAuth/request", "CCM_System", false },
    { "/CCM_Syste", "CCM_System", false },
    { "/x/CCM_System", "CCM_System", false },
    { "CCM_System/request", "CCM_System", false },
    { "/CCM%5fSystem/request", "CCM_System", false },
    { "/SMS_MP/x/y", "SMS_MP/x", true },
    { "/SMS_MP/xy", "SMS_MP/x", false },
    { "/SMS_MP", "SMS_MP/x", false },
    { "/", "CCM_System", false },
    { "", "CCM_System", false },
    { "/anything", "", false },
};

static void targets_are_canonical_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(targets); i++) {
        struct cmg_path path;
        struct cmg_err err = { 0 };
        if (cmg_path_parse(targets[i].target, &path, &err) != targets[i].want)
            fail_msg("%s: %s", targets[i].says, err.text[0] ? err.text : "taken");
        if (targets[i].want != CMG_OK && !err.text[0])
            fail_msg("%s: refused without a reason", targets[i].says);
    }
}

static void assert_str(const char *target, const char *want, struct cmg_str got)
{
    if (!cmg_str_eq(cmg_str(want), got))
        fail_msg("%s: got \"%.*s\", want \"%s\"", target, CMG_ARG(got), want);
}

static void a_target_is_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(readings); i++) {
        const char *target = readings[i].target;
        struct cmg_path path;
        assert_int_equal(CMG_OK, cmg_path_parse(cmg_str(target), &path, NULL));
        assert_int_equal(readings[i].tree, path.tree);
        assert_str(target, readings[i].path, path.path);
        assert_str(target, readings[i].id, path.id);
        assert_str(target, readings[i].rest, path.rest);
        assert_int_equal(readings[i].query == NULL, path.query.p == NULL);
        if (readings[i].query)
            assert_str(target, readings[i].query, path.query);
    }
}

static void a_path_lies_under_a_prefix_by_whole_segments(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(unders); i++)
        if (cmg_path_under(cmg_str(unders[i].rest), cmg_str(unders[i].prefix)) != unders[i].want)
            fail_msg("\"%s\" under \"%s\"", unders[i].rest, unders[i].prefix);
}

/* Every byte, raw and encoded, in the middle of a name. */
static void every_byte_is_judged_raw_and_encoded(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char raw[] = "/aXb", encoded[] = "/a%XXb";
        struct cmg_path path;
        bool ctl = c < ' ' || c == 0x7f, lead = c == 0xc0 || c == 0xc1;
        bool raw_ok = !ctl && !lead && c != ' ' && c != '#' && c != '%' && c != '\\';
        bool encoded_ok = !ctl && !lead && c != '.' && c != '/' && c != '\\';

        raw[2] = (char)c;
        encoded[3] = "0123456789abcdef"[c >> 4];
        encoded[4] = "0123456789ABCDEF"[c & 15];
        if ((cmg_path_parse((struct cmg_str){ raw, 4 }, &path, NULL) == CMG_OK) != raw_ok)
            fail_msg("raw %02x", (unsigned)c);
        if ((cmg_path_parse((struct cmg_str){ encoded, 6 }, &path, NULL) == CMG_OK) != encoded_ok)
            fail_msg("encoded %02x", (unsigned)c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_canonical_or_refused),
        cmocka_unit_test(a_target_is_taken_apart),
        cmocka_unit_test(a_path_lies_under_a_prefix_by_whole_segments),
        cmocka_unit_test(every_byte_is_judged_raw_and_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
