/* SPDX-License-Identifier: MIT */
/* Each account is a search, page after page, that ends FOUND, ABSENT or FAILED:
 *
 *   ASKING --> FOUND | ABSENT | FAILED
 */
#include "gateway/look.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/loop.h"
#include "cmg/storage/request.h"

enum search_state { SEARCH_ASKING, SEARCH_FOUND, SEARCH_ABSENT, SEARCH_FAILED };

struct search {
    struct look *look;
    struct store *store;
    enum search_state state;
    struct cmg_fetch *fetch;     /* owned; NULL: none is under way */
    struct cmg_listing *listing; /* owned */
    int64_t deadline_ms;
    struct cmg_err err; /* FAILED: why */
};

struct look {
    struct cmg_loop *loop;       /* borrowed */
    struct cmg_fetcher *fetcher; /* borrowed */
    struct stores *stores;       /* shared */
    char *prefix;                /* owned; "id/" */
    struct search *searches;     /* owned, one for each account */
    size_t asking;               /* how many still are */
    struct look_item *items;     /* owned */
    size_t nitems;
    struct cmg_timer *grace; /* owned */
    struct cmg_task done;
    void (*on_done)(void *arg);
    void *arg;
};

/* Putting together ---------------------------------------------------------------------- */

struct entry {
    const struct cmg_blob *blob;
    size_t store;
};

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->blob->name, y->blob->name);
    return order ? order : x->store < y->store ? -1 : x->store > y->store;
}

/* Clients may take either for the other. */
static bool alike(const struct cmg_blob *a, const struct cmg_blob *b)
{
    return a->size == b->size && (!a->md5[0] || !b->md5[0] || !strcmp(a->md5, b->md5));
}

static void unite(struct look *k, const struct entry *all, size_t n)
{
    k->items = cmg_alloc((n + 1) * sizeof(*k->items));
    for (size_t i = 0; i < n; i++) {
        struct look_item *last = k->nitems ? &k->items[k->nitems - 1] : NULL;
        uint16_t bit = (uint16_t)(1U << all[i].store);
        if (!last || strcmp(last->blob->name, all[i].blob->name) != 0)
            k->items[k->nitems++] = (struct look_item){ all[i].blob, bit };
        else if (alike(last->blob, all[i].blob))
            last->stores |= bit;
    }
}

static void put_together(struct look *k)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < k->stores->n; i++)
        if (k->searches[i].state == SEARCH_FOUND)
            n += cmg_listing_count(k->searches[i].listing);
    struct entry *all = cmg_alloc((n + 1) * sizeof(*all));
    for (size_t i = 0; i < k->stores->n; i++) {
        const struct search *s = &k->searches[i];
        for (size_t b = 0; s->state == SEARCH_FOUND && b < cmg_listing_count(s->listing); b++)
            all[at++] = (struct entry){ cmg_listing_at(s->listing, b), i };
    }
    qsort(all, n, sizeof(*all), by_name);
    unite(k, all, n);
    free(all);
}

/* Searches ------------------------------------------------------------------------------ */

static void enter(struct search *s, enum search_state state)
{
    static const bool allowed[4][4] = {
        [SEARCH_ASKING] = { false, true, true, true },
    };
    struct look *k = s->look;
    if (!allowed[s->state][state])
        abort();
    s->state = state;
    if (state == SEARCH_FAILED)
        store_failed(s->store, cmg_loop_now_ms(k->loop), s->err.text);
    else
        store_answered(s->store);
    if (--k->asking == 0) {
        cmg_timer_stop(k->grace);
        cmg_loop_later(k->loop, &k->done);
    } else if (state == SEARCH_FOUND && !cmg_timer_armed(k->grace)) {
        cmg_timer_set(k->grace, LOOK_GRACE_MS);
    }
}

static void fail(struct search *s, enum cmg_rc code, const char *why)
{
    if (why)
        cmg_fail(&s->err, code, "%s: %s", s->store->what, why);
    enter(s, SEARCH_FAILED);
}

static void on_page(void *arg, const struct cmg_fetch_result *result);

static void ask(struct search *s)
{
    struct look *k = s->look;
    struct cmg_blob_request r;
    const char *marker = cmg_listing_marker(s->listing);
    int64_t left = s->deadline_ms - cmg_loop_now_ms(k->loop);
    if (left <= 0) {
        fail(s, CMG_ETIMEOUT, "its list of blobs did not end in time");
        return;
    }
    cmg_blob_request_make(&r, s->store->account,
                          &(struct cmg_blob_op){ .verb = CMG_BLOB_LIST,
                                                 .container = s->store->container,
                                                 .prefix = cmg_str(k->prefix),
                                                 .marker = cmg_str(marker),
                                                 .page = CMG_LISTING_PAGE },
                          cmg_clock_unix());
    const struct cmg_fetch_request request = { .method = r.method,
                                               .url = r.url,
                                               .what = s->store->what,
                                               .fields = r.fields,
                                               .nfields = r.nfields,
                                               .ca_file = s->store->ca_file,
                                               .max_bytes = CMG_LISTING_PAGE_BYTES,
                                               .connect_ms = left,
                                               .timeout_ms = left };
    s->fetch = cmg_fetch_start(k->fetcher, &request, on_page, s);
    cmg_blob_request_clear(&r);
}

