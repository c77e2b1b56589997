/* SPDX-License-Identifier: MIT */
#include "h1_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>

/* A client on one end of a socket pair, a raw endpoint on the other. */
struct line {
    struct world w;
    struct peer p;
    struct cmg_h1conn *c;
    struct cmg_h1conn_conf conf;
    struct heard h;
    unsigned idle;
    bool closed;
};

static void on_idle(void *arg)
{
    struct line *l = arg;
    l->idle++;
    assert_true(cmg_h1conn_is_idle(l->c));
}

static void on_line_closed(void *arg, const char *detail)
{
    struct line *l = arg;
    (void)detail;
    assert_false(l->closed);
    l->closed = true;
    l->c = NULL;
}

static const struct cmg_h1client_events client_events = { on_idle, on_line_closed };

static struct line *line_open(void)
{
    struct line *l = cmg_alloc(sizeof(*l));
    world_init(&l->w);
    l->conf = (struct cmg_h1conn_conf){
        .limits = { .head_bytes = 8192, .target_bytes = 1024, .trailer_bytes = 1024 },
        .idle_ms = 5000,
        .stall_ms = 5000,
    };
    return l;
}

static void line_start(struct line *l)
{
    int fd = peer_init(&l->p, l->w.loop);
    struct cmg_stream *stream = cmg_stream_new(l->w.loop, fd, NULL, NULL, 0, NULL, NULL);
    l->c = cmg_h1conn_client(l->w.loop, stream, &l->conf, &client_events, l);
}

static struct line *line_new(void)
{
    struct line *l = line_open();
    line_start(l);
    return l;
}

static void line_free(struct line *l)
{
    if (l->c)
        cmg_h1conn_close(l->c);
    until(&l->w, flag_is_set, &l->closed);
    peer_clear(&l->p);
    heard_clear(&l->h);
    world_clear(&l->w);
    free(l);
}

static bool is_over(void *arg)
{
    struct line *l = arg;
    return l->h.ended || l->h.gone;
}

static bool is_idle_again(void *arg)
{
    return ((struct line *)arg)->idle > 0;
}

static bool has_heads(void *arg)
{
    return ((struct heard *)arg)->heads > 0;
}

/* Starts a request. */
static struct cmg_exchange *begin(struct line *l, const char *method, int64_t length, bool end)
{
    heard_clear(&l->h);
    l->idle = 0;
    struct cmg_exchange *x = cmg_h1conn_request(l->c);
    heard_init(&l->h, x);
    struct cmg_head head = request_head(method, "/path?q=1", length, end);
    assert_int_equal(CMG_OK, x->ops->head(x, &head));
    return x;
}

/* A request without a body, and the raw answer to it. */
static void ask(struct line *l, const char *method, const char *answer)
{
    peer_forgets(&l->p);
    begin(l, method, -1, true);
    until_peer_got(&l->w, &l->p, "\r\n\r\n");
    peer_says(&l->p, answer);
}

static void assert_body(struct line *l, const char *body)
{
    struct cmg_str got = cmg_buf_str(&l->h.body);
    assert_int_equal(strlen(body), got.n);
    if (got.n)
        assert_memory_equal(body, got.p, got.n);
}

static void assert_gone(struct line *l, const char *text)
{
    until(&l->w, is_over, l);
    assert_true(l->h.gone);
    if (!strstr(l->h.fault.text, text))
        fail_msg("wanted \"%s\" in \"%s\"", text, l->h.fault.text);
    until(&l->w, flag_is_set, &l->closed);
    assert_int_equal(0, l->idle);
}

/* ---- */

static void a_connection_carries_one_exchange_after_another(void **state)
{
    (void)state;
    struct line *l = line_new();
    for (int i = 0; i < 3; i++) {
        ask(l, "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello");
        until(&l->w, is_idle_again, l);
        assert_true(l->h.ended);
        assert_int_equal(5, l->h.length);
        assert_body(l, "hello");
        assert_true(peer_got(&l->p, "GET /path?q=1 HTTP/1.1\r\nHost: mp.site\r\n"));
        assert_false(peer_got(&l->p, "Content-Length"));
        assert_false(peer_got(&l->p, "Transfer-Encoding"));
    }
    line_free(l);
}

