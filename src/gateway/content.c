/* SPDX-License-Identifier: MIT */
/* Requests for content wait at a look: one for all that ask for the same content at the same time,
 * kept for a while, so that a day on which every client fetches one update is not a day on which
 * storage lists it once for each. What is signed is signed for each request, because each token has
 * its own end; that is real work, so it is done in portions, one a turn of the loop.
 *
 *   look    LOOKING --> DONE, kept for KEEP_MS when it found something
 *   ask     WAITING at its look --> READY for its answer --> gone
 */
#include "gateway/content.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/net/loop.h"
#include "cmg/storage/manifest.h"
#include "gateway/look.h"
#include "gateway/stores.h"

enum {
    KEEP_MS = 10000,
    KEPT_MAX = 64,          /* contents */
    KEPT_BLOBS_MAX = 50000, /* of all of them together */
    PORTION_BLOBS = 1000    /* signed in one turn of the loop, the last manifest whole */
};

TAILQ_HEAD(asks, content_ask);
TAILQ_HEAD(entries, entry);

struct entry { /* a content that is looked for, or was */
    struct content *content;
    char id[CMG_CONTENT_ID_MAX]; /* in lower case */
    struct look *look;           /* owned */
    bool done;
    int64_t began_ms, until_ms; /* kept until then */
    unsigned asks;              /* that need it still */
    struct asks waiting;
    TAILQ_ENTRY(entry) entry; /* the oldest first */
};

struct content_ask {
    struct content *content;
    struct entry *entry; /* NULL: refused, there are too many */
    struct cmg_content_token token;
    enum cmg_manifest_form form;
    void (*on_answer)(void *arg, const struct content_answer *a);
    void *arg;
    bool ready;
    TAILQ_ENTRY(content_ask) order; /* in entry's waiting or content's ready */
};

struct content {
    struct cmg_loop *loop;       /* borrowed */
    struct cmg_fetcher *fetcher; /* borrowed */
    struct stores *stores;       /* shared; NULL: content_use was not called */
    int64_t max_requests;
    unsigned nasks;
    struct entries entries;
    struct asks ready;
    struct cmg_task work;
};

/* Entries ------------------------------------------------------------------------------- */

static void entry_free(struct entry *e)
{
    TAILQ_REMOVE(&e->content->entries, e, entry);
    look_free(e->look);
    free(e);
}

/* One that was found with accounts that are still in force may serve others. */
static bool is_kept(const struct entry *e, int64_t now_ms)
{
    return look_stores(e->look) == e->content->stores && (!e->done || e->until_ms > now_ms);
}

/* Lets go of what nobody needs: what is over its time, and the oldest while there are too many. */
static void tidy(struct content *c)
{
    size_t n = 0, blobs = 0;
    struct entry *e, *next;
    TAILQ_FOREACH(e, &c->entries, entry)
    {
        n += e->done;
        blobs += e->done ? look_count(e->look) : 0;
    }
    for (e = TAILQ_FIRST(&c->entries); e; e = next) {
        next = TAILQ_NEXT(e, entry);
        bool spare = n > KEPT_MAX || blobs > KEPT_BLOBS_MAX;
        if (!e->done || e->asks || (!spare && is_kept(e, cmg_loop_now_ms(c->loop))))
            continue;
        n--;
        blobs -= look_count(e->look);
        entry_free(e);
    }
}

static void answer_some(void *arg);

static void on_looked(void *arg)
{
    struct entry *e = arg;
    struct content *c = e->content;
    struct cmg_err err;
    struct content_ask *a;
    int64_t now_ms = cmg_loop_now_ms(c->loop);
    bool found = look_verdict(e->look, &err) == LOOK_FOUND;
    e->done = true;
    e->until_ms = found ? now_ms + KEEP_MS : now_ms;
    log_debug("content.listed", KV("content", e->id), KV("blobs", look_count(e->look)),
              KV("ms", now_ms - e->began_ms));
    TAILQ_FOREACH(a, &e->waiting, order)
    a->ready = true;
    TAILQ_CONCAT(&c->ready, &e->waiting, order);
    cmg_loop_later(c->loop, &c->work);
}

