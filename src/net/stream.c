/* SPDX-License-Identifier: MIT */
/* One state machine over four ways to move bytes.
 *
 *   HANDSHAKE ---> OPEN ---> FLUSHING ---> LINGERING ---> GONE
 *       |            |           |                          ^
 *       +------------+-----------+--------------------------+
 *
 *   FLUSHING   asked to close: writes what is queued, reads nothing
 *   LINGERING  said its last word; discards what still comes, until the peer closes too
 *   GONE       on_closed is due at the end of the turn; nothing moves any more
 *
 * What a turn wrote leaves in one flush at its end: small frames share TLS records.
 */
#include "cmg/net/stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "cmg/base/alloc.h"
#include "cmg/net/loop.h"
#include "cmg/net/tls.h"
#include "connect.h"

enum state { HANDSHAKE, OPEN, FLUSHING, LINGERING, GONE };
enum { STATES = GONE + 1 };

#define TO(s) (1u << (s))
/* clang-format off */
static const unsigned allowed[STATES] = {
    [HANDSHAKE] = TO(OPEN) | TO(GONE),
    [OPEN]      = TO(FLUSHING) | TO(GONE),
    [FLUSHING]  = TO(LINGERING) | TO(GONE),
    [LINGERING] = TO(GONE),
    [GONE]      = 0,
};
/* clang-format on */

/* How one read or write ended. */
enum moved { MOVED, WANT_READ, WANT_WRITE, END_CLEAN, END_CUT, FAILED };

struct io {
    enum moved (*read)(struct cmg_stream *s, char *p, size_t n, size_t *got);
    enum moved (*write)(struct cmg_stream *s, const char *p, size_t n, size_t *put);
    /* True when a read may succeed although the descriptor is not readable. */
    bool (*pending)(struct cmg_stream *s);
};

/* One wake-up moves at most this much before others get their turn. */
enum { READ_BUDGET = CMG_LOOP_SCRATCH, RECORD = 16384 };

struct cmg_stream {
    struct cmg_loop *loop; /* borrowed */
    const struct io *io;
    enum state state;
    int fd;
    CURL *curl; /* owned; NULL unless libcurl made the connection */
    SSL *ssl;   /* owned; NULL in the clear, or when libcurl does TLS */
    struct cmg_watch *watch;
    struct cmg_timer *timer; /* handshake, flush, linger; NULL while OPEN */
    const struct cmg_stream_events *ev;
    void *arg;

    struct cmg_buf in;  /* what the listener has not consumed */
    struct cmg_buf out; /* what the peer has not taken        */
    size_t ceiling;
    uint64_t sent, received;
    uint64_t *all_sent, *all_received; /* borrowed; of all streams of a kind; may be NULL */

    bool paused, ended, blocked; /* blocked: the last write could not go on */
    bool read_wants_write, was_full;
    bool write_failed; /* an end of input that is found after that is not a clean one */
    struct cmg_task flush, deliver, more, late, gone;

    enum cmg_close_reason why;
    char detail[192];
    char peer[64];
};

static void set_wants(struct cmg_stream *s)
{
    bool read = false, write = s->blocked || s->read_wants_write;
    switch (s->state) {
    case HANDSHAKE:
        read = !s->read_wants_write;
        break;
    case OPEN:
        read = !s->paused && !s->ended && s->in.n < s->ceiling;
        break;
    case FLUSHING:
    case LINGERING:
        read = !s->ended;
        break;
    case GONE:
        write = false;
        break;
    }
    cmg_watch_want(s->watch, read, write);
}

static void enter(struct cmg_stream *s, enum state to)
{
    if (!(allowed[s->state] & TO(to)))
        abort();
    s->state = to;
    if (to == OPEN || to == GONE) {
        cmg_timer_free(s->timer);
        s->timer = NULL;
    }
    if (to == GONE) {
        cmg_loop_cancel(s->loop, &s->flush);
        cmg_loop_cancel(s->loop, &s->deliver);
        cmg_loop_cancel(s->loop, &s->more);
        cmg_loop_cancel(s->loop, &s->late);
        cmg_loop_defer(s->loop, &s->gone);
    }
    set_wants(s);
}

