/* SPDX-License-Identifier: MIT */
/* cmgctl's output: tables, colours, a daemon's JSON, and what is taken out of a support case. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "ctl/ink.h"
#include "ctl/redact.h"
#include "ctl/view.h"

/* --- ink ------------------------------------------------------------------------------------ */

struct paper {
    FILE *out;
    char *text;
    size_t n;
};

static FILE *paper(struct paper *p)
{
    return p->out = open_memstream(&p->text, &p->n);
}

static void expect(struct paper *p, const char *want)
{
    fclose(p->out);
    if (strcmp(p->text, want) != 0)
        fail_msg("wanted:\n%s\ngot:\n%s", want, p->text);
    free(p->text);
}

static void columns_stand_below_each_other(void **state)
{
    (void)state;
    struct paper p;
    struct table *t = table_new(3, 1U << 1);
    const char *const cells[] = { "name",  "n", "state",        "cp1",  "1234", "open",
                                  "größe", "5", "\xe4\xb8\xad", "last", "",     "" };
    for (size_t i = 0; i < CMG_COUNT(cells); i++)
        table_cell(t, INK_PLAIN, "%s", cells[i]);
    table_print(t, 2, false, paper(&p));
    expect(&p, "  name      n  state\n"
               "  cp1    1234  open\n"
               "  größe     5  \xe4\xb8\xad\n"
               "  last\n");
    table_free(t);
}

static void colours_are_only_where_they_are_wanted(void **state)
{
    (void)state;
    struct paper p;
    ink_put(paper(&p), true, INK_BAD, "no");
    ink_put(p.out, true, INK_PLAIN, " and ");
    ink_put(p.out, false, INK_GOOD, "yes");
    expect(&p, "\033[31mno\033[0m and yes");
}

static void nothing_steers_the_terminal(void **state)
{
    (void)state;
    struct paper p;
    ink_put(paper(&p), false, INK_PLAIN,
            "a\033[2Jb\x9b"
            "c\xc2\x9b"
            "d\r\n\x7f\xff ü");
    expect(&p, "a?[2Jb?c?d???? ü");
}

/* --- view ----------------------------------------------------------------------------------- */

static void values_have_their_units(void **state)
{
    static const struct {
        const char *key, *json, *want;
        enum ink ink;
    } cases[] = {
        { "uptime_s", "3900", "1h05m", INK_PLAIN },
        { "uptime_s", "0", "0s", INK_PLAIN },
        { "memory_bytes", "1572864", "1.5 MiB", INK_PLAIN },
        { "round_trip_us", "1500", "1.5 ms", INK_PLAIN },
        { "draining", "false", "no", INK_PLAIN },
        { "requests", "12345", "12345", INK_PLAIN },
        { "share", "0.25", "0.25", INK_PLAIN },
        { "state", "\"open\"", "open", INK_GOOD },
        { "state", "\"lost\"", "lost", INK_BAD },
        { "last_error", "\"cannot resolve\"", "cannot resolve", INK_WARN },
        { "last_error", "\"\"", "", INK_PLAIN },
        { "last_error", "null", "", INK_PLAIN },
        { "paths", "[\"SMS_MP\",\"CCM_Incoming\"]", "SMS_MP, CCM_Incoming", INK_PLAIN },
        { "not_after", "1700086400", "2023-11-15 22:13:20 UTC (in 1 day)", INK_WARN },
        { "not_after", "1699999999", "2023-11-14 22:13:19 UTC (1 second ago)", INK_BAD },
        { "expires_s", "86400", "in 1 day", INK_WARN },
        { "expires_s", "-3600", "1 hour ago", INK_BAD },
        { "loaded", "\"2023-11-14T22:13:20Z\"", "2023-11-14 22:13:20 UTC (now)", INK_PLAIN },
        { "loaded", "\"2023-11-14T22:13:2xZ\"", "2023-11-14T22:13:2xZ", INK_PLAIN },
        { "since", "1700000000", "2023-11-14 22:13:20 UTC (now)", INK_PLAIN },
    };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        char text[VIEW_TEXT];
        json_t *v = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        enum ink ink = view_value(cases[i].key, v, 1700000000, text);
        if (strcmp(text, cases[i].want) != 0 || ink != cases[i].ink)
            fail_msg("%s %s: %s, %d", cases[i].key, cases[i].json, text, (int)ink);
        json_decref(v);
    }
}

static void shapes_become_lines_and_tables(void **state)
{
    (void)state;
    struct paper p;
    json_t *j =
        json_loads("{\"version\":\"0.1.0\",\"uptime_s\":59,"
                   "\"process\":{\"pid\":7},"
                   "\"channels\":[{\"cmg\":\"main\",\"instance\":1,\"state\":\"open\"},"
                   "              {\"cmg\":\"main\",\"instance\":12,\"last_error\":\"gone\"}],"
                   "\"none\":[]}",
                   0, NULL);
    assert_non_null(j);
    view_json(j, 1700000000, false, paper(&p));
    expect(&p, "version  0.1.0\n"
               "uptime   59s\n"
               "none     -\n"
               "\nprocess\n"
               "  pid  7\n"
               "\nchannels\n"
               "  cmg   instance  state  last error\n"
               "  main         1  open\n"
               "  main        12         gone\n");
    json_decref(j);
}

