/* SPDX-License-Identifier: MIT */
/* Periods in virtual time: what is counted where, what a restart keeps, how it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "daemon/traffic_book.h"

enum { MINUTE_S = 60, FIVE = 300 };
static const int64_t NOON = 1893499200; /* 2030-01-01 12:00:00 UTC */

static struct cmg_counts counts;

static struct cmg_traffic_endpoint endpoint(const char *name)
{
    return (struct cmg_traffic_endpoint){ name, "cmg.example", "mp1.corp", &counts };
}

static void request(uint64_t in, uint64_t out, unsigned status)
{
    cmg_counts_begin(&counts, status == 200);
    cmg_counts_end(&counts, status, false, in, out, 1000);
}

/* One round with the one endpoint "mp". */
static bool round_at(struct traffic_book *b, int64_t now)
{
    struct cmg_traffic_endpoint e = endpoint("mp");
    uint32_t peak = cmg_counts_peak(&counts);
    traffic_book_begin(b, now);
    traffic_book_add(b, &e, peak);
    return traffic_book_end(b, peak, now);
}

static int begin(void **state)
{
    counts = (struct cmg_counts){ 0 };
    *state = traffic_book_new(FIVE);
    return 0;
}

static int end(void **state)
{
    traffic_book_free(*state);
    return 0;
}

static void test_periods_end_at_the_clock(void **state)
{
    struct traffic_book *b = *state;
    assert_false(round_at(b, NOON + 70));
    assert_int_equal(traffic_book_left(b, NOON + 70), 230);
    request(10, 100, 200);
    request(20, 200, 503);
    assert_false(round_at(b, NOON + 100));
    request(1, 2, 200);
    assert_false(round_at(b, NOON + 299));
    assert_true(round_at(b, NOON + 300));
    const struct traffic_period *p = traffic_book_at(b, 0);
    assert_int_equal(p->start, NOON + 70);
    assert_int_equal(p->end, NOON + 300);
    assert_int_equal(p->n, 1);
    assert_string_equal(p->rows[0].name, "mp");
    assert_string_equal(p->rows[0].target, "mp1.corp");
    assert_int_equal(p->rows[0].requests, 3);
    assert_int_equal(p->rows[0].bearer, 2);
    assert_int_equal(p->rows[0].failed, 1);
    assert_int_equal(p->rows[0].request_bytes, 31);
    assert_int_equal(p->rows[0].response_bytes, 302);
    assert_int_equal(p->rows[0].max_in_flight, 1);
    assert_int_equal(traffic_book_running(b)->start, NOON + 300);
    assert_int_equal(traffic_book_running(b)->n, 0);
}

static void test_most_in_flight_of_each_period(void **state)
{
    struct traffic_book *b = *state;
    round_at(b, NOON);
    for (int i = 0; i < 5; i++)
        cmg_counts_begin(&counts, false);
    for (int i = 0; i < 3; i++)
        cmg_counts_end(&counts, 200, false, 0, 0, 1);
    assert_true(round_at(b, NOON + 300));
    assert_int_equal(traffic_book_at(b, 0)->max_in_flight, 5);
    assert_true(round_at(b, NOON + 600)); /* two that began before are still there */
    assert_int_equal(traffic_book_at(b, 0)->max_in_flight, 2);
    assert_int_equal(traffic_book_at(b, 0)->rows[0].requests, 0);
    cmg_counts_end(&counts, 200, false, 0, 7, 1);
    cmg_counts_end(&counts, 200, false, 0, 7, 1);
    assert_true(round_at(b, NOON + 900));
    assert_int_equal(traffic_book_at(b, 0)->rows[0].response_bytes, 14);
    assert_true(round_at(b, NOON + 1200));
    assert_int_equal(traffic_book_at(b, 0)->n, 0); /* nothing happened */
    assert_int_equal(counts.max_in_flight, 5);     /* of the whole life, for others */
}