static void vanish(struct cmg_stream *s, enum cmg_close_reason why, const char *detail)
{
    if (s->state == GONE)
        return;
    s->why = why;
    if (detail != s->detail) /* printing a buffer into itself empties it */
        snprintf(s->detail, sizeof(s->detail), "%s", detail ? detail : "");
    enter(s, GONE);
}

/* Four bottoms ------------------------------------------------------------------------- */

static enum moved fd_failed(struct cmg_stream *s, enum moved again)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return again;
    snprintf(s->detail, sizeof(s->detail), "%s", strerror(errno));
    return FAILED;
}

static enum moved fd_read(struct cmg_stream *s, char *p, size_t n, size_t *got)
{
    ssize_t r = recv(s->fd, p, n, 0);
    if (r < 0)
        return fd_failed(s, WANT_READ);
    *got = (size_t)r;
    return r ? MOVED : END_CLEAN;
}

static enum moved fd_write(struct cmg_stream *s, const char *p, size_t n, size_t *put)
{
    ssize_t r = send(s->fd, p, n, MSG_NOSIGNAL);
    if (r < 0)
        return fd_failed(s, WANT_WRITE);
    *put = (size_t)r;
    return MOVED;
}

static bool never_pending(struct cmg_stream *s)
{
    (void)s;
    return false;
}

static enum moved ssl_failed(struct cmg_stream *s, int r)
{
    int system = errno;
    switch (SSL_get_error(s->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return END_CLEAN;
    case SSL_ERROR_SYSCALL:
        if (!ERR_peek_error()) {
            if (!system)
                return END_CUT;
            snprintf(s->detail, sizeof(s->detail), "%s", strerror(system));
            return FAILED;
        }
        break;
    default:
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            ERR_clear_error();
            return END_CUT;
        }
    }
    cmg_tls_reason(s->ssl, s->detail, sizeof(s->detail));
    return FAILED;
}

/* The error queue belongs to the thread, not to the connection: one peer's stale error
 * would be read as another's. Hence it is emptied before each call. */
static enum moved ssl_read(struct cmg_stream *s, char *p, size_t n, size_t *got)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_read_ex(s->ssl, p, n, got);
    return r > 0 ? MOVED : ssl_failed(s, r);
}

static enum moved ssl_write(struct cmg_stream *s, const char *p, size_t n, size_t *put)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_write_ex(s->ssl, p, n, put);
    return r > 0 ? MOVED : ssl_failed(s, r);
}

static bool ssl_pending(struct cmg_stream *s)
{
    return SSL_has_pending(s->ssl) == 1;
}

static enum moved curl_failed(struct cmg_stream *s, CURLcode rc, enum moved again)
{
    if (rc == CURLE_AGAIN)
        return again;
    snprintf(s->detail, sizeof(s->detail), "%s", cmg_connect_words(s->curl, rc));
    return FAILED;
}

static enum moved curl_read(struct cmg_stream *s, char *p, size_t n, size_t *got)
{
    CURLcode rc = curl_easy_recv(s->curl, p, n, got);
    if (rc != CURLE_OK)
        return curl_failed(s, rc, WANT_READ);
    return *got ? MOVED : END_CLEAN;
}

static enum moved curl_write(struct cmg_stream *s, const char *p, size_t n, size_t *put)
{
    CURLcode rc = curl_easy_send(s->curl, p, n, put);
    return rc == CURLE_OK ? MOVED : curl_failed(s, rc, WANT_WRITE);
}

/* libcurl does not tell what its TLS has already decrypted: read until it says "again". */
static bool always_pending(struct cmg_stream *s)
{
    (void)s;
    return true;
}

static bool in_the_clear(CURL *curl)
{
    char *scheme = NULL;
    curl_easy_getinfo(curl, CURLINFO_SCHEME, &scheme);
    return scheme && cmg_str_ieq(cmg_str(scheme), CMG_STR("http"));
}

static const struct io fd_io = { fd_read, fd_write, never_pending };
static const struct io ssl_io = { ssl_read, ssl_write, ssl_pending };
static const struct io curl_io = { curl_read, curl_write, always_pending };
static const struct io ssl_in_curl_io = { ssl_read, ssl_write, always_pending };

