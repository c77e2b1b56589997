/* SPDX-License-Identifier: MIT */
/* What a status holds of a process that no service leads, and of certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "certs.h"
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

static void certificates_are_listed_in_their_order(void **state)
{
    (void)state;
    cert_setup();
    struct cert root = cert_make(&(struct cert_spec){ .cn = "Root", .ca = true });
    struct cert leaf = cert_make(&(struct cert_spec){
        .cn = "gw", .san = "DNS:gw.example", .from_days = -9, .to_days = -2, .issuer = &root });
    const char *path = cert_write("chain.pem", CERTS(&leaf, &root));
    json_t *list = json_array(), *first;
    cmg_status_certificates(list, "server certificate", path);
    cmg_status_certificates(list, "of nobody", NULL);
    assert_int_equal(2, json_array_size(list));
    first = json_array_get(list, 0);
    assert_string_equal("server certificate", string(first, "use"));
    assert_string_equal(path, string(first, "file"));
    assert_string_equal("gw.example", string(first, "name"));
    assert_string_equal("CN=gw", string(first, "subject"));
    assert_string_equal("CN=Root", string(first, "issuer"));
    assert_int_equal(64, strlen(string(first, "sha256")));
    assert_in_range(-number(first, "expires_s"), 86400, 3 * 86400); /* so long ago */
    assert_string_equal("CN=Root", string(json_array_get(list, 1), "subject"));
    assert_true(number(json_array_get(list, 1), "expires_s") > 0);

    cmg_status_certificates(list, "client roots", "/nowhere/roots.pem");
    assert_int_equal(3, json_array_size(list));
    assert_non_null(strstr(string(json_array_get(list, 2), "why"), "/nowhere/roots.pem"));
    json_decref(list);
    cert_free(&root);
    cert_free(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_tells_of_itself),
        cmocka_unit_test(times_are_read_by_everybody),
        cmocka_unit_test(certificates_are_listed_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
