/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmg/daemon/exposition.h"

static void is(struct cmg_buf *b, const char *expected)
{
    char text[4096];
    assert_true(b->n < sizeof(text));
    cmg_str_put(text, sizeof(text), cmg_buf_str(b));
    assert_string_equal(text, expected);
    cmg_buf_clear(b);
}

static void family(void **state)
{
    (void)state;
    struct cmg_buf b;
    cmg_buf_init(&b, 4096);
    cmg_exposition_family(&b, "cmg_requests_total", "counter", "Requests begun.");
    is(&b, "# HELP cmg_requests_total Requests begun.\n# TYPE cmg_requests_total counter\n");
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { 1, "1" },
        { -1, "-1" },
        { 0.1, "0.1" },
        { 0.001, "0.001" },
        { 1.5, "1.5" },
        { 1795336768, "1795336768" },
        { 999999999999999, "999999999999999" },
        { 1e21, "1e+21" },
        { 1.0 / 3, "0.33333333333333331" },
        { NAN, "NaN" },
        { INFINITY, "+Inf" },
        { -INFINITY, "-Inf" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct cmg_buf b;
        char line[64];
        snprintf(line, sizeof(line), "m %s\n", cases[i].text);
        cmg_buf_init(&b, 4096);
        cmg_exposition_sample(&b, "m", NULL, 0, cases[i].value);
        is(&b, line);
    }
}

static void labels_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *value, *line;
    } cases[] = {
        { "mp1", "m{endpoint=\"mp1\"} 1\n" },
        { "", "m{endpoint=\"\"} 1\n" },
        { NULL, "m{endpoint=\"\"} 1\n" },
        { "a\"b", "m{endpoint=\"a\\\"b\"} 1\n" },
        { "a\\b", "m{endpoint=\"a\\\\b\"} 1\n" },
        { "a\nb 1\nforged 2", "m{endpoint=\"a\\nb 1\\nforged 2\"} 1\n" },
        { "a\\nb", "m{endpoint=\"a\\\\nb\"} 1\n" },
        { "M\xc3\xbcnchen \xf0\x9f\x9a\x80",
          "m{endpoint=\"M\xc3\xbcnchen \xf0\x9f\x9a\x80\"} 1\n" },
        { "M\xfcnchen\xc3", "m{endpoint=\"M?nchen?\"} 1\n" },
        { "{},= ", "m{endpoint=\"{},= \"} 1\n" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct cmg_buf b;
        struct cmg_label l = { "endpoint", cases[i].value };
        cmg_buf_init(&b, 4096);
        cmg_exposition_sample(&b, "m", &l, 1, 1);
        is(&b, cases[i].line);
    }
}

static void several_labels(void **state)
{
    (void)state;
    static const struct cmg_label l[] = { { "cmg", "c" },
                                          { "instance", "1" },
                                          { "road", "https" } };
    struct cmg_buf b;
    cmg_buf_init(&b, 4096);
    cmg_exposition_sample(&b, "cmg_channel_up", l, 3, 1);
    is(&b, "cmg_channel_up{cmg=\"c\",instance=\"1\",road=\"https\"} 1\n");
}

static void histogram(void **state)
{
    (void)state;
    static const struct cmg_label l = { "endpoint", "mp" };
    struct cmg_histogram h = { 0 };
    cmg_histogram_add(&h, 500);
    cmg_histogram_add(&h, 1000);
    cmg_histogram_add(&h, 1001);
    cmg_histogram_add(&h, 250 * 1000);
    cmg_histogram_add(&h, INT64_C(301) * 1000 * 1000);
    struct cmg_buf b;
    cmg_buf_init(&b, 4096);
    cmg_exposition_histogram(&b, "took_seconds", &l, 1, &h);
    is(&b, "took_seconds_bucket{endpoint=\"mp\",le=\"0.001\"} 2\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"0.002\"} 3\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"0.005\"} 3\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"0.01\"} 3\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"0.025\"} 3\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"0.05\"} 3\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"0.1\"} 3\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"0.25\"} 4\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"1\"} 4\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"3\"} 4\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"10\"} 4\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"30\"} 4\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"60\"} 4\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"300\"} 4\n"
           "took_seconds_bucket{endpoint=\"mp\",le=\"+Inf\"} 5\n"
           "took_seconds_sum{endpoint=\"mp\"} 301.252501\n"
           "took_seconds_count{endpoint=\"mp\"} 5\n");
}

