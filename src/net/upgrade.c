/* SPDX-License-Identifier: MIT */
#include "upgrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmg/base/alloc.h"
#include "cmg/base/str.h"
#include "cmg/proto/h1.h"

enum { QUOTE = 200, BODY_MAX = 4096 };

struct cmg_upgrade {
    char *protocol, *path, *authority, *fields; /* owned */
    unsigned status;                            /* of a refusal */
    char reason[64];
    char quote[QUOTE + 1]; /* what the peer said of it    */
    char broken[160];      /* or why it is not an answer  */
};

struct cmg_upgrade *cmg_upgrade_new(const struct cmg_dial_target *t)
{
    struct cmg_upgrade *u = cmg_alloc(sizeof(*u));
    const char *name = t->tls_name && *t->tls_name ? t->tls_name : t->host;
    bool bare_v6 = strchr(name, ':') && name[0] != '[';
    char authority[300];
    size_t n = (size_t)snprintf(authority, sizeof(authority), bare_v6 ? "[%s]" : "%s", name);

    if (t->port != 443 && n < sizeof(authority))
        snprintf(authority + n, sizeof(authority) - n, ":%u", t->port);
    u->authority = cmg_strdup(authority);
    u->protocol = cmg_strdup(t->upgrade);
    u->path = cmg_strdup(t->upgrade_path ? t->upgrade_path : "/");
    u->fields = cmg_strdup(t->upgrade_fields ? t->upgrade_fields : "");
    return u;
}

void cmg_upgrade_free(struct cmg_upgrade *u)
{
    if (!u)
        return;
    explicit_bzero(u->fields, strlen(u->fields)); /* may hold a token */
    free(u->protocol);
    free(u->path);
    free(u->authority);
    free(u->fields);
    free(u);
}

enum cmg_rc cmg_upgrade_ask(struct cmg_upgrade *u, struct cmg_buf *out, struct cmg_err *err)
{
    const struct cmg_head head = {
        .method = CMG_STR("GET"),
        .target = cmg_str(u->path),
        .scheme = CMG_STR("https"),
        .authority = cmg_str(u->authority),
        .length = -1,
        .end = true,
    };
    struct cmg_buf extra;
    cmg_buf_init(&extra, 64 * 1024);
    enum cmg_rc rc =
        cmg_buf_printf(&extra, "Connection: Upgrade\r\nUpgrade: %s\r\n%s", u->protocol, u->fields);
    if (rc != CMG_OK)
        cmg_fail(err, rc, "the fields of the upgrade request are too long");
    else
        rc = cmg_h1_put_request(out, &head, cmg_buf_str(&extra), err);
    if (extra.p)
        explicit_bzero(extra.p, extra.cap);
    cmg_buf_clear(&extra);
    return rc;
}

/* ---- what a refusal says ---- */

static void quote_run(struct cmg_upgrade *u, struct cmg_str text)
{
    text = cmg_str_trim(text);
    snprintf(u->quote, sizeof(u->quote), "%.*s", text.n < QUOTE ? (int)text.n : QUOTE, text.p);
}

/* The sentence in it, where known vocabularies put it: RFC 9457 first. */
static void quote_json(struct cmg_upgrade *u, struct cmg_str body)
{
    static const char *const keys[] = { "detail", "title", "error_description", "error",
                                        "message" };
    json_t *j = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
    const char *text = NULL;
    for (size_t i = 0; i < CMG_COUNT(keys) && !text; i++)
        text = json_string_value(json_object_get(j, keys[i]));
    if (text)
        quote_run(u, cmg_str(text));
    json_decref(j);
}

static void quote(struct cmg_upgrade *u, const struct cmg_head *head, struct cmg_str body)
{
    const struct cmg_field *type =
        cmg_field_find(head->fields, head->nfields, CMG_STR("Content-Type"));
    if (!type || !body.n)
        return;
    if (memmem(type->value.p, type->value.n, "json", 4)) {
        quote_json(u, body);
    } else if (cmg_str_istarts(type->value, CMG_STR("text/plain"))) {
        const char *end = memchr(body.p, '\n', body.n);
        quote_run(u, (struct cmg_str){ body.p, end ? (size_t)(end - body.p) : body.n });
    }
}

