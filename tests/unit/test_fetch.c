/* SPDX-License-Identifier: MIT */
/* Real libcurl and real sockets on loopback; the server runs on the loop under test, the proxy on
 * a thread of its own. Nothing waits but for events. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>

#include "certs.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/http/fetch.h"
#include "cmg/net/loop.h"
#include "cmg/net/tls.h"
#include "fake_http.h"
#include "fake_proxy.h"

enum { TOO_LONG_MS = 30000, BEYOND = 6, MANY = CMG_FETCHES_MAX + BEYOND };

static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: 1\r\nx-two:  2 \r\n"
                            "X-One: again\r\n\r\nhello";

struct ask {
    struct cmg_fetch *fetch;
    unsigned done;
    struct cmg_err err;
    unsigned status;
    char body[256], fields[512], parts[64];
    size_t nbody;
};

static struct {
    struct cmg_loop *loop;
    struct cmg_timer *patience;
    struct cmg_fetcher *fetcher;
    struct fake_http server;
    const char *answer;
    bool silent;
    struct cmg_tls *tls;
    char trust_root[128], trust_other[128], pem[128], key[128];
    int nfds;
    struct ask *asks;
} w;

static const char *on_request(struct fake_http *h, struct fake_conn *c)
{
    (void)h, (void)c;
    return w.silent ? NULL : w.answer;
}

static void on_impatient(void *arg)
{
    (void)arg;
    fail_msg("waited too long");
}

static int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static int set_up(void **state)
{
    (void)state;
    w.nfds = count_fds();
    w.answer = hello;
    w.silent = false;
    w.loop = cmg_loop_new();
    w.patience = cmg_timer_new(w.loop, on_impatient, NULL);
    cmg_timer_set(w.patience, TOO_LONG_MS);
    w.fetcher = cmg_fetcher_new(w.loop);
    w.server = (struct fake_http){ .loop = w.loop, .answer = on_request };
    return 0;
}

#define UNTIL(what) \
    while (!(what)) \
    cmg_loop_run(w.loop)

static int tear_down(void **state)
{
    (void)state;
    cmg_fetcher_free(w.fetcher);
    if (w.server.listener)
        fake_http_stop(&w.server);
    cmg_tls_unref(w.tls);
    w.tls = NULL;
    cmg_timer_free(w.patience);
    cmg_loop_free(w.loop);
    assert_int_equal(count_fds(), w.nfds);
    return 0;
}

/* ---- asking ---- */

static void on_done(void *arg, const struct cmg_fetch_result *r)
{
    struct ask *a = arg;
    a->done++;
    a->fetch = NULL;
    a->err = r->err;
    a->status = r->status;
    a->nbody = r->body.n;
    cmg_str_put(a->body, sizeof(a->body), r->body);
    for (size_t i = 0, n = 0; i < r->nfields && n < sizeof(a->fields); i++)
        n += (size_t)snprintf(a->fields + n, sizeof(a->fields) - n, "%.*s=%.*s;",
                              CMG_ARG(r->fields[i].name), CMG_ARG(r->fields[i].value));
    cmg_loop_stop(w.loop);
}

static const char *url(const char *scheme, uint16_t port)
{
    static char text[128];
    snprintf(text, sizeof(text), "%s://127.0.0.1:%u/a/../b%%2f?sig=SECRET", scheme, port);
    return text;
}

static struct cmg_fetch_request request(const char *at)
{
    return (struct cmg_fetch_request){
        .url = at, .what = "the test", .max_bytes = 1024, .connect_ms = 10000, .timeout_ms = 20000
    };
}

static struct ask fetch(const struct cmg_fetch_request *r)
{
    struct ask a = { 0 };
    a.fetch = cmg_fetch_start(w.fetcher, r, on_done, &a);
    assert_int_equal(a.done, 0); /* never from inside */
    UNTIL(a.done);
    assert_null(strstr(a.err.text, "SECRET"));
    return a;
}

static struct ask fetch_plain(void)
{
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    return fetch(&r);
}

static void fails(const struct cmg_fetch_request *r, enum cmg_rc code, const char *why)
{
    struct ask a = fetch(r);
    if (a.err.code != code || !strstr(a.err.text, why))
        fail_msg("%d \"%s\", want %d \"%s\"", a.err.code, a.err.text, code, why);
    assert_int_equal(a.status, 0);
    assert_int_equal(a.nbody, 0);
}

static uint16_t closed_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    getsockname(fd, (struct sockaddr *)&at, &n);
    close(fd);
    return ntohs(at.sin_port);
}

