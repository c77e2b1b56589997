/* SPDX-License-Identifier: MIT */
/* One request to the door, as its handler sees it. An ask belongs to its handler until it is
 * answered, whether or not the client, or the door itself, is still there. */
#include <stdlib.h>

#include "admin_core.h"
#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/http/message.h"
#include "cmg/proto/query.h"

struct cmg_admin_ask *admin_ask_new(struct cmg_admin *a, struct cmg_exchange *x,
                                    const struct cmg_head *head, const char *peer)
{
    struct cmg_admin_ask *ask = cmg_alloc(sizeof(*ask));
    struct cmg_str target = head->target;
    const char *mark = target.n ? memchr(target.p, '?', target.n) : NULL;
    size_t n = mark ? (size_t)(mark - target.p) : target.n;
    ask->admin = a;
    ask->x = x;
    ask->head = cmg_str_eq(head->method, CMG_STR("HEAD"));
    ask->reads = ask->head || cmg_str_eq(head->method, CMG_STR("GET"));
    ask->query = cmg_str_dup(mark ? cmg_str_from(target, n + 1) : CMG_STR(""));
    cmg_str_put(ask->method, sizeof(ask->method), head->method);
    cmg_str_put(ask->path, sizeof(ask->path), (struct cmg_str){ target.p, n });
    cmg_str_put(ask->peer, sizeof(ask->peer), cmg_str(peer));
    TAILQ_INSERT_TAIL(&a->asks, ask, entry);
    a->nasks++;
    return ask;
}

void admin_ask_free(struct cmg_admin_ask *ask)
{
    if (ask->admin) {
        TAILQ_REMOVE(&ask->admin->asks, ask, entry);
        ask->admin->nasks--;
    }
    free(ask->query);
    free(ask);
}

/* The query --------------------------------------------------------------------------------- */

bool cmg_admin_parameter(const struct cmg_admin_ask *ask, const char *name, char *out, size_t size)
{
    struct cmg_str rest = cmg_str(ask->query), key, value;
    while (cmg_query_next(&rest, &key, &value)) {
        if (!cmg_str_eq(key, cmg_str(name)))
            continue;
        (void)cmg_query_decode(value, out, size);
        return true;
    }
    return false;
}

const char *admin_ask_query(const struct cmg_admin_ask *ask, const struct cmg_admin_route *route)
{
    struct cmg_str rest = cmg_str(ask->query), key, value;
    while (route->parameters && cmg_query_next(&rest, &key, &value)) {
        const char *const *known = route->parameters;
        while (*known && !cmg_str_eq(key, cmg_str(*known)))
            known++;
        if (!*known)
            return "there is no such parameter here";
    }
    return NULL;
}

const char *cmg_admin_peer(const struct cmg_admin_ask *ask)
{
    return ask->peer;
}

bool cmg_admin_alive(const struct cmg_admin_ask *ask)
{
    return ask->x != NULL;
}

/* Answers ----------------------------------------------------------------------------------- */

/* What changes something is worth a line; what only looks is not. */
static void log_it(const struct cmg_admin_ask *ask)
{
    const char *peer = ask->peer, *method = ask->method, *path = ask->path;
    if (ask->reads)
        log_debug("admin.request", KV("peer", peer), KV("method", method), KV("path", path),
                  KV("status", ask->code));
    else
        log_info("admin.request", KV("peer", peer), KV("method", method), KV("path", path),
                 KV("status", ask->code));
}

static void over(struct cmg_admin_ask *ask)
{
    log_it(ask);
    admin_ask_free(ask);
}

void cmg_admin_text(struct cmg_admin_ask *ask, unsigned status, const char *type,
                    struct cmg_str body)
{
    ask->code = status;
    if (ask->x)
        cmg_answer(ask->x, status, cmg_str(type), body, ask->head);
    over(ask);
}

/* What is not UTF-8 jansson will not write; nothing that we say is so. */
static char *line_of(json_t *taken)
{
    char *text = json_dumps(taken, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
    json_decref(taken);
    if (!text)
        return cmg_strdup("null\n");
    size_t n = strlen(text);
    text = cmg_realloc(text, n + 2);
    memcpy(text + n, "\n", 2);
    return text;
}

void cmg_admin_json(struct cmg_admin_ask *ask, unsigned status, json_t *taken)
{
    char *text = line_of(taken);
    cmg_admin_text(ask, status, "application/json", cmg_str(text));
    free(text);
}

void admin_ask_refuse(struct cmg_admin_ask *ask, unsigned status, const char *allow,
                      const char *why)
{
    const struct cmg_field field = { CMG_STR("Allow"), cmg_str(allow) };
    const struct cmg_refusal r = {
        .status = status,
        .phrase = cmg_reason(status),
        .detail = why,
        .fields = &field,
        .nfields = allow ? 1 : 0,
    };
    ask->code = status;
    if (ask->x)
        cmg_refuse(ask->x, &r, ask->head);
    over(ask);
}

void cmg_admin_refuse(struct cmg_admin_ask *ask, unsigned status, const char *why)
{
    admin_ask_refuse(ask, status, NULL, why);
}

/* In parts ---------------------------------------------------------------------------------- */

void cmg_admin_stream(struct cmg_admin_ask *ask, const char *type)
{
    struct cmg_field f[] = {
        { CMG_STR("Content-Type"), cmg_str(type) },
        { CMG_STR("Cache-Control"), CMG_STR("no-store") },
    };
    const struct cmg_head head = {
        .status = 200,
        .reason = cmg_str(cmg_reason(200)),
        .fields = f,
        .nfields = CMG_COUNT(f),
        .length = -1,
        .end = ask->head,
    };
    ask->code = 200;
    ask->begun = true;
    if (!ask->x)
        return;
    if (ask->x->ops->head(ask->x, &head) != CMG_OK)
        ask->x->ops->abort(ask->x);
    else if (!ask->head)
        return;
    ask->x = NULL; /* over with its head */
}

/* One who does not read is cut when the queue is full; what a stream may hold is bounded so. */
bool cmg_admin_line(struct cmg_admin_ask *ask, json_t *taken)
{
    char *text = line_of(taken);
    if (ask->x && ask->full) {
        ask->x->ops->abort(ask->x);
        ask->x = NULL;
    }
    if (ask->x)
        ask->full = !ask->x->ops->body(ask->x, cmg_str(text));
    free(text);
    return ask->x != NULL;
}

void cmg_admin_end(struct cmg_admin_ask *ask)
{
    if (ask->x)
        ask->x->ops->end(ask->x, NULL, 0);
    over(ask);
}
