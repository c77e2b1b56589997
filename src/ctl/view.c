/* SPDX-License-Identifier: MIT */
#include "ctl/view.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cmg/base/alloc.h"
#include "ctl/progress.h"
#include "ctl/when.h"

enum { DEPTH_MAX = 6, TABLE_WIDE = 8, KEY_MAX = 64, SOON_S = 30 * 86400, DATE_MIN = 1000000000 };

struct page {
    FILE *out;
    bool coloured;
    int64_t now;
};

/* --- one value ------------------------------------------------------------------------------ */

static bool ends(const char *key, const char *end)
{
    size_t n = strlen(key), m = strlen(end);
    return n >= m && !strcmp(key + n - m, end);
}

static bool one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(word, *words))
            return true;
    return false;
}

static enum ink ink_of_word(const char *key, const char *text)
{
    static const char *const good[] = { "open", "up", "ok", "ready", "reloaded", NULL };
    static const char *const bad[] = { "down",    "failed", "lost",  "refused",
                                       "expired", "closed", "error", NULL };
    static const char *const warn[] = { "waiting",  "dialing",       "connecting",
                                        "draining", "needs_restart", NULL };
    if (ends(key, "error") || !strcmp(key, "why") || !strcmp(key, "reason"))
        return *text ? INK_WARN : INK_PLAIN;
    return one_of(text, good)   ? INK_GOOD
           : one_of(text, bad)  ? INK_BAD
           : one_of(text, warn) ? INK_WARN
                                : INK_PLAIN;
}

static bool is_date(const char *key, double value)
{
    static const char *const dates[] = { "since",  "not_after", "next_update", "expires",
                                         "loaded", "start",     "end",         NULL };
    return value >= DATE_MIN && value < 1e12 &&
           (ends(key, "_at") || ends(key, "since") || ends(key, "not_after") ||
            ends(key, "not_after_s") || one_of(key, dates));
}

static enum ink ink_of_date(const char *key, int64_t at, int64_t now)
{
    bool ends_then =
        strstr(key, "not_after") || !strcmp(key, "expires") || !strcmp(key, "next_update");
    return !ends_then ? INK_PLAIN : at <= now ? INK_BAD : at - now < SOON_S ? INK_WARN : INK_PLAIN;
}

/* How long something still is good for. */
static enum ink remaining(double s, char out[VIEW_TEXT])
{
    char span[WHEN_TEXT];
    when_span((int64_t)(s < 0 ? -s : s), span);
    snprintf(out, VIEW_TEXT, s < 0 ? "%s ago" : "in %s", span);
    return s <= 0 ? INK_BAD : s < SOON_S ? INK_WARN : INK_PLAIN;
}

static enum ink number(const char *key, double v, int64_t now, char out[VIEW_TEXT])
{
    char text[PROGRESS_BYTES];
    if (is_date(key, v)) {
        when_both((int64_t)v, now, out);
        return ink_of_date(key, (int64_t)v, now);
    }
    if (!strcmp(key, "expires_s") && v > -1e12 && v < 1e12)
        return remaining(v, out);
    if (ends(key, "bytes") && v < 9e18)
        snprintf(out, VIEW_TEXT, "%s", progress_bytes((int64_t)v, text));
    else if (ends(key, "_us"))
        snprintf(out, VIEW_TEXT, "%.1f ms", v / 1000);
    else if (ends(key, "_ms"))
        snprintf(out, VIEW_TEXT, "%.0f ms", v);
    else if (ends(key, "_s") && (v == 0 || v >= 1) && v < 1e15)
        snprintf(out, VIEW_TEXT, "%s", progress_time((int64_t)v, text));
    else if (v >= -1e15 && v <= 1e15 && v == (double)(int64_t)v)
        snprintf(out, VIEW_TEXT, "%" PRId64, (int64_t)v);
    else
        snprintf(out, VIEW_TEXT, "%.3g", v);
    return INK_PLAIN;
}

/* "2026-01-31T10:00:00Z" */
static bool is_time(const char *text, int64_t *at)
{
    struct tm tm = { 0 };
    const char *end = strlen(text) == 20 ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;
    *at = end && !*end ? (int64_t)timegm(&tm) : 0;
    return end && !*end;
}

