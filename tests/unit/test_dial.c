/* SPDX-License-Identifier: MIT */
/* Real sockets, real libcurl, real TLS, all on loopback: servers run on the loop under test,
 * proxies on a thread of their own. Nothing waits but for events. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "certs.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/dial.h"
#include "cmg/net/listener.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"
#include "cmg/net/tls.h"
#include "fake_proxy.h"
#include "net/workers.h"

enum { TOO_LONG_MS = 20000, MANY = 8 };

/* ---- certificates, made once ---- */

static struct cert root, other, server, client;
static char trust_root[128], trust_other[128];
static char server_pem[128], server_key[128], client_pem[128], client_key[128];

static void keep(char out[128], const char *path)
{
    snprintf(out, 128, "%s", path);
}

static void make_certificates(void)
{
    cert_setup();
    root = cert_make(&(struct cert_spec){ .cn = "Root", .ca = true });
    other = cert_make(&(struct cert_spec){ .cn = "Other Root", .ca = true });
    server = cert_make(&(struct cert_spec){
        .cn = "gw", .san = "DNS:localhost,IP:127.0.0.1", .eku = "serverAuth", .issuer = &root });
    client = cert_make(&(struct cert_spec){ .cn = "cp", .eku = "clientAuth", .issuer = &root });
    keep(trust_root, cert_write("root.pem", CERTS(&root)));
    keep(trust_other, cert_write("other.pem", CERTS(&other)));
    keep(server_pem, cert_write("server.pem", CERTS(&server)));
    keep(server_key, cert_write_key("server.key", &server, 0600));
    keep(client_pem, cert_write("client.pem", CERTS(&client)));
    keep(client_key, cert_write_key("client.key", &client, 0600));
}

/* ---- the world ---- */

struct conn { /* of the server's side */
    struct cmg_stream *stream;
    void *slot;
    char got[4096];
    size_t n;
    bool answered;
};

struct attempt {
    struct cmg_dial *dial;
    bool done;
    struct cmg_dial_result r;
    struct cmg_stream *stream;
    char got[256];
    size_t n;
    bool closed;
    char detail[256];
};

static struct {
    struct cmg_loop *loop;
    struct cmg_timer *patience;
    struct cmg_dialer *dialer;
    struct cmg_listener *l;
    struct cmg_tls *server_tls, *client_tls;
    const char *answer; /* to the first request head; NULL: echo */
    bool hang_up;       /* close after the answer                */
    unsigned accepted, gone;
    char request[4096]; /* the last one */
    char alpn[16];      /* of the last connection that spoke */
    int nfds;
} w;

static void wake(void)
{
    cmg_loop_stop(w.loop);
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
    memset(&w, 0, sizeof(w));
    w.nfds = count_fds();
    w.loop = cmg_loop_new();
    w.patience = cmg_timer_new(w.loop, on_impatient, NULL);
    cmg_timer_set(w.patience, TOO_LONG_MS);
    w.dialer = cmg_dialer_new(w.loop, 4, 2);
    return 0;
}

/* Runs the loop until `what` holds; whatever changes it calls wake(). */
#define UNTIL(what) \
    while (!(what)) \
    cmg_loop_run(w.loop)

static int tear_down(void **state)
{
    (void)state;
    cmg_dialer_free(w.dialer);
    UNTIL(w.gone == w.accepted);
    cmg_listener_free(w.l);
    cmg_tls_unref(w.server_tls);
    cmg_tls_unref(w.client_tls);
    cmg_timer_free(w.patience);
    cmg_loop_free(w.loop);
    assert_int_equal(count_fds(), w.nfds);
    return 0;
}

/* ---- a server ---- */

static void serve(struct conn *c, struct cmg_str in)
{
    struct cmg_buf *out = cmg_stream_out(c->stream);
    if (cmg_stream_ssl(c->stream))
        cmg_tls_alpn(cmg_stream_ssl(c->stream), w.alpn, sizeof(w.alpn));
    if (!w.answer || c->answered) {
        assert_int_equal(cmg_buf_put(out, in), CMG_OK);
        cmg_stream_mark(c->stream);
        return;
    }
    assert_true(c->n + in.n < sizeof(c->got));
    memcpy(c->got + c->n, in.p, in.n);
    c->n += in.n;
    if (!memmem(c->got, c->n, "\r\n\r\n", 4))
        return;
    memcpy(w.request, c->got, c->n);
    c->answered = true;
    assert_int_equal(cmg_buf_put(out, cmg_str(w.answer)), CMG_OK);
    cmg_stream_mark(c->stream);
    if (w.hang_up)
        cmg_stream_close(c->stream, 1000);
}

static size_t server_data(void *arg, struct cmg_str in)
{
    serve(arg, in);
    return in.n;
}

static void server_closed(void *arg, enum cmg_close_reason why, const char *detail)
{
    struct conn *c = arg;
    (void)why, (void)detail;
    cmg_listener_release(w.l, c->slot);
    free(c);
    w.gone++;
    wake();
}

static void server_eof(void *arg, bool clean)
{
    struct conn *c = arg;
    (void)clean;
    cmg_stream_close(c->stream, 0);
}

