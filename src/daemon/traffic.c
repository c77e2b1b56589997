/* SPDX-License-Identifier: MIT */
/* The book of traffic, kept: when it is counted, what is logged of it and what lies on the disk.
 *
 *   traffic.jsonl      one line for each period that has ended; the last ones count
 *   traffic-now.json   the one that runs, written anew whenever it is counted
 */
#include "cmg/daemon/traffic.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/daemon/admin.h"
#include "cmg/daemon/state.h"
#include "cmg/net/loop.h"
#include "traffic_book.h"

enum {
    COUNT_S = 30,                    /* so much is lost when the process is killed */
    LINES_MAX = 2 * TRAFFIC_PERIODS, /* then the file is written anew */
    FILE_MAX = 32 * 1024 * 1024,     /* that is read */
    REPORT_MAX = 16 * 1024 * 1024
};

struct cmg_traffic {
    struct cmg_loop *loop;            /* borrowed */
    struct cmg_traffic_source source; /* what it points to is borrowed */
    char *server;                     /* owned */
    struct traffic_book *book;        /* owned */
    struct cmg_timer *timer;          /* owned */
    char *past_path, *now_path;       /* owned; NULL: nothing is kept on the disk */
    size_t lines;                     /* of past_path */
    bool past_failed, now_failed;     /* writing: that was logged */
};

/* On the disk ----------------------------------------------------------------------------- */

static void written(bool *failed, const char *path, enum cmg_rc rc, const struct cmg_err *err)
{
    if (rc != CMG_OK && !*failed)
        log_warn("traffic.state_failed", KV("file", path), KV("why", err->text));
    *failed = rc != CMG_OK;
}

/* With its line end; NULL-terminated, to be freed by the caller. */
static char *line_of(const struct traffic_period *p)
{
    json_t *o = traffic_period_save(p);
    char *text = json_dumps(o, JSON_COMPACT);
    if (!text)
        abort();
    json_decref(o);
    size_t n = strlen(text);
    char *line = cmg_realloc(NULL, n + 2);
    memcpy(line, text, n);
    memcpy(line + n, "\n", 2);
    free(text);
    return line;
}

static void write_now(struct cmg_traffic *t)
{
    struct cmg_err err;
    if (!t->now_path)
        return;
    char *line = line_of(traffic_book_running(t->book));
    written(&t->now_failed, t->now_path, cmg_state_replace(t->now_path, cmg_str(line), &err), &err);
    free(line);
}

/* Only what counts, so that the file stays small. */
static void write_past(struct cmg_traffic *t)
{
    struct cmg_buf all;
    struct cmg_err err;
    enum cmg_rc rc = CMG_OK;
    cmg_buf_init(&all, FILE_MAX);
    for (size_t i = traffic_book_count(t->book); i-- && rc == CMG_OK;) {
        char *line = line_of(traffic_book_at(t->book, i));
        rc = cmg_buf_put(&all, cmg_str(line));
        free(line);
    }
    if (rc != CMG_OK)
        cmg_fail(&err, rc, "%s would be too large", t->past_path);
    else
        rc = cmg_state_replace(t->past_path, cmg_buf_str(&all), &err);
    written(&t->past_failed, t->past_path, rc, &err);
    if (rc == CMG_OK)
        t->lines = traffic_book_count(t->book);
    cmg_buf_clear(&all);
}

static void write_newest(struct cmg_traffic *t)
{
    struct cmg_err err;
    if (!t->past_path)
        return;
    if (t->lines >= LINES_MAX || t->past_failed) { /* or half a line is at its end */
        write_past(t);
        return;
    }
    char *line = line_of(traffic_book_at(t->book, 0));
    written(&t->past_failed, t->past_path, cmg_state_append(t->past_path, cmg_str(line), &err),
            &err);
    t->lines++;
    free(line);
}

static char *read_file(const char *path, size_t *n)
{
    struct cmg_err err;
    char *text = cmg_state_read(path, FILE_MAX, n, &err);
    if (!text && err.code != CMG_OK)
        log_warn("traffic.state_failed", KV("file", path), KV("why", err.text));
    return text;
}

/* The number of lines that are of no use: damaged, too old, or written by a clock that was wrong.
 */
static size_t read_lines(struct cmg_traffic *t, struct cmg_str rest, int64_t now)
{
    struct cmg_str line;
    struct traffic_period p;
    size_t useless = 0;
    while (cmg_str_next(&rest, '\n', &line)) {
        if (!line.n)
            continue;
        t->lines++;
        if (!traffic_period_load(line, &p) || !traffic_book_restore(t->book, &p, now))
            useless++;
    }
    return useless;
}

static void read_state(struct cmg_traffic *t, int64_t now)
{
    size_t n;
    struct traffic_period p;
    char *text = read_file(t->past_path, &n);
    bool torn = text && n && text[n - 1] != '\n';
    size_t useless = text ? read_lines(t, (struct cmg_str){ text, n }, now) : 0;
    free(text);
    size_t before = traffic_book_count(t->book);
    text = read_file(t->now_path, &n);
    if (text && traffic_period_load((struct cmg_str){ text, n }, &p))
        traffic_book_resume(t->book, &p, now);
    free(text);
    if (useless || torn || traffic_book_count(t->book) != before)
        write_past(t);
}

/* Counting -------------------------------------------------------------------------------- */

static void on_endpoint(void *to, const struct cmg_traffic_endpoint *e)
{
    struct cmg_traffic *t = to;
    traffic_book_add(t->book, e, cmg_counts_peak(e->counts));
}

