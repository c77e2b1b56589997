/* SPDX-License-Identifier: MIT */
/* Text for people: colours where a terminal shows them, columns that stand below each other, and
 * nothing in what a daemon or a peer said that could steer the terminal. */
#ifndef CMG_CTL_INK_H
#define CMG_CTL_INK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

enum ink { INK_PLAIN, INK_GOOD, INK_WARN, INK_BAD, INK_FAINT, INK_HEAD };

/* True for a terminal, unless NO_COLOR is set or TERM is dumb. */
bool ink_wanted(FILE *out);
/* Columns that `s` takes on a terminal: letters of East Asia take two. */
unsigned ink_columns(struct cmg_str s);
/* `text` in that colour, if `coloured`. Control characters and what is not UTF-8 become "?". */
void ink_put(FILE *out, bool coloured, enum ink ink, const char *text);

/* Rows of cells, printed when all are known, each column as wide as its widest cell. */
enum { TABLE_COLUMNS_MAX = 12 };
struct table;
/* `right` has a bit set for each column that is aligned on the right: numbers. */
struct table *table_new(unsigned columns, unsigned right);
/* The next cell, from left to right; a full row is followed by a new one. Cut at 400 bytes. */
void table_cell(struct table *t, enum ink ink, const char *fmt, ...) CMG_PRINTF(3, 4);
/* With `indent` blanks before each row and two between columns, none at the end of a line. */
void table_print(const struct table *t, unsigned indent, bool coloured, FILE *out);
void table_free(struct table *t); /* NULL is ignored */

#endif