static void server_accept(void *arg, int fd, void *slot)
{
    static const struct cmg_stream_events events = {
        .on_data = server_data,
        .on_eof = server_eof,
        .on_closed = server_closed,
    };
    struct conn *c = cmg_alloc(sizeof(*c));
    (void)arg;
    w.accepted++;
    c->slot = slot;
    c->stream = cmg_stream_new(w.loop, fd, w.server_tls, NULL, TOO_LONG_MS, &events, c);
    wake();
}

static uint16_t listen_here(void)
{
    struct cmg_err err;
    struct cmg_listener_conf conf = { .address = "127.0.0.1", .fd = -1, .max = 100 };
    w.l = cmg_listener_new(w.loop, &conf, server_accept, NULL, &err);
    assert_non_null(w.l);
    return cmg_listener_port(w.l);
}

static struct cmg_tls *tls(bool is_server, const char *trust, const char *pem, const char *key,
                           enum cmg_tls_peer peer, const char *const *alpn)
{
    struct cmg_err err = { 0 };
    struct cmg_trust *t = trust ? cmg_trust_load(trust, &err) : NULL;
    struct cmg_tls *made =
        cmg_tls_new(&(struct cmg_tls_conf){ is_server, pem, key, t, peer, alpn }, &err);
    if (!made)
        fail_msg("%s", err.text);
    cmg_trust_unref(t);
    return made;
}

static void serve_tls(enum cmg_tls_peer peer, const char *const *alpn)
{
    w.server_tls = tls(true, trust_root, server_pem, server_key, peer, alpn);
}

static void client_tls(const char *trust, bool with_certificate, const char *const *alpn)
{
    w.client_tls = tls(false, trust, with_certificate ? client_pem : NULL,
                       with_certificate ? client_key : NULL, CMG_TLS_PEER_VERIFIED, alpn);
}

/* A port with a full backlog: connects are neither taken nor refused. */
struct hole {
    int fds[4];
    uint16_t port;
};

