/* SPDX-License-Identifier: MIT */
/* The answer of List Blobs, read as it comes: page after page into one list. Whoever answers is not
 * believed: names, sizes and their number have ceilings, a document type declaration (and with it
 * every entity) is refused. Pure. */
#ifndef CMG_STORAGE_LISTING_H
#define CMG_STORAGE_LISTING_H

#include <stdint.h>

#include "cmg/storage/account.h"

enum {
    CMG_LISTING_MAX = 10000,          /* blobs */
    CMG_LISTING_PAGES_MAX = 64,       /* a page may be short or empty, and still not the last */
    CMG_LISTING_PAGE = 1000,          /* blobs to ask for at one time */
    CMG_LISTING_PAGE_BYTES = 8388608, /* for cmg_fetch_request.max_bytes of such a page */
    CMG_MARKER_MAX = 2048
};

struct cmg_blob {
    char *name;       /* whole, as cmg_blob_name_ok takes it */
    int64_t size;     /* bytes */
    int64_t modified; /* seconds since 1970; 0: not said */
    char etag[64];    /* as said, with its quotes; "": not said */
    char md5[25];     /* base64; "": not known */
};

struct cmg_listing;

/* Only blobs whose name begins with `prefix` are taken: others were not asked for, so the answer is
 * wrong (CMG_EPROTO). */
struct cmg_listing *cmg_listing_new(struct cmg_str prefix);
void cmg_listing_free(struct cmg_listing *l); /* NULL is ignored */

/* A page, in one piece or in several, the last one with `last`; the next page may follow then.
 * CMG_EPROTO: not such a document. CMG_ETOOBIG: more than CMG_LISTING_MAX blobs or
 * CMG_LISTING_PAGES_MAX pages. After an error the listing is of no use. */
CMG_MUST_CHECK enum cmg_rc cmg_listing_feed(struct cmg_listing *l, struct cmg_str part, bool last,
                                            struct cmg_err *err);

/* After a last part: what to ask for next; NULL when that was all. */
const char *cmg_listing_marker(const struct cmg_listing *l);

size_t cmg_listing_count(const struct cmg_listing *l);
const struct cmg_blob *cmg_listing_at(const struct cmg_listing *l, size_t i);

#endif
