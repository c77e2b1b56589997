/* SPDX-License-Identifier: MIT */
/* Load for scripts/bench: HTTP/1.1 keep-alive connections, over TLS with a client certificate
 * or plain, one request in flight on each, one thread.
 *
 * Other load generators cannot present a client certificate, and ratios are only fair when
 * every set-up gets its load from the same program.
 *
 * Connections are made first, one after the other; then comes the warm-up; then "start" is
 * printed, the measurement runs, and its result is printed as one JSON object.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, HEAD_BYTES = 8192 };

struct connection {
    int fd;
    SSL *ssl; /* NULL: plain */
    size_t sent;
    int64_t began_ns;
    char head[HEAD_BYTES + 1];
    size_t head_size;
    bool in_body, chunked;
    uint64_t left;  /* of the body, or of the current chunk                             */
    int chunk_step; /* 0: size line, 1: data, 2: CRLF behind data, 3: trailers           */
    char line[64];
    size_t line_size;
    uint32_t wants; /* epoll events registered                                           */
};

struct load {
    const char *ca, *certificate, *key, *host, *target, *method, *field;
    uint16_t port;
    bool tls;
    unsigned connections;
    double seconds, warm_up;
    size_t body_bytes;

    SSL_CTX *context;
    char *request;
    size_t request_size;
    int epoll;
    bool measuring;
    uint64_t requests, bytes, failures;
    uint32_t *samples; /* microseconds */
    size_t nsamples, samples_room;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "loader: %s", what);
    if (errno)
        fprintf(stderr, ": %s", strerror(errno));
    fputc('\n', stderr);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *must(void *p)
{
    if (!p)
        die("out of memory");
    return p;
}

static void count(struct load *l, const struct connection *c)
{
    if (!l->measuring)
        return;
    l->requests++;
    if (l->nsamples == l->samples_room) {
        l->samples_room = l->samples_room ? 2 * l->samples_room : 1 << 20;
        l->samples = must(realloc(l->samples, l->samples_room * sizeof(*l->samples)));
    }
    l->samples[l->nsamples++] = (uint32_t)((now_ns() - c->began_ns) / 1000);
}

/* --- bytes --------------------------------------------------------------------------- */

static void want(struct load *l, struct connection *c, uint32_t events)
{
    if (c->wants == events)
        return;
    struct epoll_event e = { .events = events, .data.ptr = c };
    if (epoll_ctl(l->epoll, c->wants ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e) != 0)
        die("epoll_ctl");
    c->wants = events;
}

/* Bytes moved, 0: not now, -1: the connection is gone. */
static ssize_t put(struct connection *c, const char *p, size_t n)
{
    ssize_t done;
    if (c->ssl) {
        ERR_clear_error();
        done = SSL_write(c->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
        if (done <= 0) {
            int why = SSL_get_error(c->ssl, (int)done);
            return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -1;
        }
        return done;
    }
    done = send(c->fd, p, n, MSG_NOSIGNAL);
    return done >= 0 ? done : errno == EAGAIN ? 0 : -1;
}

static ssize_t get(struct connection *c, char *p, size_t n)
{
    ssize_t done;
    if (c->ssl) {
        ERR_clear_error();
        done = SSL_read(c->ssl, p, (int)n);
        if (done <= 0) {
            int why = SSL_get_error(c->ssl, (int)done);
            return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
        }
        return done;
    }
    done = recv(c->fd, p, n, 0);
    return done > 0 ? done : done < 0 && errno == EAGAIN ? 0 : -1;
}

static void ask(struct load *l, struct connection *c)
{
    while (c->sent < l->request_size) {
        ssize_t n = put(c, l->request + c->sent, l->request_size - c->sent);
        if (n < 0)
            die("the server closed a connection");
        if (n == 0) {
            want(l, c, EPOLLIN | EPOLLOUT);
            return;
        }
        c->sent += (size_t)n;
    }
    want(l, c, EPOLLIN);
}

static void next(struct load *l, struct connection *c)
{
    c->sent = 0;
    c->head_size = 0;
    c->in_body = false;
    c->began_ns = now_ns();
    ask(l, c);
}

/* --- responses ------------------------------------------------------------------------ */

static const char *field(const char *head, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':')
            return line + 3 + n + strspn(line + 3 + n, " ");
    return NULL;
}

