/* SPDX-License-Identifier: MIT */
/* The sink writes to standard error; here that is a pipe, and cmocka's is put by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/daemon/logsink.h"

static struct {
    int saved, read_end;
    char text[1 << 20];
} pipe_;

static int redirect(void **state)
{
    (void)state;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pipe_.saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    pipe_.read_end = ends[0];
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return 0;
}

static int restore(void **state)
{
    (void)state;
    cmg_logsink_close();
    unsetenv("JOURNAL_STREAM");
    dup2(pipe_.saved, STDERR_FILENO);
    close(pipe_.saved);
    close(pipe_.read_end);
    return 0;
}

/* What has arrived by now. */
static const char *arrived(void)
{
    size_t n = 0;
    ssize_t got;
    while ((got = read(pipe_.read_end, pipe_.text + n, sizeof(pipe_.text) - 1 - n)) > 0)
        n += (size_t)got;
    pipe_.text[n] = '\0';
    return pipe_.text;
}

static void open_sink(int target, int format)
{
    const struct cmg_log_conf conf = { target, format, 3, true };
    struct cmg_err err;
    assert_int_equal(CMG_OK, cmg_logsink_open(&conf, "test", &err));
}

static bool matches(const char *text, const char *pattern)
{
    regex_t re;
    assert_int_equal(0, regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB));
    bool yes = regexec(&re, text, 0, NULL, 0) == 0;
    regfree(&re);
    return yes;
}

#define STAMP "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z"

static void lines_leave_together_when_flushed(void **state)
{
    (void)state;
    open_sink(CMG_LOG_STDERR, CMG_LOG_TEXT);
    log_info("channel.open", KV("instance", 3), KV("why", "a \"b\"\n"));
    log_error("x.failed", KV("n", -1));
    log_debug("not.wanted", KV("n", 1));
    assert_string_equal("", arrived());
    cmg_log_flush();
    assert_true(matches(arrived(),
                        "^" STAMP " info channel\\.open instance=3 "
                        "why=\"a \\\\\"b\\\\\"\\\\x0a\"\n" STAMP " error x\\.failed n=-1\n$"));
}

static void the_stamp_is_now(void **state)
{
    (void)state;
    open_sink(CMG_LOG_STDERR, CMG_LOG_TEXT);
    for (int i = 0; i < 2; i++) {
        struct tm tm = { 0 };
        int64_t before = cmg_clock_unix_ms() - 1;
        log_info("x", KV("i", i));
        int64_t after = cmg_clock_unix_ms();
        cmg_log_flush();
        const char *rest = strptime(arrived(), "%Y-%m-%dT%H:%M:%S.", &tm);
        assert_non_null(rest);
        int64_t at = (int64_t)timegm(&tm) * 1000 + strtol(rest, NULL, 10);
        assert_in_range(at, before, after);
        usleep(1005000 / (unsigned)(i * 1000 + 1));
    }
}

static void into_the_journal_the_priority_goes_before(void **state)
{
    (void)state;
    char stream[64];
    struct stat st;
    assert_int_equal(0, fstat(STDERR_FILENO, &st));
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_true(cmg_logsink_is_journal());
    open_sink(CMG_LOG_STDERR, CMG_LOG_TEXT);
    log_warn("x.failed", KV("n", 1));
    cmg_log_flush();
    assert_string_equal("<4>x.failed n=1\n", arrived());
    setenv("JOURNAL_STREAM", "1:1", 1);
    assert_false(cmg_logsink_is_journal());
}

/* Fills standard error, and what the sink keeps, until lines are dropped. */
static int log_until_dropped(void)
{
    int n = 0;
    for (; n < 20000; n++) {
        log_info("access", KV("n", n),
                 KV("path", "/CCM_Proxy_MutualAuth/72057594037927941/SMS_MP"));
        cmg_log_flush();
    }
    return n;
}

static void a_full_pipe_drops_whole_lines_and_counts_them(void **state)
{
    (void)state;
    open_sink(CMG_LOG_STDERR, CMG_LOG_TEXT);
    int64_t began = cmg_clock_ms();
    int logged = log_until_dropped();
    assert_true(cmg_clock_ms() - began < 5000);

    char *text = cmg_strdup(arrived()), *last = NULL;
    cmg_log_flush();
    char *more = cmg_strdup(arrived());
    log_info("last", KV("n", 1));
    cmg_log_flush();
    char *rest = cmg_strdup(arrived());
    char *all = NULL;
    assert_true(asprintf(&all, "%s%s%s", text, more, rest) > 0);

    int lines = 0, dropped = -1;
    for (char *line = strtok_r(all, "\n", &last); line; line = strtok_r(NULL, "\n", &last)) {
        char *count = strstr(line, " warn log.dropped count=");
        if (count)
            dropped = (int)strtol(count + 24, NULL, 10);
        else if (strstr(line, " info access n=") && matches(line, "path=/CCM[^ ]*SMS_MP$"))
            lines++;
        else
            assert_non_null(strstr(line, " info last n=1"));
    }
    assert_true(dropped > 0);
    assert_int_equal(logged, lines + dropped);
    free(text);
    free(more);
    free(rest);
    free(all);
}

