/* SPDX-License-Identifier: MIT */
/* Notices that a file was written or replaced. Looks every CMG_FILEWATCH_MS: that works the
 * same for renames, links that are swung and network file systems. */
#ifndef CMG_NET_FILEWATCH_H
#define CMG_NET_FILEWATCH_H

struct cmg_filewatch;
struct cmg_loop;

enum { CMG_FILEWATCH_MS = 2000, CMG_FILEWATCH_MAX = 256 };

/* `on_change(arg, path)` from the loop: the file is another one, or of other size or time, or
 * came or went, since it was added or last reported. A file that is still being written (its
 * time is of this second) is reported once it rests. */
struct cmg_filewatch *cmg_filewatch_new(struct cmg_loop *l,
                                        void (*on_change)(void *arg, const char *path), void *arg);
void cmg_filewatch_add(struct cmg_filewatch *w, const char *path); /* NULL or twice: ignored */
void cmg_filewatch_clear(struct cmg_filewatch *w);                 /* watches none any more */
void cmg_filewatch_free(struct cmg_filewatch *w);                  /* NULL is ignored */

#endif
