/* SPDX-License-Identifier: MIT */
/* A channel and its gateway, a real HTTP/2 client, at the two ends of a socketpair. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/channel/channel.h"
#include "cmg/channel/wire.h"
#include "cmg/http/h2conn.h"
#include "cmg/net/loop.h"
#include "cmg/net/stream.h"
#include "cmg/net/tls.h"
#include "cmg/proto/greeting.h"

enum { ASKS = 256, PATIENCE_MS = 5000 };

struct ask { /* a request of the gateway */
    struct cmg_exchange *x;
    unsigned status;
    char etag[64], type[64], cache[64], allow[64], body[8192];
    size_t n;
    bool ended, gone;
};

static struct {
    struct cmg_loop *loop;
    struct cmg_channel *channel;   /* NULL once closed */
    struct cmg_h2conn *gateway;    /* NULL once closed */
    struct cmg_stream *connecting; /* TLS under way */
    int silent_fd;                 /* instead of a gateway; or 0 */
    struct cmg_endpoint_set one, two;
    struct ask asks[ASKS];
    size_t nasks;

    /* What the channel's owner heard. */
    unsigned opened, draining, closed, asked, lost;
    struct cmg_err why;
    char target[128];
    struct cmg_exchange *open[ASKS]; /* requests not answered yet */
    bool answer_at_once;
} world;

/* The loop ----------------------------------------------------------------------------- */

static struct {
    struct cmg_timer *timer;
    bool (*done)(void);
    int64_t until_ms;
} watch;

static void on_tick(void *arg)
{
    (void)arg;
    if (watch.done() || cmg_loop_now_ms(world.loop) >= watch.until_ms)
        cmg_loop_stop(world.loop);
    else
        cmg_timer_set(watch.timer, 1);
}

/* Runs the loop until done() is true. False: it did not become true in time. */
static bool run_until(bool (*done)(void), int64_t patience_ms)
{
    watch.done = done;
    watch.until_ms = cmg_loop_now_ms(world.loop) + patience_ms;
    watch.timer = cmg_timer_new(world.loop, on_tick, NULL);
    cmg_timer_set(watch.timer, 0);
    cmg_loop_run(world.loop);
    cmg_timer_free(watch.timer);
    return done();
}

#define RUN_UNTIL(done) assert_true(run_until((done), PATIENCE_MS))

static bool never(void)
{
    return false;
}

static void run_for(int64_t ms)
{
    (void)run_until(never, ms);
}

static bool is_open(void)
{
    return world.opened;
}

static bool is_closed(void)
{
    return world.closed;
}

static bool all_gone(void)
{
    return !world.channel && !world.gateway;
}

static bool last_ended(void)
{
    const struct ask *a = &world.asks[world.nasks - 1];
    return a->ended || a->gone;
}

static bool owner_was_asked(void)
{
    return world.asked;
}

/* The gateway -------------------------------------------------------------------------- */

static void take(const struct cmg_head *head, const char *name, char *out, size_t size)
{
    const struct cmg_field *f = cmg_field_find(head->fields, head->nfields, cmg_str(name));
    snprintf(out, size, "%.*s", f ? (int)f->value.n : 0, f ? f->value.p : "");
}

static void on_ask_head(void *arg, const struct cmg_head *head)
{
    struct ask *a = arg;
    a->status = head->status;
    take(head, "etag", a->etag, sizeof(a->etag));
    take(head, "content-type", a->type, sizeof(a->type));
    take(head, "cache-control", a->cache, sizeof(a->cache));
    take(head, "allow", a->allow, sizeof(a->allow));
}

static void on_ask_body(void *arg, struct cmg_str bytes)
{
    struct ask *a = arg;
    assert_true(a->n + bytes.n < sizeof(a->body));
    memcpy(a->body + a->n, bytes.p, bytes.n);
    a->n += bytes.n;
}

static void on_ask_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    (void)trailers, (void)n;
    struct ask *a = arg;
    a->ended = true;
}

static void on_ask_room(void *arg)
{
    (void)arg;
}

