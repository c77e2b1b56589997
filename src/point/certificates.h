/* SPDX-License-Identifier: MIT */
/* The certificates that are in force, and when the first of each file ends. Read when the
 * configuration is: what lies in the files since may be another story. */
#ifndef CMG_POINT_CERTIFICATES_H
#define CMG_POINT_CERTIFICATES_H

#include <stdbool.h>
#include <stddef.h>

#include "cmg/net/expiry.h"
#include "point/options.h"

struct certificate_file {
    const char *use; /* static; "connection point", "gateway CA", ... */
    char *file;      /* owned; each once */
    bool known;      /* else what is in it cannot be read, and `expiry` says nothing */
    struct cmg_expiry expiry;
};

struct certificates {
    struct certificate_file *v; /* owned */
    size_t n;
};

struct certificates *certificates_read(const struct point_conf *conf);
void certificates_free(struct certificates *c); /* NULL is ignored */

#endif
