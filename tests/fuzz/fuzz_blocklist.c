/* SPDX-License-Identifier: MIT */
/* Who stands in a list that is accepted is blocked, whatever stands around it; a list and the
 * same list twice block the same. */
#include "cmg/auth/blocklist.h"
#include "cmg/auth/identity.h"
#include "fuzz.h"

static struct cmg_str entry(struct cmg_str line)
{
    const char *mark = line.n ? memchr(line.p, '#', line.n) : NULL;
    if (mark)
        line.n = (size_t)(mark - line.p);
    while (line.n && strchr(" \t\r", line.p[line.n - 1]) && line.p[line.n - 1])
        line.n--;
    while (line.n && strchr(" \t", line.p[0]) && line.p[0])
        line = cmg_str_from(line, 1);
    return line;
}

static void every_line_counts(const struct cmg_blocklist *b, struct cmg_str text)
{
    size_t entries = 0;
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        struct cmg_str line = { text.p, end ? (size_t)(end - text.p) : text.n };
        text = cmg_str_from(text, end ? line.n + 1 : line.n);
        char guid[37];
        line = entry(line);
        if (!line.n)
            continue;
        entries++;
        hold(cmg_guid_ok(line, guid), "what is no GUID is refused");
        hold(cmg_blocklist_has(b, guid), "who is in the list is blocked");
    }
    hold(cmg_blocklist_count(b) <= entries, "nobody else is");
    hold(!entries == !cmg_blocklist_count(b), "an empty list is one without entries");
}

static void twice_is_the_same(const struct cmg_blocklist *b, struct cmg_str text)
{
    struct cmg_err err;
    char *twice = malloc(2 * text.n + 1);
    if (!twice)
        abort();
    memcpy(twice, text.p, text.n);
    twice[text.n] = '\n';
    memcpy(twice + text.n + 1, text.p, text.n);
    struct cmg_blocklist *c = cmg_blocklist_read((struct cmg_str){ twice, 2 * text.n + 1 }, &err);
    hold(c && cmg_blocklist_count(c) == cmg_blocklist_count(b), "twice is the same");
    cmg_blocklist_free(c);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cmg_err err = { 0 };
    struct cmg_str text = { (const char *)p, n };
    if (n > 4096)
        return 0; /* ceilings are the unit test's */
    struct cmg_blocklist *b = cmg_blocklist_read(text, &err);
    hold(b || err.text[0], "a refusal has a reason");
    if (!b)
        return 0;
    every_line_counts(b, text);
    if (n)
        twice_is_the_same(b, text);
    cmg_blocklist_free(b);
    return 0;
}
