/* SPDX-License-Identifier: MIT */
/* One walk over the path. Nothing is ever rewritten: servers differ in how they decode and
 * fold paths, so a path that could be read in two ways is refused, and the bytes that were
 * judged are the bytes that go on. */
#include "cmg/proto/path.h"

#include "cmg/base/alloc.h"
#include "chars.h"

/* The byte that an encoded triplet stands for, or -1. */
static int triplet(struct cmg_str s, size_t at)
{
    if (s.n - at < 3 || s.p[at] != '%')
        return -1;
    int high = cmg_char_hex(s.p[at + 1]), low = cmg_char_hex(s.p[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* The byte at `at`, decoded once, and where the next one starts. -1 at the end. */
static int decoded(struct cmg_str s, size_t at, size_t *next)
{
    if (at >= s.n)
        return -1;
    int byte = triplet(s, at);
    *next = at + (byte < 0 ? 1 : 3);
    return byte < 0 ? (uint8_t)s.p[at] : byte;
}

/* An encoded '%' whose successors make it an escape again: some server decodes twice.
 * "%u" is how IIS once wrote UTF-16. */
static bool encoded_twice(struct cmg_str s, size_t at)
{
    size_t next = at;
    int a = decoded(s, at, &next);
    if (a == 'u' || a == 'U')
        return true;
    int b = decoded(s, next, &next);
    return a >= 0 && b >= 0 && cmg_char_hex((char)a) >= 0 && cmg_char_hex((char)b) >= 0;
}

/* UTF-8 that spells a character in more bytes than it needs (RFC 3629 section 3), told by
 * its first two. Bytes that are no UTF-8 at all are some other character set and pass, but
 * for 0xc0 and 0xc1, which lenient decoders turn into ASCII whatever follows. */
static bool overlong(int lead, int second)
{
    bool follows = second >= 0x80 && second <= 0xbf;
    if (lead == 0xc0 || lead == 0xc1)
        return true;
    if (lead == 0xe0)
        return follows && second < 0xa0;
    if (lead == 0xf0)
        return follows && second < 0x90;
    return lead >= 0xf8 && follows;
}

/* Judges what CMG_CHAR_PATH leaves open, but for '/'. NULL: fine, and *next is set. */
static const char *judge(struct cmg_str path, size_t at, size_t *next)
{
    int byte = decoded(path, at, next);
    bool encoded = *next - at == 3;

    if (path.p[at] == '%' && !encoded)
        return "the path has a broken percent-encoding";
    if (byte < 0x20 || byte == 0x7f)
        return "the path has a control character";
    if (byte == '\\')
        return "the path has a backslash";
    if (!encoded && (byte == ' ' || byte == '#'))
        return "the path has a blank or a '#'";
    if (encoded && (byte == '.' || byte == '/'))
        return "the path has an encoded dot or slash";
    if (encoded && byte == '%' && encoded_twice(path, *next))
        return "the path is percent-encoded twice";

    size_t after;
    if (byte >= 0xc0 && overlong(byte, decoded(path, *next, &after)))
        return "the path has overlong UTF-8";
    return NULL;
}

/* A segment that ended just before `end`. */
static const char *judge_segment(struct cmg_str path, size_t start, size_t end)
{
    if (end > start && path.p[end - 1] == '.')
        return "a segment of the path ends in a dot";
    if (end - start >= 3 && triplet(path, end - 3) == ' ')
        return "a segment of the path ends in a blank";
    return NULL;
}

static const char *judge_path(struct cmg_str path)
{
    size_t start = 1, i = 1; /* the first byte is known to be '/' */
    const char *why;

    while (i < path.n) {
        if (cmg_char(path.p[i]) & CMG_CHAR_PATH) {
            i++;
        } else if (path.p[i] != '/') {
            if ((why = judge(path, i, &i)))
                return why;
        } else {
            if (i == start)
                return "the path has an empty segment";
            if ((why = judge_segment(path, start, i)))
                return why;
            start = ++i;
        }
    }
    return judge_segment(path, start, i);
}

static const char *judge_query(struct cmg_str query)
{
    return cmg_chars_all(query, CMG_CHAR_TARGET)
               ? NULL
               : "the query has a blank, a control character or a '#'";
}

static const struct {
    struct cmg_str name;
    enum cmg_tree tree;
} trees[] = {
    { { "CCM_Proxy_MutualAuth", 20 }, CMG_TREE_MUTUALAUTH },
    { { "CCM_Proxy_ServerAuth", 20 }, CMG_TREE_SERVERAUTH },
};

static bool decodes_to(struct cmg_str s, struct cmg_str want)
{
    size_t at = 0;
    for (size_t i = 0; i < want.n; i++) {
        int c = decoded(s, at, &at);
        if (c < 0 || cmg_lower((char)c) != cmg_lower(want.p[i]))
            return false;
    }
    return at == s.n;
}

/* Takes the first segment off the front of *rest, which starts with '/' or is empty. */
static struct cmg_str segment(struct cmg_str *rest)
{
    if (!rest->n)
        return *rest;
    struct cmg_str s = cmg_str_from(*rest, 1);
    const char *slash = s.n ? memchr(s.p, '/', s.n) : NULL;
    if (slash)
        s.n = (size_t)(slash - s.p);
    *rest = cmg_str_from(*rest, 1 + s.n);
    return s;
}

static bool has_percent(struct cmg_str s)
{
    return s.n && memchr(s.p, '%', s.n);
}

static const char *find_tree(struct cmg_path *out)
{
    struct cmg_str rest = out->path, first = segment(&rest);

    for (size_t i = 0; i < CMG_COUNT(trees); i++) {
        if (!decodes_to(first, trees[i].name))
            continue;
        /* Whoever decodes first would see the tree: no such thing comes from a client. */
        if (has_percent(first))
            return "the name of the tree is percent-encoded";
        out->tree = trees[i].tree;
        out->id = segment(&rest);
        out->rest = rest;
        return has_percent(out->id) ? "the role id is percent-encoded" : NULL;
    }
    return NULL;
}

enum cmg_rc cmg_path_parse(struct cmg_str target, struct cmg_path *out, struct cmg_err *err)
{
    const char *why = NULL;
    const char *mark = target.n ? memchr(target.p, '?', target.n) : NULL;

    *out = (struct cmg_path){ .path = target };
    if (mark) {
        out->path.n = (size_t)(mark - target.p);
        out->query = cmg_str_from(target, out->path.n + 1);
    }
    if (!out->path.n || out->path.p[0] != '/')
        why = "the path does not start with a slash";
    if (!why)
        why = judge_path(out->path);
    if (!why)
        why = judge_query(out->query);
    if (!why)
        why = find_tree(out);
    return why ? cmg_fail(err, CMG_EPROTO, "%s", why) : CMG_OK;
}

bool cmg_path_under(struct cmg_str rest, struct cmg_str prefix)
{
    if (!prefix.n || rest.n <= prefix.n || rest.p[0] != '/')
        return false;
    rest = cmg_str_from(rest, 1);
    return cmg_str_istarts(rest, prefix) && (rest.n == prefix.n || rest.p[prefix.n] == '/');
}
