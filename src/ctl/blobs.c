/* SPDX-License-Identifier: MIT */
#include "ctl/blobs.h"

#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/http/fetch.h"
#include "cmg/net/loop.h"
#include "ctl/publish_plan.h"

enum { CONNECT_MS = 15000, ANSWER_MS = 60000, SLOWEST_BYTES_PER_MS = 16, WHAT_MAX = 64 };

struct call {
    struct blobs *blobs;
    struct blobs_ask ask;
    unsigned tries;
    struct cmg_fetch *fetch; /* in flight, or NULL */
    struct cmg_timer *timer; /* owned; armed before the next try */
    struct call *next, **at;
};

struct blobs {
    struct cmg_loop *loop;       /* borrowed */
    const struct store *store;   /* borrowed */
    struct cmg_fetcher *fetcher; /* owned */
    unsigned tries;
    void (*on_wait)(void *arg, const char *why, int64_t wait_ms);
    void *arg;
    struct call *calls; /* owned */
    char what[WHAT_MAX];
};

struct blobs *blobs_new(struct cmg_loop *l, const struct store *s, unsigned tries,
                        void (*on_wait)(void *arg, const char *why, int64_t wait_ms), void *arg)
{
    struct blobs *b = cmg_alloc(sizeof(*b));
    *b = (struct blobs){ .loop = l, .store = s, .tries = tries, .on_wait = on_wait, .arg = arg };
    snprintf(b->what, sizeof(b->what), "storage %s", cmg_account_name(s->account));
    b->fetcher = cmg_fetcher_new(l);
    cmg_fetcher_proxy(b->fetcher, s->proxy);
    return b;
}

static void call_free(struct call *c)
{
    cmg_fetch_cancel(c->fetch);
    cmg_timer_free(c->timer);
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    free(c);
}

void blobs_free(struct blobs *b)
{
    if (!b)
        return;
    while (b->calls)
        call_free(b->calls);
    cmg_fetcher_free(b->fetcher);
    free(b);
}

/* --- one request ---------------------------------------------------------------------------- */

static void finish(struct call *c, const struct blobs_answer *answer)
{
    struct blobs_ask ask = c->ask;
    call_free(c);
    ask.on_done(ask.arg, answer);
}

static bool good(const struct call *c, unsigned status)
{
    return (status >= 200 && status < 300) || (status && status == c->ask.fine);
}

/* Another try later; false: this was the last, or it would be answered the same. */
static bool again(struct call *c, enum cmg_rc rc, unsigned status, const char *why)
{
    struct blobs *b = c->blobs;
    int64_t wait_ms = plan_retry_ms(rc, status, c->tries, cmg_loop_dice(b->loop));
    if (c->tries >= b->tries || wait_ms < 0)
        return false;
    if (b->on_wait)
        b->on_wait(b->arg, why, wait_ms);
    cmg_timer_set(c->timer, wait_ms);
    return true;
}

static void on_refusal(struct call *c, const struct cmg_fetch_result *r)
{
    struct blobs_answer a = { .rc = CMG_EDENIED, .status = r->status, .body = r->body };
    char why[CMG_BLOB_WHY];
    cmg_blob_why(r->status, r->fields, r->nfields, why);
    a.why = why;
    cmg_fail(&a.err, a.rc, "%s: %s", c->blobs->what, why);
    if (again(c, CMG_OK, r->status, a.err.text))
        return;
    const char *hint = plan_hint(r->status, why);
    if (*hint)
        cmg_fail(&a.err, a.rc, "%s: %s; %s", c->blobs->what, why, hint);
    finish(c, &a);
}

static void on_result(void *arg, const struct cmg_fetch_result *r)
{
    struct call *c = arg;
    c->fetch = NULL;
    if (r->err.code != CMG_OK) {
        struct blobs_answer a = { .rc = r->err.code, .err = r->err, .why = "" };
        if (!again(c, a.rc, 0, a.err.text))
            finish(c, &a);
    } else if (good(c, r->status)) {
        struct blobs_answer a = { .status = r->status, .body = r->body, .why = "" };
        finish(c, &a);
    } else {
        on_refusal(c, r);
    }
}

