/* SPDX-License-Identifier: MIT */
/* The administrator's door over a real unix socket and a real port, with raw peers before it. */
#include "h1_world.h"

#include <arpa/inet.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "cmg/daemon/admin.h"

enum { ASKS_MAX = 80 };

static struct {
    struct world w;
    char folder[64], path[96], listen[32];
    uint16_t port;
    struct cmg_admin *a;
    struct cmg_admin_ask *asks[ASKS_MAX]; /* for later */
    unsigned nasks;
    char peer[96], value[8];
    bool there;
} t;

/* The routes ------------------------------------------------------------------------------- */

static void on_now(void *arg, struct cmg_admin_ask *ask)
{
    assert_ptr_equal(arg, &t);
    snprintf(t.peer, sizeof(t.peer), "%s", cmg_admin_peer(ask));
    t.there = cmg_admin_parameter(ask, "v", t.value, sizeof(t.value));
    cmg_admin_json(ask, 200, json_pack("{s:s}", "now", "yes"));
}

static void on_later(void *arg, struct cmg_admin_ask *ask)
{
    (void)arg;
    t.asks[t.nasks++] = ask;
}

static void on_text(void *arg, struct cmg_admin_ask *ask)
{
    (void)arg;
    cmg_admin_text(ask, 200, "text/plain", CMG_STR("some_total 1\n"));
}

static void on_post(void *arg, struct cmg_admin_ask *ask)
{
    (void)arg;
    cmg_admin_json(ask, 202, json_true());
}

static const char *const only_v[] = { "v", NULL };
static const struct cmg_admin_route routes[] = {
    { "GET", "/now", false, on_now, only_v },   { "GET", "/later", true, on_later, NULL },
    { "GET", "/text", false, on_text, NULL },   { "POST", "/text", true, on_post, NULL },
    { "POST", "/change", true, on_post, NULL }, { 0 },
};
static const struct cmg_admin_route more[] = {
    { "GET", "/more", false, on_text, NULL },
    { 0 },
};

/* The world -------------------------------------------------------------------------------- */

static uint16_t some_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(fd, (struct sockaddr *)&at, n));
    assert_int_equal(0, getsockname(fd, (struct sockaddr *)&at, &n));
    close(fd);
    return ntohs(at.sin_port);
}

static struct cmg_admin *open_door(struct cmg_err *err)
{
    const struct cmg_admin_conf conf = { t.path, t.listen };
    return cmg_admin_new(t.w.loop, &conf, routes, &t, err);
}

static int set_up(void **state)
{
    (void)state;
    struct cmg_err err = { 0 };
    memset(&t, 0, sizeof(t));
    snprintf(t.folder, sizeof(t.folder), "/tmp/cmg-admin-XXXXXX");
    assert_non_null(mkdtemp(t.folder));
    snprintf(t.path, sizeof(t.path), "%s/a.sock", t.folder);
    t.port = some_port();
    snprintf(t.listen, sizeof(t.listen), "127.0.0.1:%u", t.port);
    world_init(&t.w);
    t.a = open_door(&err);
    if (!t.a)
        fail_msg("%s", err.text);
    cmg_admin_add(t.a, more, &t);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cmg_admin_free(t.a);
    world_clear(&t.w);
    assert_int_not_equal(0, access(t.path, F_OK)); /* the file went with the door */
    assert_int_equal(0, rmdir(t.folder));
    return 0;
}

static void peer_on(struct peer *p, int fd)
{
    assert_true(fd >= 0);
    assert_int_equal(0, fcntl(fd, F_SETFL, O_NONBLOCK));
    *p = (struct peer){ .loop = t.w.loop, .fd = fd, .reads = true, .keeps = true };
    cmg_buf_init(&p->got, 64 * MIB);
    cmg_buf_init(&p->say, 64 * MIB);
    p->watch = cmg_watch_new(t.w.loop, fd, peer_ready, p);
    peer_want(p);
}

static void local(struct peer *p)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", t.path);
    assert_int_equal(0, connect(fd, (struct sockaddr *)&at, sizeof(at)));
    peer_on(p, fd);
}

static void remote(struct peer *p)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(t.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, connect(fd, (struct sockaddr *)&at, sizeof(at)));
    peer_on(p, fd);
}

static void ask(struct peer *p, const char *line, const char *host)
{
    char text[9000];
    snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: %s\r\n\r\n", line, host);
    peer_says(p, text);
}

