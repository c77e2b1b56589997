/* SPDX-License-Identifier: MIT */
/* Who runs when. libcurl's multi interface asks for readiness and for one timer; both are the
 * loop's. What has ended is collected and told in a task of its own, so that whoever is told may
 * start, cancel and free as it likes: libcurl is never on the stack then.
 *
 *   cmg_fetch_start -> WAITING -> RUNNING -> DONE -> TOLD, in on_done
 *                         |                   ^
 *                         +-- time is up -----+
 */
#include "cmg/http/fetch.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "fetch_core.h"

enum { KEPT_MAX = 32 }; /* connections at rest */

struct fetch_socket {
    struct cmg_fetcher *fetcher; /* borrowed */
    curl_socket_t fd;            /* libcurl's */
    struct cmg_watch *watch;
    LIST_ENTRY(fetch_socket) entry;
};

/* ---- one fetch ---- */

static void enter(struct cmg_fetch *f, enum fetch_state to)
{
    static const bool allowed[FETCH_STATES][FETCH_STATES] = {
        [FETCH_WAITING] = { [FETCH_RUNNING] = true, [FETCH_DONE] = true },
        [FETCH_RUNNING] = { [FETCH_DONE] = true },
        [FETCH_DONE] = { [FETCH_TOLD] = true },
    };
    struct cmg_fetcher *fetcher = f->fetcher;
    if (!allowed[f->state][to])
        abort();
    TAILQ_REMOVE(&fetcher->lists[f->state], f, entry);
    if (f->state == FETCH_RUNNING)
        fetcher->nrunning--;
    if (to == FETCH_RUNNING)
        fetcher->nrunning++;
    f->state = to;
    if (to != FETCH_TOLD)
        TAILQ_INSERT_TAIL(&fetcher->lists[to], f, entry);
}

/* It stands in no list and in no multi handle any more. */
static void fetch_free(struct cmg_fetch *f)
{
    curl_easy_cleanup(f->curl);
    curl_slist_free_all(f->fields);
    cmg_timer_free(f->deadline);
    cmg_buf_clear(&f->in);
    free(f->body);
    free(f->got);
    free(f);
}

static void take_fields(struct cmg_fetch *f)
{
    struct curl_header *h = NULL;
    size_t n = 0, i = 0;
    while ((h = curl_easy_nextheader(f->curl, CURLH_HEADER, -1, h)))
        n++;
    f->got = cmg_alloc((n + 1) * sizeof(*f->got));
    while (i < n && (h = curl_easy_nextheader(f->curl, CURLH_HEADER, -1, h)))
        f->got[i++] = (struct cmg_field){ cmg_str(h->name), cmg_str(h->value) };
    f->result.fields = f->got;
    f->result.nfields = i;
}

static void take_response(struct cmg_fetch *f)
{
    long status = 0;
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    f->result.status = (unsigned)status;
    f->result.body = cmg_buf_str(&f->in);
    take_fields(f);
}

/* f->result.err is there. */
static void finish(struct cmg_fetch *f)
{
    if (f->state == FETCH_RUNNING)
        curl_multi_remove_handle(f->fetcher->multi, f->curl);
    cmg_timer_stop(f->deadline);
    enter(f, FETCH_DONE);
    if (f->result.err.code == CMG_OK)
        take_response(f);
    cmg_loop_defer(f->fetcher->loop, &f->fetcher->deliver);
}

/* ---- their turn ---- */

static void start_next(struct cmg_fetcher *fetcher)
{
    struct fetch_list *waiting = &fetcher->lists[FETCH_WAITING];
    while (fetcher->nrunning < CMG_FETCHES_MAX && !TAILQ_EMPTY(waiting)) {
        struct cmg_fetch *f = TAILQ_FIRST(waiting);
        enter(f, FETCH_RUNNING);
        if (curl_multi_add_handle(fetcher->multi, f->curl) != CURLM_OK)
            abort(); /* out of memory, or a mistake of ours */
    }
}

static void on_deadline(void *arg)
{
    struct cmg_fetch *f = arg;
    struct cmg_fetcher *fetcher = f->fetcher;
    fetch_explain_timeout(f);
    finish(f);
    start_next(fetcher);
}

/* Whatever libcurl has ended since it was last asked. */
static void collect(struct cmg_fetcher *fetcher)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(fetcher->multi, &left))) {
        CURLcode rc = m->data.result;
        char *f = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f);
        fetch_explain((void *)f, rc);
        finish((void *)f);
    }
    start_next(fetcher);
}

/* One at a time, and nothing is touched after the call: it may have freed the fetcher. */
static void on_deliver(void *arg)
{
    struct cmg_fetcher *fetcher = arg;
    struct fetch_list *done = &fetcher->lists[FETCH_DONE];
    struct cmg_fetch *f = TAILQ_FIRST(done);
    if (!f)
        return;
    enter(f, FETCH_TOLD);
    if (!TAILQ_EMPTY(done))
        cmg_loop_defer(fetcher->loop, &fetcher->deliver);
    f->on_done(f->arg, &f->result);
    fetch_free(f);
}