static struct hole open_hole(void)
{
    struct hole h;
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t n = sizeof(at);
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    h.fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(h.fds[0], (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(h.fds[0], 0), 0);
    getsockname(h.fds[0], (struct sockaddr *)&at, &n);
    h.port = ntohs(at.sin_port);
    for (int i = 1; i < 4; i++) {
        h.fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(h.fds[i], (struct sockaddr *)&at, sizeof(at));
    }
    return h;
}

static void close_hole(struct hole *h)
{
    for (int i = 0; i < 4; i++)
        close(h->fds[i]);
}

/* ---- a client ---- */

static size_t client_data(void *arg, struct cmg_str in)
{
    struct attempt *a = arg;
    assert_true(a->n + in.n < sizeof(a->got));
    memcpy(a->got + a->n, in.p, in.n);
    a->n += in.n;
    wake();
    return in.n;
}

static void client_closed(void *arg, enum cmg_close_reason why, const char *detail)
{
    struct attempt *a = arg;
    (void)why;
    snprintf(a->detail, sizeof(a->detail), "%s", detail ? detail : "");
    a->closed = true;
    wake();
}

static void on_done(void *arg, const struct cmg_dial_result *r)
{
    static const struct cmg_stream_events events = {
        .on_data = client_data,
        .on_closed = client_closed,
    };
    struct attempt *a = arg;
    assert_false(a->done);
    a->done = true;
    a->dial = NULL;
    a->r = *r;
    a->stream = r->stream;
    if (a->stream)
        cmg_stream_listen(a->stream, &events, a);
    wake();
}

static struct cmg_dial_target target(uint16_t port)
{
    return (struct cmg_dial_target){
        .key = "test", .host = "127.0.0.1", .port = port, .timeout_ms = 10000
    };
}

static void start(struct attempt *a, const struct cmg_dial_target *t)
{
    memset(a, 0, sizeof(*a));
    a->dial = cmg_dial_start(w.dialer, t, on_done, a);
    assert_false(a->done); /* never from inside the call */
}

static struct attempt dial(const struct cmg_dial_target *t)
{
    static struct attempt a;
    start(&a, t);
    UNTIL(a.done);
    return a;
}

static void failed(const struct cmg_dial_target *t, enum cmg_dial_step step, bool refused,
                   const char *why)
{
    struct attempt a = dial(t);
    if (a.stream)
        fail_msg("connected, want: %s", why);
    if (a.r.step != step || a.r.refused != refused || !strstr(a.r.err.text, why))
        fail_msg("step %s%s: \"%s\", want step %s%s: \"%s\"", cmg_dial_step_names[a.r.step],
                 a.r.refused ? ", refused" : "", a.r.err.text, cmg_dial_step_names[step],
                 refused ? ", refused" : "", why);
}

static void say(struct attempt *a, const char *text)
{
    assert_int_equal(cmg_buf_put(cmg_stream_out(a->stream), cmg_str(text)), CMG_OK);
    cmg_stream_mark(a->stream);
}

static void hang_up(struct attempt *a)
{
    cmg_stream_close(a->stream, 0);
    UNTIL(a->closed);
}

/* Says something, and hears it back. */
static void works(const struct cmg_dial_target *t, struct attempt *a)
{
    start(a, t);
    UNTIL(a->done);
    if (!a->stream)
        fail_msg("%s: %s", cmg_dial_step_names[a->r.step], a->r.err.text);
    say(a, "hello");
    UNTIL(a->n == 5);
    assert_memory_equal(a->got, "hello", 5);
}

/* ---- straight lines ---- */

static void a_plain_connection_carries_bytes(void **state)
{
    (void)state;
    struct attempt a;
    struct cmg_dial_target t = target(listen_here());
    works(&t, &a);
    assert_string_equal(a.r.alpn, "");
    hang_up(&a);
}

static void names_are_resolved(void **state)
{
    (void)state;
    struct attempt a;
    struct cmg_dial_target t = target(listen_here());
    t.host = "localhost";
    works(&t, &a);
    hang_up(&a);
}

static void our_tls_verifies_both_and_agrees(void **state)
{
    (void)state;
    static const char *const alpn[] = { "rh2", "h2", NULL };
    struct attempt a;
    serve_tls(CMG_TLS_PEER_VERIFIED, alpn);
    client_tls(trust_root, true, alpn);
    struct cmg_dial_target t = target(listen_here());
    t.tls = w.client_tls;
    works(&t, &a);
    assert_string_equal(a.r.alpn, "rh2");
    hang_up(&a);

    t.tls_name = "localhost"; /* dialed by address, verified by name */
    works(&t, &a);
    hang_up(&a);
}

static void the_environment_has_no_say(void **state)
{
    (void)state;
    struct attempt a;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    struct cmg_dial_target t = target(listen_here());
    works(&t, &a);
    hang_up(&a);
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    unsetenv("ALL_PROXY");
}

static uint16_t free_port(void)
{
    struct hole h = open_hole();
    close_hole(&h);
    return h.port;
}

static void a_closed_port_is_told(void **state)
{
    (void)state;
    char why[64];
    struct cmg_dial_target t = target(free_port());
    snprintf(why, sizeof(why), "127.0.0.1:%u refused the connection", t.port);
    failed(&t, CMG_DIAL_CONNECT, false, why);
}

static void a_filtered_port_is_told(void **state)
{
    (void)state;
    struct hole h = open_hole();
    struct cmg_dial_target t = target(h.port);
    t.timeout_ms = 300;
    failed(&t, CMG_DIAL_CONNECT, false, "within 300 ms (filtered?)");
    close_hole(&h);
}

static void an_unknown_name_is_told(void **state)
{
    (void)state;
    struct cmg_dial_target t = target(1);
    t.host = "no-such-host.invalid";
    failed(&t, CMG_DIAL_RESOLVE, false, "cannot resolve no-such-host.invalid: ");
}

static void a_host_that_is_no_host_is_told(void **state)
{
    (void)state;
    struct cmg_dial_target t = target(1);
    t.host = "a/b?c";
    failed(&t, CMG_DIAL_SETUP, false, "a/b?c:1: ");
}

/* ---- our TLS refuses, is refused, waits ---- */

static void a_wrong_name_is_told(void **state)
{
    (void)state;
    serve_tls(CMG_TLS_PEER_NOT_ASKED, NULL);
    client_tls(trust_root, false, NULL);
    struct cmg_dial_target t = target(listen_here());
    t.tls = w.client_tls;
    t.tls_name = "gw.example";
    failed(&t, CMG_DIAL_TLS, true,
           "certificate is not for gw.example (it names localhost, 127.0.0.1)");
}

static void an_unknown_ca_is_told(void **state)
{
    (void)state;
    serve_tls(CMG_TLS_PEER_NOT_ASKED, NULL);
    client_tls(trust_other, false, NULL);
    struct cmg_dial_target t = target(listen_here());
    t.tls = w.client_tls;
    failed(&t, CMG_DIAL_TLS, true, "issuer \"Root\" of \"gw\" is not in");
}

static void a_server_without_tls_is_told(void **state)
{
    (void)state;
    client_tls(trust_root, false, NULL);
    struct cmg_dial_target t = target(listen_here()); /* echoes our ClientHello */
    t.tls = w.client_tls;
    failed(&t, CMG_DIAL_TLS, false, "127.0.0.1:");
}

static void silence_in_the_handshake_is_told(void **state)
{
    (void)state;
    client_tls(trust_root, false, NULL);
    w.answer = "never"; /* a ClientHello holds no empty line */
    struct cmg_dial_target t = target(listen_here());
    t.tls = w.client_tls;
    t.timeout_ms = 300;
    failed(&t, CMG_DIAL_TLS, false, "did not finish the TLS handshake within 300 ms");
}

/* In TLS 1.3 the refusal comes after our handshake; the upgrade request meets it. */
static void a_refused_certificate_is_told(void **state)
{
    (void)state;
    serve_tls(CMG_TLS_PEER_VERIFIED, NULL);
    client_tls(trust_root, false, NULL);
    struct cmg_dial_target t = target(listen_here());
    t.tls = w.client_tls;
    t.upgrade = "ptth";
    t.upgrade_path = "/";
    failed(&t, CMG_DIAL_TLS, true, "wants a client certificate and got none");
}

/* ---- endpoints: libcurl's TLS ---- */

static struct cmg_dial_target endpoint(uint16_t port)
{
    struct cmg_dial_target t = target(port);
    t.https = true;
    t.ca_file = trust_root;
    return t;
}

static void endpoints_speak_http_1_1(void **state)
{
    (void)state;
    static const char *const alpn[] = { "h2", "http/1.1", NULL }; /* h2 if it can have it */
    struct attempt a;
    serve_tls(CMG_TLS_PEER_NOT_ASKED, alpn);
    struct cmg_dial_target t = endpoint(listen_here());
    works(&t, &a);
    assert_null(cmg_stream_ssl(a.stream));
    assert_string_equal(w.alpn, "http/1.1");
    hang_up(&a);
}

static void endpoints_may_want_a_certificate(void **state)
{
    (void)state;
    struct attempt a;
    serve_tls(CMG_TLS_PEER_VERIFIED, NULL);
    struct cmg_dial_target t = endpoint(listen_here());
    t.certificate = client_pem;
    t.key_file = client_key;
    works(&t, &a);
    hang_up(&a);

    t.key_file = cert_write_key("open.key", &client, 0644);
    failed(&t, CMG_DIAL_SETUP, false, "open.key has mode 0644");
    t.key_file = server_key;
    failed(&t, CMG_DIAL_SETUP, false, "127.0.0.1:");
}

/* A TLS 1.2 server says so in the handshake. */
static void an_endpoint_that_misses_a_certificate_is_told(void **state)
{
    (void)state;
    serve_tls(CMG_TLS_PEER_VERIFIED, NULL);
    SSL *probe = cmg_tls_session(w.server_tls, NULL);
    SSL_CTX_set_max_proto_version(SSL_get_SSL_CTX(probe), TLS1_2_VERSION);
    SSL_free(probe);
    struct cmg_dial_target t = endpoint(listen_here());
    failed(&t, CMG_DIAL_TLS, false, "it wants a client certificate");
}

/* A TLS 1.3 server says so later: the connection is up, and the first read fails. */
static void an_endpoint_may_refuse_when_we_think_it_is_up(void **state)
{
    (void)state;
    struct attempt a;
    serve_tls(CMG_TLS_PEER_VERIFIED, NULL);
    struct cmg_dial_target t = endpoint(listen_here());
    start(&a, &t);
    UNTIL(a.done);
    assert_non_null(a.stream);
    UNTIL(a.closed);
    assert_non_null(strstr(a.detail, "the peer wants a client certificate and got none"));
}

static void wrong_endpoints_are_told(void **state)
{
    (void)state;
    serve_tls(CMG_TLS_PEER_NOT_ASKED, NULL);
    struct cmg_dial_target t = endpoint(listen_here());
    t.ca_file = trust_other;
    failed(&t, CMG_DIAL_TLS, true, "issuer \"Root\" of \"gw\" is not in");
    t.ca_file = NULL; /* the system's */
    failed(&t, CMG_DIAL_TLS, true, "is not in /etc/ssl/certs/ca-certificates.crt");
    t.ca_file = "/nonexistent/ca.pem";
    failed(&t, CMG_DIAL_SETUP, false, "/nonexistent/ca.pem");
}

static void serve_as(const struct cert_spec *spec)
{
    struct cert c = cert_make(spec);
    const char *pem = cert_write("as.pem", CERTS(&c));
    const char *key = cert_write_key("as.key", &c, 0600);
    w.server_tls = tls(true, NULL, pem, key, CMG_TLS_PEER_NOT_ASKED, NULL);
    cert_free(&c);
}

static void an_endpoint_of_another_name_is_told(void **state)
{
    (void)state;
    serve_as(&(struct cert_spec){ .cn = "mp", .san = "DNS:mp.example,DNS:mp", .issuer = &root });
    struct cmg_dial_target t = endpoint(listen_here());
    failed(&t, CMG_DIAL_TLS, true, "is not for 127.0.0.1 (it names mp.example, mp)");
    t.host = "localhost";
    failed(&t, CMG_DIAL_TLS, true, "is not for localhost (it names mp.example, mp)");
}

static void an_expired_endpoint_is_told(void **state)
{
    (void)state;
    struct cert c = cert_make(&(struct cert_spec){
        .cn = "mp", .san = "IP:127.0.0.1", .from_days = -9, .to_days = -2, .issuer = &root });
    serve_tls(CMG_TLS_PEER_NOT_ASKED, NULL);
    SSL *probe = cmg_tls_session(w.server_tls, NULL);
    SSL_CTX_use_certificate(SSL_get_SSL_CTX(probe), c.x);
    SSL_CTX_use_PrivateKey(SSL_get_SSL_CTX(probe), c.key);
    SSL_free(probe);
    struct cmg_dial_target t = endpoint(listen_here());
    failed(&t, CMG_DIAL_TLS, true, "certificate of \"mp\" expired on 20");
    cert_free(&c);
}

static void a_silent_endpoint_is_told(void **state)
{
    (void)state;
    w.answer = "never";
    struct cmg_dial_target t = endpoint(listen_here());
    t.timeout_ms = 300;
    failed(&t, CMG_DIAL_TLS, false, "did not finish the TLS handshake within 300 ms");
}

/* ---- Upgrade ---- */

static struct cmg_dial_target upgrade(uint16_t port)
{
    struct cmg_dial_target t = target(port);
    t.upgrade = "ptth";
    t.upgrade_path = "/.well-known/ptth/origin/";
    t.upgrade_fields = "ALPN: h2\r\nAuthorization: Bearer x\r\n";
    return t;
}

static void an_upgrade_leaves_what_follows_it(void **state)
{
    (void)state;
    struct attempt a;
    char want[256];
    w.answer = "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
               "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: PTTH\r\n\r\n"
               "PRI";
    struct cmg_dial_target t = upgrade(listen_here());
    start(&a, &t);
    UNTIL(a.done && a.n == 3);
    assert_memory_equal(a.got, "PRI", 3);
    snprintf(want, sizeof(want),
             "GET /.well-known/ptth/origin/ HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
             "Connection: Upgrade\r\nUpgrade: ptth\r\n"
             "ALPN: h2\r\nAuthorization: Bearer x\r\n\r\n",
             t.port);
    assert_string_equal(w.request, want);
    say(&a, "more");
    UNTIL(a.n == 7);
    assert_memory_equal(a.got, "PRImore", 7);
    hang_up(&a);
}

static void an_upgrade_works_inside_tls(void **state)
{
    (void)state;
    static const char *const alpn[] = { "http/1.1", NULL };
    struct attempt a;
    w.answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ptth\r\n\r\n";
    serve_tls(CMG_TLS_PEER_VERIFIED, alpn);
    client_tls(trust_root, true, alpn);
    struct cmg_dial_target t = upgrade(listen_here());
    t.tls = w.client_tls;
    works(&t, &a);
    assert_string_equal(a.r.alpn, "http/1.1");
    hang_up(&a);
}

static void a_refused_upgrade_quotes_the_peer(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool refused, hang_up;
        const char *why;
    } cases[] = {
        { "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\n"
          "Content-Length: 44\r\n\r\n{\"title\":\"x\",\"detail\":\"cp1 is not admitted\"}",
          true, false, "refused the upgrade to ptth: 403 Forbidden (cp1 is not admitted)" },
        { "HTTP/1.1 401 Who Are You\r\nContent-Type: text/plain\r\n"
          "Transfer-Encoding: chunked\r\n\r\n9\r\nno token \r\n7\r\nin it\nx\r\n0\r\n\r\n",
          true, false, "401 Who Are You (no token in it)" },
        { "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false, false,
          "refused the upgrade to ptth: 404 Not Found" },
        { "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>hello", false, true,
          "refused the upgrade to ptth: 200 OK" },
        { "HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\ntry later",
          false, true, "503 Busy (try later)" },
        { "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false,
          false, "switched to \"websocket\" instead of ptth" },
        { "SSH-2.0-OpenSSH_9.2\r\n", false, false, "what is not HTTP/1.1" },
        { "", false, true, "closed the connection instead of answering" },
        { "HTTP/1.1 101 Switching", false, true, "closed the connection instead of answering" },
    };
    struct cmg_dial_target t = upgrade(listen_here());
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        w.answer = cases[i].answer;
        w.hang_up = cases[i].hang_up;
        failed(&t, CMG_DIAL_UPGRADE, cases[i].refused, cases[i].why);
    }
}

