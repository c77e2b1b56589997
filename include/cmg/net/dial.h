/* SPDX-License-Identifier: MIT */
/* From a name to an open stream: resolve, connect, [proxy CONNECT], TLS, [Upgrade].
 * libcurl resolves, connects and passes the proxy, on threads of its own, because a
 * Kerberos exchange inside it would stop the loop. One attempt, one answer; retrying is
 * the caller's trade. */
#ifndef CMG_NET_DIAL_H
#define CMG_NET_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/net/tls.h"

struct cmg_dial;
struct cmg_dialer; /* the threads and their queue */
struct cmg_loop;
struct cmg_stream;

/* Starts threads when needed, `threads` at most, and ends idle ones. `per_key` bounds how
 * many of them one key (below) may hold, so that a dead peer cannot take them all; more
 * attempts wait their turn. */
struct cmg_dialer *cmg_dialer_new(struct cmg_loop *l, unsigned threads, unsigned per_key);
/* Waits for running attempts, which it hurries (about a second). What was not cancelled is
 * still reported, as failed, from the loop. NULL is ignored. */
void cmg_dialer_free(struct cmg_dialer *d);

enum cmg_proxy_auth {
    CMG_PROXY_AUTH_ANY, /* the strongest that the proxy offers */
    CMG_PROXY_AUTH_BASIC,
    CMG_PROXY_AUTH_DIGEST,
    CMG_PROXY_AUTH_NTLM,
    CMG_PROXY_AUTH_NEGOTIATE
};

struct cmg_proxy {
    const char *url; /* http://host:port or https://host:port; NULL or "": none */
    enum cmg_proxy_auth auth;
    const char *user;          /* NULL: none; Negotiate then uses the ticket cache */
    const char *password_file; /* NULL: none; read anew for each attempt */
    const char *ca_file;       /* for https:// proxies; NULL: the system's */
    const char *no_proxy;      /* comma-separated hosts and domains, "*" for all; NULL: none */
};

/* Over plain TCP or by libcurl's own TLS (endpoints), or by our TLS (channels). */
struct cmg_dial_target {
    const char *key; /* for per_key, and in messages: "instance 3", "endpoint mp1" */
    const char *host;
    uint16_t port;
    const struct cmg_proxy *proxy; /* NULL: a straight line */
    unsigned timeout_ms;           /* for all steps together */

    /* endpoints: libcurl's TLS */
    bool https;
    const char *ca_file;     /* NULL: the system's; never unverified */
    const char *certificate; /* NULL: none */
    const char *key_file;

    /* channels: ours */
    struct cmg_tls *tls;        /* NULL: see above; else borrowed until on_done */
    const char *tls_name;       /* name to verify; NULL: host */
    const char *upgrade;        /* NULL, or the protocol to ask for by HTTP/1.1 Upgrade */
    const char *upgrade_path;   /* target of that request */
    const char *upgrade_fields; /* complete extra lines, "" for none */
};

/* Where an attempt failed. */
enum cmg_dial_step {
    CMG_DIAL_SETUP, /* our own side: password file, certificate */
    CMG_DIAL_RESOLVE,
    CMG_DIAL_CONNECT,
    CMG_DIAL_PROXY,
    CMG_DIAL_TLS,
    CMG_DIAL_UPGRADE
};
extern const char *const cmg_dial_step_names[];

/* Why, where more than the sentence is wanted. */
enum cmg_dial_cause {
    CMG_DIAL_OTHER,
    CMG_DIAL_NO_NAME, /* DNS does not know it, or does not answer */
    CMG_DIAL_NOBODY,  /* refused: nothing listens there           */
    CMG_DIAL_SILENT,  /* no answer to a connection: filtered?     */
    CMG_DIAL_NO_ROUTE,
    CMG_DIAL_STATUS, /* proxy or gateway answered `status`       */
    CMG_DIAL_VERDICT /* a certificate: see `seen`                */
};

struct cmg_dial_result {
    struct cmg_stream
        *stream;             /* taken by the callee: call cmg_stream_listen at once; NULL: failed */
    char alpn[16];           /* what TLS agreed on */
    enum cmg_dial_step step; /* failed: where */
    bool refused;            /* failed: by policy or authentication (407, 403, 401, a certificate
                              * that does not verify), so that trying again soon is of no use */
    enum cmg_dial_cause cause; /* failed: why */
    unsigned status;           /* CMG_DIAL_STATUS: of CONNECT, or of the upgrade */
    bool tls_of_proxy;         /* `seen` is the https:// proxy's, not the peer's */
    struct cmg_tls_seen seen;  /* what was seen of TLS, failed or not            */
    struct cmg_err err;        /* failed: why, with address and remedy           */
};

/* Copies what `target` points at, but for `tls`. Calls on_done exactly once, from the loop.
 * Not called after cmg_dial_cancel. A paused stream (no on_data) is handed over. */
struct cmg_dial *cmg_dial_start(struct cmg_dialer *d, const struct cmg_dial_target *target,
                                void (*on_done)(void *arg, const struct cmg_dial_result *r),
                                void *arg);
void cmg_dial_cancel(struct cmg_dial *d); /* NULL is ignored */

#endif
