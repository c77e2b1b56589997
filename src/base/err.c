/* SPDX-License-Identifier: MIT */
#include "cmg/base/err.h"

#include <stdarg.h>
#include <stdio.h>

enum cmg_rc cmg_fail(struct cmg_err *err, enum cmg_rc code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    err->code = code;
    return code;
}
