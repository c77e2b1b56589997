/* SPDX-License-Identifier: MIT */
/* Heads that must outlive the bytes they were read from, and answers that we make up. */
#ifndef CMG_HTTP_MESSAGE_H
#define CMG_HTTP_MESSAGE_H

#include "cmg/base/buf.h"
#include "cmg/http/exchange.h"

/* Bytes that cmg_head_copy needs for the strings and fields of `head`. */
size_t cmg_head_size(const struct cmg_head *head);

/* Copies *head to *to; its strings and fields go to `room`, cmg_head_size bytes, aligned as
 * malloc aligns. */
void cmg_head_copy(struct cmg_head *to, const struct cmg_head *head, void *room);

/* A refusal: who, why, which request. Every string is borrowed. NULL for `error`: this is no
 * proxy's doing, and there is no Proxy-Status; NULL for `by` and `request_id`, which then are not
 * said, goes with that only. */
struct cmg_refusal {
    unsigned status;
    const char *phrase; /* reason phrase: "CMGService_Not_Published" */
    const char *error;  /* proxy error type, RFC 9209 section 2.3    */
    const char *detail; /* one sentence for people                   */
    const char *by;     /* name of the gateway or connection point   */
    const char *request_id;
    unsigned retry_after_s; /* 0: no Retry-After */
    /* More fields, may be NULL. */
    const struct cmg_field *fields;
    size_t nfields; /* at most 4 */
};

/* A refusal as a message: a head, whose fields and length are set, and a body. */
struct cmg_refusal_message {
    struct cmg_head head;
    struct cmg_str body;
    /* private */
    struct cmg_field fields[9];
    struct cmg_buf status;
    char *text, retry[12];
};
/* Borrows from `r` until cmg_refusal_clear. Do not copy the struct. */
void cmg_refusal_compose(struct cmg_refusal_message *m, const struct cmg_refusal *r);
void cmg_refusal_clear(struct cmg_refusal_message *m);

/* Answers an incoming exchange with problem+json (RFC 9457), Proxy-Status (RFC 9209) and
 * Cache-Control: no-store, and ends it. `head_only`: the request was HEAD. */
void cmg_refuse(struct cmg_exchange *x, const struct cmg_refusal *r, bool head_only);

/* Answers with a body of our own, and ends it. */
void cmg_answer(struct cmg_exchange *x, unsigned status, struct cmg_str content_type,
                struct cmg_str body, bool head_only);

#endif
