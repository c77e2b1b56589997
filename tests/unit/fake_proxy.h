/* SPDX-License-Identifier: MIT */
/* An HTTP proxy on a thread: answers each CONNECT with the next line of its script, and
 * carries bytes after a 200. One connection at a time. */
#ifndef TEST_FAKE_PROXY_H
#define TEST_FAKE_PROXY_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

struct fake_proxy {
    const char *const *script; /* answers, NULL-ended; "" hangs up; "-" says nothing   */
    uint16_t target;           /* on 127.0.0.1, whatever was asked for                 */
    const char *pem, *key;     /* speaks TLS when set                                  */
    uint16_t port;
    int listen_fd;
    pthread_t thread;
    unsigned connects; /* CONNECTs seen; read them after fake_proxy_stop */
    char last[4096];   /* the last one                                   */
};

struct fake_pipe {
    int fd;
    SSL *ssl;
};

static ssize_t pipe_read(struct fake_pipe *p, char *to, size_t n)
{
    return p->ssl ? SSL_read(p->ssl, to, (int)n) : read(p->fd, to, n);
}

static bool pipe_write(struct fake_pipe *p, const char *from, size_t n)
{
    if (p->ssl)
        return n == 0 || SSL_write(p->ssl, from, (int)n) == (int)n;
    while (n) {
        ssize_t put = send(p->fd, from, n, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        from += put;
        n -= (size_t)put;
    }
    return true;
}

/* Moves what is there; false at the end. */
static bool pipe_carry(struct fake_pipe *from, struct fake_pipe *to)
{
    char bytes[16384];
    do {
        ssize_t n = pipe_read(from, bytes, sizeof(bytes));
        if (n <= 0 || !pipe_write(to, bytes, (size_t)n))
            return false;
    } while (from->ssl && SSL_pending(from->ssl));
    return true;
}

static void fake_proxy_carry(struct fake_proxy *p, struct fake_pipe *client)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(p->target) };
    struct fake_pipe target = { socket(AF_INET, SOCK_STREAM, 0), NULL };
    bool going = true;
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (connect(target.fd, (struct sockaddr *)&to, sizeof(to)))
        going = false;
    while (going) {
        struct pollfd fds[] = { { client->fd, POLLIN, 0 }, { target.fd, POLLIN, 0 } };
        if (poll(fds, 2, 10000) <= 0)
            break;
        if (fds[0].revents)
            going = pipe_carry(client, &target);
        if (going && fds[1].revents)
            going = pipe_carry(&target, client);
    }
    close(target.fd);
}

static bool fake_proxy_head(struct fake_proxy *p, struct fake_pipe *client)
{
    size_t n = 0;
    while (n < sizeof(p->last) - 1) {
        if (pipe_read(client, p->last + n, 1) <= 0)
            return false;
        p->last[++n] = '\0';
        if (n >= 4 && memcmp(p->last + n - 4, "\r\n\r\n", 4) == 0) {
            p->connects++;
            return true;
        }
    }
    return false;
}

/* False: this connection is over. */
static bool fake_proxy_answer(struct fake_proxy *p, struct fake_pipe *client)
{
    if (!fake_proxy_head(p, client))
        return false;
    const char *answer = *p->script;
    if (!answer || !*answer)
        return false;
    if (p->script[1])
        p->script++;
    if (*answer == '-') {
        char byte;
        while (pipe_read(client, &byte, 1) > 0)
            ;
        return false;
    }
    if (!pipe_write(client, answer, strlen(answer)))
        return false;
    if (strncmp(answer, "HTTP/1.1 200", 12) != 0)
        return true;
    fake_proxy_carry(p, client);
    return false;
}

static void fake_proxy_serve(struct fake_proxy *p, int fd, SSL_CTX *ctx)
{
    struct fake_pipe client = { fd, ctx ? SSL_new(ctx) : NULL };
    bool up = true;
    if (client.ssl) {
        SSL_set_fd(client.ssl, fd);
        up = SSL_accept(client.ssl) == 1;
    }
    while (up && fake_proxy_answer(p, &client))
        ;
    SSL_free(client.ssl);
    close(fd);
}

static void *fake_proxy_run(void *arg)
{
    struct fake_proxy *p = arg;
    SSL_CTX *ctx = NULL;
    int fd;
    if (p->pem) {
        ctx = SSL_CTX_new(TLS_server_method());
        SSL_CTX_use_certificate_chain_file(ctx, p->pem);
        SSL_CTX_use_PrivateKey_file(ctx, p->key, SSL_FILETYPE_PEM);
    }
    while ((fd = accept(p->listen_fd, NULL, NULL)) >= 0)
        fake_proxy_serve(p, fd, ctx);
    SSL_CTX_free(ctx);
    return NULL;
}

static void fake_proxy_start(struct fake_proxy *p)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t n = sizeof(at);
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    p->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(p->listen_fd, (struct sockaddr *)&at, sizeof(at)) || listen(p->listen_fd, 16) ||
        getsockname(p->listen_fd, (struct sockaddr *)&at, &n) ||
        pthread_create(&p->thread, NULL, fake_proxy_run, p))
        abort();
    p->port = ntohs(at.sin_port);
}

static void fake_proxy_stop(struct fake_proxy *p)
{
    shutdown(p->listen_fd, SHUT_RDWR); /* wakes accept */
    pthread_join(p->thread, NULL);
    close(p->listen_fd);
}

#endif