static void a_silent_upgrade_is_told(void **state)
{
    (void)state;
    w.answer = "HTTP/1.1 101 Swit";
    struct cmg_dial_target t = upgrade(listen_here());
    t.timeout_ms = 300;
    failed(&t, CMG_DIAL_UPGRADE, false, "did not answer the upgrade request within 300 ms");
    w.answer = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nno";
    failed(&t, CMG_DIAL_UPGRADE, true, "403 Forbidden (no)");
}

static void fields_that_cannot_be_written_are_told(void **state)
{
    (void)state;
    struct cmg_dial_target t = upgrade(listen_here());
    t.upgrade_path = "/a b";
    failed(&t, CMG_DIAL_SETUP, false, "cannot be written in HTTP/1.1");
}

/* ---- proxies ---- */

#define CHALLENGE                                                                             \
    "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n" \
    "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\nContent-Length: 0\r\n\r\n"
#define WELCOME "HTTP/1.1 200 Connection established\r\n\r\n"

static char proxy_url[64];

static struct cmg_proxy by(struct fake_proxy *p)
{
    fake_proxy_start(p);
    snprintf(proxy_url, sizeof(proxy_url), "%s://127.0.0.1:%u", p->pem ? "https" : "http", p->port);
    return (struct cmg_proxy){ .url = proxy_url, .ca_file = p->pem ? trust_root : NULL };
}

