/* SPDX-License-Identifier: MIT */
#include "ctl/blocked.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmg/auth/identity.h"
#include "cmg/base/alloc.h"

enum { COMMENT_MAX = 200 };

/* A list is never without a byte: to the gateway that is a damaged one. */
#define HEAD "# GUIDs of tokens and clients that are refused: cmgctl token block\n"

bool blocked_next(struct cmg_str *rest, struct blocked_line *line)
{
    if (!rest->n)
        return false;
    const char *end = memchr(rest->p, '\n', rest->n);
    line->whole = (struct cmg_str){ rest->p, end ? (size_t)(end - rest->p) + 1 : rest->n };
    *rest = cmg_str_from(*rest, line->whole.n);

    struct cmg_str guid = line->whole;
    while (guid.n && (guid.p[guid.n - 1] == '\n' || guid.p[guid.n - 1] == '\r'))
        guid.n--;
    const char *mark = guid.n ? memchr(guid.p, '#', guid.n) : NULL;
    size_t before = mark ? (size_t)(mark - guid.p) : guid.n;
    line->comment = mark ? cmg_str_trim(cmg_str_from(guid, before + 1)) : CMG_STR("");
    guid.n = before;
    if (!cmg_guid_ok(cmg_str_trim(guid), line->guid))
        line->guid[0] = '\0';
    return true;
}

bool blocked_has(struct cmg_str text, const char *guid)
{
    struct blocked_line line;
    while (blocked_next(&text, &line))
        if (line.guid[0] && cmg_str_ieq(cmg_str(line.guid), cmg_str(guid)))
            return true;
    return false;
}

enum cmg_rc blocked_comment_ok(const char *comment, struct cmg_err *err)
{
    size_t n = strlen(comment);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)comment[i] < ' ' || comment[i] == 0x7f)
            return cmg_fail(err, CMG_EDENIED, "must be one line");
    return n <= COMMENT_MAX
               ? CMG_OK
               : cmg_fail(err, CMG_EDENIED, "must not be longer than %d bytes", COMMENT_MAX);
}

char *blocked_add(struct cmg_str text, const char *guid, const char *comment)
{
    if (!text.n)
        text = CMG_STR(HEAD);
    size_t size = text.n + 1 + strlen(guid) + 3 + (comment ? strlen(comment) : 0) + 2;
    char *out = cmg_alloc(size);
    memcpy(out, text.p, text.n);
    bool whole = text.p[text.n - 1] == '\n';
    bool said = comment && *comment;
    snprintf(out + text.n, size - text.n, "%s%s%s%s\n", whole ? "" : "\n", guid, said ? " # " : "",
             said ? comment : "");
    return out;
}

char *blocked_remove(struct cmg_str text, const char *guid)
{
    char *out = cmg_alloc(text.n + 1);
    size_t n = 0;
    struct blocked_line line;
    while (blocked_next(&text, &line)) {
        if (line.guid[0] && cmg_str_ieq(cmg_str(line.guid), cmg_str(guid)))
            continue;
        memcpy(out + n, line.whole.p, line.whole.n);
        n += line.whole.n;
    }
    if (n)
        return out;
    free(out);
    return cmg_strdup(HEAD);
}
