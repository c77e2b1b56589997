/* SPDX-License-Identifier: MIT */
#include "ctl/token_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/base64.h"
#include "ctl/when.h"

enum { COLUMN = 18 };

static json_t *read_part(struct cmg_str *rest, const char *what, struct cmg_err *err)
{
    const char *dot = rest->n ? memchr(rest->p, '.', rest->n) : NULL;
    if (!dot) {
        cmg_fail(err, CMG_EDENIED, "not a token: three parts with dots between");
        return NULL;
    }
    struct cmg_str part = { rest->p, (size_t)(dot - rest->p) };
    *rest = cmg_str_from(*rest, part.n + 1);
    char *bytes = cmg_alloc(cmg_base64_room(part.n) + 1);
    size_t n = 0;
    enum cmg_rc rc = cmg_base64_get(CMG_BASE64URL, part, bytes, &n);
    json_t *j = rc == CMG_OK ? json_loadb(bytes, n, 0, NULL) : NULL;
    free(bytes);
    if (json_is_object(j))
        return j;
    json_decref(j);
    cmg_fail(err, CMG_EDENIED, "not a token: its %s is not %s", what,
             rc == CMG_OK ? "a JSON object" : "base64url");
    return NULL;
}

enum cmg_rc token_parts_read(struct cmg_str token, struct token_parts *out, struct cmg_err *err)
{
    *out = (struct token_parts){ 0 };
    out->header = read_part(&token, "first part", err);
    out->claims = out->header ? read_part(&token, "second part", err) : NULL;
    if (out->claims)
        return CMG_OK;
    token_parts_clear(out);
    return CMG_EDENIED;
}

void token_parts_clear(struct token_parts *p)
{
    json_decref(p->header);
    json_decref(p->claims);
    *p = (struct token_parts){ 0 };
}

static bool is_time(const char *name)
{
    return !strcmp(name, "exp") || !strcmp(name, "nbf") || !strcmp(name, "iat");
}

/* As JSON in ASCII: control characters come as escapes, of names as well. */
static void show_member(const char *name, json_t *value, int64_t now)
{
    json_t *key = json_string(name);
    char *shown = json_dumps(key, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_COMPACT);
    if (shown && text)
        printf("  %-*.*s  %s", COLUMN, (int)strlen(shown) - 2, shown + 1, text);
    if (is_time(name) && json_is_integer(value)) {
        char when[WHEN_BOTH];
        when_both(json_integer_value(value), now, when);
        printf("  %s", when);
    }
    putchar('\n');
    json_decref(key);
    free(shown);
    free(text);
}

static void show_object(const char *title, json_t *object, int64_t now)
{
    const char *name;
    json_t *value;
    printf("%s\n", title);
    json_object_foreach(object, name, value) show_member(name, value, now);
}

void token_show(const struct token_parts *p, int64_t now)
{
    show_object("header", p->header, now);
    show_object("claims", p->claims, now);
}