/* ---- what goes well ---- */

static void an_answer_arrives_whole(void **state)
{
    (void)state;
    struct ask a = fetch_plain();
    assert_int_equal(a.err.code, CMG_OK);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "hello");
    assert_string_equal(a.fields, "Content-Length=5;X-One=1;x-two=2;X-One=again;");
    /* The path is sent as it stands, and nothing is asked for that nobody wanted. */
    assert_ptr_equal(strstr(w.server.last, "GET /a/../b%2f?sig=SECRET HTTP/1.1\r\n"),
                     w.server.last);
    assert_null(strcasestr(w.server.last, "Accept-Encoding"));
    assert_null(strcasestr(w.server.last, "Expect"));
}

static void a_status_is_an_answer(void **state)
{
    (void)state;
    w.answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
    struct ask a = fetch_plain();
    assert_int_equal(a.err.code, CMG_OK);
    assert_int_equal(a.status, 404);
    assert_string_equal(a.body, "gone");
}

static void a_redirect_is_not_followed(void **state)
{
    (void)state;
    w.answer = "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
    struct ask a = fetch_plain();
    assert_int_equal(a.status, 302);
    assert_int_equal(w.server.requests, 1);
}

static void fields_and_a_body_are_sent(void **state)
{
    (void)state;
    char body[4000];
    memset(body, 'b', sizeof(body));
    const struct cmg_field fields[] = { { CMG_STR("x-ms-date"), CMG_STR("today") },
                                        { CMG_STR("X-Empty"), CMG_STR("") } };
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    r.method = "PUT";
    r.body = (struct cmg_str){ body, sizeof(body) };
    r.fields = fields;
    r.nfields = 2;
    struct ask a = { 0 };
    a.fetch = cmg_fetch_start(w.fetcher, &r, on_done, &a);
    memset(body, 'x', sizeof(body)); /* it was copied */
    UNTIL(a.done);
    assert_int_equal(a.status, 200);
    assert_ptr_equal(strstr(w.server.last, "PUT /a"), w.server.last);
    assert_non_null(strstr(w.server.last, "\r\nx-ms-date: today\r\n"));
    assert_non_null(strstr(w.server.last, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(w.server.last, "\r\nContent-Length: 4000\r\n"));
    assert_null(strcasestr(w.server.last, "Transfer-Encoding"));
    assert_null(strcasestr(w.server.last, "Expect"));
    const char *sent = strstr(w.server.last, "\r\n\r\n") + 4;
    assert_int_equal(strspn(sent, "b"), 4000);
}

static void an_empty_body_has_a_length(void **state)
{
    (void)state;
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    r.method = "PUT";
    assert_int_equal(fetch(&r).status, 200);
    assert_non_null(strstr(w.server.last, "\r\nContent-Length: 0\r\n"));
    r.method = "DELETE";
    assert_int_equal(fetch(&r).status, 200);
    assert_ptr_equal(strstr(w.server.last, "DELETE "), w.server.last);
    assert_null(strstr(w.server.last, "Content-Length"));
}

static void head_has_no_body(void **state)
{
    (void)state;
    w.answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    r.method = "HEAD";
    struct ask a = fetch(&r);
    assert_int_equal(a.err.code, CMG_OK);
    assert_string_equal(a.fields, "Content-Length=1000000;");
}

static void a_connection_is_kept(void **state)
{
    (void)state;
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    for (int i = 0; i < 3; i++)
        assert_int_equal(fetch(&r).status, 200);
    assert_int_equal(w.server.accepted, 1);
    assert_int_equal(w.server.requests, 3);
}

/* The server drops kept connections; nobody notices. */
static void a_dead_connection_is_replaced(void **state)
{
    (void)state;
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    r.method = "PUT";
    r.body = CMG_STR("twice");
    assert_int_equal(fetch(&r).status, 200);
    cmg_stream_close(w.server.conns->stream, 0);
    UNTIL(w.server.gone == 1);
    assert_int_equal(fetch(&r).status, 200);
    assert_string_equal(strstr(w.server.last, "\r\n\r\n") + 4, "twice");
}

static void the_environment_has_no_say(void **state)
{
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    struct ask a = fetch_plain();
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(a.status, 200);
}

/* ---- what does not ---- */

static void too_much_is_refused(void **state)
{
    (void)state;
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    r.max_bytes = 5;
    assert_int_equal(fetch(&r).status, 200);
    r.max_bytes = 4;
    fails(&r, CMG_ETOOBIG, "the test: 127.0.0.1: the answer is longer than 4 bytes");
    w.answer = "HTTP/1.1 200 OK\r\n\r\nwithout a length, and far too long";
    fails(&r, CMG_ETOOBIG, "longer than 4 bytes");
}

static bool on_part(void *arg, struct cmg_str bytes)
{
    struct ask *a = arg;
    size_t n = strlen(a->parts);
    cmg_str_put(a->parts + n, sizeof(a->parts) - n, bytes);
    return !memchr(bytes.p, '!', bytes.n);
}

static void a_body_is_handed_on(void **state)
{
    (void)state;
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    r.on_body = on_part;
    struct ask a = fetch(&r);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.nbody, 0);
    assert_string_equal(a.parts, "hello");
    r.max_bytes = 4;
    fails(&r, CMG_ETOOBIG, "longer than 4 bytes");
    r.max_bytes = 1024;
    w.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstop!";
    fails(&r, CMG_EIO, "ended by who asked");
    w.answer = "HTTP/1.1 409 No\r\nContent-Length: 4\r\n\r\nwhy!"; /* gathered */
    a = fetch(&r);
    assert_int_equal(a.status, 409);
    assert_string_equal(a.body, "why!");
    assert_string_equal(a.parts, "");
}

