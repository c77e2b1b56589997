/* SPDX-License-Identifier: MIT */
/* How far an upload is: one line that is drawn again and again on a terminal, one line for each
 * file elsewhere. */
#ifndef CMG_CTL_PROGRESS_H
#define CMG_CTL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cmg/base/str.h"

enum { PROGRESS_SAMPLES = 32, PROGRESS_SAMPLE_MS = 500, PROGRESS_DRAW_MS = 100 };

/* The rate of late: bytes over the last 16 s, so that it neither jumps with every block nor
 * remembers the start for ever. Pure: time is an argument. */
struct progress_rate {
    struct {
        int64_t at_ms, bytes;
    } samples[PROGRESS_SAMPLES];
    unsigned n; /* samples ever taken */
};
/* `bytes` so far; may be called as often as one likes. */
void progress_rate_add(struct progress_rate *r, int64_t now_ms, int64_t bytes);
/* Bytes a second; -1: too early to tell. */
int64_t progress_rate_now(const struct progress_rate *r, int64_t now_ms, int64_t bytes);

struct progress_view {
    int64_t done, total; /* bytes; what was there before counts as done */
    int64_t rate;        /* bytes a second; -1: not known */
    const char *name;    /* of the file on its way, UTF-8; may be NULL */
};

/* "512 B", "1.5 MiB": three digits or four, then the unit. */
enum { PROGRESS_BYTES = 16 };
const char *progress_bytes(int64_t bytes, char out[PROGRESS_BYTES]);
/* "45s", "3m10s", "2h05m", "4d", "?" for less than 0. */
const char *progress_time(int64_t seconds, char out[PROGRESS_BYTES]);

/* The line without its end, at most `columns` - 1 columns wide, so that no terminal wraps it. Parts
 * that do not fit are left out, those first that say least. Returns its bytes; `size` of 4 a column
 * is always enough. Pure. */
size_t progress_line(char *out, size_t size, unsigned columns, const struct progress_view *v);

struct progress {
    FILE *out; /* borrowed */
    bool bar;  /* a terminal: the line is drawn over and over */
    bool drawn;
    int64_t drawn_ms, moved; /* last drawn; bytes that were really sent */
    struct progress_rate rate;
    struct progress_view view;
};

void progress_init(struct progress *p, FILE *out, int64_t total);
/* `bytes` more are done; `sent` of them by us, just now. */
void progress_add(struct progress *p, int64_t bytes, int64_t sent);
/* Draws the bar if it is one and the last time is PROGRESS_DRAW_MS past. */
void progress_draw(struct progress *p, int64_t now_ms, const char *name);
/* A line that stays, above the bar. */
void progress_say(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Takes the bar away. */
void progress_end(struct progress *p);

#endif