/* One request on a connection of its own: what is in its answer. */
static void expect(bool over_tcp, const char *request, const char *host, const char *want)
{
    struct peer p;
    if (over_tcp)
        remote(&p);
    else
        local(&p);
    ask(&p, request, host);
    until_peer_got(&t.w, &p, want);
    peer_clear(&p);
}

static bool has_asks(void *arg)
{
    return t.nasks >= *(unsigned *)arg;
}

static void until_asks(unsigned n)
{
    until(&t.w, has_asks, &n);
}

/* Who, what, how --------------------------------------------------------------------------- */

static void routes_are_found_and_others_refused(void **state)
{
    (void)state;
    static const struct {
        const char *request, *want;
    } cases[] = {
        { "GET /now", "{\"now\":\"yes\"}\n" },
        { "GET /more", "some_total 1\n" },
        { "GET /text", "Content-Type: text/plain\r\n" },
        { "HEAD /text", "Content-Length: 13\r\n\r\n" },
        { "POST /change", "HTTP/1.1 202 Accepted\r\n" },
        { "GET /nothing", "\r\nContent-Type: application/problem+json\r\n" },
        { "GET /now/", "404 Not Found\r\n" },
        { "GET /%6eow", "404 Not Found\r\n" },
        { "OPTIONS *", "404 Not Found\r\n" },
        { "GET /change", "405 Method Not Allowed\r\n" },
        { "GET /change", "\r\nAllow: POST\r\n" },
        { "PUT /text", "\r\nAllow: GET, HEAD, POST\r\n" },
        { "POST /now", "\r\nAllow: GET, HEAD\r\n" },
        { "GET /now?w=1", "400 Bad Request\r\n" },
        { "GET /now?v=1&", "200 OK\r\n" },
        { "GET", "\r\nContent-Type: application/problem+json\r\n" },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++)
        expect(false, cases[i].request, "x", cases[i].want);
}

static void the_port_reads_and_knows_its_name(void **state)
{
    (void)state;
    expect(true, "GET /now", "127.0.0.1:9101", "200 OK\r\n");
    assert_int_equal(0, strncmp(t.peer, "tcp 127.0.0.1:", 14));
    expect(true, "GET /now", "[::1]", "200 OK\r\n");
    expect(true, "GET /now", "LOCALHOST:1", "200 OK\r\n");
    expect(true, "GET /now", "rebound.example", "403 Forbidden\r\n");
    expect(true, "GET /now", "localhost.example", "403 Forbidden\r\n");
    expect(true, "GET /now", "127.0.0.1.example:80", "403 Forbidden\r\n");
    expect(true, "POST /change", "127.0.0.1", "403 Forbidden\r\n");
    expect(true, "GET /later", "127.0.0.1", "403 Forbidden\r\n");
    assert_int_equal(0, t.nasks);
    struct peer p;
    remote(&p);
    peer_says(&p, "GET /now HTTP/1.0\r\n\r\n"); /* no Host at all */
    until_peer_got(&t.w, &p, "403 Forbidden");
    peer_clear(&p);
}

static void the_socket_says_who_asks(void **state)
{
    (void)state;
    char me[64];
    struct stat st;
    expect(false, "GET /now", "x", "200 OK\r\n");
    snprintf(me, sizeof(me), "uid %u pid %d", getuid(), (int)getpid());
    assert_string_equal(me, t.peer);
    assert_int_equal(0, stat(t.path, &st));
    assert_int_equal(0660, st.st_mode & 07777);
}

static void parameters_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *query, *want; /* NULL: not there */
    } cases[] = {
        { "", NULL },          { "?", NULL },       { "?v", "" },
        { "?v=", "" },         { "?v=abc", "abc" }, { "?v=a%20b%2B+", "a b++" },
        { "?v=1&v=2", "1" },   { "?v=%", "" },      { "?v=%4", "" },
        { "?v=%zz", "" },      { "?v=a%00b", "" },  { "?v=1234567", "1234567" },
        { "?v=12345678", "" }, { "?v==&", "=" },    { "?&&v=x", "x" },
    };
    char request[64];
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        snprintf(request, sizeof(request), "GET /now%s", cases[i].query);
        expect(false, request, "x", "200 OK\r\n");
        if (t.there != (cases[i].want != NULL) || (t.there && strcmp(t.value, cases[i].want) != 0))
            fail_msg("%s: got %s%s", request, t.there ? "" : "nothing", t.there ? t.value : "");
    }
}

/* Ceilings ---------------------------------------------------------------------------------- */

