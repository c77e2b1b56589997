/* SPDX-License-Identifier: MIT */
#include "point/certificates.h"

#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"

static void add(struct certificates *c, const char *use, const char *file)
{
    struct cmg_err ignored; /* whoever needs the file has said what is wrong with it */
    if (!file)
        return;
    for (size_t i = 0; i < c->n; i++)
        if (!strcmp(c->v[i].file, file))
            return;
    c->v = cmg_realloc(c->v, (c->n + 1) * sizeof(*c->v));
    struct certificate_file *f = &c->v[c->n++];
    *f = (struct certificate_file){ .use = use, .file = cmg_strdup(file) };
    f->known = cmg_expiry_read(file, &f->expiry, &ignored) == CMG_OK;
}

struct certificates *certificates_read(const struct point_conf *conf)
{
    struct certificates *c = cmg_alloc(sizeof(*c));
    add(c, "connection point", conf->point.certificate);
    for (size_t i = 0; i < conf->ncmgs; i++)
        add(c, "gateway CA", conf->cmgs[i].ca_file);
    add(c, "proxy CA", conf->proxy.ca_file);
    for (size_t i = 0; i < conf->nendpoints; i++) {
        add(c, "endpoint CA", conf->endpoints[i].ca_file);
        add(c, "endpoint client", conf->endpoints[i].certificate);
    }
    return c;
}

void certificates_free(struct certificates *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        free(c->v[i].file);
    free(c->v);
    free(c);
}