/* Our TLS inside libcurl's connection: a BIO whose two ends are curl_easy_recv and _send. */
static int bio_read(BIO *b, char *p, size_t n, size_t *got)
{
    BIO_clear_retry_flags(b);
    CURLcode rc = curl_easy_recv(BIO_get_data(b), p, n, got);
    if (rc == CURLE_AGAIN)
        BIO_set_retry_read(b);
    return rc == CURLE_OK && *got > 0;
}

static int bio_write(BIO *b, const char *p, size_t n, size_t *put)
{
    BIO_clear_retry_flags(b);
    CURLcode rc = curl_easy_send(BIO_get_data(b), p, n, put);
    if (rc == CURLE_AGAIN)
        BIO_set_retry_write(b);
    return rc == CURLE_OK;
}

static long bio_ctrl(BIO *b, int command, long n, void *p)
{
    (void)b, (void)n, (void)p;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static BIO *curl_bio(CURL *curl)
{
    static BIO_METHOD *method; /* made once, never changed */
    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "libcurl connection");
        BIO_meth_set_read_ex(method, bio_read);
        BIO_meth_set_write_ex(method, bio_write);
        BIO_meth_set_ctrl(method, bio_ctrl);
    }
    BIO *b = BIO_new(method);
    BIO_set_data(b, curl);
    BIO_set_init(b, 1);
    return b;
}

/* Reading ------------------------------------------------------------------------------ */

static void ended(struct cmg_stream *s, bool clean)
{
    s->ended = true;
    set_wants(s);
    if (s->ev && s->ev->on_eof)
        s->ev->on_eof(s->arg, clean);
    else
        vanish(s, CMG_CLOSE_PEER, NULL);
}

/* Offers what is kept, or `fresh` straight from the scratch buffer when nothing is. */
static void offer(struct cmg_stream *s, struct cmg_str fresh)
{
    if (s->in.n) {
        size_t used = s->ev->on_data(s->arg, cmg_buf_str(&s->in));
        if (s->state == OPEN)
            cmg_buf_drop(&s->in, used);
    } else if (fresh.n) {
        size_t used = s->ev->on_data(s->arg, fresh);
        struct cmg_str rest = cmg_str_from(fresh, used);
        if (rest.n && s->state == OPEN && cmg_buf_put(&s->in, rest) != CMG_OK)
            abort(); /* the ceiling leaves room for one scratch buffer more */
    }
}

/* Fills p with as much as is there, one budget at most. */
static enum moved fill(struct cmg_stream *s, char *p, size_t room, size_t *n)
{
    enum moved m = MOVED;
    *n = 0;
    while (*n < room) {
        size_t got = 0;
        m = s->io->read(s, p + *n, room - *n, &got);
        if (m != MOVED)
            break;
        *n += got;
        /* A short read with nothing decrypted behind it: asking again would only cost a call. */
        if (got < RECORD && !s->io->pending(s))
            return WANT_READ;
    }
    return m;
}

static void discard(struct cmg_stream *s)
{
    size_t n;
    enum moved m = fill(s, cmg_loop_scratch(s->loop), READ_BUDGET, &n);
    if (m == MOVED || m == WANT_READ || m == WANT_WRITE)
        return;
    s->ended = true; /* a peer that only half-closed still reads what is being flushed */
    if (s->state == LINGERING || m == FAILED)
        vanish(s, s->why, NULL);
    else
        set_wants(s);
}

static void receive(struct cmg_stream *s)
{
    if (s->state == FLUSHING || s->state == LINGERING) {
        discard(s);
        return;
    }
    if (s->state != OPEN || s->paused || s->ended || s->in.n >= s->ceiling)
        return;

    char *p = cmg_loop_scratch(s->loop);
    if (s->in.n && !(p = cmg_buf_reserve(&s->in, READ_BUDGET)))
        abort();
    size_t n;
    enum moved m = fill(s, p, READ_BUDGET, &n);
    s->received += n;
    if (s->all_received)
        *s->all_received += n;
    s->read_wants_write = m == WANT_WRITE;
    if (n && s->in.n) {
        cmg_buf_added(&s->in, n);
        offer(s, (struct cmg_str){ NULL, 0 });
    } else if (n) {
        offer(s, (struct cmg_str){ p, n });
    }
    if (s->state != OPEN)
        return;
    if (m == END_CLEAN || m == END_CUT)
        ended(s, m == END_CLEAN && !s->write_failed);
    else if (m == FAILED)
        vanish(s, CMG_CLOSE_ERROR, s->detail);
    else if (m == MOVED)
        cmg_loop_later(s->loop, &s->more); /* what TLS holds already wakes no poll */
    if (s->state == OPEN)
        set_wants(s);
}

