/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "ctl/publish_plan.h"

#define MIB (INT64_C(1024) * 1024)

static void a_content_id_becomes_a_prefix_in_lower_case(void **state)
{
    (void)state;
    static const struct {
        const char *id, *want; /* NULL: refused */
    } cases[] = {
        { "PS100042.3", "ps100042.3/" },
        { "Content_0a-B.1", "content_0a-b.1/" },
        { "7", "7/" },
        { "", NULL },
        { "a/b", NULL },
        { "a..b", NULL },
        { ".a", NULL },
        { "a.", NULL },
        { "a b", NULL },
        { "a%41", NULL },
        { "\xc3\xa4", NULL },
    };
    char out[PLAN_PREFIX];
    struct cmg_err err;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        enum cmg_rc rc = plan_prefix(cases[i].id, out, &err);
        assert_int_equal(rc, cases[i].want ? CMG_OK : CMG_ECONF);
        if (cases[i].want)
            assert_string_equal(out, cases[i].want);
    }
    char longest[PLAN_CONTENT_MAX + 2];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[PLAN_CONTENT_MAX + 1] = '\0';
    assert_int_equal(plan_prefix(longest, out, &err), CMG_ECONF);
    longest[PLAN_CONTENT_MAX] = '\0';
    assert_int_equal(plan_prefix(longest, out, &err), CMG_OK);
}

static void sizes_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {
        { "512", 512 },       { "64K", 65536 },
        { "8M", 8 * MIB },    { "8m", 8 * MIB },
        { "1G", 1024 * MIB }, { "0", 0 },
        { "", -1 },           { "M", -1 },
        { "8MB", -1 },        { "-8M", -1 },
        { "8 M", -1 },        { "9223372036854775807K", -1 },
        { "8.5M", -1 },       { "9223372036854775808", -1 },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++)
        assert_int_equal(plan_bytes(cases[i].text), cases[i].want);
}

/* --- steps ---------------------------------------------------------------------------------- */

static struct cmg_listing *listing(const char *blobs)
{
    char xml[4096];
    struct cmg_err err;
    struct cmg_listing *l = cmg_listing_new(CMG_STR("c1/"));
    snprintf(xml, sizeof(xml),
             "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>%s</Blobs>"
             "<NextMarker/></EnumerationResults>",
             blobs);
    if (cmg_listing_feed(l, cmg_str(xml), true, &err) != CMG_OK)
        fail_msg("%s", err.text);
    return l;
}

#define BLOB(name, size, md5)                                                                 \
    "<Blob><Name>c1/" name "</Name><Properties><Content-Length>" size "</Content-Length>" md5 \
    "</Properties></Blob>"
#define MD5 "<Content-MD5>XUFAKrxLKna5cZ2REBfFkg==</Content-MD5>"

static void steps_are(const struct folder *f, const char *blobs, const char *want)
{
    struct cmg_listing *l = blobs ? listing(blobs) : NULL;
    size_t n;
    struct plan_step *steps = plan_steps(f, l, 3, &n);
    static const char letters[] = { [PLAN_SEND] = '+', [PLAN_COMPARE] = '?', [PLAN_REMOVE] = '-' };
    char got[512] = "";
    for (size_t i = 0, at = 0; i < n; i++)
        at += (size_t)snprintf(got + at, sizeof(got) - at, "%c%s ", letters[steps[i].what],
                               steps[i].file ? steps[i].file->name : steps[i].blob->name + 3);
    assert_string_equal(got, want);
    free(steps);
    cmg_listing_free(l);
}

