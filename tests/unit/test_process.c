/* SPDX-License-Identifier: MIT */
/* What is found out of ourselves: the process, and how late its loop is. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmg/base/clock.h"
#include "cmg/daemon/process.h"
#include "cmg/net/lag.h"
#include "cmg/net/loop.h"

static void process(void **state)
{
    (void)state;
    struct cmg_process p, more;
    cmg_process_read(&p);
    assert_int_equal(p.pid, getpid());
    assert_in_range(p.started_unix, cmg_clock_unix() - 60, cmg_clock_unix() + 1);
    assert_in_range(p.uptime_s, 0, 60);
    assert_true(p.resident_bytes > 64 * 1024 && p.resident_bytes <= p.virtual_bytes);
    assert_true(p.open_fds >= 3 && p.open_fds < p.max_fds);

    int fd = open("/dev/null", O_RDONLY);
    cmg_process_read(&more);
    assert_int_equal(more.open_fds, p.open_fds + 1);
    assert_true(more.cpu_s >= p.cpu_s);
    close(fd);
}

static void exposed(void **state)
{
    (void)state;
    const struct cmg_process p = { .pid = 1, .started_unix = 1795336768, .open_fds = 7 };
    struct cmg_buf b;
    char text[4096];
    cmg_buf_init(&b, sizeof(text));
    cmg_process_expose(&b, &p);
    cmg_str_put(text, sizeof(text), cmg_buf_str(&b));
    cmg_buf_clear(&b);
    assert_non_null(strstr(text, "\nprocess_start_time_seconds 1795336768\n"));
    assert_non_null(strstr(text, "# TYPE process_cpu_seconds_total counter\n"));
    assert_non_null(strstr(text, "\nprocess_open_fds 7\n"));
}

struct lazy {
    struct cmg_loop *loop;
    struct cmg_lag *lag;
    struct cmg_timer *timer;
};

/* Holds up the loop when the look is due. */
static void on_busy(void *arg)
{
    struct lazy *z = arg;
    if (cmg_lag_histogram(z->lag)->count) {
        cmg_loop_stop(z->loop);
        return;
    }
    usleep(200 * 1000);
    cmg_timer_set(z->timer, 1);
}

static void late(void **state)
{
    (void)state;
    struct lazy z = { .loop = cmg_loop_new() };
    z.lag = cmg_lag_new(z.loop);
    assert_int_equal(cmg_lag_last_us(z.lag), 0);
    z.timer = cmg_timer_new(z.loop, on_busy, &z);
    cmg_timer_set(z.timer, 900);
    cmg_loop_run(z.loop);
    const struct cmg_histogram *h = cmg_lag_histogram(z.lag);
    assert_int_equal(h->count, 1);
    assert_true(cmg_lag_last_us(z.lag) > 50 * 1000);
    assert_int_equal(h->sum_us, cmg_lag_last_us(z.lag));
    cmg_timer_free(z.timer);
    cmg_lag_free(z.lag);
    cmg_loop_free(z.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process),
        cmocka_unit_test(exposed),
        cmocka_unit_test(late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