static void too_much_is_refused(void **state)
{
    (void)state;
    static char request[9000];
    struct peer p;
    local(&p);
    peer_says(&p, "POST /change HTTP/1.1\r\nHost: x\r\nContent-Length: 4097\r\n\r\n");
    until_peer_got(&t.w, &p, "413 Content Too Large\r\n");
    peer_clear(&p);

    local(&p);
    peer_says(&p, "POST /change HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1001\r\n");
    memset(request, 'x', 4097);
    peer_says_bytes(&p, (struct cmg_str){ request, 4097 });
    until_peer_got(&t.w, &p, "413 Content Too Large\r\n");
    peer_clear(&p);

    memset(request, 'x', sizeof(request));
    local(&p);
    peer_says_bytes(&p, (struct cmg_str){ request, sizeof(request) });
    until(&t.w, peer_saw_end, &p);
    peer_clear(&p);
}

static void the_next_one_waits_until_somebody_leaves(void **state)
{
    (void)state;
    static struct peer crowd[CMG_ADMIN_CLIENTS], last;
    for (unsigned i = 0; i < CMG_ADMIN_CLIENTS; i++) {
        local(&crowd[i]);
        ask(&crowd[i], "GET /now", "x");
        until_peer_got(&t.w, &crowd[i], "200 OK");
    }
    local(&last);
    ask(&last, "GET /now", "x");
    settle(&t.w);
    assert_false(peer_got(&last, "HTTP"));
    expect(true, "GET /now", "127.0.0.1", "200 OK"); /* the other door has its own */
    peer_clear(&crowd[0]);
    until_peer_got(&t.w, &last, "200 OK");
    peer_clear(&last);
    for (unsigned i = 1; i < CMG_ADMIN_CLIENTS; i++)
        peer_clear(&crowd[i]);
}

static bool asker_is_gone(void *arg)
{
    return !cmg_admin_alive(arg);
}

/* One who asks and leaves, again and again, leaves work behind: no more than so much. */
static void asks_without_clients_are_counted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CMG_ADMIN_ASKS; i++) {
        struct peer p;
        local(&p);
        ask(&p, "GET /later", "x");
        until_asks(i + 1);
        peer_clear(&p);
        cmg_admin_stream(t.asks[i], "text/plain"); /* which is how it gets known */
        until(&t.w, asker_is_gone, t.asks[i]);
    }
    expect(false, "GET /now", "x", "503 Service Unavailable");
    cmg_admin_end(t.asks[0]);
    expect(false, "GET /now", "x", "200 OK");
    for (unsigned i = 1; i < CMG_ADMIN_ASKS; i++)
        cmg_admin_end(t.asks[i]);
}

/* Later, and in parts ----------------------------------------------------------------------- */

static void an_answer_may_come_later(void **state)
{
    (void)state;
    struct peer p;
    local(&p);
    ask(&p, "GET /later", "x");
    until_asks(1);
    settle(&t.w);
    assert_false(peer_got(&p, "HTTP"));
    cmg_admin_json(t.asks[0], 200, json_pack("[i]", 7));
    until_peer_got(&t.w, &p, "[7]\n");
    ask(&p, "GET /now", "x"); /* and the connection goes on */
    until_peer_got(&t.w, &p, "now");
    peer_clear(&p);
}

static void lines_come_as_they_are_made(void **state)
{
    (void)state;
    struct peer p;
    local(&p);
    ask(&p, "GET /later", "x");
    until_asks(1);
    cmg_admin_stream(t.asks[0], "application/x-ndjson");
    assert_true(cmg_admin_line(t.asks[0], json_pack("{s:i}", "step", 1)));
    until_peer_got(&t.w, &p, "{\"step\":1}\n");
    assert_false(peer_got(&p, "\r\n0\r\n\r\n"));
    assert_true(cmg_admin_line(t.asks[0], json_pack("{s:i}", "step", 2)));
    cmg_admin_end(t.asks[0]);
    until_peer_got(&t.w, &p, "{\"step\":2}\n\r\n0\r\n\r\n");
    peer_clear(&p);

    local(&p);
    ask(&p, "HEAD /later", "x");
    until_asks(2);
    cmg_admin_stream(t.asks[1], "application/x-ndjson");
    assert_false(cmg_admin_line(t.asks[1], json_true()));
    cmg_admin_end(t.asks[1]);
    until_peer_got(&t.w, &p, "x-ndjson\r\n");
    assert_false(peer_got(&p, "true"));
    peer_clear(&p);
}

