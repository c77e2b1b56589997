/* SPDX-License-Identifier: MIT */
#include "ctl/ink.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/env.h"
#include "cmg/base/utf8.h"

enum { CELL_MAX = 400 };

struct cell {
    char *text; /* owned */
    enum ink ink;
};

struct table {
    unsigned columns, right;
    struct cell *cells; /* owned; row by row */
    size_t n;
};

bool ink_wanted(FILE *out)
{
    const char *no = cmg_env("NO_COLOR"), *term = cmg_env("TERM");
    return isatty(fileno(out)) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

/* Columns of the first character of `s`, n bytes long. */
static unsigned columns_of(struct cmg_str s, size_t n)
{
    unsigned char first = (unsigned char)s.p[0], second = n > 1 ? (unsigned char)s.p[1] : 0;
    bool combining = n == 2 && (first == 0xcc || (first == 0xcd && second < 0xb0));
    bool wide = n == 4 || (n == 3 && first > 0xe2 && first < 0xee) || (n == 3 && first == 0xef);
    return combining ? 0 : wide ? 2 : 1;
}

unsigned ink_columns(struct cmg_str s)
{
    unsigned w = 0;
    for (size_t n; s.n; s = cmg_str_from(s, n)) {
        n = cmg_utf8(s);
        w += n ? columns_of(s, n) : 1;
        n = n ? n : 1;
    }
    return w;
}

/* C0, DEL, and C1 as UTF-8 spells them: all that can begin a sequence. */
static bool can_steer(struct cmg_str s, size_t n)
{
    unsigned char first = (unsigned char)s.p[0];
    return first < 0x20 || first == 0x7f ||
           (n == 2 && first == 0xc2 && (unsigned char)s.p[1] < 0xa0);
}

static void put_clean(FILE *out, const char *text)
{
    struct cmg_str s = cmg_str(text);
    for (size_t n; s.n; s = cmg_str_from(s, n)) {
        n = cmg_utf8(s);
        if (!n || can_steer(s, n))
            fputc('?', out);
        else
            fwrite(s.p, 1, n, out);
        n = n ? n : 1;
    }
}

void ink_put(FILE *out, bool coloured, enum ink ink, const char *text)
{
    static const char *const codes[] = {
        [INK_PLAIN] = "", [INK_GOOD] = "32", [INK_WARN] = "33",
        [INK_BAD] = "31", [INK_FAINT] = "2", [INK_HEAD] = "1",
    };
    bool on = coloured && ink != INK_PLAIN && *text;
    if (on)
        fprintf(out, "\033[%sm", codes[ink]);
    put_clean(out, text);
    if (on)
        fputs("\033[0m", out);
}

struct table *table_new(unsigned columns, unsigned right)
{
    struct table *t = cmg_alloc(sizeof(*t));
    if (!columns || columns > TABLE_COLUMNS_MAX)
        abort();
    *t = (struct table){ .columns = columns, .right = right };
    return t;
}

void table_cell(struct table *t, enum ink ink, const char *fmt, ...)
{
    char text[CELL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    t->cells = cmg_realloc(t->cells, (t->n + 1) * sizeof(*t->cells));
    t->cells[t->n++] = (struct cell){ cmg_strdup(text), ink };
}

static void put_row(const struct table *t, const struct cell *row, const unsigned *width,
                    bool coloured, FILE *out)
{
    unsigned pad = 0; /* blanks are written before text only: no line ends in them */
    for (unsigned c = 0; c < t->columns; c++) {
        unsigned w = ink_columns(cmg_str(row[c].text));
        bool right = t->right & (1U << c);
        if (w) {
            fprintf(out, "%*s", (int)(pad + (right ? width[c] - w : 0)), "");
            ink_put(out, coloured, row[c].ink, row[c].text);
            pad = 0;
        }
        pad += 2 + (right && w ? 0 : width[c] - w);
    }
    fputc('\n', out);
}

void table_print(const struct table *t, unsigned indent, bool coloured, FILE *out)
{
    unsigned width[TABLE_COLUMNS_MAX] = { 0 };
    if (t->n % t->columns)
        abort(); /* a row that is not whole */
    for (size_t i = 0; i < t->n; i++) {
        unsigned w = ink_columns(cmg_str(t->cells[i].text));
        if (w > width[i % t->columns])
            width[i % t->columns] = w;
    }
    for (size_t i = 0; i < t->n; i += t->columns) {
        fprintf(out, "%*s", (int)indent, "");
        put_row(t, &t->cells[i], width, coloured, out);
    }
}

void table_free(struct table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t);
}
