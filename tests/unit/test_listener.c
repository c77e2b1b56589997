/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/net/listener.h"
#include "cmg/net/loop.h"
#include "net/addresses.h"

enum { HELD_MAX = 256, TOO_LONG_MS = 10000 };

static struct {
    struct cmg_loop *loop;
    struct cmg_timer *patience;
    struct cmg_listener *l;
    struct {
        int fd;
        void *slot;
    } held[HELD_MAX];
    unsigned n, want; /* accepted; the loop stops at `want` */
    unsigned starved, refused, full;
    char refused_text[256];
} w;

/* ---- the world ---- */

static void on_log(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    (void)level;
    w.starved += strcmp(event, "listener.starved") == 0;
    w.full += strcmp(event, "listener.full") == 0;
    if (strcmp(event, "listener.refused") == 0) {
        w.refused++;
        cmg_log_text(w.refused_text, sizeof(w.refused_text), event, kv, n);
    }
}

static void on_impatient(void *arg)
{
    (void)arg;
    fail_msg("waited too long");
}

static void on_accept(void *arg, int fd, void *slot)
{
    (void)arg;
    w.held[w.n].fd = fd;
    w.held[w.n].slot = slot;
    w.n++;
    if (w.n == w.want)
        cmg_loop_stop(w.loop);
}

static int set_up(void **state)
{
    static const struct cmg_log_sink sink = { on_log, NULL };
    (void)state;
    memset(&w, 0, sizeof(w));
    cmg_log_to(&sink, CMG_INFO);
    w.loop = cmg_loop_new();
    w.patience = cmg_timer_new(w.loop, on_impatient, NULL);
    cmg_timer_set(w.patience, TOO_LONG_MS);
    return 0;
}

static void let_go(unsigned i)
{
    close(w.held[i].fd);
    cmg_listener_release(w.l, w.held[i].slot);
    w.held[i].slot = NULL;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < w.n; i++)
        if (w.held[i].slot)
            let_go(i);
    cmg_listener_free(w.l);
    cmg_timer_free(w.patience);
    cmg_loop_free(w.loop);
    return 0;
}

static void listen_with(struct cmg_listener_conf conf)
{
    struct cmg_err err = { 0 };
    if (!conf.address)
        conf.address = "127.0.0.1";
    if (!conf.max)
        conf.max = 1000;
    if (!conf.fd)
        conf.fd = -1;
    w.l = cmg_listener_new(w.loop, &conf, on_accept, NULL, &err);
    if (!w.l)
        fail_msg("%s", err.text);
}

/* A connection from `from`, made as soon as the kernel has queued it. */
static int knock(const char *from)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(cmg_listener_port(w.l)) };
    struct sockaddr_in me = { .sin_family = AF_INET };
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    inet_pton(AF_INET, from, &me.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&me, sizeof(me)), 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        int why = errno;
        close(fd);
        return -why;
    }
    return fd;
}

static void run_until(unsigned want)
{
    w.want = want;
    if (w.n < want)
        cmg_loop_run(w.loop);
    assert_int_equal(w.n, want);
}

/* Until the loop has had nothing more to do in one turn after the events now pending. */
static void stop_soon(void *arg)
{
    unsigned *turns = arg;
    if (++*turns == 3)
        cmg_loop_stop(w.loop);
    else
        cmg_loop_post(w.loop, stop_soon, turns);
}

static void settle(void)
{
    unsigned turns = 0;
    cmg_loop_post(w.loop, stop_soon, &turns);
    cmg_loop_run(w.loop);
}

static bool was_reset(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char byte;
    assert_int_equal(poll(&p, 1, TOO_LONG_MS), 1);
    return read(fd, &byte, 1) < 0 && errno == ECONNRESET;
}

/* ---- tests ---- */