/* Collects the body as far as it is there. True: that is all, or enough. */
static bool collect(const struct cmg_h1_msg *msg, struct cmg_str in, struct cmg_buf *body)
{
    struct cmg_h1_body reader;
    struct cmg_field trailers[CMG_H1_FIELDS];
    struct cmg_str data;
    size_t used, ntrailers;
    bool done = msg->framing == CMG_H1_NONE;
    enum cmg_rc rc = CMG_OK;

    cmg_h1_body_init(&reader, msg, &cmg_h1_limits_default);
    while (!done && rc == CMG_OK) {
        rc = cmg_h1_body_read(&reader, in, &used, &data, &done, trailers, &ntrailers, NULL);
        in = cmg_str_from(in, used);
        if (rc == CMG_OK && cmg_buf_put(body, data) != CMG_OK)
            return true;
        if (rc == CMG_OK && used == 0)
            break;
    }
    return done || rc < 0;
}

static enum cmg_upgrade_verdict refusal(struct cmg_upgrade *u, const struct cmg_h1_msg *msg,
                                        struct cmg_str rest)
{
    struct cmg_buf body;
    cmg_buf_init(&body, BODY_MAX);
    bool whole = collect(msg, rest, &body);

    u->status = msg->head.status;
    snprintf(u->reason, sizeof(u->reason), "%.*s", CMG_ARG(msg->head.reason));
    quote(u, &msg->head, cmg_buf_str(&body));
    cmg_buf_clear(&body);
    return whole ? CMG_UPGRADE_NO : CMG_UPGRADE_MORE;
}

/* ---- the answer ---- */

static enum cmg_upgrade_verdict switched(struct cmg_upgrade *u, const struct cmg_h1_msg *msg)
{
    if (cmg_str_ieq(msg->upgrade, cmg_str(u->protocol)))
        return CMG_UPGRADE_YES;
    snprintf(u->broken, sizeof(u->broken), "switched to \"%.*s\" instead of %.60s",
             msg->upgrade.n < 60 ? (int)msg->upgrade.n : 60, msg->upgrade.p ? msg->upgrade.p : "",
             u->protocol);
    return CMG_UPGRADE_NO;
}

enum cmg_upgrade_verdict cmg_upgrade_answer(struct cmg_upgrade *u, struct cmg_str in, size_t *used)
{
    struct cmg_h1_msg msg;
    struct cmg_err err;

    *used = 0;
    for (;;) {
        struct cmg_h1_scan scan = { 0 };
        struct cmg_str rest = cmg_str_from(in, *used);
        enum cmg_rc rc =
            cmg_h1_response(rest, CMG_STR("GET"), &cmg_h1_limits_default, &scan, &msg, &err);
        if (rc == CMG_MORE)
            return CMG_UPGRADE_MORE;
        if (rc != CMG_OK) {
            snprintf(u->broken, sizeof(u->broken),
                     "answered the upgrade request with what is not HTTP/1.1: %.80s", err.text);
            return CMG_UPGRADE_NO;
        }
        if (msg.head.status >= 200)
            return refusal(u, &msg, cmg_str_from(rest, msg.size));
        *used += msg.size;
        if (msg.head.status == 101)
            return switched(u, &msg);
    }
}

unsigned cmg_upgrade_status(const struct cmg_upgrade *u)
{
    return u->status;
}

void cmg_upgrade_why(const struct cmg_upgrade *u, char *out, size_t size)
{
    if (u->broken[0])
        snprintf(out, size, "%s", u->broken);
    else
        snprintf(out, size, "refused the upgrade to %.40s: %u%s%.60s%s%s%s", u->protocol, u->status,
                 u->reason[0] ? " " : "", u->reason, u->quote[0] ? " (" : "", u->quote,
                 u->quote[0] ? ")" : "");
}