static void a_pipe_without_reader_is_no_trouble(void **state)
{
    (void)state;
    open_sink(CMG_LOG_STDERR, CMG_LOG_TEXT);
    signal(SIGPIPE, SIG_IGN);
    close(pipe_.read_end);
    log_until_dropped();
    pipe_.read_end = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void lines_before_an_abort_are_written(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* in place of cmocka's */
        open_sink(CMG_LOG_STDERR, CMG_LOG_TEXT);
        log_info("before", KV("n", 1));
        abort();
    }
    int status;
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(SIGABRT, WTERMSIG(status));
    assert_non_null(strstr(arrived(), " info before n=1\n"));
}

static void json_lines_are_json(void **state)
{
    (void)state;
    open_sink(CMG_LOG_STDERR, CMG_LOG_JSON);
    log_info("access", KV("path", "a\"\\\n\x7f\xc3\xbc\xff\xe2\x82"), KV("n", INT64_MIN),
             KV("none", (const char *)NULL), KV("empty", ""));
    cmg_log_flush();
    json_t *o = json_loads(arrived(), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_string_equal("info", json_string_value(json_object_get(o, "level")));
    assert_string_equal("access", json_string_value(json_object_get(o, "event")));
    assert_string_equal("a\"\\\n\x7f\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
                        json_string_value(json_object_get(o, "path")));
    assert_true(json_integer_value(json_object_get(o, "n")) == INT64_MIN);
    assert_string_equal("", json_string_value(json_object_get(o, "empty")));
    assert_true(matches(json_string_value(json_object_get(o, "time")), "^" STAMP "$"));
    json_decref(o);
}

static void json_that_does_not_fit_is_cut_between_members(void **state)
{
    (void)state;
    char out[2048], big[1800];
    memset(big, '\x01', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    for (size_t size = 256; size < sizeof(out); size += 7) {
        const struct cmg_kv kv[] = { KV("a", 1), KV("big", big), KV("half", big + 1700),
                                     KV("z", 2) };
        size_t n = cmg_log_json(out, size, "2026-11-22T04:16:06.123Z", "info", "x", kv, 4);
        assert_true(n < size && n == strlen(out));
        json_t *o = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        assert_true(json_is_true(json_object_get(o, "cut")));
        assert_int_equal(1, json_integer_value(json_object_get(o, "a")));
        assert_null(json_object_get(o, "big"));
        json_decref(o);
    }
}

static void a_long_event_stays_one_line(void **state)
{
    (void)state;
    static char big[40000];
    memset(big, 'x', sizeof(big) - 1);
    for (int format = CMG_LOG_TEXT; format <= CMG_LOG_JSON; format++) {
        open_sink(CMG_LOG_STDERR, format);
        log_info("x", KV("big", big));
        log_info("y", KV("n", 1));
        cmg_log_flush();
        const char *text = arrived(), *end = strchr(text, '\n');
        assert_non_null(end);
        assert_true(end - text <= 8192);
        assert_non_null(strchr(end + 1, '\n'));
        assert_int_equal('\0', strchr(end + 1, '\n')[1]);
    }
}

static void level_is_changed_in_place(void **state)
{
    (void)state;
    const struct cmg_log_conf quiet = { CMG_LOG_STDERR, CMG_LOG_TEXT, 0, true };
    open_sink(CMG_LOG_STDERR, CMG_LOG_TEXT);
    cmg_logsink_level(&quiet);
    log_warn("x", KV("n", 1));
    log_error("y", KV("n", 2));
    cmg_log_flush();
    assert_true(matches(arrived(), "^" STAMP " error y n=2\n$"));
}

/* Not judged, because machines differ; a line should cost well under a microsecond. */
static void an_access_line_costs(void **state)
{
    (void)state;
    enum { LINES = 200000 };
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    close(null);
    for (int format = CMG_LOG_TEXT; format <= CMG_LOG_JSON; format++) {
        open_sink(CMG_LOG_STDERR, format);
        int64_t began = cmg_clock_us();
        for (int i = 0; i < LINES; i++)
            log_info("access", KV("request", i), KV("who", "GUID:6f1c2b7e-9a4d"),
                     KV("method", "POST"),
                     KV("path", "/CCM_Proxy_MutualAuth/72057594037927941/CCM_System/request"),
                     KV("status", 200), KV("in", 4711), KV("out", 512), KV("ms", 12));
        int64_t us = cmg_clock_us() - began;
        print_message("%s: %d ns a line\n", format == CMG_LOG_JSON ? "json" : "text",
                      (int)(us * 1000 / LINES));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, redirect, restore)
    const struct CMUnitTest tests[] = {
        TEST(lines_leave_together_when_flushed),
        TEST(the_stamp_is_now),
        TEST(into_the_journal_the_priority_goes_before),
        TEST(a_full_pipe_drops_whole_lines_and_counts_them),
        TEST(a_pipe_without_reader_is_no_trouble),
        TEST(lines_before_an_abort_are_written),
        TEST(json_lines_are_json),
        TEST(json_that_does_not_fit_is_cut_between_members),
        TEST(a_long_event_stays_one_line),
        TEST(level_is_changed_in_place),
        TEST(an_access_line_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