static void on_ask_gone(void *arg, const struct cmg_fault *why)
{
    (void)why;
    struct ask *a = arg;
    a->gone = true;
}

static struct ask *ask_with(const char *method, const char *target, const struct cmg_field *fields,
                            size_t n)
{
    static const struct cmg_exchange_events events = {
        .on_head = on_ask_head,
        .on_body = on_ask_body,
        .on_end = on_ask_end,
        .on_room = on_ask_room,
        .on_gone = on_ask_gone,
    };
    assert_true(world.nasks < ASKS);
    struct ask *a = &world.asks[world.nasks++];
    const struct cmg_head head = {
        .method = cmg_str(method),
        .target = cmg_str(target),
        .scheme = CMG_STR("https"),
        .authority = CMG_STR("cp1"),
        .fields = fields,
        .nfields = n,
        .length = -1,
        .end = true,
    };
    a->x = cmg_h2conn_request(world.gateway);
    assert_non_null(a->x);
    cmg_exchange_listen(a->x, &events, a);
    assert_int_equal(CMG_OK, a->x->ops->head(a->x, &head));
    return a;
}

static struct ask *ask(const char *method, const char *target)
{
    return ask_with(method, target, NULL, 0);
}

static struct ask *ask_unless(const char *etag)
{
    const struct cmg_field field = { CMG_STR("if-none-match"), cmg_str(etag) };
    return ask_with("GET", CMG_GREETING_PATH, &field, 1);
}

static void on_gateway_exchange(void *arg, struct cmg_exchange *x, const struct cmg_head *head)
{
    (void)arg, (void)x, (void)head;
    fail_msg("a gateway is not asked");
}

static void on_gateway_closed(void *arg, const char *detail)
{
    (void)arg, (void)detail;
    world.gateway = NULL;
}

/* The channel's owner ------------------------------------------------------------------ */

static void on_open(void *arg)
{
    assert_ptr_equal(&world, arg);
    assert_int_equal(0, world.closed);
    world.opened++;
}

static void respond(struct cmg_exchange *x)
{
    const struct cmg_head head = { .status = 204, .length = -1, .end = true };
    assert_int_equal(CMG_OK, x->ops->head(x, &head));
}

static void on_lost(void *arg, const struct cmg_fault *why)
{
    (void)why;
    struct cmg_exchange **x = arg;
    *x = NULL;
    world.lost++;
}

static void ignore_body(void *arg, struct cmg_str bytes)
{
    (void)arg, (void)bytes;
}

static void ignore_end(void *arg, const struct cmg_field *trailers, size_t n)
{
    (void)arg, (void)trailers, (void)n;
}

static void on_exchange(void *arg, struct cmg_channel *c, struct cmg_exchange *x,
                        const struct cmg_head *head)
{
    static const struct cmg_exchange_events events = {
        .on_body = ignore_body,
        .on_end = ignore_end,
        .on_room = on_ask_room,
        .on_gone = on_lost,
    };
    assert_ptr_equal(&world, arg);
    assert_ptr_equal(world.channel, c);
    snprintf(world.target, sizeof(world.target), "%.*s", CMG_ARG(head->target));
    struct cmg_exchange **at = &world.open[world.asked++];
    if (world.answer_at_once) {
        respond(x);
        return;
    }
    *at = x;
    cmg_exchange_listen(x, &events, at);
}

static void on_draining(void *arg)
{
    (void)arg;
    world.draining++;
}

static void on_closed(void *arg, const struct cmg_err *why)
{
    (void)arg;
    world.closed++;
    world.why = *why;
    world.channel = NULL;
}

/* TLS ---------------------------------------------------------------------------------- */

static void start_channel(struct cmg_stream *taken, const char *alpn, int64_t greeting_ms);

/* As in life: the channel takes the stream over the moment that it is open. */
static void on_connected(void *arg)
{
    (void)arg;
    start_channel(world.connecting, CMG_WIRE_ALPN_RH2, PATIENCE_MS);
}

