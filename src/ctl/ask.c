/* SPDX-License-Identifier: MIT */
#include "ctl/ask.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/buf.h"
#include "cmg/http/fetch.h"
#include "cmg/net/loop.h"

enum { LINE_MAX_BYTES = 64 * 1024, CONNECT_MS = 5000 };

/* --- which daemon --------------------------------------------------------------------------- */

static const char *const programs[DOORS_MAX] = { "cmg-gateway", "cmg-connection-point" };

static void door_default(struct door *d, const char *run, const char *program)
{
    d->program = program;
    snprintf(d->path, sizeof(d->path), "%s/%s/admin.sock", run, program);
}

static enum cmg_rc door_named(const char *path, struct doors *out, struct cmg_err *err)
{
    out->n = 1;
    out->at[0].program = "the daemon";
    if (strlen(path) >= sizeof(out->at[0].path))
        return cmg_fail(err, CMG_EDENIED, "--socket: no socket has a name of more than %zu bytes",
                        sizeof(out->at[0].path) - 1);
    snprintf(out->at[0].path, sizeof(out->at[0].path), "%s", path);
    return CMG_OK;
}

/* A folder that may not be looked into may hold one: asking says what is wrong. */
static bool may_be_there(const struct door *d)
{
    return access(d->path, F_OK) == 0 || errno == EACCES;
}

enum cmg_rc doors_find(const struct ctl_args *a, const char *run, struct doors *out,
                       struct cmg_err *err)
{
    const char *path = ctl_text(a, "socket");
    bool wanted[DOORS_MAX] = { ctl_has(a, "gateway"), ctl_has(a, "connection-point") };
    *out = (struct doors){ 0 };
    if (path && (wanted[0] || wanted[1]))
        return cmg_fail(err, CMG_EDENIED, "--socket already says which daemon");
    if (path)
        return door_named(path, out, err);
    for (size_t i = 0; i < DOORS_MAX; i++) {
        struct door *d = &out->at[out->n];
        door_default(d, run, programs[i]);
        if (wanted[0] || wanted[1] ? wanted[i] : may_be_there(d))
            out->n++;
    }
    if (!out->n) {
        door_default(&out->at[0], run, "cmg-gateway or cmg-connection-point");
        snprintf(out->at[0].path, sizeof(out->at[0].path), "%s/cmg-*/admin.sock", run);
        out->n = 1;
    }
    return CMG_OK;
}

enum ctl_exit doors_choose(const struct ctl_args *a, bool one, struct doors *out)
{
    struct cmg_err err;
    if (doors_find(a, "/run", out, &err) != CMG_OK)
        return ctl_misused(a, "%s", err.text);
    if (one && out->n > 1)
        return ctl_misused(a, "both daemons are here: say --gateway or --connection-point");
    return CTL_OK;
}

/* --- one request ---------------------------------------------------------------------------- */

struct asking {
    struct cmg_loop *loop;
    struct answer *out;
    struct cmg_err err;  /* why there is no answer */
    struct cmg_buf line; /* begun, but not ended yet */
    bool (*on_line)(void *arg, struct cmg_str line);
    void *arg;
};

/* Which of the usual reasons it is, is seen on the file better than in connect's words. */
static enum cmg_rc unreached(const struct door *d, const struct cmg_err *why, struct cmg_err *err)
{
    bool searchable = access(d->path, F_OK) == 0 || errno != EACCES;
    if (why->code == CMG_ETIMEOUT)
        return cmg_fail(err, CMG_ETIMEOUT, "%s does not answer at %s: see its log", d->program,
                        d->path);
    if (!searchable || (access(d->path, F_OK) == 0 && access(d->path, W_OK) != 0))
        return cmg_fail(err, CMG_EIO, "%s: permission denied: be root, or a member of group cmg",
                        d->path);
    if (access(d->path, F_OK) != 0)
        return cmg_fail(err, CMG_EIO,
                        "there is no %s: %s does not run here (systemctl status), or its [admin] "
                        "socket is elsewhere (--socket)",
                        d->path, d->program);
    return cmg_fail(err, CMG_EIO, "%s: does it run? systemctl status says", why->text);
}

