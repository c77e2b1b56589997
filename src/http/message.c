/* SPDX-License-Identifier: MIT */
#include "cmg/http/message.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "cmg/base/alloc.h"
#include "cmg/base/buf.h"

static size_t strings_size(const struct cmg_head *h)
{
    size_t n = h->method.n + h->target.n + h->scheme.n + h->authority.n + h->reason.n;
    for (size_t i = 0; i < h->nfields; i++)
        n += h->fields[i].name.n + h->fields[i].value.n;
    return n;
}

size_t cmg_head_size(const struct cmg_head *head)
{
    return head->nfields * sizeof(struct cmg_field) + strings_size(head);
}

static struct cmg_str keep(char **at, struct cmg_str s)
{
    struct cmg_str kept = { *at, s.n };
    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

void cmg_head_copy(struct cmg_head *to, const struct cmg_head *head, void *room)
{
    struct cmg_field *fields = room;
    char *at = (char *)(fields + head->nfields);
    for (size_t i = 0; i < head->nfields; i++) {
        fields[i].name = keep(&at, head->fields[i].name);
        fields[i].value = keep(&at, head->fields[i].value);
    }
    *to = (struct cmg_head){
        .method = keep(&at, head->method),
        .target = keep(&at, head->target),
        .scheme = keep(&at, head->scheme),
        .authority = keep(&at, head->authority),
        .status = head->status,
        .reason = keep(&at, head->reason),
        .fields = fields,
        .nfields = head->nfields,
        .length = head->length,
        .end = head->end,
    };
}

static char *problem(const struct cmg_refusal *r)
{
    json_t *j = json_pack("{s:s, s:s, s:i, s:s, s:s*, s:s*}", "type", "about:blank", "title",
                          r->phrase, "status", (int)r->status, "detail", r->detail, "by", r->by,
                          "request", r->request_id);
    char *text = j ? json_dumps(j, JSON_COMPACT) : cmg_strdup("{}"); /* detail was not UTF-8 */
    json_decref(j);
    if (!text)
        abort();
    return text;
}

/* A structured-field string holds printable ASCII only (RFC 8941 section 3.3.3). */
static void put_sf_string(struct cmg_buf *b, const char *s)
{
    bool ok = cmg_buf_put(b, CMG_STR("\"")) == CMG_OK;
    for (; *s && ok; s++) {
        char two[2] = { '\\', *s < ' ' || *s > '~' ? '?' : *s };
        bool escape = *s == '"' || *s == '\\';
        ok = cmg_buf_put(b, (struct cmg_str){ escape ? two : two + 1, escape ? 2 : 1 }) == CMG_OK;
    }
    if (!ok || cmg_buf_put(b, CMG_STR("\"")) != CMG_OK)
        abort(); /* the ceiling is above what names and details can be */
}

static void put_proxy_status(struct cmg_buf *b, const struct cmg_refusal *r)
{
    put_sf_string(b, r->by);
    if (cmg_buf_printf(b, "; error=%s; details=", r->error) != CMG_OK)
        abort();
    put_sf_string(b, r->detail);
}

static void answer(struct cmg_exchange *x, struct cmg_head *head, struct cmg_str body,
                   bool head_only)
{
    head->length = (int64_t)body.n;
    head->end = head_only || body.n == 0;
    if (x->ops->head(x, head) != CMG_OK) {
        x->ops->abort(x);
        return;
    }
    if (head->end)
        return;
    (void)x->ops->body(x, body);
    x->ops->end(x, NULL, 0);
}

void cmg_refusal_compose(struct cmg_refusal_message *m, const struct cmg_refusal *r)
{
    struct cmg_field *f = m->fields;
    size_t n = 0;
    cmg_buf_init(&m->status, 4096);
    m->text = problem(r);
    m->body = cmg_str(m->text);

    f[n++] = (struct cmg_field){ CMG_STR("Content-Type"), CMG_STR("application/problem+json") };
    f[n++] = (struct cmg_field){ CMG_STR("Cache-Control"), CMG_STR("no-store") };
    if (r->error) {
        put_proxy_status(&m->status, r);
        f[n++] = (struct cmg_field){ CMG_STR("Proxy-Status"), cmg_buf_str(&m->status) };
    }
    if (r->retry_after_s) {
        snprintf(m->retry, sizeof(m->retry), "%u", r->retry_after_s);
        f[n++] = (struct cmg_field){ CMG_STR("Retry-After"), cmg_str(m->retry) };
    }
    for (size_t i = 0; i < r->nfields && n < CMG_COUNT(m->fields); i++)
        f[n++] = r->fields[i];
    m->head = (struct cmg_head){
        .status = r->status,
        .reason = cmg_str(r->phrase),
        .fields = f,
        .nfields = n,
        .length = (int64_t)m->body.n,
    };
}

void cmg_refusal_clear(struct cmg_refusal_message *m)
{
    free(m->text);
    cmg_buf_clear(&m->status);
}

void cmg_refuse(struct cmg_exchange *x, const struct cmg_refusal *r, bool head_only)
{
    struct cmg_refusal_message m;
    cmg_refusal_compose(&m, r);
    answer(x, &m.head, m.body, head_only);
    cmg_refusal_clear(&m);
}

void cmg_answer(struct cmg_exchange *x, unsigned status, struct cmg_str content_type,
                struct cmg_str body, bool head_only)
{
    struct cmg_field f[] = {
        { CMG_STR("Content-Type"), content_type },
        { CMG_STR("Cache-Control"), CMG_STR("no-store") },
    };
    struct cmg_head head = {
        .status = status,
        .reason = cmg_str(cmg_reason(status)),
        .fields = f,
        .nfields = CMG_COUNT(f),
    };
    answer(x, &head, body, head_only);
}