/* "a, b, c", cut where it gets long. */
static void joined(const char *key, const json_t *array, int64_t now, char out[VIEW_TEXT])
{
    size_t n = 0, i;
    const json_t *item;
    char text[VIEW_TEXT];
    out[0] = '\0';
    json_array_foreach((json_t *)(uintptr_t)array, i, item)
    {
        view_value(key, item, now, text);
        size_t want = strlen(text) + (i ? 2 : 0);
        if (n + want + 5 > VIEW_TEXT) {
            snprintf(out + n, VIEW_TEXT - n, ", ...");
            return;
        }
        n += (size_t)snprintf(out + n, VIEW_TEXT - n, "%s%s", i ? ", " : "", text);
    }
}

enum ink view_value(const char *key, const json_t *value, int64_t now, char out[VIEW_TEXT])
{
    out[0] = '\0';
    int64_t at;
    if (json_is_string(value) && is_time(json_string_value(value), &at)) {
        when_both(at, now, out);
        return ink_of_date(key, at, now);
    }
    if (json_is_string(value)) {
        snprintf(out, VIEW_TEXT, "%s", json_string_value(value));
        return ink_of_word(key, json_string_value(value));
    }
    if (json_is_number(value))
        return number(key, json_number_value(value), now, out);
    if (json_is_boolean(value))
        snprintf(out, VIEW_TEXT, "%s", json_is_true(value) ? "yes" : "no");
    else if (json_is_array(value))
        joined(key, value, now, out);
    return INK_PLAIN;
}

/* --- shapes --------------------------------------------------------------------------------- */

static bool is_plain(const json_t *v)
{
    const json_t *first = json_array_get(v, 0);
    return !json_is_object(v) && !json_is_object(first) && !json_is_array(first);
}

static bool is_list(const json_t *v)
{
    return json_is_object(json_array_get(v, 0));
}

/* "last_error" is "last error"; "uptime_s" is "uptime". */
static void heading(const char *key, char out[KEY_MAX])
{
    static const char *const units[] = { "_ms", "_us", "_s", "_bytes" };
    size_t n = strlen(key);
    for (size_t i = 0; i < CMG_COUNT(units); i++)
        if (ends(key, units[i]) && strcmp(key, units[i]) != 0) {
            n -= strlen(units[i]);
            break;
        }
    snprintf(out, KEY_MAX, "%.*s", (int)n, key);
    for (char *p = out; *p; p++)
        *p = *p == '_' ? ' ' : *p;
}

/* The keys of plain members of all rows, in the order in which they come first. */
struct columns {
    const char *keys[TABLE_COLUMNS_MAX];
    unsigned n;
    bool too_many;
};

static void column_add(struct columns *c, const char *key)
{
    for (unsigned i = 0; i < c->n; i++)
        if (!strcmp(c->keys[i], key))
            return;
    if (c->n == TABLE_WIDE)
        c->too_many = true;
    else
        c->keys[c->n++] = key;
}

static void columns_of_row(struct columns *c, const json_t *row)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
    {
        if (is_plain(value))
            column_add(c, key);
        else if (json_is_object(value))
            c->too_many = true;
    }
}

static void view_object(const struct page *p, const json_t *object, unsigned depth);

static void title(const struct page *p, const char *key, unsigned depth)
{
    char text[KEY_MAX];
    heading(key, text);
    fprintf(p->out, "%s%*s", depth ? "" : "\n", (int)(2 * depth), "");
    ink_put(p->out, p->coloured, INK_HEAD, text);
    fputc('\n', p->out);
}

/* "counts.requests" is the member of a member. */
static const json_t *member(const json_t *row, const char *path)
{
    const char *dot = strchr(path, '.');
    char first[KEY_MAX];
    if (!dot)
        return json_object_get(row, path);
    snprintf(first, sizeof(first), "%.*s", (int)(dot - path), path);
    return member(json_object_get(row, first), dot + 1);
}

static const char *last_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static bool is_numeric(const json_t *list, const char *key)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = member(json_array_get(list, i), key);
        if (v && !json_is_null(v) &&
            (!json_is_number(v) || is_date(last_of(key), json_number_value(v))))
            return false;
    }
    return true;
}

