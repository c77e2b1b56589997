/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/endpoint.h"

static char id_8[] = "8", id_long[] = "72057594037927941";
static char ccm_system[] = "CCM_System", sms_mp[] = "SMS_MP", sms_mp_x[] = "SMS_MP/x";

static enum cmg_rc add_id(struct cmg_endpoint_set *set, const char *id, struct cmg_err *err)
{
    char *copy = cmg_strdup(id);
    struct cmg_endpoint e = { .id = copy, .auth = CMG_AUTH_MUTUAL };
    enum cmg_rc rc = cmg_endpoint_set_add(set, &e, err);
    free(copy);
    return rc;
}

static enum cmg_rc add_path(const char *path)
{
    struct cmg_endpoint_set set = { NULL, 0 };
    char *copy = cmg_strdup(path);
    struct cmg_endpoint e = { .id = id_8, .paths = &copy, .npaths = 1 };
    struct cmg_err err = { 0 };
    enum cmg_rc rc = cmg_endpoint_set_add(&set, &e, &err);

    assert_int_equal(rc == CMG_OK, err.text[0] == '\0');
    free(copy);
    cmg_endpoint_set_clear(&set);
    return rc;
}

static void an_endpoint_is_copied_whole(void **state)
{
    (void)state;
    char id[] = "P01-mp.1", path[] = "CCM_System";
    char *paths[] = { path, sms_mp };
    struct cmg_endpoint_set set = { NULL, 0 };
    struct cmg_endpoint e = {
        .id = id,
        .role = CMG_ROLE_SOFTWARE_UPDATE_POINT,
        .paths = paths,
        .npaths = 2,
        .max_request_bytes = 123,
        .auth = CMG_AUTH_SERVER,
    };
    assert_int_equal(CMG_OK, cmg_endpoint_set_add(&set, &e, NULL));
    memset(id, 'x', sizeof(id) - 1);
    memset(path, 'x', sizeof(path) - 1);

    const struct cmg_endpoint *got = cmg_endpoint_find(&set, CMG_STR("P01-mp.1"));
    assert_non_null(got);
    assert_string_equal("CCM_System", got->paths[0]);
    assert_string_equal("SMS_MP", got->paths[1]);
    assert_int_equal(2, got->npaths);
    assert_int_equal(CMG_ROLE_SOFTWARE_UPDATE_POINT, got->role);
    assert_int_equal(123, got->max_request_bytes);
    assert_int_equal(CMG_AUTH_SERVER, got->auth);
    cmg_endpoint_set_clear(&set);
    assert_null(set.v);
    assert_int_equal(0, set.n);
}

static void ids_are_short_plain_and_never_end_in_a_dot(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        enum cmg_rc want;
    } cases[] = {
        { "8", CMG_OK },
        { "Az09._-x", CMG_OK },
        { ".a", CMG_OK },
        { "0123456789012345678901234567890123456789012345678901234567890123", CMG_OK },
        { "01234567890123456789012345678901234567890123456789012345678901234", CMG_ECONF },
        { "", CMG_ECONF },
        { "a b", CMG_ECONF },
        { "a/b", CMG_ECONF },
        { "a%41", CMG_ECONF },
        { "\xc3\xa9", CMG_ECONF },
        { "a.", CMG_ECONF },
        { "..", CMG_ECONF },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_endpoint_set set = { NULL, 0 };
        struct cmg_err err = { 0 };
        if (add_id(&set, cases[i].id, &err) != cases[i].want)
            fail_msg("\"%s\": %s", cases[i].id, err.text);
        assert_int_equal(cases[i].want == CMG_OK, err.text[0] == '\0');
        cmg_endpoint_set_clear(&set);
    }
}

static void an_id_that_is_missing_is_refused(void **state)
{
    (void)state;
    struct cmg_endpoint_set set = { NULL, 0 };
    struct cmg_endpoint e = { .id = NULL };
    assert_int_equal(CMG_ECONF, cmg_endpoint_set_add(&set, &e, NULL));
}

static void an_id_may_be_there_once_whatever_its_case(void **state)
{
    (void)state;
    struct cmg_endpoint_set set = { NULL, 0 };
    assert_int_equal(CMG_OK, add_id(&set, "Abc", NULL));
    assert_int_equal(CMG_ECONF, add_id(&set, "aBC", NULL));
    assert_int_equal(1, set.n);
    cmg_endpoint_set_clear(&set);
}

