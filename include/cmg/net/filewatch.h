/* SPDX-License-Identifier: MIT */
/* Notices that a file was written or replaced. Looks every CMG_FILEWATCH_MS: that works the
 * same for renames, links that are swung and network file systems. */
#ifndef CMG_NET_FILEWATCH_H
#define CMG_NET_FILEWATCH_H

struct cmg_filewatch;
struct cmg_loop;

enum { CMG_FILEWATCH_MS = 2000 };

/* `on_change(arg, path)` from the loop: the file is another one, or of other size or time, or
 * came or went, since it was added or last reported, and was the same in two looks: one that is
 * still being written is reported once it rests. on_change may call anything here, and free. */
struct cmg_filewatch *cmg_filewatch_new(struct cmg_loop *l,
                                        void (*on_change)(void *arg, const char *path), void *arg);
/* NULL, empty or twice: ignored. Add a file before it is read, so that no change falls between. How
 * many there are is bounded by whoever adds them: the lists of a configuration have ceilings. */
void cmg_filewatch_add(struct cmg_filewatch *w, const char *path);
void cmg_filewatch_clear(struct cmg_filewatch *w); /* watches none any more */
void cmg_filewatch_free(struct cmg_filewatch *w);  /* NULL is ignored */

/* One look now, as the timer does it. */
void cmg_filewatch_look(struct cmg_filewatch *w);

#endif
