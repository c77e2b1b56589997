/* SPDX-License-Identifier: MIT */
/* What a publication decides: which blobs are kept, sent and superfluous, how a file is cut and how
 * its blocks are called, and when a failed request is worth another try. Pure. */
#ifndef CMG_CTL_PUBLISH_PLAN_H
#define CMG_CTL_PUBLISH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/storage/listing.h"
#include "cmg/storage/request.h"
#include "ctl/folder.h"

/* --- A content's name --------------------------------------------------------------------- */

enum { PLAN_CONTENT_MAX = 127, PLAN_PREFIX = PLAN_CONTENT_MAX + 2 };

/* The prefix of a content's blobs, its id in lower case and a slash. CMG_ECONF: not an id that a
 * content token can name ([A-Za-z0-9._-], no ".."; no dot at the end, which blob storage drops). */
CMG_MUST_CHECK enum cmg_rc plan_prefix(const char *content, char out[PLAN_PREFIX],
                                       struct cmg_err *err);

/* "8M", "512K", "1G" or bytes. -1: not that. */
int64_t plan_bytes(const char *text);

/* --- What is there, what is not ----------------------------------------------------------- */

enum plan_what {
    PLAN_SEND,    /* no such blob, or of another size, or one that nobody knows the MD5 of */
    PLAN_COMPARE, /* same size: its MD5 decides */
    PLAN_REMOVE   /* a blob that no file is for */
};

struct plan_step {
    enum plan_what what;
    const struct folder_file *file; /* NULL: REMOVE */
    const struct cmg_blob *blob;    /* NULL: SEND of what is new */
};

/* One step for each file, in their order, then one for each blob that is superfluous. Borrows from
 * both; the array is the caller's to free. */
struct plan_step *plan_steps(const struct folder *f, const struct cmg_listing *l, size_t prefix,
                             size_t *n);

/* --- Blocks ------------------------------------------------------------------------------- */

/* Place of the block and what is in it. So a block of another version of the file, or of another
 * cut, is never taken for this one, and the same block is found again by the next run. 24 bytes
 * become 32 letters of base64. */
enum { PLAN_BLOCK_ID = 24 };
void plan_block_id(size_t index, struct cmg_str bytes, unsigned char out[PLAN_BLOCK_ID]);

size_t plan_blocks(int64_t size, int64_t block_bytes); /* how many; none for nothing */
int64_t plan_block_size(int64_t size, int64_t block_bytes, size_t index);

/* CMG_ECONF: the file would be more blocks than a blob may have; err says what to give instead. */
CMG_MUST_CHECK enum cmg_rc plan_fits(const struct folder_file *file, int64_t block_bytes,
                                     struct cmg_err *err);

/* Sorts by id, for plan_block_there. */
void plan_blocks_sort(struct cmg_block *blocks, size_t n);
bool plan_block_there(const struct cmg_block *sorted, size_t n,
                      const unsigned char id[PLAN_BLOCK_ID], int64_t size);

/* --- Failures ----------------------------------------------------------------------------- */

/* How long to wait before another try, in ms; -1: the answer would be the same. `tries` that have
 * failed so far, 1 or more. Without an answer `status` is 0 and `rc` says why. Doubles from 500 ms
 * to 30 s, with jitter in the upper half: `dice` is uniform. */
int64_t plan_retry_ms(enum cmg_rc rc, unsigned status, unsigned tries, uint32_t dice);

/* What to look at after such an answer; "" where its code says all. */
const char *plan_hint(unsigned status, const char *why);

#endif