static void try_now(struct call *c, struct cmg_str body)
{
    const struct blobs *b = c->blobs;
    struct cmg_blob_op op = c->ask.op;
    op.container = b->store->container;
    op.length = body.n;
    struct cmg_blob_request r;
    cmg_blob_request_make(&r, b->store->account, &op, cmg_clock_unix());
    c->tries++;
    c->fetch = cmg_fetch_start(b->fetcher,
                               &(struct cmg_fetch_request){
                                   .method = r.method,
                                   .url = r.url,
                                   .what = b->what,
                                   .fields = r.fields,
                                   .nfields = r.nfields,
                                   .body = body,
                                   .ca_file = b->store->ca_file,
                                   .max_bytes = CMG_LISTING_PAGE_BYTES,
                                   .connect_ms = CONNECT_MS,
                                   .timeout_ms = ANSWER_MS + (int64_t)body.n / SLOWEST_BYTES_PER_MS,
                               },
                               on_result, c);
    cmg_blob_request_clear(&r);
}

static void on_timer(void *arg)
{
    struct call *c = arg;
    struct cmg_str body = { 0 };
    struct blobs_answer a = { .rc = CMG_EIO, .why = "" };
    if (!c->ask.body || c->ask.body(c->ask.arg, &body, &a.err))
        try_now(c, body);
    else
        finish(c, &a);
}

void blobs_start(struct blobs *b, const struct blobs_ask *ask)
{
    struct call *c = cmg_alloc(sizeof(*c));
    *c = (struct call){ .blobs = b, .ask = *ask, .next = b->calls, .at = &b->calls };
    if (c->next)
        c->next->at = &c->next;
    b->calls = c;
    c->timer = cmg_timer_new(b->loop, on_timer, c);
    try_now(c, ask->first);
}

/* --- all pages of a list -------------------------------------------------------------------- */

struct list {
    struct blobs *blobs;
    struct cmg_listing *listing; /* owned */
    char *prefix;                /* owned */
    char marker[CMG_MARKER_MAX];
    void (*on_done)(void *arg, struct cmg_listing *taken, bool missing, const struct cmg_err *err);
    void *arg;
};

static void on_page(void *arg, const struct blobs_answer *a);

static void ask_page(struct list *l)
{
    blobs_start(l->blobs, &(struct blobs_ask){ .op = { .verb = CMG_BLOB_LIST,
                                                       .prefix = cmg_str(l->prefix),
                                                       .marker = cmg_str(l->marker) },
                                               .fine = 404,
                                               .on_done = on_page,
                                               .arg = l });
}

static void list_end(struct list *l, bool missing, const struct cmg_err *err)
{
    struct list was = *l;
    free(l->prefix);
    free(l);
    if (err)
        cmg_listing_free(was.listing);
    was.on_done(was.arg, err ? NULL : was.listing, missing, err);
}

static void on_page(void *arg, const struct blobs_answer *a)
{
    struct list *l = arg;
    struct cmg_err err = a->err;
    if (a->rc != CMG_OK || a->status == 404) {
        list_end(l, a->status == 404, a->rc == CMG_OK ? NULL : &err);
        return;
    }
    if (cmg_listing_feed(l->listing, a->body, true, &err) != CMG_OK) {
        list_end(l, false, &err);
        return;
    }
    const char *marker = cmg_listing_marker(l->listing);
    cmg_str_put(l->marker, sizeof(l->marker), cmg_str(marker));
    if (marker)
        ask_page(l);
    else
        list_end(l, false, NULL);
}

void blobs_list(struct blobs *b, const char *prefix,
                void (*on_done)(void *arg, struct cmg_listing *taken, bool missing,
                                const struct cmg_err *err),
                void *arg)
{
    struct list *l = cmg_alloc(sizeof(*l));
    *l = (struct list){ .blobs = b, .on_done = on_done, .arg = arg };
    l->listing = cmg_listing_new(cmg_str(prefix));
    l->prefix = cmg_strdup(prefix);
    ask_page(l);
}