static void too_much_of_a_head_is_refused(void **state)
{
    (void)state;
    static char head[70000];
    size_t n = (size_t)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    while (n < sizeof(head) - 100)
        n += (size_t)snprintf(head + n, sizeof(head) - n, "X-Long: %060d\r\n", 1);
    snprintf(head + n, sizeof(head) - n, "\r\n");
    w.answer = head;
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    fails(&r, CMG_ETOOBIG, "the head of the answer is longer");
}

static void a_cut_answer_is_no_answer(void **state)
{
    (void)state;
    w.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    fails(&r, CMG_EIO, "the test: 127.0.0.1: ");
}

static void another_protocol_is_no_answer(void **state)
{
    (void)state;
    w.answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    fails(&r, CMG_EIO, "answered 101");
    w.answer = "no HTTP at all";
    fails(&r, CMG_EIO, "does not speak HTTP/1.1");
}

static void silence_ends_in_time(void **state)
{
    (void)state;
    w.silent = true;
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    r.timeout_ms = 1000;
    fails(&r, CMG_ETIMEOUT, "no whole answer within 1000 ms");
}

static void a_closed_port_is_told(void **state)
{
    (void)state;
    struct cmg_fetch_request r = request(url("http", closed_port()));
    fails(&r, CMG_EIO, "the test: 127.0.0.1: Failed to connect");
}

static void an_unknown_name_is_told(void **state)
{
    (void)state;
    struct cmg_fetch_request r = request("http://no-such-host.invalid/?SECRET");
    fails(&r, CMG_EIO, "no-such-host.invalid");
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const urls[] = { "", "ftp://127.0.0.1/SECRET", "file:///etc/SECRET",
                                        "http://SECRET SECRET/", "/SECRET" };
    const struct cmg_field fields[] = {
        { CMG_STR("X"), CMG_STR("a\r\nInjected: SECRET") },
        { CMG_STR("X: y\r\nZ"), CMG_STR("SECRET") },
        { CMG_STR("Content-Length"), CMG_STR("3") },
        { CMG_STR("Transfer-Encoding"), CMG_STR("chunked") },
    };
    for (size_t i = 0; i < CMG_COUNT(urls); i++) {
        struct cmg_fetch_request r = request(urls[i]);
        fails(&r, CMG_ECONF, "not a URL of http or https");
    }
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    r.nfields = 1;
    for (size_t i = 0; i < CMG_COUNT(fields); i++) {
        r.fields = &fields[i];
        fails(&r, CMG_ECONF, "cannot be sent");
    }
    r.nfields = 0;
    r.method = "GET /\r\nX:";
    fails(&r, CMG_ECONF, "cannot be sent");
    assert_int_equal(w.server.accepted, 0);
}

/* ---- TLS ---- */