static void on_more(void *arg)
{
    receive(arg);
}

static void on_deliver(void *arg)
{
    struct cmg_stream *s = arg;
    if (s->state != OPEN || s->paused)
        return;
    if (s->in.n)
        offer(s, (struct cmg_str){ NULL, 0 });
    if (s->state == OPEN && !s->paused && s->io->pending(s))
        cmg_loop_later(s->loop, &s->more);
    if (s->state == OPEN)
        set_wants(s);
}

/* Writing ------------------------------------------------------------------------------ */

static void say_goodbye(struct cmg_stream *s)
{
    if (s->ssl && SSL_is_init_finished(s->ssl)) {
        ERR_clear_error();
        SSL_shutdown(s->ssl); /* one way; if it does not go out, the peer sees a cut */
        ERR_clear_error();
    }
    shutdown(s->fd, SHUT_WR);
}

static void linger(struct cmg_stream *s)
{
    say_goodbye(s);
    enter(s, LINGERING);
    if (s->ended)
        vanish(s, CMG_CLOSE_LOCAL, NULL);
}

/* A peer that refuses to read on may have said why before it reset the connection, and its
 * words still lie in our socket: an HTTP endpoint's 413 must not be lost. */
static void hear_last_words(struct cmg_stream *s)
{
    char why[sizeof(s->detail)];
    memcpy(why, s->detail, sizeof(why));
    s->write_failed = true;
    while (s->state == OPEN && !s->paused && !s->ended) {
        uint64_t before = s->received;
        receive(s);
        if (s->received == before)
            break;
    }
    vanish(s, CMG_CLOSE_ERROR, why[0] ? why : "the peer closed");
}

/* Writes what is queued until it is gone or the peer has enough. */
static void drain_out(struct cmg_stream *s)
{
    s->blocked = false;
    while (s->out.n) {
        struct cmg_str o = cmg_buf_str(&s->out);
        size_t put = 0;
        enum moved m = s->io->write(s, o.p, o.n, &put);
        if (m == MOVED) {
            s->sent += put;
            if (s->all_sent)
                *s->all_sent += put;
            cmg_buf_drop(&s->out, put);
        } else if (m == WANT_WRITE || m == WANT_READ) {
            s->blocked = m == WANT_WRITE;
            return;
        } else {
            hear_last_words(s);
            return;
        }
    }
}

static void on_flush(void *arg)
{
    struct cmg_stream *s = arg;
    if (s->state == OPEN && s->ev && s->ev->on_flush)
        s->ev->on_flush(s->arg);
    if (s->state != OPEN && s->state != FLUSHING)
        return;
    if (s->out.n >= CMG_STREAM_HIGH)
        s->was_full = true;
    drain_out(s);
    if (s->state == GONE)
        return;
    if (s->state == FLUSHING) {
        if (!s->out.n)
            linger(s);
        else
            set_wants(s);
        return;
    }
    set_wants(s);
    if (s->was_full && s->out.n <= CMG_STREAM_LOW) {
        s->was_full = false;
        if (s->ev && s->ev->on_drained)
            s->ev->on_drained(s->arg);
    }
}

static void on_late(void *arg)
{
    cmg_stream_mark(arg);
}

/* The handshake ------------------------------------------------------------------------ */

static void shake_hands(struct cmg_stream *s)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_do_handshake(s->ssl);
    if (r == 1) {
        s->read_wants_write = false;
        enter(s, OPEN);
        if (s->ev && s->ev->on_open)
            s->ev->on_open(s->arg);
        if (s->state == OPEN && ssl_pending(s))
            cmg_loop_later(s->loop, &s->more);
        if (s->state == OPEN && s->out.n)
            cmg_stream_mark(s);
        return;
    }
    switch (ssl_failed(s, r)) {
    case WANT_READ:
        s->read_wants_write = false;
        set_wants(s);
        return;
    case WANT_WRITE:
        s->read_wants_write = true;
        set_wants(s);
        return;
    case END_CLEAN:
    case END_CUT:
        vanish(s, CMG_CLOSE_PEER, "the peer closed during the TLS handshake");
        return;
    case MOVED:
    case FAILED:
        vanish(s, CMG_CLOSE_ERROR, s->detail);
    }
}