static void accepted_sockets_are_ready_for_use(void **state)
{
    (void)state;
    int on = 0;
    socklen_t n = sizeof(on);
    listen_with((struct cmg_listener_conf){ 0 });
    assert_true(cmg_listener_port(w.l) > 0);
    int fd = knock("127.0.0.1");
    run_until(1);
    assert_true(fcntl(w.held[0].fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(w.held[0].fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(w.held[0].fd, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
    assert_int_equal(on, 1);
    close(fd);
}

static void a_crowd_is_accepted_in_batches(void **state)
{
    (void)state;
    int fd[200];
    listen_with((struct cmg_listener_conf){ 0 });
    for (unsigned i = 0; i < 200; i++)
        fd[i] = knock("127.0.0.1");
    run_until(200);
    for (unsigned i = 0; i < 200; i++)
        close(fd[i]);
}

static void at_its_ceiling_it_waits_for_a_slot(void **state)
{
    (void)state;
    int fd[3];
    listen_with((struct cmg_listener_conf){ .max = 2 });
    for (unsigned i = 0; i < 3; i++)
        fd[i] = knock("127.0.0.1");
    run_until(2);
    settle();
    assert_int_equal(w.n, 2); /* the third waits in the kernel, not refused */
    assert_int_equal(w.full, 1);
    let_go(0);
    run_until(3);
    for (unsigned i = 0; i < 3; i++)
        close(fd[i]);
}

static void an_address_has_its_share_and_no_more(void **state)
{
    (void)state;
    listen_with((struct cmg_listener_conf){ .max_per_address = 2 });
    int a = knock("127.0.0.1"), b = knock("127.0.0.1"), c = knock("127.0.0.1"),
        d = knock("127.0.0.1"), e = knock("127.0.0.2");
    run_until(3);
    assert_true(was_reset(c));
    assert_true(was_reset(d));
    assert_int_equal(w.refused, 1); /* two refusals, one event */
    assert_non_null(strstr(w.refused_text, "address=127.0.0.1"));
    assert_non_null(strstr(w.refused_text, "too many connections"));

    let_go(0);
    int f = knock("127.0.0.1");
    run_until(4);
    int fds[] = { a, b, c, d, e, f };
    for (size_t i = 0; i < CMG_COUNT(fds); i++)
        close(fds[i]);
}

static void an_address_has_its_pace(void **state)
{
    (void)state;
    int fd[5];
    listen_with((struct cmg_listener_conf){ .rate_per_address = 1 });
    for (unsigned i = 0; i < 5; i++)
        fd[i] = knock("127.0.0.1");
    int stranger = knock("127.0.0.2");
    run_until(5); /* a burst of four, and the stranger */
    assert_true(was_reset(fd[4]));
    assert_non_null(strstr(w.refused_text, "too fast"));
    for (unsigned i = 0; i < 5; i++)
        close(fd[i]);
    close(stranger);
}

static rlim_t limit_files(rlim_t n)
{
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
    rlim_t before = r.rlim_cur;
    r.rlim_cur = n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
    return before;
}

static rlim_t files_before;
static struct cmg_timer *relief;

static void on_relief(void *arg)
{
    (void)arg;
    limit_files(files_before);
}

static void without_descriptors_it_rests_and_recovers(void **state)
{
    (void)state;
    listen_with((struct cmg_listener_conf){ 0 });
    relief = cmg_timer_new(w.loop, on_relief, NULL);
    int a = knock("127.0.0.1"), b = knock("127.0.0.1");
    int lowest = dup(a); /* the next descriptor that would be given out */
    close(lowest);
    files_before = limit_files((rlim_t)lowest);
    cmg_timer_set(relief, 350); /* some rests later */
    run_until(2);
    assert_int_equal(w.starved, 1); /* said once, not once a rest */
    cmg_timer_free(relief);
    close(a);
    close(b);
}

static void once_paused_the_door_is_closed(void **state)
{
    (void)state;
    listen_with((struct cmg_listener_conf){ 0 });
    int fd = knock("127.0.0.1");
    run_until(1);
    cmg_listener_pause(w.l);
    cmg_listener_pause(w.l);
    assert_int_equal(knock("127.0.0.1"), -ECONNREFUSED);
    let_go(0); /* slots still come back */
    close(fd);
}

static void who_waits_before_the_door_is_let_in_when_it_closes(void **state)
{
    (void)state;
    enum { MANY = 100 }; /* more than a batch */
    int fds[MANY];
    listen_with((struct cmg_listener_conf){ 0 });
    for (unsigned i = 0; i < MANY; i++)
        fds[i] = knock("127.0.0.1");
    cmg_listener_finish(w.l);
    assert_int_equal(MANY, w.n);
    assert_int_equal(knock("127.0.0.1"), -ECONNREFUSED);
    for (unsigned i = 0; i < MANY; i++)
        close(fds[i]);
}

static void on_accept_pause(void *arg, int fd, void *slot)
{
    on_accept(arg, fd, slot);
    cmg_listener_pause(w.l);
}

static void it_may_be_paused_by_who_accepts(void **state)
{
    (void)state;
    struct cmg_err err;
    struct cmg_listener_conf conf = { .address = "127.0.0.1", .fd = -1, .max = 9 };
    w.l = cmg_listener_new(w.loop, &conf, on_accept_pause, NULL, &err);
    int a = knock("127.0.0.1"), b = knock("127.0.0.1");
    run_until(1);
    settle();
    assert_int_equal(w.n, 1);
    assert_true(was_reset(b));
    close(a);
    close(b);
}

static struct cmg_listener *try_listen(const char *address, uint16_t port, int fd,
                                       struct cmg_err *err)
{
    struct cmg_listener_conf conf = { .address = address, .port = port, .fd = fd, .max = 9 };
    return cmg_listener_new(w.loop, &conf, on_accept, NULL, err);
}

static void what_cannot_be_listened_on_is_told(void **state)
{
    (void)state;
    struct cmg_err err;
    listen_with((struct cmg_listener_conf){ 0 });
    assert_null(try_listen("127.0.0.1", cmg_listener_port(w.l), -1, &err));
    assert_non_null(strstr(err.text, "cannot listen on 127.0.0.1 port "));
    assert_non_null(strstr(err.text, "another program"));
    assert_null(try_listen("192.0.2.1", 0, -1, &err));
    assert_non_null(strstr(err.text, "no interface has this address"));
    assert_null(try_listen("256.1.1.1", 0, -1, &err));
    assert_non_null(strstr(err.text, "cannot listen on 256.1.1.1"));
    assert_int_equal(err.code, CMG_ECONF);
}

static void ipv6_and_ipv4_share_a_port(void **state)
{
    (void)state;
    struct cmg_err err = { 0 };
    listen_with((struct cmg_listener_conf){ .address = "0.0.0.0" });
    struct cmg_listener *six = try_listen("::", cmg_listener_port(w.l), -1, &err);
    if (!six && strstr(err.text, "Address family not supported"))
        skip();
    if (!six)
        fail_msg("%s", err.text);
    assert_int_equal(cmg_listener_port(six), cmg_listener_port(w.l));
    cmg_listener_free(six);
}

static void an_inherited_socket_is_taken_when_it_listens(void **state)
{
    (void)state;
    struct cmg_err err;
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* blocking, as it may come */
    struct sockaddr_in at = { .sin_family = AF_INET };
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_null(try_listen("ignored", 1, fd, &err));
    assert_non_null(strstr(err.text, "not a listening socket"));

    assert_int_equal(listen(fd, 16), 0);
    w.l = try_listen("ignored", 1, fd, &err);
    assert_non_null(w.l);
    int c = knock("127.0.0.1");
    run_until(1);
    settle(); /* would block for ever if the socket did */
    close(c);
}

/* ---- the table of addresses, with its own time ---- */

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage s = { 0 };
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&s;
    struct sockaddr_in *four = (struct sockaddr_in *)&s;
    if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1)
        six->sin6_family = AF_INET6;
    else if (inet_pton(AF_INET, text, &four->sin_addr) == 1)
        four->sin_family = AF_INET;
    else
        fail_msg("%s", text);
    return s;
}

static enum cmg_addresses_answer take(struct cmg_addresses *t, const char *text, int64_t now_ms,
                                      struct cmg_address **slot)
{
    struct sockaddr_storage s = address(text);
    struct cmg_address *unused;
    return cmg_addresses_take(t, (struct sockaddr *)&s, now_ms, slot ? slot : &unused);
}

static void a_64_counts_as_one_address(void **state)
{
    (void)state;
    struct cmg_addresses *t = cmg_addresses_new(1, 0, 10);
    assert_int_equal(take(t, "2001:db8::1", 0, NULL), CMG_ADDRESS_OK);
    assert_int_equal(take(t, "2001:db8::ffff:2", 0, NULL), CMG_ADDRESS_TOO_MANY);
    assert_int_equal(take(t, "2001:db8:0:1::1", 0, NULL), CMG_ADDRESS_OK);
    assert_int_equal(take(t, "192.0.2.1", 0, NULL), CMG_ADDRESS_OK);
    assert_int_equal(take(t, "::ffff:192.0.2.1", 0, NULL), CMG_ADDRESS_TOO_MANY);
    assert_int_equal(take(t, "::ffff:192.0.2.2", 0, NULL), CMG_ADDRESS_OK);
    assert_int_equal(cmg_addresses_count(t), 4);
    cmg_addresses_free(t);
}

static void a_bucket_fills_with_time(void **state)
{
    (void)state;
    struct cmg_addresses *t = cmg_addresses_new(0, 2, 10);
    int64_t now = 1000000;
    for (int i = 0; i < 8; i++)
        assert_int_equal(take(t, "192.0.2.1", now, NULL), CMG_ADDRESS_OK);
    assert_int_equal(take(t, "192.0.2.1", now, NULL), CMG_ADDRESS_TOO_FAST);
    assert_int_equal(take(t, "192.0.2.1", now + 499, NULL), CMG_ADDRESS_TOO_FAST);
    assert_int_equal(take(t, "192.0.2.1", now + 500, NULL), CMG_ADDRESS_OK);
    assert_int_equal(take(t, "192.0.2.1", now + 500, NULL), CMG_ADDRESS_TOO_FAST);
    now += 3600 * 1000; /* an hour saves up no more than a burst */
    for (int i = 0; i < 8; i++)
        assert_int_equal(take(t, "192.0.2.1", now, NULL), CMG_ADDRESS_OK);
    assert_int_equal(take(t, "192.0.2.1", now, NULL), CMG_ADDRESS_TOO_FAST);
    cmg_addresses_free(t);
}

/* Leaving and coming back must not be a way to a full bucket. */
static void an_address_is_remembered_while_it_matters(void **state)
{
    (void)state;
    struct cmg_addresses *t = cmg_addresses_new(0, 1, 10);
    struct cmg_address *slot = NULL;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(take(t, "192.0.2.1", 1000, &slot), CMG_ADDRESS_OK);
        cmg_addresses_give_back(t, slot, 1000);
    }
    assert_int_equal(take(t, "192.0.2.1", 1999, NULL), CMG_ADDRESS_TOO_FAST);
    assert_int_equal(cmg_addresses_count(t), 1);
    assert_int_equal(take(t, "192.0.2.2", 7000, &slot), CMG_ADDRESS_OK);
    assert_int_equal(cmg_addresses_count(t), 1); /* the first is forgotten */
    cmg_addresses_give_back(t, slot, 7000);
    cmg_addresses_free(t);
}

static void strangers_cannot_fill_the_table(void **state)
{
    (void)state;
    struct cmg_addresses *t = cmg_addresses_new(0, 1, 100);
    struct cmg_address *held = NULL, *slot = NULL;
    assert_int_equal(take(t, "192.0.2.1", 0, &held), CMG_ADDRESS_OK);
    for (unsigned i = 0; i < 5000; i++) {
        char text[32];
        snprintf(text, sizeof(text), "10.0.%u.%u", i / 250, i % 250);
        assert_int_equal(take(t, text, 1, &slot), CMG_ADDRESS_OK);
        cmg_addresses_give_back(t, slot, 1);
        assert_true(cmg_addresses_count(t) <= 102);
    }
    cmg_addresses_give_back(t, held, 2); /* who holds a connection is never forgotten */
    cmg_addresses_free(t);
}

static void without_a_rate_nobody_is_remembered(void **state)
{
    (void)state;
    struct cmg_addresses *t = cmg_addresses_new(5, 0, 100);
    struct cmg_address *slot = NULL;
    assert_int_equal(take(t, "192.0.2.1", 0, &slot), CMG_ADDRESS_OK);
    cmg_addresses_give_back(t, slot, 0);
    assert_int_equal(cmg_addresses_count(t), 0);
    cmg_addresses_free(t);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(accepted_sockets_are_ready_for_use),
        WORLD(a_crowd_is_accepted_in_batches),
        WORLD(at_its_ceiling_it_waits_for_a_slot),
        WORLD(an_address_has_its_share_and_no_more),
        WORLD(an_address_has_its_pace),
        WORLD(without_descriptors_it_rests_and_recovers),
        WORLD(once_paused_the_door_is_closed),
        WORLD(who_waits_before_the_door_is_let_in_when_it_closes),
        WORLD(it_may_be_paused_by_who_accepts),
        WORLD(what_cannot_be_listened_on_is_told),
        WORLD(ipv6_and_ipv4_share_a_port),
        WORLD(an_inherited_socket_is_taken_when_it_listens),
        cmocka_unit_test(a_64_counts_as_one_address),
        cmocka_unit_test(a_bucket_fills_with_time),
        cmocka_unit_test(an_address_is_remembered_while_it_matters),
        cmocka_unit_test(strangers_cannot_fill_the_table),
        cmocka_unit_test(without_a_rate_nobody_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
