/* SPDX-License-Identifier: MIT */
#include "place.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/str.h"

enum { VALUE_MAX = 160, FILE_MAX = 160, WORD_MAX = 48 };

static bool inside_character(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

void cmg_shorten(const char *s, size_t max, char *out)
{
    size_t n = strlen(s);
    if (n <= max) {
        memcpy(out, s, n + 1);
        return;
    }
    size_t head = (max - 3) / 2, tail = n - (max - 3 - head);
    while (head && inside_character(s[head]))
        head--;
    while (inside_character(s[tail]))
        tail++;
    memcpy(out, s, head);
    memcpy(out + head, "...", 3);
    memcpy(out + head + 3, s + tail, n - tail + 1);
}

/* A value that may be shown: neither what was set as a password, as if there were such a key,
 * nor what stands before the @ of a URL. */
static void show_value(const char *key, const char *value, size_t max, char *out)
{
    if (key && strcasestr(key, "passw") && !strcasestr(key, "file"))
        value = "...";
    const char *scheme = strstr(value, "://");
    const char *at = scheme ? strrchr(scheme, '@') : NULL;
    char shown[VALUE_MAX + 1];
    if (!at) {
        cmg_shorten(value, max, out);
        return;
    }
    snprintf(shown, sizeof(shown), "%.*s://...%s", (int)(scheme - value), value, at);
    cmg_shorten(shown, max, out);
}

struct text {
    char *p;
    size_t n, size;
};

static void CMG_PRINTF(2, 3) add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->p + t->n, t->size - t->n, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->n += (size_t)n < t->size - t->n ? (size_t)n : t->size - t->n - 1;
}

static size_t describe(const struct cmg_place *p, size_t max, char *out, size_t size)
{
    struct text t = { out, 0, size };
    char file[FILE_MAX + 1], value[VALUE_MAX + 1];
    cmg_shorten(p->file, max, file);
    add(&t, "%s", file);
    if (p->line)
        add(&t, ":%u", p->line);
    if (p->section)
        add(&t, ": [%s%s%s]", p->section, p->label ? " " : "", p->label ? p->label : "");
    if (p->key)
        add(&t, "%s%s", p->section ? " " : ": ", p->key);
    if (p->value) {
        show_value(p->key, p->value, max, value);
        add(&t, " =%s%s", *value ? " " : "", value);
    }
    add(&t, ": ");
    return t.n;
}

enum cmg_rc cmg_place_fail(const struct cmg_place *p, struct cmg_err *err, const char *fmt, ...)
{
    static const size_t tries[] = { 160, 100, 80, 60, 50, 40, 32, 24, 16 };
    char where[768], what[sizeof(err->text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);

    size_t n = 0;
    for (size_t i = 0; i < CMG_COUNT(tries); i++) {
        n = describe(p, tries[i], where, sizeof(where));
        if (n + strlen(what) < sizeof(err->text))
            return cmg_fail(err, CMG_ECONF, "%s%s", where, what);
    }
    char cut[sizeof(what)];
    cmg_shorten(what, sizeof(err->text) - 1 - n, cut);
    return cmg_fail(err, CMG_ECONF, "%s%s", where, cut);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, one row at a time; '_' is as good as '-', case does not count. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(b), row[WORD_MAX + 1];
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; *a; a++, i++) {
        size_t diagonal = row[0];
        char c = *a == '_' ? '-' : cmg_lower(*a);
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t swap = diagonal + (c != cmg_lower(b[j - 1]));
            diagonal = row[j];
            row[j] = least(swap, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

/* Its beginning will do for a word. */
static bool begins(const char *word, const char *with)
{
    return strlen(with) >= 3 && !strncasecmp(word, with, strlen(with));
}

const char *cmg_nearest(const char *word, const char *const *words)
{
    const char *best = NULL;
    size_t n = strlen(word), bound = n / 3 + 2;
    for (; n && n <= WORD_MAX && *words; words++) {
        size_t d = strlen(*words) > WORD_MAX ? bound
                   : begins(*words, word)    ? 1
                                             : distance(word, *words);
        if (d < bound) {
            bound = d;
            best = *words;
        }
    }
    return best;
}