static void as_table(const struct page *p, const json_t *list, const struct columns *c,
                     unsigned depth)
{
    char text[VIEW_TEXT], head[KEY_MAX];
    unsigned right = 0;
    for (unsigned i = 0; i < c->n; i++)
        right |= is_numeric(list, c->keys[i]) ? 1U << i : 0;
    struct table *t = table_new(c->n, right);
    for (unsigned i = 0; i < c->n; i++) {
        heading(last_of(c->keys[i]), head);
        table_cell(t, INK_FAINT, "%s", head);
    }
    for (size_t r = 0; r < json_array_size(list); r++)
        for (unsigned i = 0; i < c->n; i++) {
            const json_t *v = member(json_array_get(list, r), c->keys[i]);
            enum ink ink = view_value(last_of(c->keys[i]), v, p->now, text);
            table_cell(t, ink, "%s", text);
        }
    table_print(t, 2 * depth, p->coloured, p->out);
    table_free(t);
}

/* Lists that rows of a table have: below it, each under the name of its row. */
static void lists_of_rows(const struct page *p, const json_t *list, unsigned depth)
{
    for (size_t r = 0; r < json_array_size(list); r++) {
        const json_t *row = json_array_get(list, r);
        const char *key;
        json_t *value;
        const json_t *name = json_object_get(row, "name");
        json_object_foreach((json_t *)(uintptr_t)row, key, value)
        {
            char text[VIEW_TEXT + KEY_MAX];
            if (!is_list(value))
                continue;
            snprintf(text, sizeof(text), "%s of %s", key,
                     json_is_string(name) ? json_string_value(name) : "it");
            title(p, text, depth);
            json_t *alone = json_pack("{s:O}", "", value);
            view_object(p, alone, depth + 1);
            json_decref(alone);
        }
    }
}

static void view_list(const struct page *p, const json_t *list, unsigned depth)
{
    struct columns c = { 0 };
    for (size_t i = 0; i < json_array_size(list); i++)
        columns_of_row(&c, json_array_get(list, i));
    if (!c.too_many && c.n) {
        as_table(p, list, &c, depth);
        lists_of_rows(p, list, depth);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        fprintf(p->out, "%s", i ? "\n" : "");
        view_object(p, json_array_get(list, i), depth);
    }
}

static void plain_members(const struct page *p, const json_t *object, unsigned depth)
{
    const char *key;
    json_t *value;
    struct table *t = table_new(2, 0);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        char head[KEY_MAX], text[VIEW_TEXT];
        if (!is_plain(value))
            continue;
        heading(key, head);
        enum ink ink = view_value(key, value, p->now, text);
        table_cell(t, INK_FAINT, "%s", head);
        table_cell(t, ink, "%s", *text ? text : "-");
    }
    table_print(t, 2 * depth, p->coloured, p->out);
    table_free(t);
}

static void view_object(const struct page *p, const json_t *object, unsigned depth)
{
    const char *key;
    json_t *value;
    if (depth > DEPTH_MAX)
        return;
    plain_members(p, object, depth);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        unsigned inner = depth + (*key ? 1 : 0);
        if (is_plain(value))
            continue;
        if (*key)
            title(p, key, depth);
        if (json_is_object(value))
            view_object(p, value, inner);
        else
            view_list(p, value, inner);
    }
}

void view_json(const json_t *object, int64_t now, bool coloured, FILE *out)
{
    struct page p = { .out = out, .coloured = coloured, .now = now };
    view_object(&p, object, 0);
}

/* A column that no row has is one of the other daemon. */
static bool has_column(const json_t *list, const char *path)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (member(json_array_get(list, i), path))
            return true;
    return false;
}

void view_table(const char *title_text, const json_t *list, const char *const *paths, int64_t now,
                bool coloured, FILE *out)
{
    const struct page p = { .out = out, .coloured = coloured, .now = now };
    struct columns c = { 0 };
    for (; *paths && c.n < TABLE_COLUMNS_MAX; paths++)
        if (has_column(list, *paths))
            c.keys[c.n++] = *paths;
    if (!c.n)
        return;
    title(&p, title_text, 0);
    as_table(&p, list, &c, 1);
}