static void test_counts_that_begin_anew(void **state)
{
    struct traffic_book *b = *state;
    struct cmg_traffic_endpoint other = endpoint("other");
    for (int i = 0; i < 9; i++)
        request(0, 0, 200);
    round_at(b, NOON);
    counts = (struct cmg_counts){ 0 };
    request(0, 0, 200);
    request(0, 0, 200);
    round_at(b, NOON + 30);
    assert_int_equal(traffic_book_running(b)->rows[0].requests, 11);
    /* One that is not there for a round begins anew, however large its numbers are then. */
    traffic_book_begin(b, NOON + 60);
    struct cmg_counts none = { 0 };
    other.counts = &none;
    traffic_book_add(b, &other, 0);
    traffic_book_end(b, 0, NOON + 60);
    round_at(b, NOON + 90);
    assert_int_equal(traffic_book_running(b)->rows[0].requests, 13);
    assert_int_equal(traffic_book_running(b)->n, 1);
}

static void test_another_target(void **state)
{
    struct traffic_book *b = *state;
    struct cmg_traffic_endpoint moved = { "mp", "cmg.example", "mp2.corp", &counts };
    for (int i = 0; i < 9; i++)
        request(0, 0, 200);
    round_at(b, NOON);
    request(0, 0, 200);
    traffic_book_begin(b, NOON + 30);
    traffic_book_add(b, &moved, 1);
    traffic_book_end(b, 1, NOON + 30);
    assert_int_equal(traffic_book_running(b)->rows[0].requests, 9);
    assert_int_equal(traffic_book_running(b)->rows[1].requests, 1);
    assert_string_equal(traffic_book_running(b)->rows[1].target, "mp2.corp");
}

static void test_the_clock_is_set(void **state)
{
    struct traffic_book *b = *state;
    round_at(b, NOON);
    request(0, 5, 200);
    assert_true(round_at(b, NOON - 3600)); /* back: what was counted is not lost */
    assert_int_equal(traffic_book_at(b, 0)->start, NOON);
    assert_int_equal(traffic_book_at(b, 0)->end, NOON);
    assert_int_equal(traffic_book_at(b, 0)->rows[0].requests, 1);
    assert_int_equal(traffic_book_running(b)->start, NOON - 3600);
    assert_true(round_at(b, NOON + 7200)); /* ahead, or asleep */
    assert_int_equal(traffic_book_at(b, 0)->end, NOON + 7200);
    assert_int_equal(traffic_book_running(b)->start, NOON + 7200);
}

static void test_a_day_is_kept(void **state)
{
    struct traffic_book *b = *state;
    int64_t now = NOON;
    for (int i = 0; i < 400; i++, now += FIVE) {
        request(0, 1, 200);
        round_at(b, now);
    }
    assert_int_equal(traffic_book_count(b), TRAFFIC_PERIODS);
    assert_int_equal(traffic_book_at(b, 0)->end, now - FIVE);
    assert_int_equal(traffic_book_at(b, TRAFFIC_PERIODS - 1)->start,
                     now - FIVE - TRAFFIC_PERIODS * (int64_t)FIVE);
}

static void test_many_endpoints_have_a_ceiling(void **state)
{
    struct traffic_book *b = *state;
    char name[32];
    int64_t now = NOON;
    for (int turn = 0; turn < 70; turn++, now += FIVE) {
        traffic_book_begin(b, now);
        for (unsigned i = 0; i < 3000; i++) {
            snprintf(name, sizeof(name), "e%u", i);
            struct cmg_counts c = { .requests = (uint64_t)turn + 1 };
            traffic_book_add(b, &(struct cmg_traffic_endpoint){ name, "p", "t", &c }, 1);
        }
        traffic_book_end(b, 1, now);
    }
    const struct traffic_period *p = traffic_book_at(b, 0);
    assert_int_equal(p->n, TRAFFIC_ROWS_MAX);
    assert_string_equal(p->rows[p->n - 1].name, "*");
    assert_int_equal(p->rows[p->n - 1].requests, TRAFFIC_METERS_MAX - TRAFFIC_ROWS_MAX + 1);
    assert_int_equal(traffic_book_count(b), TRAFFIC_ROWS_KEPT / TRAFFIC_ROWS_MAX);
}

/* A restart ------------------------------------------------------------------------------ */

static struct traffic_period saved(const struct traffic_period *p)
{
    struct traffic_period out;
    json_t *o = traffic_period_save(p);
    char *text = json_dumps(o, JSON_COMPACT);
    assert_true(traffic_period_load(cmg_str(text), &out));
    free(text);
    json_decref(o);
    return out;
}