static void our_tls_passes_a_proxy(void **state)
{
    (void)state;
    struct attempt a;
    serve_tls(CMG_TLS_PEER_VERIFIED, NULL);
    client_tls(trust_root, true, NULL);
    struct fake_proxy p = { .script = (const char *[]){ WELCOME, NULL }, .target = listen_here() };
    struct cmg_proxy proxy = by(&p);
    struct cmg_dial_target t = target(10124);
    t.host = "localhost";
    t.proxy = &proxy;
    t.tls = w.client_tls;
    works(&t, &a);
    assert_non_null(cmg_stream_ssl(a.stream));
    hang_up(&a);
    fake_proxy_stop(&p);
    assert_non_null(strstr(p.last, "CONNECT localhost:10124 HTTP/1.1\r\n"));
    assert_null(strstr(p.last, "Authorization"));
}

static void our_tls_passes_a_proxy_with_tls(void **state)
{
    (void)state;
    struct attempt a;
    w.answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ptth\r\n\r\n";
    serve_tls(CMG_TLS_PEER_VERIFIED, NULL);
    client_tls(trust_root, true, NULL);
    struct fake_proxy p = { .script = (const char *[]){ WELCOME, NULL },
                            .target = listen_here(),
                            .pem = server_pem,
                            .key = server_key };
    struct cmg_proxy proxy = by(&p);
    struct cmg_dial_target t = upgrade(10124);
    t.host = "localhost";
    t.proxy = &proxy;
    t.tls = w.client_tls;
    works(&t, &a);
    hang_up(&a);

    proxy.ca_file = trust_other;
    failed(&t, CMG_DIAL_PROXY, true, "issuer \"Root\" of \"gw\" is not in");
    fake_proxy_stop(&p);
}