static void published_paths_are_what_a_request_could_ask_for(void **state)
{
    (void)state;
    char longest[257];
    memset(longest, 'a', sizeof(longest));
    longest[256] = '\0';
    static const struct {
        const char *path;
        enum cmg_rc want;
    } cases[] = {
        { "CCM_System", CMG_OK },  { "SMS_MP/.sms_aut", CMG_OK }, { "a%20b", CMG_OK },
        { "", CMG_ECONF },         { "/a", CMG_ECONF },           { "a/", CMG_ECONF },
        { "a//b", CMG_ECONF },     { "..", CMG_ECONF },           { "a/../b", CMG_ECONF },
        { "a?b", CMG_ECONF },      { "a?", CMG_ECONF },           { "a#b", CMG_ECONF },
        { "a b", CMG_ECONF },      { "a\\b", CMG_ECONF },         { "a%2fb", CMG_ECONF },
        { "\xc3\xa9", CMG_ECONF }, { "a\n", CMG_ECONF },          { NULL, CMG_ECONF },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++)
        if (add_path(cases[i].path) != cases[i].want)
            fail_msg("path \"%s\"", cases[i].path ? cases[i].path : "NULL");
    assert_int_equal(CMG_ECONF, add_path(longest));
    longest[255] = '\0';
    assert_int_equal(CMG_OK, add_path(longest));
}

static void roles_sizes_and_authentications_have_bounds(void **state)
{
    (void)state;
    const struct cmg_endpoint bad[] = {
        { .id = id_8, .max_request_bytes = -1 },
        { .id = id_8, .auth = 4 },
        { .id = id_8, .role = (enum cmg_role)3 },
    };
    for (size_t i = 0; i < CMG_COUNT(bad); i++) {
        struct cmg_endpoint_set set = { NULL, 0 };
        assert_int_equal(CMG_ECONF, cmg_endpoint_set_add(&set, &bad[i], NULL));
        assert_int_equal(0, set.n);
    }
}

static void more_paths_than_the_ceiling_are_refused(void **state)
{
    (void)state;
    char *paths[CMG_ENDPOINT_PATHS_MAX + 1];
    struct cmg_endpoint_set set = { NULL, 0 };
    struct cmg_endpoint e = { .id = id_8, .paths = paths, .npaths = CMG_COUNT(paths) };

    for (size_t i = 0; i < CMG_COUNT(paths); i++)
        paths[i] = sms_mp;
    assert_int_equal(CMG_ECONF, cmg_endpoint_set_add(&set, &e, NULL));
    e.npaths--;
    assert_int_equal(CMG_OK, cmg_endpoint_set_add(&set, &e, NULL));
    cmg_endpoint_set_clear(&set);
}

static void a_full_set_finds_each_and_takes_no_more(void **state)
{
    (void)state;
    struct cmg_endpoint_set set = { NULL, 0 };
    char id[32];

    for (int i = 0; i < CMG_ENDPOINTS_MAX; i++) {
        snprintf(id, sizeof(id), "72057594037%06d", i);
        assert_int_equal(CMG_OK, add_id(&set, id, NULL));
    }
    assert_int_equal(CMG_ECONF, add_id(&set, "one-more", NULL));
    for (int i = 0; i < CMG_ENDPOINTS_MAX; i++) {
        snprintf(id, sizeof(id), "72057594037%06d", i);
        assert_ptr_equal(&set.v[i], cmg_endpoint_find(&set, cmg_str(id)));
    }
    cmg_endpoint_set_clear(&set);
}