static struct traffic_book *restarted(const struct traffic_book *b, int64_t now)
{
    struct traffic_book *next = traffic_book_new(FIVE);
    for (size_t i = traffic_book_count(b); i--;) {
        struct traffic_period p = saved(traffic_book_at(b, i));
        assert_true(traffic_book_restore(next, &p, now));
    }
    struct traffic_period running = saved(traffic_book_running(b));
    traffic_book_resume(next, &running, now);
    return next;
}

static void test_a_restart_within_a_period(void **state)
{
    struct traffic_book *b = *state;
    round_at(b, NOON);
    request(3, 4, 200);
    round_at(b, NOON + 300);
    request(5, 6, 200);
    round_at(b, NOON + 330);
    struct traffic_book *next = restarted(b, NOON + 340);
    counts = (struct cmg_counts){ 0 };
    request(7, 8, 200);
    assert_true(round_at(next, NOON + 600));
    assert_int_equal(traffic_book_count(next), 2);
    assert_int_equal(traffic_book_at(next, 0)->start, NOON + 300);
    assert_int_equal(traffic_book_at(next, 0)->n, 1);
    assert_int_equal(traffic_book_at(next, 0)->rows[0].requests, 2);
    assert_int_equal(traffic_book_at(next, 0)->rows[0].request_bytes, 12);
    assert_int_equal(traffic_book_at(next, 1)->rows[0].response_bytes, 4);
    traffic_book_free(next);
}

static void test_a_restart_after_its_period(void **state)
{
    struct traffic_book *b = *state;
    round_at(b, NOON);
    request(3, 4, 200);
    round_at(b, NOON + 30);
    struct traffic_book *next = restarted(b, NOON + 3600);
    assert_int_equal(traffic_book_count(next), 1);
    assert_int_equal(traffic_book_at(next, 0)->end, NOON + 30);
    assert_int_equal(traffic_book_at(next, 0)->rows[0].requests, 1);
    counts = (struct cmg_counts){ 0 };
    round_at(next, NOON + 3600);
    assert_int_equal(traffic_book_running(next)->start, NOON + 3600);
    traffic_book_free(next);
}

static void test_a_period_is_not_counted_twice(void **state)
{
    struct traffic_book *b = *state;
    round_at(b, NOON);
    request(3, 4, 200);
    round_at(b, NOON + 30);
    struct traffic_period stale = saved(traffic_book_running(b));
    round_at(b, NOON + 300); /* it ends and is written; then the process is killed */
    struct traffic_book *next = restarted(b, NOON + 310);
    traffic_book_resume(next, &stale, NOON + 310);
    assert_int_equal(traffic_book_count(next), 1);
    assert_int_equal(traffic_book_at(next, 0)->rows[0].requests, 1);
    traffic_book_free(next);
}

static void test_too_old_or_from_the_future(void **state)
{
    struct traffic_book *b = *state;
    struct traffic_period old = { .start = NOON - 90000, .end = NOON - 89700 };
    struct traffic_period later = { .start = NOON + 600, .end = NOON + 900 };
    assert_false(traffic_book_restore(b, &old, NOON));
    assert_false(traffic_book_restore(b, &later, NOON));
    assert_int_equal(traffic_book_count(b), 0);
}

static void test_lines_that_are_none(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "{",
        "[]",
        "{\"v\":2,\"start\":1,\"end\":2,\"max\":0,\"rows\":[]}",
        "{\"v\":1,\"start\":0,\"end\":2,\"max\":0,\"rows\":[]}",
        "{\"v\":1,\"start\":3,\"end\":2,\"max\":0,\"rows\":[]}",
        "{\"v\":1,\"start\":1,\"end\":2,\"max\":-1,\"rows\":[]}",
        "{\"v\":1,\"start\":1,\"end\":2,\"max\":0,\"rows\":{}}",
        "{\"v\":1,\"start\":1,\"end\":2,\"max\":0,\"rows\":[[\"a\",\"b\",\"c\",1,2,3,4,5]]}",
        "{\"v\":1,\"start\":1,\"end\":2,\"max\":0,\"rows\":[[\"a\",\"b\",\"c\",1,2,3,4,5,-6]]}",
        "{\"v\":1,\"start\":1,\"end\":2,\"max\":0,\"rows\":[[\"a\",\"b\",3,1,2,3,4,5,6]]}",
        "{\"v\":1,\"v\":1,\"start\":1,\"end\":2,\"max\":0,\"rows\":[]}",
    };
    struct traffic_period p;
    for (size_t i = 0; i < CMG_COUNT(lines); i++) {
        if (traffic_period_load(cmg_str(lines[i]), &p))
            fail_msg("taken: %s", lines[i]);
        assert_null(p.rows);
    }
}