static void chosen_members_become_a_table(void **state)
{
    static const char *const paths[] = { "name", "of.neither", "counts.requests", "last_error",
                                         NULL };
    static const char *const unknown[] = { "of", "neither", NULL };
    (void)state;
    struct paper p;
    json_t *j = json_loads("[{\"name\":\"a\",\"counts\":{\"requests\":1200,\"x\":1}},"
                           " {\"name\":\"b\",\"counts\":{\"requests\":7},\"last_error\":null}]",
                           0, NULL);
    view_table("connection_points", j, paths, 0, false, paper(&p));
    view_table("none", j, unknown, 0, false, p.out);
    view_table("none", NULL, paths, 0, false, p.out);
    expect(&p, "\nconnection points\n"
               "  name  requests  last error\n"
               "  a         1200\n"
               "  b            7\n");
    json_decref(j);
}

/* A daemon may be newer, or not be ours at all. */
static void any_shape_is_survived(void **state)
{
    static const char *const shapes[] = {
        "{}",
        "{\"a\":{}}",
        "{\"a\":[{}]}",
        "{\"a\":[[1]]}",
        "{\"a\":[{\"b\":[{\"c\":[{\"d\":1}]}]}]}",
        "{\"a\":[1,{\"b\":2}]}",
        "{\"a\":[{\"b\":2},1]}",
        "{\"\":{\"\":[{\"\":{}}]}}",
        "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}",
        "{\"x_s\":1e300,\"y_bytes\":-1e300,\"z_at\":9e18}",
    };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(shapes); i++) {
        struct paper p;
        json_t *j = json_loads(shapes[i], 0, NULL);
        assert_non_null(j);
        view_json(j, 1700000000, true, paper(&p));
        fclose(p.out);
        free(p.text);
        json_decref(j);
    }
}

/* --- redact --------------------------------------------------------------------------------- */

static void secrets_are_taken_out_and_the_rest_stays(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "" },
        { "level = info\nmax = 20\n", "level = info\nmax = 20\n" },
        { "http://u:canary@proxy:3128/x", "http://(redacted)@proxy:3128/x" },
        { "http://u:c@nary@proxy", "http://(redacted)@proxy" },
        { "http://proxy:3128/a@b", "http://proxy:3128/a@b" },
        { "a https://x/?sv=1&sig=canary%3D&se=2 b", "a https://x/?sv=1&sig=(redacted)&se=2 b" },
        { "Authorization: Bearer canary", "Authorization: (redacted)" },
        { "authorization=\"Basic canary\" x=1", "authorization=\"(redacted)\" x=1" },
        { "got Bearer canary, then", "got Bearer (redacted), then" },
        { "t eyJhbGciOiJub25lIn0.eyJhIjoxfQ.canary.", "t (redacted)" },
        { "eyJust a word", "eyJust a word" },
        { "{\"token\":\"can\\\"ary\",\"n\":1}", "{\"token\":\"(redacted)\",\"n\":1}" },
        { "{\"token\":{\"good\":5}}", "{\"token\":{\"good\":5}}" },
        { "{\"token\": 5}", "{\"token\": 5}" },
        { "cmg_tokens_total{how=\"site\"} 5", "cmg_tokens_total{how=\"site\"} 5" },
        { "PASSWORD = canary", "PASSWORD = (redacted)" },
        { "key = /a b/c.key\ncertificate = x", "key = (redacted)\ncertificate = x" },
        { "reload key = main", "reload key = main" },
        { "[proxy]\nuser = svc cmg\n", "[proxy]\nuser = (redacted)\n" },
        { "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\nx",
          "-----BEGIN (redacted)\nx" },
        { "-----BEGIN EC PRIVATE KEY-----\ncanary", "-----BEGIN (redacted)" },
        { "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
          "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----" },
        { "password=", "password=" },
        { "password", "password" },
        { "a://", "a://" },
    };
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_buf out;
        cmg_buf_init(&out, 4096);
        assert_int_equal(redact(cmg_str(cases[i].text), &out), CMG_OK);
        struct cmg_str got = cmg_buf_str(&out);
        if (!cmg_str_eq(got, cmg_str(cases[i].want)))
            fail_msg("%s\nbecame: %.*s", cases[i].text, CMG_ARG(got));
        cmg_buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_stand_below_each_other),
        cmocka_unit_test(colours_are_only_where_they_are_wanted),
        cmocka_unit_test(nothing_steers_the_terminal),
        cmocka_unit_test(values_have_their_units),
        cmocka_unit_test(shapes_become_lines_and_tables),
        cmocka_unit_test(chosen_members_become_a_table),
        cmocka_unit_test(any_shape_is_survived),
        cmocka_unit_test(secrets_are_taken_out_and_the_rest_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