static void an_id_is_found_whole_and_without_case(void **state)
{
    (void)state;
    struct cmg_endpoint_set set = { NULL, 0 };
    assert_int_equal(CMG_OK, add_id(&set, "Site-P01", NULL));
    assert_int_equal(CMG_OK, add_id(&set, id_long, NULL));

    assert_ptr_equal(&set.v[0], cmg_endpoint_find(&set, CMG_STR("sITE-p01")));
    assert_ptr_equal(&set.v[1], cmg_endpoint_find(&set, CMG_STR("72057594037927941")));
    assert_null(cmg_endpoint_find(&set, CMG_STR("7205759403792794")));
    assert_null(cmg_endpoint_find(&set, CMG_STR("720575940379279411")));
    assert_null(cmg_endpoint_find(&set, CMG_STR("Site-P02")));
    assert_null(cmg_endpoint_find(&set, CMG_STR("Sate-P01")));
    assert_null(cmg_endpoint_find(&set, CMG_STR("")));
    assert_null(cmg_endpoint_find(&set, (struct cmg_str){ NULL, 0 }));
    cmg_endpoint_set_clear(&set);
    assert_null(cmg_endpoint_find(&set, CMG_STR("Site-P01")));
}

static void the_longest_published_path_matches(void **state)
{
    (void)state;
    char *paths[] = { sms_mp, sms_mp_x, ccm_system };
    const struct cmg_endpoint e = { .id = id_8, .paths = paths, .npaths = 3 };
    static const struct {
        const char *rest, *want;
    } cases[] = {
        { "/sms_mp/X/y", "SMS_MP/x" },
        { "/SMS_MP/x", "SMS_MP/x" },
        { "/SMS_MP/xy", "SMS_MP" },
        { "/sms_mp/.sms_aut", "SMS_MP" },
        { "/CCM_System/request", "CCM_System" },
        { "/CCM_System_TokenAuth/request", NULL },
        { "/SMS", NULL },
        { "/", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        const char *got = cmg_endpoint_match(&e, cmg_str(cases[i].rest));
        if (!got != !cases[i].want || (got && strcmp(got, cases[i].want) != 0))
            fail_msg("%s: %s", cases[i].rest, got ? got : "no match");
    }
}

static void the_order_of_published_paths_does_not_matter(void **state)
{
    (void)state;
    char *paths[] = { sms_mp_x, sms_mp };
    const struct cmg_endpoint e = { .id = id_8, .paths = paths, .npaths = 2 };
    assert_string_equal("SMS_MP/x", cmg_endpoint_match(&e, CMG_STR("/SMS_MP/x/y")));
}

static bool has(const char *const *list, const char *want)
{
    for (; *list; list++)
        if (strcmp(*list, want) == 0)
            return true;
    return false;
}

static void every_role_has_a_name_and_paths_that_can_be_published(void **state)
{
    (void)state;
    static const size_t counts[] = { 14, 4, 1 };
    for (size_t i = 0; i < CMG_COUNT(counts); i++) {
        const char *const *paths = cmg_role_paths((enum cmg_role)i);
        size_t n = 0;
        assert_non_null(cmg_role_names[i]);
        for (; paths[n]; n++)
            assert_int_equal(CMG_OK, add_path(paths[n]));
        assert_int_equal(counts[i], n);
    }
    assert_null(cmg_role_names[CMG_COUNT(counts)]);
    assert_string_equal("admin-service", cmg_role_names[CMG_ROLE_ADMIN_SERVICE]);
    assert_true(has(cmg_role_paths(CMG_ROLE_MANAGEMENT_POINT), "SMS_MP_AltAuth"));
    assert_true(has(cmg_role_paths(CMG_ROLE_SOFTWARE_UPDATE_POINT), "SelfUpdate"));
    assert_false(has(cmg_role_paths(CMG_ROLE_SOFTWARE_UPDATE_POINT), "Content"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_endpoint_is_copied_whole),
        cmocka_unit_test(ids_are_short_plain_and_never_end_in_a_dot),
        cmocka_unit_test(an_id_that_is_missing_is_refused),
        cmocka_unit_test(an_id_may_be_there_once_whatever_its_case),
        cmocka_unit_test(published_paths_are_what_a_request_could_ask_for),
        cmocka_unit_test(roles_sizes_and_authentications_have_bounds),
        cmocka_unit_test(more_paths_than_the_ceiling_are_refused),
        cmocka_unit_test(a_full_set_finds_each_and_takes_no_more),
        cmocka_unit_test(an_id_is_found_whole_and_without_case),
        cmocka_unit_test(the_longest_published_path_matches),
        cmocka_unit_test(the_order_of_published_paths_does_not_matter),
        cmocka_unit_test(every_role_has_a_name_and_paths_that_can_be_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
