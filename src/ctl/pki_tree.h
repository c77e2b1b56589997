/* SPDX-License-Identifier: MIT */
/* The files of a first site, gathered before one is written, so that nothing is made by halves. */
#ifndef CMG_CTL_PKI_TREE_H
#define CMG_CTL_PKI_TREE_H

#include <sys/types.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

enum { PKI_POINTS_MAX = 64, PKI_CLIENTS_MAX = 1000 };

struct pki_file {
    char *path; /* owned; below the folder */
    char *text; /* owned */
    mode_t mode;
    const char *what; /* for people; static */
};

struct pki_tree {
    struct pki_file *files; /* owned */
    size_t n;
};

/* `taken` is freed, and wiped, with the tree. `path` is printf-like. */
void pki_tree_add(struct pki_tree *t, const char *what, mode_t mode, char *taken, const char *path,
                  ...) CMG_PRINTF(5, 6);
/* Makes `folder`, its subfolders (0755; the one called "ca" 0700) and all files. CMG_EDENIED: one
 * of them is there already, and nothing was written; CMG_EIO: what was written is gone again. */
CMG_MUST_CHECK enum cmg_rc pki_tree_write(const struct pki_tree *t, const char *folder,
                                          struct cmg_err *err);
void pki_tree_clear(struct pki_tree *t);

/* What `pki init` was asked for. */
struct pki_site {
    const char *service, *site, *management_point;
    const char *points[PKI_POINTS_MAX];
    size_t npoints, nclients;
    int64_t now, days, crl_days;
    char hierarchy[37];
};

/* pki_ini.c: the daemons' configurations, with file names as the tree has them. */
char *pki_gateway_ini(const struct pki_site *s);
char *pki_point_ini(const struct pki_site *s, const char *name);

/* pki_site.c: makes everything. */
void pki_site_make(const struct pki_site *s, struct pki_tree *t);

#endif
