/* SPDX-License-Identifier: MIT */
/* What a status holds of a process that no service leads. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/daemon/status.h"

static const char *string(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "(none)";
}

static long long number(const json_t *j, const char *key)
{
    assert_true(json_is_integer(json_object_get(j, key)));
    return json_integer_value(json_object_get(j, key));
}

static void a_process_tells_of_itself(void **state)
{
    (void)state;
    json_t *j = cmg_status_process(), *none;
    assert_int_equal(getpid(), number(j, "pid"));
    assert_string_equal(CMG_VERSION, string(j, "version"));
    assert_in_range(number(j, "resident_bytes"), 1 << 20, INT64_MAX);
    assert_true(number(j, "peak_bytes") >= number(j, "resident_bytes") / 2);
    long long before = number(j, "descriptors");
    json_decref(j);

    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    j = cmg_status_process();
    assert_int_equal(before + 1, number(j, "descriptors"));
    assert_null(json_object_get(j, "uptime_s")); /* nobody leads this one */
    json_decref(j);
    close(fd);

    none = cmg_status_configuration();
    assert_true(json_is_null(none));
    none = cmg_status_reload();
    assert_true(json_is_null(none));
}

static void times_are_read_by_everybody(void **state)
{
    (void)state;
    json_t *j = cmg_status_time(1769853600);
    assert_string_equal("2026-01-31T10:00:00Z", json_string_value(j));
    json_decref(j);
    assert_true(json_is_null(cmg_status_time(INT64_MAX)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_tells_of_itself),
        cmocka_unit_test(times_are_read_by_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