static void files_and_blobs_are_matched_by_name_size_and_digest(void **state)
{
    (void)state;
    char a[] = "a", b[] = "b/x", c[] = "c";
    struct folder_file files[] = { { a, 5, 0 }, { b, 6, 0 }, { c, 7, 0 } };
    struct folder f = { .files = files, .n = 3 };
    const struct folder none = { 0 };

    steps_are(&f, NULL, "+a +b/x +c ");
    steps_are(&f, "", "+a +b/x +c ");
    steps_are(&f, BLOB("a", "5", MD5) BLOB("b/x", "6", MD5) BLOB("c", "7", MD5), "?a ?b/x ?c ");
    steps_are(&f, BLOB("a", "4", MD5) BLOB("b/x", "6", "") BLOB("c", "7", MD5), "+a +b/x ?c ");
    /* in any order, among others */
    steps_are(&f, BLOB("z", "1", MD5) BLOB("c", "7", MD5) BLOB("0", "1", "") BLOB("b", "6", MD5),
              "+a +b/x ?c -0 -b -z ");
    /* names count with their case */
    steps_are(&f, BLOB("A", "5", MD5), "+a +b/x +c -A ");
    steps_are(&none, BLOB("a", "5", MD5), "-a ");
    steps_are(&none, "", "");
}

/* --- blocks --------------------------------------------------------------------------------- */

static void a_file_is_cut_without_a_rest_of_nothing(void **state)
{
    (void)state;
    assert_int_equal(plan_blocks(0, 8), 0);
    assert_int_equal(plan_blocks(1, 8), 1);
    assert_int_equal(plan_blocks(8, 8), 1);
    assert_int_equal(plan_blocks(9, 8), 2);
    assert_int_equal(plan_block_size(0, 8, 0), 0);
    assert_int_equal(plan_block_size(9, 8, 0), 8);
    assert_int_equal(plan_block_size(9, 8, 1), 1);
    assert_int_equal(plan_block_size(16, 8, 1), 8);
    assert_int_equal(plan_blocks(INT64_MAX, 1), (size_t)INT64_MAX);
}

static void more_blocks_than_a_blob_has_are_refused_with_what_fits(void **state)
{
    (void)state;
    char name[] = "big";
    struct cmg_err err;
    struct folder_file f = { name, CMG_BLOCKS_MAX * 8 * MIB, 0 };
    assert_int_equal(plan_fits(&f, 8 * MIB, &err), CMG_OK);
    f.size++;
    assert_int_equal(plan_fits(&f, 8 * MIB, &err), CMG_ECONF);
    assert_non_null(strstr(err.text, "--block-size 9M"));
    assert_int_equal(plan_fits(&f, 9 * MIB, &err), CMG_OK);
}

static void a_block_is_called_by_its_place_and_its_bytes(void **state)
{
    (void)state;
    unsigned char a[PLAN_BLOCK_ID], b[PLAN_BLOCK_ID];
    plan_block_id(1, CMG_STR("abc"), a);
    plan_block_id(1, CMG_STR("abc"), b);
    assert_memory_equal(a, b, sizeof(a));
    plan_block_id(2, CMG_STR("abc"), b);
    assert_memory_not_equal(a, b, sizeof(a));
    plan_block_id(1, CMG_STR("abd"), b);
    assert_memory_not_equal(a, b, sizeof(a));
    /* SHA-256 of "abc" (FIPS 180-2), behind the index */
    static const unsigned char want[] = { 0, 1, 2, 3, 0xba, 0x78, 0x16, 0xbf };
    plan_block_id(0x010203, CMG_STR("abc"), a);
    assert_memory_equal(a, want, sizeof(want));
}