static void bodies_go_out_as_declared(void **state)
{
    (void)state;
    struct line *l = line_new();
    struct cmg_exchange *x = begin(l, "CCM_POST", 6, false);
    assert_true(x->ops->body(x, CMG_STR("abc")));
    assert_true(x->ops->body(x, CMG_STR("def")));
    x->ops->end(x, NULL, 0);
    until_peer_got(&l->w, &l->p, "Content-Length: 6\r\n\r\nabcdef");
    peer_says(&l->p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    until(&l->w, is_idle_again, l);
    assert_true(l->h.head_end);

    struct cmg_field trailer = { CMG_STR("X-Sum"), CMG_STR("7") };
    x = begin(l, "POST", -1, false);
    assert_true(x->ops->body(x, CMG_STR("abc")));
    x->ops->end(x, &trailer, 1);
    until_peer_got(&l->w, &l->p,
                   "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n");
    peer_says(&l->p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "2\r\nab\r\n1;x=y\r\nc\r\n0\r\nX-Out: 9\r\n\r\n");
    until(&l->w, is_idle_again, l);
    assert_body(l, "abc");
    assert_string_equal("X-Out: 9", l->h.trailer);

    x = begin(l, "POST", 0, true);
    until_peer_got(&l->w, &l->p, "Content-Length: 0\r\n\r\n");
    peer_says(&l->p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    until(&l->w, is_idle_again, l);
    line_free(l);
}

static void answers_without_a_body_end_at_their_head(void **state)
{
    (void)state;
    static const struct {
        const char *method, *answer;
        int64_t length;
    } cases[] = {
        { "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 5 },
        { "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", -1 },
        { "GET", "HTTP/1.1 204 No Content\r\n\r\n", -1 },
        { "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 5 },
        { "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0 },
    };
    struct line *l = line_new();
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        ask(l, cases[i].method, cases[i].answer);
        until(&l->w, is_idle_again, l);
        assert_true(l->h.ended && l->h.head_end);
        assert_int_equal(cases[i].length, l->h.length);
    }
    line_free(l);
}

static void interim_heads_come_before_the_final_one(void **state)
{
    (void)state;
    struct line *l = line_new();
    struct cmg_exchange *x = begin(l, "POST", 2, false);
    until_peer_got(&l->w, &l->p, "\r\n\r\n");
    peer_says(&l->p, "HTTP/1.1 100 Continue\r\n\r\n");
    until(&l->w, has_heads, &l->h);
    assert_true(x->ops->body(x, CMG_STR("ok")));
    x->ops->end(x, NULL, 0);
    until_peer_got(&l->w, &l->p, "\r\n\r\nok");
    peer_says(&l->p,
              "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    until(&l->w, is_idle_again, l);
    assert_int_equal(3, l->h.heads);
    assert_int_equal(100, l->h.statuses[0]);
    assert_int_equal(103, l->h.statuses[1]);
    assert_int_equal(200, l->h.statuses[2]);
    line_free(l);
}

static void interim_heads_without_end_are_a_fault(void **state)
{
    (void)state;
    struct line *l = line_new();
    begin(l, "GET", -1, true);
    until_peer_got(&l->w, &l->p, "\r\n\r\n");
    for (int i = 0; i < 100; i++)
        peer_says(&l->p, "HTTP/1.1 102 Processing\r\n\r\n");
    assert_gone(l, "interim answers");
    assert_true(l->h.fault.malformed);
    line_free(l);
}

/* ---- what is not an answer */

static const struct {
    const char *says, *answer;
} malformed[] = {
    { "two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab" },
    { "the same twice", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na" },
    { "length and coding",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { "other coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" },
    { "HTTP/0.9", "<html>hello</html>" },
    { "another protocol", "SSH-2.0-OpenSSH_9.2\r\n" },
    { "101", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" },
    { "bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n" },
    { "obs-fold", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n" },
    { "blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n" },
    { "bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" },
    { "chunk longer than it says",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n" },
};

static void malformed_answers_are_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(malformed); i++) {
        struct line *l = line_new();
        ask(l, "GET", malformed[i].answer);
        until(&l->w, is_over, l);
        if (!l->h.gone || !l->h.fault.malformed || l->h.fault.unprocessed)
            fail_msg("%s: %s", malformed[i].says, l->h.fault.text);
        until(&l->w, flag_is_set, &l->closed);
        line_free(l);
    }
}

static void a_head_that_never_ends_is_a_fault(void **state)
{
    (void)state;
    struct line *l = line_new();
    struct cmg_str much = run_of('a', 100000);
    ask(l, "GET", "HTTP/1.1 200 OK\r\nX: ");
    peer_says_bytes(&l->p, much);
    assert_gone(l, "malformed");
    assert_int_equal(CMG_ETOOBIG, l->h.fault.code);
    free_run(much);
    line_free(l);
}

static void bytes_behind_an_answer_end_the_connection(void **state)
{
    (void)state;
    struct line *l = line_new();
    ask(l, "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n");
    until(&l->w, flag_is_set, &l->closed);
    assert_true(l->h.ended);
    assert_body(l, "ok");
    assert_int_equal(0, l->idle);
    line_free(l);
}

static void bytes_at_rest_end_the_connection(void **state)
{
    (void)state;
    struct line *l = line_new();
    peer_says(&l->p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    until(&l->w, flag_is_set, &l->closed);
    line_free(l);
}

/* The classic: the endpoint times out at rest, says so, and closes, just when we ask. */
static void an_answer_from_before_the_request_does_not_count(void **state)
{
    (void)state;
    struct line *l = line_new();
    peer_says(&l->p, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    peer_ready(&l->p, false, true); /* it is in the socket before the loop turns */
    heard_init(&l->h, cmg_h1conn_request(l->c));
    assert_gone(l, "nobody had asked");
    assert_true(l->h.fault.unprocessed);
    assert_int_equal(0, l->h.heads);
    line_free(l);
}

/* ---- answers that break off */

static const struct {
    const char *answer, *text;
} cut[] = {
    { "", "before it answered" },
    { "HTTP/1.1 200 O", "within the head" },
    { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "after 3 of 10 bytes" },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "after 3 bytes" },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "after 3 bytes" },
};

static void answers_cut_short_are_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cut); i++) {
        struct line *l = line_new();
        ask(l, "GET", cut[i].answer);
        peer_ends(&l->p);
        assert_gone(l, cut[i].text);
        assert_int_equal(CMG_EIO, l->h.fault.code);
        assert_false(l->h.fault.unprocessed);
        assert_false(l->h.fault.malformed);
        line_free(l);
    }
}

static void an_answer_may_last_until_the_connection_ends(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\n\r\nto the end",
        "HTTP/1.0 200 OK\r\n\r\nto the end",
    };
    for (int i = 0; i < 2; i++) {
        struct line *l = line_new();
        ask(l, "GET", answers[i]);
        l->h.wanted_bytes = 10;
        until(&l->w, heard_has_bytes, &l->h);
        assert_false(l->h.ended);
        peer_ends(&l->p);
        until(&l->w, heard_has_ended, &l->h);
        assert_body(l, "to the end");
        until(&l->w, flag_is_set, &l->closed);
        assert_int_equal(0, l->idle);
        line_free(l);
    }
}

static void pause_once(struct heard *h)
{
    h->each = NULL;
    h->x->ops->pause(h->x, true);
}

/* Nothing is lost when the endpoint has closed long before we read on. */
static void a_paused_answer_survives_the_end_of_its_connection(void **state)
{
    (void)state;
    struct line *l = line_new();
    peer_forgets(&l->p);
    begin(l, "GET", -1, true);
    l->h.each = pause_once;
    until_peer_got(&l->w, &l->p, "\r\n\r\n");
    peer_says(&l->p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    peer_ends(&l->p);
    settle(&l->w);
    assert_int_equal(1, l->h.bytes);
    assert_false(l->h.gone || l->h.ended);
    l->h.x->ops->pause(l->h.x, false);
    until(&l->w, heard_has_ended, &l->h);
    assert_body(l, "ab");
    line_free(l);
}

static void connection_close_is_honoured(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    };
    for (int i = 0; i < 2; i++) {
        struct line *l = line_new();
        ask(l, "GET", answers[i]);
        until(&l->w, flag_is_set, &l->closed);
        assert_true(l->h.ended);
        assert_body(l, "ok");
        assert_int_equal(0, l->idle);
        line_free(l);
    }
}

/* ---- answers that overtake their request */

static void tcp_pair(int fds[2])
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(a);
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(door, (struct sockaddr *)&a, sizeof(a)));
    assert_int_equal(0, listen(door, 1));
    assert_int_equal(0, getsockname(door, (struct sockaddr *)&a, &size));
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, connect(fds[0], (struct sockaddr *)&a, sizeof(a)));
    fds[1] = accept(door, NULL, NULL);
    close(door);
    assert_int_equal(0, fcntl(fds[0], F_SETFL, O_NONBLOCK));
}

static void an_early_refusal_is_delivered_and_the_rest_swallowed(void **state)
{
    (void)state;
    struct line *l = line_new();
    struct cmg_exchange *x = begin(l, "POST", 8 * MIB, false);
    until_peer_got(&l->w, &l->p, "\r\n\r\n");
    peer_says(&l->p, "HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\n\r\nno");
    until(&l->w, has_heads, &l->h);
    uint64_t sent = cmg_stream_sent(cmg_h1conn_stream(l->c));
    struct cmg_str big = run_of('u', 2 * MIB);
    assert_true(x->ops->body(x, big));
    settle(&l->w);
    assert_int_equal(sent, cmg_stream_sent(cmg_h1conn_stream(l->c)));
    peer_says(&l->p, " way");
    until(&l->w, heard_has_ended, &l->h);
    assert_body(l, "no way");
    until(&l->w, flag_is_set, &l->closed);
    assert_int_equal(0, l->idle);
    free_run(big);
    line_free(l);
}

/* An endpoint may answer as it reads. */
static void an_early_success_does_not_stop_the_request(void **state)
{
    (void)state;
    struct line *l = line_new();
    struct cmg_exchange *x = begin(l, "POST", 6, false);
    until_peer_got(&l->w, &l->p, "\r\n\r\n");
    peer_says(&l->p, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    until(&l->w, has_heads, &l->h);
    assert_true(x->ops->body(x, CMG_STR("123456")));
    x->ops->end(x, NULL, 0);
    until_peer_got(&l->w, &l->p, "123456");
    peer_says(&l->p, "def");
    until(&l->w, flag_is_set, &l->closed);
    assert_body(l, "abcdef");
    line_free(l);
}

/* What an impatient endpoint does over TCP: refuses, closes with our bytes unread, and so
 * resets the connection while we are still writing. */
static void refuse_and_reset(int fd)
{
    static const char refusal[] = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
    assert_int_equal(sizeof(refusal) - 1, send(fd, refusal, sizeof(refusal) - 1, MSG_NOSIGNAL));
    close(fd);
}

static void a_refusal_before_a_reset_is_heard(void **state)
{
    (void)state;
    struct cmg_str big = run_of('u', MIB);
    for (int write_first = 0; write_first <= 1; write_first++) {
        struct line *l = line_open();
        int fds[2];
        tcp_pair(fds);
        l->p.fd = -1;
        l->c = cmg_h1conn_client(l->w.loop,
                                 cmg_stream_new(l->w.loop, fds[0], NULL, NULL, 0, NULL, NULL),
                                 &l->conf, &client_events, l);
        struct cmg_exchange *x = begin(l, "POST", 8 * MIB, false);
        if (!write_first)
            assert_false(x->ops->body(x, big)); /* more than the kernel takes */
        settle(&l->w);
        refuse_and_reset(fds[1]);
        if (write_first) /* and find out by writing that the connection is gone */
            assert_false(x->ops->body(x, big));
        until(&l->w, is_over, l);
        if (l->h.gone)
            fail_msg("not heard: %s", l->h.fault.text);
        assert_int_equal(413, l->h.statuses[0]);
        assert_body(l, "no");
        line_free(l);
    }
    free_run(big);
}

/* Without a length only an orderly end tells a whole answer from half of one. */
static void an_answer_until_the_end_is_cut_by_a_reset(void **state)
{
    (void)state;
    static const char half[] = "HTTP/1.1 200 OK\r\n\r\nhalf of";
    const struct linger hard = { .l_onoff = 1 };
    struct line *l = line_open();
    int fds[2];
    tcp_pair(fds);
    l->p.fd = -1;
    l->c =
        cmg_h1conn_client(l->w.loop, cmg_stream_new(l->w.loop, fds[0], NULL, NULL, 0, NULL, NULL),
                          &l->conf, &client_events, l);
    begin(l, "GET", -1, true);
    settle(&l->w);
    assert_int_equal(sizeof(half) - 1, send(fds[1], half, sizeof(half) - 1, MSG_NOSIGNAL));
    l->h.wanted_bytes = 7;
    until(&l->w, heard_has_bytes, &l->h);
    assert_int_equal(0, setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)));
    close(fds[1]);
    assert_gone(l, "reset");
    assert_int_equal(CMG_EIO, l->h.fault.code);
    assert_false(l->h.fault.unprocessed);
    line_free(l);
}

