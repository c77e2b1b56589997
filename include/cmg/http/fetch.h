/* SPDX-License-Identifier: MIT */
/* Fetching over HTTP with libcurl's multi interface on the loop: signing keys, revocation
 * lists, blob storage, and a daemon's own door. Not for relaying: bodies have a ceiling.
 *
 * TLS is verified, redirects are not followed, proxy variables of the environment are not looked
 * at, http and https only, HTTP/1.1. libcurl sends a request again when a kept connection dies
 * under it before a byte of the answer came: fetch only what may be asked twice. An answer over
 * plain http that has no length may be cut short unnoticed. The process must ignore SIGPIPE. */
#ifndef CMG_HTTP_FETCH_H
#define CMG_HTTP_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"
#include "cmg/proto/http.h"

struct cmg_fetch;   /* one request in flight */
struct cmg_fetcher; /* kept connections, one per daemon */
struct cmg_loop;

struct cmg_fetcher *cmg_fetcher_new(struct cmg_loop *l);
/* For fetches that start from now on: http://host:port; NULL or empty: none. */
void cmg_fetcher_proxy(struct cmg_fetcher *f, const char *url);
void cmg_fetcher_free(struct cmg_fetcher *f); /* what is in flight ends without a word */

struct cmg_fetch_request {
    const char *method;             /* NULL: GET */
    const char *url;                /* may hold a secret (SAS): it never reaches a log or an err */
    const char *what;               /* what to call it in errors: "keys of tenant contoso" */
    const struct cmg_field *fields; /* more request fields; not those of the connection */
    size_t nfields;
    struct cmg_str body;            /* PUT and POST */
    const char *ca_file;            /* roots for https; NULL: the system's */
    const char *unix_socket;        /* to this file, whatever host `url` has; NULL: no */
    size_t max_bytes;               /* of the response body */
    int64_t connect_ms, timeout_ms; /* to connect (0: as long as it all may take); all of it */
    /* Not NULL: gets the body of a 200 as it comes, with the `arg` of on_done; result.body stays
     * empty then. From inside libcurl: it must not start, cancel or free anything here. False ends
     * the fetch with CMG_EIO. */
    bool (*on_body)(void *arg, struct cmg_str bytes);
};

struct cmg_fetch_result {
    /* CMG_OK: there is a response, whatever its status. CMG_ETIMEOUT, CMG_EIO: there is none.
     * CMG_EDENIED: TLS verification failed. CMG_ETOOBIG: past max_bytes, or a head past 64 KiB.
     * CMG_ECONF: a URL, method, field or CA file that cannot be used. */
    struct cmg_err err; /* "keys of tenant contoso: login.example.com: could not connect: ..." */
    unsigned status;
    struct cmg_str body;
    const struct cmg_field *fields; /* of the final response */
    size_t nfields;
};

/* Everything in `r` is copied. `on_done` is called once, from the loop, never from inside this
 * call, and may start, cancel and free anything, the fetcher too; when it returns, the result and
 * the fetch are gone. Not called after cmg_fetch_cancel. At most CMG_FETCHES_MAX at one time: the
 * next ones wait their turn, and their time runs. */
enum { CMG_FETCHES_MAX = 64 };
struct cmg_fetch *cmg_fetch_start(struct cmg_fetcher *f, const struct cmg_fetch_request *r,
                                  void (*on_done)(void *arg, const struct cmg_fetch_result *result),
                                  void *arg);
void cmg_fetch_cancel(struct cmg_fetch *fetch); /* NULL is ignored, and so is one in its on_done */

#endif
