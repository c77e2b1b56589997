/* SPDX-License-Identifier: MIT */
/* A daemon's JSON for people. It follows the shape, not a list of names: what a newer daemon says
 * more is shown by an older cmgctl, too.
 *
 *   a member with one value      a line: "uptime  3h05m"
 *   an object                    a heading, its members below
 *   an array of objects          a heading and a table; what is too wide for one, a block each
 *
 * Units are seen by how names end (_s, _ms, _us, _bytes, _at, not_after), colours by usual words.
 * Pure: time is an argument. */
#ifndef CMG_CTL_VIEW_H
#define CMG_CTL_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl/ink.h"

void view_json(const json_t *object, int64_t now, bool coloured, FILE *out);

/* A table of those members of the objects in `list`: "name", "counts.requests"; NULL-ended. With a
 * heading above. Nothing when there is nothing to show. */
void view_table(const char *heading, const json_t *list, const char *const *paths, int64_t now,
                bool coloured, FILE *out);

/* One value: "1.5 MiB" for 1572864 under "memory_bytes". The colour that it gets. */
enum { VIEW_TEXT = 256 };
enum ink view_value(const char *key, const json_t *value, int64_t now, char out[VIEW_TEXT]);

#endif