/* The report ------------------------------------------------------------------------------- */

static struct traffic_row rows[] = {
    { (char[]){ "MP \"1\" <a&b>" }, (char[]){ "cmg.example" }, (char[]){ "mp1.corp" }, 3, 2, 1, 10,
      UINT64_MAX, 4 },
    { (char[]){ "bad \x01\xff\xef\xbf\xbe" }, (char[]){ "" }, (char[]){ "" }, 1, 0, 0, 0, 0, 1 },
};
static const struct traffic_period reported = {
    .start = 1893499200, .end = 1893499500, .max_in_flight = 4, .rows = rows, .n = 2
};

static void on_element(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    unsigned *seen = arg;
    *seen += 1;
    if (strcmp(name, "EndPoint") != 0)
        return;
    bool first = *seen == 3;
    for (; attributes[0]; attributes += 2) {
        if (!strcmp(attributes[0], "Name"))
            assert_string_equal(attributes[1], first ? "MP \"1\" <a&b>" : "bad ???");
        if (!strcmp(attributes[0], "TotalRequestsWithBearerToken"))
            assert_string_equal(attributes[1], first ? "2" : "0");
        if (!strcmp(attributes[0], "TotalResponseBytes"))
            assert_string_equal(attributes[1], first ? "18446744073709551615" : "0");
    }
}

static void test_xml(void **state)
{
    (void)state;
    struct cmg_buf b;
    unsigned elements = 0;
    cmg_buf_init(&b, 4096);
    assert_int_equal(traffic_period_xml(&b, &reported, "gw'1"), CMG_OK);
    XML_Parser parser = XML_ParserCreate("UTF-8");
    XML_SetUserData(parser, &elements);
    XML_SetStartElementHandler(parser, on_element);
    assert_int_equal(XML_Parse(parser, cmg_buf_str(&b).p, (int)b.n, 1), XML_STATUS_OK);
    assert_int_equal(elements, 4);
    XML_ParserFree(parser);
    struct cmg_str all = cmg_buf_str(&b);
    static const char head[] =
        "<ProxyTrafficStateDetails ServerName=\"gw&#39;1\" "
        "StartTime=\"2030-01-01T12:00:00Z\" EndTime=\"2030-01-01T12:05:00Z\" "
        "MaxConcurrentRequests=\"4\">";
    assert_true(all.n > strlen(head) && !memcmp(all.p, head, strlen(head)));
    cmg_buf_clear(&b);
    cmg_buf_init(&b, 200);
    assert_int_equal(traffic_period_xml(&b, &reported, "gw1"), CMG_ETOOBIG);
    cmg_buf_clear(&b);
}

static void test_json(void **state)
{
    (void)state;
    json_t *o = traffic_period_json(&reported, "gw1");
    json_t *first = json_array_get(json_object_get(o, "EndPoints"), 0);
    assert_string_equal(json_string_value(json_object_get(o, "ServerName")), "gw1");
    assert_string_equal(json_string_value(json_object_get(o, "EndTime")), "2030-01-01T12:05:00Z");
    assert_int_equal(json_object_size(first), 9);
    assert_string_equal(json_string_value(json_object_get(first, "Name")), "MP \"1\" <a&b>");
    assert_int_equal(json_integer_value(json_object_get(first, "TotalRequests")), 3);
    assert_int_equal(json_integer_value(json_object_get(first, "FailedRequests")), 1);
    json_decref(o);
}

int main(void)
{
#define IN_TIME(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        IN_TIME(test_periods_end_at_the_clock),
        IN_TIME(test_most_in_flight_of_each_period),
        IN_TIME(test_counts_that_begin_anew),
        IN_TIME(test_another_target),
        IN_TIME(test_the_clock_is_set),
        IN_TIME(test_a_day_is_kept),
        IN_TIME(test_many_endpoints_have_a_ceiling),
        IN_TIME(test_a_restart_within_a_period),
        IN_TIME(test_a_restart_after_its_period),
        IN_TIME(test_a_period_is_not_counted_twice),
        IN_TIME(test_too_old_or_from_the_future),
        cmocka_unit_test(test_lines_that_are_none),
        cmocka_unit_test(test_xml),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