static void make_certificates(void)
{
    cert_setup();
    struct cert root = cert_make(&(struct cert_spec){ .cn = "Root", .ca = true });
    struct cert other = cert_make(&(struct cert_spec){ .cn = "Other Root", .ca = true });
    struct cert server = cert_make(&(struct cert_spec){
        .cn = "s", .san = "IP:127.0.0.1", .eku = "serverAuth", .issuer = &root });
    snprintf(w.trust_root, 128, "%s", cert_write("root.pem", CERTS(&root)));
    snprintf(w.trust_other, 128, "%s", cert_write("other.pem", CERTS(&other)));
    snprintf(w.pem, 128, "%s", cert_write("server.pem", CERTS(&server)));
    snprintf(w.key, 128, "%s", cert_write_key("server.key", &server, 0600));
    cert_free(&root);
    cert_free(&other);
    cert_free(&server);
}

static uint16_t start_tls(void)
{
    struct cmg_err err;
    w.tls = cmg_tls_new(
        &(struct cmg_tls_conf){ true, w.pem, w.key, NULL, CMG_TLS_PEER_NOT_ASKED, NULL }, &err);
    assert_non_null(w.tls);
    w.server.tls = w.tls;
    return fake_http_start(&w.server);
}

static void tls_is_verified(void **state)
{
    (void)state;
    uint16_t port = start_tls();
    struct cmg_fetch_request r = request(url("https", port));
    r.ca_file = w.trust_root;
    struct ask a = fetch(&r);
    assert_int_equal(a.err.code, CMG_OK);
    assert_string_equal(a.body, "hello");
    r.ca_file = w.trust_other; /* on a kept connection it would not be looked at */
    fails(&r, CMG_EDENIED, "the test: 127.0.0.1: SSL certificate problem");
    r.ca_file = NULL;
    fails(&r, CMG_EDENIED, "certificate");
    r.ca_file = "/nowhere/ca.pem";
    fails(&r, CMG_ECONF, "/nowhere/ca.pem");
    r.ca_file = cert_write_text("broken.pem", "no certificate", 0600);
    fails(&r, CMG_ECONF, "broken.pem");
    assert_int_equal(w.server.requests, 1);
}

static void tls_is_verified_by_name(void **state)
{
    (void)state;
    char at[64];
    snprintf(at, sizeof(at), "https://localhost:%u/", start_tls());
    struct cmg_fetch_request r = request(at);
    r.ca_file = w.trust_root;
    fails(&r, CMG_EDENIED, "localhost");
}

/* ---- proxies ---- */

static void a_proxy_is_asked(void **state)
{
    (void)state;
    static const char *const script[] = { "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", NULL };
    struct fake_proxy p = { .script = script };
    char proxy[64];
    fake_proxy_start(&p);
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", p.port);
    cmg_fetcher_proxy(w.fetcher, proxy);
    struct cmg_fetch_request r = request("http://crl.example.com/x.crl");
    struct ask a = fetch(&r);
    cmg_fetcher_free(w.fetcher); /* with its kept connection */
    w.fetcher = NULL;
    fake_proxy_stop(&p);
    assert_string_equal(a.body, "hi");
    assert_non_null(strstr(p.last, "GET http://crl.example.com/x.crl HTTP/1.1\r\n"));
}

static void a_proxy_carries_tls(void **state)
{
    (void)state;
    static const char *const script[] = { "HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nX-Proxy: 1\r\n\r\n", NULL };
    struct fake_proxy p = { .script = script, .target = start_tls() };
    char proxy[64];
    fake_proxy_start(&p);
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", p.port);
    cmg_fetcher_proxy(w.fetcher, proxy);
    struct cmg_fetch_request r = request("https://127.0.0.1/");
    r.ca_file = w.trust_root;
    fails(&r, CMG_EIO, "the proxy refused CONNECT with 407");
    struct ask a = fetch(&r);
    cmg_fetcher_free(w.fetcher);
    w.fetcher = NULL;
    fake_proxy_stop(&p);
    assert_string_equal(a.body, "hello");
    assert_null(strstr(a.fields, "X-Proxy"));
    assert_non_null(strstr(p.last, "CONNECT 127.0.0.1:443 HTTP/1.1\r\n"));
}

/* ---- many, and the end of them ---- */

static unsigned count_done(const struct ask *asks, size_t n)
{
    unsigned done = 0;
    for (size_t i = 0; i < n; i++)
        done += asks[i].done;
    return done;
}

static struct ask *start_many(const struct cmg_fetch_request *r)
{
    struct ask *asks = cmg_alloc(MANY * sizeof(*asks));
    for (size_t i = 0; i < MANY; i++)
        asks[i].fetch = cmg_fetch_start(w.fetcher, r, on_done, &asks[i]);
    return asks;
}