static void head_complete(struct load *l, struct connection *c)
{
    if (strncmp(c->head, "HTTP/1.1 2", 10) != 0) {
        l->failures++;
        if (l->failures == 1)
            fprintf(stderr, "loader: %.*s\n", (int)strcspn(c->head, "\r"), c->head);
    }
    const char *length = field(c->head, "Content-Length");
    c->in_body = true;
    c->chunked = !length && field(c->head, "Transfer-Encoding");
    c->left = length ? strtoull(length, NULL, 10) : 0;
    c->chunk_step = 0;
    c->line_size = 0;
}

/* Takes one line of chunked framing. True when it is complete. */
static bool chunk_line(struct connection *c, const char **p, const char *end)
{
    while (*p < end) {
        char byte = *(*p)++;
        if (byte == '\n') {
            c->line[c->line_size] = '\0';
            c->line_size = 0;
            return true;
        }
        if (byte != '\r' && c->line_size < sizeof(c->line) - 1)
            c->line[c->line_size++] = byte;
    }
    return false;
}

/* Moves over body bytes. True at the end of the body. */
static bool body(struct connection *c, const char **p, const char *end)
{
    while (true) {
        if (!c->chunked || c->chunk_step == 1) {
            uint64_t n = (uint64_t)(end - *p) < c->left ? (uint64_t)(end - *p) : c->left;
            *p += n;
            c->left -= n;
            if (c->left)
                return false;
            if (!c->chunked)
                return true;
            c->chunk_step = 2;
        }
        if (!chunk_line(c, p, end))
            return false;
        if (c->chunk_step == 0) {
            c->left = strtoull(c->line, NULL, 16);
            c->chunk_step = c->left ? 1 : 3;
        } else if (c->chunk_step == 2) {
            c->chunk_step = 0;
        } else if (c->line[0] == '\0') {
            return true;
        }
    }
}

static void received(struct load *l, struct connection *c, const char *p, const char *end)
{
    if (l->measuring)
        l->bytes += (uint64_t)(end - p);
    while (p < end) {
        if (!c->in_body) {
            char byte = *p++;
            if (c->head_size == HEAD_BYTES)
                die("a response head is too large");
            c->head[c->head_size++] = byte;
            if (byte != '\n' || c->head_size < 4 ||
                memcmp(c->head + c->head_size - 4, "\r\n\r\n", 4) != 0)
                continue;
            c->head[c->head_size] = '\0';
            head_complete(l, c);
        }
        if (!body(c, &p, end))
            return;
        count(l, c);
        next(l, c);
    }
}

static void ready(struct load *l, struct connection *c)
{
    static char in[READ_BYTES];

    if (c->sent < l->request_size)
        ask(l, c);
    do { /* what OpenSSL has read ahead does not wake epoll */
        ssize_t n = get(c, in, sizeof(in));
        if (n < 0)
            die("the server closed a connection");
        if (n == 0)
            return;
        received(l, c, in, in + n);
    } while (c->ssl && SSL_has_pending(c->ssl));
}

/* --- set-up --------------------------------------------------------------------------- */

