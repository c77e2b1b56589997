/* SPDX-License-Identifier: MIT */
#include "cmg/auth/blocklist.h"

#include <stdlib.h>

#include "cmg/auth/identity.h"
#include "cmg/base/alloc.h"

struct guid {
    unsigned char bytes[16];
};

struct cmg_blocklist {
    struct guid *guids; /* owned; in order, each once */
    size_t n;
};

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static bool parse(struct cmg_str text, struct guid *g)
{
    char lower[37];
    if (!cmg_guid_ok(text, lower))
        return false;
    size_t n = 0;
    for (const char *p = lower; *p; p++)
        if (*p != '-') {
            g->bytes[n / 2] =
                (unsigned char)(n % 2 ? g->bytes[n / 2] | nibble(*p) : nibble(*p) << 4);
            n++;
        }
    return true;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct guid));
}

/* The GUID of a line, if there is one. */
static struct cmg_str without_comment(struct cmg_str line)
{
    const char *mark = line.n ? memchr(line.p, '#', line.n) : NULL;
    if (mark)
        line.n = (size_t)(mark - line.p);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return cmg_str_trim(line);
}

static size_t count_lines(struct cmg_str text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    return n;
}

static enum cmg_rc read_lines(struct cmg_blocklist *b, struct cmg_str text, struct cmg_err *err)
{
    for (size_t line = 1; text.n; line++) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        struct cmg_str guid = without_comment((struct cmg_str){ text.p, n });
        text = cmg_str_from(text, end ? n + 1 : n);
        if (!guid.n)
            continue;
        if (b->n == CMG_BLOCKLIST_MAX)
            return cmg_fail(err, CMG_ETOOBIG, "line %zu: more than %d GUIDs", line,
                            CMG_BLOCKLIST_MAX);
        if (!parse(guid, &b->guids[b->n++]))
            return cmg_fail(err, CMG_ECONF,
                            "line %zu: not a GUID (8-4-4-4-12 hex digits; # begins a comment)",
                            line);
    }
    return CMG_OK;
}

static void sort(struct cmg_blocklist *b)
{
    size_t kept = 0;
    if (b->n)
        qsort(b->guids, b->n, sizeof(*b->guids), compare);
    for (size_t i = 0; i < b->n; i++)
        if (!kept || compare(&b->guids[kept - 1], &b->guids[i]) != 0)
            b->guids[kept++] = b->guids[i];
    b->n = kept;
}

struct cmg_blocklist *cmg_blocklist_read(struct cmg_str text, struct cmg_err *err)
{
    if (text.n > CMG_BLOCKLIST_BYTES_MAX) {
        cmg_fail(err, CMG_ETOOBIG, "longer than %d bytes", CMG_BLOCKLIST_BYTES_MAX);
        return NULL;
    }
    size_t lines = count_lines(text);
    struct cmg_blocklist *b = cmg_alloc(sizeof(*b));
    b->guids =
        cmg_alloc((lines < CMG_BLOCKLIST_MAX ? lines : CMG_BLOCKLIST_MAX) * sizeof(*b->guids));
    if (read_lines(b, text, err) != CMG_OK) {
        cmg_blocklist_free(b);
        return NULL;
    }
    sort(b);
    return b;
}

void cmg_blocklist_free(struct cmg_blocklist *b)
{
    if (!b)
        return;
    free(b->guids);
    free(b);
}

bool cmg_blocklist_has(const struct cmg_blocklist *b, const char *guid)
{
    struct guid key;
    return b && b->n && parse(cmg_str(guid), &key) &&
           bsearch(&key, b->guids, b->n, sizeof(key), compare);
}

size_t cmg_blocklist_count(const struct cmg_blocklist *b)
{
    return b ? b->n : 0;
}