static void an_owner_learns_that_nobody_reads(void **state)
{
    (void)state;
    struct peer p;
    local(&p);
    ask(&p, "GET /later", "x");
    until_asks(1);
    cmg_admin_stream(t.asks[0], "application/x-ndjson");
    assert_true(cmg_admin_alive(t.asks[0]));
    peer_clear(&p);
    assert_true(cmg_admin_line(t.asks[0], json_true()));
    until(&t.w, asker_is_gone, t.asks[0]);
    assert_false(cmg_admin_line(t.asks[0], json_true()));
    cmg_admin_end(t.asks[0]);

    char big[4096];
    unsigned lines = 0;
    memset(big, 'x', sizeof(big));
    local(&p);
    ask(&p, "GET /later", "x");
    until_asks(2);
    p.reads = false;
    peer_want(&p);
    cmg_admin_stream(t.asks[1], "application/x-ndjson");
    while (cmg_admin_line(t.asks[1], json_stringn(big, sizeof(big))))
        assert_in_range(++lines, 1, 1000);
    assert_true(lines * sizeof(big) >= CMG_STREAM_HIGH / 2);
    cmg_admin_end(t.asks[1]);
    peer_clear(&p);
}

static void asks_outlive_the_door(void **state)
{
    (void)state;
    struct cmg_err err = { 0 };
    struct peer p, q;
    local(&p);
    local(&q);
    ask(&p, "GET /later", "x");
    until_asks(1);
    ask(&q, "GET /later", "x");
    until_asks(2);
    cmg_admin_stream(t.asks[1], "application/x-ndjson");
    cmg_admin_free(t.a);
    t.a = NULL;
    until(&t.w, peer_saw_end, &p);
    until(&t.w, peer_saw_end, &q);
    cmg_admin_json(t.asks[0], 200, json_true());
    assert_false(cmg_admin_line(t.asks[1], json_true()));
    cmg_admin_end(t.asks[1]);
    peer_clear(&p);
    peer_clear(&q);
    t.a = open_door(&err);
    assert_non_null(t.a);
}

/* The file ---------------------------------------------------------------------------------- */

static void refused(const char *socket, const char *listen, const char *why)
{
    char s[128], l[64];
    struct cmg_err err = { 0 };
    snprintf(s, sizeof(s), "%s", socket);
    snprintf(l, sizeof(l), "%s", listen);
    const struct cmg_admin_conf conf = { s, l };
    assert_null(cmg_admin_new(t.w.loop, &conf, routes, &t, &err));
    assert_int_equal(CMG_ECONF, err.code);
    if (!strstr(err.text, why))
        fail_msg("got \"%s\", want \"%s\"", err.text, why);
}

static void what_is_in_the_way(void **state)
{
    (void)state;
    char other[128];
    struct stat st;
    refused(t.path, "", "another process answers on it");
    assert_int_equal(0, stat(t.path, &st));
    snprintf(other, sizeof(other), "%s/missing/a.sock", t.folder);
    refused(other, "", "its folder is not there");
    refused(t.folder, "", "something else of that name");
    refused("", t.listen, "another program");
    refused("none", "192.0.2.1:1", "not a loopback address");
    refused("none", "0.0.0.0:9101", "not a loopback address");
    refused("none", "127.0.0.1:0", "not a loopback address");
    refused("none", "localhost:9101", "not a loopback address");
}

static void a_dead_ones_socket_is_replaced(void **state)
{
    (void)state;
    char path[112];
    struct cmg_err err = { 0 };
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(path, sizeof(path), "%s/dead.sock", t.folder);
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(fd, (struct sockaddr *)&at, sizeof(at)));
    assert_int_equal(0, listen(fd, 1));
    close(fd); /* its file stays */
    const struct cmg_admin_conf conf = { path, NULL };
    struct cmg_admin *a = cmg_admin_new(t.w.loop, &conf, routes, &t, &err);
    if (!a)
        fail_msg("%s", err.text);

    /* Whoever takes the place meanwhile keeps it. */
    assert_int_equal(0, unlink(path));
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    cmg_admin_free(a);
    assert_int_equal(0, unlink(path));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(routes_are_found_and_others_refused),
        TEST(the_port_reads_and_knows_its_name),
        TEST(the_socket_says_who_asks),
        TEST(parameters_are_decoded),
        TEST(too_much_is_refused),
        TEST(the_next_one_waits_until_somebody_leaves),
        TEST(asks_without_clients_are_counted),
        TEST(an_answer_may_come_later),
        TEST(lines_come_as_they_are_made),
        TEST(an_owner_learns_that_nobody_reads),
        TEST(asks_outlive_the_door),
        TEST(what_is_in_the_way),
        TEST(a_dead_ones_socket_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
