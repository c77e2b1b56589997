/* SPDX-License-Identifier: MIT */
/* What fetch.c (who runs when), fetch_setup.c (libcurl's options) and fetch_why.c (words) share. */
#ifndef CMG_HTTP_FETCH_CORE_H
#define CMG_HTTP_FETCH_CORE_H

#include <stdbool.h>
#include <sys/queue.h>

#include <curl/curl.h>

#include "cmg/base/buf.h"
#include "cmg/http/fetch.h"
#include "cmg/net/loop.h"

/* Each has its list, but TOLD: what is in it belongs to on_deliver. */
enum fetch_state { FETCH_WAITING, FETCH_RUNNING, FETCH_DONE, FETCH_TOLD, FETCH_STATES };

TAILQ_HEAD(fetch_list, cmg_fetch);
LIST_HEAD(fetch_sockets, fetch_socket);

struct cmg_fetch {
    struct cmg_fetcher *fetcher; /* borrowed */
    enum fetch_state state;      /* written by enter() alone, with the list it stands in */
    TAILQ_ENTRY(cmg_fetch) entry;
    CURL *curl;                /* owned */
    struct curl_slist *fields; /* owned; of the request */
    struct cmg_timer *deadline;
    int64_t connect_ms, timeout_ms;
    char label[160]; /* "keys of tenant contoso: login.example.com" */

    char *body; /* owned; of the request */
    size_t nbody, sent;
    size_t head_bytes; /* of all response heads so far */
    struct cmg_buf in; /* the response's body, what of it is not handed on */
    size_t passed;     /* bytes that on_body has got */
    bool (*on_body)(void *arg, struct cmg_str bytes);
    char words[CURL_ERROR_SIZE];

    struct cmg_fetch_result result; /* err is set early when a callback ends the transfer */
    struct cmg_field *got;          /* owned; what result.fields points to */
    void (*on_done)(void *arg, const struct cmg_fetch_result *result);
    void *arg;
};

struct cmg_fetcher {
    struct cmg_loop *loop;
    CURLM *multi;            /* owned; with its kept connections */
    struct cmg_timer *timer; /* libcurl's */
    char *proxy;             /* owned */
    struct fetch_list lists[FETCH_TOLD];
    struct fetch_sockets sockets;
    unsigned nrunning;
    struct cmg_task deliver;
};

/* Makes f->curl of a request. False: f->result.err says why. */
bool fetch_set_up(struct cmg_fetch *f, const struct cmg_fetch_request *r);

/* The outcome of a transfer that libcurl ended with rc, into f->result.err, unless it is there. */
void fetch_explain(struct cmg_fetch *f, CURLcode rc);
/* The same when the time was up. */
void fetch_explain_timeout(struct cmg_fetch *f);

#endif