static void make_context(struct load *l)
{
    l->context = must(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_mode(l->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(l->context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(l->context, 1);
    SSL_CTX_set_default_read_buffer_len(l->context, READ_BYTES / 2);
    SSL_CTX_set_verify(l->context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(l->context, l->ca, NULL) != 1)
        die(l->ca);
    if (l->certificate && (SSL_CTX_use_certificate_chain_file(l->context, l->certificate) != 1 ||
                           SSL_CTX_use_PrivateKey_file(l->context, l->key, SSL_FILETYPE_PEM) != 1))
        die(l->certificate);
}

static void make_request(struct load *l)
{
    char length[64] = "";
    if (l->body_bytes)
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", l->body_bytes);
    const char *field = l->field ? l->field : "", *end = l->field ? "\r\n" : "";
    size_t room = strlen(l->method) + strlen(l->target) + strlen(l->host) + strlen(field) + 128 +
                  l->body_bytes;
    l->request = must(malloc(room));
    int n = snprintf(l->request, room, "%s %s HTTP/1.1\r\nHost: %s:%u\r\n%s%s%s\r\n",
                     l->method, l->target, l->host, (unsigned)l->port, field, end, length);
    memset(l->request + n, 'b', l->body_bytes);
    l->request_size = (size_t)n + l->body_bytes;
}

static struct connection *dial(struct load *l)
{
    struct connection *c = must(calloc(1, sizeof(*c)));
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(l->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int yes = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (l->tls) {
        c->ssl = must(SSL_new(l->context));
        SSL_set_tlsext_host_name(c->ssl, l->host);
        SSL_set1_host(c->ssl, l->host);
        SSL_set_fd(c->ssl, c->fd);
        if (SSL_connect(c->ssl) != 1)
            die("TLS handshake");
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    return c;
}

static void run(struct load *l, double seconds)
{
    struct epoll_event events[256];
    int64_t end = now_ns() + (int64_t)(seconds * 1e9);

    while (now_ns() < end) {
        int n = epoll_wait(l->epoll, events, 256, 100);
        for (int i = 0; i < n; i++)
            ready(l, events[i].data.ptr);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(const struct load *l, double share)
{
    return l->nsamples ? l->samples[(size_t)(share * (double)(l->nsamples - 1))] : 0;
}

static void report(const struct load *l, double seconds)
{
    if (l->nsamples)
        qsort(l->samples, l->nsamples, sizeof(*l->samples), by_size);
    printf("{\"requests\": %llu, \"failures\": %llu, \"seconds\": %.3f, \"bytes\": %llu, "
           "\"p50_us\": %u, \"p90_us\": %u, \"p99_us\": %u, \"max_us\": %u}\n",
           (unsigned long long)l->requests, (unsigned long long)l->failures, seconds,
           (unsigned long long)l->bytes, percentile(l, 0.5), percentile(l, 0.9),
           percentile(l, 0.99), percentile(l, 1));
}

static void usage(void)
{
    fputs("usage: loader [--tls --ca FILE [--certificate FILE --key FILE]] [--connections N]\n"
          "              [--seconds S] [--warm-up S] [--method M] [--body BYTES] [--field TEXT]\n"
          "              PORT TARGET\n",
          stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "tls", no_argument, NULL, 't' },          { "ca", required_argument, NULL, 'a' },
        { "certificate", required_argument, NULL, 'e' }, { "key", required_argument, NULL, 'k' },
        { "connections", required_argument, NULL, 'c' }, { "seconds", required_argument, NULL, 's' },
        { "warm-up", required_argument, NULL, 'w' }, { "method", required_argument, NULL, 'm' },
        { "body", required_argument, NULL, 'b' },   { "field", required_argument, NULL, 'f' },
        { NULL, 0, NULL, 0 }
    };
    struct load l = { .host = "localhost", .method = "GET", .connections = 64, .seconds = 3,
                      .warm_up = 0.5 };
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 't': l.tls = true; break;
        case 'a': l.ca = optarg; break;
        case 'e': l.certificate = optarg; break;
        case 'k': l.key = optarg; break;
        case 'c': l.connections = (unsigned)strtoul(optarg, NULL, 10); break;
        case 's': l.seconds = strtod(optarg, NULL); break;
        case 'w': l.warm_up = strtod(optarg, NULL); break;
        case 'm': l.method = optarg; break;
        case 'f': l.field = optarg; break;
        case 'b': l.body_bytes = strtoull(optarg, NULL, 10); break;
        default: usage();
        }
    }
    if (argc - optind != 2 || (l.tls && !l.ca))
        usage();
    l.port = (uint16_t)strtoul(argv[optind], NULL, 10);
    l.target = argv[optind + 1];

    if (l.tls)
        make_context(&l);
    make_request(&l);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct connection **all = must(calloc(l.connections, sizeof(struct connection *)));
    for (unsigned i = 0; i < l.connections; i++)
        all[i] = dial(&l);
    for (unsigned i = 0; i < l.connections; i++)
        next(&l, all[i]);

    run(&l, l.warm_up);
    puts("start");
    fflush(stdout);
    l.measuring = true;
    int64_t began = now_ns();
    run(&l, l.seconds);
    report(&l, (double)(now_ns() - began) / 1e9);
    return 0;
}
