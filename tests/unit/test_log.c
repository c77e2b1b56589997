/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/base/err.h"
#include "cmg/base/log.h"

static struct {
    enum cmg_level level;
    char text[512];
    int written, flushed;
} seen;

static void on_write(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    seen.level = level;
    seen.written++;
    cmg_log_text(seen.text, sizeof(seen.text), event, kv, n);
}

static void on_flush(void)
{
    seen.flushed++;
}

static void listen_at(enum cmg_level level)
{
    static const struct cmg_log_sink sink = { on_write, on_flush };
    memset(&seen, 0, sizeof(seen));
    cmg_log_to(&sink, level);
}

static void an_event_is_written_with_its_keys_and_values(void **state)
{
    (void)state;
    const char *z = "tcp-tls";
    char buffer[] = "abc";
    unsigned u = 4294967295u;

    listen_at(CMG_INFO);
    log_info("channel.open", KV("instance", 3), KV("road", z), KV("run", CMG_STR("x/y")),
             KV("buf", buffer), KV("u", u), KV("neg", -5));
    assert_int_equal(CMG_INFO, seen.level);
    assert_string_equal("channel.open instance=3 road=tcp-tls run=x/y buf=abc u=4294967295 neg=-5",
                        seen.text);
}

static void the_ends_of_the_number_range_are_written_right(void **state)
{
    (void)state;
    listen_at(CMG_INFO);
    log_info("n", KV("min", INT64_MIN), KV("max", INT64_MAX), KV("zero", 0));
    assert_string_equal("n min=-9223372036854775808 max=9223372036854775807 zero=0", seen.text);
}

static void a_missing_string_is_a_dash(void **state)
{
    (void)state;
    listen_at(CMG_INFO);
    log_info("n", KV("z", (const char *)NULL), KV("run", ((struct cmg_str){ NULL, 0 })));
    assert_string_equal("n z=- run=-", seen.text);
}

static void a_peer_cannot_forge_a_line_or_a_key(void **state)
{
    (void)state;
    static const struct {
        struct cmg_str value;
        const char *want;
    } cases[] = {
        { { "a b", 3 }, "e v=\"a b\"" },
        { { "", 0 }, "e v=\"\"" },
        { { "a\nb=c", 5 }, "e v=\"a\\x0ab=c\"" },
        { { "\"", 1 }, "e v=\"\\\"\"" },
        { { "\\", 1 }, "e v=\"\\\\\"" },
        { { "a\0b", 3 }, "e v=\"a\\x00b\"" },
        { { "\x1b[31m", 5 }, "e v=\"\\x1b[31m\"" },
        { { "\x7f", 1 }, "e v=\"\\x7f\"" },
        { { "caf\xc3\xa9", 5 }, "e v=caf\xc3\xa9" },
    };
    listen_at(CMG_INFO);
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        log_info("e", KV("v", cases[i].value));
        assert_string_equal(cases[i].want, seen.text);
    }
}

static void events_above_the_level_are_dropped_and_their_values_not_computed(void **state)
{
    (void)state;
    int computed = 0;
    listen_at(CMG_NOTICE);
    log_info("e", KV("n", ++computed));
    log_debug("e", KV("n", ++computed));
    assert_int_equal(0, computed);
    assert_int_equal(0, seen.written);
    log_notice("e", KV("n", ++computed));
    log_warn("e", KV("n", ++computed));
    log_error("e", KV("n", ++computed));
    assert_int_equal(3, computed);
    assert_int_equal(3, seen.written);
    assert_true(cmg_log_wants(CMG_NOTICE));
    assert_false(cmg_log_wants(CMG_INFO));
}

/* One request is followed while all others stay as quiet as they were. */
static void a_request_is_traced_below_the_level(void **state)
{
    (void)state;
    listen_at(CMG_NOTICE);
    cmg_log_trace("ab12", CMG_DEBUG);
    log_debug("step", KV("request", "ab120001"), KV("at", 1));
    assert_string_equal("step request=ab120001 at=1", seen.text);
    log_info("step", KV("at", 2), KV("request", CMG_STR("ab12")));
    assert_int_equal(2, seen.written);
    log_debug("step", KV("request", "ab13"));
    log_debug("step", KV("request", "ab1"));
    log_debug("step", KV("request", (const char *)NULL));
    log_debug("step", KV("request", 7));
    log_debug("step", KV("why", "ab12"));
    log_debug("step", KV("requests", "ab12"));
    assert_int_equal(2, seen.written);
    log_notice("step", KV("request", "other"));
    assert_int_equal(3, seen.written);

    cmg_log_trace("ab12", CMG_INFO);
    log_debug("step", KV("request", "ab12"));
    assert_int_equal(3, seen.written);
    listen_at(CMG_ERROR); /* another level leaves the trace alone */
    log_info("step", KV("request", "ab12"));
    assert_int_equal(1, seen.written);

    cmg_log_trace(NULL, CMG_DEBUG);
    assert_false(cmg_log_wants(CMG_WARN));
    log_info("step", KV("request", "ab12"));
    assert_int_equal(1, seen.written);
}

static void a_flush_reaches_the_sink_that_wants_it(void **state)
{
    (void)state;
    static const struct cmg_log_sink deaf = { on_write, NULL };
    listen_at(CMG_INFO);
    cmg_log_flush();
    assert_int_equal(1, seen.flushed);
    cmg_log_to(&deaf, CMG_INFO);
    cmg_log_flush();
    assert_int_equal(1, seen.flushed);
}

static void text_that_does_not_fit_is_cut_and_ended(void **state)
{
    (void)state;
    const struct cmg_kv kv[] = { KV("key", "0123456789"), KV("n", 1234567) };
    char whole[64];
    size_t n = cmg_log_text(whole, sizeof(whole), "event", kv, 2);

    assert_string_equal("event key=0123456789 n=1234567", whole);
    assert_int_equal(strlen(whole), n);
    for (size_t size = 1; size <= n + 1; size++) {
        char *cut = cmg_alloc(size); /* its exact size, for AddressSanitizer */
        assert_int_equal(size - 1, cmg_log_text(cut, size, "event", kv, 2));
        assert_memory_equal(whole, cut, size - 1);
        assert_int_equal('\0', cut[size - 1]);
        free(cut);
    }
}

static void a_reason_is_one_line_of_printable_text(void **state)
{
    (void)state;
    struct cmg_err err = { 0 };
    char longer[600];

    assert_int_equal(CMG_EDENIED, cmg_fail(&err, CMG_EDENIED, "no\n%s\x7f", "\x1b[0m"));
    assert_string_equal("no??[0m?", err.text);
    assert_int_equal(CMG_EDENIED, err.code);
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(CMG_EIO, cmg_fail(&err, CMG_EIO, "%s", longer));
    assert_int_equal(sizeof(err.text) - 1, strlen(err.text));
    assert_int_equal(CMG_EIO, cmg_fail(NULL, CMG_EIO, "nobody listens"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_written_with_its_keys_and_values),
        cmocka_unit_test(the_ends_of_the_number_range_are_written_right),
        cmocka_unit_test(a_missing_string_is_a_dash),
        cmocka_unit_test(a_peer_cannot_forge_a_line_or_a_key),
        cmocka_unit_test(events_above_the_level_are_dropped_and_their_values_not_computed),
        cmocka_unit_test(a_request_is_traced_below_the_level),
        cmocka_unit_test(a_flush_reaches_the_sink_that_wants_it),
        cmocka_unit_test(text_that_does_not_fit_is_cut_and_ended),
        cmocka_unit_test(a_reason_is_one_line_of_printable_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