static void on_ready(void *arg, bool readable, bool writable)
{
    struct cmg_stream *s = arg;
    if (s->state == HANDSHAKE) {
        shake_hands(s);
        return;
    }
    if (writable && s->read_wants_write)
        receive(s);
    if (writable && (s->state == OPEN || s->state == FLUSHING))
        cmg_loop_flush(s->loop, &s->flush);
    if (readable && s->state != GONE)
        receive(s);
}

static void on_timer(void *arg)
{
    struct cmg_stream *s = arg;
    if (s->state == HANDSHAKE)
        vanish(s, CMG_CLOSE_TIMEOUT, "the TLS handshake took too long");
    else
        vanish(s, s->why, NULL);
}

/* Birth and death ---------------------------------------------------------------------- */

static void on_gone(void *arg)
{
    struct cmg_stream *s = arg;
    cmg_watch_free(s->watch);
    if (s->ev && s->ev->on_closed)
        s->ev->on_closed(s->arg, s->why, s->detail[0] ? s->detail : NULL);
    SSL_free(s->ssl);
    if (s->curl)
        cmg_connect_close(s->curl);
    else
        close(s->fd);
    cmg_buf_clear(&s->in);
    cmg_buf_clear(&s->out);
    free(s);
}

static void name_peer(struct cmg_stream *s)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    char host[48], port[8];
    if (getpeername(s->fd, (struct sockaddr *)&a, &n) ||
        getnameinfo((struct sockaddr *)&a, n, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return;
    if (a.ss_family == AF_UNIX)
        return;
    /* An IPv4 client of a dual-stack socket is an IPv4 client. */
    const char *v4 = strncmp(host, "::ffff:", 7) == 0 ? host + 7 : host;
    snprintf(s->peer, sizeof(s->peer), strchr(v4, ':') ? "[%s]:%s" : "%s:%s", v4, port);
}

static struct cmg_stream *born(struct cmg_loop *l, int fd, const struct io *io, SSL *ssl,
                               unsigned handshake_ms, const struct cmg_stream_events *ev, void *arg)
{
    struct cmg_stream *s = cmg_alloc(sizeof(*s));
    s->loop = l;
    s->io = io;
    s->fd = fd;
    s->ssl = ssl;
    s->ev = ev;
    s->arg = arg;
    s->ceiling = CMG_STREAM_HIGH;
    cmg_buf_init(&s->in, SIZE_MAX / 2);
    cmg_buf_init(&s->out, SIZE_MAX / 2);
    s->flush = (struct cmg_task){ .run = on_flush, .arg = s };
    s->deliver = (struct cmg_task){ .run = on_deliver, .arg = s };
    s->gone = (struct cmg_task){ .run = on_gone, .arg = s };
    s->more = (struct cmg_task){ .run = on_more, .arg = s };
    s->late = (struct cmg_task){ .run = on_late, .arg = s };
    s->watch = cmg_watch_new(l, fd, on_ready, s);
    name_peer(s);
    if (ssl) {
        s->state = HANDSHAKE;
        s->timer = cmg_timer_new(l, on_timer, s);
        cmg_timer_set(s->timer, handshake_ms);
        s->read_wants_write = true; /* a client speaks first; a server finds nothing and waits */
    } else {
        s->state = OPEN;
    }
    set_wants(s);
    return s;
}

struct cmg_stream *cmg_stream_new(struct cmg_loop *l, int fd_taken, struct cmg_tls *tls,
                                  const char *name, unsigned handshake_ms,
                                  const struct cmg_stream_events *ev, void *arg)
{
    SSL *ssl = NULL;
    if (tls) {
        ssl = cmg_tls_session(tls, name);
        SSL_set_fd(ssl, fd_taken);
    }
    return born(l, fd_taken, ssl ? &ssl_io : &fd_io, ssl, handshake_ms, ev, arg);
}

struct cmg_stream *cmg_stream_new_curl(struct cmg_loop *l, void *curl_taken, struct cmg_tls *tls,
                                       const char *name, unsigned handshake_ms,
                                       const struct cmg_stream_events *ev, void *arg)
{
    SSL *ssl = NULL;
    curl_socket_t fd = CURL_SOCKET_BAD;
    curl_easy_getinfo(curl_taken, CURLINFO_ACTIVESOCKET, &fd);
    if (tls) {
        ssl = cmg_tls_session(tls, name);
        BIO *b = curl_bio(curl_taken);
        SSL_set_bio(ssl, b, b);
    }
    /* In the clear libcurl adds nothing to its socket but the price of each call. */
    const struct io *io = ssl ? &ssl_in_curl_io : in_the_clear(curl_taken) ? &fd_io : &curl_io;
    struct cmg_stream *s = born(l, fd, io, ssl, handshake_ms, ev, arg);
    s->curl = curl_taken;
    return s;
}

void cmg_stream_listen(struct cmg_stream *s, const struct cmg_stream_events *ev, void *arg)
{
    s->ev = ev;
    s->arg = arg;
    s->paused = false;
    if (s->state != OPEN)
        return;
    cmg_loop_defer(s->loop, &s->deliver);
    set_wants(s);
}

void cmg_stream_ceiling(struct cmg_stream *s, size_t bytes)
{
    s->ceiling = bytes;
}

struct cmg_buf *cmg_stream_out(struct cmg_stream *s)
{
    return &s->out;
}

bool cmg_stream_is_full(const struct cmg_stream *s)
{
    return s->out.n >= CMG_STREAM_HIGH;
}

void cmg_stream_mark(struct cmg_stream *s)
{
    if (s->state == OPEN && !s->blocked)
        cmg_loop_flush(s->loop, &s->flush);
}

void cmg_stream_mark_later(struct cmg_stream *s)
{
    if (s->state == OPEN && !s->blocked)
        cmg_loop_later(s->loop, &s->late);
}

uint64_t cmg_stream_sent(const struct cmg_stream *s)
{
    return s->sent;
}

void cmg_stream_tally(struct cmg_stream *s, uint64_t *sent, uint64_t *received)
{
    s->all_sent = sent;
    s->all_received = received;
}

uint64_t cmg_stream_received(const struct cmg_stream *s)
{
    return s->received;
}

size_t cmg_stream_buffered(const struct cmg_stream *s)
{
    return s->in.n + s->out.n;
}

void cmg_stream_pause(struct cmg_stream *s, bool paused)
{
    s->paused = paused;
    if (s->state != OPEN)
        return;
    if (!paused)
        cmg_loop_defer(s->loop, &s->deliver);
    set_wants(s);
}

void cmg_stream_close(struct cmg_stream *s, unsigned flush_ms)
{
    if (!s || s->state == GONE || s->state == FLUSHING || s->state == LINGERING)
        return;
    s->why = CMG_CLOSE_LOCAL;
    if (s->state == HANDSHAKE || flush_ms == 0) {
        if (s->state == OPEN && !s->out.n)
            say_goodbye(s);
        vanish(s, CMG_CLOSE_LOCAL, NULL);
        return;
    }
    enter(s, FLUSHING);
    s->timer = cmg_timer_new(s->loop, on_timer, s);
    cmg_timer_set(s->timer, flush_ms);
    cmg_loop_flush(s->loop, &s->flush);
}

void cmg_stream_cut(struct cmg_stream *s)
{
    static const struct linger now = { .l_onoff = 1, .l_linger = 0 };
    if (s->state == GONE)
        return;
    (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); /* close sends RST */
    vanish(s, CMG_CLOSE_LOCAL, NULL);
}

struct ssl_st *cmg_stream_ssl(const struct cmg_stream *s)
{
    return s->ssl;
}

const char *cmg_stream_peer(const struct cmg_stream *s)
{
    return s->peer;
}

void cmg_stream_user_timeout(struct cmg_stream *s, unsigned ms)
{
    /* Fails on what is not TCP, where there is nothing to bound. */
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}
