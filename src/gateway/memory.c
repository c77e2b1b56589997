/* SPDX-License-Identifier: MIT */
#include "gateway/memory.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/daemon/state.h"
#include "cmg/proto/greeting.h"

enum { FILE_BYTES_MAX = 16 * 1024 * 1024 };

struct memory {
    struct gateway *gateway; /* borrowed */
    char *path;              /* owned; NULL: nothing is remembered */
    struct cmg_buf written;  /* what the file holds */
    struct cmg_task save;
};

static void failed(const struct memory *m, const struct cmg_err *err)
{
    log_warn("gateway.memory_failed", KV("file", m->path), KV("why", err->text));
}

/* Writing ------------------------------------------------------------------------------- */

static enum cmg_rc put_member(struct cmg_buf *b, const struct member *m)
{
    /* A greeting needs these two; nobody reads them here. */
    static char version[] = CMG_VERSION, id[] = "00000000-0000-4000-8000-000000000000";
    bool spoke;
    const struct cmg_endpoint_set *set = member_endpoints(m, &spoke);
    if (!spoke || !member_is_admitted(m))
        return CMG_OK;
    char *name = cmg_strdup(member_name(m)), *site = cmg_strdup(member_site(m));
    char *json = cmg_greeting_write(&(struct cmg_greeting){
        .name = name, .site = site, .version = version, .connection_id = id, .endpoints = *set });
    enum cmg_rc rc = cmg_buf_printf(b, "%s\n", json);
    free(json);
    free(name);
    free(site);
    return rc;
}

static void on_save(void *arg)
{
    struct memory *m = arg;
    struct registry *r = m->gateway->registry;
    struct cmg_err err = { .text = "more is published than can be remembered" };
    struct cmg_buf now;
    enum cmg_rc rc = CMG_OK;
    cmg_buf_init(&now, FILE_BYTES_MAX);
    for (struct member *one = registry_next(r, NULL); one && rc == CMG_OK;
         one = registry_next(r, one))
        rc = put_member(&now, one);
    bool same = cmg_str_eq(cmg_buf_str(&now), cmg_buf_str(&m->written));
    if (rc == CMG_OK && !same)
        rc = cmg_state_replace(m->path, cmg_buf_str(&now), &err);
    if (rc != CMG_OK)
        failed(m, &err);
    cmg_buf_clear(&m->written);
    m->written = now; /* a write that failed is tried again at the next change */
}

void memory_touch(struct memory *m)
{
    if (m && m->path)
        cmg_loop_defer(m->gateway->loop, &m->save);
}

/* Reading ------------------------------------------------------------------------------- */

static void recall(struct registry *r, struct cmg_greeting *g)
{
    struct member *m = registry_member(r, g->name);
    if (m && cmg_str_eq(cmg_str(member_site(m)), cmg_str(g->site)))
        registry_publish(r, m, &g->endpoints);
}

static void read_all(struct memory *m)
{
    struct cmg_err err = { .code = CMG_OK };
    struct cmg_str rest = { NULL, 0 }, line;
    char *text = cmg_state_read(m->path, FILE_BYTES_MAX, &rest.n, &err);
    rest.p = text;
    while (text && err.code == CMG_OK && cmg_str_next(&rest, '\n', &line)) {
        struct cmg_greeting g;
        if (!line.n)
            continue;
        if (cmg_greeting_read(line, &g, &err) != CMG_OK)
            break;
        recall(m->gateway->registry, &g);
        cmg_greeting_clear(&g);
    }
    if (err.code != CMG_OK)
        failed(m, &err);
    free(text);
}

struct memory *memory_new(struct gateway *g)
{
    struct memory *m = cmg_alloc(sizeof(*m));
    m->gateway = g;
    m->path = cmg_state_path(g->conf->traffic.state, "published.jsonl");
    m->save = (struct cmg_task){ .run = on_save, .arg = m };
    cmg_buf_init(&m->written, FILE_BYTES_MAX);
    if (m->path)
        read_all(m);
    return m;
}

void memory_free(struct memory *m)
{
    if (!m)
        return;
    cmg_loop_cancel(m->gateway->loop, &m->save);
    cmg_buf_clear(&m->written);
    free(m->path);
    free(m);
}
