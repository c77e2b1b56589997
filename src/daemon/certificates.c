/* SPDX-License-Identifier: MIT */
/* A file that changed stays marked until what is on disk is in force: whatever goes wrong in
 * between, the next look, the next change or the next hour tries again. */
#include "cmg/daemon/certificates.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/net/filewatch.h"
#include "cmg/net/loop.h"
#include "cmg/net/tls.h"

enum {
    DAY_S = 24 * 60 * 60,
    LOOK_MS = 60 * 60 * 1000,
    REST_MS = 2 * CMG_FILEWATCH_MS, /* two looks more: the other one of a pair may yet come */
    DATE_TEXT = 32
};

struct held { /* one certificate in force */
    struct cmg_certificate shown;
    char fingerprint[65];
    unsigned step; /* the last one that was warned of */
};

struct pair {                /* one file, with its key or of CAs */
    char *certificate, *key; /* owned; key: NULL for CAs */
    struct held *held;       /* owned */
    size_t nheld;
    bool changed;  /* on disk, and not in force yet */
    bool fit;      /* in the attempt that runs      */
    char *refused; /* owned; what was said last about that; NULL: nothing */
};

struct list {
    struct pair *pairs; /* owned */
    size_t n;
    struct cmg_filewatch *watch; /* NULL: there is no list */
};

struct cmg_certificates {
    struct cmg_loop *loop; /* borrowed */
    enum cmg_rc (*renew)(void *arg, struct cmg_err *err);
    void *arg;
    struct list used, next;
    struct cmg_task attempt;
    struct cmg_timer *rest, *look;
    struct cmg_certificate *view; /* owned */
    size_t nview;
};

/* When to warn ------------------------------------------------------------------------------ */

unsigned cmg_certificate_step(int64_t not_before, int64_t not_after, int64_t now)
{
    static const int64_t days[] = { 30, 14, 7, 1 };
    int64_t left = not_after - now, life = not_after - not_before;
    unsigned step = CMG_CERTIFICATE_FAR;
    if (left <= 0)
        return CMG_CERTIFICATE_OVER;
    for (unsigned i = 0; i < CMG_COUNT(days); i++)
        if (left <= days[i] * DAY_S && days[i] * DAY_S <= life / 3)
            step = i + 1;
    return step;
}

static const char *date(int64_t unix_s, char out[DATE_TEXT])
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || !strftime(out, DATE_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm))
        return NULL;
    return out;
}

static void warn_of(struct held *h, int64_t now)
{
    char text[DATE_TEXT];
    unsigned step = cmg_certificate_step(h->shown.not_before, h->shown.not_after, now);
    if (step > h->step)
        log_warn("certificate.ending", KV("file", h->shown.file),
                 KV("subject", (const char *)h->shown.subject),
                 KV("not_after", date(h->shown.not_after, text)),
                 KV("days", (h->shown.not_after - now) / DAY_S));
    h->step = step; /* down, too, when a clock was put right */
}

void cmg_certificates_look(struct cmg_certificates *c, int64_t now)
{
    for (size_t i = 0; i < c->used.n; i++)
        for (size_t k = 0; k < c->used.pairs[i].nheld; k++)
            warn_of(&c->used.pairs[i].held[k], now);
}

/* What is in force --------------------------------------------------------------------------- */

static void pair_clear(struct pair *p)
{
    free(p->certificate);
    free(p->key);
    free(p->held);
    free(p->refused);
}

static void list_clear(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        pair_clear(&l->pairs[i]);
    free(l->pairs);
    cmg_filewatch_free(l->watch);
    *l = (struct list){ .pairs = NULL };
}

static struct held hold(const struct pair *p, const struct cmg_tls_identity *id)
{
    struct held h = { .shown = { .file = p->certificate,
                                 .not_before = id->not_before,
                                 .not_after = id->not_after,
                                 .ca = !p->key } };
    cmg_str_put(h.shown.subject, sizeof(h.shown.subject), cmg_str(id->subject));
    cmg_str_put(h.fingerprint, sizeof(h.fingerprint), cmg_str(id->fingerprint));
    return h;
}