static void endpoints_pass_a_proxy(void **state)
{
    (void)state;
    struct attempt a;
    serve_tls(CMG_TLS_PEER_NOT_ASKED, NULL);
    struct fake_proxy p = { .script = (const char *[]){ WELCOME, NULL },
                            .target = listen_here(),
                            .pem = server_pem,
                            .key = server_key };
    struct cmg_proxy proxy = by(&p);
    struct cmg_dial_target t = endpoint(443);
    t.host = "localhost";
    t.proxy = &proxy;
    works(&t, &a);
    hang_up(&a);
    t.ca_file = trust_other; /* now it is the endpoint's certificate */
    failed(&t, CMG_DIAL_TLS, true, "localhost:443: certificate chain: ");
    fake_proxy_stop(&p);
}

static void a_proxy_is_asked_again_with_the_password_of_the_day(void **state)
{
    (void)state;
    struct attempt a;
    struct fake_proxy p = { .script =
                                (const char *[]){ CHALLENGE, WELCOME, CHALLENGE, WELCOME, NULL },
                            .target = listen_here() };
    struct cmg_proxy proxy = by(&p);
    proxy.user = "alice";
    proxy.auth = CMG_PROXY_AUTH_BASIC;
    proxy.password_file = cert_write_text("password", "one\n", 0600);
    struct cmg_dial_target t = target(10124);
    t.proxy = &proxy;
    p.script = (const char *[]){ WELCOME, WELCOME, NULL };
    works(&t, &a);
    hang_up(&a);
    cert_write_text("password", "two\n", 0600);
    works(&t, &a);
    hang_up(&a);
    fake_proxy_stop(&p);
    assert_non_null(strstr(p.last, "Proxy-Authorization: Basic YWxpY2U6dHdv\r\n")); /* alice:two */
}

static void the_strongest_scheme_is_chosen(void **state)
{
    (void)state;
    struct attempt a;
    struct fake_proxy p = { .script = (const char *[]){ CHALLENGE, WELCOME, NULL },
                            .target = listen_here() };
    struct cmg_proxy proxy = by(&p);
    proxy.user = "alice";
    proxy.password_file = cert_write_text("password", "one\n", 0600);
    struct cmg_dial_target t = target(10124);
    t.proxy = &proxy;
    works(&t, &a);
    hang_up(&a);
    fake_proxy_stop(&p);
    assert_int_equal(p.connects, 2);
    assert_non_null(strstr(p.last, "Proxy-Authorization: Digest username=\"alice\""));
}

static void what_a_proxy_says_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool refused;
        const char *why;
    } cases[] = {
        { CHALLENGE, true,
          "wants authentication (407; offers Basic, Digest): set proxy.user and "
          "proxy.password-file" },
        { "HTTP/1.1 407 Auth\r\nProxy-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n", true,
          "(407; offers Negotiate) and no Kerberos ticket was usable" },
        { "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", true,
          "refused CONNECT to gw.example:10124 with 403 (its policy does not allow that host or "
          "port)" },
        { "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n", false,
          "refused CONNECT to gw.example:10124 with 503 (it cannot resolve or reach that host)" },
        { "", false, "broke off during CONNECT to gw.example:10124" },
        { "-", false, "did not answer CONNECT to gw.example:10124 within 1 s" },
        { "nonsense\r\n\r\n", false, "gw.example:10124" },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct fake_proxy p = { .script = (const char *[]){ cases[i].answer, NULL } };
        struct cmg_proxy proxy = by(&p);
        struct cmg_dial_target t = target(10124);
        t.host = "gw.example";
        t.proxy = &proxy;
        t.timeout_ms = 1000;
        failed(&t, CMG_DIAL_PROXY, cases[i].refused, cases[i].why);
        fake_proxy_stop(&p);
    }
}

static void a_wrong_password_is_told(void **state)
{
    (void)state;
    struct fake_proxy p = { .script = (const char *[]){ CHALLENGE, NULL } };
    struct cmg_proxy proxy = by(&p);
    proxy.user = "alice";
    proxy.password_file = cert_write_text("password", "one\n", 0600);
    struct cmg_dial_target t = target(10124);
    t.proxy = &proxy;
    failed(&t, CMG_DIAL_PROXY, true, "refused user and password (407; offers Basic, Digest)");
    proxy.password_file = cert_write_text("password", "one\n", 0644);
    failed(&t, CMG_DIAL_SETUP, false, "password has mode 0644");
    fake_proxy_stop(&p);
}