/* ---- unprocessed: not one byte of the request has left us */

static void a_kept_connection_that_closes_leaves_silently(void **state)
{
    (void)state;
    struct line *l = line_new();
    ask(l, "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    until(&l->w, is_idle_again, l);
    peer_ends(&l->p);
    until(&l->w, flag_is_set, &l->closed);
    assert_false(l->h.gone);
    line_free(l);
}

static void what_was_never_written_is_unprocessed(void **state)
{
    (void)state;
    struct line *l = line_new();
    ask(l, "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    until(&l->w, is_idle_again, l);
    peer_clear(&l->p); /* closed, and we have not looked yet */
    begin(l, "POST", 3, false);
    until(&l->w, is_over, l);
    assert_true(l->h.gone);
    assert_true(l->h.fault.unprocessed);
    until(&l->w, flag_is_set, &l->closed);
    line_free(l);
}

static void what_was_written_is_not_unprocessed(void **state)
{
    (void)state;
    struct line *l = line_new();
    begin(l, "POST", 3, false);
    until_peer_got(&l->w, &l->p, "\r\n\r\n");
    peer_clear(&l->p);
    assert_gone(l, "");
    assert_false(l->h.fault.unprocessed);
    line_free(l);
}

static void a_request_on_a_closing_connection_is_unprocessed(void **state)
{
    (void)state;
    struct line *l = line_new();
    cmg_h1conn_close(l->c);
    assert_false(cmg_h1conn_is_idle(l->c));
    struct cmg_exchange *x = begin(l, "POST", 3, false);
    assert_true(x->ops->body(x, CMG_STR("abc")));
    x->ops->end(x, NULL, 0);
    assert_gone(l, "closed");
    assert_true(l->h.fault.unprocessed);
    line_free(l);
}

/* ---- our own side of the bargain */

static void a_request_that_cannot_be_written_leaves_the_connection_as_it_was(void **state)
{
    (void)state;
    struct line *l = line_new();
    struct cmg_exchange *x = cmg_h1conn_request(l->c);
    heard_init(&l->h, x);
    struct cmg_head head = request_head("GET", "/a b", -1, true);
    assert_int_equal(CMG_EPROTO, x->ops->head(x, &head));
    head = request_head("GET", "/", 5, true);
    assert_int_equal(CMG_EPROTO, x->ops->head(x, &head));
    head = request_head("GET", "/", -1, true);
    assert_int_equal(CMG_OK, x->ops->head(x, &head));
    assert_int_equal(CMG_EPROTO, x->ops->head(x, &head)); /* one is enough */
    until_peer_got(&l->w, &l->p, "\r\n\r\n");
    assert_int_equal(1, peer_count(&l->p, "HTTP/1.1"));
    x->ops->abort(x);
    until(&l->w, flag_is_set, &l->closed);
    assert_false(l->h.gone);
    line_free(l);
}

static void a_request_body_that_is_not_as_declared_cuts(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct line *l = line_new();
        struct cmg_exchange *x = begin(l, "POST", 5, false);
        if (i == 0)
            assert_true(x->ops->body(x, CMG_STR("123456")));
        else
            x->ops->end(x, NULL, 0);
        assert_false(l->h.gone);
        assert_gone(l, i == 0 ? "longer" : "shorter");
        assert_true(l->h.fault.unprocessed);
        line_free(l);
    }
}

/* ---- time */

static void a_silent_endpoint_times_out(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "",
        "HTTP/1.1 200 O",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    };
    for (size_t i = 0; i < CMG_COUNT(answers); i++) {
        struct line *l = line_open();
        l->conf.stall_ms = 60;
        line_start(l);
        int64_t start = cmg_clock_ms();
        ask(l, "GET", answers[i]);
        assert_gone(l, "silent for 60 ms");
        assert_int_equal(CMG_ETIMEOUT, l->h.fault.code);
        assert_in_range(cmg_clock_ms() - start, 55, 3000);
        line_free(l);
    }
}