static const struct held *held_in(const struct pair *p, const char *fingerprint)
{
    for (size_t i = 0; i < p->nheld; i++)
        if (!strcmp(p->held[i].fingerprint, fingerprint))
            return &p->held[i];
    return NULL;
}

/* `before`: the same file as it was in force until now. True: it was another one. */
static bool read_held(struct pair *p, const struct pair *before)
{
    struct cmg_tls_identity ids[CMG_CERTIFICATES_PER_FILE];
    size_t n = cmg_tls_read_certificates(p->certificate, ids, CMG_COUNT(ids), NULL);
    if (n && p->key)
        n = 1;
    if (n > CMG_COUNT(ids))
        n = 0;
    bool differs = n != before->nheld;
    struct held *held = n ? cmg_alloc(n * sizeof(*held)) : NULL;
    for (size_t i = 0; i < n; i++) {
        const struct held *same = held_in(before, ids[i].fingerprint);
        held[i] = hold(p, &ids[i]);
        if (same)
            held[i].step = same->step;
        differs |= !same;
    }
    if (p == before)
        free(p->held);
    p->held = held;
    p->nheld = n;
    return differs;
}

static void say_renewed(const struct pair *p)
{
    const struct cmg_certificate *first = p->nheld ? &p->held[0].shown : NULL;
    char text[DATE_TEXT];
    log_notice("certificate.renewed", KV("file", (const char *)p->certificate),
               KV("subject", first ? first->subject : NULL),
               KV("not_after", first ? date(first->not_after, text) : NULL));
}

static void make_view(struct cmg_certificates *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->used.n; i++)
        n += c->used.pairs[i].nheld;
    free(c->view);
    c->view = n ? cmg_alloc(n * sizeof(*c->view)) : NULL;
    c->nview = 0;
    for (size_t i = 0; i < c->used.n; i++)
        for (size_t k = 0; k < c->used.pairs[i].nheld; k++)
            c->view[c->nview++] = c->used.pairs[i].held[k].shown;
}

size_t cmg_certificates(const struct cmg_certificates *c, const struct cmg_certificate **list)
{
    *list = c->view;
    return c->nview;
}

/* Renewed on disk ---------------------------------------------------------------------------- */

static enum cmg_rc check(const struct pair *p, struct cmg_err *err)
{
    struct cmg_tls_identity one;
    if (p->key)
        return cmg_tls_check_pair(p->certificate, p->key, err);
    return cmg_tls_read_certificates(p->certificate, &one, 1, err) ? CMG_OK : CMG_ECONF;
}

static void refuse(struct pair *p, const struct cmg_err *why)
{
    if (p->refused && !strcmp(p->refused, why->text))
        return;
    free(p->refused);
    p->refused = cmg_strdup(why->text);
    log_error("certificate.refused", KV("file", (const char *)p->certificate),
              KV("why", (const char *)why->text));
}

/* True: there is something to load. `rested`: what does not fit now is not just half written. */
static bool any_fits(struct cmg_certificates *c, bool rested)
{
    bool any = false;
    for (size_t i = 0; i < c->used.n; i++) {
        struct pair *p = &c->used.pairs[i];
        struct cmg_err err;
        p->fit = p->changed && check(p, &err) == CMG_OK;
        if (p->changed && !p->fit && rested)
            refuse(p, &err);
        any |= p->fit;
    }
    return any;
}

static void in_force(struct pair *p)
{
    p->changed = false;
    free(p->refused);
    p->refused = NULL;
    if (read_held(p, p))
        say_renewed(p);
}

/* Returns whether something on disk is still not in force. */
static bool attempt(struct cmg_certificates *c, bool rested)
{
    struct cmg_err err;
    bool left = false;
    enum cmg_rc rc = any_fits(c, rested) ? c->renew(c->arg, &err) : CMG_OK;
    for (size_t i = 0; i < c->used.n; i++) {
        struct pair *p = &c->used.pairs[i];
        if (p->fit && rc == CMG_OK)
            in_force(p);
        else if (p->fit && rested)
            refuse(p, &err);
        left |= p->changed;
    }
    make_view(c);
    cmg_certificates_look(c, cmg_clock_unix());
    return left;
}