static bool on_body(void *arg, struct cmg_str bytes)
{
    struct asking *q = arg;
    for (const char *end; (end = bytes.n ? memchr(bytes.p, '\n', bytes.n) : NULL);) {
        size_t n = (size_t)(end - bytes.p);
        if (cmg_buf_put(&q->line, (struct cmg_str){ bytes.p, n }) != CMG_OK)
            return false;
        if (q->line.n && !q->on_line(q->arg, cmg_buf_str(&q->line)))
            return false;
        cmg_buf_clear(&q->line);
        bytes = cmg_str_from(bytes, n + 1);
    }
    return cmg_buf_put(&q->line, bytes) == CMG_OK;
}

static void on_done(void *arg, const struct cmg_fetch_result *r)
{
    struct asking *q = arg;
    q->err = r->err;
    if (r->err.code == CMG_OK) {
        q->out->status = r->status;
        q->out->n = r->body.n;
        q->out->body = cmg_str_dup(r->body);
    }
    cmg_loop_stop(q->loop);
}

static enum cmg_rc fetch(const struct door *d, struct asking *q, struct cmg_fetch_request *r,
                         const char *target, struct cmg_err *err)
{
    char url[512];
    signal(SIGPIPE, SIG_IGN);
    snprintf(url, sizeof(url), "http://localhost%s", target);
    r->url = url;
    r->what = d->program;
    r->unix_socket = d->path;
    r->max_bytes = ASK_MAX_BYTES;
    r->connect_ms = CONNECT_MS;
    q->loop = cmg_loop_new();
    *q->out = (struct answer){ 0 };
    struct cmg_fetcher *fetcher = cmg_fetcher_new(q->loop);
    cmg_fetch_start(fetcher, r, on_done, q);
    cmg_loop_run(q->loop);
    cmg_fetcher_free(fetcher);
    cmg_loop_free(q->loop);
    cmg_buf_clear(&q->line);
    return q->err.code == CMG_OK ? CMG_OK : unreached(d, &q->err, err);
}

enum cmg_rc ask(const struct door *d, const char *method, const char *target, struct answer *out,
                struct cmg_err *err)
{
    struct asking q = { .out = out };
    struct cmg_fetch_request r = { .method = method, .timeout_ms = ASK_MS };
    return fetch(d, &q, &r, target, err);
}

enum cmg_rc ask_lines(const struct door *d, const char *target, int64_t timeout_ms,
                      bool (*on_line)(void *arg, struct cmg_str line), void *arg,
                      struct answer *out, struct cmg_err *err)
{
    struct asking q = { .out = out, .on_line = on_line, .arg = arg };
    struct cmg_fetch_request r = { .timeout_ms = timeout_ms, .on_body = on_body };
    cmg_buf_init(&q.line, LINE_MAX_BYTES);
    return fetch(d, &q, &r, target, err);
}

/* --- answers -------------------------------------------------------------------------------- */

void answer_clear(struct answer *a)
{
    free(a->body);
    *a = (struct answer){ 0 };
}

void answer_print(const struct answer *a)
{
    fwrite(a->body, 1, a->n, stdout);
    if (a->n && a->body[a->n - 1] != '\n')
        putchar('\n');
}

static const char *word(const json_t *j, const char *key)
{
    const char *text = json_string_value(json_object_get(j, key));
    return text && *text ? text : NULL;
}

/* A problem of RFC 9457 says it best in its detail. */
static void refusal(const struct door *d, const struct answer *a, const json_t *j,
                    struct cmg_err *err)
{
    const char *why = word(j, "detail");
    why = why ? why : word(j, "why");
    if (a->status == 404)
        cmg_fail(err, CMG_EDENIED, "%s does not know this question: is it as new as cmgctl?",
                 d->program);
    else if (why)
        cmg_fail(err, CMG_EDENIED, "%s: %s", d->program, why);
    else
        cmg_fail(err, CMG_EDENIED, "%s answered %u", d->program, a->status);
}

json_t *answer_json(const struct door *d, const struct answer *a, unsigned status,
                    struct cmg_err *err)
{
    json_t *j = json_loadb(a->body ? a->body : "", a->n, JSON_REJECT_DUPLICATES, NULL);
    if (a->status == status && json_is_object(j))
        return j;
    if (a->status == status)
        cmg_fail(err, CMG_EPROTO, "%s: what answers at %s sends no JSON", d->program, d->path);
    else
        refusal(d, a, j, err);
    json_decref(j);
    return NULL;
}

enum ctl_exit ask_failed(const struct cmg_err *err)
{
    ctl_failed(err);
    return err->code == CMG_EIO || err->code == CMG_ETIMEOUT ? CTL_UNREACHED : CTL_FAILED;
}
