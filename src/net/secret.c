/* SPDX-License-Identifier: MIT */
/* Keys, passwords and tokens in files. */
#include <stdlib.h>
#include <string.h>

#include "cmg/net/tls.h"
#include "cmg/net/file.h"

enum cmg_rc cmg_secret_check(const char *path, struct cmg_err *err)
{
    return cmg_file_check(path, CMG_FILE_SECRET, err);
}

char *cmg_secret_read(const char *path, size_t max, struct cmg_err *err)
{
    size_t n = 0;
    char *p = cmg_file_read(path, CMG_FILE_SECRET, max + 2, &n, err);
    if (!p)
        return NULL;

    const char *why = NULL;
    if (strlen(p) != n)
        why = "holds a NUL byte";
    if (n && p[n - 1] == '\n')
        p[--n] = '\0';
    if (n && p[n - 1] == '\r')
        p[--n] = '\0';
    if (n == 0)
        why = "is empty";
    else if (n > max)
        why = "is too long for a secret";
    if (!why)
        return p;
    cmg_fail(err, CMG_ECONF, "%s %s", path, why);
    explicit_bzero(p, max + 2);
    free(p);
    return NULL;
}

void cmg_secret_free(char *secret)
{
    if (!secret)
        return;
    explicit_bzero(secret, strlen(secret));
    free(secret);
}