static void say_period(const struct traffic_period *p)
{
    char start[TRAFFIC_TIME], end[TRAFFIC_TIME];
    traffic_time(p->start, start);
    traffic_time(p->end, end);
    for (size_t i = 0; i < p->n; i++) {
        const struct traffic_row *r = &p->rows[i];
        log_info("traffic.period", KV("endpoint", r->name), KV("proxy", cmg_or_none(r->proxy)),
                 KV("target", cmg_or_none(r->target)), KV("start", start), KV("end", end),
                 KV("requests", r->requests), KV("with_token", r->bearer), KV("failed", r->failed),
                 KV("max_in_flight", r->max_in_flight), KV("in_bytes", r->request_bytes),
                 KV("out_bytes", r->response_bytes));
    }
}

void cmg_traffic_count(struct cmg_traffic *t)
{
    int64_t now = cmg_clock_unix();
    traffic_book_begin(t->book, now);
    t->source.visit(t->source.arg, on_endpoint, t);
    if (traffic_book_end(t->book, cmg_counts_peak(t->source.all), now)) {
        say_period(traffic_book_at(t->book, 0));
        write_newest(t);
    }
    write_now(t);
}

static void set_timer(struct cmg_traffic *t)
{
    int64_t left = traffic_book_left(t->book, cmg_clock_unix());
    left = left < 1 ? 1 : left > COUNT_S ? COUNT_S : left;
    cmg_timer_set(t->timer, left * 1000);
}

static void on_time(void *arg)
{
    struct cmg_traffic *t = arg;
    cmg_traffic_count(t);
    set_timer(t);
}

struct cmg_traffic *cmg_traffic_new(struct cmg_loop *l, const struct cmg_traffic_conf *conf,
                                    const struct cmg_traffic_source *source)
{
    struct cmg_traffic *t = cmg_alloc(sizeof(*t));
    int64_t now = cmg_clock_unix();
    t->loop = l;
    t->source = *source;
    t->server = cmg_strdup(source->server);
    t->book = traffic_book_new(conf->interval_ms / 1000);
    t->past_path = cmg_state_path(conf->state, "traffic.jsonl");
    t->now_path = cmg_state_path(conf->state, "traffic-now.json");
    if (t->past_path)
        read_state(t, now);
    t->timer = cmg_timer_new(l, on_time, t);
    cmg_traffic_count(t);
    set_timer(t);
    return t;
}

void cmg_traffic_free(struct cmg_traffic *t)
{
    if (!t)
        return;
    cmg_traffic_count(t);
    cmg_timer_free(t->timer);
    traffic_book_free(t->book);
    free(t->server);
    free(t->past_path);
    free(t->now_path);
    free(t);
}

/* GET /traffic ---------------------------------------------------------------------------- */

static const struct traffic_period *period(const struct cmg_traffic *t, size_t i)
{
    return i < traffic_book_count(t->book) ? traffic_book_at(t->book, i)
                                           : traffic_book_running(t->book);
}

static void answer_json(struct cmg_traffic *t, struct cmg_admin_ask *ask, size_t n)
{
    json_t *periods = json_array();
    for (size_t i = 0; i < n && i < traffic_book_count(t->book); i++)
        json_array_append_new(periods, traffic_period_json(traffic_book_at(t->book, i), t->server));
    json_t *all = json_pack("{s:o,s:o}", "Periods", periods, "Running",
                            traffic_period_json(traffic_book_running(t->book), t->server));
    if (!all)
        abort();
    cmg_admin_json(ask, 200, all);
}

/* `n` 0: the one document that a site server takes. */
static void answer_xml(struct cmg_traffic *t, struct cmg_admin_ask *ask, size_t n)
{
    struct cmg_buf b;
    size_t there = traffic_book_count(t->book);
    cmg_buf_init(&b, REPORT_MAX);
    enum cmg_rc rc = cmg_buf_put(&b, CMG_STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
    if (rc == CMG_OK && n)
        rc = cmg_buf_put(&b, CMG_STR("<ProxyTrafficStates>\n"));
    for (size_t i = 0; i < (n ? n : 1) && (i < there || !n) && rc == CMG_OK; i++)
        rc = traffic_period_xml(&b, period(t, i), t->server);
    if (rc == CMG_OK && n)
        rc = cmg_buf_put(&b, CMG_STR("</ProxyTrafficStates>\n"));
    if (rc == CMG_OK)
        cmg_admin_text(ask, 200, "application/xml; charset=utf-8", cmg_buf_str(&b));
    else
        cmg_admin_refuse(ask, 400, "that is too much at one time: ask for fewer periods");
    cmg_buf_clear(&b);
}

void cmg_traffic_answer(struct cmg_traffic *t, struct cmg_admin_ask *ask)
{
    char format[8] = "json", periods[8] = "";
    bool some = cmg_admin_parameter(ask, "periods", periods, sizeof(periods));
    long long n = some ? cmg_str_number(cmg_str(periods)) : 0;
    (void)cmg_admin_parameter(ask, "format", format, sizeof(format));
    if (some && (n < 1 || n > TRAFFIC_PERIODS))
        cmg_admin_refuse(ask, 400, "periods is a number from 1 to 288");
    else if (!strcmp(format, "xml"))
        answer_xml(t, ask, (size_t)n);
    else if (!strcmp(format, "json"))
        answer_json(t, ask, some ? (size_t)n : 1);
    else
        cmg_admin_refuse(ask, 400, "format is xml or json");
}
