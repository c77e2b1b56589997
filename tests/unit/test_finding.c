/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "cmg/daemon/finding.h"

static void expect_line(const struct cmg_finding *f, const char *line)
{
    json_t *o = cmg_finding_json(f);
    char *text = json_dumps(o, JSON_COMPACT);
    assert_string_equal(text, line);
    free(text);
    json_decref(o);
}

static void test_line(void **state)
{
    (void)state;
    expect_line(&(struct cmg_finding){ "storage", "main", CMG_FINDING_FAIL, "it answered 403",
                                       "clients get no content", "renew the key" },
                "{\"check\":\"storage\",\"subject\":\"main\",\"verdict\":\"fail\",\"says\":\"it "
                "answered 403\",\"means\":\"clients get no content\",\"do\":\"renew the key\"}");
    expect_line(&(struct cmg_finding){ "clock", NULL, CMG_FINDING_PASS, "right", NULL, NULL },
                "{\"check\":\"clock\",\"subject\":\"\",\"verdict\":\"pass\",\"says\":\"right\","
                "\"means\":\"\",\"do\":\"\"}");
}

static void test_bytes_of_a_peer(void **state)
{
    (void)state;
    expect_line(
        &(struct cmg_finding){ "x", "\xff\x80\"\xc3\xa9", CMG_FINDING_WARN, "a\nb", "", "\xc3" },
        "{\"check\":\"x\",\"subject\":\"??\\\"\xc3\xa9\",\"verdict\":\"warn\",\"says\":\"a\\nb\","
        "\"means\":\"\",\"do\":\"?\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_bytes_of_a_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
