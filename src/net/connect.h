/* SPDX-License-Identifier: MIT */
/* One connection made by libcurl: resolve, connect, pass the proxy, and for endpoints TLS.
 * Blocks; runs on a thread of its own. */
#ifndef CMG_NET_CONNECT_H
#define CMG_NET_CONNECT_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "cmg/net/dial.h"

struct cmg_verdict;

struct cmg_connect {
    /* What to do; all owned. NULL: none. */
    char *host;
    uint16_t port;
    bool https;   /* libcurl's TLS                                                    */
    bool only_fd; /* the plain socket is wanted, for TLS of our own; when it can be had */
    char *ca_file, *certificate, *key_file;
    char *proxy_url, *proxy_user, *proxy_password_file, *proxy_ca_file, *no_proxy;
    enum cmg_proxy_auth proxy_auth;
    unsigned timeout_ms;
    int64_t deadline_ms;      /* by cmg_clock_ms */
    const atomic_bool *hurry; /* borrowed; true: give up */

    /* What came out. Success: one of fd (>= 0) and curl. */
    int fd;
    CURL *curl; /* owned until taken */
    enum cmg_dial_step step;
    bool refused;
    enum cmg_dial_cause cause;
    unsigned status;
    bool tls_of_proxy;
    struct cmg_tls_seen seen;
    struct cmg_err err;

    /* Inside. */
    char peer[300];  /* "host:port", for messages               */
    char proxy[200]; /* "proxy host:port", or empty             */
    bool proxy_tls;  /* https:// proxy                          */
    uint16_t proxy_port;
    struct sockaddr_storage last; /* address tried last                      */
    struct cmg_verdict *verdict;  /* owned reference; of libcurl's TLS       */
    char words[CURL_ERROR_SIZE];  /* libcurl's                               */
};

/* Fills fd or curl, and proxy; else step, refused and err. */
void cmg_connect_run(struct cmg_connect *c);

/* Frees what was not taken and all that is owned. */
void cmg_connect_clear(struct cmg_connect *c);

/* For a connection that was kept: why a read or write of it failed with `rc`, in words that are
 * good until the next call; and its end. */
const char *cmg_connect_words(CURL *curl, CURLcode rc);
void cmg_connect_close(CURL *curl);

/* Why curl_easy_perform failed with `rc`, into step, refused and err. */
void cmg_connect_explain(struct cmg_connect *c, CURL *curl, CURLcode rc);

/* True when the address tried last is the proxy's, or when none was and there is a proxy. */
bool cmg_connect_by_proxy(const struct cmg_connect *c);

/* "15 s", "250 ms" */
void cmg_connect_span(unsigned ms, char out[24]);

#endif