static void the_next_ones_wait_their_turn(void **state)
{
    (void)state;
    w.silent = true;
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    struct ask *asks = start_many(&r);
    UNTIL(w.server.requests == CMG_FETCHES_MAX);
    w.silent = false;
    cmg_fetch_cancel(asks[0].fetch); /* one that runs: the next in line takes its turn */
    UNTIL(count_done(asks, MANY) == 1);
    assert_int_equal(asks[CMG_FETCHES_MAX].done, 1);
    cmg_fetch_cancel(asks[1].fetch);
    UNTIL(count_done(asks, MANY) == BEYOND);
    for (size_t i = 2; i < CMG_FETCHES_MAX; i++)
        cmg_fetch_cancel(asks[i].fetch);
    assert_int_equal(w.server.requests, MANY);
    free(asks);
}

static void time_runs_while_they_wait(void **state)
{
    (void)state;
    w.silent = true;
    struct cmg_fetch_request r = request(url("http", fake_http_start(&w.server)));
    struct ask *asks = start_many(&r);
    r.timeout_ms = 100;
    struct ask late = { 0 };
    cmg_fetch_start(w.fetcher, &r, on_done, &late);
    UNTIL(late.done);
    assert_int_equal(late.err.code, CMG_ETIMEOUT);
    assert_non_null(strstr(late.err.text, "its turn did not come within 100 ms"));
    cmg_fetcher_free(w.fetcher); /* all of them in flight or in line */
    w.fetcher = NULL;
    assert_int_equal(count_done(asks, MANY), 0);
    free(asks);
}

static void on_free_all(void *arg, const struct cmg_fetch_result *r)
{
    on_done(arg, r);
    cmg_fetcher_free(w.fetcher);
    w.fetcher = NULL;
}

/* Both have ended when the first is told of: the second is not. */
static void the_fetcher_may_go_from_inside(void **state)
{
    (void)state;
    struct ask a = { 0 }, b = { 0 };
    struct cmg_fetch_request r = request("ftp://nowhere/");
    cmg_fetch_start(w.fetcher, &r, on_free_all, &a);
    cmg_fetch_start(w.fetcher, &r, on_free_all, &b);
    UNTIL(a.done);
    assert_null(w.fetcher);
    assert_int_equal(b.done, 0);
}

static void on_cancel_other(void *arg, const struct cmg_fetch_result *r)
{
    struct ask *a = arg;
    cmg_fetch_cancel(a->fetch); /* itself: nothing happens */
    on_done(a, r);
    cmg_fetch_cancel(w.asks[1].fetch);
    cmg_fetch_start(w.fetcher, &(struct cmg_fetch_request){ .url = "x:", .timeout_ms = 1000 },
                    on_done, &w.asks[2]);
}

static void a_finished_one_can_be_cancelled(void **state)
{
    (void)state;
    struct ask asks[3] = { 0 };
    struct cmg_fetch_request r = request("ftp://nowhere/");
    w.asks = asks;
    asks[0].fetch = cmg_fetch_start(w.fetcher, &r, on_cancel_other, &asks[0]);
    asks[1].fetch = cmg_fetch_start(w.fetcher, &r, on_done, &asks[1]);
    UNTIL(asks[2].done);
    assert_int_equal(asks[0].done, 1);
    assert_int_equal(asks[1].done, 0);
    cmg_fetch_cancel(NULL);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    make_certificates();
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_arrives_whole),
        TEST(a_status_is_an_answer),
        TEST(a_redirect_is_not_followed),
        TEST(fields_and_a_body_are_sent),
        TEST(an_empty_body_has_a_length),
        TEST(head_has_no_body),
        TEST(a_connection_is_kept),
        TEST(a_dead_connection_is_replaced),
        TEST(the_environment_has_no_say),
        TEST(too_much_is_refused),
        TEST(a_body_is_handed_on),
        TEST(too_much_of_a_head_is_refused),
        TEST(a_cut_answer_is_no_answer),
        TEST(another_protocol_is_no_answer),
        TEST(silence_ends_in_time),
        TEST(a_closed_port_is_told),
        TEST(an_unknown_name_is_told),
        TEST(nonsense_is_refused),
        TEST(tls_is_verified),
        TEST(tls_is_verified_by_name),
        TEST(a_proxy_is_asked),
        TEST(a_proxy_carries_tls),
        TEST(the_next_ones_wait_their_turn),
        TEST(time_runs_while_they_wait),
        TEST(the_fetcher_may_go_from_inside),
        TEST(a_finished_one_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