static void requests(void **state)
{
    (void)state;
    struct cmg_counts a = { 0 }, idle = { 0 };
    cmg_counts_begin(&a, true);
    cmg_counts_begin(&a, false);
    cmg_counts_end(&a, 502, false, 11, 22, 1500);
    const struct cmg_counted v[] = { { "a", &a }, { "idle", &idle } };
    static const char *const lines[] = {
        "# TYPE cmg_requests_total counter\ncmg_requests_total{endpoint=\"a\"} 2\n"
        "cmg_requests_total{endpoint=\"idle\"} 0\n",
        "\ncmg_requests_in_flight{endpoint=\"a\"} 1\n",
        "\ncmg_requests_in_flight_max{endpoint=\"a\"} 2\n",
        "\ncmg_request_bytes_total{endpoint=\"a\"} 11\n",
        "\ncmg_response_bytes_total{endpoint=\"a\"} 22\n",
        "\ncmg_request_failures_total{endpoint=\"a\"} 1\n",
        "\ncmg_requests_with_bearer_token_total{endpoint=\"a\"} 1\n",
        "\ncmg_request_duration_seconds_bucket{endpoint=\"a\",le=\"0.001\"} 0\n"
        "cmg_request_duration_seconds_bucket{endpoint=\"a\",le=\"0.002\"} 1\n",
        "\ncmg_request_duration_seconds_sum{endpoint=\"a\"} 0.0015\n",
        "\ncmg_request_duration_seconds_count{endpoint=\"idle\"} 0\n",
    };
    struct cmg_buf b;
    char text[16 * 1024];
    cmg_buf_init(&b, sizeof(text));
    cmg_exposition_requests(&b, v, 2);
    cmg_str_put(text, sizeof(text), cmg_buf_str(&b));
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_non_null(strstr(text, lines[i]));
    cmg_buf_clear(&b);
}

/* Whatever the ceiling: only whole lines, and the caller can see that something is missing. */
static void what_does_not_fit_is_seen(void **state)
{
    (void)state;
    static const struct cmg_label l = { "endpoint", "a\"b" };
    static const char all[] = "# HELP m Text.\n# TYPE m gauge\nm{endpoint=\"a\\\"b\"} 1\n"
                              "m{endpoint=\"a\\\"b\"} 12\n";
    for (size_t max = 0; max < sizeof(all) + 2; max++) {
        struct cmg_buf b;
        cmg_buf_init(&b, max);
        cmg_exposition_family(&b, "m", "gauge", "Text.");
        cmg_exposition_sample(&b, "m", &l, 1, 1);
        cmg_exposition_sample(&b, "m", &l, 1, 12);
        cmg_exposition_sample(&b, "", NULL, 0, 3); /* short enough to slip in */
        struct cmg_str s = cmg_buf_str(&b);
        assert_true(cmg_buf_room(&b) == 0);
        assert_true(s.n <= max && (s.n == 0 || s.p[s.n - 1] == '\n'));
        size_t n = s.n < sizeof(all) - 1 ? s.n : sizeof(all) - 1;
        assert_true(n == 0 || memcmp(s.p, all, n) == 0);
        cmg_buf_clear(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(family),
        cmocka_unit_test(numbers),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(several_labels),
        cmocka_unit_test(histogram),
        cmocka_unit_test(requests),
        cmocka_unit_test(what_does_not_fit_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
