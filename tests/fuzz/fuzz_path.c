/* SPDX-License-Identifier: MIT */
/* A path that passes means one thing only: decoding it once more, twice or three times, and
 * lowering its case, brings up no new separator, dot segment, backslash or NUL. */
#include "cmg/proto/path.h"
#include "fuzz.h"

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, cmg_lower(c)) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* As a lenient server does: what is no escape stays. */
static size_t decode(char *p, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '%' && i + 2 < n && hex(p[i + 1]) >= 0 && hex(p[i + 2]) >= 0) {
            p[to++] = (char)(hex(p[i + 1]) * 16 + hex(p[i + 2]));
            i += 2;
        } else {
            p[to++] = p[i];
        }
    }
    return to;
}

/* As a lenient server does: two and three bytes make a character, needed or not. */
static size_t squeeze(char *p, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned a = (uint8_t)p[i], b = i + 1 < n ? (uint8_t)p[i + 1] : 0;
        unsigned c = i + 2 < n ? (uint8_t)p[i + 2] : 0;
        if (a >= 0xc0 && a < 0xc2 && i + 1 < n) {
            p[to++] = (char)((a & 3) << 6 | (b & 0x3f));
            i++;
        } else if (a == 0xe0 && b >= 0x80 && b < 0x82 && c >= 0x80 && c < 0xc0) {
            p[to++] = (char)((b & 1) << 6 | (c & 0x3f));
            i += 2;
        } else {
            p[to++] = p[i];
        }
    }
    return to;
}

static size_t count(const char *p, size_t n, char c)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += p[i] == c;
    return found;
}

static void canonical(const char *p, size_t n)
{
    size_t start = 1;
    hold(n > 0 && p[0] == '/', "it starts with a slash");
    for (size_t i = 1; i <= n; i++) {
        if (i < n && p[i] != '/') {
            hold(p[i] != '\\' && (uint8_t)p[i] >= ' ' && p[i] != 0x7f, "no bad byte");
            continue;
        }
        hold(i > start || i == n, "no empty segment but the last");
        hold(i == start || p[i - 1] != '.', "no segment ends in a dot");
        start = i + 1;
    }
}

static void means_one_thing(struct cmg_str path)
{
    char *p = fuzz_copy(path.p, path.n);
    size_t n = path.n, slashes = count(p, n, '/'), dots = count(p, n, '.');

    canonical(p, n);
    hold(!memchr(p, '#', n) && !memchr(p, '?', n) && !memchr(p, ' ', n), "no mark in the raw path");
    for (int again = 0; again < 3; again++) {
        n = decode(p, n);
        n = squeeze(p, n);
        canonical(p, n);
        hold(count(p, n, '/') == slashes, "decoding makes no slash");
        hold(count(p, n, '.') == dots, "decoding makes no dot");
    }
    free(p);
}

static void parts_fit(struct cmg_str in, const struct cmg_path *path)
{
    size_t query = path->query.p ? path->query.n + 1 : 0;
    hold(path->path.p == in.p && path->path.n + query == in.n, "path and query are the target");
    if (path->tree == CMG_TREE_NONE) {
        hold(!path->id.n && !path->rest.n, "only a tree has an id");
        return;
    }
    const char *end = path->path.p + path->path.n;
    hold(!path->rest.n || (path->rest.p[0] == '/' && path->rest.p + path->rest.n == end),
         "the rest is the end of the path");
    hold(!path->id.n || path->id.p == in.p + 22, "the id follows the tree");
    hold(!path->id.n ||
             (!memchr(path->id.p, '%', path->id.n) && !memchr(path->id.p, '/', path->id.n)),
         "the id is plain");
    hold(path->path.n <= 22 || 22 + path->id.n + path->rest.n == path->path.n, "nothing is lost");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cmg_path path;
    struct cmg_err err = { 0 };
    struct cmg_str in = { (const char *)p, n };
    enum cmg_rc rc = cmg_path_parse(in, &path, &err);

    hold(rc == CMG_OK || (rc == CMG_EPROTO && err.text[0]), "a refusal has a reason");
    if (rc != CMG_OK)
        return 0;
    means_one_thing(path.path);
    parts_fit(in, &path);
    if (cmg_path_under(path.rest, CMG_STR("CCM_System")))
        hold(path.rest.n >= 11 && (path.rest.n == 11 || path.rest.p[11] == '/'),
             "a prefix ends with its segment");
    return 0;
}
