/* SPDX-License-Identifier: MIT */
#include "uri.h"

#include <stdlib.h>

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void cmg_uri_text(struct cmg_buf *b, struct cmg_str text)
{
    if (cmg_buf_put(b, text) != CMG_OK)
        abort();
}

void cmg_uri_put(struct cmg_buf *b, struct cmg_str text, bool path)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (unreserved(text.p[i]) || (path && c == '/'))
            cmg_uri_text(b, (struct cmg_str){ text.p + i, 1 });
        else
            cmg_uri_text(b, (struct cmg_str){ (char[]){ '%', digits[c >> 4], digits[c & 15] }, 3 });
    }
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = cmg_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int cmg_uri_get(struct cmg_str text, char *out, size_t size)
{
    size_t to = 0;
    for (size_t i = 0; i < text.n; i++) {
        int c = (unsigned char)text.p[i];
        if (c == '%') {
            int high = i + 2 < text.n ? hex(text.p[i + 1]) : -1;
            int low = i + 2 < text.n ? hex(text.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -1;
            c = high * 16 + low;
            i += 2;
        }
        if (!c || to + 1 >= size)
            return -1;
        out[to++] = (char)c;
    }
    out[to] = '\0';
    return (int)to;
}
