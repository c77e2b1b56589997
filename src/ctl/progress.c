/* SPDX-License-Identifier: MIT */
#include "ctl/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmg/base/utf8.h"
#include "ctl/ink.h"

enum { BAR_MIN = 10, BAR_MAX = 40, NAME_MIN = 8, COLUMNS_DEFAULT = 80, LINE_MAX_BYTES = 2048 };

/* --- arithmetic --------------------------------------------------------------------------- */

void progress_rate_add(struct progress_rate *r, int64_t now_ms, int64_t bytes)
{
    if (r->n && now_ms - r->samples[(r->n - 1) % PROGRESS_SAMPLES].at_ms < PROGRESS_SAMPLE_MS)
        return;
    r->samples[r->n % PROGRESS_SAMPLES].at_ms = now_ms;
    r->samples[r->n % PROGRESS_SAMPLES].bytes = bytes;
    r->n++;
}

int64_t progress_rate_now(const struct progress_rate *r, int64_t now_ms, int64_t bytes)
{
    if (!r->n)
        return -1;
    unsigned oldest = r->n > PROGRESS_SAMPLES ? r->n % PROGRESS_SAMPLES : 0;
    int64_t ms = now_ms - r->samples[oldest].at_ms;
    int64_t moved = bytes - r->samples[oldest].bytes;
    return ms < PROGRESS_SAMPLE_MS || moved <= 0 ? -1
                                                 : (int64_t)((double)moved * 1000 / (double)ms);
}

const char *progress_bytes(int64_t bytes, char out[PROGRESS_BYTES])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)(bytes < 0 ? 0 : bytes);
    unsigned unit = 0;
    /* From 999.5 on it would be rounded to four digits. */
    for (; value >= 999.5; value /= 1024)
        unit++;
    snprintf(out, PROGRESS_BYTES, unit && value < 99.95 ? "%.1f %s" : "%.0f %s", value,
             units[unit]);
    return out;
}

const char *progress_time(int64_t s, char out[PROGRESS_BYTES])
{
    if (s < 0)
        snprintf(out, PROGRESS_BYTES, "?");
    else if (s < 60)
        snprintf(out, PROGRESS_BYTES, "%ds", (int)s);
    else if (s < 3600)
        snprintf(out, PROGRESS_BYTES, "%dm%02ds", (int)(s / 60), (int)(s % 60));
    else if (s < 100 * 3600)
        snprintf(out, PROGRESS_BYTES, "%dh%02dm", (int)(s / 3600), (int)(s % 3600 / 60));
    else
        snprintf(out, PROGRESS_BYTES, "%" PRId64 "d", s / 86400);
    return out;
}

/* --- the line ----------------------------------------------------------------------------- */

struct line {
    char *p;
    size_t n, size;
    unsigned left; /* columns */
};

static void put(struct line *l, struct cmg_str s)
{
    unsigned w = ink_columns(s);
    if (w > l->left || s.n >= l->size - l->n)
        return;
    memcpy(l->p + l->n, s.p, s.n);
    l->n += s.n;
    l->p[l->n] = '\0';
    l->left -= w;
}

/* The end of a name says more than its start. */
static void put_name(struct line *l, struct cmg_str name)
{
    if (l->left < NAME_MIN + 2)
        return;
    put(l, CMG_STR("  "));
    if (ink_columns(name) <= l->left) {
        put(l, name);
        return;
    }
    while (ink_columns(name) + 3 > l->left) {
        size_t n = cmg_utf8(name);
        name = cmg_str_from(name, n ? n : 1);
    }
    put(l, CMG_STR("..."));
    put(l, name);
}

static void put_bar(struct line *l, double share)
{
    char bar[BAR_MAX + 4];
    unsigned room = l->left / 4 > BAR_MAX ? BAR_MAX : l->left / 4;
    if (room < BAR_MIN)
        return;
    unsigned full = (unsigned)(share * room);
    for (unsigned i = 0; i < room; i++)
        bar[2 + i] = i < full ? '=' : i == full ? '>' : ' ';
    bar[0] = ' ';
    bar[1] = '[';
    bar[2 + room] = ']';
    put(l, (struct cmg_str){ bar, room + 3 });
}

size_t progress_line(char *out, size_t size, unsigned columns, const struct progress_view *v)
{
    struct line l = { .p = out, .size = size, .left = columns ? columns - 1 : 0 };
    char text[64], a[PROGRESS_BYTES], b[PROGRESS_BYTES];
    double share = v->total > 0 ? (double)v->done / (double)v->total : 1;
    out[0] = '\0';

    snprintf(text, sizeof(text), "%3d%%", (int)(share * 100));
    put(&l, cmg_str(text));
    put_bar(&l, share);
    snprintf(text, sizeof(text), "  %s of %s", progress_bytes(v->done, a),
             progress_bytes(v->total, b));
    put(&l, cmg_str(text));
    if (v->rate > 0) {
        snprintf(text, sizeof(text), "  %s/s", progress_bytes(v->rate, a));
        put(&l, cmg_str(text));
        snprintf(text, sizeof(text), "  %s left",
                 progress_time((v->total - v->done + v->rate - 1) / v->rate, a));
        put(&l, cmg_str(text));
    }
    if (v->name)
        put_name(&l, cmg_str(v->name));
    return l.n;
}

/* --- on a terminal or not ----------------------------------------------------------------- */

static unsigned columns(FILE *out)
{
    struct winsize w;
    return ioctl(fileno(out), TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : COLUMNS_DEFAULT;
}

void progress_init(struct progress *p, FILE *out, int64_t total)
{
    *p = (struct progress){ .out = out, .bar = isatty(fileno(out)) };
    p->view.total = total;
}

void progress_add(struct progress *p, int64_t bytes, int64_t sent)
{
    p->view.done += bytes;
    p->moved += sent;
}

/* "\r" and "erase to the end of the line": every terminal since the VT100 knows both. */
void progress_draw(struct progress *p, int64_t now_ms, const char *name)
{
    char line[LINE_MAX_BYTES];
    progress_rate_add(&p->rate, now_ms, p->moved);
    if (!p->bar || (p->drawn && now_ms - p->drawn_ms < PROGRESS_DRAW_MS))
        return;
    p->view.name = name;
    p->view.rate = progress_rate_now(&p->rate, now_ms, p->moved);
    progress_line(line, sizeof(line), columns(p->out), &p->view);
    fprintf(p->out, "\r%s\033[K", line);
    fflush(p->out);
    p->drawn = true;
    p->drawn_ms = now_ms;
}

void progress_end(struct progress *p)
{
    if (!p->drawn)
        return;
    fputs("\r\033[K", p->out);
    fflush(p->out);
    p->drawn = false;
}

void progress_say(struct progress *p, const char *fmt, ...)
{
    va_list args;
    progress_end(p);
    va_start(args, fmt);
    vfprintf(p->out, fmt, args);
    va_end(args);
    fputc('\n', p->out);
    fflush(p->out);
}