static size_t take_nothing(void *arg, struct cmg_str in)
{
    (void)arg, (void)in;
    return 0;
}

static void extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(e);
    assert_int_equal(1, X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

struct identity {
    char certificate[64], key[64];
};

/* A key and a certificate that signed itself. */
static void make_identity(struct identity *id, const char *dir, const char *name)
{
    snprintf(id->certificate, sizeof(id->certificate), "%s/%s.pem", dir, name);
    snprintf(id->key, sizeof(id->key), "%s/%s.key", dir, name);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *subject = X509_get_subject_name(x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, subject);
    X509_set_pubkey(x, key);
    extension(x, NID_subject_alt_name, "DNS:cmg.example");
    extension(x, NID_ext_key_usage, "serverAuth,clientAuth");
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);

    FILE *f = fopen(id->certificate, "w");
    assert_int_equal(1, PEM_write_X509(f, x));
    fclose(f);
    f = fopen(id->key, "w");
    assert_int_equal(0, fchmod(fileno(f), 0600));
    assert_int_equal(1, PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void remove_identity(const struct identity *id)
{
    unlink(id->certificate);
    unlink(id->key);
}

/* Both ends trust `gateway` and nobody else. */
static struct cmg_tls *context(bool server, const struct identity *own,
                               const struct identity *gateway)
{
    static const char *const alpn[] = { CMG_WIRE_ALPN_RH2, NULL };
    struct cmg_err err = { .text = "" };
    struct cmg_trust *trust = cmg_trust_load(gateway->certificate, &err);
    if (!trust)
        fail_msg("%s", err.text);
    const struct cmg_tls_conf conf = {
        .server = server,
        .certificate = own ? own->certificate : NULL,
        .key = own ? own->key : NULL,
        .trust = trust,
        .peer = CMG_TLS_PEER_VERIFIED,
        .alpn = alpn,
    };
    struct cmg_tls *tls = cmg_tls_new(&conf, &err);
    if (!tls)
        fail_msg("%s", err.text);
    cmg_trust_unref(trust);
    return tls;
}

/* Setting up --------------------------------------------------------------------------- */

static void endpoint(struct cmg_endpoint_set *set, const char *id)
{
    char path[] = "CCM_System", *paths[] = { path };
    struct cmg_err err;
    char *own = cmg_strdup(id);
    struct cmg_endpoint e = {
        .id = own,
        .role = CMG_ROLE_MANAGEMENT_POINT,
        .paths = paths,
        .npaths = 1,
        .max_request_bytes = 1000,
        .auth = CMG_AUTH_MUTUAL,
    };
    assert_int_equal(CMG_OK, cmg_endpoint_set_add(set, &e, &err));
    free(own);
}

static struct cmg_stream *stream(int fd)
{
    return cmg_stream_new(world.loop, fd, NULL, NULL, 0, NULL, NULL);
}

static void start_world(void)
{
    memset(&world, 0, sizeof(world));
    cmg_log_to(NULL, CMG_ERROR);
    world.loop = cmg_loop_new();
    endpoint(&world.one, "mp1");
    endpoint(&world.two, "mp1");
    endpoint(&world.two, "mp2");
}

static void start_channel(struct cmg_stream *taken, const char *alpn, int64_t greeting_ms)
{
    static const struct cmg_channel_events events = { on_open, on_exchange, on_draining,
                                                      on_closed };
    const struct cmg_channel_conf conf = {
        .name = "cp1",
        .site = "S01",
        .max_streams = 64,
        .stream_window = 65536,
        .memory_bytes = 1 << 20,
        .head_bytes = 65536,
        .greeting_ms = greeting_ms,
        .ping_ms = 20,
        .ping_deadline_ms = 5000,
    };
    world.channel = cmg_channel_new(world.loop, taken, alpn, &conf, &world.one, &events, &world);
}

static void pair(int fds[2])
{
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
}

static void start_with(const char *alpn, int64_t greeting_ms, bool gateway)
{
    static const struct cmg_h2conn_events gateway_events = { .on_exchange = on_gateway_exchange,
                                                             .on_closed = on_gateway_closed };
    static struct cmg_h2conn_conf gateway_conf;
    bool haproxy = strcmp(alpn, CMG_WIRE_ALPN_H2) == 0;
    int fds[2];
    start_world();
    pair(fds);
    start_channel(stream(fds[0]), alpn, greeting_ms);
    if (!gateway) {
        world.silent_fd = fds[1];
        return;
    }
    gateway_conf = (struct cmg_h2conn_conf){
        .role = CMG_H2_CLIENT,
        .preface = haproxy ? CMG_H2_PREFACE_SERVER : CMG_H2_PREFACE_CLIENT,
        .channel = true,
        .max_streams = 1000,
        .stream_window = 65536,
        .memory_bytes = 1 << 20,
        .head_bytes = 65536,
    };
    world.gateway =
        cmg_h2conn_new(world.loop, stream(fds[1]), &gateway_conf, &gateway_events, NULL);
}

static void start(void)
{
    start_with(CMG_WIRE_ALPN_RH2, PATIENCE_MS, true);
}

/* Started and greeted; the tag of the greeting. */
static const char *start_open(void)
{
    start();
    const struct ask *a = ask("GET", CMG_GREETING_PATH);
    RUN_UNTIL(last_ended);
    assert_int_equal(200, a->status);
    assert_int_equal(1, world.opened);
    return a->etag;
}

static void end(void)
{
    cmg_channel_abandon(world.channel);
    world.channel = NULL;
    if (world.gateway)
        cmg_h2conn_close(world.gateway);
    RUN_UNTIL(all_gone);
    run_for(5);
    cmg_loop_free(world.loop);
    if (world.silent_fd)
        close(world.silent_fd);
    cmg_endpoint_set_clear(&world.one);
    cmg_endpoint_set_clear(&world.two);
}

static bool publishes(const struct ask *a, size_t endpoints)
{
    struct cmg_greeting g;
    struct cmg_err err;
    assert_int_equal(CMG_OK, cmg_greeting_read((struct cmg_str){ a->body, a->n }, &g, &err));
    bool same = g.endpoints.n == endpoints;
    assert_string_equal("cp1", g.name);
    assert_string_equal("S01", g.site);
    assert_string_equal(CMG_VERSION, g.version);
    assert_string_equal(cmg_channel_info(world.channel)->connection_id, g.connection_id);
    cmg_greeting_clear(&g);
    return same;
}

/* Greeting ----------------------------------------------------------------------------- */

static void the_first_greeting_opens_the_channel(void **state)
{
    (void)state;
    start();
    const struct ask *a = ask("GET", CMG_GREETING_PATH);
    assert_int_equal(0, world.opened);
    RUN_UNTIL(last_ended);
    assert_int_equal(1, world.opened);
    assert_int_equal(200, a->status);
    assert_string_equal("application/json", a->type);
    assert_string_equal("no-store", a->cache);
    char etag[40];
    cmg_greeting_etag(&world.one, etag);
    assert_string_equal(etag, a->etag);
    assert_true(publishes(a, 1));
    assert_int_equal(36, strlen(cmg_channel_info(world.channel)->connection_id));
    assert_int_equal(0, world.asked);
    end();
}

static void what_the_gateway_announces_is_kept(void **state)
{
    (void)state;
    start();
    const struct cmg_field fields[] = {
        { CMG_STR(CMG_WIRE_GATEWAY_NAME), CMG_STR("cmg.example") },
        { CMG_STR(CMG_WIRE_GATEWAY_VERSION), CMG_STR("1.2.3") },
        { CMG_STR(CMG_WIRE_GATEWAY_INSTANCE), CMG_STR("2") },
        { CMG_STR(CMG_WIRE_GATEWAY_INSTANCES), CMG_STR("99999999999") },
    };
    const struct cmg_channel_info *i = cmg_channel_info(world.channel);
    assert_string_equal("", i->gateway);
    assert_int_equal(0, i->instances);
    ask_with("GET", CMG_GREETING_PATH, fields, CMG_COUNT(fields));
    RUN_UNTIL(is_open);
    assert_string_equal("cmg.example", i->gateway);
    assert_string_equal("1.2.3", i->gateway_version);
    assert_int_equal(2, i->instance);
    assert_int_equal(9999, i->instances); /* no number of ours, and no overflow */
    assert_false(i->foreign);
    end();
}

static void numbers_that_are_none_count_as_not_announced(void **state)
{
    (void)state;
    start();
    const struct cmg_field fields[] = {
        { CMG_STR(CMG_WIRE_GATEWAY_INSTANCE), CMG_STR("-1") },
        { CMG_STR(CMG_WIRE_GATEWAY_INSTANCES), CMG_STR("two") },
    };
    ask_with("GET", CMG_GREETING_PATH, fields, CMG_COUNT(fields));
    RUN_UNTIL(is_open);
    assert_int_equal(0, cmg_channel_info(world.channel)->instance);
    assert_int_equal(0, cmg_channel_info(world.channel)->instances);
    end();
}

static void a_known_greeting_is_held_until_the_set_is_another(void **state)
{
    (void)state;
    const char *etag = start_open();
    const struct ask *a = ask_unless(etag);
    run_for(30);
    assert_int_equal(0, a->status);
    cmg_channel_publish(world.channel, &world.one); /* the same: nothing to say */
    run_for(30);
    assert_int_equal(0, a->status);

    cmg_channel_publish(world.channel, &world.two);
    RUN_UNTIL(last_ended);
    assert_int_equal(200, a->status);
    assert_string_not_equal(etag, a->etag);
    assert_true(publishes(a, 2));
    assert_int_equal(1, world.opened);
    end();
}

static void a_change_before_the_question_is_answered_at_once(void **state)
{
    (void)state;
    const char *etag = start_open();
    cmg_channel_publish(world.channel, &world.two);
    const struct ask *a = ask_unless(etag);
    RUN_UNTIL(last_ended);
    assert_int_equal(200, a->status);
    assert_true(publishes(a, 2));
    end();
}

static void a_second_question_releases_the_first(void **state)
{
    (void)state;
    const char *etag = start_open();
    const struct ask *first = ask_unless(etag);
    run_for(30);
    const struct ask *second = ask_unless(etag);
    run_for(30);
    assert_int_equal(304, first->status);
    assert_string_equal(etag, first->etag);
    assert_true(first->ended);
    assert_int_equal(0, second->status);
    end();
}

static void a_question_that_was_given_up_is_forgotten(void **state)
{
    (void)state;
    struct ask *a = ask_unless(start_open());
    run_for(30);
    a->x->ops->abort(a->x);
    run_for(30);
    cmg_channel_publish(world.channel, &world.two);
    a = ask("GET", CMG_GREETING_PATH);
    RUN_UNTIL(last_ended);
    assert_true(publishes(a, 2));
    end();
}

static void only_get_asks_for_the_greeting(void **state)
{
    (void)state;
    start();
    const struct ask *a = ask("POST", CMG_GREETING_PATH);
    RUN_UNTIL(last_ended);
    assert_int_equal(405, a->status);
    assert_string_equal("GET", a->allow);
    assert_int_equal(0, world.opened);
    end();
}

static void a_conditional_first_greeting_opens_too(void **state)
{
    (void)state;
    start();
    char etag[40];
    cmg_greeting_etag(&world.one, etag);
    const struct ask *a = ask_unless(etag);
    RUN_UNTIL(is_open);
    assert_int_equal(0, a->status);
    end();
}

static void a_gateway_that_never_asks_is_cut(void **state)
{
    (void)state;
    start_with(CMG_WIRE_ALPN_RH2, 50, true);
    RUN_UNTIL(is_closed);
    assert_int_equal(CMG_ETIMEOUT, world.why.code);
    assert_string_equal("the gateway did not ask for the greeting within 50 ms", world.why.text);
    assert_int_equal(0, world.opened);
    end();
}

static void an_open_channel_is_not_cut_by_the_greetings_deadline(void **state)
{
    (void)state;
    start_with(CMG_WIRE_ALPN_HTTP1, 100, true); /* upgraded: as rh2 */
    ask("GET", CMG_GREETING_PATH);
    RUN_UNTIL(is_open);
    run_for(200);
    assert_int_equal(0, world.closed);
    end();
}

/* Requests ----------------------------------------------------------------------------- */

static void every_other_request_is_the_owners(void **state)
{
    (void)state;
    start_open();
    world.answer_at_once = true;
    static const char *const targets[] = { "/CCM_Proxy_MutualAuth/mp1/x?y",
                                           CMG_GREETING_PATH "/more", CMG_GREETING_PATH "?x" };
    for (unsigned i = 0; i < CMG_COUNT(targets); i++) {
        const struct ask *a = ask("CCM_POST", targets[i]);
        RUN_UNTIL(last_ended);
        assert_int_equal(204, a->status);
        assert_string_equal(targets[i], world.target);
        assert_int_equal(i + 1, world.asked);
    }
    end();
}

static void a_ping_tells_the_round_trip(void **state)
{
    (void)state;
    start_open();
    assert_int_equal(-1, cmg_channel_info(world.channel)->rtt_us);
    run_for(200);
    assert_true(cmg_channel_info(world.channel)->rtt_us > 0);
    end();
}

/* HAProxy ------------------------------------------------------------------------------ */

static void a_haproxy_opens_the_channel_by_its_settings(void **state)
{
    (void)state;
    start_with(CMG_WIRE_ALPN_H2, PATIENCE_MS, true);
    RUN_UNTIL(is_open);
    assert_true(cmg_channel_info(world.channel)->foreign);
    end();
}

static void a_haproxys_clients_cannot_ask_for_the_greeting(void **state)
{
    (void)state;
    start_with(CMG_WIRE_ALPN_H2, PATIENCE_MS, true);
    world.answer_at_once = true;
    RUN_UNTIL(is_open);
    const struct ask *a = ask("GET", CMG_GREETING_PATH);
    RUN_UNTIL(last_ended);
    assert_int_equal(204, a->status);
    assert_string_equal(CMG_GREETING_PATH, world.target);
    end();
}

static void a_haproxy_may_open_more_requests_than_were_configured(void **state)
{
    (void)state;
    for (int haproxy = 0; haproxy <= 1; haproxy++) {
        start_with(haproxy ? CMG_WIRE_ALPN_H2 : CMG_WIRE_ALPN_RH2, PATIENCE_MS, true);
        if (!haproxy)
            ask("GET", CMG_GREETING_PATH);
        RUN_UNTIL(is_open);
        for (int i = 0; i < 200; i++)
            ask("GET", "/x");
        run_for(100);
        assert_int_equal(haproxy ? 200 : 64, world.asked);
        end();
    }
}

static void a_haproxy_that_is_silent_is_cut(void **state)
{
    (void)state;
    start_with(CMG_WIRE_ALPN_H2, 50, false);
    RUN_UNTIL(is_closed);
    assert_int_equal(CMG_ETIMEOUT, world.why.code);
    assert_string_equal("the gateway sent no HTTP/2 SETTINGS within 50 ms", world.why.text);
    end();
}

/* Ends --------------------------------------------------------------------------------- */

static void draining_lets_requests_finish(void **state)
{
    (void)state;
    const char *etag = start_open();
    const struct ask *held = ask_unless(etag);
    struct ask *a = ask("GET", "/x");
    RUN_UNTIL(owner_was_asked);
    cmg_channel_drain(world.channel, PATIENCE_MS);
    cmg_channel_drain(world.channel, 0); /* twice does nothing */
    run_for(100);
    assert_int_equal(304, held->status);
    assert_int_equal(0, world.closed);
    assert_null(cmg_h2conn_request(world.gateway)); /* it knows */

    respond(world.open[0]);
    RUN_UNTIL(is_closed);
    assert_int_equal(204, a->status);
    assert_true(a->ended);
    assert_int_equal(0, world.lost);
    assert_int_equal(CMG_OK, world.why.code);
    end();
}

static void draining_ends_when_the_grace_is_up(void **state)
{
    (void)state;
    start_open();
    const struct ask *a = ask("GET", "/x");
    RUN_UNTIL(owner_was_asked);
    cmg_channel_drain(world.channel, 50);
    RUN_UNTIL(is_closed);
    assert_int_equal(1, world.lost);
    assert_int_equal(CMG_OK, world.why.code);
    RUN_UNTIL(all_gone);
    assert_true(a->gone);
    end();
}

static void a_greeting_asked_while_draining_is_not_held(void **state)
{
    (void)state;
    const char *etag = start_open();
    struct ask *x = ask("GET", "/x");
    RUN_UNTIL(owner_was_asked);
    cmg_channel_drain(world.channel, PATIENCE_MS);
    const struct ask *a = ask_unless(etag); /* before the GOAWAY is there */
    run_for(100);
    assert_true(a->gone || a->status == 304);
    respond(world.open[0]);
    RUN_UNTIL(is_closed);
    assert_true(x->ended);
    end();
}

static void draining_a_channel_that_never_opened_closes_it(void **state)
{
    (void)state;
    start();
    run_for(20);
    cmg_channel_drain(world.channel, 1000);
    RUN_UNTIL(is_closed);
    assert_int_equal(CMG_OK, world.why.code);
    assert_int_equal(0, world.opened);
    end();
}

static void a_refusal_by_the_gateway_is_told_apart(void **state)
{
    (void)state;
    start();
    cmg_h2conn_refuse(world.gateway, CMG_WIRE_NOT_ADMITTED "CN=cp1 is unknown here");
    RUN_UNTIL(is_closed);
    assert_int_equal(CMG_EDENIED, world.why.code);
    assert_non_null(strstr(world.why.text, "not admitted: CN=cp1 is unknown here"));
    end();
}

static void an_open_channel_can_be_refused_too(void **state)
{
    (void)state;
    start_open();
    cmg_h2conn_refuse(world.gateway, CMG_WIRE_NOT_ADMITTED "struck off");
    RUN_UNTIL(is_closed);
    assert_int_equal(CMG_EDENIED, world.why.code);
    end();
}

static void a_gateway_that_gives_up_on_us_is_no_refusal(void **state)
{
    (void)state;
    start();
    cmg_h2conn_refuse(world.gateway, "no greeting in time");
    RUN_UNTIL(is_closed);
    assert_int_equal(CMG_EIO, world.why.code);
    assert_non_null(strstr(world.why.text, "no greeting in time"));
    end();
}

/* What the gateway's TLS does with a certificate that it does not trust, or with none. */
static void an_alert_after_our_handshake_is_a_refusal(void **state)
{
    (void)state;
    static const struct cmg_stream_events client_events = { .on_open = on_connected,
                                                            .on_data = take_nothing };
    static const struct cmg_stream_events server_events = { .on_data = take_nothing };
    for (int i = 0; i < 2; i++) {
        char dir[] = "/tmp/test_channel.XXXXXX";
        assert_non_null(mkdtemp(dir));
        struct identity gateway, own;
        make_identity(&gateway, dir, "gateway");
        make_identity(&own, dir, "own");
        struct cmg_tls *server = context(true, &gateway, &gateway);
        struct cmg_tls *client = context(false, i ? &own : NULL, &gateway);
        int fds[2];
        start_world();
        pair(fds);
        (void)cmg_stream_new(world.loop, fds[1], server, NULL, PATIENCE_MS, &server_events, NULL);
        world.connecting = cmg_stream_new(world.loop, fds[0], client, "cmg.example", PATIENCE_MS,
                                          &client_events, NULL);
        RUN_UNTIL(is_closed);
        if (world.why.code != CMG_EDENIED)
            fail_msg("%d: %s", world.why.code, world.why.text);
        end();
        cmg_tls_unref(server);
        cmg_tls_unref(client);
        remove_identity(&gateway);
        remove_identity(&own);
        rmdir(dir);
    }
}

static void a_gateway_that_vanishes_is_an_error(void **state)
{
    (void)state;
    start_open();
    cmg_h2conn_close(world.gateway);
    RUN_UNTIL(is_closed);
    assert_int_equal(CMG_EIO, world.why.code);
    assert_true(strlen(world.why.text) > 0);
    end();
}

static void a_gateway_that_drains_is_told(void **state)
{
    (void)state;
    start_open();
    cmg_h2conn_drain(world.gateway, PATIENCE_MS);
    RUN_UNTIL(is_closed);
    assert_int_equal(1, world.draining);
    end();
}

static void closing_cuts_and_is_told(void **state)
{
    (void)state;
    start_open();
    ask("GET", "/x");
    RUN_UNTIL(owner_was_asked);
    cmg_channel_close(world.channel);
    assert_int_equal(0, world.closed); /* never from inside */
    RUN_UNTIL(is_closed);
    assert_int_equal(CMG_OK, world.why.code);
    assert_int_equal(1, world.lost);
    end();
}

static void an_abandoned_channel_says_nothing_more_but_to_exchanges(void **state)
{
    (void)state;
    const char *etag = start_open();
    ask_unless(etag);
    ask("GET", "/x");
    RUN_UNTIL(owner_was_asked);
    cmg_channel_abandon(world.channel);
    world.channel = NULL;
    RUN_UNTIL(all_gone);
    run_for(20);
    assert_int_equal(0, world.closed);
    assert_int_equal(1, world.lost);
    cmg_channel_abandon(NULL);
    end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the daemons do: a peer may go while it is written to */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_greeting_opens_the_channel),
        cmocka_unit_test(what_the_gateway_announces_is_kept),
        cmocka_unit_test(numbers_that_are_none_count_as_not_announced),
        cmocka_unit_test(a_known_greeting_is_held_until_the_set_is_another),
        cmocka_unit_test(a_change_before_the_question_is_answered_at_once),
        cmocka_unit_test(a_second_question_releases_the_first),
        cmocka_unit_test(a_question_that_was_given_up_is_forgotten),
        cmocka_unit_test(only_get_asks_for_the_greeting),
        cmocka_unit_test(a_conditional_first_greeting_opens_too),
        cmocka_unit_test(a_gateway_that_never_asks_is_cut),
        cmocka_unit_test(an_open_channel_is_not_cut_by_the_greetings_deadline),
        cmocka_unit_test(every_other_request_is_the_owners),
        cmocka_unit_test(a_ping_tells_the_round_trip),
        cmocka_unit_test(a_haproxy_opens_the_channel_by_its_settings),
        cmocka_unit_test(a_haproxys_clients_cannot_ask_for_the_greeting),
        cmocka_unit_test(a_haproxy_may_open_more_requests_than_were_configured),
        cmocka_unit_test(a_haproxy_that_is_silent_is_cut),
        cmocka_unit_test(draining_lets_requests_finish),
        cmocka_unit_test(draining_ends_when_the_grace_is_up),
        cmocka_unit_test(a_greeting_asked_while_draining_is_not_held),
        cmocka_unit_test(draining_a_channel_that_never_opened_closes_it),
        cmocka_unit_test(a_refusal_by_the_gateway_is_told_apart),
        cmocka_unit_test(an_open_channel_can_be_refused_too),
        cmocka_unit_test(a_gateway_that_gives_up_on_us_is_no_refusal),
        cmocka_unit_test(an_alert_after_our_handshake_is_a_refusal),
        cmocka_unit_test(a_gateway_that_vanishes_is_an_error),
        cmocka_unit_test(a_gateway_that_drains_is_told),
        cmocka_unit_test(closing_cuts_and_is_told),
        cmocka_unit_test(an_abandoned_channel_says_nothing_more_but_to_exchanges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