static void only_a_whole_block_of_that_name_is_there(void **state)
{
    (void)state;
    struct cmg_block blocks[5] = { 0 };
    unsigned char id[PLAN_BLOCK_ID], other[PLAN_BLOCK_ID];
    plan_block_id(3, CMG_STR("abc"), id);
    plan_block_id(4, CMG_STR("abc"), other);
    assert_false(plan_block_there(blocks, 0, id, 3));

    blocks[0] = (struct cmg_block){ .nid = 64, .size = 3 }; /* somebody else's, longer */
    blocks[1] = (struct cmg_block){ .nid = PLAN_BLOCK_ID, .size = 3 };
    memcpy(blocks[1].id, other, sizeof(other));
    blocks[2] = (struct cmg_block){ .nid = PLAN_BLOCK_ID, .size = 2, .committed = false };
    memcpy(blocks[2].id, id, sizeof(id));
    blocks[3] = (struct cmg_block){ .nid = 1, .size = 3 };
    plan_blocks_sort(blocks, 4);
    assert_true(plan_block_there(blocks, 4, other, 3));
    assert_false(plan_block_there(blocks, 4, id, 3)); /* of another size */
    assert_true(plan_block_there(blocks, 4, id, 2));

    /* The service would take the one not yet committed: that is the one that counts. */
    blocks[4] = (struct cmg_block){ .nid = PLAN_BLOCK_ID, .size = 3, .committed = true };
    memcpy(blocks[4].id, id, sizeof(id));
    plan_blocks_sort(blocks, 5);
    assert_false(plan_block_there(blocks, 5, id, 3));
    assert_true(plan_block_there(blocks, 5, id, 2));
}

/* --- failures ------------------------------------------------------------------------------- */

static void only_what_may_pass_is_tried_again(void **state)
{
    (void)state;
    static const unsigned again[] = { 408, 429, 500, 502, 503, 504 };
    static const unsigned never[] = { 304, 400, 401, 403, 404, 409, 411, 412, 413, 416, 501, 505 };
    for (size_t i = 0; i < CMG_COUNT(again); i++)
        assert_true(plan_retry_ms(CMG_OK, again[i], 1, 0) > 0);
    for (size_t i = 0; i < CMG_COUNT(never); i++)
        assert_int_equal(plan_retry_ms(CMG_OK, never[i], 1, 0), -1);
    assert_true(plan_retry_ms(CMG_EIO, 0, 1, 0) > 0);
    assert_true(plan_retry_ms(CMG_ETIMEOUT, 0, 1, 0) > 0);
    assert_int_equal(plan_retry_ms(CMG_EDENIED, 0, 1, 0), -1); /* TLS */
    assert_int_equal(plan_retry_ms(CMG_ECONF, 0, 1, 0), -1);
    assert_int_equal(plan_retry_ms(CMG_ETOOBIG, 0, 1, 0), -1);
}

static void waits_double_up_to_a_ceiling(void **state)
{
    (void)state;
    static const int64_t steps[] = { 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000 };
    for (unsigned i = 0; i < CMG_COUNT(steps); i++) {
        assert_int_equal(plan_retry_ms(CMG_EIO, 0, i + 1, 0), steps[i] / 2);
        assert_int_equal(plan_retry_ms(CMG_EIO, 0, i + 1, UINT32_MAX), steps[i]);
    }
    assert_int_equal(plan_retry_ms(CMG_EIO, 0, 1000000, UINT32_MAX), 30000);
}

static void a_refusal_says_what_to_look_at(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *why, *words;
    } cases[] = {
        { 403, "403 AuthenticationFailed", "clock" },
        { 403, "403 AuthorizationFailure", "firewall" },
        { 404, "404 ContainerNotFound", "container" },
        { 409, "409 ContainerBeingDeleted", "minute" },
        { 409, "409 InvalidBlobType", "remove" },
        { 503, "503 ServerBusy", "same command" },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++)
        assert_non_null(strstr(plan_hint(cases[i].status, cases[i].why), cases[i].words));
    assert_string_equal(plan_hint(400, "400 InvalidHeaderValue"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_content_id_becomes_a_prefix_in_lower_case),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(files_and_blobs_are_matched_by_name_size_and_digest),
        cmocka_unit_test(a_file_is_cut_without_a_rest_of_nothing),
        cmocka_unit_test(more_blocks_than_a_blob_has_are_refused_with_what_fits),
        cmocka_unit_test(a_block_is_called_by_its_place_and_its_bytes),
        cmocka_unit_test(only_a_whole_block_of_that_name_is_there),
        cmocka_unit_test(only_what_may_pass_is_tried_again),
        cmocka_unit_test(waits_double_up_to_a_ceiling),
        cmocka_unit_test(a_refusal_says_what_to_look_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
