/* SPDX-License-Identifier: MIT */
/* Requests that wait for something other than a channel: for keys or a revocation list, without
 * which nobody can say who the client is, and for blob storage. */
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/http/message.h"
#include "gateway/content.h"
#include "gateway/request_core.h"
#include "gateway/throttle.h"

enum {
    IDENTIFY_MS = 60 * 1000, /* the last resort: fetches have shorter limits of their own */
};

/* Identification ------------------------------------------------------------------------ */

void request_park(const struct arrival *a)
{
    struct gateway *g = a->gateway;
    struct request *q = request_make(a, a->head, IDENTIFYING);
    if ((int64_t)g->nwaiting > g->conf->clients.hold_max)
        request_refuse(q, &refusal_busy, "too many requests wait for keys or revocation lists");
}

static void answer_parked_metadata(struct request *q)
{
    if (!answer_metadata(q->gateway, q->pipe.in, q->head.method)) {
        request_refuse(q, &refusal_bad_method, "service metadata is read with GET or HEAD");
        return;
    }
    q->pipe.in = NULL; /* it is over */
    request_finish(q, 200, false);
    request_leave(q);
}

static void relay_parked(struct request *q, const struct identification *by)
{
    struct cmg_head out = arrival_forwarded(q->gateway, q->client, &q->head, q->id, by->text);
    const char *was = q->head.target.p;
    q->room = cmg_realloc(NULL, cmg_head_size(&out));
    cmg_head_copy(&q->head, &out, q->room);
    q->path = request_path_in(&q->path, was, q->head.target.p);
    q->waiting_since_ms = cmg_loop_now_ms(q->gateway->loop);
    request_enter(q, PIPING);
    request_find_channel(q);
}

void request_identify_again(struct request *q)
{
    struct gateway *g = q->gateway;
    struct identification by = { .who = NULL };
    const char *why;
    enum identified is = identify(g, q->client, &q->head, &q->path, &by);
    if (is == IDENTIFY_LATER) {
        if (cmg_loop_now_ms(g->loop) - q->waiting_since_ms >= IDENTIFY_MS)
            request_refuse(q, &refusal_busy, "keys or revocation lists did not come in time");
        return;
    }
    if (is == IDENTIFY_REFUSED) {
        request_refuse_for(q, by.refusal, by.retry_after_s, by.why.text);
        return;
    }
    request_identified(q, by.who);
    unsigned wait = throttle_identity(g->throttle, by.who, cmg_loop_now_ms(g->loop), &why);
    if (wait)
        request_refuse_for(q, &refusal_too_many, wait, why);
    else if (arrival_is_metadata(&q->path))
        answer_parked_metadata(q);
    else
        relay_parked(q, &by);
}

void request_identify_all(struct gateway *g)
{
    struct request *q, *next;
    for (q = TAILQ_FIRST(&g->requests); q && g->nwaiting; q = next) {
        next = TAILQ_NEXT(q, entry);
        if (q->state == IDENTIFYING)
            request_identify_again(q);
    }
}

/* Content ------------------------------------------------------------------------------- */

static const struct refusal *storage_refusal(unsigned status)
{
    return status == 404   ? &refusal_no_content
           : status == 503 ? &refusal_busy
           : status == 504 ? &refusal_storage_timeout
                           : &refusal_storage_failed;
}

static void on_content(void *arg, const struct content_answer *answer)
{
    struct request *q = arg;
    q->ask = NULL;
    q->gateway->tally.lists[answer->status == 200   ? TALLY_LISTED
                            : answer->status == 404 ? TALLY_ABSENT
                                                    : TALLY_UNLISTED]++;
    if (answer->status != 200) {
        request_refuse(q, storage_refusal(answer->status), answer->why);
        return;
    }
    cmg_answer(q->pipe.in, 200, answer->type, answer->body,
               cmg_str_eq(q->head.method, CMG_STR("HEAD")));
    q->pipe.in = NULL; /* it is over */
    q->pipe.response_bytes = answer->body.n;
    request_finish(q, 200, false);
    request_leave(q);
}

void request_content(const struct arrival *a, const struct cmg_identity *who,
                     const struct cmg_content_token *token)
{
    struct gateway *g = a->gateway;
    struct request *q = request_make(a, a->head, ASKING);
    const struct cmg_field *accept =
        cmg_field_find(q->head.fields, q->head.nfields, CMG_STR("Accept"));
    request_identified(q, who);
    q->ask = content_start(g->content, token, accept ? accept->value : CMG_STR(""), on_content, q);
}

size_t request_held_bytes(const struct gateway *g)
{
    const struct request *q;
    size_t n = 0;
    TAILQ_FOREACH(q, &g->requests, entry)
    n += q->pipe.held.n;
    return n;
}