static void on_attempt(void *arg)
{
    struct cmg_certificates *c = arg;
    cmg_timer_stop(c->rest);
    if (attempt(c, false))
        cmg_timer_set(c->rest, REST_MS);
}

static void on_rest(void *arg)
{
    (void)attempt(arg, true);
}

static void on_change(void *arg, const char *path)
{
    struct cmg_certificates *c = arg;
    for (size_t i = 0; i < c->used.n; i++) {
        struct pair *p = &c->used.pairs[i];
        if (strcmp(p->certificate, path) != 0 && (!p->key || strcmp(p->key, path) != 0))
            continue;
        p->changed = true;
        free(p->refused);
        p->refused = NULL;
    }
    cmg_loop_defer(c->loop, &c->attempt); /* often both of a pair, in one look */
}

static void on_look(void *arg)
{
    struct cmg_certificates *c = arg;
    cmg_timer_set(c->look, LOOK_MS);
    (void)attempt(c, true);
}

/* Lists -------------------------------------------------------------------------------------- */

void cmg_certificates_prepare(struct cmg_certificates *c)
{
    list_clear(&c->next);
    c->next.watch = cmg_filewatch_new(c->loop, on_change, c);
}

static struct pair *find(const struct list *l, const char *certificate, const char *key)
{
    for (size_t i = 0; i < l->n; i++) {
        struct pair *p = &l->pairs[i];
        bool same_key = p->key && key ? !strcmp(p->key, key) : p->key == key;
        if (same_key && !strcmp(p->certificate, certificate))
            return p;
    }
    return NULL;
}

void cmg_certificates_add(struct cmg_certificates *c, const char *certificate, const char *key)
{
    struct list *l = &c->next;
    if (!certificate || !*certificate || find(l, certificate, key))
        return;
    cmg_filewatch_add(l->watch, certificate);
    cmg_filewatch_add(l->watch, key);
    l->pairs = cmg_realloc(l->pairs, (l->n + 1) * sizeof(*l->pairs));
    l->pairs[l->n++] = (struct pair){ .certificate = cmg_strdup(certificate),
                                      .key = key ? cmg_strdup(key) : NULL };
}

void cmg_certificates_use(struct cmg_certificates *c)
{
    static const struct pair none;
    for (size_t i = 0; i < c->next.n; i++) {
        struct pair *p = &c->next.pairs[i];
        const struct pair *before = find(&c->used, p->certificate, p->key);
        if (read_held(p, before ? before : &none) && before)
            say_renewed(p);
    }
    list_clear(&c->used);
    c->used = c->next;
    c->next = (struct list){ .pairs = NULL };
    make_view(c);
    cmg_certificates_look(c, cmg_clock_unix());
}

void cmg_certificates_drop(struct cmg_certificates *c)
{
    list_clear(&c->next);
}

struct cmg_certificates *cmg_certificates_new(struct cmg_loop *l,
                                              enum cmg_rc (*renew)(void *arg, struct cmg_err *err),
                                              void *arg)
{
    struct cmg_certificates *c = cmg_alloc(sizeof(*c));
    c->loop = l;
    c->renew = renew;
    c->arg = arg;
    c->attempt = (struct cmg_task){ .run = on_attempt, .arg = c };
    c->rest = cmg_timer_new(l, on_rest, c);
    c->look = cmg_timer_new(l, on_look, c);
    cmg_timer_set(c->look, LOOK_MS);
    return c;
}

void cmg_certificates_free(struct cmg_certificates *c)
{
    if (!c)
        return;
    cmg_loop_cancel(c->loop, &c->attempt);
    cmg_timer_free(c->rest);
    cmg_timer_free(c->look);
    list_clear(&c->next);
    list_clear(&c->used);
    free(c->view);
    free(c);
}
