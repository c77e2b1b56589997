/* SPDX-License-Identifier: MIT */
/* What a client gets for a content token: the blobs of one content, and where each may be read.
 * docs/protocol.md, Content, has the shape of both forms. Pure. */
#ifndef CMG_STORAGE_MANIFEST_H
#define CMG_STORAGE_MANIFEST_H

#include <stdint.h>

#include "cmg/base/buf.h"
#include "cmg/storage/listing.h"

enum cmg_manifest_form { CMG_MANIFEST_XML, CMG_MANIFEST_JSON };

enum { CMG_MANIFEST_MAX = 16 * 1024 * 1024, CMG_MANIFEST_URLS_MAX = 16 };

/* JSON where Accept names application/json before any XML, else XML. */
enum cmg_manifest_form cmg_manifest_form(struct cmg_str accept);
const char *cmg_manifest_type(enum cmg_manifest_form form); /* Content-Type */

struct cmg_manifest; /* being written */

/* `out` gets it, up to its own ceiling. `until`: seconds since 1970, when the URLs end. */
struct cmg_manifest *cmg_manifest_new(enum cmg_manifest_form form, struct cmg_buf *out,
                                      const char *content, int64_t until);
/* One blob, `name` as clients know it, and 1 to CMG_MANIFEST_URLS_MAX URLs, best first. */
void cmg_manifest_add(struct cmg_manifest *m, const char *name, const struct cmg_blob *blob,
                      const char *const *urls, size_t nurls);
/* Ends and frees it. CMG_ETOOBIG: it passed the ceiling; what is in `out` is of no use. */
CMG_MUST_CHECK enum cmg_rc cmg_manifest_end(struct cmg_manifest *m);

#endif