static struct entry *entry_for(struct content *c, const char *content)
{
    struct entry *e;
    char id[CMG_CONTENT_ID_MAX];
    int64_t now_ms = cmg_loop_now_ms(c->loop);
    cmg_str_put(id, sizeof(id), cmg_str(content));
    for (char *p = id; *p; p++)
        *p = cmg_lower(*p);
    TAILQ_FOREACH(e, &c->entries, entry)
    if (is_kept(e, now_ms) && !strcmp(e->id, id))
        return e;
    tidy(c);
    e = cmg_alloc(sizeof(*e));
    *e = (struct entry){ .content = c, .began_ms = now_ms };
    memcpy(e->id, id, sizeof(id));
    TAILQ_INIT(&e->waiting);
    TAILQ_INSERT_TAIL(&c->entries, e, entry);
    e->look = look_new(c->loop, c->fetcher, c->stores, e->id, on_looked, e);
    return e;
}

/* Answers ------------------------------------------------------------------------------- */

struct shares { /* for one token: which accounts may serve it */
    uint16_t stores;
    int64_t until;      /* the first end among them */
    struct cmg_err err; /* of the first that may not */
};

static struct shares shares_of(const struct content_ask *a)
{
    struct shares s = { .until = a->token.end };
    const struct stores *stores = look_stores(a->entry->look);
    int64_t now = cmg_clock_unix(), until;
    for (size_t i = 0; i < stores->n; i++) {
        struct cmg_err *err = s.err.code == CMG_OK ? &s.err : NULL;
        if (store_shares(&stores->v[i], now, a->token.end, &until, err) != CMG_OK)
            continue;
        s.stores |= (uint16_t)(1U << i);
        s.until = until < s.until ? until : s.until;
    }
    return s;
}

static void add_blob(struct cmg_manifest *m, const struct content_ask *a,
                     const struct look_item *item, const struct shares *s)
{
    const struct stores *stores = look_stores(a->entry->look);
    char *urls[STORES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < stores->n; i++) {
        const struct store *store = &stores->v[i];
        if (item->stores & s->stores & (1U << i))
            urls[n++] = cmg_account_share(store->account, store->url, store->container,
                                          cmg_str(item->blob->name), a->token.end);
    }
    cmg_manifest_add(m, item->blob->name + strlen(a->entry->id) + 1, item->blob,
                     (const char *const *)urls, n);
    while (n)
        free(urls[--n]);
}

/* Every blob must be served, or the client would take a part for the whole. */
static enum cmg_rc write_manifest(const struct content_ask *a, struct cmg_buf *out,
                                  struct cmg_err *err)
{
    const struct look *k = a->entry->look;
    struct shares s = shares_of(a);
    for (size_t i = 0; i < look_count(k); i++)
        if (!(look_at(k, i)->stores & s.stores)) {
            *err = s.err;
            return s.err.code;
        }
    struct cmg_manifest *m = cmg_manifest_new(a->form, out, a->token.content, s.until);
    for (size_t i = 0; i < look_count(k); i++)
        add_blob(m, a, look_at(k, i), &s);
    if (cmg_manifest_end(m) == CMG_OK)
        return CMG_OK;
    return cmg_fail(err, CMG_ETOOBIG, "the manifest of content %s is larger than %d MiB",
                    a->token.content, CMG_MANIFEST_MAX >> 20);
}

/* Fills `err`, which `why` may point into. */
static struct content_answer answer_of(const struct content_ask *a, struct cmg_buf *out,
                                       struct cmg_err *err)
{
    if (!a->entry) {
        cmg_fail(err, CMG_ETOOBIG, "too many requests wait for storage; ask again");
        return (struct content_answer){ .status = 503, .why = err->text };
    }
    enum look_verdict verdict = look_verdict(a->entry->look, err);
    if (verdict == LOOK_ABSENT) {
        cmg_fail(err, CMG_EDENIED, "no storage has content %s", a->token.content);
        return (struct content_answer){ .status = 404, .why = err->text };
    }
    if (verdict == LOOK_FOUND && write_manifest(a, out, err) == CMG_OK)
        return (struct content_answer){ .status = 200,
                                        .type = cmg_str(cmg_manifest_type(a->form)),
                                        .body = cmg_buf_str(out) };
    return (struct content_answer){ .status = err->code == CMG_ETIMEOUT ? 504 : 502,
                                    .why = err->text };
}

