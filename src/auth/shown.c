/* SPDX-License-Identifier: MIT */
#include "shown.h"

const char *cmg_shown(struct cmg_str word, char out[CMG_SHOWN])
{
    const struct cmg_str dots = CMG_STR("...");
    size_t n = word.n;
    if (n > CMG_SHOWN - 1 - dots.n)
        n = CMG_SHOWN - 1 - dots.n;
    for (size_t i = 0; i < n; i++)
        out[i] = word.p[i] > ' ' && word.p[i] < 0x7f ? word.p[i] : '?';
    cmg_str_put(out + n, CMG_SHOWN - n, n < word.n ? dots : CMG_STR(""));
    return out;
}