static void a_proxy_that_is_not_there_is_told(void **state)
{
    (void)state;
    char url[64], why[64];
    struct cmg_proxy proxy = { .url = url };
    struct cmg_dial_target t = target(10124);
    uint16_t port = free_port();
    t.proxy = &proxy;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    snprintf(why, sizeof(why), "proxy 127.0.0.1:%u refused the connection", port);
    failed(&t, CMG_DIAL_PROXY, false, why);
    snprintf(url, sizeof(url), "http://no-such-proxy.invalid:3128");
    failed(&t, CMG_DIAL_RESOLVE, false, "cannot resolve proxy no-such-proxy.invalid:3128");
    snprintf(url, sizeof(url), "http://user:secret@:x");
    failed(&t, CMG_DIAL_SETUP, false, "proxy.url is not a URL");
}

static void no_proxy_goes_straight(void **state)
{
    (void)state;
    struct attempt a;
    struct cmg_proxy proxy = { .url = "http://127.0.0.1:1", .no_proxy = "example.com, localhost" };
    struct cmg_dial_target t = target(listen_here());
    t.host = "localhost";
    t.proxy = &proxy;
    works(&t, &a);
    hang_up(&a);
    proxy.no_proxy = "*";
    works(&t, &a);
    hang_up(&a);
    proxy.no_proxy = "example.com";
    failed(&t, CMG_DIAL_PROXY, false, "proxy 127.0.0.1:1 refused the connection");
}

/* ---- cancel ---- */

static void cancelled(struct attempt *a)
{
    cmg_dial_cancel(a->dial);
    a->dial = NULL;
    UNTIL(w.gone == w.accepted);
    assert_false(a->done);
}

static void cancel_at_once(void **state)
{
    (void)state;
    struct attempt a[MANY];
    struct cmg_dial_target t = target(listen_here());
    for (int i = 0; i < MANY; i++)
        start(&a[i], &t); /* two run or are about to, the rest is queued */
    for (int i = 0; i < MANY; i++)
        cmg_dial_cancel(a[i].dial);
    cmg_dial_cancel(NULL);
    cmg_dialer_free(w.dialer);
    w.dialer = cmg_dialer_new(w.loop, 1, 1);
    struct attempt last;
    works(&t, &last);
    hang_up(&last);
    for (int i = 0; i < MANY; i++)
        assert_false(a[i].done);
}

static void cancel_while_connecting(void **state)
{
    (void)state;
    struct attempt a;
    struct hole h = open_hole();
    struct cmg_dial_target t = target(h.port);
    start(&a, &t);
    cancelled(&a);
    close_hole(&h);
}

static void cancel_in_libcurls_handshake(void **state)
{
    (void)state;
    struct attempt a;
    w.answer = "never";
    struct cmg_dial_target t = endpoint(listen_here());
    start(&a, &t);
    UNTIL(w.accepted == 1);
    cancelled(&a);
}

static void cancel_in_our_handshake(void **state)
{
    (void)state;
    struct attempt a;
    w.answer = "never";
    client_tls(trust_root, false, NULL);
    struct cmg_dial_target t = target(listen_here());
    t.tls = w.client_tls;
    start(&a, &t);
    UNTIL(w.accepted == 1);
    cancelled(&a);
}

static void on_request(void *arg)
{
    struct attempt *a = arg;
    if (!w.request[0]) {
        cmg_loop_post(w.loop, on_request, a);
        return;
    }
    wake();
}

static void cancel_while_asking(void **state)
{
    (void)state;
    struct attempt a;
    w.answer = "HTTP/1.1 101 Swit";
    struct cmg_dial_target t = upgrade(listen_here());
    start(&a, &t);
    cmg_loop_post(w.loop, on_request, &a);
    UNTIL(w.request[0]);
    cancelled(&a);
}

/* ---- threads ---- */

static void a_dead_peer_does_not_take_all_threads(void **state)
{
    (void)state;
    struct attempt dead[MANY], a;
    struct hole h = open_hole();
    struct cmg_dial_target t = target(h.port);
    t.key = "dead";
    t.timeout_ms = TOO_LONG_MS;
    for (int i = 0; i < MANY; i++)
        start(&dead[i], &t);
    t = target(listen_here());
    t.key = "alive";
    works(&t, &a);
    hang_up(&a);
    for (int i = 0; i < MANY; i++) {
        assert_false(dead[i].done);
        cmg_dial_cancel(dead[i].dial);
    }
    close_hole(&h);
}

static void waiting_for_a_thread_is_told(void **state)
{
    (void)state;
    struct attempt dead[2];
    struct hole h = open_hole();
    struct cmg_dial_target t = target(h.port);
    for (int i = 0; i < 2; i++)
        start(&dead[i], &t);
    t.timeout_ms = 200;
    failed(&t, CMG_DIAL_SETUP, false, "waited 200 ms for a thread");
    for (int i = 0; i < 2; i++)
        cmg_dial_cancel(dead[i].dial);
    close_hole(&h);
}

static void freeing_the_dialer_ends_what_runs_and_what_waits(void **state)
{
    (void)state;
    struct attempt a[4];
    struct hole h = open_hole();
    struct cmg_dial_target t = target(h.port);
    t.timeout_ms = TOO_LONG_MS;
    for (int i = 0; i < 4; i++)
        start(&a[i], &t);
    cmg_dialer_free(w.dialer);
    w.dialer = NULL;
    UNTIL(a[0].done && a[1].done && a[2].done && a[3].done);
    for (int i = 0; i < 4; i++)
        assert_null(a[i].stream);
    close_hole(&h);
}