/* ---- libcurl on the loop ---- */

static void on_timer(void *arg)
{
    struct cmg_fetcher *fetcher = arg;
    int running;
    curl_multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(fetcher);
}

/* The socket may be gone after the first call. */
static void on_ready(void *arg, bool readable, bool writable)
{
    const struct fetch_socket *s = arg;
    struct cmg_fetcher *fetcher = s->fetcher;
    int running, what = (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(fetcher->multi, s->fd, what, &running);
    collect(fetcher);
}

static int on_want_timer(CURLM *multi, long after_ms, void *arg)
{
    struct cmg_fetcher *fetcher = arg;
    (void)multi;
    if (after_ms < 0)
        cmg_timer_stop(fetcher->timer);
    else
        cmg_timer_set(fetcher->timer, after_ms);
    return 0;
}

static void socket_free(struct fetch_socket *s)
{
    LIST_REMOVE(s, entry);
    cmg_watch_free(s->watch);
    free(s);
}

static int on_want_socket(CURL *curl, curl_socket_t fd, int what, void *arg, void *of_socket)
{
    struct cmg_fetcher *fetcher = arg;
    struct fetch_socket *s = of_socket;
    (void)curl;
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            curl_multi_assign(fetcher->multi, fd, NULL);
            socket_free(s);
        }
        return 0;
    }
    if (!s) {
        s = cmg_alloc(sizeof(*s));
        s->fetcher = fetcher;
        s->fd = fd;
        s->watch = cmg_watch_new(fetcher->loop, fd, on_ready, s);
        LIST_INSERT_HEAD(&fetcher->sockets, s, entry);
        curl_multi_assign(fetcher->multi, fd, s);
    }
    cmg_watch_want(s->watch, what & CURL_POLL_IN, what & CURL_POLL_OUT);
    return 0;
}

/* ---- the public part ---- */

struct cmg_fetcher *cmg_fetcher_new(struct cmg_loop *l)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) /* counted, and never undone */
        abort();
    struct cmg_fetcher *f = cmg_alloc(sizeof(*f));
    f->loop = l;
    f->timer = cmg_timer_new(l, on_timer, f);
    f->deliver = (struct cmg_task){ .run = on_deliver, .arg = f };
    for (size_t i = 0; i < FETCH_TOLD; i++)
        TAILQ_INIT(&f->lists[i]);
    LIST_INIT(&f->sockets);
    f->multi = curl_multi_init();
    if (!f->multi || curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_want_socket) ||
        curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f) ||
        curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_want_timer) ||
        curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f) ||
        curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_MAX))
        abort();
    return f;
}

void cmg_fetcher_proxy(struct cmg_fetcher *f, const char *url)
{
    free(f->proxy);
    f->proxy = url && *url ? cmg_strdup(url) : NULL;
}

void cmg_fetcher_free(struct cmg_fetcher *f)
{
    struct cmg_fetch *fetch;
    if (!f)
        return;
    for (size_t i = 0; i < FETCH_TOLD; i++)
        while ((fetch = TAILQ_FIRST(&f->lists[i])))
            cmg_fetch_cancel(fetch);
    cmg_loop_cancel(f->loop, &f->deliver);
    curl_multi_cleanup(f->multi);
    while (!LIST_EMPTY(&f->sockets))
        socket_free(LIST_FIRST(&f->sockets));
    cmg_timer_free(f->timer);
    free(f->proxy);
    free(f);
}

struct cmg_fetch *cmg_fetch_start(struct cmg_fetcher *f, const struct cmg_fetch_request *r,
                                  void (*on_done)(void *arg, const struct cmg_fetch_result *result),
                                  void *arg)
{
    struct cmg_fetch *fetch = cmg_alloc(sizeof(*fetch));
    fetch->fetcher = f;
    fetch->on_done = on_done;
    fetch->arg = arg;
    fetch->timeout_ms = r->timeout_ms > 0 ? r->timeout_ms : 1;
    fetch->connect_ms = r->connect_ms > 0 ? r->connect_ms : fetch->timeout_ms;
    cmg_buf_init(&fetch->in, r->max_bytes);
    fetch->on_body = r->on_body;
    fetch->deadline = cmg_timer_new(f->loop, on_deadline, fetch);
    fetch->state = FETCH_WAITING;
    TAILQ_INSERT_TAIL(&f->lists[FETCH_WAITING], fetch, entry);
    if (fetch_set_up(fetch, r)) {
        cmg_timer_set(fetch->deadline, fetch->timeout_ms);
        start_next(f);
    } else {
        finish(fetch);
    }
    return fetch;
}

void cmg_fetch_cancel(struct cmg_fetch *fetch)
{
    if (!fetch || fetch->state == FETCH_TOLD)
        return;
    struct cmg_fetcher *f = fetch->fetcher;
    if (fetch->state == FETCH_RUNNING) {
        curl_multi_remove_handle(f->multi, fetch->curl);
        f->nrunning--;
    }
    TAILQ_REMOVE(&f->lists[fetch->state], fetch, entry);
    fetch_free(fetch);
    start_next(f);
}