static void on_page(void *arg, const struct cmg_fetch_result *result)
{
    struct search *s = arg;
    struct cmg_err err = { 0 };
    char why[CMG_BLOB_WHY];
    s->fetch = NULL;
    if (result->err.code != CMG_OK) {
        s->err = result->err;
        fail(s, s->err.code, NULL);
        return;
    }
    if (result->status != 200) {
        cmg_blob_why(result->status, result->fields, result->nfields, why);
        fail(s, CMG_EIO, why);
        return;
    }
    if (cmg_listing_feed(s->listing, result->body, true, &err) != CMG_OK)
        fail(s, CMG_EPROTO, err.text);
    else if (cmg_listing_marker(s->listing))
        ask(s);
    else
        enter(s, cmg_listing_count(s->listing) ? SEARCH_FOUND : SEARCH_ABSENT);
}

static void begin(struct search *s)
{
    s->listing = cmg_listing_new(cmg_str(s->look->prefix));
    s->deadline_ms = cmg_loop_now_ms(s->look->loop) + s->store->timeout_ms;
    if (store_ready(s->store, cmg_clock_unix(), &s->err) != CMG_OK)
        fail(s, s->err.code, NULL);
    else
        ask(s);
}

/* The whole ----------------------------------------------------------------------------- */

static void on_grace(void *arg)
{
    struct look *k = arg;
    for (size_t i = 0; i < k->stores->n; i++) {
        struct search *s = &k->searches[i];
        if (s->state != SEARCH_ASKING)
            continue;
        cmg_fetch_cancel(s->fetch);
        s->fetch = NULL;
        fail(s, CMG_ETIMEOUT, "had not answered a second after another had; passed over");
    }
}

static void on_all(void *arg)
{
    struct look *k = arg;
    put_together(k);
    k->on_done(k->arg);
}

struct look *look_new(struct cmg_loop *l, struct cmg_fetcher *f, struct stores *stores,
                      const char *id, void (*on_done)(void *arg), void *arg)
{
    struct look *k = cmg_alloc(sizeof(*k));
    char prefix[CMG_BLOB_NAME_MAX];
    snprintf(prefix, sizeof(prefix), "%s/", id);
    *k = (struct look){ .loop = l,
                        .fetcher = f,
                        .stores = stores_ref(stores),
                        .prefix = cmg_strdup(prefix),
                        .searches = cmg_alloc((stores->n + 1) * sizeof(*k->searches)),
                        .asking = stores->n,
                        .on_done = on_done,
                        .arg = arg };
    k->done = (struct cmg_task){ .run = on_all, .arg = k };
    k->grace = cmg_timer_new(l, on_grace, k);
    for (size_t i = 0; i < stores->n; i++)
        k->searches[i] = (struct search){ .look = k, .store = &stores->v[i] };
    for (size_t i = 0; i < stores->n; i++)
        begin(&k->searches[i]);
    if (!stores->n)
        cmg_loop_later(l, &k->done);
    return k;
}

void look_free(struct look *k)
{
    if (!k)
        return;
    cmg_loop_cancel(k->loop, &k->done);
    cmg_timer_free(k->grace);
    for (size_t i = 0; i < k->stores->n; i++) {
        cmg_fetch_cancel(k->searches[i].fetch);
        cmg_listing_free(k->searches[i].listing);
    }
    stores_unref(k->stores);
    free(k->searches);
    free(k->items);
    free(k->prefix);
    free(k);
}

struct stores *look_stores(const struct look *k)
{
    return k->stores;
}

enum look_verdict look_verdict(const struct look *k, struct cmg_err *err)
{
    const struct search *late = NULL, *failed = NULL;
    for (size_t i = 0; i < k->stores->n; i++) {
        const struct search *s = &k->searches[i];
        if (s->state == SEARCH_FOUND)
            return LOOK_FOUND;
        if (s->state == SEARCH_FAILED && s->err.code == CMG_ETIMEOUT)
            late = late ? late : s;
        else if (s->state == SEARCH_FAILED)
            failed = failed ? failed : s;
    }
    if (!failed && !late)
        return LOOK_ABSENT;
    *err = failed ? failed->err : late->err;
    return LOOK_FAILED;
}

size_t look_count(const struct look *k)
{
    return k->nitems;
}

const struct look_item *look_at(const struct look *k, size_t i)
{
    return &k->items[i];
}