static void many_attempts_all_end_well(void **state)
{
    (void)state;
    enum { N = 60 };
    static struct attempt a[N];
    static const char *const alpn[] = { "rh2", "http/1.1", NULL };
    serve_tls(CMG_TLS_PEER_VERIFIED, alpn);
    client_tls(trust_root, true, alpn);
    uint16_t port = listen_here();
    for (int i = 0; i < N; i++) {
        struct cmg_dial_target t = i % 2 ? endpoint(port) : target(port);
        t.key = i % 3 ? "a" : "b";
        if (i % 2) {
            t.certificate = client_pem;
            t.key_file = client_key;
        } else {
            t.tls = w.client_tls;
        }
        start(&a[i], &t);
        if (i % 10 == 9) {
            cmg_dial_cancel(a[i].dial);
            a[i].done = true;
        }
    }
    for (int i = 0; i < N; i++) {
        UNTIL(a[i].done);
        if (i % 10 == 9)
            continue;
        if (!a[i].stream)
            fail_msg("%d: %s", i, a[i].r.err.text);
        say(&a[i], "hello");
        UNTIL(a[i].n == 5);
        hang_up(&a[i]);
    }
}

/* ---- the workers alone ---- */

struct errand {
    struct cmg_job job;
    unsigned *done;
};

static void run_errand(struct cmg_job *j)
{
    (void)j;
}

static void errand_done(struct cmg_job *j)
{
    ++*CMG_OUTER(j, struct errand, job)->done;
    wake();
}

static void look_again(void *arg)
{
    struct cmg_timer **t = arg;
    cmg_timer_set(*t, 5);
    wake();
}

static void idle_threads_end(void **state)
{
    (void)state;
    enum { N = 16 };
    struct cmg_workers *p = cmg_workers_new(w.loop, 4, 0, 20);
    struct errand e[N] = { 0 };
    unsigned done = 0;
    for (int round = 0; round < 2; round++) {
        memset(e, 0, sizeof(e));
        done = 0;
        for (int i = 0; i < N; i++) {
            e[i].job.key = "x";
            e[i].job.run = run_errand;
            e[i].job.done = errand_done;
            e[i].done = &done;
            cmg_workers_put(p, &e[i].job);
        }
        assert_true(cmg_workers_alive(p) >= 1 && cmg_workers_alive(p) <= 4);
        UNTIL(done == N);
        struct cmg_timer *t = NULL;
        t = cmg_timer_new(w.loop, look_again, &t);
        cmg_timer_set(t, 5);
        UNTIL(cmg_workers_alive(p) == 0);
        cmg_timer_free(t);
    }
    cmg_workers_free(p);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    make_certificates();
    const struct CMUnitTest tests[] = {
        WORLD(a_plain_connection_carries_bytes),
        WORLD(names_are_resolved),
        WORLD(our_tls_verifies_both_and_agrees),
        WORLD(the_environment_has_no_say),
        WORLD(a_closed_port_is_told),
        WORLD(a_filtered_port_is_told),
        WORLD(an_unknown_name_is_told),
        WORLD(a_host_that_is_no_host_is_told),
        WORLD(a_wrong_name_is_told),
        WORLD(an_unknown_ca_is_told),
        WORLD(a_server_without_tls_is_told),
        WORLD(silence_in_the_handshake_is_told),
        WORLD(a_refused_certificate_is_told),
        WORLD(endpoints_speak_http_1_1),
        WORLD(endpoints_may_want_a_certificate),
        WORLD(an_endpoint_that_misses_a_certificate_is_told),
        WORLD(an_endpoint_may_refuse_when_we_think_it_is_up),
        WORLD(wrong_endpoints_are_told),
        WORLD(an_endpoint_of_another_name_is_told),
        WORLD(an_expired_endpoint_is_told),
        WORLD(a_silent_endpoint_is_told),
        WORLD(an_upgrade_leaves_what_follows_it),
        WORLD(an_upgrade_works_inside_tls),
        WORLD(a_refused_upgrade_quotes_the_peer),
        WORLD(a_silent_upgrade_is_told),
        WORLD(fields_that_cannot_be_written_are_told),
        WORLD(our_tls_passes_a_proxy),
        WORLD(our_tls_passes_a_proxy_with_tls),
        WORLD(endpoints_pass_a_proxy),
        WORLD(a_proxy_is_asked_again_with_the_password_of_the_day),
        WORLD(the_strongest_scheme_is_chosen),
        WORLD(what_a_proxy_says_is_told),
        WORLD(a_wrong_password_is_told),
        WORLD(a_proxy_that_is_not_there_is_told),
        WORLD(no_proxy_goes_straight),
        WORLD(cancel_at_once),
        WORLD(cancel_while_connecting),
        WORLD(cancel_in_libcurls_handshake),
        WORLD(cancel_in_our_handshake),
        WORLD(cancel_while_asking),
        WORLD(a_dead_peer_does_not_take_all_threads),
        WORLD(waiting_for_a_thread_is_told),
        WORLD(freeing_the_dialer_ends_what_runs_and_what_waits),
        WORLD(many_attempts_all_end_well),
        WORLD(idle_threads_end),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    struct cert *all[] = { &root, &other, &server, &client };
    for (size_t i = 0; i < CMG_COUNT(all); i++)
        cert_free(all[i]);
    return failures;
}