static void time_does_not_run_while_we_are_the_slow_ones(void **state)
{
    (void)state;
    struct line *l = line_open();
    l->conf.stall_ms = 60;
    line_start(l);
    struct cmg_exchange *x = begin(l, "POST", 3, false);
    world_run(&l->w, NULL, NULL, 200); /* the request is still being produced */
    assert_false(l->h.gone);
    assert_true(x->ops->body(x, CMG_STR("abc")));
    x->ops->end(x, NULL, 0);
    until_peer_got(&l->w, &l->p, "abc");
    l->h.each = pause_once;
    peer_says(&l->p, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    l->h.wanted_bytes = 2;
    until(&l->w, heard_has_bytes, &l->h);
    world_run(&l->w, NULL, NULL, 200); /* the answer is paused */
    assert_false(l->h.gone);
    x->ops->pause(x, false);
    assert_gone(l, "silent for 60 ms");
    line_free(l);
}

static void an_endpoint_that_takes_nothing_times_out(void **state)
{
    (void)state;
    struct line *l = line_open();
    l->conf.stall_ms = 60;
    line_start(l);
    l->p.reads = false;
    peer_want(&l->p);
    struct cmg_exchange *x = begin(l, "POST", 8 * MIB, false);
    struct cmg_str big = run_of('u', MIB);
    assert_false(x->ops->body(x, big));
    assert_gone(l, "took nothing");
    assert_int_equal(CMG_ETIMEOUT, l->h.fault.code);
    free_run(big);
    line_free(l);
}

static void a_connection_at_rest_is_closed_in_the_end(void **state)
{
    (void)state;
    struct line *l = line_open();
    l->conf.idle_ms = 40;
    line_start(l);
    until(&l->w, flag_is_set, &l->closed);
    line_free(l);
}

static void drain_closes_behind_the_current_exchange(void **state)
{
    (void)state;
    struct line *l = line_new();
    begin(l, "GET", -1, true);
    cmg_h1conn_drain(l->c);
    until_peer_got(&l->w, &l->p, "\r\n\r\n");
    peer_says(&l->p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    until(&l->w, flag_is_set, &l->closed);
    assert_true(l->h.ended);
    assert_int_equal(0, l->idle);
    line_free(l);
}

/* ---- back-pressure */

static void an_upload_is_held_back_by_the_endpoint(void **state)
{
    (void)state;
    struct line *l = line_new();
    struct cmg_str piece = run_of('u', 16384);
    size_t left = 8 * MIB;
    l->p.reads = false;
    peer_want(&l->p);
    struct cmg_exchange *x = begin(l, "POST", 8 * MIB, false);
    unsigned stops = 0;
    while (left) {
        l->h.rooms = 0;
        for (bool more = true; left && more; left -= piece.n)
            more = x->ops->body(x, piece);
        assert_in_range(cmg_stream_out(cmg_h1conn_stream(l->c))->n, 1, CMG_STREAM_HIGH + 17000);
        if (!left)
            break;
        settle(&l->w);
        if (!l->h.rooms && ++stops) { /* the kernel takes no more either */
            assert_in_range(left, 0, 8 * MIB - CMG_STREAM_HIGH);
            l->p.reads = true;
            peer_want(&l->p);
        }
        until(&l->w, heard_has_room, &l->h);
    }
    x->ops->end(x, NULL, 0);
    until_peer_took(&l->w, &l->p, 8 * MIB);
    assert_in_range(stops, 1, 100);
    peer_says(&l->p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    until(&l->w, is_idle_again, l);
    free_run(piece);
    line_free(l);
}

static void a_download_is_held_back_by_pause(void **state)
{
    (void)state;
    struct line *l = line_new();
    struct cmg_str big = run_of('d', 8 * MIB);
    ask(l, "GET", "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
    peer_says_bytes(&l->p, big);
    l->h.wanted_bytes = 1;
    until(&l->w, heard_has_bytes, &l->h);
    l->h.x->ops->pause(l->h.x, true);
    uint64_t at = l->h.bytes;
    settle(&l->w);
    assert_int_equal(at, l->h.bytes);
    assert_in_range(cmg_stream_received(cmg_h1conn_stream(l->c)) - at, 0, 2 * CMG_LOOP_SCRATCH);
    l->h.x->ops->pause(l->h.x, false);
    until(&l->w, is_idle_again, l);
    assert_int_equal(8 * MIB, l->h.bytes);
    free_run(big);
    line_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_carries_one_exchange_after_another),
        cmocka_unit_test(bodies_go_out_as_declared),
        cmocka_unit_test(answers_without_a_body_end_at_their_head),
        cmocka_unit_test(interim_heads_come_before_the_final_one),
        cmocka_unit_test(interim_heads_without_end_are_a_fault),
        cmocka_unit_test(malformed_answers_are_faults),
        cmocka_unit_test(a_head_that_never_ends_is_a_fault),
        cmocka_unit_test(bytes_behind_an_answer_end_the_connection),
        cmocka_unit_test(bytes_at_rest_end_the_connection),
        cmocka_unit_test(an_answer_from_before_the_request_does_not_count),
        cmocka_unit_test(answers_cut_short_are_faults),
        cmocka_unit_test(an_answer_may_last_until_the_connection_ends),
        cmocka_unit_test(a_paused_answer_survives_the_end_of_its_connection),
        cmocka_unit_test(connection_close_is_honoured),
        cmocka_unit_test(an_early_refusal_is_delivered_and_the_rest_swallowed),
        cmocka_unit_test(an_early_success_does_not_stop_the_request),
        cmocka_unit_test(a_refusal_before_a_reset_is_heard),
        cmocka_unit_test(an_answer_until_the_end_is_cut_by_a_reset),
        cmocka_unit_test(a_kept_connection_that_closes_leaves_silently),
        cmocka_unit_test(what_was_never_written_is_unprocessed),
        cmocka_unit_test(what_was_written_is_not_unprocessed),
        cmocka_unit_test(a_request_on_a_closing_connection_is_unprocessed),
        cmocka_unit_test(a_request_that_cannot_be_written_leaves_the_connection_as_it_was),
        cmocka_unit_test(a_request_body_that_is_not_as_declared_cuts),
        cmocka_unit_test(a_silent_endpoint_times_out),
        cmocka_unit_test(time_does_not_run_while_we_are_the_slow_ones),
        cmocka_unit_test(an_endpoint_that_takes_nothing_times_out),
        cmocka_unit_test(a_connection_at_rest_is_closed_in_the_end),
        cmocka_unit_test(drain_closes_behind_the_current_exchange),
        cmocka_unit_test(an_upload_is_held_back_by_the_endpoint),
        cmocka_unit_test(a_download_is_held_back_by_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
