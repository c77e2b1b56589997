/* SPDX-License-Identifier: MIT */
#include "point/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"

void findings_clear(struct findings *f)
{
    free(f->v);
    *f = (struct findings){ 0 };
}

struct finding *finding_new(struct findings *f, const char *check, enum cmg_finding_verdict verdict)
{
    if (f->n == f->room) {
        f->room = f->room ? 2 * f->room : 16;
        f->v = cmg_realloc(f->v, f->room * sizeof(*f->v));
    }
    struct finding *x = &f->v[f->n++];
    *x = (struct finding){ .check = check, .verdict = verdict };
    return x;
}

static void put(char *out, size_t size, const char *fmt, va_list args) CMG_PRINTF(3, 0);

static void put(char *out, size_t size, const char *fmt, va_list args)
{
    vsnprintf(out, size, fmt, args);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
}

#define PUT(x, field, fmt)                              \
    do {                                                \
        va_list args;                                   \
        va_start(args, fmt);                            \
        put((x)->field, sizeof((x)->field), fmt, args); \
        va_end(args);                                   \
    } while (0)

void finding_subject(struct finding *x, const char *fmt, ...)
{
    PUT(x, subject, fmt);
}

void finding_says(struct finding *x, const char *fmt, ...)
{
    PUT(x, says, fmt);
}

void finding_means(struct finding *x, const char *fmt, ...)
{
    PUT(x, means, fmt);
}

void finding_do(struct finding *x, const char *fmt, ...)
{
    PUT(x, remedy, fmt);
}

json_t *finding_json(const struct finding *x)
{
    const struct cmg_finding line = {
        x->check, x->subject, x->verdict, x->says, x->means, x->remedy
    };
    return cmg_finding_json(&line);
}
