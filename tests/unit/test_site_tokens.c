/* SPDX-License-Identifier: MIT */
/* Site tokens and content tokens, against certificates and block lists in real files. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "gateway/site_tokens.h"
#include "signers.h"

#define HIERARCHY "6d6e8a34-1f2c-4f6e-9b1d-2f5f0c8a7e10"
#define CLIENT "11111111-2222-4333-8444-555555555555"
#define TOKEN "99999999-8888-4777-8666-555555555555"

static struct cmg_signer *one, *two; /* of one.pem, two.pem */
static char one_pem[128], two_pem[128], blocked[128];
static char logged[256];
static struct gateway_conf conf;
static struct site_tokens *tokens;
static int64_t now;

static void on_event(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    (void)level;
    cmg_log_text(logged, sizeof(logged), event, kv, n);
}

static int set_up_all(void **state)
{
    static const struct cmg_log_sink sink = { on_event, NULL };
    (void)state;
    cert_setup();
    cmg_log_to(&sink, CMG_INFO);
    one = signer_make("one", true, 0, 0, one_pem);
    two = signer_make("two", true, 0, 0, two_pem);
    now = cmg_clock_unix();
    return 0;
}

static int tear_down_all(void **state)
{
    (void)state;
    cmg_log_to(NULL, CMG_INFO);
    cmg_signer_free(one);
    cmg_signer_free(two);
    return 0;
}

static char *certificates[] = { NULL, NULL }, *none[] = { NULL };
static char *bulk_paths[] = { (char[]){ "CCM_STS" }, (char[]){ "SMS_MP" }, NULL };
static char *issuers[] = { (char[]){ "mp.corp.example.com" }, NULL };
static char hierarchy[] = HIERARCHY;

static int set_up(void **state)
{
    struct cmg_err err;
    (void)state;
    snprintf(blocked, sizeof(blocked), "%s", cert_write_text("blocked", "# none\n", 0644));
    certificates[0] = one_pem;
    memset(&conf, 0, sizeof(conf));
    conf.site_tokens.hierarchy = hierarchy;
    conf.site_tokens.certificates = certificates;
    conf.site_tokens.block_list = blocked;
    conf.site_tokens.bulk_paths = bulk_paths;
    conf.site_tokens.leeway_ms = 60000;
    conf.content.issuers = issuers;
    conf.content.certificates = none;
    conf.content.lifetime_ms = 86400000;
    tokens = site_tokens_new(&conf, &err);
    logged[0] = '\0';
    return tokens ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    site_tokens_free(tokens);
    return 0;
}

static struct cmg_err why;

static enum cmg_rc identify(const struct cmg_signer *s, const char *guid, struct cmg_identity *out)
{
    const struct cmg_site_token t = { .type = CMG_SITE_TOKEN_CLIENT,
                                      .hierarchy = guid,
                                      .unique_id = TOKEN,
                                      .client = CLIENT,
                                      .not_before = now,
                                      .expires = now + 3600 };
    char *text = cmg_site_token_issue(s, &t, &why);
    assert_non_null(text);
    struct cmg_jwt *jwt = cmg_jwt_read(cmg_str(text), &why);
    free(text);
    assert_non_null(jwt);
    enum cmg_rc rc = site_tokens_identify(tokens, jwt, now, out, &why);
    cmg_jwt_free(jwt);
    return rc;
}

static bool taken(const struct cmg_signer *s)
{
    struct cmg_identity who;
    return identify(s, HIERARCHY, &who) == CMG_OK;
}

static void a_token_of_the_site_says_who_it_is(void **state)
{
    struct cmg_identity who;
    (void)state;
    assert_int_equal(identify(one, HIERARCHY, &who), CMG_OK);
    assert_int_equal(who.how, CMG_BY_SITE_TOKEN);
    assert_int_equal(who.kind, CMG_KIND_DEVICE);
    assert_string_equal(who.id, CLIENT);
    assert_string_equal(who.tenant, HIERARCHY);
    assert_int_equal(who.until, now + 3600);

    assert_int_equal(identify(two, HIERARCHY, &who), CMG_EDENIED);
    assert_int_equal(who.how, CMG_BY_NOTHING);
    assert_int_equal(identify(one, TOKEN, &who), CMG_EDENIED);
}

static void issuer_and_bulk_paths_are_those_of_the_configuration(void **state)
{
    (void)state;
    assert_true(site_tokens_issues(tokens, CMG_STR("urn:sccm:oauth2:" HIERARCHY)));
    assert_false(site_tokens_issues(tokens, CMG_STR("urn:sccm:oauth2:" TOKEN)));
    assert_false(site_tokens_issues(tokens, CMG_STR("")));
    assert_true(site_tokens_bulk_path(tokens, CMG_STR("/ccm_sts")));
    assert_true(site_tokens_bulk_path(tokens, CMG_STR("/SMS_MP/.sms_aut")));
    assert_false(site_tokens_bulk_path(tokens, CMG_STR("/SMS_MPx")));
    assert_false(site_tokens_bulk_path(tokens, CMG_STR("/CCM_System")));
}

static void without_a_hierarchy_no_token_is_taken(void **state)
{
    struct cmg_identity who;
    (void)state;
    site_tokens_free(tokens);
    conf.site_tokens.hierarchy = NULL;
    tokens = site_tokens_new(&conf, &why);
    assert_non_null(tokens);
    assert_false(site_tokens_issues(tokens, CMG_STR("urn:sccm:oauth2:")));
    assert_false(site_tokens_issues(tokens, CMG_STR("")));
    assert_int_equal(identify(one, HIERARCHY, &who), CMG_EDENIED);
}