static void ask_free(struct content_ask *a)
{
    struct content *c = a->content;
    struct entry *e = a->entry;
    TAILQ_REMOVE(a->ready ? &c->ready : &e->waiting, a, order);
    if (!e) {
        free(a);
        return;
    }
    c->nasks--;
    /* Nobody waits for a look that is under way: it ends with the last who did. */
    if (--e->asks == 0 && !e->done)
        entry_free(e);
    free(a);
}

static size_t answer_one(struct content_ask *a)
{
    struct cmg_buf out;
    struct cmg_err err = { 0 };
    size_t blobs = a->entry ? look_count(a->entry->look) : 0;
    void (*on_answer)(void *arg, const struct content_answer *a) = a->on_answer;
    void *arg = a->arg;
    cmg_buf_init(&out, CMG_MANIFEST_MAX);
    struct content_answer answer = answer_of(a, &out, &err);
    ask_free(a);
    on_answer(arg, &answer);
    cmg_buf_clear(&out);
    return blobs;
}

static void answer_some(void *arg)
{
    struct content *c = arg;
    size_t blobs = 0;
    while (!TAILQ_EMPTY(&c->ready) && blobs < PORTION_BLOBS)
        blobs += answer_one(TAILQ_FIRST(&c->ready));
    if (!TAILQ_EMPTY(&c->ready))
        cmg_loop_later(c->loop, &c->work);
    tidy(c);
}

/* Outside ------------------------------------------------------------------------------- */

struct content *content_new(struct cmg_loop *l, struct cmg_fetcher *f)
{
    struct content *c = cmg_alloc(sizeof(*c));
    *c = (struct content){ .loop = l, .fetcher = f, .work = { .run = answer_some, .arg = c } };
    TAILQ_INIT(&c->entries);
    TAILQ_INIT(&c->ready);
    return c;
}

static void drop_asks(struct asks *asks)
{
    struct content_ask *a;
    while ((a = TAILQ_FIRST(asks))) {
        TAILQ_REMOVE(asks, a, order);
        free(a);
    }
}

void content_free(struct content *c)
{
    if (!c)
        return;
    cmg_loop_cancel(c->loop, &c->work);
    drop_asks(&c->ready);
    while (!TAILQ_EMPTY(&c->entries)) {
        drop_asks(&TAILQ_FIRST(&c->entries)->waiting);
        entry_free(TAILQ_FIRST(&c->entries));
    }
    stores_unref(c->stores);
    free(c);
}

enum cmg_rc content_use(struct content *c, const struct gateway_conf *conf, struct cmg_err *err)
{
    struct stores *stores = stores_new(conf, err);
    if (!stores)
        return CMG_ECONF;
    stores_unref(c->stores);
    c->stores = stores;
    c->max_requests = conf->content.max_requests;
    tidy(c);
    return CMG_OK;
}

bool content_refresh(struct content *c, const char *path)
{
    return c->stores && stores_refresh(c->stores, path);
}

const struct stores *content_stores(const struct content *c)
{
    return c->stores;
}

unsigned content_waiting(const struct content *c)
{
    return c->nasks;
}

struct content_ask *content_start(struct content *c, const struct cmg_content_token *token,
                                  struct cmg_str accept,
                                  void (*on_answer)(void *arg, const struct content_answer *a),
                                  void *arg)
{
    struct content_ask *a = cmg_alloc(sizeof(*a));
    *a = (struct content_ask){ .content = c,
                               .token = *token,
                               .form = cmg_manifest_form(accept),
                               .on_answer = on_answer,
                               .arg = arg };
    if (c->nasks < c->max_requests) {
        a->entry = entry_for(c, token->content);
        a->entry->asks++;
        c->nasks++;
    }
    a->ready = !a->entry || a->entry->done;
    TAILQ_INSERT_TAIL(a->ready ? &c->ready : &a->entry->waiting, a, order);
    if (a->ready)
        cmg_loop_later(c->loop, &c->work);
    return a;
}

void content_cancel(struct content_ask *a)
{
    if (a)
        ask_free(a);
}