static void what_is_blocked_is_refused_by_name_at_once(void **state)
{
    static const char *const lists[] = { TOKEN "\n", "# client\n" CLIENT " # lost\n" };
    static const char *const says[] = { "token " TOKEN " is blocked",
                                        "client " CLIENT " is blocked" };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct cmg_identity who;
        cert_write_text("blocked", lists[i], 0644);
        assert_true(site_tokens_refresh(tokens, blocked));
        assert_non_null(strstr(logged, "site_tokens.changed"));
        assert_non_null(strstr(logged, "blocked=1"));
        assert_int_equal(identify(one, HIERARCHY, &who), CMG_EDENIED);
        assert_int_equal(who.how, CMG_BY_NOTHING);
        assert_non_null(strstr(why.text, says[i]));
    }
    cert_write_text("blocked", "# nobody\n", 0644);
    assert_true(site_tokens_refresh(tokens, blocked));
    assert_true(taken(one));
}

static void a_list_that_is_damaged_leaves_the_old_one(void **state)
{
    static const char *const damaged[] = { "", "not a guid\n", TOKEN "\n" CLIENT "x\n" };
    (void)state;
    cert_write_text("blocked", TOKEN "\n", 0644);
    assert_true(site_tokens_refresh(tokens, blocked));
    for (size_t i = 0; i < 3; i++) {
        cert_write_text("blocked", damaged[i], 0644);
        assert_false(site_tokens_refresh(tokens, blocked));
        assert_non_null(strstr(logged, "site_tokens.refused"));
        assert_false(taken(one));
    }
    assert_int_equal(unlink(blocked), 0);
    assert_false(site_tokens_refresh(tokens, blocked));
    assert_non_null(strstr(logged, "No such file"));
    assert_false(taken(one));
}

static void another_key_comes_and_the_old_one_goes_without_a_reload(void **state)
{
    (void)state;
    char *first = slurp(one_pem), *second = slurp(two_pem);
    char *both = cmg_alloc(strlen(first) + strlen(second) + 1);
    snprintf(both, strlen(first) + strlen(second) + 1, "%s%s", first, second);

    cert_write_text("one.pem", both, 0644);
    assert_true(site_tokens_refresh(tokens, one_pem));
    assert_true(taken(one) && taken(two));
    cert_write_text("one.pem", "garbage", 0644);
    assert_false(site_tokens_refresh(tokens, one_pem));
    assert_true(taken(one) && taken(two));
    cert_write_text("one.pem", second, 0644);
    assert_true(site_tokens_refresh(tokens, one_pem));
    assert_false(taken(one));
    assert_true(taken(two));

    assert_false(site_tokens_refresh(tokens, two_pem)); /* none of ours */
    cert_write_text("one.pem", first, 0644);
    free(first);
    free(second);
    free(both);
}

static void a_start_with_a_bad_file_is_refused(void **state)
{
    char absent[128];
    (void)state;
    snprintf(absent, sizeof(absent), "%s", cert_path("absent"));
    certificates[0] = absent;
    assert_null(site_tokens_new(&conf, &why));
    assert_int_equal(why.code, CMG_ECONF);
    assert_non_null(strstr(why.text, "absent"));
    certificates[0] = one_pem;
    cert_write_text("blocked", "x\n", 0644);
    assert_null(site_tokens_new(&conf, &why));
    assert_non_null(strstr(why.text, "blocked: line 1"));
}

static void content_is_opened_but_not_to_a_blocked_client(void **state)
{
    struct cmg_content_token got, t = { .package = "PS100042",
                                        .content = "PS100042.3",
                                        .client = CLIENT,
                                        .issuer = "mp.corp.example.com",
                                        .start = now,
                                        .end = now + 86400 };
    struct cmg_identity who;
    (void)state;
    char *query = cmg_content_token_issue(one, &t, &why);
    assert_non_null(query);
    assert_int_equal(site_tokens_content(tokens, cmg_str(query), now, &got, &who, &why), CMG_OK);
    assert_string_equal(got.content, "PS100042.3");
    assert_int_equal(who.how, CMG_BY_CONTENT_TOKEN);
    assert_string_equal(who.id, CLIENT);
    assert_int_equal(who.until, now + 86400);

    cert_write_text("blocked", CLIENT "\n", 0644);
    assert_true(site_tokens_refresh(tokens, blocked));
    assert_int_equal(site_tokens_content(tokens, cmg_str(query), now, &got, &who, &why),
                     CMG_EDENIED);
    assert_string_equal(got.content, "");
    assert_int_equal(who.how, CMG_BY_NOTHING);
    conf.content.issuers = none;
    assert_int_equal(site_tokens_content(tokens, cmg_str(query), now, &got, &who, &why),
                     CMG_EDENIED);
    free(query);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_token_of_the_site_says_who_it_is),
        CASE(issuer_and_bulk_paths_are_those_of_the_configuration),
        CASE(without_a_hierarchy_no_token_is_taken),
        CASE(what_is_blocked_is_refused_by_name_at_once),
        CASE(a_list_that_is_damaged_leaves_the_old_one),
        CASE(another_key_comes_and_the_old_one_goes_without_a_reload),
        CASE(a_start_with_a_bad_file_is_refused),
        CASE(content_is_opened_but_not_to_a_blocked_client),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
